"""The benchmark itself, on a toy base: both sides do the same work. No time is asserted."""

import numpy as np
import pytest
import torch
from toy import toy_examples, toy_model

from peft_lab import methods
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


@pytest.fixture(scope="module")
def ours_rows():
    return bench.ours_rows(toy_model(), collate(toy_examples(4), 0), length=5, rounds=2)


def test_what_peft_lacks_is_trained_beside_lora(ours_rows):
    assert [row.name for row in ours_rows] == [*bench.OURS_ONLY]
    for row in ours_rows:
        assert set(row.seconds) == set(row.saved) == set(row.losses) == {"ours", "LoRA", "floor"}
        for side, (first, second) in row.losses.items():  # the batch is the same in each round
            assert (second == first) if side == "floor" else (second < first), (row.name, side)
        assert row.losses["LoRA"] == ours_rows[0].losses["LoRA"] != row.losses["ours"]
        assert row.saved["LoRA"] == ours_rows[0].saved["LoRA"] > row.saved["floor"] > 0
    kept = {row.name: row.saved["ours"] for row in ours_rows}
    assert kept["prompt + LoRA"] > ours_rows[0].saved["LoRA"]
    assert kept["full"] == max(kept[n] for n in ("full", "BitFit", "top 2", "embeddings"))
    assert kept["top 2"] < ours_rows[0].saved["floor"]  # the lowest block has no gradient


def test_what_peft_lacks_leaves_the_model_as_it_was():
    model = toy_model()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    for name in ("full", "prompt + LoRA"):
        bench.ours_row(model, name, collate(toy_examples(4), 0), length=5, rounds=1)
        assert model.state_dict().keys() == before.keys()
        assert all(torch.equal(tensor, before[n]) for n, tensor in model.state_dict().items())


def test_every_method_has_a_row():
    made = [bench.both(toy_model(), name, 5)[0] for name in bench.METHODS]
    made += [make(5) for make in bench.OURS_ONLY.values()]
    known = {getattr(methods, name) for name in methods.__all__}
    known = {kind for kind in known if issubclass(kind, methods.Method)}
    assert {type(method) for method in made} == known - {methods.Method, methods.Switch}


@pytest.mark.parametrize(
    ("turns", "order"),
    [(None, ["abf", "baf", "abf", "baf"]), (("a", "b", "f"), ["fab", "abf", "bfa", "fab"])],
)
def test_who_is_compared_takes_turns(turns, order):
    ran = []
    sides = {side: lambda number, side=side: ran.append(side) or 0.0 for side in "abf"}
    bench.in_turn("x", sides, {}, 4, lambda: None, pair=("a", "b"), turns=turns)
    rounds = ["".join(ran[i : i + 3]) for i in range(0, len(ran), 3)]
    assert rounds[bench.WARM_UP :] == order


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


def test_the_table_of_ours_tells_both_ratios():
    seconds = {"ours": [2.0] * 20, "LoRA": [1.0] * 20, "floor": [0.5] * 20}
    kept = {"ours": 3 * 2**20, "LoRA": 2 * 2**20, "floor": 2**20}
    lines = bench.ours_table([bench.Row("a row", seconds, kept, {}, ("ours", "LoRA"))]).splitlines()
    assert len({len(line) for line in lines}) == 1  # the columns stand under their heads
    assert "ours / LoRA" in lines[0] and "ours / floor" in lines[0]
    alike = [f"{ratio} {ratio}-{ratio} {ratio}-{ratio}" for ratio in ("2.000", "4.000")]
    said = ["a row", "2000.0 1000.0 500.0", *alike, "3.00 2.00 1.00"]
    assert lines[-1].split() == " ".join(said).split()


@pytest.mark.parametrize(("ratio", "status"), [(0.7, 0), (1.2, 1)])
def test_the_exit_status_tells_whether_the_claims_hold(ratio, status, monkeypatch, capsys):
    from toy import toy_tokenizer

    task = type("Toy", (), {"train": toy_examples(12)})
    monkeypatch.setattr(bench, "load_base", lambda name: (toy_model(), toy_tokenizer()))
    monkeypatch.setattr(bench, "load_task", lambda name, tokenizer: task)
    monkeypatch.setattr(bench, "method_rows", lambda *args, **kwargs: [row(ratio)])
    monkeypatch.setattr(bench, "ours_rows", lambda *args, **kwargs: [ours])
    monkeypatch.setattr(bench, "shipped_rows", lambda *args, **kwargs: [row()])
    monkeypatch.setattr(bench, "mixed_rows", lambda *args, **kwargs: [mixed])
    sides = ("mixed", "apart", "floor")
    seconds, losses = ({side: [value] * 3 for side in sides} for value in (1.0, 2.0))
    mixed = bench.Row("forward", seconds, {}, losses, ("mixed", "apart"))
    sides = ("ours", "LoRA", "floor")
    seconds, kept = ({side: value for side in sides} for value in ([5.0] * 3, 7))
    ours = bench.Row("slow", seconds, kept, {}, ("ours", "LoRA"))
    threads = torch.get_num_threads()
    try:
        assert bench.main(["--quick"]) == status
    finally:
        torch.set_num_threads(threads)
    out = capsys.readouterr().out
    assert out.count("geometric mean: ") == 2
    assert ("DOES NOT HOLD" in out) == bool(status)
    assert "\nOurs only: " in out and "\nslow  " in out
