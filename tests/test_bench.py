"""The benchmark itself, on a toy base: both sides do the same work. No time is asserted."""

import numpy as np
import pytest
import torch
from toy import toy_examples, toy_model

from peft_lab.tasks import collate

peft = pytest.importorskip("peft")
from benchmarks import bench  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")  # transformers, of itself
SIDES = {"ours", "peft", "floor"}


@pytest.fixture(scope="module")
def method_rows():
    return bench.method_rows(toy_model(), collate(toy_examples(4), 0), length=5, rounds=1)


@pytest.fixture(scope="module")
def shipped_rows():
    tasks = {"one": toy_examples(12), "two": toy_examples(12, seed=1)}
    return bench.shipped_rows(toy_model(), tasks, length=5, steps=2, batch_size=4, rounds=1)


@pytest.mark.parametrize(("table", "count"), [("method_rows", 8), ("shipped_rows", 4)])
def test_both_sides_compute_the_same_loss_and_the_floor_keeps_least(table, count, request):
    rows = request.getfixturevalue(table)
    assert len(rows) == count
    for row in rows:
        assert set(row.seconds) == set(row.saved) == set(row.losses) == SIDES, row.name
        assert all(len(times) == 1 and times[0] >= 0 for times in row.seconds.values()), row.name
        assert row.losses["ours"] == pytest.approx(row.losses["peft"], abs=1e-5), row.name
        assert row.losses["floor"] != pytest.approx(row.losses["ours"], abs=1e-3), row.name
        assert 0 < row.saved["floor"] < min(row.saved["ours"], row.saved["peft"]), row.name
        assert row.saved["ours"] <= row.saved["peft"], row.name


def test_a_mixed_batch_says_what_its_rows_say_alone():
    model = toy_model()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    rows = bench.mixed_rows(model, toy_examples(9), length=5, rounds=1)
    assert [row.name for row in rows] == ["forward", "generate"]
    for row in rows:
        assert set(row.seconds) == {"mixed", "apart", "floor"}
        assert row.loss_difference() < 1e-5, row.name
        assert row.losses["floor"] != pytest.approx(row.losses["mixed"], abs=1e-3), row.name
    lines = bench.mixed_table(rows).splitlines()
    assert len({len(line) for line in lines}) == 1 and "mixed / apart" in lines[0]
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())


def test_the_floor_has_a_gradient_to_its_input_and_trains_nothing():
    model, batch = toy_model(), collate(toy_examples(4), 0)
    floor, embedded = bench.Floor(model), []
    model.model.register_forward_pre_hook(
        lambda body, args, kwargs: embedded.append(kwargs["inputs_embeds"]), with_kwargs=True
    )
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    bench.one_step(floor, batch)
    assert embedded[0].grad.abs().sum() > 0
    assert all(parameter.grad is None for parameter in model.parameters())
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def row(ratio: float = 0.7, spread: float = 0.0, kept: int = 90, loss: float = 2.0):
    """A row made by hand: ours took `ratio` of the time of peft, in each of 20 rounds."""
    ratios = ratio + spread * np.linspace(-1, 1, 20)
    seconds = {"ours": [*ratios], "peft": [1.0] * 20, "floor": [0.5] * 20}
    losses = {"ours": [loss] * 20, "peft": [2.0] * 20, "floor": [3.0] * 20}
    return bench.Row("a row", seconds, {"ours": kept, "peft": 100, "floor": 50}, losses)


@pytest.mark.parametrize(
    ("method", "shipped", "told"),
    [
        (row(), row(), None),
        (row(1.05, spread=0.5), row(), None),  # above 1, not beyond the spread
        (row(1.05, spread=0.01), row(), "slower than peft, 1.050"),
        (row(kept=101), row(), "keeps 1 bytes more"),
        (row(loss=2.001), row(), "the losses differ by 1.0e-03"),
        (row(), row(0.9), "as shipped: 0.900, above 0.85"),
        (row(), row(loss=2.001), "the losses differ"),
    ],
)
def test_claims_that_do_not_hold_are_told(method, shipped, told):
    found = bench.objections([method], [shipped])
    assert (found == []) if told is None else (len(found) == 1 and told in found[0])


def test_the_table_ends_with_the_geometric_mean():
    lines = bench.table([row(0.5), row(2.0)]).splitlines()
    assert lines[-1] == "geometric mean: 1.000"
    assert len({len(line) for line in lines[:-1]}) == 1  # the columns stand under their heads


@pytest.mark.parametrize(("ratio", "status"), [(0.7, 0), (1.2, 1)])
def test_the_exit_status_tells_whether_the_claims_hold(ratio, status, monkeypatch, capsys):
    from toy import toy_tokenizer

    task = type("Toy", (), {"train": toy_examples(12)})
    monkeypatch.setattr(bench, "load_base", lambda name: (toy_model(), toy_tokenizer()))
    monkeypatch.setattr(bench, "load_task", lambda name, tokenizer: task)
    monkeypatch.setattr(bench, "method_rows", lambda *args, **kwargs: [row(ratio)])
    monkeypatch.setattr(bench, "shipped_rows", lambda *args, **kwargs: [row()])
    monkeypatch.setattr(bench, "mixed_rows", lambda *args, **kwargs: [mixed])
    sides = ("mixed", "apart", "floor")
    seconds, losses = ({side: [value] * 3 for side in sides} for value in (1.0, 2.0))
    mixed = bench.Row("forward", seconds, {}, losses, ("mixed", "apart"))
    threads = torch.get_num_threads()
    try:
        assert bench.main(["--quick"]) == status
    finally:
        torch.set_num_threads(threads)
    out = capsys.readouterr().out
    assert out.count("geometric mean: ") == 2
    assert ("DOES NOT HOLD" in out) == bool(status)
