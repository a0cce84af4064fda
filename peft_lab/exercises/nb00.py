"""Exercises of notebook 00: which weights changed, what a hash can decide, how big ten vectors
are."""

import torch
from torch import nn

from .core import NOTHING, Failure, Sheet, exercise, number, same

# --- 00a ----------------------------------------------------------------------


def snapshot(model: nn.Module) -> dict[str, torch.Tensor]:
    """Name -> copy of each parameter, which later training cannot touch."""
    return {name: p.detach().clone() for name, p in model.named_parameters()}


def weights_changed(before: dict, after: dict) -> list[str]:
    """The names in ``before`` whose tensors differ in ``after``, bit for bit."""
    return [name for name in before if not torch.equal(before[name], after[name])]


class _Toy(nn.Module):
    """Half of it is frozen: a snapshot must hold that half too."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(5, 4).requires_grad_(False)
        self.block = nn.Linear(4, 4)


@exercise("00a", "snapshot and weights_changed", (snapshot, weights_changed))
def check_00a(sheet: Sheet, take, changed) -> None:
    """``snapshot(model) -> dict``, ``weights_changed(before, after) -> list of names``, both the
    learner's."""
    model = _Toy()
    names = [n for n, _ in model.named_parameters()]
    frozen = {n for n, p in model.named_parameters() if not p.requires_grad}

    kept = sheet.attempt(take, model)
    start = snapshot(model)
    with torch.no_grad():
        model.block.bias[0] += 1.0
    later = sheet.attempt(take, model)
    survived = _survives(kept, start)
    sheet.case("does the snapshot survive one step of training?", "yes", survived)

    cases = {"nothing happened": (start, start, [])}
    step = dict(start)
    step["block.weight"] = start["block.weight"] + 0.1
    cases["one weight trained"] = (start, step, ["block.weight"])
    tiny = {n: t.clone() for n, t in start.items()}
    row = tiny["embedding.weight"][0]
    row[0] = torch.nextafter(row[0], torch.tensor(9.0))
    cases["one number moved by its last bit"] = (start, tiny, ["embedding.weight"])
    swapped = dict(start)
    swapped["block.bias"] = start["block.bias"].flip(0)
    cases["the same numbers in another order"] = (start, swapped, ["block.bias"])
    extra = dict(start) | {"prompt.vectors": torch.ones(2, 4)}
    cases["a method brought a tensor of its own"] = (start, extra, [])
    both = "your two together, after that step"
    if isinstance(kept, dict) and isinstance(later, dict):
        cases[both] = (kept, later, ["block.bias"])
    got = {}
    for caption, (before, after, target) in cases.items():
        value = sheet.attempt(changed, before, after)
        got[caption] = value
        sheet.case(caption, target, value)

    sheet.broken(kept)
    missing = set(names) - set(kept) if isinstance(kept, dict) else set(names)
    sheet.wrong(
        "frozen missing",
        f"Frozen parameters are missing from your snapshot ({', '.join(sorted(frozen))}), and they "
        "are just what we want to watch. Take every parameter, whatever its requires_grad.",
        isinstance(kept, dict) and missing == frozen,
    )
    sheet.wrong(
        "snapshot is no dict",
        "A snapshot is a dict from the parameters' names to their values; look at "
        "model.named_parameters().",
        bool(missing),
    )
    sheet.wrong(
        "no tensors",
        f"Your snapshot holds values of type {_foreign(kept)}. Copies they may be, but a later "
        "cell needs tensors: .detach().clone() gives a copy that is one.",
        bool(_foreign(kept)),
    )
    sheet.wrong(
        "references",
        "Your snapshot changed together with the model: it keeps references to the same memory, "
        "so before and after are always equal. Look at what .clone() does to a tensor.",
        survived == "no" and same(kept["block.bias"], model.block.bias, 0.0),
    )
    sheet.wrong(
        "other values",
        "Your snapshot holds other values than the parameters had. It should be a copy, number "
        "by number and with the same dtype.",
        survived == "no",
    )
    with_extra = got["a method brought a tensor of its own"]
    for value in got.values():
        if value is with_extra and isinstance(value, Failure):
            continue
        sheet.broken(value)
    sheet.wrong(
        "not a list of names",
        "weights_changed answers with a list of names, so that one sees which weights moved.",
        any(isinstance(v, (bool, int, str, torch.Tensor)) for v in got.values()),
    )
    # What a snapshot holds beside the parameters (a tied name, say) may well be listed too.
    found = {
        c: sorted(n for n in v if c != both or n in names)
        for c, v in got.items()
        if not isinstance(v, Failure)
    }
    everything = set(found["nothing happened"]) == set(names)
    sheet.wrong(
        "inverted",
        "You list the weights that stayed as they were. Turn the condition round.",
        everything,
    )
    sheet.wrong(
        "close is not equal",
        "One number moved by its last bit, and your comparison let it pass: close is not equal. "
        "Look for a comparison that allows no tolerance.",
        found["one number moved by its last bit"] == [],
    )
    sheet.wrong(
        "sums",
        "The same numbers in another order went unnoticed: sums and means forget the order. "
        "Compare entry by entry.",
        found["the same numbers in another order"] == [],
    )
    sheet.wrong(
        "method's tensors",
        "You reported prompt.vectors, which the method brought along. The question is about the "
        "base: ask only about names that were there before.",
        isinstance(with_extra, Failure) or "prompt.vectors" in with_extra,
    )
    sheet.finish(all(found[c] == sorted(t) for c, (_, _, t) in cases.items()))


def _survives(kept, start: dict):
    """ "yes" or "no"; what is no dict at all is shown as it is."""
    if isinstance(kept, (torch.Tensor, list, tuple)):
        return f"not a dict, but {type(kept).__name__}"
    if not isinstance(kept, dict):
        return kept
    if _foreign(kept):
        return f"not tensors, but {_foreign(kept)}"
    return "yes" if all(same(kept.get(n), t, 0.0) for n, t in start.items()) else "no"


def _foreign(kept) -> str:
    """The type of the values that are no tensors; "" if all are tensors."""
    values = kept.values() if isinstance(kept, dict) else ()
    return next((type(v).__name__ for v in values if not isinstance(v, torch.Tensor)), "")


# --- 00b ----------------------------------------------------------------------

CLAIMS = {
    1: "Full fine-tuning adjusts the model's internal parameters.",
    2: "Prompt tuning adjusts the model's internal parameters.",
    3: "Prompt tuning prepends learned vectors to the input.",
    4: "Prefix tuning puts learned vectors at every layer.",
    5: "PEFT works as well, or almost as well, as full fine-tuning.",
}
VERDICTS = {1: "true", 2: "false", 3: "not by a hash", 4: "not by a hash", 5: "not by a hash"}


@exercise(
    "00b", "what can a hash of the weights decide?", lambda **_: dict(VERDICTS), prediction=True
)
def check_00b(sheet: Sheet, votes) -> None:
    """``votes``: {1: "true" | "false" | "not by a hash", ... 5: ...}."""
    words = ("true", "false", "not by a hash")
    choices = ", ".join(map(repr, words))
    empty = votes is None or votes is ... or (isinstance(votes, dict) and not _voted(votes))
    given = {} if empty else votes
    for n, claim in CLAIMS.items():
        vote = given.get(n) if isinstance(given, dict) else None
        sheet.note(f"{n}. {claim}")
        shown = "(no vote yet)" if vote in (None, ...) else str(vote)
        mark = (
            ""
            if shown == "(no vote yet)"
            else ("  (right)" if _word(vote) == VERDICTS[n] else "  (look again)")
        )
        sheet.note(f"   yours: {shown}{mark}")
    sheet.broken(NOTHING if empty else True)
    sheet.wrong(
        "not a dict",
        f"votes is a dict from 1 … 5 to one of {choices}.",
        not isinstance(votes, dict),
    )
    got = {n: _word(votes.get(n)) for n in CLAIMS}
    missing = [n for n in CLAIMS if got[n] not in words]
    sheet.wrong(
        "vote missing",
        f"Claim {', '.join(map(str, missing))}: say one of {choices}.",
        bool(missing),
    )
    sheet.wrong(
        "by authority",
        "Claim 2 stands in glossaries, and still the hashes decide: they were the same before and "
        "after prompt tuning. Look at the cell below, under Train it: it trains a prompt and "
        "hashes the weights around it.",
        got[2] == "true",
    )
    sheet.wrong(
        "quality by hash",
        "Claim 5 is about quality, and equal hashes say nothing of how good the texts are. It "
        "takes held-out losses of both, over several seeds: notebook 04 ends with them.",
        got[5] != "not by a hash",
    )
    sheet.wrong(
        "places by hash",
        "Claims 3 and 4 are about where something goes in, and no hash shows that, true or not. "
        "It shows that no weight changed. What was put before the text notebook 03 prints; what "
        "was put into the layers, notebook 04.",
        "not by a hash" not in (got[3], got[4]),
    )
    sheet.wrong(
        "place by hash",
        "Claim 4 is about where the vectors go in. A hash shows that no weight changed, not at "
        "which layer something was added: notebook 04 looks into the layers.",
        got[4] != "not by a hash",
    )
    sheet.wrong(
        "addition by hash",
        "Claim 3 is about the input. The hash shows that the weights stayed; what was put before "
        "the text it cannot see: notebook 03 prints it.",
        got[3] != "not by a hash",
    )
    sheet.wrong(
        "too careful",
        "Claims 1 and 2 speak of the weights themselves, and there a hash is a judge: the same "
        "before and after, or not. Train, hash, compare.",
        "not by a hash" in (got[1], got[2]),
    )
    sheet.wrong(
        "full unchanged",
        "Claim 1: hash the weights before and after full fine-tuning.",
        got[1] == "false",
    )
    text = "A hash judges the two claims about weights, and no other."
    sheet.finish(got == VERDICTS, text, right=text)


def _voted(votes: dict) -> bool:
    return any(v is not None and v is not ... for v in votes.values())


def _word(vote) -> str:
    if isinstance(vote, bool):
        return "true" if vote else "false"
    return str(vote).strip().lower().rstrip(".")


# --- 00c ----------------------------------------------------------------------


def vector_bytes(model, *, vectors: int = 10) -> int:
    """Bytes of ``vectors`` input vectors of ``model`` in float32: vectors x width x 4."""
    return vectors * model.config.hidden_size * 4


_TABLE = (
    "That is the table of all {:,} words, or more. Only the {} new vectors are kept in the file."
)


@exercise("00c", "how many bytes are 10 vectors?", vector_bytes, prediction=True)
def check_00c(sheet: Sheet, predicted, model, *, vectors: int = 10) -> None:
    """``predicted``: bytes of ``vectors`` float32 vectors as wide as ``model`` is."""
    width, layers = model.config.hidden_size, model.config.num_hidden_layers
    vocabulary = model.config.vocab_size
    target = vector_bytes(model, vectors=vectors)
    value = number(predicted)
    empty = predicted is None or predicted is ...
    sheet.note(f"{vectors} vectors of {width} numbers each, float32")
    if value is None:
        shown = "(nothing yet)" if empty else repr(predicted)
    else:
        shown = f"{value:,.0f} bytes"
    sheet.note(f"  yours   {shown}")
    sheet.broken(NOTHING if empty else True)
    sheet.wrong("not a number", "A number of bytes was expected, such as 1_000.", value is None)
    numbers, table = vectors * width, vocabulary * width
    slips = [
        (
            "elements",
            "That is the count of numbers. A float32 takes more than one byte: how many bits has "
            "it, and how many has a byte?",
            [numbers],
        ),
        ("bits", "That is in bits. Eight of them make a byte.", [32 * numbers]),
        (
            "float16",
            "That would be float16, two bytes a number. Here float32 was asked.",
            [2 * numbers],
        ),
        ("one vector", f"That is one vector. There are {vectors}.", [4 * width, width]),
        (
            "times layers",
            f"You multiplied by the {layers} layers. These vectors stand before the text, at the "
            "input only: one set for the whole model. (A prefix does have them at every layer: "
            "notebook 04.)",
            [bytes_ * numbers * layers for bytes_ in (4, 1, 2, 8)],
        ),
        (
            "whole vocabulary",
            _TABLE.format(vocabulary, vectors),
            [4 * table, table, 4 * numbers * vocabulary],
        ),
    ]
    sheet.slips(value, target, slips)
    sheet.wrong(
        "whole vocabulary",
        _TABLE.format(vocabulary, vectors),
        value > target
        and value >= table > target
        and not any(value in numbers_ for _, _, numbers_ in slips),
    )
    general = "Not yet. Vectors times numbers in each, times bytes in each number."
    sheet.finish(value == target, general, right=f"{target:,} bytes.")
