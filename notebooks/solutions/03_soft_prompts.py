"""Solutions of notebook 03.

Also other right ways, and the usual wrong answers, each beside the
diagnosis that its checker gives.
"""

import torch

# ---- 03a: prepend ----------------------------------------------------


def solution_03a(prompt, embeds):
    rows = embeds.shape[0]
    prompts = prompt.expand(rows, -1, -1)  # (B, n, d)
    return torch.cat([prompts, embeds], dim=1)  # (B, n+T, d)


def variant_03a(prompt, embeds):
    return torch.stack([torch.cat([prompt, row]) for row in embeds])


def wrong_03a_no_expand(prompt, embeds):
    return torch.cat([prompt, embeds], dim=1)


def wrong_03a_no_expand_2(prompt, embeds):
    return torch.cat([prompt[None], embeds], dim=1)


def wrong_03a_wrong_dimension(prompt, embeds):
    prompts = prompt.expand(embeds.shape[0], -1, -1)
    return torch.cat([prompts, embeds], dim=-1)


def wrong_03a_wrong_dimension_2(prompt, embeds):
    prompts = prompt.expand(embeds.shape[0], -1, -1)
    return torch.cat([prompts, embeds], dim=0)


def wrong_03a_appended(prompt, embeds):
    prompts = prompt.expand(embeds.shape[0], -1, -1)
    return torch.cat([embeds, prompts], dim=1)


def wrong_03a_no_gradient(prompt, embeds):
    prompts = prompt.detach().expand(embeds.shape[0], -1, -1)
    return torch.cat([prompts, embeds], dim=1)


VARIANTS_03A = {"repeated, row by row": variant_03a}
WRONG_03A = {
    "no batch dimension": ("no expand", wrong_03a_no_expand),
    "a batch of one": ("no expand", wrong_03a_no_expand_2),
    "joins the numbers": ("wrong dimension", wrong_03a_wrong_dimension),
    "joins the rows": ("wrong dimension", wrong_03a_wrong_dimension_2),
    "after the text": ("appended", wrong_03a_appended),
    "cuts the gradient": ("no gradient", wrong_03a_no_gradient),
}

# ---- 03b: align ------------------------------------------------------


def solution_03b(mask, labels, logits, n):
    rows = mask.shape[0]
    ones = mask.new_ones(rows, n)  # (B, n)
    none = labels.new_full((rows, n), -100)  # (B, n)
    mask = torch.cat([ones, mask], dim=1)  # (B, n+T)
    labels = torch.cat([none, labels], dim=1)  # (B, n+T)
    return mask, labels, logits[:, n:]  # (B, T, V)


def variant_03b(mask, labels, logits, n):
    pad = torch.nn.functional.pad
    length = mask.shape[1]
    return (
        pad(mask, (n, 0), value=1),
        pad(labels, (n, 0), value=-100),
        logits[:, -length:],
    )


def wrong_03b_mask_not_extended(mask, labels, logits, n):
    none = labels.new_full((labels.shape[0], n), -100)
    return mask, torch.cat([none, labels], dim=1), logits[:, n:]


def wrong_03b_labels_zero(mask, labels, logits, n):
    ones = mask.new_ones(mask.shape[0], n)
    zeros = labels.new_zeros(labels.shape[0], n)
    mask = torch.cat([ones, mask], dim=1)
    return mask, torch.cat([zeros, labels], dim=1), logits[:, n:]


def wrong_03b_one_too_many(mask, labels, logits, n):
    ones = mask.new_ones(mask.shape[0], n)
    none = labels.new_full((labels.shape[0], n), -100)
    mask = torch.cat([ones, mask], dim=1)
    return mask, torch.cat([none, labels], dim=1), logits[:, n - 1 :]


def wrong_03b_cut_at_the_end(mask, labels, logits, n):
    ones = mask.new_ones(mask.shape[0], n)
    none = labels.new_full((labels.shape[0], n), -100)
    mask = torch.cat([ones, mask], dim=1)
    return mask, torch.cat([none, labels], dim=1), logits[:, :-n]


def wrong_03b_right_end(mask, labels, logits, n):
    ones = mask.new_ones(mask.shape[0], n)
    none = labels.new_full((labels.shape[0], n), -100)
    mask = torch.cat([mask, ones], dim=1)
    return mask, torch.cat([labels, none], dim=1), logits[:, n:]


def wrong_03b_mask_of_zeros(mask, labels, logits, n):
    zeros = mask.new_zeros(mask.shape[0], n)
    none = labels.new_full((labels.shape[0], n), -100)
    mask = torch.cat([zeros, mask], dim=1)
    return mask, torch.cat([none, labels], dim=1), logits[:, n:]


def wrong_03b_rows_cut(mask, labels, logits, n):
    mask, labels, _ = solution_03b(mask, labels, logits, n)
    return mask, labels, logits[n:]


def wrong_03b_one_too_few(mask, labels, logits, n):
    mask, labels, _ = solution_03b(mask, labels, logits, n)
    return mask, labels, logits[:, n:-1]


def wrong_03b_order(mask, labels, logits, n):
    mask, labels, logits = solution_03b(mask, labels, logits, n)
    return logits, mask, labels


def wrong_03b_padding_visible(mask, labels, logits, n):
    rows, length = mask.shape
    _, labels, logits = solution_03b(mask, labels, logits, n)
    return mask.new_ones(rows, n + length), labels, logits


VARIANTS_03B = {"with padding": variant_03b}
WRONG_03B = {
    "the old mask": ("mask not extended", wrong_03b_mask_not_extended),
    "labels of 0": ("labels zero", wrong_03b_labels_zero),
    "trims n - 1": ("one too many", wrong_03b_one_too_many),
    "trims from the end": ("cut at the end", wrong_03b_cut_at_the_end),
    "lengthens at the end": ("right end", wrong_03b_right_end),
    "the prompt masked out": ("mask of zeros", wrong_03b_mask_of_zeros),
    "cuts the rows of the batch": ("rows cut", wrong_03b_rows_cut),
    "shifts as well": ("one too few", wrong_03b_one_too_few),
    "logits first": ("order", wrong_03b_order),
    "ones over the padding": (
        "padding visible",
        wrong_03b_padding_visible,
    ),
}

# ---- 03c: vocabulary_init --------------------------------------------


def solution_03c(weight, n, seed):
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randperm(len(weight), generator=generator)[:n]  # (n,)
    return weight.detach()[ids].clone()  # (n, d)


def variant_03c(weight, n, seed):
    import random

    ids = random.Random(seed).sample(range(weight.shape[0]), n)
    rows = torch.stack([weight.data[i].clone() for i in ids])
    return torch.nn.Parameter(rows)


def wrong_03c_alias(weight, n, seed):
    torch.manual_seed(seed)
    start = int(torch.randint(len(weight) - n, ()))
    return weight.detach()[start : start + n]


def wrong_03c_normal(weight, n, seed):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, weight.shape[1], generator=generator)


def wrong_03c_ids(weight, n, seed):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(len(weight), (n,), generator=generator)


def wrong_03c_random_of_right_size(weight, n, seed):
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(n, weight.shape[1], generator=generator)
    return noise * weight.detach().std()


def wrong_03c_attached(weight, n, seed):
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randperm(len(weight), generator=generator)[:n]
    return weight[ids]


def wrong_03c_not_random(weight, n, seed):
    return weight.detach()[:n].clone()


def wrong_03c_seed_ignored(weight, n, seed):
    ids = torch.randperm(len(weight))[:n]
    return weight.detach()[ids].clone()


def wrong_03c_first_rows(weight, n, seed):
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randperm(n, generator=generator)
    return weight.detach()[ids].clone()


def wrong_03c_slice(weight, n, seed):
    return weight.detach()[seed : seed + n].clone()


def wrong_03c_block(weight, n, seed):
    generator = torch.Generator().manual_seed(seed)
    last = len(weight) - n
    first = int(torch.randint(last, (), generator=generator))
    return weight.detach()[first : first + n].clone()


def wrong_03c_width(weight, n, seed):
    generator = torch.Generator().manual_seed(seed)
    width = weight.shape[1]
    ids = torch.randint(width, (n,), generator=generator)
    return weight.detach()[ids].clone()


VARIANTS_03C = {"Python's random numbers, a Parameter": variant_03c}
WRONG_03C = {
    "shares the table's memory": ("alias", wrong_03c_alias),
    "N(0, 1)": ("normal", wrong_03c_normal),
    "ids, not vectors": ("ids", wrong_03c_ids),
    "N(0, 1), scaled": (
        "random of right size",
        wrong_03c_random_of_right_size,
    ),
    "hangs on the table's graph": ("attached", wrong_03c_attached),
    "the first rows": ("not random", wrong_03c_not_random),
    "does not use the seed": ("seed ignored", wrong_03c_seed_ignored),
    "shuffles n, not V": ("first rows", wrong_03c_first_rows),
    "a slice that begins at the seed": ("neighbours", wrong_03c_slice),
    "a slice from a random place": ("neighbours", wrong_03c_block),
    "draws from d, not V": ("lower half", wrong_03c_width),
}
