"""Which method, when? An answer made of stored runs, each sentence with the runs it rests on.

For models above a billion parameters the papers come first: ours are a thousand times smaller.
"""

import textwrap
from dataclasses import dataclass
from numbers import Real
from statistics import fmean

from .claims import Comparison
from .evidence import (
    CLOSE,
    MEASURES,
    TRAIN_ROWS,
    Rival,
    behind,
    counts,
    gain,
    mean,
    trained,
    untrained_rival,
)
from .methods.arguments import check_one_of
from .results import Row, load_runs, origin, summary

TASKS = {  # what is to be learned -> the task that it was tried on
    "style": "poems",
    "sorting": "moods",
    "facts": "tables",
    "programs": "code",
    "new script": "nepali",
}
WISHES = ("quality", "small file", "little memory", "old skills")
MORE_FIRST = "get more examples first."  # said where no method is shown to have learned
OURS, BILLION = (4e5, 1.13e7), 1e9  # our smallest and largest model, in parameters

# (sentence, source): figures as printed there
PAPERS = (
    ("Prompt tuning comes up to full fine-tuning only with the largest T5 (11 billion); on smaller "
     "ones it lies below.", "Lester et al. 2021, figure 1; T5, SuperGLUE"),
    ("LoRA with 4.7 or 37.7 million numbers does as well as full fine-tuning of GPT-3 175B: 73.4 "
     "and 74.0 against 73.8 on WikiSQL, 91.7 and 91.6 against 89.5 on MNLI.",
     "Hu et al. 2021, table 4"),
    ("LoRA learns less than full fine-tuning of a large new field (programs, mathematics), and "
     "forgets less.", "Biderman et al. 2024, abstract; Llama-2-7B"),
)  # fmt: skip


@dataclass(frozen=True)
class Sentence:
    """What is said, and on what it rests."""

    text: str
    evidence: str  # stored runs by experiment and arm, or a paper
    scale: str  # base, steps, rows and seeds that it was seen on; of a paper, its models


@dataclass(frozen=True)
class Advice:
    """Sentences, the weightiest first; each compares by one measure and names its rows.

    `method` is the arm that the stored runs point to.
    """

    method: str
    sentences: tuple[Sentence, ...]
    suffices: bool  # are the runs near in size and number of examples, and did a method learn?
    rival: Rival  # the best of what needs no training of a model

    def __str__(self) -> str:
        lines = []
        for number, sentence in enumerate(self.sentences, 1):
            lines += textwrap.wrap(f"{number}. {sentence.text}", 84, subsequent_indent="   ")
            lines.append(f"      rests on: {sentence.evidence}")
            lines.append(f"      seen on:  {sentence.scale}")
        return "\n".join(lines)


def recommend(
    task: str = "style",
    *,
    wish: str = "quality",
    examples: int | None = None,
    parameters: float = 1.3e6,
) -> Advice:
    """An answer to "which one, when?", from the stored runs.

    Args:
        task: one of TASKS: the style of texts, sorting them, telling facts, programs, or a script
            that the model has never seen.
        wish: one of WISHES, what counts besides: nothing, bytes of the file, memory of a training
            step, or what the model could do before.
        examples: how many there are to train on; None: as many as the task has rows. The nearest
            number that was tried (`counts`) speaks, and says so; from fewer rows than all, four
            methods were. More than a factor of two away, the runs do not suffice.
        parameters: of your model.

    Raises:
        ValueError: an unknown task or wish, or a number below 1.
        FileNotFoundError: the runs are not stored.
    """
    for name, value, known in (("task", task, TASKS), ("wish", wish, WISHES)):
        check_one_of(name, value, known)
    task = TASKS[task]
    examples = TRAIN_ROWS[task] if examples is None else examples
    for name, value in (("examples", examples), ("parameters", parameters)):
        if isinstance(value, bool) or not isinstance(value, Real) or not 1 <= value < float("inf"):
            raise ValueError(f"{name} must be a number from 1 on, not {value!r}.")
    count = min(counts(task), key=lambda n: _times_apart(n, examples))
    rows = trained(task, count)
    method, first, learned = _first_choice(rows, task, wish, count, examples)
    rival = untrained_rival(task, count, method)
    told = [first, _without_training(rival, task, count)]
    if count == TRAIN_ROWS[task]:
        told += _later(rows, task, wish)
    near = _times_apart(count, examples) <= 2
    if not near:
        told.append(_too_far(count, examples))
    if parameters >= BILLION:
        papers = [Sentence(text, source, "as named there") for text, source in PAPERS]
        told = [*papers, *told]
    like_ours = OURS[0] <= parameters <= OURS[1]
    if not like_ours:
        times = parameters / rows["full"].parameters
        size = (
            f"{times:,.0f} times as large as"
            if times > 1
            else f"{1 / times:,.0f} times smaller than"
        )
        said = (
            f"Your model is {size} ours. Our runs do not suffice to choose "
            "for it: take them for what to try first, and try full fine-tuning or LoRA beside it."
        )
        told.append(Sentence(said, "no runs", "none of this size"))
    return Advice(method, tuple(told), near and like_ours and learned, rival)


def _first_choice(
    rows: dict[str, Row], task: str, wish: str, count: int, examples: float
) -> tuple[str, Sentence, bool]:
    """(the method, why, whether any method is shown to be ahead of the base)."""
    field, _, best_is = MEASURES[task]
    methods = [name for name in rows if name != "base"]
    order = sorted(methods, key=lambda n: mean(rows[n], field), reverse=best_is is max)
    best = order[0]
    lead = behind(rows, "base", best)
    learned = lead.verdict(CLOSE) == "shown"
    if not learned:
        chosen, why = best, _nothing_learned(rows, task, best, lead)
    elif wish == "quality":
        chosen, why = _best_or_as_good(rows, task, order)
    else:
        chosen, why = _cheapest_that_learned(rows, task, wish, best)
    few = count != TRAIN_ROWS[task]
    nearest = f", the nearest to {examples:,} that was run" if count != examples else ""
    tried = f"; {len(methods)} methods were tried" if few else ""
    text = f"On {task} ({count} rows{nearest}{tried}) {why}"
    cited = _all(rows[best])
    if few:
        whole = trained(task)
        best_of_all = best_is(whole, key=lambda name: mean(whole[name], field))
        if best_of_all not in rows:
            text += f" {best_of_all}, the best from {TRAIN_ROWS[task]} rows, was not among them."
        cited = f"{origin(rows[best].runs)}: {'; '.join(rows[name].arm for name in order)}"
    return chosen, Sentence(text, cited, _scale(rows[best], count, field)), learned


def _nothing_learned(rows: dict[str, Row], task: str, best: str, lead: Comparison) -> str:
    """The best one's lead over the base may be chance: then there is nothing to choose."""
    field, unit, _ = MEASURES[task]
    return (
        f"{best} has the best mean: {mean(rows[best], field):.3f} {unit}, ahead of the untrained "
        f"base by {lead}. That any method is {CLOSE} ahead of it is not "
        f"shown: {MORE_FIRST}"
    )


def _best_or_as_good(rows: dict[str, Row], task: str, order: list[str]) -> tuple[str, str]:
    """The best by its mean, or the smallest that is shown to be CLOSE to it; order: best first."""
    field, unit, _ = MEASURES[task]
    best, second = order[:2]
    size = rows[best].parameters
    text = f"{best} has the best mean: {mean(rows[best], field):.3f} {unit}."
    smaller = (name for name in order if rows[name].parameters < size)
    gaps = {name: behind(rows, name, best) for name in smaller}
    near = [name for name, gap in gaps.items() if gap.high < CLOSE]
    if not near:
        return best, (
            f"{text} No smaller method is shown to be within {CLOSE} of that. Next comes "
            f"{second}: {mean(rows[second], field):.3f}, behind by {behind(rows, second, best)}."
        )
    chosen = min(near, key=lambda name: rows[name].parameters)
    return chosen, (
        f"{text} {chosen} is shown to be within {CLOSE} of that (behind by "
        f"{gaps[chosen]}), with {rows[chosen].parameters:,} numbers in place of "
        f"{size:,}."
    )


def _cheapest_that_learned(
    rows: dict[str, Row], task: str, wish: str, best: str
) -> tuple[str, str]:
    """What costs least, in the coin of the wish, of all that have four fifths of full's gain."""
    field, unit, _ = MEASURES[task]
    price, priced = {
        "small file": (lambda name: rows[name].file_bytes, "bytes"),
        "little memory": (lambda name: _memory(rows[name]), "bytes a step"),
        "old skills": (lambda name: mean(rows[name], "story_nats"), "nats a token on stories"),
    }[wish]
    enough = [name for name in rows if name != "base" and gain(rows, name, field) >= 0.8]
    chosen = min(enough, key=price)
    cost, of_best = (f"{price(n):,.{2 * (wish == 'old skills')}f}" for n in (chosen, best))
    if enough == [best]:
        text = (
            f"only {best} reaches four fifths of full fine-tuning's gain ({unit}), so there is no "
            f"choice: {cost} {priced}."
        )
    else:
        text = (
            f"{chosen} pays least among those that reach four fifths of full fine-tuning's gain "
            f"({unit}): {cost} {priced}"
        )
        text += "." if chosen == best else f"; {best}, the best by its mean, {of_best}."
    if wish == "old skills":
        text += f" Before training it was {price('base'):.2f}."
    return chosen, text


def _later(rows: dict[str, Row], task: str, wish: str) -> list[Sentence]:
    """What was tried after the grid was fixed, and says otherwise than the runs above."""
    if (task, wish) == ("nepali", "quality"):
        field, unit, _ = MEASURES["nepali"]
        free = {row.arm: row for row in summary(load_runs("union"))}
        best = min(free, key=lambda name: mean(free[name], field))
        gap = behind(rows | {best: free[best]}, "embeddings", best)
        text = (
            "Tried after these results, with a learning rate of its own for the embeddings: "
            f"{best}, {mean(free[best], field):.3f} {unit}. It is ahead of the embeddings alone "
            f"by {gap}."
        )
        row, count, chosen_by = free[best], TRAIN_ROWS["nepali"], field
    elif (task, wish) == ("poems", "old skills"):
        lower = [
            run for run in load_runs("sensitivity")
            if run["arm"] == "full" and run["learning_rate"] < rows["full"].learning_rate
            and "story_nats" in run
        ]  # fmt: skip
        row, count, chosen_by = summary(lower)[0], TRAIN_ROWS["poems"], "test_nats"
        text = (
            "Each method stands here at its best rate for the poems alone. At a lower one, "
            f"{row.learning_rate:g}, full fine-tuning has {row.loss.mean:.3f} nats a token on "
            f"poems and {mean(row, 'story_nats'):.2f} on stories: lower the rate first."
        )
    else:
        return []
    return [Sentence(text, f"{origin(row.runs)}: {row.arm}", _scale(row, count, chosen_by))]


def _without_training(rival: Rival, task: str, count: int) -> Sentence:
    """A method must beat what needs no training of a model to be worth its cost."""
    text = f"Without training a model: {rival.text}"
    cited, scale = _all(rival.method), _scale(rival.method, count, rival.field)
    if count == TRAIN_ROWS[task]:
        scale += "; without training 1 run, the same rows"
    else:
        text += _counted_all_rows(task)
        cited += f"; --experiment {task}: all arms"
        scale += "; without training 1 run"
    return Sentence(text, cited, scale)


def _counted_all_rows(task: str) -> str:
    """What counts words was run with all rows only: from fewer the strongest rival is missing."""
    counting = {"moods": "bag of words"}.get(task, "5-gram")
    text = f" {counting} was not run with so few rows"
    rival = untrained_rival(task)
    if rival.name != counting:
        return f"{text}."
    beside = {
        "ahead": "shown to be ahead of",
        "behind": "shown to be behind",
        "level": "level with",
        "not shown": "not shown to be apart from",
    }[rival.outcome]
    return f"{text}; with all {TRAIN_ROWS[task]} it is {beside} {rival.method.arm}."


def _all(row: Row) -> str:
    """What a choice of the best rests on: every arm of the experiment."""
    return f"{origin(row.runs)}: all arms"


def _scale(row: Row, count: int, field: str = "test_nats") -> str:
    """On what a sentence was seen; and what chose the rates, where another measure judges."""
    first = row.runs[0]
    told = f"{first['base']}, {first['steps']} steps, {count} rows, {row.seeds} seeds"
    if first["experiment"].startswith("rows"):
        told += ", learning rates chosen on all validation rows"
    return told if field == "test_nats" else f"{told}, learning rates chosen by validation loss"


def _times_apart(one: float, other: float) -> float:
    return max(one / other, other / one)


def _memory(row: Row) -> float:
    return fmean(sum(run["memory"].values()) for run in row.runs)


def _too_far(count: int, examples: int) -> Sentence:
    some = "1 example" if examples == 1 else f"{examples:,} examples"
    text = (
        f"You have {some}; the nearest number that was tried is {count}, more than a factor of "
        "two away. Our runs do not suffice to choose for such a number."
    )
    return Sentence(text, "no runs", "none with such a number of rows")
