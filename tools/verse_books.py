"""Clean stanzas from books of verse, for the model that has seen a little verse.

    python tools/verse_books.py ../shared/corpora/poems_gutenberg --out build/verse.jsonl
    python tools/pretrain.py --verse build/verse.jsonl --out build/run
    python tools/pretrain.py --size small-verse --out build/run

A document is what stands between two headings of a book: stanzas, a blank line between them, each
line without its indent. Prose, headings, contents, footnotes and slurs are dropped, and so is a
stanza that came before, in this book or another. Written: one JSON object a document, as
tools/corpus.py does.
"""

import argparse
import json
from collections import Counter
from pathlib import Path

from corpus import (
    classify,
    gutenberg_body,
    has_slur,
    mend,
    normal_form,
    read_text,
    split_blocks,
    story_part,
    strip_brackets,
    tidy,
    write_lines,
)

LONGEST_LINE = 60  # characters; a longer one is prose, or was not broken by its poet
MOST_LINES = 40  # of a stanza
MARGIN = 72  # the width of prose; the lines of verse end before it


def is_stanza(block):
    """Two lines or more, none as long as prose, that the rules of the story corpus call verse."""
    lengths = [len(line.strip()) for line in block.lines]
    if not 2 <= len(lengths) <= MOST_LINES or max(lengths) > LONGEST_LINE:
        return False
    return classify(block, MARGIN) == "verse"


def read_poems(text, seen, tally):
    """The poems of a book, each a text of stanzas; `seen` remembers stanzas across books."""
    poems, stanzas = [], []
    for block in story_part(split_blocks(strip_brackets(gutenberg_body(mend(text))))):
        if not is_stanza(block):
            tally["no stanza"] += 1
            if stanzas:
                poems.append("\n\n".join(stanzas))
                stanzas = []
            continue
        stanza = "\n".join(tidy(line) for line in block.lines)
        form = normal_form(stanza)
        rule = "slur" if has_slur(stanza) else "seen before" if form in seen else "kept"
        tally[rule] += 1
        if rule == "kept":
            seen.add(form)
            stanzas.append(stanza)
    return [*poems, "\n\n".join(stanzas)] if stanzas else poems


def build(folder):
    """Documents of all books in a folder, and how many blocks each rule took."""
    seen, tally, documents = set(), Counter(), []
    for path in sorted(folder.glob("*.txt")):
        if path.name == "SOURCE.txt":
            continue
        for poem in read_poems(read_text(path), seen, tally):
            documents.append({"work": path.stem, "source": folder.name, "text": poem})
    return documents, tally


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    documents, tally = build(args.folder)
    if not documents:
        raise SystemExit(f"{args.folder} holds no book of verse (*.txt)")
    args.out.parent.mkdir(parents=True, exist_ok=True)
    write_lines(args.out, documents)
    lines = sum(len(d["text"].splitlines()) for d in documents)
    print(json.dumps({"documents": len(documents), "lines": lines, **tally}))


if __name__ == "__main__":
    main()
