"""peft-lab doctor names what is missing with its mend; peft-lab start never overwrites."""

import hashlib
import importlib.metadata
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from peft_lab import cli

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def source(tmp_path, monkeypatch):
    """A course of two notebooks."""
    folder = tmp_path / "course" / "notebooks"
    folder.mkdir(parents=True)
    (folder / "00_start_here.ipynb").write_text('{"cells": []}')
    (folder / "03_soft_prompts.ipynb").write_text('{"cells": []}')
    (folder / "ruff.toml").write_text("")
    monkeypatch.setattr(cli, "notebooks_dir", lambda: folder)
    return folder


# ---- start -------------------------------------------------------------------------------------


def test_start_copies_the_notebooks_and_nothing_else(source, tmp_path, capsys):
    mine = tmp_path / "my course"
    assert cli.main(["start", str(mine), "--no-lab"]) == 0
    assert {path.name for path in mine.iterdir()} == {
        "00_start_here.ipynb",
        "03_soft_prompts.ipynb",
    }
    assert "copied 03_soft_prompts.ipynb" in capsys.readouterr().out


def test_start_never_overwrites(source, tmp_path, capsys):
    mine = tmp_path / "mine"
    cli.main(["start", str(mine), "--no-lab"])
    (mine / "00_start_here.ipynb").write_text("my work")
    (mine / "03_soft_prompts.ipynb").unlink()
    assert cli.main(["start", str(mine), "--no-lab"]) == 0
    assert (mine / "00_start_here.ipynb").read_text() == "my work"
    assert (mine / "03_soft_prompts.ipynb").exists()
    capsys.readouterr()
    cli.main(["start", str(mine), "--no-lab"])
    assert "nothing copied" in capsys.readouterr().out


def test_only_brings_one_back_and_keeps_yours(source, tmp_path):
    mine = tmp_path / "mine"
    cli.main(["start", str(mine), "--no-lab"])
    other = (mine / "00_start_here.ipynb").stat().st_mtime_ns
    for text in ("first try", "second try"):
        (mine / "03_soft_prompts.ipynb").write_text(text)
        assert cli.main(["start", str(mine), "--only", "03", "--no-lab"]) == 0
    assert (mine / "03_soft_prompts.ipynb").read_text() == '{"cells": []}'
    assert (mine / "03_soft_prompts.old-1.ipynb").read_text() == "first try"
    assert (mine / "03_soft_prompts.old-2.ipynb").read_text() == "second try"
    assert (mine / "00_start_here.ipynb").stat().st_mtime_ns == other
    # An unchanged one is not put aside.
    cli.main(["start", str(mine), "--only", "03", "--no-lab"])
    assert not (mine / "03_soft_prompts.old-3.ipynb").exists()


@pytest.mark.parametrize("number", ["77", ""])
def test_only_an_unknown_number_names_the_known(source, tmp_path, number, capsys):
    assert cli.main(["start", str(tmp_path / "mine"), "--only", number, "--no-lab"]) == 1
    assert "there are 00, 03" in capsys.readouterr().err
    assert not (tmp_path / "mine").exists()


@pytest.mark.parametrize(
    ("only", "message"),
    [
        ("0", "00_start_here.ipynb, 03_soft_prompts.ipynb"),
        ("/", "no notebook"),
        ("*", "no notebook"),
    ],
)
def test_only_means_one_notebook(source, tmp_path, only, message, capsys):
    assert cli.main(["start", str(tmp_path / "mine"), "--only", only, "--no-lab"]) == 1
    assert message in capsys.readouterr().err
    assert not (tmp_path / "mine").exists()


def test_start_refuses_the_courses_own_folder(source, capsys):
    assert cli.main(["start", str(source), "--only", "03", "--no-lab"]) == 1
    assert "name another folder" in capsys.readouterr().err


def test_start_says_so_where_a_file_is_in_the_way(source, tmp_path, capsys):
    (tmp_path / "mine").write_text("a file")
    assert cli.main(["start", str(tmp_path / "mine"), "--no-lab"]) == 1
    assert "mine" in capsys.readouterr().err


def test_start_opens_lab_on_loopback(source, tmp_path, monkeypatch):
    seen = []

    def run(command, **keywords):
        seen.append((command, keywords["cwd"]))
        return SimpleNamespace(returncode=0)

    monkeypatch.setattr(cli.subprocess, "run", run)
    assert cli.main(["start", str(tmp_path / "mine"), "--only", "03"]) == 0
    ((command, folder),) = seen
    assert command[1:4] == ["-m", "jupyterlab", "03_soft_prompts.ipynb"]
    assert "--ServerApp.ip=127.0.0.1" in command and "token" not in " ".join(command)
    assert folder == tmp_path / "mine"


# ---- doctor ------------------------------------------------------------------------------------


def findings(check) -> list[cli.Finding]:
    return list(check())


def test_bounds_are_compared_as_numbers():
    assert cli._at_least("2.13.0+cpu", "2.6") and cli._at_least("5.0", "5.0.0")
    assert not cli._at_least("2.5.1", "2.6") and cli._at_least("10.0", "9.1")
    assert not cli._at_least("5.0.0rc1", "5.1")


def test_requirements_come_from_the_installed_metadata(monkeypatch):
    lines = ["torch>=2.6", 'jupyterlab>=4.2; extra == "lab"', 'pytest>=8; extra == "test"']
    monkeypatch.setattr(importlib.metadata, "requires", lambda name: lines)
    assert cli.requirements() == {"torch": "2.6", "jupyterlab": "4.2"}


def test_missing_and_old_packages_are_named_with_their_mend(monkeypatch):
    monkeypatch.setattr(
        cli, "requirements", lambda: {"numpy": "1.26", "torch": "99", "no-such-thing": "1.2"}
    )
    fine, old, missing = findings(cli.check_packages)
    assert fine.ok and str(fine).startswith("[OK]   numpy ")
    assert not old.ok and 'pip install "torch>=99"' in str(old)
    assert str(missing).startswith("[FAIL] no-such-thing is missing")
    assert 'pip install "no-such-thing>=1.2"' in missing.mend


def test_python_too_old(monkeypatch):
    monkeypatch.setattr(cli, "OLDEST_PYTHON", (3, 99))
    (finding,) = findings(cli.check_python)
    assert not finding.ok and "python.org" in finding.mend


def test_little_memory_and_disk(monkeypatch):
    monkeypatch.setattr(cli, "NEEDED_MEMORY_GB", 1e9)
    monkeypatch.setattr(cli, "NEEDED_DISK_GB", 1e9)
    memory, disk = findings(cli.check_machine)
    assert not memory.ok and "PEFT_LAB_SIZE=nano" in memory.mend
    assert not disk.ok and disk.mend


def test_kernel_is_found_here():
    (finding,) = findings(cli.check_kernel)
    assert finding.ok


@pytest.fixture
def models(tmp_path, monkeypatch):
    model = tmp_path / "models" / "storyteller-nano"
    model.mkdir(parents=True)
    for name in ("config.json", "tokenizer.json", "model.safetensors"):
        (model / name).write_bytes(name.encode())
    digest = hashlib.sha256(b"model.safetensors").hexdigest()
    (model / "SHA256SUMS").write_text(f"{digest}  model.safetensors\n")
    monkeypatch.setenv("PEFT_LAB_DATA", str(tmp_path))
    return model


def test_models_whole(models):
    (finding,) = findings(cli.check_models)
    assert finding.ok and "storyteller-nano" in finding.what and "as published" in finding.what


def test_models_damaged_or_missing(models, monkeypatch):
    (models / "model.safetensors").write_bytes(b"cut sho")
    (finding,) = findings(cli.check_models)
    assert not finding.ok and "model.safetensors differs" in finding.what and finding.mend
    (models / "tokenizer.json").unlink()
    (finding,) = findings(cli.check_models)
    assert not finding.ok and "lacks tokenizer.json" in finding.what
    (models / "config.json").unlink()
    (finding,) = findings(cli.check_models)
    assert not finding.ok and "no model" in finding.what
    monkeypatch.setenv("PEFT_LAB_DATA", str(models / "nowhere"))
    (finding,) = findings(cli.check_models)
    assert not finding.ok and "PEFT_LAB_DATA" in finding.mend


def test_notebooks_broken(source):
    (finding,) = findings(cli.check_notebooks)
    assert finding.ok and finding.what == "2 notebooks"
    (source / "03_soft_prompts.ipynb").write_text("<<<<<<< HEAD")
    (finding,) = findings(cli.check_notebooks)
    assert not finding.ok and "03_soft_prompts.ipynb" in finding.what and "start" in finding.mend


def test_doctor_counts_and_exits(monkeypatch, capsys):
    monkeypatch.setattr(cli, "CHECKS", (lambda: [cli.Finding(True, "a")],))
    assert cli.main(["doctor"]) == 0
    monkeypatch.setattr(cli, "CHECKS", (lambda: [cli.Finding(False, "b", "do c")],))
    assert cli.main(["doctor"]) == 1
    out = capsys.readouterr().out
    assert "[OK]   a\nall is well" in out and "[FAIL] b\n       mend: do c\n1 to mend" in out


@pytest.mark.parametrize("missing", ["torch", "psutil", "jupyter_client"])
def test_doctor_itself_runs_where_much_is_missing(missing):
    code = (
        f"import sys; sys.modules[{missing!r}] = None\n"
        "from peft_lab.cli import main; print('ended', main(['doctor']) in (0, 1))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert "ended True" in done.stdout, done.stderr
    if missing != "psutil":  # the package check names that one
        assert "[FAIL]" in done.stdout
