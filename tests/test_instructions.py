"""The data of `instructions`: what its datasheet says of it holds."""

import json
import re
import subprocess
import sys
from collections import Counter, defaultdict
from itertools import chain
from pathlib import Path

import pytest
from toy import toy_model

from peft_lab import evaluate, instructions
from peft_lab.tasks import IGNORE, load_task

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))
import make_instructions as made  # noqa: E402
from instruction_sentences import COLOURS, HELD_OUT, TRAINED  # noqa: E402
from near import SPLITS, TASKS, closest, read, runs, words  # noqa: E402

DATA = {split: read("instructions", split) for split in SPLITS}
FAMILIES = TRAINED | HELD_OUT
CHOICES = {"feeling": ("afraid", "angry", "happy", "sad"), "time": ("day", "night")}


def every() -> list[dict]:
    return list(chain(*DATA.values()))


def sentence(row: dict) -> str:
    return row["source"].removeprefix(row["wording"] + "\n")


def of(split: str, family: str, rung: str = "seen words") -> list[dict]:
    return [r for r in DATA[split] if (r["family"], r.get("rung", rung)) == (family, rung)]


@pytest.fixture(scope="module")
def tokenizer():
    from peft_lab.models import load_base

    return load_base("storyteller-nano")[1]


def test_files_are_what_the_tool_makes(tmp_path):
    command = [sys.executable, ROOT / "tools" / "make_instructions.py", "--folder", tmp_path]
    subprocess.run(command, check=True, capture_output=True)
    for split in SPLITS:
        kept = (TASKS / "instructions" / f"{split}.jsonl").read_bytes()
        assert (tmp_path / f"{split}.jsonl").read_bytes() == kept, "run tools/make_instructions.py"
        assert kept.isascii() and b"\r" not in kept and kept.endswith(b"}\n")


def test_counts_fields_and_rungs():
    assert [len(DATA[split]) for split in SPLITS] == [576, 96, 432]
    fields = {"source", "target", "family", "wording"}
    for split in SPLITS:
        extra = {"rung"} if split == "test" else set()
        assert all(row.keys() == fields | extra for row in DATA[split])
    for family in TRAINED:
        assert (len(of("train", family)), len(of("validation", family))) == (96, 16)
        assert [len(of("test", family, rung)) for rung in made.RUNGS] == [24, 24, 0]
    for family in HELD_OUT:  # only in test, and there on one rung
        assert [len(of("test", family, rung)) for rung in made.RUNGS] == [0, 0, 72]
        assert not of("train", family) and not of("validation", family)
    assert len({row["source"] for row in every()}) == len(every())


def test_rungs_are_told_apart_by_their_wordings():
    everywhere = [wording for wordings in FAMILIES.values() for wording in wordings]
    assert len(set(everywhere)) == 6 * len(FAMILIES) == 48
    for family, wordings in TRAINED.items():
        for split in SPLITS:
            counts = Counter(row["wording"] for row in of(split, family))
            assert counts == dict.fromkeys(wordings[:4], len(of(split, family)) // 4)
        new = of("test", family, "new words")
        assert Counter(row["wording"] for row in new) == dict.fromkeys(wordings[4:], 12)
        # the same sentences with the same answers: only the words of the instruction are new
        pairs = [{(sentence(r), r["target"]) for r in rows} for rows in (of("test", family), new)]
        assert pairs[0] == pairs[1] and len(pairs[0]) == 24
    for family, wordings in HELD_OUT.items():
        rows = of("test", family, "new task")
        assert Counter(row["wording"] for row in rows) == dict.fromkeys(wordings, 12)
    assert all(row["source"] == f"{row['wording']}\n{sentence(row)}" for row in every())


def test_nothing_leaks_from_split_to_split():
    held = {split: {sentence(row).lower() for row in rows} for split, rows in DATA.items()}
    assert not held["train"] & held["test"]
    assert not held["validation"] & (held["train"] | held["test"])
    texts = [(split, text) for split in SPLITS for text in sorted(held[split])]
    share, _, _ = closest(*zip(*((split, runs(text, 3)) for split, text in texts), strict=True))
    assert 0 < share <= 0.22  # measured: 0.214
    for family in ("past", "opposite"):  # nor does an answer of training stand in test
        trained = {row["target"] for row in of("train", family)} | held["train"]
        assert not trained & {row["target"] for row in of("test", family)}


def test_the_sentence_does_not_tell_the_family():
    asked = defaultdict(set)
    for row in every():
        asked[sentence(row)].add(row["family"])
    counts = Counter(len(families) for families in asked.values())
    assert [counts[n] for n in range(1, 6)] == [61, 279, 99, 11, 0]
    for split in SPLITS:  # asked the same, a sentence has one answer
        found = defaultdict(set)
        for row in DATA[split]:
            found[sentence(row), row["family"]].add(row["target"])
        assert max(map(len, found.values())) == 1


def test_labels_are_balanced():
    for split in SPLITS:
        for family, labels in (CHOICES | {"colour": COLOURS}).items():
            counts = Counter(row["target"] for row in of(split, family))
            assert counts == dict.fromkeys(labels, len(of(split, family)) // len(labels))
            by_wording = Counter((row["wording"], row["target"]) for row in of("train", family))
            assert set(by_wording.values()) == {96 // 4 // len(labels)}
        for family in set(TRAINED) - {"feeling", "time", "colour"}:
            assert max(Counter(row["target"] for row in of(split, family)).values()) == 1
    for family in HELD_OUT:
        counts = Counter(row["target"] for row in of("test", family, "new task"))
        assert max(counts.values()) <= 2


def test_answers_fit_their_sentences():
    named = r"happ[iy]|\bsad|afraid|\bang(er|ry)|\b(mid)?(day|night)|noon|morning|evening"
    for row in every():
        text, target, family = sentence(row), row["target"], row["family"]
        assert re.fullmatch(r"[A-Z][A-Za-z ,']+\.", text) and "  " not in text
        old, new = (words(part.replace("cannot", "can not")) for part in (text, target))
        if family in CHOICES:
            assert target in CHOICES[family] and not re.search(named, text.lower())
        elif family in ("who", "colour", "where"):
            assert f" {' '.join(new)} " in f" {' '.join(old)} "
        if family == "colour":
            assert [word for word in old if word in COLOURS] == [target]
        if family in ("past", "opposite"):  # words change, none comes, none goes
            changed = [(a, b) for a, b in zip(old, new, strict=True) if a != b]
            changed = [pair for pair in changed if pair not in (("a", "an"), ("an", "a"))]
            assert 1 <= len(changed) <= (3 if family == "past" else 1), row
        if family == "question":
            assert sorted(old) == sorted(new) and new[0] in ("is", "are", "can")
            assert target[0].isupper() and target.endswith("?")


def test_marks_and_material():
    for _, _, line in made.lines():
        plain = made.bare(line)
        assert not re.search(r"[\[\](){}<>|]", plain), line
        assert "{" in line and made.bare(line, past=True) != plain
        assert not re.search(r"\b[Aa] [aeiou]|\b[Aa]n [^aeiou]", made.bare(line, opposite=True))
    texts = [made.bare(line) for _, _, line in made.lines()]
    assert len(set(texts)) == len(texts) == 456
    pools = made.split_sentences(made.random.Random(made.SEED))
    swaps = [
        s.kinds["opposite"].split("|") for s in chain(*pools.values()) if "opposite" in s.kinds
    ]
    either = {word for pair in swaps for word in pair}
    for s in chain(*pools.values()):  # one describing word with an opposite, not two
        if "opposite" in s.kinds:
            assert len([word for word in words(s.text) if word in either]) == 1, s.text
    # and it has one opposite, but for the few that have two
    two = {word for word in either if len({b for a, b in swaps if a == word}) > 1}
    assert two <= {"old", "short"}


def test_every_row_fits_and_loads(tokenizer):
    task = load_task("instructions", tokenizer)
    assert task.datasheet == TASKS / "instructions" / "README.md"
    for split in SPLITS:
        for row, example in zip(DATA[split], getattr(task, split), strict=True):
            *scored, end = example.labels[example.labels != IGNORE].tolist()
            assert end == tokenizer.eos_token_id
            assert tokenizer.decode(scored) == row["target"] == example.target
            assert len(scored) <= 25 and len(example.input_ids) - len(scored) <= 40


def test_the_datasheet_gives_what_is_measured(tokenizer):
    text = (TASKS / "instructions" / "README.md").read_text(encoding="utf-8")
    for line in [*made.sizes(tokenizer), *made.rungs(), *made.baselines()]:
        assert line in text.splitlines(), line
    flat = " ".join(text.split())
    for fact in made.facts():
        name, _, number = fact.rpartition(": ")
        for part in json.loads(number) if number.startswith("[") else [number]:
            assert str(part) in flat, fact


def test_naive_bayes():
    label_of = made.guess([("red red hen", "a"), ("blue cow", "b"), ("the cow", "b")])
    assert [label_of(text) for text in ("red", "the blue cow", "unknown")] == ["a", "b", "b"]


def test_families_are_chosen_in_order_and_unknown_ones_named(tokenizer):
    train = load_task("instructions").train
    chosen = instructions.of_families(train, ["past", "who"])
    assert len(chosen) == 192 and {row.fields["family"] for row in chosen} == {"past", "who"}
    assert [row.line for row in chosen] == sorted(row.line for row in chosen)
    with pytest.raises(ValueError, match="none of the examples is of rhyme; there are colour, "):
        instructions.of_families(train, ["past", "rhyme"])


def test_swapped_rows_ask_for_every_other_job_of_the_rung_with_the_same_answer(tokenizer):
    task = load_task("instructions", tokenizer)
    other = instructions.swapped(task, tokenizer)
    wordings = {(row["rung"], row["wording"]): row["family"] for row in DATA["test"]}
    used = Counter()
    for row, variants in zip(task.test, other, strict=True):
        rung, family = row.fields["rung"], row.fields["family"]
        asked = []
        for swapped in variants:
            words = swapped.source.split("\n")[0]
            asked.append(wordings[rung, words])  # words of the same rung
            used[rung, words] += 1
            assert instructions.sentence(swapped) == instructions.sentence(row)
            assert swapped.target == row.target and swapped.fields == row.fields
            assert (swapped.labels != IGNORE).sum() == (row.labels != IGNORE).sum()
        jobs = HELD_OUT if rung == "new task" else TRAINED
        assert sorted(asked) == sorted(set(jobs) - {family})  # so rungs of the same jobs compare
    assert set(used) == set(wordings)  # every wording stands in for others


def test_nats_of_swapped_rows_are_means_over_the_other_jobs(tokenizer):
    task = load_task("instructions", tokenizer)
    model = toy_model(vocab_size=len(tokenizer))
    rows = [instructions.swapped(task, tokenizer)[i] for i in (0, 200, 201)]
    assert [len(row) for row in rows] == [1, 5, 5]
    pad = tokenizer.pad_token_id
    means = [sum(evaluate(model, [one], pad_id=pad).per_example[0] for one in row) / len(row)
             for row in rows]  # fmt: skip
    assert instructions.mean_nats(model, rows, pad) == pytest.approx(means, rel=1e-5)


def test_rows_in_other_words_keep_sentence_answer_and_order(tokenizer):
    task = load_task("instructions", tokenizer)
    words = instructions.wordings(task.test, "new words")
    assert set(words) == set(TRAINED)
    assert all(set(words[family]) == set(TRAINED[family][4:]) for family in TRAINED)
    rows = instructions.of_families(task.test, ["past"])
    again = instructions.reworded(rows, words["time"], tokenizer)
    for i, (row, other) in enumerate(zip(rows, again, strict=True)):
        assert other.source == f"{words['time'][i % 2]}\n{instructions.sentence(row)}"
        assert other.target == row.target and other.fields == row.fields


def stored_runs(task):
    """Runs of every arm with losses that tell arm, seed and row; half of the answers right."""
    families = list(TRAINED)
    arms = [
        f"{a}{b}"
        for a in ("full", "LoRA 8, all")
        for b in (
            "",
            ", 96 train_rows",
            ", 1200 steps",
            *(f", {family} only" for family in families),
        )
    ]
    runs = []
    for k, arm in enumerate([*arms, "prompt", "base"]):
        for seed in (None,) if arm == "base" else range(3):
            items = [k + 0.1 * (seed or 0) + 0.001 * i for i in range(len(task.test))]
            runs.append({
                "arm": arm, "tags": {}, "seed": seed,
                "learning_rate": None if seed is None else 0.1,
                "parameters": k, "kept_parameters": k, "file_bytes": 1, "memory": None,
                "step_ms": None, "experiment": "instructions", "base_fingerprint": "b",
                "task_sha256": "t", "validation_nats": 1.0, "test_nats": 1.0, "config": {},
                "test_items": items, "test_items_swapped": [v + k for v in items],
                "test_items_right": "01" * (len(items) // 2),
                "test_item_tokens": [1 + i % 3 for i in range(len(items))],
            })  # fmt: skip
    return runs, arms


def test_the_ladder_asks_each_specialist_for_its_own_job_and_all_for_a_new_one():
    task = load_task("instructions")
    runs, arms = stored_runs(task)
    ladder = instructions.Ladder(task, runs)
    number = {arm: k for k, arm in enumerate(arms)}
    for seed in range(3):
        one = ladder.runs["one task, few"][seed]
        for i, row in enumerate(task.test):
            family, extra = row.fields["family"], 0.1 * seed + 0.001 * i
            own = [number[f"LoRA 8, all, {f} only"] for f in TRAINED if family in (f, *HELD_OUT)]
            assert one["test_items"][i] == pytest.approx(sum(own) / len(own) + extra)
    assert ladder.seeds("base", "worth", "new task") == pytest.approx([len(arms) + 1])
    at = ladder.places("seen words", "past")
    assert {task.test[i].fields["family"] for i in at} == {"past"} and len(at) == 24
    weights = [1 + i % 3 for i in at]
    mean = sum(0.001 * i * w for i, w in zip(at, weights, strict=True)) / sum(weights)
    full = number["full"]
    assert ladder.seeds("many tasks, all", "loss", "seen words", "past") == pytest.approx(
        [full + mean, full + 0.1 + mean, full + 0.2 + mean]
    )
    right = [float(i % 2) for i in ladder.places("new words")]
    assert ladder.seeds("base", "right", "new words") == [sum(right) / len(right)]
    assert ladder.rates["time only, few"] == (0.1, [0.1]) and "base" not in ladder.rates
    assert not {"one task, all", "one task, few"} & set(ladder.rates)  # each job has its own
    with pytest.raises(ValueError, match="no test row is on the rung 'new task' and of .*'past'"):
        ladder.places("new task", "past")


def test_the_ladder_draws_rows_of_one_sentence_together(monkeypatch):
    task = load_task("instructions")
    runs, arms = stored_runs(task)
    asked = {}
    monkeypatch.setattr(instructions, "compare_items",
                        lambda high, low, weights, groups: asked.update(locals()))  # fmt: skip
    ladder = instructions.Ladder(task, runs)
    ladder.compare("base", "many tasks, few", "worth", "seen words")
    at = ladder.places("seen words")
    assert asked["groups"] == [instructions.sentence(task.test[i]) for i in at]
    assert asked["weights"] == [ladder.tokens[i] for i in at]
    assert len(asked["high"]) == 1 and len(asked["low"]) == 3
    assert asked["high"][0] == pytest.approx([len(arms) + 1] * len(at))  # of the base
    ladder.compare("base", "many tasks, few", "right", "seen words")
    assert set(asked["weights"]) == {1}


def test_specialists_of_other_seeds_are_not_joined():
    task = load_task("instructions")
    runs, _ = stored_runs(task)
    for run in runs:
        if run["arm"] == "full, past only":
            run["seed"] += 1
    with pytest.raises(ValueError, match="must have one seed"):
        instructions.Ladder(task, runs)
