"""tools/corpus.py: each cleaning rule on text made up for it, then the splits as a whole."""

import json
import re
import sys
from pathlib import Path

import pytest

pytest.importorskip("ftfy", reason="tools/corpus.py mends wrong decodings with ftfy")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tools"))
import corpus  # noqa: E402
from corpus import Block, Tally, Work  # noqa: E402

PROSE = """\
The hedgehog rolled a yellow pear along the garden wall, and because the
wall was long and the pear was not quite round, he was still rolling it
when the first star came out above the chimney."""
VERSE = """\
    Roll, my pear, along the wall,
      Yellow pear so round;
    If I let you, you would fall
      On the chilly ground."""


def block(text, gap=1):
    return Block(text.split("\n"), gap)


def many_words(seed, count=60):
    """Sentences without a story, different for each seed: no two share eight words in a row."""
    words = [f"w{seed}{'abcdefghij'[i % 10]}{'klmnopqrst'[i // 10 % 10]}" for i in range(count)]
    return f"The tale of {' '.join(words)} ends."


# ---------------------------------------------------------------- characters


def test_mend_undoes_wrong_decodings():
    said = "\u201cOh!\u201d said Pim\u2019s aunt\u2014and sat."
    broken = said.encode("utf-8").decode("cp1252", "ignore")  # loses a third of the closing quote
    assert "\u00e2\u20ac" in broken
    assert corpus.mend(broken) == said
    assert corpus.mend(said) == said
    assert corpus.mend("a\r\nb\rc\td") == "a\nb\nc    d"


def test_to_ascii():
    odd = "\u201cCaf\u00e9\u201d\u2014\u2018\u00c6sop\u2019s\u2026\u2019 3\u20134 \u2022 na\u00efve"
    assert corpus.to_ascii(odd) == "\"Cafe\"--'Aesop's...' 3-4  naive"


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        ("He _did_   say\nso.", "He did say so."),
        ("well -- no, well\u2014no, well----no", "well--no, well--no, well--no"),
        ("He said-- 'yes'", "He said-- 'yes'"),
        ("And then . . . nothing .", "And then ... nothing."),
        ('3. Tim ran. 4. "Stop!" he cried.', 'Tim ran. "Stop!" he cried.'),
        ("There were 12. Geese flew.", "There were 12. Geese flew."),
        ("So it was.(7) Then ( ) it rained.", "So it was. Then it rained."),
    ],
)
def test_tidy(raw, clean):
    assert corpus.tidy(raw) == clean


# ---------------------------------------------------------------- a whole book


@pytest.mark.parametrize(
    ("head", "foot"),
    [
        (
            "Project Gutenberg's Pears\n\n*** START OF THIS PROJECT GUTENBERG EBOOK\nPEARS ***\n\n",
            "\n\nEnd of the Project Gutenberg EBook of Pears\n\n*** END OF THIS PROJECT GUTENBERG",
        ),
        (
            "***START OF THE PROJECT GUTENBERG EBOOK PEARS***\n\n",
            "\n\n***END OF THE PROJECT GUTENBERG EBOOK PEARS***\n\nLicense",
        ),
        (
            "*Project Gutenberg Etext of Pears*\n\n*END*THE SMALL PRINT! FOR ALL*Ver.04*END*\n\n",
            "\n\n*Project Gutenberg Etext of Pears, by E. N.*\n",
        ),
        ("", ""),
    ],
)
def test_gutenberg_body(head, foot):
    assert corpus.gutenberg_body(head + PROSE + foot).strip() == PROSE


def test_a_header_without_its_end_is_not_taken_for_the_footer():
    text = f"The Project Gutenberg EBook of Pears\n\n{PROSE}\n\n{PROSE}"
    assert corpus.gutenberg_body(text) == text


def test_strip_brackets():
    text = "A[1] pear{23} [Illustration: A pear\n\n[Page 3] on a wall.]rolled."
    assert corpus.strip_brackets(text) == "A pear rolled."
    unclosed = "A pear [Illustration: " + "and so on " * 300 + "] rolled."
    assert corpus.strip_brackets(unclosed) == unclosed


def test_split_blocks_and_gaps():
    blocks = corpus.split_blocks("one\ntwo\n\n\n\nthree\n12   FIRST READER.\nfour\n\n34\n\nfive")
    assert [(str(b), b.gap) for b in blocks] == [("one\ntwo", 2), ("three\nfour", 3), ("five", 2)]


def test_wrap_width_is_that_of_long_lines():
    lines = ["x" * 70] * 18 + ["x" * 20] * 2
    assert corpus.wrap_width([Block(lines)]) == 70
    assert corpus.wrap_width([]) == 72


def test_story_part_ends_at_the_last_end():
    story = [block(PROSE), block("THE END."), block(PROSE), block(PROSE)]
    end, advert = block("_The End_"), block("Buy more of our books!")
    assert corpus.story_part([*story, end, advert]) == story
    assert corpus.story_part(story[:3]) == story[:3]  # as much follows as came before
    assert corpus.story_part([block(PROSE)]) == [block(PROSE)]


# ---------------------------------------------------------------- one block

CASES = {
    "ornament": ["*       *       *", "-----"],
    "contents": [
        "  I  The Pear              1\n II  The Wall              9\nIII  The Star             17",
        "CHAPTER            PAGE",
        "The Pear . . . . 12\nThe Wall . . . . 31",
    ],
    "heading": [
        "THE PEAR AND\nTHE WALL",
        "CHAPTER IV\nIn which a pear rolls",
        "Chapter 7. The Star Comes Out.",
        "XII",
        "IV. The Chimney",
        "The Hedgehog at Home",
    ],
    "word list": [
        "pear     wall      star\nroll     round     moon",
        "garden\nyellow\nchimney\nhedgehog",
        "g\u0103r-d\u0115n   y\u0115l-l\u014d",
    ],
    "verse": [
        VERSE,
        VERSE.split("\n")[0] + "\n" + VERSE.split("\n")[1],
        re.sub("(?m)^ +", "", VERSE),
    ],
    None: [
        PROSE,
        '"Is it a pear?" asked Pim.',
        "It is a pear.\nThe pear is round.\nThe pear can roll.",  # a primer: a sentence a line
        '"HELP!"',
        "Pim and the hedgehog looked at the pear in silence until the moon rose,\n"
        "Pim with one eye, as she was nearly asleep, the hedgehog with two, and\n"
        "Ada with none.",  # capitals by chance; the lines are full
        '"It was a very long way to the wall and back,"\nsaid Pim.',
    ],
}


@pytest.mark.parametrize(("rule", "text"), [(rule, text) for rule in CASES for text in CASES[rule]])
def test_classify(rule, text):
    assert corpus.classify(block(text, gap=3), width=70) == rule


def test_title_case_is_a_heading_only_after_a_gap():
    assert corpus.is_heading(block("The Hedgehog at Home", gap=2))
    assert not corpus.is_heading(block("The Hedgehog at Home", gap=1))


# ---------------------------------------------------------------- one paragraph


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        ("trade", "Large 12mo. Price per volume 50 cents, postpaid."),
        ("trade", "Produced by two friends and the proofreading team."),
        ("trade", "Illustration: Pim looked at the pear."),
        ("slur", "A band of gypsies had stolen the pear, said the old tale."),
        ("slur", "The colored cook shook her head."),
        ("slur", "They shouted like savages, as old books have it."),
        ("verse", "Roll, my pear, And do not fall, For the ground Is cold, And the wall Is tall."),
        ("not prose", "pear wall star roll round"),
        ("not prose", "NO PEARS TO-DAY!"),
        ("not prose", "1, 2, 3, 4 (5) 6."),
        (None, "Bobby the coon slipped through a chink in the wall and called his mammy."),
        (None, "The leaves were brightly colored, and the black cat was a little savage."),
        (None, '"I have 12 pears," said Pim;'),
        (None, "Then Pim and The Great Pear met, and The Great Pear spoke."),
    ],
)
def test_paragraph_rules(rule, text):
    tally = Tally()
    kept = corpus.clean_paragraphs([text], tally, "work")
    assert (kept, list(tally.removed)) == (([], [rule]) if rule else ([text], []))


def test_join_broken_sentences():
    pages = ["The pear rolled", "over the wall.", "Pim ran.", "it was gone."]
    assert corpus.join_broken(pages) == [
        "The pear rolled over the wall.",
        "Pim ran.",
        "it was gone.",
    ]
    half = "When the first star had come out above the chimney, the old gardener and"
    assert corpus.join_broken([half, "Pim went in."]) == [half + " Pim went in."]
    assert corpus.join_broken(["The Pear", "Pim ran."]) == ["The Pear", "Pim ran."]  # a title


def test_a_document_does_not_begin_in_mid_sentence():
    tally = Tally()
    assert corpus.clean_paragraphs(["sang the pear.", "Pim ran."], tally, "") == ["Pim ran."]
    assert tally.removed["fragment"] == [1, 14]


# ---------------------------------------------------------------- one document


def test_prefaces_are_left_out():
    preface = ["This little book is for schools.", "May my readers like this volume."]
    tale = ["Pim read this book every night.", *["The pear rolled on."] * 9]
    tally = Tally()
    assert corpus.without_prefaces([preface, tale], tally, "") == [tale]
    assert corpus.without_prefaces([tale] * 4 + [preface], tally, "") == [tale] * 4 + [preface]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ONCE UPON A TIME Pim ran.", "Once upon a time Pim ran."),
        ("IN the garden", "In the garden"),
        ('"WHEN PIM WOKE, the star', '"When Pim woke, the star'),
        ("THERE I was, I said.", "There I was, I said."),
        ("A pear rolled.", "A pear rolled."),
        ("ALL CAPITALS", "ALL CAPITALS"),
    ],
)
def test_recase_openings(text, expected):
    documents = [[text], ["So said Pim, and Pim ran, and when she woke Pim ran."], []]
    assert corpus.recase_openings(documents)[0] == [expected]
    assert len(corpus.recase_openings(documents)) == 2


def test_runs_cut_only_what_has_no_chapters(monkeypatch):
    monkeypatch.setattr(corpus, "LONGEST_DOCUMENT", 100)
    monkeypatch.setattr(corpus, "RUN", 50)
    assert corpus.runs(["x" * 30] * 3) == [["x" * 30] * 3]
    assert corpus.runs(["x" * 30] * 5) == [["x" * 30] * 2, ["x" * 30] * 2, ["x" * 30]]


# ---------------------------------------------------------------- readers


def test_read_book():
    text = f"""
THE BOOK OF PEARS

By A. Gardener


PREFACE

This is for teachers of small hedgehogs.


CONTENTS

  The Pear            1
  The Star            2


THE PEAR

{PROSE}

[Illustration: The pear]

{VERSE}

"Good night," said the _pear_.


THE STAR

OUT came the star,
  [Illustration]
and it was a very small star indeed, and nobody saw it.


NOTES

The pear was a real pear.


GARDENS

A garden is a place with a wall.
"""
    tally = Tally()
    assert corpus.read_book(text, tally) == [
        [PROSE.replace("\n", " "), '"Good night," said the pear.'],
        ["Out came the star, and it was a very small star indeed, and nobody saw it."],
    ]
    assert tally.removed["verse"] == [1, len(VERSE)]
    assert tally.removed["not the story"][0] == 3


def test_notes_at_the_front_do_not_end_the_book():
    chapters = [f"\n\n\nCHAPTER {n}\n\n{PROSE}" for n in ("I", "II", "III")]
    text = f"GLOSSARY\n\nPear: a fruit of the garden.{''.join(chapters)}\n"
    assert corpus.read_book(text, Tally()) == [[PROSE.replace("\n", " ")]] * 3


def test_read_book_leaves_out_books_of_verse():
    tally = Tally()
    assert corpus.read_book(f"{VERSE}\n\n{PROSE}\n\n{VERSE}\n", tally) == []
    assert tally.removed["book of verse"][0] == 1


def test_read_tale_wrapped_or_not():
    tally = Tally()
    wrapped = (
        f'{PROSE}\n\n{PROSE} It\nwas late.\n"Come in," said his mother, and the hedgehog went in.'
    )
    one = PROSE.replace("\n", " ")
    second = '"Come in," said his mother, and the hedgehog went in.'
    assert corpus.read_tale(wrapped, tally) == [[one, one + " It was late.", second]]
    assert corpus.read_tale(f"{one}\n{second}", tally) == [[one, second]]


def test_read_picture_book():
    text = """# The Pear

##
Pim has a pear. It is
round.

##
The pear rolls over the

##
wall.

*A wall is made of stones.

The End

##
Glossary

Pear: a fruit.

##
* License: [CC-BY]
* Text: Somebody
"""
    tally = Tally()
    pages = ["Pim has a pear. It is round.", "The pear rolls over the wall."]
    assert corpus.read_picture_book(text, tally) == [pages]
    assert tally.removed["credits, afterword"][0] == 4


def test_split_tinystories():
    by_line_end = """end of a story.
Once upon a time there was a pear.

The pear was round.

It rolled.
Pim had a wall. The wall was old.

"Oh," said Pim.
Then Pim sat down.

"Yes," said the wall.
One day a star came.

It shone.
Once there was a story that
"""
    assert corpus.split_tinystories(by_line_end) == [
        ["Once upon a time there was a pear.", "The pear was round.", "It rolled."],
        [
            "Pim had a wall. The wall was old.",
            '"Oh," said Pim.',
            "Then Pim sat down.",
            '"Yes," said the wall.',
        ],
        ["One day a star came.", "It shone."],
    ]
    by_opening = (
        "so it ended.\n\nOnce upon a time, Pim ran.\n\nOne day he fell.\n\nTim was a good cat.\n\n"
        "He slept.\n\nOnce upon a time, a"
    )
    assert corpus.split_tinystories(by_opening) == [
        ["Once upon a time, Pim ran.", "One day he fell."],
        ["Tim was a good cat.", "He slept."],
    ]


def test_read_story_leaves_out_what_is_not_whole():
    tally = Tally()
    assert corpus.read_story(["Pim ran.", "The end."], tally) == [["Pim ran.", "The end."]]
    assert corpus.read_story(["Pim ran.", "He saw a"], tally) == []
    assert corpus.read_story(["Pim ran.", "He met gypsies.", "The end."], tally) == []
    assert tally.removed["unfinished"][0] == 2


def test_read_text_knows_both_encodings(tmp_path):
    path = tmp_path / "book.txt"
    for data in ("\ufeffCaf\u00e9".encode(), "Caf\u00e9".encode("cp1252")):
        path.write_bytes(data)
        assert corpus.read_text(path) == "Caf\u00e9"


# ---------------------------------------------------------------- splits and duplicates


def works(*texts, source="s"):
    return [Work(f"{source}/{i}", source, [text.split("\n")]) for i, text in enumerate(texts)]


def deduplicated(some_works, held_out=()):
    """{work id: (split, text)} and the rules that dropped something."""
    tally = Tally()
    rows = corpus.without_duplicates(some_works, set(held_out), tally)
    return {work.id: (split, "\n".join(text)) for split, work, text in rows}, set(tally.removed)


def test_held_out_is_a_tenth_of_each_source_and_stays():
    some = [Work(f"{s}/{i}", s, []) for s, n in (("a", 50), ("b", 20)) for i in range(n)]
    chosen = corpus.held_out_ids(some)
    assert sorted(name[0] for name in chosen) == ["a"] * 5 + ["b"] * 2
    assert corpus.held_out_ids(some[::-1]) == chosen


def test_equal_paragraphs_are_kept_once_short_ones_always():
    long, short = many_words(1, 12), '"Yes," said Pim.'
    rest = [many_words(i) for i in (2, 3)]
    kept, rules = deduplicated(
        works(f"{long}\n{short}\n{rest[0]}", f"{long.upper()}\n{short}\n{rest[1]}")
    )
    assert kept["s/0"][1] == f"{long}\n{short}\n{rest[0]}"
    assert kept["s/1"][1] == f"{short}\n{rest[1]}" and rules == {"duplicate paragraph"}


def test_a_tale_told_again_with_small_changes_is_kept_once():
    tale = "\n".join(many_words(i) for i in range(6))
    kept, rules = deduplicated(works(tale, many_words(9), re.sub("w2[a-c]k", "pear", tale)))
    assert set(kept) == {"s/0", "s/1"} and rules == {"near-duplicate document"}


def test_the_held_out_copy_stays_and_training_loses_its_own():
    shared, tale = many_words(1), "\n".join(many_words(i) for i in range(2, 8))
    some = works(
        f"{shared[:-5]}, they say.\n{tale}",  # 0: training, holds all of 2
        "\n".join([shared.replace("w1ak", "pear"), *(many_words(i) for i in range(10, 20))]),
        f"{shared}\n{tale}",
    )
    kept, rules = deduplicated(some, held_out={"s/2"})
    assert kept["s/2"] == ("heldout", f"{shared}\n{tale}") and "s/0" not in kept
    assert kept["s/1"][0] == "train" and "pear" not in kept["s/1"][1]
    assert rules == {
        "near-duplicate of a held-out document",
        "near-duplicate of a held-out paragraph",
    }


def test_short_documents_only_where_they_are_natural():
    some = [
        Work("book", "s", [["Pim ran."]]),
        Work("picture", "s", [["Pim sat."], []], may_be_short=True),
    ]
    kept, rules = deduplicated(some)
    assert set(kept) == {"picture"} and rules == {"short document"}


# ---------------------------------------------------------------- the whole run


SHARED = "A paragraph that stands in every book, so that all but one of them must lose it."


@pytest.fixture
def library(tmp_path):
    """All five kinds of folders, and poems that nobody must read."""

    def write(name, text):
        path = tmp_path / "corpora" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")

    for i in range(10):
        chapters = "".join(
            f"\n\n\nCHAPTER {n}\n\n{many_words(f'b{i}c{n}', 100)}\n\n{SHARED}\n"
            for n in ("I", "II")
        )
        write(f"stories_gutenberg_children/Book_{i}.txt", chapters)
        write(f"stories_pratham_en/{i}.md", f"# T\n\n##\nPim has {i} pears.\n\n* License: [CC-BY]")
        write(f"stories_asp_en/{i}.md", f"# T\n\n##\nAda has {i} stars.\n\n* License: [CC-BY]")
    write("stories_gutenberg_children/SOURCE.txt", "Where it is from, at some length. " * 20)
    tales = "\n<|endoftext|>\n".join(many_words(f"t{i}") for i in range(10))
    write("stories_fairytaleqa/tales.txt", tales)
    stories = "\n".join(f"Once upon a time there were {i} walls.\n\nThey fell." for i in range(12))
    write("stories_tinystories_samples/head.txt", stories)
    write("poems_gutenberg/Poems_1.txt", many_words("poem") * 3)
    return tmp_path / "corpora"


def rows_of(path):
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def test_whole_run(library, tmp_path, capsys):
    out = tmp_path / "out"
    corpus.main([str(library), "--out", str(out), "--log"])
    train, held_out = rows_of(out / "train.jsonl"), rows_of(out / "heldout.jsonl")
    stats = json.loads((out / "stats.json").read_text("utf-8"))

    assert {row["source"] for row in train} == {row["source"] for row in held_out}
    assert not any("poem" in row["text"] for row in train + held_out)
    assert {row["source"] for row in train} == set(corpus.READERS)
    assert stats["held_out"] == sorted({row["work"] for row in held_out})
    assert not {row["work"] for row in train} & {row["work"] for row in held_out}
    for split, rows in (("train", train), ("heldout", held_out)):
        counted = stats["splits"][split]
        assert sum(count["documents"] for count in counted.values()) == len(rows)
        assert sum(count["works"] for count in counted.values()) == len({r["work"] for r in rows})
        assert sum(c["bytes"] for c in counted.values()) == sum(len(r["text"]) + 1 for r in rows)
    assert stats["splits"]["train"]["stories_gutenberg_children"]["works"] == 9
    assert len(rows_of(out / "removed.jsonl")) > 0 and "verse_share" in capsys.readouterr().out

    def paragraphs(rows):
        return {p for row in rows for p in row["text"].split("\n") if len(p) > corpus.MAY_RECUR}

    assert sum(SHARED in row["text"] for row in train + held_out) == 1
    assert paragraphs(train) and not paragraphs(train) & paragraphs(held_out)

    again = tmp_path / "again"
    corpus.main([str(library), "--out", str(again)])
    for name in ("train.jsonl", "heldout.jsonl", "stats.json"):
        assert (again / name).read_bytes() == (out / name).read_bytes()


def test_any_folder_of_books_will_do(library, tmp_path):
    folder = library / "stories_gutenberg_children"
    corpus.main([str(folder), "--out", str(tmp_path / "out")])
    assert len(rows_of(tmp_path / "out" / "heldout.jsonl")) == 2  # one book, two chapters


def test_an_empty_folder_is_an_error(tmp_path, capsys):
    with pytest.raises(SystemExit):
        corpus.main([str(tmp_path), "--out", str(tmp_path / "out")])
    assert "no stories" in capsys.readouterr().err and not (tmp_path / "out").exists()
