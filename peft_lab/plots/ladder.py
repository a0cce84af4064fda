"""The ladder of form: how many texts reach each rung, beside what chance reaches."""

import math
from collections.abc import Mapping, Sequence
from statistics import fmean, stdev

import matplotlib

from .style import GREY, RC, SIZE, CourseFigure, canvas, style_of


def form_ladder(
    series: Mapping[str, Mapping[str, Sequence[float]]],
    title: str,
    *,
    chance: Sequence[str] = (),
    origin: str | None = None,
) -> CourseFigure:
    """A panel a rung, a bar a series; whiskers are 95 % intervals over the texts.

    Args:
        series: name -> {rung: one value (0 to 1) a text}; all have the same rungs as the first.
        chance: the series that are baselines; drawn grey and hatched. These may lack rungs:
            shuffled lines, for example, have nothing to say about the number of lines.

    Raises:
        ValueError: series with different rungs, or fewer than three texts in one.
    """
    names = list(series)
    rungs = list(next(iter(series.values()), {}))
    if not rungs:
        raise ValueError("series: nothing is given to draw.")
    for name, values in series.items():
        wanted = [rung for rung in rungs if rung in values] if name in chance else rungs
        if list(values) != wanted or not wanted:
            raise ValueError(f"series: {name!r} has the rungs {list(values)}, not {rungs}.")
        short = [rung for rung in wanted if len(values[rung]) < 3]
        if short:
            raise ValueError(f"series: {name!r} has fewer than three texts at {short}.")
    figure, axes = canvas(
        title, origin=origin, size=(SIZE[0], 60 + 34 * len(names)), columns=len(rungs),
        sharey=True, squeeze=False,
    )  # fmt: skip
    own = [name for name in names if name not in chance]
    with matplotlib.rc_context(RC):
        for rung, panel in zip(rungs, axes[0], strict=True):
            for i, name in enumerate(names):
                if rung not in series[name]:
                    panel.text(3, i, "–", va="center", fontsize=8.5, color=GREY)  # not 0
                    continue
                values = [float(value) for value in series[name][rung]]
                mean = 100 * fmean(values)
                half = 196 * stdev(values) / math.sqrt(len(values))
                colour = GREY if name in chance else style_of(own.index(name))[0]
                panel.barh(
                    i, mean, height=0.62, color=colour, edgecolor="white",
                    hatch="////" if name in chance else None,
                )  # fmt: skip
                low, high = max(0.0, mean - half), min(100.0, mean + half)
                panel.plot([low, high], [i, i], color="#222222", lw=1.1)
                panel.text(
                    max(high, mean) + 6, i, f"{mean:.0f}", va="center", fontsize=8.5
                )  # fmt: skip
            panel.set(xlim=(0, 126), xlabel="% of lines" if "rhym" in rung else "% of texts")
            panel.set_xticks([0, 50, 100])
            panel.set_title(rung, loc="left", fontsize=9)
            panel.tick_params(axis="y", length=0)
            panel.spines["left"].set_visible(False)
        axes[0][0].set_yticks(range(len(names)), names)
        axes[0][0].invert_yaxis()
    return figure
