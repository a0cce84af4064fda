"""Prompt tuning: n learned vectors before the embeddings of the text (Lester et al. 2021)."""

from collections.abc import Sequence

import torch
from torch import nn

from ..anatomy import Anatomy, dimensions
from .arguments import check_count, check_init, check_seed
from .base import Edits, Method, at_least_float32


class PromptTuning(Method):
    """The input becomes [p_1, ..., p_n, e(x_1), ..., e(x_T)] with learned p (Lester et al. 2021,
    section 2). Trained: n x d numbers. Not the identity at the start, whatever the values.

    Args:
        length: n.
        init: where the vectors start (section 3.2 and figure 3b):
            "random": normal, with the standard deviation of the base's embeddings;
            "vocabulary": copies of the embeddings of random tokens, all different;
            "text": of the tokens of `text`, repeated or cut to length;
            "labels": the mean over the tokens of each of `labels`, then random tokens;
            or a tensor (n, d).
        text, labels, tokenizer: for "text" and "labels". Labels are tokenised as they stand:
            write the blank before a word if the base saw one.
        seed: for "random", "vocabulary" and "labels".

    Raises:
        ValueError: length below 1 or not below the context; unknown init, or what it needs is
            missing; more labels than vectors; a tensor of another shape.
        TypeError: init or labels of another type.
    """

    INITS = {
        "random": (),
        "vocabulary": (),
        "text": ("text", "tokenizer"),
        "labels": ("labels", "tokenizer"),
    }

    def __init__(
        self,
        length: int,
        init: str | torch.Tensor = "random",
        text: str | None = None,
        labels: Sequence[str] | None = None,
        tokenizer=None,
        seed: int = 0,
    ):
        super().__init__()
        self.length, self.seed = check_count("length", length), check_seed(seed)
        self.init = (init,)  # in a tuple: an nn.Parameter must not become a part of this module
        self.text, self.labels, self.tokenizer = text, labels, tokenizer
        check_init(self, init)
        if isinstance(labels, str):
            raise TypeError(f"labels must be a list of texts, not one text: [{labels!r}].")
        if isinstance(init, str) and init == "labels" and len(labels) > length:
            raise ValueError(f"labels: {len(labels)} of them, but length is only {length}.")

    def build(self, anatomy: Anatomy) -> None:
        weight = anatomy.embedding.weight.detach()  # (V, d)
        self.embeddings = nn.Parameter(at_least_float32(self._start(weight)))  # (n, d)

    def _start(self, weight: torch.Tensor) -> torch.Tensor:
        n, (V, d), (init,) = self.length, weight.shape, self.init
        generator = torch.Generator().manual_seed(self.seed)
        if isinstance(init, torch.Tensor):
            if init.shape != (n, d):
                raise ValueError(f"init must be ({n}, {d}), not {tuple(init.shape)}.")
            return init.detach().clone()
        if init == "random":
            return torch.randn(n, d, generator=generator).to(weight) * weight.std()
        if init == "text":
            return weight[token_ids(self.tokenizer, self.text, n)]  # (n, d), a copy
        ids = torch.randperm(V, generator=generator).repeat(-(-n // V))[:n].to(weight.device)
        start = weight[ids]  # (n, d), a copy
        for i, label in enumerate(self.labels if init == "labels" else ()):
            start[i] = weight[token_ids(self.tokenizer, label)].mean(0)
        return start

    def vectors(self) -> torch.Tensor:
        """The learned vectors, (n, d)."""
        self.check_made()
        return self.embeddings

    def edit(self, anatomy: Anatomy, edits: Edits) -> None:
        edits.prepend(lambda rows: self.vectors().expand(rows, -1, -1), self.length)

    def expected_parameters(self, config) -> int:
        return self.length * dimensions(config).embedding_size

    def settings(self) -> dict:
        return {"length": self.length}


def token_ids(tokenizer, text: str, length: int | None = None) -> list[int]:
    """Tokens of a text, without bos and eos; repeated or cut to `length` if that is given."""
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    if not ids:
        raise ValueError(f"text: {text!r} has no tokens.")
    return ids if length is None else (ids * -(-length // len(ids)))[:length]
