"""What a text is like: copied or not, its form, its facts. And what one gets without a model."""

import math
import random
import re
import statistics
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence

from .rows import Row


def words(text: str) -> list[str]:
    """Lower-case words; apostrophes inside a word belong to it."""
    return re.findall(r"[^\W_]+(?:['’][^\W_]+)*", text.lower())


def longest_copied_run(text: str, corpus: Sequence[str]) -> tuple[int, str]:
    """The longest run of words of `text` that stands in one text of the corpus.

    Case and punctuation do not count. Returns (number of words, the run).
    """
    places = defaultdict(list)  # word -> where the corpus has it
    for number, document in enumerate(corpus):
        for position, word in enumerate(words(document)):
            places[word].append((number, position))
    own = words(text)
    best_end, best, ending_before = 0, 0, {}
    for end, word in enumerate(own, 1):
        # a run that ends here extends the one that ended one word before, in text and corpus
        ending_here = {(n, p): ending_before.get((n, p - 1), 0) + 1 for n, p in places[word]}
        longest = max(ending_here.values(), default=0)
        if longest > best:
            best_end, best = end, longest
        ending_before = ending_here
    return best, " ".join(own[best_end - best : best_end])


def form_of_poem(text: str) -> dict:
    """The form of a poem: lines, syllables of each line, rhyme scheme, share of rhyming lines.

    `rhyme` is the share (0 to 1) of lines whose last word rhymes with that of another line. Its
    chance level is that of `shuffled_lines`. Rhyme and syllables follow spelling: see `verse`.
    """
    from .verse import rhymes, syllables

    lines = [words(line) for line in text.strip().splitlines()]
    lines = [line for line in lines if line]
    last = [line[-1] for line in lines]
    scheme: list[str] = []
    for i, word in enumerate(last):
        partner = next((j for j in range(i) if rhymes(last[j], word)), None)
        scheme.append(scheme[partner] if partner is not None else chr(ord("A") + len(set(scheme))))
    paired = [letter for letter in scheme if scheme.count(letter) > 1]
    return {
        "lines": len(lines),
        "syllables": [sum(map(syllables, line)) for line in lines],
        "scheme": "".join(scheme),
        "rhyme": len(paired) / len(lines) if lines else 0.0,
    }


def shuffled_lines(poems: Sequence[str], seed: int = 0) -> list[str]:
    """Poems of the same lengths from all their lines in random order: rhyme by chance."""
    lines = [line for poem in poems for line in poem.strip().splitlines()]
    random.Random(seed).shuffle(lines)
    rest = iter(lines)
    return ["\n".join(next(rest) for _ in poem.strip().splitlines()) for poem in poems]


def slot_recall(text: str, source: str) -> float:
    """The share (0 to 1) of the values in "name: Tom | place: mill" that the text mentions."""
    slots = [slot.partition(":")[2].strip() for slot in source.split("|")]
    if not all(slots):
        raise ValueError(f'source must read "name: value | name: value", not {source!r}.')
    written = " ".join(words(text))
    return sum(f" {' '.join(words(slot))} " in f" {written} " for slot in slots) / len(slots)


def class_priors(train: Iterable[Row]) -> dict[str, float]:
    """Log-probability of each target, by its share of the training rows."""
    counts = Counter(row.target for row in train)
    return {label: math.log(count / counts.total()) for label, count in counts.items()}


def bag_of_words(train: Sequence[Row]) -> Callable[[str], dict[str, float]]:
    """Naive Bayes over the words of the source, with one added to each count.

    Returns:
        source -> log-probability of each target.
    """
    counts: dict[str, Counter] = defaultdict(Counter)
    for row in train:
        counts[row.target].update(words(row.source))
    priors = class_priors(train)
    vocabulary = len(set().union(*counts.values()))

    def classify(source: str) -> dict[str, float]:
        scores = {}
        for label, prior in sorted(priors.items()):
            total = counts[label].total() + vocabulary
            seen = (math.log((counts[label][word] + 1) / total) for word in words(source))
            scores[label] = prior + sum(seen)
        top = max(scores.values())
        whole = top + math.log(sum(math.exp(score - top) for score in scores.values()))
        return {label: score - whole for label, score in scores.items()}

    return classify


def majority_baseline(train: Iterable[Row], test: Sequence[Row]) -> float:
    """Accuracy of always guessing the commonest target of the training rows."""
    priors = class_priors(train)
    guess = max(priors, key=priors.__getitem__)
    return sum(row.target == guess for row in test) / len(test)


def bag_of_words_baseline(train: Sequence[Row], test: Sequence[Row]) -> float:
    """Accuracy of `bag_of_words`."""
    classify = bag_of_words(train)
    found = [classify(row.source) for row in test]
    guesses = [max(scores, key=scores.__getitem__) for scores in found]
    return sum(g == row.target for g, row in zip(guesses, test, strict=True)) / len(test)


def kind_of_text(text: str) -> str:
    """ "one word", "poem" or "story", by form alone.

    One word is one line of one word. A poem has two to six lines, the middle one of their lengths
    at most ten words. The rest, unbroken prose above all, counts as a story. Whether it is a
    *good* poem is not asked.
    """
    lines = [words(line) for line in text.strip().splitlines()]
    lines = [line for line in lines if line]
    if len(lines) == 1 and len(lines[0]) == 1:
        return "one word"
    if 2 <= len(lines) <= 6 and statistics.median(map(len, lines)) <= 10:
        return "poem"
    return "story"
