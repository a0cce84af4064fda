"""Stanzas out of books of verse. All text here is our own."""

import json
import sys
from collections import Counter
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tools"))
import verse_books  # noqa: E402

BOOK = """A book of rhymes

*** START OF THIS PROJECT GUTENBERG EBOOK A BOOK ***

THE KETTLE

  The kettle sang upon the hob,
    _The cat_ lay by the door;
  The kettle sang a little song
    And then it sang no more.

  We took the kettle from the hob,
    And poured it in the cup,
  And when the cup was full of tea
    The cat came and drank it up.

[Illustration: a cat]

THE SNAIL

  The snail went out to see the town,
    It took him all the day;
  The town had gone to bed by then,
    And so he went away.

This is a piece of prose that stands between two of the poems, and its lines are filled
up to the margin as a printer fills them, so that nobody could take it for a verse at all.

  The kettle sang upon the hob,
    The cat lay by the door;
  The kettle sang a little song
    And then it sang no more.

*** END OF THIS PROJECT GUTENBERG EBOOK A BOOK ***
"""


def read(text, seen=None):
    tally = Counter()
    return verse_books.read_poems(text, set() if seen is None else seen, tally), tally


def test_poems_are_stanzas_between_headings_without_indent_or_marks():
    poems, tally = read(BOOK)
    assert len(poems) == 2 and tally["kept"] == 3 and tally["seen before"] == 1
    first, second = poems[0].split("\n\n")
    assert first.splitlines()[:2] == ["The kettle sang upon the hob,", "The cat lay by the door;"]
    assert second.endswith("The cat came and drank it up.")
    assert poems[1].splitlines()[-1] == "And so he went away."
    everything = " ".join(poems)
    assert not any(word in everything for word in ("prose", "GUTENBERG", "KETTLE", "Illustration"))


def test_a_stanza_is_kept_once_across_books():
    seen = set()
    read(BOOK, seen)
    poems, tally = read(BOOK, seen)
    assert poems == [] and tally["kept"] == 0


def test_long_lines_are_no_stanza():
    line = "The kettle that we had was very old and sang a song that nobody could bear,"
    assert read("\n\n" + "\n".join([line] * 4) + "\n\n")[0] == []


def test_the_command_writes_documents(tmp_path, monkeypatch, capsys):
    (tmp_path / "poems").mkdir()
    (tmp_path / "poems" / "a.txt").write_text(BOOK)
    (tmp_path / "poems" / "SOURCE.txt").write_text(BOOK)
    out = tmp_path / "out" / "verse.jsonl"
    monkeypatch.setattr("sys.argv", ["verse_books", str(tmp_path / "poems"), "--out", str(out)])
    verse_books.main()
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert [row["work"] for row in rows] == ["a", "a"] and rows[0]["source"] == "poems"
    assert json.loads(capsys.readouterr().out)["documents"] == 2
    (tmp_path / "none").mkdir()
    monkeypatch.setattr("sys.argv", ["verse_books", str(tmp_path / "none"), "--out", str(out)])
    with pytest.raises(SystemExit, match="no book of verse"):
        verse_books.main()
