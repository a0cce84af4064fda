"""What makes data/tasks/instructions from hand-written sentences, and what its datasheet measures.

    python tools/make_instructions.py             writes the three files
    python tools/make_instructions.py --folder X  writes them into the folder X
    python tools/make_instructions.py --measure   prints the numbers of the datasheet
    python tools/make_instructions.py --trial     fine-tunes storyteller-micro once (minutes)

Sentences and wordings stand in tools/instruction_sentences.py. Each sentence goes to one split
and is then asked about by several families: what to answer cannot be told from it alone.
The same words and the same seed give the same bytes on any machine.
"""

import argparse
import json
import math
import random
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from instruction_sentences import (
    ALSO_ALIVE,
    COLOURS,
    FEELINGS,
    HELD_OUT,
    SCENES,
    TIMES,
    TRAINED,
)
from make_tables import shuffled
from near import SPLITS, closest, read, runs, words

SEED = 11
INPUTS = {"train": 96, "validation": 16, "test": 24}  # of each trained family
HELD_OUT_INPUTS = 72  # of each held-out family
RUNGS = ("seen words", "new words", "new task")
SHORT = {"is": "is|was", "are": "are|were", "can": "can|could"}


@dataclass(frozen=True)
class Sentence:
    """A sentence without its marks, and what each family that can ask about it would hear."""

    text: str
    answers: dict[str, str]
    kinds: dict[str, str]  # by which the rows of a family are balanced


class Item(NamedTuple):
    """A row of the data set."""

    split: str
    rung: str
    family: str
    wording: str
    text: str
    target: str

    def row(self) -> dict[str, str]:
        row = {"source": f"{self.wording}\n{self.text}", "target": self.target}
        row |= {"family": self.family, "wording": self.wording}
        return row | {"rung": self.rung} if self.split == "test" else row


# --- sentences


def article(text: str) -> str:
    """With a or an as the next letter asks for: "A old fox" -> "An old fox"."""
    after_an = r"\b([Aa])n? (?=[aeiou])"
    return re.sub(r"\b([Aa])n (?=[^aeiou])", r"\1 ", re.sub(after_an, r"\1n ", text))


def bare(marked: str, past: bool = False, opposite: bool = False) -> str:
    """A hand-written line without its marks, as it is, in the past, or with the opposite word."""
    text = re.sub(r"\{(.*?)\}", lambda m: SHORT.get(m[1], m[1]).split("|")[past], marked)
    text = re.sub(r"<(.*?)>", lambda m: m[1].split("|")[opposite], text)
    return article(re.sub(r"[\[\]()]", "", text))


def lines() -> Iterator[tuple[str, str, str]]:
    """(family or "", its label, marked sentence) of all that was written by hand."""
    for family, parts in (("feeling", FEELINGS), ("time", TIMES), ("", SCENES)):
        for label, text in parts.items():
            yield from ((family, label, line) for line in text.strip().splitlines())


@cache
def alive() -> set[str]:
    """The words for animals and persons in these sentences."""
    found = re.findall(r"\[(.*?)\]", " ".join(line for _, _, line in lines()))
    return {word.split()[-1] for word in found} | set(ALSO_ALIVE.split())


def parse(marked: str, family: str = "", label: str = "") -> Sentence:
    """A hand-written line as a sentence with its answers."""
    text, verbs = bare(marked), re.findall(r"\{(.*?)\}", marked)
    answers = {family: label} if family else {}
    kinds = dict(answers)
    colours = [word for word in words(text) if word in COLOURS]
    if len(colours) == 1:
        answers["colour"] = kinds["colour"] = colours[0]
    who = re.search(r"\[(.*?)\]", marked)
    if who and not alive() & set(words(bare(marked.replace(who[0], "")))):  # nobody else is there
        answers["who"] = kinds["who"] = who[1]
    if where := re.search(r"\((.*?)\)", marked):
        place = bare(where[1])
        answers["where"] = kinds["where"] = place[0].lower() + place[1:]
    answers["past"] = bare(marked, past=True)
    kinds["past"] = verbs[0] if verbs[0] in (*SHORT, "has|had") else "another verb"
    pair = re.search(r"<(.*?)>", marked)
    if pair and not {"black", "white"} & set(colours):  # which are opposites themselves
        answers["opposite"], kinds["opposite"] = bare(marked, opposite=True), pair[1]
    if len(verbs) == 1 and verbs[0] in SHORT and not marked.startswith("("):
        subject, rest = text[0].lower() + text[1:-1], verbs[0]
        subject, rest = subject.split(f" {rest} ", 1)
        answers["question"] = f"{verbs[0].capitalize()} {subject} {rest}?"
        kinds["question"] = verbs[0]
    return Sentence(text, answers, kinds)


def split_sentences(rng: random.Random) -> dict[str, list[Sentence]]:
    """The sentences of each split, every label with the same share in each."""
    parts: dict[tuple[str, str], list[Sentence]] = {}
    for family, label, line in lines():
        parts.setdefault((family, label), []).append(parse(line, family, label))
    pools: dict[str, list[Sentence]] = {split: [] for split in SPLITS}
    for (family, _), part in parts.items():
        labels = sum(other == family for other, _ in parts)
        part = shuffled(rng, part)
        ends = [INPUTS["train"] // labels, (INPUTS["train"] + INPUTS["validation"]) // labels]
        for split, begin, end in zip(SPLITS, [0, *ends], [*ends, None], strict=True):
            pools[split] += part[begin:end]
    return pools


# --- rows


def choose(
    rng: random.Random, pool: list[Sentence], family: str, count: int, used: Counter
) -> list[Sentence]:
    """So many sentences to ask: each kind as often, and those first that were asked once."""
    rest = [s for s in shuffled(rng, pool) if family in s.answers]
    if len(rest) < count:
        raise ValueError(f"{family}: {len(rest)} sentences can be asked, not {count}.")
    kinds, chosen = Counter(), []
    for _ in range(count):
        best = min(
            rest, key=lambda s: (used[s.text] > 1, kinds[s.kinds[family]], used[s.text] != 1)
        )
        rest.remove(best)
        kinds[best.kinds[family]] += 1
        used[best.text] += 1
        chosen.append(best)
    return sorted(chosen, key=lambda s: s.kinds[family])


def rows(seed: int = SEED) -> Iterator[Item]:
    """All rows, those of a split shuffled."""
    rng = random.Random(seed)
    for split, pool in split_sentences(rng).items():
        used: Counter = Counter()
        asked: list[tuple[str, str, list[str], list[Sentence]]] = []
        for family, wordings in TRAINED.items():
            chosen = choose(rng, pool, family, INPUTS[split], used)
            asked.append(("seen words", family, wordings[:4], chosen))
            if split == "test":  # the same sentences once more
                asked.append(("new words", family, wordings[4:], chosen))
        if split == "test":
            for family, wordings in HELD_OUT.items():
                chosen = choose(rng, pool, family, HELD_OUT_INPUTS, used)
                asked.append(("new task", family, wordings, chosen))
        items = [
            Item(split, rung, family, wordings[n % len(wordings)], s.text, s.answers[family])
            for rung, family, wordings, chosen in asked
            for n, s in enumerate(chosen)  # sorted by kind, so that each wording gets its share
        ]
        yield from shuffled(rng, items)


# --- what the datasheet says


def guess(seen: Sequence[tuple[str, str]]) -> Callable[[str], str]:
    """Naive Bayes over single words (add one) from pairs of text and label."""
    counts: dict[str, Counter] = {}
    for text, label in seen:
        counts.setdefault(label, Counter()).update(words(text))
    known = {word for bag in counts.values() for word in bag}
    priors = Counter(label for _, label in seen)

    def label_of(text: str) -> str:
        def score(label: str) -> float:
            bag, size = counts[label], counts[label].total() + len(known)
            chances = (math.log((bag[w] + 1) / size) for w in words(text) if w in known)
            return math.log(priors[label]) + sum(chances)

        return max(sorted(counts), key=score)

    return label_of


def share(hits: Sequence[bool]) -> str:
    return f"{sum(hits) / len(hits):.1%}"


def sizes(tokenizer) -> list[str]:
    """Rows, different sentences, tokens scored, and the longest source and target in tokens."""

    def length(text: str) -> int:
        return len(tokenizer(text, add_special_tokens=False)["input_ids"])

    table = []
    for split in SPLITS:
        part = [item for item in rows() if item.split == split]
        sources = [length(item.row()["source"] + "\n") for item in part]
        targets = [length(item.target) + 1 for item in part]  # with the mark at the end
        texts = len({item.text for item in part})
        numbers = len(part), texts, sum(targets), max(sources), max(targets)
        table.append(f"| `{split}.jsonl` | {' | '.join(f'{n:,}' for n in numbers)} |")
    return table


def rungs() -> list[str]:
    """Test rows of each family on each rung."""
    held = Counter((item.family, item.rung) for item in rows() if item.split == "test")
    seen = Counter((item.family, item.split) for item in rows())
    return [
        f"| {family} | {seen[family, 'train']} | {seen[family, 'validation']} | "
        + " | ".join(str(held[family, rung]) for rung in RUNGS)
        + " |"
        for family in [*TRAINED, *HELD_OUT]
    ]


def chance(family: str, item: Item, labels: int) -> float:
    """To be right by drawing: a label; a word of the sentence (who) or a run of them (where)."""
    length = len(words(item.text))
    if family in ("feeling", "time", "colour"):
        return 1 / labels
    return {"who": 1 / length, "where": 2 / (length * (length + 1))}.get(family, 0.0)


def by_rule(family: str, text: str, swaps: dict[str, str]) -> str:
    """What a simple rule answers that has read the instruction but not the sentence."""
    given = text[:-1].split()
    if family == "colour":
        return next(word for word in words(text) if word in COLOURS)
    if family == "who":
        return given[1]
    if family == "where":
        return " ".join(given[-3:])
    if family == "question":
        verb = next(word for word in given if word in SHORT)
        given.remove(verb)
        return " ".join([verb.capitalize(), given[0].lower(), *given[1:]]) + "?"
    return article(re.sub(r"[a-z]+", lambda m: swaps.get(m[0], m[0]), text))


def baselines() -> list[str]:
    """Share of right answers, in the test split, of guesses and of simple rules."""
    made = list(rows())
    kinds = {
        s.text: s.kinds for pool in split_sentences(random.Random(SEED)).values() for s in pool
    }
    table = []
    for family in [*TRAINED, *HELD_OUT]:
        train = [i for i in made if (i.family, i.split) == (family, "train")]
        test = [i for i in made if (i.family, i.split) == (family, "test")]
        test = [item for item in test if item.rung != "new words"]  # the same sentences again
        labels = Counter(item.target for item in train or test)
        common = labels.most_common(1)[0][0]
        bag = guess([(item.text, item.target) for item in train]) if train else None
        swaps = {short: pair.split("|")[1] for short, pair in SHORT.items()} | {"has": "had"}
        if family == "opposite":
            pairs = [kinds[item.text]["opposite"].split("|") for item in train]
            swaps = dict([*(pair[::-1] for pair in pairs), *pairs])
        drawn = sum(chance(family, item, len(labels)) for item in test) / len(test)
        numbers = [f"{drawn:.1%}", share([item.target == common for item in test])]
        numbers.append(share([item.target == bag(item.text) for item in test]) if bag else "-")
        if family in ("feeling", "time"):
            numbers.append("-")
        else:
            numbers.append(share([i.target == by_rule(family, i.text, swaps) for i in test]))
        table.append(f"| {family} | {' | '.join(numbers)} |")
    return table


def facts() -> list[str]:
    """Single numbers that the datasheet gives."""
    made = list(rows())
    pools = split_sentences(random.Random(SEED))
    kinds = {s.text: s.kinds for pool in pools.values() for s in pool}
    train = [item for item in made if item.split == "train"]
    test = [item for item in made if item.split == "test"]
    seen = [item for item in test if item.rung == "seen words"]
    asked = Counter((item.split, item.text) for item in made if item.rung != "new words")
    times = Counter(asked.values())
    family = guess([(item.text, item.family) for item in train])
    texts = list(asked)
    nearest = closest([split for split, _ in texts], [runs(text, 3) for _, text in texts])[0]
    others = [
        row[key]
        for task in ("moods", "poems", "stories", "tables")
        for split in SPLITS
        for row in read(task, split)
        for key in ("source", "target")
    ]
    both = ["here"] * len(texts) + ["there"] * len(others)
    far = closest(both, [runs(text, 3) for text in [*(t for _, t in texts), *others]])[0]
    pairs = {
        split: [
            frozenset(kinds[item.text]["opposite"].split("|"))
            for item in part
            if item.family == "opposite"
        ]
        for split, part in (("train", train), ("test", seen))
    }
    known = [pair in pairs["train"] for pair in pairs["test"]]
    vocabulary = {word for item in train for word in words(item.text)}
    new = [word not in vocabulary for _, text in texts if _ == "test" for word in words(text)]
    lengths = [len(words(text)) for _, text in texts]
    return [
        f"words a sentence: {min(lengths)} to {max(lengths)}, {sum(lengths) / len(lengths):.1f}",
        f"sentences asked about by 1, 2, 3, 4 families: {[times[n] for n in (1, 2, 3, 4)]}",
        f"the family told from the sentence alone: "
        f"{share([family(item.text) == item.family for item in seen])}",
        f"the best that ignores the instruction: {len({i.text for i in seen}) / len(seen):.1%}",
        f"pairs of opposites in test that training has: {sum(known)} of {len(known)}",
        f"words of the test sentences that training lacks: {share(new)}",
        f"the most that sentences of different splits share: {nearest:.1%}",
        f"the most that a sentence shares with a text of another task: {far:.1%}",
    ]


def trial(steps: int = 400) -> None:
    """Full fine-tuning of storyteller-micro, one seed, nothing tuned: can the task be measured?"""
    from peft_lab import FullFineTuning, evaluate, fit, generate_text, load_base, load_task

    model, tokenizer = load_base("storyteller-micro")
    task = load_task("instructions", tokenizer)
    items = [item for item in rows() if item.split == "test"]

    def report(when: str) -> None:
        hits: dict[tuple[str, str], list[bool]] = {}
        for item, example in zip(items, task.test, strict=True):
            given = example.source + "\n"
            text = generate_text(model, tokenizer, given, max_new_tokens=24, temperature=0)
            hits.setdefault((item.rung, item.family), []).append(text == item.target)
        for rung in RUNGS:
            part = [e for i, e in zip(items, task.test, strict=True) if i.rung == rung]
            loss = evaluate(model, part, pad_id=tokenizer.pad_token_id).nats_per_token
            found = {family: right for (of, family), right in hits.items() if of == rung}
            right = share(sum(found.values(), []))
            each = ", ".join(f"{family} {share(found[family])}" for family in sorted(found))
            print(f"{when}, {rung}: {loss:.2f} nats a token, right {right} ({each})", flush=True)

    report("before")
    quiet = {"progress": False, "live_curve": False}
    times = {"steps": steps, "batch_size": 16, "evaluate_every": 50, "keep_best": True}
    with FullFineTuning().attach(model) as adapted:
        print(fit(model, task, adapted, learning_rate=2e-3, **times, **quiet))
        report("after")


def write(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    texts = dict.fromkeys(SPLITS, "")
    for item in rows():
        texts[item.split] += json.dumps(item.row()) + "\n"
    for split, text in texts.items():
        (folder / f"{split}.jsonl").write_text(text, encoding="utf-8", newline="\n")
        print(f"{split}.jsonl: {text.count(chr(10))} rows")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    default = Path(__file__).resolve().parents[1] / "data" / "tasks" / "instructions"
    parser.add_argument("--folder", type=Path, default=default)
    parser.add_argument("--measure", action="store_true")
    parser.add_argument("--trial", action="store_true")
    chosen = parser.parse_args()
    if chosen.trial:
        return trial()
    if not chosen.measure:
        return write(chosen.folder)
    from peft_lab.models import load_base

    print(*sizes(load_base("storyteller-nano")[1]), *rungs(), *baselines(), *facts(), sep="\n")


if __name__ == "__main__":
    main()
