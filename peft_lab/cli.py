"""`peft-lab doctor`: is everything here? `peft-lab start`: the notebooks in a folder of your own.
`peft-lab plan`: what training a model needs.

`doctor` must run where much is missing, so nothing heavy is imported before it is asked for.
"""

import argparse
import hashlib
import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from peft_lab.paths import data_dir, notebooks_dir

OLDEST_PYTHON = (3, 11)
NEEDED_MEMORY_GB = 3.0  # a notebook holds up to 1.5 GB, JupyterLab and a browser the rest
NEEDED_DISK_GB = 1.0


class Finding(NamedTuple):
    """One line of the doctor's report."""

    ok: bool
    what: str
    mend: str = ""  # what to type or do when not ok

    def __str__(self) -> str:
        line = f"[OK]   {self.what}" if self.ok else f"[FAIL] {self.what}"
        return line if self.ok or not self.mend else f"{line}\n       mend: {self.mend}"


# ---- doctor ------------------------------------------------------------------------------------


def _release(version: str) -> tuple[int, ...]:
    """The leading numbers of a version: "2.13.0+cpu" -> (2, 13, 0)."""
    match = re.match(r"\d+(\.\d+)*", version)
    return tuple(int(part) for part in match.group().split(".")) if match else ()


def _at_least(version: str, bound: str) -> bool:
    have, need = _release(version), _release(bound)
    width = max(len(have), len(need))
    pad = (0,) * width
    return (have + pad)[:width] >= (need + pad)[:width]


def requirements(extra: str = "lab") -> dict[str, str]:
    """Package -> lowest version, from this package's own metadata; `extra`'s are included.

    Raises:
        importlib.metadata.PackageNotFoundError: peft-lab was copied, not installed.
    """
    found = {}
    for line in importlib.metadata.requires("peft-lab") or []:
        spec, _, condition = line.partition(";")
        if "extra" in condition and not re.search(rf"""extra\s*==\s*["']{extra}["']""", condition):
            continue
        match = re.match(r"\s*([A-Za-z0-9._-]+)\s*>=\s*([0-9.]+)", spec)
        if match:
            found[match.group(1)] = match.group(2)
    return found


def _python() -> str:
    """This Python, as one types it."""
    return f'"{sys.executable}"' if " " in sys.executable else sys.executable


def check_python() -> Iterator[Finding]:
    have = ".".join(map(str, sys.version_info[:3]))
    need = ".".join(map(str, OLDEST_PYTHON))
    yield Finding(
        sys.version_info >= OLDEST_PYTHON,
        f"Python {have} (needed: {need} or newer)",
        "install one from python.org, delete the folder .venv, run `python course.py lab`",
    )


def check_packages() -> Iterator[Finding]:
    try:
        needed = requirements()
    except importlib.metadata.PackageNotFoundError:
        mend = f'{_python()} -m pip install -e ".[lab]"'
        yield Finding(False, "peft-lab is not installed in this Python", mend)
        return
    for name, bound in needed.items():
        pip = f'{_python()} -m pip install "{name}>={bound}"'
        try:
            have = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            yield Finding(False, f"{name} is missing (needed: {bound} or newer)", pip)
            continue
        yield Finding(_at_least(have, bound), f"{name} {have} (needed: {bound} or newer)", pip)


def check_torch() -> Iterator[Finding]:
    """PyTorch computes here, and with how many threads."""
    mend = "delete the folder .venv and run `python course.py lab`"
    try:
        import torch

        right = float((torch.ones(8, 8) @ torch.ones(8, 8)).sum()) == 512
        device = "cuda" if torch.cuda.is_available() else "cpu"
        if device == "cpu" and torch.backends.mps.is_available():
            device = "mps"
        text = f"PyTorch computes: {torch.get_num_threads()} threads, best device here: {device}"
        yield Finding(right, text, mend)
    except Exception as error:  # a broken install fails in many ways: OSError, ImportError, ...
        if os.name == "nt":
            mend = "install the Microsoft Visual C++ Redistributable (x64), then try again"
        yield Finding(False, f"PyTorch does not start: {error}", mend)


def check_machine() -> Iterator[Finding]:
    try:
        import psutil

        free = psutil.virtual_memory().available / 1e9
        yield Finding(
            free >= NEEDED_MEMORY_GB,
            f"{free:.1f} GB of memory free (needed: {NEEDED_MEMORY_GB:g})",
            "close other programs; or set the environment variable PEFT_LAB_SIZE=nano",
        )
    except ImportError:
        pass  # check_packages has named it
    free = shutil.disk_usage(Path.cwd()).free / 1e9
    yield Finding(
        free >= NEEDED_DISK_GB,
        f"{free:.1f} GB of disk free here (needed: {NEEDED_DISK_GB:g})",
        "empty the bin, or work in a folder on another disk",
    )


def check_kernel() -> Iterator[Finding]:
    mend = f"{_python()} -m ipykernel install --sys-prefix"
    try:
        from jupyter_client.kernelspec import KernelSpecManager

        spec = KernelSpecManager().get_kernel_spec("python3")
        yield Finding(True, f"Jupyter kernel python3 ({spec.display_name})")
    except Exception as error:  # jupyter_client missing, or no such kernel
        yield Finding(False, f"no Jupyter kernel python3: {error}", mend)


def check_models() -> Iterator[Finding]:
    """Every model's folder is whole, and its weights are those that were published.

    A model's folder may hold SHA256SUMS (lines `digest  file`), which then is compared.
    """
    again = "get the folder data/models again: `git checkout -- data/models`, or download anew"
    try:
        folder = data_dir() / "models"
    except FileNotFoundError as error:
        yield Finding(False, str(error), "unset PEFT_LAB_DATA")
        return
    models = sorted(path.parent for path in folder.glob("*/config.json"))
    if not models:
        yield Finding(False, f"no model in {folder}", again)
    for model in models:
        weights = model / "model.safetensors"
        missing = [f for f in ("model.safetensors", "tokenizer.json") if not (model / f).is_file()]
        if missing:
            yield Finding(False, f"{model.name} lacks {', '.join(missing)}", again)
            continue
        wrong = [name for name, digest in _sums(model).items() if _sha256(model / name) != digest]
        if wrong:
            yield Finding(
                False, f"{model.name}: {', '.join(wrong)} differs from the published", again
            )
            continue
        sure = "sha256 as published" if _sums(model) else f"sha256 {_sha256(weights)[:16]}"
        size = weights.stat().st_size / 1e6
        yield Finding(True, f"{model.name} ({size:.1f} MB, {sure})")


def _sums(folder: Path) -> dict[str, str]:
    path = folder / "SHA256SUMS"
    if not path.is_file():
        return {}
    pairs = (
        line.split(maxsplit=1) for line in path.read_text(encoding="utf-8").splitlines() if line
    )
    return {name.strip().lstrip("*"): digest for digest, name in pairs}


def _sha256(path: Path) -> str:
    if not path.is_file():
        return ""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_notebooks() -> Iterator[Finding]:
    folder = notebooks_dir()
    broken = []
    found = sorted(folder.glob("*.ipynb"))
    for path in found:
        try:
            json.loads(path.read_text(encoding="utf-8"))["cells"]
        except (ValueError, KeyError):
            broken.append(path.name)
    again = "`peft-lab start FOLDER` copies fresh ones; or get the folder notebooks/ again"
    if broken or not found:
        yield Finding(False, f"notebooks broken: {', '.join(broken) or 'all missing'}", again)
    else:
        yield Finding(True, f"{len(found)} notebooks")


CHECKS = (
    check_python,
    check_packages,
    check_torch,
    check_machine,
    check_kernel,
    check_models,
    check_notebooks,
)


def doctor() -> int:
    """Prints one line a requirement; returns 0 when all are met."""
    failed = 0
    for check in CHECKS:
        for finding in check():
            print(finding, flush=True)
            failed += not finding.ok
    print(
        "all is well" if not failed else f"{failed} to mend: do the first one, then run this again"
    )
    return 1 if failed else 0


# ---- start -------------------------------------------------------------------------------------


def numbered(path: Path) -> Path:
    """A free name beside `path`: 03_soft_prompts.old-1.ipynb, .old-2, …"""
    number = 1
    while (other := path.with_name(f"{path.stem}.old-{number}{path.suffix}")).exists():
        number += 1
    return other


def copy_notebooks(folder: Path, only: str | None = None) -> list[Path]:
    """Copies the course's notebooks into `folder`; returns what was written.

    A file that is there is left alone. With `only` ("03") that notebook is brought back, and what
    the learner had made of it is kept beside it under a numbered name.

    Raises:
        ValueError: no notebook begins with `only`, or several do; `folder` is the course's own.
    """
    source = notebooks_dir()
    folder = folder.expanduser().resolve()
    if folder == source.resolve():
        raise ValueError(f"{folder} holds the course's own notebooks; name another folder")
    chosen = sorted(p for p in source.glob("*.ipynb") if p.name.startswith(only or ""))
    if only is not None and (not only or not chosen):
        known = ", ".join(path.name[:2] for path in sorted(source.glob("*.ipynb")))
        raise ValueError(f"--only {only!r}: no notebook begins so; there are {known}")
    if only is not None and len(chosen) > 1:
        several = ", ".join(path.name for path in chosen)
        raise ValueError(
            f"--only {only!r}: several notebooks begin so: {several}; write more of it"
        )
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for path in chosen:
        target = folder / path.name
        if target.exists():
            if only is None or target.read_bytes() == path.read_bytes():
                continue
            target.rename(numbered(target))
        shutil.copyfile(path, target)
        written.append(target)
    return written


def start(folder: Path, only: str | None, open_lab: bool) -> int:
    try:
        written = copy_notebooks(folder, only)
    except (ValueError, OSError) as error:
        print(f"peft-lab start: {error}", file=sys.stderr)
        return 1
    for path in written:
        print(f"copied {path.name}")
    if not written:
        print("nothing copied: all notebooks are there, and yours stay as they are")
    notebooks = sorted(folder.expanduser().glob(f"{only or ''}*.ipynb"))
    print(f"your notebooks: {folder.expanduser().resolve()}")
    if not open_lab:
        return 0
    # On this machine only, with the token that JupyterLab makes by itself.
    command = [sys.executable, "-m", "jupyterlab", notebooks[0].name, "--ServerApp.ip=127.0.0.1"]
    return subprocess.run(command, cwd=folder.expanduser()).returncode


# ---- plan --------------------------------------------------------------------------------------


def plan(options: argparse.Namespace) -> int:
    """Prints what training needs on a card, for one method or all."""
    from peft_lab.planner import plan, plan_table

    try:
        made = plan(
            options.model, options.method, options.gpu, rows=options.rows, length=options.length,
            precision=options.precision, optimizer=options.optimizer,
        )  # fmt: skip
    except (ValueError, OSError) as error:
        print(f"peft-lab plan: {error}", file=sys.stderr)
        return 1
    plan_table(made)
    return 0


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="peft-lab", description="The course's own commands.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("doctor", help="is everything here? if not, what mends it")
    begin = commands.add_parser(
        "start", help="copy the notebooks into your folder, open JupyterLab"
    )
    begin.add_argument("folder", nargs="?", type=Path, default=Path("peft_course"))
    begin.add_argument(
        "--only", metavar="03", help="bring this notebook back; yours is kept beside"
    )
    begin.add_argument("--no-lab", action="store_true", help="copy only")
    ahead = commands.add_parser(
        "plan", help="which method fits on which card, from the model's sizes alone"
    )
    ahead.add_argument(
        "model", help="e.g. llama-3-8b, storyteller-micro, a folder with config.json"
    )
    default = " (without it: %(default)s)"
    ahead.add_argument("--method", help="one of them, e.g. lora (without it: all, by name)")
    ahead.add_argument("--gpu", default="24GB", help=f"a size, or a card as A100-80GB{default}")
    ahead.add_argument("--rows", type=int, default=1, help=f"texts in a batch{default}")
    ahead.add_argument("--length", type=int, default=512, help=f"tokens of a text{default}")
    ahead.add_argument(
        "--precision",
        default="bfloat16",
        help=f"of the weights: bfloat16, float16, float32{default}",
    )
    ahead.add_argument("--optimizer", default="adamw", help=f"adamw or sgd{default}")
    options = parser.parse_args(arguments)
    if options.command == "doctor":
        return doctor()
    if options.command == "plan":
        return plan(options)
    return start(options.folder, options.only, open_lab=not options.no_lab)


if __name__ == "__main__":
    sys.exit(main())
