"""Solutions of notebook 07.

Also other right ways, and the usual wrong answers, each beside the
diagnosis that its checker gives.
"""

import math
from statistics import fmean, stdev

import numpy as np
import torch

from peft_lab.claims import interval
from peft_lab.results import best_learning_rate, rate_losses

# ---- 07a: split_budget -----------------------------------------------


def solution_07a(config, budget, share):
    d, heads = config.hidden_size, config.num_attention_heads
    q = heads * config.head_dim
    v = config.num_key_value_heads * config.head_dim
    one = config.num_hidden_layers * ((d + q) + (d + v))
    vectors = int(share * budget) // d
    return vectors, (budget - vectors * d) // one


def variant_07a(config, budget, share):
    d = config.hidden_size
    vectors = math.floor(share * budget / d)
    return [vectors, math.floor((budget - vectors * d) / _one(config))]


def _one(config):
    heads = config.num_attention_heads + config.num_key_value_heads
    out = heads * config.head_dim
    return config.num_hidden_layers * (2 * config.hidden_size + out)


def wrong_07a_unequal(config, budget, share):
    vectors = int(share * budget) // config.hidden_size
    return vectors, budget // _one(config)


def wrong_07a_whole_each(config, budget, share):
    return budget // config.hidden_size, budget // _one(config)


def wrong_07a_rounds(config, budget, share):
    d = config.hidden_size
    vectors = round(share * budget / d)
    return vectors, round((budget - vectors * d) / _one(config))


def wrong_07a_rounds_rank(config, budget, share):
    d = config.hidden_size
    vectors = int(share * budget) // d
    return vectors, round((budget - vectors * d) / _one(config))


def wrong_07a_one_layer(config, budget, share):
    d = config.hidden_size
    vectors = int(share * budget) // d
    one = _one(config) // config.num_hidden_layers
    return vectors, (budget - vectors * d) // one


def wrong_07a_kv(config, budget, share):
    d = config.hidden_size
    vectors = int(share * budget) // d
    q = config.num_attention_heads * config.head_dim
    one = config.num_hidden_layers * 2 * (d + q)
    return vectors, (budget - vectors * d) // one


def wrong_07a_head(config, budget, share):
    d, heads = config.hidden_size, config.num_attention_heads
    v = config.num_key_value_heads * (d // heads)
    vectors = int(share * budget) // d
    one = config.num_hidden_layers * (3 * d + v)
    return vectors, (budget - vectors * d) // one


def wrong_07a_prompt_layers(config, budget, share):
    d = config.hidden_size * config.num_hidden_layers
    vectors = int(share * budget) // d
    return vectors, (budget - vectors * d) // _one(config)


def wrong_07a_rest_lost(config, budget, share):
    vectors = int(share * budget) // config.hidden_size
    return vectors, int((1 - share) * budget) // _one(config)


def wrong_07a_swapped(config, budget, share):
    return solution_07a(config, budget, share)[::-1]


def wrong_07a_halves(config, budget, share):
    d = config.hidden_size
    return share * budget / d, (1 - share) * budget / _one(config)


def wrong_07a_one_layer_wide(config, budget, share):
    d = config.hidden_size
    vectors = int(share * budget) // d
    q = config.num_attention_heads * config.head_dim
    return vectors, (budget - vectors * d) // (2 * (d + q))


def _costing(cost):
    """The answer of one who counts `cost` numbers a rank and layer."""

    def split_budget(config, budget, share):
        d, width = config.hidden_size, config.head_dim
        q = config.num_attention_heads * width
        v = config.num_key_value_heads * width
        one = config.num_hidden_layers * cost(d, q, v, width)
        vectors = int(share * budget) // d
        return vectors, (budget - vectors * d) // one

    return split_budget


def wrong_07a_one_layer_square(config, budget, share):
    d = config.hidden_size
    vectors = int(share * budget) // d
    return vectors, (budget - vectors * d) // (4 * d)


def wrong_07a_product(config, budget, share):
    d = config.hidden_size
    q = config.num_attention_heads * config.head_dim
    v = config.num_key_value_heads * config.head_dim
    vectors = int(share * budget) // d
    one = config.num_hidden_layers * (d * q + d * v)
    return vectors, (budget - vectors * d) // one


def wrong_07a_numbers(config, budget, share):
    prompt = int(share * budget)
    return prompt, (budget - prompt) // _one(config)


def variant_07a_numpy(config, budget, share):
    both = np.array(solution_07a(config, budget, share))
    return both[0], both[1]


VARIANTS_07A = {"by floor": variant_07a, "by NumPy": variant_07a_numpy}
WRONG_07A = {
    "LoRA gets all": ("unequal budgets", wrong_07a_unequal),
    "each gets all": ("unequal budgets", wrong_07a_whole_each),
    "rounds to the nearest": ("over budget", wrong_07a_rounds),
    "rounds the rank": ("over budget", wrong_07a_rounds_rank),
    "one layer": ("layers once", wrong_07a_one_layer),
    "v as wide as q": ("kv width", wrong_07a_kv),
    "heads of width d / heads": ("head width", wrong_07a_head),
    "a prompt in each layer": (
        "prompt in layers",
        wrong_07a_prompt_layers,
    ),
    "the rest is lost": ("rest lost", wrong_07a_rest_lost),
    "swapped": ("swapped", wrong_07a_swapped),
    "not rounded": ("not whole", wrong_07a_halves),
    "one layer, v as wide as q": (
        "layers once",
        wrong_07a_one_layer_wide,
    ),
    "4 d": ("square", _costing(lambda d, q, v, w: 4 * d)),
    "q leads to d": (
        "square q", _costing(lambda d, q, v, w: 3 * d + v)),
    "v leads to d": (
        "square v", _costing(lambda d, q, v, w: 3 * d + q)),
    "head_dim for q and v": (
        "one head", _costing(lambda d, q, v, w: 2 * (d + w))),
    "head_dim for q": (
        "one head of q", _costing(lambda d, q, v, w: 2 * d + w + v)),
    "head_dim for v": (
        "one head of v", _costing(lambda d, q, v, w: 2 * d + q + w)),
    "q only": ("q alone", _costing(lambda d, q, v, w: d + q)),
    "v only": ("v alone", _costing(lambda d, q, v, w: d + v)),
    "one layer, 4 d": ("layers once", wrong_07a_one_layer_square),
    "in times out": ("whole matrices", wrong_07a_product),
    "numbers, not vectors": ("numbers, not vectors", wrong_07a_numbers),
}  # fmt: skip

# ---- 07b: new_gate and gated -----------------------------------------


def solution_07b_new_gate(d):
    weight = torch.zeros(d, requires_grad=True)  # (d,)
    bias = torch.zeros((), requires_grad=True)
    return weight, bias


def solution_07b_gated(h, change, weight, bias):
    gate = torch.sigmoid(h @ weight + bias)  # (B, T)
    return h + gate[..., None] * change  # (B, T, d)


def variant_07b_new_gate(d):
    zeros = torch.zeros(d), torch.zeros(1)
    return [torch.nn.Parameter(zero) for zero in zeros]


def variant_07b_gated(h, change, weight, bias):
    score = (h * weight).sum(-1, keepdim=True) + bias  # (B, T, 1)
    return h + change / (1 + torch.exp(-score))


def wrong_07b_base(h, change, weight, bias):
    return torch.sigmoid(h @ weight + bias)[..., None] * (h + change)


def wrong_07b_mixture(h, change, weight, bias):
    gate = torch.sigmoid(h @ weight + bias)[..., None]
    return gate * change + (1 - gate) * h


def wrong_07b_no_sigmoid(h, change, weight, bias):
    return h + (h @ weight + bias)[..., None] * change


def wrong_07b_tanh(h, change, weight, bias):
    return h + torch.tanh(h @ weight + bias)[..., None] * change


def wrong_07b_mean(h, change, weight, bias):
    gate = torch.sigmoid(h.mean(1) @ weight + bias)  # (B,)
    return h + gate[:, None, None] * change


def wrong_07b_mean_gate(h, change, weight, bias):
    gate = torch.sigmoid(h @ weight + bias).mean(1)  # (B,)
    return h + gate[:, None, None] * change


def wrong_07b_one_mean(h, change, weight, bias):
    return h + torch.sigmoid(h @ weight + bias).mean() * change


def wrong_07b_half(h, change, weight, bias):
    return h + 0.5 * change


def wrong_07b_upside_down(h, change, weight, bias):
    gate = 1 - torch.sigmoid(h @ weight + bias)
    return h + gate[..., None] * change


def wrong_07b_hard(h, change, weight, bias):
    gate = (h @ weight + bias > 0).float()
    return h + gate[..., None] * change


def wrong_07b_each(h, change, weight, bias):
    return h + torch.sigmoid(h * weight + bias) * change


def wrong_07b_no_residual(h, change, weight, bias):
    return torch.sigmoid(h @ weight + bias)[..., None] * change


def wrong_07b_shut(d):
    weight = torch.zeros(d, requires_grad=True)
    return weight, torch.tensor(-20.0, requires_grad=True)


def wrong_07b_random(d):
    weight = torch.randn(d, requires_grad=True)
    return weight, torch.zeros((), requires_grad=True)


def wrong_07b_frozen(d):
    return torch.zeros(d), torch.zeros(())


def wrong_07b_running(h, change, weight, bias):
    seen = torch.arange(1, h.shape[1] + 1)[:, None]  # (T, 1)
    score = (h.cumsum(1) / seen) @ weight + bias  # (B, T)
    return h + torch.sigmoid(score)[..., None] * change


def wrong_07b_softmax(h, change, weight, bias):
    gate = torch.softmax(h @ weight + bias, dim=1)  # (B, T)
    return h + gate[..., None] * change


def wrong_07b_outside(h, change, weight, bias):
    return h + (torch.sigmoid(h @ weight) + bias)[..., None] * change


def wrong_07b_detached(h, change, weight, bias):
    gate = torch.sigmoid(h @ weight + bias).detach()  # (B, T)
    return h + gate[..., None] * change


def wrong_07b_item(h, change, weight, bias):
    return solution_07b_gated(h, change, weight, bias.item())


def wrong_07b_no_grad(h, change, weight, bias):
    with torch.no_grad():
        return solution_07b_gated(h, change, weight, bias)


def wrong_07b_no_leaf(d):
    weight = 0 * torch.ones(d, requires_grad=True)
    return weight, torch.zeros((), requires_grad=True)


def wrong_07b_in_place(h, change, weight, bias):
    h += torch.sigmoid(h @ weight + bias)[..., None] * change
    return h


def wrong_07b_change_in_place(h, change, weight, bias):
    change *= torch.sigmoid(h @ weight + bias)[..., None]
    return h + change


def wrong_07b_no_axis(h, change, weight, bias):
    return h + torch.sigmoid(h @ weight + bias) * change


def wrong_07b_sum(h, change, weight, bias):
    gate = torch.sigmoid((h + change) @ weight + bias)  # (B, T)
    return h + gate[..., None] * change


VARIANTS_07B = {
    "by hand": (variant_07b_new_gate, variant_07b_gated),
}
WRONG_07B = {
    "gates h too": (
        "gates the base", (solution_07b_new_gate, wrong_07b_base)),
    "mixes": ("mixture", (solution_07b_new_gate, wrong_07b_mixture)),
    "no sigmoid": (
        "no sigmoid", (solution_07b_new_gate, wrong_07b_no_sigmoid)),
    "tanh": ("gate at 0", (solution_07b_new_gate, wrong_07b_tanh)),
    "the sentence's mean": (
        "looks ahead", (solution_07b_new_gate, wrong_07b_mean)),
    "the mean of the gates": (
        "looks ahead", (solution_07b_new_gate, wrong_07b_mean_gate)),
    "one mean for all": (
        "looks ahead", (solution_07b_new_gate, wrong_07b_one_mean)),
    "one half for ever": (
        "no score", (solution_07b_new_gate, wrong_07b_half)),
    "one minus": (
        "upside down", (solution_07b_new_gate, wrong_07b_upside_down)),
    "0 or 1": (
        "only open or shut", (solution_07b_new_gate, wrong_07b_hard)),
    "d gates": (
        "a gate a number", (solution_07b_new_gate, wrong_07b_each)),
    "loses h": (
        "no residual", (solution_07b_new_gate, wrong_07b_no_residual)),
    "begins shut": ("shut", (wrong_07b_shut, solution_07b_gated)),
    "begins at random": (
        "start", (wrong_07b_random, solution_07b_gated)),
    "cannot learn": ("frozen", (wrong_07b_frozen, solution_07b_gated)),
    "a running mean": (
        "running mean", (solution_07b_new_gate, wrong_07b_running)),
    "softmax over the tokens": (
        "softmax", (solution_07b_new_gate, wrong_07b_softmax)),
    "bias outside the sigmoid": (
        "bias outside", (solution_07b_new_gate, wrong_07b_outside)),
    "gate detached": (
        "no gradient", (solution_07b_new_gate, wrong_07b_detached)),
    "bias by item": (
        "no gradient", (solution_07b_new_gate, wrong_07b_item)),
    "without gradients": (
        "no gradient", (solution_07b_new_gate, wrong_07b_no_grad)),
    "no leaf": (
        "not a leaf", (wrong_07b_no_leaf, solution_07b_gated)),
    "h += ...": (
        "in place", (solution_07b_new_gate, wrong_07b_in_place)),
    "change *= gate": (
        "in place", (solution_07b_new_gate, wrong_07b_change_in_place)),
    "[..., None] forgotten": (
        "no axis", (solution_07b_new_gate, wrong_07b_no_axis)),
    "reads h + change": (
        "reads the change", (solution_07b_new_gate, wrong_07b_sum)),
}  # fmt: skip

# ---- 07c: hybrid_gain ------------------------------------------------


def _by_seed(runs, rate):
    return {
        run["seed"]: run["test_nats"]
        for run in runs if run["learning_rate"] == rate
    }  # fmt: skip


def solution_07c(hybrid, part):
    from peft_lab.claims import interval
    from peft_lab.results import best_learning_rate

    def by_seed(runs):
        rate = best_learning_rate(runs)
        chosen = [run for run in runs if run["learning_rate"] == rate]
        return {run["seed"]: run["test_nats"] for run in chosen}

    a, b = by_seed(part), by_seed(hybrid)
    return interval(a[seed] - b[seed] for seed in sorted(a))


def variant_07c(hybrid, part):
    a = _by_seed(part, best_learning_rate(part))
    b = _by_seed(hybrid, best_learning_rate(hybrid))
    gains = torch.tensor([a[seed] - b[seed] for seed in a])
    half = 2.776 * gains.std().item() / len(gains) ** 0.5
    mean = gains.mean().item()
    return mean, mean - half, mean + half


def _both(hybrid, part):
    return [
        _by_seed(runs, best_learning_rate(runs))
        for runs in (part, hybrid)
    ]


def wrong_07c_best(hybrid, part):
    a, b = _both(hybrid, part)
    return min(a.values()) - min(b.values())


def wrong_07c_means(hybrid, part):
    a, b = _both(hybrid, part)
    return fmean(a.values()) - fmean(b.values())


def wrong_07c_zip(hybrid, part):
    a, b = _both(hybrid, part)
    pairs = zip(a.values(), b.values(), strict=True)
    return interval(x - y for x, y in pairs)


def wrong_07c_welch(hybrid, part):
    a, b = _both(hybrid, part)
    mean = fmean(a.values()) - fmean(b.values())
    error = (stdev(a.values()) ** 2 + stdev(b.values()) ** 2) / len(a)
    half = 2.306 * error**0.5
    return mean, mean - half, mean + half


def wrong_07c_on_test(hybrid, part):
    def chosen(runs):
        losses = rate_losses(runs, "test_nats")
        return _by_seed(runs, min(losses, key=losses.get))

    a, b = chosen(part), chosen(hybrid)
    return interval(a[seed] - b[seed] for seed in sorted(a))


def wrong_07c_sign(hybrid, part):
    return solution_07c(part, hybrid)


def wrong_07c_normal(hybrid, part):
    a, b = _both(hybrid, part)
    gains = [a[seed] - b[seed] for seed in a]
    half = 1.96 * stdev(gains) / len(gains) ** 0.5
    return fmean(gains), fmean(gains) - half, fmean(gains) + half


def wrong_07c_sorted(hybrid, part):
    a, b = (sorted(losses.values()) for losses in _both(hybrid, part))
    return interval(x - y for x, y in zip(a, b, strict=True))


def wrong_07c_each_seed(hybrid, part):
    def best(runs):
        ordered = sorted(runs, key=lambda run: -run["validation_nats"])
        return {run["seed"]: run["test_nats"] for run in ordered}

    a, b = best(part), best(hybrid)
    return interval(a[seed] - b[seed] for seed in a)


def wrong_07c_luckiest(hybrid, part):
    def chosen(runs):
        best = min(runs, key=lambda run: run["validation_nats"])
        return _by_seed(runs, best["learning_rate"])

    a, b = chosen(part), chosen(hybrid)
    return interval(a[seed] - b[seed] for seed in a)


def wrong_07c_first_seed(hybrid, part):
    def chosen(runs):
        first = [run for run in runs if run["seed"] == 0]
        best = min(first, key=lambda run: run["validation_nats"])
        return _by_seed(runs, best["learning_rate"])

    a, b = chosen(part), chosen(hybrid)
    return interval(a[seed] - b[seed] for seed in a)


def wrong_07c_rounded(hybrid, part):
    return tuple(round(end, 3) for end in solution_07c(hybrid, part))


def wrong_07c_ignored(hybrid, part):
    a = {run["seed"]: run["test_nats"] for run in part}
    b = {run["seed"]: run["test_nats"] for run in hybrid}
    return interval(a[seed] - b[seed] for seed in a)


def wrong_07c_all(hybrid, part):
    a, b = (
        {(r["seed"], r["learning_rate"]): r["test_nats"] for r in runs}
        for runs in (part, hybrid)
    )  # fmt: skip
    return interval(a[key] - b[key] for key in a)


def wrong_07c_one_rate(hybrid, part):
    rate = best_learning_rate(hybrid)
    a, b = _by_seed(part, rate), _by_seed(hybrid, rate)
    return interval(a[seed] - b[seed] for seed in a)


def wrong_07c_validation(hybrid, part):
    def chosen(runs):
        rate = best_learning_rate(runs)
        return {
            run["seed"]: run["validation_nats"]
            for run in runs if run["learning_rate"] == rate
        }  # fmt: skip

    a, b = chosen(part), chosen(hybrid)
    return interval(a[seed] - b[seed] for seed in a)


def _spread(hybrid, part, factor, spread=stdev):
    a, b = _both(hybrid, part)
    gains = [a[seed] - b[seed] for seed in a]
    half = factor * float(spread(gains))
    return fmean(gains), fmean(gains) - half, fmean(gains) + half


def wrong_07c_no_root_normal(hybrid, part):
    return _spread(hybrid, part, 1.96)


def wrong_07c_no_root(hybrid, part):
    return _spread(hybrid, part, 2.776)


def wrong_07c_no_root_numpy(hybrid, part):
    return _spread(hybrid, part, 2, np.std)


def wrong_07c_one_spread(hybrid, part):
    return _spread(hybrid, part, 1)


def wrong_07c_order(hybrid, part):
    mean, low, high = solution_07c(hybrid, part)
    return low, mean, high


def wrong_07c_per_cent(hybrid, part):
    a, b = _both(hybrid, part)
    return interval(100 * (a[seed] - b[seed]) / a[seed] for seed in a)


VARIANTS_07C = {"by torch": variant_07c}


def wrong_07c_high_first(hybrid, part):
    mean, low, high = solution_07c(hybrid, part)
    return mean, high, low


WRONG_07C = {
    "mean, high, low": ("order", wrong_07c_high_first),
    "best seed against best": ("best seeds", wrong_07c_best),
    "means only": ("no spread", wrong_07c_means),
    "pairs by order": ("unpaired", wrong_07c_zip),
    "two spreads": ("unpaired", wrong_07c_welch),
    "rate chosen on test": ("rate on test", wrong_07c_on_test),
    "sign": ("sign", wrong_07c_sign),
    "1.96": ("another factor", wrong_07c_normal),
    "sorted": ("sorted", wrong_07c_sorted),
    "a rate for each seed": ("rate for each seed", wrong_07c_each_seed),
    "rate of the luckiest run": ("luckiest run", wrong_07c_luckiest),
    "rate of the first seed": ("one seed", wrong_07c_first_seed),
    "rounded": ("rounded", wrong_07c_rounded),
    "rates ignored": ("rates ignored", wrong_07c_ignored),
    "all pairs": ("every rate", wrong_07c_all),
    "one rate for both": ("one rate", wrong_07c_one_rate),
    "gain on validation": ("validation", wrong_07c_validation),
    "mean ± 1.96 stdev": ("no root", wrong_07c_no_root_normal),
    "mean ± 2.776 stdev": ("no root", wrong_07c_no_root),
    "mean ± 2 np.std": ("no root", wrong_07c_no_root_numpy),
    "mean ± stdev": ("no root", wrong_07c_one_spread),
    "low, mean, high": ("order", wrong_07c_order),
    "in per cent": ("relative", wrong_07c_per_cent),
}
