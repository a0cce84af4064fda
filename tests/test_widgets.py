"""The pure functions over the whole grid of their sliders, the views, and their printed twins."""

import itertools

import ipywidgets
import pytest
import tiny
import torch
from torch.utils.flop_counter import FlopCounterMode

from peft_lab import widgets
from peft_lab.accounting import count, count_parameters, memory
from peft_lab.anatomy import dimensions
from peft_lab.evaluation import scored_nll
from peft_lab.methods import FullFineTuning, LayerFreezing, LoRA, PrefixTuning, PromptTuning

LINES = ["The fox ran.", "It rained."]
TALENTS = {
    "no file": ["Once upon a time there was a fox. " * 3, "Once it rained."],
    "poems": ["The moon,\nthe spoon.", "The rain,\nthe grain,\nthe lane."],
    "moods": ["sad", "proud"],
}
SAMPLES = {0: "a story", 20: "half a poem", 100: "a poem"}
TOKENS = ["<bos>", "Once", "upon", "<eos>"]
CONFIG = tiny.config("llama")
CHANGED = {"opt, narrow": ("opt", {"word_embed_proj_dim": 16})}  # as OPT-350m
NAMES = ["llama", "gpt2", "opt", *CHANGED, "neox", "bloom", "mistral", "qwen2", "qwen3", "smollm3"]


def made(name: str) -> torch.nn.Module:
    name, changes = CHANGED.get(name, (name, {}))
    return tiny.tiny(name, torch.float32, **changes)


FAMILIES = {name: made(name).config for name in NAMES}


def batch(rows: int, length: int) -> dict:
    ids = tiny.tokens(rows, length)
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": ids}


def tell(talent: str, line: str, temperature: float, seed: int) -> str:
    """Stands for the notebook's, which swaps the file: each control leaves its trace."""
    text = TALENTS[talent][LINES.index(line) if line in LINES else 0]
    return text if talent == "moods" else f"{text}\n{line} {temperature} {seed}"


def test_talents_over_the_grid():
    forms = {"no file": "story", "poems": "poem", "moods": "one word"}
    for talent, line, own in itertools.product(TALENTS, LINES, ("", "  ", " My  own. ")):
        for temperature, seed in itertools.product((0.0, 0.6, 1.5), (0, 9)):
            turn = widgets.talent_turn(tell, talent, line, own, temperature, seed)
            first = "My own." if own.strip() else line
            text = tell(talent, first, temperature, seed)
            form = "poem" if (talent, line, own.strip()) == ("no file", LINES[1], "") else None
            wanted = {"talent": talent, "line": first, "text": text, "form": form or forms[talent]}
            assert turn == wanted


def answer(who: str, words: str, about: str) -> str:
    return f"{who}|{words}|{about}"


def test_asking_over_the_grid():
    for words, own, about, own_about in itertools.product(
        ("Name it.", "Turn it."), ("", " ", " Say  it. "), LINES, ("", " My  own. ")
    ):
        turn = widgets.ask_turn(answer, "one", words, about, own, own_about)
        asked = "Say it." if own.strip() else words
        told = "My own." if own_about.strip() else about
        wanted = {"who": "one", "words": asked, "about": told, "text": f"one|{asked}|{told}"}
        assert turn == wanted


def test_samples_over_the_grid():
    expected = {0: 0, 1: 0, 19: 0, 20: 20, 99: 20, 100: 100, 500: 100, -1: 0}
    for step, at in expected.items():
        assert widgets.sample_at(SAMPLES, step) == (at, SAMPLES[at])
    with pytest.raises(ValueError, match="samples"):
        widgets.sample_at({}, 0)


@pytest.mark.parametrize(("rows", "length"), [(1, 2), (4, 16)])
@pytest.mark.parametrize("name", FAMILIES)
def test_memory_plan_equals_what_accounting_measures(name, rows, length):
    """Every choice of neighbouring blocks, and full fine-tuning."""
    model, config = made(name), FAMILIES[name]
    choices = [(a, b - a) for a in range(tiny.L) for b in range(a + 1, tiny.L + 1)]
    for method in (None, *(LayerFreezing(*choice) for choice in choices)):
        with (method or FullFineTuning()).attach(model) as attached:
            found = memory(model, attached, batch(rows, length)).measured
        plan = widgets.plan_memory(config, rows, length, method)
        assert plan == {part: getattr(found, part) for part in plan} and len(plan) == 4


def test_memory_plan_over_the_grid():
    config = tiny.config("llama", max_position_embeddings=512)
    for rows, length in itertools.product([1, 2, 4, 8, 16, 32, 64], [32, 64, 128, 256, 512]):
        plan = widgets.plan_memory(config, rows, length)
        assert plan["gradients"] == plan["weights"] > 0
        more = widgets.plan_memory(config, 2 * rows, length)
        assert 1.9 * plan["activations"] < more["activations"] < 2 * plan["activations"]
    with pytest.raises(ValueError, match="0 to 2"):
        widgets.plan_memory(CONFIG, 8, 32, LayerFreezing(2, 2))
    with pytest.raises(ValueError, match="context is 64"):
        widgets.plan_memory(CONFIG, 8, 65)
    with pytest.raises(ValueError, match="llama are not predicted"):
        widgets.blocks_bill(tiny.config("llama", hidden_act="tanh"), 0, 0)


def test_a_memory_table_cuts_texts_to_the_context(capsys):
    widgets.memory_table({"tiny": CONFIG}, rows=(2,), length=65)
    cut = capsys.readouterr().out
    widgets.memory_table({"tiny": CONFIG}, rows=(2,), length=64)
    assert cut == capsys.readouterr().out and "2 x 64" in cut


def operations(model, method, first: int) -> int:
    """Of a step on 8 x 16 tokens: PyTorch counts the linear layers, attention is by hand."""
    size, rows, length = dimensions(model.config), 8, 16
    with method.attach(model), FlopCounterMode(display=False) as counter:
        scored_nll(model, batch(rows, length))[0].backward()
    flops = counter.get_flop_counts()["Global"]
    products = sum(6 if layer >= first else 2 for layer in range(size.layers))
    pairs = rows * size.heads * length * (length + 1) // 2  # what comes later is not seen
    linear = flops[torch.ops.aten.mm] + flops.get(torch.ops.aten.addmm, 0)
    return linear + 2 * size.head_dim * pairs * products


@pytest.mark.parametrize("name", FAMILIES)
def test_blocks_bill_over_the_grid(name):
    model, config = made(name), FAMILIES[name]
    layers, parameters = tiny.L, count_parameters(model)
    whole = operations(model, FullFineTuning(), 0)
    for first in range(layers):
        for last in range(first, layers):
            bill = widgets.blocks_bill(config, first, last, length=16)
            method = LayerFreezing(first, last - first + 1)
            assert list(bill["live"]) == list(range(first, last + 1))
            assert bill["work"] == operations(model, method, first) / whole
            with method.attach(model):
                assert bill["trained"] == method.num_parameters()
                assert bill["bytes"] == memory(model, method, batch(8, 16)).measured.total
            assert bill["share"] == bill["trained"] / parameters
            assert bill["passed"] == layers - first
            if first:  # one place lower: as many parameters, more work and memory
                lower = widgets.blocks_bill(config, first - 1, last - 1, length=16)
                assert lower["trained"] == bill["trained"]
                assert lower["work"] > bill["work"] and lower["bytes"] > bill["bytes"]
    for wrong in ((-1, 0), (1, 0), (0, layers)):
        with pytest.raises(ValueError, match="first="):
            widgets.blocks_bill(config, *wrong)


def test_prompt_places_over_the_grid():
    for n in range(13):
        at = widgets.prompt_places(n, TOKENS, CONFIG.hidden_size)
        assert at["parameters"] == n * CONFIG.hidden_size
        if n:
            assert at["parameters"] == PromptTuning(n).expected_parameters(CONFIG)
        rows = at["rows"]
        assert {len(values) for values in rows.values()} == {n + len(TOKENS)}
        assert rows["label"][: n + 1] == [-100] * (n + 1)
        assert rows["position"][n] == n and sum(rows["mask"]) == n + len(TOKENS)
        assert at["scored"] == sum(value != -100 for value in rows["label"]) == 3
    with pytest.raises(ValueError, match="n=-1"):
        widgets.prompt_places(-1, TOKENS, 4)
    with pytest.raises(ValueError, match="given=5"):
        widgets.prompt_places(1, TOKENS, 4, given=5)


@pytest.mark.parametrize("name", FAMILIES)
def test_freed_layers_over_the_grid(name):
    config, layers = FAMILIES[name], tiny.L
    for k in range(layers + 1):
        at = widgets.freed_layers(config, 5, k)
        method = PrefixTuning(5, init="zero", trainable=at["free"])
        assert at["parameters"] == count(config, method).measured == at["bytes"] / 4
        assert list(at["free"]) == list(range(layers))[layers - k :]
    with pytest.raises(ValueError, match="k=4"):
        widgets.freed_layers(config, 5, layers + 1)
    for wrong in (-3, 0):
        with pytest.raises(ValueError, match=f"length must be .*{wrong}"):
            widgets.freed_layers(config, wrong, 1)


def test_the_choices_of_lora_are_the_layers_of_the_family():
    assert widgets.lora_targets(CONFIG) == {
        "q, v": ("q", "v"), "attention": ("q", "k", "v", "o"),
        "feed-forward": ("gate", "up", "down"),
        "all": ("q", "k", "v", "o", "gate", "up", "down"),
    }  # fmt: skip
    assert widgets.lora_targets(FAMILIES["gpt2"]) == {
        "q, v": ("q", "v"), "attention": ("qkv", "o"), "feed-forward": ("up", "down"),
        "all": ("qkv", "o", "up", "down"),
    }  # fmt: skip


@pytest.mark.parametrize("name", FAMILIES)
def test_lora_bill_over_the_grid(name):
    config, whole = FAMILIES[name], count_parameters(made(name))
    for choice, targets in widgets.lora_targets(config).items():
        for rank in (1, 2, 8, 16):  # of 16: the width of Llama's keys and values
            bill = widgets.lora_bill(config, rank, targets)
            method = LoRA(rank, targets="all" if choice == "all" else targets)
            assert bill["parameters"] == count(config, method).measured == bill["bytes"] / 4
            assert bill["share"] == pytest.approx(bill["parameters"] / whole)
        narrow = dimensions(config).kv_size == 16 and "v" in targets
        for wrong in (0, 17 if narrow else 33):
            with pytest.raises(ValueError, match=f"rank={wrong}"):
                widgets.lora_bill(config, wrong, targets)


def test_layer_shares_over_the_grid():
    shares = torch.rand(3, 4, 5)
    for layer in range(3):
        assert torch.allclose(torch.tensor(widgets.layer_shares(shares, layer)), shares[layer])
        assert widgets.layer_shares(shares.tolist(), layer) == shares[layer].tolist()
    with pytest.raises(ValueError, match="layer=3"):
        widgets.layer_shares(shares, 3)


@pytest.mark.parametrize("name", FAMILIES)
def test_a_split_budget_is_never_overdrawn_and_never_has_room_for_a_rank(name):
    config = FAMILIES[name]
    one, vector = (count(config, made).measured for made in (LoRA(1), PromptTuning(1)))
    for budget in (900, 2000, 5001):
        for vectors in range(budget // vector + 1):
            bill = widgets.split_bill(config, budget, vectors)
            assert bill["prompt"] == vectors * vector
            assert bill["lora"] == bill["rank"] * one and 0 <= bill["left"] < one
            assert bill["prompt"] + bill["lora"] + bill["left"] == budget
    with pytest.raises(ValueError, match="vectors=100"):
        widgets.split_bill(config, 100, 100)


@pytest.mark.parametrize("gpu", ["16GB", "24GB", "A100-80GB", "3GB"])
def test_plan_bars_over_the_grid(gpu):
    from peft_lab.planner import METHODS, find_card, plan

    for name, rows, length in itertools.product(("gpt2", "llama-3-8b"), (1, 64), (128, 2048)):
        at = widgets.plan_bars(name, gpu, rows, length)
        told = plan(
            name, gpu=gpu, rows=rows, length=min(length, 1024 if name == "gpt2" else length)
        )
        assert at["plan"] == told and at["card"] == find_card(gpu).memory
        without = {"bitfit"} if name == "llama-3-8b" else set()
        if (name, length) == ("gpt2", 2048):  # cut to the context: no room for virtual tokens
            without = {"prompt", "prefix", "p-tuning", "mam", "unipelt"}
        assert set(at["bars"]) == set(METHODS) - without
        assert {*at["yes"], *at["tight"]} == {one.name for one in told.methods if one.fits}
        assert all(told[method].share > 0.9 for method in at["tight"] + at["no"])
        for method, bars in at["bars"].items():
            assert sum(bars.values()) == told[method].peak
            assert (method in at["no"]) == (sum(bars.values()) > at["card"])


def test_the_plan_is_drawn_as_peaks_beside_the_card(monkeypatch):
    """16 rows of 512: the four parts of LoRA's step are less than this card, its peak is more."""
    made = widgets.plan_bars("qwen2.5-0.5b", "16GB", 16, 512)["plan"]["lora"]
    assert made.bytes.total < 16 * 2**30 < made.peak and made.verdict == "no"
    figures = []
    monkeypatch.setattr("peft_lab.plots.show", lambda figure, see: figures.append((figure, see)))
    monkeypatch.setattr(widgets, "_play", lambda draw, **_: draw(
        "qwen2.5-0.5b", "16GB", 16, 512, "bfloat16"))  # fmt: skip
    widgets.plan_widget(["qwen2.5-0.5b"], ["16GB"])
    ((figure, see),) = figures
    (axes,) = figure.axes
    (line,) = axes.lines
    assert line.get_xdata()[0] == 16 and "GiB" in axes.get_xlabel() and "16.0 GiB" in see
    assert f"{made.peak / 2**30:.3g} GiB" in {text.get_text() for text in axes.texts}


VIEWS = {
    "talent_widget": (tell, list(TALENTS), LINES),
    "samples_widget": (SAMPLES,),
    "memory_widget": ({"tiny": CONFIG},),
    "blocks_widget": (CONFIG,),
    "prompt_widget": (TOKENS, 32),
    "freed_widget": (CONFIG, 5, {0: [4.4, 4.5, 4.6]}),
    "shares_widget": (torch.rand(2, 3, 4).tolist(), TOKENS),
    "module_widget": (CONFIG, 8),
    "lora_widget": (CONFIG,),
    "split_widget": (CONFIG, 1000),
    "plan_widget": (["gpt2", "llama-3-8b"],),
    "fleet_widget": ({"tiny": CONFIG},),
    "ask_widget": (answer, ["one", "other"], ["Name it.", "Turn it."], LINES),
}
TWINS = {
    "talent_table": (TALENTS, LINES),
    "samples_table": (SAMPLES,),
    "memory_table": ({"tiny": CONFIG},),
    "blocks_table": (CONFIG,),
    "prompt_table": (TOKENS, 32),
    "freed_table": (CONFIG, 5, {0: [4.4, 4.5, 4.6]}),
    "shares_table": (torch.full((2, 3, 4), 0.25).tolist(),),
    "module_table": (CONFIG,),
    "lora_table": (CONFIG,),
    "split_table": (CONFIG, 1000, (0, 1)),
    "plan_table": ("gpt2",),
    "fleet_table": ({"tiny": CONFIG},),
    "ask_table": ({"one": ["black", "a\nb"], "other": ["x", "y"]}, ["Name it.", "Turn it."]),
}


def test_fleet_over_the_grid():
    base = 2 * count_parameters(tiny.tiny("llama"))
    for kind, customers in itertools.product(widgets.FILES, (1, 10, 10_000)):
        bill = widgets.fleet_bill(CONFIG, customers, kind)
        assert bill["models"] == customers * base
        assert bill["files"] == base + customers * bill["file"]
    for kind, method in (("prefix 5", PrefixTuning(5)), ("LoRA 8", LoRA(8))):
        with method.attach(tiny.tiny("llama", torch.float32)):
            assert widgets.fleet_bill(CONFIG, 1, kind)["file"] == 4 * count_parameters(method)
    for wrong in ((0, "prefix 5"), (1, "prefix 6")):
        with pytest.raises(ValueError, match=f"customers={wrong[0]}, kind='{wrong[1]}'"):
            widgets.fleet_bill(CONFIG, *wrong)


def test_fleet_table_tells_the_bound_and_counts_one_customer(capsys):
    widgets.fleet_table({"tiny": CONFIG}, customers=1)
    _, *rows, last, _ = capsys.readouterr().out.splitlines()
    for row, kind in zip(rows, widgets.FILES, strict=True):
        bill = widgets.fleet_bill(CONFIG, 1, kind)
        assert row.split()[-1] == f"{bill['base'] / bill['file']:,.0f}"
    assert last.startswith("1 customer;")


@pytest.mark.parametrize("name", VIEWS)
def test_view_draws_at_once_and_after_every_move(name, monkeypatch, capsys):
    boxes = []
    monkeypatch.setattr("IPython.display.display", boxes.append)
    assert getattr(widgets, name)(*VIEWS[name]) is None
    (box,) = boxes
    *controls, output = box.children
    assert isinstance(output, ipywidgets.Output)
    first = capsys.readouterr().out
    assert first.strip()
    seen = {first}
    for control in controls:
        if hasattr(control, "continuous_update"):
            assert control.continuous_update is False
        for value in positions(control):
            control.value = value
            said = capsys.readouterr().out
            assert "Error" not in said
            seen.add(said)
    assert len(seen) > 2


def test_blocks_widget_names_one_block_as_one(monkeypatch, capsys):
    boxes, walls = [], []
    monkeypatch.setattr("IPython.display.display", boxes.append)
    monkeypatch.setattr("peft_lab.plots.brick_wall", lambda layers, live, title: walls.append(live))
    monkeypatch.setattr("peft_lab.plots.show", lambda figure, see: None)
    widgets.blocks_widget(CONFIG)
    boxes[0].children[0].value = (0, 1)
    assert [list(wall) for wall in walls] == [["block 2 live"], ["blocks 0 to 1 live"]]


@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_has_its_tables_and_widgets(name, monkeypatch, capsys):
    config = FAMILIES[name]
    given = {"memory": ({name: config},), "blocks": (config,), "freed": (config, 5),
             "module": (config, 8), "lora": (config,), "split": (config, 1000),
             "fleet": ({name: config},)}  # fmt: skip
    tables = given | {"module": (config,), "split": (config, 1000, (0, 1))}
    boxes = []
    monkeypatch.setattr("IPython.display.display", boxes.append)
    for what, arguments in given.items():
        getattr(widgets, f"{what}_table")(*tables[what])
        assert len(capsys.readouterr().out.splitlines()) > 3
        getattr(widgets, f"{what}_widget")(*arguments)
        said = capsys.readouterr().out
        assert said.strip() and "Error" not in said, what
    assert len(boxes) == len(given)


def positions(control):
    """Every place where the slider can stand."""
    if isinstance(control, ipywidgets.Text):
        values = ["A line of my own.", "  "]
    elif hasattr(control, "options"):
        values = [o[1] if isinstance(o, tuple) else o for o in control.options]
    elif isinstance(control, ipywidgets.IntRangeSlider):
        span = range(control.min, control.max + 1)
        values = [(a, b) for a in span for b in span if a <= b]
    else:
        values = list(range(control.min, control.max + 1))
    return values


@pytest.mark.parametrize("name", TWINS)
def test_twin_prints_the_same_each_time(name, capsys):
    getattr(widgets, name)(*TWINS[name])
    first = capsys.readouterr().out
    getattr(widgets, name)(*TWINS[name])
    assert first == capsys.readouterr().out
    assert max(map(len, first.split("\n"))) <= 88


def test_twins_say_what_the_pure_functions_say(capsys):
    widgets.blocks_table(CONFIG)
    assert len(capsys.readouterr().out.strip().split("\n")) == 3 + 6  # all neighbours of 3 blocks
    widgets.module_table(CONFIG, widths=(1, 2))
    lines = capsys.readouterr().out.strip().split("\n")
    assert len(lines) == 2 + 3 * 2 + 2 and lines[-2].split()[-2:] == ["0", "0.0%"]
    widgets.shares_table(*TWINS["shares_table"])
    assert capsys.readouterr().out.count("25%") == 6
    widgets.ask_table(*TWINS["ask_table"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[3:] == ["Turn it.", "    one: a / b", "    other: y"]
    widgets.talent_table(TALENTS, LINES)
    said = capsys.readouterr().out
    assert [line for line in said.split("\n") if line[:1].strip()] == LINES
    assert "poems     poem      The moon, / the spoon." in said
    assert "moods     one word  proud" in said and said.count("story") == 2
