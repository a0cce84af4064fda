"""Merging: putting a method's change into the weights of the linear layers it acts on."""

from collections.abc import Iterator

import torch
from torch import nn

from ..anatomy import Anatomy
from .edits import Edits


def site_name(layer: int | None, role: str) -> str:
    """A linear layer as a key of the method's parameters."""
    return role if layer is None else f"{layer}/{role}"


class Mergeable:
    """What LoRA and IA3 share: `merge` swaps in changed weights and lets the hooks sleep."""

    asleep = False  # while merged, the hooks do nothing

    def __getstate__(self) -> dict:
        return {**super().__getstate__(), "asleep": False}

    def merged_weights(
        self, anatomy: Anatomy
    ) -> Iterator[tuple[nn.Module, torch.Tensor | None, torch.Tensor, torch.Tensor | None]]:
        """(linear layer, outputs or None for all, their weights (out, in), their biases or None for
        unchanged) of each place whose output is changed."""
        raise NotImplementedError

    def merged_inputs(self, anatomy: Anatomy) -> Iterator[tuple[nn.Module, torch.Tensor]]:
        """(linear layer, its weights (out, in)) of each place whose input is changed."""
        yield from ()

    @torch.no_grad()
    def _merge(self, anatomy: Anatomy, edits: Edits) -> None:
        device = anatomy.embedding.weight.device.type
        with torch.autocast(device, enabled=False):  # weights are not to be rounded
            for linear, outputs, weight, bias in self.merged_weights(anatomy):
                self._put(anatomy, edits, linear, "weight", outputs, weight)
                if bias is not None:
                    self._put(anatomy, edits, linear, "bias", outputs, bias)
        self.asleep = True
        edits.callback(setattr, self, "asleep", False)

    @torch.no_grad()
    def _merge_inputs(self, anatomy: Anatomy, edits: Edits) -> None:
        for linear, weight in self.merged_inputs(anatomy):
            self._put(anatomy, edits, linear, "weight", None, weight)

    def _put(self, anatomy: Anatomy, edits: Edits, linear, name: str, outputs, value) -> None:
        old = getattr(linear, name)
        places = [p for module in anatomy.model.modules() for p in module._parameters.values()]
        if sum(p is old for p in places) > 1:
            raise ValueError(
                f"{type(self).__name__} cannot be merged into the {type(linear).__name__} whose "
                f"{name} is used in two places (the embedding tied to the head): both would "
                "change. Leave that target out, or load the model with tie_word_embeddings=False."
            )
        transposed = name == "weight" and not isinstance(linear, nn.Linear)  # Conv1D: (in, out)
        new = old.detach().clone()
        rows = new.T if transposed else new
        rows[slice(None) if outputs is None else outputs] = value.to(new.dtype)
        edits.replace(linear, name, nn.Parameter(new, requires_grad=False))
