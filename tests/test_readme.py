"""What the README says is so: its commands exist, its links lead somewhere, its code runs."""

import re
from pathlib import Path

import pytest

import course
from peft_lab.paths import data_dir
from tools import refresh

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
README = PAGES[0].read_text(encoding="utf-8")
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
CODE = re.search(r"```python\n(.*?)```", README, re.S).group(1)


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
