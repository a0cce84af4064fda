"""Which method, when? An answer made of stored runs, each sentence with the runs it rests on.

For models above a billion parameters the papers come first: ours are a thousand times smaller.
"""

import textwrap
from dataclasses import dataclass
from numbers import Real
from statistics import fmean

from .claims import ITEMS, Comparison, compare
from .results import Row, known_experiments, load_runs, origin, summary

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
    "moods": ("test_accuracy", "of the answers right", max),
    "tables": ("test_nats", "nats a token", min),
    "code": ("test_nats", "nats a token", min),
    "nepali": ("test_third_byte_nats", "nats a third byte", min),
}
UNTRAINED = ("base", "written prompt", "5-gram", "majority", "bag of words")
TRAIN_ROWS = {"poems": 500, "moods": 600, "tables": 450, "code": 175, "nepali": 180}
CLOSE = 0.05  # of each measure, in its unit: the smallest difference that counts, as on the cards
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
        if value not in known:
            raise ValueError(f"{name} must be one of {', '.join(known)}, not {value!r}.")
    task = TASKS[task]
    examples = TRAIN_ROWS[task] if examples is None else examples
    for name, value in (("examples", examples), ("parameters", parameters)):
        if isinstance(value, bool) or not isinstance(value, Real) or not 1 <= value < float("inf"):
            raise ValueError(f"{name} must be a number from 1 on, not {value!r}.")
    tried = counts(task)
    count = min(tried, key=lambda n: _times_apart(n, examples))
    rows = trained(task, count)
    method, first, learned = _first_choice(rows, task, wish, count, examples)
    told = [first, _without_training(task, count, method)]
    if count == TRAIN_ROWS[task]:
        told += _later(rows, task, wish)
    if len(tried) == 1:
        told.append(_rows_not_tried(task))
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
    return Advice(method, tuple(told), near and like_ours and learned)


def counts(task: str) -> tuple[int, ...]:
    """The numbers of rows that methods were tried with on a task, the smallest first."""
    return (*sorted({run["tags"]["train_rows"] for run in _few(task)}), TRAIN_ROWS[task])


def trained(task: str, count: int | None = None) -> dict[str, Row]:
    """The methods that were tried on a task, and the base, each at its best learning rate.

    Args:
        count: rows that they were trained on, one of `counts(task)`; None: all.
    """
    whole = {arm: row for arm, row in _all_arms(task).items() if arm not in UNTRAINED[1:]}
    if count in (None, TRAIN_ROWS[task]):
        return whole
    few = summary([run for run in _few(task) if run["tags"]["train_rows"] == count])
    return {"base": whole["base"]} | {row.tags["method"]: row for row in few}


def _few(task: str) -> list[dict]:
    """The runs from fewer rows than all; none where they are not stored."""
    experiment = "rows" if task == "poems" else f"rows-{task}"
    if experiment not in known_experiments():
        return []
    return load_runs(experiment, failed=True)


def _all_arms(task: str) -> dict[str, Row]:
    return {row.arm: row for row in summary(load_runs(task, failed=True))}


def behind(rows: dict[str, Row], name: str, best: str, field: str | None = None) -> Comparison:
    """How far a method lies behind another, judged over seeds and over test texts.

    Args:
        rows: of one task, as `trained` gives them.
        field: one of `claims.ITEMS`; None takes the measure of the task.
    """
    base = rows["base"].runs[0]
    field = field or MEASURES[base["experiment"]][0]
    weights = ITEMS[field][1]
    pair = rows[name].runs, rows[best].runs
    if field == "test_accuracy":  # the higher, the better
        pair = pair[::-1]
    return compare(*pair, base[weights] if weights else None, field)


def gain(rows: dict[str, Row], name: str, field: str = "test_nats") -> float:
    """The share of full fine-tuning's gain over the base (1: as much), by a field of the runs."""
    base, full, own = (_mean(rows[n], field) for n in ("base", "full", name))
    return (base - own) / (base - full)


def _first_choice(
    rows: dict[str, Row], task: str, wish: str, count: int, examples: float
) -> tuple[str, Sentence, bool]:
    """(the method, why, whether any method is shown to be ahead of the base)."""
    field, unit, best_is = MEASURES[task]
    methods = [name for name in rows if name != "base"]
    score = {name: _mean(rows[name], field) for name in methods}
    order = sorted(methods, key=score.get, reverse=best_is is max)
    best = order[0]
    few = count != TRAIN_ROWS[task]
    nearest = f", the nearest to {examples:,} that was run" if few and count != examples else ""
    tried = f"; {len(methods)} methods were tried" if few else ""
    named = f"On {task} ({count} rows{nearest}{tried})"
    lead = behind(rows, "base", best)
    learned = lead.verdict(CLOSE) == "shown"
    if not learned:
        chosen = best
        text = (
            f"{named} {best} has the best mean: {score[best]:.3f} {unit}, ahead of the untrained "
            f"base by {lead}. That any method is {CLOSE} ahead of it is not shown: {MORE_FIRST}"
        )
    elif wish == "quality":
        chosen, size = best, rows[best].parameters
        text = f"{named} {best} has the best mean: {score[best]:.3f} {unit}."
        smaller = (n for n in order[1:] if rows[n].parameters < size)
        near = [n for n in smaller if behind(rows, n, best).high < CLOSE]
        if near:
            chosen = min(near, key=lambda name: rows[name].parameters)
            text += (
                f" {chosen} is shown to be within {CLOSE} of that (behind by "
                f"{behind(rows, chosen, best)}), with {rows[chosen].parameters:,} numbers in "
                f"place of {size:,}."
            )
        else:
            text += (
                f" No smaller method is shown to be within {CLOSE} of that. Next comes "
                f"{order[1]}: {score[order[1]]:.3f}, behind by {behind(rows, order[1], best)}."
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
                f"{named} only {best} reaches four fifths of full fine-tuning's gain ({unit}), "
                f"so there is no choice: {cost} {priced}."
            )
        else:
            text = (
                f"{named} {chosen} pays least among those that reach four fifths of full "
                f"fine-tuning's gain ({unit}): {cost} {priced}"
            )
            text += "." if chosen == best else f"; {best}, the best by its mean, {of_best}."
        if wish == "old skills":
            text += f" Before training it was {price('base'):.2f}."
    evidence = _all(rows[best])
    if few:
        whole = trained(task)
        best_of_all = best_is(whole, key=lambda name: _mean(whole[name], field))
        if best_of_all not in rows:
            text += f" {best_of_all}, the best from {TRAIN_ROWS[task]} rows, was not among them."
        evidence = f"{origin(rows[best].runs)}: {'; '.join(rows[name].arm for name in order)}"
    return chosen, Sentence(text, evidence, _scale(rows[best], count, field)), learned


def _later(rows: dict[str, Row], task: str, wish: str) -> list[Sentence]:
    """What was tried after the grid was fixed, and says otherwise than the runs above."""
    if (task, wish) == ("nepali", "quality"):
        field, unit, _ = MEASURES["nepali"]
        free = {row.arm: row for row in summary(load_runs("union"))}
        best = min(free, key=lambda name: _mean(free[name], field))
        gap = behind(rows | {best: free[best]}, "embeddings", best)
        text = (
            "Tried after these results, with a learning rate of its own for the embeddings: "
            f"{best}, {_mean(free[best], field):.3f} {unit}. It is ahead of the embeddings alone "
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
            f"poems and {_mean(row, 'story_nats'):.2f} on stories: lower the rate first."
        )
    else:
        return []
    return [Sentence(text, f"{origin(row.runs)}: {row.arm}", _scale(row, count, chosen_by))]


def untrained_rival(
    task: str, count: int | None = None, method: str | None = None
) -> tuple[str, str, Row, str]:
    """The best of what needs no training of a model, beside a method, by one measure.

    Args:
        task: as `load_task` names it.
        count: rows that the methods were trained on; None: all. From fewer, only what has read no
            row at all is a rival: the others read all of them.
        method: an arm of `trained(task, count)`; None: the best.

    Returns:
        (both in words, and how far apart they are; "ahead" or "behind" where the rival is shown to
        be so, "level" where both are shown to be within CLOSE, or "not shown"; the method; the
        field that both are judged by).
    """
    rows = _all_arms(task)
    rivals = [name for name in UNTRAINED[1:] if name in rows]
    if count not in (None, TRAIN_ROWS[task]):
        rivals = ["written prompt"]
        rows = {name: rows[name] for name in rivals} | trained(task, count)
    field, unit, best_is = MEASURES[task]
    if not any(field in rows[name].runs[0] for name in rivals):
        field, unit, best_is = MEASURES["poems"]  # counting has no third bytes: by all tokens

    def best_of(names):
        return best_is(names, key=lambda name: _mean(rows[name], field))

    rival = best_of([name for name in rivals if field in rows[name].runs[0]])
    best = method or best_of([name for name in rows if name not in UNTRAINED])
    leader = best_of((rival, best))
    other = best if leader == rival else rival
    apart = behind(rows, other, leader, field)
    if apart.verdict(CLOSE) == "shown":
        outcome = "ahead" if leader == rival else "behind"
    else:
        outcome = "level" if apart.within(CLOSE) else "not shown"
    found = {
        "ahead": f"shown to be {CLOSE} ahead. Take that, or more data and steps",
        "behind": f"shown to be {CLOSE} ahead",
        "level": f"shown to be within {CLOSE}",
        "not shown": f"not shown which is better by {CLOSE}",
    }[outcome]
    told = (
        f"{rival}, {_mean(rows[rival], field):.3f} {unit} (by this measure {best}, from "
        f"{count or TRAIN_ROWS[task]} rows: {_mean(rows[best], field):.3f}). {leader} is ahead by "
        f"{apart}: {found}."
    )
    return told, outcome, rows[best], field


def _without_training(task: str, count: int, method: str) -> Sentence:
    """A method must beat what needs no training of a model to be worth its cost."""
    told, _, best, field = untrained_rival(task, count, method)
    evidence, scale = _all(best), _scale(best, count, field)
    if count == TRAIN_ROWS[task]:
        scale += "; without training 1 run, the same rows"
    else:
        evidence += f"; --experiment {task}: written prompt"
        scale += "; without training 1 run"
    return Sentence(f"Without training a model: {told}", evidence, scale)


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


def _mean(row: Row, field: str) -> float:
    return fmean(run[field] for run in row.runs)


def _rows_not_tried(task: str) -> Sentence:
    text = (
        f"All this is from {TRAIN_ROWS[task]} rows of {task}; other numbers of examples were not "
        "tried. (On other tasks they were; what was found there need not hold here.)"
    )
    return Sentence(text, "no runs", "no other number of rows")


def _too_far(count: int, examples: int) -> Sentence:
    some = "1 example" if examples == 1 else f"{examples:,} examples"
    text = (
        f"You have {some}; the nearest number that was tried is {count}, more than a factor of "
        "two away. Our runs do not suffice to choose for such a number."
    )
    return Sentence(text, "no runs", "none with such a number of rows")
