"""LoRA: a change of low rank beside each chosen weight matrix (Hu et al. 2021)."""

import math
from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import nn

from ..anatomy import Anatomy, dimensions, find_linears, matrix, role_sizes
from .arguments import (
    check_count,
    check_flags,
    check_layers,
    check_number,
    check_seed,
    check_targets,
)
from .base import Method, at_least_float32, seeded
from .edits import Edits
from .gate import Gate
from .merging import Mergeable, site_name


class LoRA(Mergeable, Method):
    """W x becomes W x + s B A x with A (rank, in) and B (out, rank), W frozen (Hu et al. 2021,
    section 4.1). B starts at 0, so at the start nothing changes. Trained: rank (in + out) numbers
    a matrix.

    Args:
        rank: of the change.
        alpha: s = alpha / rank; None: alpha = rank, so s = 1 (rank_stabilised: sqrt(rank)). It is
            a second learning rate in all but name: to compare ranks, keep it fixed.
        targets: which linear layers: "all" those of the blocks, or names (`find_linears`). The
            paper's are queries and values. Where query, key and value are one fused layer (GPT-2,
            GPT-NeoX, BLOOM), "q", "k", "v" get a pair each, as in the paper, and "qkv" one shared
            pair, as in Hugging Face `peft`.
        layers: in which blocks; None: in all.
        rank_stabilised: s = alpha / sqrt(rank), which keeps the size of the update from shrinking
            as the rank grows (Kalajdzievski 2023).
        dropout: on x on its way to A, while the model trains.
        dora: train direction and length apart: W + s B A with its rows scaled to lengths m,
            trained too, which start as those of W (Liu et al. 2024, section 4). No gradient flows
            through the lengths of W + s B A (their section 4.3). One number an output more.
        gated: the change times a gate in (0, 1), one a token and layer, as in UniPELT.
        seed: of A, uniform within 1 / sqrt(in).

    Raises:
        ValueError: a rank below 1 or above a matrix's width, a target or layer that is not there
            (on attach), dropout out of [0, 1), alpha not above 0, DoRA with a gate, or another
            member of a composition on a layer with DoRA (on attach).
    """

    def __init__(
        self,
        rank: int = 8,
        alpha: float | None = None,
        targets: str | Iterable[str] = ("q", "v"),
        layers: Iterable[int] | None = None,
        rank_stabilised: bool = False,
        dropout: float = 0.0,
        dora: bool = False,
        gated: bool = False,
        seed: int = 0,
    ):
        super().__init__()
        self.rank, self.seed = check_count("rank", rank), check_seed(seed)
        check_flags(rank_stabilised=rank_stabilised, dora=dora, gated=gated)
        if dora and gated:
            raise ValueError("dora=True and gated=True do not go together; take one of them.")
        if dropout != 0:
            check_number("dropout", dropout, above=0, below=1)
        self.alpha = check_number("alpha", rank if alpha is None else alpha, above=0)
        self.targets, self.layers = check_targets(targets), check_layers(layers)
        self.rank_stabilised, self.dropout = rank_stabilised, dropout
        self.dora, self.gated = dora, gated

    @property
    def scaling(self) -> float:
        """s: alpha / rank, or alpha / sqrt(rank)."""
        return self.alpha / (math.sqrt(self.rank) if self.rank_stabilised else self.rank)

    def build(self, anatomy: Anatomy) -> None:
        sizes, weight = role_sizes(anatomy.model.config), anatomy.embedding.weight
        self.A, self.B, self.lengths = (nn.ParameterDict() for _ in range(3))
        self.gates = nn.ModuleDict()
        with seeded(self.seed):
            for layer, role in self.sites(anatomy.model.config):
                name, (inputs, outputs) = site_name(layer, role), sizes[role]
                # a file of `peft` may hold more: one pair for the q, k, v of a fused layer
                if self.rank > min(inputs, outputs) and self._saved is None:
                    raise ValueError(
                        f"rank: {self.rank} is above the width of {role!r}, {inputs} to {outputs}; "
                        f"take {min(inputs, outputs)} at most."
                    )
                A = torch.empty(self.rank, inputs).uniform_(-1, 1) / math.sqrt(inputs)
                self.A[name] = nn.Parameter(A)  # (rank, in)
                self.B[name] = nn.Parameter(torch.zeros(outputs, self.rank))
                if self.dora:
                    own = self._weight(anatomy, layer, role)  # (out, in)
                    self.lengths[name] = nn.Parameter(own.norm(dim=1))
                if self.gated:
                    self.gates[str(layer)] = Gate(inputs)
        self.to(at_least_float32(weight[:0]).dtype)

    def sites(self, config) -> list[tuple[int | None, str]]:
        """The linear layers that are changed, as (layer, role)."""
        sites = find_linears(config, self.targets, self.layers)
        if self.gated and not {role for _, role in sites} <= {"q", "k", "v", "qkv"}:
            raise ValueError(f"targets: with gated=True only q, k and v, not {self.targets!r}.")
        if {"qkv"} < {role for _, role in sites} & {"q", "k", "v", "qkv"}:
            raise ValueError(f"targets: qkv holds q, k and v; take it or them, not {self.targets}.")
        return sites

    def change(self, layer: int | None, role: str) -> torch.Tensor:
        """s B A, (out, in): what is added to the weights."""
        name = site_name(layer, role)
        return self.scaling * self.B[name] @ self.A[name]

    def _weight(self, anatomy: Anatomy, layer: int | None, role: str) -> torch.Tensor:
        linear, outputs = anatomy.linear(layer, role)
        weight = matrix(linear).detach()  # (all outputs, in)
        return at_least_float32(weight if outputs is None else weight[outputs])  # (out, in)

    def _growth(self, anatomy: Anatomy, layer: int | None, role: str) -> torch.Tensor:
        """DoRA's factor for each output: wanted length by length of W + s B A, (out,)."""
        whole = self._weight(anatomy, layer, role) + self.change(layer, role).detach()  # (out, in)
        smallest = torch.finfo(whole.dtype).tiny  # a row of zeros has no direction to be scaled
        return self.lengths[site_name(layer, role)] / whole.norm(dim=1).clamp_min(smallest)

    def edit(self, anatomy: Anatomy, edits: Edits) -> None:
        for layer, role in self.sites(anatomy.model.config):
            change = self._changed(anatomy, layer, role)
            edits.output(anatomy.linear(layer, role)[0], change, alone=self.dora)

    def _changed(self, anatomy: Anatomy, layer: int | None, role: str):
        linear, outputs = anatomy.linear(layer, role)
        name = site_name(layer, role)

        def changed(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
            if self.asleep:
                return y
            A, B = self.A[name], self.B[name]
            z = F.dropout(x.to(A.dtype), self.dropout, linear.training)  # (B, T, in)
            delta = F.linear(F.linear(z, A) * self.scaling, B)  # (B, T, out)
            if self.gated:
                delta = delta * self.gates[str(layer)](x)
            if self.dora:
                growth = self._growth(anatomy, layer, role)
                own = y if outputs is None else y[..., outputs]
                if linear.bias is not None:
                    own = own - (linear.bias if outputs is None else linear.bias[outputs])
                delta = growth * delta + (growth - 1) * own
            delta = delta.to(y.dtype)
            return y + delta if outputs is None else y.index_add(-1, outputs, delta)

        return changed

    def merged_weights(self, anatomy: Anatomy):
        if self.gated:
            raise RuntimeError("a gated LoRA cannot be merged: its change depends on the text.")
        for layer, role in self.sites(anatomy.model.config):
            weight = self._weight(anatomy, layer, role) + self.change(layer, role)
            if self.dora:
                weight = self._growth(anatomy, layer, role)[:, None] * weight  # (out, in)
            yield *anatomy.linear(layer, role), weight, None

    def expected_parameters(self, config) -> int:
        sizes, sites = role_sizes(config), self.sites(config)
        a_site = {
            role: self.rank * (inputs + outputs) + self.dora * outputs
            for role, (inputs, outputs) in sizes.items()
        }
        gates = dict(sites).keys() if self.gated else ()
        return sum(a_site[role] for _, role in sites) + len(gates) * (
            dimensions(config).hidden_size + 1
        )

    def settings(self) -> dict:
        return {
            "rank": self.rank, "alpha": self.alpha, "targets": self.targets, "layers": self.layers,
            "rank_stabilised": self.rank_stabilised, "dropout": self.dropout, "dora": self.dora,
            "gated": self.gated,
        }  # fmt: skip
