"""Activations: what the forward pass keeps for the backward pass, measured and predicted."""

import contextlib
from collections.abc import Callable, Iterable, Iterator

import torch
from torch import nn

from .tasks import IGNORE


@contextlib.contextmanager
def saved_storages(excluded: Iterable[torch.Tensor]) -> Iterator[dict[int, int]]:
    """Collects the storages that autograd saves in the `with` block: address -> bytes.

    Each storage counts once, as views share it. Those of `excluded` (parameters, buffers) are
    left out: they are there anyway.
    """
    known = {tensor.untyped_storage().data_ptr() for tensor in excluded}
    saved: dict[int, int] = {}
    alive = []  # an address tells storages apart only while they live

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in known:
            saved[storage.data_ptr()] = storage.nbytes()
            alive.append(tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        yield saved


def saved_activation_bytes(fn: Callable[[], object], *modules: nn.Module) -> int:
    """Bytes that autograd keeps from the forward pass `fn()` until the backward pass.

    Parameters and buffers of `modules` are left out.
    """
    excluded = [t for module in modules for t in (*module.parameters(), *module.buffers())]
    with saved_storages(excluded) as saved:
        fn()
    return sum(saved.values())


def saved_by_part(model: nn.Module, method: nn.Module, batch: dict) -> dict[str, int]:
    """Bytes saved for the backward pass, by where the forward pass was when they were saved.

    What a block reads counts for that block. Each storage counts once, where it is saved first.

    Args:
        model: with `method` attached.
        batch: input_ids, attention_mask, labels, each (B, T).

    Returns:
        {"embeddings", "block 0", ..., "head and loss": bytes}; their sum is what
        `accounting.memory` measures.
    """
    from .evaluation import scored_nll

    layers = model.get_decoder().layers
    names = ["embeddings", *(f"block {i}" for i in range(len(layers))), "head and loss"]
    reached: list[int] = []  # bytes saved when each part begins
    modules = (model, method)
    excluded = [t for m in modules for t in (*m.parameters(), *m.buffers())]
    with contextlib.ExitStack() as hooks, saved_storages(excluded) as saved:

        def mark(*_):
            reached.append(sum(saved.values()))

        for layer in layers:
            hooks.callback(layer.register_forward_pre_hook(mark).remove)
        hooks.callback(layers[-1].register_forward_hook(mark).remove)
        scored_nll(model, batch)
        mark()
    return {name: b - a for name, a, b in zip(names, [0, *reached], reached, strict=False)}


def predicted_activation_bytes(model: nn.Module, batch: dict) -> int | None:
    """The closed form of `saved_activation_bytes` for a model of the Llama family.

    It follows the gradient up from the first trained tensor and lists what each operation saves,
    in float32 numbers a token. For a block with width d, feed-forward width f, H heads, H_kv
    key-value heads and head width e, through which the gradient flows:

        two norms        2 (d + 1)       their input, and one over its root mean square
        attention        2 H e + 2 H_kv e + H   query, output, key, value, log-sum-exp
        gate             3 f             gate, silu(gate), up

    and to train its weights, as the gradient of a weight needs the weight's input:

        two norms        2 d             the normalised input
        q, k, v          d               their one input
        o                0               its input is the attention's output
        gate, up         d               their one input
        down             f               its input

    A bias needs nothing. The head adds the log-probabilities, a vocabulary for each *scored*
    token. Padding makes attention keep a mask of T numbers a token, and a copy of the keys and
    values for each query head (a single key-value head is not copied).

    Returns:
        Bytes; None where the form does not hold: another family, precision or attention
        implementation than Llama's in float32 with "sdpa" on a CPU, or dropout.
    """
    config = model.config
    device, dtype = next((p.device.type, p.dtype) for p in model.parameters())
    if (
        config.model_type != "llama"
        or config._attn_implementation != "sdpa"
        or (device, dtype) != ("cpu", torch.float32)
        or config.attention_dropout
    ):
        return None
    d, f, heads = config.hidden_size, config.intermediate_size, config.num_attention_heads
    head = getattr(config, "head_dim", None) or d // heads
    rows, T = batch["input_ids"].shape
    padded = "attention_mask" in batch and not bool(batch["attention_mask"].all())
    scored = int((batch["labels"][:, 1:] != IGNORE).sum())
    kv_heads = config.num_key_value_heads
    if padded and kv_heads > 1:  # one head is expanded as a view, which costs nothing
        kv_heads = heads

    body = model.get_decoder()
    flows = body.embed_tokens.weight.requires_grad
    ids = 2 * flows  # 64 bits each, where rows of the table are trained
    per_token = ids
    for block in body.layers:
        attention, mlp = block.self_attn, block.mlp
        if not (flows or any(p.requires_grad for p in block.parameters())):
            continue  # below the first trained tensor nothing is kept
        per_token += flows * (d + 1) + _trains(block.input_layernorm) * d
        per_token += _trains(attention.q_proj, attention.k_proj, attention.v_proj) * d
        per_token += 2 * heads * head + 2 * kv_heads * head + heads + padded * T
        per_token += (d + 1) + _trains(block.post_attention_layernorm) * d
        per_token += _trains(mlp.gate_proj, mlp.up_proj) * d + 3 * f + _trains(mlp.down_proj) * f
        flows = True
    rotation = 2 * T * head * flows  # cosines and sines, once for all
    per_token += flows * (d + 1) + _trains(body.norm) * d
    flows = flows or _trains(body.norm)
    selection = rows * T * flows  # bytes: which positions are scored
    if not (flows or _trains(model.lm_head)):
        return 0
    per_scored = _trains(model.lm_head) * d + config.vocab_size + 2  # 2: the target, 64 bits
    one = 1  # the loss keeps one number more
    return 4 * (rows * T * per_token + rotation + scored * per_scored + one) + selection


def _trains(*modules: nn.Module) -> bool:
    return any(module.weight.requires_grad for module in modules)
