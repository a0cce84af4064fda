"""Solutions of notebook 02.

Also other right ways, and the usual wrong answers, each beside the
diagnosis that its checker gives.
"""

from torch import nn

# ---- 02a: vote -------------------------------------------------------

solution_02a = "b"

variant_02a = "B."

wrong_02a_equal = "a"

wrong_02a_bottom = "c"

wrong_02a_optimiser_only = "d"

VARIANTS_02A = {"with a dot": variant_02a}
WRONG_02A = {
    "cost follows the count": ("equal", wrong_02a_equal),
    "the bottom two": ("bottom", wrong_02a_bottom),
    "freezing spares the optimiser only": (
        "optimiser only",
        wrong_02a_optimiser_only,
    ),
}

# ---- 02b: top_blocks_live --------------------------------------------


def solution_02b(model, k):
    model.requires_grad_(False)
    blocks = model.model.layers
    for block in blocks[len(blocks) - k :]:
        block.requires_grad_(True)
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def variant_02b(model, k):
    for p in model.parameters():
        p.requires_grad = False
    layers, live = list(model.model.layers), 0
    for i in range(1, k + 1):
        for p in layers[-i].parameters():
            p.requires_grad = True
            live += p.numel()
    return live


def wrong_02b_bottom(model, k):
    model.requires_grad_(False)
    for block in model.model.layers[:k]:
        block.requires_grad_(True)
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def wrong_02b_embedding(model, k):
    blocks = model.model.layers
    for block in blocks[: len(blocks) - k]:
        block.requires_grad_(False)
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def wrong_02b_embedding_2(model, k):
    model.requires_grad_(False)
    blocks = model.model.layers
    for block in blocks[len(blocks) - k :]:
        block.requires_grad_(True)
    model.lm_head.requires_grad_(True)
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def wrong_02b_minus_zero(model, k):
    model.requires_grad_(False)
    for block in model.model.layers[-k:]:
        block.requires_grad_(True)
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def wrong_02b_off_by_one(model, k):
    model.requires_grad_(False)
    blocks = model.model.layers
    for block in blocks[len(blocks) - k + 1 :]:
        block.requires_grad_(True)
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def wrong_02b_nothing_frozen(model, k):
    blocks = model.model.layers
    for block in blocks[len(blocks) - k :]:
        block.requires_grad_(True)
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def wrong_02b_never_woken(model, k):
    blocks = model.model.layers
    live = {
        id(p)
        for block in blocks[len(blocks) - k :]
        for p in block.parameters()
    }
    for p in model.parameters():
        if id(p) not in live:
            p.requires_grad = False
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def wrong_02b_count(model, k):
    model.requires_grad_(False)
    blocks = model.model.layers
    for block in blocks[len(blocks) - k :]:
        block.requires_grad_(True)
    return sum(p.requires_grad for p in model.parameters())


def wrong_02b_attribute_of_a_module(model, k):
    model.requires_grad = False
    blocks = model.model.layers
    for block in blocks[len(blocks) - k :]:
        block.requires_grad = True
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def wrong_02b_four_blocks_only(model, k):
    model.requires_grad_(False)
    for block in model.model.layers[4 - k :]:
        block.requires_grad_(True)
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


VARIANTS_02B = {"by index, counting on the way": variant_02b}
WRONG_02B = {
    "the bottom k": ("bottom", wrong_02b_bottom),
    "freezes the blocks below, nothing else": (
        "embedding",
        wrong_02b_embedding,
    ),
    "wakes the head, tied to the embedding": (
        "embedding",
        wrong_02b_embedding_2,
    ),
    "[-0:] is everything": ("minus zero", wrong_02b_minus_zero),
    "one block short": ("off by one", wrong_02b_off_by_one),
    "wakes, never freezes": (
        "nothing frozen",
        wrong_02b_nothing_frozen,
    ),
    "freezes, never wakes": ("never woken", wrong_02b_never_woken),
    "counts tensors, not numbers": ("count", wrong_02b_count),
    "sets an attribute": (
        "attribute of a module",
        wrong_02b_attribute_of_a_module,
    ),
    "counts on four blocks": (
        "four blocks only",
        wrong_02b_four_blocks_only,
    ),
}

# ---- 02c: bitfit_names -----------------------------------------------


def solution_02c(model):
    names = [
        name
        for name, _ in model.named_parameters()
        if name.endswith(".bias")
    ]
    if not names:
        raise ValueError("this model has no biases to train")
    return names


def variant_02c(model):
    found = []
    for path, module in model.named_modules():
        if getattr(module, "bias", None) is not None:
            found.append(f"{path}.bias".lstrip("."))
    if len(found) == 0:
        raise ValueError("no biases")
    return tuple(found)


def wrong_02c_weights_of_norms(model):
    names = [
        name
        for name, _ in model.named_parameters()
        if name.endswith(".bias") or name.startswith("norm.")
    ]
    if not names:
        raise ValueError("this model has no biases to train")
    return names


def wrong_02c_attention_only(model):
    names = [
        name
        for name, _ in model.named_parameters()
        if name.endswith(".bias") and "attention" in name
    ]
    if not names:
        raise ValueError("this model has no biases to train")
    return names


def wrong_02c_silent(model):
    return [
        name
        for name, _ in model.named_parameters()
        if name.endswith(".bias")
    ]


def wrong_02c_returned(model):
    names = [
        name
        for name, _ in model.named_parameters()
        if name.endswith(".bias")
    ]
    if not names:
        return ValueError("this model has no biases to train")
    return names


def wrong_02c_linear_layers_only(model):
    names = [
        f"{path}.bias"
        for path, module in model.named_modules()
        if isinstance(module, nn.Linear) and module.bias is not None
    ]
    if not names:
        raise ValueError("this model has no biases to train")
    return names


def wrong_02c_sounds_like_bias(model):
    names = [n for n, _ in model.named_parameters() if "bias" in n]
    if not any(n.endswith("bias") for n in names):
        raise ValueError("this model has no biases to train")
    return names


def wrong_02c_norms_left_out(model):
    names = [
        name
        for name, _ in model.named_parameters()
        if name.endswith(".bias") and "norm" not in name
    ]
    if not names:
        raise ValueError("this model has no biases to train")
    return names


def wrong_02c_module_names(model):
    return [
        name
        for name, module in model.named_modules()
        if getattr(module, "bias", None) is not None
    ]


VARIANTS_02C = {"module by module": variant_02c}
WRONG_02C = {
    "norms' weights too": (
        "weights of norms",
        wrong_02c_weights_of_norms,
    ),
    "only the attention's biases": (
        "attention only",
        wrong_02c_attention_only,
    ),
    "an empty list, silently": ("silent", wrong_02c_silent),
    "returns the error": ("returned", wrong_02c_returned),
    "'bias' anywhere in the name": (
        "sounds like bias",
        wrong_02c_sounds_like_bias,
    ),
    "without the norms": ("norms left out", wrong_02c_norms_left_out),
    "linear layers only": (
        "norms left out",
        wrong_02c_linear_layers_only,
    ),
    "modules, not parameters": (
        "module names",
        wrong_02c_module_names,
    ),
}
