"""Two methods at once: where the parts act, the sum beside its parts, gates, a split budget."""

from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean

import matplotlib
from matplotlib.patches import Rectangle

from .curves import LOSS
from .pictures import TINTS, _box
from .style import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    RC,
    SIZE,
    VERMILION,
    CourseFigure,
    canvas,
    count_text,
    ink,
    one_base,
    several,
)

PLACES = ("the input", "keys and values", "weights of q, v", "feed-forward", "whole weights")
KINDS = {"sum": (VERMILION, "s"), "part": (BLUE, "o"), "control": (GREY, "D")}
PART_COLOURS = {"prompt": GREEN, "prefix": GREEN, "LoRA": BLUE, "adapter": VERMILION}


def where_they_act(rows: Mapping[str, Mapping[str, str]], title: str) -> CourseFigure:
    """A row for each hybrid, a column for each place of a model, the part that acts there.

    Args:
        rows: hybrid -> place (one of PLACES) -> the part's name.

    Raises:
        ValueError: no rows, or an unknown place.
    """
    unknown = {place for parts in rows.values() for place in parts} - set(PLACES)
    if unknown or not rows:
        raise ValueError(f"rows: places are {', '.join(PLACES)}, not {sorted(unknown)}.")
    figure, axes = canvas(title, blank=True)
    top, left, head = axes.get_ylim()[1], 118, 34
    width, height = (SIZE[0] - left - 8) / len(PLACES), (top - head - 6) / len(rows)
    for j, place in enumerate(PLACES):
        axes.text(left + (j + 0.5) * width, top - 8, place.replace(" and ", " and\n"),
                  ha="center", va="top", fontsize=8.5, color="#444444")  # fmt: skip
    for i, (name, parts) in enumerate(rows.items()):
        y = top - head - (i + 1) * height
        axes.axhline(y + height, color="#DDDDDD", lw=0.8)
        axes.text(left - 8, y + height / 2, name, ha="right", va="center", fontsize=9,
                  fontweight="bold")  # fmt: skip
        for j, place in enumerate(PLACES):
            if place in parts:
                said = parts[place]
                colour = next((c for n, c in PART_COLOURS.items() if n in said), ORANGE)
                _box(axes, left + j * width + 4, y + 7, width - 8, height - 14, said,
                     face=TINTS[colour], edge=colour)  # fmt: skip
    return figure


def parts_and_sum(
    groups: Mapping[str, Mapping[str, tuple[int, Sequence[float], str]]],
    title: str,
    *,
    bases: Iterable[str],
    origin: str | None = None,
) -> CourseFigure:
    """Each hybrid over its parts and a control: a band from the best seed to the worst, the mean.

    Args:
        groups: a name -> method -> (trained parameters, loss of each seed, "sum", "part" or
            "control").
        bases: the base's fingerprint of each run.

    Raises:
        ValueError: fewer than 3 seeds, mixed bases, an unknown kind, nothing given.
    """
    one_base(bases)
    lines = [(name, *row) for group in groups.values() for name, row in group.items()]
    if not lines:
        raise ValueError("groups: nothing is given.")
    several({name: seeds for name, _, seeds, _ in lines}, "groups:")
    if {kind for *_, kind in lines} - set(KINDS):
        raise ValueError(f"groups: kinds are {', '.join(KINDS)}.")
    note = "band: lowest to highest seed; mark: mean"
    figure, axes = canvas(title, origin=origin, note=note)
    with matplotlib.rc_context(RC):
        y, ticks, names = 0.0, [], []
        for group in groups.values():
            for name, (parameters, seeds, kind) in group.items():
                colour, marker = KINDS[kind]
                span = max(seeds) - min(seeds)
                axes.barh(y, span, left=min(seeds), height=0.62, color=colour, alpha=0.3)
                axes.plot(fmean(seeds), y, marker=marker, color=colour, ms=5)
                said = f"{name} (control)" if kind == "control" else name
                ticks.append(y)
                names.append(f"{said}, {count_text(parameters)}")
                y -= 1
            y -= 0.7
            axes.axhline(y + 0.85, color="#DDDDDD", lw=0.8)
        axes.set_yticks(ticks, names, fontsize=8)
        kinds = [kind for *_, kind in lines]
        for label, kind in zip(axes.get_yticklabels(), kinds, strict=True):
            label.set_color(ink(KINDS[kind][0]))
            label.set_fontweight("bold" if kind == "sum" else "normal")
        axes.set_ylim(y + 0.9, 0.7)
        found = [loss for _, _, seeds, _ in lines for loss in seeds]
        room = 0.04 * (max(found) - min(found))
        axes.set_xlim(min(found) - room, max(found) + room)
        axes.tick_params(axis="y", length=0)
        axes.grid(axis="x", color="#EEEEEE", lw=0.8)
        axes.set_axisbelow(True)
        axes.set(xlabel=LOSS)
    return figure


def gate_map(
    gates: Mapping[str, Sequence], tokens: Sequence[str], title: str, *, origin: str | None = None
) -> CourseFigure:
    """How far each gate is open: a column for the prefix, and layers × tokens for the others.

    Args:
        gates: "prefix" (layers,), "adapter" and "lora" (layers, tokens), 0 to 1.
        tokens: one name a column.

    Raises:
        ValueError: the shapes do not fit.
    """
    tables = {name: [[float(v) for v in row] for row in gates[name]] for name in
              ("adapter", "lora")}  # fmt: skip
    prefix = [[float(v)] for v in gates["prefix"]]
    if any(len(t) != len(prefix) or {len(r) for r in t} != {len(tokens)} for t in tables.values()):
        raise ValueError(f"gates: {len(prefix)} layers of {len(tokens)} tokens are named.")
    figure, axes = canvas(
        title, origin=origin, rows=2, columns=2, gridspec_kw={"width_ratios": [1, 16]}
    )
    look = {"cmap": "cividis", "vmin": 0, "vmax": 1, "aspect": "auto", "origin": "lower"}
    with matplotlib.rc_context(RC):
        for i, (name, table) in enumerate(tables.items()):
            image = axes[i, 1].imshow(table, **look)
            said = {"adapter": "the adapter", "lora": "LoRA"}[name]
            axes[i, 1].set_title(said, loc="left", fontsize=9)
            axes[i, 1].set_yticks(range(len(table)) if i else [])
            axes[i, 1].set_xticks(range(len(tokens)), tokens if i else [], rotation=90, fontsize=7)
        axes[0, 0].imshow(prefix, **look)
        axes[0, 0].set_title("prefix", loc="left", fontsize=9)
        axes[0, 0].set_xticks([])
        axes[0, 0].set_yticks(range(len(prefix)))
        axes[0, 0].set_ylabel("layer")
        axes[1, 0].set_visible(False)
        for one in axes.flat:
            one.tick_params(length=0)
            one.spines[:].set_visible(False)
        figure.colorbar(image, ax=axes[:, 1], label="gate: 0 shut, 1 open", pad=0.01)
    return figure


def budget_bar(parts: Mapping[str, int], budget: int, title: str) -> CourseFigure:
    """A budget of parameters as one bar, cut into what each part spends and what is left.

    Raises:
        ValueError: the parts cost more than the budget.
    """
    spent = sum(parts.values())
    if spent > budget:
        raise ValueError(f"parts: they cost {spent:,}, and the budget is {budget:,}.")
    figure, axes = canvas(title, size=(SIZE[0], 130), blank=True)
    left, right, y, height = 12, SIZE[0] - 12, 34, 40
    for (name, cost), colour in zip(
        {**parts, "left over": budget - spent}.items(), (GREEN, BLUE, GREY), strict=True
    ):
        width = (right - 12) * cost / budget
        look = {"facecolor": TINTS[colour], "edgecolor": colour}
        axes.add_patch(Rectangle((left, y), width, height, **look))
        if width > 60:
            axes.text(left + width / 2, y + height / 2, f"{name}\n{cost:,}", ha="center",
                      va="center", fontsize=8.5)  # fmt: skip
        left += width
    axes.text(12, 14, "; ".join(f"{n} {c:,}" for n, c in parts.items())
              + f"; left over {budget - spent:,}", fontsize=8, color="#444444")  # fmt: skip
    return figure
