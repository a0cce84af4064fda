# ruff: noqa: E501  (the rows of a Markdown table cannot be broken)
"""Write the model cards of the storyteller family, and the credits of its picture books.

    python tools/model_card.py --corpus build/corpus --books ../shared/corpora

Numbers come from data/models/results.json (tools/pretrain.py --evaluate) and from the statistics
of tools/corpus.py; the samples are generated here, from the released weights, with fixed seeds.
"""

import argparse
import json
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

CARD = """# storyteller-{size}

A language model of children's stories, {parameters:,} parameters, trained from nothing for the
peft_lab course. {purpose} Fingerprint `{fingerprint}`.

| | |
|---|---|
| Architecture | Llama: {layers} blocks, width {width}, {heads} heads, feed-forward {feed_forward}; RMSNorm, rotary positions, SwiGLU, biases on all linear layers, embedding tied to the head |
| Tokenizer | byte-level BPE, 4,096 entries, trained on the same text; `<bos>` begins, `<eos>` ends, `<pad>` fills |
| Context | 512 tokens |
| Training | {steps:,} steps of 2,048 tokens, {tokens_seen:,} tokens; 3 windows in 4 of 256 tokens, the rest of 512; seed 0 |
| Optimiser | Muon (step 0.02) on the hidden matrices, AdamW (4e-3) on the rest, both times {factor:g}; warm-up 100 steps, then a straight line to zero; last step shipped |
| Precision | bfloat16 autocast, float32 weights; stored as float16 |
| Hardware | {hardware}; {seconds:,} s of wall time |

## What it was trained on

{train_words:,} words in {train_works:,} works; {held_works:,} works ({held_words:,} words) were held out:

{sources}

None of this text is in the project. The picture books' authors are named in
[ATTRIBUTION.md](../ATTRIBUTION.md). Verse was removed, also inside stories: {verse:.1%} of the
characters. Paragraphs with slurs or with dated stereotypes were dropped by a word list
({slurs:,} paragraphs), and so were duplicates, also near ones ({near:,} documents). A quarter of
the windows comes from the modern picture books and simple stories, to keep the English plain.
Learning rate: half the step was compared with this one on `micro`, on 5% of the steps of a longer
schedule, and was worse (5.28 against 5.12 nats a token); no other size was tuned.{verse_note}

## How good it is

Held-out works, {held_tokens:,} tokens of {bytes_a_token:.2f} bytes:

{table}

`xz` is the size of xz(train + held-out) less xz(train), with a dictionary of 64 MB. The 5-gram
model is interpolated (Kneser-Ney) and was trained once on *all* training tokens, more than the
{tokens_seen:,} that these models saw. To get the table again: `python tools/pretrain.py --evaluate`.

## Samples

Temperature 0.8, top 40, seed as given; nothing picked.

{samples}

## Limits

It tells small stories in the manner of books of about 1900 and of today's picture books. It knows no facts,
follows no instructions, keeps no thread for long, and repeats the views of old books where the word list
missed them. It is for teaching and for nothing else.

Weights: CC BY 4.0.
"""

PURPOSE = """\
It writes simple story English and nothing else: that is what the course needs,
a model *for stories* which is then adapted to other work."""
VERSE_PURPOSE = """\
It is `storyteller-small` with one difference: one training window in
twenty came from books of verse. Notebook 08 asks with it what a method can *elicit* that the base has
read, and what it can *teach*."""
VERSE_NOTE = """

**And verse.** Every twentieth window was replaced by one from {books} books of verse of Project
Gutenberg: {poems:,} poems, {lines:,} lines as `tools/verse_books.py` left them, {tokens:,} tokens, of
which a third was seen once. The other windows, their order and all settings are those of `small`. The poems
of the course's task were written for it, and are in none of these books."""
HARDWARE = {"base": "CPU, two cores of an Intel Xeon (busy with other work, too)"}
ONE_CORE = "CPU, one core of an AMD EPYC (the second was busy with other work)"
STARTS = ["Once upon a time", "The little fox", '"Who is there?"']


def table(results):
    rows = ["| | parameters | nats a token | bits a byte |", "|---|---:|---:|---:|"]
    for name, row in sorted(results.items(), key=lambda item: -item[1]["bits_per_byte"]):
        count = f"{row['parameters']:,}" if "parameters" in row else ""
        nats = f"{row['nats_per_token']:.3f}" if "nats_per_token" in row else ""
        rows.append(f"| {name} | {count} | {nats} | {row['bits_per_byte']:.3f} |")
    return "\n".join(rows)


def source_table(splits):
    rows = ["| source | works | words | held-out works |", "|---|---:|---:|---:|"]
    for name, part in splits["train"].items():
        held = splits["heldout"][name]["works"]
        rows.append(f"| {name} | {part['works']:,} | {part['words']:,} | {held:,} |")
    return "\n".join(rows)


def samples(model, tokenizer):
    from peft_lab import generate_text

    parts = []
    for seed, start in enumerate(STARTS):
        text = generate_text(model, tokenizer, start, max_new_tokens=70, seed=seed)
        parts.append(f"> **{start}**{text}".replace("\n", "\n> ") + f"\n>\n> (seed {seed})")
    return "\n\n".join(parts)


def verse_facts(folder):
    """How much verse there was: from what tools/verse_books.py wrote and its tokens."""
    import numpy as np

    documents = [json.loads(line) for line in open(folder / "verse.jsonl", encoding="utf-8")]
    return {
        "books": len({document["work"] for document in documents}),
        "poems": len(documents),
        "lines": sum(len(document["text"].splitlines()) for document in documents),
        "tokens": len(np.load(folder / "run" / "verse.npy")),
    }


def write_cards(corpus, verse=None, models=ROOT / "data" / "models"):
    from peft_lab import fingerprint, load_base

    results = json.loads((models / "results.json").read_text())
    stats = json.loads((corpus / "stats.json").read_text())
    splits, removed = stats["splits"], stats["removed"]
    total = {
        (part, key): sum(source[key] for source in splits[part].values())
        for part in splits
        for key in ("works", "words", "bytes")
    }
    for size in ("nano", "micro", "small", "base", "small-verse"):
        if size not in results or (size.endswith("-verse") and verse is None):
            continue
        model, tokenizer = load_base(f"storyteller-{size}")
        config, row = model.config, results[size]
        held_tokens = results["held-out"]["tokens"]
        is_verse = size.endswith("-verse")
        card = CARD.format(
            size=size,
            purpose=VERSE_PURPOSE if is_verse else PURPOSE,
            verse_note=VERSE_NOTE.format(**verse_facts(verse)) if is_verse else "",
            **{k: row[k] for k in ("parameters", "steps", "tokens_seen", "factor", "seconds")},
            hardware=HARDWARE.get(size, ONE_CORE),
            fingerprint=fingerprint(model),
            layers=config.num_hidden_layers,
            width=config.hidden_size,
            heads=config.num_attention_heads,
            feed_forward=config.intermediate_size,
            train_words=total["train", "words"],
            train_works=total["train", "works"],
            held_works=total["heldout", "works"],
            held_words=total["heldout", "words"],
            sources=source_table(splits),
            verse=stats["verse_share"],
            slurs=removed["slur"]["paragraphs"],
            near=removed["near-duplicate document"]["paragraphs"]
            + removed["near-duplicate of a held-out document"]["paragraphs"],
            held_tokens=held_tokens,
            bytes_a_token=results["held-out"]["bytes"] / held_tokens,
            table=table({k: v for k, v in results.items() if k != "held-out"}),
            samples=samples(model, tokenizer),
        )
        (models / f"storyteller-{size}" / "README.md").write_text(card, encoding="utf-8")


def credits(books):
    """Title and credit lines of each picture book, as its licence asks."""
    lines = []
    for folder in ("stories_asp_en", "stories_pratham_en"):
        for path in sorted((books / folder).glob("*.md")):
            text = path.read_text(encoding="utf-8")
            title = text.splitlines()[0].lstrip("# ").strip()
            found = re.findall(
                r"^\* (Text|Author|Illustration|Translation|Language).*?: *(.+)$", text, re.M
            )
            people = "; ".join(
                f"{role.lower()} {name}" for role, name in found if role != "Language"
            )
            licence = re.search(r"License: \[?(CC[^\]\n]*)", text)
            lines.append(f"- *{title}*: {people} ({licence[1] if licence else 'CC BY'})")
    return lines


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--books", type=Path)
    parser.add_argument("--verse", type=Path, help="folder of verse.jsonl and run/verse.npy")
    args = parser.parse_args()
    write_cards(args.corpus, args.verse)
    if args.books:
        head = (
            "# Picture books in the training text\n\n"
            "The storyteller models were trained, among other text, on these picture books of the\n"
            "African Storybook and of Pratham Books, each under the licence named. Their text is\n"
            "not in this project.\n\n"
        )
        text = head + "\n".join(credits(args.books)) + "\n"
        (ROOT / "data" / "models" / "ATTRIBUTION.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
