"""Exercises of notebook 01: which tokens are scored, what was forgotten, what AdamW keeps in
memory."""

import torch
from torch import nn

from ..evaluation import scored_nll
from .core import NOTHING, Sheet, brief, copied, exercise, number, same

# --- 01a ----------------------------------------------------------------------


def mask_labels(input_ids: torch.Tensor, source_length: int, pad_id: int) -> torch.Tensor:
    """Labels (T,) for a row [source | target, eos | pad]: the ids where scored, -100 elsewhere,
    not shifted."""
    labels = input_ids.clone()  # (T,)
    labels[:source_length] = -100
    labels[input_ids == pad_id] = -100
    return labels


@exercise("01a", "mask_labels", mask_labels)
def check_01a(sheet: Sheet, answer) -> None:
    """``mask_labels(input_ids (T,), source_length, pad_id) -> labels (T,)``."""
    bos, eos, pad = 1, 2, 0
    long = torch.tensor([bos, 17, 23, 9, 31, 40, 52, eos, pad, pad])
    rows = {
        "a request of 4 tokens, its poem, eos (2), padding (0)": (long, 4),
        "a text without request: only bos (1) is given": (torch.tensor([bos, 31, 40, 52, eos]), 1),
    }
    got = []
    for caption, (ids, length) in rows.items():
        value = sheet.attempt(answer, ids, length, pad)
        got.append(value)
        sheet.note(caption)
        sheet.lines.append(f"    input   {brief(ids)}")
        sheet.case("labels", mask_labels(ids, length, pad), value)
    for value in got:
        sheet.broken(value)
    ids, labels = long, got[0]
    sheet.wrong(
        "not a tensor",
        "Labels are a tensor, as long as input_ids. Start from input_ids.clone().",
        not _tensor(labels),
    )
    target = mask_labels(ids, 4, pad)
    sheet.wrong(
        "floats",
        "Right numbers, but floats: labels must stay integers, as input_ids are. "
        "(torch.where(place, -100, input_ids) keeps them so.)",
        labels.is_floating_point() and torch.equal(labels, target.to(labels.dtype)),
    )
    sheet.wrong(
        "length",
        f"input_ids has {len(ids)} places, your labels have {len(labels)}: one label a place.",
        len(labels) not in (len(ids), len(ids) - 1),
    )
    shifted = torch.cat([target[1:], torch.tensor([-100])])
    sheet.wrong(
        "shifted",
        "You moved the labels one place to the left. The model's loss does that itself, so it "
        "would happen twice. Labels stand under the token they name.",
        same(labels, shifted) or same(labels[:-1], ids[1:]) or same(labels[:7], shifted[:7]),
    )
    sheet.wrong(
        "plus 100",
        "You wrote 100. Only -100, with its minus, is left out of the loss; 100 is a token like "
        "any other.",
        bool((labels == 100).any()),
    )
    sheet.wrong(
        "zero",
        "You put 0 where -100 belongs. 0 is a token like any other, and the model would be taught "
        "to write it; only -100 is left out of the loss.",
        bool((labels[1:4] == 0).all()) or bool((labels[1:4] == pad).all()),
    )
    sheet.wrong(
        "mask instead of labels",
        "That looks like a mask of truth values. Labels hold the ids of the scored tokens and "
        "-100 elsewhere.",
        set(labels.long().tolist()) <= {0, 1},
    )
    sheet.wrong(
        "target masked",
        "You masked the poem and kept the request. The request is given, the poem is to be "
        "learned.",
        bool((labels[4:7] == -100).all()),
    )
    sheet.wrong(
        "source scored",
        "The source is still scored: the first source_length places (here 4) must hold -100.",
        bool((labels[1:4] == ids[1:4]).all()),
    )
    sheet.wrong(
        "padding scored",
        "The padding at the end is still scored. Where input_ids is pad_id there is nothing to "
        "learn: -100 there too.",
        bool((labels[8:] != -100).any()),
    )
    sheet.wrong(
        "eos masked",
        "eos (here 2) is masked. The model must learn where a poem ends, or it will never stop: "
        "score it.",
        int(labels[7]) == -100,
    )
    sheet.wrong(
        "off by one",
        "The border between source and target is off by one. source_length counts all tokens of "
        "the source, so the first scored place is exactly input_ids[source_length].",
        int(labels[3]) != -100 or int(labels[4]) == -100,
    )
    sheet.finish(
        all(same(v, mask_labels(i, n, pad)) for v, (i, n) in zip(got, rows.values(), strict=True))
    )


def _tensor(value) -> bool:
    return isinstance(value, torch.Tensor) and value.ndim == 1


# --- 01b ----------------------------------------------------------------------


def forgetting(before: nn.Module, after: nn.Module, held_out: dict[str, list[dict]]) -> float:
    """How much worse ``after`` is than ``before`` on the held-out stories, in nats a token.
    Positive: forgotten."""

    def loss(model: nn.Module) -> float:
        training = model.training
        model.eval()
        with torch.no_grad():
            pairs = [scored_nll(model, batch) for batch in held_out["stories"]]
        model.train(training)
        return float(sum(nats for nats, _ in pairs)) / sum(count for _, count in pairs)

    return loss(after) - loss(before)


class _Toy(nn.Module):
    """A bigram table with dropout: enough of a language model to be scored."""

    def __init__(self, seed: int):
        super().__init__()
        make = torch.Generator().manual_seed(seed)
        self.table = nn.Parameter(torch.randn(12, 12, generator=make))
        self.dropout = nn.Dropout(0.5)

    def forward(self, input_ids, attention_mask=None, labels=None, **_):
        logits = self.dropout(self.table)[input_ids]  # (B, T, V)
        loss = None
        if labels is not None:  # as transformers computes it
            loss = nn.functional.cross_entropy(
                logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten()
            )
        return type("Output", (), {"logits": logits, "loss": loss})


def _batches(seed: int) -> list[dict]:
    make = torch.Generator().manual_seed(seed)
    batches = []
    for rows, length in ((4, 9), (1, 3)):  # very unequal, so that a mean of means shows
        ids = torch.randint(3, 12, (rows, length), generator=make)
        labels = ids.clone()
        labels[:, 0] = -100
        batches.append({"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": labels})
    return batches


@exercise("01b", "forgetting", forgetting)
def check_01b(sheet: Sheet, answer) -> None:
    """``forgetting(before, after, held_out) -> float``: models, and {"stories": batches,
    "poems": batches}."""
    held_out = {"stories": _batches(0), "poems": _batches(1)}
    for name, batches in held_out.items():
        sizes = " and ".join(str(int((b["labels"] != -100).sum())) for b in batches)
        sheet.note(f"{name}: two held-out batches of {sizes} scored tokens")
    before, after = _Toy(2).train(), _Toy(3).train()  # as training leaves them
    target = forgetting(before, after, held_out)
    before.train(), after.train()
    value = sheet.attempt(answer, copied(before), copied(after), held_out)
    again = sheet.attempt(answer, copied(before), copied(after), held_out)
    shown = value if number(value) is None else float(number(value))
    noisy = number(value) is not None and not same(value, number(again), 1e-6)
    sheet.case(
        "forgetting, in nats a token", target, "another number at each call" if noisy else shown
    )
    sheet.broken(value, {"scored_nll": ("raises", "Import it: from peft_lab import scored_nll.")})
    sheet.wrong(
        "not a number",
        "One number was expected: nats a token. Does .item() help?",
        number(value) is None,
    )
    sheet.wrong(
        "train mode",
        "The same question twice, and two answers: dropout is at work. These models come out of "
        "training in train mode; call .eval() before you measure.",
        noisy,
    )
    means = _variant(before, after, held_out["stories"], means=True)
    sheet.wrong(
        "sign",
        "The size is right, the sign is not: a loss that rose is a positive number here. After "
        "minus before.",
        same(value, -target, 1e-4) or same(value, -means, 1e-4),
    )
    poems = [_variant(before, after, held_out["poems"], means=m) for m in (False, True)]
    sheet.wrong(
        "poems",
        "You measured on the poems. That is what the model learned; what it forgot shows on the "
        "held-out stories.",
        any(same(value, p, 1e-4) for p in poems),
    )
    sheet.wrong(
        "stories and poems",
        "You measured on the stories and the poems together. What was forgotten shows on the "
        "held-out stories alone.",
        any(same(value, both, 1e-4) for both in _together(before, after, held_out)),
    )
    sheet.wrong(
        "mean of means",
        "You averaged the batches' means, so a token of the small batch weighs sixteen times one "
        "of the large batch. Add up the nats, add up the tokens, divide once.",
        same(value, means, 1e-4),
    )
    total = target * sum(int((b["labels"] != -100).sum()) for b in held_out["stories"])
    sheet.wrong(
        "sum", "That is the sum over all tokens. Divide by their number.", same(value, total, 1e-4)
    )
    sheet.wrong(
        "per batch",
        "You divided the nats by the number of batches. The loss is a number a token: divide by "
        "the number of scored tokens.",
        same(value, total / len(held_out["stories"]), 1e-4),
    )
    single = [_variant(before, after, [batch], means=False) for batch in held_out["stories"]]
    sheet.wrong(
        "one batch",
        'Only one batch was scored. held_out["stories"] is a list of batches: go through all of '
        "them, and add up.",
        any(same(value, one, 1e-4) for one in single),
    )
    alone = [_loss(m.eval(), held_out["stories"], means=False) for m in (before, after)]
    sheet.wrong(
        "no difference",
        "That is one model's loss. Forgetting is the difference that training made: after minus "
        "before.",
        any(same(value, a, 1e-4) for a in alone),
    )
    ok = same(value, target, 1e-4)
    general = (
        "Not yet, and not one of the usual slips. For each model: which texts are scored, what is "
        "added up, and what divided, once?"
    )
    sheet.finish(ok, general)


def _together(before: nn.Module, after: nn.Module, held_out: dict) -> list[float]:
    """What one gets from stories and poems: all batches as one, or the two differences added, or
    their mean."""
    ways = []
    for means in (False, True):
        every = [batch for batches in held_out.values() for batch in batches]
        each = [_variant(before, after, batches, means=means) for batches in held_out.values()]
        ways += [_variant(before, after, every, means=means), sum(each), sum(each) / len(each)]
    return ways


def _loss(model: nn.Module, batches: list[dict], *, means: bool) -> float:
    with torch.no_grad():
        pairs = [scored_nll(model, b) for b in batches]
    if means:
        return float(sum(n / c for n, c in pairs)) / len(pairs)
    return float(sum(n for n, _ in pairs)) / sum(c for _, c in pairs)


def _variant(before: nn.Module, after: nn.Module, batches: list[dict], *, means: bool) -> float:
    return _loss(after.eval(), batches, means=means) - _loss(before.eval(), batches, means=means)


# --- 01c ----------------------------------------------------------------------


def training_bytes(*, parameters: int) -> int:
    """Bytes of weights, gradients and AdamW's two moments in float32, without activations."""
    return 16 * parameters


_UNITS = {"kilobytes": (1e3, 2**10), "megabytes": (1e6, 2**20), "gigabytes": (1e9, 2**30)}


@exercise("01c", "bytes to train every parameter with AdamW", training_bytes, prediction=True)
def check_01c(sheet: Sheet, predicted, *, parameters: int) -> None:
    """``predicted``: bytes kept for ``parameters`` float32 parameters trained by AdamW, without
    activations."""
    value, empty = number(predicted), predicted is None or predicted is ...
    sheet.note(f"{parameters:,} parameters, all trained, float32, AdamW; activations not counted")
    if value is None:
        shown = "(nothing yet)" if empty else repr(predicted)
    else:
        shown = f"{value:,.0f} bytes, {value / parameters:g} a parameter"
    sheet.note(f"  yours   {shown}")
    sheet.broken(NOTHING if empty else True)
    sheet.wrong("not a number", "A number of bytes was expected.", value is None)
    target = training_bytes(parameters=parameters)
    slips = [
        (
            "per parameter",
            f"That is what one parameter takes. There are {parameters:,} of them.",
            [16],
        ),
        (
            "weights only",
            "4 bytes a parameter are the weights alone: enough to use the model, not to train it. "
            "What does loss.backward() add, and what does the optimiser remember?",
            [4 * parameters],
        ),
        (
            "no optimiser",
            "8 bytes a parameter are weights and gradients: plain SGD. AdamW remembers two more "
            "numbers for each parameter.",
            [8 * parameters],
        ),
        (
            "one moment",
            "12 bytes a parameter hold one moment. AdamW keeps two: a running mean of the "
            "gradient and one of its square.",
            [12 * parameters],
        ),
        (
            "elements",
            "That is a count of numbers. Each takes 4 bytes in float32.",
            [count * parameters for count in (1, 2, 3)],
        ),
    ]
    sheet.slips(value, target, slips)
    likely = {count * parameters for count in (4, 8, 12, 16)}  # bytes
    for unit, sizes in _UNITS.items():
        sheet.wrong(
            "unit",
            f"That looks like {unit}, and rounded. Give bytes, to the last digit: a product with "
            "`parameters` in it.",
            value < parameters
            and any(abs(value * s / count - 1) < 0.02 for s in sizes for count in likely),
        )
    more = value - target  # 4 bytes a tensor, and a tensor has hundreds of numbers
    counted = 0 < more <= 4 * parameters / 100 and more % 4 == 0
    text = "4 for the weight, 4 for its gradient, 8 for AdamW's two moments."
    if counted:
        text += (
            " And you thought of AdamW's step counters, 4 bytes a tensor: "
            f"{more / 4:,.0f} tensors. Without them it is {target:,}."
        )
    general = (
        "Not yet. Count the numbers kept for each parameter (its value is one), times 4 bytes."
    )
    sheet.finish(value == target or counted, general, right=text)
