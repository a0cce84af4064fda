"""`recommend`: each sentence rests on stored runs, the numbers in it are theirs, papers come first
for large models; the tables of README.md are those of the runs."""

import json
import os
import re

import pytest

from peft_lab import evidence, load_base, load_task, widgets
from peft_lab import recommend as guide
from peft_lab.claims import ITEMS, Comparison, Interval, compare
from peft_lab.evidence import MEASURES, TRAIN_ROWS, counts, gain, trained
from peft_lab.recommend import TASKS, WISHES, recommend
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
            said = str(advice)
            assert said.count("rests on:") == said.count("seen on:") == len(advice.sentences)


def close_is(monkeypatch, value: float) -> None:
    for module in (evidence, guide):
        monkeypatch.setattr(module, "CLOSE", value)


BY_ROWS = ("full", "prompt", "prefix (text)", "LoRA 8")  # tried with few rows, too


def experiment_of_few(task: str) -> str:
    return "rows" if task == "style" else f"rows-{TASKS[task]}"


SCALE = r"storyteller-micro, 150 steps, (\d+) rows, [35] seeds"


@pytest.mark.parametrize("examples", [8, 500])
@pytest.mark.parametrize("wish", WISHES)
@pytest.mark.parametrize("task", TASKS)
def test_a_sentence_cites_each_arm_that_it_names_and_its_scale(task, wish, examples):
    told = recommend(task, wish=wish, examples=examples).sentences
    for sentence in (s for s in told if s.evidence != "no runs"):
        source, cited = sentence.evidence.split(": ", 1)
        rows = re.match(SCALE, sentence.scale)[1]
        few = experiment_of_few(task) if rows != str(TRAIN_ROWS[TASKS[task]]) else None
        if few and sentence.text.startswith("Without"):
            assert source.endswith(f"--experiment {few}")
            assert cited == f"all arms; --experiment {TASKS[task]}: all arms"
            assert rows == "8" and "8 rows" in sentence.text
        elif few:
            assert source.endswith(f"--experiment {few}") and "(8 rows; 4 methods" in sentence.text
            assert set(cited.split("; ")) == {f"{name}, 8 train_rows" for name in BY_ROWS}
        elif sentence.text.startswith(("Tried after", "Each method stands")):
            assert source.endswith(("--experiment union", "--experiment sensitivity"))
            assert cited in sentence.text and rows == str(TRAIN_ROWS[TASKS[task]])
        else:
            assert source.endswith(f"--experiment {TASKS[task]}") and cited == "all arms"
            assert rows == str(TRAIN_ROWS[TASKS[task]]) and f"{rows} rows" in sentence.text


@pytest.mark.parametrize("task", TASKS)
def test_all_arms_have_the_steps_and_seeds_of_the_scale(task):
    rows = [row for name, row in trained(TASKS[task]).items() if name != "base"]
    assert {(row.seeds, run["steps"]) for row in rows for run in row.runs} == {(5, 150)}
    assert {run["base"] for row in rows for run in row.runs} == {"storyteller-micro"}


def test_a_scale_says_what_chose_the_rates_where_another_measure_judges():
    for task in TASKS:
        first, second = recommend(task).sentences[:2]
        by_other = MEASURES[TASKS[task]][0] != "test_nats"
        assert ("rates chosen by validation loss" in first.scale) == by_other
        assert ("rates chosen by" in second.scale) == ("nats a token" not in second.text)


def test_the_numbers_in_a_sentence_are_those_of_the_runs():
    rows = trained("poems")
    best = min((n for n in rows if n != "base"), key=lambda n: rows[n].loss.mean)
    (first, *_) = recommend("style").sentences
    assert f"{best} has the best mean: {rows[best].loss.mean:.3f} nats" in first.text
    smallest = min(
        (n for n in rows if n != "base" and gain(rows, n) >= 0.8), key=lambda n: rows[n].file_bytes
    )
    assert recommend("style", wish="small file").method == smallest
    assert (
        f"{rows[smallest].file_bytes:,} bytes"
        in recommend("style", wish="small file").sentences[0].text
    )


@pytest.mark.parametrize("task", TASKS)
def test_what_is_offered_in_place_of_the_best_is_close_and_smaller(task):
    rows = trained(TASKS[task])
    advice = recommend(task)
    text = advice.sentences[0].text
    best = re.search(r"rows\) (.*) has the best mean", text)[1]
    if advice.method == best:
        assert "No smaller method is shown to be within" in text
    else:
        assert rows[advice.method].parameters < rows[best].parameters
        assert evidence.behind(rows, advice.method, best).high < evidence.CLOSE


def test_a_smaller_method_that_is_close_is_offered_and_a_larger_one_is_not(monkeypatch):
    """On code full fine-tuning is within 0.05 of the best, and twice as large."""
    rows = trained("code")
    full = evidence.behind(rows, "full", "LoRA 8, all + embeddings")
    assert 0 < full.low and full.high < evidence.CLOSE
    assert rows["full"].parameters > rows["LoRA 8, all + embeddings"].parameters
    assert recommend("programs").method == "LoRA 8, all + embeddings"
    close_is(monkeypatch, 0.08)
    close = recommend("style")
    assert close.method == "LoRA 8, all" and "78,080 numbers in place of" in close.sentences[0].text


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("wish", WISHES)
def test_a_sentence_compares_by_one_measure(task, wish):
    units = {"nats a token on stories", *(unit for _, unit, _ in MEASURES.values())}
    for sentence in recommend(task, wish=wish).sentences:
        found = {u for u in units if u in sentence.text}
        if "nats a token on stories" in found:  # a price, said beside the measure
            assert wish == "old skills"
            continue
        assert len(found) <= 1, sentence.text


@pytest.mark.parametrize("task", TASKS)
def test_the_numbers_of_the_first_sentence_add_up(task):
    """What is behind is the difference of the two numbers beside it."""
    text = recommend(task).sentences[0].text
    best, other, gap = map(float, re.findall(r"\d\.\d{3}", text)[:3])
    assert abs(other - best) == pytest.approx(gap, abs=0.0011)


def test_sorting_is_judged_by_right_answers_not_by_loss():
    """By loss a prompt has nearly the whole gain on moods, and guesses."""
    rows = trained("moods")
    assert gain(rows, "prompt") > 0.9 and gain(rows, "prompt", "test_accuracy") < 0.1
    for wish in WISHES[1:]:
        assert recommend("sorting", wish=wish).method == "full"


def test_a_rival_without_training_is_named_and_praised_only_where_it_is_shown(monkeypatch):
    sorting = recommend("sorting").sentences[1].text
    assert sorting.startswith("Without training a model: bag of words, 0.6")
    assert "bag of words is ahead by +0.09" in sorting and "Take that" not in sorting
    assert sorting.endswith("not shown which is better by 0.05.")
    script = recommend("new script").sentences[1].text
    assert "5-gram, 2.386 nats a third byte (by this measure embeddings, from 180" in script
    assert "shown to be 0.05 ahead" in script and "level" not in script
    poems = recommend("style").sentences[1].text
    assert "written prompt, 4.509" in poems and "full is ahead by +0.7" in poems
    assert poems.endswith("shown to be 0.05 ahead.")
    close_is(monkeypatch, 0.03)
    assert "bag of words is ahead by" in recommend("sorting").sentences[1].text
    assert "Take that" in recommend("sorting").sentences[1].text


@pytest.mark.parametrize(
    ("task", "examples", "said"),
    [
        ("new script", 50, "5-gram was not run with so few rows; with all 180 it is shown to be"
         " ahead of embeddings."),
        ("programs", 32, "with all 175 it is shown to be behind LoRA 8, all + embeddings."),
        ("sorting", 128, "bag of words was not run with so few rows; with all 600 it is not shown"
         " to be apart from full."),
        ("style", 8, "0.05 ahead. 5-gram was not run with so few rows."),
    ],
)  # fmt: skip
def test_a_rival_that_counts_is_not_forgotten_where_it_had_all_rows(task, examples, said):
    assert recommend(task, examples=examples).sentences[1].text.endswith(said)
    assert "not run" not in recommend(task).sentences[1].text


@pytest.mark.parametrize(
    ("task", "close", "outcome"),
    [
        ("moods", 0.03, "ahead"),
        ("moods", 0.05, "not shown"),
        ("moods", 0.2, "level"),
        ("nepali", 0.03, "ahead"),
        ("nepali", 0.05, "ahead"),
        ("nepali", 0.15, "not shown"),
        ("nepali", 0.2, "level"),
        ("poems", 0.05, "behind"),
        ("poems", 0.8, "level"),
    ],
)
def test_the_rival_is_judged_by_both_intervals(monkeypatch, task, close, outcome):
    close_is(monkeypatch, close)
    rival, told, found, best, field = evidence.untrained_rival(task)
    assert found == outcome and told.startswith(f"{rival}, ")
    method = best.arm
    runs = {arm: [r for r in load_runs(task) if r["arm"] == arm] for arm in (rival, "base")}
    worse, better = (best.runs, runs[rival])
    if field == "test_accuracy":  # the higher, the better
        worse, better = better, worse
    gap = compare(
        worse, better, runs["base"][0][ITEMS[field][1]] if ITEMS[field][1] else None, field
    )
    low, high = (gap.low, gap.high) if gap.mean > 0 else (-gap.high, -gap.low)
    assert f"({low:+.3f} to {high:+.3f})" in told
    assert f"{rival if gap.mean > 0 else method} is ahead by" in told


def test_level_is_both_intervals_within():
    def found(seeds, texts):
        return Comparison(Interval(0.0, *seeds), Interval(0.0, *texts)).within(0.05)

    assert found((-0.04, 0.04), (-0.03, 0.03))
    for wide in ((-0.06, 0.04), (-0.04, 0.06)):
        assert not found(wide, (-0.03, 0.03)) and not found((-0.03, 0.03), wide)


def test_the_table_notes_what_no_method_is_shown_to_beat_and_what_was_tried_later(capsys):
    widgets.recommend_table()
    said = capsys.readouterr().out
    assert "LoRA 8, all + embeddings  " in said  # the longest name fits its column
    notes = [" ".join(note.split()) for note in re.split(r"\n(?=[*+] )", said)[1:]]
    (sorting,) = (note for note in notes if note.startswith("* sorting (all four)"))
    assert sorting.endswith("which is better by 0.05.")
    others = [note for note in notes if note[0] == "*" and note != sorting]
    assert all("5-gram is ahead" in note and "0.05 ahead" in note for note in others)
    for line in said.splitlines()[1 : 1 + len(TASKS)]:
        task = next(task for task in TASKS if line.startswith(task))
        for wish in WISHES:
            advice = recommend(task, wish=wish)
            outcome = evidence.untrained_rival(TASKS[task], method=advice.method).outcome
            marks = " *" * (outcome != "behind") + " +" * (len(advice.sentences) > 2)
            assert f" {advice.method}{marks}  " in f"{line}  ", (task, wish)
            own = [
                note for note in notes
                if re.match(rf"[*+] {task} \((all four|.*\b{wish}\b.*?)\):", note)
            ]  # fmt: skip
            assert sorted(f" {note[0]}" for note in own) == sorted(re.findall(" .", marks))
            for note in own:
                told = (
                    f"measure {advice.method}, from" if note[0] == "*" else advice.sentences[2].text
                )
                assert told in note


def test_what_needs_no_training_is_set_beside_the_method_that_is_chosen():
    """A 5-gram model is behind the best method on code, and ahead of the one with a small file."""
    said = recommend("programs", wish="small file").sentences[1].text
    assert "measure LoRA 8, all, from 175" in said and "5-gram is ahead by +0.298" in said
    assert "embeddings is ahead" in recommend("programs").sentences[1].text
    assert "prompt is ahead by +0.072" in recommend("style", examples=8).sentences[1].text


@pytest.mark.parametrize("examples", [1, 8, 13, 20, 100, 128, 300, 500, 10_000])
def test_the_nearest_number_of_examples_is_cited_and_speaks_first(examples):
    count = min(counts("poems"), key=lambda n: max(n / examples, examples / n))
    first = recommend("style", examples=examples).sentences[0].text
    assert first.startswith(f"On poems ({count} rows")
    nearest = f"the nearest to {examples:,} that was run"
    assert (nearest in first) == (examples != count)
    assert ("4 methods were tried" in first) == (count < 500)


def test_from_few_examples_the_smallest_that_is_close_is_chosen():
    """From 8 poems a prompt is shown within 0.05 of full; from 32 and 128 nothing smaller is."""
    said = {n: recommend("style", examples=n) for n in (8, 32, 128)}
    assert [said[n].method for n in said] == ["prompt", "full", "full"]
    assert "prompt is shown to be within 0.05 of that (behind by +0.012" in str(said[8])
    for n, advice in said.items():
        rows = trained("poems", n)
        assert set(rows) == {"base", *BY_ROWS}
        near = {m for m in BY_ROWS if m != "full" and evidence.behind(rows, m, "full").high < 0.05}
        assert near == ({"prompt", "prefix (text)"} if n == 8 else set()) and advice.suffices


@pytest.mark.parametrize("wish", WISHES[1:])
@pytest.mark.parametrize("count", [8, 32, 128])
def test_a_wish_with_few_examples_is_answered_from_as_many(count, wish):
    advice, rows = recommend("style", wish=wish, examples=count), trained("poems", count)
    assert advice.suffices and "500 rows" not in str(advice)
    price = {
        "small file": lambda row: row.file_bytes,
        "little memory": guide._memory,
        "old skills": lambda row: evidence.mean(row, "story_nats"),
    }[wish]
    enough = [name for name in BY_ROWS if gain(rows, name) >= 0.8]
    assert advice.method == min(enough, key=lambda name: price(rows[name]))
    first = advice.sentences[0].text
    assert f"({count} rows; 4 methods were tried) {advice.method} pays least" in first
    best = min(BY_ROWS, key=lambda name: rows[name].loss.mean)
    assert ("the best by its mean" in first) == (advice.method != best)


def test_where_no_method_is_shown_to_learn_anything_no_wish_is_granted():
    """From 8 and 32 rows of moods: full fine-tuning's gain is near 0, or below."""
    for count in (8, 32):
        for wish in WISHES:
            advice = recommend("sorting", wish=wish, examples=count)
            assert not advice.suffices
            first = advice.sentences[0].text
            assert "ahead of the untrained base by" in first and "get more examples" in first
            assert "four fifths" not in first and "within" not in first
    assert "more examples first" not in str(recommend("sorting", examples=128))


def test_the_best_of_all_rows_is_named_where_it_was_not_tried_with_few():
    few = recommend("new script", examples=8).sentences[0].text
    assert few.endswith(" embeddings, the best from 180 rows, was not among them.")
    assert "not among them" not in str(recommend("style", examples=8))


@pytest.mark.parametrize("task", TASKS)
def test_what_old_skills_were_before_training_is_said(task):
    before = trained(TASKS[task])["base"].runs[0]["story_nats"]
    for wish in WISHES:
        first = recommend(task, wish=wish).sentences[0].text
        assert first.endswith(f"Before training it was {before:.2f}.") == (wish == "old skills")


@pytest.mark.parametrize("count, ahead", [(8, 4.425), (32, 4.225), (128, 4.011)])
def test_few_examples_are_compared_with_a_written_request_at_their_own_number(count, ahead):
    """From 8 poems a method gains little on words alone: 500 poems' loss must not stand there."""
    _, told, outcome, best, field = evidence.untrained_rival("poems", count)
    assert f"(by this measure full, from {count} rows: {ahead})" in told and field == "test_nats"
    asked = evidence.all_arms("poems")["written prompt"].loss.mean
    assert f"full is ahead by {asked - best.loss.mean:+.3f}" in told and "5-gram" not in told
    assert outcome == "behind"
    said = recommend("style", examples=count)
    told = evidence.untrained_rival("poems", count, said.method).text
    assert sum(told in sentence.text for sentence in said.sentences) == 1
    for sentence in said.sentences:
        few = f"{count} rows" in sentence.scale
        assert ("chosen on all validation rows" in sentence.scale) == few


@pytest.mark.parametrize("task", TASKS)
def test_each_task_was_tried_with_few_rows_too(task):
    assert counts(TASKS[task]) == (8, 32, 128, TRAIN_ROWS[TASKS[task]])
    assert {row.seeds for n in (8, 32, 128) for row in trained(TASKS[task], n).values()} == {1, 5}


@pytest.mark.parametrize("task", TASKS)
def test_the_runs_do_not_suffice_for_a_number_of_examples_far_from_those_tried(task):
    tried = counts(TASKS[task])
    for count in tried:
        for examples in ((count + 1) // 2, count, count * 2):
            advice = recommend(task, examples=examples)
            learned = guide.MORE_FIRST not in advice.sentences[0].text
            assert advice.suffices == learned and "do not suffice" not in str(advice)
            assert learned or (task == "sorting" and examples < 128)
    for examples, nearest in ((tried[0] // 2 - 1, tried[0]), (tried[-1] * 2 + 1, tried[-1])):
        advice = recommend(task, examples=examples)
        last = advice.sentences[-1].text
        assert not advice.suffices and "do not suffice" in last
        assert f"nearest number that was tried is {nearest}" in last
    assert "You have 1 example;" in str(recommend(task, examples=1))
    assert recommend(task).suffices and not recommend(task, parameters=125e6).suffices


def test_the_rows_named_are_those_that_were_trained_on():
    tokenizer = load_base("storyteller-micro")[1]
    for task, count in TRAIN_ROWS.items():
        assert len(load_task(task, tokenizer).train) == count


def test_for_large_models_the_papers_speak_first_and_ours_do_not_suffice():
    small, middle, large = (recommend("style", parameters=n) for n in (1.3e6, 125e6, 8e9))
    assert small.suffices and not middle.suffices and not large.suffices
    papers = [text for text, _ in guide.PAPERS]
    assert [s.text for s in large.sentences[: len(papers)]] == papers
    assert not {s.text for s in middle.sentences} & set(papers)
    for advice, times in ((middle, "95"), (large, "6,055")):
        last = advice.sentences[-1]
        assert f"{times} times as large" in last.text and "do not suffice" in last.text


def test_for_models_below_our_smallest_the_runs_do_not_suffice_either():
    advice = recommend("style", parameters=1e5)
    assert not advice.suffices and "13 times smaller than ours" in advice.sentences[-1].text
    assert recommend("style", parameters=415_136).suffices


def test_what_was_tried_later_and_says_otherwise_is_told():
    """The notebook finds both; who asks the guide alone must hear of them, too."""
    script = [s for s in recommend("new script").sentences if s.text.startswith("Tried after")]
    (union,) = (row for row in evidence.summary(load_runs("union")) if row.arm.endswith("factor 3"))
    third = sum(run["test_third_byte_nats"] for run in union.runs) / 5
    assert f"factor 3, {third:.3f} nats a third byte" in script[0].text
    kept = [s for s in recommend("style", wish="old skills").sentences if "lower" in s.text]
    runs = load_runs("sensitivity")
    low = [r for r in runs if r["arm"] == "full" and r["learning_rate"] == 0.0003]
    for field in ("test_nats", "story_nats"):
        assert f"{sum(r[field] for r in low) / len(low):.2f}"[:4] in kept[0].text
    for task, wish in (("style", "quality"), ("new script", "small file"), ("facts", "old skills")):
        texts = [s.text for s in recommend(task, wish=wish).sentences]
        assert not any(t.startswith(("Tried after", "Each method stands")) for t in texts)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"task": "songs"}, "task must be one of style.*'songs'"),
        ({"task": ["style"]}, r"task must be one of style.*\['style'\]"),
        ({"wish": "all"}, "wish must be one of quality.*'all'"),
        ({"examples": 0}, "examples must be a number from 1"),
        ({"parameters": float("nan")}, "parameters must be a number from 1"),
        ({"parameters": float("inf")}, "parameters must be a number from 1 on, not inf"),
        ({"examples": "8"}, "examples must be a number from 1 on, not '8'"),
        ({"examples": True}, "examples must be a number from 1 on, not True"),
    ],
)
def test_bad_questions_are_named(given, said):
    with pytest.raises(ValueError, match=said):
        recommend(**given)


def test_runs_that_were_swept_anew_are_read_anew(tmp_path, monkeypatch):
    folder = tmp_path / "results" / "poems"
    folder.mkdir(parents=True)
    monkeypatch.setattr(evidence, "data_dir", lambda: tmp_path)
    with pytest.raises(FileNotFoundError, match="--experiment poems"):
        evidence.all_arms("poems")
    for run in load_runs("poems"):
        if run["arm"] in ("base", "full") and run["seed"] in (None, 0, 1, 2):
            (folder / f"{run['id']}.json").write_text(json.dumps(run))
    assert evidence.all_arms("poems")["full"].seeds == 3
    again = next(r for r in load_runs("poems") if r["arm"] == "full" and r["seed"] == 3)
    (folder / f"{again['id']}.json").write_text(json.dumps(again))
    os.utime(folder, ns=(0, folder.stat().st_mtime_ns + 10**9))  # some clocks are coarse
    assert evidence.all_arms("poems")["full"].seeds == 4


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
    assert cells[3:6] == ["1.00", f"{rows['full'].loss.mean:.3f}", "100%"]


def test_runs_of_the_guide_are_whole():
    """What `recommend` reads is there: single texts for the bootstrap, each with its weight."""
    fields = [(task, MEASURES[task][0]) for task in TASKS.values()]
    for task, field in fields:
        rows, (items, weights) = trained(task), ITEMS[field]
        base = rows["base"].runs[0]
        weight = base[weights] if weights else [1] * len(base[items])
        for run in (run for row in rows.values() for run in row.runs):
            each = [float(value) for value in run[items]]
            mean = sum(x * w for x, w in zip(each, weight, strict=True)) / sum(weight)
            assert mean == pytest.approx(run[field], abs=1e-3), (task, run["arm"], run["seed"])
