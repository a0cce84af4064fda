"""What the stored runs say of one task: who was tried with how many rows, how far one method lies
behind another by the measure of the task, and behind what needs no training of a model.
"""

from functools import cache
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

from .claims import ITEMS, Comparison, compare
from .paths import data_dir
from .results import Row, load_runs, summary

MEASURES = {  # what says most about the work: a field of the runs, its unit, which end is good
    "poems": ("test_nats", "nats a token", min),
    "moods": ("test_accuracy", "of the answers right", max),
    "tables": ("test_nats", "nats a token", min),
    "code": ("test_nats", "nats a token", min),
    "nepali": ("test_third_byte_nats", "nats a third byte", min),
}
UNTRAINED = ("base", "written prompt", "5-gram", "majority", "bag of words")
TRAIN_ROWS = {"poems": 500, "moods": 600, "tables": 450, "code": 175, "nepali": 180}
CLOSE = 0.05  # of each measure, in its unit: the smallest difference that counts, as on the cards


def counts(task: str) -> tuple[int, ...]:
    """The numbers of rows that methods were tried with on a task, the smallest first."""
    return (*sorted({run["tags"]["train_rows"] for run in _few(task)}), TRAIN_ROWS[task])


def trained(task: str, count: int | None = None) -> dict[str, Row]:
    """The methods that were tried on a task, and the base, each at its best learning rate.

    Args:
        count: rows that they were trained on, one of `counts(task)`; None: all.
    """
    whole = {arm: row for arm, row in all_arms(task).items() if arm not in UNTRAINED[1:]}
    if count in (None, TRAIN_ROWS[task]):
        return whole
    few = summary([run for run in _few(task) if run["tags"]["train_rows"] == count])
    return {"base": whole["base"]} | {row.tags["method"]: row for row in few}


def _few(task: str) -> list[dict]:
    """The runs from fewer rows than all."""
    return _stored("rows" if task == "poems" else f"rows-{task}")


def _stored(experiment: str) -> list[dict]:
    """All runs of an experiment: read once, and once more when a file has come or gone."""
    folder = data_dir() / "results" / experiment
    return _read(folder, folder.stat().st_mtime_ns if folder.exists() else 0)


@cache
def _read(folder: Path, changed: int) -> list[dict]:
    return load_runs(folder.name, failed=True, folder=folder.parent)


def all_arms(task: str) -> dict[str, Row]:
    return {row.arm: row for row in summary(_stored(task))}


def behind(rows: dict[str, Row], name: str, best: str, field: str | None = None) -> Comparison:
    """How far a method lies behind another, judged over seeds and over test texts.

    Args:
        rows: of one task, as `trained` gives them.
        field: one of `claims.ITEMS`; None takes the measure of the task.
    """
    base = rows["base"].runs[0]
    field = field or MEASURES[base["experiment"]][0]
    weights = ITEMS[field][1]
    pair = rows[name].runs, rows[best].runs
    if field == "test_accuracy":  # the higher, the better
        pair = pair[::-1]
    return compare(*pair, base[weights] if weights else None, field)


def gain(rows: dict[str, Row], name: str, field: str = "test_nats") -> float:
    """The share of full fine-tuning's gain over the base (1: as much), by a field of the runs."""
    base, full, own = (mean(rows[n], field) for n in ("base", "full", name))
    return (base - own) / (base - full)


def mean(row: Row, field: str) -> float:
    """Over the seeds."""
    return fmean(run[field] for run in row.runs)


class Rival(NamedTuple):
    """What needs no training of a model, beside a method.

    `outcome` is "ahead" or "behind" where the rival is shown to be so, "level" where both are
    shown to be within CLOSE, else "not shown".
    """

    name: str
    text: str  # both in words, and how far apart they are
    outcome: str
    method: Row
    field: str  # of the runs: both are judged by it


def untrained_rival(task: str, count: int | None = None, method: str | None = None) -> Rival:
    """The best of what needs no training of a model, beside a method, by one measure.

    Args:
        task: as `load_task` names it.
        count: rows that the methods were trained on; None: all. From fewer, only what has read no
            row at all is a rival: the others read all of them.
        method: an arm of `trained(task, count)`; None: the best.
    """
    rows = all_arms(task)
    rivals = [name for name in UNTRAINED[1:] if name in rows]
    if count not in (None, TRAIN_ROWS[task]):
        rivals = ["written prompt"]
        rows = {name: rows[name] for name in rivals} | trained(task, count)
    field, unit, best_is = MEASURES[task]
    if not any(field in rows[name].runs[0] for name in rivals):
        field, unit, best_is = MEASURES["poems"]  # counting has no third bytes: by all tokens

    def best_of(names):
        return best_is(names, key=lambda name: mean(rows[name], field))

    rival = best_of([name for name in rivals if field in rows[name].runs[0]])
    best = method or best_of([name for name in rows if name not in UNTRAINED])
    leader = best_of((rival, best))
    other = best if leader == rival else rival
    apart = behind(rows, other, leader, field)
    if apart.verdict(CLOSE) == "shown":
        outcome = "ahead" if leader == rival else "behind"
    else:
        outcome = "level" if apart.within(CLOSE) else "not shown"
    found = {
        "ahead": f"shown to be {CLOSE} ahead. Take that, or more data and steps",
        "behind": f"shown to be {CLOSE} ahead",
        "level": f"shown to be within {CLOSE}",
        "not shown": f"not shown which is better by {CLOSE}",
    }[outcome]
    told = (
        f"{rival}, {mean(rows[rival], field):.3f} {unit} (by this measure {best}, from "
        f"{count or TRAIN_ROWS[task]} rows: {mean(rows[best], field):.3f}). {leader} is ahead by "
        f"{apart}: {found}."
    )
    return Rival(rival, told, outcome, rows[best], field)
