"""Gates: how much of a method a model lets in, as in UniPELT (Mao et al. 2022)."""

import torch
import torch.nn.functional as F
from torch import nn


class Gate(nn.Module):
    """sigmoid(w x + b), one number in (0, 1) a token. It starts half open: w = 0, b = 0.

    In the authors' code (github.com/morningmoni/UniPELT, read for BERT) each token gets such a
    number too, and then the *mean of these numbers* over all positions is the gate, one a text. In
    a model that reads from left to right that would let a token see what comes after it, so here
    each token keeps its own. Theirs start from random weights, ours exactly half open.
    """

    def __init__(self, width: int):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1, width))
        self.bias = nn.Parameter(torch.zeros(1))
        self.seen: torch.Tensor | None = None  # (B, T), of the last forward pass

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, T, width) -> (B, T, 1)."""
        opening = torch.sigmoid(F.linear(x.to(self.weight.dtype), self.weight, self.bias))
        self.seen = opening.detach()[..., 0]
        return opening
