"""course.py: sets up once, goes on after an interruption, opens Lab safely, runs every test."""

import ast
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

import course

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A checkout of one's own, in which nothing is really run."""
    root = tmp_path / "peft lab"
    (root / "notebooks").mkdir(parents=True)
    (root / "notebooks" / "00_start_here.ipynb").write_text("{}")
    (root / "notebooks" / "03_soft_prompts.ipynb").write_text("{}")
    (root / "pyproject.toml").write_text("[project]")
    for name, path in {
        "ROOT": root,
        "VENV": root / ".venv",
        "MADE": root / ".venv" / "course_venv",
        "STAMP": root / ".venv" / "course_stamp.json",
    }.items():
        monkeypatch.setattr(course, name, path)
    monkeypatch.delenv("PEFT_LAB_TORCH", raising=False)
    state = SimpleNamespace(root=root, ran=[], fails=lambda words: False)

    def run(command, **keywords):
        words = " ".join(map(str, command))
        state.ran.append(words)
        if "-m venv" in words:
            (course.VENV / "lib/python3.11/site-packages").mkdir(parents=True, exist_ok=True)
            (course.VENV / "pyvenv.cfg").touch()
        if "m.version('torch')" in words and not any("install" in w for w in state.ran):
            return 1
        return int(state.fails(words))

    monkeypatch.setattr(course, "run", run)
    return state


def installs(state):
    return [words.split(" install ")[1] for words in state.ran if " install " in words]


# ---- set-up ------------------------------------------------------------------------------------


def test_first_set_up_then_nothing_to_do(home):
    course.set_up(["lab"])
    first = list(home.ran)
    assert any("-m venv" in words for words in first)
    assert any("--editable .[lab]" in words for words in installs(home))
    assert (course.VENV / "share/jupyter/lab/settings/overrides.json").exists()
    home.ran.clear()
    course.set_up(["lab"])
    assert all(" install " not in words and "-m venv" not in words for words in home.ran)


def test_test_adds_to_what_lab_installed(home):
    course.set_up(["lab"])
    home.ran.clear()
    course.set_up(["lab", "test"])
    assert any("--editable .[lab,test]" in words for words in installs(home))
    assert not any("-m venv" in words for words in home.ran)
    home.ran.clear()
    course.set_up(["lab"])
    assert installs(home) == []
    # And when something has changed, what was asked for before is kept up to date too.
    (home.root / "pyproject.toml").write_text("[project] # more")
    course.set_up(["lab"])
    assert any("--editable .[lab,test]" in words for words in installs(home))


@pytest.mark.parametrize("change", ["requirements", "python", "folder"])
def test_a_change_sets_up_again(home, change, monkeypatch):
    course.set_up(["lab"])
    home.ran.clear()
    if change == "requirements":
        (home.root / "pyproject.toml").write_text("[project] # more")
    elif change == "python":
        monkeypatch.setattr(sys, "version_info", (3, 99, 0))
    else:
        monkeypatch.setattr(course, "ROOT", home.root / ".." / home.root.name)
    course.set_up(["lab"])
    assert installs(home)


@pytest.mark.parametrize("step", ["-m venv", "torch>=", "--editable", "import torch"])
def test_after_an_interruption_anywhere_it_goes_on(home, step):
    def interrupt(words):
        if step in words:
            raise KeyboardInterrupt
        return 0

    home.fails = interrupt
    with pytest.raises(KeyboardInterrupt):
        course.set_up(["lab"])
    assert not course.STAMP.exists()
    home.fails = lambda words: 0
    home.ran.clear()
    course.set_up(["lab"])
    assert course.STAMP.exists() and any("--editable" in words for words in installs(home))
    assert any("-m venv" in words for words in home.ran) == (step == "-m venv")


@pytest.mark.parametrize("missing", ["uv", "its index"])
def test_where_uv_cannot_pip_installs_the_course(home, missing, capsys):
    """No wheel of uv for this machine, or a network that only pip has been told the way into."""
    cannot = ("import uv", "--quiet uv") if missing == "uv" else ("-m uv pip",)
    home.fails = lambda words: any(piece in words for piece in cannot)
    course.set_up(["lab"])
    assert course.STAMP.exists()
    tried = [words for words in home.ran if "--editable" in words]
    assert ["-m uv pip" in words for words in tried] == (
        [False] if missing == "uv" else [True, False]
    )
    assert ("now with pip" in capsys.readouterr().out) == (missing != "uv")


def test_a_failed_install_leaves_no_stamp_and_says_what_to_do(home):
    home.fails = lambda words: "--editable" in words
    with pytest.raises(course.CourseError, match="run the same command again"):
        course.set_up(["lab"])
    assert not course.STAMP.exists()


def test_a_half_made_environment_is_made_anew(home):
    course.VENV.mkdir()
    (course.VENV / "pyvenv.cfg").touch()
    (course.VENV / "old").touch()
    course.set_up(["lab"])
    assert not (course.VENV / "old").exists() and course.STAMP.exists()


def test_a_foreign_folder_in_the_way_is_not_deleted(home):
    course.VENV.mkdir()
    (course.VENV / "thesis.txt").touch()
    with pytest.raises(course.CourseError, match="in the way"):
        course.set_up(["lab"])
    assert (course.VENV / "thesis.txt").exists()


def test_packages_cut_short_are_installed_again(home):
    course.set_up(["lab"])
    (packages,) = course.VENV.glob("lib/python*/site-packages")
    for name, record in {
        "whole-1.0": "whole/x.py,,\nwhole-1.0.dist-info/INSTALLER,,\n",
        "cut-1.0": "cut/x.py,,\n",  # as it stands in the wheel; pip had not come to its end
        "bare-1.0": None,
    }.items():
        folder = packages / f"{name}.dist-info"
        folder.mkdir()
        if record is not None:
            (folder / "RECORD").write_text(record)
    (packages / "~orch").mkdir()
    course.mend_packages()
    assert {p.name for p in packages.iterdir()} == {"whole-1.0.dist-info"}


def test_two_at_once_wait_for_each_other(home):
    holder = (
        "import course, pathlib, time\n"
        f"course.VENV = pathlib.Path({str(course.VENV)!r})\n"
        "with course.alone():\n    print('have it', flush=True)\n    time.sleep(1.5)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", holder], stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as other:
        assert other.stdout.readline() == "have it\n"
        begin = time.monotonic()
        with course.alone():
            assert time.monotonic() - begin > 0.5


# ---- PyTorch -----------------------------------------------------------------------------------


def test_linux_gets_the_cpu_build_first_and_others_plain(home):
    ways = [words for _, words, _ in course.torch_attempts("linux")]
    assert "--no-index" in ways[0] and ways[1][0] == "uv"
    assert ways[1][ways[1].index("--torch-backend") + 1] == "cpu"
    plain = ["pip", "install", "--disable-pip-version-check", "--no-input", course.TORCH]
    assert ways[2] == plain
    for platform in ("win32", "darwin"):
        assert [words for _, words, _ in course.torch_attempts(platform)] == [plain]


def test_a_wish_for_a_build_is_followed(home, monkeypatch):
    monkeypatch.setenv("PEFT_LAB_TORCH", "torch==2.9.1")
    ((_, words, _),) = course.torch_attempts("linux")
    assert words[-1] == "torch==2.9.1" and words[0] == "pip"


@pytest.mark.parametrize("working", [0, 1, 2, 3])
def test_torch_attempts_follow_each_other(home, monkeypatch, working):
    ways = course.torch_attempts("linux")
    monkeypatch.setattr(course, "torch_attempts", lambda: ways)
    home.fails = lambda words: "install" in words and len(installs(home)) != working + 1
    if working == 3:
        with pytest.raises(course.CourseError, match="PEFT_LAB_TORCH"):
            course.install_torch()
    else:
        course.install_torch()
        assert len(installs(home)) == working + 1


# ---- commands ----------------------------------------------------------------------------------


def test_lab_listens_on_loopback_with_its_token(home):
    words = [str(word) for word in course.lab_command([])]
    assert words[1:3] == ["-m", "jupyterlab"]
    assert Path(words[3]) == Path("notebooks/00_start_here.ipynb")
    assert "--ServerApp.ip=127.0.0.1" in words
    assert not re.search("token|password|allow_origin|disable_check", " ".join(words))
    assert Path(str(course.lab_command(["03", "--no-browser"])[3])).name == "03_soft_prompts.ipynb"
    assert course.lab_command(["--no-browser"])[-1] == "--no-browser"
    with pytest.raises(course.CourseError, match="no notebook"):
        course.lab_command(["77"])


def test_test_runs_style_and_every_test_and_passes_arguments_on(home):
    assert course.test(["--long", "-k", "x"]) == 0
    assert "ruff check ." in home.ran[0] and "ruff format --check" in home.ran[1]
    assert home.ran[2].endswith("--long -k x") and "-m pytest" in home.ran[2]


@pytest.mark.parametrize("failing", ["ruff check", "ruff format", "pytest"])
def test_test_fails_when_anything_fails(home, failing):
    home.fails = lambda words: failing in words
    assert course.test([]) != 0
    assert any("pytest" in words for words in home.ran)


def test_unknown_command_prints_the_help(capsys):
    assert course.main(["tset"]) == 2
    assert "course.py lab" in capsys.readouterr().out
    for command in course.COMMANDS:
        assert f"course.py {command}" in course.__doc__


def test_old_python_is_told_what_to_do(monkeypatch, capsys):
    monkeypatch.setattr(sys, "version_info", (3, 9, 1))
    assert course.main(["lab"]) == 1
    assert "needs Python 3.11 or newer, this is 3.9" in capsys.readouterr().out


def test_standard_library_only_and_readable_by_old_pythons():
    tree = ast.parse((ROOT / "course.py").read_text(encoding="utf-8"), feature_version=(3, 7))
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module.split(".")[0])
    assert names <= set(sys.stdlib_module_names)


def test_make_and_ci_call_course():
    makefile = (ROOT / "Makefile").read_text()
    for command in course.COMMANDS:
        assert re.search(rf"^[\w ]*\b{command}\b[\w ]*:", makefile, re.M), command
    assert "course.py $@" in makefile
    script = (ROOT / ".ci" / "run").read_text()
    assert script.rstrip().endswith('python3 course.py test "$@"') and "chromium" in script
    if os.name != "nt":
        assert os.access(ROOT / ".ci" / "run", os.X_OK)


# ---- for real ----------------------------------------------------------------------------------


@pytest.mark.long
@pytest.mark.skipif(os.name == "nt", reason="kills a process group")
def test_from_a_bare_clone_interrupted_and_twice(tmp_path):
    """Kills the set-up at three moments, then finishes it. Needs the package index and 2 GB."""
    run = {"check": True, "capture_output": True}
    subprocess.run(["git", "clone", "--bare", ROOT, tmp_path / "bare.git"], **run)
    subprocess.run(["git", "clone", tmp_path / "bare.git", tmp_path / "mine"], **run)
    # What the tests close for themselves is open for pip.
    drop = ("PYTHONPATH", "PEFT_LAB_CLOSE_NETWORK", "VIRTUAL_ENV")
    environ = {k: v for k, v in os.environ.items() if k not in drop}
    command = [getattr(sys, "_base_executable", sys.executable), "course.py", "setup"]
    where = {"cwd": tmp_path / "mine", "env": environ, "stdout": subprocess.DEVNULL}
    for seconds in (2, 20, 40):
        with subprocess.Popen(command, start_new_session=True, **where) as process:
            time.sleep(seconds)
            os.killpg(process.pid, signal.SIGKILL)
    subprocess.run(command, check=True, timeout=900, **where)
    begin = time.monotonic()
    subprocess.run(command, check=True, **where)
    assert time.monotonic() - begin < 10
    python = tmp_path / "mine" / ".venv" / "bin" / "python"
    check = (
        "import torch, transformers, jupyterlab, peft, nbval, peft_lab; print(peft_lab.__file__)"
    )
    here = {"cwd": tmp_path, "env": environ}  # not in the checkout, whose package would be found
    done = subprocess.run([python, "-c", check], capture_output=True, text=True, **here)
    assert done.stdout.startswith(str(tmp_path / "mine")), done.stderr
    assert (python.parent / "torchrun").exists() and (python.parent / "pip").exists()
