"""The task `instructions`: which rows ask for which job, the same rows asked for another, and the
stored runs, rung by rung.

See the datasheet, data/tasks/instructions/README.md. A row's source is an instruction, a line
break and a sentence; its fields say the family (the job), the wording, in the test split the rung.
"""

from collections.abc import Iterable, Sequence
from statistics import fmean

from .claims import Comparison, compare_items
from .evaluation import evaluate
from .results import load_runs, summary
from .rows import Row
from .tasks import Example, Task, encode

RUNGS = ("seen words", "new words", "new task")
PARAMETERS = {"all": "full", "few": "LoRA 8, all"}  # which are trained -> its arm in the sweep


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


def wordings(examples: Iterable, rung: str) -> dict[str, list[str]]:
    """Job -> the instructions that ask for it on this rung, in the order of the examples."""
    found: dict[str, list[str]] = {}
    for row in (example.fields for example in examples):
        if row["rung"] == rung and row["wording"] not in found.setdefault(row["family"], []):
            found[row["family"]].append(row["wording"])
    return {family: words for family, words in found.items() if words}


def reworded(examples: Sequence, words: Sequence[str], tokenizer) -> list[Example]:
    """The examples, asked for in these instructions in turn; same sentences, same right answers."""
    rows = [
        Row(f"{words[i % len(words)]}\n{sentence(example)}", example.target, i + 1, example.fields)
        for i, example in enumerate(examples)
    ]
    return encode(rows, tokenizer)


def swapped(task: Task, tokenizer) -> list[list[Example]]:
    """Each test row, asked for in the words of every other job of its rung; same right answer.

    How much likelier the answer is in its own row is what the instruction is worth to a model:
    nothing, to one that does not read it. All the other jobs, not one of them: a swap between jobs
    with the same kind of answer costs less, and a draw would mix the two otherwise on each rung.
    """
    by_rung = {rung: wordings(task.test, rung) for rung in RUNGS}
    found = []
    for i, example in enumerate(task.test):
        of_rung = by_rung[example.fields["rung"]]
        others = [words for job, words in of_rung.items() if job != example.fields["family"]]
        asked = [words[i % len(words)] for words in others]
        found.append(reworded([example] * len(asked), asked, tokenizer))
    return found


def mean_nats(model, rows: Sequence[Sequence[Example]], pad_id: int) -> list[float]:
    """The loss of each row's answer in nats (all its tokens), a mean over its variants: `rows` as
    `swapped` gives them."""
    flat = evaluate(model, [one for row in rows for one in row], pad_id=pad_id).per_example
    losses = iter(flat)
    return [fmean([next(losses) for _ in row]) for row in rows]


class Ladder:
    """The stored runs of the experiment `instructions`, asked for one rung or one job.

    `runs` are those of each way to train, at its best learning rate, one a seed: "many tasks, all",
    "many tasks, few", "many tasks, prompt", "many tasks, 96 rows, all" and "... few", "many tasks,
    longer, all" and "... few" (1,200 steps in place of 200), "past only, few" and so on for each
    trained job, "one task, all" and "one task, few" (the six of them as one, see `joined`), and the
    "base".

    Measures, of each test row: "loss" of the right answer; "worth" of the instruction, which is
    the mean loss after the other jobs' instructions less the loss after its own (in nats a token);
    "right": 1 where the written answer is the right one, word for word, else 0.

    `rates` are, for each way that is one arm, its best learning rate and all that were tried.
    """

    def __init__(self, task: Task, runs: Sequence[dict] | None = None):
        self.task = task
        runs = runs or load_runs("instructions")
        rows = {row.arm: row.runs for row in summary(runs)}
        self.tokens = rows["base"][0]["test_item_tokens"]
        self.bases = {run["base_fingerprint"] for group in rows.values() for run in group}
        families = list(dict.fromkeys(row.fields["family"] for row in task.train))
        self.runs = {"base": rows["base"], "many tasks, prompt": rows["prompt"]}
        for name, arm in PARAMETERS.items():
            alone = {family: rows[f"{arm}, {family} only"] for family in families}
            self.runs |= {f"{family} only, {name}": group for family, group in alone.items()}
            self.runs[f"one task, {name}"] = self.joined(alone)
            self.runs[f"many tasks, 96 rows, {name}"] = rows[f"{arm}, 96 train_rows"]
            self.runs[f"many tasks, longer, {name}"] = rows[f"{arm}, 1200 steps"]
            self.runs[f"many tasks, {name}"] = rows[arm]
        tried: dict[str, set[float]] = {}
        for run in runs:
            tried.setdefault(run["arm"], set()).add(run["learning_rate"])
        self.rates = {
            way: (group[0]["learning_rate"], sorted(tried[group[0]["arm"]]))
            for way, group in self.runs.items() if group[0].get("learning_rate") is not None
        }  # fmt: skip

    def joined(self, of_family: dict[str, list[dict]]) -> list[dict]:
        """The specialists as one: each test row by the run that was trained on its job; of a job
        that none was trained on, the mean of all."""
        together = []
        for runs in zip(*of_family.values(), strict=True):
            if len({run["seed"] for run in runs}) > 1:
                raise ValueError("of_family: the runs that go together must have one seed.")
            by_family = dict(zip(of_family, runs, strict=True))
            one = {"seed": runs[0]["seed"]}
            for name in ("test_items", "test_items_swapped", "test_items_right"):
                one[name] = []
                for i, row in enumerate(self.task.test):
                    own = by_family.get(row.fields["family"])
                    asked = [own] if own else runs
                    one[name].append(fmean(float(run[name][i]) for run in asked))
            together.append(one)
        return together

    def places(self, rung: str, family: str | None = None) -> list[int]:
        """The numbers of the test rows of a rung, of one family perhaps."""
        found = [
            i for i, row in enumerate(self.task.test)
            if row.fields["rung"] == rung and family in (None, row.fields["family"])
        ]  # fmt: skip
        if not found:
            raise ValueError(f"no test row is on the rung {rung!r} and of the family {family!r}.")
        return found

    def _values(self, way: str, measure: str, at: list[int]) -> list[list[float]]:
        """(seeds, rows)"""
        of_row = {
            "loss": lambda run, i: run["test_items"][i],
            "worth": lambda run, i: run["test_items_swapped"][i] - run["test_items"][i],
            "right": lambda run, i: float(run["test_items_right"][i]),
        }[measure]
        return [[of_row(run, i) for i in at] for run in self.runs[way]]

    def _weights(self, measure: str, at: list[int]) -> list[int]:
        return [1 if measure == "right" else self.tokens[i] for i in at]

    def seeds(self, way: str, measure: str, rung: str, family: str | None = None) -> list[float]:
        """One value a seed (the base: one), a mean over tokens, of "right" over rows."""
        return self.over(way, measure, self.places(rung, family))

    def over(self, way: str, measure: str, at: list[int]) -> list[float]:
        """As `seeds`, over the test rows of these numbers."""
        weights = self._weights(measure, at)
        return [
            sum(v * w for v, w in zip(values, weights, strict=True)) / sum(weights)
            for values in self._values(way, measure, at)
        ]

    def compare(
        self, high: str, low: str, measure: str, rung: str, family: str | None = None
    ) -> Comparison:
        """By how much one way exceeds another, over seeds and over test sentences: rows that
        share a sentence are drawn together."""
        at = self.places(rung, family)
        sentences = [sentence(self.task.test[i]) for i in at]
        both = (self._values(way, measure, at) for way in (high, low))
        return compare_items(*both, self._weights(measure, at), sentences)
