"""What does it cost? Parameters and bytes: predicted first, then measured."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import nn

from .activations import predicted_activation_bytes, saved_activation_bytes, saved_storages
from .evaluation import scored_nll
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


@dataclass(frozen=True)
class Bytes:
    """The four things that fill the memory while training."""

    weights: int
    gradients: int
    optimizer: int
    activations: int | None  # saved by the forward pass for the backward pass; None: not predicted

    @property
    def total(self) -> int | None:
        if self.activations is None:
            return None
        return self.weights + self.gradients + self.optimizer + self.activations

    def __repr__(self) -> str:
        parts = ("weights", "gradients", "optimizer", "activations")
        values = [(part, getattr(self, part)) for part in parts]
        shown = [f"{n} {'?' if v is None else format_bytes(v)}" for n, v in values]
        return f"Bytes({', '.join(shown)})"


@dataclass(frozen=True)
class Memory:
    """Bytes of one training step."""

    predicted: Bytes
    measured: Bytes


def format_bytes(count: float) -> str:
    """`format_bytes(30_000)` is "29.3 KiB": powers of 1024, three digits or more."""
    for unit in ("B", "KiB", "MiB"):
        if abs(count) < 1024:
            return f"{count:.0f} B" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} GiB"


def count_parameters(module: nn.Module, trainable: bool = False) -> int:
    """The number of parameters, tied ones once; only those that require a gradient if asked."""
    return sum(p.numel() for p in module.parameters() if p.requires_grad or not trainable)


def count(method: nn.Module, model: nn.Module | None = None) -> Count:
    """A method's trainable parameters: `expected_parameters(config)` beside `num_parameters()`.

    Args:
        method: attached, or else `model` names the base that it is for.
    """
    edits = getattr(method, "_edits", None)  # what an attached method has done to its model
    if model is None and edits is None:
        raise ValueError("method is not attached: attach it, or give count(method, model).")
    config = (edits.anatomy.model if model is None else model).config
    return Count(method.expected_parameters(config), method.num_parameters())


def _unique_bytes(tensors: Iterable[torch.Tensor]) -> int:
    """Bytes of the tensors' storages, each storage once."""
    return sum(
        {t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in tensors}.values()
    )


def memory(model: nn.Module, method: nn.Module, batch: dict, *, optimizer: str = "adamw") -> Memory:
    """Bytes of one training step on `batch`, predicted and measured. Nothing is changed by it.

    Predicted for P parameters in all, of which t are trained: 4 bytes a weight in float32, as
    many a gradient; AdamW keeps two more numbers for each trained one and a 4-byte step
    counter for each trained tensor. Full fine-tuning: 16 bytes a parameter.
    An original that a method has swapped out, to swap it back later, is not counted.

    Args:
        model: the base, with `method` attached.
        method: any module whose parameters are trained; it may be the model itself.
        batch: input_ids, attention_mask, labels, each (B, T).
        optimizer: "adamw", or "sgd" (no state).
    """
    if optimizer not in ("adamw", "sgd"):
        raise ValueError(f'optimizer must be "adamw" or "sgd", not {optimizer!r}.')
    trained = [p for p in method.parameters() if p.requires_grad]
    if not trained:
        raise ValueError("method has no parameter to train: attach it first.")
    everything = list({id(p): p for p in (*model.parameters(), *method.parameters())}.values())
    inside = {id(p) for p in trained} <= {id(p) for p in model.parameters()}
    gradients = sum(p.numel() * p.element_size() for p in trained)
    state = 2 * gradients + 4 * len(trained) if optimizer == "adamw" else 0
    predicted = Bytes(
        weights=sum(p.numel() * p.element_size() for p in everything),
        gradients=gradients,
        optimizer=state,
        activations=predicted_activation_bytes(model, batch) if inside else None,
    )
    return Memory(predicted, _measure(model, method, batch, trained, everything, optimizer))


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
        gradients=_unique_bytes(g for g in gradients if g is not None),
        optimizer=_unique_bytes(kept),
        activations=activations,
    )
