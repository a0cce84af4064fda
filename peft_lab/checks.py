"""Checked numbers for the notebooks: what is printed is the claim, never the measurement.

Two machines rarely agree on the third digit of a trained loss, and after 200 steps not on the
second. So a cell says what it claims, and the claim is compared with what came out. The printed
text is then the same everywhere, and a wrong number still breaks the build:

* with ``PEFT_LAB_STRICT=1`` in the environment (the tests set it) a claim that does not hold
  raises;
* without it (a learner at play) the claim is printed beside the result, and the notebook goes on.

Every function returns None, so that the last line of a cell never echoes a measured number.
"""

import math
import os
from collections.abc import Sequence
from statistics import fmean, stdev
from typing import Any

SURPRISE = "You changed something: good. What did you expect?"
WIDE = 0.1  # above this relative tolerance a claim must say which spread it was seen to have


def strict() -> bool:
    """Must a failed claim raise? Yes if ``PEFT_LAB_STRICT`` is set, but not to 0 or nothing."""
    return os.environ.get("PEFT_LAB_STRICT", "") not in ("", "0")


def check_close(
    name: str,
    value: float,
    claim: float,
    rel: float = 0.05,
    *,
    atol: float = 0.0,
    spread: float | str | None = None,
) -> None:
    """Claim that ``value`` lies within ``rel * |claim| + atol`` of ``claim``.

    ``claim`` is printed as it was written, so write as many digits as are meant. ``rel`` is a
    share (0.05 is 5 %). A tolerance above 0.1 needs ``spread``: the spread that was seen, over
    what (``"0.2 over 5 seeds"``).

    Raises:
        ValueError: ``rel`` above 0.1 without a ``spread``; a claim of 0 without an ``atol``; a
            negative tolerance.
        AssertionError: the claim does not hold, and ``PEFT_LAB_STRICT`` is set.
    """
    if rel < 0 or atol < 0:
        raise ValueError(f"check_close: a tolerance cannot be negative (rel={rel}, atol={atol}).")
    if rel > WIDE and spread is None:
        raise ValueError(
            f"check_close: rel={rel} is wide. Say which spread was seen, e.g. "
            f'spread="0.2 over 5 seeds", or use rel <= {WIDE}.'
        )
    if claim == 0 and atol == 0:
        raise ValueError(
            "check_close: nothing is relatively close to 0. Give atol=, e.g. atol=1e-6."
        )
    value = _number(value)
    parts = [f"{_percent(rel)}"] if rel and claim else []
    parts += [f"{atol:g}"] if atol else []
    text = f"{name}: {claim} (within {' + '.join(parts) or 'nothing: exact'}"
    text += f"; spread {spread})" if spread is not None else ")"
    _settle(text, abs(value - claim) <= rel * abs(claim) + atol, value)


def check_between(name: str, value: float, low: float, high: float) -> None:
    """Claim that ``low <= value <= high``. Prints the band. Raises as :func:`check_close` does."""
    if not low <= high:
        raise ValueError(f"check_between: low={low} is above high={high}; swap them.")
    value = _number(value)
    _settle(f"{name}: between {low} and {high}", low <= value <= high, value)


def check_equal(name: str, value: Any, claim: Any) -> None:
    """Claim that ``value`` is exactly ``claim``: for counts, bytes, shapes, names, truth values.

    Integers above 9,999 are printed with thousands separators.

    Raises:
        TypeError: ``claim`` is a float; two machines differ there: use :func:`check_close`.
        AssertionError: the claim does not hold, and ``PEFT_LAB_STRICT`` is set.
    """
    if isinstance(claim, float):
        raise TypeError(
            f"check_equal: the claim {claim} is a float, and floats differ between machines. "
            "Use check_close(name, value, claim, rel=...)."
        )
    if isinstance(claim, (int, bool)) and hasattr(value, "item"):
        value = value.item()
    if isinstance(claim, tuple) and not isinstance(value, str) and hasattr(value, "__iter__"):
        value = tuple(value)  # torch.Size, list
    _settle(f"{name}: {_show(claim)}", bool(value == claim), value)


def check_order(
    pairs: Sequence[tuple[str, float | Sequence[float]]],
    *,
    gap: float = 0.0,
    spreads: float = 2.0,
) -> None:
    """Claim that the named values stand in this order, smallest first.

    For example ``check_order([("prefix", 3.4), ("prompt", 3.6)])``.

    Plain numbers: each must exceed the one before by more than ``gap`` (same unit).
    Lists, one number a seed and at least 3: the means must stand in order, and each step must
    exceed ``spreads`` times the larger of the two standard deviations, as well as ``gap``.

    Raises:
        ValueError: fewer than two pairs, or a list of fewer than 3 seeds.
        AssertionError: the claim does not hold, and ``PEFT_LAB_STRICT`` is set.
    """
    if len(pairs) < 2:
        raise ValueError(f"check_order: an order needs at least two values; {len(pairs)} given.")
    names, means, deviations, seeds = [], [], [], 0
    for name, value in pairs:
        names.append(name)
        if isinstance(value, (list, tuple)) or getattr(value, "ndim", 0) == 1:
            runs = [_number(v) for v in value]
            if len(runs) < 3:
                raise ValueError(
                    f"check_order: {name!r} has {len(runs)} seed(s); an order of runs needs at "
                    "least 3."
                )
            seeds = max(seeds, len(runs))
            means.append(fmean(runs))
            deviations.append(stdev(runs))
        else:
            means.append(_number(value))
            deviations.append(0.0)
    holds = True
    for low, high, da, db in zip(means, means[1:], deviations, deviations[1:], strict=False):
        holds &= high - low > max(gap, spreads * max(da, db) if seeds else 0.0)
    notes = [f"each by more than {gap:g}"] if gap else []
    notes += [f"each by more than {spreads:g} times the spread over seeds"] if seeds else []
    text = "order, smallest first: " + " < ".join(names)
    _settle(text + (f" ({'; '.join(notes)})" if notes else ""), holds, tuple(means))


def check_verdict(claim: str, ours: str, stored: str) -> None:
    """Claim that a sentence is judged as it was: prints the verdict first, "not shown: ...".

    Args:
        claim: a sentence that may be shown, not shown, or the opposite of what is shown.
        ours, stored: the verdict of this run, and that of the card.

    Raises:
        AssertionError: they differ, and ``PEFT_LAB_STRICT`` is set.
    """
    _settle(f"{stored}: {claim}", ours == stored, ours, good="")


def _settle(text: str, holds: bool, value: Any, good: str = "ok  ") -> None:
    """Print the claim; where it does not hold raise (strict) or show the result beside it."""
    if holds:
        print(f"{good}{text}")
        return
    if strict():
        raise AssertionError(f"claimed  {text}\nmeasured {_show(value)}")
    print(f"claimed:  {text}\nmeasured: {_show(value)}\n{SURPRISE}")


def _number(value: Any) -> float:
    """A Python float from a number, a tensor of one element or a NumPy scalar."""
    if hasattr(value, "item"):
        value = value.item()
    try:
        return float(value)
    except (TypeError, ValueError):
        raise TypeError(
            f"a number was expected, {type(value).__name__} was given: {value!r}"
        ) from None


def _show(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, (int, float, tuple)):
        return str(value)
    if isinstance(value, tuple):
        return "(" + ", ".join(_show(v) for v in value) + ")"
    if isinstance(value, int):
        return f"{value:,}" if abs(value) > 9_999 else str(value)
    return str(value) if math.isnan(value) else f"{value:.6g}"


def _percent(share: float) -> str:
    return f"{share * 100:g} %"
