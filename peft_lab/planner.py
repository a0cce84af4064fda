"""Which method fits on which card, how long a step takes at least, how large its file is.

All from a config alone: no weights, no card. The memory is `accounting.memory`'s prediction and
the peak it makes; the time is a lower bound, since no program can do the model's products faster
than the card's rate nor move bytes faster than its memory: the larger of the two counts. How much
longer a real step takes was not measured here.
"""

import re
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass, replace

from . import footprint as fp
from . import methods as kinds
from .accounting import without_numbers
from .anatomy import dimensions
from .methods import Method
from .methods.arguments import check_count
from .model_configs import as_config

CHECKED = "https://inferenceengineering.tech/cheat-sheets/hardware"
WAREDB = "https://waredb.com/processor/nvidia-geforce-rtx-4090"


@dataclass(frozen=True)
class Card:
    """A graphics card. Rates are peaks of the dense tensor cores in half precision, their fastest:
    a bound for other precisions too."""

    name: str
    memory: int  # bytes; a "24 GB" card has 24 GiB
    rate: float | None  # operations a second; None: a size, and no card of that size is known
    bandwidth: float | None  # bytes a second
    source: str  # the maker's document
    checked: str  # where the figures were compared


GIB = 1 << 30
CARDS = (
    Card("T4", 16 * GIB, 65e12, 320e9, "NVIDIA T4 datasheet",
         "https://sysrqmts.com/gpus/compare/nvidia-a100-sxm4-40-gb-vs-nvidia-tesla-t4"),
    Card("A10", 24 * GIB, 125e12, 600e9, "NVIDIA A10 datasheet", "https://gist.github.com/kimbochen"),
    Card("RTX-3090", 24 * GIB, 71e12, 936e9, "NVIDIA GA102 whitepaper",
         "https://huggingface.co/datasets/Fdddhhhill/Advanced_AI_GPU_Benchmark_Dataset.csv"),
    Card("RTX-4090", 24 * GIB, 165.2e12, 1008e9, "NVIDIA Ada whitepaper", WAREDB),
    Card("V100-32GB", 32 * GIB, 125e12, 900e9, "NVIDIA V100 datasheet (SXM2)",
         "https://ozyphus.github.io/gpu-maths.html"),
    Card("A100-40GB", 40 * GIB, 312e12, 1555e9, "NVIDIA A100 datasheet",
         "https://sysrqmts.com/gpus/compare/nvidia-a100-sxm4-40-gb-vs-nvidia-tesla-t4"),
    Card("A100-80GB", 80 * GIB, 312e12, 2039e9, "NVIDIA A100 datasheet (SXM)", CHECKED),
    Card("H100", 80 * GIB, 989e12, 3350e9, "NVIDIA H100 datasheet (SXM), half of the sparse rate",
         CHECKED),
    Card("H200", 141 * 10**9, 989e12, 4800e9, "NVIDIA H200 datasheet, half of the sparse rate",
         CHECKED),
)  # fmt: skip
NO_BFLOAT16 = ("T4", "V100-32GB")  # NVIDIA A100 whitepaper: Tensor Cores have it from Ampere on
# Above all that a card of these has on its chip. By NVIDIA's whitepapers the RTX 4090 has most: 72
# MiB of cache, and 128 processors with 128 KiB of shared memory and 256 KiB of registers each.
ON_CHIP = 128 << 20
RANKS = {"lora": 8, "lora-all": 16}
METHODS = {  # name -> how it is made; usual sizes
    "full": lambda: kinds.FullFineTuning(),
    "top-1": lambda: kinds.LayerFreezing.top(1),
    "bitfit": lambda: kinds.BitFit(),
    "prompt": lambda: kinds.PromptTuning(20),
    "prefix": lambda: kinds.PrefixTuning(20),
    "p-tuning": lambda: kinds.PTuning(20, 128),
    "adapter": lambda: kinds.Adapter(64),
    "houlsby": lambda: kinds.Adapter(64, "houlsby"),
    "ia3": lambda: kinds.IA3(),
    "lora": lambda: kinds.LoRA(RANKS["lora"]),
    "lora-all": lambda: kinds.LoRA(RANKS["lora-all"], targets="all"),
    "mam": lambda: kinds.MAMAdapter(),
    "unipelt": lambda: kinds.UniPELT(),
}
SETTINGS = {  # what the sizes above are, in words
    "top-1": "the last block",
    "prompt": "20 vectors",
    "prefix": "20 pairs a layer",
    "p-tuning": "20 vectors, width 128",
    "adapter": "width 64",
    "houlsby": "width 64, twice a block",
    "lora": "rank 8 on q and v",
    "lora-all": "rank 16 on all matrices of a block",
    "mam": "prefix 30, parallel adapter of width 512",
    "unipelt": "prefix 10, LoRA of rank 8, adapter of width 48",
}


@dataclass(frozen=True)
class Planned:
    """What one method needs.

    Attributes:
        trained: numbers.
        file: bytes of what is saved, without its header.
        bytes: weights, gradients, optimizer, activations; None if nothing can be trained.
        moment: what lies in memory at the fullest moment, in bytes, see `peak_parts`; None where
            activations are not predicted.
        share: of the card's memory.
        seconds: of a step, at least; None for a card whose rates are not known.
        bound: "operations" or "bytes": which of them takes the time.
        note: why a number is missing.
    """

    name: str
    trained: int
    file: int
    bytes: fp.Bytes | None = None
    moment: Mapping[str, int] | None = None
    share: float | None = None
    seconds: float | None = None
    bound: str = ""
    note: str = ""

    @property
    def peak(self) -> int | None:
        """Bytes at the fullest moment."""
        return None if self.moment is None else sum(self.moment.values())

    @property
    def fits(self) -> bool | None:
        """Whether the peak is below the card's memory."""
        return None if self.share is None else self.share <= 1

    @property
    def verdict(self) -> str:
        """ "yes", "no", "?"; "tight" above nine tenths: the driver takes memory too, and memory
        is handed out in pieces, so do not count on it."""
        if self.share is None:
            return "?"
        return "no" if not self.fits else "tight" if self.share > 0.9 else "yes"


@dataclass(frozen=True)
class Plan:
    """A plan for one model on one card."""

    model: str
    parameters: int
    card: Card
    rows: int
    length: int
    precision: str
    methods: tuple[Planned, ...]

    def __getitem__(self, name: str) -> Planned:
        planned = {one.name: one for one in self.methods}
        if name not in planned:
            raise KeyError(f"{name!r} is not in this plan; there are {', '.join(planned)}.")
        return planned[name]


def find_card(name: str) -> Card:
    """A card by its name, or the fastest known with the memory that a size names ("24GB").

    Raises:
        ValueError: neither a card nor a size.
    """
    for card in CARDS:
        if card.name.lower() == str(name).lower():
            return card
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(?:gb?|gib)\s*", str(name), re.IGNORECASE)
    if not match or float(match.group(1)) <= 0:
        known = ", ".join(card.name for card in CARDS)
        raise ValueError(f"gpu: {name!r} is neither a size such as 24GB nor one of {known}.")
    size = float(match.group(1))
    same = [card for card in CARDS if round(card.memory / GIB) == size or card.memory == size * 1e9]
    if same:
        fastest = max(same, key=lambda card: card.rate)
        return replace(fastest, name=f"{size:g}GB ({fastest.name})")
    return Card(f"{size:g}GB", int(size * GIB), None, None, "", "")


def make_method(name: str) -> Method:
    """A method of usual size by its name in `METHODS`."""
    if name not in METHODS:
        raise ValueError(f"method: there is no {name!r}; known are {', '.join(METHODS)}.")
    return METHODS[name]()


def label(name: str) -> str:
    """A method's name as tables and pictures show it, with its rank: "lora r8"."""
    return f"{name} r{RANKS[name]}" if name in RANKS else name


def plan(
    model,
    method: str | Method | None = None,
    gpu: str = "24GB",
    *,
    rows: int = 1,
    length: int = 512,
    precision: str = "bfloat16",
    optimizer: str = "adamw",
) -> Plan:
    """What training needs on a card, for one method or all.

    Args:
        model: a model, a config, one of `known_configs()`, a model of the course, or a folder.
        method: a name in `METHODS`, a method, or None for all of those.
        gpu: a card's name, or a size such as "24GB".
        rows, length: the batch, all of it text, each token but the first scored.
        precision: of the base's weights, see `accounting.memory`. What trains the model's own
            tensors, "full" among them, trains them in it.
        optimizer: "adamw" or "sgd".

    A method that this model refuses has a note in the place of numbers: a rank above a width,
    virtual tokens for which the context has no room, weights trained in float16.

    Raises:
        ValueError: an unknown model, method, card or precision; a text longer than the context.
        TypeError: the method is neither a name nor a method.
    """
    config, card = as_config(model), find_card(gpu)
    fp.check_precision(precision)
    fp.check_optimizer(optimizer)
    for name, value in (("rows", rows), ("length", length)):
        check_count(name, value)
    fp.check_room(config, length)
    if isinstance(method, Method):
        chosen = {type(method).__name__: method}
    elif method is None or isinstance(method, str):
        chosen = {name: make_method(name) for name in (METHODS if method is None else [method])}
    else:
        raise TypeError(
            f"method must be a name such as 'lora', a method such as LoRA(8), or None for all, "
            f"not {method!r}."
        )
    told = [
        _planned(name, one, config, card, rows, length, precision, optimizer)
        for name, one in chosen.items()
    ]
    shown = str(model) if isinstance(model, str) else f"a {config.model_type} model"
    total = fp.total_parameters(config)
    return Plan(shown, total, card, rows, length, precision, tuple(told))


def _planned(name, method, config, card, rows, length, precision, optimizer) -> Planned:
    try:
        own, inside = fp.split(method, config)
        if not own + inside:
            return Planned(name, 0, 0, note="finds nothing to train in this model")
        needed = fp.footprint(config, method, rows, length, optimizer, precision)
        if name not in METHODS:  # of one's own making: its parts may not go together
            without_numbers(config, method)
    except ValueError as error:  # this model refuses it
        return Planned(name, 0, 0, note=str(error))
    trained, file = own + inside, 4 * own + fp.check_precision(precision) * inside
    found = fp.rehearsal(config, method, rows, length, precision)
    if found is None:
        return Planned(name, trained, file, needed, note="activations are not predicted")
    moment = peak_parts(needed, rows * (length - 1), dimensions(config).vocabulary)
    share = sum(moment.values()) / card.memory
    seconds, bound = None, ""
    if card.rate is not None:
        times = {
            "operations": found.operations / card.rate,
            "bytes": moved(needed, found.read) / card.bandwidth,
        }
        bound = max(times, key=times.get)
        seconds = times[bound]
    return Planned(name, trained, file, needed, moment, share, seconds, bound)


def peak_parts(needed: fp.Bytes, scored: int, vocabulary: int) -> dict[str, int]:
    """What lies in memory at the fullest moment of a step, in bytes.

    Either the backward pass begins: all activations are there, and the loss makes two gradients as
    large as its log-probabilities. Or it ends: all gradients are there, and the optimizer makes
    one more tensor as large as each of them.
    """
    logits = 4 * scored * vocabulary
    begins = {"activations": needed.activations, "temporary": 2 * logits}
    ends = {"gradients": needed.gradients, "temporary": needed.gradients}
    fullest = max(begins, ends, key=lambda moment: sum(moment.values()))
    return {"weights": needed.weights, "optimizer": needed.optimizer, **fullest}


def peak_bytes(needed: fp.Bytes, scored: int, vocabulary: int) -> int:
    """Bytes at the fullest moment of a step."""
    return sum(peak_parts(needed, scored, vocabulary).values())


def moved(needed: fp.Bytes, read: int) -> int:
    """Bytes that a step must move: the weight matrices, as often as they are `read`; what is
    trained, written; the optimizer's state, read and written.

    No more than that is sure: activations may be computed anew, gradients be used up where they
    arise. And a chip may keep `ON_CHIP` from the forward to the backward pass, which saves it a
    reading, and from step to step, which saves a writing and a reading.
    """
    trained = needed.gradients  # as large as what they are for
    return max(0, read + trained + 2 * needed.optimizer - 3 * ON_CHIP)


def plan_table(made: Plan) -> None:
    """Print a plan, a line a method."""
    card = made.card
    print(f"{made.model}: {made.parameters:,} parameters in {made.precision}")
    size = _gib(card.memory)
    print(f"{made.rows} x {made.length} tokens on {card.name}: peaks up to {size} fit")
    print(f"{'method':<13}{'trained':>16}{'file':>11}{'activations':>12}{'peak':>11}"
          f"{'of card':>8}{'fits':>6}{'at least':>9}")  # fmt: skip
    for one in made.methods:
        if one.bytes is None:
            print(f"{label(one.name):<13}  {one.note}")
            continue
        kept = peak = share = "?"
        if one.peak is not None:
            kept, peak = _gib(one.bytes.activations), one.peak / GIB
            peak = f"{peak:.1f} GiB" if peak >= 1 else f"{peak:.2g} GiB"  # as the card's, always
            share = f"{one.share:.0%}"
        step = "?" if one.seconds is None else _time(one.seconds)
        print(f"{label(one.name):<13}{one.trained:>16,}{_gib(one.file):>11}{kept:>12}{peak:>11}"
              f"{share:>8}{one.verdict:>6}{step:>9}")  # fmt: skip
    sizes = [f"{one.name}: {SETTINGS[one.name]}" for one in made.methods if one.name in SETTINGS]
    if sizes:
        print(textwrap.fill("settings: " + "; ".join(sizes), 86, subsequent_indent=" " * 6))
    print("peak: weights, optimizer state, and the more of activations with the loss's gradients,")
    print("      or all gradients with one temporary of their size; by closed forms, not measured;")
    print("      rows without padding: with it attention keeps more")
    if made.precision == "bfloat16" and card.name in NO_BFLOAT16:
        print(f"{card.name} has no bfloat16 of its own: take float16, of as many bytes")
    if any(one.seconds is not None for one in made.methods):
        print(f"at least: a step at the peak rates of {card.name}; real ones take longer")


def _gib(count: int) -> str:
    return fp.format_bytes(count)


def _time(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds >= 1 else f"{1000 * seconds:.3g} ms"
