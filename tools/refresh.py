"""Runs notebooks and stores their outputs in one normal form.

    python tools/refresh.py [NOTEBOOKS]           run, normalise, write
    python tools/refresh.py --check [NOTEBOOKS]   run, and say what is out of date; write nothing
    python tools/refresh.py --solved [NOTEBOOKS]  run with the solutions put in; write nothing
    python tools/refresh.py --tidy [NOTEBOOKS]    normalise what is stored, without running

A notebook may be named by its number. Two runs on one machine give the same bytes: no speeds, ids,
dates, versions or warnings are stored, and a widget is replaced by the figure that it shows first,
so that readers without a kernel see it too.
"""

import argparse
import ast
import base64
import contextlib
import difflib
import hashlib
import importlib.util
import os
import re
import struct
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import nbformat
from jupyter_client import KernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = ROOT / "notebooks"
VIEW = "application/vnd.jupyter.widget-view+json"
KERNEL = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
PEAK = "print(__import__('sitecustomize').peak_memory_mb())"
IGNORE = "nbval-ignore-output"


def _offline():
    """tests/offline/sitecustomize.py: what the tests run notebooks under holds here too."""
    path = ROOT / "tests" / "offline" / "sitecustomize.py"
    spec = importlib.util.spec_from_file_location("peft_lab_offline", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# ---- solutions ---------------------------------------------------------------------------------


def exercise_of(cell) -> str | None:
    """The exercise ("01a") whose stub this cell holds, if it does."""
    if cell.cell_type != "code" or "exercise" not in cell.metadata.get("tags", []):
        return None
    return cell.metadata.get("peft_lab", {}).get("exercise")


def _named(tree) -> dict[str, ast.stmt]:
    """Top-level functions, classes and assignments by name."""
    found = {}
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found[node.name] = node
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            found[node.targets[0].id] = node
    return found


def _span(node: ast.stmt) -> tuple[int, int]:
    """First and last line of a statement, decorators included; lines count from 1."""
    lines = [node.lineno, *(d.lineno for d in getattr(node, "decorator_list", []))]
    return min(lines), node.end_lineno


def _lines(source: str, node: ast.stmt) -> str:
    first, last = _span(node)
    return "\n".join(source.splitlines()[first - 1 : last])


def put_in_solution(stub: str, solutions: str, exercise: str) -> str:
    """The stub cell's source with the solution in the place of the stubs; what is beside stays.

    The solution of a cell's one stub is called `solution_01a`; where a cell has several, each has
    its own, `solution_01a_NAME`. The solutions' imports come first.

    Args:
        stub: source of a cell with functions, classes or assignments to be written.
        solutions: source of the solutions file.

    Raises:
        KeyError: the solutions hold nothing for this cell.
    """
    tree = ast.parse(solutions)
    known = _named(tree)
    lines, replaced = stub.splitlines(), 0
    for name, place in reversed(_named(ast.parse(stub)).items()):
        alone, own = f"solution_{exercise}", f"solution_{exercise}_{name}"
        chosen = own if own in known else alone
        if chosen in known and isinstance(place, ast.Assign) == isinstance(
            known[chosen], ast.Assign
        ):
            first, last = _span(place)
            answer = re.sub(rf"\b{chosen}\b", name, _lines(solutions, known[chosen]))
            lines[first - 1 : last] = answer.splitlines()
            replaced += 1
    if not replaced:
        raise KeyError(f"the solutions hold no `solution_{exercise}` that fits the cell:\n{stub}")
    imports = [
        _lines(solutions, n) for n in tree.body if isinstance(n, ast.Import | ast.ImportFrom)
    ]
    return "\n".join([*imports, *lines])


def solutions_path(notebook: Path) -> Path:
    return notebook.parent / "solutions" / f"{notebook.stem}.py"


def solved(notebook: nbformat.NotebookNode, solutions: str) -> nbformat.NotebookNode:
    """A copy of the notebook in which every exercise is answered.

    Args:
        solutions: source of the notebook's solutions file.

    Raises:
        KeyError: an exercise without a solution.
    """
    copy = nbformat.reads(nbformat.writes(notebook), as_version=4)
    for cell in copy.cells:
        if exercise := exercise_of(cell):
            cell.source = put_in_solution(cell.source, solutions, exercise)
    return copy


# ---- running -----------------------------------------------------------------------------------


class Run:
    """What a run cost: seconds, and the kernel's peak memory in MB."""

    def __init__(self, seconds: float, memory_mb: float):
        self.seconds, self.memory_mb = seconds, memory_mb

    def __repr__(self):
        return f"{self.seconds:.1f} s, {self.memory_mb:.0f} MB"


def execute(
    notebook: nbformat.NotebookNode,
    folder: Path = NOTEBOOKS,
    manager: KernelManager | None = None,
    **environ: str,
) -> Run:
    """Runs all cells in place, offline and strict, within three times the notebook's own budget.

    Args:
        manager: of a kernel that goes on afterwards, and is started if it does not run; None: a
            kernel of its own.
        environ: further environment variables for a kernel that is started.

    Raises:
        nbclient.exceptions.CellExecutionError: a cell failed; the text shows which.
    """
    budget = notebook.metadata.get("peft_lab", {}).get("seconds", 300)
    variables = dict(os.environ, **environ)
    _offline().prepare(variables)
    client = NotebookClient(
        notebook,
        manager,
        kernel_name="python3",
        timeout=int(3 * budget),
        resources={"metadata": {"path": str(folder)}},
        # What the course calls out loud is an error: nothing may be swallowed by a warning.
        allow_errors=False,
    )
    begin = time.perf_counter()
    with client.setup_kernel(env=variables):
        notebook.cells.append(nbformat.v4.new_code_cell(PEAK))
        try:
            for index, cell in enumerate(notebook.cells):
                client.execute_cell(cell, index)
            client.set_widgets_metadata()
        finally:
            probe = notebook.cells.pop()
    return Run(time.perf_counter() - begin, float(probe.outputs[0]["text"]))


# ---- the normal form ---------------------------------------------------------------------------


def without_software(png: bytes) -> bytes:
    """A PNG less its text chunks: matplotlib writes its version there."""
    if png[:8] != b"\x89PNG\r\n\x1a\n":
        return png
    kept, at = [png[:8]], 8
    while at + 8 <= len(png):
        (length,) = struct.unpack(">I", png[at : at + 4])
        chunk = png[at : at + 12 + length]
        if chunk[4:8] not in (b"tEXt", b"iTXt", b"zTXt", b"tIME"):
            kept.append(chunk)
        at += len(chunk)
    return b"".join(kept)


def shown_by_widget(model_id: str, state: dict, seen: set | None = None) -> list:
    """The outputs that the Output widgets below a widget hold, in reading order."""
    seen = set() if seen is None else seen
    if model_id in seen or model_id not in state:
        return []
    seen.add(model_id)
    values = state[model_id]["state"]
    if state[model_id]["model_name"] == "OutputModel":
        return list(values.get("outputs", []))
    found = []
    for child in values.get("children", []):
        found += shown_by_widget(child.removeprefix("IPY_MODEL_"), state, seen)
    return found


def _flat(outputs, state: dict) -> Iterator:
    """The outputs with each widget replaced by what it shows, which may be nothing."""
    for output in outputs:
        if VIEW in output.get("data", {}):
            inner = shown_by_widget(output["data"][VIEW]["model_id"], state)
            yield from _flat(map(nbformat.from_dict, inner), state)
        else:
            yield output


def _normal_outputs(outputs, state: dict) -> list:
    result = []
    for output in _flat(outputs, state):
        if output.output_type == "stream":
            if output.name == "stderr" or not output.text:
                continue
            if result and result[-1].output_type == "stream":
                result[-1].text += output.text
                continue
        data = output.get("data", {})
        if "image/png" in data:
            png = without_software(base64.b64decode(data["image/png"]))
            data["image/png"] = base64.b64encode(png).decode("ascii")
        output.pop("transient", None)
        result.append(output)
    return result


def normalise(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Brings a notebook into the committed form, in place; a second call changes nothing."""
    widgets = notebook.metadata.pop("widgets", {})
    state = widgets.get("application/vnd.jupyter.widget-state+json", {}).get("state", {})
    notebook.metadata = nbformat.from_dict(
        {
            "kernelspec": KERNEL,
            "language_info": {"name": "python"},
            **({"peft_lab": notebook.metadata.peft_lab} if "peft_lab" in notebook.metadata else {}),
        }
    )
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    count, ids = 0, set()
    for cell in notebook.cells:
        kept = {key: cell.metadata[key] for key in ("tags", "peft_lab") if key in cell.metadata}
        cell.metadata = nbformat.from_dict(kept)
        cell.source = "\n".join(line.rstrip() for line in cell.source.rstrip().split("\n"))
        # From the content, not the place: a cell put in between leaves the others' ids alone.
        digest = hashlib.sha256(f"{cell.cell_type}:{cell.source}".encode()).hexdigest()[:8]
        name, copy = digest, 1
        while name in ids:
            copy += 1
            name = f"{digest}-{copy}"
        ids.add(name)
        cell.id = name
        if cell.cell_type != "code":
            continue
        count += 1
        cell.execution_count = count
        cell.outputs = _normal_outputs(cell.outputs, state)
        for output in cell.outputs:
            if output.output_type == "execute_result":
                output.execution_count = count
    return notebook


def to_text(notebook: nbformat.NotebookNode) -> str:
    return nbformat.writes(notebook).rstrip("\n") + "\n"


# ---- is it up to date? -------------------------------------------------------------------------


def promised(cell) -> list[str]:
    """What must be the same on every machine: text that is compared, and kinds of output."""
    if IGNORE in cell.metadata.get("tags", []):
        return []
    lines = []
    for output in cell.outputs:
        if output.output_type == "stream":
            lines += output.text.splitlines()
        elif output.output_type == "error":
            lines.append(f"error {output.ename}: {output.evalue}")
        else:
            lines.append("shows " + ", ".join(sorted(output.data)))
            lines += output.data.get("text/plain", "").splitlines()
    return [re.sub(r"0x[0-9a-fA-F]{6,}", "0xADDRESS", line) for line in lines]


def differences(stored: nbformat.NotebookNode, fresh: nbformat.NotebookNode) -> list[str]:
    """Lines that tell how a fresh run differs from what is stored; empty when up to date."""
    found = []
    pairs = zip(stored.cells, fresh.cells, strict=True)
    for number, (old, new) in enumerate(pairs, start=1):
        if old.cell_type != "code":
            continue
        before, after = promised(old), promised(new)
        if before != after:
            found.append(f"  cell {number}: {old.source.splitlines()[0] if old.source else ''}")
            diff = difflib.unified_diff(before, after, "stored", "fresh", lineterm="", n=0)
            found += [f"    {line}" for line in list(diff)[2:12]]
    return found


def read(path: Path) -> nbformat.NotebookNode:
    return nbformat.read(path, as_version=4)


def _over_budget(notebook, run: Run) -> str:
    budget = notebook.metadata.get("peft_lab", {})
    late = run.seconds > budget.get("seconds", float("inf"))
    fat = run.memory_mb > budget.get("memory_mb", float("inf"))
    return ("  OVER ITS SECONDS" if late else "") + ("  OVER ITS MEMORY" if fat else "")


def refresh(path: Path, mode: str) -> bool:
    """Does what `mode` says to one notebook; returns whether all is well."""
    text = path.read_text(encoding="utf-8")
    stored = read(path)
    if mode == "tidy":
        path.write_text(to_text(normalise(stored)), encoding="utf-8", newline="\n")
        return True
    fresh = read(path)
    if mode == "solved":
        fresh = solved(fresh, solutions_path(path).read_text(encoding="utf-8"))
    try:
        run = execute(fresh, path.parent)
    except (CellExecutionError, CellTimeoutError) as error:
        print(f"{path.name}: FAILED\n{error}")
        return False
    print(f"{path.name}: {run}{_over_budget(stored, run)}", flush=True)
    normalise(fresh)
    if mode == "write":
        path.write_text(to_text(fresh), encoding="utf-8", newline="\n")
        return True
    if mode == "solved":
        return True
    if text != to_text(normalise(read(path))):
        print("  is not in its normal form: `python tools/refresh.py --tidy` mends that")
        return False
    found = differences(stored, fresh)
    print("\n".join(found) or "  up to date")
    return not found


def find(names: list[str]) -> list[Path]:
    """Notebooks by path, name or number; all of them when none is named."""
    if not names:
        return sorted(NOTEBOOKS.glob("*.ipynb"))
    paths = []
    for name in names:
        match = [Path(name)] if Path(name).is_file() else sorted(NOTEBOOKS.glob(f"{name}*.ipynb"))
        if not match:
            raise SystemExit(f"there is no notebook {name!r}, neither as a file nor in notebooks/")
        paths += match
    return paths


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("notebooks", nargs="*", help="files, or numbers such as 03; default: all")
    modes = parser.add_mutually_exclusive_group()
    for mode in ("check", "solved", "tidy"):
        modes.add_argument(f"--{mode}", dest="mode", action="store_const", const=mode)
    options = parser.parse_args(arguments)
    paths = find(options.notebooks)
    if not paths:
        print("there are no notebooks in notebooks/")
    results = []
    with contextlib.suppress(KeyboardInterrupt):
        results = [refresh(path, options.mode or "write") for path in paths]
    return 0 if all(results) and len(results) == len(paths) else 1


if __name__ == "__main__":
    sys.exit(main())
