"""Solutions of notebook 10.

Also other right ways, and the usual wrong answers, each beside the
diagnosis that its checker gives.
"""

import torch

# ---- 10a: fleet_bytes ------------------------------------------------


def solution_10a(config, parameters, customers, length):
    place = 2 * config.num_key_value_heads * config.head_dim
    numbers = length * config.num_hidden_layers * place
    models = customers * 2 * parameters
    files = 2 * parameters + customers * 4 * numbers
    return models, files


def variant_10a(config, parameters, customers, length):
    keys = config.num_key_value_heads * config.head_dim * length
    one = sum(2 * keys for _ in range(config.num_hidden_layers))
    return [2.0 * parameters * customers,
            parameters * 2.0 + one * 4 * customers]  # fmt: skip


def _numbers(config, length):
    kv = config.num_key_value_heads * config.head_dim
    return length * config.num_hidden_layers * 2 * kv


def wrong_10a_base_each(config, parameters, customers, length):
    one = 2 * parameters + 4 * _numbers(config, length)
    return customers * 2 * parameters, customers * one


def wrong_10a_no_base(config, parameters, customers, length):
    file = 4 * _numbers(config, length)
    return customers * 2 * parameters, customers * file


def wrong_10a_all_half(config, parameters, customers, length):
    file = 2 * _numbers(config, length)
    return customers * 2 * parameters, 2 * parameters + customers * file


def wrong_10a_all_single(config, parameters, customers, length):
    file = 4 * _numbers(config, length)
    return customers * 4 * parameters, 4 * parameters + customers * file


def wrong_10a_layer(config, parameters, customers, length):
    numbers = _numbers(config, length) // config.num_hidden_layers
    models = customers * 2 * parameters
    return models, 2 * parameters + customers * 4 * numbers


def wrong_10a_keys(config, parameters, customers, length):
    numbers = _numbers(config, length) // 2
    models = customers * 2 * parameters
    return models, 2 * parameters + customers * 4 * numbers


def wrong_10a_heads(config, parameters, customers, length):
    width = config.num_attention_heads * config.head_dim
    numbers = length * config.num_hidden_layers * 2 * width
    models = customers * 2 * parameters
    return models, 2 * parameters + customers * 4 * numbers


def wrong_10a_swapped(config, parameters, customers, length):
    return solution_10a(config, parameters, customers, length)[::-1]


def wrong_10a_width(config, parameters, customers, length):
    numbers = 2 * length * config.num_hidden_layers * config.hidden_size
    models = customers * 2 * parameters
    return models, 2 * parameters + customers * 4 * numbers


def wrong_10a_divided(config, parameters, customers, length):
    head = config.hidden_size // config.num_attention_heads
    place = 2 * config.num_key_value_heads * head
    numbers = length * config.num_hidden_layers * place
    models = customers * 2 * parameters
    return models, 2 * parameters + customers * 4 * numbers


def wrong_10a_no_customers(config, parameters, customers, length):
    file = 4 * _numbers(config, length)
    return 2 * parameters, 2 * parameters + file


def wrong_10a_one_file(config, parameters, customers, length):
    file = 4 * _numbers(config, length)
    return customers * 2 * parameters, 2 * parameters + file


def wrong_10a_quarter(config, parameters, customers, length):
    file = _numbers(config, length)
    return customers * 2 * parameters, 2 * parameters + customers * file


def wrong_10a_one_head(config, parameters, customers, length):
    numbers = length * config.num_hidden_layers * 2 * config.head_dim
    models = customers * 2 * parameters
    return models, 2 * parameters + customers * 4 * numbers


def wrong_10a_one_place(config, parameters, customers, length):
    file = 4 * _numbers(config, 1)
    return customers * 2 * parameters, 2 * parameters + customers * file


VARIANTS_10A = {"layer by layer": variant_10a}
WRONG_10A = {
    "the base for each": ("a base for each", wrong_10a_base_each),
    "no base": ("no base", wrong_10a_no_base),
    "float16 throughout": ("half a file", wrong_10a_all_half),
    "float32 throughout": ("bytes of a number", wrong_10a_all_single),
    "one layer": ("layers once", wrong_10a_layer),
    "keys only": ("half a file", wrong_10a_keys),
    "query heads": ("query heads", wrong_10a_heads),
    "swapped": ("swapped", wrong_10a_swapped),
    "hidden_size": ("the model's width", wrong_10a_width),
    "a head by division": ("head_dim by division", wrong_10a_divided),
    "customers forgotten": ("no customers", wrong_10a_no_customers),
    "one file": ("one file for all", wrong_10a_one_file),
    "one key-value head": ("one head", wrong_10a_one_head),
    "length forgotten": ("one place", wrong_10a_one_place),
    "float16, keys only": ("a quarter of a file", wrong_10a_quarter),
}

# ---- 10b: mixed_lora -------------------------------------------------


def solution_10b(x, y, A, B, which, scale):
    z = x @ A[which].mT  # (rows, T, rank)
    return y + scale * (z @ B[which].mT)  # (rows, T, out)


def variant_10b(x, y, A, B, which, scale):
    rows = [
        x[i] @ A[pair].T @ B[pair].T for i, pair in enumerate(which)
    ]
    return y + scale * torch.stack(rows)


def variant_10b_einsum(x, y, A, B, which, scale):
    z = torch.einsum("bti,bri->btr", x, A[which])
    return torch.einsum("btr,bor->bto", z, B[which]) * scale + y


def wrong_10b_first(x, y, A, B, which, scale):
    pair = which[0]
    return y + scale * (x @ A[pair].T @ B[pair].T)


def wrong_10b_last(x, y, A, B, which, scale):
    for pair in which:
        change = x @ A[pair].T @ B[pair].T
    return y + scale * change


def wrong_10b_sum(x, y, A, B, which, scale):
    change = torch.einsum("bti,kri,kor->bto", x, A[which], B[which])
    return y + scale * change


def wrong_10b_mean(x, y, A, B, which, scale):
    change = (B[which] @ A[which]).mean(0)  # (out, in)
    return y + scale * (x @ change.T)


def wrong_10b_order(x, y, A, B, which, scale):
    order = torch.arange(len(x)) % len(A)
    return y + scale * (x @ A[order].mT @ B[order].mT)


def wrong_10b_half(x, y, A, B, which, scale):
    return y + scale * (x @ A[which].mT @ B[0].mT)


def wrong_10b_scale(x, y, A, B, which, scale):
    return y + x @ A[which].mT @ B[which].mT


def wrong_10b_no_base(x, y, A, B, which, scale):
    return scale * (x @ A[which].mT @ B[which].mT)


def wrong_10b_columns(x, y, A, B, which, scale):
    return y + scale * (B[which] @ A[which] @ x)


def wrong_10b_columns_loop(x, y, A, B, which, scale):
    rows = [B[k] @ A[k] @ x[i] for i, k in enumerate(which)]
    return y + scale * torch.stack(rows)


def wrong_10b_unturned(x, y, A, B, which, scale):
    return y + scale * (x @ A[which] @ B[which])


def wrong_10b_exchanged(x, y, A, B, which, scale):
    return y + scale * (x @ B[which].mT @ A[which].mT)


def wrong_10b_exchanged_loop(x, y, A, B, which, scale):
    rows = [x[i] @ B[k].T @ A[k].T for i, k in enumerate(which)]
    return y + scale * torch.stack(rows)


def wrong_10b_first_b(x, y, A, B, which, scale):
    return y + scale * (x @ A[which].mT @ B[which[0]].mT)


def wrong_10b_which_inverse(x, y, A, B, which, scale):
    out = y.clone()
    for row, a, b in zip(which, A, B, strict=False):
        out[row] += scale * (x[row] @ a.T @ b.T)
    return out


def wrong_10b_in_place(x, y, A, B, which, scale):
    for i, k in enumerate(which):
        y[i] += scale * (x[i] @ A[k].T @ B[k].T)
    return y


def wrong_10b_later_tokens(x, y, A, B, which, scale):
    out = y.clone()
    change = scale * (x @ A[which].mT @ B[which].mT)
    out[:, 0] += change[:, 0]
    return out


def wrong_10b_by_rank(x, y, A, B, which, scale):
    scale = scale / A.shape[1]
    return y + scale * (x @ A[which].mT @ B[which].mT)


VARIANTS_10B = {
    "row by row": variant_10b,
    "by einsum": variant_10b_einsum,
}
WRONG_10B = {
    "the first row's pair": ("one pair for all", wrong_10b_first),
    "the loop overwrites": ("last pair for all", wrong_10b_last),
    "sums over the rows": ("mixes rows", wrong_10b_sum),
    "the mean of the pairs": ("mixes rows", wrong_10b_mean),
    "which is ignored": ("pairs in order", wrong_10b_order),
    "B of pair 0": ("A and B of unlike rows", wrong_10b_half),
    "scale by rank": ("scale by rank", wrong_10b_by_rank),
    "no scale": ("no scale", wrong_10b_scale),
    "y is lost": ("no base", wrong_10b_no_base),
    "B A x": ("tokens are rows", wrong_10b_columns),
    "B A x in a loop": ("tokens are rows", wrong_10b_columns_loop),
    "A as it stands": ("A first, turned round", wrong_10b_unturned),
    "B first": ("A first, turned round", wrong_10b_exchanged),
    "B first, in a loop": (
        "A first, turned round",
        wrong_10b_exchanged_loop,
    ),
    "B of the first row": (
        "A and B of unlike rows",
        wrong_10b_first_b,
    ),
    "customer to row": (
        "which the wrong way round",
        wrong_10b_which_inverse,
    ),
    "in place": ("changed input", wrong_10b_in_place),
    "the first token only": ("other", wrong_10b_later_tokens),
}

# ---- 10c: columns ----------------------------------------------------


def solution_10c(lengths, mask):
    n = int(lengths.max())
    virtual = torch.arange(n) >= n - lengths[:, None]  # (B, n)
    whole = torch.cat([virtual.long(), mask], dim=1)  # (B, n+T)
    positions = (whole.cumsum(1) - 1).clamp_min(0)  # (B, n+T)
    return whole, positions


def variant_10c(lengths, mask):
    n, rows = max(lengths.tolist()), []
    for own, text in zip(lengths.tolist(), mask.tolist(), strict=True):
        rows.append([0] * (n - own) + [1] * own + text)
    whole = torch.tensor(rows)  # (B, n+T)
    return whole, whole.cumsum(1) - 1


def wrong_10c_side(lengths, mask):
    n = int(lengths.max())
    virtual = torch.arange(n) < lengths[:, None]
    whole = torch.cat([virtual.long(), mask], dim=1)
    return whole, (whole.cumsum(1) - 1).clamp_min(0)


def wrong_10c_padding(lengths, mask):
    whole, _ = solution_10c(lengths, mask)
    return whole, torch.arange(whole.shape[1]).expand(whole.shape)


def wrong_10c_open(lengths, mask):
    n = int(lengths.max())
    virtual = torch.ones(len(mask), n, dtype=torch.long)
    whole = torch.cat([virtual, mask], dim=1)
    return whole, (whole.cumsum(1) - 1).clamp_min(0)


def wrong_10c_text_open(lengths, mask):
    whole, positions = solution_10c(lengths, torch.ones_like(mask))
    return whole, positions


def wrong_10c_restart(lengths, mask):
    whole, positions = solution_10c(lengths, mask)
    T = mask.shape[1]
    text = (mask.cumsum(1) - 1).clamp_min(0)
    return whole, torch.cat([positions[:, :-T], text], dim=1)


def wrong_10c_longest(lengths, mask):
    whole, positions = solution_10c(lengths, mask)
    n, T = int(lengths.max()), mask.shape[1]
    text = (mask.cumsum(1) - 1).clamp_min(0) + n
    return whole, torch.cat([positions[:, :-T], text], dim=1)


def wrong_10c_one_off(lengths, mask):
    whole, _ = solution_10c(lengths, mask)
    return whole, whole.cumsum(1)


def wrong_10c_order(lengths, mask):
    whole, _ = solution_10c(lengths, mask)
    n = int(lengths.max())
    turned = torch.cat([mask, whole[:, :n]], dim=1)
    return turned, (turned.cumsum(1) - 1).clamp_min(0)


def wrong_10c_minus_zero(lengths, mask):
    virtual = torch.zeros(len(mask), int(lengths.max())).long()
    for i, length in enumerate(lengths.tolist()):
        virtual[i, -length:] = 1
    whole = torch.cat([virtual, mask], dim=1)
    return whole, (whole.cumsum(1) - 1).clamp_min(0)


def wrong_10c_one_axis(lengths, mask):
    n = int(lengths.max())
    virtual = torch.arange(n) >= n - lengths
    whole = torch.cat([virtual.long(), mask], dim=1)
    return whole, (whole.cumsum(1) - 1).clamp_min(0)


def wrong_10c_one_axis_expanded(lengths, mask):
    n = int(lengths.max())
    virtual = (torch.arange(n) >= n - lengths).expand(len(mask), n)
    whole = torch.cat([virtual.long(), mask], dim=1)
    return whole, (whole.cumsum(1) - 1).clamp_min(0)


def wrong_10c_short(lengths, mask):
    n = int(lengths.max())
    virtual = torch.arange(n) > n - lengths[:, None]
    whole = torch.cat([virtual.long(), mask], dim=1)
    return whole, (whole.cumsum(1) - 1).clamp_min(0)


def wrong_10c_turned(lengths, mask):
    n = int(lengths.max())
    virtual = torch.arange(n) < n - lengths[:, None]
    whole = torch.cat([virtual.long(), mask], dim=1)
    return whole, (whole.cumsum(1) - 1).clamp_min(0)


def wrong_10c_no_hole(lengths, mask):
    width = int(lengths.max()) + mask.shape[1]
    own = lengths + mask.sum(1)
    whole = (torch.arange(width) >= width - own[:, None]).long()
    return whole, (whole.cumsum(1) - 1).clamp_min(0)


def wrong_10c_text_walk(lengths, mask):
    whole, positions = solution_10c(lengths, mask)
    T = mask.shape[1]
    text = lengths[:, None] + torch.arange(T)
    return whole, torch.cat([positions[:, :-T], text], dim=1)


def wrong_10c_two_walks(lengths, mask):
    whole, _ = solution_10c(lengths, mask)
    n, T = int(lengths.max()), mask.shape[1]
    walk = torch.cat([torch.arange(n), torch.arange(T)])
    return whole, walk.expand(whole.shape)


def wrong_10c_down(lengths, mask):
    whole, _ = solution_10c(lengths, mask)
    return whole, whole.cumsum(0) - 1


def wrong_10c_swapped(lengths, mask):
    return solution_10c(lengths, mask)[::-1]


def wrong_10c_lists(lengths, mask):
    return [tensor.tolist() for tensor in solution_10c(lengths, mask)]


def _with_n(n, lengths, mask):
    virtual = torch.arange(n) >= n - lengths[:, None]
    whole = torch.cat([virtual.long(), mask], dim=1)
    return whole, (whole.cumsum(1) - 1).clamp_min(0)


def wrong_10c_first_row(lengths, mask):
    return _with_n(int(lengths[0]), lengths, mask)


def wrong_10c_rows(lengths, mask):
    return _with_n(len(lengths), lengths, mask)


def wrong_10c_three(lengths, mask):
    return _with_n(3, lengths, mask)


def wrong_10c_sum(lengths, mask):
    return _with_n(int(lengths.sum()) - 1, lengths, mask)


VARIANTS_10C = {"row by row": variant_10c}
WRONG_10C = {
    "padding on the right": ("the wrong side", wrong_10c_side),
    "padding counts": ("counted with padding", wrong_10c_padding),
    "all columns open": ("mask open", wrong_10c_open),
    "the text's padding open": (
        "the text's padding",
        wrong_10c_text_open,
    ),
    "the text from 0": ("text begins at 0", wrong_10c_restart),
    "all texts from n": ("n for all", wrong_10c_longest),
    "one off": ("one off", wrong_10c_one_off),
    "text first": ("text first", wrong_10c_order),
    "minus zero": ("minus zero", wrong_10c_minus_zero),
    "lengths not a column": ("lengths as a row", wrong_10c_one_axis),
    "lengths not a column, expanded": (
        "lengths as a row",
        wrong_10c_one_axis_expanded,
    ),
    "> for >=": ("one short", wrong_10c_short),
    "< for >=": ("turned round", wrong_10c_turned),
    "no hole": ("no fixed columns", wrong_10c_no_hole),
    "arange within the text": (
        "the text counted with padding",
        wrong_10c_text_walk,
    ),
    "arange twice": ("text begins at 0", wrong_10c_two_walks),
    "cumsum down": ("down the columns", wrong_10c_down),
    "positions first": ("swapped", wrong_10c_swapped),
    "lists": ("lists", wrong_10c_lists),
    "n is lengths[0]": ("n of the first row", wrong_10c_first_row),
    "n is len(lengths)": ("n of rows", wrong_10c_rows),
    "n is 3": ("n fixed", wrong_10c_three),
    "n is the sum less 1": ("n", wrong_10c_sum),
}
