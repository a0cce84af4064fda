"""Solutions of notebook 11.

Also other right ways, and the usual wrong answers, each beside the
diagnosis that its checker gives.
"""

from math import exp
from statistics import fmean

import numpy as np

# ---- 11a: worth ------------------------------------------------------


def solution_11a(own, swapped, tokens):
    return (sum(swapped) - sum(own)) / sum(tokens)


def variant_11a(own, swapped, tokens):
    return sum(swapped) / sum(tokens) - sum(own) / sum(tokens)


def wrong_11a_sign(own, swapped, tokens):
    return (sum(own) - sum(swapped)) / sum(tokens)


def wrong_11a_rows(own, swapped, tokens):
    rows = zip(own, swapped, tokens, strict=True)
    return fmean((b - a) / n for a, b, n in rows)


def wrong_11a_row(own, swapped, tokens):
    return fmean(swapped) - fmean(own)


def wrong_11a_sum(own, swapped, tokens):
    return sum(swapped) - sum(own)


def wrong_11a_own(own, swapped, tokens):
    return sum(swapped) / sum(tokens)


def wrong_11a_share(own, swapped, tokens):
    return 1 - sum(own) / sum(swapped)


def wrong_11a_factor(own, swapped, tokens):
    return exp(solution_11a(own, swapped, tokens))


def wrong_11a_positive(own, swapped, tokens):
    return max(0.0, solution_11a(own, swapped, tokens))


def wrong_11a_each(own, swapped, tokens):
    rows = zip(own, swapped, tokens, strict=True)
    return [(b - a) / n for a, b, n in rows]


def wrong_11a_lists(own, swapped, tokens):
    return (swapped - own) / sum(tokens)


def wrong_11a_array(own, swapped, tokens):
    return (np.array(swapped) - np.array(own)) / np.array(tokens)


def wrong_11a_weighted(own, swapped, tokens):
    rows = zip(own, swapped, tokens, strict=True)
    return sum((b - a) * n for a, b, n in rows) / sum(tokens)


VARIANTS_11A = {"two losses": variant_11a}


def wrong_11a_two_slips(own, swapped, tokens):
    return sum(own) - sum(swapped)


def wrong_11a_sum_of_rows(own, swapped, tokens):
    rows = zip(own, swapped, tokens, strict=True)
    return sum((other - one) / count for one, other, count in rows)


WRONG_11A = {
    "turned and not divided": ("sign", wrong_11a_two_slips),
    "the rows' means added": ("mean of rows", wrong_11a_sum_of_rows),
    "own less swapped": ("sign", wrong_11a_sign),
    "the mean of the rows' means": ("mean of rows", wrong_11a_rows),
    "nats a row": ("a row", wrong_11a_row),
    "not divided": ("not divided", wrong_11a_sum),
    "own forgotten": ("own forgotten", wrong_11a_own),
    "a share": ("share", wrong_11a_share),
    "e to the worth": ("a factor", wrong_11a_factor),
    "never below zero": ("not negative", wrong_11a_positive),
    "one a row": ("a list", wrong_11a_each),
    "lists subtracted": ("lists", wrong_11a_lists),
    "an array": ("a list", wrong_11a_array),
    "rows weighted by tokens": ("weighted", wrong_11a_weighted),
}

# ---- 11b: may_train --------------------------------------------------


def solution_11b(rows, test):
    jobs = {r["family"] for r in test if r["rung"] == "new task"}
    words = {r["wording"] for r in test if r["rung"] != "seen words"}
    sentences = {r["sentence"] for r in test}
    return [
        r
        for r in rows
        if r["family"] not in jobs
        and r["wording"] not in words
        and r["sentence"] not in sentences
    ]


def variant_11b(rows, test):
    def harms(row, other):
        return (
            row["sentence"] == other["sentence"]
            or (
                other["rung"] != "seen words"
                and row["wording"] == other["wording"]
            )
            or (
                other["rung"] == "new task"
                and row["family"] == other["family"]
            )
        )

    return [row for row in rows if not any(harms(row, t) for t in test)]


def _without(rows, test, *locks):
    kept = rows
    if "job" in locks:
        jobs = {r["family"] for r in test if r["rung"] == "new task"}
        kept = [r for r in kept if r["family"] not in jobs]
    if "words" in locks:
        words = {
            r["wording"] for r in test if r["rung"] != "seen words"
        }
        kept = [r for r in kept if r["wording"] not in words]
    if "sentence" in locks:
        sentences = {r["sentence"] for r in test}
        kept = [r for r in kept if r["sentence"] not in sentences]
    return kept


def wrong_11b_all(rows, test):
    return rows


def wrong_11b_job(rows, test):
    return _without(rows, test, "words", "sentence")


def wrong_11b_one_rung(rows, test):
    words = {r["wording"] for r in test if r["rung"] == "new words"}
    rest = _without(rows, test, "job", "sentence")
    return [r for r in rest if r["wording"] not in words]


def wrong_11b_words(rows, test):
    return _without(rows, test, "job", "sentence")


def wrong_11b_words_by_job(rows, test):
    pairs = {
        (t["family"], t["wording"])
        for t in test
        if t["rung"] == "new words"
    }
    words = {t["wording"] for t in test if t["rung"] == "new task"}
    return [
        r
        for r in _without(rows, test, "job", "sentence")
        if (r["family"], r["wording"]) not in pairs
        and r["wording"] not in words
    ]


def wrong_11b_sentences(rows, test):
    return _without(rows, test, "job", "words")


def wrong_11b_pairs(rows, test):
    asked = {(r["family"], r["sentence"]) for r in test}
    rest = _without(rows, test, "job", "words")
    return [
        r for r in rest if (r["family"], r["sentence"]) not in asked
    ]


def wrong_11b_seen_sentences(rows, test):
    known = {r["sentence"] for r in test if r["rung"] != "seen words"}
    rest = _without(rows, test, "job", "words")
    return [r for r in rest if r["sentence"] not in known]


def wrong_11b_out(rows, test):
    kept = solution_11b(rows, test)
    return [row for row in rows if row not in kept]


def wrong_11b_order(rows, test):
    return solution_11b(rows, test)[::-1]


def wrong_11b_twice(rows, test):
    return [
        row
        for row in solution_11b(rows, test)
        for _ in range(len(test))
    ]


def wrong_11b_jobs(rows, test):
    jobs = {r["family"] for r in test}
    rest = _without(rows, test, "sentence")
    return [r for r in rest if r["family"] not in jobs]


def wrong_11b_seen(rows, test):
    words = {r["wording"] for r in test}
    rest = _without(rows, test, "job", "sentence")
    return [r for r in rest if r["wording"] not in words]


def wrong_11b_families(rows, test):
    jobs = {r["family"] for r in test}
    return [
        r
        for r in _without(rows, test, "sentence")
        if r["family"] in jobs
    ]


def wrong_11b_places(rows, test):
    return [rows[0], rows[4]]


def wrong_11b_named(rows, test):
    rest = _without(rows, test, "words", "sentence")
    return [r for r in rest if r["family"] != "where"]


VARIANTS_11B = {"row against row": variant_11b}
WRONG_11B = {
    "everything": ("everything", wrong_11b_all),
    "the new task trained": ("the new task", wrong_11b_job),
    "the new task's words trained": (
        "the new task's words",
        wrong_11b_one_rung,
    ),
    "new words trained": ("the new words", wrong_11b_words),
    "new words trained for another job": (
        "new words, another job",
        wrong_11b_words_by_job,
    ),
    "sentences trained": ("the sentences", wrong_11b_sentences),
    "sentences of the same job only": (
        "sentence of another job",
        wrong_11b_pairs,
    ),
    "all words of the test dropped": (
        "words of the test",
        wrong_11b_seen,
    ),
    "only the jobs of the test": ("nothing left", wrong_11b_families),
    "all jobs of the test dropped": (
        "words of the test",
        wrong_11b_jobs,
    ),
    "sentences of the new rungs only": (
        "seen words, seen sentence",
        wrong_11b_seen_sentences,
    ),
    "those to keep out": ("turned round", wrong_11b_out),
    "backwards": ("the order", wrong_11b_order),
    "each row many times": ("a row twice", wrong_11b_twice),
    "two places written in": ("by their places", wrong_11b_places),
    "the job written in": ("by their names", wrong_11b_named),
}

# ---- 11c: fair_pairs -------------------------------------------------


def solution_11c(arms, thing):
    found, names = [], list(arms)
    for i, a in enumerate(names):
        for b in names[i + 1 :]:
            differ = [k for k in arms[a] if arms[a][k] != arms[b][k]]
            if differ == [thing]:
                found.append((a, b))
    return found


def variant_11c(arms, thing):
    groups = {}
    for name, settings in arms.items():
        rest = tuple(v for k, v in settings.items() if k != thing)
        groups.setdefault(rest, []).append(name)
    return [
        {a, b}
        for names in groups.values()
        for a in names
        for b in names
        if a < b and arms[a][thing] != arms[b][thing]
    ]


def _all_pairs(arms):
    names = list(arms)
    return [(a, b) for i, a in enumerate(names) for b in names[i + 1 :]]


def wrong_11c_two(arms, thing):
    return [
        (a, b)
        for a, b in _all_pairs(arms)
        if arms[a][thing] != arms[b][thing]
    ]


def wrong_11c_any(arms, thing):
    return [
        (a, b)
        for a, b in _all_pairs(arms)
        if sum(arms[a][k] != arms[b][k] for k in arms[a]) == 1
    ]


def wrong_11c_equal(arms, thing):
    return [
        (a, b)
        for a, b in _all_pairs(arms)
        if arms[a][thing] == arms[b][thing]
    ]


def wrong_11c_twice(arms, thing):
    right = solution_11c(arms, thing)
    return right + [(b, a) for a, b in right]


def wrong_11c_itself(arms, thing):
    rest = [k for k in next(iter(arms.values())) if k != thing]
    return [
        (a, b)
        for a in arms
        for b in arms
        if all(arms[a][k] == arms[b][k] for k in rest)
    ]


def wrong_11c_every(arms, thing):
    return _all_pairs(arms)


def wrong_11c_none(arms, thing):
    found = []
    for a, b in _all_pairs(arms):
        differ = [k for k in arms[a] if arms[a][k] != arms[b][k]]
        if differ == thing:  # a list is no text
            found.append((a, b))
    return found


def wrong_11c_settings(arms, thing):
    return [
        (arms[a][thing], arms[b][thing])
        for a, b in solution_11c(arms, thing)
    ]


def wrong_11c_first_round(arms, thing):
    names = list(arms)
    for i, a in enumerate(names):
        found = [
            (a, b)
            for b in names[i + 1 :]
            if [k for k in arms[a] if arms[a][k] != arms[b][k]]
            == [thing]
        ]
        return found


def wrong_11c_first(arms, thing):
    return solution_11c(arms, thing)[:1]


def wrong_11c_neighbours(arms, thing):
    names = list(arms)
    near = set(zip(names, names[1:], strict=False))
    return [p for p in solution_11c(arms, thing) if p in near]


def variant_11c_yields(arms, thing):
    yield from solution_11c(arms, thing)


VARIANTS_11C = {
    "grouped by the rest": variant_11c,
    "a generator": variant_11c_yields,
}
WRONG_11C = {
    "the rest differs too": ("two at once", wrong_11c_two),
    "any one thing": ("any one thing", wrong_11c_any),
    "the thing is equal": ("the thing is equal", wrong_11c_equal),
    "both orders": ("twice", wrong_11c_twice),
    "an arm with itself": ("with itself", wrong_11c_itself),
    "all pairs": ("two at once", wrong_11c_every),
    "none": ("nothing found", wrong_11c_none),
    "the first pair only": ("the first pair only", wrong_11c_first),
    "return after the first round": (
        "the first pair only",
        wrong_11c_first_round,
    ),
    "neighbours only": ("some missing", wrong_11c_neighbours),
    "settings in place of names": ("not pairs", wrong_11c_settings),
}
