"""Exercises of notebook 09: LoRA on all matrices, the bytes of a step, the slope of a gap."""

import math
from collections.abc import Sequence
from statistics import fmean, stdev
from types import SimpleNamespace

from ..claims import interval, student
from .core import Sheet, as_tuple, brief, exercise, number, same

# --- the guesses --------------------------------------------------------------

QUESTIONS = {
    "prompt": "numbers in a prompt of 20 vectors for BLOOM-176B",
    "lora": "numbers in a LoRA of rank 8 on q and v of GPT-3 175B",
    "file": "MB on the disk for that LoRA, 4 bytes a number",
    "memory": "GiB to train all of Llama-3-8B, sum of the four terms",
    "saved": "% of the activations that a prompt of 20 saves there",
}


def reveal(guesses: dict, found: dict[str, float]) -> None:
    """Print each guess beside what the package finds, and how far off it is and which way: times;
    percentages in points."""
    print(f"{'':<56}{'guess':>12}{'found':>14}{'off':>28}")
    for name, question in QUESTIONS.items():
        given, value = guesses.get(name), found[name]
        guess = number(given)
        if guess is None:
            shown, off = ("(none)", "") if given in (None, ...) else ("?", "no number")
        else:
            shown = f"{guess:,.4g}" if guess < 1e4 else f"{guess:,.0f}"
            off = "must be above 0"
            if question.startswith("%"):
                off = f"{abs(guess - value):,.0f} points" + _way(guess, value)
            elif guess > 0:
                times = max(guess / value, value / guess)
                off = f"{times:,.1f} times" if times < 1e5 else "over 100,000 times"
                off += _way(guess, value)
        value = f"{value:,.0f}" if value >= 1000 else f"{value:.0f}"
        shown = shown if len(shown) < 12 else f"{guess:.1e}"
        print(f"{question:<56}{shown:>12}{value:>14}{off:>28}".rstrip())


def _way(guess: float, value: float) -> str:
    return " too high" if guess > value else " too low" if guess < value else ""


# --- 09a ----------------------------------------------------------------------


def lora_all(config, rank: int) -> int:
    """Numbers of LoRA on all seven matrices of each block: rank x (inputs + outputs) a matrix."""
    return rank * config.num_hidden_layers * sum(map(sum, _matrices(config)))


def _matrices(config, kv_heads: int | None = None, head_dim: int | None = None):
    """(inputs, outputs) of q, k, v, o, gate, up, down."""
    d, inner = config.hidden_size, config.intermediate_size
    head_dim = head_dim or config.head_dim
    q = config.num_attention_heads * head_dim
    kv = (kv_heads or config.num_key_value_heads) * head_dim
    return [(d, q), (d, kv), (d, kv), (q, d), (d, inner), (d, inner), (inner, d)]


@exercise("09a", "lora_all", lora_all)
def check_09a(sheet: Sheet, answer) -> None:
    """``lora_all(config, rank) -> int``."""
    config = SimpleNamespace(
        hidden_size=29, num_hidden_layers=3, num_attention_heads=8, num_key_value_heads=2,
        head_dim=9, intermediate_size=43, vocab_size=101,
    )  # fmt: skip
    sheet.note("3 layers of width 29, 8 query heads on 2 key-value heads of width 9;")
    sheet.note("43 inside the feed-forward, 101 words")
    ranks = (1, 4)
    targets = [lora_all(config, rank) for rank in ranks]
    values = [sheet.attempt(answer, config, rank) for rank in ranks]
    for rank, target, value in zip(ranks, targets, values, strict=True):
        sheet.case(f"rank {rank}", target, value)
    for value in values:
        sheet.broken(value)
    sheet.wrong("not a number", "One whole number comes back.",
                any(number(value) is None for value in values))  # fmt: skip

    def slip(rule):
        return all(same(v, rule(rank)) for rank, v in zip(ranks, values, strict=True))

    layers, right = config.num_hidden_layers, _matrices(config)
    d, words = config.hidden_size, config.vocab_size

    def of(matrices):
        return lambda rank: rank * layers * sum(map(sum, matrices))

    heads, kv_heads = config.num_attention_heads, config.num_key_value_heads

    def queries(q):
        return [(d, q), *right[1:3], (q, d), *right[4:]]

    def keys(kv):
        return [right[0], (d, kv), (d, kv), *right[3:]]

    many = _matrices(config, kv_heads=heads)
    sheet.wrong(
        "query heads",
        "You gave k and v as many outputs as q. Here several query heads share one key-value head: "
        "k and v put out num_key_value_heads * head_dim numbers.",
        slip(of(many)),
    )
    narrow = [(d, d), *right[1:3], (d, d), *right[4:]]
    once = [(d, d), *right[1:]]  # as many numbers as with o's inputs wrong and q right
    sheet.wrong(
        "width for heads",
        "You took hidden_size for the outputs of q or the inputs of o. Both are "
        "num_attention_heads * head_dim, and that need not be the model's width.",
        any(slip(of(made)) for made in (narrow, once, [(d, d)] * 4 + right[4:])),
    )
    sheet.wrong(
        "head_dim by division",
        "You divided hidden_size by the heads to get the width of one. The config states it: "
        "head_dim, and here it is another number.",
        any(
            slip(of(made))
            for dim in (d // heads, d / heads)
            for made in (
                _matrices(config, head_dim=dim),
                queries(heads * dim),
                keys(kv_heads * dim),
                [(d, d), *[(d, kv_heads * dim)] * 2, (d, d), *right[4:]],
            )
        ),
    )
    sheet.wrong(
        "heads without head_dim",
        "You took the number of heads for the numbers that they put out. Each head puts out "
        "head_dim of them.",
        any(
            slip(of(made))
            for made in (_matrices(config, head_dim=1), queries(heads), keys(kv_heads))
        ),
    )
    sheet.wrong(
        "one key-value head",
        "You gave k and v one head. There are num_key_value_heads of them, and each puts out "
        "head_dim numbers.",
        slip(of(keys(config.head_dim))),
    )
    sheet.wrong(
        "down as a square",
        "down takes intermediate_size numbers, not hidden_size: it comes back from inside the "
        "feed-forward.",
        slip(of([*right[:6], (d, d)])),
    )
    sheet.wrong(
        "gate and up in one",
        "You took gate and up for one wide matrix. They are two here, and each has a pair of its "
        "own: A twice.",
        slip(of([*right[:4], (d, 2 * config.intermediate_size), right[6]])),
    )
    sheet.wrong(
        "no rank",
        "The rank is missing: each pair has rank x (inputs + outputs) numbers.",
        slip(lambda rank: of(right)(1)),
    )
    sheet.wrong(
        "square matrices",
        "You took hidden_size for both sides of each matrix, as on our small models in notebook "
        "06. Here the shapes differ.",
        slip(lambda rank: 4 * layers * d * rank) or slip(of([(d, d)] * 7)),
    )
    sheet.wrong(
        "one of k and v",
        "Keys or values are missing: k and v are two matrices, of the same shape.",
        slip(of([right[0], *right[2:]])),
    )
    sheet.wrong(
        "q and v only",
        "You counted q and v: what LoRA takes by default. The question is for all seven matrices.",
        slip(of([right[0], right[2]])),
    )
    sheet.wrong(
        "no feed-forward",
        "You counted the four matrices of attention. The feed-forward has three more: gate, up and "
        "down.",
        slip(of(right[:4])),
    )
    sheet.wrong(
        "two of three",
        "One matrix of the feed-forward is missing. There are three: gate and up go in, down comes "
        "back.",
        slip(of(right[:6])),
    )
    sheet.wrong("one layer", "These are the numbers of one block. The model has "
                "num_hidden_layers of them.",
                slip(lambda rank: of(right)(rank) // layers))  # fmt: skip
    sheet.wrong(
        "whole matrices",
        "You multiplied inputs by outputs: that is the frozen matrix. A is rank x inputs, B is "
        "outputs x rank: rank x (inputs + outputs) together.",
        slip(lambda rank: layers * sum(a * b for a, b in right))
        or slip(lambda rank: rank * layers * sum(a * b for a, b in right)),
    )
    sheet.wrong(
        "A or B alone",
        "You counted one of the two thin matrices. A has rank x inputs numbers, B outputs x rank.",
        slip(lambda rank: rank * layers * sum(a for a, _ in right))
        or slip(lambda rank: rank * layers * sum(b for _, b in right)),
    )
    sheet.wrong(
        "embedding or head",
        "You counted the head (or the embedding) too. LoRA acts on the matrices inside the blocks "
        "here.",
        any(slip(lambda rank, k=k: of(right)(rank) + k * rank * (d + words)) for k in (1, 2)),
    )
    sheet.finish(
        all(same(v, t) for v, t in zip(values, targets, strict=True)),
        "Not yet, and not one of the usual slips. Write the seven shapes down with the numbers "
        "above, and add up by hand for rank 1.",
    )


# --- 09b ----------------------------------------------------------------------


def step_bytes(frozen: int, trained: int, rows: int, length: int, virtual: int, place: int):
    """(weights, gradients, optimizer, activations) of a training step, in bytes."""
    activations = rows * (virtual + length) * place
    return 2 * frozen + 4 * trained, 4 * trained, 8 * trained, activations


PARTS = ("weights", "gradients", "optimizer", "activations")
# frozen, trained, rows, length, virtual, place
CASES = {
    "a soft prompt of 7 vectors": (10_007, 91, 3, 11, 7, 1_300),
    "LoRA, no vectors at the input": (10_007, 610, 3, 11, 0, 1_300),
}


@exercise("09b", "step_bytes", step_bytes)
def check_09b(sheet: Sheet, answer) -> None:
    """``step_bytes(frozen, trained, rows, length, virtual, place) -> four numbers of bytes``."""
    targets = [step_bytes(*case) for case in CASES.values()]
    values = [as_tuple(sheet.attempt(answer, *case)) for case in CASES.values()]
    sheet.note("weights, gradients, optimizer, activations; 10,007 frozen numbers, 3 rows of 11")
    for name, target, value in zip(CASES, targets, values, strict=True):
        sheet.case(f"{name}, {CASES[name][1]} trained numbers", target, value)
    for value in values:
        sheet.broken(value)
    four = all(
        isinstance(v, (tuple, list)) and len(v) == 4 and all(number(n) is not None for n in v)
        for v in values
    )
    sheet.wrong("not four", "A tuple of four numbers comes back: return weights, gradients, "
                "optimizer, activations.", not four)  # fmt: skip
    sheet.wrong(
        "not bytes",
        "The right numbers in another unit. Bytes are asked for: not KB, MiB or GiB.",
        any(all(same(tuple(n * unit for n in v), tuple(map(float, t)), 1e-3)
                for v, t in zip(values, targets, strict=True))
            for base in (1000, 1024) for unit in (base, base**2, base**3)),
    )  # fmt: skip
    sheet.wrong("order", "The right numbers, in another order. Give weights, gradients, optimizer, "
                "activations.",
                all(sorted(v) == sorted(t) and not same(tuple(v), t)
                    for v, t in zip(values, targets, strict=True)))  # fmt: skip

    def part(name, rule):
        """Whether this part is what the rule gives, in both cases, and is not right."""
        at, cases = PARTS.index(name), CASES.values()
        got = [number(v[at]) for v in values]
        wanted = [t[at] for t in targets]
        return got != wanted and got == [rule(*case) for case in cases]

    def by_numbers(name, rule):
        return part(name, lambda frozen, trained, *_: rule(frozen, trained))

    def by_places(rule):
        return part("activations", lambda frozen, trained, *rest: rule(*rest))

    sheet.wrong(
        "bfloat16 throughout",
        "You gave 2 bytes to the gradients and to each of AdamW's two numbers. What is trained is "
        "the method's own here, in float32: 4 bytes each.",
        by_numbers("gradients", lambda f, t: 2 * t) and by_numbers("optimizer", lambda f, t: 4 * t),
    )
    sheet.wrong(
        "three moments",
        "Your optimizer keeps three numbers for each trained one. AdamW keeps two; the gradient "
        "and the number itself are in parts of their own.",
        by_numbers("optimizer", lambda f, t: 12 * t),
    )
    sheet.wrong(
        "place times 4",
        "`place` is in bytes already: no factor 4.",
        by_places(lambda rows, length, virtual, place: 4 * rows * (virtual + length) * place),
    )
    sheet.wrong(
        "optimizer of the frozen",
        "AdamW keeps its two numbers for what it trains. The frozen weights are never given to it: "
        "no state for them.",
        by_numbers("optimizer", lambda f, t: 8 * (f + t))
        or by_numbers("optimizer", lambda f, t: 8 * f)
        or by_numbers("optimizer", lambda f, t: 4 * f + 8 * t),
    )
    sheet.wrong(
        "no optimizer",
        "The optimizer's state is missing. AdamW keeps two numbers for each trained one, 4 bytes "
        "each.",
        by_numbers("optimizer", lambda f, t: 0),
    )
    sheet.wrong(
        "one moment",
        "Your optimizer keeps one number for each trained one. AdamW keeps two: a mean of the "
        "gradients, and one of their squares.",
        by_numbers("optimizer", lambda f, t: 4 * t),
    )
    sheet.wrong(
        "gradients of the frozen",
        "You made gradients for the frozen weights. Nobody needs them, and the backward pass does "
        "not keep them.",
        by_numbers("gradients", lambda f, t: 4 * (f + t))
        or by_numbers("gradients", lambda f, t: 2 * f + 4 * t)
        or any(by_numbers("gradients", lambda f, t, k=k: k * f) for k in (2, 4)),
    )
    sheet.wrong(
        "no gradients",
        "The gradients are missing: one number, 4 bytes, for each trained one.",
        by_numbers("gradients", lambda f, t: 0),
    )
    sheet.wrong(
        "bytes of a number",
        "The bytes of a number are mixed up. The frozen ones are bfloat16, 2 bytes; what is "
        "trained, its gradients and AdamW's numbers are float32, 4 bytes.",
        any(by_numbers("weights", lambda f, t, a=a, b=b: a * f + b * t)
            for a in (2, 4) for b in (2, 4))
        or by_numbers("gradients", lambda f, t: 2 * t),
    )  # fmt: skip
    sheet.wrong(
        "own weights",
        "The method's own numbers are weights too: they lie beside the frozen ones.",
        by_numbers("weights", lambda f, t: 2 * f),
    )
    sheet.wrong(
        "the prompt saves activations",
        "You left out activations because the model is frozen. The gradient has to pass the whole "
        "frozen model to reach the prompt: each place of each row keeps its bytes.",
        by_places(lambda *_: 0)
        or by_places(lambda rows, length, virtual, place: rows * virtual * place)
        or by_places(lambda rows, length, virtual, place: 0 if virtual else rows * length * place),
    )
    sheet.wrong(
        "virtual places are free",
        "You counted the places of the text alone. A soft prompt's vector stands at the input and "
        "passes every layer as a word does: its place keeps as many bytes.",
        by_places(lambda rows, length, virtual, place: rows * length * place),
    )
    sheet.wrong(
        "one prompt for all rows",
        "You counted the prompt's vectors once. The *vectors* are shared, their way through the "
        "model is not: each row has its own places.",
        by_places(lambda rows, length, virtual, place: (rows * length + virtual) * place),
    )
    sheet.wrong(
        "the vectors' own bytes",
        "You added the bytes of the trained numbers themselves. Those are weights; asked for is "
        "what the prompt's *places* keep, `place` bytes each, in every row.",
        part("activations", lambda f, t, rows, length, _, place: rows * length * place + 4 * t),
    )
    sheet.wrong("one row", "You counted one row. The batch has `rows` of them.",
                by_places(lambda rows, *one: sum(one[:2]) * one[2]))  # fmt: skip
    sheet.finish(all(same(tuple(v), t) for v, t in zip(values, targets, strict=True)))


# --- 09c ----------------------------------------------------------------------


def slopes(sizes: Sequence[float], gaps: Sequence[Sequence[float]]) -> list[float]:
    """Each seed's slope per tenfold size: the least-squares line through its gaps."""
    x = [math.log10(size) for size in sizes]
    return [_line(x, [seeds[k] for seeds in gaps]) for k in range(len(gaps[0]))]


def slope_interval(sizes: Sequence[float], gaps: Sequence[Sequence[float]]):
    """(mean, low, high) of the seeds' slopes: mean and Student's 95 % interval."""
    return tuple(interval(slopes(sizes, gaps)))


def _line(x: Sequence[float], y: Sequence[float]) -> float:
    middle = fmean(x)
    return sum((a - middle) * b for a, b in zip(x, y, strict=True)) / sum(
        (a - middle) ** 2 for a in x
    )


SIZES = [400_000, 1_500_000, 9_000_000]
LUCK = [0.030, -0.022, 0.011, -0.027, 0.008]  # of a seed, on every base: its order of the data
OWN = ([0.004, -0.002, 0.001, 0.003, -0.006], [-0.003, 0.005, 0.002, -0.006, 0.002],
       [0.001, 0.004, -0.007, 0.000, 0.002])  # fmt: skip
GAPS = [
    [round(mean + a + b, 4) for a, b in zip(LUCK, own, strict=True)]
    for mean, own in zip((0.46, 0.31, 0.28), OWN, strict=True)
]


@exercise("09c", "slope_interval", slope_interval)
def check_09c(sheet: Sheet, answer) -> None:
    """``slope_interval(sizes, gaps) -> (mean, low, high)``; gaps[i][k]: size i, seed k."""
    target = slope_interval(SIZES, GAPS)
    value = as_tuple(sheet.attempt(answer, SIZES, GAPS))
    sheet.note("three sizes, five seeds; the gaps of each size:")
    for size, gaps in zip(SIZES, GAPS, strict=True):
        sheet.note(f"  {size:>9,}  " + "  ".join(f"{gap:.3f}" for gap in gaps))
    unequal = (
        "bases for seeds",
        "gaps[i] holds the five seeds of one base. A line needs one seed's gaps on all bases: "
        "zip(*gaps) gives those.",
    )
    listed = isinstance(value, (tuple, list)) and all(number(v) is not None for v in value)
    shown = tuple(float(v) for v in value) if listed else value
    sheet.case("mean, low, high", brief(target, 5), brief(shown, 5) if listed else value)
    sheet.broken(value, {"same number of data points": unequal, "same length": unequal})
    sheet.wrong("not three", "Three numbers come back: return mean, low, high.",
                not listed or len(value) != 3)  # fmt: skip
    mean, low, high = shown

    def is_mean(wanted):
        return math.isclose(mean, wanted, rel_tol=1e-3, abs_tol=1e-12)

    def is_half(wanted):
        return math.isclose((high - low) / 2, wanted, rel_tol=5e-3)

    x, seeds = [math.log10(size) for size in SIZES], list(zip(*GAPS, strict=True))
    own, right = slopes(SIZES, GAPS), target[0]
    sheet.wrong(
        "not a tenfold",
        "You took the sizes as they are: your slope is nats for one parameter more, about 0. Take "
        "log10(size): one step is then a tenfold.",
        is_mean(fmean(_line(SIZES, y) for y in seeds)),
    )
    sheet.wrong(
        "natural logarithm",
        "You took the natural logarithm: your slope is for 2.7 times the size. For a tenfold it is "
        "log10.",
        is_mean(right / math.log(10)),
    )
    sheet.wrong("logarithm of two", "You took log2: your slope is for a doubling. For a tenfold it "
                "is log10.", is_mean(right * math.log10(2)))  # fmt: skip
    sheet.wrong("sign", "The sign is turned round: a gap that gets smaller has a slope below 0.",
                is_mean(-right))  # fmt: skip
    ends = [(y[-1] - y[0]) / (x[-1] - x[0]) for y in seeds]
    sheet.wrong(
        "ends only",
        "You joined the first size and the last, and left out the one between. Least squares uses "
        "all three.",
        is_mean(fmean(ends)),
    )
    steps = [(y[i + 1] - y[i]) / (x[i + 1] - x[i]) for y in seeds for i in range(len(x) - 1)]
    sheet.wrong(
        "mean of steps",
        "You averaged the slopes from size to size. The steps are not equally wide: put one line "
        "through the three points.",
        is_mean(fmean(steps)),
    )
    sheet.wrong(
        "axes",
        "You put the sizes over the gaps. x is log10(size), y the gap: linear_regression(x, y).",
        is_mean(fmean(_line(y, x) for y in seeds)),
    )
    sheet.wrong("order", "The mean stands between the ends. Return mean, low, high.",
                mean < low < high and math.isclose(low, right, rel_tol=1e-3))  # fmt: skip
    sheet.wrong(
        "rounded",
        "Right, but rounded. Do not round: give all digits back.",
        any(same(shown, [round(v, digits) for v in target], 1e-9) for digits in (2, 3, 4)),
    )
    sheet.wrong("mean", "The mean is not right yet: one slope for each seed, by least squares over "
                "log10(size), then their mean.", not is_mean(right))  # fmt: skip
    n, spread = len(own), stdev(own)
    deviation = spread * (1 - 1 / n) ** 0.5
    sheet.wrong(
        "other way round",
        "Low and high are exchanged.",
        low > high and math.isclose(low - high, target[2] - target[1], rel_tol=5e-3),
    )
    sheet.wrong(
        "1.96",
        "You took 1.96 standard errors. That is for many values; for five it is Student's 2.776.",
        is_half(1.96 * spread / n**0.5) or is_half(2 * spread / n**0.5),
    )
    sheet.wrong(
        "one standard error",
        "You took one standard error each side. A 95 % interval has student(5) = 2.776 of them.",
        is_half(spread / n**0.5),
    )
    sheet.wrong(
        "degrees of freedom",
        "Student's t is of other degrees of freedom than the mean has. Five slopes less one mean "
        "are 4 degrees of freedom, 2.776. `student(n)` takes the number of values: student(5).",
        any(is_half(t * spread / n**0.5) for t in (student(n - 1), student(n + 1))),
    )
    sheet.wrong(
        "least and greatest",
        "You gave the least and the greatest slope. They tell how far single seeds lie apart, and "
        "with more seeds they only move outwards. An interval of the mean has its standard error.",
        same((low, high), (min(own), max(own)), 1e-6),
    )
    sheet.wrong(
        "spread",
        "You took the spread of the slopes. That says how far one seed lies from the mean; how far "
        "the *mean* may lie is the standard error, the spread divided by the root of 5.",
        any(is_half(k * spread) for k in (1, 1.96, 2, student(n)))
        or is_half((max(own) - min(own)) / 2),
    )
    sheet.wrong(
        "n for n - 1",
        "You divided the squares by n. For a sample it is n - 1: statistics.stdev, not pstdev.",
        is_half(student(n) * deviation / n**0.5),
    )
    flat_x = [a for a in x for _ in range(n)]
    flat_y = [gap for gaps in GAPS for gap in gaps]
    middle, centre = fmean(flat_x), fmean(flat_y)
    scale = sum((a - middle) ** 2 for a in flat_x)
    rest = sum((b - centre - right * (a - middle)) ** 2
               for a, b in zip(flat_x, flat_y, strict=True))  # fmt: skip
    error = (rest / (len(flat_x) - 2) / scale) ** 0.5
    sheet.wrong(
        "pooled",
        "You put one line through all fifteen points. Then what is peculiar to a seed counts as "
        "noise, though it is the same on each base: the slope of each seed has it no more. One "
        "slope a seed, then the interval of these five.",
        any(is_half(k * error) for k in (1, 1.96, 2, 2.160, student(n))),
    )
    wide = student(n) * sum(stdev(gaps) ** 2 * (a - fmean(x)) ** 2
                            for gaps, a in zip(GAPS, x, strict=True)) ** 0.5  # fmt: skip
    sheet.wrong(
        "unpaired",
        "You took the seeds of each size for themselves. Seed 0 has the same order of the data on "
        "each base: make one slope a seed, so that its luck drops out.",
        is_half(wide / n**0.5 / sum((a - fmean(x)) ** 2 for a in x)),
    )
    half = (target[2] - target[1]) / 2
    sheet.finish(
        all(abs(a - b) < 5e-3 * half for a, b in zip(shown, target, strict=True)),
        "The mean is right, the ends are not: mean ± student(5) · stdev(slopes) / √5.",
    )
