"""What is printed is the claim; what is wrong raises under PEFT_LAB_STRICT=1, and only there."""

import math

import pytest
import torch

from peft_lab import checks
from peft_lab.checks import check_between, check_close, check_equal, check_order


@pytest.fixture(params=[True, False], ids=["strict", "at play"])
def strict(request, monkeypatch):
    monkeypatch.setenv("PEFT_LAB_STRICT", "1" if request.param else "0")
    return request.param


HOLD = [
    (check_close, ("loss", 3.7, 3.64), {"rel": 0.05}, "loss: 3.64 (within 5 %)"),
    (check_close, ("loss", torch.tensor(3.6), 3.64), {}, "loss: 3.64 (within 5 %)"),
    (check_close, ("x", 3.9, 3.0), {"rel": 0.3, "spread": "0.4 over 5 seeds"},
     "x: 3.0 (within 30 %; spread 0.4 over 5 seeds)"),
    (check_close, ("zero", 1e-9, 0), {"atol": 1e-6}, "zero: 0 (within 1e-06)"),
    (check_close, ("minus", -2.05, -2.0), {}, "minus: -2.0 (within 5 %)"),
    (check_between, ("share", 0.4, 0.3, 0.5), {}, "share: between 0.3 and 0.5"),
    (check_between, ("edge", 0.3, 0.3, 0.5), {}, "edge: between 0.3 and 0.5"),
    (check_equal, ("count", 1_310_720, 1_310_720), {}, "count: 1,310,720"),
    (check_equal, ("count", torch.tensor(7), 7), {}, "count: 7"),
    (check_equal, ("shape", torch.zeros(2, 3).shape, (2, 3)), {}, "shape: (2, 3)"),
    (check_equal, ("same", True, True), {}, "same: True"),
    (check_equal, ("name", "LoRA", "LoRA"), {}, "name: LoRA"),
    (check_order, ([("a", 1.0), ("b", 2.0), ("c", 2.5)],), {},
     "order, smallest first: a < b < c"),
    (check_order, ([("a", 1.0), ("b", 2.0)],), {"gap": 0.5},
     "order, smallest first: a < b (each by more than 0.5)"),
    (check_order, ([("a", [1.0, 1.1, 1.2]), ("b", [2.0, 2.1, 2.2])],), {},
     "order, smallest first: a < b (each by more than 2 times the spread over seeds)"),
]  # fmt: skip
FAIL = [
    (check_close, ("loss", 3.9, 3.64), {"rel": 0.05}),
    (check_close, ("loss", math.nan, 3.64), {}),
    (check_close, ("loss", math.inf, 3.64), {}),
    (check_close, ("sign", 2.0, -2.0), {}),
    (check_close, ("zero", 1e-5, 0), {"atol": 1e-6}),
    (check_between, ("share", 0.51, 0.3, 0.5), {}),
    (check_between, ("share", 0.29, 0.3, 0.5), {}),
    (check_between, ("share", math.nan, 0.3, 0.5), {}),
    (check_equal, ("count", 1_310_721, 1_310_720), {}),
    (check_equal, ("shape", (3, 2), (2, 3)), {}),
    (check_equal, ("name", "lora", "LoRA"), {}),
    (check_order, ([("a", 2.0), ("b", 1.0)],), {}),
    (check_order, ([("a", 1.0), ("b", 1.0)],), {}),
    (check_order, ([("a", 1.0), ("b", 3.0), ("c", 2.0)],), {}),
    (check_order, ([("a", 1.0), ("b", 1.4)],), {"gap": 0.5}),
    (check_order, ([("a", [1.0, 2.0, 3.0]), ("b", [2.0, 3.0, 4.0])],), {}),
    (check_order, ([("a", math.nan), ("b", 1.0)],), {}),
]


@pytest.mark.parametrize(("check", "args", "options", "claim"), HOLD)
def test_what_holds_prints_its_claim_alone(check, args, options, claim, strict, capsys):
    assert check(*args, **options) is None  # a value would be echoed by the notebook
    assert capsys.readouterr().out == f"ok  {claim}\n"


@pytest.mark.parametrize(("check", "args", "options"), FAIL)
def test_what_fails_raises_only_under_strict(check, args, options, strict, capsys):
    if strict:
        with pytest.raises(AssertionError, match="claimed"):
            check(*args, **options)
    else:
        assert check(*args, **options) is None
        said = capsys.readouterr().out
        assert said.startswith("claimed:  ") and "\nmeasured: " in said
        assert said.endswith("You changed something: good. What did you expect?\n")


def test_output_is_the_same_for_every_value_within_the_claim(capsys, monkeypatch):
    monkeypatch.setenv("PEFT_LAB_STRICT", "1")
    for value in (3.5, 3.6, 3.64, 3.7, torch.tensor(3.61)):
        check_close("loss", value, 3.64, rel=0.05)
    assert len(set(capsys.readouterr().out.strip().split("\n"))) == 1


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: check_close("x", 1, 1, rel=0.11), ValueError, "spread"),
        (lambda: check_close("x", 1, 1, rel=-0.1), ValueError, "negative"),
        (lambda: check_close("x", 0, 0), ValueError, "atol"),
        (lambda: check_close("x", "one", 1), TypeError, "'one'"),
        (lambda: check_between("x", 1, 2, 1), ValueError, "swap"),
        (lambda: check_equal("x", 1.0, 1.0), TypeError, "check_close"),
        (lambda: check_order([("a", 1)]), ValueError, "at least two"),
        (lambda: check_order([("a", [1, 2]), ("b", [3, 4])]), ValueError, "at least 3"),
    ],
)
def test_claims_that_cannot_be_checked(call, error, text, strict):
    """However it is run: a claim that says nothing is the author's mistake."""
    with pytest.raises(error, match=text):
        call()


def test_strict_follows_the_environment(monkeypatch):
    for value, expected in (("1", True), ("yes", True), ("0", False), ("", False)):
        monkeypatch.setenv("PEFT_LAB_STRICT", value)
        assert checks.strict() is expected
    monkeypatch.delenv("PEFT_LAB_STRICT")
    assert checks.strict() is False


def test_the_bullets_of_the_docstrings_stand_apart():
    assert "\n* with ``PEFT_LAB_STRICT=1``" in checks.__doc__
    assert "\n* without it" in checks.__doc__
    assert "\n    Lists, one number a seed" in check_order.__doc__
