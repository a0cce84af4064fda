"""What a step keeps, predicted on a tape and then measured: each family, method and shape."""

from collections import Counter
from fractions import Fraction

import pytest
import torch
import torch.nn.functional as F
from tiny import config, tiny
from torch.overrides import TorchFunctionMode
from torch.utils.flop_counter import FlopCounterMode

from peft_lab import tape
from peft_lab.accounting import memory
from peft_lab.activations import predicted_activation_bytes, predicted_activations, saved_storages
from peft_lab.evaluation import scored_nll
from peft_lab.footprint import footprint, rehearsal
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

FAMILIES = ["llama", "gpt2", "opt", "neox", "bloom"]
METHODS = {
    "full": FullFineTuning,
    "top": lambda: LayerFreezing.top(1),
    "bitfit": BitFit,
    "embeddings": EmbeddingTuning,
    "prompt": lambda: PromptTuning(5),
    "p-tuning": lambda: PTuning(5, 8),
    "prefix": lambda: PrefixTuning(5),
    "prefix, mlp": lambda: PrefixTuning(5, mlp=8),
    "prefix, one layer": lambda: PrefixTuning(5, layers=[1]),
    "prefix, some fixed": lambda: PrefixTuning(5, layers=[0, 2], trainable=[2]),
    "prefix, all fixed": lambda: Compose([PrefixTuning(5, trainable=()), LayerFreezing.top(1)]),
    "ia3": IA3,
    "lora": lambda: LoRA(2),
    "lora, all": lambda: LoRA(2, targets="all"),
    "lora, head": lambda: LoRA(2, targets=["head"]),
    "lora, dropout": lambda: LoRA(2, dropout=0.1),
    "dora": lambda: LoRA(2, dora=True),
    "houlsby": lambda: Adapter(4, "houlsby"),
    "pfeiffer": lambda: Adapter(4, activation="silu"),
    "parallel": lambda: Adapter(4, "parallel", activation="gelu"),
    "mam": lambda: MAMAdapter(3, 4),
    "unipelt": lambda: UniPELT(3, 2, 4),
    "prompt and lora": lambda: Compose([PromptTuning(3), LoRA(2)]),
    "prompt and top": lambda: Compose([PromptTuning(3), LayerFreezing.top(1)]),
}
SHAPES = {
    "4 rows": (4, 24, None),
    "1 row": (1, 17, None),
    "padded": (4, 24, "right"),
    "padded left": (3, 20, "left"),
    "a hole": (3, 20, "hole"),
}


def make_batch(rows: int, length: int, padding: str | None = None) -> dict:
    ids = torch.randint(3, 90, (rows, length), generator=torch.Generator().manual_seed(0))
    labels, mask = ids.clone(), torch.ones_like(ids)
    labels[:, :9] = -100
    places = {"right": slice(-5, None), "left": slice(5), "hole": slice(3, 4)}
    where = places.get(padding)
    if where:
        mask[0, where], labels[0, where] = 0, -100
    return {"input_ids": ids, "attention_mask": mask, "labels": labels}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", FAMILIES)
def test_activations_are_predicted_to_the_byte(name, method):
    """5% would do; it is exact, with the dropout that each family has of itself."""
    model = tiny(name, torch.float32)
    with METHODS[method]().attach(model) as attached:
        for shape in SHAPES.values():
            found = memory(model, attached, make_batch(*shape))
            assert found.predicted.activations == found.measured.activations > 0, shape
            assert found.predicted == found.measured


@pytest.mark.parametrize("method", ["full", "prompt", "prefix", "lora", "ia3", "houlsby", "dora"])
@pytest.mark.parametrize("name", [*FAMILIES, "qwen2", "qwen3", "mistral", "smollm3"])
def test_in_half_precision_too(name, method):
    """With the dropout that each family has of itself: GPT-2's is on attention too."""
    model = tiny(name, torch.bfloat16)
    with METHODS[method]().attach(model) as attached:
        for shape in SHAPES.values():
            found = memory(model, attached, make_batch(*shape))
            assert found.predicted == found.measured, shape


DROPOUT = {"gpt2": "attn_pdrop"}  # elsewhere it is called attention_dropout


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("name", ["gpt2", "llama", "opt", "neox", "qwen3"])
def test_dropout_on_attention_costs_its_weights(name, dtype):
    """With it there is no fused kernel on a CPU, so weights are kept, T x T for each head; and
    PyTorch computes them in float32, whatever the model's precision."""
    for shape in ((1, 32, None), (3, 32, None), (3, 32, "left")):
        kept = {}
        for p in (0.0, 0.1):
            model = tiny(name, dtype, **{DROPOUT.get(name, "attention_dropout"): p})
            for method in (LoRA(2), PrefixTuning(3)):
                with method.attach(model):
                    found = memory(model, method, make_batch(*shape))
                assert found.predicted == found.measured
            kept[p] = found.predicted.parts["attention"]
        assert kept[0.1] > 1.2 * kept[0.0]


def test_a_batch_without_a_mask_counts_as_one_without_padding():
    model, batch = tiny("llama", torch.float32), make_batch(3, 12)
    for method in (PrefixTuning(4), PromptTuning(4)):
        with method.attach(model):
            expected = memory(model, method, batch)
            found = memory(model, method, {k: batch[k] for k in ("input_ids", "labels")})
        assert found == expected and found.predicted == found.measured


CONFIGS = [
    ("llama", {}), ("llama", {"tie_word_embeddings": False, "attention_bias": False}),
    ("llama", {"num_key_value_heads": 1}), ("llama", {"head_dim": 16, "mlp_bias": False}),
    ("gpt2", {}), ("gpt2", {"tie_word_embeddings": False, "attn_pdrop": 0.0}),
    ("opt", {}), ("opt", {"word_embed_proj_dim": 16, "do_layer_norm_before": False}),
    ("opt", {"layer_norm_elementwise_affine": False}), ("opt", {"enable_bias": False}),
    ("neox", {}), ("neox", {"use_parallel_residual": False, "attention_bias": False}),
    ("bloom", {}), ("qwen2", {}), ("qwen3", {}), ("mistral", {}), ("smollm3", {}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "changes"), CONFIGS, ids=[f"{n}-{'-'.join(c)}" for n, c in CONFIGS]
)
def test_a_config_alone_says_the_same(name, changes):
    """Weights, gradients, optimizer state and activations, without the model."""
    model = tiny(name, torch.float32, **changes)
    for method, make in METHODS.items():
        if method == "bitfit" and name in ("mistral", "qwen3", "smollm3"):
            continue  # no biases
        made = make()
        alone = memory(config(name, **changes), made, 2, 12)
        assert alone.measured is None
        with made.attach(model):
            found = memory(model, made, 2, 12)
        assert alone.predicted == found.predicted == found.measured, method
        assert alone.predicted.parts == found.predicted.parts


@pytest.mark.parametrize("name", FAMILIES)
def test_half_precision_from_a_config(name):
    for method in ("full", "prompt", "lora", "prompt and top"):
        made = METHODS[method]()
        alone = memory(config(name), made, 2, 12, precision="bfloat16").predicted
        model = tiny(name, torch.bfloat16)
        with made.attach(model):
            assert alone == memory(model, made, 2, 12).measured


class Watch(TorchFunctionMode):
    """Notes what is saved while attention computes."""

    def __init__(self, saved: dict):
        super().__init__()
        self.saved, self.bytes = saved, 0

    def __torch_function__(self, fn, types, args=(), kwargs=None):
        before = sum(self.saved.values())
        out = fn(*args, **(kwargs or {}))
        if fn is F.scaled_dot_product_attention:
            self.bytes += sum(self.saved.values()) - before
        return out


@pytest.mark.parametrize("method", ["full", "lora, all", "prefix", "prompt", "bitfit", "unipelt"])
@pytest.mark.parametrize("name", ["llama", "opt", "neox"])
def test_attention_is_counted_separately(name, method):
    model, batch = tiny(name, torch.float32).train(), make_batch(2, 12)
    with METHODS[method]().attach(model) as attached:
        parts = predicted_activations(model, batch, attached)
        excluded = [*model.parameters(), *attached.parameters(), *model.buffers()]
        with saved_storages(excluded) as saved, Watch(saved) as watch:
            scored_nll(model, batch)
    assert parts["attention"] + parts["prefix"] == watch.bytes > 0
    assert (parts["prefix"] > 0) == (method in ("prefix", "unipelt"))


def test_a_prefix_costs_its_keys_and_values_in_each_row_and_layer():
    settings = config("llama")
    for rows in (1, 4):
        parts = memory(settings, PrefixTuning(5), rows, 12).predicted.parts
        # with a mask, each of the 4 query heads has keys and values of its own
        assert parts["prefix"] == 4 * rows * 5 * 2 * (4 * 8) * settings.num_hidden_layers


def test_soft_prompts_save_optimizer_state_not_activations():
    """What is told wrong: they keep as much as LoRA, and more for each vector."""
    settings = config("llama", hidden_size=64, intermediate_size=128, vocab_size=512)
    full, lora, prompt, longer = (
        memory(settings, method, 8, 48).predicted
        for method in (FullFineTuning(), LoRA(2), PromptTuning(5), PromptTuning(15))
    )
    assert prompt.optimizer < full.optimizer / 100
    assert prompt.activations > 0.7 * full.activations  # 0.74; full keeps inputs for its weights
    assert prompt.activations > 0.9 * lora.activations
    more = longer.activations - prompt.activations
    assert more > 10 / 53 * 0.9 * (prompt.activations - prompt.parts["logits"])


@pytest.mark.parametrize("method", ["full", "top", "lora, all", "houlsby", "prompt"])
@pytest.mark.parametrize("name", ["llama", "gpt2", "bloom"])
def test_operations_as_counted(name, method, monkeypatch):
    """Forward and backward: PyTorch's own counter, of the matrices outside of attention."""
    model = tiny(name, torch.float32)
    with METHODS[method]().attach(model) as attached:
        flops = counted(model)
    found = rehearsal(model.config, attached, 2, 12, "float32").operations
    monkeypatch.setattr("peft_lab.tape.families._Pass._attend", lambda *_: 0)
    alone = rehearsal(model.config, attached, 2, 12, "float32").operations
    assert alone == flops[torch.ops.aten.mm] + flops[torch.ops.aten.addmm] < found


@pytest.mark.parametrize("method", ["full", "top", "lora", "lora on v", "prompt", "prefix", "ia3"])
@pytest.mark.parametrize("name", ["gpt2", "bloom"])
def test_operations_of_attention_as_counted(name, method, monkeypatch):
    """Families that do it as products of matrices: PyTorch does them for all columns, we count
    those that a query sees."""
    model = tiny(name, torch.float32).train()  # with dropout there is no fused kernel
    made = LoRA(2, targets="v") if method == "lora on v" else METHODS[method]()
    with made.attach(model):
        flops = counted(model)
    found = rehearsal(model.config, made, 2, 12, "float32").operations
    monkeypatch.setattr("peft_lab.tape.families._Pass._attend", lambda *_: 0)
    own = found - rehearsal(model.config, made, 2, 12, "float32").operations
    before, tokens = 5 * (method == "prefix"), 12 + 5 * (method == "prompt")
    share = Fraction(2 * before + tokens + 1, 2 * (before + tokens))
    assert own == share * (flops[torch.ops.aten.bmm] + flops[torch.ops.aten.baddbmm]) > 0


def test_a_prefix_is_seen_in_its_layers_alone():
    def operations(layers):
        method = Compose([FullFineTuning(), PrefixTuning(5, layers=layers)])
        return rehearsal(config("llama"), method, 2, 12, "float32").operations

    # 2 x 4 heads of width 8, 12 queries; 2 products forward and 4 back; 5 columns more
    assert operations([0, 1]) - operations([1]) == 2 * (2 * 4 * 12) * 8 * 6 * 5


def counted(model) -> dict:
    """Operations of a step on 2 x 12 tokens by operator, there and back."""
    ids = torch.arange(24).view(2, 12)
    batch = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": ids}
    with FlopCounterMode(display=False) as counter:
        scored_nll(model, batch)[0].backward()
    return Counter(counter.get_flop_counts()["Global"])


def test_where_the_forms_do_not_hold():
    batch = make_batch(2, 12)
    assert predicted_activation_bytes(tiny("llama", torch.float64), batch) is None
    eager = tiny("llama", torch.float32, attn_implementation="eager")
    assert predicted_activation_bytes(eager, batch) is None
    assert tape.unknown(config("gpt2", activation_function="gelu_fast")) is not None
    assert tape.unknown(config("gpt2", reorder_and_upcast_attn=True)) is not None
    assert memory(config("llama"), PTuning(3, 4, "lstm"), 1, 8).predicted.activations is None
    window = config("mistral", sliding_window=8)
    assert memory(window, LoRA(2), 1, 9).predicted.activations is None
    assert memory(window, LoRA(2), 1, 8).predicted.activations > 0

    class Unknown(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.ones(3))

    model = tiny("llama", torch.float32)
    assert predicted_activation_bytes(model, batch, Unknown()) is None
    with LoRA(2).attach(model) as method:
        assert predicted_activation_bytes(model, batch, method) > 0
        method.merge()
        assert predicted_activation_bytes(model, batch, method) is None


def test_from_176_billion_parameters_in_no_time():
    """A whole block of BLOOM, by hand: plain attention keeps its weights, H T numbers a token."""
    from peft_lab.model_configs import load_config

    settings, rows, length = load_config("bloom-176b"), 1, 64
    found = footprint(settings, PromptTuning(10), rows, length, "adamw", "bfloat16")
    d, places, size = 14336, 10 + 64, 2
    norms = 2 * (d + 2)
    attention = 3 * d + 112 * places * (2 + 1)  # q, k, v in one; weights in float32 and bfloat16
    feed_forward = 4 * d
    block = places * size * (norms + attention + feed_forward)
    ends = found.parts["embeddings"] + found.parts["logits"]
    assert found.activations - ends == 70 * block


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
@pytest.mark.parametrize("method", ["full", "lora", "prompt", "prefix"])
@pytest.mark.parametrize("name", ["llama", "gpt2"])
def test_on_a_gpu_the_peak_is_predicted_within_a_tenth(name, method):
    from peft_lab.planner import peak_bytes

    sizes = {"hidden_size": 512, "num_hidden_layers": 6, "num_attention_heads": 8,
             "vocab_size": 8192, "max_position_embeddings": 512}  # fmt: skip
    more = {
        "gpt2": {"attn_pdrop": 0.0, "resid_pdrop": 0.0, "embd_pdrop": 0.0},
        "llama": {"num_key_value_heads": 8, "intermediate_size": 1536},
    }[name]
    rows, length = 16, 256
    model = tiny(name, torch.float32, **sizes, **more).to("cuda")
    ids = (torch.arange(rows * length) % 8000).view(rows, length).to("cuda")
    batch = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": ids}
    with METHODS[method]().attach(model) as attached:
        needed = footprint(model.config, attached, rows, length, "adamw", "float32")
        stepper = torch.optim.AdamW(attached.parameters())
        for _ in range(3):  # the first steps also make the optimizer's state
            torch.cuda.reset_peak_memory_stats()
            stepper.zero_grad()
            scored_nll(model.train(), batch)[0].backward()
            stepper.step()
    peak = torch.cuda.max_memory_allocated()
    assert peak_bytes(needed, rows * (length - 1), 8192) == pytest.approx(peak, rel=0.1)
