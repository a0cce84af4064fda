"""Changes of weight matrices: their shapes, their singular values, what they gain and forget."""

from collections.abc import Mapping, Sequence
from itertools import accumulate

import matplotlib
from matplotlib.patches import Rectangle
from matplotlib.ticker import FuncFormatter, NullLocator

from .curves import LOSS
from .pictures import TINTS
from .style import (
    BLUE,
    GREY,
    RC,
    SIZE,
    VERMILION,
    CourseFigure,
    canvas,
    end_labels,
    ink,
    style_of,
    styles_of,
)


def low_rank(outputs: int, inputs: int, rank: int, title: str) -> CourseFigure:
    """W + B A as rectangles to one scale: (out, in), (out, rank), (rank, in).

    Args:
        outputs, inputs: the shape of W.
        rank: the width of B and the height of A.

    Raises:
        ValueError: a rank below 1 or above the smaller side of W.
    """
    if not 1 <= rank <= min(outputs, inputs):
        raise ValueError(f"rank={rank}: W is {outputs} × {inputs}, so 1 to {min(outputs, inputs)}.")
    figure, axes = canvas(title, blank=True)
    top = axes.get_ylim()[1]
    head, foot, gap = 34, 46, 64
    # beside one another: W, plus, B, A; A hangs from the top of W
    scale = min((top - head - foot) / outputs, (SIZE[0] - 60 - 3 * gap) / (2 * inputs + rank))
    height, width, thin = scale * outputs, scale * inputs, scale * rank
    x = (SIZE[0] - (2 * width + thin + 2 * gap)) / 2
    low = foot + (top - head - foot - height) / 2
    parts = (
        ("W, frozen", x, low, width, height, TINTS[GREY], GREY, (outputs, inputs)),
        ("B", x + width + gap, low, thin, height, TINTS[VERMILION], VERMILION, (outputs, rank)),
        ("A", x + width + thin + 2 * gap, low + height - thin, width, thin, TINTS[BLUE], BLUE,
         (rank, inputs)),
    )  # fmt: skip
    for name, left, bottom, w, h, face, edge, shape in parts:
        axes.add_patch(Rectangle((left, bottom), w, h, facecolor=face, edgecolor=edge, lw=1.4))
        axes.text(left + w / 2, low + height + 9, name, ha="center", va="bottom", fontsize=10,
                  fontweight="bold", color=ink(edge))  # fmt: skip
        count = f"{shape[0]:,} × {shape[1]:,}\n{shape[0] * shape[1]:,} numbers"
        axes.text(left + w / 2, bottom - 7, count, ha="center", va="top", fontsize=8.5,
                  linespacing=1.3, color="#222222")  # fmt: skip
    for sign, left in (("+", x + width + gap / 2), ("×", x + width + thin + 1.5 * gap)):
        axes.text(left, low + height / 2, sign, ha="center", va="center", fontsize=15)
    return figure


def spectra(
    values: Mapping[str, Sequence[float]],
    title: str,
    *,
    share: float = 0.9,
    origin: str | None = "live, 1 seed",
) -> CourseFigure:
    """Singular values of several matrices, and how much of the energy the largest k hold.

    Left: each value over the largest (log). Right: the sum of the first k squares over the sum of
    all, with a ring where it reaches `share`.

    Args:
        values: name -> singular values, in any order; zeros (below 1e-6 of the largest) are left
            out on the left.

    Raises:
        ValueError: nothing is given, or a matrix of zeros.
    """
    if not values:
        raise ValueError("values: nothing is given to draw.")
    ordered = {name: sorted(map(float, v), reverse=True) for name, v in values.items()}
    empty = [name for name, v in ordered.items() if not v or not v[0] > 0]
    if empty:
        raise ValueError(f"values: {empty} have no singular value above 0.")
    line = matplotlib.lines.Line2D
    legend = []
    for i, name in enumerate(ordered):
        colour, dashes, _ = style_of(i)
        legend.append((name, line([], [], color=colour, ls=dashes)))
    figure, (left, right) = canvas(
        title, origin=origin, columns=2, legend=legend, note=f"ring: {share:.0%} of the energy"
    )
    with matplotlib.rc_context(RC):
        for i, line_of in enumerate(ordered.values()):
            colour, dashes, _ = style_of(i)
            seen = [v / line_of[0] for v in line_of if v > 1e-6 * line_of[0]]
            left.plot(range(1, len(seen) + 1), seen, color=colour, ls=dashes)
            squares = [v * v for v in line_of]
            held = [part / sum(squares) for part in accumulate(squares)]
            right.plot(range(1, len(held) + 1), held, color=colour, ls=dashes)
            reached = next(k for k, part in enumerate(held, 1) if part >= share)
            right.plot([reached], [held[reached - 1]], marker="o", ms=8, mfc="white", mec=colour,
                       mew=1.6, zorder=5)  # fmt: skip
        left.set_yscale("log")
        left.set_ylim(bottom=max(1e-3, left.get_ylim()[0]))
        left.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:g}"))
        left.yaxis.set_minor_locator(NullLocator())
        left.set_title("each value over the largest", loc="left")
        right.axhline(share, color=GREY, lw=0.9, ls=":", zorder=0)
        right.set_ylim(0, 1.04)
        right.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:.0%}"))
        right.set_title("share of the energy in the first k", loc="left")
        for axes in (left, right):
            axes.set_xscale("log")
            most = max(map(len, ordered.values()))
            ticks = [k for k in (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024) if k <= most]
            axes.set_xticks(ticks, [str(k) for k in ticks])
            axes.xaxis.set_minor_locator(NullLocator())
        left.set_xlabel("place in the list, strongest first (log scale)")
        right.set_xlabel("k (log scale)")
    return figure


def against_energy(
    curves: Mapping[str, Sequence[tuple[float, float]]],
    title: str,
    *,
    dots: Mapping[str, Sequence[tuple[float, float]]] | None = None,
    notes: Sequence[tuple[str, float, float]] = (),
    baselines: Mapping[str, float] | None = None,
    xlabel: str = "energy that is kept (% of each change, mean of all)",
    ylabel: str = LOSS,
    origin: str = "live, 1 seed",
) -> CourseFigure:
    """A loss over the share of a change that is kept: ways of cutting it down, at equal energy.

    Args:
        curves: name -> points (share of the energy, 0 to 1; loss), joined by a line.
        dots: the same, not joined.
        notes: (text, share, loss), written beside that point.
        baselines: name -> a loss drawn as a horizontal line.

    Raises:
        ValueError: a curve without points, or a share outside of 0 to 1.
    """
    dots = dots or {}
    for name, points in {**curves, **dots}.items():
        if not points or not all(0 <= share <= 1.001 for share, _ in points):
            raise ValueError(f"{name!r} needs points, and shares from 0 to 1, not {list(points)}.")
    line, legend, drawn = matplotlib.lines.Line2D, [], []
    for i, name in enumerate({**curves, **dots}):
        colour, dashes, marker = style_of(i)
        look = {"color": colour, "marker": marker, "ls": dashes if name in curves else "none"}
        legend.append((name, line([], [], **look)))
        drawn.append(({**curves, **dots}[name], look))
    figure, axes = canvas(title, origin=origin, legend=legend)
    with matplotlib.rc_context(RC):
        for points, look in drawn:
            shares, losses = zip(*sorted(points), strict=True)
            axes.plot([100 * share for share in shares], losses, **look)
        losses = [loss for points, _ in drawn for _, loss in points]
        for text, share, loss in notes:  # outside of the curves: right of high ones, left of low
            high = loss > (min(losses) + max(losses)) / 2
            axes.annotate(
                text, (100 * share, loss), xytext=(5, 4) if high else (-4, -4),
                textcoords="offset points", fontsize=8.5, color="#333333",
                ha="left" if high else "right", va="bottom" if high else "top",
            )  # fmt: skip
        labels = []
        for i, (name, value) in enumerate((baselines or {}).items()):
            axes.axhline(value, color=GREY, lw=1.1, ls=[(0, (1, 2)), (0, (6, 3))][i % 2], zorder=1)
            labels.append((name, value, GREY))
        axes.set_xlim(0, 103)
        axes.margins(y=0.1)
        axes.set(xlabel=xlabel, ylabel=ylabel)
        end_labels(axes, labels)
    return figure


def learn_forget(
    methods: Mapping[str, Mapping[float, tuple[float, float]]],
    title: str,
    *,
    learned: str = "learned: fall of the loss on held-out poems (nats a token)",
    forgotten: str = "forgotten: rise on stories (nats a token)",
    frame: Sequence[str] = (),
    origin: str = "live, 1 seed",
) -> CourseFigure:
    """The plane of learning and forgetting: a line a method, a point a learning rate.

    Right is more learned, down is less forgotten.

    Args:
        methods: name -> {learning rate: (learned, forgotten)}.
        frame: methods whose points set the axes; none: all do. A point far outside stands at the
            edge, with its numbers.

    Raises:
        ValueError: a method without points, or an unknown one in frame.
    """
    if not methods or not all(methods.values()):
        raise ValueError("methods: each needs a point at least.")
    if unknown := [name for name in frame if name not in methods]:
        raise ValueError(f"frame: {unknown} are not among the methods, {list(methods)}.")
    styles = styles_of(methods)
    legend = [
        (name, matplotlib.lines.Line2D([], [], color=colour, ls=dashes, marker=marker))
        for name, (colour, dashes, marker) in styles.items()
    ]
    figure, axes = canvas(
        title, origin=origin, note="beside each point: its learning rate", legend=legend
    )
    corners = [point for name in frame or methods for point in methods[name].values()]
    limits = []  # of the learned, of the forgotten
    for values in zip(*corners, strict=True):
        room = 0.25 * (max(values) - min(values)) or 0.1
        limits.append((min(values) - room, max(values) + room))
    with matplotlib.rc_context(RC):
        for i, (name, points) in enumerate(methods.items()):
            colour, dashes, marker = styles[name]
            rates = sorted(points)
            drawn = [
                tuple(min(max(v, low), high)
                      for v, (low, high) in zip(points[rate], limits, strict=True))
                for rate in rates
            ]  # fmt: skip
            axes.plot(*zip(*drawn, strict=True), color=colour, ls=dashes, marker=marker, ms=6,
                      clip_on=False)  # fmt: skip
            for rate, place in zip(rates, drawn, strict=True):
                below = i % 2 and rate > rates[0]  # the lines start close together
                text, left = f"{rate:g}", below
                if place != points[rate]:
                    learned_by, forgotten_by = points[rate]
                    text += f", outside: learned {learned_by:.2f}, forgotten {forgotten_by:+.2f}"
                    left = place[0] < sum(limits[0]) / 2
                axes.annotate(
                    text, place, xytext=(6 if left else -6, -9 if below else 7),
                    textcoords="offset points", fontsize=8, color=ink(colour),
                    ha="left" if left else "right", va="center",
                    bbox={"facecolor": "white", "alpha": 0.75, "lw": 0, "pad": 0.5},
                )  # fmt: skip
        axes.axhline(0, color=GREY, lw=0.8, zorder=0)
        axes.set(xlim=limits[0], ylim=limits[1])
        axes.annotate("better", xy=(1, 0), xytext=(-58, 10), xycoords="axes fraction",
                      textcoords="offset points", fontsize=8.5, color=GREY, ha="right",
                      arrowprops={"arrowstyle": "-|>", "color": GREY, "lw": 1})  # fmt: skip
        axes.set(xlabel=learned, ylabel=forgotten)
    return figure
