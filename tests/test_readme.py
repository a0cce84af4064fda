"""What the README says is so: its commands exist, its links lead somewhere, its code runs."""

import re
from pathlib import Path

import pytest
import torch

import course
from peft_lab.paths import data_dir
from tools import refresh

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
README = PAGES[0].read_text(encoding="utf-8")
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
CODE, ROUND_TRIP = re.findall(r"```python\n(.*?)```", README, re.S)


def test_nothing_is_left_to_do():
    assert "TODO" not in README


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_exist(page):
    text = page.read_text(encoding="utf-8")
    named = re.findall(r"course\.py (\w+)", text)
    assert named and set(named) <= set(course.COMMANDS)


def test_the_two_commands_come_first():
    block = re.search(r"^    python.*\n(    .*\n)*", README, re.M).group(0)
    assert re.findall(r"course\.py (\w+)", block) == ["lab", "test"]
    assert f"Python {'.'.join(map(str, course.OLDEST_PYTHON))} or newer" in README


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)", page.read_text(encoding="utf-8")):
        assert target.startswith("https://") or (ROOT / target).exists(), target


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_table_tells_each_notebooks_time(path):
    budget = refresh.read(path).metadata.peft_lab
    (row,) = [line for line in README.splitlines() if line.startswith(f"| [{path.stem}]")]
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells[0] == f"[{path.stem}](notebooks/{path.name})"
    assert cells[-2:] == [f"{budget.minutes} min", f"{budget.seconds} s"]


def test_ten_lines_of_code():
    assert len([line for line in CODE.splitlines() if line.strip()]) == 10


def test_the_code_runs(tmp_path, monkeypatch, capsys):
    if not (data_dir() / "models" / "storyteller-micro" / "model.safetensors").exists():
        pytest.skip("the base models are not here")
    monkeypatch.chdir(tmp_path)
    exec(re.sub(r"steps=\d+", "steps=3", CODE), {})
    assert capsys.readouterr().out.strip()
    assert any((tmp_path / "my_poems").iterdir())


def test_the_round_trip_runs(tmp_path, monkeypatch):
    """And both sides give the same logits: B is random before it is written, as if trained."""
    pytest.importorskip("peft")
    if not (data_dir() / "models" / "storyteller-nano" / "model.safetensors").exists():
        pytest.skip("the base models are not here")
    monkeypatch.chdir(tmp_path)
    trained = "    torch.manual_seed(0)\n    [p.data.normal_(0, 0.1) for p in lora.B.values()]\n"
    asked = "    ours = model(torch.arange(3, 12)[None]).logits\n"
    lines = ROUND_TRIP.splitlines(keepends=True)
    at = next(i for i, line in enumerate(lines) if line.lstrip().startswith("to_peft("))
    names = {"torch": torch}
    exec("".join([*lines[:at], trained, asked, *lines[at:]]), names)
    ids = torch.arange(3, 12)[None]
    assert torch.equal(names["method"]._edits.anatomy.model(ids).logits, names["ours"])
    names["method"].detach()
    from peft import PeftModel

    for folder in ("poems", "back"):
        theirs = PeftModel.from_pretrained(names["model"], folder)
        assert (theirs(ids).logits - names["ours"]).abs().max() < 1e-4
        theirs.unload()
