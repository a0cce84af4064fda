"""What one gets without training a method, scored as the methods are: nats of each test row.

A model must beat these to have learned something: the base with a request written before the
text, a 5-gram model of the same training rows, the commonest answer, counting words.
"""

from collections.abc import Callable

import numpy as np
import torch
from ngram import NGram

from peft_lab import evaluate
from peft_lab.tasks import IGNORE, Example
from peft_lab.text_measures import bag_of_words, class_priors

KINDS = ("WrittenPrompt", "NGram", "Majority", "BagOfWords")  # nothing in them is random


def scored_tokens(examples: list) -> list[int]:
    return [int((example.labels[1:] != IGNORE).sum()) for example in examples]


def with_request(example: Example, request: torch.Tensor) -> Example:
    """The example behind a request, which is read and not scored."""
    ids = torch.cat([example.input_ids[:1], request, example.input_ids[1:]])  # (n+T,)
    silent = torch.full_like(request, IGNORE)
    labels = torch.cat([example.labels[:1], silent, example.labels[1:]])  # (n+T,)
    return Example(ids, labels, example.source, example.target)


def written_prompt(model, tokenizer, examples: list, text: str) -> list[float]:
    """Nats of each target when `text` and a line break stand before the source."""
    ids = tokenizer(text + "\n", add_special_tokens=False, return_tensors="pt")["input_ids"][0]
    asked = [with_request(example, ids) for example in examples]
    return evaluate(model, asked, pad_id=tokenizer.pad_token_id).per_example


def ngram(train: list, examples: list, order: int, vocabulary: int) -> list[float]:
    """Nats of each target by an n-gram model of the training rows (sources too), and no other
    text."""
    blank = np.zeros(order - 1, dtype=np.int64)  # pad tokens, so that a row begins a new context

    def stream(example: Example) -> np.ndarray:
        return np.concatenate([blank, example.input_ids.numpy()])

    model = NGram(np.concatenate([stream(e) for e in train]), order, vocabulary)
    nats = []
    for example in examples:
        scored = example.labels.numpy() != IGNORE  # (T,)
        nats.append(float(-model.logprob(stream(example))[scored].sum()))
    return nats


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
    """The losses of a baseline in the fields of a run; accuracy too where it names a label."""
    found = {}
    for split in ("validation", "test"):
        examples = getattr(task, split)
        right = None
        if spec["kind"] == "WrittenPrompt":
            nats = written_prompt(model, tokenizer, examples, spec["text"])
        elif spec["kind"] == "NGram":
            nats = ngram(task.train, examples, spec["order"], model.config.vocab_size)
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
    if right is not None:
        found["test_accuracy"] = round(sum(right) / len(right), 6)
        found["test_items_right"] = "".join(map(str, right))
    return found
