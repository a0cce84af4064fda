"""Drawings: what goes where. They take plain data and count in pixels."""

import math
import textwrap
from collections.abc import Collection, Mapping, Sequence

import matplotlib.patheffects as effects
from matplotlib.axes import Axes
from matplotlib.patches import Circle, FancyArrowPatch, FancyBboxPatch, Rectangle

from .style import (
    BLACK,
    BLUE,
    CYCLE,
    GREEN,
    GREY,
    ORANGE,
    SIZE,
    VERMILION,
    CourseFigure,
    canvas,
    ink,
    size_text,
)

TINTS = {
    BLUE: "#CFE5F3",
    VERMILION: "#F9DFCB",
    GREEN: "#CDEBE1",
    ORANGE: "#FBEBC8",
    GREY: "#EEEEEE",
}


def _box(
    axes: Axes, x, y, w, h, text="", *, face="white", edge="#444444", size=8.0, **style
) -> None:
    """A rounded box with text in its middle; x, y is the lower left corner."""
    weight = style.pop("weight", "normal")
    colour = style.pop("color", "#222222")
    axes.add_patch(
        FancyBboxPatch(
            (x + 2, y + 2),
            w - 4,
            h - 4,
            boxstyle="round,pad=2,rounding_size=4",
            facecolor=face,
            edgecolor=edge,
            **{"linewidth": 1.0, **style},
        )  # fmt: skip
    )
    axes.text(
        x + w / 2, y + h / 2, text, ha="center", va="center", fontsize=size, color=colour,
        fontweight=weight, linespacing=1.25,
    )  # fmt: skip


def _arrow(axes: Axes, start, end, *, colour="#444444", style="-|>", width=1.3, line="-") -> None:
    axes.add_patch(
        FancyArrowPatch(
            start,
            end,
            arrowstyle=style,
            mutation_scale=10,
            color=colour,
            linewidth=width,
            linestyle=line,
            shrinkA=0,
            shrinkB=0,
        )  # fmt: skip
    )


def _wrap(text: str, width: int, lines: int) -> str:
    parts = text.strip().split("\n")
    indent = "  " if len(parts) > 1 else ""  # a verse that goes on in the next line
    rows = [
        r for part in parts for r in (textwrap.wrap(part, width, subsequent_indent=indent) or [""])
    ]
    if len(rows) > lines:
        rows = rows[:lines]
        rows[-1] = rows[-1][: width - 2].rstrip() + " …"
    return "\n".join(rows)


def text_cards(
    cards: Sequence[Mapping],
    title: str,
    *,
    model_bytes: float | None = None,
    origin: str | None = None,
    limit: float = 7e6,
) -> CourseFigure:
    """Texts beside the files that make them: cards above a log axis of bytes.

    Args:
        cards: one to four of {"name", "text", "bytes"}, the smallest file first; 0 bytes stand
            for no file at all, which has no place on a log axis.
        model_bytes: size of the model itself, marked on the same axis.
        limit: right end of the axis, in bytes (7 MB).
    """
    if not 1 <= len(cards) <= 4:
        raise ValueError(f"cards: one to four fit side by side, {len(cards)} given.")
    figure, axes = canvas(title, origin=origin, blank=True)
    top = axes.get_ylim()[1]
    left, right, base = 26, SIZE[0] - 26, 42
    files = [c["bytes"] for c in cards if c["bytes"]]
    low = min([8e3, *files])
    high = max([limit, model_bytes or 0, *files])

    def at(count: float) -> float:
        return left + (right - left) * math.log(count / low) / math.log(high / low)

    axes.plot([left - 8, right + 8], [base, base], color="#444444", lw=1)
    decade = 10 ** math.ceil(math.log10(low))
    while decade <= high:
        axes.plot([at(decade)] * 2, [base - 4, base], color="#444444", lw=1)
        axes.text(at(decade), base - 7, size_text(decade), ha="center", va="top", fontsize=8)
        decade *= 10
    axes.text(
        SIZE[0] / 2,
        base - 22,
        "size of the file (bytes, log scale)",
        ha="center",
        va="top",
        fontsize=9,
    )
    if model_bytes:
        dot = at(model_bytes)
        axes.plot([dot], [base], marker="h", color=GREY, ms=11, mec="white", clip_on=False)
        axes.text(
            min(dot + 6, right + 8), base + 9, f"the model itself: {size_text(model_bytes)}",
            ha="right", fontsize=8.5, color=GREY, fontweight="bold",
        )  # fmt: skip
    gap = 8
    width = (SIZE[0] - 16 - gap * (len(cards) - 1)) / len(cards)
    bottom = base + 52
    shifts = [0.0] * len(cards)
    groups: dict[float, list[int]] = {}
    for i, card in enumerate(cards):  # files of one size stand side by side
        if card["bytes"]:
            groups.setdefault(round(at(card["bytes"]) / 7), []).append(i)
    for members in groups.values():
        for rank, i in enumerate(members):
            shifts[i] = (rank - (len(members) - 1) / 2) * 12
    for i, card in enumerate(cards):
        colour, _, marker = CYCLE[i]
        x = 8 + i * (width + gap)
        axes.add_patch(
            FancyBboxPatch(
                (x + 2, bottom + 2),
                width - 4,
                top - bottom - 6,
                linewidth=1.2,
                boxstyle="round,pad=2,rounding_size=4",
                facecolor="white",
                edgecolor=colour,
            )  # fmt: skip
        )
        axes.text(
            x + 9,
            top - 12,
            card["name"],
            va="top",
            fontsize=9,
            fontweight="bold",
            color=ink(colour),
        )
        lines = int((top - bottom - 52) / 13.2)
        body = _wrap(card["text"], int((width - 14) / 6.15), lines)
        axes.text(x + 9, top - 31, body, va="top", fontsize=8, color="#222222", linespacing=1.3)
        size = size_text(card["bytes"]) if card["bytes"] else "no file"
        axes.text(
            x + 9, bottom + 8, size, va="bottom", fontsize=8.5, color=ink(colour), fontweight="bold"
        )
        if not card["bytes"]:
            continue
        dot = at(card["bytes"]) + shifts[i]
        axes.plot([x + width / 2, dot], [bottom, base], color=colour, lw=1)
        axes.plot([dot], [base], marker=marker, color=colour, ms=8, mec="white", clip_on=False)
    return figure


QUADRANTS = {
    ("all", "one task"): "full fine-tuning\nnotebook 01",
    ("all", "many tasks"): "full fine-tuning\non instructions",
    (
        "few",
        "one task",
    ): "PEFT (also called PET)\nprompts, prefixes, adapters,\nLoRA … from notebook 02 on",
    ("few", "many tasks"): "PEFT on instructions",
    ("none", "one task"): "prompt design, few-shot prompts: written, not trained (notebook 03)",
}


def which_data_which_parameters(title: str, cells: Mapping | None = None) -> CourseFigure:
    """The 2 × 2 of *which data* × *which parameters*, with the row where nothing is trained.

    Args:
        cells: {("all" | "few", "one task" | "many tasks"): text, ("none", "one task"): text}.
    """
    cells = {**QUADRANTS, **(cells or {})}
    figure, axes = canvas(title, blank=True)
    top = axes.get_ylim()[1]
    left, right, header, foot = 138, SIZE[0] - 8, 46, 48
    width, height = (right - left) / 2, (top - header - foot - 6) / 2
    axes.text(
        (left + right) / 2,
        top - 3,
        "which data?",
        ha="center",
        va="top",
        fontsize=10,
        fontweight="bold",
    )
    columns = {"one task": "examples of one task", "many tasks": "many tasks, told as instructions"}
    for j, text in enumerate(columns.values()):
        axes.text(left + width * (j + 0.5), top - 24, text, ha="center", va="top", fontsize=9)
    axes.text(
        14, (top - header + foot) / 2, "which parameters?", rotation=90, ha="center", va="center",
        fontsize=10, fontweight="bold",
    )  # fmt: skip
    rows = {"all": "all of them", "few": "a few, or\na few new ones"}
    faces = {("few", "one task"): TINTS[BLUE], ("few", "many tasks"): TINTS[BLUE]}
    for i, (row, text) in enumerate(rows.items()):
        y = top - header - height * (i + 1)
        axes.text(left - 8, y + height / 2, text, ha="right", va="center", fontsize=9)
        for j, column in enumerate(columns):
            key = (row, column)
            edge, thick = (BLUE, 2.2) if row == "few" else ("#444444", 1.0)
            _box(
                axes, left + j * width, y, width, height, cells[key], size=9, edge=edge,
                face=faces.get(key, "white"), linewidth=thick,
            )  # fmt: skip
    axes.text(left - 8, foot / 2, "none", ha="right", va="center", fontsize=9)
    _box(
        axes, left, 4, 2 * width, foot - 8, cells["none", "one task"], size=9,
        face=TINTS[GREY], linestyle="--",
    )  # fmt: skip
    return figure


def forward_steps(config, rows: int, length: int) -> tuple[list, list]:
    """What one forward pass makes, with shapes: (the whole way, inside one block)."""
    d, vocabulary, layers = config.hidden_size, config.vocab_size, config.num_hidden_layers
    heads = config.num_attention_heads
    keys = getattr(config, "num_key_value_heads", None) or heads
    width = getattr(config, "head_dim", None) or d // heads
    inner = getattr(config, "intermediate_size", None) or 4 * d
    b, t = rows, length
    outer = [
        ("token ids", (b, t)),
        ("embeddings", (b, t, d)),
        (f"{layers} blocks", (b, t, d)),
        ("final norm", (b, t, d)),
        ("logits", (b, t, vocabulary)),
        ("loss", ()),
    ]
    same = (b, heads, t, width) if keys == heads else f"{b} ×\n{heads}, {keys} ×\n{t} × {width}"
    inside = [
        ("norm", (b, t, d)),
        ("q, k, v", same),
        ("shares", (b, heads, t, t)),
        ("attention", (b, heads, t, width)),
        ("output", (b, t, d)),
        ("+", (b, t, d)),
        ("2nd norm", (b, t, d)),
        ("feed-\nforward", (b, t, inner)),
        ("+", (b, t, d)),
    ]
    return outer, inside


def forward_map(outer: Sequence, inside: Sequence, title: str, *, zoom: int = 2) -> CourseFigure:
    """The map of one forward pass: boxes with shapes, and one block opened.

    Args:
        outer, inside: (name, shape) each; :func:`forward_steps` makes them from a config. A step
            named "+" is drawn as a sum, with a line to it past the steps before.
        zoom: which outer box is the one that is opened below.
    """
    figure, axes = canvas(title, blank=True)
    top = axes.get_ylim()[1]
    height, gap, sum_width = 80, 11, 16

    def row(steps: Sequence, x: float, end: float, y: float, edge: str) -> list[tuple]:
        sums = sum(name == "+" for name, _ in steps)
        small = 7.2 if len(steps) > 6 else 7.6
        free = end - x - gap * (len(steps) - 1) - sums * sum_width
        width, middle, places = free / (len(steps) - sums), y + height / 2, []
        for i, (name, dims) in enumerate(steps):
            if i:
                _arrow(axes, (x - gap + 2, middle), (x - 1, middle))
            if name == "+":
                axes.add_patch(
                    Circle((x + sum_width / 2, middle), sum_width / 2, fc="white", ec=VERMILION)
                )
                axes.text(x + sum_width / 2, middle, "+", ha="center", va="center", fontsize=10,
                          color=VERMILION, fontweight="bold")  # fmt: skip
                places.append((x, x + sum_width))
                x += sum_width + gap
                continue
            marked = TINTS[BLUE] if edge == BLUE or i == zoom else "white"
            _box(axes, x, y, width, height, face=marked, edge=edge)
            axes.text(
                x + width / 2, y + height - 9, name, ha="center", va="top", fontsize=small,
                fontweight="bold", linespacing=1.1,
            )  # fmt: skip
            axes.text(
                x + width / 2, y + height / 2 - 11, _shape(dims), ha="center", va="center",
                fontsize=8, linespacing=1.4, color="#222222",
            )  # fmt: skip
            places.append((x, x + width))
            x += width + gap
        return places

    upper, lower, right = top - height - 4, 24, SIZE[0] - 8
    left, end = row(outer, 8, right, upper, "#444444")[zoom]
    for start, stop in ((left, 10), (end, right - 2)):
        axes.plot([start, stop], [upper, lower + height + 46], color=BLUE, lw=0.8, ls=":")
    axes.text(
        SIZE[0] / 2, lower + height + 34, "inside one block", ha="center", va="bottom", fontsize=9,
        color=BLUE, fontweight="bold",
    )  # fmt: skip
    begin = 8 + 2 * gap  # x comes in here
    places, middle, over = row(inside, begin, right - 2 * gap, lower, BLUE), lower + height / 2, 14
    _arrow(axes, (8, middle), (begin - 1, middle))
    _arrow(axes, (places[-1][1] + 2, middle), (right, middle))
    fork = 8 + gap - 3
    for (name, _), (left, end) in zip(inside, places, strict=True):
        if name == "+":  # x goes past what was made from it, and is added
            x, high = (left + end) / 2, lower + height + over
            axes.plot([fork, fork, x], [middle, high, high], color=VERMILION, lw=1.6)
            _arrow(axes, (x, high), (x, middle + sum_width / 2), colour=VERMILION, width=1.6)
            axes.text((fork + x) / 2, high + 3, "x", ha="center", va="bottom", fontsize=8.5,
                      color=ink(VERMILION), fontweight="bold")  # fmt: skip
            fork = end + gap / 2
    axes.text(
        8, 4, "rows × places × numbers; the heads of attention count as a further axis",
        fontsize=8, color=GREY, va="bottom",
    )  # fmt: skip
    return figure


def _shape(dims) -> str:
    if isinstance(dims, str):
        return dims
    if not dims:
        return "one number"
    parts = [f"{n:,}" for n in dims]
    if len(parts) <= 2:
        return " × ".join(parts)
    half = 2 if len(parts) == 4 else 1
    return " × ".join(parts[:half]) + " ×\n" + " × ".join(parts[half:])


def brick_wall(
    layers: int, live: Mapping[str, Collection[int]], title: str, *, notes: Mapping | None = None
) -> CourseFigure:
    """Blocks as bricks, live or frozen; arrows show how far down the backward pass must go.

    Args:
        layers: number of blocks; block 0 is the lowest.
        live: name of a choice -> the blocks that are trained; one to four walls side by side.
        notes: name -> a line under the wall, e.g. "1.2 M trained, 31 ms".
    """
    if not 1 <= len(live) <= 4:
        raise ValueError(f"live: one to four walls fit side by side, {len(live)} given.")
    for name, blocks in live.items():
        unknown = sorted(set(blocks) - set(range(layers)))
        if unknown:
            raise ValueError(f"live: {name!r} names blocks {unknown}; there are 0 to {layers - 1}.")
    figure, axes = canvas(title, blank=True)
    top = axes.get_ylim()[1]
    foot = 44
    column = SIZE[0] / len(live)
    wall = min(150, column - 78)
    names = ["embeddings", *(f"block {i}" for i in range(layers)), "head", "loss"]
    height = (top - foot - 6) / len(names)
    for j, (name, blocks) in enumerate(live.items()):
        middle = (j + 0.5) * column
        x = middle - wall / 2
        for i, part in enumerate(names):
            y = foot + i * height
            is_live = i - 1 in set(blocks) and 0 < i <= layers
            if part == "loss":
                axes.text(middle, y + height / 2, "loss", ha="center", va="center", fontsize=8.5,
                          fontweight="bold")  # fmt: skip
                continue
            face, edge = (TINTS[VERMILION], VERMILION) if is_live else ("#F2F2F2", "#9A9A9A")
            axes.add_patch(
                Rectangle((x, y + 1.5), wall, height - 3, facecolor=face, edgecolor=edge,
                          linewidth=1.8 if is_live else 0.8,
                          hatch=None if is_live else "////" if 0 < i <= layers else None)
            )  # fmt: skip
            said = f"{part}, live" if is_live else part
            label = axes.text(
                middle, y + height / 2, said, ha="center", va="center",
                fontsize=8 if height > 13 else 6.5, fontweight="bold" if is_live else "normal",
                color=VERMILION if is_live else "#555555",
            )  # fmt: skip
            if not is_live:
                label.set_path_effects([effects.withStroke(linewidth=3, foreground="#F2F2F2")])
        end = foot + (layers + 2.2) * height
        _arrow(axes, (x - 13, foot + 2), (x - 13, end), colour=BLUE)
        _upright(axes, x - 23, (foot + end) / 2, "forward", BLUE)
        right = x + wall + 13
        if blocks:
            stop = foot + (min(blocks) + 1) * height + 1
            _arrow(axes, (right, end), (right, stop + 1), colour=VERMILION, line="--")
            axes.plot([right - 7, right + 7], [stop, stop], color=VERMILION, lw=2.4)
            _upright(axes, right + 11, (stop + end) / 2, "backward", VERMILION)
        else:
            _upright(axes, right + 8, (foot + end) / 2, "no backward pass", GREY)
        axes.text(middle, foot - 7, name, ha="center", va="top", fontsize=9.5, fontweight="bold")
        if notes and name in notes:
            axes.text(
                middle, foot - 23, notes[name], ha="center", va="top", fontsize=8, color="#444444"
            )
    return figure


def _upright(axes: Axes, x, y, text, colour) -> None:
    axes.text(x, y, text, rotation=90, ha="center", va="center", fontsize=8, color=colour)


def sequence_rows(rows: Mapping[str, Sequence], n: int, title: str) -> CourseFigure:
    """The sequence [prompt][real tokens] with what belongs to each place, a line each.

    Args:
        rows: name of a line -> one entry a place; the first line is what stands there. -100 and
            None are drawn pale: not scored, nothing there.
        n: how many places at the front are virtual.
    """
    lengths = {name: len(values) for name, values in rows.items()}
    if len(set(lengths.values())) != 1:
        raise ValueError(f"rows: every line has one entry a place, but the lengths are {lengths}.")
    places = next(iter(lengths.values()))
    if not 0 <= n <= places:
        raise ValueError(f"n={n}: there are {places} places.")
    left, head, foot, height = 92, 30, 8, min(44, 240 / len(rows))
    size = (SIZE[0], int(42 + head + foot + height * len(rows)))
    figure, axes = canvas(title, size=size, blank=True)
    top = axes.get_ylim()[1]
    width = (SIZE[0] - left - 8) / places
    height = (top - head - foot) / len(rows)
    size = 8.5 if width > 38 else 7.5 if width > 29 else 6.4 if width > 22 else 5
    start = top - head
    heads = [("learned", VERMILION, 0, n), ("real tokens", BLUE, n, places)]
    for said, colour, first, end in heads:
        if first < end:
            middle = max(left + (first + end) * width / 2, left + 24)  # over a narrow part, too
            axes.text(middle, start + 6, said, ha="center", fontsize=9, color=colour,
                      fontweight="bold")  # fmt: skip
    for i, (name, values) in enumerate(rows.items()):
        y = start - (i + 1) * height
        axes.text(left - 8, y + height / 2, name, ha="right", va="center", fontsize=9)
        for j, value in enumerate(values):
            empty = value is None or value == -100
            face = "white" if empty else TINTS[VERMILION] if j < n else TINTS[BLUE]
            axes.add_patch(
                Rectangle((left + j * width + 1, y + 2), width - 2, height - 4, facecolor=face,
                          edgecolor=VERMILION if j < n else BLUE, linewidth=0.9)
            )  # fmt: skip
            text = "" if value is None else str(value)
            axes.text(
                left + (j + 0.5) * width, y + height / 2, _fit(text, width, size), ha="center",
                va="center", fontsize=size, color=GREY if empty else "#222222",
            )  # fmt: skip
    if 0 < n < places:
        x = left + n * width
        axes.plot([x, x], [start - len(rows) * height, start + 4], color=BLACK, lw=1.4)
    return figure


def _fit(text: str, width: float, size: float) -> str:
    most = max(1, int(width / (size * 0.86)))
    return text if len(text) <= most else text[: max(1, most - 1)] + "…"


def tied_and_free(
    layers: int, length: int, title: str, *, free: Collection[int] | None = None
) -> CourseFigure:
    """Prompt beside prefix: which cells of layers × places are free to learn, which follow.

    Args:
        layers, length: the grid.
        free: layers in which the prefix is free (None: all).
    """
    free = set(range(layers)) if free is None else set(free)
    figure, axes = canvas(title, blank=True)
    top = axes.get_ylim()[1]
    half, foot, head = SIZE[0] / 2, 40, 22
    rows = layers + 1  # the input, then the layers
    height = (top - foot - head) / rows
    for side, (name, is_free) in enumerate(
        (("soft prompt", lambda layer: layer == -1), ("prefix", lambda layer: layer in free))
    ):
        left, right = side * half + 66, (side + 1) * half - 12
        width = (right - left) / length
        axes.text(
            (left + right) / 2, top - 2, name, ha="center", va="top", fontsize=10, fontweight="bold"
        )
        for layer in range(-1, layers):
            y = foot + (layer + 1) * height
            said = "input" if layer == -1 else f"layer {layer}"
            axes.text(left - 6, y + height / 2, said, ha="right", va="center", fontsize=8.5)
            if layer == -1 and side == 1:
                axes.text(
                    (left + right) / 2, y + height / 2, "nothing at the input", ha="center",
                    va="center", fontsize=8, color=GREY,
                )  # fmt: skip
                continue
            for place in range(length):
                own = is_free(layer)
                axes.add_patch(
                    Rectangle(
                        (left + place * width + 1.5, y + 1.5),
                        width - 3,
                        height - 3,
                        facecolor=TINTS[VERMILION] if own else "#F2F2F2",
                        edgecolor=VERMILION if own else "#9A9A9A",
                        linewidth=1.6 if own else 0.7,
                        hatch=None if own else "////",
                    )  # fmt: skip
                )
            if side == 0 and layer >= 0:  # the one voice climbs through the layers
                for place in range(length):
                    x = left + (place + 0.5) * width
                    _arrow(
                        axes, (x, y - height * 0.25), (x, y + height * 0.25), colour=GREY, width=0.9
                    )
    for x, face, edge, hatch, text in (
        (half - 190, TINTS[VERMILION], VERMILION, None, "free: learned"),
        (half - 40, "#F2F2F2", "#9A9A9A", "////", "tied: computed from what is below"),
    ):
        axes.add_patch(Rectangle((x, 12), 20, 13, facecolor=face, edgecolor=edge, hatch=hatch))
        axes.text(x + 27, 18.5, text, va="center", fontsize=8.5)
    return figure
