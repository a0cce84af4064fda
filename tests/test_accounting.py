import pytest
import torch
from tiny import config, tiny
from toy import toy_model

from peft_lab.accounting import (
    count,
    count_parameters,
    format_bytes,
    memory,
    predicted_activation_bytes,
    saved_activation_bytes,
)
from peft_lab.activations import saved_by_part
from peft_lab.evaluation import scored_nll
from peft_lab.methods import (
    IA3,
    Adapter,
    BitFit,
    Compose,
    FullFineTuning,
    LayerFreezing,
    LoRA,
    PrefixTuning,
    PromptTuning,
    PTuning,
    Switch,
)

METHODS = {
    "full": FullFineTuning,
    "top": lambda: LayerFreezing.top(1),
    "middle": lambda: LayerFreezing.middle(1),
    "bottom": lambda: LayerFreezing.bottom(2),
    "bitfit": BitFit,
}


def make_batch(rows=4, length=24, padded=False):
    ids = torch.randint(3, 90, (rows, length), generator=torch.Generator().manual_seed(0))
    labels, mask = ids.clone(), torch.ones_like(ids)
    labels[:, :9] = -100
    if padded:
        mask[0, -5:], labels[0, -5:] = 0, -100
    return {"input_ids": ids, "attention_mask": mask, "labels": labels}


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("padded", [False, True], ids=["unpadded", "padded"])
@pytest.mark.parametrize("kv_heads", [4, 2, 1])
@pytest.mark.parametrize("tied", [True, False], ids=["tied", "untied"])
def test_the_memory_of_a_step_is_predicted_to_the_byte(name, padded, kv_heads, tied):
    model = toy_model(num_key_value_heads=kv_heads, tie_word_embeddings=tied)
    with METHODS[name]().attach(model) as method:
        found = memory(model, method, make_batch(padded=padded))
    assert found.predicted == found.measured
    assert found.measured.activations > 0


def test_a_batch_without_a_mask_counts_as_one_without_padding():
    model, batch = toy_model(), make_batch()
    expected = memory(model, model, batch)
    del batch["attention_mask"]
    found = memory(model, model, batch)
    assert found == expected and found.predicted == found.measured


def test_adamw_takes_16_bytes_a_parameter_and_a_counter_a_tensor():
    model = toy_model()
    found = memory(model, model, make_batch()).measured
    parameters, tensors = count_parameters(model), len(list(model.parameters()))
    assert found.weights == found.gradients == 4 * parameters
    assert found.optimizer == 8 * parameters + 4 * tensors
    assert found.total == 16 * parameters + 4 * tensors + found.activations
    assert memory(model, model, make_batch(), optimizer="sgd").measured.optimizer == 0


@pytest.mark.parametrize("kind", [PromptTuning, PrefixTuning])
@pytest.mark.parametrize("name", ["llama", "gpt2"])
def test_methods_with_tensors_of_their_own_are_counted_too(name, kind):
    model, method = tiny(name, dtype=torch.float32), kind(3)
    base = count_parameters(model)
    with method.attach(model):
        found, own = memory(model, method, make_batch()), method.num_parameters()
    for side in (found.predicted, found.measured):
        assert side.weights == 4 * (base + own) and side.gradients == 4 * own
        assert side.optimizer == 8 * own + 4 * len(list(method.parameters()))
    assert found.predicted.activations == found.measured.activations > 0


PARTS = {**METHODS, "houlsby": lambda: Adapter(4, "houlsby"), "pfeiffer": lambda: Adapter(4),
         "ia3": IA3, "prompt": lambda: PromptTuning(3)}  # fmt: skip


@pytest.mark.parametrize("name", PARTS)
def test_what_each_part_keeps_adds_up(name):
    model = toy_model()
    with PARTS[name]().attach(model) as method:
        parts = saved_by_part(model, method, make_batch())
        assert sum(parts.values()) == memory(model, method, make_batch()).measured.activations
    layers = model.config.num_hidden_layers
    assert list(parts) == ["embeddings", *(f"block {i}" for i in range(layers)), "head and loss"]
    assert not any(layer._forward_pre_hooks for layer in model.model.layers)
    live = [parts[f"block {i}"] > 0 for i in range(layers)]
    assert live == [name != "top" or i == layers - 1 for i in range(layers)] or name == "middle"


def test_an_adapter_keeps_what_it_reads_and_what_it_squeezed_that_into():
    model, batch, width = toy_model(), make_batch(), 4
    with Adapter(width).attach(model) as method:
        parts = saved_by_part(model, method, batch)
    tokens = batch["input_ids"].numel()
    assert parts["block 0"] == 4 * tokens * (model.config.hidden_size + width)


def test_measuring_changes_nothing():
    model = tiny("gpt2", dtype=torch.float32)  # with dropout: it draws random numbers
    for parameter in model.parameters():
        parameter.grad = torch.full_like(parameter, 7.0)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    state = torch.get_rng_state()
    memory(model, model, make_batch())
    assert torch.equal(state, torch.get_rng_state()) and not model.training
    for name, parameter in model.named_parameters():
        assert torch.equal(parameter, before[name]) and (parameter.grad == 7).all()


@pytest.mark.parametrize("trainable", [(2,), (0,), (0, 1)])
def test_a_prefix_of_which_some_layers_are_fixed_has_gradients_for_the_others(trainable):
    """Autograd hands out views of larger gradients; what a step keeps is as large as its tensor."""
    model = toy_model()
    method = PrefixTuning(4, layers=range(model.config.num_hidden_layers), trainable=trainable)
    with method.attach(model):
        found = memory(model, method, make_batch())
    assert found.predicted == found.measured
    assert found.measured.gradients == 4 * method.num_parameters()


def test_a_switch_has_gradients_for_the_members_that_rows_choose():
    model, members = toy_model(), {"p": PromptTuning(2), "l": LoRA(2), "none": None}
    with (switch := Switch(members)).attach(model):
        for rows in (["p"], ["l"], ["p", "l"], ["l", "none", "l", "l"]):
            with switch.rows(rows):
                found = memory(model, switch, make_batch())
            own = sum(m.num_parameters() for name, m in members.items() if m and name in rows)
            assert found.predicted.gradients == found.measured.gradients == 4 * own
            assert found.predicted.optimizer == found.measured.optimizer > 8 * own
            assert found.predicted.weights == found.measured.weights
            assert found.predicted.activations is None
        with pytest.raises(ValueError, match="no parameter to train"), switch.rows(["none"]):
            memory(model, switch, make_batch())
        with pytest.raises(RuntimeError, match="no rows are chosen"):
            memory(model, switch, make_batch())
    with pytest.raises(ValueError, match="method: a Switch trains the members that rows choose"):
        memory("gpt2", Switch({"p": PromptTuning(2)}), 1, 8)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ((LoRA(2), 1, 5000), "length: 5000 tokens, but.* context is 1024"),
        ((PromptTuning(20), 1, 1005), "length: 1005 tokens and 20 virtual ones.* 1024"),
        ((PrefixTuning(20), 1, 1005), "20 virtual"),
        ((Compose([PTuning(20, 4, "lstm"), PrefixTuning(3)]), 1, 1002), "23 virtual"),
        (
            (Compose([FullFineTuning(), BitFit()]), 1, 8),
            "FullFineTuning and BitFit both train",
        ),
        ((LoRA(2), None, 3), "batch: .*batch=None, length=3"),
        ((LoRA(2), 2.5, 4), "batch: .*batch=2.5"),
        ((LoRA(2), True, 4), "batch: .*batch=True"),
        ((LoRA(2), 2), "length: .*length=None"),
        ((LoRA(2), 2, 0), "length: .*length=0"),
    ],
)
def test_from_a_config_what_training_refuses_is_refused(given, message):
    with pytest.raises(ValueError, match=message):
        memory("gpt2", *given)


def test_what_just_fits_is_not_refused():
    unseen = Compose([PrefixTuning(20, layers=()), LoRA(2)])  # tokens that no layer sees
    for method, length in ((PromptTuning(20), 1004), (LoRA(2), 1024), (unseen, 1024)):
        assert memory("gpt2", method, 1, length).predicted.total > 0
    # no learned positions, no context in its config
    assert memory(config("bloom"), PromptTuning(20), 1, 5000).predicted.total > 0


def test_precision_is_told_for_a_config_and_float16_trains_no_weights_of_the_model():
    with pytest.raises(ValueError, match="precision: .*float16.*NaN"):
        memory("gpt2", LayerFreezing.top(1), 1, 8, precision="float16")
    half = memory("gpt2", LoRA(2), 1, 8, precision="float16").predicted
    assert half.weights < 0.51 * memory("gpt2", LoRA(2), 1, 8).predicted.weights
    model = toy_model()
    for given in ("bogus", "bfloat16", "float32"):
        with pytest.raises(ValueError, match=f"precision='{given}' is for a config"):
            memory(model, model, make_batch(), precision=given)


def test_a_storage_counts_once_and_parameters_not_at_all():
    weight = torch.nn.Linear(10, 10, bias=False)
    x = torch.randn(5, 10, requires_grad=True)

    def forward():
        y = weight(x)  # saves x and the weight
        return (y.T * y.T.reshape(10, 5)).sum() + (y**2).sum() + x.exp().sum()

    # x, y, and exp's result, each once; the weight not
    assert saved_activation_bytes(forward, weight) == 3 * 5 * 10 * 4
    assert saved_activation_bytes(forward) == 3 * 5 * 10 * 4 + 10 * 10 * 4


def test_addresses_used_again_do_not_hide_anything():
    x = torch.randn(1000, requires_grad=True)

    def forward():
        for _ in range(5):
            (x + 1).sin()  # the sum is freed at once, and the next may get its address
        return x.sin()

    assert saved_activation_bytes(forward) == 6 * 4000


def test_the_closed_form_says_where_it_does_not_hold():
    batch = make_batch()
    assert predicted_activation_bytes(tiny("llama", dtype=torch.float64), batch) is None
    eager = tiny("llama", dtype=torch.float32, attn_implementation="eager")
    assert predicted_activation_bytes(eager, batch) is None
    frozen = toy_model().requires_grad_(False)  # the logits alone are not kept for anything
    nothing = saved_activation_bytes(lambda: scored_nll(frozen, batch), frozen)
    assert nothing == 0 == predicted_activation_bytes(frozen, batch)


def test_without_anything_to_train_there_is_no_step():
    model = toy_model()
    fixed = PrefixTuning(4, trainable=())
    with pytest.raises(ValueError, match="nothing to train"):
        memory(model.config, fixed, 1, 8)
    with pytest.raises(ValueError, match="no parameter to train"), fixed.attach(model):
        memory(model, fixed, make_batch())


def test_count_puts_the_closed_form_beside_the_count():
    model, method = tiny("llama"), PromptTuning(5)
    with pytest.raises(ValueError, match="not attached"):
        count(method)
    with method.attach(model):
        assert count(method) == count(method, model)
        assert count(method).predicted == count(method).measured == 5 * 32


def test_count_parameters_counts_tied_ones_once():
    tied, untied = toy_model(), toy_model(tie_word_embeddings=False)
    assert count_parameters(untied) - count_parameters(tied) == untied.lm_head.weight.numel()
    tied.requires_grad_(False).lm_head.weight.requires_grad_(True)
    assert count_parameters(tied, trainable=True) == tied.lm_head.weight.numel()


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (30_000, "29.3 KiB"),
        (5 << 20, "5.0 MiB"),
        (3 << 30, "3.0 GiB"),
    ],
)
def test_format_bytes(count, text):
    assert format_bytes(count) == text
