"""Exercises of notebook 06: LoRA's start and output, merge and unmerge, counting and rank."""

from types import SimpleNamespace

import torch

from .core import NOTHING, Failure, Sheet, exercise, number, same, shape

# --- 06a ----------------------------------------------------------------------


def lora_start(inputs: int, outputs: int, rank: int) -> tuple[torch.Tensor, torch.Tensor]:
    """A (rank, in), random; B (out, rank), zeros: B A is 0, and A is not."""
    A = torch.empty(rank, inputs).uniform_(-1, 1) / inputs**0.5  # (rank, in)
    return A, torch.zeros(outputs, rank)


def lora_output(
    x: torch.Tensor, y: torch.Tensor, A: torch.Tensor, B: torch.Tensor, alpha: float
) -> torch.Tensor:
    """y + alpha / rank B A x, for x (..., in) and y = W x (..., out)."""
    return y + alpha / len(A) * (x @ A.T @ B.T)


@exercise("06a", "lora_start and lora_output", (lora_start, lora_output))
def check_06a(sheet: Sheet, start, output) -> None:
    """``lora_start(inputs, outputs, rank) -> A, B``; ``lora_output(x, y, A, B, alpha) -> (..., out)``,
    both the learner's."""  # noqa: E501
    inputs, outputs, rank = 6, 4, 2
    pair = sheet.attempt(start, inputs, outputs, rank)
    is_pair = isinstance(pair, (tuple, list)) and len(pair) == 2
    A, B = pair if is_pair else (pair, pair)
    sheet.note(f"{inputs} inputs, {outputs} outputs, rank {rank}")
    sheet.case("shapes of A and B at the start", ((rank, inputs), (outputs, rank)),
               (shape(A), shape(B)) if is_pair else pair)  # fmt: skip
    make = torch.Generator().manual_seed(1)
    cases = []
    for r, alpha in ((2, 5.0), (3, 1.5)):
        given = [torch.randn(size, generator=make) for size in
                 ((2, 3, inputs), (2, 3, outputs), (r, inputs), (outputs, r))]  # fmt: skip
        target = lora_output(*given, alpha)
        value = sheet.attempt(output, *given, alpha)
        cases.append((given, alpha, target, value))
        shown = value[0, 0] if shape(value) == (2, 3, outputs) else value
        sheet.case(f"rank {r}, alpha {alpha:g}: output of one token", target[0, 0], shown)
    has_start, has_output = pair is not NOTHING, cases[0][3] is not NOTHING
    if not (has_start or has_output):
        sheet.broken(NOTHING)
    if has_start:
        sheet.broken(pair)
        _check_start(sheet, pair, is_pair, (inputs, outputs, rank))
    if has_output:
        for case in cases:
            _check_output(sheet, *case)
        sheet.wrong(
            "no gradient",
            "The numbers are right, but no gradient comes back to A or B: they would never learn. "
            "Something cuts it: detach(), .data, item() or no_grad.",
            not _learns(sheet, output, *cases[0][:2]),
        )
    _one_missing(sheet, {"lora_start": has_start, "lora_output": has_output})
    size = max(float(t.abs().max()) for t in pair)
    remark = (
        f"But the random matrix holds numbers up to {size:.0e}. Far from 1 / sqrt(inputs) the two "
        "matrices learn at very different speeds: too small, and it starts late; too large, and "
        "each step of the other one is huge."
    )
    sheet.finish(True, right="" if 0.1 <= size * inputs**0.5 <= 4.5 else remark)


def _one_missing(sheet: Sheet, written: dict[str, bool]) -> None:
    """Of two functions one is there, and was found right: say so, and which one is missing."""
    there, missing = ([n for n, is_there in written.items() if is_there is yes]
                      for yes in (True, False))  # fmt: skip
    if there and missing:
        sheet.ruined()
        sheet.wrong("one missing", f"{there[0]} is right. {missing[0]} is not yet written.")


def _learns(sheet: Sheet, output, given: list, alpha: float) -> bool:
    """Does a gradient come back to both A and B?"""
    x, y, *pair = given
    pair = [matrix.clone().requires_grad_() for matrix in pair]
    with torch.enable_grad():
        value = sheet.attempt(lambda: output(x, y, *pair, alpha))
        if not isinstance(value, torch.Tensor) or not value.requires_grad:
            return False
        value.square().sum().backward()
    return all(matrix.grad is not None and bool(matrix.grad.any()) for matrix in pair)


def _check_start(sheet: Sheet, pair, is_pair: bool, sizes: tuple[int, int, int]) -> None:
    inputs, outputs, rank = sizes
    tensors = is_pair and all(isinstance(t, torch.Tensor) for t in pair)
    sheet.wrong("not a pair", "Two tensors come back from the start: return A, B.", not tensors)
    A, B = pair
    sheet.wrong(
        "swapped",
        "You give B first, then A. A comes first: return A, B.",
        (shape(A), shape(B)) == ((outputs, rank), (rank, inputs)),
    )
    sheet.wrong(
        "transposed",
        f"The shapes of A and B are not those of the formula. B A has to be as large as W, "
        f"({outputs}, {inputs}): so A is (rank, in), B is (out, rank).",
        (shape(A), shape(B)) != ((rank, inputs), (outputs, rank)),
    )
    sheet.wrong("integers", "A and B must hold floats: integers have no gradient.",
                not (A.is_floating_point() and B.is_floating_point()))  # fmt: skip
    sheet.wrong(
        "not finite",
        "Among the numbers is nan or infinity. torch.empty makes no numbers, it takes what lies in "
        "memory. Fill it: with .uniform_(-1, 1), or take torch.randn.",
        not (A.isfinite().all() and B.isfinite().all()),
    )
    sheet.wrong(
        "dead",
        "Both are zero. B A is 0, as it should be, but for ever: the gradient of A is made with B, "
        "that of B with A, and both are 0 too. One of the two has to be random.",
        not A.any() and not B.any(),
    )
    sheet.wrong(
        "not the identity",
        "B A is not 0 at the start, so the model is disturbed before it has learned anything. Let "
        "one of the two be zero; in the paper it is B.",
        bool((B @ A).any()),
    )
    live = A if A.any() else B
    sheet.wrong(
        "all alike",
        f"The {rank} directions start alike. They get the same gradients, and stay alike: this "
        "change will never have a rank above 1. Start them at random.",
        int(torch.linalg.matrix_rank(live.double())) < rank,
    )


def _check_output(sheet: Sheet, given: list, alpha: float, target, value) -> None:
    x, y, A, B = given
    rank, delta = len(A), x @ A.T @ B.T
    turned = (
        "transposed",
        "A or B is turned the wrong way. A token lies in a row of x, so B A x is written "
        "x @ A.T @ B.T.",
    )
    sheet.broken(value, {"cannot be multiplied": turned, "Expected size for first two": turned,
                         "must match the size": turned})  # fmt: skip
    sheet.wrong("not a tensor", "A tensor of the shape of y was expected from lora_output.",
                not isinstance(value, torch.Tensor))  # fmt: skip
    scales = {
        "no scale": (1.0, "Your change is not scaled: it is alpha / rank times B A x."),
        "alpha only": (alpha, "You scale by alpha. It is alpha divided by the rank: the number of "
                       "rows of A."),
        "upside down": (rank / alpha, "You scale by rank / alpha. It is alpha / rank."),
        "square root": (alpha / rank**0.5, "You scale by alpha / sqrt(rank). That is the rank-"
                        "stabilised variant; here it is alpha / rank."),
    }  # fmt: skip
    scales |= {
        "wrong rank": (alpha / A.shape[1], "You divide alpha by a number of inputs. The rank is "
                       "the number of rows of A."),
        "outputs": (alpha / len(B), "You divide alpha by the number of outputs, the rows of B. The "
                    "rank is the number of rows of A."),
        "whole numbers": (alpha // rank, "You divide with //, which drops what is behind the "
                          "point. alpha / rank is no whole number here."),
    }  # fmt: skip
    for kind, (scale, text) in scales.items():
        sheet.wrong(kind, text, same(value, y + scale * delta, 1e-4))
    sheet.wrong("no y", "You give the change alone. The layer's own output, y, comes first: y + …",
                same(value, alpha / rank * delta, 1e-4))  # fmt: skip
    sheet.wrong(
        "y scaled too",
        "You scale y as well. Only the change is scaled: y + alpha / rank · B A x.",
        same(value, alpha / rank * (y + delta), 1e-4),
    )
    if not same(value, target, 1e-4):
        sheet.finish(False)


# --- 06b ----------------------------------------------------------------------


class LowRankLinear:
    """A linear layer with a low-rank change beside it. While `hook_on`, the change is added
    to the output; the weight (out, in) is an ordinary tensor."""

    def __init__(self, weight, A, B, alpha):
        self.weight, self.A, self.B, self.alpha = weight, A, B, alpha
        self.hook_on = True

    def __call__(self, x):
        y = x @ self.weight.T  # (..., out)
        if self.hook_on:
            y = y + self.alpha / len(self.A) * (x @ self.A.T @ self.B.T)
        return y


def merge(layer: LowRankLinear) -> None:
    """W becomes W + alpha / rank B A, and the hook sleeps."""
    layer.kept = layer.weight
    layer.weight = layer.weight + layer.alpha / len(layer.A) * layer.B @ layer.A  # (out, in)
    layer.hook_on = False


def unmerge(layer: LowRankLinear) -> None:
    """The kept weight comes back, and the hook wakes."""
    layer.weight, layer.hook_on = layer.kept, True


@exercise("06b", "merge and unmerge", (merge, unmerge))
def check_06b(sheet: Sheet, put_in, take_out) -> None:
    """``merge(layer)`` and ``unmerge(layer)`` change a `LowRankLinear`; both the learner's."""
    make = torch.Generator().manual_seed(2)
    outputs, inputs, rank, alpha = 24, 32, 4, 12.0
    W, A, B, x = (torch.randn(size, generator=make) for size in
                  ((outputs, inputs), (rank, inputs), (outputs, rank), (5, inputs)))  # fmt: skip
    layer = LowRankLinear(W.clone(), A.clone(), B.clone(), alpha)
    before, change = layer(x), alpha / rank * B @ A  # (5, out), (out, in)
    merged = sheet.attempt(put_in, layer)
    after = _called(layer, x)
    sheet.note(f"a weight of {outputs} × {inputs}, rank {rank}, alpha {alpha:g}")
    stopped = "(your code stopped)"
    sheet.case("merged: three outputs of a token", before[0, :3],
               NOTHING if merged is NOTHING else stopped if isinstance(merged, Failure)
               else _first(after))  # fmt: skip
    weight, hook = layer.weight, layer.hook_on
    weight = weight.detach().clone() if isinstance(weight, torch.Tensor) else weight
    undone = sheet.attempt(take_out, layer)
    back = layer.weight
    equal = isinstance(back, torch.Tensor) and shape(back) == shape(W) and torch.equal(back, W)
    nothing = merged is NOTHING or undone is NOTHING
    failed = isinstance(merged, Failure) or isinstance(undone, Failure)
    sheet.case("unmerged: the weight as before, bit for bit?", "yes",
               NOTHING if nothing else stopped if failed else "yes" if equal else "no")  # fmt: skip
    again = _first(_called(layer, x))
    sheet.case("unmerged: the same three outputs", before[0, :3],
               NOTHING if nothing else stopped if failed else again)  # fmt: skip
    if merged is NOTHING and undone is not NOTHING:
        sheet.wrong("one missing", "merge is not yet written. unmerge can be judged only after it.")
    turned = (
        "transposed",
        "Is B A made the right way round? layer.B @ layer.A is (out, rank) times (rank, in): "
        "(out, in), as the weight is.",
    )
    hints = {"cannot be multiplied": turned, "must match the size": turned}
    for value in (merged, undone):
        if isinstance(value, Failure) or (value is NOTHING and merged is NOTHING):
            sheet.broken(value, hints)
    _check_merged(sheet, W, A, B, alpha, weight, hook, same(after, before, 1e-3))
    _one_missing(sheet, {"merge": True, "unmerge": undone is not NOTHING})
    sheet.wrong(
        "aliased",
        "After unmerge the weight is still the merged one. Either nothing is put back, or what you "
        "kept changed too: after kept = layer.weight, a += changes both. Make a new tensor.",
        same(back, W + change, 1e-4),
    )
    sheet.wrong(
        "by subtraction",
        "Almost: the numbers are close, but not the same bits. W + D - D rounds twice. Keep the "
        "old weight in merge, and put it back.",
        same(back, W, 1e-3) and not equal,
    )
    sheet.wrong("not undone", "After unmerge the weight is not what it was before merge.",
                not equal)  # fmt: skip
    sheet.wrong(
        "asleep",
        "The weight is back, but the hook still sleeps: the change is nowhere now. Wake it.",
        layer.hook_on is not True and not same(_called(layer, x), before, 1e-3),
    )
    sheet.wrong(
        "change lost",
        "The weight is back, and the output is another: the change is not what it was. Did merge "
        "or unmerge write into layer.A or layer.B?",
        not same(_called(layer, x), before, 1e-3),
    )
    sheet.wrong(
        "one kept for all",
        "One layer is right. But two layers, both merged before the first is unmerged, do not get "
        "their own weights back: you keep one for all. Keep it in the layer.",
        not _two_at_once(put_in, take_out, (W, W.flip(0)), A, B, alpha),
    )
    sheet.finish(same(_called(layer, x), before, 1e-5))


def _two_at_once(put_in, take_out, weights, A, B, alpha) -> bool:
    """Do two layers, merged one after the other, get their own weights back?"""
    layers = [LowRankLinear(W.clone(), A.clone(), B.clone(), alpha) for W in weights]
    try:
        for step in (put_in, take_out):
            for layer in layers:
                step(layer)
    except Exception:  # the learner's code, which ran with one layer
        return False
    return all(same(one.weight, W, 0.0) for one, W in zip(layers, weights, strict=True))


def _check_merged(sheet: Sheet, W, A, B, alpha, weight, hook, right: bool) -> None:
    BA, rank = B @ A, len(A)
    sheet.wrong("not a tensor", "After merge, layer.weight is no tensor of the shape it had.",
                shape(weight) != shape(W))  # fmt: skip
    sheet.wrong(
        "dtype",
        f"After merge the weight is {weight.dtype}, and it was {W.dtype}. The layer's input no "
        "longer fits it, or the model has grown. Keep the type of the weight.",
        weight.dtype != W.dtype,
    )
    scales = {
        "no scale": (1.0, "You add B A. The change is alpha / rank · B A."),
        "alpha only": (alpha, "You add alpha · B A. The change is alpha / rank · B A."),
        "a width for the rank": (
            alpha / len(B),
            "You divide alpha by a width of the matrix. The "
            "rank is what B A go through: the rows of A, the columns of B.",
        ),
        "upside down": (rank / alpha, "You add rank / alpha · B A. It is alpha / rank."),
        "minus": (-alpha / rank, "You take the change away where it has to be added."),
    }
    for kind, (scale, text) in scales.items():
        sheet.wrong(kind, text, same(weight, W + scale * BA, 1e-4))
    merged = same(weight, W + alpha / rank * BA, 1e-4)
    sheet.wrong(
        "twice",
        "The weight is right, and the hook is still on: the change is added twice. Nothing crashes "
        "and the shapes fit. Put the hook to sleep: layer.hook_on = False.",
        merged and bool(hook) and not right,
    )
    unchanged = same(weight, W, 0.0)
    sheet.wrong("nothing merged", "merge leaves layer.weight as it was: the change is not in it.",
                unchanged and bool(hook))  # fmt: skip
    sheet.wrong(
        "lost",
        "The hook sleeps, but the change is not in the weight: it is lost. Add it to layer.weight.",
        unchanged,
    )
    sheet.wrong(
        "only the change",
        "The weight is the change alone: W is lost. Add the two.",
        same(weight, alpha / rank * BA, 1e-4),
    )
    if not (merged and right):
        sheet.finish(False)


def _called(layer: LowRankLinear, x: torch.Tensor):
    try:
        return layer(x)
    except Exception as error:
        return Failure(error)


def _first(value):
    return value[0, :3] if isinstance(value, torch.Tensor) and value.ndim == 2 else value


# --- 06c ----------------------------------------------------------------------


def lora_parameters(config, rank: int) -> int:
    """Numbers in LoRA on queries and values, in all layers."""
    d, e = config.hidden_size, config.head_dim
    query, value = config.num_attention_heads * e, config.num_key_value_heads * e
    return config.num_hidden_layers * rank * ((d + query) + (d + value))


def effective_rank(before: torch.Tensor, after: torch.Tensor, share: float = 0.9) -> int:
    """The fewest directions that hold `share` of the energy of after - before."""
    energy = torch.linalg.svdvals(after - before) ** 2  # the largest first
    held = energy.cumsum(0) / energy.sum()
    return int((held < share).sum()) + 1


@exercise("06c", "lora_parameters and effective_rank", (lora_parameters, effective_rank))
def check_06c(sheet: Sheet, count, rank_of) -> None:
    """``lora_parameters(config, rank) -> int``; ``effective_rank(before, after, share) -> int``,
    both the learner's."""
    configs = [
        SimpleNamespace(hidden_size=24, num_hidden_layers=3, num_attention_heads=4,
                        num_key_value_heads=2, head_dim=5, intermediate_size=36),
        SimpleNamespace(hidden_size=16, num_hidden_layers=2, num_attention_heads=4,
                        num_key_value_heads=4, head_dim=4, intermediate_size=24),
    ]  # fmt: skip
    counts = []
    for config, rank in zip(configs, (2, 3), strict=True):
        target, value = lora_parameters(config, rank), sheet.attempt(count, config, rank)
        counts.append((config, rank, target, value))
        sheet.case(
            f"parameters: width {config.hidden_size}, {config.num_hidden_layers} layers, "
            f"{config.num_attention_heads} heads of {config.head_dim} on "
            f"{config.num_key_value_heads} for keys and values, rank {rank}",
            target, value,
        )  # fmt: skip
    before, after, values = _spectrum()
    ranks = []
    for share in (0.9, 0.5):
        target = effective_rank(before, after, share)
        value = sheet.attempt(rank_of, before, after, share)
        ranks.append((share, target, value))
        said = ", ".join(f"{v:g}" for v in values)
        sheet.case(f"singular values {said}: for {share:.0%} of the energy", target, value)
    has_count, has_rank = counts[0][-1] is not NOTHING, ranks[0][-1] is not NOTHING
    if not (has_count or has_rank):
        sheet.broken(NOTHING)
    for case in counts if has_count else ():
        _check_count(sheet, *case)
    if has_rank:
        _check_rank(sheet, before, after, ranks)
    _one_missing(sheet, {"lora_parameters": has_count, "effective_rank": has_rank})
    sheet.finish(True)


def _plain_number(sheet: Sheet, value, name: str) -> None:
    """A right number in a tensor of one entry would stop later cells, which print and compare."""
    sheet.wrong(
        "in a tensor",
        f"The number is right, but {name} gives it in an array of shape "
        f"{tuple(getattr(value, 'shape', ()))}. Later cells print it and compare it: give a plain "
        "number, with .item() or int(...).",
        getattr(value, "ndim", 0) > 0,
    )


def _spectrum() -> tuple[torch.Tensor, torch.Tensor, tuple]:
    """A matrix before and after a change with known singular values."""
    values = (6.0, 5.0, 4.0, 3.0, 2.0, 1.0, 1.0, 1.0)
    make = torch.Generator().manual_seed(3)
    left, right = (
        torch.linalg.qr(torch.randn(size, 8, generator=make, dtype=torch.float64))[0]
        for size in (24, 20)
    )
    change = left @ torch.diag(torch.tensor(values, dtype=torch.float64)) @ right.T  # (24, 20)
    before = 9 * torch.randn(24, 20, generator=make, dtype=torch.float64)
    return before.float(), (before + change).float(), values


def _check_count(sheet: Sheet, config, rank: int, target: int, value) -> None:
    sheet.broken(value)
    given = None if isinstance(value, str) else number(value)
    sheet.wrong("not a number", "A whole number was expected from lora_parameters.", given is None)
    d, L, e = config.hidden_size, config.num_hidden_layers, config.head_dim
    query, kv = config.num_attention_heads * e, config.num_key_value_heads * e
    heads, kv_heads = config.num_attention_heads, config.num_key_value_heads
    narrow = L * rank * (2 * d + d // heads * (heads + kv_heads))
    slips = [
        ("product", "You multiplied inputs by outputs: that is a rank times the whole matrix. A "
         "has rank × in numbers, B has out × rank; they are added.",
         [L * rank * d * (query + kv), L * rank * 2 * d * query]),
        ("kv width", "The values are narrower here: several query heads share a value head. The "
         "outputs of v are num_key_value_heads × head_dim.", [L * rank * 2 * (d + query)]),
        ("square", "You took d outputs for q and v. Their widths follow from heads and head_dim.",
         [L * rank * 4 * d]),
        ("one layer", "That is one layer. Every layer has its own A and B.",
         [rank * (2 * d + query + kv)]),
        ("one A", "You counted the d inputs once. Queries and values have an A each.",
         [L * rank * (d + query + kv)]),
        ("A only", "You counted A and left out B.", [L * rank * 2 * d]),
        ("B only", "You counted B and left out A.", [L * rank * (query + kv)]),
        ("one matrix", "You counted one of the two matrices, q or v, only.",
         [L * rank * (d + query), L * rank * (d + kv)]),
        ("k too", "You counted the keys as well; here only q and v are changed.",
         [L * rank * (3 * d + query + 2 * kv)]),
        ("k for q", "You counted keys and values, both of the narrow width; asked are queries and "
         "values.", [L * rank * 2 * (d + kv)]),
        ("no rank", "The rank is missing. A has rank × in numbers, B has out × rank.",
         [L * (2 * d + query + kv)]),
        ("all of attention", "You counted all four matrices of attention; here only q and v are "
         "changed.", [L * rank * (4 * d + 2 * query + 2 * kv),  # o: its inputs are query wide
                      L * rank * (4 * d + query + 2 * kv + d)]),
        ("full", "You counted the whole matrices, which stay frozen. LoRA trains A and B beside "
         "them.", [L * d * (query + kv), L * 2 * d * query]),
        ("head_dim", "You took hidden_size // num_attention_heads for the width of a head. Here "
         "the config says it: head_dim.", [narrow]),
    ]  # fmt: skip
    sheet.slips(given, target, slips)
    if given != target:
        sheet.finish(False)
    _plain_number(sheet, value, "lora_parameters")


def _check_rank(sheet: Sheet, before, after, cases: list) -> None:
    """A slip is named only if it gives the learner's numbers for every share."""
    shares, targets, values = zip(*cases, strict=True)
    given = []
    for value in values:
        sheet.broken(value)
        given.append(None if isinstance(value, str) else number(value))
    sheet.wrong("not a number", "A whole number was expected from effective_rank.", None in given)
    s = torch.linalg.svdvals(after - before)
    energy = s**2

    def first(values, reach):
        held = values.cumsum(0) / values.sum()
        return int((held < reach).sum()) + 1

    def each(slip):
        return tuple(slip(share) for share in shares)

    slips = [
        ("share", "You always use 0.9. Use `share`, which is another number here.",
         [each(lambda share: first(energy, 0.9))]),
        ("rest", "You stop at 1 - share. Asked is how many directions hold the share itself.",
         [each(lambda share: first(energy, 1 - share))]),
        ("weakest first", "You add up from the weakest. The fewest directions are the strongest: "
         "add up from the largest value.",
         [each(lambda share, e=e: first(e.sort().values, share))
          for e in (energy, torch.cat([energy, energy.new_zeros(len(after) - len(energy))]))]),
        ("of the strongest", "You measure each direction by the strongest. The share is one of the "
         "sum of the squares: add them up, and see where the sum reaches it.",
         [each(lambda share: int((s >= share * s[0]).sum())),
          each(lambda share: int((s >= (1 - share) * s[0]).sum())),
          each(lambda share: int((energy >= (1 - share) * energy[0]).sum()))]),
        ("one by one", "You measure each direction alone. Add their energies up, and see where the "
         "sum reaches the share.",
         [each(lambda share: int((energy / energy.sum() >= 1 - share).sum())),
          each(lambda share: int((energy / energy.sum() >= share).sum()))]),
        ("not squared", "You added up the singular values themselves. The energy is the sum of "
         "their squares, as the norm of a matrix is.", [each(lambda share: first(s, share))]),
        ("squared too late", "You added the singular values up first and squared the sums. Square "
         "each value, then add up.",
         [each(lambda share: int(((s.cumsum(0) / s.sum()) ** 2 < share).sum()) + 1)]),
        ("not divided", "You compare the energy itself with the share. A share is a part of the "
         "whole: divide by the sum.",
         [each(lambda share: int((energy.cumsum(0) < share).sum()) + 1)]),
        ("of W", "That is the rank of a weight, not of its change. Take after - before.",
         [each(lambda share, w=w: first(torch.linalg.svdvals(w) ** 2, share))
          for w in (after, before)]),
        ("one short", "One too few: with so many the share is not reached yet.",
         [tuple(target - 1 for target in targets)]),
        ("whole rank", "You counted all directions that are not zero: the rank. Asked is how many "
         "of them hold the share.", [each(lambda share: int((s > 1e-4).sum())),
                                     each(lambda share: len(s))]),
    ]  # fmt: skip
    sheet.slips(tuple(given), targets, slips)
    if tuple(given) != targets:
        sheet.finish(False)
    for value in values:
        _plain_number(sheet, value, "effective_rank")
