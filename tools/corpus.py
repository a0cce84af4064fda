"""Turn folders of stories into clean story documents, split into train and held-out works.

    python tools/corpus.py FOLDER --out OUT

FOLDER holds the story folders named in `READERS` below, or any number of `.txt` files, each taken
as one book. Written to OUT: `train.jsonl` and `heldout.jsonl`, one JSON object a document
(`work`, `source`, `text`), and `stats.json`, which says what each rule removed.

A *work* is a book or, where a file holds single tales, a tale. A *document* is what a model reads
between its begin and end marks: a tale or a chapter, paragraphs separated by one newline. One tenth
of the works is held out. Folders of poems are never read: the models that learn from this corpus
are trained on stories only, and what else they can learn is the subject of the course.

The rules are simple and err on the side of dropping: a few lost paragraphs cost nothing, a page of
adverts is learned by heart. Run with `--log` and read what each rule took before changing one.
"""

import argparse
import hashlib
import json
import re
import unicodedata
import zlib
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import ftfy

SHORTEST_DOCUMENT = 200  # characters; less is a remnant of a title page or of a poem
LONGEST_DOCUMENT = 40_000  # characters; more is a book whose chapters were not recognised
RUN = 10_000  # characters of the runs into which such a book is cut
VERSE_BOOK = 0.5  # verse against prose, in characters; a book with more is left out
MAY_RECUR = 60  # characters; shorter paragraphs ("Yes," he said.) are not duplicates
SHINGLE = 8  # words
SHINGLE_SAMPLE = 8  # one shingle in so many is indexed: enough to find a copied tale
SAME_TALE = 0.4  # share of a document's shingles already seen: a tale told a second time
LEAKED = 0.2  # the same for a training document against the held-out ones: stricter
LEAKED_PARAGRAPH = 0.5  # the same for a single training paragraph


def any_of(*words):
    """A pattern for any of the words, capitals or not."""
    return re.compile(r"\b(?:" + "|".join(words) + r")\b", re.IGNORECASE)


# ---------------------------------------------------------------- characters

TYPOGRAPHIC = str.maketrans(
    dict.fromkeys("\u2018\u2019\u201a\u201b\u2032\u00b4`", "'")
    | dict.fromkeys("\u201c\u201d\u201e\u2033\u00ab\u00bb", '"')
    | dict.fromkeys("\u2014\u2015", "--")
    | dict.fromkeys("\u2010\u2011\u2012\u2013\u2212", "-")
    | dict.fromkeys("\u00ad\u200b\ufeff", "")
    | {"\u2026": "...", "\u00a0": " ", "\u00df": "ss", "\u00f8": "o", "\u00d8": "O", "\u0142": "l"}
    | {"\u00e6": "ae", "\u00c6": "Ae", "\u0153": "oe", "\u0152": "Oe"}
)
# What UTF-8 quotes look like when read as Windows-1252: three characters, the third tells which.
# In a closing quote the third does not exist in Windows-1252, and one of the sources lost it.
LOST_QUOTE = re.compile("\u00e2\u20ac\u009d?(?![\u0153\u2122\u02dc\u201c\u201d\u00a6\u00a2])")


def mend(text):
    """Undo wrong decodings (UTF-8 once read as Windows-1252) and settle line ends and tabs.

    ftfy finds them, except closing quotes that lost a character: see `LOST_QUOTE`.
    """
    text = ftfy.fix_text(LOST_QUOTE.sub("\u201d", text), uncurl_quotes=False)
    return text.replace("\r\n", "\n").replace("\r", "\n").replace("\t", "    ")


def to_ascii(text):
    """Typographic characters to the plain ones, accents off.

    A vocabulary of 4,096 entries has none to spare for four kinds of quotation mark. An accented
    letter keeps its base letter; what has none (a bullet, a Greek word) goes.
    """
    text = unicodedata.normalize("NFKD", text.translate(TYPOGRAPHIC))
    return text.encode("ascii", "ignore").decode("ascii")


def tidy(text):
    """One paragraph on one line: no marks of italics, notes or numbering, one kind of dash."""
    text = to_ascii(re.sub(r"[_~=|*^<>{}\[\]+]", "", text))
    text = re.sub(r"\s+", " ", text)
    text = re.sub(r"-{2,}", "--", text)
    text = re.sub(r"(?<=\w) ?-- ?(?=\w)", "--", text)  # "well -- no" and "well-- no": "well--no"
    text = re.sub(r"(?:\. ){2,}\.", "...", text)  # ". . ." as old printers set it
    text = re.sub(r"(?<=\w) ([,;.!?])(?!\.)", r"\1", text)
    text = re.sub(r"\(\s*\)", "", text)
    text = re.sub(r"(?:^|(?<=[.!?\"'] ))\d{1,2}\. (?=[\"'A-Z])", "", text)  # numbered paragraphs
    text = re.sub(r"(?<=[.!?\"']) ?\(\d{1,3}\)", "", text)  # references to notes
    return re.sub(r" {2,}", " ", text).strip()


# ---------------------------------------------------------------- a whole book

START = re.compile(r"\*\*\* ?START OF TH(?:E|IS) PROJECT GUTENBERG.*?\*\*\*", re.DOTALL)
SMALL_PRINT_END = re.compile(r"\*END\W{0,2}THE SMALL PRINT.*?\n\s*\n", re.DOTALL)
FOOTER = re.compile(
    r"^\W*(?:END OF TH(?:E|IS) PROJECT GUTENBERG|"
    r"End (?:of )?(?:the |this )?Project Gutenberg|"
    r"(?:The )?Project Gutenberg E-?(?:text|book) (?:of|The)\b)",
    re.MULTILINE | re.IGNORECASE,
)
PAGE_HEAD = re.compile(r"\s*(?:\d{1,3}|\d+ +[A-Z'. ]{5,}|[A-Z'. ]{5,} +\d+)\.?\s*")


def gutenberg_body(text):
    """The text between a Project Gutenberg header and footer; other texts whole.

    Since 2002 `*** START OF` and `*** END OF` mark it. Older files end the header with the "small
    print", and their footer is a line that names the project.
    """
    start = START.search(text) or SMALL_PRINT_END.search(text)
    if start:
        text = text[start.end() :]
    end = FOOTER.search(text, len(text) // 3)  # not in the first third: the header names it too
    return text[: end.start()] if end else text


def strip_brackets(text):
    """Remove `[Illustration: ...]`, `[Footnote ...]`, `[12]`, `{12}`: none of it is the story.

    The bounds on the length keep one bracket that was never closed from taking a chapter along.
    """
    text = re.sub(r"\[(?:[^\[\]]|\[[^\[\]]{0,300}\]){0,1500}\]", "", text)
    return re.sub(r"\{[^{}]{0,600}\}", "", text)


@dataclass
class Block:
    """Lines between blank lines, and how many blank lines came before them."""

    lines: list
    gap: int = 1

    def __str__(self):
        return "\n".join(self.lines)


def split_blocks(text):
    """Cut a text at its blank lines; page numbers and running heads (`12 FIRST READER.`) go."""
    blocks, gap, current = [], 2, []
    for line in [*text.split("\n"), ""]:
        if PAGE_HEAD.fullmatch(line):
            continue
        if line.strip():
            current.append(line.rstrip())
        else:
            if current:
                blocks.append(Block(current, gap))
                current, gap = [], 0
            gap += 1
    return blocks


def wrap_width(blocks):
    """The width at which a book's lines were wrapped: a long, yet not the longest, line."""
    lengths = sorted(
        len(line.strip()) for block in blocks if len(block.lines) > 2 for line in block.lines
    )
    return lengths[int(0.9 * len(lengths))] if lengths else 72


def story_part(blocks):
    """Cut at the last THE END: adverts, catalogues and notes of the transcriber follow it.

    In a collection each tale may have its own, so the last one counts only near the end.
    """
    for i in range(len(blocks) - 1, -1, -1):
        if re.fullmatch(r"[\W_]*(?:THE )?END[\W_]*", " ".join(blocks[i].lines), re.IGNORECASE):
            before = sum(len(line) for block in blocks[:i] for line in block.lines)
            after = sum(len(line) for block in blocks[i:] for line in block.lines)
            return blocks[:i] if before > 2 * after else blocks
    return blocks


# ---------------------------------------------------------------- one block of a book

CHAPTER = re.compile(
    r"(?:CHAPTER|STORY|BOOK|PART|LESSON|SCENE|ADVENTURE|NIGHT|TALE|LEGEND|FABLE)\.? +"
    r"(?:[IVXLC]+|\d+|[A-Z]+(?:-[A-Z]+)?)\b",
    re.IGNORECASE,
)
NOT_STORY = re.compile(
    r"\W*(?:an? |the |author's |list of |by the )?(?:preface|foreword|introduct\w+|contents|"
    r"illustrations|dedicat\w+|to (?:the |my |our )?(?:young |little )?(?:teachers?|readers?|"
    r"parents|mothers)|(?:suggestions|directions|hints) (?:to|for)|appendix|glossary|vocabulary|"
    r"index\b|bibliography|footnotes?|notes?\b|words?\b|word lists?|phonetic|phonics?|"
    r"pronunciation|pronouncing|publish\w+|copyright|(?:other )?books (?:by|for)|same author|"
    r"transcriber\S*|acknowledge?ments?|advertisements?|references|sources)\b",
    re.IGNORECASE,
)
NOTES = re.compile(
    r"\W*(?:the )?(?:notes\b|references|appendix|glossary|vocabulary|bibliography|word lists?|"
    r"(?:suggestions|directions|hints) (?:to|for))",
    re.IGNORECASE,
)
CONTENTS_ENTRY = re.compile(r"(?:\s{2,}|\.\s*\.\s*)\(?(?:\d{1,3}|[ivxlc]+|_?Frontispiece_?)\)?$")
CONTENTS_HEAD = re.compile(r"\s*(?:CHAPTER|STORY)?\s{2,}PAGE\b", re.IGNORECASE)
CLOSING = r"[\"'\u201d\u2019)\]_*]*"  # what may stand between an end mark and the end of a line
SENTENCE_END = re.compile(rf"[.!?]{CLOSING}$")
ANY_END = re.compile(rf"[.!?,;:\-\u2014\u2015\u2026](?:{CLOSING}| )*$")
MARKED_LETTER = re.compile(
    "[\u0101\u0103\u0113\u0115\u012b\u012d\u014d\u014f\u016b\u016d\u0304\u0306]"  # macron, breve
)


def starts_with_capital(line):
    """Whether the first letter of a line, after quotes and numbers, is a capital."""
    first = re.search(r"[^\W\d_]", line)
    return bool(first) and first.group().isupper()


def broken_early(line, following, width):
    """Whether the next line's first word would have fitted: a line end that the writer meant."""
    return len(line.strip()) + 1 + len(following.split()[0]) <= width - 2


def is_ornament(block):
    """A row of stars or the like between two scenes: no letter, no digit."""
    return not re.search(r"\w", str(block).replace("_", ""))


def is_contents(block):
    """A table of contents or list of pictures: entries that end in a page number."""
    numbered = sum(bool(CONTENTS_ENTRY.search(line)) for line in block.lines)
    return 2 * numbered >= len(block.lines) or bool(CONTENTS_HEAD.match(block.lines[0]))


def is_word_list(block):
    """Words to be learned, as readers print them: columns, single words, letters with marks.

    They are not sentences, and there are thousands of them.
    """
    text = " ".join(block.lines)
    if MARKED_LETTER.search(text) and not SENTENCE_END.search(text):
        return True
    columns = sum(bool(re.search(r"\w\s{3,}\w", line.strip())) for line in block.lines)
    if 2 * columns > len(block.lines):
        return True
    ends = sum(bool(ANY_END.search(line)) for line in block.lines)
    words = len(text.split())
    return len(block.lines) > 2 and words <= 3 * len(block.lines) and 3 * ends < len(block.lines)


def is_verse(block, width):
    """Lines broken before the margin that begin with capitals and are not one sentence each.

    Wrapped prose fills its lines, and primers print prose as one sentence a line. What is left is
    verse, also inside a story; a couplet counts. Line ends decide, not the indent, as many books
    print verse flush left.
    """
    lines = block.lines
    if len(lines) < 2:
        return False
    if len(lines) == 2 and (SENTENCE_END.search(lines[0]) or len(lines[0]) > 0.8 * width):
        return False  # two short lines of prose
    capitals = sum(starts_with_capital(line) for line in lines) / len(lines)
    early = sum(broken_early(a, b, width) for a, b in zip(lines, lines[1:], strict=False))
    sentences = sum(bool(SENTENCE_END.search(line)) for line in lines) / len(lines)
    needed = 0.7 if len(lines) > 3 else 1.0
    return capitals >= needed and early >= 0.75 * (len(lines) - 1) and sentences < 0.8


def is_heading(block):
    """A chapter's or tale's title: capitals only, `CHAPTER X ...`, a numeral, or Title Case.

    Titles are left out, as they would teach a model to shout, and mark where documents begin.
    """
    text = " ".join(line.strip() for line in block.lines).replace("_", "")
    if len(text) > 160 or len(block.lines) > 4 or re.match(r"[\"'\u201c\u2018]", text):
        return False
    if CHAPTER.match(text) and (len(text) < 100 or len(block.lines) > 1):
        return True
    if not re.search(r"[a-z]", text):
        return True
    if len(text) > 75 or len(block.lines) > 2:
        return False
    if re.match(r"(?:[IVXLC]+|\d+)[.:]? ", text) and not SENTENCE_END.search(text):
        return True
    return block.gap > 1 and starts_with_capital(text) and not re.search(r"[.,;:!?\"'-]$", text)


def classify(block, width):
    """The name of the rule that removes this block, `heading`, or None for prose."""
    if is_ornament(block):
        return "ornament"
    if is_contents(block):
        return "contents"
    if is_heading(block):
        return "heading"
    if is_word_list(block):
        return "word list"
    if is_verse(block, width):
        return "verse"
    return None


# ---------------------------------------------------------------- one paragraph

TRADE = re.compile(
    r"gutenberg|transcriber|pgdp|proofread|\be-?texts?\b|\be-?books?\b|archive\.org|http|www\.|"
    r"copyright|all rights reserved|\b(?:12|16|8)mo\b|postpaid|price per|price \$|"
    r"for sale (?:at|by)|grosset|illustrated by|printed in|publishers\b|author of|bound in cloth|"
    r"cloth, illustrated|per volume|^(?:produced|prepared) by|\bfrontispiece\b|"
    r"^\W*(?:illustration|footnotes?)\b|^end of the\b",
    re.IGNORECASE,
)
# Slurs, and words that hardly occur in these books but in a dated stereotype. Words that are
# harmless here stay off the list: "coon" (a raccoon), "chink" (a gap), "mammy" (a mother).
SLURS = any_of(
    r"nigg(?:er|a)\w*", r"negro\w*", r"negress\w*", r"dark(?:y|ey|ie)s?", r"pick?aninn\w+",
    "sambo", r"blackamoor\w*", r"mulatto\w*", r"quadroon\w*", r"octoroon\w*",
    r"colou?red (?:m[ae]n|wom[ae]n|boys?|girls?|people|persons?|folks?|cook|porter|maid|servants?|"
    r"lady|child|children|waiters?|gentlem[ae]n|mammy)",
    r"black(?:fellows?| (?:m[ae]n|wom[ae]n|people|fellows?|slaves?|savages?))",
    "savages", "redskins?", r"red ?m[ae]n", "red indians?", "wild indians?", "injuns?", "squaws?",
    "papooses?", "half-?breeds?", r"chinam[ae]n", "chinees?", "japs?", "dagos?", "hottentots?",
    "kaffirs?", "coolies?", "heathens?", "jew(?:s|ess|ish)?", "g[yi]ps(?:y|ies)",
)  # fmt: skip
LINE_START = re.compile(
    r"[a-z][,;:]? (?:And|The|To|With|For|But|Of|In|That|Then|While|When|As|On|From|Or|So|By|Nor)\b"
)


def is_trade(text):
    """Words of publishers, printers and transcribers, never of the story."""
    return bool(TRADE.search(text))


def has_slur(text):
    """Paragraphs with these words are dropped: a classroom's model shall not have learned them."""
    return bool(SLURS.search(text))


def is_joined_verse(text):
    """Verse that got past `is_verse` and was joined: small words with capitals in a sentence."""
    return len(LINE_START.findall(text)) >= 3


def is_not_prose(text):
    """No sentence: no small letters or end mark, or more signs than letters (a list, a shout)."""
    letters = sum(c.isalpha() for c in text)
    return not (
        re.search(r"[a-z]{2}", text)
        and ANY_END.search(text)
        and letters >= 0.65 * len(text.replace(" ", ""))
        and sum(c.isupper() for c in text) < 0.5 * letters
    )


PARAGRAPH_RULES = {
    "trade": is_trade,
    "slur": has_slur,
    "verse": is_joined_verse,
    "not prose": is_not_prose,
}


def join_broken(paragraphs):
    """Put together what a picture or a page break cut in the middle of a sentence."""
    joined = []
    for text in paragraphs:
        if joined and (
            (re.match(r"[a-z]", text) and not SENTENCE_END.search(joined[-1]))
            or (re.match(r".?[A-Z].{60}", joined[-1]) and not ANY_END.search(joined[-1]))
        ):
            joined[-1] += " " + text
        else:
            joined.append(text)
    return joined


@dataclass
class Tally:
    """How many paragraphs and characters each rule removed, and their text to look at."""

    removed: dict = field(default_factory=lambda: defaultdict(lambda: [0, 0]))
    log: list = field(default_factory=list)

    def drop(self, rule, text, work):
        self.count(rule, len(text))
        self.log.append({"rule": rule, "work": work, "text": text})

    def count(self, rule, characters):
        self.removed[rule][0] += 1
        self.removed[rule][1] += characters

    def characters(self, rule):
        return self.removed[rule][1]


def clean_paragraphs(raw, tally, work):
    """The tidied paragraphs of a document, without those that a rule drops."""
    kept = []
    for text in join_broken(filter(None, map(tidy, raw))):
        rule = next((name for name, drops in PARAGRAPH_RULES.items() if drops(text)), None)
        if rule:
            tally.drop(rule, text, work)
        else:
            kept.append(text)
    while kept and kept[0][0].islower():  # what follows a verse that opened the tale: 'sang Tom.'
        tally.drop("fragment", kept.pop(0), work)
    return kept


# ---------------------------------------------------------------- one document

PREFACE = re.compile(
    r"\bth(?:is|ese) (?:little )?(?:books?|volumes?|readers?|series|primer|collection)\b|"
    r"the author\b|\bmy (?:little |young )?readers\b|\bthe publishers?|"
    r"\bmy last (?:book|year)|\bfolk-?lore\b|\bliterature\b|\bedition\b",
    re.IGNORECASE,
)


def without_prefaces(documents, tally, work):
    """Leave out the words of author and teacher that stand before the first tale without a title.

    Only the first documents are looked at, and only for what writers say of books and readers.
    """
    kept = []
    for i, document in enumerate(documents):
        text = "\n".join(document)
        if i < 4 and len(PREFACE.findall(text)) > max(1, len(text) / 2000):
            tally.drop("preface", text, work)
        else:
            kept.append(document)
    return kept


def recase(text, counts):
    """`ONCE UPON A TIME there` to `Once upon a time there`.

    Printers open a chapter in small capitals. Documents begin there, so a model would learn to
    begin in capitals. Names keep theirs: each word takes the form that the work uses more often.
    """
    run = re.match(r"\W*(?:[A-Z][A-Z'.-]*[,;]? )*[A-Z][A-Z'-]+(?=[ ,;])", text)
    if not run or not re.search(r"[a-z]", text):
        return text

    def usual_form(match):
        word = match.group()
        if word in ("I", "A") and match.start() > 1:
            return "I" if word == "I" else "a"
        title = word.capitalize()
        return title if counts[title] > counts[word.lower()] else word.lower()

    opening = re.sub(r"[A-Z]+(?:'[A-Z]+)?", usual_form, run.group())
    first = re.search(r"[a-z]", opening, re.IGNORECASE).start()
    return opening[:first] + opening[first].upper() + opening[first + 1 :] + text[run.end() :]


def recase_openings(documents):
    """`recase` the first paragraph of each document that has one; the others go."""
    text = "\n".join(map("\n".join, documents))
    counts = Counter(re.findall(r"(?<=[a-z,] )[A-Za-z']+", text))  # words inside sentences
    return [[recase(document[0], counts), *document[1:]] for document in documents if document]


def runs(paragraphs):
    """Cut a book without chapters into runs of whole paragraphs; leave ordinary chapters whole."""
    if sum(map(len, paragraphs)) <= LONGEST_DOCUMENT:
        return [paragraphs]
    result, size = [[]], 0
    for text in paragraphs:
        if size >= RUN:
            result.append([])
            size = 0
        result[-1].append(text)
        size += len(text)
    return result


# ---------------------------------------------------------------- readers, one a kind of source


def sections(blocks, tally, work):
    """The prose between headings, wrapped lines joined, sections that are not the story left out.

    Notes and word lists at the end of a book have headings of their own: all that follows goes.
    """
    width, result, skipping, notes = wrap_width(blocks), [[]], False, False
    for i, block in enumerate(blocks):
        rule = classify(block, width)
        if rule == "heading":
            notes = notes or bool(i > 0.6 * len(blocks) and NOTES.match(str(block)))
            if block.gap > 1 or CHAPTER.match(str(block).strip()):
                skipping = notes or bool(NOT_STORY.match(str(block)))
                result.append([])
        elif not rule and skipping:
            rule = "not the story"
        if rule:
            tally.drop(rule, str(block), work)
        else:
            result[-1].append(" ".join(block.lines))
    return result


def read_book(text, tally, work=""):
    """A book's documents: its tales or chapters, each a list of paragraphs."""
    text = mend(text)
    body = strip_brackets(gutenberg_body(text))
    tally.count("header, footer, brackets", len(text) - len(body))
    blocks = split_blocks(body)
    story = story_part(blocks)
    for block in blocks[len(story) :]:
        tally.drop("after the end", str(block), work)
    verse = -tally.characters("verse")
    documents = [clean_paragraphs(raw, tally, work) for raw in sections(story, tally, work)]
    verse += tally.characters("verse")
    if verse > VERSE_BOOK * sum(len(text) for document in documents for text in document):
        for document in documents:
            tally.drop("book of verse", "\n".join(document), work)
        return []
    documents = recase_openings(without_prefaces(list(filter(None, documents)), tally, work))
    return [run for document in documents for run in runs(document)]


def read_tale(text, tally, work=""):
    """One tale whose lines are wrapped in some files and whole paragraphs in others.

    Where they are wrapped, a line that ends a sentence and was broken early ends a paragraph.
    """
    paragraphs = []
    blocks = split_blocks(strip_brackets(mend(text)))
    width = wrap_width(blocks)
    wrapped = all(len(line) <= 120 for block in blocks for line in block.lines)
    for block in blocks:
        if wrapped and is_verse(block, width):
            tally.drop("verse", str(block), work)
            continue
        current = []
        for line, following in zip(block.lines, [*block.lines[1:], None], strict=True):
            current.append(line)
            if (
                following is None
                or not wrapped
                or (SENTENCE_END.search(line) and broken_early(line, following, width))
            ):
                paragraphs.append(" ".join(current))
                current = []
    return recase_openings([clean_paragraphs(paragraphs, tally, work)])


AFTERWORD = re.compile(
    r"glossary|did you know|do you know|about the (?:author|illustrator|story|book)|activit\w+|"
    r"fun facts?|things to do|try this|word meanings?|meanings?\b|new words|find out|"
    r"what do we know|a note|notes?\b|questions|some facts|facts about|acknowledg\w+|"
    r"this (?:book|story) (?:was|is)|credits",
    re.IGNORECASE,
)


def begins_afterword(block):
    """The licence, or the short heading of a glossary, of facts or of questions to the reader."""
    first = block.lines[0]
    return first.startswith("* License") or bool(
        AFTERWORD.match(first) and len(first) < 50 and not re.search(r"[.!,\"\u201d]$", first)
    )


def read_picture_book(text, tally, work=""):
    """A picture book in Markdown: `#` title, `##` before each page, licence and credits last.

    Pages break their lines anywhere, so only four lines and more with capitals can be verse.
    """
    paragraphs, after = [], False
    blocks = split_blocks(strip_brackets(mend(text)))
    for i, page in enumerate(blocks):
        block = Block([line for line in page.lines if not line.startswith("#")])
        if not block.lines:
            tally.drop("page mark", str(page), work)
            continue
        after = after or (i > len(blocks) / 2 and begins_afterword(block))
        if after or block.lines[0].startswith("*"):
            tally.drop("credits, afterword", str(block), work)
        elif (
            len(block.lines) > 3
            and all(map(starts_with_capital, block.lines))
            and is_verse(block, width=200)
        ):
            tally.drop("verse", str(block), work)
        elif re.fullmatch(r"\W*the end\W*", str(block), re.IGNORECASE):
            tally.drop("ornament", str(block), work)
        else:
            paragraphs.append(" ".join(block.lines))
    return recase_openings([clean_paragraphs(paragraphs, tally, work)])


OPENING = re.compile(
    r"Once upon a time|Once,? (?:there|a|in|on)\b|There once|Long ago|A long time ago|"
    r"[A-Z][a-z]+ (?:and [A-Z][a-z]+ )?(?:was|is|are|were|likes?|liked|loves?|loved) "
    r"(?:an? |to (?:play|help|go|make|look|examine|explore|read|draw|eat|learn)|"
    r"twins|friends|good|best)|"
    r"One (?:\w+ )?(?:day|morning|night|afternoon|evening),? (?:an?|there) .{0,60}"
    r"\b(?:named|called)\b"
)
GOES_ON = re.compile(
    r"[\"'\u201c]|(?:The|They|Their|He|She|His|Her|It|But|Then|So|And|When|After|At|As|From|"
    r"Finally|Suddenly|Now|Every|This|That|Soon|Later|Both|All|Inside|With|To|Just)\b|"
    r"\w+ (?:said|asked|replied|nodded|and|was so)\b.{0,40}[\"\u201c]"
)


def split_tinystories(text):
    """Stories of a TinyStories sample, which follow each other without a mark.

    In one sample paragraphs are separated by a blank line and stories by a mere line end, in the
    other both by a blank line: then only the words that open a story tell. The first and the last
    story of a sample are cut off, so they are left out.
    """
    stories, before, previous = [[]], "", ""
    for line in mend(text).split("\n"):
        line = line.strip()
        after_line_end = previous and not before and not GOES_ON.match(line)
        if line and stories[-1] and (after_line_end or OPENING.match(line)):
            stories.append([])
        if line:
            stories[-1].append(line)
        before, previous = previous, line
    return stories[1:-1]


def read_story(paragraphs, tally, work=""):
    """One TinyStories story; one that loses a paragraph or stops in mid-sentence is left out."""
    cleaned = clean_paragraphs(paragraphs, tally, work)
    if len(cleaned) < len(paragraphs) or not SENTENCE_END.search(cleaned[-1]):
        tally.drop("unfinished", "\n".join(paragraphs), work)
        return []
    return [cleaned]


# ---------------------------------------------------------------- folders


@dataclass
class Work:
    """A book or a tale, as lists of paragraphs, one list a document."""

    id: str
    source: str
    documents: list
    may_be_short: bool = False  # a picture book is a document however short


def read_text(path):
    """A file's text: UTF-8, or Windows-1252 as in Project Gutenberg's older files."""
    data = path.read_bytes()
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("cp1252", "replace")


def text_files(folder, suffix):
    """The texts of a folder in a fixed order; SOURCE.txt says where they are from."""
    return sorted(path for path in folder.glob(f"*{suffix}") if path.name != "SOURCE.txt")


def books(folder, tally):
    for path in text_files(folder, ".txt"):
        work = f"{folder.name}/{path.stem}"
        yield Work(work, folder.name, read_book(read_text(path), tally, work))


def tales(folder, tally):
    for path in text_files(folder, ".txt"):
        for i, tale in enumerate(read_text(path).split("<|endoftext|>")):
            work = f"{folder.name}/{path.stem}/{i:04}"
            yield Work(work, folder.name, read_tale(tale, tally, work))


def picture_books(folder, tally):
    for path in text_files(folder, ".md"):
        work = f"{folder.name}/{path.stem}"
        documents = read_picture_book(read_text(path), tally, work)
        yield Work(work, folder.name, documents, may_be_short=True)


def tinystories(folder, tally):
    for path in text_files(folder, ".txt"):
        for i, story in enumerate(split_tinystories(read_text(path))):
            work = f"{folder.name}/{path.stem}/{i:04}"
            yield Work(work, folder.name, read_story(story, tally, work), may_be_short=True)


READERS = {
    "stories_gutenberg_children": books,
    "stories_fairytaleqa": tales,
    "stories_pratham_en": picture_books,
    "stories_asp_en": picture_books,
    "stories_tinystories_samples": tinystories,
}


def read_folder(folder, tally):
    """All works below a folder, in a fixed order."""
    known = [name for name in READERS if (folder / name).is_dir()]
    for name in known:
        yield from READERS[name](folder / name, tally)
    if not known:
        yield from books(folder, tally)


# ---------------------------------------------------------------- splits and duplicates


def held_out_ids(works):
    """A tenth of each source's works: those whose ids have the smallest hashes.

    By hash, not by chance or by place: the choice neither moves with a seed nor takes one series.
    """
    by_source = defaultdict(list)
    for work in works:
        by_source[work.source].append(work.id)
    chosen = set()
    for ids in by_source.values():
        ids.sort(key=lambda name: hashlib.sha256(name.encode()).hexdigest())
        chosen.update(ids[: round(len(ids) / 10)])
    return chosen


def normal_form(text):
    """What two equal paragraphs have in common: their words, without case or signs."""
    return " ".join(re.findall(r"[a-z0-9]+", text.lower().replace("'", "")))


def shingles(form):
    """Hashes of all runs of eight words; two texts that share many of them share a source."""
    words = form.split()
    return [
        zlib.crc32(" ".join(words[i : i + SHINGLE]).encode())
        for i in range(len(words) - SHINGLE + 1)
    ]


def share(hashes, seen):
    """The share of the hashes that are in `seen`."""
    return sum(h in seen for h in hashes) / len(hashes) if hashes else 0.0


class Seen:
    """What went into the corpus so far, to tell what comes a second time.

    `rule_for_document` and `rule_for_paragraph` return the name of the rule that drops a text.
    """

    def __init__(self):
        self.sample, self.held_out, self.paragraphs = set(), set(), set()

    def rule_for_document(self, hashes, split):
        if split == "train" and share(hashes, self.held_out) > LEAKED:
            return "near-duplicate of a held-out document"
        if share(self.sampled(hashes), self.sample) > SAME_TALE:
            return "near-duplicate document"
        return None

    def rule_for_paragraph(self, form, split):
        if form in self.paragraphs:
            return "duplicate paragraph"
        if split == "train" and share(shingles(form), self.held_out) > LEAKED_PARAGRAPH:
            return "near-duplicate of a held-out paragraph"
        self.paragraphs.add(form)
        return None

    def add_document(self, hashes, split):
        self.sample.update(self.sampled(hashes))
        if split == "heldout":
            self.held_out.update(hashes)

    @staticmethod
    def sampled(hashes):
        return [h for h in hashes if h % SHINGLE_SAMPLE == 0]


def without_duplicates(works, held_out, tally):
    """Yield (split, work, paragraphs), each tale and each longer paragraph once.

    Held-out works come first, so of two copies the held-out one stays and training loses its own.
    A tale told a second time is found by its shingles, a paragraph by its normal form.
    """
    seen = Seen()
    ordered = sorted(works, key=lambda work: work.id not in held_out)
    for work in ordered:
        split = "heldout" if work.id in held_out else "train"
        for paragraphs in work.documents:
            forms = [normal_form(text) for text in paragraphs]
            hashes = shingles(" ".join(forms))
            rule = seen.rule_for_document(hashes, split)
            if rule:
                tally.drop(rule, "\n".join(paragraphs), work.id)
                continue
            kept = []
            for text, form in zip(paragraphs, forms, strict=True):
                rule = seen.rule_for_paragraph(form, split) if len(text) > MAY_RECUR else None
                if rule:
                    tally.drop(rule, text, work.id)
                else:
                    kept.append(text)
            long_enough = work.may_be_short or sum(map(len, kept)) >= SHORTEST_DOCUMENT
            if kept and long_enough:
                seen.add_document(hashes, split)
                yield split, work, kept
            else:
                tally.drop("short document", "\n".join(kept), work.id)


# ---------------------------------------------------------------- the whole run


def build(folder, tally):
    """The rows of each split, and the statistics: `({"train": [...], "heldout": [...]}, stats)`."""
    works = list(read_folder(folder, tally))
    held_out = held_out_ids(works)
    rows = {"train": [], "heldout": []}
    counts = {split: defaultdict(Counter) for split in rows}
    for split, work, paragraphs in without_duplicates(works, held_out, tally):
        text = "\n".join(paragraphs)
        is_new = not rows[split] or rows[split][-1]["work"] != work.id
        rows[split].append({"work": work.id, "source": work.source, "text": text})
        counts[split][work.source].update(
            works=int(is_new),
            documents=1,
            paragraphs=len(paragraphs),
            words=len(text.split()),
            bytes=len(text) + 1,
        )
    kept = sum(count["bytes"] for split in counts.values() for count in split.values())
    verse = tally.characters("verse")
    stats = {
        "splits": counts,
        "removed": {
            rule: {"paragraphs": paragraphs, "characters": characters}
            for rule, (paragraphs, characters) in sorted(tally.removed.items())
        },
        "verse_share": verse / (kept + verse) if kept else 0.0,
        "held_out": sorted(held_out),
    }
    return rows, stats


def write_lines(path, rows):
    """One JSON object a line."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8", newline="\n")


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path, help="the story folders, or a folder of .txt books")
    parser.add_argument("--out", type=Path, required=True, help="where to write")
    parser.add_argument("--log", action="store_true", help="also write removed.jsonl, to look at")
    options = parser.parse_args(arguments)

    tally = Tally()
    rows, stats = build(options.folder, tally)
    if not rows["train"]:
        parser.error(f"{options.folder}: no stories; expected .txt files, or {', '.join(READERS)}")
    options.out.mkdir(parents=True, exist_ok=True)
    for split, documents in rows.items():
        write_lines(options.out / f"{split}.jsonl", documents)
    (options.out / "stats.json").write_text(json.dumps(stats, indent=1) + "\n", "utf-8")
    if options.log:
        write_lines(options.out / "removed.jsonl", tally.log)
    print(json.dumps({key: stats[key] for key in ("splits", "removed", "verse_share")}, indent=1))


if __name__ == "__main__":
    main()
