"""What makes data/tasks/instructions from hand-written sentences, and what its datasheet measures.

    python tools/make_instructions.py             writes the three files
    python tools/make_instructions.py --folder X  writes them into the folder X
    python tools/make_instructions.py --measure   prints the tables of the datasheet

Sentences and wordings stand in tools/instruction_sentences.py. Each sentence is put into one
split, then asked about by several families, so an answer cannot be had without the instruction.
The same words and the same seed give the same bytes on any machine.
"""

import argparse
import json
import random
import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from instruction_sentences import COLOURS, FEELINGS, HELD_OUT, SCENES, TIMES, TRAINED
from make_tables import shuffled

SEED = 11
INPUTS = {"train": 96, "validation": 16, "test": 24}  # of each trained family
HELD_OUT_INPUTS = 72  # of each held-out family, all in test
AT_MOST = 4  # families that ask about one sentence
SHORT = {"is": "is|was", "are": "are|were", "can": "can|could"}
VOWELS = "aeiou"


@dataclass(frozen=True)
class Sentence:
    """A sentence without its marks, and the answer to each family that can ask about it."""

    text: str
    answers: dict[str, str]
    keys: dict[str, str]  # what is to be balanced: the answer, or the word that changes


def article(text: str) -> str:
    """With a or an as the next letter asks: "A old fox" -> "An old fox"."""

    def mend(match: re.Match) -> str:
        return match[1] + ("n " if match[2] in VOWELS else " ") + match[2]

    return re.sub(r"\b([Aa])n? (\w)", mend, text)


def bare(marked: str, verb: int = 0, adjective: int = 0) -> str:
    """The sentence without marks, in the present (0) or the past (1), as it is or opposite (1)."""
    text = re.sub(r"\{(.*?)\}", lambda m: SHORT.get(m[1], m[1]).split("|")[verb], marked)
    text = re.sub(r"<(.*?)>", lambda m: m[1].split("|")[adjective], text)
    text = re.sub(r"[][()]", "", text)
    return article(text) if adjective else text


def read(marked: str, feeling: str | None = None, time: str | None = None) -> Sentence:
    """A hand-written line as a sentence with its answers."""
    text = bare(marked)
    answers, keys = {}, {}

    def add(family: str, answer: str | None, key: str | None = None) -> None:
        if answer:
            answers[family], keys[family] = answer, key or answer

    add("feeling", feeling)
    add("time", time)
    found = [word for word in re.findall(r"[a-z]+", text.lower()) if word in COLOURS]
    add("colour", found[0] if len(found) == 1 else None)
    if who := re.search(r"\[(.*?)\]", marked):
        others = set(re.findall(r"[a-z]+", re.sub(r"\[.*?\]", "", text_with_who(marked)).lower()))
        add("who", None if others & animate() else who[1])
    if where := re.search(r"\((.*?)\)", bare_but_places(marked)):
        add("where", where[1][0].lower() + where[1][1:])
    verbs = re.findall(r"\{(.*?)\}", marked)
    add("past", bare(marked, verb=1) if verbs else None, verbs[0] if verbs else None)
    pair = re.search(r"<(.*?)>", marked)
    if pair and not {"black", "white"} & set(found):  # these two are opposites as well
        add("opposite", bare(marked, adjective=1), pair[1])
    if len(verbs) == 1 and verbs[0] in SHORT and not marked.startswith("("):
        subject, rest = re.split(r" (?:is|are|can) ", text, maxsplit=1)
        add("question", f"{verbs[0].capitalize()} {subject[0].lower()}{subject[1:]} {rest[:-1]}?",
            verbs[0])
    return Sentence(text, answers, keys)
