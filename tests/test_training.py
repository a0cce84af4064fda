import json
import math
import random
import sys
from types import SimpleNamespace

import numpy
import pytest
import torch
from tiny import tiny
from torch import nn
from toy import toy_examples, toy_task

from peft_lab import plots, progress, training
from peft_lab.evaluation import evaluate
from peft_lab.methods import Compose, LayerFreezing, PrefixTuning, PromptTuning, PTuning
from peft_lab.training import History, fit, learning_rate_share


def weights(module):
    return {name: p.detach().clone() for name, p in module.named_parameters()}


def same(first, second):
    return all(torch.equal(first[name], second[name]) for name in first)


def test_four_times_four_equals_one_times_sixteen():
    small, large = tiny("llama"), tiny("llama")
    first = fit(small, toy_examples(18), small, steps=5, batch_size=4, accumulate=4)
    second = fit(large, toy_examples(18), large, steps=5, batch_size=16)
    for name, value in weights(small).items():
        torch.testing.assert_close(value, weights(large)[name], rtol=0, atol=1e-12)
    assert [x for _, x in first.train] == pytest.approx([x for _, x in second.train], abs=1e-12)


def test_the_loss_of_a_step_is_that_of_all_its_tokens():
    model, examples = tiny("llama"), toy_examples(16)
    expected = evaluate(model, examples, pad_id=0).nats_per_token
    history = fit(model, examples, model, steps=1, batch_size=4, accumulate=4)
    assert history.train == [(1, pytest.approx(expected, rel=1e-12))]


def test_steps_are_those_of_adamw():
    model, twin, examples = tiny("llama"), tiny("llama"), toy_examples(8)
    options = {"warmup": 0, "decay": "constant", "clip": None, "weight_decay": 0.1}
    fit(model, examples, model, steps=2, batch_size=4, **options)
    stepper = torch.optim.AdamW(twin.parameters(), lr=1e-3, weight_decay=0.1)
    for batch in training.batches(examples, 4, pad_id=0, seed=0, epochs=1):
        nats, count = training.scored_nll(twin, batch)
        stepper.zero_grad()
        (nats / count).backward()
        stepper.step()
    assert same(weights(model), weights(twin))


def test_it_learns():
    model = tiny("llama", dtype=torch.float32, scale=0)
    history = fit(model, toy_task(8, 4), model, steps=40, learning_rate=1e-2)
    assert history.train[-1][1] < history.train[0][1] - 1


@pytest.mark.parametrize("method", [LayerFreezing.top(1), PromptTuning(3)], ids=["top", "prompt"])
def test_only_the_module_is_trained(method):
    model = tiny("gpt2", dtype=torch.float32)
    before = weights(model)
    with method.attach(model):
        start = weights(method)
        fit(model, toy_task(), method, steps=3)
        assert not same(start, weights(method))
        assert all(p.grad is None for p in (*model.parameters(), *method.parameters()))
    assert same(before, weights(model))


def test_warm_up_rises_and_each_decay_falls_to_nearly_zero():
    def shares(decay, warmup=0.25):
        return [learning_rate_share(step, 8, warmup, decay) for step in range(8)]

    assert shares("linear") == pytest.approx([1 / 2, 1, 1, 5 / 6, 4 / 6, 3 / 6, 2 / 6, 1 / 6])
    assert shares("constant") == [0.5, 1, 1, 1, 1, 1, 1, 1]
    cosine = [(1 + math.cos(math.pi * k / 6)) / 2 for k in range(6)]
    assert shares("cosine") == pytest.approx([0.5, 1, *cosine])
    assert shares("linear", warmup=0)[0] == 1
    assert shares("linear", warmup=1) == [k / 8 for k in range(1, 9)]


def test_the_rates_of_the_schedule_are_the_ones_used():
    model, used = tiny("llama"), []

    class Spy(torch.optim.SGD):
        def step(self, closure=None):
            used.append([group["lr"] for group in self.param_groups])
            return super().step(closure)

    def two_groups(parameters):
        first, *rest = parameters
        return Spy([{"params": [first], "lr": 0.1}, {"params": rest, "lr": 0.01}])

    history = fit(model, toy_examples(4), model, steps=4, warmup=0.5, optimizer=two_groups)
    assert history.learning_rates == pytest.approx([0.05, 0.1, 0.1, 0.05])
    torch.testing.assert_close(used, [[r, r / 10] for r in history.learning_rates])


def test_clip_bounds_the_norm_over_all_parameters():
    norms = []

    class Spy(torch.optim.SGD):
        def step(self, closure=None):
            gradients = [p.grad for g in self.param_groups for p in g["params"]]
            norms.append(float(torch.nn.utils.get_total_norm(gradients)))

    for clip in (0.01, None):
        model = tiny("llama")
        make = lambda parameters: Spy(parameters, lr=0.1)  # noqa: E731
        fit(model, toy_examples(4), model, steps=1, clip=clip, optimizer=make)
    assert norms[0] == pytest.approx(0.01, rel=1e-3) and norms[1] > 0.1


def test_validation_comes_first_last_and_every_so_often():
    def validated(**options):
        model = tiny("llama", dtype=torch.float32)
        return [step for step, _ in fit(model, toy_task(), model, **options).validation]

    assert validated(steps=10) == [0, 2, 4, 6, 8, 10]
    assert validated(steps=7, evaluate_every=3) == [0, 3, 6, 7]
    assert validated(steps=3, evaluate_every=0) == []


def test_validation_changes_nothing():
    with_it, without = tiny("gpt2", dtype=torch.float32), tiny("gpt2", dtype=torch.float32)
    fit(with_it, toy_task(), with_it, steps=6, evaluate_every=1)
    fit(without, toy_task(), without, steps=6, evaluate_every=0)
    assert same(weights(with_it), weights(without))


def test_early_stopping_and_the_best_weights(monkeypatch):
    losses, seen = iter([5.0, 4.0, 3.0, 3.5, 3.0, 2.0]), []

    def scripted(model, examples, *, pad_id):
        seen.append(weights(model))
        return SimpleNamespace(nats_per_token=next(losses))

    monkeypatch.setattr(training, "evaluate", scripted)
    model = tiny("llama", dtype=torch.float32)
    history = fit(model, toy_task(), model, steps=20, evaluate_every=2, patience=2, keep_best=True)
    assert history.validation == [(0, 5.0), (2, 4.0), (4, 3.0), (6, 3.5), (8, 3.0)]
    assert history.best == (4, 3.0) and history.steps == 8
    assert history.stopped == "no better in 2 validations"
    assert same(weights(model), seen[2]) and not same(seen[2], seen[4])


def test_the_last_weights_stay_without_keep_best(monkeypatch):
    losses, seen = iter([1.0, 2.0, 3.0]), []

    def scripted(model, examples, *, pad_id):
        seen.append(weights(model))
        return SimpleNamespace(nats_per_token=next(losses))

    monkeypatch.setattr(training, "evaluate", scripted)
    model = tiny("llama", dtype=torch.float32)
    history = fit(model, toy_task(), model, steps=2, evaluate_every=1)
    assert history.best == (0, 1.0) and same(weights(model), seen[-1])


def test_a_seed_decides_order_and_dropout_and_the_random_state_stays():
    def run(seed):
        model = tiny("gpt2", dtype=torch.float32)  # with dropout
        fit(model, toy_task(), model, steps=3, seed=seed)
        return weights(model)

    torch.manual_seed(5), random.seed(5), numpy.random.seed(5)
    state = torch.get_rng_state(), random.getstate(), numpy.random.get_state()[1].tolist()
    first = run(0)
    after = torch.get_rng_state(), random.getstate(), numpy.random.get_state()[1].tolist()
    assert torch.equal(state[0], after[0]) and state[1:] == after[1:]
    torch.manual_seed(6)
    assert same(first, run(0))
    assert not same(first, run(1))


def test_dropout_is_on_while_training_and_the_flags_come_back():
    model = tiny("gpt2", dtype=torch.float32)
    plain = tiny("gpt2", dtype=torch.float32, resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0)
    for each in (model, plain):
        each.transformer.h[1].train()
        flags = [part.training for part in each.modules()]
        fit(each, toy_examples(8), each, steps=1)
        assert [part.training for part in each.modules()] == flags
    assert not same(weights(model), weights(plain))


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_stops_with_step_and_rate_and_keeps_the_weights(bad):
    model, kept = tiny("llama", dtype=torch.float32), []

    class Spy(torch.optim.SGD):
        def step(self, closure=None):
            super().step(closure)
            kept.append(weights(model))

    def spoil(body, args, output):
        if len(kept) == 2:
            output.last_hidden_state = output.last_hidden_state * bad
        return output

    model.model.register_forward_hook(spoil)
    with pytest.raises(FloatingPointError, match=r"step 3: .*nan.* learning rate 0\.002"):
        fit(
            model, toy_examples(4), model, steps=5, warmup=0, decay="constant",
            optimizer=lambda parameters: Spy(parameters, lr=0.002),
        )  # fmt: skip
    assert len(kept) == 2 and same(weights(model), kept[-1])
    assert all(p.grad is None for p in model.parameters())


def test_an_infinite_gradient_of_a_finite_loss_stops_too():
    model = tiny("llama", dtype=torch.float32)
    model.model.norm.weight.register_hook(lambda gradient: gradient * math.inf)
    before = weights(model)
    with pytest.raises(FloatingPointError, match="step 1"):
        fit(model, toy_examples(4), model, steps=5)
    assert same(weights(model), before)


def test_gradients_left_behind_do_not_count():
    model, twin = tiny("llama"), tiny("llama")
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    for each in (model, twin):
        fit(each, toy_examples(4), each, steps=1)
    assert same(weights(model), weights(twin))


def test_history_knows_how_it_was_made():
    model = tiny("llama", dtype=torch.float32)
    history = fit(model, toy_task(), model, steps=5, seed=3)
    assert (history.seed, history.steps, history.stopped) == (3, 5, "all steps done")
    assert history.versions.keys() == {"python", "torch", "transformers"}
    assert history.versions["torch"] == torch.__version__
    assert 0 < history.seconds < 60
    assert [step for step, _ in history.train] == [1, 2, 3, 4, 5]
    assert History.from_dict(json.loads(json.dumps(history.to_dict()))) == history
    assert "5 steps" in repr(history) and "seed 3" in repr(history) and "nats" in repr(history)


def test_nothing_is_shown_where_nobody_looks(capfd):
    model = tiny("llama", dtype=torch.float32)
    fit(model, toy_task(), model, steps=2)
    assert capfd.readouterr() == ("", "")


def test_a_bar_is_shown_when_asked_for(capfd):
    model = tiny("llama", dtype=torch.float32)
    fit(model, toy_task(), model, steps=2, progress=True)
    assert "2/2" in capfd.readouterr().err


@pytest.mark.parametrize(("strict", "curves"), [("1", 0), ("0", 1)])
def test_in_a_notebook_one_live_curve_grows_unless_strict(monkeypatch, strict, curves):
    shown, updates, drawn = [], [], []

    class Handle:
        def update(self, picture):
            updates.append(picture.data)

    def display(picture, display_id):
        shown.append(picture.data)
        return Handle()

    def png(figure):
        drawn.append([line.get_xydata().tolist() for line in figure.axes[0].lines])
        return drawn_png(figure)

    drawn_png = plots.png
    monkeypatch.setattr(plots, "png", png)
    monkeypatch.setattr(progress, "in_notebook", lambda: True)
    monkeypatch.setattr("IPython.display.display", display)
    monkeypatch.setenv("PEFT_LAB_STRICT", strict)
    monkeypatch.setattr(progress.Progress, "seconds_between_curves", 0.0)
    model = tiny("llama", dtype=torch.float32)
    history = fit(model, toy_task(), model, steps=4, progress=False)
    assert len(shown) == curves and len(updates) == 4 * curves
    if curves:
        assert shown[0].startswith(b"\x89PNG") and updates[-1].startswith(b"\x89PNG")
        train, _, validation = drawn[-1]  # between them the smoothed one
        assert train == [list(point) for point in history.train]
        assert validation == [list(point) for point in history.validation]


def test_a_notebook_is_told_by_its_kernel(monkeypatch):
    for shell, expected in ((SimpleNamespace(kernel=1), True), (SimpleNamespace(), False)):
        ipython = SimpleNamespace(get_ipython=lambda shell=shell: shell)
        monkeypatch.setitem(sys.modules, "IPython", ipython)
        assert progress.in_notebook() is expected
    monkeypatch.delitem(sys.modules, "IPython")
    assert progress.in_notebook() is False


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
def test_it_runs_where_the_model_is():
    model = tiny("llama", dtype=torch.float32).to("cuda")
    method = PromptTuning(3).attach(model)
    fit(model, toy_task(), method, steps=3)
    assert {p.device.type for p in method.parameters()} == {"cuda"}


def test_a_module_without_effect_is_named():
    model = tiny("llama").requires_grad_(False)
    with pytest.raises(ValueError, match="module .*attach"):
        fit(model, toy_examples(4), nn.Linear(2, 2), steps=1)


def test_a_method_that_the_model_does_not_carry_is_named():
    model = tiny("llama")
    method = PromptTuning(3).attach(model)
    method.detach()
    with PromptTuning(2).attach(model), pytest.raises(ValueError, match="module changes nothing"):
        fit(model, toy_task(), method, steps=1)


SGD = torch.optim.SGD
OTHERS = {
    "layers": (lambda: PrefixTuning(3, layers=[0]), lambda: PrefixTuning(3, layers=[2])),
    "type": (lambda: PTuning(3, None), lambda: PromptTuning(3)),
    "init": (lambda: PromptTuning(3), lambda: PromptTuning(3, init="vocabulary")),
    "seed": (lambda: PromptTuning(3), lambda: PromptTuning(3, seed=1)),
    "member": (
        lambda: Compose([PrefixTuning(3), PromptTuning(2)]),
        lambda: Compose([PrefixTuning(3), PromptTuning(2, init="vocabulary")]),
    ),
}


@pytest.mark.parametrize("case", OTHERS)
def test_a_checkpoint_of_another_method_of_the_same_shape_is_refused(case, tmp_path):
    first, second = OTHERS[case]
    model = tiny("llama")
    with first().attach(model) as method:
        fit(model, toy_task(), method, steps=1, checkpoint=tmp_path / "run")
    with second().attach(model) as method, pytest.raises(ValueError, match="run: module was"):
        fit(model, toy_task(), method, steps=1, checkpoint=tmp_path / "run")
    with first().attach(model) as method:
        assert fit(model, toy_task(), method, steps=1, checkpoint=tmp_path / "run").stopped


def test_a_checkpoint_of_another_optimiser_setting_is_refused(tmp_path):
    model = tiny("llama")
    with PromptTuning(3).attach(model) as method:
        options = {"steps": 1, "checkpoint": tmp_path / "run"}
        fit(model, toy_task(), method, optimizer=lambda p: SGD(p, lr=0.1), **options)
        with pytest.raises(ValueError, match="run: optimizer_groups was"):
            fit(model, toy_task(), method, optimizer=lambda p: SGD(p, lr=5.0), **options)
