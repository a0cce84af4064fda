"""Multiply-adds a token: the closed forms against PyTorch's own counter, and calls counted."""

import pytest
import tiny
import torch
from torch.utils.flop_counter import FlopCounterMode

from peft_lab.methods import IA3, Adapter, PrefixTuning
from peft_lab.operations import (
    PLACES,
    adapter_operations,
    ia3_operations,
    model_operations,
    module_bill,
    operator_calls,
    prefix_operations,
    step_operations,
)

ROWS, LENGTH = 2, 7
LINEAR = {torch.ops.aten.mm, torch.ops.aten.addmm}


def counted(model) -> int:
    """Multiply-adds a token of the linear layers: attention itself is left out."""
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(tiny.tokens(ROWS, LENGTH))
    flops = counter.get_flop_counts()["Global"]
    own = sum(n for op, n in flops.items() if op in LINEAR)
    assert own % (2 * ROWS * LENGTH) == 0
    return own // (2 * ROWS * LENGTH)


@pytest.mark.parametrize("name", tiny.ARCHITECTURES)
def test_model_and_adapters_as_counted(name):
    model = tiny.tiny(name, torch.float32)
    alone = counted(model)
    assert alone == model_operations(model.config)
    for place in ("houlsby", "pfeiffer", "parallel"):
        for width in (1, 5):
            with Adapter(width, place).attach(model):
                assert counted(model) - alone == adapter_operations(model.config, width, place)


def test_ia3_multiplies_each_of_its_numbers_once():
    config = tiny.config("llama")
    assert ia3_operations(config) == IA3().expected_parameters(config)


def test_a_prefix_place_costs_a_score_and_a_value_in_each_query_head():
    config = tiny.config("llama")  # twice as many query heads as key-value heads
    assert prefix_operations(config, 5) == 2 * PrefixTuning(5).expected_parameters(config)


@pytest.mark.parametrize("place", PLACES)
def test_module_bill(place):
    config = tiny.config("llama")
    bills = [module_bill(config, place, width) for width in (1, 2, 8)]
    for bill in bills:
        assert bill["bytes"] == 4 * bill["parameters"] > 0
        assert bill["share"] == bill["operations"] / model_operations(config)
    work = [bill["operations"] for bill in bills]
    if place.startswith("IA3"):
        assert len(set(work)) == 1 and (work[0] == 0) == (place == "IA3, merged")
    else:
        assert work == [work[0], 2 * work[0], 8 * work[0]]


def test_module_bill_names_bad_input():
    with pytest.raises(ValueError, match="place='under'.*houlsby"):
        module_bill(tiny.config("llama"), "under")
    with pytest.raises(ValueError, match="width"):
        module_bill(tiny.config("llama"), "pfeiffer", 0)


def test_calls_do_not_depend_on_the_width():
    model = tiny.tiny("llama", torch.float32)
    ids = tiny.tokens(1, 1)

    @torch.no_grad()
    def calls():
        return operator_calls(lambda: model(ids))

    assert operator_calls(lambda: torch.ones(3) + 1) == 2
    alone, more = calls(), []
    for width in (1, 8):
        with Adapter(width).attach(model):
            more.append(calls() - alone)
    assert more[0] == more[1] > 0
    with IA3().attach(model) as method:
        assert calls() > alone
        method.merge()
        assert calls() == alone


def test_the_stored_operations_of_a_step_are_counted_again():
    """Those of data/results/step_times.json: the first eight poems, forward and backward."""
    from peft_lab import FullFineTuning, LoRA, collate, load_base, load_task
    from peft_lab.results import load_runs, step_times

    stored = step_times(load_runs("poems"))
    model, tokenizer = load_base()
    eight = collate(load_task("poems", tokenizer).train[:8], tokenizer.pad_token_id)
    for name, method in (("full", FullFineTuning()), ("LoRA 8", LoRA(8))):
        with method.attach(model):
            assert step_operations(model, method, eight) == stored[name].operations
            assert not any(p.grad is not None and p.grad.any() for p in method.parameters())
