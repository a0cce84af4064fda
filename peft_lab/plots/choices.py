"""Which one, when: quality and price, gains task by task, "fast" in four ways, verdicts."""

import math
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from statistics import fmean, median

import matplotlib
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, NullLocator

from .curves import LOSS, _margin, _place
from .style import (
    GREY,
    ORANGE,
    RC,
    CourseFigure,
    canvas,
    count_text,
    ink,
    one_base,
    several,
    styles_of,
)


def quality_and_price(
    losses: Mapping[str, Sequence[float]],
    prices: Mapping[str, Mapping[str, float]],
    title: str,
    *,
    bases: Iterable[str],
    named: Iterable[str] = (),
    linear: Iterable[str] = (),
    close_up: Iterable[str] = (),
    gain: tuple[float, float] | None = None,
    origin: str | None = None,
) -> CourseFigure:
    """One loss against several prices: a panel a price, a mark a method, and the front of means.

    The front is a step line: the lowest mean that is to be had for at most this price.

    Args:
        losses: method -> one loss a seed, at least 3.
        prices: what is paid, with its unit -> method -> how much. A method without a price is
            left out of that panel.
        named: methods whose names are written beside their marks, in every panel; () for all. What
            is named in no panel stands in the legend.
        linear: prices on a linear axis; the others are on a log axis.
        close_up: panels of few methods, all named, with a loss axis of their own.
        gain: the base's loss and full fine-tuning's; the first panel then has a second axis, with
            the share of the gain.

    Raises:
        ValueError: fewer than 3 seeds, or mixed bases.
    """
    one_base(bases)
    several(losses, "the method")
    styles = styles_of(losses)
    told = set(named or losses).union(*(prices[price] for price in close_up))
    mark = {"ls": "", "ms": 7, "mec": "white", "mew": 0.4}
    legend = [
        (name, Line2D([], [], color=colour, marker=marker, **mark))
        for name, (colour, _, marker) in styles.items()
        if name not in told
    ]
    figure, axes = canvas(
        title, origin=origin, note="mark: mean of the seeds; bar: least to most; line: the best "
        f"mean for at most this price{'; %: share of the gain of full' if gain else ''}",
        columns=len(prices), legend=legend, sharey=not close_up, squeeze=False,
    )  # fmt: skip
    with matplotlib.rc_context(RC):
        values = [v for seeds in losses.values() for v in seeds]
        for place, (price, paid) in zip(axes[0], prices.items(), strict=True):
            if price not in linear:
                place.set_xscale("log")
            spots = []
            for name, x in paid.items():
                colour, _, marker = styles[name]
                seeds = losses[name]
                mean = fmean(seeds)
                place.plot([x, x], [min(seeds), max(seeds)], color=colour, lw=1.2, zorder=3)
                place.plot([x], [mean], marker=marker, color=colour, zorder=4, **mark)
                spots.append((name, x, mean, colour, min(seeds), max(seeds)))
            close = price in close_up
            _margin(place, [v for n in paid for v in losses[n]] if close else values, 0.1)
            low, high = min(paid.values()), max(paid.values())
            room = (high - low) * 0.1
            place.set_xlim(*((low - room, high + 2.5 * room) if price in linear else
                             (low / 2.2, high * 4)))  # fmt: skip
            top, right = place.get_ylim()[1], place.get_xlim()[1]
            front = _steps([(x, mean) for _, x, mean, *_ in spots], top, right)
            place.plot(*zip(*front, strict=True), color=GREY, lw=1.1, zorder=1)
            place.xaxis.set_minor_locator(NullLocator())
            if price not in linear or low > 1e3:
                place.xaxis.set_major_formatter(FuncFormatter(lambda x, _: count_text(x)))
            place.set(xlabel=price)
            place.grid(axis="y", color="#EEEEEE", lw=0.8)
            place.set_axisbelow(True)
            shown = [spot for spot in spots if close or not named or spot[0] in named]
            _place(figure, place, shown, pairwise(front), pointer_from=12)
        axes[0][0].set_ylabel(LOSS)
        if gain:
            base, whole = gain[0], gain[0] - gain[1]
            share = axes[0][0].secondary_yaxis(
                "right", (lambda y: (base - y) / whole, lambda x: base - x * whole)
            )
            share.yaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:.0%}"))
    return figure


def _steps(points: list[tuple[float, float]], top: float, right: float) -> list:
    """Corners of the front: along, and down to each (price, value) below all that are cheaper."""
    corners, lowest = [], top
    for x, y in sorted(points):
        if y < lowest:
            corners += [(x, lowest), (x, y)]
            lowest = y
    return [*corners, (right, lowest)]


def gains_by_task(
    tasks: Mapping[str, Mapping[str, Sequence[float]]],
    title: str,
    *,
    bases: Iterable[str],
    origin: str,
    zeros: Mapping[str, str],
    counts: Mapping[str, int],
) -> CourseFigure:
    """A panel a task, a row a method: how much of full fine-tuning's gain it reaches, every seed.

    Args:
        tasks: task -> method -> one share a seed (1: full fine-tuning), at least 3. A task may lack
            some methods.
        bases: the base's fingerprint of each run, of all tasks.
        zeros: task -> what 0 is there, written under its panel.
        counts: method -> how many numbers it trains; the rows are in this order, most on top.

    Raises:
        ValueError: no tasks, fewer than 3 seeds, mixed bases, or a task that zeros lacks.
    """
    if not tasks:
        raise ValueError("tasks: nothing is given.")
    one_base(bases)
    for task, methods in tasks.items():
        several(methods, f"{task}: the method")
        if task not in zeros:
            raise ValueError(f"zeros: what is 0 for {task!r}?")
    names = {name for methods in tasks.values() for name in methods}
    names = sorted(names, key=counts.__getitem__, reverse=True)
    note = "share of full fine-tuning's gain; mark: mean; bar: least to most of the seeds"
    figure, axes = canvas(title, origin=origin, note=note, columns=len(tasks), sharey=True,
                          squeeze=False, size=(576, 150 + 32 * len(names)))  # fmt: skip
    styles = styles_of(names)
    with matplotlib.rc_context(RC):
        for place, (task, methods) in zip(axes[0], tasks.items(), strict=True):
            for line in (0, 1):
                place.axvline(line, color="#BBBBBB", lw=0.9, ls=":" if line else "-", zorder=1)
            for i, name in enumerate(names):
                if name not in methods:
                    continue
                colour, _, marker = styles[name]
                seeds = methods[name]
                place.plot([min(seeds), max(seeds)], [-i, -i], color=colour, lw=4, alpha=0.35)
                place.plot([fmean(seeds)], [-i], marker=marker, color=colour, ms=6)
            place.set_title(task)
            found = [v for seeds in methods.values() for v in seeds]
            low, high = min(0, *found), max(1, *found)
            place.set_xlim(low - 0.1 * (high - low), high + 0.1 * (high - low))
            place.set_xticks([0, 0.5, 1], ["0", "½", "1"])
            place.set_xlabel(f"1: full\n0: {zeros[task]}", fontsize=8)
            told = [f"{name}\n{counts[name]:,}" for name in names]
            place.set_yticks([-i for i in range(len(names))], told)
            place.set_ylim(-len(names) + 0.5, 0.5)
            place.tick_params(axis="y", length=0)
            place.grid(axis="y", color="#EEEEEE", lw=0.8)
            place.set_axisbelow(True)
        for name, label in zip(names, axes[0][0].get_yticklabels(), strict=True):
            label.set_color(ink(styles[name][0]))
    return figure


def four_ways(
    panels: Mapping[str, Mapping[str, float | Sequence[float]]],
    title: str,
    *,
    bases: Iterable[str],
    units: Mapping[str, str],
    log: Iterable[str] = (),
    origin: str,
) -> CourseFigure:
    """The same methods by several measures, a panel each; in every one, left is better.

    Args:
        panels: measure -> method -> a number (a bar from zero), or one a seed, at least 3 (a mark
            at the median, and a band from least to most).
        bases: the base's fingerprint of each run.
        units: measure -> unit.
        log: measures on a log axis.

    Raises:
        ValueError: panels of different methods, fewer than 3 seeds, mixed bases, or a measure
            without unit.
    """
    one_base(bases)
    names = list(next(iter(panels.values()), {}))
    for measure, methods in panels.items():
        if list(methods) != names:
            raise ValueError(f"panels: {measure!r} has the methods {[*methods]}, not {names}.")
        if measure not in units:
            raise ValueError(f"units: {measure!r} has none; an axis needs its unit.")
        seeds = {name: found for name, found in methods.items() if isinstance(found, Sequence)}
        several(seeds, f"{measure}: the method")
    columns = 2 if len(panels) > 1 else 1
    rows = -(-len(panels) // columns)
    styles = styles_of(names)
    figure, axes = canvas(title, origin=origin, rows=rows, columns=columns, sharey=True,
                          note="bars begin at 0, marks do not", squeeze=False,
                          size=(576, 90 + 118 * rows))  # fmt: skip
    with matplotlib.rc_context(RC):
        for place, (measure, methods) in zip(axes.flat, panels.items(), strict=False):
            middles = {}
            least = min(median(f) if isinstance(f, Sequence) else f for f in methods.values())
            digits = max(0, 2 - math.floor(math.log10(least)))  # three of the smallest, all alike
            for i, name in enumerate(names):
                found = methods[name]
                seeds = list(found) if isinstance(found, Sequence) else [found]
                middles[name] = median(seeds)  # one odd seed does not move it
                colour, _, marker = styles[name]
                if len(seeds) > 1:  # a loss has no zero worth drawing: a mark, no bar
                    place.plot([min(seeds), max(seeds)], [-i, -i], color=colour, lw=4, alpha=0.35)
                    place.plot([middles[name]], [-i], marker=marker, color=colour, ms=6)
                else:
                    place.barh(-i, middles[name], color=colour, height=0.6, alpha=0.75)
                place.annotate(
                    f"{middles[name]:,.{digits}f}", (max(seeds), -i), xytext=(7, 0), fontsize=8,
                    textcoords="offset points", va="center",
                )  # fmt: skip
            most = max(max(f) if isinstance(f, Sequence) else f for f in methods.values())
            if measure in log:
                place.set_xscale("log")
                place.set_xlim(least / 3, most * 8)
                place.xaxis.set_minor_locator(NullLocator())
            elif any(isinstance(found, Sequence) for found in methods.values()):
                place.set_xlim(least - 0.12 * (most - least), most + 0.3 * (most - least))
                place.grid(axis="y", color="#EEEEEE", lw=0.8)
                place.set_axisbelow(True)
            else:
                place.set_xlim(0, most * 1.2)
            place.set_ylim(-len(names) + 0.4, 0.6)
            place.set_title(measure)
            place.set_yticks([-i for i in range(len(names))], names)
            place.tick_params(axis="y", length=0)
            place.set_xlabel(units[measure], fontsize=8)
    return figure


def verdict_table(rows: Sequence[tuple[str, str, str]], title: str) -> CourseFigure:
    """A row a claim: the claim, on what its truth depends, and what was found.

    Args:
        rows: (claim, on what it depends, what was measured).

    Raises:
        ValueError: no rows.
    """
    if not rows:
        raise ValueError("rows: nothing is given.")
    wrapped = [(textwrap.wrap(c, 29), textwrap.wrap(d, 15), textwrap.wrap(m, 43))
               for c, d, m in rows]  # fmt: skip
    heights = [14 * max(map(len, row)) + 12 for row in wrapped]
    figure, axes = canvas(title, blank=True, size=(576, 62 + sum(heights)))
    y = axes.get_ylim()[1] - 18
    with matplotlib.rc_context(RC):
        for x, head in ((8, "claim"), (194, "depends on"), (308, "what was found")):
            axes.text(x, y + 9, head, va="center", fontsize=8.5, color=GREY)
        for (claim, depends, measured), height in zip(wrapped, heights, strict=True):
            axes.axhline(y, color="#DDDDDD", lw=0.8)
            middle = y - height / 2
            axes.text(8, middle, "\n".join(claim), va="center", fontsize=9)
            axes.text(194, middle, "\n".join(depends), va="center", fontsize=9,
                      fontweight="bold", color=ink(ORANGE))  # fmt: skip
            axes.text(308, middle, "\n".join(measured), va="center", fontsize=8.5)
            y -= height
    return figure
