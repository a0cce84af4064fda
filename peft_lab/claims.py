"""The effect cards of the notebooks: an interval, a verdict, and the card that it must agree with.

A card is a row of notebooks/claims.json. A notebook computes the verdict from its own numbers.
"""

import json
from collections.abc import Iterable, Sequence
from statistics import fmean, stdev
from typing import NamedTuple

from .checks import check_verdict
from .paths import notebooks_dir

# 97.5 % points of Student's t for 1, 2, 3 ... degrees of freedom; few values need wide intervals
STUDENT = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228,
    2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086,
)  # fmt: skip

# what is stored of a whole test set -> of its single texts, and in the base's run their weights
ITEMS = {
    "test_nats": ("test_items", "test_item_tokens"),
    "test_accuracy": ("test_items_right", None),  # "1011 ...": each text counts alike
    "test_third_byte_nats": ("test_items_third", "test_item_third_bytes"),
    "story_nats": ("story_items", "story_item_tokens"),
}


class Interval(NamedTuple):
    """A mean, and both ends of its 95 % interval."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.mean:+.3f} ({self.low:+.3f} to {self.high:+.3f})"


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
    worse: Iterable[dict], better: Iterable[dict], tokens: Iterable[int], items: str = "test_items"
) -> Interval:
    """How much lower the loss of `better` is, with a 95 % interval over test texts.

    A paired bootstrap (see `resampled`). Losses are means over the runs.

    Args:
        worse, better: stored runs with `items`, the loss of each test text.
        tokens: scored tokens of each test text, "test_item_tokens" of the base's run.

    Raises:
        ValueError: the runs have no losses of single texts.
    """
    means = []
    for runs in (list(worse), list(better)):
        if not runs or any(items not in run for run in runs):
            raise ValueError(f'runs: "{items}", one number a test text, is missing.')
        each = [[float(value) for value in run[items]] for run in runs]
        means.append([fmean(text) for text in zip(*each, strict=True)])  # (texts,)
    gains = [a - b for a, b in zip(*means, strict=True)]  # nats a token
    return resampled(gains, tokens)


def resampled(
    values: Iterable[float],
    weights: Iterable[float],
    groups: Iterable | None = None,
    draws: int = 2000,
) -> Interval:
    """The weighted mean of values, one a text, with a 95 % interval over texts (bootstrap).

    In each draw the texts are drawn anew, with replacement; the interval holds the middle 95 % of
    the draws. Paired where the values are differences.

    Args:
        weights: of each text, its scored tokens say.
        groups: of each text, what it belongs to; texts of one group are drawn together.
    """
    import torch

    weight = torch.tensor([*weights], dtype=torch.float64)  # (texts,)
    sums = torch.tensor([*values], dtype=torch.float64) * weight  # (texts,)
    if groups is not None:
        groups = list(groups)
        number = {group: i for i, group in enumerate(dict.fromkeys(groups))}
        index = torch.tensor([number[group] for group in groups])  # (texts,)
        sums, weight = (torch.zeros(len(number), dtype=torch.float64).index_add(0, index, each)
                        for each in (sums, weight))  # fmt: skip  # (groups,)
    make = torch.Generator().manual_seed(0)
    drawn = torch.randint(len(weight), (draws, len(weight)), generator=make)  # (draws, texts)
    each = sums[drawn].sum(1) / weight[drawn].sum(1)  # (draws,)
    low, high = each.quantile(torch.tensor([0.025, 0.975], dtype=torch.float64)).tolist()
    return Interval(float(sums.sum() / weight.sum()), low, high)


def verdict(found: "Interval | Comparison", smallest: float) -> str:
    """ "shown" if the whole interval lies beyond the smallest difference that counts (of 0: above
    it, for no difference shows nothing)."""
    if found.low >= smallest and found.low > 0:
        return "shown"
    return "opposite" if found.high <= -smallest and found.high < 0 else "not shown"


class Comparison(NamedTuple):
    """How much better one method is than another, judged twice; of losses in nats a token."""

    seeds: Interval  # paired by seed: would other runs say the same?
    texts: Interval  # paired bootstrap over test texts: would other texts?

    @property
    def mean(self) -> float:
        return self.seeds.mean

    @property
    def low(self) -> float:
        """The nearer end to "no gain"."""
        return min(self.seeds.low, self.texts.low)

    @property
    def high(self) -> float:
        return max(self.seeds.high, self.texts.high)

    def verdict(self, smallest: float = 0.0) -> str:
        """As `verdict`: a difference is shown only where both intervals lie beyond it."""
        return verdict(Interval(self.mean, self.low, self.high), smallest)

    def within(self, smallest: float) -> bool:
        """Are the two shown to be level, that is, do both intervals lie within ± `smallest`?"""
        return -smallest < self.low and self.high < smallest

    def __str__(self) -> str:
        return str(Interval(self.mean, self.low, self.high))


def compare(
    worse: Iterable[dict],
    better: Iterable[dict],
    tokens: Iterable[int] | None = None,
    field: str = "test_nats",
) -> Comparison:
    """How much lower a loss of `better` is than that of `worse`.

    Args:
        worse, better: the stored runs of an arm at its best rate (`results.Row.runs`). The base
            has one run, as nothing in it is random; it is set against each seed.
        tokens: how much each test text weighs, as stored in the base's run ("test_item_tokens");
            None weighs all alike.
        field: one of ITEMS.

    Raises:
        ValueError: runs without common seeds, without numbers of single texts, or a field that
            has none.
    """
    if field not in ITEMS:
        raise ValueError(f"field must be one of {', '.join(ITEMS)}, not {field!r}.")
    worse, better = list(worse), list(better)
    by_seed = interval(paired(worse, better, field))
    items, _ = ITEMS[field]
    if tokens is None:
        tokens = [1] * len(worse[0].get(items, ()))
    return Comparison(by_seed, item_interval(worse, better, tokens, items))


def paired(high: Iterable[dict], low: Iterable[dict], field: str) -> list[float]:
    """By how much a field of the runs `high` exceeds that of `low`, one number a common seed.

    Raises:
        ValueError: fewer than two seeds in common.
    """
    high, low = ({run["seed"]: run[field] for run in runs} for runs in (high, low))
    if None in high:  # the base: nothing in it is random
        high = dict.fromkeys(low, high[None])
    if None in low:
        low = dict.fromkeys(high, low[None])
    seeds = sorted(seed for seed in high if seed in low and seed is not None)
    if len(seeds) < 2:
        raise ValueError(f"runs: {len(seeds)} seeds in common; an interval needs at least 2.")
    return [high[seed] - low[seed] for seed in seeds]


def compare_items(
    high: Sequence[Sequence[float]],
    low: Sequence[Sequence[float]],
    weights: Sequence[float],
    groups: Sequence | None = None,
) -> Comparison:
    """By how much the values `high` exceed the values `low`, over seeds and over texts.

    Args:
        high, low: (seeds, texts), the same texts; row i of both are runs with one seed. One row
            alone (the base) is set against each row of the other.
        weights, groups: of the texts, as in `resampled`.

    Raises:
        ValueError: other numbers of seeds, or fewer than two.
    """
    seeds = max(len(high), len(low))
    rows = [[*side] * (seeds if len(side) == 1 else 1) for side in (high, low)]
    if seeds < 2 or len(rows[0]) != len(rows[1]):
        raise ValueError(f"high has {len(high)} seeds, low {len(low)}; give 2 or more, paired.")
    gaps = [[a - b for a, b in zip(*pair, strict=True)] for pair in zip(*rows, strict=True)]
    whole = sum(weights)
    by_seed = [sum(g * w for g, w in zip(gap, weights, strict=True)) / whole for gap in gaps]
    by_text = [fmean(text) for text in zip(*gaps, strict=True)]
    return Comparison(interval(by_seed), resampled(by_text, weights, groups))


def card(name: str) -> dict:
    """The card of that id. Raises KeyError, with the ids that there are."""
    rows = json.loads((notebooks_dir() / "claims.json").read_text(encoding="utf-8"))
    cards = {row["id"]: row for row in rows}
    if name not in cards:
        raise KeyError(f"no card {name!r}; there are: {', '.join(sorted(cards))}.")
    return cards[name]


def settle(name: str, found: Comparison | Interval | Iterable[float]) -> Interval | Comparison:
    """Compute a card's verdict, check it against the stored one, print it and the claim.

    Args:
        found: a `Comparison` or `Interval`, or the differences to make an interval of.

    Returns:
        The comparison, or the interval of the differences.
    """
    row = card(name)
    found = found if isinstance(found, Comparison | Interval) else interval(found)
    smallest = row["smallest_difference"]
    claim = f"{row['claim'].rstrip('.')} (needed: {smallest:.2f})"
    check_verdict(claim, verdict(found, smallest), row["verdict"])
    return found
