"""What the datasheet of data/tasks/nepali says of its sentences, measured.

    python tools/nepali_data.py            sizes, words, what sentences share, the byte baseline
    python tools/nepali_data.py --base     and the loss of storyteller-micro, not adapted

Lines that begin with "| " stand in the datasheet; tests/test_far_tasks.py compares them.
"""

import math
import statistics
import sys
from collections import Counter, defaultdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from near import SPLITS, closest, grams, read, runs, words

BASE = "storyteller-micro"


def every() -> list[tuple[str, str]]:
    """(split, sentence) of all rows."""
    return [(split, row["target"]) for split in SPLITS for row in read("nepali", split)]


def sizes() -> list[str]:
    """The rows of the datasheet's table of sizes: a token for each byte, and the end's."""
    lines = []
    for split in SPLITS:
        texts = [text for part, text in every() if part == split]
        size = sum(len(text.encode()) for text in texts)
        counts = len(texts), sum(len(words(text)) for text in texts), sum(map(len, texts)), size
        numbers = " | ".join(f"{count:,}" for count in (*counts, size + len(texts)))
        lines.append(f"| `{split}.jsonl` | {numbers} |")
    return lines


def shared() -> list[str]:
    """The most that two sentences of different splits share (Jaccard), as rows of a table."""
    splits, texts = zip(*every(), strict=True)
    kinds = {
        "runs of three words": [runs(text, 3) for text in texts],
        "runs of two words": [runs(text, 2) for text in texts],
        "words": [set(words(text)) for text in texts],
        "runs of five characters": [grams(text, 5) for text in texts],
    }
    return [f"| {kind} | {closest(splits, sets)[0]:.1%} |" for kind, sets in kinds.items()]


def repeated(length: int) -> Counter:
    """In how many sentences each run of words stands."""
    return Counter(run for _, text in every() for run in runs(text, length))


def places(text: str) -> list[tuple[int, int, bytes]]:
    """(place, length of the character, the bytes up to this one) of each byte; then the end's."""
    characters = [character.encode() for character in text]
    own = [(k + 1, len(c), c[: k + 1]) for c in characters for k in range(len(c))]
    return [*own, (0, 0, b"\n")]


def table_row(name: str, nats: dict, tokens: dict, total: float, count: int) -> str:
    """A row of the table of losses: all, the bytes of three-byte characters, bits a byte."""
    third = [f"{nats[place, 3] / tokens[place, 3]:.2f}" for place in (1, 2, 3)]
    written = count - tokens[0, 0]
    bits = total / math.log(2) / written
    return f"| {name} | {total / count:.2f} | {' | '.join(third)} | {bits:.1f} |"


def counted() -> str:
    """Each byte from those before it in its character, counted on train (add one), on test."""
    seen: dict[bytes, Counter] = defaultdict(Counter)
    for row in read("nepali", "train"):
        for _, _, so_far in places(row["target"]):
            seen[so_far[:-1]][so_far[-1]] += 1
    nats, tokens = Counter(), Counter()
    for row in read("nepali", "test"):
        for place, length, so_far in places(row["target"]):
            counts = seen[so_far[:-1]]
            chance = (counts[so_far[-1]] + 1) / (counts.total() + 256)
            nats[place, length] -= math.log(chance)
            tokens[place, length] += 1
    name = "each byte from those before it in its character"
    return table_row(name, nats, tokens, nats.total(), tokens.total())


def base() -> str:
    """The same of a storyteller that nobody has adapted."""
    from peft_lab import evaluate, evaluate_byte_places, load_base, load_task

    model, tokenizer = load_base(BASE)
    test = load_task("nepali", tokenizer).test
    whole = evaluate(model, test, pad_id=tokenizer.pad_token_id)
    found = evaluate_byte_places(model, tokenizer, test)
    tokens = {place: result.tokens for place, result in found.items()} | {(0, 0): len(test)}
    nats = {place: result.nats_per_token * result.tokens for place, result in found.items()}
    total = sum(whole.per_example)
    return table_row(f"`{BASE}`, not adapted", nats, tokens, total, whole.tokens)


def main() -> None:
    print(*sizes(), *shared(), sep="\n")
    texts = [text for _, text in every()]
    lengths = [len(words(text)) for text in texts]
    print(f"words a sentence: {min(lengths)} to {max(lengths)}, {statistics.mean(lengths):.1f}")
    size = [len(text.encode()) for text in texts]
    print(f"bytes a sentence: {min(size)} to {max(size)}, median {statistics.median(size)}")
    seen = {
        split: Counter(w for part, text in every() if part == split for w in words(text))
        for split in SPLITS
    }
    print(f"different words: {len(sum(seen.values(), Counter())):,}")
    new = sum(count for word, count in seen["test"].items() if word not in seen["train"])
    print(f"words of test that train lacks: {new / seen['test'].total():.1%}")
    for mark in "?!“":
        held = {s: sum(mark in text for part, text in every() if part == s) for s in SPLITS}
        print(f"rows with {mark}: {sum(held.values())} {held}")
    two = sum(len([m for m in text if m in "।?!"]) > 1 for text in texts)
    print(f"rows with more than one end of a sentence: {two}")
    for length in (2, 3, 4):
        held = repeated(length)
        print(f"runs of {length} words in two rows: {sum(n > 1 for n in held.values())}", end="")
        print(f" of {len(held):,}")
    last = Counter(words(text)[-1] for text in texts).most_common(1)[0][1]
    print(f"rows that end in the same word: {last / len(texts):.1%} at most")
    kinds = Counter(so_far for text in texts for _, length, so_far in places(text) if length == 3)
    first_two = sum(n for so_far, n in kinds.items() if len(so_far) < 3)
    print(f"first and second bytes of three: {first_two / sum(size):.1%} of all bytes")
    print("first bytes:", {b.hex(): n for b, n in kinds.items() if len(b) == 1})
    print("second bytes:", {b.hex(): n for b, n in kinds.items() if len(b) == 2})
    print(counted())
    if "--base" in sys.argv:
        print(base())


if __name__ == "__main__":
    main()
