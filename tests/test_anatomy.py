"""Sites and closed forms, for each family."""

import pytest
import torch
from tiny import D, L, V, config, tiny
from transformers import AutoModelForCausalLM, BertConfig

from peft_lab.anatomy import (
    FAMILIES,
    Anatomy,
    block_parameters,
    count,
    dimensions,
    linear_shapes,
    outer_parameters,
)
from peft_lab.methods import BitFit, FullFineTuning, LayerFreezing, PromptTuning

VARIANTS = [
    ("gpt2", {}),
    ("gpt2", {"tie_word_embeddings": False}),
    ("gpt2", {"n_inner": 80}),
    ("llama", {}),
    ("llama", {"tie_word_embeddings": False, "num_key_value_heads": 4}),
    ("llama", {"attention_bias": False}),
    ("llama", {"mlp_bias": False, "head_dim": 16}),
    ("opt", {}),
    ("opt", {"tie_word_embeddings": False}),
    ("opt", {"word_embed_proj_dim": 16, "do_layer_norm_before": False}),
    ("opt", {"enable_bias": False}),
    ("opt", {"layer_norm_elementwise_affine": False}),
    ("neox", {}),
    ("neox", {"tie_word_embeddings": True, "attention_bias": False}),
    ("bloom", {}),
    ("mistral", {}),
    ("qwen2", {}),
    ("qwen3", {"head_dim": 16}),
    ("smollm3", {}),
]
every_variant = pytest.mark.parametrize(
    ("name", "changes"), VARIANTS, ids=[f"{n}-{'-'.join(c)}" for n, c in VARIANTS]
)


@every_variant
def test_closed_forms_equal_what_is_there(name, changes):
    settings = config(name, **changes)
    model = AutoModelForCausalLM.from_config(settings)
    anatomy = Anatomy(model)
    block = sum(p.numel() for p in anatomy.blocks[1].parameters())
    assert sum(block_parameters(settings)) == block
    assert sum(outer_parameters(settings)) + L * block == count(model)
    biases = sum(p.numel() for n, p in model.named_parameters() if n.endswith("bias"))
    assert outer_parameters(settings)[1] + L * block_parameters(settings)[1] == biases
    assert FullFineTuning().expected_parameters(settings) == count(model)
    assert LayerFreezing.bottom(2).expected_parameters(settings) == 2 * block
    assert BitFit().expected_parameters(settings) == biases


@every_variant
def test_linear_shapes_are_those_of_the_modules(name, changes):
    model = AutoModelForCausalLM.from_config(config(name, **changes))
    anatomy, shapes = Anatomy(model), linear_shapes(model.config)
    assert anatomy.projections(0).keys() == shapes.keys()
    for role, module in anatomy.projections(2).items():
        inputs, outputs, bias = shapes[role]
        shape = tuple(module.weight.shape)
        assert shape == ((inputs, outputs) if name == "gpt2" else (outputs, inputs))
        assert bias == (module.bias is not None)


@pytest.mark.parametrize("name", ["gpt2", "llama", "opt", "neox", "bloom"])
def test_sites(name):
    model = tiny(name)
    anatomy = Anatomy(model)
    assert (anatomy.hidden_size, anatomy.layers, anatomy.heads, anatomy.head_dim) == (D, L, 4, 8)
    assert anatomy.kv_heads == (2 if name == "llama" else 4)
    assert anatomy.context == (None if name == "bloom" else 64) and anatomy.vocabulary == V
    assert anatomy.rotary == (name in ("llama", "neox"))
    assert anatomy.embedding is model.get_input_embeddings() and len(anatomy.blocks) == L
    seen = {}
    for key, module in (
        ("attention", anatomy.attention(1)),
        ("first", anatomy.feed_forward(1)[0]),
        ("last", anatomy.feed_forward(1)[1]),
    ):
        module.register_forward_hook(
            lambda m, args, out, key=key: seen.update({key: out[0] if key == "attention" else out})
        )
    model(torch.tensor([[3, 4, 5]]))
    assert seen["attention"].shape == (1, 3, D)
    assert seen["first"].shape[-1] == anatomy.inner and seen["last"].shape[-1] == D
    assert "3 blocks of width 32" in repr(anatomy)


def test_published_counts():
    """GPT-2 as its paper's code has it; all biases are 11 L d + d."""
    from transformers import GPT2Config, LlamaConfig

    gpt2 = GPT2Config()
    d, layers = 768, 12
    assert FullFineTuning().expected_parameters(gpt2) == 124_439_808
    assert BitFit().expected_parameters(gpt2) == 11 * layers * d + d == 102_144
    llama = LlamaConfig(
        vocab_size=128256, hidden_size=4096, intermediate_size=14336, num_hidden_layers=32,
        num_attention_heads=32, num_key_value_heads=8, tie_word_embeddings=False,
    )  # fmt: skip
    assert FullFineTuning().expected_parameters(llama) == 8_030_261_248
    assert dimensions(llama).kv_size == 1024


def test_a_model_without_numbers():
    """On the meta device all but the fingerprint is there."""
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config("gpt2"))
    assert Anatomy(model).fingerprint is None and Anatomy(model).head_dim == 8
    with PromptTuning(3).attach(model) as method:
        assert method.num_parameters() == 3 * D
        assert model(torch.ones(1, 4, dtype=torch.long, device="meta")).logits.shape == (1, 4, V)


def test_bloom_that_reads_weights_past_its_layers_is_refused():
    """There a hook on the layer never runs."""
    with pytest.raises(ValueError, match="slow_but_exact=True"):
        dimensions(config("bloom", slow_but_exact=True, pretraining_tp=2))
    dimensions(config("bloom", slow_but_exact=True))


def test_what_is_not_known():
    with pytest.raises(ValueError, match="'bert' are not known.*gpt2, llama"):
        dimensions(BertConfig())
    with pytest.raises(TypeError, match="Linear"):
        Anatomy(torch.nn.Linear(2, 2))
    with pytest.raises(AttributeError, match="wings"):
        Anatomy(tiny("gpt2")).wings  # noqa: B018
    assert set(FAMILIES) >= {"gpt2", "llama", "opt", "gpt_neox", "bloom"}
