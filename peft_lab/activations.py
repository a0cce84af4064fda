"""Activations: what the forward pass keeps for the backward pass, measured and predicted."""

import contextlib
from collections.abc import Callable, Iterable, Iterator

import torch
from torch import nn

from . import tape
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


def predicted_activation_bytes(
    model: nn.Module, batch: dict, method: nn.Module | None = None
) -> int | None:
    """What `saved_activation_bytes` will find, from closed forms: exact on a CPU.

    It follows the gradient up from the first trained tensor and lists what each operation saves;
    `peft_lab.tape` has the list for each operation, each family and each method. For Llama, in
    float32 numbers a token, a block with width d, feed-forward width f, H heads, H_kv
    key-value heads and head width e, through which the gradient flows, keeps:

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
    values for each query head (a single key-value head is not copied). Dropout on attention, as
    GPT-2 has it, rules out the CPU's fused kernel: then the weights are kept, T numbers a token and
    head, three times over, in float32 whatever the model's precision.

    Args:
        model: on any device; on a GPU, other kernels keep a little more or less, and with dropout
            on attention perhaps far less: there a fused kernel may take it (not measured).
        batch: input_ids, attention_mask, labels, each (B, T).
        method: attached to it, with tensors of its own; None where the model's own are trained.

    Returns:
        Bytes; None where the forms do not hold: a family, method, activation function or attention
        that `peft_lab.tape` does not know, or float64.
    """
    kept = predicted_activations(model, batch, method)
    return None if kept is None else sum(kept.values())


def _padded_before(mask: torch.Tensor) -> bool:
    """Whether padding stands before some token of the mask, (B, T)."""
    places = torch.arange(mask.shape[1], device=mask.device)
    return bool(((mask.long().cumsum(1) - 1 != places) & mask.bool()).any())


def predicted_activations(
    model: nn.Module, batch: dict, method: nn.Module | None = None
) -> dict[str, int] | None:
    """`predicted_activation_bytes` by part of the model, as in `tape.Rehearsal.kept`."""
    from .methods import Method

    size = next(model.parameters()).element_size()
    mask = batch.get("attention_mask")
    if size > 4 or batch["labels"].shape[1] < 1:
        return None
    if isinstance(method, Method):
        if method.merged or not method.attached:
            return None
    elif method is not None:
        inside = {id(p) for p in model.parameters()}
        if any(p.requires_grad and id(p) not in inside for p in method.parameters()):
            return None  # it does what nobody knows
        method = None
    if tape.unknown(model.config) is not None:
        return None
    shape = tape.Batch(
        *batch["input_ids"].shape,
        scored=int((batch["labels"][:, 1:] != IGNORE).sum()),
        padded=mask is not None and not bool(mask.all()),
        left=mask is not None and _padded_before(mask),
    )
    found = tape.rehearse(model.config, method, shape, tape.trained_in(model), size)
    return None if found is None else found.kept
