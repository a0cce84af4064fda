"""Small modules inside a block: where they cut in, and two costs side by side."""

from collections.abc import Mapping, Sequence

import matplotlib
from matplotlib.patches import Circle, Polygon

from .pictures import TINTS, _arrow, _box
from .style import GREY, RC, SIZE, VERMILION, CourseFigure, canvas, style_of

PLACES = ("houlsby", "pfeiffer", "parallel", "IA3")
NAMES = {"houlsby": "Houlsby", "pfeiffer": "Pfeiffer"}
LINE = "#444444"


def cut_in_places(
    title: str, places: Sequence[str] = PLACES, *, notes: Mapping[str, str] | None = None
) -> CourseFigure:
    """One block for each place: the residual stream on the left, attention and feed-forward as
    side roads, what is trained in colour. An adapter's change is added to h, what the part put
    out: a line of its own leads h past it.

    Args:
        places: one to four of "houlsby", "pfeiffer", "parallel", "IA3", "IA3, merged".
        notes: place -> a line under its name.

    Raises:
        ValueError: an unknown place, or too many.
    """
    known = (*PLACES, "IA3, merged")
    if not 1 <= len(places) <= 4 or not set(places) <= set(known):
        raise ValueError(f"places: one to four of {', '.join(known)}, not {list(places)}.")
    figure, axes = canvas(title, blank=True)
    top = axes.get_ylim()[1]
    column = SIZE[0] / len(places)
    for i, place in enumerate(places):
        middle = (i + 0.5) * column
        _block(axes, middle, top, place)
        axes.text(middle, 30, NAMES.get(place, place), ha="center", va="top", fontsize=9.5,
                  fontweight="bold")  # fmt: skip
        if notes and place in notes:
            axes.text(middle, 14, notes[place], ha="center", va="top", fontsize=8, color=LINE)
    return figure


def _block(axes, middle: float, top: float, place: str) -> None:
    stream = middle - 50
    low, high = 38, top - 8
    step = (high - low) / 2
    _arrow(axes, (stream, low), (stream, high), width=2.2)
    for part, start in (("attention", low + 8), ("feed-forward", low + step)):
        after = place == "houlsby" or (place == "pfeiffer" and part == "feed-forward")
        beside = place == "parallel" and part == "feed-forward"
        end = start + step - 20
        box = start + 13
        branch = middle if beside else middle + 18
        axes.plot([stream, branch], [start, start], color=LINE, lw=1.2)
        axes.plot([branch, branch], [start, end], color=LINE, lw=1.2, zorder=0)
        _arrow(axes, (branch, end), (stream + 7, end))
        _plus(axes, stream, end, 6.5)
        if beside:
            axes.plot([branch, middle + 50, middle + 50, branch], [start, start, end, end],
                      color=LINE, lw=1.2, zorder=0)  # fmt: skip
            _plus(axes, branch, end, 5.5)
            _letter(axes, "x", branch - 12, start + 6)
            _letter(axes, "h", branch - 4, end - 10)
            _box(axes, middle - 26, box, 46, 34, "feed-\nforward", face=TINTS[GREY], size=7.5)
            _hourglass(axes, middle + 50, box, 54, 34)
            continue
        tall = 40 if place == "IA3" else 26
        _box(axes, branch - 44, box, 88, tall, "", face=TINTS[GREY])
        axes.text(branch, box + tall - 13, part, ha="center", va="center", fontsize=8)
        if place == "IA3":
            pills = ("$l_k$", "$l_v$") if part == "attention" else ("$l_{ff}$",)
            for j, pill in enumerate(pills):
                x = branch + (j - (len(pills) - 1) / 2) * 34 - 15
                _box(axes, x, box + 2, 30, 17, pill, face=TINTS[VERMILION], edge=VERMILION, size=8)
        if after:
            tap, low, back = box + tall + 5, box + tall + 11, end - 17
            _hourglass(axes, branch, low, 62, 26)
            axes.plot([branch, branch + 42, branch + 42, branch], [tap, tap, back, back],
                      color=LINE, lw=1.2, zorder=0)  # fmt: skip
            _plus(axes, branch, back, 5.5)
            _letter(axes, "h", branch + 38, low + 13)


def _plus(axes, x: float, y: float, radius: float) -> None:
    axes.add_patch(Circle((x, y), radius, facecolor="white", edgecolor=LINE, zorder=3))
    axes.text(x, y, "+", ha="center", va="center", fontsize=1.5 * radius, zorder=4)


def _letter(axes, letter: str, x: float, y: float) -> None:
    axes.text(x, y, letter, ha="right", va="center", fontsize=8.5, style="italic", zorder=4)


def _hourglass(axes, middle: float, low: float, width: float, height: float) -> None:
    """An adapter: wide, narrow, wide."""
    half, waist = width / 2, 0.4 * width
    xs = [-half, -waist, -half, half, waist, half]
    ys = [0, height / 2, height, height, height / 2, 0]
    points = [(middle + x, low + y) for x, y in zip(xs, ys, strict=True)]
    axes.add_patch(
        Polygon(points, facecolor=TINTS[VERMILION], edgecolor=VERMILION, linewidth=1.4, zorder=2)
    )
    axes.text(middle, low + height / 2, "adapter", ha="center", va="center", fontsize=7, zorder=5)


def beside(
    rows: Mapping[str, tuple[float, float]],
    title: str,
    *,
    panels: tuple[str, str],
    same_scale: bool = False,
    origin: str | None = None,
    size: tuple[int, int] = (SIZE[0], 240),
) -> CourseFigure:
    """Two quantities of the same things side by side, each on an axis of its own, from zero.

    Args:
        rows: name -> (left, right).
        panels: what the two axes show, with units.
        same_scale: both axes have one scale: for two quantities of one unit.

    Raises:
        ValueError: nothing to draw.
    """
    if not rows:
        raise ValueError("rows: nothing is given to draw.")
    figure, both = canvas(title, origin=origin, size=size, columns=2, sharey=True)
    with matplotlib.rc_context(RC):
        for side, (axes, label) in enumerate(zip(both, panels, strict=True)):
            values = [pair[side] for pair in rows.values()]
            scale = [v for pair in rows.values() for v in pair] if same_scale else values
            most = max(*scale, 1e-9)
            for i, value in enumerate(values):
                axes.barh(i, value, height=0.62, color=style_of(side)[0],
                          hatch="////" if side else None, edgecolor="white")  # fmt: skip
                axes.text(max(value, 0) + 0.02 * most, i, f"{value:.2g}" if value else "0",
                          va="center", fontsize=8.5)  # fmt: skip
            axes.set(xlabel=label, xlim=(min(0.0, *scale) * 1.1, 1.2 * most))
            axes.tick_params(axis="y", length=0, labelsize=9)
            axes.spines["left"].set_visible(False)
        both[0].set_yticks(range(len(rows)), list(rows))
        both[0].invert_yaxis()
    return figure
