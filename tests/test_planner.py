"""What fits on which card: the plan against what it is made of, and its errors."""

import re

import pytest
import torch
from tiny import config, tiny, tokens

from peft_lab import cli
from peft_lab.accounting import count, memory
from peft_lab.anatomy import linear_shapes
from peft_lab.methods import (
    BitFit,
    Compose,
    FullFineTuning,
    LayerFreezing,
    LoRA,
    PromptTuning,
    Switch,
)
from peft_lab.model_configs import load_config
from peft_lab.planner import (
    CARDS,
    GIB,
    METHODS,
    ON_CHIP,
    SETTINGS,
    find_card,
    make_method,
    peak_bytes,
    plan,
    plan_table,
)


def test_a_plan_says_what_count_and_memory_say():
    settings = config("llama", hidden_size=64, vocab_size=500)
    made = plan(settings, gpu="24GB", rows=2, length=32, precision="float32")
    assert [one.name for one in made.methods] == list(METHODS)
    for name in ("full", "prompt", "lora", "ia3"):
        one, method = made[name], make_method(name)
        assert one.trained == count(settings, method).measured
        assert one.bytes == memory(settings, method, 2, 32).predicted
        assert one.file == 4 * one.trained
        assert one.peak == peak_bytes(one.bytes, 2 * 31, 500) == sum(one.moment.values())
        assert one.share == one.peak / (24 * GIB) and one.fits
        assert one.seconds > 0 and one.bound in ("operations", "bytes")
    assert made.parameters == count(settings, METHODS["full"]()).predicted


@pytest.mark.parametrize("name", METHODS)
def test_every_method_on_llama_3(name):
    one = plan("llama-3-8b", name, "24GB").methods[0]
    if name == "bitfit":
        assert "nothing to train" in one.note and one.fits is None
        return
    assert one.trained > 0 and one.peak > one.bytes.weights
    assert one.fits == (name != "full")  # the whole point


def test_what_everybody_knows():
    """GPT-3 on one card: no. LoRA's file: 72 MB in half precision, 144 in float32."""
    made = plan("gpt3-175b", "lora", "A100-80GB")
    assert not made["lora"].fits and made["lora"].share > 4
    assert made["lora"].file == 4 * 37_748_736
    assert plan("llama-3-8b", "full", "A100-80GB")["full"].bytes.weights == 2 * 8_030_261_248
    # in float32 with AdamW: 16 bytes a parameter before any activation
    full = plan("gpt2-xl", "full", "24GB", precision="float32")["full"]
    assert full.bytes.total - full.bytes.activations == pytest.approx(16 * 1_557_611_200, rel=1e-5)
    assert not full.fits


def test_a_step_takes_at_least_what_operations_or_bytes_take():
    for card in CARDS:
        one = plan("llama-3-8b", "lora", card.name, rows=4)["lora"]
        tokens = 4 * 512
        # through all weights but the embeddings, there and back, the head for scored tokens
        matrices = 8_030_261_248 - 2 * 128256 * 4096
        least = 4 * matrices * tokens / card.rate
        assert least < one.seconds < 1.3 * least and one.bound == "operations"
        short = plan("llama-3-8b", "lora", card.name, rows=1, length=8)["lora"]
        assert short.bound == "bytes"
        assert short.seconds > (2 * 15e9 - 3 * ON_CHIP) / card.bandwidth  # all but the embeddings


def test_a_step_is_told_to_take_no_longer_than_it_must():
    """What it must move, by hand. A frozen matrix below the lowest trained block is read once."""
    settings, size = load_config("llama-3-8b"), 2
    block = sum(inputs * outputs for inputs, outputs, _ in linear_shapes(settings).values())
    head, norms = 128256 * 4096, 2 * 4096
    for method, read, trained in (
        (LayerFreezing.top(1), 31 * block + 2 * (block + head), block + norms),
        (LayerFreezing(30, 1), 30 * block + 2 * (2 * block + head), block + norms),
        (LayerFreezing.bottom(1), 2 * (32 * block + head), block + norms),
        (FullFineTuning(), 2 * (32 * block + head), 32 * (block + norms) + 2 * head + 4096),
    ):
        one = plan(settings, method, "A100-80GB", length=2).methods[0]
        state = 2 * size * trained
        must = size * read + size * trained + 2 * state
        assert one.bound == "bytes"
        assert one.seconds == pytest.approx((must - 3 * ON_CHIP) / 2039e9, rel=1e-6)
        assert one.seconds < must / 2039e9
    # LoRA's own numbers: read twice and written, as their moments are, 4 bytes each; queries,
    # keys and values of the lowest block hand no gradient down
    own = LoRA(8).expected_parameters(settings)
    read = size * (2 * (32 * block + head) - 4096 * (4096 + 2 * 1024)) + 2 * 4 * own
    one = plan(settings, LoRA(8), "A100-80GB", length=2).methods[0]
    must = read + 4 * own + 2 * one.bytes.optimizer
    assert one.seconds * 2039e9 == pytest.approx(must - 3 * ON_CHIP, rel=1e-9)


def test_what_fits_on_a_chip_need_not_be_moved():
    """A tiny model: nothing is sure to be moved, so operations alone bound the time."""
    one = plan(config("llama"), LoRA(2), "T4", length=2).methods[0]
    assert one.bound == "operations" and one.seconds > 0


def test_the_peak_is_the_larger_of_two_moments():
    needed = memory(config("llama"), LoRA(2), 2, 12).predicted
    base = needed.weights + needed.optimizer
    assert peak_bytes(needed, 22, 97) == base + needed.activations + 8 * 22 * 97
    full = memory(config("llama", hidden_size=256), METHODS["full"](), 1, 2).predicted
    assert peak_bytes(full, 1, 97) == full.weights + full.optimizer + 2 * full.gradients


def test_cards():
    assert find_card("a100-80gb").rate == 312e12
    assert find_card("24GB").name == "24GB (RTX-4090)" and find_card("24 gb").memory == 24 * GIB
    assert find_card("141GB").name == "141GB (H200)"  # its size is told in powers of ten
    assert find_card("8GB").rate is None and find_card("8GiB").memory == 8 * GIB
    for wrong in ("24", "big", "", "-3GB", "0GB", "24 TB"):
        with pytest.raises(ValueError, match="neither a size such as 24GB nor one of T4"):
            find_card(wrong)
    for card in CARDS:
        assert card.source and card.checked.startswith("https://")
        assert 10e12 < card.rate < 1e15 and 1e11 < card.bandwidth < 1e13


def test_errors():
    for change, message in (
        ({"model": "gpt5"}, "no 'gpt5'.*llama-3-8b"),
        ({"method": "lorra"}, "no 'lorra'.*lora-all"),
        ({"gpu": "many"}, "'many' is neither"),
        ({"rows": 0}, "rows must be a whole number"),
        ({"length": 5000}, "5000 tokens.*context is 1024"),
        ({"length": 8.5}, "length must be a whole number"),
        ({"method": ""}, "no ''.*lora-all"),
        ({"precision": "int4"}, "precision.*'int4'"),
        ({"optimizer": "lion"}, "optimizer.*'lion'"),
        ({"model": "t5-v1.1-xl"}, "'t5' are not known"),
    ):
        given = {"model": "gpt2", "method": "lora", "gpu": "24GB", "length": 64, **change}
        with pytest.raises(ValueError, match=message):
            plan(**given)
    for wrong in (LoRA, ["lora"], 5):
        with pytest.raises(TypeError, match="method must be a name such as 'lora'"):
            plan("gpt2", wrong)
    with pytest.raises(KeyError, match="'ia3' is not in this plan; there are lora"):
        plan("gpt2", "lora")["ia3"]


VIRTUAL = {"prompt": 20, "prefix": 20, "p-tuning": 20, "mam": 30, "unipelt": 10}


@pytest.mark.parametrize("name", ["gpt2", "llama"])
def test_virtual_tokens_need_room_in_the_context(name):
    """The plan fits if and only if the model takes such a text with the method attached."""
    settings, model = config(name), tiny(name, torch.float32)
    refused = plan(settings, length=64)  # the whole context
    for method in METHODS:
        one = refused[method]
        if method not in VIRTUAL:
            assert "virtual" not in one.note
            continue
        n = VIRTUAL[method]
        assert one.fits is None and f"64 tokens and {n} virtual ones" in one.note
        assert plan(settings, method, length=64 - n).methods[0].fits
        with make_method(method).attach(model):
            model(tokens(1, 64 - n))
            with pytest.raises(ValueError, match="context is 64"):
                model(tokens(1, 65 - n))
    long = plan(settings, PromptTuning(64), length=1).methods[0]
    assert long.fits is None and "context" in long.note
    with pytest.raises(ValueError, match="context"):
        PromptTuning(64).attach(model)


def test_what_attach_refuses_does_not_fit():
    half = plan("gpt2", precision="float16")
    for name in METHODS:  # those that train the model's own weights
        assert (half[name].fits is None) == (name in ("full", "top-1", "bitfit"))
    assert "float16" in half["full"].note
    for parts, message in (
        ([LayerFreezing.top(1), FullFineTuning()], "LayerFreezing and FullFineTuning both train"),
        ([LoRA(2, dora=True), LoRA(2, targets=["q"])], "DoRA"),
    ):
        one = plan("gpt2", Compose(parts)).methods[0]
        assert one.fits is None and message in one.note
        with pytest.raises(ValueError, match=message):
            Compose(parts).attach(tiny("gpt2"))
    unbiased = Compose([BitFit(), LoRA(2)])
    assert "no biases" in plan(config("qwen3"), unbiased, length=8).methods[0].note
    assert "Switch" in plan("gpt2", Switch({"a": LoRA(2)})).methods[0].note


def test_where_a_method_does_not_fit_the_model(capsys):
    settings = config("llama", num_key_value_heads=1)  # keys of width 8: rank 16 is too much
    made = plan(settings, gpu="8GB", length=32)
    plan_table(made)
    said = capsys.readouterr().out
    settings = [line for line in said.splitlines() if "settings: " in line]
    assert "?" in said and len(settings) == 1 and said.count("\n") > 6 + len(METHODS)
    assert "rank: 16 is above 8" in made["lora-all"].note and made["lora-all"].bytes is None
    assert made["lora"].fits and made["lora-all"].verdict == "?"


def test_nine_tenths_are_tight():
    peak = plan("llama-3-8b", "lora", "24GB")["lora"].peak / GIB
    verdicts = [
        plan("llama-3-8b", "lora", f"{peak / share:.3f}GB")["lora"].verdict
        for share in (0.89, 0.91, 0.99, 1.01)
    ]
    assert verdicts == ["yes", "tight", "tight", "no"]


def test_a_model_itself_and_a_method_itself():
    made = plan(tiny("gpt2"), LoRA(2), rows=1, length=16)
    assert made.model == "a gpt2 model" and made["LoRA"].trained == LoRA(2).expected_parameters(
        config("gpt2")
    )


def test_the_command(capsys):
    assert cli.main(["plan", "llama-3-8b", "--method", "lora", "--gpu", "24GB"]) == 0
    said = capsys.readouterr().out
    assert "8,030,261,248 parameters in bfloat16" in said and "3,407,872" in said
    assert max(map(len, said.splitlines())) <= 88
    assert cli.main(["plan", "storyteller-nano", "--rows", "8"]) == 0
    said = capsys.readouterr().out
    assert all(name in said for name in METHODS)
    assert "\nlora r8 " in said and "\nlora-all r16 " in said


def test_the_table_names_the_sizes_that_it_plans():
    made = {name: make_method(name) for name in SETTINGS}
    sizes = {
        "top-1": (), "prompt": (made["prompt"].length,), "prefix": (made["prefix"].length,),
        "p-tuning": (made["p-tuning"].length, made["p-tuning"].hidden),
        "adapter": (made["adapter"].width,), "houlsby": (made["houlsby"].width,),
        "lora": (made["lora"].rank,), "lora-all": (made["lora-all"].rank,),
        "mam": (made["mam"].members[0].length, made["mam"].members[1].width),
        "unipelt": (made["unipelt"].members[0].length, made["unipelt"].members[1].rank,
                    made["unipelt"].members[2].width),
    }  # fmt: skip
    for name, text in SETTINGS.items():
        assert tuple(map(int, re.findall(r"\d+", text))) == sizes[name], name
    assert set(METHODS) - set(SETTINGS) == {"full", "bitfit", "ia3"}  # no size to choose


@pytest.mark.parametrize("card", [card.name for card in CARDS])
@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_a_card_without_bfloat16_says_so(card, precision, capsys):
    plan_table(plan(config("llama"), "lora", gpu=card, length=32, precision=precision))
    said = capsys.readouterr().out
    old = card in ("T4", "V100-32GB") and precision == "bfloat16"
    assert ("has no bfloat16" in said) == old and "rows without padding" in said


def test_every_model_that_is_offered_can_be_planned(capsys):
    assert cli.main(["plan", "gpt5"]) == 1
    offered = capsys.readouterr().err.strip().rstrip(".").split("one of ")[1].split(", ")
    assert len(offered) == 39 and "llama-3-8b" in offered
    for name in offered:
        assert cli.main(["plan", name, "--method", "prompt", "--length", "8"]) == 0


def test_help_tells_the_defaults(capsys):
    with pytest.raises(SystemExit):
        cli.main(["plan", "--help"])
    said = " ".join(capsys.readouterr().out.split())
    assert "tokens of a text (without it: 512)" in said and "adamw or sgd" in said


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["gpt5"], "no 'gpt5'"),
        (["gpt2", "--method", "magic"], "no 'magic'"),
        (["gpt2", "--gpu", "large"], "neither a size"),
        (["gpt2", "--rows", "0"], "rows must be"),
    ],
)
def test_the_command_says_what_is_wrong(arguments, message, capsys):
    assert cli.main(["plan", *arguments]) == 1
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    "written",
    ["", "[]", "5", "{}", '{"model_type": "nix"}', '{"model_type": "llama", "hidden_size": "x"}',
     '{"model_type": "llama", "num_attention_heads": 0}'],
)  # fmt: skip
def test_the_command_says_that_a_config_is_damaged(written, tmp_path, capsys):
    (tmp_path / "config.json").write_text(written)
    assert cli.main(["plan", str(tmp_path)]) == 1
    said = capsys.readouterr().err
    assert f"model: {tmp_path / 'config.json'} is no config of a known model: " in said
