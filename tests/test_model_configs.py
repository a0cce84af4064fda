"""Published configurations: their totals, and methods counted on them without any weights."""

import pytest
import torch
from tiny import config, tiny
from transformers import AutoModelForCausalLM, T5Config, T5ForConditionalGeneration

from peft_lab import t5
from peft_lab.accounting import count, count_parameters
from peft_lab.anatomy import dimensions
from peft_lab.footprint import tensors, total_parameters
from peft_lab.methods import (
    IA3,
    Adapter,
    BitFit,
    Compose,
    EmbeddingTuning,
    FullFineTuning,
    LayerFreezing,
    LoRA,
    MAMAdapter,
    PrefixTuning,
    PromptTuning,
    PTuning,
    UniPELT,
)
from peft_lab.model_configs import as_config, config_record, known_configs, load_config

NAMES = known_configs()
DECODERS = [name for name in NAMES if not name.startswith("t5")]
T5S = [name for name in NAMES if name.startswith("t5")]
METHODS = {
    "full": FullFineTuning,
    "top": lambda: LayerFreezing.top(2),
    "bitfit": BitFit,
    "embeddings": EmbeddingTuning,
    "prompt": lambda: PromptTuning(20),
    "p-tuning": lambda: PTuning(20, 64),
    "p-tuning, lstm": lambda: PTuning(20, 64, "lstm"),
    "prefix": lambda: PrefixTuning(20),
    "prefix, mlp": lambda: PrefixTuning(20, mlp=64),
    "prefix, some": lambda: PrefixTuning(20, layers=[0, 1], trainable=[1]),
    "ia3": IA3,
    "lora": lambda: LoRA(8),
    "lora, all": lambda: LoRA(8, targets="all"),
    "dora": lambda: LoRA(8, dora=True),
    "houlsby": lambda: Adapter(16, "houlsby"),
    "parallel": lambda: Adapter(16, "parallel"),
    "mam": lambda: MAMAdapter(5, 16),
    "unipelt": lambda: UniPELT(5, 4, 8),
    "prompt and lora": lambda: Compose([PromptTuning(5), LoRA(8)]),
}
FAMILIES = ["gpt2", "llama", "opt", "neox", "bloom", "mistral", "qwen2", "qwen3", "smollm3"]
SMALL = ["gpt2", "opt-125m", "opt-350m", "pythia-160m", "bloom-560m", "qwen2.5-0.5b",
         "qwen3-0.6b", "smollm2-135m"]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_totals_are_those_published(name):
    record, settings = config_record(name), load_config(name)
    total = t5.parameters(settings) if name in T5S else total_parameters(settings)
    published = record["published"]
    if isinstance(published, int):
        assert total == published
    else:  # "6.7B": as many digits as were printed
        digits = len(published[:-1].partition(".")[2])
        printed, last = float(published[:-1]), 10**-digits  # one unit of the last digit is let go
        assert abs(total / 1e9 - printed) <= (last if name != "gpt3-175b" else 0.4)
    assert record["source"].startswith("http") or "arxiv.org" in record["source"]


def test_gpt3_is_half_a_billion_short_of_its_name():
    """175.0 billion are printed; the sizes that are printed with it give 174.6."""
    assert total_parameters(load_config("gpt3-175b")) == 174_604_259_328


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", FAMILIES)
def test_counts_from_a_config_are_those_of_a_model(name, method):
    if method == "bitfit" and name in ("mistral", "qwen3", "smollm3"):
        pytest.skip("no biases")
    settings, made = config(name), METHODS[method]()
    alone = count(settings, made)
    model = tiny(name, torch.float32)
    with made.attach(model):
        there = count(made)
        assert tensors(made, settings) == len(list(made.parameters()))
    assert alone == there == count(made, model) and alone.predicted == alone.measured > 0
    assert not made.attached


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("name", FAMILIES)
def test_a_config_that_speaks_of_biases_is_read_as_its_model_reads_it(name, bias):
    """Mistral and Qwen2 have those that they have, whatever their config says."""
    settings = config(name, attention_bias=bias, mlp_bias=bias, enable_bias=bias)
    for method in (FullFineTuning(), LayerFreezing.top(1)):
        found = count(settings, method)
        assert found.predicted == found.measured


@pytest.mark.parametrize("name", SMALL)
def test_published_sizes_on_the_meta_device(name):
    settings = load_config(name)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(settings)
    assert count_parameters(model) == total_parameters(settings)
    for method in (FullFineTuning(), PromptTuning(20), PrefixTuning(20), LoRA(8), IA3()):
        found = count(name, method)
        assert found.predicted == found.measured > 0


@pytest.mark.parametrize("name", ["gpt3-175b", "bloom-176b", "opt-66b", "llama-3-70b"])
def test_counts_of_the_largest(name):
    """Built without numbers: no memory is needed but for the few of a soft prompt."""
    for method in (LoRA(8), Adapter(64, "houlsby"), IA3(), PromptTuning(100)):
        found = count(name, method)
        assert found.predicted == found.measured > 0


def test_known_counts():
    """`peft` on the meta device, and closed forms of the papers."""
    d, layers = 12288, 96
    assert count("gpt3-175b", LoRA(8)).measured == 4 * layers * d * 8 == 37_748_736
    assert FullFineTuning().expected_parameters(load_config("bloom-176b")) == 176_247_271_424
    assert PromptTuning(100).expected_parameters(load_config("bloom-176b")) == 1_433_600
    assert PrefixTuning(20).expected_parameters(load_config("bloom-176b")) == 40_140_800
    llama = load_config("llama-3-8b")
    assert PrefixTuning(20).expected_parameters(llama) == 1_310_720
    assert LoRA(8).expected_parameters(llama) == 3_407_872
    assert LoRA(16, targets="all").expected_parameters(llama) == 41_943_040
    assert IA3().expected_parameters(llama) == 524_288
    assert dimensions(llama).kv_size == 1024


def test_counting_leaves_a_method_as_it_was():
    method = PromptTuning(5, init="text", text="a", tokenizer=lambda t, **_: {"input_ids": [3]})
    assert count("gpt2", method).predicted == count(method, "gpt2").measured == 5 * 768
    assert not method.attached and next(method.parameters(), None) is None
    model = tiny("llama")
    with method.attach(model):
        assert count(method) == count(model, method) == count(method, model)
        assert count("gpt2", method).measured == 5 * 768  # another model: built anew for it
        assert count(method).measured == 5 * 32
    assert count(method, model).measured == 5 * 32


@pytest.mark.parametrize("name", T5S[:3])
def test_t5_on_the_meta_device(name):
    settings = load_config(name)
    with torch.device("meta"):
        model = T5ForConditionalGeneration(settings)
    found = count_parameters(model)
    tied = model.lm_head.weight is model.shared.weight
    assert t5.parameters(settings) == found + tied * settings.vocab_size * settings.d_model


def test_t5_counts():
    xxl = load_config("t5-v1.1-xxl")
    assert isinstance(xxl, T5Config)
    assert t5.prompt_parameters(xxl, 5) == 20_480
    assert t5.ia3_parameters(xxl) == 24 * (2 * 4096 + 10240) + 24 * (4 * 4096 + 10240) == 1_081_344
    with pytest.raises(ValueError, match="'t5' are not known"):
        count(xxl, PromptTuning(5))


def test_names(tmp_path):
    assert load_config("storyteller-nano").model_type == "llama"
    config("opt").save_pretrained(tmp_path)
    assert load_config(tmp_path).model_type == as_config(str(tmp_path)).model_type == "opt"
    assert as_config(tiny("gpt2")).model_type == as_config(config("gpt2")).model_type == "gpt2"
    with pytest.raises(ValueError, match="no 'gpt5'.*storyteller-micro.*gpt2, "):
        load_config("gpt5")
    with pytest.raises(ValueError, match="no 'gpt5'.*gpt2, "):
        config_record("gpt5")
    with pytest.raises(TypeError, match="not Linear"):
        as_config(torch.nn.Linear(2, 2))
    with pytest.raises(TypeError, match="not str"):
        count("gpt2", "lora")
