"""A killed run goes on to the bits of a run never killed.

`course.py test --long`, or PEFT_LAB_LONG=1, kills 20 times instead of 3.
"""

import contextlib
import json
import os
import pickletools
import random
import subprocess
import sys
import time
from pathlib import Path

import numpy
import pytest
import torch
from killed_run import SETTINGS, NoisyModel
from safetensors.torch import load_file, save_file
from tiny import fill, tiny
from toy import toy_examples, toy_task

from peft_lab import checkpoint, training
from peft_lab.methods import Compose, LoRA, PromptTuning, Switch
from peft_lab.tasks import Task
from peft_lab.training import fit

SHORT = {**SETTINGS, "steps": 12, "evaluate_every": 2, "checkpoint_every": 2}


def start(folder: Path, name: str, steps: int) -> subprocess.Popen:
    """A training process; it prints a line at each forward pass."""
    script = Path(__file__).with_name("killed_run.py")
    files = [str(folder / f"{name}.ckpt"), str(folder / name)]
    command = [sys.executable, str(script), *files, str(steps)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def finish(process: subprocess.Popen) -> None:
    process.communicate(timeout=300)
    assert process.returncode == 0


def stamp(path: Path) -> tuple | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def kill(process: subprocess.Popen, passes: int, delay: float, part: Path, aim: bool) -> bool:
    """Kill a run `delay` seconds after so many forward passes, or after its next write began.

    Returns:
        True if it died inside a write.
    """
    for _ in range(passes):
        assert process.stdout.readline() == "forward\n", "the run was over before it was killed"
    before = stamp(part)  # may be left over by a run that was killed before
    if aim:
        while stamp(part) in (before, None) and process.poll() is None:
            pass  # without sleeping: a write takes milliseconds
    deadline = time.perf_counter() + delay
    while time.perf_counter() < deadline:
        pass
    process.kill()
    process.communicate()
    # a write that was completed has renamed its file
    return stamp(part) not in (before, None)


def history_of(folder: Path, name: str) -> dict:
    history = json.loads((folder / name).with_suffix(".json").read_text())
    return {key: value for key, value in history.items() if key != "seconds"}


def test_killed_at_any_moment_it_ends_in_the_same_bits(tmp_path, pytestconfig):
    many = pytestconfig.getoption("--long", default=False) or os.environ.get("PEFT_LAB_LONG") == "1"
    kills, wanted_inside, steps = (20, 6, 400) if many else (3, 1, 90)
    finish(start(tmp_path, "whole", steps))

    draw = random.Random(0)  # the moments differ all the same: no two runs take the same time
    path, part = tmp_path / "killed.ckpt", tmp_path / "killed.ckpt.part"
    killed = inside = done = 0
    while killed < kills or inside < wanted_inside:
        aim = inside < wanted_inside and killed % 2 == 1
        process = start(tmp_path, "killed", steps)
        # the first eight passes reach a checkpoint: so there is one to go on from
        delay = draw.uniform(0, 0.002 if aim else 0.02)
        inside += kill(process, draw.randint(8, 28), delay, part, aim)
        killed += 1
        before, done = done, checkpoint.read_checkpoint(path)[1]["history"]["steps"]
        assert before < done < steps
    finish(start(tmp_path, "killed", steps))
    print(f"{killed} kills, {inside} of them inside a write")

    whole, resumed = load_file(tmp_path / "whole"), load_file(tmp_path / "killed")
    assert whole.keys() == resumed.keys()
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    assert history_of(tmp_path, "whole") == history_of(tmp_path, "killed")
    assert not part.exists()


class Stopped(Exception):
    pass


def stop_after(calls: int, model: NoisyModel) -> None:
    """Let the model's next forward pass but so many raise: a kill inside this process."""
    counted = iter(range(calls))

    def hook(module, args):
        if next(counted, None) is None:
            raise Stopped

    model.register_forward_pre_hook(hook)


def run(path: Path | None, calls: int | None = None, **changes):
    model = NoisyModel(16)
    if calls is not None:
        stop_after(calls, model)
        with pytest.raises(Stopped):
            fit(model, toy_task(), model, checkpoint=path, **{**SHORT, **changes})
        return None
    history = fit(model, toy_task(), model, checkpoint=path, **{**SHORT, **changes})
    return model.state_dict(), history


def assert_same(first, second):
    (weights, history), (other_weights, other_history) = first, second
    assert all(torch.equal(weights[name], other_weights[name]) for name in weights)
    untimed = [{**h.to_dict(), "seconds": 0} for h in (history, other_history)]
    assert untimed[0] == untimed[1]


@pytest.mark.parametrize("calls", range(3, 30, 4))
def test_stopped_at_any_forward_pass_it_ends_in_the_same_bits(tmp_path, calls):
    whole = run(None)
    run(tmp_path / "c", calls)
    torch.manual_seed(calls), random.seed(calls), numpy.random.seed(calls)  # all that is around
    assert_same(whole, run(tmp_path / "c"))


def test_early_stopping_goes_on_counting(tmp_path, monkeypatch):
    """Three bad validations in a row, the run stopped in their midst."""
    true_evaluate = training.evaluate

    def worse_and_worse(model, examples, *, pad_id):
        result = true_evaluate(model, examples, pad_id=pad_id)
        step = int(model.norm.num_batches_tracked)  # two batches a step
        return type(result)(float(100 + abs(step - 4)), 0.0, 1, [], [])

    monkeypatch.setattr(training, "evaluate", worse_and_worse)
    options = {"patience": 3, "evaluate_every": 1, "checkpoint_every": 1}
    whole = run(None, **options)
    assert whole[1].best == (2, 100.0) and whole[1].stopped == "no better in 3 validations"
    run(tmp_path / "c", 12, **options)
    assert_same(whole, run(tmp_path / "c", **options))


def test_a_finished_run_is_read_back_without_a_step(tmp_path):
    first = run(tmp_path / "c")
    model = NoisyModel(16)
    stop_after(0, model)
    history = fit(model, toy_task(), model, checkpoint=tmp_path / "c", **SHORT)
    assert_same(first, (model.state_dict(), history))
    assert history == first[1]


def test_an_optimizer_without_tensors_in_its_groups_resumes_too(tmp_path):
    options = {"optimizer": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True)}
    whole = run(None, **options)
    run(tmp_path / "c", 15, **options)
    assert_same(whole, run(tmp_path / "c", **options))


def test_the_seconds_of_all_parts_add_up(tmp_path, monkeypatch):
    clock = iter(range(0, 10_000, 10))
    monkeypatch.setattr(training.time, "perf_counter", lambda: float(next(clock)))
    whole = run(None, evaluate_every=0, patience=None, keep_best=False)
    assert whole[1].seconds == 120.0  # the clock is read at the beginning and after each step
    options = {"evaluate_every": 0, "patience": None, "keep_best": False}
    run(tmp_path / "c", 8, **options)
    assert run(tmp_path / "c", **options)[1].seconds == 120.0


def test_the_file_is_safetensors_and_no_pickle(tmp_path):
    run(tmp_path / "c")
    tensors = load_file(tmp_path / "c")
    assert {name.split("/")[0] for name in tensors} >= {"weights", "optimizer", "random"}
    content = (tmp_path / "c").read_bytes()
    length = int.from_bytes(content[:8], "little")
    assert json.loads(content[8 : 8 + length]).keys() == {*tensors, "__metadata__"}
    with pytest.raises(ValueError):  # the first byte is that of a length: any opcode, or none
        list(pickletools.genops(content))
    assert [file.name for file in tmp_path.iterdir()] == ["c"]


def test_a_write_that_fails_leaves_the_old_checkpoint(tmp_path, monkeypatch):
    checkpoint.write_checkpoint(tmp_path / "c", {"x": torch.ones(2)}, {"n": 1})

    def fail(*args):
        raise OSError("disk full")

    monkeypatch.setattr(checkpoint.os, "fsync", fail)
    with pytest.raises(OSError, match="disk full"):
        checkpoint.write_checkpoint(tmp_path / "c", {"x": torch.zeros(2)}, {"n": 2})
    tensors, state = checkpoint.read_checkpoint(tmp_path / "c")
    assert state == {"n": 1} and tensors["x"].tolist() == [1, 1]


def test_the_content_is_on_the_disk_before_it_gets_its_name(tmp_path, monkeypatch):
    events = []
    true_fsync, true_replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda f: (events.append("fsync"), true_fsync(f)))
    monkeypatch.setattr(os, "replace", lambda a, b: (events.append("replace"), true_replace(a, b)))
    checkpoint.write_checkpoint(tmp_path / "c", {"x": torch.ones(2)}, {})
    assert events[:2] == ["fsync", "replace"]


@pytest.mark.parametrize("kept", [0, 5, 100, 0.5, 0.999])
def test_a_truncated_checkpoint_is_named(tmp_path, kept):
    run(tmp_path / "c")
    content = (tmp_path / "c").read_bytes()
    (tmp_path / "c").write_bytes(content[: int(kept * len(content)) if kept < 1 else kept])
    with pytest.raises(ValueError, match=r"checkpoint .*c' is truncated"):
        run(tmp_path / "c")


def test_foreign_files_are_named(tmp_path):
    (tmp_path / "text").write_text("these are not the weights that you are looking for")
    with pytest.raises(ValueError, match="text.*no checkpoint"):
        run(tmp_path / "text")
    save_file({"x": torch.ones(2)}, tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match=r"model\.safetensors.*none that fit wrote"):
        run(tmp_path / "model.safetensors")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("steps", 13), ("learning_rate", 1e-2), ("seed", 6), ("batch_size", 4), ("accumulate", 1),
        ("warmup", 0.2), ("decay", "cosine"), ("clip", None), ("weight_decay", 0.1),
        ("evaluate_every", 3), ("patience", 7), ("keep_best", False),
    ],
)  # fmt: skip
def test_a_checkpoint_of_other_settings_is_refused_by_name(tmp_path, name, value):
    run(tmp_path / "c")
    with pytest.raises(ValueError, match=rf"another run: {name} was .* and is {value!r} now"):
        run(tmp_path / "c", **{name: value})


def test_a_checkpoint_of_another_task_model_or_optimizer_is_refused(tmp_path):
    run(tmp_path / "c")
    model, task = NoisyModel(16), toy_task()
    other = Task("other", toy_examples(20, seed=9), task.validation, [])
    with pytest.raises(ValueError, match="task was"):
        fit(model, other, model, checkpoint=tmp_path / "c", **SHORT)
    with pytest.raises(ValueError, match="optimizer was 'AdamW' there and is 'SGD' now"):
        run(tmp_path / "c", optimizer=lambda p: torch.optim.SGD(p, lr=0.1))
    wider = NoisyModel(20)
    with pytest.raises(ValueError, match="parameters was"):
        fit(wider, task, wider, checkpoint=tmp_path / "c", **SHORT)


def test_a_checkpoint_of_another_start_frozen_member_or_row_is_refused(tmp_path):
    """These are not in the checkpoint's weights, and change what they mean."""
    model = tiny("llama", dtype=torch.float32)

    def train(name, method, rows=None):
        with method.attach(model):
            with method.rows(rows) if rows else contextlib.nullcontext():
                fit(model, toy_task(), method, checkpoint=tmp_path / name, **SHORT)

    def frozen(seed):
        lora = LoRA(2).attach(model)
        fill(lora, seed)
        lora.detach()
        return Compose([lora.requires_grad_(False), PromptTuning(2)])

    train("frozen", frozen(1))
    train("frozen", frozen(1))
    with pytest.raises(ValueError, match="another run: frozen was"):
        train("frozen", frozen(2))
    start = torch.zeros(2, model.config.hidden_size)
    train("start", PromptTuning(2, init=start))
    train("start", PromptTuning(2, init=start.clone()))
    with pytest.raises(ValueError, match="another run: module was"):
        train("start", PromptTuning(2, init=start + 1))
    train("rows", Switch({"a": LoRA(2), "b": LoRA(2)}), ["a"])
    with pytest.raises(ValueError, match="rows was 'a' there and is 'b' now"):
        train("rows", Switch({"a": LoRA(2), "b": LoRA(2)}), ["b"])


def test_a_checkpoint_of_another_base_is_refused(tmp_path):
    def train_head(path, spoil):
        model = NoisyModel(16)
        model.embedding.requires_grad_(False).weight.add_(spoil)
        fit(model, toy_task(), model.head, checkpoint=path, **SHORT)

    train_head(tmp_path / "c", 0.0)
    with pytest.raises(ValueError, match="base was"):
        train_head(tmp_path / "c", 0.5)
