"""Exercises of notebook 11: what an instruction is worth, what may be trained on, fair pairs."""

from collections.abc import Iterator
from itertools import combinations
from math import exp
from statistics import fmean

from .core import Sheet, exercise, same

# --- 11a ----------------------------------------------------------------------


def worth(own: list[float], swapped: list[float], tokens: list[int]) -> float:
    """Nats a token by which the right instruction makes the answers likelier than a wrong one."""
    return (sum(swapped) - sum(own)) / sum(tokens)


WORTH_CASES = [
    ("a model that reads it", [2.0, 3.0, 12.0], [8.0, 5.0, 16.0], [2, 2, 12]),
    ("one that does not", [4.0, 6.0, 20.0], [4.0, 6.0, 20.0], [2, 4, 10]),
    ("one that it misleads", [5.0, 4.0, 9.0], [4.0, 3.5, 8.0], [3, 1, 6]),
]


@exercise("11a", "worth", worth)
def check_11a(sheet: Sheet, answer) -> None:
    """``worth(own, swapped, tokens) -> nats a token``."""
    values = [sheet.attempt(answer, *case) for _, *case in WORTH_CASES]
    targets = [worth(*case) for _, *case in WORTH_CASES]
    for (name, own, swapped, tokens), target, value in zip(
        WORTH_CASES, targets, values, strict=True
    ):
        sheet.case(f"{name}: own {own}, swapped {swapped}, tokens {tokens}", target, value)
    sheet.wrong("a list", "One number comes back for all rows together, not one a row.",
                any(isinstance(value, list | tuple) or getattr(value, "ndim", 0)
                    for value in values))  # fmt: skip
    for value in values:
        sheet.broken(value, {"unsupported operand": ("lists", "A list cannot be subtracted from a "
                                                     "list: sum() both first.")})  # fmt: skip

    def given(slip):
        return all(same(v, slip(*case)) for v, (_, *case) in zip(values, WORTH_CASES, strict=True))

    sheet.wrong(
        "sign",
        "The sign is turned round. A wrong instruction makes the right answer less likely, so it "
        "costs more nats: swapped less own is what the right one is worth.",
        given(lambda own, swapped, tokens: -worth(own, swapped, tokens)),
    )
    sheet.wrong(
        "sign",
        "Two slips. The sign is turned round: a wrong instruction costs more nats, so it is "
        "swapped less own. And the sum grows with the test set: divide by the tokens.",
        given(lambda own, swapped, tokens: sum(own) - sum(swapped)),
    )
    sheet.wrong(
        "mean of rows",
        "You divided row by row. Then a token of a one-word answer counts many "
        "times a token of a sentence. All nats over all tokens, as the loss does it.",
        given(lambda o, s, t: fmean((b - a) / n for a, b, n in zip(o, s, t, strict=True)))
        or given(lambda o, s, t: sum((b - a) / n for a, b, n in zip(o, s, t, strict=True))),
    )
    sheet.wrong(
        "weighted",
        "You multiplied each row by its tokens. own and swapped hold the nats of the whole answer "
        "already: add them up, and divide once.",
        given(lambda o, s, t: sum((b - a) * n for a, b, n in zip(o, s, t, strict=True)) / sum(t)),
    )
    sheet.wrong(
        "a row",
        "That is nats a row. Rows with long answers have more to gain: divide by the tokens.",
        given(lambda own, swapped, tokens: (sum(swapped) - sum(own)) / len(own)),
    )
    sheet.wrong(
        "not divided",
        "That is the sum over all rows. It grows with the test set: divide by the tokens.",
        given(lambda own, swapped, tokens: sum(swapped) - sum(own)),
    )
    sheet.wrong(
        "own forgotten",
        "That is the loss with the other words alone. Worth is what the own words change: the own "
        "loss goes off it.",
        given(lambda own, swapped, tokens: sum(swapped) / sum(tokens)),
    )
    sheet.wrong(
        "share",
        "That is a share of the loss. Nats a token are asked: the difference over the tokens.",
        given(lambda own, swapped, tokens: 1 - sum(own) / sum(swapped))
        or given(lambda own, swapped, tokens: sum(swapped) / sum(own) - 1)
        or given(lambda own, swapped, tokens: sum(swapped) / sum(own)),
    )
    sheet.wrong(
        "a factor",
        "That is the factor by which a token gets likelier, e to the worth. Nats are asked: leave "
        "the exponential off.",
        given(lambda own, swapped, tokens: exp(worth(own, swapped, tokens))),
    )
    sheet.wrong(
        "not negative",
        "In the third case the right instruction makes things worse. Let the number say so: "
        "below zero is a finding.",
        given(lambda own, swapped, tokens: abs(worth(own, swapped, tokens)))
        or given(lambda own, swapped, tokens: max(0.0, worth(own, swapped, tokens))),
    )
    sheet.finish(all(map(same, values, targets)))


# --- 11b ----------------------------------------------------------------------


def may_train(rows: list[dict], test: list[dict]) -> list[dict]:
    """The rows that leave the ladder honest: none of a new task, none in words that are to be
    new, no sentence of the test."""
    families = {row["family"] for row in test if row["rung"] == "new task"}
    wordings = {row["wording"] for row in test if row["rung"] != "seen words"}
    sentences = {row["sentence"] for row in test}
    return [
        row for row in rows
        if row["family"] not in families and row["wording"] not in wordings
        and row["sentence"] not in sentences
    ]  # fmt: skip


def _row(family: str, wording: str, sentence: str, rung: str | None = None) -> dict:
    row = {"family": family, "wording": wording, "sentence": sentence}
    return row | {"rung": rung} if rung else row


BELL, CAT, FOX, GOAT, OWL = (
    "The bell rings at noon.", "The cat is on the roof.", "A fox is awake.", "A goat is asleep.",
    "An owl can see the moon.",
)  # fmt: skip
TEST = [
    _row("time", "Day or night?", FOX, "seen words"),
    _row("time", "When is it?", CAT, "new words"),
    _row("where", "Name the place.", OWL, "new task"),
]
POOL = [
    _row("time", "Day or night?", BELL),  # may stay: its words are tested as seen words
    _row("time", "Day or night?", CAT),  # a sentence of the test
    _row("time", "When is it?", BELL),  # words that are to be new
    _row("where", "Where is it?", GOAT),  # the new task, in words of its own
    _row("who", "Name the animal.", GOAT),
    _row("who", "Name the animal.", OWL),  # a sentence of the test, for another job
    _row("who", "Name the animal.", FOX),  # and one of the rung "seen words"
    _row("who", "Name the place.", GOAT),  # the new task's words, for a job that may be trained
    _row("who", "When is it?", GOAT),  # words that are to be new, for another job
]


@exercise("11b", "may_train", may_train)
def check_11b(sheet: Sheet, answer) -> None:
    """``may_train(rows, test) -> the rows that may be trained on``, in their order."""
    target, value = may_train(POOL, TEST), sheet.attempt(answer, POOL, TEST)
    turned = sheet.attempt(answer, POOL[::-1], TEST)  # other places, the same rows
    for row in TEST:
        sheet.note(f"test, {row['rung']}: {row['family']} | {row['wording']} | {row['sentence']}")
    rows = value if isinstance(value, list) else None
    for row in POOL:
        told = f"{row['family']} | {row['wording']} | {row['sentence']}"
        sheet.case(told, _kept(row, target), value if rows is None else _kept(row, rows))
    sheet.broken(value, {"KeyError: 'rung'": ("rung", "Only test rows have a rung.")})
    sheet.wrong("not rows", "Give back a list of the rows themselves.",
                rows is None or any(row not in POOL for row in rows))  # fmt: skip

    def given(row: dict) -> bool:
        return row in rows

    bell, cat, new_words, new_task, goat, owl, fox, place, when = POOL
    sheet.wrong("turned round", "These are the rows to keep *out*: the others may be trained.",
                rows == [row for row in POOL if row not in target])  # fmt: skip
    sheet.wrong("a row twice", "A row comes back more than once. (A loop over the test inside a "
                "loop over the rows adds it once for each test row.)",
                any(rows.count(row) > 1 for row in POOL))  # fmt: skip
    sheet.wrong("the order", "These are the right rows. They come back in another order than they "
                "had in the pool.", rows != target and sorted(map(str, rows)) ==
                sorted(map(str, target)))  # fmt: skip
    sheet.wrong(
        "words of the test",
        "You dropped \"Day or night?\" for the job \"time\". The test calls these words, and this "
        "job, seen: they must be trained, or nothing is seen. Only the wordings of the two other "
        "rungs and the families of the rung \"new task\" are kept back.",
        not given(bell) and given(goat),
    )  # fmt: skip
    sheet.wrong("nothing left", "You dropped \"Name the animal.\" about the goat, which does no "
                "harm: job, words and sentence stand nowhere in the test.",
                not given(goat))  # fmt: skip
    sheet.wrong("everything", "All rows came back: nothing was kept from the training.",
                all(map(given, POOL)))  # fmt: skip
    sheet.wrong(
        "the new task",
        "A row of the family \"where\" is still there. That its words are others does not help: "
        "the job itself is to be new.",
        given(new_task),
    )  # fmt: skip
    sheet.wrong(
        "the new words",
        "\"When is it?\" is trained, so it is not new any more. The rung \"new words\" would be "
        "the rung \"seen words\" under another name.",
        given(new_words),
    )  # fmt: skip
    sheet.wrong(
        "new words, another job",
        '"When is it?" is trained, for another job. The model would have read these words: keep '
        "them out for every job.",
        given(when),
    )
    sheet.wrong(
        "the new task's words",
        '"Name the place." is trained, for another job. On the rung "new task" the words are new '
        "as well as the job.",
        given(place),
    )
    sheet.wrong(
        "seen words, seen sentence",
        "\"A fox is awake.\" stands on the rung \"seen words\" and is trained. There the *words* "
        "are seen; the sentence is new on every rung.",
        given(fox) and not given(cat) and not given(owl),
    )  # fmt: skip
    sheet.wrong(
        "sentence of another job",
        "\"An owl can see the moon.\" is trained for another job and tested as a new task. The "
        "model would know the sentence: keep it out for every job.",
        given(owl) and not given(cat),
    )  # fmt: skip
    sheet.wrong(
        "the sentences",
        "A sentence of the test is trained. Then a right answer may be a memory: keep every "
        "sentence of the test out.",
        given(cat) or given(owl) or given(fox),
    )
    sheet.wrong(
        "by their places",
        "Right for these rows in this order. Given the same pool backwards, it brings other rows: "
        "ask each row what it holds, not where it stands.",
        rows == target and turned != target[::-1],
    )
    again = sheet.attempt(answer, *map(_renamed, (POOL, TEST)))
    sheet.wrong(
        "by their names",
        "Right for these rows. Given other jobs, words and sentences, it brings other rows. What "
        "to keep out stands in the test rows: read it there.",
        rows == target and again != _renamed(target),
    )
    right = "Three locks, one for each thing that is to be new."
    sheet.finish(rows == target and turned == target[::-1], right=right)


def _renamed(rows: list[dict]) -> list[dict]:
    """The same rows with other jobs, words and sentences: each spelt backwards."""
    return [{k: v if k == "rung" else v[::-1] for k, v in row.items()} for row in rows]


def _kept(row: dict, rows: list) -> str:
    return "train" if row in rows else "keep out"


# --- 11c ----------------------------------------------------------------------


def fair_pairs(arms: dict[str, dict], thing: str) -> list[tuple[str, str]]:
    """The pairs of arms that differ in this one thing and in nothing else."""
    return [
        (a, b) for a, b in combinations(arms, 2)
        if [key for key in arms[a] if arms[a][key] != arms[b][key]] == [thing]
    ]  # fmt: skip


THINGS = ("tasks", "rows", "steps", "parameters")
ARMS = {
    f"{name}, {parameters}": dict(zip(THINGS, (*settings, parameters), strict=True))
    for name, settings in {
        "one task": (1, 96, 200),
        "many tasks, 96 rows": (6, 96, 200),
        "many tasks": (6, 576, 200),
        "many tasks, longer": (6, 576, 1200),
    }.items()
    for parameters in ("all", "few")
}


@exercise("11c", "fair_pairs", fair_pairs)
def check_11c(sheet: Sheet, answer) -> None:
    """``fair_pairs(arms, thing) -> [(name, name), ...]``."""
    values = {thing: sheet.attempt(answer, ARMS, thing) for thing in THINGS}
    values = {t: [*v] if isinstance(v, Iterator) else v for t, v in values.items()}
    targets = {thing: _pairs(fair_pairs(ARMS, thing)) for thing in THINGS}
    for thing in THINGS:
        sheet.case(thing, _told(targets[thing]), _told(_pairs(values[thing]), values[thing]))
    for value in values.values():
        sheet.broken(value)
    sheet.wrong("not pairs", "Give a list of pairs of names: [(\"one task, all\", ...), ...].",
                any(_pairs(value) is None for value in values.values()))  # fmt: skip
    found = {thing: _pairs(value) for thing, value in values.items()}
    everything = [pair for pairs in found.values() for pair in pairs]
    sheet.wrong("with itself", "An arm is compared with itself: nothing differs.",
                any(len(pair) < 2 for pair in everything))  # fmt: skip
    sheet.wrong(
        "twice", "Each pair comes twice, in both orders. Once is enough.",
        any(len(pairs) != len(set(pairs)) for pairs in found.values()),
    )  # fmt: skip

    def differing(pair) -> list[str]:
        a, b = (ARMS[name] for name in pair)
        return [key for key in a if a[key] != b[key]]

    sheet.wrong(
        "nothing found",
        "Nothing came back, for none of the four. (Is a list compared "
        'with a text? ["tasks"] == "tasks" is never true.)',
        not everything,
    )
    if any(thing not in differing(pair) for thing, pairs in found.items() for pair in pairs):
        equal = all(
            thing not in differing(pair) for thing, pairs in found.items() for pair in pairs
        )
        sheet.wrong(
            "the thing is equal",
            "You gave pairs in which that very thing is the same. It must differ, and the rest "
            "must be equal.",
            equal,
        )
        sheet.wrong(
            "any one thing",
            "Some of your pairs differ in one thing, but not in the one that was asked for.",
            all(len(differing(pair)) == 1 for pair in everything),
        )
    for pair in everything:
        one, other = sorted(pair, key=list(ARMS).index)
        sheet.wrong(
            "two at once",
            f'Some of your pairs differ in more than the thing asked for. "{one}" and "{other}" '
            f"differ in {' and '.join(differing(pair))}: whichever wins, you would not know why.",
            len(differing(pair)) > 1,
        )
    sheet.wrong(
        "the first pair only",
        "Each of your pairs is right, but most are missing: only the first was found. (A return "
        "inside the loop ends it there.)",
        all(
            len(pairs) <= 1 and set(pairs) <= set(targets[thing]) for thing, pairs in found.items()
        ),
    )
    sheet.wrong("some missing", "Each of your pairs is right. Some are missing: every pair of arms "
                "must be asked, not only neighbours.",
                all(set(pairs) <= set(targets[thing]) for thing, pairs in found.items())
                and len(everything) < sum(map(len, targets.values())))  # fmt: skip
    sheet.finish(all(set(found[thing]) == set(targets[thing]) for thing in THINGS))


def _pairs(value) -> list[frozenset] | None:
    """As sets, in whatever form they came; None if they are no pairs of names."""
    try:
        pairs = [frozenset(pair) for pair in value]
    except TypeError:
        return None
    return pairs if all(pair <= set(ARMS) for pair in pairs) else None


def _told(pairs, value=None):
    if pairs is None:  # what is no pairs is shown as it came
        return value
    order = list(ARMS).index  # as the notebook lists them, a pair either way round
    told = sorted((sorted(pair, key=order) for pair in pairs), key=lambda pair: order(pair[0]))
    return "\n".join(map(" | ".join, told)) or "none"
