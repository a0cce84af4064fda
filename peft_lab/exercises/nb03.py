"""Exercises of notebook 03: putting vectors before the text, what follows from it, where they
start."""

import itertools

import torch

from .core import Failure, Sheet, exercise, same, shape

# --- 03a ----------------------------------------------------------------------


def prepend(prompt: torch.Tensor, embeds: torch.Tensor) -> torch.Tensor:
    """The prompt (n, d) before each row of embeds (B, T, d): (B, n+T, d)."""
    rows = prompt.expand(embeds.shape[0], -1, -1)  # (B, n, d)
    return torch.cat([rows, embeds], dim=1)  # (B, n+T, d)


@exercise("03a", "prepend", prepend)
def check_03a(sheet: Sheet, answer) -> None:
    """``prepend(prompt (n, d), embeds (B, T, d)) -> (B, n+T, d)``."""
    results = []
    for rows, n, length in ((2, 2, 3), (3, 3, 3), (1, 2, 3)):
        prompt = torch.arange(1.0, n + 1)[:, None].expand(n, 4).clone().requires_grad_()
        embeds = 10.0 * torch.arange(1, rows + 1)[:, None, None] + torch.arange(length)[
            None, :, None
        ].expand(1, -1, 4)
        target = prepend(prompt, embeds)
        value = sheet.attempt(answer, prompt, embeds)
        results.append((value, target, prompt, embeds))
        sheet.case(f"prompt {shape(prompt)}, embeds {shape(embeds)}", _seen(target), _seen(value))
    first, square, single = results
    only_one = isinstance(single[0], torch.Tensor) and shape(single[0]) == shape(single[1])
    failures = [v for v, *_ in results if isinstance(v, Failure)]
    expand = (
        "The prompt has no batch dimension, the embeddings have one. Each row of the batch gets "
        "the same prompt: give it a first dimension of size B (look at .expand)."
    )
    sheet.wrong("no expand", expand, bool(failures) and only_one)
    for failure in failures:
        said = str(failure.error)
        lacks_dimension = (
            "same number of dimensions" in said or "Sizes of tensors must match" in said
        )
        sheet.wrong(
            "no expand",
            f"torch.cat said: {said[:80]}. {expand}",
            lacks_dimension and not _wrong_dim(square),
        )
        wrong_dim = "Sizes of tensors must match" in said
        sheet.wrong("wrong dimension", _WRONG_DIM, wrong_dim)
    for value, *_ in results:
        sheet.broken(value)
    sheet.wrong("wrong dimension", _WRONG_DIM, _wrong_dim(square))
    appended = torch.cat([square[3], square[1][:, :3]], dim=1)
    sheet.wrong(
        "appended",
        "The prompt stands after the text. A causal model reads from left to right: what comes "
        "last can change nothing that was said before it. Put it first.",
        same(square[0], appended),
    )
    sheet.wrong(
        "added",
        "You added the prompt to the embeddings. It gets places of its own, before them: the row "
        "grows by n.",
        shape(first[0]) == shape(first[3]),
    )
    sheet.wrong(
        "no gradient",
        "The numbers are right, and no gradient comes through to the prompt: it would never "
        "learn. Is there a .detach(), .data or torch.tensor(...) in it?",
        all(same(v, t) for v, t, *_ in results) and not first[0].requires_grad,
    )
    sheet.finish(all(same(v, t) for v, t, *_ in results))


_WRONG_DIM = (
    "You joined along the wrong dimension. (B, T, d): dimension 0 counts the rows, 1 the places, "
    "2 the numbers of a vector. The prompt adds places."
)


def _wrong_dim(square: tuple) -> bool:
    """With B = n = T = 3 the wrong dimension works, and shows."""
    value = square[0]
    return isinstance(value, torch.Tensor) and shape(value) in ((6, 3, 4), (4, 3, 4), (3, 3, 8))


def _seen(value):
    if not isinstance(value, torch.Tensor) or value.ndim != 3:
        return value if not isinstance(value, torch.Tensor) else f"shape {shape(value)}"
    begin = value.detach()[-1, :, 0].tolist()
    return f"{str(shape(value)):<10} last row: " + "  ".join(f"{v:g}" for v in begin)


# --- 03b ----------------------------------------------------------------------


def align(mask: torch.Tensor, labels: torch.Tensor, logits: torch.Tensor, n: int) -> tuple:
    """Mask (B, n+T), labels (B, n+T), and the logits of the real tokens (B, T, V), when n
    vectors came first."""
    ones = torch.ones(mask.shape[0], n, dtype=mask.dtype)  # (B, n)
    mask = torch.cat([ones, mask], dim=1)  # (B, n+T)
    labels = torch.cat([torch.full_like(ones, -100), labels], dim=1)  # (B, n+T)
    return mask, labels, logits[:, n:]  # (B, T, V)


@exercise("03b", "align", align)
def check_03b(sheet: Sheet, answer) -> None:
    """``align(mask (B, T), labels (B, T), logits (B, n+T, V), n) -> mask (B, n+T), labels (B,
    n+T), logits (B, T, V)``."""
    n, length, vocabulary = 2, 4, 3
    mask = torch.tensor([[1, 1, 1, 1], [1, 1, 1, 0]])
    labels = torch.tensor([[-100, 31, 40, 2], [-100, 52, 2, -100]])
    places = torch.arange(n + length, dtype=torch.float32)
    logits = places[None, :, None].expand(2, -1, vocabulary).clone()
    target = align(mask, labels, logits, n)
    value = sheet.attempt(answer, mask, labels, logits, n)
    got = tuple(value) if isinstance(value, (tuple, list)) else (value,) * 3
    got = (*got, None, None, None)[:3]
    sheet.note(f"n = {n} vectors before rows of T = {length} tokens")
    sheet.case("mask", target[0], got[0])
    sheet.case("labels", target[1], got[1])
    sheet.case("logits kept: places of [0 … 5]", _places(target[2]), _places(got[2]))
    sheet.broken(value)
    sheet.wrong(
        "not three",
        "Three things come back: return mask, labels, logits.",
        not isinstance(value, (tuple, list)) or len(value) != 3,
    )
    sheet.wrong(
        "not a tensor",
        "Each of the three is a tensor.",
        any(not isinstance(v, torch.Tensor) for v in got),
    )
    sheet.wrong(
        "swapped",
        "Mask and labels have changed places in your return: first the mask, then the labels.",
        same(got[0], target[1]) and same(got[1], target[0]),
    )
    sheet.wrong(
        "order",
        "All three are right, but not in their places: first the mask, then the labels, then the "
        "logits.",
        any(same([got[i] for i in order], target) for order in ORDERS),
    )
    sheet.wrong(
        "float mask",
        "The numbers of your mask or labels are right, but they are floats. The new columns need "
        "the type of the old ones: mask.new_ones(...), labels.new_full(...).",
        any(
            isinstance(g, torch.Tensor) and g.is_floating_point() and same(g.long(), t)
            for g, t in zip(got[:2], target[:2], strict=True)
        ),
    )
    sheet.wrong(
        "mask not extended",
        "The mask is as long as before. The model now sees n + T places; without n more ones, the "
        "last tokens fall off or the shapes disagree.",
        shape(got[0]) == shape(mask),
    )
    sheet.wrong(
        "mask of zeros",
        "The new columns of the mask are 0: the model may not look at its prompt, and it could as "
        "well not be there.",
        shape(got[0]) == shape(target[0]) and bool((got[0][:, :n] == 0).all()),
    )
    sheet.wrong(
        "padding visible",
        "Your mask is 1 everywhere, so the padding has become visible. Keep the old mask, and put "
        "n ones before it.",
        shape(got[0]) == shape(target[0]) and bool((got[0] == 1).all()),
    )
    sheet.wrong(
        "right end",
        "You lengthened mask or labels at the end. The vectors stand before the text, and their "
        "columns too.",
        same(got[0], torch.cat([mask, torch.ones_like(mask[:, :n])], 1))
        or same(got[1], torch.cat([labels, torch.full_like(mask[:, :n], -100)], 1)),
    )
    sheet.wrong(
        "labels zero",
        "You gave the prompt labels of 0. That is a token, and the model would be scored for "
        "writing it at each place of the prompt; -100 is left out of the loss.",
        shape(got[1]) == shape(target[1]) and bool((got[1][:, :n] == 0).all()),
    )
    sheet.wrong(
        "labels not extended",
        "The labels are as long as before: n places more.",
        shape(got[1]) == shape(labels),
    )
    kept = got[2]
    sheet.wrong(
        "one too many",
        "You keep one place too many: the last vector's. Then T + 1 logits lie over T labels, and "
        "each label lies one place off. Cut exactly n.",
        shape(kept) == (2, length + 1, vocabulary),
    )
    sheet.wrong(
        "shifted",
        "You shifted the logits: each row now stands one place too early. The shift comes later, "
        "in the loss. Cut exactly n in front, and nothing at the end.",
        same(kept, logits[:, n - 1 : -1]),
    )
    sheet.wrong(
        "cut at the end",
        "You cut n places at the end: those are the last tokens', and the prompt's are kept. Cut "
        "at the front.",
        same(kept, logits[:, :-n]),
    )
    sheet.wrong(
        "rows cut",
        "You cut the rows of the batch, not the places. The first dimension counts the rows: "
        "logits[:, n:].",
        same(kept, logits[n:]),
    )
    sheet.wrong(
        "one too few",
        "One place is lost at the end. The shift by one comes later, in the loss. Cut exactly n in "
        "front, and nothing at the end.",
        same(kept, logits[:, n:-1]),
    )
    sheet.wrong(
        "not trimmed",
        "The logits are as long as they came. Keep the T real places.",
        shape(kept) == shape(logits),
    )
    sheet.finish(all(same(g, t) for g, t in zip(got, target, strict=True)))


ORDERS = list(itertools.permutations(range(3)))[1:]  # all but the right one


def _places(value):
    if not isinstance(value, torch.Tensor) or value.ndim != 3:
        return value
    if not len(value):
        return f"shape {shape(value)}"
    return "  ".join(f"{v:g}" for v in value.detach()[0, :, 0].tolist())


# --- 03c ----------------------------------------------------------------------


def vocabulary_init(weight: torch.Tensor, n: int, seed: int) -> torch.Tensor:
    """n different rows of the embedding table (V, d), copied: (n, d)."""
    make = torch.Generator().manual_seed(seed)
    ids = torch.randperm(weight.shape[0], generator=make)[:n]  # (n,)
    return weight.detach()[ids].clone()  # (n, d)


@exercise("03c", "vocabulary_init", vocabulary_init)
def check_03c(sheet: Sheet, answer) -> None:
    """``vocabulary_init(weight (V, d), n, seed) -> (n, d)``: copies of the embeddings of n
    random tokens."""
    n = 6
    # 50 times smaller than N(0, 1), as real tables are
    table = torch.nn.Parameter(
        0.02 * torch.randn(200, 8, generator=torch.Generator().manual_seed(0))
    )
    original = table.detach().clone()

    def call(seed):
        return sheet.attempt(lambda: answer(table, n, seed) if callable(answer) else None)

    if not callable(answer):
        one = two = again = sheet.attempt(answer)
    else:
        from .core import NO_RETURN, NOTHING, is_stub

        one, two, again = call(1), call(2), call(1)
        if one in (NO_RETURN, NOTHING):
            one = NOTHING if is_stub(answer) else one
    sheet.note(f"an embedding table of 200 tokens, width 8; n = {n}")
    fits = isinstance(one, torch.Tensor)
    sheet.case("shape", (n, 8), shape(one) if fits else one)
    ready = fits and shape(one) == (n, 8) and one.is_floating_point()
    size = (
        f"{one.detach().norm(dim=1).mean() / original.norm(dim=1).mean():.1f} times a token's"
        if ready
        else one
    )
    sheet.case(
        "mean length of the vectors", "about one token's", size if not fits or ready else "-"
    )
    rows = _rows_found(one.detach(), original) if ready else None
    sheet.case(
        "rows that are some token's",
        f"{n} of {n}",
        f"{rows} of {n}" if ready else ("-" if fits else one),
    )
    sheet.broken(one)
    sheet.wrong(
        "ids",
        "Those are the numbers of the tokens, not their vectors. Look them up in the table: "
        "weight[ids].",
        fits and not one.is_floating_point(),
    )
    sheet.wrong("not a tensor", "A tensor (n, d) was expected.", not fits)
    sheet.wrong(
        "shape",
        f"The shape is {shape(one)}, and it should be {(n, 8)}: n rows of the table.",
        not ready,
    )
    sheet.wrong(
        "normal",
        "Those are random numbers of size 1. The embeddings of this small table are about "
        "50 times smaller (our model's about 7 times). Take rows of the table instead.",
        rows == 0 and float(one.detach().std()) > 10 * float(original.std()),
    )
    sheet.wrong(
        "random of right size",
        "The size is right, the vectors belong to no token. Vocabulary initialisation copies rows "
        "of the table.",
        rows < n,
    )
    with torch.no_grad():
        one.add_(1.0)
    aliased = not torch.equal(table.detach(), original)
    with torch.no_grad():
        table.copy_(original)
    sheet.wrong(
        "alias",
        "Your vectors share their memory with the table: when one of them is trained, a word of "
        "the frozen model changes. Copy them with .clone().",
        aliased,
    )
    sheet.wrong(
        "attached",
        "The vectors still hang on the table's graph, so training them would send gradients into "
        "the base. Use .detach() before you copy.",
        one.grad_fn is not None and not isinstance(one, torch.nn.Parameter) and one.requires_grad,
    )
    for other in (two, again):
        sheet.broken(other)
    one = call(1)
    sheet.wrong(
        "not random",
        "Seeds 1 and 2 gave the same vectors, so nothing was drawn: the first rows of the table "
        "are bytes and marks. Draw n tokens.",
        same(one, two, 1e-9),
    )
    sheet.wrong(
        "seed ignored",
        "Seed 1 gave other vectors the second time. Draw with "
        "torch.Generator().manual_seed(seed), so that a run can be repeated.",
        not same(one, again, 1e-9),
    )
    sheet.wrong(
        "all the same",
        "Your n vectors are the same token's. Draw n of them.",
        len(one.detach().unique(dim=0)) == 1,
    )
    values = [call(seed) for seed in range(20)]
    for value in values:
        sheet.broken(value)
    draws = [_row_numbers(value, original) for value in values]
    drawn = [row for rows in draws for row in rows]
    sheet.wrong(
        "first rows",
        "For 20 seeds all your tokens lie among the first n of the table: you shuffled n numbers, "
        "not V. Shuffle all V, then take n.",
        max(drawn) < n,
    )
    sheet.wrong(
        "neighbours",
        "Your tokens always follow each other in the table: one block of neighbours, not n draws.",
        all(sorted(rows) == list(range(min(rows), min(rows) + n)) for rows in draws),
    )
    sheet.wrong(
        "lower half",
        f"For 20 seeds your tokens never come from the upper half of the table, only from rows 0 "
        f"to {max(drawn)}. Draw from all V: weight.shape[0], not weight.shape[1].",
        max(drawn) < len(original) // 2,
    )
    sheet.finish(True)


def _rows_found(vectors: torch.Tensor, table: torch.Tensor) -> int:
    return int((torch.cdist(vectors.double(), table.double()).min(dim=1).values < 1e-6).sum())


def _row_numbers(vectors: torch.Tensor, table: torch.Tensor) -> list[int]:
    """Which row of the table each vector is."""
    return torch.cdist(vectors.detach().double(), table.double()).argmin(dim=1).tolist()
