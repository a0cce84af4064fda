"""results.py: the choice of a learning rate, spreads over seeds, and what may not be compared."""

import json
import math

import pytest

from peft_lab import results


def run(arm="prompt", rate=0.1, seed=0, validation=4.0, test=4.1, **changes) -> dict:
    record = {
        "experiment": "summary", "arm": arm, "tags": {}, "id": f"{arm}{rate}{seed}",
        "learning_rate": rate, "seed": seed, "steps": 150, "base": "storyteller-micro",
        "base_fingerprint": "f" * 16, "task_sha256": "a" * 16, "config": {},
        "parameters": 2560, "kept_parameters": 2560, "file_bytes": 10_500,
        "memory": {"activations": 1000}, "step_ms": 40.0 + (seed or 0),
        "validation_nats": validation, "test_nats": test,
    }  # fmt: skip
    return record | changes


def failed(arm="prompt", rate=1.0, seed=0) -> dict:
    record = run(arm, rate, seed, error="FloatingPointError: step 3")
    for name in ("validation_nats", "test_nats", "parameters", "memory", "step_ms"):
        del record[name]
    return record


def five_seeds(arm="prompt", rate=0.1, shift=0.0, **changes) -> list[dict]:
    return [run(arm, rate, s, 4.0 + shift, 4.0 + shift + 0.1 * s, **changes) for s in range(5)]


def test_rate_is_chosen_on_validation_not_on_test():
    runs = [run(rate=0.03, validation=4.2, test=3.0), run(rate=0.1, validation=4.0, test=5.0)]
    assert results.best_learning_rate(runs) == 0.1


def test_rate_is_chosen_on_the_seeds_that_all_rates_have():
    """Seed 0 prefers 0.1; its four further seeds were unlucky, which 0.03 never had to show."""
    runs = [run(rate=0.03, validation=4.1), run(rate=0.1, validation=4.0)]
    runs += [run(rate=0.1, seed=seed, validation=5.0) for seed in range(1, 5)]
    assert results.best_learning_rate(runs) == 0.1


def test_failed_run_is_infinitely_bad():
    assert results.best_learning_rate([run(rate=0.1), failed(rate=1.0)]) == 0.1
    with pytest.raises(ValueError, match="all runs of 'prompt' have failed: FloatingPointError"):
        results.best_learning_rate([failed()])


def test_rate_of_several_arms_is_an_error():
    with pytest.raises(ValueError, match="one arm, not of"):
        results.best_learning_rate([run("prompt"), run("prefix")])


def test_rates_without_a_common_seed_are_an_error():
    with pytest.raises(ValueError, match="no seed in common"):
        results.best_learning_rate([run(rate=0.1, seed=0), run(rate=0.3, seed=1)])


def test_spread():
    spread = results.Spread((1.0, 2.0, 3.0, 6.0))
    assert (spread.mean, spread.low, spread.high, len(spread)) == (3.0, 1.0, 6.0, 4)
    assert spread.sd == pytest.approx(math.sqrt((4 + 1 + 0 + 9) / 3))  # over n - 1
    assert results.Spread((1.0,)).sd == 0.0


def test_summary():
    runs = five_seeds("full", 0.001, parameters=1_000_000) + five_seeds("prompt", 0.1, shift=0.5)
    runs += [run("prompt", 0.3, validation=9.0), run("prompt", 0.03, validation=9.0)]
    prompt, full = results.summary(runs)  # fewest parameters first
    assert (prompt.arm, full.arm) == ("prompt", "full")
    assert (prompt.learning_rate, prompt.at_edge, prompt.seeds) == (0.1, False, 5)
    assert prompt.loss.mean == pytest.approx(4.7)
    assert (prompt.loss.low, prompt.loss.high) == (4.5, 4.9)
    assert (prompt.step_ms, prompt.activation_bytes) == (42.0, 1000)
    assert results.summary(runs, "validation_nats")[0].loss.sd == 0


def test_summary_says_when_the_best_rate_is_at_the_edge():
    runs = five_seeds() + [run(rate=0.03, validation=9.0)]
    assert results.summary(runs)[0].at_edge


def test_summary_counts_failed_rates_as_tried():
    assert not results.summary([*five_seeds(), run(rate=0.03, validation=9.0), failed(rate=0.3)])[
        0
    ].at_edge


def test_summary_refuses_fewer_than_three_seeds():
    with pytest.raises(ValueError, match="'prompt' has 2 seeds at learning rate 0.1"):
        results.summary(five_seeds()[:2])
    assert results.summary(five_seeds()[:3])


def test_the_base_alone_needs_no_seeds():
    base = run("base", None, None, memory=None, step_ms=None, parameters=0)
    rows = results.summary([base, *five_seeds()])
    assert (rows[0].arm, rows[0].seeds, rows[0].learning_rate) == ("base", 1, None)


@pytest.mark.parametrize("name", ["base_fingerprint", "task_sha256"])
@pytest.mark.parametrize("function", [results.summary, results.by_rate])
def test_what_does_not_compare_is_refused(name, function):
    with pytest.raises(ValueError, match=f"different {name} cannot be compared"):
        function(five_seeds() + five_seeds("prefix", **{name: "0" * 16}))


def test_by_rate_shows_failures_as_infinite():
    table = results.by_rate([run(rate=0.3, seed=1), run(rate=0.1), run(rate=0.3), failed()])
    assert list(table["prompt"]) == [0.1, 0.3, 1.0]
    assert table["prompt"][0.3].values == (4.1, 4.1)
    assert table["prompt"][1.0].mean == math.inf


def stored(folder, runs):
    (folder / "summary").mkdir()
    for record in runs:
        (folder / "summary" / f"{record['id']}.json").write_text(json.dumps(record))


def test_load_runs(tmp_path):
    stored(tmp_path, [run(seed=1), run(seed=0), run("base", None, None), failed()])
    runs = results.load_runs("summary", folder=tmp_path)
    assert [(r["arm"], r["seed"]) for r in runs] == [("base", None), ("prompt", 0), ("prompt", 1)]
    assert len(results.load_runs("summary", failed=True, folder=tmp_path)) == 4


def test_load_runs_names_the_command_and_the_damaged_file(tmp_path):
    with pytest.raises(FileNotFoundError, match="python tools/sweep.py --experiment nothing"):
        results.load_runs("nothing", folder=tmp_path)
    stored(tmp_path, [run()])
    (tmp_path / "summary" / "half.json").write_text('{"arm": "pro')
    with pytest.raises(ValueError, match="half.json is damaged"):
        results.load_runs("summary", folder=tmp_path)


def test_origin():
    assert results.origin([*five_seeds(), run(rate=0.3)]) == (
        "stored, 5 seeds, python tools/sweep.py --experiment summary"
    )


def test_a_loss_that_is_no_number_is_never_the_best():
    losses = {0.01: math.nan, 0.1: 4.0, 1.0: 3.9}
    runs = [run(rate=rate, validation=loss) for rate, loss in losses.items()]
    assert results.best_learning_rate(runs) == 1.0
    assert results.rate_losses(runs)[0.01] == math.inf


TIMES = {
    "base_fingerprint": "f" * 16, "task_sha256": "a" * 16, "base": "storyteller-micro",
    "arms": {"prompt": {"step_ms": 50.1, "of_full": [0.9, 0.7, 0.8, 2.0], "operations": 7}},
}  # fmt: skip


def times(folder, **changes) -> dict:
    stored = {"storyteller-micro": TIMES | changes}
    (folder / "step_times.json").write_text(json.dumps(stored))
    return results.step_times([run(), failed()], folder=folder)


def test_step_times_are_told_in_steps_of_full_fine_tuning(tmp_path):
    found = times(tmp_path)["prompt"]
    assert (found.of_full, found.step_ms, found.operations) == (pytest.approx(0.85), 50.1, 7)
    assert found.quartiles[0] < found.of_full < found.quartiles[1] < 2


def test_step_times_are_of_the_base_and_the_task_of_the_runs(tmp_path):
    for name in ("base_fingerprint", "task_sha256"):
        with pytest.raises(ValueError, match=f"different {name} .* the step times"):
            times(tmp_path, **{name: "0" * 16})


def test_step_times_that_are_not_there_name_their_command(tmp_path):
    small = [run(base="storyteller-small")]
    with pytest.raises(FileNotFoundError, match="stored are: none"):
        results.step_times(small, folder=tmp_path)
    times(tmp_path)
    with pytest.raises(FileNotFoundError, match="step_times.py --base storyteller-small"):
        results.step_times(small, folder=tmp_path)


def test_the_stored_step_times_are_of_all_that_was_trained_on_poems():
    runs = results.load_runs("poems")
    found = results.step_times(runs)
    assert set(found) == {r["arm"] for r in runs if r["steps"]}
    assert all(len(one.rounds) >= 20 for one in found.values())
    assert set(found["full"].rounds) == {1.0}
