"""Figures: made from plain data, said in words, refused where they would compare what does not
compare."""

import io
import re
import subprocess
import sys
from itertools import pairwise
from statistics import fmean

import pytest
import tiny
from matplotlib.figure import Figure
from matplotlib.image import imread
from matplotlib.patches import Circle
from matplotlib.text import Text

from peft_lab import plots
from peft_lab.claims import Interval
from peft_lab.plots import style
from peft_lab.plots.style import SIZE, canvas, count_text, end_labels, size_text, spread

BASES = ["abc", "abc"]
ORIGIN = "stored, 3 seeds, python tools/sweep.py summary"
CARDS = [
    {"name": "a poem", "text": "The moon,\nthe spoon.", "bytes": 7_680},
    {"name": "a mood", "text": "sad", "bytes": 7_680},
]
RUNS = [4.1, 4.2, 4.3]
GAP = Interval(0.1, 0.05, 0.15)
STACK = {"weights": 1e6, "gradients": 1e6, "optimizer": 2e6, "activations": 3e6}
PLACES = {"position": [0, 1, 2], "label": [-100, None, 7]}
FORWARD = plots.forward_steps(tiny.config("llama"), 2, 7)
PANELS = {"loss": {1: RUNS, 2: RUNS}, "seconds": {1: 20, 2: 30}, "bytes": {1: [5.0], 2: [6.0]}}
HISTORY = {"train": [(i, 5 - i / 10) for i in range(10)], "validation": [(0, 5.0), (9, 4.3)]}
MANY = dict(bases=BASES, origin=ORIGIN)  # what several runs need
FIGURES = {
    "text_cards": ((CARDS,), {"model_bytes": 2.6e6, "origin": "live, 1 seed"}),
    "which_data_which_parameters": ((), {}),
    "forward_map": (FORWARD, {}),
    "memory_stack": (({"predicted": STACK, "measured": STACK},), {"origin": "live, 1 seed"}),
    "loss_curves": (({"poems": [(0, 4.7), (9, 4.2)], "stories": [(0, 3.5), (9, 3.9)]},),
                    {"baselines": {"base": 4.7}}),
    "live_curve": ((HISTORY,), {}),
    "brick_wall": ((3, {"top 1": {2}, "none": set()}), {"notes": {"top 1": "0.2 M"}}),
    "against_k": (({"top": PANELS, "bottom": PANELS},), {**MANY, "baselines": {"base": 4.7}}),
    "sequence_rows": ((PLACES, 1), {}),
    "heat_map": (([[4.1, None], [4.2, 4.9]], ["a", "b"], ["0.1", "1"]),
                 {"xlabel": "rate", "ylabel": "start", "unit": "nats a token", "best": "min",
                  "seeds": 3, **MANY}),
    "with_band": (({"prompt": {1: RUNS, 5: RUNS}},),
                  {**MANY, "xlabel": "vectors", "log": True, "baselines": {"base": 4.7}}),
    "norms": (([1.0, 1.2, 1.1] * 20, {"learned": [2.0, 30.0]}), {}),
    "tied_and_free": ((3, 5), {"free": {2}}),
    "cut_in_places": ((), {"notes": {"IA3": "2.4 k numbers"}}),
    "beside": (({"IA3": (0.2, 4), "merged": (0, -1)},),
               {"panels": ("operations (count)", "time (%)"), "origin": "live, 1 seed"}),
    "against_parameters": (({"prompt": (640, RUNS), "full": (1_300_000, RUNS)},),
                           {**MANY, "baselines": {"base": 4.7}}),
    "rate_sensitivity": (({"direct": {1e-3: RUNS, 1e-2: [4.0, 4.1, float("nan")]}},),
                         {**MANY, "ceiling": 6.0}),
    "low_rank": ((344, 128, 8), {}),
    "spectra": (({"full": [3.0, 2.0, 0.5], "LoRA": [2.0, 0.0, 1.0], "random": [1.0] * 3},),
                {"origin": "live, 1 seed"}),
    "against_energy": (({"strongest": [(0.2, 4.1), (1.0, 3.9)]},),
                       {"dots": {"by chance": [(0.1, 4.5)]}, "notes": [("4", 0.2, 4.1)],
                        "baselines": {"none": 4.7}, "origin": "live, 1 seed"}),
    "learn_forget": (({"full": {1e-4: (0.3, 0.1), 1e-3: (0.6, 0.4)}, "LoRA": {0.01: (0.5, -0.1)}},),
                     {"origin": "live, 1 seed"}),
    "where_they_act": (({"prompt + LoRA": {"the input": "prompt", "weights of q, v": "LoRA"}},),
                       {}),
    "parts_and_sum": (({"MAM": {"MAM": (18_976, RUNS, "sum"), "prefix": (20_480, RUNS, "part"),
                                "LoRA 16": (32_768, RUNS, "control")}},), MANY),
    "gate_map": (({"prefix": [0.4, 0.6], "adapter": [[0.1] * 30] * 2, "lora": [[0.9] * 30] * 2},
                  ["▁little"] * 30), {"origin": "live, 1 seed"}),
    "budget_bar": (({"prompt": 2_560, "LoRA": 14_336}, 17_000), {}),
    "quality_and_price": (({"prompt": RUNS, "LoRA 8, all": [3.9, 3.8, 3.85]},
                           {"numbers (log)": {"prompt": 2_560, "LoRA 8, all": 78_080},
                            "a step (ms)": {"prompt": 40.0}}),
                          {**MANY, "linear": ("a step (ms)",), "gain": (4.6, 3.7)}),
    "gains_by_task": (({"poems": {"LoRA": [0.9, 0.95, 0.92], "prompt": [0.5, 0.6, 0.4]},
                        "code": {"LoRA": [0.1, 0.2, 0.15], "prompt": [0.0, 0.1, 0.05]},
                        "nepali": {"LoRA": [1.1, 1.2, 1.05]}},),
                      {"zeros": {"poems": "the base", "code": "the base", "nepali": "a guess"},
                       "counts": {"LoRA": 16_384, "prompt": 2_560}, **MANY}),
    "four_ways": (({"one step": {"full": 44.0, "prompt": 40.0},
                    "after 15 steps": {"full": RUNS, "prompt": [4.5, 4.6, 4.7]},
                    "to swap": {"full": 30.0, "prompt": 0.4}},),
                  {"units": {"one step": "ms", "after 15 steps": "nats a token", "to swap": "ms"},
                   "log": ("to swap",), **MANY}),
    "verdict_table": (([("PEFT works as well, or almost as well, as full fine-tuning",
                         "the task", "on poems 0.05 nats behind, on moods 0.10"),
                        ("fewer steps", "the method", "4.2 against 4.6 after 15 steps")],), {}),
    "against_size": (({"LoRA": {1e8: 0.3, 176e9: 0.02}, "prompt": {1e8: 0.01}},),
                     {"ylabel": "trained numbers (% of the count)", "limits": {"24 GiB": 0.1},
                      "origin": "by formula"}),
    "gaps_by_size": (({"gap (nats a token)": {"prompt": {4e5: RUNS, 3e6: RUNS}},
                       "share (%)": {"prompt": {4e5: RUNS, 3e6: RUNS}}},),
                     {"bases": {4e5: BASES, 3e6: ["abd"]}, "origin": ORIGIN}),
    "mixed_batch": (([("poems", 5, ["<bos>", "the", "moon"]), ("plain", 0, ["<bos>"]),
                      ("moods", 3, ["<bos>", "thousand", "it", "rained"])],),
                    {"origin": "drawn"}),
    "what_is_new": (({"seen words": {"job": ("find", False), "words": ("Name it.", False)},
                      "new task": {"job": ("turn", True), "words": ("Turn it.", True)}},),
                    {"foot": "one row of each"}),
    "by_rung": (({"loss, nats a token": {"one": [RUNS, RUNS], "many": [RUNS, RUNS]},
                  "worth": {"one": [RUNS, RUNS], "many": [RUNS, [0.1, -0.1, 0.2]]}},
                 ["seen words", "new task"]),
                {**MANY, "base": {"loss, nats a token": [5.3, 4.6], "worth": [0, 0]},
                 "zero": ["worth"]}),
    "pair_gaps": (({"loss (nats a token)": {"all: six less one": Interval(0.1, -0.1, 0.3)},
                    "right answers (share)": {"all: six less one": Interval(0.1, 0.05, 0.15)}},),
                  {**MANY, "better": {"loss (nats a token)": "low",
                                      "right answers (share)": "high"}}),
    "log_dots": (({"detach": 0.2, "read a model of the hub from the disk": 4000.0},),
                 {"unit": "time (ms)", "text": lambda v: f"{v:.3g} ms", "origin": "live"}),
}  # fmt: skip
TITLE = "What was found, in one short sentence"


def make(name: str, **changes) -> Figure:
    args, options = FIGURES[name]
    places = {"brick_wall": 2, "sequence_rows": 2, "heat_map": 3, "tied_and_free": 2}
    places |= {
        "low_rank": 3,
        "norms": 2,
        "forward_map": 2,
        "live_curve": 1,
        "which_data_which_parameters": 0,
        "cut_in_places": 0,
        "gate_map": 2,
        "budget_bar": 2,
        "quality_and_price": 2,
        "by_rung": 2,
    }
    at = places.get(name, 1)
    return getattr(plots, name)(*args[:at], TITLE, *args[at:], **{**options, **changes})


def texts(figure: Figure) -> list[str]:
    return [t.get_text() for t in figure.findobj(lambda a: hasattr(a, "get_text")) if t.get_text()]


@pytest.mark.parametrize("name", FIGURES)
def test_figure_has_title_and_size_and_nothing_is_clipped(name):
    figure = make(name)
    data = plots.png(figure)
    assert data == plots.png(make(name))  # the same data, the same bytes
    assert isinstance(figure, Figure) and any(TITLE in t.replace("\n", " ") for t in texts(figure))
    height, width = imread(io.BytesIO(data)).shape[:2]
    assert width == SIZE[0] and height <= SIZE[1]
    renderer = figure.canvas.get_renderer()
    ticks = set()
    found = {}
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis) if axes.axison else ():
            # ticks beyond the ends of the axis exist and are not drawn: ask for what is
            ticks |= {id(t) for tick in (*axis.majorTicks, *axis.minorTicks)
                      for t in (tick.label1, tick.label2)}  # fmt: skip
            found[f"ticks of {axis}"] = axis.get_tightbbox(renderer)
    for text in figure.findobj(Text):
        if text.get_text().strip() and id(text) not in ticks and text.get_visible():
            found[text.get_text()] = Text.get_window_extent(text, renderer)
    for what, box in found.items():
        if box is not None:
            inside = box.x0 >= -1 and box.x1 <= width + 1 and box.y0 >= -1 and box.y1 <= height + 1
            assert inside, (what, box)


@pytest.mark.parametrize("names", [("full", "LoRA 8"), ("one", "other")])
def test_points_look_as_the_legend_says(names):
    points = {name: {1e8: 0.3, 1e9: 0.02 + i} for i, name in enumerate(names)}
    figure = plots.against_size(points, TITLE, ylabel="%")
    (legend,) = figure.legends
    drawn = [(line.get_color(), line.get_marker()) for line in figure.axes[0].lines]
    assert drawn == [(h.get_color(), h.get_marker()) for h in legend.legend_handles]


WITH_AXES = ["memory_stack", "loss_curves", "live_curve", "against_k", "heat_map", "with_band",
             "norms", "against_parameters", "rate_sensitivity", "beside", "against_energy",
             "learn_forget", "gaps_by_size"]  # fmt: skip


@pytest.mark.parametrize("name", WITH_AXES)
def test_axes_have_labels_with_units(name):
    figure = make(name)
    for axes in figure.axes:
        if axes.get_label() == "<colorbar>":
            assert "nats" in axes.get_ylabel()
            continue
        assert axes.get_xlabel()
        named = name in ("memory_stack", "beside")  # each bar by its tick
        assert axes.get_ylabel() or axes.get_title(loc="left") or named
        spines = [axes.spines[side].get_visible() for side in ("top", "right")]
        assert spines == [False, False]
    said = " ".join(texts(figure))
    assert re.search(r"\((nats a token|MB|count|bytes|ms a step)|nats a token", said)


@pytest.mark.parametrize("name", [n for n, (_, o) in FIGURES.items() if "origin" in o])
def test_origin_stands_at_the_foot(name):
    figure = make(name)
    (line,) = [t for t in figure.texts if t.get_text() == FIGURES[name][1]["origin"]]
    assert line.get_fontsize() == 7 and line.get_position()[1] < 0.05


SEVERAL = [n for n, (_, o) in FIGURES.items() if "bases" in o and n != "gaps_by_size"]


@pytest.mark.parametrize("name", SEVERAL)
def test_refuses_mixed_or_missing_bases(name):
    for wrong, said in ((["abc", "abd"], "abc, abd"), ([], "none is given"), ([None], "none")):
        with pytest.raises(ValueError, match=f"bases: .*{said}"):
            make(name, bases=wrong)
    make(name, bases="abc")


def test_a_family_has_one_base_a_size():
    for wrong in ({4e5: ["abc", "abd"], 3e6: ["abe"]}, {4e5: BASES}):
        with pytest.raises(ValueError, match="bases: .*(abc, abd|none is given)"):
            make("gaps_by_size", bases=wrong)


def test_a_family_is_drawn_as_far_as_it_goes():
    for axes in make("gaps_by_size").axes:
        low, high = axes.get_xlim()
        assert 3e5 < low < 4e5 and 3e6 < high < 4e6 and axes.get_ylim()[0] == 0
        assert [t.get_text() for t in axes.get_xticklabels()] == ["0.4 M", "3 M"]


FEW = [4.1, 4.2]
TOO_FEW = {
    "against_k": ({"top": {**PANELS, "loss": {1: FEW}}},),
    "with_band": ({"prompt": {1: RUNS, 5: FEW}},),
    "against_parameters": ({"prompt": (640, FEW)},),
    "rate_sensitivity": ({"direct": {1e-3: FEW}},),
    "quality_and_price": ({"prompt": FEW}, {"n": {"prompt": 1}}),
    "gains_by_task": ({"poems": {"prompt": FEW}},),
    "four_ways": ({"one step": {"prompt": 40.0}, "after 15 steps": {"prompt": FEW}},),
    "by_rung": ({"loss": {"one": [FEW]}}, ["seen words"]),
    "gaps_by_size": ({"gap": {"prompt": {4e5: RUNS, 3e6: FEW}}},),
}


@pytest.mark.parametrize("name", TOO_FEW)
def test_refuses_fewer_than_three_seeds(name):
    options = FIGURES[name][1]
    with pytest.raises(ValueError, match="has 2 seeds; a comparison needs at least 3"):
        getattr(plots, name)(*TOO_FEW[name], TITLE, **options)


@pytest.mark.parametrize(
    ("words", "turned"), [(["is", "a"] * 5, 0), (["is", "thousand", "thousand", "a"] * 3, 35)]
)
def test_heat_map_turns_names_that_would_touch(words, turned):
    """ "thousand" and "holes" stood side by side as one word."""
    figure = plots.heat_map(
        [[0.5] * len(words)], ["head 0"], words, TITLE, xlabel="token", ylabel="", unit="share"
    )
    labels = figure.axes[0].get_xticklabels()
    assert [label.get_text() for label in labels] == words
    assert {label.get_rotation() for label in labels} == {turned}


def test_a_line_parts_rows_and_columns_of_two_kinds():
    plain, parted = (make("heat_map", split=split).axes[0].lines for split in (None, 1))
    assert len(parted) == len(plain) + 2
    across, down = parted[-2:]
    assert {*across.get_ydata()} == {0.5} == {*down.get_xdata()}


def test_gaps_of_pairs_tell_better_from_worse_from_open():
    gaps = {"up": GAP, "down": Interval(-0.1, -0.2, -0.05), "open": Interval(0.0, -0.1, 0.1)}
    worth = {"high": [style.BLUE, style.ORANGE, style.GREY]}
    worth["low"] = [worth["high"][i] for i in (1, 0, 2)]
    for better, colours in worth.items():
        figure = plots.pair_gaps({"x": gaps}, TITLE, better={"x": better}, **MANY)
        marks = [line for line in figure.axes[0].lines if line.get_marker() == "o"]
        assert [mark.get_color() for mark in marks] == colours
        ends = (
            ["\u2190 worse", "better \u2192"]
            if better == "high"
            else ["\u2190 better", "worse \u2192"]
        )
        assert [figure.axes[0].get_title(loc=side) for side in ("left", "right")] == ends


def test_a_band_over_draws_does_not_speak_of_seeds():
    said = [text.get_text() for text in make("with_band", of="draws").texts]
    assert any("mean of the draws" in text for text in said), said
    assert not any("seeds;" in text for text in said)
    assert any("mean of the seeds" in text.get_text() for text in make("with_band").texts)


def test_heat_map_of_runs_counts_its_seeds():
    with pytest.raises(ValueError, match="2 seeds"):
        make("heat_map", seeds=2)
    with pytest.raises(ValueError, match="none is given"):
        make("heat_map", bases=None)
    make("heat_map", seeds=None, bases=None)  # one forward pass is no comparison


def test_a_method_looks_the_same_in_every_figure():
    assert len({(colour, marker) for colour, _, marker in style.METHODS.values()}) == 20
    for names in (["prompt", "full"], ["full", "LoRA 8", "prompt"]):
        assert style.styles_of(names) == {name: style.METHODS[name] for name in names}
    assert style.styles_of(["prompt", "a name of its own"])["prompt"] == style.style_of(0)
    seen = []
    for figure in (
        plots.with_band({"LoRA 8": {1: RUNS}, "full": {1: RUNS}}, TITLE, xlabel="x", **MANY),
        plots.rate_sensitivity({"full": {1: RUNS}}, TITLE, **MANY),
        plots.four_ways({"a": {"full": RUNS, "IA3": RUNS}}, TITLE, units={"a": "s"}, **MANY),
        plots.gains_by_task(
            {"a": {"full": RUNS}}, TITLE, zeros={"a": "b"}, counts={"full": 9}, **MANY
        ),
        plots.quality_and_price({"full": RUNS}, {"n": {"full": 9}}, TITLE, **MANY),
    ):
        lines = figure.axes[0].lines
        seen.append({(line.get_color(), line.get_marker()) for line in lines})
    colour, _, marker = style.METHODS["full"]
    assert all((colour, marker) in marks for marks in seen)


def test_the_front_steps_down_at_each_lower_mean():
    """ "b" is dearer than "a" and no better; "c" costs as much as "b" and is the best."""
    losses = {name: [mean - 0.1, mean, mean + 0.1] for name, mean in
              {"a": 4.0, "b": 4.2, "c": 3.5, "d": 3.8}.items()}  # fmt: skip
    price = {"n": {"d": 9.0, "c": 3.0, "b": 3.0, "a": 1.0}}
    axes = plots.quality_and_price(losses, price, TITLE, linear=("n",), **MANY).axes[0]
    (front,) = (line for line in axes.lines if line.get_color() == style.GREY)
    top, right = axes.get_ylim()[1], axes.get_xlim()[1]
    corners = [(1, top), (1, 4.0), (3, 4.0), (3, 3.5), (right, 3.5)]
    assert front.get_xydata().ravel() == pytest.approx([v for corner in corners for v in corner])


def test_a_close_up_names_its_methods_and_has_a_loss_axis_of_its_own():
    losses = {name: [mean - 0.01, mean, mean + 0.01] for name, mean in
              {"a": 4.0, "b": 3.5, "c": 3.51}.items()}  # fmt: skip
    price = {"all": {"a": 1.0, "b": 8.0, "c": 9.0}, "close": {"b": 8.0, "c": 9.0}}
    figure = plots.quality_and_price(losses, price, TITLE, named=("a",), close_up=("close",),
                                     linear=("close",), gain=(4.5, 3.5), **MANY)  # fmt: skip
    wide, close = figure.axes
    assert [{text.get_text() for text in axes.texts} for axes in (wide, close)] == [
        {"a"},
        {"b", "c"},
    ]
    assert not figure.legends and close.get_ylim()[1] < 3.6 < wide.get_ylim()[1]
    (share,) = wide.child_axes
    figure.draw_without_rendering()
    low, top = wide.get_ylim()
    assert sorted(share.get_ylim()) == pytest.approx([4.5 - top, 4.5 - low])


def test_gains_are_ordered_by_the_numbers_that_are_trained_and_say_them():
    tasks = {"a": {"prompt": RUNS, "full": RUNS, "IA3": RUNS}}
    counts = {"IA3": 2_400, "prompt": 2_560, "full": 1_321_280}
    figure = plots.gains_by_task(tasks, TITLE, zeros={"a": "b"}, counts=counts, **MANY)
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert labels == ["full\n1,321,280", "prompt\n2,560", "IA3\n2,400"]


def test_numbers_of_one_panel_have_the_same_digits():
    panels = {"loss": {"full": 4.28, "IA3": 4.4}, "time": {"full": 42.0, "IA3": 8.51}}
    figure = plots.four_ways(panels, TITLE, units={"loss": "nats", "time": "ms"}, **MANY)
    said = [[text.get_text() for text in axes.texts] for axes in figure.axes]
    assert said == [["4.28", "4.40"], ["42.00", "8.51"]]


BAD = [
    (lambda: plots.loss_curves({}, TITLE), "nothing is given"),
    (lambda: plots.loss_curves({"poems": []}, TITLE), "poems.*no points"),
    (lambda: plots.live_curve({"train": [], "validation": []}), "no training step"),
    (lambda: plots.text_cards([], TITLE), "one to four"),
    (lambda: plots.text_cards(CARDS * 3, TITLE), "6 given"),
    (lambda: plots.brick_wall(3, {}, TITLE), "one to four"),
    (lambda: plots.brick_wall(3, {"top": {3}}, TITLE), r"\[3\]; there are 0 to 2"),
    (lambda: plots.sequence_rows({"a": [1], "b": [1, 2]}, 0, TITLE), "lengths"),
    (lambda: plots.sequence_rows({"a": [1]}, 2, TITLE), "n=2"),
    (lambda: plots.memory_stack({}, TITLE), "nothing"),
    (lambda: plots.what_is_new({"a": {"job": ("x", True)}, "b": {}}, TITLE), "the same parts"),
    (lambda: plots.by_rung({"loss": {"one": [RUNS]}}, ["a", "b"], TITLE, bases=BASES),
     "'one' has 1 of 2 rungs"),
    (lambda: plots.pair_gaps({}, TITLE, better={}, bases=BASES), "nothing is given"),
    (lambda: plots.pair_gaps({"a": {"x": GAP}, "b": {"y": GAP}}, TITLE, better={"a": "low"},
                             bases=BASES), r"b: the pairs must be \['x'\], not \['y'\]"),
    (lambda: plots.pair_gaps({"a": {"x": GAP}}, TITLE, better={}, bases=BASES),
     'say "low" or "high" of \'a\''),
    (lambda: plots.mixed_batch([], TITLE), "at least one"),
    (lambda: plots.mixed_batch([("a", 1, [])], TITLE), "at least one token"),
    (lambda: plots.mixed_batch([(n, 1, ["x"]) for n in "abcde"], TITLE), "5 members"),
    (lambda: plots.log_dots({}, TITLE, unit="s", text=str), "at least one"),
    (lambda: plots.log_dots({"a": 0.0}, TITLE, unit="s", text=str), "above 0"),
    (lambda: plots.against_size({"a": {1e8: 0.0}}, TITLE, ylabel="%"), "above 0"),
    (lambda: plots.gaps_by_size({}, TITLE, bases={}, origin=ORIGIN), "nothing"),
    (lambda: plots.beside({}, TITLE, panels=("a", "b")), "nothing"),
    (lambda: plots.cut_in_places(TITLE, ["under"]), "one to four of .*not .'under'"),
    (lambda: plots.cut_in_places(TITLE, []), "one to four"),
    (lambda: plots.where_they_act({"a": {"the moon": "prompt"}}, TITLE), "the moon"),
    (lambda: plots.parts_and_sum({}, TITLE, bases=BASES), "nothing"),
    (lambda: plots.parts_and_sum({"a": {"b": (1, RUNS, "whole")}}, TITLE, bases=BASES), "kinds"),
    (lambda: plots.gate_map({"prefix": [0.5], "adapter": [[0.5]], "lora": [[0.5]]}, ["a", "b"],
                            TITLE), "1 layers of 2 tokens"),
    (lambda: plots.budget_bar({"a": 5, "b": 6}, 10, TITLE), "cost 11"),
    (lambda: plots.heat_map([[1.0]], ["a"], ["b", "c"], TITLE, xlabel="", ylabel="", unit=""),
     "1 rows of 2"),
    (lambda: plots.heat_map([[None]], ["a"], ["b"], TITLE, xlabel="", ylabel="", unit=""),
     "no finite"),
    (lambda: plots.against_k({"top": {"loss": {1: RUNS}}}, TITLE, **MANY), "has no .*seconds"),
    (lambda: plots.against_parameters({"base": (0, RUNS)}, TITLE, **MANY), "baseline"),
    (lambda: plots.with_band({"a": {1: [float("nan")] * 3}}, TITLE, xlabel="x", **MANY),
     "diverged"),
    (lambda: plots.low_rank(4, 8, 5, TITLE), "rank=5: W is 4 × 8"),
    (lambda: plots.spectra({}, TITLE), "nothing"),
    (lambda: plots.spectra({"a": [0.0]}, TITLE), r"\['a'\] have no singular value"),
    (lambda: plots.against_energy({"a": [(1.2, 4.0)]}, TITLE), "from 0 to 1"),
    (lambda: plots.learn_forget({"a": {}}, TITLE), "a point at least"),
    (lambda: plots.learn_forget({"a": {1: (0, 0)}}, TITLE, frame=["b"]), "frame: .'b'. are not"),
    (lambda: plots.gains_by_task({}, TITLE, zeros={}, counts={}, **MANY), "nothing"),
    (lambda: plots.gains_by_task({"code": {"a": RUNS}}, TITLE, zeros={}, counts={}, **MANY),
     "what is 0 for 'code'"),
    (lambda: plots.four_ways({"x": {"a": 1.0}, "y": {"b": 1.0}}, TITLE, units={"x": "ms"},
                             **MANY), r"'y' has the methods \['b'\]"),
    (lambda: plots.four_ways({"x": {"a": 1.0}}, TITLE, units={}, **MANY), "'x' has none"),
    (lambda: plots.verdict_table([], TITLE), "nothing"),
    (lambda: canvas(" "), "title"),
    (lambda: plots.show(canvas(TITLE)[0], see=""), "see"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "text"), BAD)
def test_bad_input_is_named(call, text):
    with pytest.raises(ValueError, match=text):
        call()


def test_show_displays_one_png_and_says_what_to_see(monkeypatch, capsys):
    shown = []
    monkeypatch.setattr(style, "in_notebook", lambda: True)
    monkeypatch.setattr("IPython.display.display", lambda *a, **k: shown.append((a, k)))
    figure = make("tied_and_free")
    assert plots.show(figure, see="the hatched cells follow") is None
    ((data,), options) = shown.pop()
    assert not shown and options == {"raw": True}
    assert set(data) == {"image/png", "text/plain"}
    assert data["text/plain"] == f"[figure: {TITLE}]"  # the same on every machine
    assert capsys.readouterr().out == "What to see: the hatched cells follow\n"


def test_show_outside_a_notebook_prints(capsys):
    plots.show(make("tied_and_free"), see="the cells")
    assert capsys.readouterr().out == f"[figure: {TITLE}]\nWhat to see: the cells\n"


def test_repr_is_the_title():
    figure = make("tied_and_free")
    assert repr(figure) == f"<figure: {TITLE}>" and figure._repr_png_() == plots.png(figure)


def test_pyplot_is_not_imported():
    """It takes a second, and would show each figure a second time."""
    code = "import sys; from peft_lab import plots; print('matplotlib.pyplot' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_spectra_rings_stand_where_the_share_is_reached():
    """3, 2, 0.5: squares 9, 4, 0.25; two hold 98 %, one holds 68 %. Order does not matter."""
    figure = plots.spectra({"a": [0.5, 3.0, 2.0], "b": [1.0, 1.0]}, TITLE)
    rings = [line for line in figure.axes[1].lines if line.get_marker() == "o"]
    assert [list(line.get_xdata()) for line in rings] == [[2], [2]]
    figure = plots.spectra({"a": [0.5, 3.0, 2.0]}, TITLE, share=0.6)
    (ring,) = [line for line in figure.axes[1].lines if line.get_marker() == "o"]
    assert list(ring.get_xdata()) == [1]


def test_low_rank_is_drawn_to_one_scale():
    figure = plots.low_rank(344, 128, 8, TITLE)
    sides = [(p.get_height(), p.get_width()) for p in figure.axes[0].patches]
    scale = sides[0][0] / 344
    shapes = [(round(h / scale), round(w / scale)) for h, w in sides]
    assert shapes == [(344, 128), (344, 8), (8, 128)]


def test_spread_moves_as_little_as_needed():
    assert spread([0.1, 0.5, 0.9], 0.1, 0, 1) == [0.1, 0.5, 0.9]
    a, b = spread([0.5, 0.5], 0.1, 0, 1)
    assert (a, b) == pytest.approx((0.45, 0.55))
    for places in ([0.5] * 6, [0.0, 0.01, 0.02, 0.9], [1.0, 0.99, 0.98], [0.3, 0.1, 0.2, 0.25]):
        moved = spread(places, 0.1, 0, 1)
        ranked = sorted(moved)
        assert all(b - a >= 0.1 - 1e-9 for a, b in zip(ranked, ranked[1:], strict=False))
        assert min(moved) >= -1e-9 and max(moved) <= 1 + 1e-9
        order = sorted(range(len(places)), key=lambda i: places[i])
        assert [moved[i] for i in order] == ranked  # nobody overtakes


def boxes(figure: Figure, wanted) -> list:
    figure.draw_without_rendering()
    renderer = figure.canvas.get_renderer()
    return [
        Text.get_window_extent(t, renderer) for a in figure.axes for t in a.texts if wanted(t)
    ]  # of the text alone: an annotation's own would hold its arrow


def overlapping(found: list) -> list:
    return [
        (a, b)
        for i, a in enumerate(found)
        for b in found[i + 1 :]
        if min(a.x1, b.x1) - max(a.x0, b.x0) > 1 and min(a.y1, b.y1) - max(a.y0, b.y0) > 1
    ]


def test_end_labels_do_not_overlap():
    curves = {f"method {i}": [(0, 5.0), (9, 4.0 + i / 200)] for i in range(7)}
    found = boxes(plots.loss_curves(curves, TITLE), lambda t: t.get_text().startswith("method"))
    assert len(found) == 7 and not overlapping(found)


@pytest.mark.parametrize("crowd", [2, 9])
def test_names_of_points_do_not_overlap(crowd):
    points = {f"method {i}": (20_000 + 400 * i, [4.3 + i / 500] * 3) for i in range(crowd)}
    points["far"] = (2_000_000, [4.1, 4.1, 4.2])
    figure = plots.against_parameters(points, TITLE, **MANY)
    found = boxes(figure, lambda t: t.get_text() in points)
    assert len(found) == crowd + 1 and not overlapping(found)


def test_names_keep_clear_of_a_family_s_line():
    points = {"narrow": (1_540, [4.05, 4.1, 4.17]), "other": (2_400, [4.07, 4.08, 4.09]),
              "wide": (4_624, [3.99, 4, 4.01]), "widest": (66_304, [3.88, 3.89, 3.9])}  # fmt: skip
    family = ["narrow", "wide", "widest"]
    figure = plots.against_parameters(points, TITLE, joined=family, **MANY)
    found = boxes(figure, lambda t: t.get_text() in points)
    (axes,) = figure.axes
    ends = [axes.transData.transform((points[n][0], fmean(points[n][1]))) for n in family]
    for (x0, y0), (x1, y1) in pairwise(ends):
        for k in range(101):
            x, y = x0 + (x1 - x0) * k / 100, y0 + (y1 - y0) * k / 100
            assert not any(b.x0 < x < b.x1 and b.y0 < y < b.y1 for b in found)


def test_against_k_says_which_axis_is_cut():
    """The losses begin above 0, the costs at 0; side by side that must be said."""
    loss, *costs = make("against_k").axes
    assert "axis cut" in [t.get_text() for t in loss.texts] and loss.get_ylim()[0] > 0
    for axes in costs:
        assert not axes.texts and axes.get_ylim()[0] == 0


def test_sizes_and_counts_in_words():
    assert [size_text(n) for n in (0, 999, 7_680, 23_040, 1e6, 2_620_000, 3.5e9, 1.606e13)] == [
        "0 B", "999 B", "7.7 KB", "23 KB", "1 MB", "2.6 MB", "3.5 GB", "16.1 TB"]  # fmt: skip
    assert [count_text(n) for n in (0, 960, 7_680, 1_310_000)] == ["0", "960", "7.68 k", "1.31 M"]


def test_one_scale_for_two_panels_only_when_asked():
    rows, panels = {"IA3": (0.2, 4), "merged": (0, -1)}, ("work (%)", "time (%)")
    left, right = plots.beside(rows, TITLE, panels=panels, same_scale=True).axes
    assert left.get_xlim() == right.get_xlim() and left.get_xlim()[0] < -1
    left, right = plots.beside(rows, TITLE, panels=panels).axes
    assert left.get_xlim()[1] < 1 < 4 < right.get_xlim()[1]


def test_log_dots_that_are_compared_have_one_axis():
    limits = [
        plots.log_dots({"a": v}, TITLE, unit="bytes", text=str, span=(1, 1e6)).axes[0].get_xlim()
        for v in (10, 1e5)
    ]
    assert limits[0] == limits[1] and limits[0][0] < 1 and limits[0][1] > 1e6


def test_end_labels_on_a_log_axis():
    figure, axes = canvas(TITLE)
    axes.set_yscale("log")
    axes.set_ylim(1, 100)
    end_labels(axes, [("ten", 10, "black")])
    assert axes.texts[0].xyann[1] == pytest.approx(0.5)


def test_forward_steps_tell_the_real_shapes():
    import torch

    model = tiny.tiny("llama", torch.float32)
    outer, inside = map(dict, FORWARD)
    assert [name for name, _ in FORWARD[1]].count("+") == 2  # one past attention, one past the rest
    seen = {}
    block = model.model.layers[0]
    for name, module in {
        "embeddings": model.model.embed_tokens, "feed-\nforward": block.mlp.up_proj,
        "final norm": model.model.norm, "logits": model.lm_head, "+": block,
        "norm": block.input_layernorm, "output": block.self_attn.o_proj,
        "2nd norm": block.post_attention_layernorm,
    }.items():  # fmt: skip
        module.register_forward_hook(lambda m, a, y, name=name: seen.update({name: y}))
    model(tiny.tokens(2, 7))
    for name, value in seen.items():
        assert tuple(value.shape) == {**outer, **inside}[name]
    assert inside["q, k, v"] == "2 ×\n4, 2 ×\n7 × 8"  # grouped-query attention
    assert inside["shares"] == (2, 4, 7, 7) and inside["attention"] == (2, 4, 7, 8)


def test_forward_map_leads_x_past_what_is_added_to_it():
    """Two lines, each from before a group of steps to the sum behind it."""
    (axes,) = make("forward_map").axes
    past = [line for line in axes.lines if line.get_color() == style.VERMILION]
    sums = sorted(p.center[0] for p in axes.patches if isinstance(p, Circle))
    assert [line.get_xdata()[-1] for line in past] == sums
    assert past[0].get_xdata()[0] < past[0].get_xdata()[-1] < past[1].get_xdata()[0] < sums[1]
    assert [t.get_text() for t in axes.texts].count("+") == 2


def test_loss_curves_on_a_log_axis():
    curves = {"rate 0.3": [(0, 4.7), (5, 57.0), (10, 12.0)]}
    (axes,) = plots.loss_curves(curves, TITLE, baselines={"counting": 6.2}, log=True).axes
    assert axes.get_yscale() == "log" and axes.get_ylabel().endswith("(nats a token, log scale)")
    low, high = axes.get_ylim()
    assert 3 < low < 4.7 and 57 < high < 80
    shown = [t.get_text() for t in axes.get_yticklabels()]
    assert {"5", "10", "20", "50"} <= set(shown)


@pytest.mark.parametrize(
    ("place", "trained"), [("houlsby", 2), ("pfeiffer", 1), ("parallel", 1), ("IA3", 3),
                           ("IA3, merged", 0)]
)  # fmt: skip
def test_cut_in_places_colours_what_is_trained(place, trained):
    from matplotlib.colors import to_rgba

    figure = plots.cut_in_places(TITLE, [place])
    tint = to_rgba(plots.pictures.TINTS[style.VERMILION])
    assert sum(patch.get_facecolor() == tint for patch in figure.axes[0].patches) == trained
    # the stream has two sums, and each adapter one more: its change is added to h
    sums = [text.get_text() for text in figure.axes[0].texts].count("+")
    assert sums == 2 + trained * (not place.startswith("IA3"))


def test_a_ruined_point_does_not_squeeze_the_others():
    """It stands at the edge, with its own numbers beside it."""
    lines = {
        "full": {1e-4: (0.3, 0.1), 1e-3: (0.6, 0.4)},
        "yours": {0.3: (-1.6, 3.0), 0.1: (0.5, 0.2)},
    }
    (axes,) = plots.learn_forget(lines, TITLE, frame=["full"]).figure.axes
    (left, right), (low, high) = axes.get_xlim(), axes.get_ylim()
    assert 0 < left < 0.3 and 0.6 < right < 0.8 and low < 0.1 and 0.4 < high < 0.6
    texts = [text.get_text() for text in axes.texts]
    assert "0.3, outside: learned -1.60, forgotten +3.00" in texts and "0.1" in texts
    places = [line.get_xydata().tolist() for line in axes.lines]
    assert [[0.5, 0.2], [left, high]] in places
    (axes,) = plots.learn_forget(lines, TITLE).figure.axes  # without a frame all set the axes
    assert axes.get_xlim()[0] < -1.6 and axes.get_ylim()[1] > 3
