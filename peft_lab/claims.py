"""The effect cards of the notebooks: an interval, a verdict, and the card that it must agree with.

A card is a row of notebooks/claims.json. A notebook computes the verdict from its own numbers.
"""

import json
from collections.abc import Iterable
from statistics import fmean, stdev
from typing import NamedTuple

from .checks import check_equal
from .paths import notebooks_dir

# 97.5 % points of Student's t for 1, 2, 3 ... degrees of freedom; few values need wide intervals
STUDENT = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228,
    2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086,
)  # fmt: skip


class Interval(NamedTuple):
    """A mean, and both ends of its 95 % interval."""

    mean: float
    low: float
    high: float


def student(count: int) -> float:
    """How many standard errors each side of the mean a 95 % interval of `count` values has."""
    if count < 2:
        raise ValueError(f"differences: {count} values; an interval needs at least 2.")
    freedom = count - 1
    return STUDENT[freedom - 1] if freedom <= len(STUDENT) else 1.96 + 2.45 / freedom


def interval(differences: Iterable[float]) -> Interval:
    """Mean and 95 % interval: the mean ± Student's t standard errors.

    Args:
        differences: one number a text or a seed.

    Raises:
        ValueError: fewer than two values.
    """
    values = [float(value) for value in differences]
    factor = student(len(values))
    half, mean = factor * stdev(values) / len(values) ** 0.5, fmean(values)
    return Interval(mean, mean - half, mean + half)


def verdict(found: Interval, smallest: float) -> str:
    """ "shown" if the whole interval lies beyond the smallest difference that counts."""
    if found.low >= smallest:
        return "shown"
    return "opposite" if found.high <= -smallest else "not shown"


def card(name: str) -> dict:
    """The card of that id. Raises KeyError, with the ids that there are."""
    rows = json.loads((notebooks_dir() / "claims.json").read_text(encoding="utf-8"))
    cards = {row["id"]: row for row in rows}
    if name not in cards:
        raise KeyError(f"no card {name!r}; there are: {', '.join(sorted(cards))}.")
    return cards[name]


def settle(name: str, differences: Iterable[float]) -> Interval:
    """Compute a card's verdict, check it against the stored one, print the claim with both.

    Returns:
        The interval of the differences.
    """
    row, found = card(name), interval(differences)
    smallest = row["smallest_difference"]
    claim = f"{row['claim'].rstrip('.')} (needed: {smallest:.2f})"
    check_equal(claim, verdict(found, smallest), row["verdict"])
    return found
