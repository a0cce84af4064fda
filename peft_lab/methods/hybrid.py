"""Hybrids that have a name: MAM adapters and UniPELT."""

import torch
from torch import nn

from ..anatomy import Anatomy, dimensions
from .adapter import Adapter
from .arguments import check_count
from .base import Edits, Method, at_least_float32
from .compose import Compose
from .lora import LoRA
from .prefix_tuning import PrefixTuning


class Named(Compose):
    """A composition that its own few settings describe, and not those of its members. It has a
    prefix."""

    @classmethod
    def from_settings(cls, settings: dict) -> "Named":
        return cls(**settings)

    def _merge(self, anatomy: Anatomy, edits: Edits) -> None:
        Method._merge(self, anatomy, edits)  # refuses, by this name: who asks knows no members


class MAMAdapter(Named):
    """A short prefix in every layer and a wide parallel adapter beside each feed-forward part: the
    "mix and match" of He et al. 2022 (section 4.6), who take length 30, width 512 and scale 4.

    Args:
        prefix_length: n of the prefix.
        width: of the adapters' bottleneck.
        scale: s of the adapters.
        seed: of both.

    Raises:
        ValueError: prefix_length or width below 1, scale not above 0; a prefix that fills the
            context (on attach).
    """

    def __init__(
        self, prefix_length: int = 30, width: int = 512, scale: float = 4.0, seed: int = 0
    ):
        prefix = PrefixTuning(check_count("prefix_length", prefix_length), seed=seed)
        super().__init__([prefix, Adapter(width, "parallel", scale=scale, seed=seed)])

    def settings(self) -> dict:
        prefix, adapter = self.members
        return {
            "prefix_length": prefix.length,
            "width": adapter.width,
            "scale": adapter.scale,
        }


class UniPELT(Named):
    """A prefix, LoRA on queries and values, and adapters after feed-forward, each behind gates that
    learn how much of it to let in (Mao et al. 2022, section 3), who take length 10, rank 8, width
    48. `gates` reads them.

    What differs from the authors' code (github.com/morningmoni/UniPELT, read for BERT):

    - Their gates are one number a text, the mean of the gates of all tokens. This model reads from
      left to right, where a mean would look ahead: in LoRA and adapters each token has its own.
    - Their prefix gate reads the tokens likewise. Ours, the same for all tokens, is one learned
      number a layer.
    - Their q and v have a gate each; ours share one.
    - Their gates start from random weights; ours exactly half open.
    - Their adapter, and its gate, read the normed sum of residual and feed-forward; ours read what
      feed-forward puts out, as our Pfeiffer adapter does.
    - Their gate takes the place of LoRA's alpha / rank; ours multiplies it (1, as alpha is rank).

    Args:
        prefix_length: n of the prefix.
        rank: of LoRA.
        width: of the adapters' bottleneck.
        seed: of all three.

    Raises:
        ValueError: prefix_length, rank or width below 1; a prefix that fills the context, or a rank
            above the width of q or v (on attach).
    """

    def __init__(self, prefix_length: int = 10, rank: int = 8, width: int = 48, seed: int = 0):
        super().__init__(
            [
                GatedPrefix(check_count("prefix_length", prefix_length), seed=seed),
                LoRA(rank, gated=True, seed=seed),
                Adapter(width, "pfeiffer", gated=True, seed=seed),
            ]
        )

    def gates(self) -> dict[str, torch.Tensor]:
        """How far each gate is open, 0 to 1: "prefix" (layers,); "lora" and "adapter" (layers, B,
        T), from the last forward pass.

        Raises:
            RuntimeError: before the first attach, or the first forward pass.
        """
        prefix, lora, adapter = self.members
        self.check_made()
        seen = {"lora": lora.gates.values(), "adapter": adapter.gates.values()}
        if any(gate.seen is None for gates in seen.values() for gate in gates):
            raise RuntimeError("no gate has been seen at work yet: run the model once.")
        opened = {name: torch.stack([gate.seen for gate in g]) for name, g in seen.items()}
        opened["adapter"] = opened["adapter"].view_as(opened["lora"])  # OPT makes one row of all
        return {"prefix": prefix.opening().detach(), **opened}

    def settings(self) -> dict:
        prefix, lora, adapter = self.members
        return {"prefix_length": prefix.length, "rank": lora.rank, "width": adapter.width}


class GatedPrefix(PrefixTuning):
    """A prefix whose keys and values are scaled by a gate in (0, 1), one a layer."""

    def __init__(self, length: int, seed: int = 0):
        super().__init__(length, seed=seed)

    def build(self, anatomy: Anatomy) -> None:
        super().build(anatomy)
        start = at_least_float32(anatomy.embedding.weight.new_zeros(anatomy.layers))
        self.gate = nn.Parameter(start)  # (layers,)

    def opening(self) -> torch.Tensor:
        """The gates, (layers,)."""
        return torch.sigmoid(self.gate)

    def stacked(self) -> torch.Tensor:
        return super().stacked() * self.opening()[:, None, None, None]

    def expected_parameters(self, config) -> int:
        return super().expected_parameters(config) + dimensions(config).layers

    def settings(self) -> dict:
        return {"length": self.length}
