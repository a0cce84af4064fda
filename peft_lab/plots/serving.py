"""Serving: whose row is whose in a mixed batch, and lengths of bars that span many sizes."""

from collections.abc import Callable, Mapping, Sequence

import matplotlib
from matplotlib.patches import Rectangle
from matplotlib.ticker import FuncFormatter, NullLocator

from .pictures import TINTS
from .style import BLUE, GREEN, GREY, ORANGE, RC, SIZE, VERMILION, CourseFigure, canvas, ink

_HUES = (GREEN, BLUE, VERMILION, ORANGE)  # the members, in the order of their first row
_VIRTUAL, _PADDING = "v", ""


def mixed_batch(
    rows: Sequence[tuple[str, int, Sequence[str]]], title: str, *, origin: str | None = None
) -> CourseFigure:
    """One mixed batch: a line a row, its virtual tokens, its padding and its text, with positions.

    Args:
        rows: (whose row it is, how many virtual tokens it has, its tokens). Both kinds of columns
            are filled up on the left, as `Switch` and generate() do.

    Raises:
        ValueError: no rows, a row without tokens, or more members than colours.
    """
    members = list(dict.fromkeys(name for name, _, _ in rows))
    if not rows or not all(tokens for _, _, tokens in rows):
        raise ValueError("rows: at least one, and in each at least one token.")
    if len(members) > len(_HUES):
        raise ValueError(f"rows: {len(members)} members; at most {len(_HUES)} can be drawn.")
    n, T = max(v for _, v, _ in rows), max(len(tokens) for _, _, tokens in rows)
    figure, axes = canvas(title, origin=origin, size=(SIZE[0], 74 + 44 * len(rows)), blank=True)
    left, top = 92, axes.get_ylim()[1] - 26
    width, height = (SIZE[0] - left - 10) / (n + T), 32
    for text, start, stop in (("virtual tokens", 0, n), ("text", n, n + T)):
        if stop > start:
            axes.text(left + (start + stop) / 2 * width, top + 8, text, ha="center", fontsize=8.5,
                      color="#444444")  # fmt: skip
    if n:  # between the two kinds of columns
        axes.plot([left + n * width] * 2, [top - 44 * len(rows) + 8, top + 20], color="#888888",
                  lw=1, ls=":")  # fmt: skip
    for i, (name, virtual, tokens) in enumerate(rows):
        y, colour = top - 44 * i - height, _HUES[members.index(name)]
        axes.text(left - 10, y + height / 2, name, ha="right", va="center", fontsize=9,
                  fontweight="bold", color=ink(colour))  # fmt: skip
        cells = [_PADDING] * (n - virtual) + [_VIRTUAL] * virtual
        cells += [_PADDING] * (T - len(tokens)) + list(tokens)
        position = 0
        for j, cell in enumerate(cells):
            own = cell != _PADDING
            face = TINTS[GREY] if not own else TINTS[colour] if j < n else "white"
            axes.add_patch(Rectangle((left + j * width + 1.5, y), width - 3, height, facecolor=face,
                                     edgecolor=colour if own else "#CCCCCC", hatch="" if own else
                                     "////", lw=1.1))  # fmt: skip
            if own:
                middle = left + (j + 0.5) * width
                said = cell if j >= n else f"v{j - n + virtual + 1}"
                axes.text(middle, y + height - 11, said, ha="center", va="center", fontsize=8)
                axes.text(middle, y + 7, str(position), ha="center", va="center", fontsize=6.5,
                          color=GREY)  # fmt: skip
            position += own
    return figure


def log_dots(
    values: Mapping[str, float],
    title: str,
    *,
    unit: str,
    text: Callable[[float], str],
    span: tuple[float, float] | None = None,
    origin: str | None = None,
) -> CourseFigure:
    """A dot for each thing on a log axis, each with its value in words.

    Dots, as a bar's length says nothing where the axis has no zero.

    Args:
        values: name -> how much, above 0.
        unit: what the axis shows, with its unit.
        text: value -> the words beside the dot, and at the axis.
        span: the axis from, to: the same for figures that are compared. None: as needed.

    Raises:
        ValueError: nothing to draw, or a value that has no logarithm.
    """
    if not values or min(values.values()) <= 0:
        raise ValueError("values: at least one, and all above 0: the axis is logarithmic.")
    figure, axes = canvas(title, origin=origin, size=(SIZE[0], 96 + 30 * len(values)))
    least, most = span or (min(values.values()), max(values.values()))
    with matplotlib.rc_context(RC):
        for i, value in enumerate(values.values()):
            axes.axhline(-i, color="#DDDDDD", lw=1, zorder=0)
            axes.plot(value, -i, "o", color=BLUE, ms=9)
            axes.annotate(text(value), (value, -i), xytext=(8, 5), textcoords="offset points",
                          va="bottom", fontsize=8.5)  # fmt: skip
        axes.set_xscale("log")
        axes.set_xlim(least / 2, most * (most / least * 4) ** 0.22)
        axes.set_ylim(0.5 - len(values), 0.7)
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: text(value)))
        axes.set_yticks([-i for i in range(len(values))], list(values))
        axes.tick_params(axis="y", length=0)
        axes.set(xlabel=f"{unit}, log axis")
    return figure
