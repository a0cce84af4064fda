"""Solutions of notebook 08.

Also other right ways, and the usual wrong answers, each beside the
diagnosis that its checker gives.
"""

import math
from statistics import fmean, pstdev, stdev, variance

from peft_lab.claims import interval

# ---- 08a: choose_rates -----------------------------------------------


def solution_08a(runs):
    tried = {}
    for run in runs:
        loss = run["validation_nats"]
        rates = tried.setdefault(run["arm"], {})
        rates[run["learning_rate"]] = math.inf if loss != loss else loss
    chosen = {}
    for arm, losses in tried.items():
        best = min(losses, key=losses.get)
        at_edge = best in (min(losses), max(losses))
        chosen[arm] = None if at_edge else best
    return chosen


def variant_08a(runs):
    good = [r for r in runs if not math.isnan(r["validation_nats"])]
    good.sort(key=lambda r: r["validation_nats"])
    chosen = {}
    for arm in {r["arm"] for r in runs}:
        rates = sorted(
            r["learning_rate"] for r in runs if r["arm"] == arm
        )
        best = next(r for r in good if r["arm"] == arm)["learning_rate"]
        chosen[arm] = best if best in rates[1:-1] else None
    return chosen


def _choose(runs, value, edge):
    chosen = {}
    for arm in {r["arm"] for r in runs}:
        own = [r for r in runs if r["arm"] == arm]
        finite = [r for r in own if not math.isnan(r[value])]
        best = min(finite, key=lambda r: r[value])["learning_rate"]
        rates = [r["learning_rate"] for r in own]
        at_edge = best in (min(rates), max(rates))
        chosen[arm] = None if edge and at_edge else best
    return chosen


def wrong_08a_test(runs):
    return _choose(runs, "test_nats", True)


def wrong_08a_test_edge(runs):
    return _choose(runs, "test_nats", False)


def wrong_08a_both(runs):
    added = [
        r | {"sum": r["validation_nats"] + r["test_nats"]} for r in runs
    ]
    return _choose(added, "sum", True)


def wrong_08a_edge(runs):
    return _choose(runs, "validation_nats", False)


def wrong_08a_one(runs):
    means = {}
    for rate in {r["learning_rate"] for r in runs}:
        losses = [
            r["validation_nats"]
            for r in runs
            if r["learning_rate"] == rate
        ]
        means[rate] = (
            math.inf if any(map(math.isnan, losses)) else fmean(losses)
        )
    return dict.fromkeys(
        {r["arm"] for r in runs}, min(means, key=means.get)
    )


def wrong_08a_nan(runs):
    chosen = {}
    for arm in {r["arm"] for r in runs}:
        own = [r for r in runs if r["arm"] == arm]
        best = min(own, key=lambda r: r["validation_nats"])
        chosen[arm] = best["learning_rate"]
    return chosen


def wrong_08a_largest(runs):
    chosen = {}
    for arm in {r["arm"] for r in runs}:
        own = [r for r in runs if r["arm"] == arm]
        finite = [
            r for r in own if not math.isnan(r["validation_nats"])
        ]
        worst = max(finite, key=lambda r: r["validation_nats"])
        chosen[arm] = worst["learning_rate"]
    return chosen


def _edges(runs, edges_of, finite_only):
    chosen = {}
    for arm in {r["arm"] for r in runs}:
        own = [r for r in runs if r["arm"] == arm]
        finite = [
            r for r in own if not math.isnan(r["validation_nats"])
        ]
        best = min(finite, key=lambda r: r["validation_nats"])[
            "learning_rate"
        ]
        rates = [
            r["learning_rate"] for r in (finite if finite_only else own)
        ]
        chosen[arm] = None if best in edges_of(rates) else best
    return chosen


def wrong_08a_upper(runs):
    return _edges(runs, lambda rates: (max(rates),), finite_only=False)


def wrong_08a_finite(runs):
    return _edges(
        runs, lambda rates: (min(rates), max(rates)), finite_only=True
    )


def wrong_08a_run(runs):
    finite = [r for r in runs if not math.isnan(r["validation_nats"])]
    finite.sort(key=lambda r: -r["validation_nats"])
    return {r["arm"]: r for r in finite}


def _with_edges(runs, edges):
    chosen = {}
    for arm in {r["arm"] for r in runs}:
        own = [r for r in runs if r["arm"] == arm]
        finite = [r for r in own if r["validation_nats"] < math.inf]
        best = min(finite, key=lambda r: r["validation_nats"])
        rate = best["learning_rate"]
        rates = [r["learning_rate"] for r in own]
        chosen[arm] = None if rate in edges(rates) else rate
    return chosen


def wrong_08a_all_edges(runs):
    every = [r["learning_rate"] for r in runs]
    return _with_edges(runs, lambda rates: (min(every), max(every)))


def wrong_08a_list_edges(runs):
    return _with_edges(runs, lambda rates: (rates[0], rates[-1]))


def wrong_08a_nan_and_edges(runs):
    chosen = {}
    for arm in {r["arm"] for r in runs}:
        own = [r for r in runs if r["arm"] == arm]
        best = min(own, key=lambda r: r["validation_nats"])
        rate = best["learning_rate"]
        rates = [r["learning_rate"] for r in own]
        chosen[arm] = None if rate in (min(rates), max(rates)) else rate
    return chosen


def wrong_08a_loss(runs):
    return {
        arm: min(r["validation_nats"] for r in runs if r["arm"] == arm)
        for arm in {r["arm"] for r in runs}
    }


VARIANTS_08A = {"sorted": variant_08a}


def wrong_08a_left_out(runs):
    return {a: rate for a, rate in solution_08a(runs).items() if rate}


def wrong_08a_lower(runs):
    return _edges(runs, lambda rates: (min(rates),), finite_only=False)


def wrong_08a_quoted(runs):
    chosen = solution_08a(runs)
    return {a: "None" if r is None else r for a, r in chosen.items()}


def wrong_08a_largest_edge(runs):
    chosen = wrong_08a_largest(runs)
    for arm, rate in chosen.items():
        rates = [r["learning_rate"] for r in runs if r["arm"] == arm]
        if rate in (min(rates), max(rates)):
            chosen[arm] = None
    return chosen


WRONG_08A = {
    "the lower edge only": ("one edge", wrong_08a_lower),
    "None in quotation marks": ("a text", wrong_08a_quoted),
    "largest loss, edges seen": ("largest", wrong_08a_largest_edge),
    "edges left out": ("arms missing", wrong_08a_left_out),
    "chosen on test": ("on test", wrong_08a_test),
    "chosen on test, edge too": ("on test", wrong_08a_test_edge),
    "validation and test added": ("test takes part", wrong_08a_both),
    "edge accepted": ("edge accepted", wrong_08a_edge),
    "one rate for all": ("one rate for all", wrong_08a_one),
    "NaN wins": ("NaN wins", wrong_08a_nan),
    "the upper edge only": ("one edge", wrong_08a_upper),
    "edges of what did not diverge": (
        "edge of the rest",
        wrong_08a_finite,
    ),
    "edges of all runs": ("edges of all", wrong_08a_all_edges),
    "first and last": ("edges of the list", wrong_08a_list_edges),
    "min keeps NaN": ("NaN wins", wrong_08a_nan_and_edges),
    "the loss": ("loss, not rate", wrong_08a_loss),
    "runs": ("whole runs", wrong_08a_run),
    "largest loss": ("largest", wrong_08a_largest),
}

# ---- 08b: front ------------------------------------------------------


def solution_08b(methods):
    def beaten(name):
        size, mine = methods[name]
        for rival, (other_size, theirs) in methods.items():
            if rival == name or other_size > size:
                continue
            gaps = [a - b for a, b in zip(mine, theirs, strict=True)]
            if interval(gaps).low > 0:
                return True
        return False

    left = [name for name in methods if not beaten(name)]
    return sorted(left, key=lambda name: methods[name][0])


def variant_08b(methods):
    kept = []
    for name in sorted(methods, key=lambda n: methods[n][0]):
        rivals = [
            n for n in methods if methods[n][0] <= methods[name][0]
        ]
        gaps = [
            interval(
                a - b
                for a, b in zip(
                    methods[name][1], methods[n][1], strict=True
                )
            )
            for n in rivals
            if n != name
        ]
        if all(gap.low <= 0 for gap in gaps):
            kept.append(name)
    return kept


def _left(methods, beats):
    left = [
        name
        for name in methods
        if not any(
            beats(methods[name], methods[n])
            for n in methods
            if n != name
        )
    ]
    return sorted(left, key=lambda name: methods[name][0])


def _clearly(mine, rival):
    return (
        interval(
            a - b for a, b in zip(mine[1], rival[1], strict=True)
        ).low
        > 0
    )


def wrong_08b_all(methods):
    return sorted(methods, key=lambda name: methods[name][0])


def wrong_08b_means(methods):
    return _left(
        methods, lambda m, r: r[0] <= m[0] and fmean(r[1]) < fmean(m[1])
    )


def wrong_08b_bands(methods):
    return _left(
        methods, lambda m, r: r[0] <= m[0] and max(r[1]) < min(m[1])
    )


def wrong_08b_loss(methods):
    return _left(methods, _clearly)


def wrong_08b_size(methods):
    return [min(methods, key=lambda name: methods[name][0])]


def wrong_08b_smaller(methods):
    return _left(methods, lambda m, r: r[0] < m[0] and _clearly(m, r))


def wrong_08b_unsorted(methods):
    return solution_08b(methods)[::-1]


def wrong_08b_keeps(methods):
    return sorted(
        [*solution_08b(methods), "near"],
        key=lambda name: methods[name][0],
    )


def wrong_08b_sign(methods):
    return _left(methods, lambda m, r: r[0] <= m[0] and _clearly(r, m))


def wrong_08b_delta(methods):
    return _left(
        methods,
        lambda m, r: (
            r[0] <= m[0]
            and interval(
                a - b for a, b in zip(m[1], r[1], strict=True)
            ).low
            > 0.05
        ),
    )


def wrong_08b_sorted(methods):
    ranked = {
        name: (size, sorted(losses))
        for name, (size, losses) in methods.items()
    }
    return _left(ranked, lambda m, r: r[0] <= m[0] and _clearly(m, r))


def wrong_08b_each(methods):
    return _left(
        methods,
        lambda m, r: (
            r[0] <= m[0]
            and all(a > b for a, b in zip(m[1], r[1], strict=True))
        ),
    )


def _standard_errors(methods, times, deviation):
    def beats(mine, rival):
        gaps = [a - b for a, b in zip(mine[1], rival[1], strict=True)]
        half = times * deviation(gaps) / len(gaps) ** 0.5
        return rival[0] <= mine[0] and fmean(gaps) - half > 0

    return _left(methods, beats)


def wrong_08b_normal(methods):
    return _standard_errors(methods, 1.96, stdev)


def wrong_08b_population(methods):
    return _standard_errors(methods, 2.776, pstdev)


def wrong_08b_error(methods):
    return _standard_errors(methods, 1, stdev)


def wrong_08b_best_first(methods):
    return sorted(
        solution_08b(methods), key=lambda name: fmean(methods[name][1])
    )


def wrong_08b_deviation(methods):
    return _standard_errors(methods, 2.776 * 5**0.5, stdev)


def wrong_08b_high(methods):
    def beats(mine, rival):
        gaps = [a - b for a, b in zip(mine[1], rival[1], strict=True)]
        return rival[0] <= mine[0] and interval(gaps).high > 0

    return _left(methods, beats)


def wrong_08b_leaders(methods):
    kept = []
    for name in sorted(methods, key=lambda name: methods[name][0]):
        if all(_clearly(methods[n], methods[name]) for n in kept):
            kept.append(name)
    return kept


def wrong_08b_beats_all(methods):
    def beats_all(name):
        size = methods[name][0]
        return all(
            _clearly(methods[n], methods[name])
            for n in methods
            if methods[n][0] < size
        )

    kept = [name for name in methods if beats_all(name)]
    return sorted(kept, key=lambda name: methods[name][0])


def wrong_08b_set(methods):
    return set(solution_08b(methods))


def variant_08b_tuple(methods):
    return tuple(solution_08b(methods))


VARIANTS_08B = {"by rivals": variant_08b, "tuple": variant_08b_tuple}


def _gaps(mine, theirs):
    return [a - b for a, b in zip(mine, theirs, strict=True)]


def wrong_08b_so_far(methods):
    kept = []
    for name in sorted(methods, key=lambda n: methods[n][0]):
        rivals = [methods[rival][1] for rival in kept]
        mine = methods[name][1]
        if not any(
            interval(_gaps(mine, one)).low > 0 for one in rivals
        ):
            kept.append(name)
    return kept


def wrong_08b_inside_out(methods):
    return [
        name for name in methods if name not in solution_08b(methods)
    ]


def wrong_08b_unpaired(methods):
    def apart(mine, theirs):  # two samples, not pairs
        error = (variance(mine) / 5 + variance(theirs) / 5) ** 0.5
        return fmean(mine) - fmean(theirs) > 2.31 * error

    left = [
        name
        for name, (size, mine) in methods.items()
        if not any(
            other <= size and apart(mine, theirs)
            for other, theirs in methods.values()
        )
    ]
    return sorted(left, key=lambda name: methods[name][0])


def wrong_08b_itself(methods):
    def beaten(name):
        size, mine = methods[name]
        return any(
            other <= size and min(_gaps(mine, theirs)) >= 0
            for other, theirs in methods.values()
        )

    return [name for name in methods if not beaten(name)]


def wrong_08b_beaten_by_all(methods):
    def beaten(name):
        size = methods[name][0]
        rivals = [
            n for n in methods if n != name and methods[n][0] <= size
        ]
        return bool(rivals) and all(
            _clearly(methods[name], methods[n]) for n in rivals
        )

    left = [name for name in methods if not beaten(name)]
    return sorted(left, key=lambda name: methods[name][0])


def wrong_08b_four_of_five(methods):
    def beats(mine, rival):
        ahead = sum(gap > 0 for gap in _gaps(mine[1], rival[1]))
        return rival[0] <= mine[0] and ahead >= 4

    return _left(methods, beats)


def wrong_08b_best_seed(methods):
    return _left(
        methods, lambda m, r: r[0] <= m[0] and min(r[1]) < min(m[1])
    )


WRONG_08B = {
    "beaten by itself": ("empty", wrong_08b_itself),
    "beaten by all": ("beaten by all", wrong_08b_beaten_by_all),
    "four of five": ("one standard error", wrong_08b_four_of_five),
    "the best seed": ("ties called wins", wrong_08b_best_seed),
    "only what was kept so far": ("equal size", wrong_08b_so_far),
    "the beaten ones": ("inside out", wrong_08b_inside_out),
    "two samples": ("keeps dominated", wrong_08b_unpaired),
    "all stay": ("all stay", wrong_08b_all),
    "means": ("ties called wins", wrong_08b_means),
    "sign turned round": ("sign", wrong_08b_sign),
    "by more than 0.05": ("delta", wrong_08b_delta),
    "sorted losses": ("sorted", wrong_08b_sorted),
    "worse in every seed": ("every seed", wrong_08b_each),
    "bands": ("bands, not pairs", wrong_08b_bands),
    "loss alone": ("one axis", wrong_08b_loss),
    "size alone": ("one axis", wrong_08b_size),
    "1.96 for five seeds": ("narrow interval", wrong_08b_normal),
    "deviation over n": ("narrow interval", wrong_08b_population),
    "the root of n forgotten": ("wide interval", wrong_08b_deviation),
    "the upper end": ("the wrong end", wrong_08b_high),
    "must win": ("must win", wrong_08b_leaders),
    "must win against all": ("must win", wrong_08b_beats_all),
    "a set": ("a set", wrong_08b_set),
    "one standard error": ("one standard error", wrong_08b_error),
    "best first": ("order by loss", wrong_08b_best_first),
    "only smaller rivals": ("equal size", wrong_08b_smaller),
    "largest first": ("order", wrong_08b_unsorted),
    "keeps one that is beaten": ("keeps dominated", wrong_08b_keeps),
}

# ---- 08c: verdicts ---------------------------------------------------

solution_08c = {
    1: ("opposite", ["rows"]),
    2: ("not testable", []),
    3: ("shown", ["swap"]),
    4: ("not shown", ["rows"]),
}
variant_08c = {
    1: ("opposite", "rows"),
    2: ("not testable", ()),
    3: ("shown", ("swap",)),
    4: ("not shown", ["rows"]),
}
VARIANTS_08C = {"a name alone": variant_08c}
WRONG_08C = {
    "a toy as a law": (
        "toy result taken for a law",
        {**solution_08c, 2: ("not shown", ["poems"])},
    ),
    "no evidence, no": (
        "no evidence is not a no",
        {**solution_08c, 2: ("not shown", [])},
    ),
    "a toy beside the right word": (
        "evidence for nothing",
        {**solution_08c, 2: ("not testable", ["poems"])},
    ),
    "another fast": (
        "mixes meanings of fast",
        {**solution_08c, 1: ("opposite", ["steps"])},
    ),
    "all that is fast": (
        "mixes meanings of fast",
        {**solution_08c, 3: ("shown", ["swap", "steps"])},
    ),
    "swap not looked at": (
        "evidence missed",
        {**solution_08c, 3: ("not testable", [])},
    ),
    "examples not looked at": (
        "evidence missed",
        {**solution_08c, 1: ("not shown", [])},
    ),
    "ahead": ("claim 1", {**solution_08c, 1: ("shown", ["rows"])}),
    "undecided": (
        "claim 1",
        {**solution_08c, 1: ("not shown", ["rows"])},
    ),
    "swap the other way": (
        "claim 3",
        {**solution_08c, 3: ("opposite", ["swap"])},
    ),
    "a mean is not enough": (
        "mean taken for shown",
        {**solution_08c, 4: ("shown", ["rows"])},
    ),
    "the other side": (
        "claim 4",
        {**solution_08c, 4: ("opposite", ["rows"])},
    ),
    "said too early": (
        "claim 4",
        {**solution_08c, 4: ("not testable", ["rows"])},
    ),
    "steps for examples": (
        "mixes meanings of fast",
        {**solution_08c, 4: ("not shown", ["steps"])},
    ),
    "LoRA's poems for the prompt": (
        "another rival",
        {**solution_08c, 4: ("not shown", ["poems"])},
    ),
    "three of four": ("form", {k: solution_08c[k] for k in (1, 2, 3)}),
    "no pair": ("form", {**solution_08c, 1: "opposite"}),
    "no list": ("form", {**solution_08c, 2: ("not testable", None)}),
    "a word of its own": (
        "form",
        {**solution_08c, 1: ("no", ["rows"])},
    ),
    "unknown evidence": (
        "form",
        {**solution_08c, 1: ("opposite", ["feeling"])},
    ),
}
