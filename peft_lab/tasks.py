"""Tasks: rows of text in, batches with masked labels out."""

import random
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch

from .paths import data_dir
from .rows import Row, read_rows

IGNORE = -100  # the label of a position that is not scored, as in transformers
SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class Example:
    """A row as tokens. Labels lie at their own token (not shifted); IGNORE marks the unscored."""

    input_ids: torch.Tensor  # (T,) int64: bos, source and "\n" if there is one, target, eos
    labels: torch.Tensor  # (T,) int64: IGNORE up to the target, then the tokens themselves
    source: str
    target: str
    fields: dict = field(default_factory=dict)  # the row's other columns


@dataclass(frozen=True, repr=False)
class Task:
    """Three splits of rows (or of examples, where a tokenizer was given) and their datasheet."""

    name: str
    train: list
    validation: list
    test: list
    datasheet: Path | None = None

    def __repr__(self) -> str:
        sizes = ", ".join(f"{split} {len(getattr(self, split))}" for split in SPLITS)
        return f"Task({self.name!r}: {sizes})"


def known_tasks() -> list[str]:
    """The names of the tasks that come with the course."""
    return sorted(file.parent.name for file in data_dir().glob("tasks/*/train.jsonl"))


def load_task(
    name_or_path: str | Path, tokenizer=None, *, max_length: int | None = None, seed: int = 0
) -> Task:
    """One of the course's tasks, or a file or folder of your own.

    Args:
        name_or_path: one of `known_tasks()`; a folder with train, validation and test.jsonl; or
            one file, which is split 80/10/10 by `seed` (equal rows stay in one split):
            .jsonl with {"source": ..., "target": ...} or {"text": ...} a line, .csv with such
            columns, .txt with texts between blank lines (or one a line, if there are none).
        tokenizer: without one the splits hold `Row`s, with one `Example`s.
        max_length: in tokens, bos and eos included. A longer row is cut at its end, with one
            warning; a row whose source alone fills it is an error.

    Raises:
        ValueError: an unknown name, an empty file, or a broken row (named by file:line).
        FileNotFoundError: a path that is not there.
    """
    named = data_dir() / "tasks" / str(name_or_path)
    path = named if (named / "train.jsonl").is_file() else Path(name_or_path).expanduser()
    if path.is_dir():
        files = [path / f"{split}.jsonl" for split in SPLITS]
        for file in files:
            if not file.is_file():
                raise FileNotFoundError(f"the task folder {str(path)!r} has no {file.name}.")
        splits = [read_rows(file) for file in files]
    elif path.is_file():
        splits = _split(read_rows(path), seed, path)
        files = [path] * 3
    elif path.suffix or len(path.parts) > 1:
        raise FileNotFoundError(f"there is no task file {str(name_or_path)!r}.")
    else:
        known = ", ".join(known_tasks()) or f"none: {data_dir() / 'tasks'} is empty"
        raise ValueError(
            f"there is no task {str(name_or_path)!r}; the course has: {known}. "
            "Or give the path of a .jsonl, .csv or .txt file."
        )
    if tokenizer is not None:
        splits = [
            encode(rows, tokenizer, max_length=max_length, file=file)
            for rows, file in zip(splits, files, strict=True)
        ]
    sheet = (path if path.is_dir() else path.parent) / "README.md"
    return Task(path.stem, *splits, sheet if path.is_dir() and sheet.is_file() else None)


def _split(rows: list[Row], seed: int, file: Path) -> list[list[Row]]:
    """80/10/10 over the different rows, so that no row is both learned and tested."""
    keys = list(dict.fromkeys((row.source, row.target) for row in rows))
    if len(keys) < 3:
        raise ValueError(f"{file} has {len(keys)} different rows; three splits need at least 3.")
    random.Random(seed).shuffle(keys)
    tenth = max(1, len(keys) // 10)
    split_of = dict.fromkeys(keys, 0)
    split_of |= dict.fromkeys(keys[:tenth], 1) | dict.fromkeys(keys[tenth : 2 * tenth], 2)
    return [[r for r in rows if split_of[r.source, r.target] == split] for split in range(3)]


def encode(
    rows: Iterable[Row], tokenizer, *, max_length: int | None = None, file: str | Path = "row"
) -> list[Example]:
    """Rows to examples. `file` names the rows in errors; `max_length` as in `load_task`."""
    if max_length is not None and max_length < 2:
        raise ValueError(f"max_length must be at least 2 (bos and one token), not {max_length}.")
    examples, cut = [], []
    for row in rows:
        given = [tokenizer.bos_token_id]
        if row.source:
            given += tokenizer(row.source + "\n", add_special_tokens=False)["input_ids"]
        scored = tokenizer(row.target, add_special_tokens=False)["input_ids"]
        scored = [*scored, tokenizer.eos_token_id]
        target = row.target
        if max_length is not None and len(given) + len(scored) > max_length:
            if len(given) >= max_length:
                raise ValueError(
                    f"{file}:{row.line}: the source alone has {len(given)} tokens, which leaves "
                    f"nothing to score within max_length={max_length}; raise it."
                )
            scored = scored[: max_length - len(given)]
            target = tokenizer.decode(scored, skip_special_tokens=True)
            cut.append(f"{file}:{row.line}")
        ids = torch.tensor(given + scored)  # (T,)
        labels = torch.tensor([IGNORE] * len(given) + scored)  # (T,)
        examples.append(Example(ids, labels, row.source, target, row.fields))
    if cut:
        warnings.warn(
            f"{len(cut)} rows were cut to max_length={max_length} tokens, the first: {cut[0]}",
            stacklevel=3,
        )
    return examples


def check_examples(examples: object) -> None:
    """Raises a TypeError for what is often given in the place of examples."""
    if isinstance(examples, Task):
        raise TypeError("this is a whole task: give one of its splits, e.g. task.test.")
    if isinstance(examples, Sequence) and examples and isinstance(examples[0], Row):
        raise TypeError("these are rows, not examples: load the task with its tokenizer.")


def collate(
    examples: Sequence[Example], pad_id: int, side: str = "right"
) -> dict[str, torch.Tensor]:
    """Examples to one padded batch: input_ids, attention_mask and labels, each (B, T) int64."""
    if side not in ("left", "right"):
        raise ValueError(f'side must be "left" or "right", not {side!r}.')
    if not examples:
        raise ValueError("cannot make a batch of no examples.")
    check_examples(examples)

    def pad(tensors: list[torch.Tensor], value: int) -> torch.Tensor:
        return torch.nn.utils.rnn.pad_sequence(
            tensors, batch_first=True, padding_value=value, padding_side=side
        )

    return {
        "input_ids": pad([e.input_ids for e in examples], pad_id),  # (B, T)
        "attention_mask": pad([torch.ones_like(e.input_ids) for e in examples], 0),  # (B, T)
        "labels": pad([e.labels for e in examples], IGNORE),  # (B, T)
    }


def epoch_order(count: int, seed: int | None, epoch: int) -> list[int]:
    """The order of the examples in one epoch: a function of its arguments and nothing else."""
    if seed is None:
        return list(range(count))
    generator = torch.Generator().manual_seed(seed * 1_000_003 + epoch)
    return torch.randperm(count, generator=generator).tolist()


def batches(
    examples: Sequence[Example],
    batch_size: int,
    *,
    pad_id: int,
    seed: int | None = None,
    epochs: int | None = None,
    skip: int = 0,
) -> Iterator[dict[str, torch.Tensor]]:
    """Batches without end, or over so many `epochs`.

    The epochs form one stream of examples, each shuffled by (seed, epoch), or in order if `seed`
    is None. It is cut into batches of `batch_size`, so a batch may reach into the next epoch and
    only the very last may be smaller: 4 batches of 4 hold what 1 batch of 16 holds.
    `skip` begins so many examples into the stream: where a stopped run goes on.
    """
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, not {batch_size}.")
    if not examples:
        raise ValueError("there are no examples to make batches of.")
    epoch, skip = divmod(skip, len(examples))
    waiting: list[Example] = []
    while epochs is None or epoch < epochs:
        for index in epoch_order(len(examples), seed, epoch)[skip:]:
            waiting.append(examples[index])
            if len(waiting) == batch_size:
                yield collate(waiting, pad_id)
                waiting = []
        epoch, skip = epoch + 1, 0
    if waiting:
        yield collate(waiting, pad_id)
