"""The house style of every figure, and the one way to show it: exactly one PNG and one sentence.

A figure is made without pyplot, so nothing is displayed twice and nothing stays open. Colours are
those of Okabe and Ito (2008), which colour-blind readers can tell apart; each goes with a line
style and a marker of its own, so that a grey print can be read too.
"""

import base64
import io
import math
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

BLUE, ORANGE, GREEN, VERMILION = "#0072B2", "#E69F00", "#009E73", "#D55E00"
SKY, PURPLE, YELLOW, BLACK = "#56B4E9", "#CC79A7", "#F0E442", "#000000"
GREY, PALE = "#767676", "#E4E4E4"
CYCLE = [
    (BLUE, "-", "o"),
    (VERMILION, "--", "s"),
    (GREEN, "-.", "^"),
    (PURPLE, (0, (5, 1, 1, 1, 1, 1)), "D"),
    (ORANGE, (0, (3, 1)), "v"),
    (BLACK, ":", "X"),
    (SKY, (0, (1, 1)), "P"),
]
# A method keeps its colour, line and marker. The hue says what it changes: weights of the base
# orange, virtual tokens green, modules vermilion, low rank blue, hybrids purple.
BROWN, PINE, NAVY, PLUM = "#8A5A00", "#004D38", "#002F4D", "#6B2F50"
METHODS = {
    "full": (ORANGE, "-", "v"),
    "full fine-tuning": (ORANGE, "-", "v"),
    "top 2": (BROWN, "--", "<"),
    "top 1": (BROWN, ":", ">"),
    "BitFit": (ORANGE, "--", "D"),
    "prompt": (GREEN, "-.", "^"),
    "prefix (text)": (PINE, (0, (3, 1)), "P"),
    "prefix (MLP)": (PINE, ":", "d"),
    "P-tuning": (GREEN, ":", "X"),
    "LoRA 8, all": (BLUE, "-", "o"),
    "LoRA 1": (BLUE, ":", "*"),
    "LoRA 8": (SKY, "--", "X"),
    "DoRA 8": (SKY, ":", "d"),
    "LoRA 8, all + embeddings": (NAVY, "-.", "*"),
    "embeddings": (BROWN, "-", "h"),
    "Houlsby 8": (VERMILION, "-", "s"),
    "Pfeiffer 16": (VERMILION, "--", "d"),
    "parallel 16": (VERMILION, "-.", ">"),
    "parallel 1": (VERMILION, "-.", ">"),  # the widths share a look
    "IA3": (VERMILION, ":", "p"),
    "MAM": (PURPLE, "-", "D"),
    "UniPELT": (PLUM, "--", "s"),
}
SIZE, DPI = (576, 326), 96  # pixels; pixels an inch
RC = {
    "font.size": 9,
    "font.family": ["DejaVu Sans"],
    "axes.titlesize": 9,
    "axes.labelsize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#444444",
    "axes.labelcolor": "#222222",
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "xtick.color": "#444444",
    "ytick.color": "#444444",
    "lines.linewidth": 1.8,
    "lines.markersize": 4.5,
    "hatch.linewidth": 0.6,
    "figure.dpi": DPI,
    "savefig.dpi": DPI,
    "savefig.bbox": "standard",
    "svg.fonttype": "none",
}


class CourseFigure(Figure):
    """A figure of the course; as the last expression of a cell it shows itself as one PNG."""

    course_title = ""

    def _repr_png_(self) -> bytes:
        return png(self)

    def __repr__(self) -> str:
        return f"<figure: {self.course_title}>"


def canvas(
    title: str,
    *,
    origin: str | None = None,
    size: tuple[int, int] = SIZE,
    rows: int = 1,
    columns: int = 1,
    blank: bool = False,
    legend: Sequence[tuple[str, Any]] = (),
    note: str | None = None,
    **subplots: Any,
) -> tuple[CourseFigure, Any]:
    """A titled figure and its axes (one, or an array).

    Args:
        title: the finding, in a short sentence.
        origin: how the numbers came about: "live, 1 seed" or "stored, 5 seeds, COMMAND".
        size: width and height in pixels at 96 an inch.
        blank: for a drawing: no axes are drawn, and the axes count pixels.
        legend: (name, handle) of each series, under the title, in as many lines as they need.
        note: how to read bands and bars; stands at the foot, on the left.
    """
    if not title or not title.strip():
        raise ValueError("title: a figure needs one; say what it shows, as a finding.")
    with matplotlib.rc_context(RC):
        figure = CourseFigure(figsize=(size[0] / DPI, size[1] / DPI), dpi=DPI, facecolor="white")
        FigureCanvasAgg(figure)
        figure.course_title = title
        lines = textwrap.wrap(title, int(size[0] / 8.7))
        head, foot = 10 + 16 * len(lines), 17 if origin or note else 3  # pixels
        stacked = len(note or "") + len(origin or "") > (size[0] - 24) / 4.6 and note and origin
        foot += 12 * bool(stacked)
        figure.text(
            8 / size[0], 1 - 6 / size[1], "\n".join(lines), ha="left", va="top",
            fontsize=10.5, fontweight="bold", color="#222222", linespacing=1.15,
        )  # fmt: skip
        if legend:
            wide = sum(45 + 5 * len(name) for name, _ in legend)  # pixels, about
            legend_lines = max(math.ceil(len(legend) / 6), math.ceil(wide / size[0]))
            figure.legend(
                [handle for _, handle in legend], [name for name, _ in legend], loc="upper left",
                bbox_to_anchor=(2 / size[0], 1 - (head - 3) / size[1]),
                ncols=-(-len(legend) // legend_lines),
                frameon=False, fontsize=8.5, handlelength=3, borderaxespad=0, columnspacing=1.6,
            )  # fmt: skip
            head += 4 + 16 * legend_lines
        if note:
            figure.text(
                8 / size[0],
                (16 if stacked else 4) / size[1],
                note,
                ha="left",
                va="bottom",
                fontsize=7,
                color=GREY,
            )
        if origin:
            figure.text(
                1 - 6 / size[0], 4 / size[1], origin, ha="right", va="bottom",
                fontsize=7, color=GREY,
            )  # fmt: skip
        bottom, height = foot / size[1], 1 - (head + foot) / size[1]
        if blank:
            axes = figure.add_axes((0, bottom, 1, height))
            axes.set(xlim=(0, size[0]), ylim=(0, size[1] - head - foot))
            axes.axis("off")
            return figure, axes
        figure.set_layout_engine(
            "constrained", rect=(0, bottom, 1, height), w_pad=0.06, h_pad=0.04, wspace=0.06
        )
        axes = figure.subplots(rows, columns, **subplots)
    return figure, axes


def png(figure: Figure) -> bytes:
    """The figure as a PNG. The same figure gives the same bytes: no date, no version inside."""
    from PIL import Image

    drawn, small = io.BytesIO(), io.BytesIO()
    with matplotlib.rc_context(RC):
        figure.savefig(drawn, format="png", metadata={"Software": None})
    # 256 colours are enough for print and line, and make the file half as large
    picture = Image.open(drawn).convert("RGB")
    picture = picture.quantize(256, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    picture.save(small, format="png", optimize=True, dpi=(DPI, DPI))
    return small.getvalue()


def show(figure: Figure, see: str) -> None:
    """Display the figure once, and under it a sentence that says what to see.

    In a notebook: one PNG, with the title as its text. Elsewhere only the texts are printed.

    Raises:
        ValueError: ``see`` is empty; a reader who cannot see the picture has nothing else.
    """
    if not see or not see.strip():
        raise ValueError('see: say what to see, e.g. show(figure, see="Both curves fall …").')
    title = getattr(figure, "course_title", "a figure")
    if in_notebook():
        from IPython.display import display

        data = base64.b64encode(png(figure)).decode("ascii")
        display({"image/png": data, "text/plain": f"[figure: {title}]"}, raw=True)
    else:
        print(f"[figure: {title}]")
    print(textwrap.fill(f"What to see: {see}", 88))


def in_notebook() -> bool:
    """True in a Jupyter kernel."""
    import sys

    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return shell is not None and hasattr(shell, "kernel")


# ---- what a comparison must keep to --------------------------------------------------------------


def several(runs: Mapping[Any, Sequence[float]], what: str, at_least: int = 3) -> None:
    """Refuse to compare what was run fewer than three times.

    Raises:
        ValueError: names the series that has too few seeds.
    """
    for name, values in runs.items():
        count = len(values) if hasattr(values, "__len__") else 1
        if count < at_least:
            raise ValueError(
                f"{what} {name!r} has {count} seed{'s' * (count != 1)}; a comparison needs at "
                "least "
                f"{at_least}: one seed cannot tell a difference from luck."
            )


def one_base(bases: Iterable[str]) -> str:
    """Refuse to mix runs of different base models.

    Args:
        bases: the base's fingerprint of each run.

    Raises:
        ValueError: no fingerprint, or more than one.
    """
    if isinstance(bases, str):
        bases = [bases]
    found = sorted({str(base) for base in bases if base})
    if len(found) != 1:
        said = "none is given" if not found else f"{len(found)} are mixed: {', '.join(found)}"
        raise ValueError(
            f"bases: the runs of one figure rest on one base model; {said}. Give the fingerprint "
            "that each run recorded, and leave out the runs of other bases."
        )
    return found[0]


# ---- labels that do not collide
# -------------------------------------------------------------------


def spread(places: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Move places as little as needed so that neighbours are ``gap`` apart, within low … high."""
    order = sorted(range(len(places)), key=lambda i: places[i])
    groups: list[list] = []  # [centre, members]
    for i in order:
        groups.append([places[i], [i]])
        while len(groups) > 1:
            (a, first), (b, second) = groups[-2:]
            if b - a >= gap * (len(first) + len(second)) / 2:
                break
            centre = sum(places[j] for j in first + second) / (len(first) + len(second))
            groups[-2:] = [[centre, first + second]]
    out = [0.0] * len(places)
    for centre, members in groups:
        half = gap * (len(members) - 1) / 2
        centre = (
            min(max(centre, low + half), high - half) if high - low > 2 * half else (low + high) / 2
        )
        for rank, j in enumerate(members):
            out[j] = centre - half + gap * rank
    return out


def end_labels(axes: Axes, labels: Sequence[tuple[str, float, str]], *, size: float = 8.5) -> None:
    """Names beside the right ends of lines, moved apart where they would collide.

    Args:
        labels: (text, y of the line's end, colour).
    """
    if not labels:
        return
    low, high = axes.get_ylim()
    height = axes.figure.get_figheight() * 72 * 0.68 / axes.get_subplotspec().get_gridspec().nrows
    lines = max(text.count("\n") for text, _, _ in labels) + 1
    log = axes.get_yscale() == "log"

    def share(y: float) -> float:  # 0 … 1 from bottom to top
        if log:
            return (math.log(y) - math.log(low)) / (math.log(high) - math.log(low))
        return (y - low) / (high - low)

    gap = 1.22 * size * lines / height
    places = spread([share(y) for _, y, _ in labels], gap, 0.0, 1.0)
    for (text, y, colour), place in zip(labels, places, strict=True):
        moved = abs(place - share(y)) > 0.02
        line = {"arrowstyle": "-", "color": colour, "lw": 0.6, "shrinkA": 0, "shrinkB": 0}
        axes.annotate(
            text, xy=(1, share(y)), xycoords="axes fraction", xytext=(1.03, place),
            textcoords="axes fraction", fontsize=size, ha="left", va="center", color=ink(colour),
            annotation_clip=False, arrowprops=line if moved else None,
        )  # fmt: skip


def size_text(count: float) -> str:
    """Bytes in words: "7.5 KB", "5.2 MB": thousands of 1000, as file managers show them."""
    for unit in ("B", "KB", "MB"):
        if abs(count) < 999.5:
            return f"{round(count, 0 if abs(count) >= 100 else 1):g} {unit}"
        count /= 1000
    return f"{round(count, 1):g} GB" if abs(count) < 999.5 else f"{round(count / 1000, 1):g} TB"


def count_text(count: float) -> str:
    """A count in short: 960, 7.7 k, 1.3 M."""
    for unit, scale in (("M", 1e6), ("k", 1e3)):
        if abs(count) >= 0.9995 * scale:
            return f"{count / scale:.3g} {unit}"
    return f"{count:.0f}"


DEEP = {ORANGE: "#9A6700", SKY: "#2E79A8", YELLOW: "#7A6F00", PURPLE: "#A8477D", GREEN: "#007A5A"}


def ink(colour: str) -> str:
    """The colour for letters: pale ones are darkened, so that small text can be read."""
    return DEEP.get(colour, colour)


def style_of(index: int) -> tuple[str, Any, str]:
    """Colour, line style and marker of the index-th series; colours come round, markers do not."""
    colour, line, marker = CYCLE[index % len(CYCLE)]
    return colour, line, marker if index < len(CYCLE) else "<>*hpHd"[index % len(CYCLE)]


def styles_of(names: Iterable[str]) -> dict[str, tuple[str, Any, str]]:
    """Colour, line style and marker of each: a method's own if all are METHODS, else by place."""
    names = list(names)
    if set(names) <= set(METHODS):
        return {name: METHODS[name] for name in names}
    return {name: style_of(i) for i, name in enumerate(names)}
