"""The ladder of instruction tuning: what is new on each rung, how far up each way comes, and how
far apart two ways are."""

import math
from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean

import matplotlib
from matplotlib.lines import Line2D

from ..claims import Comparison, Interval
from .curves import _margin
from .pictures import TINTS, _box
from .style import (
    BLUE,
    GREY,
    ORANGE,
    RC,
    SIZE,
    CourseFigure,
    canvas,
    end_labels,
    ink,
    one_base,
    several,
    style_of,
)


def what_is_new(
    rungs: Mapping[str, Mapping[str, tuple[str, bool]]], title: str, *, foot: str = ""
) -> CourseFigure:
    """A column a rung: what is asked on it, and in another colour what of that is new.

    Args:
        rungs: rung -> what ("job", "words", "sentence" ...) -> (text, new?).
        foot: a few words under the columns.

    Raises:
        ValueError: rungs with different parts.
    """
    parts = list(next(iter(rungs.values()), {}))
    if not parts or any(list(rows) != parts for rows in rungs.values()):
        raise ValueError(f"rungs: each needs the same parts, here {parts}.")
    step, left = 34, 74
    figure, axes = canvas(title, blank=True, size=(SIZE[0], 86 + step * len(parts)))
    top, width = axes.get_ylim()[1] - 22, (SIZE[0] - left - 8) / len(rungs)
    looks = {False: (TINTS[GREY], "#BBBBBB"), True: (TINTS[ORANGE], ORANGE)}
    for i, (rung, rows) in enumerate(rungs.items()):
        x = left + i * width
        axes.text(x + width / 2, top, rung, ha="center", fontsize=9.5, fontweight="bold")
        for j, (text, new) in enumerate(rows.values()):
            face, edge = looks[new]
            _box(axes, x, top - 8 - step * (j + 1), width, step, text, face=face, edge=edge)
    for j, part in enumerate(parts):
        y = top - 8 - step * (j + 0.5)
        axes.text(left - 8, y, part, ha="right", va="center", fontsize=9)
    for k, (text, (face, edge)) in enumerate(
        zip(("as in training", "new"), looks.values(), strict=True)
    ):
        _box(axes, left + 130 * k, 2, 26, 16, face=face, edge=edge)
        axes.text(left + 130 * k + 32, 10, text, va="center", fontsize=8.5)
    axes.text(SIZE[0] - 10, 10, foot, ha="right", va="center", fontsize=8, color=GREY)
    return figure


def by_rung(
    panels: Mapping[str, Mapping[str, Sequence[Sequence[float]]]],
    rungs: Sequence[str],
    title: str,
    *,
    bases: Iterable[str],
    base: Mapping[str, Sequence[float]] | None = None,
    zero: Iterable[str] = (),
    joined: int | None = None,
    tops: Mapping[str, float] | None = None,
    origin: str | None = None,
) -> CourseFigure:
    """A panel a measure, in it a line a way of training, from rung to rung.

    Args:
        panels: measure with its unit -> way -> for each rung one value a seed, at least 3.
        base: measure -> the value of the untrained base on each rung; a grey line.
        zero: measures of which zero means something: a line there.
        joined: so many rungs are joined by lines, the others stand alone; None: all are joined.
        tops: measure -> where its axis ends; what lies above stands at the edge, with its value.

    Raises:
        ValueError: fewer than 3 seeds, mixed bases, or a line with another number of rungs.
    """
    one_base(bases)
    names = list(next(iter(panels.values())))
    for measure, lines in panels.items():
        for name, values in lines.items():
            if len(values) != len(rungs):
                raise ValueError(f"{measure}: {name!r} has {len(values)} of {len(rungs)} rungs.")
            several({f"{name}, {r}": v for r, v in zip(rungs, values, strict=True)}, measure)
    styles = {name: style_of(i) for i, name in enumerate(names)}
    legend = [(n, Line2D([], [], color=c, ls=ls, marker=m)) for n, (c, ls, m) in styles.items()]
    figure, axes = canvas(title, origin=origin, note="mark: mean of the seeds; bar: least to most",
                          legend=legend, columns=len(panels), squeeze=False)  # fmt: skip
    with matplotlib.rc_context(RC):
        for place, (measure, lines) in zip(axes[0], panels.items(), strict=True):
            for i, (name, values) in enumerate(lines.items()):
                colour, line, marker = styles[name]
                x = [k + 0.07 * (i - (len(lines) - 1) / 2) for k in range(len(rungs))]
                means = [fmean(v) for v in values]
                top = (tops or {}).get(measure, math.inf)
                place.plot(x[:joined], means[:joined], color=colour, ls=line)
                for at, mean, seeds in zip(x, means, values, strict=True):
                    if mean > top:
                        place.plot([at], [top], color=colour, marker="^", ms=6, clip_on=False)
                        place.annotate(f"{mean:.1f}", (at, top), xytext=(-5, -3), fontsize=8,
                                       ha="right", va="top", color=ink(colour),
                                       textcoords="offset points")  # fmt: skip
                        continue
                    place.plot([at], [mean], color=colour, marker=marker)
                    place.plot([at, at], [min(seeds), max(seeds)], color=colour, lw=1)
            if base:
                at = range(len(rungs))
                place.plot(at[:joined], base[measure][:joined], color=GREY, lw=1.2, ls=":")
                for k in at[joined:] if joined else ():
                    place.plot([k - 0.2, k + 0.2], [base[measure][k]] * 2, color=GREY, ls=":")
            if measure in zero:
                place.axhline(0, color="#BBBBBB", lw=0.8)
            found = [v for values in lines.values() for s in values for v in s]
            found += (base or {}).get(measure, [])
            top = (tops or {}).get(measure)
            _margin(place, [v for v in found if top is None or v <= top])
            if top is not None:
                place.set_ylim(top=top)
            place.set_xticks(range(len(rungs)), [r.replace(" ", "\n", 1) for r in rungs])
            place.set_xlim(-0.35, len(rungs) - 0.65)
            place.set_title(measure, loc="left")
            if base:
                end_labels(place, [("base", base[measure][-1], GREY)])
    return figure


def pair_gaps(
    panels: Mapping[str, Mapping[str, Interval | Comparison]],
    title: str,
    *,
    better: Mapping[str, str],
    bases: Iterable[str],
    origin: str | None = None,
) -> CourseFigure:
    """A panel a measure, in it a row a pair: by how much the first exceeds the second.

    Blue where the whole interval says that the first is better, orange where it says worse, grey
    where it holds zero.

    Args:
        panels: measure with its unit -> pair -> mean and 95 % interval; the same pairs in each.
        better: measure -> "low" or "high": which of it is better.

    Raises:
        ValueError: no measures, mixed bases, panels with different pairs, or a measure of which
            `better` says nothing.
    """
    one_base(bases)
    pairs = list(next(iter(panels.values()), {}))
    for measure, gaps in panels.items():
        if list(gaps) != pairs:
            raise ValueError(f"{measure}: the pairs must be {pairs}, not {list(gaps)}.")
        if better.get(measure) not in ("low", "high"):
            raise ValueError(f'better: say "low" or "high" of {measure!r}.')
    if not pairs:
        raise ValueError("panels: nothing is given.")
    figure, axes = canvas(title, origin=origin, note="mark: mean; bar: 95 % interval",
                          columns=len(panels), sharey=True, squeeze=False,
                          size=(SIZE[0], 120 + 38 * len(pairs)))  # fmt: skip
    with matplotlib.rc_context(RC):
        for place, (measure, gaps) in zip(axes[0], panels.items(), strict=True):
            place.axvline(0, color="#888888", lw=1, zorder=1)
            for i, found in enumerate(gaps.values()):
                up = better[measure] == "high"
                colour = GREY
                if found.low > 0 or found.high < 0:
                    colour = BLUE if (found.low > 0) == up else ORANGE
                place.plot([found.low, found.high], [-i, -i], color=colour, lw=4, alpha=0.45,
                           solid_capstyle="butt")  # fmt: skip
                place.plot([found.mean], [-i], marker="o", color=colour, ms=6)
                place.annotate(f"{found.mean:+.2f}", (found.mean, -i), xytext=(0, 8),
                               ha="center", fontsize=8.5, color=ink(colour), zorder=3,
                               textcoords="offset points",
                               bbox={"fc": "white", "ec": "none", "pad": 0.4})  # fmt: skip
            ends = [end for found in gaps.values() for end in (found.low, found.high, 0)]
            margin = 0.15 * (max(ends) - min(ends))
            place.set_xlim(min(ends) - margin, max(ends) + margin)
            place.set_yticks([-i for i in range(len(pairs))], pairs)
            place.set_ylim(-len(pairs) + 0.5, 0.7)
            place.tick_params(axis="y", length=0)
            place.set_xlabel(measure)
            left, right = ("worse", "better") if better[measure] == "high" else ("better", "worse")
            place.set_title(f"\u2190 {left}", loc="left", fontsize=8.5, color=GREY)
            place.set_title(f"{right} \u2192", loc="right", fontsize=8.5, color=GREY)
    return figure
