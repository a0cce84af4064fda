"""Adapters: small bottleneck networks inside each block (Houlsby et al. 2019)."""

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import nn

from ..anatomy import Anatomy, dimensions, find_linears
from .arguments import (
    check_count,
    check_flags,
    check_layers,
    check_number,
    check_one_of,
    check_seed,
)
from .base import Method, at_least_float32, seeded
from .edits import Edits
from .gate import Gate

ACTIVATIONS = {"relu": F.relu, "gelu": F.gelu, "silu": F.silu}
PLACEMENTS = {  # name -> the parts of a block that get an adapter, and whether it runs beside them
    "houlsby": (("attention", "feed_forward"), False),
    "pfeiffer": (("feed_forward",), False),
    "parallel": (("feed_forward",), True),
}


class Adapter(Method):
    """h becomes h + s up(f(down(x))): d numbers squeezed into `width`, bent by f, widened again.

    Sequential adapters read what they correct, x = h, the output of a part of the block before it
    is added to the residual stream (Houlsby et al. 2019, section 2.1). A parallel one reads what
    the part reads (He et al. 2022, section 3.3). `up` starts at 0, so at the start nothing changes.
    Trained: 2 d width + width + d numbers an adapter.

    Args:
        width: of the bottleneck.
        placement: "houlsby": after attention and after feed-forward; "pfeiffer": after
            feed-forward only (Pfeiffer et al. 2021); "parallel": beside feed-forward.
        scale: s. He et al. use 4 beside feed-forward.
        activation: f, one of "relu", "gelu", "silu".
        layers: in which blocks; None: in all.
        gated: the change times a gate in (0, 1), one a token, as in UniPELT.
        seed: of `down`.

    Raises:
        ValueError: width below 1, unknown placement or activation, scale not above 0, a layer that
            is not there (on attach).
    """

    def __init__(
        self,
        width: int = 16,
        placement: str = "pfeiffer",
        scale: float = 1.0,
        activation: str = "relu",
        layers: Iterable[int] | None = None,
        gated: bool = False,
        seed: int = 0,
    ):
        super().__init__()
        self.width, self.seed = check_count("width", width), check_seed(seed)
        check_one_of("placement", placement, PLACEMENTS)
        check_one_of("activation", activation, ACTIVATIONS)
        check_flags(gated=gated)
        self.placement, self.activation, self.gated = placement, activation, gated
        self.scale, self.layers = check_number("scale", scale, above=0), check_layers(layers)

    def _places(self, config) -> list[tuple[int, str]]:
        layers = [layer for layer, _ in find_linears(config, "down", self.layers)]
        return [(layer, part) for layer in layers for part in PLACEMENTS[self.placement][0]]

    def build(self, anatomy: Anatomy) -> None:
        d = anatomy.hidden_size
        self.down, self.up, self.gates = nn.ModuleDict(), nn.ModuleDict(), nn.ModuleDict()
        with seeded(self.seed):
            for layer, part in self._places(anatomy.model.config):
                name = f"{layer}/{part}"
                self.down[name], self.up[name] = nn.Linear(d, self.width), nn.Linear(self.width, d)
                nn.init.zeros_(self.down[name].bias)
                for zero in self.up[name].parameters():
                    nn.init.zeros_(zero)
                if self.gated:
                    self.gates[name] = Gate(d)
        self.to(at_least_float32(anatomy.embedding.weight[:0]).dtype)

    def edit(self, anatomy: Anatomy, edits: Edits) -> None:
        for layer, part in self._places(anatomy.model.config):
            change = self._change(f"{layer}/{part}")
            first, last = anatomy.feed_forward(layer)
            if PLACEMENTS[self.placement][1]:
                edits.around(first, last, lambda x, h, change=change: h + change(x).to(h.dtype))
                continue
            if part == "attention":
                last = anatomy.linear(layer, "o")[0]
            edits.output(last, lambda _, h, change=change: h + change(h).to(h.dtype))

    def _change(self, name: str):
        f = ACTIVATIONS[self.activation]

        def change(x: torch.Tensor) -> torch.Tensor:  # (B, T, d)
            down, up = self.down[name], self.up[name]
            delta = self.scale * up(f(down(x.to(down.weight.dtype))))  # (B, T, d)
            return delta * self.gates[name](x) if self.gated else delta

        return change

    def _merge(self, anatomy: Anatomy, edits: Edits) -> None:
        raise RuntimeError(
            "Adapter cannot be merged: it is not linear, and no weight of the model could hold it."
        )

    def expected_parameters(self, config) -> int:
        d = dimensions(config).hidden_size
        one = 2 * d * self.width + self.width + d + self.gated * (d + 1)
        return len(self._places(config)) * one

    def settings(self) -> dict:
        return {
            "width": self.width, "placement": self.placement, "scale": self.scale,
            "activation": self.activation, "layers": self.layers, "gated": self.gated,
        }  # fmt: skip
