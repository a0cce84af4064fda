"""One file runs the course, on Windows, macOS and Linux, with nothing but Python installed:

    python course.py lab [03] [JUPYTER OPTIONS]   set up, open JupyterLab on a notebook
    python course.py test [--long] [PYTEST ARGS]  set up, run every test and every notebook
    python course.py bench [ARGS]                 side by side with the reference library
    python course.py doctor                       is everything here? if not, what mends it
    python course.py refresh [--check] [FILES]    run the notebooks again and store their outputs
    python course.py setup                        set up only

Everything is installed into the folder .venv beside this file (PEFT_LAB_VENV names another one); to
start afresh, delete it. An interrupted set-up goes on where it stopped.

PEFT_LAB_TORCH chooses the PyTorch to install, in pip's words: a wheel file, "torch==2.9.1", or
"torch" for what the package index offers (on Linux: the large CUDA build).
"""

import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

OLDEST_PYTHON = (3, 11)
ROOT = Path(__file__).resolve().parent
VENV = Path(os.environ.get("PEFT_LAB_VENV") or ROOT / ".venv").absolute()
MADE = VENV / "course_venv"  # written when the empty environment is whole
STAMP = VENV / "course_stamp.json"  # written when everything is installed
TORCH = "torch>=2.6"  # as in pyproject.toml
EXTRAS = {
    "lab": ["lab"],
    "doctor": ["lab"],
    "setup": ["lab", "test"],
    "test": ["lab", "test"],
    "bench": ["lab", "test"],
    "refresh": ["lab", "test"],
}
# Learners have no use for a question about news at their first start.
LAB_SETTINGS = {
    "@jupyterlab/apputils-extension:notification": {
        "fetchNews": "false",
        "checkForUpdates": False,
    }
}


class CourseError(Exception):
    """Something that the reader can mend; the text says how."""


def say(text):
    print(f"[course] {text}", flush=True)


def run(command, **keywords):
    """Runs a command with its output streamed; returns its exit status."""
    return subprocess.run([str(part) for part in command], cwd=ROOT, **keywords).returncode


def venv_python():
    return VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def pip(*arguments):
    options = ["--disable-pip-version-check", "--no-input", "--no-warn-script-location"]
    return run([venv_python(), "-m", "pip", *arguments, *options])


def have_uv():
    return works("-c", "import uv") or not pip("install", "--quiet", "uv")


def uv_install():
    """Words after `python -m`. What uv has fetched lies in the environment's folder: an interrupted
    set-up finds it again, the installed files are links to it, and it goes when the folder goes."""
    return ["uv", "pip", "install", "--python", str(venv_python()), "--cache-dir", str(VENV / "uv")]


# ---- set-up ------------------------------------------------------------------------------------


def fingerprint():
    """Changes when what is installed no longer fits: requirements, Python, or a moved folder."""
    digest = hashlib.sha256((ROOT / "pyproject.toml").read_bytes())
    digest.update(repr((sys.version_info[:2], str(ROOT), str(VENV))).encode())
    return digest.hexdigest()


def read_stamp():
    try:
        stamp = json.loads(STAMP.read_text(encoding="utf-8"))
        return stamp["fingerprint"], set(stamp["extras"])
    except (OSError, ValueError, KeyError, TypeError):
        return None, set()


def write_stamp(extras):
    """Written last and by renaming: there is a stamp only where a set-up came to its end."""
    aside = STAMP.with_suffix(".part")
    aside.write_text(json.dumps({"fingerprint": fingerprint(), "extras": sorted(extras)}))
    os.replace(aside, STAMP)


@contextlib.contextmanager
def alone():
    """One set-up at a time; the system drops the lock when a process dies."""
    lock = open(VENV.with_name(VENV.name + ".lock"), "a+")
    try:
        if os.name == "nt":
            import msvcrt

            def take():
                lock.seek(0)
                msvcrt.locking(lock.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            def take():
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)

        told = False
        while True:
            try:
                take()
                break
            except OSError:
                if not told:
                    say("another course.py is setting up; waiting for it")
                    told = True
                time.sleep(1)
        yield
    finally:
        lock.close()


def works(*arguments):
    """Whether the environment's Python exists, is this Python's version, and runs the arguments."""
    check = f"import sys; sys.exit(sys.version_info[:2] != {tuple(sys.version_info[:2])})"
    for command in (["-c", check], list(arguments)):
        try:
            if run([venv_python(), *command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL):
                return False
        except OSError:
            return False
    return True


def make_venv():
    """Makes the environment, or keeps one that an interrupted set-up had begun to fill."""
    if MADE.exists() and works("-m", "pip", "--version"):
        mend_packages()
        return
    if VENV.exists():
        if any(VENV.iterdir()) and not (VENV / "pyvenv.cfg").exists():
            raise CourseError(f"{VENV} is in the way and is no Python environment: move it away.")
        say(f"{VENV.name} is incomplete, or of another Python: making it anew")
        shutil.rmtree(VENV)
    say(f"making {VENV} with Python {sys.version.split()[0]}")
    base = getattr(sys, "_base_executable", None) or sys.executable
    if run([base, "-m", "venv", VENV]) or not works("-m", "pip", "--version"):
        shutil.rmtree(VENV, ignore_errors=True)
        raise CourseError(
            "Python could not make a virtual environment. Debian and Ubuntu lack a package:\n"
            f"    sudo apt install python3.{sys.version_info[1]}-venv\n"
            "Elsewhere: install Python from python.org, then run this again."
        )
    MADE.touch()


def mend_packages():
    """Forgets packages whose installation was cut short, so that pip installs them again.

    A package counts as installed as soon as its .dist-info folder is there, but may lack commands:
    last of all, pip writes its own name (INSTALLER) into the package's RECORD. Folders that begin
    with "~" are what pip had moved aside when it was killed.
    """
    pattern = "Lib/site-packages" if os.name == "nt" else "lib/python*/site-packages"
    for packages in VENV.glob(pattern):
        for folder in packages.iterdir():
            if folder.name.startswith("~") or (
                folder.suffix == ".dist-info" and not came_to_its_end(folder)
            ):
                say(f"an interrupted set-up left {folder.name}: removing it")
                shutil.rmtree(folder, ignore_errors=True)


def came_to_its_end(dist_info):
    try:
        return "INSTALLER" in (dist_info / "RECORD").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False


def torch_attempts(platform=sys.platform):
    """Ways to get PyTorch, best first: (what to tell, words after `python -m`, is a failure news).

    On Linux the package index offers PyTorch for CUDA, several GB. The CPU build (about 200 MB)
    lies elsewhere, and uv knows where. Windows and macOS get the CPU build anyway.
    """
    install = ["pip", "install", "--disable-pip-version-check", "--no-input"]
    wish = os.environ.get("PEFT_LAB_TORCH")
    if wish:
        return [(f"installing PyTorch as PEFT_LAB_TORCH says: {wish}", [*install, wish], True)]
    plain = ("installing PyTorch", [*install, TORCH], True)
    if not platform.startswith("linux"):
        return [plain]
    return [
        # A wheel in a folder that pip is told of (PIP_FIND_LINKS): a classroom without a network.
        # Without dependencies, as those may lie elsewhere; the next step installs them.
        (
            "looking for a local wheel of PyTorch",
            [*install, "--no-index", "--no-deps", TORCH],
            False,
        ),
        (
            "installing the CPU build of PyTorch (about 200 MB)",
            [*uv_install(), "--torch-backend", "cpu", "--no-deps", TORCH],
            True,
        ),
        (
            "the CPU build could not be had: taking the package index's build, which may bring "
            "several GB of CUDA (too much? press Ctrl+C and set PEFT_LAB_TORCH to a wheel file)",
            [*install, TORCH],
            True,
        ),
    ]


def install_torch():
    if works("-c", "import importlib.metadata as m; m.version('torch')"):
        return
    for text, words, loud in torch_attempts():
        say(text)
        if words[0] == "uv" and not have_uv():
            continue
        quiet = {} if loud else {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        if run([venv_python(), "-m", *words], **quiet) == 0:
            return
    raise CourseError(
        "PyTorch could not be installed. If you are offline, get a wheel for your Python from\n"
        "pytorch.org/get-started and set PEFT_LAB_TORCH to the file; then run this again."
    )


def install_course(extras):
    """With uv, which takes a third of pip's time; with pip where uv cannot.

    Only pip knows the user's settings of pip: an index of one's own, or a folder of wheels where
    there is no network.
    """
    course = ["--editable", f".[{','.join(sorted(extras))}]"]
    say(f"installing the course and what it needs: {', '.join(sorted(extras))}")
    if have_uv():
        if not run([venv_python(), "-m", *uv_install(), "--compile-bytecode", *course]):
            return
        say("uv could not install it: now with pip")
    if pip("install", *course):
        raise CourseError(
            "pip could not install the course's requirements; the reason stands above.\n"
            "A lost connection is the commonest: run the same command again, it goes on."
        )


def set_up(extras):
    """Leaves an environment in which everything is installed; does nothing where one is."""
    wanted = set(extras)
    if read_stamp()[0] == fingerprint() and wanted <= read_stamp()[1] and works():
        return
    VENV.parent.mkdir(parents=True, exist_ok=True)
    with alone():
        known, installed = read_stamp()
        if known == fingerprint() and wanted <= installed and works():
            return  # another course.py has done it while this one waited
        begin = time.time()
        say("setting up: the first time takes some minutes and up to 2 GB of disk")
        STAMP.unlink() if STAMP.exists() else None
        make_venv()
        install_torch()
        wanted |= installed
        install_course(wanted)
        overrides = VENV / "share" / "jupyter" / "lab" / "settings" / "overrides.json"
        overrides.parent.mkdir(parents=True, exist_ok=True)
        overrides.write_text(json.dumps(LAB_SETTINGS))
        say("first start of the libraries")
        proof = "import torch, transformers, matplotlib, jupyterlab, ipywidgets, peft_lab"
        if run([venv_python(), "-c", proof]):
            raise CourseError(
                "What was installed does not start; the reason stands above.\n"
                f"Delete the folder {VENV} and run this again."
            )
        write_stamp(wanted)
        say(f"set up in {time.time() - begin:.0f} s")


# ---- commands ----------------------------------------------------------------------------------


def environment(**more):
    """The environment's own commands first, its own Jupyter kernels before the user's."""
    path = str(venv_python().parent) + os.pathsep + os.environ.get("PATH", "")
    values = dict(os.environ, PATH=path, VIRTUAL_ENV=str(VENV), JUPYTER_PREFER_ENV_PATH="1")
    values.pop("PYTHONHOME", None)
    values.update(more)
    return values


def lab_command(arguments):
    """JupyterLab on this machine only. Its token stays on: never pass an empty one."""
    arguments = list(arguments)
    which = arguments.pop(0) if arguments and not arguments[0].startswith("-") else "00"
    found = sorted((ROOT / "notebooks").glob(f"{Path(which).stem}*.ipynb"))
    if not found:
        raise CourseError(f"there is no notebook that begins with {which!r} in notebooks/")
    return [
        venv_python(),
        *("-m", "jupyterlab", found[0].relative_to(ROOT)),
        f"--ServerApp.root_dir={ROOT}",
        "--ServerApp.ip=127.0.0.1",
        *arguments,
    ]


def lab(arguments):
    command = lab_command(arguments)
    say(f"opening {command[3]}; to stop JupyterLab press Ctrl+C here")
    return run(command, env=environment())


def test(arguments):
    python = venv_python()
    style = run([python, "-m", "ruff", "check", "."]) or run(
        [python, "-m", "ruff", "format", "--check", "--quiet", "."]
    )
    # Two workers with one thread each: on two cores, two multi-threaded jobs run many times slower.
    workers = ["-n", "2"] if (os.cpu_count() or 1) > 1 else []
    threads = os.environ.get("OMP_NUM_THREADS", "1")
    code = run(
        [python, "-m", "pytest", *workers, *arguments],
        env=environment(OMP_NUM_THREADS=threads, MKL_NUM_THREADS=threads),
    )
    if style:
        say("ruff found something, see above: `ruff check --fix .` and `ruff format .` mend most")
    return code or style


def script(*command):
    return lambda arguments: run([venv_python(), *command, *arguments], env=environment())


COMMANDS = {
    "lab": lab,
    "test": test,
    "bench": script("benchmarks/bench.py"),
    "doctor": script("-m", "peft_lab.cli", "doctor"),
    "refresh": script("tools/refresh.py"),
    "setup": lambda arguments: 0,
}


def main(arguments):
    if not arguments or arguments[0] not in COMMANDS:
        print(__doc__)
        return 0 if arguments and arguments[0] in ("-h", "--help") else 2
    if sys.version_info < OLDEST_PYTHON:
        say(
            "the course needs Python {}.{} or newer, this is {}.{}. Install one from python.org, "
            "then run it by name,\n    e.g. `py -3.12 course.py lab` on Windows, "
            "`python3.12 course.py lab` elsewhere.".format(*OLDEST_PYTHON, *sys.version_info[:2])
        )
        return 1
    try:
        set_up(EXTRAS[arguments[0]])
        return COMMANDS[arguments[0]](arguments[1:])
    except CourseError as error:
        say(str(error))
        return 1
    except KeyboardInterrupt:
        print()
        say("stopped. The same command goes on from here.")
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
