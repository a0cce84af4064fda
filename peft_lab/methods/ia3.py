"""IA3: keys, values and feed-forward activations, scaled by learned vectors (Liu et al. 2022)."""

from collections.abc import Iterable

import torch
from torch import nn

from ..anatomy import Anatomy, dimensions, find_linears, matrix
from .arguments import check_flags, check_layers
from .base import Method, at_least_float32
from .edits import Edits
from .merging import Mergeable


class IA3(Mergeable, Method):
    """k becomes l_k * k, v becomes l_v * v, and what goes into the last feed-forward layer is
    scaled by l_ff, number by number (Liu et al. 2022, section 3.3). All start at 1, so at the start
    nothing changes. Trained: 2 x kv_heads x head_dim + inner numbers a block, 6 d for GPT-2.

    Where query, key and value are one fused layer, keys and values alone are scaled, as the paper
    says; Hugging Face `peft` scales the queries too.

    Args:
        layers: in which blocks; None: in all.
        feed_forward: scale the feed-forward activations too.

    Raises:
        ValueError: no layers, or one that is not there (on attach).
    """

    def __init__(self, layers: Iterable[int] | None = None, feed_forward: bool = True):
        super().__init__()
        check_flags(feed_forward=feed_forward)
        self.layers, self.feed_forward = check_layers(layers), feed_forward

    def _blocks(self, config) -> list[int]:
        return [layer for layer, _ in find_linears(config, "down", self.layers)]

    def build(self, anatomy: Anatomy) -> None:
        ones = at_least_float32(anatomy.embedding.weight.new_ones(anatomy.inner))
        self.keys, self.values, self.inner = (nn.ParameterDict() for _ in range(3))
        for layer in self._blocks(anatomy.model.config):
            for scales in (self.keys, self.values):
                scales[str(layer)] = nn.Parameter(ones.new_ones(anatomy.kv_size))
            if self.feed_forward:
                self.inner[str(layer)] = nn.Parameter(ones.clone())

    def edit(self, anatomy: Anatomy, edits: Edits) -> None:
        for layer in self._blocks(anatomy.model.config):
            for role, scales in (("k", self.keys), ("v", self.values)):
                linear, outputs = anatomy.linear(layer, role)
                edits.output(linear, self._scaled(scales, str(layer), outputs))
            if self.feed_forward:
                scale = self._scaled(self.inner, str(layer), None)
                edits.input(anatomy.linear(layer, "down")[0], lambda x, scale=scale: scale(x, x))

    def _scaled(self, scales: nn.ParameterDict, layer: str, outputs: torch.Tensor | None):
        def scaled(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
            if self.asleep:
                return y
            scale = scales[layer]  # (out,)
            if outputs is not None:  # of a fused layer: 1 for the others
                scale = scale.new_ones(y.shape[-1]).index_copy(0, outputs, scale)
            return (y * scale).to(y.dtype)  # rounded once, after the product

        return scaled

    def merged_weights(self, anatomy: Anatomy):
        for layer in self._blocks(anatomy.model.config):
            for role, scales in (("k", self.keys), ("v", self.values)):
                linear, outputs = anatomy.linear(layer, role)
                rows = slice(None) if outputs is None else outputs
                scale = scales[str(layer)]
                bias = None if linear.bias is None else linear.bias[rows] * scale
                yield linear, outputs, matrix(linear)[rows] * scale[:, None], bias

    def merged_inputs(self, anatomy: Anatomy):
        for layer in self._blocks(anatomy.model.config) if self.feed_forward else ():
            down = anatomy.linear(layer, "down")[0]
            yield down, matrix(down) * self.inner[str(layer)]  # a scaled input: a scaled column

    def expected_parameters(self, config) -> int:
        size = dimensions(config)
        a_block = 2 * size.kv_size + self.feed_forward * size.inner
        return len(self._blocks(config)) * a_block

    def settings(self) -> dict:
        return {"layers": self.layers, "feed_forward": self.feed_forward}
