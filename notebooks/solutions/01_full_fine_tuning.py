"""Solutions of notebook 01.

Also other right ways, and the usual wrong answers, each beside the
diagnosis that its checker gives.
"""

import torch

from peft_lab import scored_nll

parameters = 1_234_567  # stands for the notebook's

# ---- 01a: mask_labels ------------------------------------------------


def solution_01a(input_ids, source_length, pad_id):
    labels = input_ids.clone()  # (T,)
    labels[:source_length] = -100  # given, not asked for
    labels[input_ids == pad_id] = -100
    return labels


def variant_01a(input_ids, source_length, pad_id):
    place = torch.arange(len(input_ids))
    scored = (place >= source_length) & (input_ids != pad_id)
    return torch.where(scored, input_ids, -100)


def wrong_01a_zero(input_ids, source_length, pad_id):
    labels = input_ids.clone()
    labels[:source_length] = 0
    labels[input_ids == pad_id] = -100
    return labels


def wrong_01a_zero_2(input_ids, source_length, pad_id):
    labels = input_ids.clone()
    labels[:source_length] = pad_id
    return labels


def wrong_01a_shifted(input_ids, source_length, pad_id):
    labels = input_ids.clone()
    labels[:source_length] = -100
    labels[input_ids == pad_id] = -100
    return torch.cat([labels[1:], torch.tensor([-100])])


def wrong_01a_eos_masked(input_ids, source_length, pad_id):
    labels = input_ids.clone()
    labels[:source_length] = -100
    labels[input_ids == pad_id] = -100
    last = (labels != -100).nonzero()[-1]
    labels[last] = -100
    return labels


def wrong_01a_off_by_one(input_ids, source_length, pad_id):
    labels = input_ids.clone()
    labels[: source_length - 1] = -100
    labels[input_ids == pad_id] = -100
    return labels


def wrong_01a_off_by_one_2(input_ids, source_length, pad_id):
    labels = input_ids.clone()
    labels[: source_length + 1] = -100
    labels[input_ids == pad_id] = -100
    return labels


def wrong_01a_padding_scored(input_ids, source_length, pad_id):
    labels = input_ids.clone()
    labels[:source_length] = -100
    return labels


def wrong_01a_target_masked(input_ids, source_length, pad_id):
    labels = input_ids.clone()
    labels[source_length:] = -100
    return labels


def wrong_01a_changed_input(input_ids, source_length, pad_id):
    labels = input_ids
    labels[:source_length] = -100
    labels[input_ids == pad_id] = -100
    return labels


def wrong_01a_plus_100(input_ids, source_length, pad_id):
    labels = input_ids.clone()
    labels[:source_length] = 100
    labels[input_ids == pad_id] = 100
    return labels


def wrong_01a_source_scored(input_ids, source_length, pad_id):
    labels = input_ids.clone()
    labels[input_ids == pad_id] = -100
    return labels


def wrong_01a_floats(input_ids, source_length, pad_id):
    place = torch.arange(len(input_ids))
    scored = (place >= source_length) & (input_ids != pad_id)
    return torch.where(scored, input_ids.float(), -100.0)


VARIANTS_01A = {"by position, with torch.where": variant_01a}
WRONG_01A = {
    "0 in place of -100": ("zero", wrong_01a_zero),
    "the pad id in place of -100": ("zero", wrong_01a_zero_2),
    "shifts by hand": ("shifted", wrong_01a_shifted),
    "masks eos": ("eos masked", wrong_01a_eos_masked),
    "scores the source's last token": (
        "off by one",
        wrong_01a_off_by_one,
    ),
    "masks the target's first token": (
        "off by one",
        wrong_01a_off_by_one_2,
    ),
    "forgets the padding": ("padding scored", wrong_01a_padding_scored),
    "masks the poem": ("target masked", wrong_01a_target_masked),
    "no copy": ("changed input", wrong_01a_changed_input),
    "100 in place of -100": ("plus 100", wrong_01a_plus_100),
    "forgets the source": ("source scored", wrong_01a_source_scored),
    "labels as floats": ("floats", wrong_01a_floats),
}

# ---- 01b: forgetting -------------------------------------------------


def solution_01b(before, after, held_out):
    def loss(model):
        model.eval()
        nats = tokens = 0
        for batch in held_out["stories"]:
            with torch.no_grad():
                total, count = scored_nll(model, batch)
            nats += total.item()
            tokens += count
        return nats / tokens

    return loss(after) - loss(before)


def variant_01b(before, after, held_out):
    losses = []
    with torch.no_grad():
        for model in (before.eval(), after.eval()):
            sums = [scored_nll(model, b) for b in held_out["stories"]]
            nats = torch.stack([s for s, _ in sums]).sum()
            losses.append(nats / sum(n for _, n in sums))
    return losses[1] - losses[0]


def wrong_01b_mean_of_means(before, after, held_out):
    def loss(model):
        model.eval()
        means = []
        for batch in held_out["stories"]:
            total, count = scored_nll(model, batch)
            means.append(total.item() / count)
        return sum(means) / len(means)

    return loss(after) - loss(before)


def wrong_01b_sign(before, after, held_out):
    def loss(model):
        model.eval()
        pairs = [scored_nll(model, b) for b in held_out["stories"]]
        return sum(s.item() for s, _ in pairs) / sum(
            n for _, n in pairs
        )

    return loss(before) - loss(after)


def wrong_01b_poems(before, after, held_out):
    def loss(model):
        model.eval()
        pairs = [scored_nll(model, b) for b in held_out["poems"]]
        return sum(s.item() for s, _ in pairs) / sum(
            n for _, n in pairs
        )

    return loss(after) - loss(before)


def wrong_01b_train_mode(before, after, held_out):
    def loss(model):
        pairs = [scored_nll(model, b) for b in held_out["stories"]]
        return sum(s.item() for s, _ in pairs) / sum(
            n for _, n in pairs
        )

    return loss(after) - loss(before)


def wrong_01b_no_difference(before, after, held_out):
    after.eval()
    pairs = [scored_nll(after, b) for b in held_out["stories"]]
    return sum(s.item() for s, _ in pairs) / sum(n for _, n in pairs)


def wrong_01b_sum(before, after, held_out):
    def nats(model):
        model.eval()
        pairs = [scored_nll(model, b) for b in held_out["stories"]]
        return sum(s.item() for s, _ in pairs)

    return nats(after) - nats(before)


def wrong_01b_stories_and_poems(before, after, held_out):
    def loss(model):
        model.eval()
        batches = held_out["stories"] + held_out["poems"]
        pairs = [scored_nll(model, b) for b in batches]
        return sum(s.item() for s, _ in pairs) / sum(
            n for _, n in pairs
        )

    return loss(after) - loss(before)


def wrong_01b_per_batch(before, after, held_out):
    def loss(model):
        model.eval()
        batches = held_out["stories"]
        pairs = [scored_nll(model, b) for b in batches]
        return sum(s.item() for s, _ in pairs) / len(batches)

    return loss(after) - loss(before)


def wrong_01b_one_batch(before, after, held_out):
    def loss(model):
        model.eval()
        nats, count = scored_nll(model, held_out["stories"][0])
        return nats.item() / count

    return loss(after) - loss(before)


VARIANTS_01B = {"two passes, one list": variant_01b}
WRONG_01B = {
    "mean of the batches' means": (
        "mean of means",
        wrong_01b_mean_of_means,
    ),
    "before minus after": ("sign", wrong_01b_sign),
    "measured on the poems": ("poems", wrong_01b_poems),
    "dropout is on": ("train mode", wrong_01b_train_mode),
    "the loss after, alone": ("no difference", wrong_01b_no_difference),
    "not divided": ("sum", wrong_01b_sum),
    "divided by the batches": ("per batch", wrong_01b_per_batch),
    "the first batch alone": ("one batch", wrong_01b_one_batch),
    "measured on everything": (
        "stories and poems",
        wrong_01b_stories_and_poems,
    ),
}

# ---- 01c: predicted_bytes --------------------------------------------

solution_01c = 16 * parameters  # value, gradient, two moments

variant_01c = (4 + 4 + 4 + 4) * parameters

wrong_01c_weights_only = 4 * parameters

wrong_01c_no_optimiser = 8 * parameters

wrong_01c_one_moment = 12 * parameters

wrong_01c_per_parameter = 16

variant_01c_counters = 16 * parameters + 4 * 66  # of 66 tensors

wrong_01c_megabytes = round(16 * parameters / 1e6, 2)

VARIANTS_01C = {
    "in words": variant_01c,
    "with the step counters": variant_01c_counters,
}
WRONG_01C = {
    "4P": ("weights only", wrong_01c_weights_only),
    "8P": ("no optimiser", wrong_01c_no_optimiser),
    "12P": ("one moment", wrong_01c_one_moment),
    "not multiplied": ("per parameter", wrong_01c_per_parameter),
    "in megabytes": ("unit", wrong_01c_megabytes),
}
