"""`recommend`: each sentence rests on stored runs, the numbers in it are theirs, papers come first
for large models; the tables of README.md are those of the runs."""

import json
import re

import pytest

from peft_lab import recommend as guide
from peft_lab.recommend import ROWS, TASKS, WISHES, gain, recommend, trained
from peft_lab.results import load_runs
from tools import readme_tables


def test_every_question_has_an_answer_that_names_its_runs():
    for task in TASKS:
        arms = {run["arm"] for run in load_runs(TASKS[task])}
        for wish in WISHES:
            advice = recommend(task, wish=wish)
            assert advice.method in arms and advice.suffices
            first = advice.sentences[0]
            assert advice.method in first.text
            assert f"--experiment {TASKS[task]}" in first.evidence
            assert {a.strip() for a in first.evidence.split(": ", 1)[1].split(", ")} & arms
            assert "storyteller" in first.scale
            said = str(advice)
            assert said.count("rests on:") == said.count("seen on:") == len(advice.sentences)


def test_the_numbers_in_a_sentence_are_those_of_the_runs():
    rows = trained("poems")
    best = min((n for n in rows if n != "base"), key=lambda n: rows[n].loss.mean)
    (first, *_) = recommend("style").sentences
    assert f"{best} is best: {rows[best].loss.mean:.3f} nats" in first.text
    smallest = min(
        (n for n in rows if n != "base" and gain(rows, n) >= 0.8), key=lambda n: rows[n].file_bytes
    )
    assert recommend("style", wish="small file").method == smallest
    assert (
        f"{rows[smallest].file_bytes:,} bytes"
        in recommend("style", wish="small file").sentences[0].text
    )


def test_a_method_called_close_is_shown_to_be():
    rows = trained("poems")
    advice = recommend("style")
    if advice.method != "full":
        assert guide.behind(rows, advice.method, "full").high < guide.CLOSE
    else:
        assert "No other is shown to be within" in advice.sentences[0].text


def test_sorting_is_judged_by_right_answers_not_by_loss():
    """By loss a prompt has nearly the whole gain on moods, and guesses."""
    rows = trained("moods")
    assert gain(rows, "prompt") > 0.9 and gain(rows, "prompt", "test_accuracy") < 0.1
    for wish in WISHES[1:]:
        assert recommend("sorting", wish=wish).method == "full"


def test_a_rival_without_training_is_named_and_praised_where_it_wins():
    words = recommend("sorting").sentences[1].text
    assert (
        words.startswith("Without training a model: bag of words, 0.6") and "better than" in words
    )
    poems = recommend("style").sentences[1]
    assert "written prompt" in poems.text and "better than" not in poems.text
    assert "--experiment poems: written prompt" in poems.evidence


@pytest.mark.parametrize("examples", [1, 8, 20, 100, 10_000])
def test_the_nearest_number_of_examples_is_cited(examples):
    count = min(ROWS, key=lambda n: abs(n - examples) / n)
    sentence = recommend("style", examples=examples).sentences[2]
    assert sentence.text.startswith(f"From {count} examples: ")
    losses = [float(x) for x in re.findall(r"\d\.\d{3}", sentence.text)]
    assert len(losses) == 4 and losses == sorted(losses)
    assert "was not tried" in recommend("sorting", examples=examples).sentences[2].text


def test_for_large_models_the_papers_speak_first_and_ours_do_not_suffice():
    small, middle, large = (recommend("style", parameters=n) for n in (1.3e6, 125e6, 8e9))
    assert small.suffices and not middle.suffices and not large.suffices
    papers = [text for text, _ in guide.PAPERS]
    assert [s.text for s in large.sentences[: len(papers)]] == papers
    assert not {s.text for s in middle.sentences} & set(papers)
    for advice, times in ((middle, "96"), (large, "6,154")):
        last = advice.sentences[-1]
        assert f"{times} times as large" in last.text and "do not suffice" in last.text


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"task": "songs"}, "task must be one of style.*'songs'"),
        ({"wish": "all"}, "wish must be one of quality.*'all'"),
        ({"examples": 0}, "examples must be a number from 1"),
        ({"parameters": float("nan")}, "parameters must be a number from 1"),
    ],
)
def test_bad_questions_are_named(given, said):
    with pytest.raises(ValueError, match=said):
        recommend(**given)


# --- the tables of the README -------------------------------------------------------------------


def test_the_tables_of_the_readme_are_up_to_date():
    assert readme_tables.main(["--check"]) == 0


def test_a_table_with_another_number_is_old(monkeypatch, tmp_path, capsys):
    page = (readme_tables.ROOT / "README.md").read_text(encoding="utf-8")
    assert set(re.findall(r"<!-- table (\w+) -->", page)) == set(readme_tables.MAKERS)
    digits = re.search(r"\| \d\.\d{3} \|", page)
    wrong = page.replace(digits[0], "| 9.999 |", 1)
    (tmp_path / "README.md").write_text(wrong, encoding="utf-8")
    monkeypatch.setattr(readme_tables, "ROOT", tmp_path)
    assert readme_tables.main(["--check"]) == 1 and "old tables" in capsys.readouterr().out
    assert readme_tables.main([]) == 0
    assert (tmp_path / "README.md").read_text(encoding="utf-8") == page


def test_a_table_is_the_runs_own():
    rows = trained("poems")
    line = next(x for x in readme_tables.methods().splitlines() if x.startswith("| full |"))
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    assert cells[1] == f"{rows['full'].parameters:,}"
    assert cells[3:5] == [f"{rows['full'].loss.mean:.3f}", "100%"]


def test_runs_of_the_guide_are_whole():
    """What `recommend` reads is there: items for the bootstrap, stories for forgetting."""
    for task in TASKS.values():
        rows = trained(task)
        assert json.dumps(rows["base"].runs[0]["test_item_tokens"])
        assert all("test_items" in run for row in rows.values() for run in row.runs)
    assert all("story_nats" in run for row in trained("poems").values() for run in row.runs)
