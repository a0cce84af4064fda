"""What fills the memory while training, from a config alone."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from . import tape
from .anatomy import (
    block_parameters,
    dimensions,
    linear_shapes,
    outer_parameters,
    role_sizes,
)
from .methods import (
    IA3,
    Adapter,
    FullFineTuning,
    LoRA,
    Method,
    PrefixTuning,
    PromptTuning,
    PTuning,
    Switch,
)
from .methods.hybrid import GatedPrefix

SIZES = {"float32": 4, "bfloat16": 2, "float16": 2}  # bytes of a number


@dataclass(frozen=True)
class Bytes:
    """The four things that fill the memory while training.

    Attributes:
        parts: of the activations, where they are predicted: "attention", "prefix" (keys and values
            of the prefix), "logits" (head and loss), "embeddings", "blocks" (all else).
    """

    weights: int
    gradients: int
    optimizer: int
    activations: int | None  # saved by the forward pass for the backward pass; None: not predicted
    parts: Mapping[str, int] | None = field(default=None, compare=False)

    @property
    def total(self) -> int | None:
        if self.activations is None:
            return None
        return self.weights + self.gradients + self.optimizer + self.activations

    def __repr__(self) -> str:
        parts = ("weights", "gradients", "optimizer", "activations")
        values = [(part, getattr(self, part)) for part in parts]
        shown = [f"{n} {'?' if v is None else format_bytes(v)}" for n, v in values]
        return f"Bytes({', '.join(shown)})"


@dataclass(frozen=True)
class Memory:
    """Bytes of one training step."""

    predicted: Bytes
    measured: Bytes | None  # None: there was no model to run


def format_bytes(count: float) -> str:
    """`format_bytes(30_000)` is "29.3 KiB": powers of 1024, three digits or more."""
    for unit in ("B", "KiB", "MiB"):
        if abs(count) < 1024:
            return f"{count:.0f} B" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} GiB"


def total_parameters(config) -> int:
    """Parameters of a decoder, tied ones once."""
    blocks = dimensions(config).layers * sum(block_parameters(config))
    return blocks + sum(outer_parameters(config))


def split(method: Method, config) -> tuple[int, int]:
    """Numbers that a method trains: (in tensors of its own, in tensors of the model's).

    Raises:
        ValueError: it does not fit the model: a layer or target that is not there, a rank above a
            matrix's width; or it is a `Switch`, which trains what its rows choose.
    """
    own = inside = 0
    for leaf in tape.leaves(method):
        if isinstance(leaf, Switch):
            raise ValueError("method: a Switch trains the members that rows choose; give one.")
        if isinstance(leaf, LoRA):
            sizes = role_sizes(config)
            most = min(min(sizes[role]) for _, role in leaf.sites(config))
            if leaf.rank > most:
                raise ValueError(f"rank: {leaf.rank} is above {most}, the least width of a target.")
        number = leaf.expected_parameters(config)
        if isinstance(leaf, FullFineTuning):
            inside += number
        else:
            own += number
    return own, inside


def check_precision(precision: str) -> int:
    """Bytes of a number."""
    if precision not in SIZES:
        raise ValueError(f"precision must be one of {', '.join(SIZES)}, not {precision!r}.")
    return SIZES[precision]


def check_optimizer(optimizer: str) -> None:
    if optimizer not in ("adamw", "sgd"):
        raise ValueError(f'optimizer must be "adamw" or "sgd", not {optimizer!r}.')


def check_room(config, length: int, method: Method | None = None) -> None:
    """Raise a ValueError if so many tokens, and the method's virtual ones, exceed the context."""
    context = dimensions(config).context
    virtual = 0
    for leaf in tape.leaves(method):
        if isinstance(leaf, PromptTuning | PTuning | PrefixTuning):  # not a prefix of no layer
            virtual += leaf.length if getattr(leaf, "layers", None) != [] else 0
    if context is not None and length + virtual > context:
        told = f"{length} tokens" + (f" and {virtual} virtual ones" if virtual else "")
        raise ValueError(f"length: {told}, but the model's context is {context}.")


def check_trainable(method: Method, precision: str) -> None:
    """Raise a ValueError where the model's own weights would be trained in float16."""
    if precision == "float16" and any(isinstance(m, FullFineTuning) for m in tape.leaves(method)):
        raise ValueError("precision: the model's own weights, trained in float16, become NaN.")


def rehearsal(config, method: Method, rows: int, length: int, precision: str):
    """`tape.rehearse` for rows of `length` tokens without padding, all of them scored but the
    first."""
    batch = tape.Batch(rows, length, scored=rows * (length - 1))
    trained = tape.trained_by(method, config)
    return tape.rehearse(config, method, batch, trained, check_precision(precision))


def footprint(
    config, method: Method, rows: int, length: int, optimizer: str, precision: str
) -> Bytes:
    """The prediction of `accounting.memory` for a config.

    Raises:
        ValueError: nothing to train, or what training refuses: see `split`, `check_room` and
            `check_trainable`.
    """
    if not isinstance(method, Method):
        raise TypeError(f"method must be a method, not {type(method).__name__}.")
    check_optimizer(optimizer)
    size = check_precision(precision)
    own, inside = split(method, config)
    check_room(config, length, method)
    check_trainable(method, precision)
    gradients = 4 * own + size * inside
    if not gradients:
        raise ValueError(f"method: {type(method).__name__} finds nothing to train in this model.")
    found = rehearsal(config, method, rows, length, precision)
    state = 2 * gradients + 4 * tensors(method, config) if optimizer == "adamw" else 0
    return Bytes(
        weights=size * total_parameters(config) + 4 * own,
        gradients=gradients,
        optimizer=state,
        activations=None if found is None else sum(found.kept.values()),
        parts=None if found is None else found.kept,
    )


def tensors(method: Method, config) -> int:
    """How many tensors a method trains: AdamW keeps a counter for each."""
    return sum(_tensors(leaf, config) for leaf in tape.leaves(method))


def _tensors(method: Method, config) -> int:
    if isinstance(method, FullFineTuning):
        return _base_tensors(config, tape.trained_by(method, config))
    if isinstance(method, LoRA):
        sites = method.sites(config)
        return (2 + method.dora) * len(sites) + 2 * method.gated * len(dict(sites))
    if isinstance(method, Adapter):
        return (4 + 2 * method.gated) * len(method._places(config))
    if isinstance(method, IA3):
        return (2 + method.feed_forward) * len(method._blocks(config))
    if isinstance(method, PrefixTuning):
        return 1 + 4 * (method.hidden is not None) + isinstance(method, GatedPrefix)
    if isinstance(method, PTuning) and method.hidden is not None:
        return 1 + (6 if method.kind == "mlp" else 4 + 16)  # an LSTM: 2 layers, 2 directions, 4
    return 1


def _base_tensors(config, trained: tape.Trained) -> int:
    """Tensors of the model that are trained, tied ones once."""
    size, kind = dimensions(config), config.model_type
    inside, outside = tape.PARTS[kind]
    kinds = ("weight", "bias") if size.family.layer_norm else ("weight",)
    affine = getattr(config, "layer_norm_elementwise_affine", True)
    found = 0
    for layer in range(size.layers):
        for role, (_, _, biased) in linear_shapes(config).items():
            found += trained(layer, role, "weight") + (biased and trained(layer, role, "bias"))
        for part in inside if affine else ():
            if part in ("norm1", "norm2") or kind == "qwen3":
                found += sum(trained(layer, part, which) for which in kinds)
    found += trained(None, "embedding", "weight")
    found += not size.tied and trained(None, "head", "weight")
    for part in outside:
        if part.startswith("project"):
            found += size.embedding_size != size.hidden_size and trained(None, part, "weight")
        elif part == "positions":
            found += trained(None, part, "weight")
        elif part != "final_norm" or tape.has_final_norm(config):
            found += sum(trained(None, part, which) for which in kinds) if affine else 0
    return found
