"""Measured things as figures: curves with bands, heat maps, bars, the summary scatter."""

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from statistics import fmean

import matplotlib
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from .style import (
    BLUE,
    GREY,
    ORANGE,
    RC,
    SIZE,
    SKY,
    VERMILION,
    CourseFigure,
    canvas,
    count_text,
    end_labels,
    ink,
    one_base,
    several,
    style_of,
    styles_of,
)

LOSS = "held-out loss (nats a token)"


def _baselines(axes, baselines: Mapping[str, float] | None, labels: list) -> None:
    """Horizontal lines, grey, each with a line style and a name of its own."""
    for i, (name, value) in enumerate((baselines or {}).items()):
        axes.axhline(
            value,
            color=GREY,
            lw=1.1,
            ls=[(0, (1, 2)), (0, (6, 3)), (0, (3, 1, 1, 1))][i % 3],
            zorder=1,
        )
        labels.append((name, value, GREY))


def _margin(axes, values: Iterable[float], share: float = 0.08) -> None:
    values = [v for v in values if v is not None and math.isfinite(v)]
    low, high = min(values), max(values)
    pad = (high - low) * share or abs(high) * 0.05 or 1.0
    axes.set_ylim(low - pad, high + pad)


def _log_losses(axes, values: Iterable[float]) -> None:
    """A log axis from below the least to above the most, with ticks in plain numbers."""
    values = [v for v in values if v is not None and math.isfinite(v)]
    room = (max(values) / min(values)) ** 0.08
    axes.set_yscale("log")
    axes.set_ylim(min(values) / room, max(values) * room)
    axes.yaxis.set_major_locator(matplotlib.ticker.LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:g}"))
    axes.yaxis.set_minor_locator(NullLocator())


def _whole_steps(axes) -> None:
    """Ticks at whole numbers: there is no half step."""
    axes.xaxis.set_major_locator(MaxNLocator("auto", integer=True, steps=[1, 2, 5, 10]))


def loss_curves(
    curves: Mapping[str, Sequence[tuple[float, float]]],
    title: str,
    *,
    baselines: Mapping[str, float] | None = None,
    ylabel: str = LOSS,
    xlabel: str = "training step",
    log: bool = False,
    origin: str | None = "live, 1 seed",
) -> CourseFigure:
    """Losses on one time axis, each with its name at its end: e.g. poems and stories.

    Args:
        curves: name -> list of (step, loss), as ``History.validation`` keeps them.
        baselines: name -> a loss drawn as a horizontal line.
        log: a log axis of losses, for a curve that leaves its baselines far behind.
    """
    empty = [name for name, points in curves.items() if not len(points)]
    if not curves or empty:
        raise ValueError(
            f"curves: {'nothing is given' if not curves else f'{empty} have no points'}."
        )
    figure, axes = canvas(title, origin=origin)
    with matplotlib.rc_context(RC):
        labels, values = [], list((baselines or {}).values())
        for i, (name, points) in enumerate(curves.items()):
            colour, line, marker = style_of(i)
            steps, losses = zip(*points, strict=True)
            axes.plot(
                steps, losses, color=colour, ls=line, marker=marker if len(steps) <= 25 else None
            )
            labels.append((name, losses[-1], colour))
            values += losses
        _baselines(axes, baselines, labels)
        if log:
            _log_losses(axes, values)
            ylabel = f"{ylabel.removesuffix(')')}, log scale)"
        else:
            _margin(axes, values)
        if all(float(step).is_integer() for points in curves.values() for step, _ in points):
            _whole_steps(axes)
        axes.set(xlabel=xlabel, ylabel=ylabel)
        end_labels(axes, labels)
    return figure


def live_curve(
    history, title: str = "Loss while training", *, origin: str = "live, 1 seed"
) -> CourseFigure:
    """Training and held-out loss of one run, from a ``History`` or its ``to_dict()``."""
    get = history.get if isinstance(history, Mapping) else lambda name: getattr(history, name)
    train, validation = list(get("train")), list(get("validation"))
    if not train:
        raise ValueError("history: it holds no training step yet.")
    steps, losses = zip(*train, strict=True)
    window = max(1, len(losses) // 20)
    note = f"thin: each batch; thick: mean of the last {window}" if window > 1 else None
    figure, axes = canvas(title, origin=origin, note=note)
    with matplotlib.rc_context(RC):
        axes.plot(steps, losses, color=SKY, lw=1, alpha=0.9)
        smooth = [fmean(losses[max(0, i - window + 1) : i + 1]) for i in range(len(losses))]
        labels = [("training\nbatches", smooth[-1], BLUE)]
        axes.plot(steps, smooth, color=BLUE)
        if validation:
            at, held = zip(*validation, strict=True)
            axes.plot(at, held, color=VERMILION, ls="--", marker="s")
            labels.append(("held out", held[-1], VERMILION))
        _margin(axes, [*losses, *(v for _, v in validation)], 0.04)
        _whole_steps(axes)
        axes.set(xlabel="training step", ylabel="loss (nats a token)")
        end_labels(axes, labels)
    return figure


def with_band(
    series: Mapping[str, Mapping[float, Sequence[float]]],
    title: str,
    *,
    bases: Iterable[str],
    xlabel: str,
    ylabel: str = LOSS,
    log: bool = False,
    baselines: Mapping[str, float] | None = None,
    ticks: Mapping[float, str] | None = None,
    of: str = "seeds",
    origin: str,
) -> CourseFigure:
    """Curves over a quantity, several seeds a point: the mean, and a band from least to most.

    For the length of a prompt, the layers freed, the shots of a prompt.

    Args:
        series: name -> {x: one value a seed}, at least 3 seeds each.
        bases: the base's fingerprint of each run; all the same.
        log: x on a log scale.
        ticks: x -> what is written there; None: each x that occurs, at most nine.
        of: what the values of a point are: seeds, or draws.

    Raises:
        ValueError: fewer than 3 seeds, or mixed bases.
    """
    one_base(bases)
    for name, points in series.items():
        several(points, f"{name}: the point")
    figure, axes = canvas(title, origin=origin, note=BAND.replace("seeds", of))
    with matplotlib.rc_context(RC):
        labels, values = _draw_bands(axes, series)
        values += (baselines or {}).values()
        _baselines(axes, baselines, labels)
        _margin(axes, values)
        if log:
            axes.set_xscale("log")
        _x_ticks(axes, sorted({x for points in series.values() for x in points}), ticks)
        axes.set(xlabel=xlabel, ylabel=ylabel)
        end_labels(axes, labels)
    return figure


def _draw_bands(axes, series) -> tuple[list, list]:
    labels, values = [], []
    styles = styles_of(series)
    for name, points in series.items():
        colour, line, marker = styles[name]
        xs = sorted(points)
        runs = [[float(v) for v in points[x] if math.isfinite(v)] for x in xs]
        kept = [(x, r) for x, r in zip(xs, runs, strict=True) if r]
        if not kept:
            raise ValueError(f"{name}: every run diverged, there is nothing to draw.")
        xs = [x for x, _ in kept]
        means = [fmean(r) for _, r in kept]
        low, high = [min(r) for _, r in kept], [max(r) for _, r in kept]
        axes.fill_between(xs, low, high, color=colour, alpha=0.18, lw=0)
        axes.errorbar(
            xs, means, yerr=[[m - a for m, a in zip(means, low, strict=True)],
                             [b - m for m, b in zip(means, high, strict=True)]],
            color=colour, ls=line, marker=marker, elinewidth=0.9, capsize=2,
        )  # fmt: skip
        labels.append((name, means[-1], colour))
        values += low + high
    return labels, values


BAND = "line: mean of the seeds; band: least to most"


def _handles(names: Iterable[str]) -> list:
    """What stands in a legend for each series."""
    line = matplotlib.lines.Line2D
    return [
        (name, line([], [], color=colour, ls=dashes, marker=marker))
        for name, (colour, dashes, marker) in styles_of(names).items()
    ]


def _x_ticks(axes, xs: Sequence[float], ticks: Mapping[float, str] | None) -> None:
    if ticks is None:
        step = max(1, math.ceil(len(xs) / 9))
        ticks = {x: f"{x:g}" for x in xs[::step]}
    axes.xaxis.set_major_locator(FixedLocator(list(ticks)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: _nearest(ticks, x)))


def _nearest(ticks: Mapping[float, str], x: float) -> str:
    return ticks[min(ticks, key=lambda t: abs(t - x))]


PANELS = {"loss": LOSS, "seconds": "time (ms a step)", "bytes": "memory (MiB a step)"}


def against_k(
    results: Mapping[str, Mapping[str, Mapping[int, Sequence[float]]]],
    title: str,
    *,
    bases: Iterable[str],
    origin: str,
    panels: Mapping[str, str] = PANELS,
    xlabel: str = "live blocks k",
    baselines: Mapping[str, float] | None = None,
) -> CourseFigure:
    """Small multiples over k, a panel each for loss, time, memory; a line each for top, middle,
    bottom.

    Args:
        results: "top" -> {"loss": {k: one value a seed}, "seconds": {k: values or one value}, …}.
        panels: what is drawn -> its label with unit.
        baselines: drawn in the first panel.

    Raises:
        ValueError: fewer than 3 seeds in the first panel, mixed bases, a panel without data.
    """
    one_base(bases)
    first = next(iter(panels))
    for name, parts in results.items():
        missing = [panel for panel in panels if panel not in parts]
        if missing:
            raise ValueError(f"results: {name!r} has no {missing}; panels are {list(panels)}.")
        several(parts[first], f"{name}, {first}: k =")
    figure, all_axes = canvas(
        title,
        origin=origin,
        columns=len(panels),
        squeeze=False,
        legend=_handles(results),
        note=BAND,
    )
    with matplotlib.rc_context(RC):
        for axes, (panel, label) in zip(all_axes[0], panels.items(), strict=True):
            series = {
                name: {k: v if isinstance(v, Sequence) else [v] for k, v in parts[panel].items()}
                for name, parts in results.items()
            }
            _, values = _draw_bands(axes, series)
            if panel == first:
                for name, value in (baselines or {}).items():
                    axes.axhline(value, color=GREY, lw=1.1, ls=":")
                    axes.text(
                        0.98, value, name, transform=axes.get_yaxis_transform(), ha="right",
                        va="bottom", fontsize=8, color=GREY,
                    )  # fmt: skip
                    values.append(value)
            else:
                values.append(0.0)  # a cost starts at nothing
            _margin(axes, values)
            if panel != first:
                axes.set_ylim(bottom=0)
            elif axes.get_ylim()[0] > 0:
                axes.text(
                    0.04, 0.02, "axis cut", transform=axes.transAxes, fontsize=7, color=GREY,
                    va="bottom",
                )  # fmt: skip
            axes.set_title(label, loc="left")
            axes.set_xlabel(xlabel)
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
            axes.margins(x=0.08)
    return figure


PART_STYLES = {
    "weights": (BLUE, None),
    "gradients": (ORANGE, "///"),
    "optimizer": (VERMILION, "..."),
    "activations": (SKY, "xx"),
}


def memory_rows(memory) -> dict[str, dict[str, int]]:
    """The two rows of :func:`memory_stack` from what ``accounting.memory`` returns."""
    return {
        side: {part: getattr(getattr(memory, side), part) or 0 for part in PART_STYLES}
        for side in ("predicted", "measured")
    }


def memory_stack(
    rows: Mapping[str, Mapping[str, float]],
    title: str,
    *,
    origin: str | None = None,
    size: tuple[int, int] = SIZE,
    card: int | None = None,
    what: str = "memory of one training step",
) -> CourseFigure:
    """Bytes of a training step as stacked bars: predicted above measured, or one bar a method.

    Args:
        rows: name of the bar -> {"weights", "gradients", "optimizer", "activations": bytes}.
        card: a card's memory in bytes: a vertical line, and all in GiB, as cards are counted.
        what: what the bars' lengths are: a sum of parts, or a peak.
    """
    if not rows:
        raise ValueError("rows: nothing is given to draw.")
    names = list(dict.fromkeys(part for parts in rows.values() for part in parts))
    styles = {part: PART_STYLES.get(part, (GREY, None)) for part in names}
    patch = matplotlib.patches.Patch
    legend = [(p, patch(facecolor=c, hatch=h, edgecolor="white")) for p, (c, h) in styles.items()]
    figure, axes = canvas(title, origin=origin, legend=legend, size=size)
    most = max(card or 0, *(sum(parts.values()) for parts in rows.values()))
    unit, scale = ("GB", 1e9) if most >= 2e9 else ("MB", 1e6) if most >= 2e6 else ("KB", 1e3)
    if card:
        unit, scale = "GiB", 2**30
    with matplotlib.rc_context(RC):
        for i, parts in enumerate(rows.values()):
            left = 0.0
            for part in names:
                value = parts.get(part, 0) / scale
                colour, hatch = styles[part]
                axes.barh(
                    i,
                    value,
                    left=left,
                    height=0.62,
                    color=colour,
                    hatch=hatch,
                    edgecolor="white",
                    lw=1,
                )
                if value > 0.085 * most / scale:
                    axes.text(
                        left + value / 2, i, f"{value:.3g}", ha="center", va="center", fontsize=8.5,
                        bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.5, "alpha": 0.9},
                    )  # fmt: skip
                left += value
            line = (card or 0) / scale
            crosses = left < line < left + 0.15 * most / scale  # the number goes behind the line
            at = (line if crosses else left) + 0.012 * most / scale
            axes.text(at, i, f"{left:.3g} {unit}", va="center", fontsize=9,
                      fontweight="bold",
                      bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5})  # fmt: skip
        if card:
            axes.axvline(card / scale, color="black", lw=1.4, ls=(0, (4, 2)), zorder=1.5)
        axes.set_yticks(range(len(rows)), list(rows))
        axes.tick_params(axis="y", length=0, labelsize=9)
        axes.invert_yaxis()
        axes.set(xlabel=f"{what} ({unit})", xlim=(0, 1.16 * most / scale))
        axes.spines["left"].set_visible(False)
    return figure


def heat_map(
    values: Sequence[Sequence[float | None]],
    rows: Sequence[str],
    columns: Sequence[str],
    title: str,
    *,
    xlabel: str,
    ylabel: str,
    unit: str,
    best: str | None = None,
    digits: int = 2,
    limits: tuple[float, float] | None = None,
    two_sided: bool = False,
    split: int | None = None,
    seeds: int | None = None,
    bases: Iterable[str] | None = None,
    origin: str | None = None,
) -> CourseFigure:
    """A table in colour: initialisation × learning rate, lambda per layer × head.

    Args:
        values: a number for each row and column; None or NaN where the run diverged.
        unit: what the numbers are, with unit; stands at the colour bar.
        best: "min" or "max": frames the best cell.
        limits: the ends of the colour scale; None: least and most.
        two_sided: of differences: white at zero, purple below, orange above. Needs ``limits``.
        split: a line after so many rows and columns, where these are of two kinds.
        seeds: for cells that are means of runs: how many each, at least 3; then ``bases`` is
            needed.

    Raises:
        ValueError: the shape does not fit the names; fewer than 3 seeds; mixed bases.
    """
    if len(values) != len(rows) or any(len(line) != len(columns) for line in values):
        raise ValueError(
            f"values: {len(rows)} rows of {len(columns)} are named, "
            f"{[len(line) for line in values]} are given."
        )
    if seeds is not None:
        several({"each cell": range(seeds)}, "values:")
        one_base(bases or [])
    numbers = [[math.nan if v is None else float(v) for v in line] for line in values]
    finite = [v for line in numbers for v in line if math.isfinite(v)]
    if not finite:
        raise ValueError("values: there is no finite number in the table.")
    low, high = limits or _limits(finite, best)
    figure, axes = canvas(title, origin=origin)
    with matplotlib.rc_context(RC):
        colours = matplotlib.colormaps["cividis"].with_extremes(bad="#FFFFFF")
        if best == "min":
            colours = colours.reversed().with_extremes(bad="#FFFFFF")
        if two_sided:
            colours = matplotlib.colormaps["PuOr_r"].with_extremes(bad="#FFFFFF")
        image = axes.imshow(numbers, cmap=colours, vmin=low, vmax=high, aspect="auto")
        axes.set_xticks(range(len(columns)), columns)
        axes.set_yticks(range(len(rows)), rows)
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        axes.set(xlabel=xlabel, ylabel=ylabel)
        if split is not None:
            for line in (axes.axhline, axes.axvline):
                line(split - 0.5, color="#222222", lw=1.5)
        small = 8.5 if len(columns) <= 8 else 7
        if len(columns) <= 13 and len(rows) <= 12:
            for i, line in enumerate(numbers):
                for j, v in enumerate(line):
                    if not math.isfinite(v):
                        axes.text(
                            j, i, "diverged", ha="center", va="center", fontsize=6.5, color=GREY
                        )
                        continue
                    red, green, blue, _ = image.cmap(image.norm(v))
                    dark = 0.3 * red + 0.59 * green + 0.11 * blue < 0.5
                    axes.text(j, i, f"{v:.{digits}f}", ha="center", va="center", fontsize=small,
                              color="white" if dark else "black")  # fmt: skip
        if best is not None:
            pick = min if best == "min" else max
            target = pick(finite)
            i, j = next(
                (i, j) for i, line in enumerate(numbers) for j, v in enumerate(line) if v == target
            )
            axes.add_patch(
                matplotlib.patches.Rectangle(
                    (j - 0.48, i - 0.48),
                    0.96,
                    0.96,
                    fill=False,
                    edgecolor=VERMILION,
                    lw=2.6,
                    clip_on=False,
                )
            )
        beyond = {(0, 0): "neither", (0, 1): "max", (1, 0): "min", (1, 1): "both"}
        extend = beyond[int(min(finite) < low), int(max(finite) > high)]
        bar = figure.colorbar(image, ax=axes, pad=0.02, fraction=0.06, extend=extend)
        bar.set_label(unit)
        bar.outline.set_visible(False)
        _part_labels(figure, axes)
    return figure


def _part_labels(figure, axes) -> None:
    """Turns the names under the columns where two would run into each other."""
    labels, renderer = axes.get_xticklabels(), figure.canvas.get_renderer()
    widths = [label.get_window_extent(renderer).width for label in labels]  # pixels
    column = 0.78 * figure.bbox.width / len(labels)  # the rest: names on the left, colour bar
    if any((left + right) / 2 + 4 > column for left, right in pairwise(widths)):
        axes.tick_params(axis="x", labelrotation=35)
        for label in labels:
            label.set(ha="right", rotation_mode="anchor")


def _limits(values: list[float], best: str | None) -> tuple[float, float]:
    """Ends of the colour scale; a few very bad values do not wash out the rest."""
    ordered = sorted(values)
    low, high = ordered[0], ordered[-1]
    if best == "min":
        high = min(high, low + 3 * (ordered[len(ordered) // 2] - low) or high)
    if best == "max":
        low = max(low, high - 3 * (high - ordered[len(ordered) // 2]) or low)
    return low, high if high > low else low + 1e-9


def norms(
    vocabulary: Sequence[float],
    groups: Mapping[str, Sequence[float]],
    title: str,
    *,
    xlabel: str = "length of the vector (Euclidean norm)",
    origin: str | None = None,
) -> CourseFigure:
    """Lengths of prompt vectors as ticks under the histogram of the vocabulary's.

    Args:
        vocabulary: the norm of each token's embedding.
        groups: name -> norms of a few vectors: learned, at the start, random.
    """
    figure, axes = canvas(title, origin=origin)
    vocabulary = [float(v) for v in vocabulary]
    with matplotlib.rc_context(RC):
        everything = vocabulary + [float(v) for values in groups.values() for v in values]
        log = max(everything) > 8 * min(v for v in everything if v > 0)
        if log:
            axes.set_xscale("log")
            low, high = math.log(min(vocabulary)), math.log(max(vocabulary))
            bins = [math.exp(low + (high - low) * i / 40) for i in range(41)]
        else:
            bins = 40
        counts, *_ = axes.hist(vocabulary, bins=bins, color="#BDBDBD", edgecolor="white", lw=0.3)
        top = max(counts)
        axes.set_ylim(-0.18 * top * len(groups) - 0.04 * top, 1.08 * top)
        axes.axhline(0, color="#444444", lw=0.8)
        labels = [(f"{len(vocabulary):,} tokens of\nthe vocabulary", 0.55 * top, GREY)]
        for i, (name, values) in enumerate(groups.items()):
            colour, _, marker = style_of(i)
            y = -0.18 * top * (i + 0.6)
            axes.plot(
                [float(v) for v in values], [y] * len(values), ls="", marker=marker, color=colour,
                ms=5.5, alpha=0.75, mec="white", mew=0.4,
            )  # fmt: skip
            labels.append((name, y, colour))
        ticks = [
            t for t in MaxNLocator(5, integer=True).tick_values(0, top) if 0 <= t <= 1.05 * top
        ]
        axes.set_yticks(ticks, [f"{t:,.0f}" for t in ticks])
        if log:
            axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
            span = math.log10(max(everything) / min(everything))
            axes.xaxis.set_minor_locator(
                matplotlib.ticker.LogLocator(subs=(2, 5)) if span < 2.5 else NullLocator()
            )
            axes.xaxis.set_minor_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
        axes.set(xlabel=xlabel, ylabel="tokens (count)")
        axes.yaxis.set_label_coords(-0.09, 0.62)
        end_labels(axes, labels)
    return figure


def against_parameters(
    points: Mapping[str, tuple[int, Sequence[float]]],
    title: str,
    *,
    bases: Iterable[str],
    origin: str,
    baselines: Mapping[str, float] | None = None,
    ylabel: str = LOSS,
    xlabel: str = "trainable parameters (log scale)",
    joined: Sequence[str] = (),
) -> CourseFigure:
    """The summary: quality against trainable parameters, every method, all its seeds.

    Args:
        points: method -> (trainable parameters, one loss a seed), at least 3 seeds each.
        baselines: name -> loss; horizontal lines: the untouched base, few-shot prompts.
        joined: methods of one family, drawn in one colour and joined by a thin line.

    Raises:
        ValueError: fewer than 3 seeds, mixed bases, a count below 1.
        KeyError: a name in `joined` that is not among the points.
    """
    one_base(bases)
    several({name: losses for name, (_, losses) in points.items()}, "the method")
    for name, (count, _) in points.items():
        if count < 1:
            raise ValueError(f"{name}: {count} trainable parameters cannot stand on a log axis; "
                             "draw it as a baseline.")  # fmt: skip
    figure, axes = canvas(title, origin=origin, note="mark: mean of the seeds; bar: least to most")
    with matplotlib.rc_context(RC):
        values = [v for _, losses in points.values() for v in losses] + list(
            (baselines or {}).values()
        )
        counts = [count for count, _ in points.values()]
        axes.set_xscale("log")
        left = 4 if joined else 2.2  # the end of a family has its name on the left
        axes.set_xlim(min(counts) / left, max(counts) * 3.2)
        _margin(axes, values, 0.09)
        labels: list = []
        _baselines(axes, baselines, labels)
        end_labels(axes, labels)
        spots = []
        apart = [name for name in points if name not in joined[1:]]
        styles = styles_of(apart)
        styles |= {name: styles[joined[0]] for name in joined}
        family = [(points[name][0], fmean(points[name][1])) for name in joined]
        if family:
            axes.plot(
                *zip(*family, strict=True), color=styles[joined[0]][0], lw=0.8, alpha=0.5, zorder=2
            )
        for name, (count, losses) in points.items():
            colour, _, marker = styles[name]
            mean = fmean(losses)
            axes.errorbar(
                [count], [mean], [[mean - min(losses)], [max(losses) - mean]], color=colour,
                elinewidth=1.2, capsize=3, zorder=3,
            )  # fmt: skip
            axes.plot(
                [count], [mean], marker=marker, ms=7, color=colour, mec="white", mew=0.7, zorder=4
            )
            spots.append((name, count, mean, colour, min(losses), max(losses)))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: count_text(x)))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set(xlabel=xlabel, ylabel=ylabel)
        _place(figure, axes, spots, pairwise(family))
    return figure


def _place(figure, axes, spots: list, lines: Iterable = (), pointer_from: float = 20) -> None:
    """Write each name near its point where it covers no other name, point, bar of seeds or line.

    Args:
        lines: both ends of each; what slopes is kept clear of in short pieces.
        pointer_from: a name further off its point, in pixels, has a thin line to it.
    """
    figure.draw_without_rendering()
    renderer = figure.canvas.get_renderer()
    frame = axes.get_window_extent(renderer)
    taken = []
    for _, x, y, _, low, high in spots:
        px, _ = axes.transData.transform((x, y))
        ends = [axes.transData.transform((x, v))[1] for v in (low, high)]
        taken.append((px - 6, ends[0] - 5, px + 6, ends[1] + 5))
    for ends in lines:
        (left, low), (right, high) = sorted(map(tuple, axes.transData.transform(ends)))
        wide, rise = right - left, high - low  # pixels
        pieces = int(min(wide, abs(rise)) / 6) + 1
        for i in range(pieces):
            a, b = sorted(low + rise * k / pieces for k in (i, i + 1))
            x0, x1 = (left + wide * k / pieces for k in (i, i + 1))
            taken.append((x0 - 2, a - 2, x1 + 2, b + 2))
    for text in axes.texts:  # the baselines' names
        box = text.get_window_extent(renderer)
        taken.append((box.x0, box.y0, box.x1, box.y1))
    for _, name, x, y, colour in sorted((-s[2], s[0], s[1], s[2], s[3]) for s in spots):
        px, py = axes.transData.transform((x, y))
        text = axes.annotate(
            name, (x, y), xytext=(0, 0), textcoords="offset points", fontsize=8.5, color=ink(colour)
        )
        box = text.get_window_extent(renderer)
        w, h = box.width, box.height
        tries = []
        for reach in (9, 16, 26, 38, 52, 68):
            for dx, dy in ((1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (1, -1), (-1, 1), (-1, -1)):
                left = px + dx * reach + (0 if dx > 0 else -w if dx < 0 else -w / 2)
                low = py + dy * reach + (-h / 2 if dy == 0 else 0 if dy > 0 else -h)
                tries.append((left, low, reach))
        best = min(
            tries,
            key=lambda t: 50 * sum(_overlap((t[0], t[1], t[0] + w, t[1] + h), b) for b in taken)
            + 1e4 * _outside((t[0], t[1], t[0] + w, t[1] + h), frame) + t[2],
        )  # fmt: skip
        left, low, reach = best
        taken.append((left, low, left + w, low + h))
        points = 72 / figure.dpi
        text.set_position(((left - px) * points, (low - py) * points))
        text.set_va("bottom")
        if reach > pointer_from:
            ex = min(max(px, left), left + w)
            ey = min(max(py, low), low + h)
            ends = axes.transData.inverted().transform([(px, py), (ex, ey)])
            axes.plot(*ends.T, color=colour, lw=0.6, zorder=2)


def _overlap(a, b) -> float:
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    return width * height if width > 0 and height > 0 else 0.0


def _outside(a, frame) -> float:
    return float(a[0] < frame.x0 or a[2] > frame.x1 + 4 or a[1] < frame.y0 or a[3] > frame.y1)


def rate_sensitivity(
    curves: Mapping[str, Mapping[float, Sequence[float]]],
    title: str,
    *,
    bases: Iterable[str],
    origin: str,
    baselines: Mapping[str, float] | None = None,
    ylabel: str = LOSS,
    xlabel: str = "learning rate",
    ceiling: float | None = None,
) -> CourseFigure:
    """Loss over learning rates (log), band over seeds, the best rate of each ringed.

    Args:
        curves: name -> {learning rate: one loss a seed}; NaN or inf for a run that diverged.
        ceiling: losses above are cut off, so that one bad rate does not flatten the rest.

    Raises:
        ValueError: fewer than 3 seeds, or mixed bases.
    """
    one_base(bases)
    for name, points in curves.items():
        several(points, f"{name}: learning rate")
    figure, axes = canvas(title, origin=origin, legend=_handles(curves), note=BAND)
    with matplotlib.rc_context(RC):
        labels = []
        _, values = _draw_bands(axes, curves)
        values = [v for v in values if ceiling is None or v <= ceiling] + list(
            (baselines or {}).values()
        )
        _baselines(axes, baselines, labels)
        _margin(axes, values)
        if ceiling is not None:
            axes.set_ylim(top=ceiling)
        styles = styles_of(curves)
        for name, points in curves.items():
            means = {x: fmean(v) for x, v in points.items() if all(map(math.isfinite, v))}
            if means:
                best = min(means, key=means.get)
                axes.plot(
                    [best],
                    [means[best]],
                    marker="o",
                    ms=12,
                    mfc="none",
                    mec=styles[name][0],
                    mew=1.4,
                )
        axes.set_xscale("log")
        rates = sorted({x for points in curves.values() for x in points})
        step = max(1, math.ceil(len(rates) / 8))
        _x_ticks(axes, rates, {x: _rate(x) for x in rates[::step]})
        axes.set(xlabel=f"{xlabel} (log scale; ring: the best)", ylabel=ylabel)
        end_labels(axes, labels)
    return figure


def _rate(x: float) -> str:
    return f"{x:g}" if x >= 0.001 else f"{x:.0e}".replace("e-0", "e-")
