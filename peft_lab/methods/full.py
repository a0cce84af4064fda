"""Training the model's own weights: all, some blocks, the biases, or the token embeddings. One
class, four filters.

The base is never touched: copies of the chosen tensors take their places (`Edits.swap`), are
trained there, and go when the method is detached.
"""

import torch
from torch import nn

from ..anatomy import Anatomy, block_parameters, dimensions, outer_parameters
from .base import Edits, Method


class FullFineTuning(Method):
    """Every weight is trained.

    Trained: all tensors of the model, those that are used twice (tied embedding and head) once.
    For GPT-2 that is 12 L d^2 + 13 L d + (V + context) d + 2 d; `anatomy.block_parameters` has the
    other families. They are of the base's type, since they stand in its place: to train well,
    load the base in float32.

    Raises:
        ValueError: the base is in float16, in which AdamW's steps end in NaN (on attach).
    """

    def chosen(self, anatomy: Anatomy) -> list[str]:
        """Names of the model's parameters that are trained."""
        return [name for name, _ in anatomy.model.named_parameters()]

    def build(self, anatomy: Anatomy) -> None:
        tensors = dict(anatomy.model.named_parameters())
        if any(tensors[name].dtype == torch.float16 for name in self.chosen(anatomy)):
            raise ValueError(
                f"model: {type(self).__name__} trains the model's own weights, and in float16 "
                "they become NaN; load it with load_base(..., dtype=torch.float32)."
            )
        self.weights = nn.ParameterDict(
            {_key(name): _trainable(tensors[name]) for name in self.chosen(anatomy)}
        )

    def edit(self, anatomy: Anatomy, edits: Edits) -> None:
        for name in self.chosen(anatomy):
            if _key(name) not in self.weights:
                raise ValueError(f"{type(self).__name__} does not fit this model: no {name!r}.")
            module, _, last = name.rpartition(".")
            edits.swap(anatomy.model.get_submodule(module), last, self.weights[_key(name)])

    def expected_parameters(self, config) -> int:
        blocks = dimensions(config).layers * sum(block_parameters(config))
        return blocks + sum(outer_parameters(config))

    def settings(self) -> dict:
        return {}

    def _merge(self, anatomy: Anatomy, edits: Edits) -> None:
        """Nothing to do: the trained weights are the model's weights while it is attached."""


class LayerFreezing(FullFineTuning):
    """A few neighbouring blocks are trained; all else stays frozen, embeddings, final norm and
    head included (Lee et al. 2019, "What would Elsa do?").

    Args:
        first: index of the lowest trained block; negative counts from the top, as in a list;
            "middle" centres the trained blocks (the lower place, if two are as good).
        count: how many blocks.

    Raises:
        ValueError: count below 1, or blocks that the model does not have (on attach).
    """

    def __init__(self, first: int | str, count: int):
        super().__init__()
        if not isinstance(count, int) or count < 1:
            raise ValueError(f"count must be a number of blocks from 1 on, not {count!r}.")
        if not isinstance(first, int) and first != "middle":
            raise ValueError(f'first must be the index of a block or "middle", not {first!r}.')
        self.first, self.count = first, count

    @classmethod
    def top(cls, count: int) -> "LayerFreezing":
        """The `count` blocks next to the head."""
        return cls(-count, count)

    @classmethod
    def bottom(cls, count: int) -> "LayerFreezing":
        """The `count` blocks next to the embeddings."""
        return cls(0, count)

    @classmethod
    def middle(cls, count: int) -> "LayerFreezing":
        """The `count` blocks in the middle."""
        return cls("middle", count)

    def blocks(self, layers: int) -> range:
        """The trained blocks of a model with so many."""
        first = (layers - self.count) // 2 if self.first == "middle" else self.first
        first = first + layers if first < 0 and self.first != "middle" else first
        if first < 0 or first + self.count > layers:
            raise ValueError(
                f"first={self.first!r}, count={self.count}: the model has blocks 0 to {layers - 1}."
            )
        return range(first, first + self.count)

    def chosen(self, anatomy: Anatomy) -> list[str]:
        inside = {
            id(p) for i in self.blocks(anatomy.layers) for p in anatomy.blocks[i].parameters()
        }
        return [name for name, p in anatomy.model.named_parameters() if id(p) in inside]

    def expected_parameters(self, config) -> int:
        return len(self.blocks(dimensions(config).layers)) * sum(block_parameters(config))

    def settings(self) -> dict:
        return {"first": self.first, "count": self.count}


class BitFit(FullFineTuning):
    """Only the biases are trained, those of the norms included (Ben Zaken et al. 2022, section 3).

    At the start exactly the base. For GPT-2 that is 11 L d + d numbers. Without rotary positions
    the biases of the keys get no gradient: they add one number to all scores of a query, which
    the softmax ignores.

    Raises:
        ValueError: the model has no biases (on attach).
    """

    def chosen(self, anatomy: Anatomy) -> list[str]:
        names = [n for n, _ in anatomy.model.named_parameters() if n.rpartition(".")[2] == "bias"]
        if not names:
            raise ValueError(
                f"model: {type(anatomy.model).__name__} has no biases to train (many Llama models "
                "have none); LayerFreezing.top(1), PromptTuning or LoRA do work on it."
            )
        return names

    def expected_parameters(self, config) -> int:
        return outer_parameters(config)[1] + dimensions(config).layers * block_parameters(config)[1]


class EmbeddingTuning(FullFineTuning):
    """Only the vectors of the tokens are trained; where the head is tied to them, it is too.

    What those add to LoRA who adapt a model to words or a script that it has never seen: LoRA on
    the blocks cannot change what the model takes a token for. V d numbers.
    """

    def chosen(self, anatomy: Anatomy) -> list[str]:
        return [n for n, p in anatomy.model.named_parameters() if p is anatomy.embedding.weight]

    def expected_parameters(self, config) -> int:
        size = dimensions(config)
        return size.vocabulary * size.embedding_size


def _key(name: str) -> str:
    return name.replace(".", "/")  # nn.ParameterDict allows no dots


def _trainable(tensor: nn.Parameter) -> nn.Parameter:
    return nn.Parameter(tensor.detach().clone())
