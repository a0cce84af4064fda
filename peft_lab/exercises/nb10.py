"""Exercises of notebook 10: bytes of a thousand customers, a mixed LoRA, columns of unlike rows."""

from types import SimpleNamespace

import torch

from .core import Sheet, exercise, same, shape

# --- 10a ----------------------------------------------------------------------


def fleet_bytes(config, parameters: int, customers: int, length: int) -> tuple[int, int]:
    """(bytes of a model each, bytes of one model and a prefix each)."""
    file = 4 * length * config.num_hidden_layers * 2 * config.num_key_value_heads * config.head_dim
    return customers * 2 * parameters, 2 * parameters + customers * file


@exercise("10a", "fleet_bytes", fleet_bytes)
def check_10a(sheet: Sheet, answer) -> None:
    """``fleet_bytes(config, parameters, customers, length) -> models, files``."""
    config = SimpleNamespace(
        hidden_size=24, num_hidden_layers=7, num_attention_heads=12, num_key_value_heads=3,
        head_dim=5,
    )  # fmt: skip
    asked = [(10_007, 1000, 5), (50_021, 30, 8)]
    sheet.note("7 layers, 12 query heads on 3 key-value heads of width 5")
    targets = [fleet_bytes(config, *one) for one in asked]
    values = [sheet.attempt(answer, config, *one) for one in asked]
    for (count, customers, length), target, value in zip(asked, targets, values, strict=True):
        sheet.case(
            f"{customers:,} customers, a model of {count:,} numbers, prefixes of {length}",
            target,
            value,
        )
    for value in values:
        sheet.broken(value)
    pairs = all(isinstance(v, (tuple, list)) and len(v) == 2 for v in values)
    sheet.wrong("not a pair", "Two numbers come back: return models, files.", not pairs)

    def slip(models, files):  # what a rule for each of the two gives
        return all(
            same(tuple(v), (models(p, c), files(p, c, n * 7 * 2 * 3 * 5)), 1e-9)
            for (p, c, n), v in zip(asked, values, strict=True)
        )

    def models(p, c):
        return c * 2 * p

    def files(p, c, numbers):
        return 2 * p + c * 4 * numbers

    sheet.wrong(
        "swapped", "First the models, then the files: yours are the other way round.",
        all(same(tuple(v)[::-1], t, 1e-9) for v, t in zip(values, targets, strict=True)),
    )  # fmt: skip
    sheet.wrong(
        "a base for each",
        "In the second sum you counted the base model once for each customer. That is the point "
        "of a frozen base: all share one, whatever their number.",
        slip(models, lambda p, c, n: c * (2 * p + 4 * n)),
    )
    sheet.wrong(
        "no base",
        "Your files hang in the air: without the base model they write nothing. It lies on the "
        "disk too, once.",
        slip(models, lambda p, c, n: c * 4 * n),
    )
    sheet.wrong(
        "no customers",
        "How many customers there are changes nothing in your sums: `customers` is not in them.",
        slip(lambda p, c: 2 * p, lambda p, c, n: 2 * p + 4 * n),
    )
    sheet.wrong(
        "one file for all",
        "You counted one file for all customers. Each has a file of its own; what they share is "
        "the base.",
        slip(models, lambda p, c, n: 2 * p + 4 * n),
    )
    sheet.wrong(
        "a quarter of a file",
        "Your files are a quarter of what they should be. Two slips, likely: a number in a file is "
        "float32, 4 bytes, not 2; and a place of a prefix has a key *and* a value.",
        slip(models, lambda p, c, n: files(p, c, n / 4)),
    )
    sheet.wrong(
        "bytes of a number",
        "The bytes of a number are mixed up. The models are stored in float16, 2 bytes a number; "
        "the files in float32, 4 bytes.",
        any(
            slip(lambda p, c, a=a: c * a * p, lambda p, c, n, b=b, k=k: b * p + c * k * n)
            for a in (1, 2, 4)
            for b in (1, 2, 4)
            for k in (1, 2, 4)
            if (a, b, k) not in ((2, 2, 4), (2, 2, 2), (2, 2, 1))
        ),
    )
    sheet.wrong(
        "layers once",
        "Your prefix stands in one layer. It stands in every layer, with keys and values of its "
        "own in each.",
        slip(models, lambda p, c, n: files(p, c, n // 7)),
    )
    sheet.wrong(
        "one head",
        "You counted one key-value head. There are num_key_value_heads of them, each with a key "
        "and a value of head_dim numbers at each place.",
        slip(models, lambda p, c, n: files(p, c, n // 3)),
    )
    sheet.wrong(
        "one place",
        "Your prefix has one place: `length` is not in your sum.",
        slip(models, lambda p, c, n: files(p, c, 7 * 2 * 3 * 5)),
    )
    sheet.wrong(
        "half a file",
        "Your files are half as large as they should be. One of two: a number in a file is "
        "float32, 4 bytes, not 2; or a place of a prefix has a key *and* a value.",
        slip(models, lambda p, c, n: files(p, c, n / 2)),
    )
    sheet.wrong(
        "query heads",
        "You counted a key and a value for each query head. Several query heads share one "
        "key-value head here: num_key_value_heads * head_dim numbers, not num_attention_heads.",
        slip(models, lambda p, c, n: files(p, c, 4 * n)),
    )
    sheet.wrong(
        "the model's width",
        "Your keys are as wide as the model, hidden_size. Here they are narrower: "
        "num_key_value_heads * head_dim numbers.",
        slip(models, lambda p, c, n: files(p, c, n * 24 // 15)),
    )
    sheet.wrong(
        "head_dim by division",
        "You worked the width of a head out, hidden_size // num_attention_heads. In this model it "
        "is another: config.head_dim.",
        slip(models, lambda p, c, n: files(p, c, n * 2 // 5)),
    )
    sheet.finish(all(same(tuple(v), t, 1e-9) for v, t in zip(values, targets, strict=True)))


# --- 10b ----------------------------------------------------------------------


def mixed_lora(x, y, A, B, which, scale):
    """Each row with its own pair: y + scale x A[which]ᵀ B[which]ᵀ, (rows, T, out)."""
    return y + scale * (x @ A[which].mT @ B[which].mT)


@exercise("10b", "mixed_lora", mixed_lora)
def check_10b(sheet: Sheet, answer) -> None:
    """``mixed_lora(x, y, A, B, which, scale)``: x (rows, T, in), y (rows, T, out)."""
    make = torch.Generator().manual_seed(4)
    rows, T, inputs, outputs, rank, pairs, scale = 4, 3, 5, 6, 2, 3, 0.5
    x, y = (torch.randn(rows, T, n, generator=make) for n in (inputs, outputs))
    A = torch.randn(pairs, rank, inputs, generator=make)  # (pairs, rank, in)
    B = torch.randn(pairs, outputs, rank, generator=make)  # (pairs, out, rank)
    which = torch.tensor([2, 0, 2, 1])  # (rows,)
    target = mixed_lora(x, y, A, B, which, scale)
    value = sheet.attempt(answer, x, y, A, B, which, scale)
    sheet.note("4 rows of 3 tokens, 5 inputs, 6 outputs; 3 pairs of rank 2; which = [2 0 2 1]")
    for row in (0, 1, 3):
        sheet.case(f"row {row}, its first token", target[row, 0], _first(value, row))
    if shape(value) == shape(y) and same(value[:, 0], target[:, 0]) and not same(value, target):
        row, t = (value - target).abs().sum(2).nonzero()[0].tolist()
        sheet.case(f"row {row}, its token {t}", target[row, t], value[row, t])
    tokens_are_rows = (
        "tokens are rows",
        "B A x is for *one* token, as a column. Here the tokens are the rows of x, so the product "
        "is written the other way round: x @ A.mT @ B.mT, each with the row's own A and B.",
    )
    first_a = (
        "A first, turned round",
        "x (…, T, in) meets A first, and turned round: A[which].mT is (rows, in, rank), A[k].T is "
        "(in, rank). Is .mT missing, or did A and B change places?",
    )
    sheet.broken(
        value,
        {
            "[4, 5] but got: [4, 3]": tokens_are_rows,
            "6x5 and 3x5": tokens_are_rows,
            "[4, 5] but got": first_a,
            "3x5 and 2x": first_a,
            "must match the size": (
                "shapes",
                "A[which] has shape (rows, rank, in). x @ A[which].mT multiplies row by row.",
            ),
        },
    )
    sheet.wrong("not a tensor", "One tensor comes back, as large as y: (rows, T, out).",
                not isinstance(value, torch.Tensor))  # fmt: skip

    def with_pairs(chosen):
        return mixed_lora(x, y, A, B, chosen, scale)

    own = target - y  # (rows, T, out)
    change = own / scale
    delta = B @ A  # (pairs, out, in)
    added, kept = torch.zeros_like(y), torch.zeros_like(y)  # `which` read as customer -> row
    for k, row in enumerate(which[:pairs].tolist()):
        kept[row] = scale * x[row] @ delta[k].T
        added[row] += kept[row]
    kinds = [
        ("one pair for all",
         "Every row got the pair of the first row. A loop that sets the pair once, or which[0], "
         "does that: all customers get the voice of the first.",
         [with_pairs(which[:1].expand(rows)), with_pairs(torch.zeros_like(which))]),
        ("last pair for all",
         "Every row got the pair of the last row: a loop has overwritten what it had found.",
         [with_pairs(which[-1:].expand(rows))]),
        ("pairs in order",
         "You gave the pairs out in their order, and did not look at `which`. Row i uses pair "
         "which[i].",
         [with_pairs(torch.arange(rows) % pairs), with_pairs(torch.arange(rows).clamp_max(2))]),
        ("mixes rows",
         "The rows are mixed: a row got the changes of other customers' pairs too, or of other "
         "rows' texts. Nothing may pass from row to row: each row meets its own pair alone.",
         [y + scale * (x @ delta[which].sum(0).mT), y + scale * (x @ delta.sum(0).mT),
          y + scale * (x @ delta[which].mean(0).mT), y + scale * (x @ delta.mean(0).mT),
          y + own.sum(0), y + own.mean(0)]),
        ("A and B of unlike rows",
         "A was chosen by `which`, B was not (or the other way round). A pair belongs together.",
         [y + scale * (x @ A[which].mT @ B[torch.arange(rows) % pairs].mT),
          y + scale * (x @ A[torch.arange(rows) % pairs].mT @ B[which].mT),
          y + scale * (x @ A[which].mT @ B[0].mT), y + scale * (x @ A[0].mT @ B[which].mT),
          y + scale * (x @ A[which].mT @ B[which[0]].mT),
          y + scale * (x @ A[which[0]].mT @ B[which].mT)]),
        ("which the wrong way round",
         "You read `which` the other way: pair k went to row which[k]. It has one entry a *row*: "
         "row i gets pair which[i].",
         [y + added, y + kept]),
        ("no scale", "The rows have their own pairs. Only the scale is missing.", [y + change]),
        ("scale by rank",
         "You divided the scale by the rank. `scale` is ready as it comes: alpha / rank of "
         "notebook 06.",
         [y + own / rank]),
        ("scale on everything", "The scale multiplies the change alone, not y.",
         [scale * (y + change)]),
        ("no base", "The change is right, and y is lost: the frozen layer's output belongs to it.",
         [own]),
    ]  # fmt: skip
    for kind, text, slips in kinds:
        sheet.wrong(kind, text, any(same(value, slip) for slip in slips))
    sheet.wrong("shape", f"The shape should be that of y, {shape(y)}.", shape(value) != shape(y))
    sheet.finish(same(value, target))


def _first(value, row: int):
    fits = isinstance(value, torch.Tensor) and value.ndim == 3 and len(value) > row
    return value[row, 0] if fits and value.shape[1] else value


# --- 10c ----------------------------------------------------------------------


def columns(lengths, mask):
    """Mask and positions of a mixed batch, both (B, n + T); n is the longest prompt."""
    n = int(lengths.max())
    virtual = torch.arange(n) >= n - lengths[:, None]  # (B, n): each row's own stand at the right
    whole = torch.cat([virtual.to(mask.dtype), mask], 1)  # (B, n+T)
    return whole, (whole.cumsum(1) - 1).clamp_min(0)


@exercise("10c", "columns", columns)
def check_10c(sheet: Sheet, answer) -> None:
    """``columns(lengths, mask) -> mask, positions``: lengths (B,), mask (B, T)."""
    lengths = torch.tensor([3, 1, 0])  # (B,)
    mask = torch.tensor([[0, 1, 1, 1], [1, 1, 1, 1], [0, 0, 1, 1]])  # (B, T)
    whole, positions = columns(lengths, mask)
    value = sheet.attempt(answer, lengths, mask)
    later = torch.tensor([2, 0, 5, 1])  # the longest is neither the first nor as long as the batch
    later_mask = torch.tensor([[0, 1, 1, 1], [1, 1, 1, 1], [0, 0, 1, 1], [0, 0, 0, 1]])
    second_batch = sheet.attempt(answer, later, later_mask)
    pair = isinstance(value, (tuple, list)) and len(value) == 2
    first, second = value if pair else (value, value)
    sheet.note("three rows: prompts of 3, 1 and 0 vectors; texts of 3, 4 and 2 tokens, padded")
    sheet.note("on the left to 4")
    sheet.case("the mask", whole, first)
    sheet.case("the positions (only those where the mask is 1 count)", positions, second)
    column = (
        "lengths as a row",
        "`lengths` was compared along the columns. It has one entry a *row*: lengths[:, None] is a "
        "column, and the comparison gives (B, n).",
    )
    sheet.broken(value, {"Dimension out of range": column})
    sheet.wrong("lists", "Two things come back, but as lists: make tensors, torch.tensor(...).",
                pair and all(isinstance(v, list) for v in value))  # fmt: skip
    tensors = pair and all(isinstance(v, torch.Tensor) for v in value)
    sheet.wrong("not two tensors", "Two tensors come back: return mask, positions.", not tensors)
    n, (B, T) = int(lengths.max()), mask.shape
    count, seen = torch.arange(n), torch.ones_like(mask)
    left = (count < lengths[:, None]).long()  # (B, n)
    right = whole[:, :n]
    sheet.wrong(
        "one too long",
        f"There are {n} columns for virtual tokens, as many as the longest prompt needs, and {T} "
        f"for the text: {n + T} in all.",
        shape(first) != (B, n + T),
    )
    sheet.wrong("shape of the positions", f"Each column has a position: {(B, n + T)}.",
                shape(second) != (B, n + T))  # fmt: skip
    first = first.long() if first.dtype == torch.bool else first

    def masked(*parts):
        return same(first.double(), torch.cat([p.double() for p in parts], 1))

    sheet.wrong("swapped", "First the mask, then the positions: yours are the other way round.",
                same(second.long(), whole) and not masked(right, mask))  # fmt: skip
    sheet.wrong(*column, masked((count >= n - lengths).expand(B, n), mask))
    sheet.wrong(
        "minus zero",
        "A row without a prompt has all its virtual columns open. Did you write [-length:]? With "
        "length 0 that is [0:], the whole row. Count from the left: [n - length:].",
        masked(right.where(lengths[:, None] > 0, torch.ones(())), mask),
    )
    sheet.wrong(
        "one short",
        "Each prompt is one too short: > where >= is meant? Of the columns 0 … n-1 the last "
        "`length` are open, from n - length on.",
        masked((count > n - lengths[:, None]).long(), mask),
    )
    sheet.wrong(
        "turned round",
        "The comparison is the wrong way round: 1 stands where nothing is, and 0 where a virtual "
        "token is.",
        masked(1 - right, mask),
    )
    sheet.wrong(
        "no fixed columns",
        "Each prompt stands directly before its text, and all padding before both. It would do for "
        "attention; but the virtual tokens have columns of their own here: n of them first, and "
        "then the text as it was.",
        masked(torch.arange(n + T) >= n + T - whole.sum(1, keepdim=True)),
    )
    everything = seen.new_ones(B, n)
    sheet.wrong(
        "mask open",
        "All virtual columns are open. A row with fewer virtual tokens has nothing there but "
        "zeros, and attention would look at them: a key of zeros gets a score of 0, and a share.",
        masked(everything, mask) or masked(everything, seen),
    )
    sheet.wrong(
        "the text's padding",
        "The virtual columns are right. But the text's own padding is gone: its mask has to stay "
        "as it was.",
        masked(right, seen),
    )
    sheet.wrong(
        "the wrong side",
        "A short prompt stands at the left of its columns, and the hole is between it and the "
        "text. Attention would not mind, if the positions skip the hole. But the rest of this "
        "batch is padded on the left, as generate() does it: let a prompt stand at the right.",
        masked(left, mask),
    )
    sheet.wrong(
        "text first",
        "The text stands before the prompt. Virtual tokens come first, so that every token of the "
        "text can look back at them.",
        masked(mask, right) or masked(mask, left),
    )
    sheet.wrong("mask", "The mask is not right yet: 1 where a row really has a vector or a token.",
                not masked(right, mask))  # fmt: skip
    there = whole.bool()

    def placed(wanted):
        return same(second[there].double(), wanted.expand(B, n + T)[there].double())

    sheet.wrong(
        "counted with padding",
        "The mask is right, but the positions count the padding too. A row would then start at "
        "another position than it does alone, and write something else: a customer's text would "
        "depend on who else is in the batch.",
        placed(torch.arange(n + T)) or placed(torch.arange(n + T) + 1),
    )
    start, walk = lengths[:, None], torch.arange(T).expand(B, T)
    sheet.wrong(
        "the text counted with padding",
        "The mask is right, and each text begins after its own prompt. But within the text you "
        "count the padding too. A cumsum(1) over the *whole* mask counts only what is there.",
        placed(torch.cat([right.cumsum(1) - 1, start + walk], 1)),
    )
    sheet.wrong(
        "down the columns",
        "The sum runs down the columns, cumsum(0), from one customer to the next. Count along each "
        "row: cumsum(1).",
        placed(whole.cumsum(0) - 1) or placed((whole.cumsum(0) - 1).clamp_min(0)),
    )
    text = torch.cat([right.cumsum(1) - 1, mask.cumsum(1) - 1], 1)
    sheet.wrong(
        "text begins at 0",
        "You count the text from 0 again. In a row with virtual tokens the text comes after them, "
        "so it goes on counting.",
        placed(text) or placed(torch.cat([count.expand(B, n), walk], 1)),
    )
    sheet.wrong(
        "n for all",
        "Every row's text begins at the longest prompt's length. A row's text begins after its "
        "own virtual tokens, however many others have.",
        placed(torch.cat([right.cumsum(1) - 1, mask.cumsum(1) - 1 + n], 1)),
    )
    sheet.wrong("one off", "The positions are one off: the first one is 0.",
                placed(positions + 1) or placed(positions - 1))  # fmt: skip
    if not placed(positions):
        sheet.finish(False)
    _another_batch(sheet, later, later_mask, second_batch)


def _another_batch(sheet: Sheet, lengths, mask, value) -> None:
    """The second batch of 10c, shown only where the first is right: is n the longest prompt?"""
    whole, positions = columns(lengths, mask)
    first, second = value if isinstance(value, (tuple, list)) else (value, value)
    sheet.note("the first batch is right. Another: prompts of 2, 0, 5 and 1")
    sheet.case("the mask", whole, first)
    sheet.case("the positions (only those where the mask is 1 count)", positions, second)
    sheet.broken(value)
    rows, T = mask.shape
    n = first.shape[1] - T if isinstance(first, torch.Tensor) and first.ndim == 2 else None
    longest = "n is the longest prompt of *this* batch, lengths.max(): 5 here."
    for kind, taken, text in (
        ("n of the first row", int(lengths[0]), "You took n from the first row, lengths[0]."),
        ("n of rows", rows, "You took the number of rows for n, len(lengths)."),
        ("n fixed", 3, "There are 3 virtual columns, as in the first batch."),
    ):
        sheet.wrong(kind, f"{text} It fits the first batch by chance. {longest}", n == taken)
    sheet.wrong("n", f"The columns are too many or too few. {longest}", shape(first) != whole.shape)
    there = whole.bool()
    right = same(first.double(), whole.double()) and shape(second) == positions.shape
    sheet.finish(right and same(second[there].double(), positions[there].double()))
