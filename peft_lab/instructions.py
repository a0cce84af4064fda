"""The task `instructions`: which rows ask for which job, and the same rows asked for another.

See the datasheet, data/tasks/instructions/README.md. A row's source is an instruction, a line
break and a sentence; its fields say the family (the job), the wording, in the test split the rung.
"""

from collections.abc import Iterable, Sequence

from .rows import Row
from .tasks import Example, Task, encode

RUNGS = ("seen words", "new words", "new task")


def of_families(examples: Sequence, families: Iterable[str]) -> list:
    """The examples of these families, in their order.

    Raises:
        ValueError: a family that no example is of.
    """
    wanted, known = set(families), {example.fields["family"] for example in examples}
    if unknown := wanted - known:
        raise ValueError(
            f"families: none of the examples is of {', '.join(sorted(unknown))}; "
            f"there are {', '.join(sorted(known))}."
        )
    return [example for example in examples if example.fields["family"] in wanted]


def sentence(example: Row | Example) -> str:
    """What the instruction is about."""
    return example.source.split("\n", 1)[1]


def swapped(task: Task, tokenizer) -> list[Example]:
    """The test rows, each asked for in the words of another job of its rung; same right answers.

    How much likelier the answer is in its own row is what the instruction is worth to a model:
    nothing, to one that does not read it.
    """
    wordings: dict[str, dict[str, list[str]]] = {rung: {} for rung in RUNGS}
    for example in task.test:
        row = example.fields
        of_family = wordings[row["rung"]].setdefault(row["family"], [])
        if row["wording"] not in of_family:
            of_family.append(row["wording"])
    rows = []
    for i, example in enumerate(task.test):
        of_rung = wordings[example.fields["rung"]]
        others = sorted(set(of_rung) - {example.fields["family"]})
        words = of_rung[others[i % len(others)]]
        asked = f"{words[i % len(words)]}\n{sentence(example)}"
        rows.append(Row(asked, example.target, i + 1, example.fields))
    return encode(rows, tokenizer)
