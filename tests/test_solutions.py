"""Every notebook runs to its end with the solutions put in, and then every checker says so.

Trained for a few steps only, and as a learner runs it: a claim that does not hold is told and stops
nothing. (That the claims hold is nbval's to check; `--long` checks it with the solutions, too.)
The checkers themselves are tried on each known wrong answer in test_exercises.py.
"""

import re
from pathlib import Path

import nbformat
import pytest
from jupyter_client import AsyncKernelManager
from jupyter_core.utils import run_sync

from tools import refresh

NOTEBOOKS = sorted((Path(__file__).resolve().parent.parent / "notebooks").glob("*.ipynb"))
WITH_EXERCISES = [p for p in NOTEBOOKS if any(map(refresh.exercise_of, refresh.read(p).cells))]


def stdout(cell) -> str:
    return "".join(o.text for o in cell.outputs if o.output_type == "stream" and o.name == "stdout")


def solutions_of(path: Path) -> str:
    return refresh.solutions_path(path).read_text(encoding="utf-8")


def exercises_of(path: Path) -> list[str]:
    return [found for cell in refresh.read(path).cells if (found := refresh.exercise_of(cell))]


@pytest.mark.parametrize("path", WITH_EXERCISES, ids=lambda path: path.stem)
def test_every_exercise_has_a_solution_and_a_checker(path):
    ids = exercises_of(path)
    assert len(set(ids)) == len(ids)
    assert set(ids) == set(re.findall(r"\bsolution_(\d\d[a-z])", solutions_of(path)))
    code = "\n".join(c.source for c in refresh.read(path).cells if c.cell_type == "code")
    for exercise in ids:
        assert re.search(rf"\bcheck_{exercise}\(", code), f"nothing checks {exercise}"


BRIEFLY = """
%reset -f
import functools
import os

from peft_lab import training


def briefly(fit):
    @functools.wraps(fit)
    def brief(*args, steps=200, **settings):
        return fit(*args, steps=min(steps, 5), **settings)

    return brief


training.fit = briefly(training.fit)
os.environ["PEFT_LAB_STRICT"] = "0"
"""


@pytest.fixture(scope="module")
def manager():
    """One kernel for all notebooks that run briefly: the imports would take a third of the time."""
    manager = AsyncKernelManager(kernel_name="python3")
    yield manager
    if manager.has_kernel:
        run_sync(manager.shutdown_kernel)(now=True)


@pytest.mark.parametrize("path", WITH_EXERCISES, ids=lambda path: path.stem)
@pytest.mark.parametrize("length", ["briefly", pytest.param("in full", marks=pytest.mark.long)])
def test_solved_notebook_runs_and_is_right(path, length, manager):
    notebook = refresh.solved(refresh.read(path), solutions_of(path))
    brief = length == "briefly"
    if brief:
        notebook.cells.insert(0, nbformat.v4.new_code_cell(BRIEFLY))
    # One thread: another worker is on the other core.
    one = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    refresh.execute(notebook, path.parent, manager if brief else None, **one)
    said = "\n".join(stdout(cell) for cell in notebook.cells if cell.cell_type == "code")
    assert "not yet written" not in said
    for exercise in exercises_of(path):
        verdict = said.split(f"exercise {exercise}:", 1)[1].split("\nexercise ")[0]
        assert re.search(r"^right\.", verdict, re.M), verdict
