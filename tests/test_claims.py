"""Cards: the interval against Student's density, the verdict at its borders, a wrong card named."""

import pytest
import torch

from peft_lab import claims
from peft_lab.claims import Interval, card, interval, settle, verdict

VALUES = torch.linspace(0.1, 0.5, 40).tolist()


def within(limit: float, freedom: int) -> float:
    """The probability that Student's t lies within ±limit, by integrating its density."""
    t = torch.linspace(-limit, limit, 100_001, dtype=torch.float64)
    density = torch.distributions.StudentT(torch.tensor(float(freedom))).log_prob(t).exp()
    return float(torch.trapezoid(density, t))


@pytest.mark.parametrize("count", [2, 3, 5, 8, 21, 22, 32, 64, 200])
def test_the_factor_is_that_of_student(count):
    assert within(claims.student(count), count - 1) == pytest.approx(0.95, abs=3e-4)


def test_interval_is_the_mean_and_students_t_standard_errors():
    found, values = interval(VALUES), torch.tensor(VALUES, dtype=torch.float64)
    half = 2.0227 * values.std() / 40**0.5
    assert found.mean == pytest.approx(float(values.mean()))
    assert found.low == pytest.approx(float(values.mean() - half), abs=1e-5)
    assert found.high == pytest.approx(float(values.mean() + half), abs=1e-5)


def test_one_value_has_no_interval():
    with pytest.raises(ValueError, match="differences: 1 values.*at least 2"):
        interval([1.0])


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [
        (0.1, 0.3, "shown"), (0.09, 0.3, "not shown"), (-0.04, 0.02, "not shown"),
        (-0.3, -0.1, "opposite"), (-0.3, -0.09, "not shown"),
    ],
)  # fmt: skip
def test_the_whole_interval_must_lie_beyond(low, high, said):
    assert verdict(Interval((low + high) / 2, low, high), 0.1) == said


def test_settle_agrees_with_the_card_or_fails(monkeypatch, capsys):
    monkeypatch.setenv("PEFT_LAB_STRICT", "1")
    assert card("01-poems-learned")["verdict"] == "shown"
    found = settle("01-poems-learned", [0.8 + 0.01 * (i % 3) for i in range(40)])
    said = capsys.readouterr().out
    assert found.low > 0.1 and said.startswith("shown: ") and "(needed: 0.10)" in said
    with pytest.raises(AssertionError, match="opposite"):
        settle("01-poems-learned", [-0.8 + 0.01 * (i % 3) for i in range(40)])


def test_an_unknown_card_is_named():
    with pytest.raises(KeyError, match="01-rhyme"):
        claims.card("01-nothing")


def test_the_interval_over_test_texts_is_paired_and_weighs_by_tokens():
    tokens = [10, 30] * 50
    hard = torch.linspace(1, 9, 100).tolist()  # texts differ far more than the methods
    worse = [{"test_items": [h + 0.1 for h in hard]}, {"test_items": [h + 0.3 for h in hard]}]
    better = [{"test_items": hard}]
    found = claims.item_interval(worse, better, tokens)
    assert found == pytest.approx((0.2, 0.2, 0.2))
    uneven = [{"test_items": [h + 0.4 * (n == 30) for h, n in zip(hard, tokens, strict=True)]}]
    found = claims.item_interval(uneven, better, tokens)
    assert found.mean == pytest.approx(0.3) and found.low < 0.3 < found.high
    assert found == claims.item_interval(uneven, better, tokens)  # the same draws each time
    with pytest.raises(ValueError, match="test_items"):
        claims.item_interval([{}], better, tokens)


def runs(losses, items=None, seeds=None):
    """Stored runs of one arm: a test loss a seed, and the loss of each test text."""
    seeds = range(len(losses)) if seeds is None else seeds
    return [
        {"seed": seed, "test_nats": loss, "test_items": items or [loss] * 50}
        for seed, loss in zip(seeds, losses, strict=True)
    ]


def test_a_comparison_is_paired_by_seed_in_any_order():
    better = runs([3.0, 3.4, 3.2])
    worse = runs([3.2 + 0.2, 3.0 + 0.2, 3.4 + 0.2], seeds=[2, 0, 1])
    found = claims.compare(worse, better, [1] * 50)
    assert found.seeds == pytest.approx((0.2, 0.2, 0.2))
    assert (
        found.verdict(0.1) == "shown"
        and claims.compare(better, worse, [1] * 50).verdict(0.1) == "opposite"
    )


def test_a_difference_is_shown_only_where_seeds_and_texts_agree():
    better = runs([3.0, 3.0, 3.0])
    one_text = [3.0] * 49 + [13.0]  # all the gain is in a single text
    found = claims.compare(runs([3.2] * 3, one_text), better, [1] * 50)
    assert found.seeds.low == pytest.approx(0.2) and found.texts.low < 0.05
    assert found.verdict(0.05) == "not shown"
    one_seed = claims.compare(runs([3.0, 3.0, 3.6], [3.2] * 50), better, [1] * 50)
    assert one_seed.texts.low == pytest.approx(0.2) and one_seed.seeds.low < 0
    assert one_seed.verdict(0.05) == "not shown"
    assert (one_seed.low, one_seed.high) == (one_seed.seeds.low, one_seed.seeds.high)


def test_each_measure_is_judged_over_its_own_texts():
    """Accuracy by the texts that are right, third bytes weighed by their number."""
    right = [{"seed": n, "test_accuracy": a, "test_items_right": bits}
             for n, (a, bits) in enumerate([(0.75, "1101"), (0.5, "0101")])]  # fmt: skip
    wrong = [{"seed": n, "test_accuracy": 0.0, "test_items_right": "0000"} for n in range(2)]
    found = claims.compare(right, wrong, field="test_accuracy")
    assert (found.seeds.mean, found.texts.mean) == (0.625, 0.625)
    assert found.texts.low < 0.625 < found.texts.high
    third = [{"seed": n, "test_third_byte_nats": 0.5, "test_items_third": [2.0, 0.0]}
             for n in range(2)]  # fmt: skip
    none = [{"seed": n, "test_third_byte_nats": 0.0, "test_items_third": [0.0, 0.0]}
            for n in range(2)]  # fmt: skip
    assert claims.compare(third, none, [1, 3], "test_third_byte_nats").texts.mean == 0.5
    with pytest.raises(ValueError, match='"test_items_right", one number a test text, is missing'):
        claims.item_interval(third, none, [1, 3], "test_items_right")
    with pytest.raises(ValueError, match="field must be one of test_nats, .*not 'seconds'"):
        claims.compare(right, wrong, field="seconds")


def test_the_base_has_one_run_and_is_set_against_each_seed():
    base = runs([4.0], seeds=[None])
    found = claims.compare(base, runs([3.0, 3.2, 3.1]), [1] * 50)
    assert found.mean == pytest.approx(0.9) and found.seeds.low < 0.9 < found.seeds.high
    assert str(found).startswith("+0.900 (+0.")
    with pytest.raises(ValueError, match="0 seeds in common"):
        claims.compare(runs([1.0], seeds=[7]), runs([1.0, 2.0]), [1] * 50)


def test_settle_takes_a_comparison(monkeypatch):
    monkeypatch.setenv("PEFT_LAB_STRICT", "1")
    monkeypatch.setattr(
        claims, "card", lambda name: {"claim": "c", "smallest_difference": 0.1, "verdict": "shown"}
    )
    found = claims.compare(runs([3.2] * 3), runs([3.0] * 3), [1] * 50)
    assert settle("x", found) is found
    with pytest.raises(AssertionError, match="opposite"):
        settle("x", claims.compare(runs([3.0] * 3), runs([3.2] * 3), [1] * 50))
    narrow = Interval(0.2, 0.11, 0.29)  # an interval of these three numbers would be wider
    assert settle("x", narrow) is narrow


def test_texts_of_one_group_are_drawn_together():
    values = [0.0, 1.0] * 50  # as unlike as can be within a pair, equal between pairs
    pairs = [i // 2 for i in range(100)]
    found = claims.resampled(values, [1] * 100, pairs)
    assert found == pytest.approx((0.5, 0.5, 0.5))
    alone = claims.resampled(values, [1] * 100)
    assert alone.mean == 0.5 and alone.high - alone.low > 0.15
    same = claims.resampled([float(i % 10 < 5) for i in range(100)], [1] * 100, range(100))
    clustered = claims.resampled([float(i < 50) for i in range(100)], [1] * 100,
                                 [i // 10 for i in range(100)])  # fmt: skip
    assert clustered.high - clustered.low > 2 * (same.high - same.low)
    assert claims.resampled([1.0, 3.0], [3, 1]).mean == 1.5


def test_items_are_compared_over_seeds_and_over_texts():
    low = [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]
    high = [[a + 0.2 for a in row] for row in low]
    found = claims.compare_items(high, low, [1, 3])
    assert found.seeds == pytest.approx((0.2, 0.2, 0.2))
    assert found.texts == pytest.approx((0.2, 0.2, 0.2))
    base = claims.compare_items([[0.0, 1.0]], [[0.0, 0.0], [0.0, 0.5]], [1, 3])
    assert base.mean == pytest.approx((0.75 + 0.375) / 2) and base.seeds.low < 0 < base.mean
    for pair in ((high, low[:2]), (high[:1], low[:1])):
        with pytest.raises(ValueError, match="high has . seeds, low . ?; give 2 or more, paired"):
            claims.compare_items(*pair, [1, 3])


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [(0, 0, "not shown"), (0, 0.2, "not shown"), (0.1, 0.3, "shown"), (-0.3, -0.1, "opposite")],
)
def test_no_difference_is_not_shown_when_any_would_count(low, high, said):
    assert verdict(Interval((low + high) / 2, low, high), 0.0) == said
