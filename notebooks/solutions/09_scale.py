"""Solutions of notebook 09.

Also other right ways, and the usual wrong answers, each beside the
diagnosis that its checker gives.
"""

import math
from statistics import fmean, linear_regression, pstdev, stdev

from peft_lab.claims import interval, student

# ---- 09a: lora_all ---------------------------------------------------


def solution_09a(config, rank):
    d, inner = config.hidden_size, config.intermediate_size
    q = config.num_attention_heads * config.head_dim
    kv = config.num_key_value_heads * config.head_dim
    attention = 2 * (d + q) + 2 * (d + kv)  # q and o, k and v
    feed_forward = 3 * (d + inner)  # gate, up, down
    return rank * config.num_hidden_layers * (attention + feed_forward)


def variant_09a(config, rank):
    d, inner = config.hidden_size, config.intermediate_size
    q = config.num_attention_heads * config.head_dim
    kv = config.num_key_value_heads * config.head_dim
    shapes = [(d, q), (d, kv), (d, kv), (q, d),
              (d, inner), (d, inner), (inner, d)]  # fmt: skip
    total = 0
    for _ in range(config.num_hidden_layers):
        total += sum(rank * i + o * rank for i, o in shapes)
    return total


def _shapes(config, kv_heads=None, head_dim=None):
    d, inner = config.hidden_size, config.intermediate_size
    head_dim = head_dim or config.head_dim
    q = config.num_attention_heads * head_dim
    kv = (kv_heads or config.num_key_value_heads) * head_dim
    return [(d, q), (d, kv), (d, kv), (q, d),
            (d, inner), (d, inner), (inner, d)]  # fmt: skip


def _count(config, rank, shapes):
    one = sum(i + o for i, o in shapes)
    return rank * config.num_hidden_layers * one


def wrong_09a_heads(config, rank):
    shapes = _shapes(config, config.num_attention_heads)
    return _count(config, rank, shapes)


def wrong_09a_width(config, rank):
    d, own = config.hidden_size, _shapes(config)
    shapes = [(d, d), *own[1:3], (d, d), *own[4:]]
    return _count(config, rank, shapes)


def wrong_09a_qv(config, rank):
    own = _shapes(config)
    return _count(config, rank, [own[0], own[2]])


def wrong_09a_attention(config, rank):
    return _count(config, rank, _shapes(config)[:4])


def wrong_09a_no_down(config, rank):
    return _count(config, rank, _shapes(config)[:6])


def wrong_09a_layer(config, rank):
    return _count(config, rank, _shapes(config)) // 3


def wrong_09a_product(config, rank):
    one = sum(i * o for i, o in _shapes(config))
    return rank * config.num_hidden_layers * one


def wrong_09a_half(config, rank):
    one = sum(i for i, _ in _shapes(config))
    return rank * config.num_hidden_layers * one


def wrong_09a_outer(config, rank):
    ends = config.hidden_size + config.vocab_size
    return _count(config, rank, _shapes(config)) + rank * ends


def wrong_09a_divided(config, rank):
    head_dim = config.hidden_size // config.num_attention_heads
    return _count(config, rank, _shapes(config, head_dim=head_dim))


def wrong_09a_divided_keys(config, rank):
    d, own = config.hidden_size, _shapes(config)
    kv = config.num_key_value_heads * (d // config.num_attention_heads)
    shapes = [(d, d), (d, kv), (d, kv), (d, d), *own[4:]]
    return _count(config, rank, shapes)


def wrong_09a_true_division(config, rank):
    head_dim = config.hidden_size / config.num_attention_heads
    return _count(config, rank, _shapes(config, head_dim=head_dim))


def wrong_09a_bare_heads(config, rank):
    return _count(config, rank, _shapes(config, head_dim=1))


def wrong_09a_output(config, rank):
    d, own = config.hidden_size, _shapes(config)
    return _count(config, rank, [*own[:3], (d, d), *own[4:]])


def wrong_09a_no_v(config, rank):
    own = _shapes(config)
    return _count(config, rank, [*own[:2], *own[3:]])


def wrong_09a_square(config, rank):
    return solution_09a(config, rank) * rank


def wrong_09a_bare_kv_heads(config, rank):
    d, own = config.hidden_size, _shapes(config)
    kv = config.num_key_value_heads
    return _count(config, rank, [own[0], (d, kv), (d, kv), *own[3:]])


def wrong_09a_one_kv_head(config, rank):
    return _count(config, rank, _shapes(config, kv_heads=1))


def wrong_09a_down(config, rank):
    d, own = config.hidden_size, _shapes(config)
    return _count(config, rank, [*own[:6], (d, d)])


def wrong_09a_no_rank(config, rank):
    return solution_09a(config, 1)


def wrong_09a_06(config, rank):
    return 4 * config.num_hidden_layers * config.hidden_size * rank


def wrong_09a_merged(config, rank):
    d, inner = config.hidden_size, config.intermediate_size
    own = _shapes(config)
    return _count(config, rank, [*own[:4], (d, 2 * inner), own[6]])


VARIANTS_09A = {"matrix by matrix": variant_09a}
WRONG_09A = {
    "query heads for kv heads": ("query heads", wrong_09a_heads),
    "hidden_size for heads": ("width for heads", wrong_09a_width),
    "q and v only": ("q and v only", wrong_09a_qv),
    "attention only": ("no feed-forward", wrong_09a_attention),
    "down is missing": ("two of three", wrong_09a_no_down),
    "one layer": ("one layer", wrong_09a_layer),
    "inputs times outputs": ("whole matrices", wrong_09a_product),
    "A alone": ("A or B alone", wrong_09a_half),
    "the head too": ("embedding or head", wrong_09a_outer),
    "hidden_size by heads": ("head_dim by division", wrong_09a_divided),
    "hidden_size by heads, for k and v": (
        "head_dim by division",
        wrong_09a_divided_keys,
    ),
    "a fraction of a head": (
        "head_dim by division",
        wrong_09a_true_division,
    ),
    "heads alone": ("heads without head_dim", wrong_09a_bare_heads),
    "o takes hidden_size": ("width for heads", wrong_09a_output),
    "no v": ("one of k and v", wrong_09a_no_v),
    "key-value heads alone": (
        "heads without head_dim",
        wrong_09a_bare_kv_heads,
    ),
    "one key-value head": ("one key-value head", wrong_09a_one_kv_head),
    "down from d to d": ("down as a square", wrong_09a_down),
    "no rank": ("no rank", wrong_09a_no_rank),
    "the formula of 06": ("square matrices", wrong_09a_06),
    "gate and up in one": ("gate and up in one", wrong_09a_merged),
    "rank squared": ("other", wrong_09a_square),
}

# ---- 09b: step_bytes -------------------------------------------------


def solution_09b(frozen, trained, rows, length, virtual, place):
    weights = 2 * frozen + 4 * trained
    gradients = 4 * trained
    optimizer = 2 * 4 * trained
    activations = rows * (virtual + length) * place
    return weights, gradients, optimizer, activations


def variant_09b(frozen, trained, rows, length, virtual, place):
    own = 4.0 * trained
    return [frozen * 2 + own, own, own + own,
            rows * virtual * place + rows * length * place]  # fmt: skip


def _changed(at, rule):
    def wrong(frozen, trained, rows, length, virtual, place):
        given = frozen, trained, rows, length, virtual, place
        parts = list(solution_09b(*given))
        parts[at] = rule(*given)
        return tuple(parts)

    return wrong


WEIGHTS, GRADIENTS, OPTIMIZER, ACTIVATIONS = range(4)


def wrong_09b_order(*given):
    return solution_09b(*given)[::-1]


def wrong_09b_sum(*given):
    return sum(solution_09b(*given))


def wrong_09b_gib(*given):
    return tuple(part / 2**30 for part in solution_09b(*given))


def wrong_09b_half(frozen, trained, *places):
    activations = solution_09b(frozen, trained, *places)[ACTIVATIONS]
    return 2 * (frozen + trained), 2 * trained, 4 * trained, activations


def variant_09b_numpy(*given):
    import numpy as np

    return np.array(solution_09b(*given))


VARIANTS_09B = {
    "own numbers first": variant_09b,
    "an array": variant_09b_numpy,
}
WRONG_09B = {
    "AdamW for all": (
        "optimizer of the frozen",
        _changed(OPTIMIZER, lambda f, t, *_: 8 * (f + t)),
    ),
    "no optimizer": (
        "no optimizer",
        _changed(OPTIMIZER, lambda *_: 0),
    ),
    "one moment": (
        "one moment",
        _changed(OPTIMIZER, lambda f, t, *_: 4 * t),
    ),
    "gradients for all": (
        "gradients of the frozen",
        _changed(GRADIENTS, lambda f, t, *_: 4 * (f + t)),
    ),
    "no gradients": (
        "no gradients",
        _changed(GRADIENTS, lambda *_: 0),
    ),
    "float32 throughout": (
        "bytes of a number",
        _changed(WEIGHTS, lambda f, t, *_: 4 * (f + t)),
    ),
    "the method weighs nothing": (
        "own weights",
        _changed(WEIGHTS, lambda f, *_: 2 * f),
    ),
    "a prompt saves activations": (
        "the prompt saves activations",
        _changed(
            ACTIVATIONS,
            lambda f, t, rows, length, virtual, place: (
                0 if virtual else rows * length * place
            ),
        ),
    ),
    "the prompt's own places only": (
        "the prompt saves activations",
        _changed(
            ACTIVATIONS,
            lambda f, t, rows, length, virtual, place: (
                rows * virtual * place
            ),
        ),
    ),
    "virtual places free": (
        "virtual places are free",
        _changed(
            ACTIVATIONS,
            lambda f, t, rows, length, virtual, place: (
                rows * length * place
            ),
        ),
    ),
    "one prompt for all": (
        "one prompt for all rows",
        _changed(
            ACTIVATIONS,
            lambda f, t, rows, length, virtual, place: (
                (rows * length + virtual) * place
            ),
        ),
    ),
    "gradients of the frozen alone": (
        "gradients of the frozen",
        _changed(GRADIENTS, lambda f, *_: 4 * f),
    ),
    "the vectors' own bytes": (
        "the vectors' own bytes",
        _changed(
            ACTIVATIONS,
            lambda f, t, rows, length, virtual, place: (
                rows * length * place + 4 * t
            ),
        ),
    ),
    "one row": (
        "one row",
        _changed(
            ACTIVATIONS,
            lambda f, t, rows, length, virtual, place: (
                (length + virtual) * place
            ),
        ),
    ),
    "three moments": (
        "three moments",
        _changed(OPTIMIZER, lambda f, t, *_: 12 * t),
    ),
    "place in numbers": (
        "place times 4",
        _changed(
            ACTIVATIONS,
            lambda f, t, rows, length, virtual, place: (
                4 * rows * (virtual + length) * place
            ),
        ),
    ),
    "bfloat16 throughout": ("bfloat16 throughout", wrong_09b_half),
    "GiB": ("not bytes", wrong_09b_gib),
    "turned round": ("order", wrong_09b_order),
    "the sum": ("not four", wrong_09b_sum),
}

# ---- 09c: slope_interval ---------------------------------------------


def solution_09c(sizes, gaps):
    x = [math.log10(size) for size in sizes]
    slopes = [
        linear_regression(x, seed).slope
        for seed in zip(*gaps, strict=True)
    ]
    half = student(len(slopes)) * stdev(slopes) / len(slopes) ** 0.5
    mean = fmean(slopes)
    return mean, mean - half, mean + half


def variant_09c(sizes, gaps):
    x = [math.log10(size) for size in sizes]
    middle = fmean(x)
    scale = sum((a - middle) ** 2 for a in x)
    weights = [(a - middle) / scale for a in x]
    found = []
    for k in range(len(gaps[0])):
        found.append(
            sum(
                w * gap[k] for w, gap in zip(weights, gaps, strict=True)
            )
        )
    return interval(found)


def variant_09c_numpy(sizes, gaps):
    import numpy as np

    slopes = np.polyfit(np.log10(sizes), np.array(gaps), 1)[0]
    half = 2.776 * slopes.std(ddof=1) / np.sqrt(len(slopes))
    return slopes.mean(), slopes.mean() - half, slopes.mean() + half


def variant_09c_array(sizes, gaps):
    import numpy as np

    return np.array(variant_09c_numpy(sizes, gaps))


def _slopes(x, gaps):
    return [
        linear_regression(x, seed).slope
        for seed in zip(*gaps, strict=True)
    ]


def _logs(sizes):
    return [math.log10(size) for size in sizes]


def _about(mean, half):
    return mean, mean - half, mean + half


def wrong_09c_sizes(sizes, gaps):
    return interval(_slopes(sizes, gaps))


def wrong_09c_natural(sizes, gaps):
    return interval(_slopes([math.log(size) for size in sizes], gaps))


def wrong_09c_sign(sizes, gaps):
    return interval([-slope for slope in _slopes(_logs(sizes), gaps)])


def wrong_09c_ends(sizes, gaps):
    width = math.log10(sizes[-1] / sizes[0])
    pairs = zip(gaps[0], gaps[-1], strict=True)
    return interval([(last - first) / width for first, last in pairs])


def wrong_09c_steps(sizes, gaps):
    x = _logs(sizes)
    found = []
    for seed in zip(*gaps, strict=True):
        one, two = (
            (seed[i + 1] - seed[i]) / (x[i + 1] - x[i])
            for i in range(2)
        )
        found.append((one + two) / 2)
    return interval(found)


def wrong_09c_normal(sizes, gaps):
    slopes = _slopes(_logs(sizes), gaps)
    return _about(fmean(slopes), 1.96 * stdev(slopes) / 5**0.5)


def wrong_09c_error(sizes, gaps):
    slopes = _slopes(_logs(sizes), gaps)
    return _about(fmean(slopes), stdev(slopes) / 5**0.5)


def wrong_09c_spread(sizes, gaps):
    slopes = _slopes(_logs(sizes), gaps)
    return _about(fmean(slopes), student(5) * stdev(slopes))


def wrong_09c_range(sizes, gaps):
    slopes = _slopes(_logs(sizes), gaps)
    half = (max(slopes) - min(slopes)) / 2
    return _about(fmean(slopes), half)


def wrong_09c_population(sizes, gaps):
    slopes = _slopes(_logs(sizes), gaps)
    return _about(fmean(slopes), student(5) * pstdev(slopes) / 5**0.5)


def wrong_09c_pooled(sizes, gaps):
    x = [a for a in _logs(sizes) for _ in range(5)]
    y = [gap for seeds in gaps for gap in seeds]
    line = linear_regression(x, y)
    rest = sum(
        (b - line.intercept - line.slope * a) ** 2
        for a, b in zip(x, y, strict=True)
    )
    error = rest / (len(x) - 2)
    error /= sum((a - fmean(x)) ** 2 for a in x)
    return _about(line.slope, 2.160 * error**0.5)


def wrong_09c_unpaired(sizes, gaps):
    x = _logs(sizes)
    scale = sum((a - fmean(x)) ** 2 for a in x)
    variance = sum(
        (stdev(seeds) * (a - fmean(x)) / scale) ** 2 / 5
        for a, seeds in zip(x, gaps, strict=True)
    )
    mean = fmean(_slopes(x, gaps))
    return _about(mean, student(5) * variance**0.5)


def wrong_09c_turned(sizes, gaps):
    mean, low, high = solution_09c(sizes, gaps)
    return mean, high, low


def wrong_09c_slope(sizes, gaps):
    return solution_09c(sizes, gaps)[0]


def wrong_09c_freedom(sizes, gaps):
    slopes = _slopes(_logs(sizes), gaps)
    return _about(fmean(slopes), 2.571 * stdev(slopes) / 5**0.5)


def wrong_09c_too_few(sizes, gaps):
    slopes = _slopes(_logs(sizes), gaps)
    return _about(fmean(slopes), 3.182 * stdev(slopes) / 5**0.5)


def wrong_09c_wide(sizes, gaps):
    slopes = _slopes(_logs(sizes), gaps)
    return _about(fmean(slopes), 2.9 * stdev(slopes) / 5**0.5)


def wrong_09c_ends_of_seeds(sizes, gaps):
    slopes = _slopes(_logs(sizes), gaps)
    return fmean(slopes), min(slopes), max(slopes)


def wrong_09c_axes(sizes, gaps):
    x = _logs(sizes)
    return interval(
        linear_regression(seed, x).slope
        for seed in zip(*gaps, strict=True)
    )


def wrong_09c_rounded(sizes, gaps):
    return tuple(round(v, 3) for v in solution_09c(sizes, gaps))


def wrong_09c_not_turned(sizes, gaps):
    x = _logs(sizes)
    return interval(linear_regression(x, base).slope for base in gaps)


def wrong_09c_middle(sizes, gaps):
    mean, low, high = solution_09c(sizes, gaps)
    return low, mean, high


VARIANTS_09C = {
    "by weights": variant_09c,
    "by numpy": variant_09c_numpy,
    "an array": variant_09c_array,
}
WRONG_09C = {
    "parameters, not log10": ("not a tenfold", wrong_09c_sizes),
    "natural logarithm": ("natural logarithm", wrong_09c_natural),
    "sign": ("sign", wrong_09c_sign),
    "ends only": ("ends only", wrong_09c_ends),
    "mean of the steps": ("mean of steps", wrong_09c_steps),
    "1.96": ("1.96", wrong_09c_normal),
    "one standard error": ("one standard error", wrong_09c_error),
    "spread for error": ("spread", wrong_09c_spread),
    "least to most": ("spread", wrong_09c_range),
    "n for n - 1": ("n for n - 1", wrong_09c_population),
    "all points pooled": ("pooled", wrong_09c_pooled),
    "unpaired": ("unpaired", wrong_09c_unpaired),
    "low and high exchanged": ("other way round", wrong_09c_turned),
    "the slope alone": ("not three", wrong_09c_slope),
    "5 degrees": ("degrees of freedom", wrong_09c_freedom),
    "3 degrees": ("degrees of freedom", wrong_09c_too_few),
    "another factor": ("other", wrong_09c_wide),
    "least and greatest": (
        "least and greatest",
        wrong_09c_ends_of_seeds,
    ),
    "rounded": ("rounded", wrong_09c_rounded),
    "a base for a seed": ("bases for seeds", wrong_09c_not_turned),
    "axes exchanged": ("axes", wrong_09c_axes),
    "low, mean, high": ("order", wrong_09c_middle),
}
