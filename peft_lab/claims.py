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


def item_interval(
    worse: Iterable[dict], better: Iterable[dict], tokens: Iterable[int], draws: int = 2000
) -> Interval:
    """How much lower the loss of `better` is, with a 95 % interval over test texts.

    A paired bootstrap: in each draw the test texts are drawn anew, with replacement, the same for
    both; the interval holds the middle 95 % of the draws. Losses are means over the runs.

    Args:
        worse, better: stored runs with "test_items", the loss of each test text.
        tokens: scored tokens of each test text, "test_item_tokens" of the base's run.

    Raises:
        ValueError: the runs have no losses of single texts.
    """
    import torch

    weight = torch.tensor(list(tokens), dtype=torch.float64)  # (texts,)
    means = []
    for runs in (list(worse), list(better)):
        if not runs or any("test_items" not in run for run in runs):
            raise ValueError('runs: "test_items", the loss of each test text, is missing.')
        items = torch.tensor([run["test_items"] for run in runs], dtype=torch.float64)
        means.append(items.mean(0))  # (texts,)
    gain = (means[0] - means[1]) * weight  # (texts,), nats
    make = torch.Generator().manual_seed(0)
    drawn = torch.randint(len(weight), (draws, len(weight)), generator=make)  # (draws, texts)
    each = gain[drawn].sum(1) / weight[drawn].sum(1)  # (draws,)
    low, high = each.quantile(torch.tensor([0.025, 0.975], dtype=torch.float64)).tolist()
    return Interval(float(gain.sum() / weight.sum()), low, high)


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
