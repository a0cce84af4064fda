"""Solutions of notebook 00.

Also other right ways, and the usual wrong answers, each beside the
diagnosis that its checker gives.
"""

import hashlib
from types import SimpleNamespace

import torch

config = SimpleNamespace(hidden_size=128, num_hidden_layers=4)
config.vocab_size = 4096
model = SimpleNamespace(config=config)  # stands for the notebook's

# ---- 00a: snapshot and weights_changed -------------------------------


def solution_00a_snapshot(model):
    return {
        name: p.detach().clone() for name, p in model.named_parameters()
    }


def solution_00a_weights_changed(before, after):
    return [
        name
        for name in before
        if not torch.equal(before[name], after[name])
    ]


def variant_00a_snapshot(model):
    return {n: t.clone() for n, t in model.state_dict().items()}


def variant_00a_weights_changed(before, after):
    def digest(tensor):
        data = tensor.contiguous().numpy().tobytes()
        return hashlib.sha256(data).hexdigest()

    changed = []
    for name, tensor in before.items():
        if digest(tensor) != digest(after[name]):
            changed.append(name)
    return changed


def wrong_00a_references_snapshot(model):
    return dict(model.named_parameters())


def wrong_00a_references_weights_changed(before, after):
    return [n for n in before if not torch.equal(before[n], after[n])]


def wrong_00a_trained_only_snapshot(model):
    return {
        n: p.detach().clone()
        for n, p in model.named_parameters()
        if p.requires_grad
    }


def wrong_00a_arrays_snapshot(model):
    return {
        n: p.detach().numpy().copy()
        for n, p in model.named_parameters()
    }


def wrong_00a_arrays_weights_changed(before, after):
    return [n for n in before if (before[n] != after[n]).any()]


def wrong_00a_rounded_snapshot(model):
    return {n: p.detach().half() for n, p in model.named_parameters()}


def wrong_00a_method_tensors_weights_changed(before, after):
    return [
        n
        for n in after
        if n not in before or not torch.equal(before[n], after[n])
    ]


def wrong_00a_close_is_not_equal_weights_changed(before, after):
    return [
        n for n in before if not torch.allclose(before[n], after[n])
    ]


def wrong_00a_sums_weights_changed(before, after):
    return [
        n
        for n in before
        if before[n].double().sum() != after[n].double().sum()
    ]


def wrong_00a_inverted_weights_changed(before, after):
    return [n for n in before if torch.equal(before[n], after[n])]


VARIANTS_00A = {
    "hashes of the bytes": (
        variant_00a_snapshot,
        variant_00a_weights_changed,
    )
}
WRONG_00A = {
    "keeps references, not copies": (
        "references",
        (
            wrong_00a_references_snapshot,
            wrong_00a_references_weights_changed,
        ),
    ),
    "takes what is trained, and that only": (
        "frozen missing",
        (wrong_00a_trained_only_snapshot, solution_00a_weights_changed),
    ),
    "copies into NumPy": (
        "no tensors",
        (wrong_00a_arrays_snapshot, wrong_00a_arrays_weights_changed),
    ),
    "rounds to half precision": (
        "other values",
        (wrong_00a_rounded_snapshot, solution_00a_weights_changed),
    ),
    "counts the method's own tensors": (
        "method's tensors",
        (
            solution_00a_snapshot,
            wrong_00a_method_tensors_weights_changed,
        ),
    ),
    "allclose": (
        "close is not equal",
        (
            solution_00a_snapshot,
            wrong_00a_close_is_not_equal_weights_changed,
        ),
    ),
    "compares sums": (
        "sums",
        (solution_00a_snapshot, wrong_00a_sums_weights_changed),
    ),
    "lists those that stayed": (
        "inverted",
        (solution_00a_snapshot, wrong_00a_inverted_weights_changed),
    ),
}

# ---- 00b: votes ------------------------------------------------------

solution_00b = {
    1: "true",
    2: "false",
    3: "not by a hash",
    4: "not by a hash",
    5: "not by a hash",
}

variant_00b = {
    1: True,
    2: False,
    3: "not by a hash",
    4: "Not by a hash",
    5: "not by a hash.",
}

wrong_00b_quality_by_hash = {
    1: "true",
    2: "false",
    3: "not by a hash",
    4: "not by a hash",
    5: "true",
}

wrong_00b_place_by_hash = {
    1: "true",
    2: "false",
    3: "not by a hash",
    4: "true",
    5: "not by a hash",
}

wrong_00b_places_by_hash = {
    1: "true",
    2: "false",
    3: "true",
    4: "true",
    5: "not by a hash",
}

wrong_00b_by_authority = {
    1: "true",
    2: "true",
    3: "not by a hash",
    4: "not by a hash",
    5: "not by a hash",
}

wrong_00b_addition_by_hash = {
    1: "true",
    2: "false",
    3: "true",
    4: "not by a hash",
    5: "not by a hash",
}

wrong_00b_too_careful = {n: "not by a hash" for n in range(1, 6)}

VARIANTS_00B = {"truth values where a hash decides": variant_00b}
WRONG_00B = {
    "takes 'as well' for decidable": (
        "quality by hash",
        wrong_00b_quality_by_hash,
    ),
    "takes 'every layer' for decidable": (
        "place by hash",
        wrong_00b_place_by_hash,
    ),
    "takes both places for decidable": (
        "places by hash",
        wrong_00b_places_by_hash,
    ),
    "believes the glossary": ("by authority", wrong_00b_by_authority),
    "takes 'prepends' for decidable": (
        "addition by hash",
        wrong_00b_addition_by_hash,
    ),
    "trusts no hash": ("too careful", wrong_00b_too_careful),
}

# ---- 00c: predicted_bytes --------------------------------------------

solution_00c = 10 * model.config.hidden_size * 4

variant_00c = torch.zeros(10, model.config.hidden_size).nbytes

wrong_00c_elements = 10 * model.config.hidden_size

wrong_00c_times_layers = (
    10 * model.config.hidden_size * 4 * model.config.num_hidden_layers
)

wrong_00c_whole_vocabulary = (
    model.config.vocab_size * model.config.hidden_size * 4
)

wrong_00c_bits = 10 * model.config.hidden_size * 32

wrong_00c_float16 = 10 * model.config.hidden_size * 2

VARIANTS_00C = {"asks a tensor": variant_00c}
WRONG_00C = {
    "counts numbers, not bytes": ("elements", wrong_00c_elements),
    "one set for each layer": ("times layers", wrong_00c_times_layers),
    "the whole table": ("whole vocabulary", wrong_00c_whole_vocabulary),
    "bits for bytes": ("bits", wrong_00c_bits),
    "two bytes a number": ("float16", wrong_00c_float16),
}
