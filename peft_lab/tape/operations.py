"""The operations of a transformer, each with what PyTorch's autograd saves for its gradient.

The one rule behind all of them: a product saves a factor if the gradient of the *other* factor is
asked for. Hence what is told wrong so often: a frozen weight saves its layer's input for nobody,
but a nonlinear operation saves its input wherever a gradient must pass, frozen or not.
"""

from collections.abc import Iterator
from contextlib import contextmanager

FLOAT, INDEX, BOOL = 4, 8, 1  # bytes


class Storage:
    """Memory that one or more tensors look at; it is kept once, however many of them are saved."""

    def __init__(self, size: int, parameter: bool = False):
        self.size, self.parameter = size, parameter


class Tensor:
    """So many numbers, of so many bytes each; live if a gradient must pass through it."""

    def __init__(self, numbers: int, live: bool, size: int, storage: Storage):
        self.numbers, self.live, self.size, self.storage = numbers, live, size, storage

    def view(self, numbers: int | None = None) -> "Tensor":
        """A part of it, or all: the same storage."""
        return Tensor(numbers or self.numbers, self.live, self.size, self.storage)


class Tape:
    """Notes which storages are saved, and in which part of the model each is saved first.

    Args:
        size: bytes of a number in the base model: 4, or 2 in half precision.
    """

    def __init__(self, size: int = FLOAT):
        self.size = size
        self.saved: dict[Storage, str] = {}
        self.operations = 0  # of the matrix products, there and back
        self.read = 0  # bytes of the matrices, as often as a pass must read them
        self._part = "blocks"

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """What is saved in this block is counted under `name`."""
        before, self._part = self._part, name
        try:
            yield
        finally:
            self._part = before

    def save(self, *tensors: Tensor) -> None:
        for tensor in tensors:
            if not tensor.storage.parameter:  # weights are there anyway
                self.saved.setdefault(tensor.storage, self._part)

    def bytes(self) -> dict[str, int]:
        """Bytes saved, by part."""
        told: dict[str, int] = {}
        for storage, part in self.saved.items():
            told[part] = told.get(part, 0) + storage.size
        return told

    # making tensors

    def new(self, numbers: int, live: bool, size: int | None = None) -> Tensor:
        size = self.size if size is None else size
        return Tensor(numbers, live, size, Storage(numbers * size))

    def parameter(self, numbers: int, size: int = FLOAT, live: bool = True) -> Tensor:
        return Tensor(numbers, live, size, Storage(numbers * size, parameter=True))

    def keep(self, numbers: int, size: int) -> None:
        """Save a tensor that nothing else uses: indices, masks, statistics."""
        self.save(self.new(numbers, False, size))

    def copy(self, x: Tensor) -> Tensor:
        """Its numbers laid out anew."""
        return self.new(x.numbers, x.live, x.size)

    def cast(self, x: Tensor, size: int) -> Tensor:
        """x itself if it has that precision, or else a copy."""
        return x if x.size == size else self.new(x.numbers, x.live, size)

    # operations

    def add(self, x: Tensor, y: Tensor) -> Tensor:
        """A sum saves nothing."""
        return self.new(max(x.numbers, y.numbers), x.live or y.live, max(x.size, y.size))

    def multiply(self, x: Tensor, y: Tensor) -> Tensor:
        if x.live:
            self.save(y)
        if y.live:
            self.save(x)
        return self.add(x, y)

    def scale(self, x: Tensor) -> Tensor:
        """Times a number that is no tensor: nothing is saved."""
        return self.new(x.numbers, x.live, x.size)

    def linear(self, x: Tensor, inputs: int, outputs: int, weight: bool, bias: bool) -> Tensor:
        """The gradient of the weight needs the input; those of bias and input need neither.

        The weight is read for the output, and again for the input's gradient or to be trained."""
        if weight:
            self.save(x)
        self.operations += 2 * x.numbers * outputs * (1 + x.live + weight)
        self.read += inputs * outputs * x.size * (1 + (x.live or weight))
        return self.new(x.numbers // inputs * outputs, x.live or weight or bias, x.size)

    def layer_norm(self, x: Tensor, d: int, trained: bool) -> Tensor:
        """Saves its input, and mean and 1 / standard deviation of each token."""
        live = x.live or trained
        if live:
            self.save(x)
            self.keep(2 * (x.numbers // d), x.size)
        return self.new(x.numbers, live, x.size)

    def rms_norm(self, x: Tensor, d: int, trained: bool) -> Tensor:
        """x / rms(x) * weight, step by step, the first steps in float32."""
        wide = self.cast(x, FLOAT)
        if x.live:
            self.save(wide)
            self.keep(x.numbers // d, FLOAT)  # 1 / rms(x)
        normed = self.cast(self.new(x.numbers, x.live, FLOAT), x.size)
        if trained:
            self.save(normed)
        return self.new(x.numbers, x.live or trained, x.size)

    def dropout(self, x: Tensor, p: float) -> Tensor:
        """On a CPU the mask is as large as x; nothing happens for p = 0."""
        return self.multiply(x, self.new(x.numbers, False, x.size)) if p else x

    def activation(self, x: Tensor, name: str) -> Tensor:
        y = self.new(x.numbers, x.live, x.size)
        if not x.live:
            return y
        if name == "relu":
            self.save(y)
        elif name == "gelu_new":  # (0.5 x) (1 + tanh(c (x + 0.044715 x^3))), step by step
            self.save(x)  # for the power
            for _ in range(3):  # tanh's result and both factors
                self.keep(x.numbers, x.size)
        else:  # gelu, silu: one operation
            self.save(x)
        return y

    def sigmoid(self, x: Tensor) -> Tensor:
        y = self.new(x.numbers, x.live, x.size)
        if x.live:
            self.save(y)
        return y

    def fused_attention(self, q: Tensor, k: Tensor, v: Tensor, queries: int, mask: int) -> Tensor:
        """The fused kernel: it saves what goes in and comes out, and for each query of each head
        the logarithm of the softmax's sum, but none of the weights.

        Args:
            queries: rows x heads x T.
            mask: numbers in the mask; 0 if it is causal and nothing else.
        """
        out = self.new(q.numbers, q.live or k.live or v.live, q.size)
        if out.live:
            self.save(q, k, v, out)
            self.keep(queries, FLOAT)
            self.keep(mask, q.size)
        return out

    def plain_attention(
        self, q: Tensor, k: Tensor, v: Tensor, queries: int, columns: int, p: float
    ) -> Tensor:
        """softmax(q k') v as products: each query's weight for each column is saved.

        Args:
            queries, columns: rows x heads x T, and how many columns each of them sees.
            p: of dropout on the weights.
        """
        scores = self.new(queries * columns, q.live or k.live, q.size)
        if q.live:
            self.save(k)
        if k.live:
            self.save(q)
        if scores.live:
            wide = self.new(scores.numbers, True, FLOAT)  # the softmax is taken in float32
            self.save(wide)
            scores = self.cast(wide, q.size)
        weights = self.dropout(scores, p)
        if v.live:
            self.save(weights)
        if weights.live:
            self.save(v)
        return self.new(q.numbers, weights.live or v.live, q.size)
