"""How near are the rows of a task to each other? Words, runs of them, and what two rows share."""

import json
import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

TASKS = Path(__file__).resolve().parents[1] / "data" / "tasks"
SPLITS = ("train", "validation", "test")
# Devanagari as `nepali` uses it: signs, vowels, consonants, nukta, vowel signs and virama.
DEVANAGARI = "\u0901-\u0903\u0905-\u0939\u093c\u093e-\u094d"


def read(task: str, name: str) -> list[dict]:
    """The rows of data/tasks/{task}/{name}.jsonl."""
    text = (TASKS / task / f"{name}.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.split("\n") if line]


def words(text: str) -> list[str]:
    """Lower-case words of a to z, with apostrophes inside, or of Devanagari letters."""
    return re.findall(rf"[a-z]+(?:'[a-z]+)*|[{DEVANAGARI}]+", text.lower())


def grams(items: Sequence, length: int) -> set[tuple]:
    """All runs of `length` items."""
    return {tuple(items[i : i + length]) for i in range(len(items) - length + 1)}


def runs(text: str, length: int) -> set[tuple[str, ...]]:
    """All runs of `length` words."""
    return grams(words(text), length)


def closest(splits: Sequence[str], sets: Sequence[set]) -> tuple[float, int, int]:
    """The most that two rows of different splits share: (Jaccard, one row, the other)."""
    holders, best = defaultdict(list), (0.0, -1, -1)
    for number, own in enumerate(sets):
        for other in {n for piece in own for n in holders[piece]}:
            if splits[other] != splits[number]:
                share = len(own & sets[other]) / len(own | sets[other])
                best = max(best, (share, number, other))
        for piece in own:
            holders[piece].append(number)
    return best
