"""Solutions of notebook 06.

Also other right ways, and the usual wrong answers, each beside the
diagnosis that its checker gives.
"""

import torch

# ---- 06a: lora_start and lora_output ---------------------------------


def solution_06a_lora_start(inputs, outputs, rank):
    A = torch.randn(rank, inputs) / inputs**0.5  # (rank, in)
    B = torch.zeros(outputs, rank)
    return A, B


def solution_06a_lora_output(x, y, A, B, alpha):
    rank = A.shape[0]
    return y + alpha / rank * (x @ A.T @ B.T)  # (..., out)


def variant_06a_lora_start(inputs, outputs, rank):
    return torch.zeros(rank, inputs), torch.randn(outputs, rank)


def variant_06a_lora_output(x, y, A, B, alpha):
    change = alpha * (B @ A) / B.shape[1]  # (out, in)
    return y + torch.nn.functional.linear(x, change)


def variant_06a_tiny_start(inputs, outputs, rank):
    return 1e-6 * torch.randn(rank, inputs), torch.zeros(outputs, rank)


def wrong_06a_not_filled(inputs, outputs, rank):
    A = torch.full((rank, inputs), torch.nan)  # torch.empty, unlucky
    return A, torch.zeros(outputs, rank)


def wrong_06a_outputs(x, y, A, B, alpha):
    return y + alpha / len(B) * (x @ A.T @ B.T)


def wrong_06a_whole(x, y, A, B, alpha):
    return y + alpha // len(A) * (x @ A.T @ B.T)


def wrong_06a_dead(inputs, outputs, rank):
    return torch.zeros(rank, inputs), torch.zeros(outputs, rank)


def wrong_06a_disturbed(inputs, outputs, rank):
    return torch.randn(rank, inputs), torch.randn(outputs, rank)


def wrong_06a_transposed_start(inputs, outputs, rank):
    return torch.randn(inputs, rank), torch.zeros(rank, outputs)


def wrong_06a_swapped(inputs, outputs, rank):
    return torch.zeros(outputs, rank), torch.randn(rank, inputs)


def missing(*args): ...


def wrong_06a_ones(inputs, outputs, rank):
    return torch.ones(rank, inputs), torch.zeros(outputs, rank)


def wrong_06a_no_scale(x, y, A, B, alpha):
    return y + x @ A.T @ B.T


def wrong_06a_alpha_only(x, y, A, B, alpha):
    return y + alpha * (x @ A.T @ B.T)


def wrong_06a_upside_down(x, y, A, B, alpha):
    return y + len(A) / alpha * (x @ A.T @ B.T)


def wrong_06a_square_root(x, y, A, B, alpha):
    return y + alpha / len(A) ** 0.5 * (x @ A.T @ B.T)


def wrong_06a_wrong_rank(x, y, A, B, alpha):
    return y + alpha / A.shape[1] * (x @ A.T @ B.T)


def wrong_06a_transposed(x, y, A, B, alpha):
    return y + alpha / len(A) * (x @ A @ B)


def wrong_06a_detached(x, y, A, B, alpha):
    return solution_06a_lora_output(x, y, A.detach(), B, alpha)


def wrong_06a_no_y(x, y, A, B, alpha):
    return alpha / len(A) * (x @ A.T @ B.T)


def wrong_06a_y_too(x, y, A, B, alpha):
    return alpha / len(A) * (y + x @ A.T @ B.T)


_START, _OUTPUT = solution_06a_lora_start, solution_06a_lora_output
VARIANTS_06A = {
    "B random, A zero": (variant_06a_lora_start, _OUTPUT),
    "the matrix first": (_START, variant_06a_lora_output),
    "A very small": (variant_06a_tiny_start, _OUTPUT),
}
WRONG_06A = {
    "both zero": ("dead", (wrong_06a_dead, _OUTPUT)),
    "both random": (
        "not the identity",
        (wrong_06a_disturbed, _OUTPUT),
    ),
    "A and B made transposed": (
        "transposed",
        (wrong_06a_transposed_start, _OUTPUT),
    ),
    "A and B used transposed": (
        "transposed",
        (_START, wrong_06a_transposed),
    ),
    "B first": ("swapped", (wrong_06a_swapped, _OUTPUT)),
    "the start alone": ("one missing", (_START, missing)),
    "the start alone, both zero": ("dead", (wrong_06a_dead, missing)),
    "the output alone, without alpha / rank": (
        "no scale",
        (missing, wrong_06a_no_scale),
    ),
    "all directions alike": ("all alike", (wrong_06a_ones, _OUTPUT)),
    "without alpha / rank": ("no scale", (_START, wrong_06a_no_scale)),
    "A detached": ("no gradient", (_START, wrong_06a_detached)),
    "alpha alone": ("alpha only", (_START, wrong_06a_alpha_only)),
    "rank / alpha": ("upside down", (_START, wrong_06a_upside_down)),
    "alpha / sqrt(rank)": (
        "square root",
        (_START, wrong_06a_square_root),
    ),
    "memory not filled": (
        "not finite",
        (wrong_06a_not_filled, _OUTPUT),
    ),
    "alpha / outputs": ("outputs", (_START, wrong_06a_outputs)),
    "alpha // rank": ("whole numbers", (_START, wrong_06a_whole)),
    "alpha / inputs": ("wrong rank", (_START, wrong_06a_wrong_rank)),
    "the change alone": ("no y", (_START, wrong_06a_no_y)),
    "scales y as well": ("y scaled too", (_START, wrong_06a_y_too)),
}

# ---- 06b: merge and unmerge ------------------------------------------


def solution_06b_merge(layer):
    scale = layer.alpha / len(layer.A)
    layer.kept = layer.weight
    layer.weight = layer.weight + scale * layer.B @ layer.A
    layer.hook_on = False


def solution_06b_unmerge(layer):
    layer.weight = layer.kept
    layer.hook_on = True


def variant_06b_merge(layer):
    layer.kept = layer.weight.clone()
    scale = layer.alpha / layer.B.shape[1]
    layer.weight += scale * (layer.B @ layer.A)
    layer.hook_on = False


def variant_06b_unmerge(layer):
    layer.weight.copy_(layer.kept)
    layer.hook_on = True


def wrong_06b_no_scale(layer):
    layer.kept = layer.weight
    layer.weight = layer.weight + layer.B @ layer.A
    layer.hook_on = False


def wrong_06b_alpha_only(layer):
    layer.kept = layer.weight
    layer.weight = layer.weight + layer.alpha * layer.B @ layer.A
    layer.hook_on = False


def wrong_06b_dtype(layer):
    layer.kept = layer.weight
    change = layer.alpha / len(layer.A) * layer.B @ layer.A
    layer.weight = layer.weight.double() + change
    layer.hook_on = False


def wrong_06b_stops(layer):
    layer.weight = layer.weight + layer.A.T @ layer.B.T


def wrong_06b_twice(layer):
    scale = layer.alpha / len(layer.A)
    layer.kept = layer.weight
    layer.weight = layer.weight + scale * layer.B @ layer.A


def wrong_06b_lost(layer):
    layer.kept = layer.weight
    layer.hook_on = False


def wrong_06b_nothing(layer):
    layer.kept = layer.weight


def wrong_06b_aliased(layer):
    scale = layer.alpha / len(layer.A)
    layer.kept = layer.weight
    layer.weight += scale * layer.B @ layer.A
    layer.hook_on = False


def wrong_06b_subtracts(layer):
    scale = layer.alpha / len(layer.A)
    layer.weight = layer.weight - scale * layer.B @ layer.A
    layer.hook_on = True


def wrong_06b_zeroes(layer):
    solution_06b_merge(layer)
    layer.hook_on = True
    layer.B = torch.zeros_like(layer.B)


def wrong_06b_asleep(layer):
    layer.weight = layer.kept


def wrong_06b_divisor(layer):
    layer.kept = layer.weight
    change = layer.alpha / len(layer.B) * layer.B @ layer.A
    layer.weight = layer.weight + change
    layer.hook_on = False


_KEPT = {}  # one place for all layers


def wrong_06b_global_merge(layer):
    _KEPT["weight"] = layer.weight
    change = layer.alpha / len(layer.A) * layer.B @ layer.A
    layer.weight = layer.weight + change
    layer.hook_on = False


def wrong_06b_global_unmerge(layer):
    layer.weight, layer.hook_on = _KEPT["weight"], True


_MERGE, _UNMERGE = solution_06b_merge, solution_06b_unmerge
VARIANTS_06B = {"in place": (variant_06b_merge, variant_06b_unmerge)}
WRONG_06B = {
    "scale forgotten": ("no scale", (wrong_06b_no_scale, _UNMERGE)),
    "alpha alone": ("alpha only", (wrong_06b_alpha_only, _UNMERGE)),
    "another dtype": ("dtype", (wrong_06b_dtype, _UNMERGE)),
    "the wrong way round": (
        "transposed",
        (wrong_06b_stops, _UNMERGE),
    ),
    "hook still on": ("twice", (wrong_06b_twice, _UNMERGE)),
    "hook off, nothing added": ("lost", (wrong_06b_lost, _UNMERGE)),
    "only keeps": ("nothing merged", (wrong_06b_nothing, _UNMERGE)),
    "keeps the same memory": (
        "aliased",
        (wrong_06b_aliased, _UNMERGE),
    ),
    "subtracts": ("by subtraction", (_MERGE, wrong_06b_subtracts)),
    "B zeroed in place of the hook": (
        "change lost",
        (wrong_06b_zeroes, _UNMERGE),
    ),
    "a width for the rank": (
        "a width for the rank",
        (wrong_06b_divisor, _UNMERGE),
    ),
    "a global for all": (
        "one kept for all",
        (wrong_06b_global_merge, wrong_06b_global_unmerge),
    ),
    "merge alone": ("one missing", (_MERGE, missing)),
    "merge alone, hook still on": ("twice", (wrong_06b_twice, missing)),
    "unmerge alone": ("one missing", (missing, _UNMERGE)),
    "hook not woken": ("asleep", (_MERGE, wrong_06b_asleep)),
}

# ---- 06c: lora_parameters and effective_rank -------------------------


def solution_06c_lora_parameters(config, rank):
    d, e = config.hidden_size, config.head_dim
    q = config.num_attention_heads * e  # outputs of the queries
    v = config.num_key_value_heads * e  # outputs of the values
    one_layer = rank * (d + q) + rank * (d + v)
    return config.num_hidden_layers * one_layer


def solution_06c_effective_rank(before, after, share=0.9):
    s = torch.linalg.svdvals(after - before)  # the largest first
    held = (s**2).cumsum(0) / (s**2).sum()
    return int((held < share).sum()) + 1


def variant_06c_lora_parameters(config, rank):
    total, d = 0, config.hidden_size
    for _ in range(config.num_hidden_layers):
        for heads in ("num_attention_heads", "num_key_value_heads"):
            out = getattr(config, heads) * config.head_dim
            total += rank * d + out * rank
    return total


def variant_06c_effective_rank(before, after, share=0.9):
    energy = torch.linalg.svdvals(after - before).square().tolist()
    held, count = 0.0, 0
    while held < share * sum(energy):
        held += energy[count]
        count += 1
    return count


def wrong_06c_product(config, rank):
    d, e = config.hidden_size, config.head_dim
    q, v = (
        config.num_attention_heads * e,
        config.num_key_value_heads * e,
    )
    return config.num_hidden_layers * rank * (d * q + d * v)


def wrong_06c_kv_width(config, rank):
    d, e = config.hidden_size, config.head_dim
    q = config.num_attention_heads * e
    return config.num_hidden_layers * 2 * rank * (d + q)


def wrong_06c_square(config, rank):
    return config.num_hidden_layers * 4 * rank * config.hidden_size


def wrong_06c_full(config, rank):
    d, e = config.hidden_size, config.head_dim
    heads = config.num_attention_heads + config.num_key_value_heads
    return config.num_hidden_layers * d * heads * e


def wrong_06c_head_dim(config, rank):
    d = config.hidden_size
    e = d // config.num_attention_heads
    heads = config.num_attention_heads + config.num_key_value_heads
    return config.num_hidden_layers * rank * (2 * d + heads * e)


def wrong_06c_k_for_q(config, rank):
    kv = config.num_key_value_heads * config.head_dim
    both = 2 * rank * (config.hidden_size + kv)
    return config.num_hidden_layers * both


def wrong_06c_one_a(config, rank):
    d, e = config.hidden_size, config.head_dim
    out = (config.num_attention_heads + config.num_key_value_heads) * e
    return config.num_hidden_layers * rank * (d + out)


def wrong_06c_one_layer(config, rank):
    return solution_06c_lora_parameters(config, rank) // (
        config.num_hidden_layers
    )


def wrong_06c_a_only(config, rank):
    return config.num_hidden_layers * 2 * rank * config.hidden_size


def wrong_06c_not_squared(before, after, share=0.9):
    s = torch.linalg.svdvals(after - before)
    return int((s.cumsum(0) / s.sum() < share).sum()) + 1


def wrong_06c_squared_too_late(before, after, share=0.9):
    s = torch.linalg.svdvals(after - before)
    held = s.cumsum(0) ** 2 / s.sum() ** 2
    return int((held < share).sum()) + 1


def wrong_06c_in_a_tensor(before, after, share=0.9):
    s = torch.linalg.svdvals(after - before)
    held = (s**2).cumsum(0) / (s**2).sum()
    return (held >= share).nonzero()[0] + 1  # of shape (1,)


def variant_06c_no_axis(before, after, share=0.9):
    s = torch.linalg.svdvals(after - before)
    held = (s**2).cumsum(0) / (s**2).sum()
    return (held < share).sum() + 1  # of shape ()


def wrong_06c_count_in_a_tensor(config, rank):
    return torch.tensor([solution_06c_lora_parameters(config, rank)])


def wrong_06c_not_divided(before, after, share=0.9):
    energy = torch.linalg.svdvals(after - before) ** 2
    return int((energy.cumsum(0) < share).sum()) + 1


def wrong_06c_of_w(before, after, share=0.9):
    s = torch.linalg.svdvals(after)
    return int(((s**2).cumsum(0) / (s**2).sum() < share).sum()) + 1


def wrong_06c_share(before, after, share=0.9):
    return solution_06c_effective_rank(before, after)


def wrong_06c_one_short(before, after, share=0.9):
    return solution_06c_effective_rank(before, after, share) - 1


def wrong_06c_no_rank(config, rank):
    return solution_06c_lora_parameters(config, 1)


def wrong_06c_four(config, rank):
    d, e = config.hidden_size, config.head_dim
    heads = config.num_attention_heads + config.num_key_value_heads
    return config.num_hidden_layers * rank * (4 * d + 2 * heads * e)


def wrong_06c_rest(before, after, share=0.9):
    return solution_06c_effective_rank(before, after, 1 - share)


def wrong_06c_weakest(before, after, share=0.9):
    D = after - before
    energy = torch.linalg.eigvalsh(D.T @ D)  # the smallest first
    held = energy.cumsum(0) / energy.sum()
    return int((held < share).sum()) + 1


def wrong_06c_weakest_rows(before, after, share=0.9):
    return wrong_06c_weakest(before.T, after.T, share)


def wrong_06c_of_the_first(before, after, share=0.9):
    s = torch.linalg.svdvals(after - before)
    return int((s >= share * s[0]).sum())


def wrong_06c_near_the_first(before, after, share=0.9):
    return wrong_06c_of_the_first(before, after, 1 - share)


def wrong_06c_one_by_one(before, after, share=0.9):
    energy = torch.linalg.svdvals(after - before) ** 2
    return int((energy / energy.sum() >= 1 - share).sum())


def wrong_06c_whole_rank(before, after, share=0.9):
    return int(torch.linalg.matrix_rank(after - before, rtol=1e-4))


_COUNT, _RANK = (
    solution_06c_lora_parameters,
    solution_06c_effective_rank,
)
VARIANTS_06C = {
    "a loop over layers": (variant_06c_lora_parameters, _RANK),
    "a loop over values": (_COUNT, variant_06c_effective_rank),
    "a tensor without axes": (_COUNT, variant_06c_no_axis),
}
WRONG_06C = {
    "inputs times outputs": ("product", (wrong_06c_product, _RANK)),
    "values as wide as queries": (
        "kv width",
        (wrong_06c_kv_width, _RANK),
    ),
    "d outputs each": ("square", (wrong_06c_square, _RANK)),
    "the whole matrices": ("full", (wrong_06c_full, _RANK)),
    "head_dim by division": ("head_dim", (wrong_06c_head_dim, _RANK)),
    "keys and values": ("k for q", (wrong_06c_k_for_q, _RANK)),
    "one layer": ("one layer", (wrong_06c_one_layer, _RANK)),
    "A alone": ("A only", (wrong_06c_a_only, _RANK)),
    "one A for both": ("one A", (wrong_06c_one_a, _RANK)),
    "not divided by the sum": (
        "not divided",
        (_COUNT, wrong_06c_not_divided),
    ),
    "values not squared": (
        "not squared",
        (_COUNT, wrong_06c_not_squared),
    ),
    "squares after the sums": (
        "squared too late",
        (_COUNT, wrong_06c_squared_too_late),
    ),
    "one entry in a tensor": (
        "in a tensor",
        (_COUNT, wrong_06c_in_a_tensor),
    ),
    "the count in a tensor": (
        "in a tensor",
        (wrong_06c_count_in_a_tensor, _RANK),
    ),
    "the count alone, one layer": (
        "one layer",
        (wrong_06c_one_layer, missing),
    ),
    "the rank alone": ("one missing", (missing, _RANK)),
    "of the trained weight": ("of W", (_COUNT, wrong_06c_of_w)),
    "share not used": ("share", (_COUNT, wrong_06c_share)),
    "one short": ("one short", (_COUNT, wrong_06c_one_short)),
    "rank forgotten": ("no rank", (wrong_06c_no_rank, _RANK)),
    "q, k, v and o": ("all of attention", (wrong_06c_four, _RANK)),
    "1 - share": ("rest", (_COUNT, wrong_06c_rest)),
    "from the weakest": (
        "weakest first",
        (_COUNT, wrong_06c_weakest),
    ),
    "from the weakest, by rows": (
        "weakest first",
        (_COUNT, wrong_06c_weakest_rows),
    ),
    "at least share of the first": (
        "of the strongest",
        (_COUNT, wrong_06c_of_the_first),
    ),
    "at least 1 - share of the first": (
        "of the strongest",
        (_COUNT, wrong_06c_near_the_first),
    ),
    "each by itself": (
        "one by one",
        (_COUNT, wrong_06c_one_by_one),
    ),
    "all that are not zero": (
        "whole rank",
        (_COUNT, wrong_06c_whole_rank),
    ),
}
