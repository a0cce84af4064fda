"""How good is it? Held-out loss, accuracy, forgetting. What a text is like: `text_measures`."""

import functools
import inspect
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from .methods.lanes import mixed
from .models import mode, write_on
from .tasks import IGNORE, Example, Row, Task, check_examples, collate, encode
from .text_measures import (
    bag_of_words_baseline,
    form_of_poem,
    longest_copied_run,
    majority_baseline,
    shuffled_lines,
    slot_recall,
)

__all__ = [
    "Evaluation", "accuracy", "bag_of_words_baseline", "classify", "evaluate",
    "evaluate_byte_places", "forgetting", "form_of_poem", "longest_copied_run",
    "majority_baseline", "scored_nll", "shuffled_lines", "slot_recall", "token_nll",
    "written_answers",
]  # fmt: skip


def _device(model: nn.Module) -> torch.device:
    return next(model.parameters()).device


@functools.cache
def _selects_positions(model_class: type) -> bool:
    """Can its forward compute the logits of masked positions only?

    transformers 5 lets `logits_to_keep` be a boolean mask; older versions and models with code
    of their own take a number at most. There all logits are computed and the rest dropped: the
    same loss, at the price of the unscored logits.
    """
    if "logits_to_keep" not in inspect.signature(model_class.forward).parameters:
        return False
    from transformers import modeling_utils

    return hasattr(modeling_utils, "slice_logits_to_keep")


def token_nll(model: nn.Module, batch: dict) -> tuple[torch.Tensor, torch.Tensor]:
    """Negative log-likelihood of each scored token.

    Args:
        batch: input_ids, attention_mask and labels, each (B, T), on any device.

    Returns:
        (nats, rows), both (N,): one entry a scored token, and the row of the batch it is in. The
        logits at t predict the token at t+1, so row i scores its labels from position 1 on.

    Raises:
        ValueError: no token of the batch is scored, or its rows exceed the model's context.
    """
    length = batch["input_ids"].shape[1]
    context = getattr(getattr(model, "config", None), "max_position_embeddings", None)
    if context and length > context:
        raise ValueError(
            f"a row has {length} tokens, but the model's context is {context}; cut it with "
            f"load_task(..., max_length={context})."
        )
    batch = {name: tensor.to(_device(model)) for name, tensor in batch.items()}
    labels = batch.pop("labels")
    keep = torch.zeros_like(labels, dtype=torch.bool)  # (B, T): logits at t are needed
    keep[:, :-1] = labels[:, 1:] != IGNORE
    targets = labels[:, 1:][keep[:, :-1]]  # (N,)
    if not len(targets):
        raise ValueError(
            f"labels: all {labels.numel()} are masked ({IGNORE}), so there is nothing to score; "
            "leave the target's tokens in the labels."
        )
    if _selects_positions(type(model)):
        logits = model(**batch, use_cache=False, logits_to_keep=keep).logits  # (N, V)
    else:
        logits = model(**batch, use_cache=False).logits[keep]  # (N, V)
    if logits.dtype != torch.float64:
        logits = logits.float()  # the sum over the vocabulary needs it
    return F.cross_entropy(logits, targets, reduction="none"), keep.nonzero()[:, 0]


def scored_nll(model: nn.Module, batch: dict) -> tuple[torch.Tensor, int]:
    """(sum of nats over the scored tokens, with gradient; their count). See `token_nll`."""
    nats, _ = token_nll(model, batch)  # (N,)
    return nats.sum(), len(nats)


@dataclass(frozen=True, repr=False)
class Evaluation:
    """Held-out loss. Each example's sum and count are kept for intervals over test items."""

    nats_per_token: float
    bits_per_byte: float  # of the targets' UTF-8 bytes; the nats include the end token's
    tokens: int
    per_example: list[float]  # nats, summed over the example's scored tokens
    per_example_tokens: list[int]

    def __repr__(self) -> str:
        return (
            f"Evaluation({self.nats_per_token:.4f} nats a token, {self.bits_per_byte:.4f} bits a "
            f"byte, {self.tokens} tokens in {len(self.per_example)} examples)"
        )


def _example_nll(
    model: nn.Module, examples: Sequence[Example], pad_id: int, batch_size: int
) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """For each batch (number of the example, nats), both (N,); an example's tokens in order."""
    if names := mixed(model):
        raise ValueError(
            f"examples: they are scored in an order of their own, and the rows {list(names)} of a "
            "Switch are chosen for another; choose one member around the call, `with "
            f"switch.rows([{names[0]!r}]):`, and the others in turn."
        )
    found = []
    by_length = sorted(range(len(examples)), key=lambda i: len(examples[i].input_ids))
    with mode(False, model), torch.no_grad():
        for start in range(0, len(examples), batch_size):  # equal lengths together: less padding
            chosen = torch.tensor(by_length[start : start + batch_size])
            batch = collate([examples[i] for i in chosen.tolist()], pad_id)
            values, rows = (tensor.cpu() for tensor in token_nll(model, batch))
            found.append((chosen[rows], values))
    return found


def evaluate(
    model: nn.Module, examples: Sequence[Example], *, pad_id: int, batch_size: int = 32
) -> Evaluation:
    """Loss over examples: sum over all scored tokens over their count, never a mean of means.

    Bits a byte compare between tokenizers: bits / UTF-8 bytes of the scored texts.
    The model is put into eval mode and left as it was found.
    """
    check_examples(examples)
    if not examples:
        raise ValueError("examples is empty: there is nothing to evaluate.")
    nats = torch.zeros(len(examples), dtype=torch.float64)
    tokens = torch.zeros(len(examples), dtype=torch.int64)
    for numbers, values in _example_nll(model, examples, pad_id, batch_size):
        nats.index_add_(0, numbers, values.double())
        tokens.index_add_(0, numbers, torch.ones_like(numbers))
    total, count = nats.sum().item(), int(tokens.sum())
    written = sum(len(example.target.encode()) for example in examples)
    return Evaluation(
        total / count, total / math.log(2) / written, count, nats.tolist(), tokens.tolist()
    )


def evaluate_byte_places(
    model: nn.Module, tokenizer, examples: Sequence[Example], *, batch_size: int = 32
) -> dict[tuple[int, int], Evaluation]:
    """Loss by the place of a byte in its UTF-8 character, for texts whose every byte is a token.

    In a script that a tokenizer has never seen, all characters may begin with the same bytes. They
    are soon learned and flatter the loss; the last byte says which letter it is.

    Returns:
        (place, length) -> its loss: (3, 3) is the third byte of the characters of three bytes,
        (1, 1) the only byte of a letter of ASCII. `per_example` has an entry for each example, 0
        nats of 0 tokens where it has no such byte. The end token is left out: see `evaluate`.

    Raises:
        ValueError: a target of which some token is not one byte (a tokenizer that knows the
            script writes several as one), or no examples.
    """
    check_examples(examples)
    if not examples:
        raise ValueError("examples is empty: there is nothing to evaluate.")
    places = [byte_places(example, tokenizer, n) for n, example in enumerate(examples)]
    shape = (len(examples),)
    nats = {place: torch.zeros(shape, dtype=torch.float64) for own in places for place in own}
    tokens = {place: torch.zeros(shape, dtype=torch.int64) for place in nats}
    for numbers, values in _example_nll(model, examples, tokenizer.pad_token_id, batch_size):
        for n in numbers.unique().tolist():
            own = values[numbers == n].tolist()  # one a byte, then the end's, if it was not cut off
            for place, value in zip(places[n], own, strict=False):
                nats[place][n] += value
                tokens[place][n] += 1
    found = {}
    for place in sorted(nats, key=lambda place: place[::-1]):
        count = int(tokens[place].sum())
        mean = nats[place].sum().item() / count
        each = nats[place].tolist(), tokens[place].tolist()
        found[place] = Evaluation(mean, mean / math.log(2), count, *each)
    return found


def byte_places(example: Example, tokenizer, number: int) -> list[tuple[int, int]]:
    """(place, length of the character) of each byte of the target, or a ValueError."""
    ids = example.labels[example.labels != IGNORE].tolist()
    if ids and ids[-1] == tokenizer.eos_token_id:
        ids.pop()
    sizes = [len(character.encode()) for character in example.target]
    text = tokenizer.decode(ids, clean_up_tokenization_spaces=False)
    if len(ids) != sum(sizes) or text != example.target:
        raise ValueError(
            f"examples[{number}] has {len(ids)} tokens for the {sum(sizes)} bytes of "
            f"{example.target[:20]!r} ...: the place of a byte can be told only where each token "
            "is one byte, as with the storytellers in a script that they do not know; "
            "`evaluate` takes any text."
        )
    return [(place, size) for size in sizes for place in range(1, size + 1)]


def _label_list(labels: Iterable[str]) -> list[str]:
    if isinstance(labels, str):
        raise TypeError(f"labels must be a list of texts, not the text {labels!r}.")
    return list(labels)


def classify(
    model: nn.Module, tokenizer, examples: Sequence[Row | Example], labels: Iterable[str]
) -> list[str]:
    """For each source the label that the model finds likeliest as the whole target (with eos)."""
    labels = _label_list(labels)
    if isinstance(examples, Task):
        check_examples(examples)
    if len(set(labels)) < 2:
        raise ValueError(f"labels must name at least two different ones, not {labels}.")
    if not examples:
        raise ValueError("examples is empty: there is nothing to classify.")
    rows = [Row(e.source, label, i) for i, e in enumerate(examples, 1) for label in labels]
    nats = evaluate(model, encode(rows, tokenizer), pad_id=tokenizer.pad_token_id, batch_size=64)
    scores = torch.tensor(nats.per_example).view(len(examples), len(labels))  # (examples, labels)
    return [labels[i] for i in scores.argmin(dim=1).tolist()]


def accuracy(
    model: nn.Module, tokenizer, examples: Sequence[Row | Example], labels: Iterable[str]
) -> float:
    """The share (0 to 1) of examples whose target is the likeliest of the labels."""
    labels = _label_list(labels)
    if isinstance(examples, Task):
        check_examples(examples)
    for example in examples:
        if example.target not in labels:
            raise ValueError(f"labels {labels} lack the target {example.target!r}.")
    guesses = classify(model, tokenizer, examples, labels)
    return sum(g == e.target for g, e in zip(guesses, examples, strict=True)) / len(examples)


def written_answers(
    model: nn.Module, tokenizer, examples: Sequence[Row | Example], *, max_new_tokens: int = 24
) -> list[str]:
    """What the model writes after each source, up to eos: the likeliest token each time.

    All sources go through the model side by side, padded on the left, in their order.
    """
    if isinstance(examples, Task):
        check_examples(examples)
    examples = list(examples)
    if not examples:
        raise ValueError("examples is empty: there is nothing to answer.")
    if max_new_tokens < 1:
        raise ValueError(f"max_new_tokens must be at least 1, not {max_new_tokens}.")
    sources = [tokenizer.bos_token + (e.source + "\n" if e.source else "") for e in examples]
    batch = tokenizer(
        sources, padding=True, padding_side="left", add_special_tokens=False, return_tensors="pt"
    ).to(_device(model))
    T, context = batch["input_ids"].shape[1], getattr(model.config, "max_position_embeddings", None)
    if context and T + max_new_tokens > context:
        raise ValueError(
            f"max_new_tokens is {max_new_tokens} after a source of {T} tokens, but the model's "
            f"context is {context}."
        )
    with mode(False, model), torch.no_grad():
        settings = {"max_new_tokens": max_new_tokens, "do_sample": False}
        return write_on(model, tokenizer, batch, **settings)


def forgetting(before: Evaluation, after: Evaluation) -> float:
    """How much worse, in nats a token, the old work has become; negative: better.

    Both must score the same tokens, e.g. the held-out stories.
    """
    if before.per_example_tokens != after.per_example_tokens:
        raise ValueError(
            f"before scores {before.tokens} tokens, after {after.tokens}: not the same examples."
        )
    return after.nats_per_token - before.nats_per_token
