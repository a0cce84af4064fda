"""Agreement of two labellers: the first labels of data/tasks/moods against a blind second set.

    python tools/agreement.py          prints agreement, Cohen's kappa and where they differ

The second labels lie in data/tasks/moods/second_labels.jsonl, a row {"source", "target"} each,
given by a labeller who saw the sentences alone, in random order, and the six words to choose from.
"""

import json
from collections import Counter
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[1] / "data" / "tasks" / "moods"


def read(file: Path) -> dict[str, str]:
    """source -> target of a task file."""
    rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    return {row["source"]: row["target"] for row in rows}


def agreement(pairs: list[tuple[str, str]]) -> tuple[float, float]:
    """The share of equal labels, and Cohen's kappa: what that is beyond chance, 1 at most.

    Chance is two labellers who use their labels as often as these two do, but blindly (Cohen,
    1960, A coefficient of agreement for nominal scales).
    """
    if not pairs:
        raise ValueError("pairs is empty: there is nothing to compare.")
    share = sum(a == b for a, b in pairs) / len(pairs)
    first, second = Counter(a for a, _ in pairs), Counter(b for _, b in pairs)
    chance = sum(first[label] * second[label] for label in first) / len(pairs) ** 2
    return share, 1.0 if chance == 1 else (share - chance) / (1 - chance)


def main() -> None:
    first, second = read(FOLDER / "test.jsonl"), read(FOLDER / "second_labels.jsonl")
    pairs = [(first[source], label) for source, label in second.items()]
    share, kappa = agreement(pairs)
    print(f"{len(pairs)} sentences, agreement {share:.3f}, Cohen's kappa {kappa:.3f}")
    for source, label in second.items():
        if first[source] != label:
            print(f"first {first[source]}, second {label}: {source}")


if __name__ == "__main__":
    main()
