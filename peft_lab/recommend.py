"""Which method, when? An answer made of stored runs, each sentence with the runs it rests on.

For models above a billion parameters the papers come first: ours are a thousand times smaller.
"""

import textwrap
from dataclasses import dataclass
from statistics import fmean

from .claims import Comparison, compare
from .results import Row, command, load_runs, origin, summary

TASKS = {  # what is to be learned -> the task that it was tried on
    "style": "poems",
    "sorting": "moods",
    "facts": "tables",
    "programs": "code",
    "new script": "nepali",
}
WISHES = ("quality", "small file", "little memory", "old skills")
MEASURES = {  # what says most about the work: a field of the runs, its unit, which end is good
    "poems": ("test_nats", "nats a token", min),
    "moods": ("test_accuracy", "right", max),
    "tables": ("test_nats", "nats a token", min),
    "code": ("test_nats", "nats a token", min),
    "nepali": ("test_third_byte_nats", "nats a third byte", min),
}
UNTRAINED = ("base", "written prompt", "5-gram", "majority", "bag of words")
CLOSE = 0.05  # nats a token: the smallest difference that counts, as on the cards
ROWS = (8, 32, 128, 500)  # so many poems were tried, with the methods
BY_ROWS = ("full", "prompt", "prefix (text)", "LoRA 8")
OURS, BILLION = 3.5e6, 1e9

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
    scale: str  # the models that it was seen on


@dataclass(frozen=True)
class Advice:
    """Sentences, the weightiest first. `method` is the arm that the stored runs point to."""

    method: str
    sentences: tuple[Sentence, ...]
    suffices: bool  # is the evidence of the scale and the kind that was asked for?

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
    examples: int = 500,
    parameters: float = 1.3e6,
) -> Advice:
    """An answer to "which one, when?", from the stored runs.

    Args:
        task: one of TASKS: the style of texts, sorting them, telling facts, programs, or a script
            that the model has never seen.
        wish: one of WISHES, what counts besides: nothing, bytes of the file, memory of a training
            step, or what the model could do before.
        examples: how many there are to train on.
        parameters: of your model.

    Raises:
        ValueError: an unknown task or wish, or a number below 1.
        FileNotFoundError: the runs are not stored.
    """
    for name, value, known in (("task", task, TASKS), ("wish", wish, WISHES)):
        if value not in known:
            raise ValueError(f"{name} must be one of {', '.join(known)}, not {value!r}.")
    for name, value in (("examples", examples), ("parameters", parameters)):
        if not value >= 1:
            raise ValueError(f"{name} must be a number from 1 on, not {value!r}.")
    rows = trained(TASKS[task])
    method, first = _first_choice(rows, TASKS[task], wish)
    told = [first, _without_training(rows, TASKS[task]), _few_rows(task, examples)]
    suffices = parameters <= OURS
    if parameters > BILLION:
        papers = [Sentence(text, source, "as named there") for text, source in PAPERS]
        told = [*papers, *told]
    if not suffices:
        times = parameters / 1.3e6
        said = (
            f"Your model is {times:,.0f} times as large as ours. Our runs do not suffice to choose "
            "for it: take them for what to try first, and try full fine-tuning or LoRA beside it."
        )
        told.append(Sentence(said, "no runs", "none of this size"))
    return Advice(method, tuple(told), suffices)


def trained(task: str) -> dict[str, Row]:
    """The methods that were tried on a task, and the base, each at its best learning rate."""
    runs = [r for r in load_runs(task, failed=True) if r["arm"] not in UNTRAINED[1:]]
    return {row.arm: row for row in summary(runs)}


def behind(rows: dict[str, Row], name: str, best: str) -> Comparison:
    """How far a method's test loss lies above that of the best."""
    tokens = rows["base"].runs[0]["test_item_tokens"]
    return compare(rows[name].runs, rows[best].runs, tokens)


def gain(rows: dict[str, Row], name: str, field: str = "test_nats") -> float:
    """The share of full fine-tuning's gain over the base (1: as much), by a field of the runs."""
    base, full, own = (_mean(rows[n], field) for n in ("base", "full", name))
    return (base - own) / (base - full)


def _first_choice(rows: dict[str, Row], task: str, wish: str) -> tuple[str, Sentence]:
    field, unit, best_is = MEASURES[task]
    methods = [name for name in rows if name != "base"]
    score = {name: _mean(rows[name], field) for name in methods}
    order = sorted(methods, key=score.get, reverse=best_is is max)
    best = order[0]
    if wish == "quality":
        chosen = best
        near = [n for n in order[1:] if behind(rows, n, best).high < CLOSE]
        text = f"On {task} {best} is best: {score[best]:.3f} {unit}."
        if near:
            chosen = min(near, key=lambda name: rows[name].parameters)
            text += (
                f" {chosen} is within {CLOSE} of its loss ({behind(rows, chosen, best)} behind), "
                f"with {rows[chosen].parameters:,} numbers in place of {rows[best].parameters:,}."
            )
        else:
            text += (
                f" No other is shown to be within {CLOSE} nats of its loss; next is {order[1]}: "
                f"{score[order[1]]:.3f}, its loss {behind(rows, order[1], best)} higher."
            )
    else:
        price, priced = {
            "small file": (lambda n: rows[n].file_bytes, "bytes"),
            "little memory": (lambda n: _memory(rows[n]), "bytes a step"),
            "old skills": (lambda n: _mean(rows[n], "story_nats"), "nats a token on stories"),
        }[wish]
        enough = [name for name in methods if gain(rows, name, field) >= 0.8]
        chosen = min(enough, key=price)
        cost, of_best = (f"{price(n):,.{2 * (wish == 'old skills')}f}" for n in (chosen, best))
        if enough == [best]:
            text = (
                f"On {task} only {best} reaches four fifths of full fine-tuning's gain ({unit}), "
                f"so there is no choice: {cost} {priced}."
            )
        else:
            text = (
                f"On {task} {chosen} pays least among those that reach four fifths of full "
                f"fine-tuning's gain ({unit}): {cost} {priced}; {best}, the best, {of_best}."
            )
    arms = ", ".join(dict.fromkeys((chosen, best)))
    evidence = f"{origin(rows[best].runs)}: {arms}"
    return chosen, Sentence(text, evidence, f"{rows[best].runs[0]['base']}, 150 steps")


def _without_training(rows: dict[str, Row], task: str) -> Sentence:
    """The best of what needs no training of a model: a method must beat it to be worth its cost."""
    runs = [r for r in load_runs(task) if r["arm"] in UNTRAINED[1:]]
    field, unit, best_is = MEASURES[task]
    rivals = [run for run in runs if field in run]
    if not rivals:
        field, unit, best_is = MEASURES["poems"]
        rivals = runs
    rival = best_is(rivals, key=lambda run: run[field])
    scores = [_mean(row, field) for name, row in rows.items() if name != "base"]
    beats = best_is(rival[field], best_is(scores)) == rival[field]
    text = f"Without training a model: {rival['arm']}, {rival[field]:.3f} {unit}" + (
        ", better than every method here. Take that, or more data and steps." if beats else "."
    )
    return Sentence(text, f"stored, {command(task)}: {rival['arm']}", "the same rows")


def _memory(row: Row) -> float:
    return fmean(sum(run["memory"].values()) for run in row.runs)


def _mean(row: Row, field: str) -> float:
    return fmean(run[field] for run in row.runs)


def _few_rows(task: str, examples: int) -> Sentence:
    """What the number of examples says; tried on poems alone."""
    count = min(ROWS, key=lambda n: abs(n - examples) / n)
    if count == ROWS[-1]:
        poems = trained("poems")
        rows = {name: poems[name] for name in BY_ROWS}
    else:
        rows = _by_rows(count)
    order = sorted(rows, key=lambda name: rows[name].loss.mean)
    losses = ", ".join(f"{name} {rows[name].loss.mean:.3f}" for name in order)
    text = f"From {count} examples: {losses}."
    if task != "style":
        text += " (Poems; how many your kind of task needs was not tried.)"
    runs = next(iter(rows.values())).runs
    return Sentence(text, origin(runs), f"{runs[0]['base']}, poems")


def _by_rows(count: int) -> dict[str, Row]:
    runs = [r for r in load_runs("rows", failed=True) if r["tags"]["train_rows"] == count]
    return {row.tags["method"]: row for row in summary(runs)}
