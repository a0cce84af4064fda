"""What does it cost? Parameters and bytes: predicted first, then measured."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from .activations import (
    predicted_activation_bytes,
    predicted_activations,
    saved_activation_bytes,
    saved_storages,
)
from .evaluation import scored_nll
from .footprint import Bytes, Memory, check_optimizer, footprint, format_bytes
from .methods import Method, Switch
from .methods.lanes import chosen
from .model_configs import as_config
from .models import mode
from .randomness import random_state_kept

__all__ = [
    "Bytes", "Count", "Memory", "count", "count_parameters", "format_bytes", "memory",
    "predicted_activation_bytes", "saved_activation_bytes",
]  # fmt: skip


@dataclass(frozen=True)
class Count:
    """Trainable parameters: by the method's closed form, and counted."""

    predicted: int
    measured: int


def count_parameters(module: nn.Module, trainable: bool = False) -> int:
    """The number of parameters, tied ones once; only those that require a gradient if asked."""
    return sum(p.numel() for p in module.parameters() if p.requires_grad or not trainable)


def count(first, second=None) -> Count:
    """A method's trainable parameters: by its closed form, and counted.

        count(method)                       attached: as it stands
        count(model, method)                or the other way round
        count("llama-3-70b", LoRA(8))       a config or a known name: built without numbers

    Args:
        first, second: a method, and the model that it is for: a model, a config, or one of
            `model_configs.known_configs()`. Without a model the method must be attached.

    Returns:
        `expected_parameters(config)` beside what is there. A method without tensors yet, or for a
        config, is built on PyTorch's meta device, where tensors have shapes and no memory.

    Raises:
        ValueError: the method is not attached and no model is given; an unknown name.
    """
    method, model = (first, second) if isinstance(first, Method) else (second, first)
    if not isinstance(method, Method):
        raise TypeError(f"method must be a method, not {type(method).__name__}.")
    if model is None:
        edits = method._edits  # what an attached method has done to its model
        if edits is None:
            raise ValueError("method is not attached: attach it, or give count(method, model).")
        model = edits.anatomy.model
    config = as_config(model)
    predicted = method.expected_parameters(config)
    if isinstance(model, nn.Module):
        try:
            return Count(predicted, method.num_parameters())
        except RuntimeError:  # nothing is made yet
            pass
    return Count(predicted, without_numbers(config, method).num_parameters())


def without_numbers(config, method: Method) -> Method:
    """A method like this one, attached to a model with this config, all on the meta device."""
    from transformers import AutoModelForCausalLM

    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    fresh = type(method).from_settings(method.settings())
    with _Weightless():
        return fresh.attach(model)


class _Weightless(TorchFunctionMode):
    """Makes new tensors on the meta device, but for the few random ones drawn from a generator."""

    def __torch_function__(self, fn, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        makes = fn in (torch.empty, torch.zeros, torch.ones, torch.randn)
        if makes and kwargs.get("generator") is None and kwargs.get("device") is None:
            kwargs = {**kwargs, "device": "meta"}
        return fn(*args, **kwargs)


def _unique_bytes(tensors: Iterable[torch.Tensor]) -> int:
    """Bytes of the tensors' storages, each storage once."""
    return sum(
        {t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in tensors}.values()
    )


def memory(
    model,
    method: nn.Module,
    batch: dict | int,
    length: int | None = None,
    *,
    optimizer: str = "adamw",
    precision: str | None = None,
) -> Memory:
    """Bytes of one training step, predicted, and measured where there is a model to run.

        memory(model, method, batch)              predicted and measured; nothing is changed by it
        memory("llama-3-8b", LoRA(8), 4, 512)     from a config or a name: predicted alone

    Predicted for P parameters in all, of which t are trained: 4 bytes a weight in float32, as
    many a gradient; AdamW keeps two more numbers for each trained one and a 4-byte step
    counter for each trained tensor. Full fine-tuning: 16 bytes a parameter. Activations: see
    `predicted_activation_bytes`.

    What is often told wrong: a soft prompt saves gradients and optimizer state, which are those of
    its few vectors, and most activations stay. The gradient must pass the whole frozen model to
    reach them, and what each operation keeps for that is kept, frozen or not; what is saved is
    the inputs of the frozen weights alone, and the prompt's own places cost more again: where
    a text is less than two or three times as long as the prompt, nothing is saved.
    An original that a method has swapped out, to swap it back later, is not counted.

    Args:
        model: the base, with `method` attached; or a config, or one of `known_configs()`.
        method: any module whose parameters are trained; it may be the model itself. For a config,
            a method, attached or not.
        batch: input_ids, attention_mask, labels, each (B, T); or B, then `length` is T, all of it
            text and scored.
        optimizer: "adamw", or "sgd" (no state).
        precision: of the weights, for a config alone: "float32" (None), "bfloat16" or "float16". A
            method's own tensors are float32 all the same.

    Raises:
        ValueError: an unknown optimizer, precision or model; a method without parameters, or one
            that a model with this config refuses; no length for a number of rows.
    """
    check_optimizer(optimizer)
    if not isinstance(batch, dict):
        for name, value in (("batch", batch), ("length", length)):
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise ValueError(
                    f"{name}: give a batch, or its rows and length, whole numbers from 1 on; "
                    f"given: batch={batch!r}, length={length!r}."
                )
    if not isinstance(model, nn.Module):
        if isinstance(batch, dict):
            batch, length = batch["input_ids"].shape
        config = as_config(model)
        told = footprint(config, method, batch, length, optimizer, precision or "float32")
        without_numbers(config, method)  # what attach() refuses needs no memory
        return Memory(told, None)
    if precision is not None:
        raise ValueError(f"precision={precision!r} is for a config; a model has its own: leave it.")
    trained = [p for p in _reached(method) if p.requires_grad]
    if not any(p.numel() for p in trained):
        raise ValueError("method has no parameter to train: attach it first.")
    if not isinstance(batch, dict):
        ids = torch.arange(batch * length).view(batch, length) % model.config.vocab_size  # (B, T)
        batch = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": ids}
    everything = list({id(p): p for p in (*model.parameters(), *method.parameters())}.values())
    gradients = sum(p.numel() * p.element_size() for p in trained)
    state = 2 * gradients + 4 * len(trained) if optimizer == "adamw" else 0
    kept = predicted_activations(model, batch, method)
    predicted = Bytes(
        weights=sum(p.numel() * p.element_size() for p in everything),
        gradients=gradients,
        optimizer=state,
        activations=None if kept is None else sum(kept.values()),
        parts=kept,
    )
    return Memory(predicted, _measure(model, method, batch, trained, everything, optimizer))


def _reached(method: nn.Module) -> Iterable[nn.Parameter]:
    """The parameters that a step may train: of a `Switch`, those of the members that rows chose."""
    if not isinstance(method, Switch):
        return method.parameters()
    names = dict.fromkeys(chosen(method._lanes).names)
    members = [method.members[name] for name in names]
    return [p for member in members if member is not None for p in member.parameters()]


def _measure(model, method, batch, trained, everything, optimizer: str) -> Bytes:
    device = next(model.parameters()).device
    with mode(True, model, method), random_state_kept(device):
        excluded = [*everything, *model.buffers(), *method.buffers()]
        with saved_storages(excluded) as saved:
            loss, _ = scored_nll(model, batch)
            activations = sum(saved.values())
        gradients = torch.autograd.grad(loss, trained, allow_unused=True)
    copies = [p.detach().clone().requires_grad_() for p in trained]  # the step must change nothing
    for copy, gradient in zip(copies, gradients, strict=True):
        copy.grad = gradient
    stepper = torch.optim.AdamW(copies) if optimizer == "adamw" else torch.optim.SGD(copies)
    stepper.step()
    kept = [t for s in stepper.state.values() for t in s.values() if isinstance(t, torch.Tensor)]
    return Bytes(
        weights=_unique_bytes(everything),
        gradients=sum(g.nbytes for g in gradients if g is not None),
        optimizer=_unique_bytes(kept),
        activations=activations,
    )
