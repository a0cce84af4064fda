"""What each method adds to the operations of its model, on a tape."""

from collections import Counter, defaultdict
from collections.abc import Callable
from functools import singledispatch

from ..anatomy import Dimensions, dimensions, linear_shapes, role_sizes
from ..methods import (
    IA3,
    Adapter,
    BitFit,
    Compose,
    EmbeddingTuning,
    FullFineTuning,
    LayerFreezing,
    LoRA,
    PrefixTuning,
    PromptTuning,
    PTuning,
)
from ..methods.adapter import PLACEMENTS
from ..methods.hybrid import GatedPrefix
from .operations import FLOAT, INDEX, Storage, Tape, Tensor

Before = Callable[[Tape, Tensor], Tensor]
After = Callable[[Tape, Tensor, Tensor], Tensor]


class Changes:
    """The verbs of `methods.Edits`, without a model: what happens before and after its layers."""

    def __init__(self, config):
        self.config, self.size = config, dimensions(config)
        self._before: dict[tuple, list[Before]] = defaultdict(list)
        self._after: dict[tuple, list[After]] = defaultdict(list)
        self.prompt = self.prefix = 0  # virtual tokens
        # Layer -> columns of prefixes that it sees. The keys and values of all layers are one
        # tensor: a gradient flows to it from each of them, also where a layer's own are fixed.
        self.seen: Counter[int] = Counter()
        self.makers: list[Callable[[Tape], None]] = []  # what makes the virtual tokens

    @property
    def virtual(self) -> bool:
        return self.prompt + self.prefix > 0

    def before(self, layer: int | None, role: str) -> list[Before]:
        return self._before[layer, role]

    def after(self, layer: int | None, role: str) -> list[After]:
        return self._after[layer, role]

    def place(self, layer: int | None, role: str) -> tuple[tuple, bool]:
        """Where a role is, and whether it is a part of a fused layer."""
        fused = bool(self.size.family.fused) and role in ("q", "k", "v")
        return (layer, "qkv" if fused else role), fused

    def places(self, outputs: int) -> Tensor:
        """Which of a fused layer's outputs are a role's. Where they lie in one block, that is a
        view of the places of all three roles."""
        numbers = (3 if self.size.family.fused == "blocks" else 1) * outputs
        return Tensor(numbers, False, INDEX, Storage(numbers * INDEX))

    def input(self, place: tuple, fn: Before) -> None:
        self._before[place].append(fn)

    def output(self, place: tuple, fn: After) -> None:
        self._after[place].append(fn)

    def around(self, first: tuple, last: tuple, fn: After) -> None:
        kept: list[Tensor] = []

        def keep(tape: Tape, x: Tensor) -> Tensor:
            kept.append(x)
            return x

        self.input(first, keep)
        self.output(last, lambda tape, _, y: fn(tape, kept.pop(), y))

    def make_virtual(self, tape: Tape) -> None:
        """What happens before the model sees its virtual tokens."""
        for make in self.makers:
            make(tape)


def leaves(method) -> list:
    """A method, or the members of a composition."""
    return list(method.members) if isinstance(method, Compose) else [method]


def trained_by(method, config) -> Callable[[int | None, str, str], bool]:
    """Which of the model's own tensors a method trains: (block or None, part, "weight" or "bias")
    -> whether it does."""
    tied, layers = dimensions(config).tied, dimensions(config).layers
    chosen = []
    for leaf in leaves(method):
        if isinstance(leaf, LayerFreezing):
            blocks = leaf.blocks(layers)
            chosen.append(lambda layer, part, kind, blocks=blocks: layer in blocks)
        elif isinstance(leaf, BitFit):
            chosen.append(lambda layer, part, kind: kind == "bias")
        elif isinstance(leaf, EmbeddingTuning):
            places = ("embedding", "head") if tied else ("embedding",)
            chosen.append(lambda layer, part, kind, places=places: part in places)
        elif isinstance(leaf, FullFineTuning):
            chosen.append(lambda layer, part, kind: True)
    return lambda *place: any(trains(*place) for trains in chosen)


def changes_of(method, config) -> Changes | None:
    """What a method changes; None for one that is not known here."""
    changes = Changes(config)
    if method is None:
        return changes
    try:
        add(method, changes)
    except NotImplementedError:
        return None
    return changes


@singledispatch
def add(method, changes: Changes) -> None:
    """Add what a method changes.

    Raises:
        NotImplementedError: a method of another kind.
    """
    raise NotImplementedError(type(method).__name__)


@add.register
def _(method: FullFineTuning, changes: Changes) -> None:
    """It trains the model's own tensors, and changes no operation."""


@add.register
def _(method: Compose, changes: Changes) -> None:
    for member in method.members:
        add(member, changes)


@add.register
def _(method: PromptTuning, changes: Changes) -> None:
    changes.prompt += method.length


@add.register
def _(method: PTuning, changes: Changes) -> None:
    if method.hidden is not None and method.kind == "lstm":
        raise NotImplementedError("what an LSTM saves")
    changes.prompt += method.length
    if method.hidden is None:
        return

    def make(tape: Tape) -> None:
        d, h, n = changes.size.embedding_size, method.hidden, method.length
        x = tape.parameter(n * d)
        for inputs in (d, h):
            x = tape.activation(tape.linear(x, inputs, h, True, True), "relu")
        tape.linear(x, h, d, True, True)

    changes.makers.append(make)


@add.register
def _(method: PrefixTuning, changes: Changes) -> None:
    layers, free = method._places(changes.size.layers)
    if not layers:
        return
    changes.prefix += method.length
    changes.seen.update(dict.fromkeys(layers, method.length))

    def make(tape: Tape) -> None:
        size = changes.size
        if method.hidden is None and len(free) < len(layers):  # put in their order
            tape.keep(len(layers), INDEX)
        if method.hidden is not None:  # tanh saves its result, as relu does
            h, outputs = method.hidden, 2 * len(layers) * size.kv_size
            x = tape.linear(
                tape.parameter(method.length * size.kv_size), size.kv_size, h, True, True
            )
            tape.linear(tape.activation(x, "relu"), h, outputs, True, True)
        if isinstance(method, GatedPrefix):
            tape.sigmoid(tape.parameter(size.layers))

    changes.makers.append(make)


@add.register
def _(method: IA3, changes: Changes) -> None:
    for layer in method._blocks(changes.config):
        for role in ("k", "v"):
            place, fused = changes.place(layer, role)
            changes.output(place, _scaled(changes, fused))
        if method.feed_forward:
            changes.input(
                (layer, "down"), lambda tape, x: _times_scale(tape, x, changes.size.inner)
            )


def _times_scale(tape: Tape, x: Tensor, width: int) -> Tensor:
    return tape.cast(tape.multiply(x, tape.parameter(width)), x.size)


def _scaled(changes: Changes, fused: bool) -> After:
    size, places = changes.size, changes.places(changes.size.kv_size)

    def scaled(tape: Tape, _: Tensor, y: Tensor) -> Tensor:
        if not fused:
            return _times_scale(tape, y, size.kv_size)
        tape.save(places)
        scale = tape.new(3 * size.kv_size, True, FLOAT)  # 1 for the others
        return tape.cast(tape.multiply(y, scale), y.size)

    return scaled


@add.register
def _(method: LoRA, changes: Changes) -> None:
    shapes = linear_shapes(changes.config)
    for layer, role in method.sites(changes.config):
        place, fused = changes.place(layer, role)
        bias = place[1] in shapes and shapes[place[1]][2]
        sizes = role_sizes(changes.config)[role]
        places = changes.places(sizes[1]) if fused else None
        changes.output(place, _low_rank(method, sizes, places, bias))


def _low_rank(method: LoRA, sizes: tuple[int, int], places: Tensor | None, bias: bool) -> After:
    inputs, outputs = sizes

    def changed(tape: Tape, x: Tensor, y: Tensor) -> Tensor:
        z = tape.dropout(tape.cast(x, FLOAT), method.dropout)
        low = tape.linear(z, inputs, method.rank, True, False)
        delta = tape.linear(tape.scale(low), method.rank, outputs, True, False)
        if method.gated:
            delta = _gated(tape, x, delta, inputs)
        if method.dora:
            tape.keep(outputs * method.rank, FLOAT)  # s B, for W + s B A; let go at once
            delta = _dora(tape, delta, y, outputs, places, bias)
        delta = tape.cast(delta, y.size)
        if places:  # index_add saves the places, and what is added
            tape.save(places, delta)
        return tape.add(y, delta)

    return changed


def _gated(tape: Tape, x: Tensor, delta: Tensor, width: int) -> Tensor:
    """The change times a number for each token."""
    gate = tape.sigmoid(tape.linear(tape.cast(x, FLOAT), width, 1, True, True))
    tape.multiply(delta, gate)
    return tape.new(delta.numbers, True, FLOAT)


def _dora(
    tape: Tape, delta: Tensor, y: Tensor, outputs: int, places: Tensor | None, bias: bool
) -> Tensor:
    """growth * change + (growth - 1) * own, where growth = lengths / the lengths of W + s B A."""
    tape.keep(outputs, FLOAT)  # those lengths
    growth, less = (tape.new(outputs, True, FLOAT) for _ in range(2))
    own = y
    if places:
        own = tape.new(delta.numbers, y.live, y.size)
        if y.live:
            tape.save(places)
    if bias:  # taken off
        own = tape.new(own.numbers, own.live, own.size)
    return tape.add(tape.multiply(growth, delta), tape.multiply(less, own))


@add.register
def _(method: Adapter, changes: Changes) -> None:
    first = "gate" if "gate" in changes.size.family.linears else "up"
    for layer, part in method._places(changes.config):
        if PLACEMENTS[method.placement][1]:
            change = _bottleneck(method, changes.size, beside=True)
            changes.around((layer, first), (layer, "down"), change)
        else:
            last = "o" if part == "attention" else "down"
            changes.output((layer, last), _bottleneck(method, changes.size, beside=False))


def _bottleneck(method: Adapter, size: Dimensions, beside: bool) -> After:
    d = size.hidden_size

    def change(tape: Tape, x: Tensor, h: Tensor) -> Tensor:
        read = x if beside else h
        wide = tape.cast(read, FLOAT)
        narrow = tape.linear(wide, d, method.width, True, True)
        narrow = tape.activation(narrow, method.activation)
        delta = tape.scale(tape.linear(narrow, method.width, d, True, True))
        if method.gated:
            delta = _gated(tape, read, delta, d)
        return tape.add(h, tape.cast(delta, h.size))

    return change
