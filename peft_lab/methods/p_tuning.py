"""P-tuning: soft prompts that a small network makes while training (Liu et al. 2021)."""

import torch
from torch import nn

from ..anatomy import Anatomy, dimensions
from .arguments import check_count, check_seed
from .base import Edits, Method, at_least_float32, seeded


class PTuning(Method):
    """p = encoder(u): the vectors of a soft prompt come from n x d learned inputs u through a
    network, so that they are trained together rather than each alone (Liu et al. 2021,
    section 3.2). As in Hugging Face `peft`, all of them stand before the text, and the base stays
    frozen. Training done, `drop_encoder` keeps the vectors alone.

    Args:
        length: n.
        hidden: width h of the encoder; None for vectors without one, as `drop_encoder` leaves.
        encoder: "mlp": three linear layers with ReLU between; "lstm": a bidirectional LSTM of two
            layers, then two linear layers.
        seed: for the start. The last layer is scaled so that the vectors start with the standard
            deviation of the base's embeddings.

    Trained: n d + (d h + h) + (h^2 + h) + (h d + d) with the MLP.

    Raises:
        ValueError: length or hidden below 1, length not below the context, unknown encoder.
    """

    def __init__(self, length: int, hidden: int | None, encoder: str = "mlp", seed: int = 0):
        super().__init__()
        if encoder not in ("mlp", "lstm"):
            raise ValueError(f'encoder must be "mlp" or "lstm", not {encoder!r}.')
        self.length, self.kind = check_count("length", length), encoder
        self.seed = check_seed(seed)
        self.hidden = None if hidden is None else check_count("hidden", hidden)  # None: dropped

    def build(self, anatomy: Anatomy) -> None:
        weight = anatomy.embedding.weight.detach()  # (V, d)
        with seeded(self.seed):
            self.embeddings = nn.Parameter(torch.randn(self.length, weight.shape[1]))  # (n, d)
            if self.hidden is not None:
                self._build_encoder(weight.shape[1], self.hidden)
        self.to(weight.device, at_least_float32(weight[:0]).dtype)
        with torch.no_grad():
            scale = weight.std() / self.vectors().std()
            for parameter in self.mlp[-1].parameters() if self.hidden else ():
                parameter.mul_(scale)

    def _build_encoder(self, d: int, h: int) -> None:
        if self.kind == "lstm":
            self.lstm = nn.LSTM(d, h, num_layers=2, bidirectional=True, batch_first=True)
            layers = [nn.Linear(2 * h, 2 * h), nn.ReLU(), nn.Linear(2 * h, d)]
        else:
            layers = [nn.Linear(d, h), nn.ReLU(), nn.Linear(h, h), nn.ReLU(), nn.Linear(h, d)]
        self.mlp = nn.Sequential(*layers)

    def vectors(self) -> torch.Tensor:
        """The vectors of the prompt, (n, d)."""
        self.check_made()
        if self.hidden is None:
            return self.embeddings
        x = self.embeddings  # (n, d)
        if self.kind == "lstm":
            device = "cpu" if x.is_meta else x.device.type
            with torch.autocast(device, enabled=False):  # not every CPU has it in bfloat16
                x = self.lstm(x[None])[0][0]  # (n, 2h)
        return self.mlp(x)

    def drop_encoder(self) -> None:
        """Keep the vectors, let the encoder go: the same outputs bit by bit, n x d numbers."""
        if self.hidden is None:
            raise RuntimeError("the encoder has been dropped already.")
        self.embeddings = nn.Parameter(self.vectors().detach().clone())
        self.hidden = self.mlp = self.lstm = None

    def edit(self, anatomy: Anatomy, edits: Edits) -> None:
        edits.prepend(lambda rows: self.vectors().expand(rows, -1, -1), self.length)

    def expected_parameters(self, config) -> int:
        d, h = dimensions(config).embedding_size, self.hidden
        if h is None:
            return self.length * d
        if self.kind == "mlp":
            return self.length * d + (d * h + h) + (h * h + h) + (h * d + d)
        lstm = sum(2 * 4 * h * (inputs + h + 2) for inputs in (d, 2 * h))
        return self.length * d + lstm + (4 * h * h + 2 * h) + (2 * h * d + d)

    def settings(self) -> dict:
        return {"length": self.length, "hidden": self.hidden, "encoder": self.kind}
