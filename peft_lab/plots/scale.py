"""Scale: what grows with a model's size, and gaps between methods on a family of sizes."""

from collections.abc import Iterable, Mapping, Sequence

import matplotlib
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from .curves import BAND, _baselines, _draw_bands, _handles, _margin, _x_ticks
from .style import RC, CourseFigure, canvas, end_labels, one_base, several, styles_of


def against_size(
    series: Mapping[str, Mapping[float, float]],
    title: str,
    *,
    ylabel: str,
    limits: Mapping[str, float] | None = None,
    origin: str | None = None,
) -> CourseFigure:
    """One quantity of many models against their size, a point a model, both axes logarithmic.

    Args:
        series: method -> {parameters of the model: the quantity}, all above 0. The points are not
            joined: models of one size may differ in shape.
        ylabel: the quantity with its unit.
        limits: name -> value of a horizontal line, as a card's memory.

    Raises:
        ValueError: nothing to draw, or a number that has no logarithm.
    """
    numbers = [n for points in series.values() for pair in points.items() for n in pair]
    if not numbers or min(numbers) <= 0:
        raise ValueError("series: at least one point, and all above 0: the axes are logarithmic.")
    legend = _handles(series)
    for _, handle in legend:
        handle.set_linestyle("")
    figure, axes = canvas(title, origin=origin, legend=legend, note="a point: a model")
    with matplotlib.rc_context(RC):
        for name, (colour, _, marker) in styles_of(series).items():
            points = series[name]
            axes.plot(points.keys(), points.values(), ls="", marker=marker, ms=4, color=colour,
                      alpha=0.8)  # fmt: skip
        axes.set_xscale("log")
        axes.set_yscale("log")
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(LogLocator(numticks=20))
            axis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: _size(x)))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:,.10g}"))
        labels = []
        _baselines(axes, limits, labels)
        axes.set(xlabel="parameters of the model (log)", ylabel=ylabel)
        end_labels(axes, labels)
    return figure


def gaps_by_size(
    panels: Mapping[str, Mapping[str, Mapping[float, Sequence[float]]]],
    title: str,
    *,
    bases: Mapping[float, Iterable[str]],
    origin: str,
) -> CourseFigure:
    """Gaps between methods on a family of base models, a panel a measure; nothing beyond them.

    Args:
        panels: measure with its unit -> method -> {parameters of the base: one gap a seed}, at
            least 3 seeds each.
        bases: parameters of the base -> the base's fingerprint of each run: one base a size.

    Raises:
        ValueError: no panels, fewer than 3 seeds, mixed bases of one size, or a size without one.
    """
    if not panels:
        raise ValueError("panels: nothing is given.")
    for methods in panels.values():
        for name, points in methods.items():
            several(points, f"{name}: the size")
            for size in points:
                one_base(bases.get(size, ()))
    figure, axes = canvas(title, origin=origin, note=BAND,
                          columns=len(panels), squeeze=False)  # fmt: skip
    with matplotlib.rc_context(RC):
        for place, (measure, methods) in zip(axes[0], panels.items(), strict=True):
            labels, values = _draw_bands(place, methods)
            place.set_xscale("log")
            sizes = sorted({size for points in methods.values() for size in points})
            _x_ticks(place, sizes, {size: _size(size, 2) for size in sizes})
            _margin(place, [0.0, *values])
            place.set_ylim(bottom=0)
            place.set(xlabel="parameters of the base (log)", ylabel=measure)
            end_labels(place, labels)
    return figure


def _size(parameters: float, digits: int = 3) -> str:
    """400_000 is "0.4 M", 176e9 is "176 B"."""
    unit, scale = ("B", 1e9) if parameters >= 1e9 else ("M", 1e6)
    value = parameters / scale
    return f"{value:.{max(digits, len(str(int(value))))}g} {unit}"
