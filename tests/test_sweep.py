"""tools/sweep.py: the plan on invented losses, and real runs of a toy model."""

import itertools
import json
import math
import sys
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import pytest
import torch
import toy

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tools"))
import baselines  # noqa: E402
import grid  # noqa: E402
import step_times  # noqa: E402
import sweep  # noqa: E402

from peft_lab import evaluate, instructions, written_answers  # noqa: E402
from peft_lab.rows import Row  # noqa: E402
from peft_lab.tasks import Task, encode  # noqa: E402

RATES = grid.rates(1e-3)
OTHER = {"base_fingerprint": "other", "task_sha256": "t"}


def experiments(best=0.01, plan="best", **changes):
    """One experiment whose loss is lowest at a known rate, and one that builds upon it."""
    return {
        "first": {
            "plan": plan,
            "seeds": 3,
            "arms": [
                grid.arm("base", "Base", grid.NO_TRAINING),
                grid.arm("a", "Fake", RATES, {"x": 1}, best=best, **changes),
            ],
        },
        "second": {
            "plan": "best",
            "seeds": 3,
            "arms": [
                grid.arm("b", "Fake", grid.around("first", "a", 3), best=best),
                grid.arm("c", "Fake", grid.NO_TRAINING, init={"trained": ["first", "a"]}),
            ],
        },
    }


class Fake:
    """In the place of `execute`: losses by formula, and a list of what was asked for."""

    def __init__(self, stop_after=math.inf, facts=None, more=None):
        self.asked, self.stop_after, self.more = [], stop_after, more or {}
        self.facts = facts or {"base_fingerprint": "b", "task_sha256": "t"}

    def __call__(self, config, items, starts, code):
        if len(self.asked) >= self.stop_after:
            raise KeyboardInterrupt
        self.asked.append(config)
        best, rate, seed = config["method"].get("best"), config["learning_rate"], config["seed"]
        distance = abs(math.log(rate / best)) if best and rate else 0.0
        # the test loss prefers another rate: it must not decide
        found = {
            "validation_nats": 4 + distance, "test_nats": 4 - distance + 0.01 * (seed or 0),
            "seconds": 1.0, "test_items": [1.0], **self.more,
        }  # fmt: skip
        if rate in config["method"].get("fails_at", []):
            found = {"error": "FloatingPointError: the loss is nan"}
        return {
            "id": sweep.identity(config), "learning_rate": rate, "seed": seed, "config": config,
            "base": config["base"], "code": "c", **self.facts, **found,
        }  # fmt: skip


@pytest.fixture
def do(tmp_path, monkeypatch):
    """do(experiments, ...) sweeps into one folder; returns the configs that were really run."""

    def sweep_all(tables, names=None, fake=None, facts=None, retry=False):
        fake = fake or Fake()
        monkeypatch.setattr(sweep, "execute", fake)
        store = sweep.Store(tmp_path, facts or {}, retry)
        plan = sweep.Plan(tables, store)
        worker = sweep.Sweep(plan, names or list(tables))
        try:
            worker.work()
            worker.trim()
        except KeyboardInterrupt:
            pass
        do.plan, do.store = plan, store
        return fake.asked

    do = sweep_all
    do.folder = tmp_path
    return do


def pairs(configs, best=0.01):
    return [(c["learning_rate"], c["seed"]) for c in configs if c["method"].get("best") == best]


def test_rates_with_one_seed_then_all_seeds_at_the_best(do):
    asked = do(experiments(), ["first"])
    assert pairs(asked) == [(r, 0) for r in RATES] + [(0.01, 1), (0.01, 2)]
    assert len(asked) == 1 + 6 + 2  # the base once


@pytest.mark.parametrize(
    "best, new",
    [(0.3, [1.0]), (1.0, [1.0, 3.0]), (1e9, [1.0, 3.0, 10.0]), (1e-9, [3e-4, 1e-4, 3e-5])],
)
def test_a_best_at_the_edge_widens_the_grid(do, best, new):
    tried = [rate for rate, seed in pairs(do(experiments(best), ["first"]), best) if seed == 0]
    assert tried[6:] == new


def test_the_ladder_has_an_end(do):
    tables = experiments(1e9)
    tables["first"]["arms"][1]["rates"] = grid.LADDER[-2:]
    assert {rate for rate, _ in pairs(do(tables, ["first"]), 1e9)} == set(grid.LADDER[-2:])


def test_a_full_grid_is_not_widened(do):
    assert pairs(do(experiments(1e9, "grid"), ["first"]), 1e9) == [
        (r, seed) for r in RATES for seed in range(3)
    ]


def test_what_it_builds_upon_comes_first(do):
    """`second` needs the best rate of first/a: its runs are made, and no others of `first`."""
    asked = do(experiments(), ["second"])
    own = [c for c in asked if c["method"].get("best")]
    assert pairs(own)[:6] == [(r, 0) for r in RATES]
    start = asked[-1]["method"]["init"]["trained"]
    assert start["method"] == {"kind": "Fake", "best": 0.01}
    assert (start["learning_rate"], start["steps"]) == (0.01, 150)
    assert asked[-1]["steps"] == 0
    assert not [c for c in asked if c["method"]["kind"] == "Base"]


def test_equal_runs_of_two_experiments_are_made_once(do):
    asked = do(experiments())
    assert len({sweep.identity(c) for c in asked}) == len(asked)
    assert len([c for c in asked if c["method"].get("best")]) == 6 + 2  # b asks for nothing new
    copies = [json.loads(f.read_text()) for f in (do.folder / "second").glob("*.json")]
    assert {c["experiment"] for c in copies} == {"second"}
    assert sorted(c["arm"] for c in copies) == ["b"] * 5 + ["c"] * 3


def test_killed_anywhere_it_goes_on_to_the_same_end(do):
    whole = [sweep.identity(c) for c in do(experiments())]
    for file in do.folder.glob("*/*.json"):
        file.unlink()
    parts = []
    while part := do(experiments(), fake=Fake(stop_after=4)):
        parts += part
    assert [sweep.identity(c) for c in parts] == whole


def test_finished_runs_are_never_repeated(do):
    assert do(experiments())
    assert do(experiments()) == []


def test_a_failed_run_is_recorded_and_the_rest_goes_on(do):
    tables = experiments(fails_at=[0.1, 0.3])
    asked = do(tables, ["first"])
    assert pairs(asked) == [(r, 0) for r in RATES] + [(0.01, 1), (0.01, 2)]
    errors = [r for r in do.store.runs.values() if "error" in r]
    assert [r["error"] for r in errors] == ["FloatingPointError: the loss is nan"] * 2
    assert do(tables, ["first"]) == []
    assert [rate for rate, _ in pairs(do(tables, ["first"], retry=True))] == [0.1, 0.3]


def test_all_rates_failing_ends_too(do, capsys):
    tables = experiments(fails_at=RATES)
    assert len(do(tables)) == 1 + 6  # what builds upon it cannot begin
    sweep.show_list(do.plan, ["first", "second"])
    assert "6 failed, best rate -" in capsys.readouterr().out


def test_runs_on_another_base_are_made_again(do):
    do(experiments(), ["first"])
    now = {("storyteller-micro", "poems"): OTHER}
    assert len(do(experiments(), ["first"], Fake(facts=OTHER), facts=now)) == 9
    assert do(experiments(), ["first"], Fake(facts=OTHER), facts=now) == []


def test_a_damaged_file_is_made_again(do):
    do(experiments(), ["first"])
    file = sorted((do.folder / "first").glob("*.json"))[0]
    file.write_text(file.read_text()[:50])
    assert [sweep.identity(c) for c in do(experiments(), ["first"])] == [file.stem]


def test_items_are_kept_at_the_chosen_rate_only(do):
    tables = experiments()
    tables["first"]["items"] = True
    do(tables)
    kept = {r["learning_rate"] for r in do.store.runs.values() if "test_items" in r}
    assert kept == {None, 0.01}
    assert not any("test_items" in r for (e, _), r in do.store.runs.items() if e == "second")
    assert do(tables) == []


def test_files_are_written_aside_and_renamed(tmp_path, monkeypatch):
    file = tmp_path / "a" / "b.json"
    sweep.write_record(file, {"x": 1, "y": [1, 2]})
    assert file.read_text() == '{\n"x": 1,\n"y": [1, 2]\n}\n'

    def killed(*_):
        raise OSError

    with monkeypatch.context() as patch:
        patch.setattr(sweep.os, "replace", killed)
        with pytest.raises(OSError):
            sweep.write_record(file, {"x": 2})
    assert json.loads(file.read_text())["x"] == 1
    with pytest.raises(ValueError):
        sweep.write_record(file, {"x": math.nan})


def test_a_process_that_dies_is_tried_again_then_recorded(do, monkeypatch, capsys):
    """Once for the neighbours of a run that took its process along, then it has failed."""

    tries = []

    class Pool:
        def __init__(self, jobs, mp_context):
            self.broken = False

        def submit(self, execute, config, *rest):
            if self.broken:
                raise BrokenProcessPool("gone")
            future = Future()
            if config["learning_rate"] == 0.03:
                tries.append(config)
                self.broken = True
                future.set_exception(BrokenProcessPool("gone"))
            else:
                future.set_result(execute(config, *rest))
            return future

        def shutdown(self, **_):
            pass

    monkeypatch.setattr(sweep, "ProcessPoolExecutor", Pool)
    monkeypatch.setattr(sweep, "execute", fake := Fake())
    monkeypatch.setattr(sweep, "materials", lambda *_: (None, None, None, fake.facts))
    store = sweep.Store(do.folder)
    plan = sweep.Plan(experiments(), store)
    assert sweep.Sweep(plan, ["first"], jobs=2).work() == 9
    assert (len(fake.asked), len(tries)) == (8, 2)
    (dead,) = [r for r in store.runs.values() if "error" in r]
    assert dead["learning_rate"] == 0.03 and dead["error"].startswith("BrokenProcessPool")


def test_arms_of_one_experiment_differ():
    for name, table in grid.EXPERIMENTS.items():
        arms = [json.dumps([arm["method"], arm.get("settings")]) for arm in table["arms"]]
        assert len(set(arms)) == len(arms), name
        assert len({arm["arm"] for arm in table["arms"]}) == len(arms), name
        assert table["seeds"] >= 3
        if name == "summary":  # at least six rates for each method
            assert all(arm["rates"] is None or len(arm["rates"]) >= 6 for arm in table["arms"])


def test_settings_of_an_arm_count_more_than_those_of_the_experiment(do):
    tables = experiments()
    tables["first"]["settings"] = {"train_rows": 9, "batch_size": 4}
    two = grid.varied(tables["first"]["arms"][1:], "train_rows", [8, 32])
    assert [a["tags"] for a in two] == [{"method": "a", "train_rows": n} for n in (8, 32)]
    tables["first"]["arms"] = two
    asked = do(tables, ["first"])
    assert {(c["train_rows"], c["batch_size"]) for c in asked} == {(8, 4), (32, 4)}
    assert len(asked) == 2 * (6 + 2)


def test_a_run_without_a_needed_field_is_made_again_at_the_chosen_rate_only(do):
    do(experiments(), ["first"])
    tables = experiments()
    tables["first"]["needs"] = ["story_nats"]
    fake = Fake(more={"story_nats": 5.0})
    asked = do(tables, ["first"], fake)
    assert pairs(asked) == [(0.01, 0), (0.01, 1), (0.01, 2)]
    assert [c["method"]["kind"] for c in asked].count("Base") == 1
    assert not do(tables, ["first"], fake)[len(asked) :]


def test_a_needed_field_that_no_run_has_ends_the_sweep(do):
    tables = experiments()
    tables["first"]["needs"] = ["beauty"]
    with pytest.raises(RuntimeError, match="beauty"):
        do(tables, ["first"])


# --- real runs --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A toy base with the four blocks of the real one, and a task of 30 rows."""
    folder = tmp_path_factory.mktemp("data")
    base = folder / "models" / "storyteller-micro"
    toy.toy_model(num_hidden_layers=4, max_position_embeddings=256).half().save_pretrained(base)
    toy.toy_tokenizer().save_pretrained(base)
    (folder / "tasks" / "poems").mkdir(parents=True)
    words = toy.TEXT.split()
    for split, first in (("train", 0), ("validation", 5), ("test", 9)):
        rows = [{"text": " ".join(words[(first + i) % 7 :][: 6 + i % 3])} for i in range(10)]
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / "tasks" / "poems" / f"{split}.jsonl").write_text(lines)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PEFT_LAB_DATA", str(folder))
        sweep.materials.cache_clear()
        yield folder
    sweep.materials.cache_clear()


SMALL = {
    "summary": {
        "plan": "best", "seeds": 3, "items": True, "arms": [
            grid.arm("base", "Base", grid.NO_TRAINING),
            grid.prompt("prompt", [0.1], length=4, init="vocabulary"),
        ],
    },
    "freed": {
        "plan": "best", "seeds": 3, "arms": [
            grid.prefix("free 0", grid.NO_TRAINING, length=4, init=grid.PROMPT, trainable=[]),
            grid.prefix("MLP", [1e-6], length=4, init="random", mlp=8),
        ],
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def swept(data, tmp_path_factory):
    out = tmp_path_factory.mktemp("out")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(grid, "WIDEN", 0)
        *_, facts = sweep.materials("storyteller-micro", "poems")
        store = sweep.Store(out / "results", {("storyteller-micro", "poems"): facts})
        plan = sweep.Plan(SMALL, store, {"steps": 5})
        sweep.Sweep(plan, list(SMALL), starts=out / "starts").work()
    return store, out / "starts"


def of(store, experiment, arm):
    runs = [r for (e, _), r in store.runs.items() if (e, r["arm"]) == (experiment, arm)]
    assert not [r["error"] for r in runs if "error" in r]
    return sorted(runs, key=lambda run: run["seed"] or 0)


def test_a_run_tells_how_it_was_made(swept):
    store, _ = swept
    (base,), prompt = of(store, "summary", "base"), of(store, "summary", "prompt")
    assert [r["seed"] for r in prompt] == [0, 1, 2]
    run = prompt[0]
    assert (run["parameters"], run["kept_parameters"]) == (4 * 32, 4 * 32)
    assert run["memory"]["optimizer"] == 2 * 4 * 4 * 32 + 4
    assert run["file_bytes"] > 4 * 4 * 32
    assert (run["steps"], run["base"]) == (5, "storyteller-micro")
    assert len(run["base_fingerprint"]) == len(run["task_sha256"]) == 16
    assert {"torch", "transformers", "python"} <= set(run["versions"])
    assert {"commit", "dirty", "code", "time"} <= set(run)
    assert run["curve"][-1][0] == 5 and run["machine"]["threads"] == 1
    assert run["step_ms_p10"] <= run["step_ms"]
    assert len({r["test_nats"] for r in prompt}) == 3  # each seed differs
    assert run["validation_nats"] < base["validation_nats"] - 0.1  # it has learned
    # the items' means, weighted by their tokens, are the mean over all tokens
    tokens = base["test_item_tokens"]
    mean = sum(n * t for n, t in zip(run["test_items"], tokens, strict=True)) / sum(tokens)
    assert mean == pytest.approx(run["test_nats"], abs=1e-3)
    assert len((store.folder / "summary" / f"{run['id']}.json").read_text()) < 2000


def test_the_prefix_starts_with_the_loss_of_the_prompt_of_its_seed(swept):
    store, starts = swept
    for free, prompt in zip(of(store, "freed", "free 0"), of(store, "summary", "prompt"),
                            strict=True):  # fmt: skip
        assert free["test_nats"] == pytest.approx(prompt["test_nats"], abs=2e-5)
        assert free["parameters"] == 0
    assert len(list(starts.iterdir())) == 3


def test_what_only_helps_training_is_not_in_the_file(swept):
    run = of(swept[0], "freed", "MLP")[0]
    assert run["kept_parameters"] == 4 * 4 * 2 * 32 < run["parameters"]
    assert run["file_bytes"] < 4 * run["kept_parameters"] + 1000


def test_check_makes_a_run_again(swept, capsys):
    store, starts = swept
    assert sweep.check(store, starts, seed=1)
    assert "difference 0.000000" in capsys.readouterr().out
    altered = {k: {**r, "test_nats": 1.0 + 1e-4 * (r["seed"] or 0)} for k, r in store.runs.items()}
    wrong = sweep.Store(Path("nowhere"))
    wrong.runs = altered
    assert not sweep.check(wrong, starts, seed=1)
    assert capsys.readouterr().out.startswith("FAIL")
    wrong.runs = {k: r for k, r in store.runs.items() if r["seed"] != 2}
    with pytest.raises(SystemExit, match="no finished run with three seeds"):
        sweep.check(wrong, starts)


@pytest.mark.parametrize("experiment", grid.EXPERIMENTS)
def test_every_arm_of_the_grid_can_be_made(data, experiment, tmp_path_factory, monkeypatch):
    model, *_ = sweep.materials("storyteller-micro", "poems")
    starts = data / "starts"
    plan = sweep.Plan(grid.EXPERIMENTS, sweep.Store(data / "none"), {"steps": 1})
    monkeypatch.setattr(plan, "_choice_of", lambda *of: 0.001)
    for arm in grid.EXPERIMENTS[experiment]["arms"]:
        config = {**plan.config(experiment, arm, 0.1, 0), "base": "storyteller-micro"}
        config |= {"task": "poems", "steps": 1}
        config.pop("families", None)
        method = sweep.make_method(config["method"], config, starts)
        if method is None:
            continue
        with method.attach(model):
            trains = arm["rates"] is not grid.NO_TRAINING
            assert (method.num_parameters() > 0) == trains, arm["arm"]
            assert method.num_parameters() == method.expected_parameters(model.config)


def test_one_method_is_trained_on_top_of_another(data, tmp_path):
    """What was trained before stays as it was, bit by bit, unless it is live."""
    model, _, task, _ = sweep.materials("storyteller-micro", "poems")
    before = {"method": {"kind": "FullFineTuning"}, "learning_rate": 0.01, "steps": 3}
    config = {**grid.SETTINGS, "steps": 3, "learning_rate": 0.1, "seed": 0}
    for live in (False, True):
        whole = {"kind": "Trained", "trained": before, "live": live}
        spec = {"kind": "Compose", "members": [whole, {"kind": "LoRA", "rank": 2}]}
        method = sweep.make_method(spec, config, tmp_path)
        alone = sweep.make_method(whole, config, tmp_path)
        with alone.attach(model):
            start = evaluate(model, task.test, pad_id=0).nats_per_token
        with method.attach(model):
            assert evaluate(model, task.test, pad_id=0).nats_per_token == pytest.approx(start)
            old = [p.detach().clone() for p in method.members[0].parameters()]
            sweep.train(model, task.train, method, {**config, "method": spec})
            new = [*method.members[0].parameters()]
            assert evaluate(model, task.test, pad_id=0).nats_per_token != pytest.approx(start)
        assert all(torch.equal(a, b) for a, b in zip(old, new, strict=True)) != live


@pytest.mark.parametrize("init", ["normal", "random", "vocabulary"])
def test_the_seed_makes_the_start(data, tmp_path, init):
    model, *_ = sweep.materials("storyteller-micro", "poems")
    starts = []
    for seed in (0, 0, 1):
        config = {**grid.SETTINGS, "seed": seed}
        spec = {"kind": "PromptTuning", "length": 3, "init": init}
        with sweep.make_method(spec, config, tmp_path).attach(model) as method:
            starts.append(method.vectors().tolist())
    assert starts[0] == starts[1] != starts[2]
    if init == "normal":  # as peft starts, far above the scale of the embeddings
        assert math.sqrt(sum(x * x for row in starts[0] for x in row) / 96) > 0.7


def test_a_diverging_run_keeps_its_error(data, tmp_path):
    config = {
        **grid.SETTINGS, "steps": 5, "learning_rate": 1e30, "seed": 0,
        "method": {"kind": "FullFineTuning"},
    }  # fmt: skip
    record = sweep.execute(config, True, tmp_path, sweep.code_state())
    assert record["error"].startswith("FloatingPointError")
    assert record["id"] == sweep.identity(config) and record["base_fingerprint"]
    model, *_ = sweep.materials("storyteller-micro", "poems")
    assert not any(p.requires_grad for p in model.parameters())  # detached all the same


def test_a_trial_must_not_go_where_the_results_are(capsys):
    with pytest.raises(SystemExit):
        sweep.main(["--steps", "3"])
    assert "name a folder with --out" in capsys.readouterr().err


def test_the_command_line(data, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(grid, "EXPERIMENTS", SMALL)
    monkeypatch.setattr(grid, "WIDEN", 0)
    arguments = ["--out", str(tmp_path), "--steps", "2", "--experiment", "summary"]
    assert sweep.main(arguments) == 0
    assert "done: 4 runs made, 4 stored, 0 failed" in capsys.readouterr().out
    assert sweep.main([*arguments, "--list"]) == 0
    assert "3 of   3 done, 0 failed, best rate 0.1" in capsys.readouterr().out
    assert sweep.main([*arguments, "--check"]) == 0
    assert sweep.main(arguments) == 0
    assert "done: 0 runs made" in capsys.readouterr().out


# --- baselines --------------------------------------------------------------------------------


def examples_of(rows):
    from peft_lab.tasks import Row, encode

    return encode([Row(s, t, i) for i, (s, t) in enumerate(rows)], toy.toy_tokenizer())


def test_a_request_is_read_and_not_scored():
    tokenizer = toy.toy_tokenizer()
    ids = tokenizer("a dog\n", add_special_tokens=False)["input_ids"]
    for example in examples_of([("", "the cat"), ("the", "cat")]):
        (asked,) = baselines.asked([example], tokenizer, "a dog")
        first, *rest = example.input_ids.tolist()
        assert asked.input_ids.tolist() == [first, *ids, *rest]
        assert baselines.scored_tokens([asked]) == baselines.scored_tokens([example])
        assert asked.labels[1 : 1 + len(ids)].tolist() == [-100] * len(ids)


def test_a_written_prompt_scores_what_a_forward_pass_by_hand_scores():
    model, tokenizer = toy.toy_model(), toy.toy_tokenizer()
    (example,) = examples_of([("", "the cat")])
    asked = baselines.asked([example], tokenizer, "a dog")
    nats = evaluate(model, asked, pad_id=0).per_example[0]
    ids = tokenizer("a dog\n", add_special_tokens=False)["input_ids"]
    whole = torch.tensor([[example.input_ids[0].item(), *ids, *example.input_ids[1:].tolist()]])
    with torch.no_grad():
        losses = model(whole).logits[0].log_softmax(-1)  # (T, V)
    own = range(1 + len(ids), whole.shape[1])
    assert nats == pytest.approx(-sum(losses[i - 1, whole[0, i]].item() for i in own), abs=1e-4)


def test_the_ngram_model_reads_the_source_and_scores_the_target_alone():
    train = examples_of([("the", "cat"), ("the", "cat"), ("a", "dog"), ("a", "dog")])
    good, bad = examples_of([("the", "cat"), ("the", "dog")])
    V = len(toy.toy_tokenizer())
    nats = [own.sum() for own in baselines.ngram(train, [good, bad], 5, V)]
    assert nats[0] < 0.6 * nats[1]  # what stood before decides
    alone = baselines.ngram(train, [good], 1, V)[0].sum()
    counts = math.log(sum(len(e.input_ids) for e in train) / 2)
    assert nats[0] < alone and alone > counts  # the target has two tokens at least


def test_counting_words_and_the_commonest_answer():
    rows = [("happy sun", "glad"), ("sun and fun", "glad"), ("fun", "glad"), ("rain", "sad")]
    train, (test, other) = examples_of(rows), examples_of([("sun", "glad"), ("rain", "sad")])
    from peft_lab.text_measures import bag_of_words, class_priors

    nats, right = baselines.by_label(baselines.always(class_priors(train)), [test, other])
    assert nats == pytest.approx([math.log(4 / 3), math.log(4)]) and right == [1, 0]
    counted = bag_of_words(train)
    assert sum(map(math.exp, counted("rain").values())) == pytest.approx(1)
    assert baselines.by_label(counted, [test, other])[1] == [1, 1]


def test_a_baseline_fills_the_fields_of_a_run(data, tmp_path):
    for spec in ({"kind": "WrittenPrompt", "text": "the"}, {"kind": "NGram", "order": 3}):
        config = {**grid.SETTINGS, "steps": 0, "learning_rate": None, "seed": None, "method": spec}
        record = sweep.execute(config, True, tmp_path, sweep.code_state())
        assert "error" not in record, record
        tokens, items = record["test_item_tokens"], record["test_items"]
        mean = sum(n * t for n, t in zip(items, tokens, strict=True)) / sum(tokens)
        assert mean == pytest.approx(record["test_nats"], abs=1e-3)
        assert record["parameters"] == 0 and record["validation_nats"] > 0


def test_rows_are_drawn_by_the_seed_and_nested():
    rows = list(range(50))
    few, more, other = (
        sweep.drawn_rows(rows, {"seed": seed, "train_rows": count})
        for seed, count in ((0, 8), (0, 32), (1, 8))
    )
    assert few == more[:8] and len(set(more)) == 32 and set(few) != set(other)
    assert sweep.drawn_rows(rows, {"seed": 0}) == rows


def test_families_limit_what_is_trained_and_validated_but_not_what_is_tested(monkeypatch):
    def examples(split):
        rows = []
        for family, rung in itertools.product("abc", ("seen words", "new words")):
            fields = {"family": family, "rung": rung, "wording": f"{family} {split}"}
            rows.append(Row(f"{fields['wording']}\nthe fox", "the end", len(rows) + 1, fields))
        return rows

    tokenizer, model = toy.toy_tokenizer(), toy.toy_model()
    splits = [encode(examples(split), tokenizer) for split in ("train", "validation", "test")]
    task = Task("instructions", *splits)
    monkeypatch.setattr(sweep, "materials", lambda *_: (model, tokenizer, task, {}))
    config = {"base": "x", "task": "instructions"}
    assert sweep.task_of(config) is task
    chosen = sweep.task_of({**config, "families": ["b"]})
    assert [len(getattr(chosen, split)) for split in ("train", "validation", "test")] == [2, 2, 6]
    found = sweep.of_this_task(model, tokenizer, chosen)
    answers = written_answers(model, tokenizer, task.test)
    right = "".join(str(int(a == "the end")) for a in answers)
    assert found["test_items_right"] == right and found["test_accuracy"] == right.count("1") / 6
    pad = tokenizer.pad_token_id
    swapped = [evaluate(model, rows, pad_id=pad) for rows in instructions.swapped(task, tokenizer)]
    assert all(len(found.per_example) == 2 for found in swapped)  # of three jobs, the other two
    means = [found.nats_per_token for found in swapped]  # all variants have the same answer
    assert found["test_items_swapped"] == pytest.approx(means, abs=6e-4)


def test_what_has_no_base_is_left_out_or_refused(data, tmp_path, monkeypatch, capsys):
    arms = [grid.arm("base", "Base", grid.NO_TRAINING)]
    tables = {
        "here": {"plan": "grid", "seeds": 3, "arms": arms},
        "away": grid.on_base("storyteller-base"),
    }
    monkeypatch.setattr(grid, "EXPERIMENTS", tables)
    assert sweep.main(["--out", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "away is left out: storyteller-base is not pre-trained" in said
    assert [file.parent.name for file in tmp_path.glob("*/*.json")] == ["here"]
    with pytest.raises(SystemExit):
        sweep.main(["--out", str(tmp_path), "--experiment", "away"])
    assert "away cannot be made: storyteller-base" in capsys.readouterr().err


def test_items_may_be_kept_for_one_arm_alone(do):
    tables = experiments()
    tables["first"]["arms"][1]["items"] = True
    tables["first"]["arms"].append(grid.arm("d", "Fake", [0.01], best=0.01, other=1))
    do(tables, ["first"])
    kept = {r["arm"] for r in do.store.runs.values() if "test_items" in r and r["seed"]}
    assert kept == {"a"}


def test_all_runs_of_a_grid_have_what_the_experiment_needs(do):
    """A run of before the field was measured is made again, in a grid as among chosen runs."""
    do(experiments(plan="grid"), ["first"])
    tables = experiments(plan="grid")
    tables["first"] |= {"needs": ["story_items"], "items": True}
    again = do(tables, ["first"], fake=Fake(more={"story_items": [1.0]}))
    assert len(pairs(again)) == len(RATES) * 3
    assert do(tables, ["first"]) == []
    tables["first"]["items"] = False
    with pytest.raises(ValueError, match="first needs story_items but does not keep"):
        do(tables, ["first"])


# --- step times -------------------------------------------------------------------------------


def test_step_times_take_turns_on_the_same_batches(data, tmp_path, monkeypatch, capsys):
    arms = [
        grid.arm("base", "Base", grid.NO_TRAINING),
        grid.arm("full", "FullFineTuning", [0.1]),
        grid.prompt("prompt", [0.1], length=4, init="vocabulary"),
    ]
    monkeypatch.setitem(grid.EXPERIMENTS, "poems", {"arms": arms})
    turns, real = [], sweep.train

    def watched(model, examples, method, config, clock):
        turns.append((type(method).__name__, config["seed"]))
        return real(model, examples, method, config, clock)

    monkeypatch.setattr(sweep, "train", watched)
    out = tmp_path / "times.json"
    out.write_text('{"another base": 1}')
    assert step_times.main(["--rounds", "3", "--steps", "3", "--out", str(out)]) == 0
    stored = json.loads(out.read_text())
    assert stored["another base"] == 1  # nothing that was there is lost
    found = stored["storyteller-micro"]
    assert found["arms"]["full"]["of_full"] == [1.0, 1.0, 1.0]
    assert len(found["arms"]["prompt"]["of_full"]) == 3 and [*found["arms"]] == ["full", "prompt"]
    assert 0 < found["arms"]["prompt"]["operations"] < found["arms"]["full"]["operations"]
    assert "".join(kind[0] for kind, _ in turns) == "FPPFFPPFFP"
    assert [seed for _, seed in turns] == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    assert "of full's" in capsys.readouterr().out


def test_a_round_is_the_median_of_its_steps_one_by_one():
    assert step_times.shares([[2, 4, 9], [3, 3, 3]], [[1, 2, 3], [4, 3, 1]]) == [2.0, 1.0]


def test_step_times_want_enough_for_a_median(capsys):
    with pytest.raises(SystemExit):
        step_times.main(["--rounds", "2"])
    assert "at least 3 rounds" in capsys.readouterr().err
