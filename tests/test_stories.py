"""data/tasks/stories: the held-out passages that forgetting is measured on."""

import pytest

from peft_lab import load_task, longest_copied_run
from peft_lab.text_measures import words

SPLITS = {"train": 20, "validation": 20, "test": 40}


@pytest.fixture(scope="module")
def stories():
    return load_task("stories")


def test_sizes_and_datasheet(stories):
    assert {split: len(getattr(stories, split)) for split in SPLITS} == SPLITS
    assert stories.datasheet.read_text(encoding="utf-8").startswith("# stories")


def test_each_passage_is_one_paragraph_of_60_to_120_words(stories):
    for split in SPLITS:
        for row in getattr(stories, split):
            where = f"{split}:{row.line}"
            assert row.source == "" and "\n" not in row.target, where
            assert 60 <= len(words(row.target)) <= 120, where
            assert row.target.endswith((".", '."', '?"', "?")), where


def test_no_passage_shares_more_than_a_phrase_with_another(stories):
    texts = [row.target for split in SPLITS for row in getattr(stories, split)]
    for i, text in enumerate(texts):
        count, run = longest_copied_run(text, texts[:i])
        assert count <= 6, run
