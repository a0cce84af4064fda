"""Rows of text from a file of one's own. What is wrong is named by file and line."""

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

# What a source is called elsewhere, in small letters.
OTHER_SOURCES = {"source", "prompt", "input", "question", "instruction", "context"}


@dataclass(frozen=True)
class Row:
    """One line of a task file: write `target`, given `source` (which may be empty).

    `fields` are the line's other columns: what kind of row it is, say. No method reads them.
    """

    source: str
    target: str
    line: int
    fields: dict = field(default_factory=dict, compare=False)


def read_rows(file: str | Path) -> list[Row]:
    """The rows of a .jsonl, .csv or .txt file; errors name file:line."""
    file = Path(file)
    readers = {".jsonl": _jsonl_records, ".csv": _csv_records, ".txt": _txt_records}
    if file.suffix.lower() not in readers:
        raise ValueError(f"cannot read {file}: use a .jsonl, .csv or .txt file.")
    try:
        text = file.read_bytes().decode("utf-8-sig")  # -sig: Windows editors write a mark
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise ValueError(f"{file}:{line}: not UTF-8; save the file as UTF-8.") from error
    rows = [
        _row(record, line, f"{file}:{line}")
        for line, record in readers[file.suffix.lower()](text, file)
    ]
    if not rows:
        raise ValueError(f"{file} is empty: it has no row.")
    return rows


def _row(record: object, line: int, where: str) -> Row:
    if not isinstance(record, dict):
        raise ValueError(f'{where}: not an object; write {{"source": ..., "target": ...}}.')
    if "text" in record and "target" in record:
        raise ValueError(f'{where}: has both "text" and "target"; keep the one to be learned.')
    others = [name for name in record if name.strip().lower() in OTHER_SOURCES]
    if "target" in record and "source" not in record and others:
        raise ValueError(
            f'{where}: no "source", which is what the target is written from, but '
            f'"{", ".join(others)}"; name "{others[0]}" "source", or leave it out.'
        )
    key = "text" if "text" in record else "target"
    source, target = record.get("source", ""), record.get(key)
    if target is None:
        has = ", ".join(map(str, record)) or "nothing"
        raise ValueError(f'{where}: no "target" and no "text"; the row has {has}.')
    for name, value in (("source", source), (key, target)):
        if not isinstance(value, str):
            raise ValueError(f'{where}: "{name}" must be a text, not {value!r}.')
    if not target.strip():
        raise ValueError(f'{where}: "{key}" is empty; there is nothing to learn from this row.')
    rest = {name: value for name, value in record.items() if name not in ("source", key)}
    return Row(source, target, line, rest)


def _jsonl_records(text: str, file: Path) -> Iterator[tuple[int, object]]:
    for line, raw in enumerate(text.split("\n"), 1):
        if not raw.strip():
            continue
        try:
            yield line, json.loads(raw)
        except json.JSONDecodeError as error:
            raise ValueError(
                f"{file}:{line}: not JSON ({error.msg}, column {error.colno})."
            ) from error


def _csv_records(text: str, file: Path) -> Iterator[tuple[int, object]]:
    lines = list(io.StringIO(text, newline=""))
    reader = csv.DictReader(lines, strict=True)
    line = 1
    try:
        names = [name for name in reader.fieldnames or () if name]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f'{file}:{line}: the header has "{name}" twice.')
        line = _next_line(lines, reader.line_num)
        for record in reader:
            if None in record or None in record.values():
                columns = ", ".join(reader.fieldnames)
                raise ValueError(f"{file}:{line}: has not the columns of the header: {columns}.")
            yield line, record
            line = _next_line(lines, reader.line_num)  # a quoted cell may span lines
    except csv.Error as error:
        raise ValueError(f"{file}:{line}: not CSV ({error}).") from error


def _next_line(lines: list[str], read: int) -> int:
    """The line, counted from 1, where the next CSV record begins: blank ones are skipped."""
    while read < len(lines) and not lines[read].strip("\r\n"):
        read += 1
    return read + 1


def _txt_records(text: str, file: Path) -> Iterator[tuple[int, object]]:
    lines = list(io.StringIO(text, newline=None))  # str.splitlines splits at \u2028 too
    one_a_line = all(line.strip() for line in lines)
    block: list[str] = []
    for number, line in enumerate([*lines, ""], 1):
        if block and (one_a_line or not line.strip()):
            yield number - len(block), {"text": "\n".join(block)}
            block = []
        if line.strip():
            block.append(line.rstrip())
