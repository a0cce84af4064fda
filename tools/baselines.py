"""What one gets without training a method, scored as the methods are: nats of each test row.

A model must beat these to have learned something: the base with a request written before the
text, a 5-gram model of the same training rows, the commonest answer, counting words.
"""

from collections.abc import Callable

import numpy as np
from ngram import NGram

from peft_lab.evaluation import byte_places
from peft_lab.rows import Row
from peft_lab.tasks import IGNORE, Example, encode
from peft_lab.text_measures import bag_of_words, class_priors

KINDS = ("NGram", "Majority", "BagOfWords")  # no model: not all is measured of them


def scored_tokens(examples: list) -> list[int]:
    return [int((example.labels[1:] != IGNORE).sum()) for example in examples]


def asked(examples: list, tokenizer, request: str) -> list[Example]:
    """The examples behind a request, which is read and not scored."""
    return encode(
        [Row(f"{request}\n{e.source}" if e.source else request, e.target, number)
         for number, e in enumerate(examples, 1)],
        tokenizer,
    )  # fmt: skip


def ngram(train: list, examples: list, order: int, vocabulary: int) -> list[np.ndarray]:
    """Nats of each scored token of each example, by an n-gram model of the training rows (sources
    too), and no other text."""
    blank = np.zeros(order - 1, dtype=np.int64)  # pad tokens, so that a row begins a new context

    def stream(example: Example) -> np.ndarray:
        return np.concatenate([blank, example.input_ids.numpy()])

    model = NGram(np.concatenate([stream(e) for e in train]), order, vocabulary)
    nats = []
    for example in examples:
        scored = example.labels.numpy() != IGNORE  # (T,)
        nats.append(-model.logprob(stream(example))[scored])
    return nats


def third_bytes(nats: list[np.ndarray], examples: list, tokenizer) -> dict:
    """Of the losses of single tokens, those of the third bytes of letters: see the datasheet."""
    own = [
        [value for value, place in zip(values, byte_places(e, tokenizer, n), strict=False)
         if place == (3, 3)]  # the end token comes last and has no place
        for n, (values, e) in enumerate(zip(nats, examples, strict=True))
    ]  # fmt: skip
    return {
        "test_third_byte_nats": round(sum(map(sum, own)) / sum(map(len, own)), 6),
        "test_items_third": [round(float(np.mean(o)), 3) if o else 0.0 for o in own],
    }


def always(answer: dict[str, float]) -> Callable[[str], dict[str, float]]:
    """The same log-probabilities, whatever the source."""
    return lambda source: answer


def by_label(found: Callable[[str], dict[str, float]], examples: list) -> tuple[list, list]:
    """(nats of each target, 1 or 0 for each guess) of what gives log-probabilities of labels."""
    scores = [found(example.source) for example in examples]
    nats = [-s[example.target] for s, example in zip(scores, examples, strict=True)]
    right = [int(max(s, key=s.get) == e.target) for s, e in zip(scores, examples, strict=True)]
    return nats, right


def score(spec: dict, model, tokenizer, task) -> dict:
    """The losses of counting in the fields of a run; accuracy too where it names a label."""
    found = {}
    for split in ("validation", "test"):
        examples = getattr(task, split)
        right = None
        if spec["kind"] == "NGram":
            each = ngram(task.train, examples, spec["order"], model.config.vocab_size)
            nats = [float(own.sum()) for own in each]
        elif spec["kind"] == "Majority":
            nats, right = by_label(always(class_priors(task.train)), examples)
        else:
            nats, right = by_label(bag_of_words(task.train), examples)
        tokens = scored_tokens(examples)
        written = sum(len(example.target.encode()) for example in examples)
        found[f"{split}_nats"] = round(sum(nats) / sum(tokens), 6)
        found[f"{split}_bits_per_byte"] = round(sum(nats) / np.log(2) / written, 6)
    found["test_items"] = [round(n / t, 3) for n, t in zip(nats, tokens, strict=True)]
    found["test_item_tokens"] = tokens
    if spec["kind"] == "NGram" and task.name == "nepali":
        found |= third_bytes(each, examples, tokenizer)
    if right is not None:
        found["test_accuracy"] = round(sum(right) / len(right), 6)
        found["test_items_right"] = "".join(map(str, right))
    return found
