"""Exercises of notebook 08: the right learning rate for each, the front, and three verdicts."""

import math
from statistics import fmean, stdev

from ..claims import interval, student
from . import nb00
from .core import NOTHING, Sheet, exercise

# --- 08a ----------------------------------------------------------------------


def choose_rates(runs: list[dict]) -> dict[str, float | None]:
    """Each arm's learning rate with the lowest validation loss; None where it is at the edge."""
    chosen = {}
    for arm in {run["arm"] for run in runs}:
        losses = {r["learning_rate"]: r["validation_nats"] for r in runs if r["arm"] == arm}
        finite = {rate: loss for rate, loss in losses.items() if math.isfinite(loss)}
        best = min(finite, key=finite.get)
        chosen[arm] = None if best in (min(losses), max(losses)) else best
    return chosen


def _invented(arm: str, rates: list[float], validation: list, test: list) -> list[dict]:
    return [
        {"arm": arm, "learning_rate": rate, "seed": 0, "validation_nats": v, "test_nats": t}
        for rate, v, t in zip(rates, validation, test, strict=True)
    ]


NAN = math.nan
RATES = [1e-3, 3e-3, 1e-2, 3e-2, 1e-1]
RUNS = [  # in no order: `min` over a list that begins with NaN stays there
    run
    for _, run in sorted(
        enumerate(
            _invented("wide", RATES, [4.40, 4.20, 4.10, 4.15, 4.60], [4.45, 4.22, 4.14, 4.02, 4.70])
            + _invented("timid", RATES, [4.30, 4.20, 4.05, NAN, NAN], [4.20, 4.1, 4.22, NAN, NAN])
            + _invented("bold", RATES, [4.60, 4.50, 4.40, 4.30, 4.20], [4.70, 4.5, 4.4, 4.3, 4.32])
            + _invented("slow", [3e-5, 1e-4, 3e-4], [4.10, 4.20, 4.30], [4.2, 4.15, 4.25])
            + _invented("near", [1e-4, 3e-4, 1e-3], [4.30, 4.10, 4.20], [4.1, 4.15, 4.25])
            # its best is its own edge, though others were tried further out
            + _invented("short", [1e-3, 3e-3, 1e-2], [4.35, 4.25, 4.15], [4.4, 4.2, 4.25])
        ),
        # the first NaN is no edge: `min` then gives a rate, and not None
        key=lambda pair: (not math.isnan(pair[1]["validation_nats"]), pair[0] * 13 % 24),
    )
]


@exercise("08a", "choose_rates", choose_rates)
def check_08a(sheet: Sheet, answer) -> None:
    """``choose_rates(runs) -> {arm: learning rate, or None at the edge}``."""
    target, value = choose_rates(RUNS), sheet.attempt(answer, RUNS)
    sheet.note("six methods, each with rates of its own, one run a rate; two runs diverged (NaN)")
    sheet.note("one of them, timid; rate: validation, test")
    for run in sorted((r for r in RUNS if r["arm"] == "timid"), key=lambda r: r["learning_rate"]):
        sheet.note(f"  {run['learning_rate']:g}: {run['validation_nats']}, {run['test_nats']}")
    for arm in sorted(target):
        sheet.case(arm, _rate(target[arm]), _rate_of(value, arm))
    sheet.broken(value, {"NoneType": ("none", 'None stands for "widen the grid first".')})
    sheet.wrong(
        "whole runs",
        'Give the rate, not the run: run["learning_rate"].',
        isinstance(value, dict) and any(isinstance(v, dict) for v in value.values()),
    )
    sheet.wrong("arms missing", "An arm is missing. Where the grid must be widened first, its "
                "entry is None: {\"bold\": None, ...}.",
                isinstance(value, dict) and set(value) < set(target))  # fmt: skip
    sheet.wrong("a text", "A rate is a number, and an edge is None, without quotation marks.",
                isinstance(value, dict) and any(isinstance(v, str) for v in value.values())
                )  # fmt: skip
    sheet.wrong("not a dict", "One entry an arm comes back: {\"wide\": 0.01, ...}.",
                not isinstance(value, dict) or set(value) != set(target))  # fmt: skip

    def own_edges(rates):
        return min(rates), max(rates)

    def by(value_of, edges=own_edges):
        found = {}
        for arm in target:
            runs = [r for r in RUNS if r["arm"] == arm]
            losses = {r["learning_rate"]: value_of(r) for r in runs}
            best = min((r for r in losses if math.isfinite(losses[r])), key=losses.get)
            found[arm] = None if best in edges([*losses]) else best
        return found

    def validation(run):
        return run["validation_nats"]

    def given(slip):
        return all(_same_rate(value[arm], slip[arm]) for arm in target)

    sheet.wrong(
        "loss, not rate",
        "You gave the loss. What is asked for is the learning rate of the run that has it.",
        any(isinstance(v, float) and not v < 1 for v in value.values()),
    )
    for edges in (own_edges, lambda rates: ()):
        sheet.wrong(
            "on test",
            "You chose by the test loss. Then the test has helped to choose, and it cannot judge "
            "any more: with many rates the luckiest wins. Choose on validation, look at test once.",
            given(by(lambda r: r["test_nats"], edges)),
        )
        sheet.wrong(
            "test takes part",
            "The test loss takes part in your choice. What it has helped to choose, if only a "
            "little, it cannot judge any more. Choose by validation alone.",
            given(by(lambda r: r["validation_nats"] + r["test_nats"], edges)),
        )
    one = {rate for rate in value.values() if rate is not None}
    sheet.wrong(
        "one rate for all",
        "You gave all methods one rate. The best ones lie up to a factor of 300 apart: at one "
        "common rate you compare how well each likes that rate.",
        len(one) == 1 and None not in value.values(),
    )
    sheet.wrong(
        "edge accepted",
        'The best rate of "bold" is the largest that was tried. The next one may be better still, '
        'so nobody knows its best yet: give None, which says "widen the grid first".',
        given(by(validation, lambda rates: ())),
    )
    every = [run["learning_rate"] for run in RUNS]
    sheet.wrong(
        "edges of all",
        "You took the smallest and the largest rate of all runs for the edges. Each method has a "
        'grid of its own: "short" was tried up to 0.01 only, and is at its best there.',
        given(by(validation, lambda rates: own_edges(every))),
    )
    sheet.wrong(
        "edges of the list",
        "You took the first and the last run of the list for the edges. The runs are in no order: "
        "an edge is the smallest or the largest *rate*.",
        given(by(validation, lambda rates: (rates[0], rates[-1]))),
    )
    sheet.wrong(
        "NaN wins",
        "A run that diverged was taken for a good one. Every comparison with NaN is false, so "
        "min() keeps a NaN that comes first. Leave these runs out, or count them as infinite.",
        any(_diverged(arm, value[arm]) for arm in target),
    )
    for edges in (own_edges, lambda rates: ()):
        sheet.wrong("largest", "You took the largest loss. A lower loss is better.",
                    given(by(lambda run: -validation(run), edges)))  # fmt: skip
    sheet.wrong(
        "one edge",
        '"bold" is at its best at the largest rate that was tried. That is an edge too: None.',
        given(by(validation, lambda rates: (min(rates),))),
    )
    sheet.wrong(
        "one edge",
        '"slow" is at its best at the smallest rate that was tried. That is an edge too: None.',
        value["slow"] is not None,
    )
    sheet.wrong(
        "edge of the rest",
        'You gave None for "timid". Its best rate lies beside rates at which it diverged. If you '
        "left those out before you looked for the edge: they were tried, so it is no edge. If you "
        "did not leave them out: min() may keep a NaN for the best; see the hint.",
        value["timid"] is None,
    )
    sheet.finish(given(target))


def _same_rate(a, b) -> bool:
    if a is None or b is None:
        return a is b
    return isinstance(a, int | float) and math.isclose(a, b)


def _diverged(arm: str, rate) -> bool:
    return any(
        run["arm"] == arm and _same_rate(rate, run["learning_rate"])
        and math.isnan(run["validation_nats"]) for run in RUNS
    )  # fmt: skip


def _rate(rate) -> str:
    if rate is None:
        return "None: widen the grid first"
    return f"{rate:g}" if isinstance(rate, int | float) else repr(rate)


def _rate_of(value, arm: str):
    if isinstance(value, dict):
        return _rate(value[arm]) if arm in value else "(missing)"
    return value


# --- 08b ----------------------------------------------------------------------


def front(methods: dict[str, tuple[int, list[float]]]) -> list[str]:
    """Methods that none with at most as many parameters clearly beats, the smallest first."""

    def beaten(name: str) -> bool:
        size, losses = methods[name]
        return any(
            rival_size <= size
            and interval(a - b for a, b in zip(losses, rival, strict=True)).low > 0
            for other, (rival_size, rival) in methods.items()
            if other != name
        )

    return sorted((name for name in methods if not beaten(name)), key=lambda n: methods[n][0])


def _seeds(mean: float, *luck: float) -> list[float]:
    return [round(mean + x, 4) for x in luck]


LUCK = (0.012, -0.010, 0.004, -0.008, 0.002)  # of a seed, shared by all: it shuffles the same data
OWN = (-0.004, 0.003, 0.004, -0.005, 0.002)
METHODS = {  # in an order that is not that of their sizes
    "huge": (1_300_000, _seeds(3.80, *LUCK)),
    # before "plain", which is as large and beats it: who compares with what came earlier keeps it
    "poor": (20_000, _seeds(3.98, *LUCK)),
    "plain": (20_000, _seeds(3.95, *LUCK)),
    "twin": (20_000, _seeds(3.949, *(a + b for a, b in zip(LUCK, OWN, strict=True)))),
    "heavy": (40_000, _seeds(4.02, *LUCK)),
    "near": (30_000, _seeds(3.952, *(a + b for a, b in zip(LUCK, OWN, strict=True)))),
    "close": (25_000, _seeds(3.962, *LUCK)),
    "tiny": (2_000, _seeds(4.10, *LUCK)),
    "mini": (1_500, _seeds(4.08, *LUCK)),
    # behind "plain" in every seed, but by what one lucky seed makes: no sure difference
    "luck": (22_000, _seeds(3.9545, *(a + b for a, b in zip(LUCK, (0.016, -0.004, -0.004, -0.004,
                                                                   -0.004), strict=True)))),
    # behind "plain" by 2.6 standard errors: more than 1.96, less than Student's 2.78
    "slim": (23_000, _seeds(3.9549, *(a + b for a, b in zip(LUCK, (0.004, 0.002, -0.005, 0.003,
                                                                   -0.004), strict=True)))),
    # behind "plain" by 4.2 standard errors, but by less than two deviations of the differences
    "rough": (26_000, _seeds(3.962, *(a + b for a, b in zip(LUCK, (0.004, -0.004, 0.0, 0.008,
                                                                   -0.008), strict=True)))),
    # other seeds are hard for it: seed by seed no sure difference; the sorted losses are apart
    "moody": (24_000, _seeds(3.962, -0.010, 0.012, -0.008, 0.004, 0.002)),
}  # fmt: skip


@exercise("08b", "front", front)
def check_08b(sheet: Sheet, answer) -> None:
    """``front({name: (parameters, [loss of each seed])}) -> [names], the smallest first``."""
    target, value = front(METHODS), sheet.attempt(answer, METHODS)
    sheet.note("name, parameters, mean of five seeds:")
    for name, (size, losses) in METHODS.items():
        sheet.note(f"  {name:<6}{size:>10,}  {fmean(losses):.3f}")
    listed = list(value) if isinstance(value, tuple) else value
    sheet.case("on the front", ", ".join(sorted(target, key=_size)), _names(listed))
    sheet.broken(value)
    sheet.wrong("a set", "A set has no order. A list of names comes back, the smallest first.",
                isinstance(value, set | frozenset))  # fmt: skip
    sheet.wrong("not a list", "A list of names comes back.", not isinstance(listed, list))
    got = set(map(str, listed))
    sheet.wrong("unknown", "There is a name among yours that was not among the methods.",
                not got <= set(METHODS))  # fmt: skip

    def off(rule) -> set[str]:
        return {
            n for n in METHODS
            if not any(rule(METHODS[n], METHODS[o]) for o in METHODS if o != n)
        }  # fmt: skip

    def mean_better(mine, rival):
        return rival[0] <= mine[0] and fmean(rival[1]) < fmean(mine[1])

    def bands_apart(mine, rival):
        return rival[0] <= mine[0] and max(rival[1]) < min(mine[1])

    def turned(mine, rival):
        return rival[0] <= mine[0] and interval(
            b - a for a, b in zip(mine[1], rival[1], strict=True)).low > 0  # fmt: skip

    def beyond(mine, rival):
        return rival[0] <= mine[0] and interval(
            a - b for a, b in zip(mine[1], rival[1], strict=True)).low > 0.05  # fmt: skip

    def by_rank(mine, rival):
        pairs = zip(sorted(mine[1]), sorted(rival[1]), strict=True)
        return rival[0] <= mine[0] and interval(a - b for a, b in pairs).low > 0

    def every_seed(mine, rival):
        return rival[0] <= mine[0] and all(
            a > b for a, b in zip(mine[1], rival[1], strict=True))  # fmt: skip

    def smaller_only(mine, rival):
        return rival[0] < mine[0] and interval(
            a - b for a, b in zip(mine[1], rival[1], strict=True)).low > 0  # fmt: skip

    def loss_only(mine, rival):
        return interval(a - b for a, b in zip(mine[1], rival[1], strict=True)).low > 0

    def high_end(mine, rival):
        return rival[0] <= mine[0] and interval(
            a - b for a, b in zip(mine[1], rival[1], strict=True)).high > 0  # fmt: skip

    def wins(mine, rival):  # mine is clearly better
        return interval(b - a for a, b in zip(mine[1], rival[1], strict=True)).low > 0

    def leaders(among) -> set[str]:
        kept = []
        for n in sorted(METHODS, key=_size):
            if all(wins(METHODS[n], METHODS[o]) for o in among(n, kept)):
                kept.append(n)
        return set(kept)

    def kept_unless_all() -> set[str]:
        rivals = {n: [o for o in METHODS if o != n and _size(o) <= _size(n)] for n in METHODS}
        return {n for n in METHODS if not (
            rivals[n] and all(wins(METHODS[o], METHODS[n]) for o in rivals[n]))}  # fmt: skip

    def errors(times):  # an interval of so many standard errors each side
        def beats(mine, rival):
            gaps = [a - b for a, b in zip(mine[1], rival[1], strict=True)]
            return rival[0] <= mine[0] and fmean(gaps) > times * stdev(gaps) / len(gaps) ** 0.5

        return beats

    sheet.wrong("sign", "Your sign is turned round: the one that is beaten has the *higher* loss, "
                "so take its loss less the rival's.", got == off(turned))  # fmt: skip
    sheet.wrong("delta", "Here a rival must beat 0, not 0.05: any sure difference counts.",
                got == off(beyond))  # fmt: skip
    sheet.wrong("sorted", "You sorted the losses before you took differences. A seed shuffles the "
                "same data for every method: seed 0 belongs to seed 0.",
                got == off(by_rank))  # fmt: skip
    sheet.wrong("every seed", "\"luck\" is behind in each of five seeds, but mostly in one: its "
                "interval holds 0, so it is not *clearly* beaten.",
                got == off(every_seed))  # fmt: skip
    sheet.wrong("one standard error", "This front comes of a bar that is too low, as an interval "
                "of one standard error on each side, or four seeds of five: of two equal methods a "
                "third would be called beaten or better. 95 % of five values need 2.78 standard "
                "errors: `interval` gives them.", got == off(errors(1)))  # fmt: skip
    sheet.wrong("narrow interval", "Your interval is too narrow: \"slim\" is 2.6 standard errors "
                "behind \"plain\". 1.96 is for many values; for five, Student's table says 2.78. "
                "(And the deviation of five differences divides by 4, not by 5.)",
                got == off(errors(1.96)))  # fmt: skip
    sheet.wrong("wide interval", "Your interval is too wide: \"rough\" is 4.2 standard errors "
                "behind \"plain\", and stays on your front. A mean of five is surer than one "
                "value: divide the standard deviation by the root of 5.",
                got == off(errors(student(5) * 5**0.5)))  # fmt: skip
    sheet.wrong("the wrong end", "You asked whether the *upper* end of the interval lies above 0. "
                "That is so in most ties. Clearly behind is what lies above 0 wholly: ask the "
                "lower end.", got == off(high_end))  # fmt: skip
    sheet.wrong("must win", "You kept only what clearly beats all that is smaller. A front asks "
                "less: that none clearly beats *it*. \"twin\" ties with \"plain\", so both stay.",
                got in (leaders(lambda n, kept: [o for o in METHODS if _size(o) < _size(n)]),
                        leaders(lambda n, kept: [o for o in METHODS if o != n
                                                 and _size(o) <= _size(n)]),
                        leaders(lambda n, kept: kept)))  # fmt: skip
    sheet.wrong("empty", "Your front is empty: each method is beaten, maybe by itself. Its own "
                "difference is 0 in every seed. Leave it out.", not got)  # fmt: skip
    sheet.wrong("beaten by all", "You let a method go only if *every* rival that is no larger "
                "beats it. One is enough: `any`, not `all`.",
                got == kept_unless_all())  # fmt: skip
    sheet.wrong("all stay", "Everything is on your front. But \"heavy\" has twice the parameters "
                "of \"plain\" and is clearly worse: nobody needs it.",
                got == set(METHODS))  # fmt: skip
    sheet.wrong(
        "ties called wins",
        'This front comes of comparing the means, or the best seeds. "plain" is 0.001 behind its '
        "twin of the same size, and over five seeds that is nothing: the interval of the "
        "differences holds 0. A method leaves the front only if another is *clearly* better.",
        got == off(mean_better),
    )
    sheet.wrong(
        "bands, not pairs",
        'You asked whether the bands of the seeds overlap. Those of "plain" and "close" do, as '
        'some seeds are hard for all methods. Take the differences seed by seed: then "close" is '
        "behind in each of them.",
        got == off(bands_apart),
    )
    sheet.wrong(
        "one axis",
        "You looked at the loss alone, so that only the best stays. A front has two axes: a "
        "smaller method may be worse and still be worth having.",
        got in ({"huge"}, off(loss_only)),
    )
    sheet.wrong(
        "one axis",
        "You looked at the size alone. A larger method that is clearly better stays.",
        got == {"mini"},
    )
    sheet.wrong("equal size", "\"poor\" is clearly worse than \"plain\", which has as many "
                "parameters. A rival needs *at most* as many: equal counts too, wherever it stands "
                "in the list.",
                got == off(smaller_only))  # fmt: skip
    kept_dominated = got - set(target)
    if kept_dominated and set(target) <= got:
        name = min(kept_dominated, key=_size)
        pairs = " Take the differences seed by seed: some seeds are hard for all methods."
        sheet.wrong("keeps dominated", f"\"{name}\" stays on your front, though a method with at "
                    "most as many parameters is clearly better."
                    f"{pairs if name == 'close' else ''}")  # fmt: skip
    sheet.wrong("inside out", "These are the methods that are beaten. The front is all the others.",
                got == set(METHODS) - set(target))  # fmt: skip
    by_loss = sorted(target, key=lambda name: fmean(METHODS[name][1]))
    sheet.wrong("order by loss", "These are the right names, ordered by their loss. A front is "
                "read along the price: order them by their parameters, the smallest first.",
                listed in (by_loss, by_loss[::-1]))  # fmt: skip
    sheet.wrong("order", "These are the right names. Order them by their parameters, the smallest "
                "first.", got == set(target) and not _ordered(listed))  # fmt: skip
    sheet.finish(got == set(target))


def _size(name) -> int:
    return METHODS.get(name, (0, []))[0]


def _ordered(names: list) -> bool:
    sizes = [_size(name) for name in names]
    return sizes == sorted(sizes)


def _names(value):
    return ", ".join(map(str, value)) if isinstance(value, list) else value


# --- 08c ----------------------------------------------------------------------

WORDS = ("shown", "not shown", "opposite", "not testable")
CLAIMS = {
    1: "Prompt tuning adapts rapidly: from 128 poems it is ahead of full fine-tuning.",
    2: "On models above 1 billion parameters LoRA is as good as full fine-tuning.",
    3: "Prompt tuning adapts rapidly: it is swapped in faster than all weights of a model.",
    4: "Full fine-tuning generalises further: from 32 poems it is ahead of prompt tuning.",
}
ANSWERS = {
    1: ("opposite", ["rows"]),
    2: ("not testable", []),
    3: ("shown", ["swap"]),
    4: ("not shown", ["rows"]),
}
EVIDENCE = {
    "poems": "LoRA on all matrices and full fine-tuning, poems, 1.3 M parameters, 150 steps",
    "steps": "prompt and full fine-tuning after 15, 50 and 150 steps, each at its best rate",
    "step time": "time of one step, prompt and full fine-tuning",
    "rows": "prompt and full fine-tuning from 8, 32, 128 and 500 poems",
    "swap": "time to swap a prompt in, and to load a whole model",
}


@exercise("08c", "verdicts", lambda: ANSWERS, prediction=True)
def check_08c(sheet: Sheet, answer) -> None:
    """``verdicts``: {claim: (word, [names of the evidence that decides])}."""
    votes = answer if isinstance(answer, dict) else {}
    for number, claim in CLAIMS.items():
        sheet.note(f"{number}. {claim}")
        vote = votes.get(number)
        sheet.note(f"   yours: {'(no verdict yet)' if _empty(vote) else _told(vote)}")
    untouched = isinstance(answer, dict) and set(votes) == set(CLAIMS)
    if answer is None or answer is ... or (untouched and any(map(_empty, votes.values()))):
        sheet.broken(NOTHING)
    sheet.wrong(
        "form", "verdicts is a dict from 1, 2, 3, 4 to pairs.", not isinstance(answer, dict)
    )
    given = {}
    for number in CLAIMS:
        vote = votes.get(number)
        fits = isinstance(vote, (tuple, list)) and len(vote) == 2
        sheet.wrong("form", f"Claim {number} needs a pair: a word and a list of names, "
                    "(\"not shown\", [\"poems\"]).", not fits)  # fmt: skip
        word, names = vote
        listed = isinstance(names, (str, tuple, list, set))
        sheet.wrong("form", f"Claim {number}: the evidence is a list of names.", not listed)
        names = [names] if isinstance(names, str) else list(names)
        sheet.wrong("form", f"Claim {number}: the word is one of {', '.join(WORDS)}.",
                    word not in WORDS)  # fmt: skip
        unknown = [name for name in names if name not in EVIDENCE]
        sheet.wrong("form", f"Claim {number}: {unknown} is not among the evidence.", bool(unknown))
        given[number] = (word, names)
    word, names = given[2]
    sheet.wrong(
        "toy result taken for a law",
        "Claim 2 is about models above a billion parameters. Ours has 1.3 million. Whatever we "
        "find here neither proves nor refutes it.",
        word != "not testable" and bool(names),
    )
    sheet.wrong(
        "no evidence is not a no",
        "You have no evidence for claim 2, and say so in the list. Then the word cannot be a "
        f'judgement: "{word}" says that it was tested.',
        word != "not testable",
    )
    sheet.wrong("evidence for nothing", "Claim 2 is not testable here; then no evidence decides "
                "it: leave the list empty.", bool(names))  # fmt: skip
    for number, meaning in ((1, "examples"), (3, "swapping"), (4, "examples")):
        word, names = given[number]
        wanted = ANSWERS[number][1]
        sheet.wrong(
            "evidence missed",
            f"Claim {number} speaks of {meaning}, and a row of the table measured just that. Read "
            "the rows again: one of them decides.",
            not names,
        )
        sheet.wrong(
            "another rival",
            f'Claim {number} is about the prompt, and "poems" compares LoRA with full fine-tuning.',
            "poems" in names,
        )
        why = (
            '"Rapid" has four meanings: the time of a step, the number of steps, the number of '
            "examples, the time to swap. Evidence for one says nothing of another. "
        )
        sheet.wrong(
            "mixes meanings of fast",
            f"Claim {number} speaks of {meaning}. {why if 'rapidly' in CLAIMS[number] else ''}"
            f"Yours: {', '.join(names)}.",
            set(names) != set(wanted),
        )
    sheet.wrong("claim 1", "From 128 poems full fine-tuning is lower by 0.164, and both intervals "
                "lie beyond 0.05. \"Not shown\" is for an interval that reaches back below 0.05; "
                "here the other side is surely ahead by more.",
                given[1][0] != "opposite")  # fmt: skip
    sheet.wrong("claim 3", "Look at the two times again: the prompt's is the smaller by far.",
                given[3][0] != "shown")  # fmt: skip
    sheet.wrong("mean taken for shown", "From 32 poems full fine-tuning is lower by 0.052, but the "
                "interval, 0.038 to 0.066, does not lie beyond 0.05. Ahead by that much is what "
                "the claim needs.", given[4][0] == "shown")  # fmt: skip
    sheet.wrong("claim 4", "From 32 poems full fine-tuning is the one with the lower loss, by "
                "0.052 (0.038 to 0.066), and the runs that measure it are there.",
                given[4][0] != "not shown")  # fmt: skip
    sheet.finish(True)


def _empty(vote) -> bool:
    return vote is None or (isinstance(vote, (tuple, list)) and len(vote) > 0 and vote[0] is None)


def _told(vote) -> str:
    if isinstance(vote, (tuple, list)) and len(vote) == 2:
        word, names = vote
        names = names if isinstance(names, (tuple, list, set)) else [names]
        return f"{word}, by {', '.join(map(str, names)) or 'nothing'}"
    return repr(vote)


# --- the votes ----------------------------------------------------------------

GLOSSARY = {  # claim -> on what it depends
    "PEFT works as well, or almost as well, as full fine-tuning.":
        "the task, and what is trained",
    "PEFT conserves computation.": "training or use",
    "Prompt tuning is for rapid adaptation.": "what is to be rapid",
    "Full fine-tuning generalises further.": "how many examples, and to what",
    "For a large domain shift, take full fine-tuning.": "what the rival trains",
}  # fmt: skip


def judged(votes: dict) -> None:
    """Print each claim with the vote on it, and on what it depends."""
    for number, (claim, what) in enumerate(GLOSSARY.items(), 1):
        print(f"{number}. {claim}")
        print(f"     yours: {_vote(votes, number)}; depends on: {what}")


def both_votes(then: dict, again: dict) -> None:
    """Print both votes on the sentences of notebook 00 beside what a hash decides."""
    for number, claim in nb00.CLAIMS.items():
        first, second, found = _vote(then, number), _vote(again, number), nb00.VERDICTS[number]
        print(f"{number}. {claim}")
        print(f"     then: {first}; again: {second}; found: {found}")
        odd = {first, second} - {"(no vote)", *nb00.VERDICTS.values()}
        if odd:
            words = ", ".join(f'"{word}"' for word in dict.fromkeys(nb00.VERDICTS.values()))
            print(f"     {', '.join(sorted(odd))}: a vote is one of {words}.")
        elif "(no vote)" not in (first, second) and first != second:
            print(f"     you changed your mind{', and are right' if second == found else ''}.")


def _vote(votes, number: int) -> str:
    vote = votes.get(number) if isinstance(votes, dict) else None
    return "(no vote)" if vote in (None, ..., "") else str(vote)
