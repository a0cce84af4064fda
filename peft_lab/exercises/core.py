"""What every checker shares: show the target beside yours, name the mistake, go on, never raise.

A checker is a function ``body(sheet, answer, ...)`` under :func:`exercise`. It puts cases on the
sheet (what was put in, the target, what the learner's code gave), and asks the sheet questions
in order of likelihood; the first one that fits ends the check with a diagnosis. What comes back
is the learner's answer when it is right, else the package's.
"""

import copy
import functools
import inspect
import math
import random
import textwrap
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

NOT_YET = "not yet written"
YOURS = "    yours   "
RIGHT = "right"
LENT = "lent"


class Verdict(Exception):  # noqa: N818  (it ends a check; nothing went wrong)
    """Ends a check. ``kind`` is RIGHT, NOT_YET, LENT or a short name of the mistake."""

    def __init__(self, kind: str, text: str = ""):
        super().__init__(kind)
        self.kind, self.text = kind, text


class Failure:
    """The learner's code raised: kept as a value, so that it can be shown and diagnosed."""

    def __init__(self, error: BaseException):
        self.error = error
        frames = traceback.extract_tb(error.__traceback__)
        own = [
            f
            for f in frames
            if not {"peft_lab", "site-packages"} & set(Path(f.filename).parts)
            and "torch" not in f.filename
        ]
        self.line = (own[0].line or "").strip() if own else ""

    def __repr__(self) -> str:
        said = " ".join(str(self.error).split())
        return f"{type(self.error).__name__}: {said[:90]}{'…' if len(said) > 90 else ''}"


class Sheet:
    """One check: the cases shown, and the questions asked of them."""

    def __init__(self, number: str, name: str):
        self.number, self.name = number, name
        self.lines: list[str] = []
        self.changed = ""  # what to say of an input that the learner's code changed

    def attempt(self, fn: Callable, *args: Any, **kwargs: Any) -> Any:
        """Run the learner's code on copies of ``args``, and note whether it changed one of them.

        A stub (``...`` or NotImplementedError) gives NOTHING, an error a Failure: both can be
        shown and asked about. A model is handed on as it is; only its values are watched.
        """
        if fn is None or fn is ...:
            return NOTHING
        if not callable(fn):
            raise Verdict(
                "not a function", f"A function was expected here, and {_article(fn)} came."
            )
        given, given_by_name = _copied(args), _copied(kwargs)
        before = [_values(v) for v in args]
        try:
            value = fn(*given, **given_by_name)
        except NotImplementedError:
            return NOTHING
        except (Exception, SystemExit) as error:
            return Failure(error)
        if value is ... or (value is None and is_stub(fn)):
            return NOTHING
        for i, (was, now) in enumerate(zip(before, given, strict=True)):
            if not self.changed and not _unchanged(was, _values(now)):
                self.changed = _changed_text(now, _argument(fn, i))
        return NO_RETURN if value is None else value

    def case(self, caption: str, target: Any, yours: Any = None) -> None:
        """Show one case: a caption, and target and yours stacked and aligned under it."""
        self.lines.append(f"  {caption}")
        self.lines += _stacked("target", target)
        self.lines += _stacked("yours", NOTHING if yours is None else yours)

    def note(self, text: str) -> None:
        """One line of plain text among the cases."""
        self.lines.append(f"  {text}")

    def wrong(self, kind: str, text: str, when: bool = True) -> None:
        """End the check with this diagnosis if ``when`` holds."""
        if when:
            raise Verdict(kind, text)

    def broken(self, value: Any, hints: dict[str, tuple[str, str]] | None = None) -> None:
        """End the check if ``value`` is no value. ``hints`` maps a piece of the error's text to
        (kind, text)."""
        if value is NOTHING:
            raise Verdict(NOT_YET)
        if value is NO_RETURN:
            raise Verdict(
                "no return",
                "Your function came to its end and gave nothing back. Is a `return` missing?",
            )
        if not isinstance(value, Failure):
            return
        said = f"{type(value.error).__name__}: {value.error}"
        for piece, (kind, text) in (hints or {}).items():
            if piece in said:
                raise Verdict(kind, f"{_plain(value)} {text}")
        raise Verdict("raises", _plain(value))

    def ruined(self) -> None:
        """End the check if the learner's code changed one of its inputs."""
        self.wrong("changed input", self.changed, bool(self.changed))

    def finish(self, ok: bool, general: str = "", *, right: str = "") -> None:
        """RIGHT if ``ok``, with what is to be said of a right answer; else the general remark.
        Either way an input that was changed comes first: the values may be right, and the
        caller's data are ruined."""
        self.ruined()
        if ok:
            raise Verdict(RIGHT, right)
        raise Verdict(
            "other",
            general
            or "Not yet, and not one of the usual slips. Compare target and yours, entry by entry.",
        )

    def slips(self, value: float, target: float, slips: list[tuple[str, str, list]]) -> None:
        """End the check if ``value`` is that of one slip and no other.

        Args:
            slips: (kind, text, numbers that this slip gives, the likeliest first).

        For one model two slips can give the same number, or a slip the right one. So what is
        right is no slip, and of several that fit, the one that has the number further in front
        is meant; two equally near are not told apart.
        """
        if value == target:
            return
        fits = [(n.index(value), kind, text) for kind, text, n in slips if value in n]
        nearest = [f for f in fits if f[0] == min(rank for rank, *_ in fits)]
        if len(nearest) == 1:
            self.wrong(*nearest[0][1:])


class _Lent(str):
    """A text that is not the same object as the one the learner types."""


class _Nothing:
    def __init__(self, text: str):
        self.text = text

    def __repr__(self) -> str:
        return self.text


NOTHING = _Nothing("(nothing yet)")
NO_RETURN = _Nothing("None")


def is_stub(fn: Callable) -> bool:
    """True for a body of a docstring, ``...`` or ``pass``: nothing is called, read or assigned
    in it."""
    code = getattr(fn, "__code__", None)
    if code is None or code.co_names:
        return False
    starred = bool(code.co_flags & 0x04) + bool(code.co_flags & 0x08)  # *args, **kwargs
    return code.co_nlocals == code.co_argcount + code.co_kwonlyargcount + starred


def exercise(number: str, name: str, reference: Any, *, prediction: bool = False) -> Callable:
    """Make a checker of ``body(sheet, *answers, **given)``.

    Args:
        reference: what the notebook goes on with when the answer is not right; a function of
            ``given`` for predictions.
        prediction: the answer is a value, and the target is not shown before it is right.
    """

    def decorate(body: Callable) -> Callable:
        @functools.wraps(body)
        def check(*answers: Any, **given: Any) -> Any:
            sheet = Sheet(number, name)
            python = random.getstate()
            # A check leaves the notebook's random numbers alone, and says itself what is amiss.
            with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                torch.manual_seed(0)
                try:
                    if any(a is own for a, own in zip(answers, check.lent, strict=False)):
                        raise Verdict(LENT)
                    body(sheet, *answers, **given)
                    verdict = Verdict("other", "The checker came to no end: please report this.")
                except Verdict as ended:
                    verdict = ended
                except Exception as error:  # the checker's own fault, or a very strange answer
                    verdict = Verdict(
                        "checker", f"The checker stumbled over this answer: {Failure(error)}"
                    )
            random.setstate(python)
            check.last = verdict.kind  # for the tests, and for a teacher's tally
            _tell(sheet, verdict, prediction)
            if verdict.kind in (RIGHT, LENT):
                return answers if isinstance(reference, tuple) else answers[0]
            own = reference(*answers[1:], **given) if prediction else reference
            if isinstance(own, str):
                own = _Lent(own)
            check.lent = own if isinstance(own, tuple) else (own,)
            return own

        check.number, check.name, check.reference, check.last = number, name, reference, None
        check.lent = ()  # what the last check put under the learner's name: none of their work
        return check

    return decorate


def _tell(sheet: Sheet, verdict: Verdict, prediction: bool) -> None:
    print(f"exercise {sheet.number}: {sheet.name}")
    yours = [line for line in sheet.lines if line.startswith(YOURS)]
    nothing = all(line.endswith(NOTHING.text) for line in yours)
    for line in sheet.lines:
        if not (nothing and line in yours):  # nothing is written: the targets alone
            print(line)
    goes_on = "answer" if prediction else "version"
    if verdict.kind == RIGHT:
        print("right." + (f" {verdict.text}" if verdict.text else ""))
    elif verdict.kind == LENT:
        print(
            f"This is the package's own {goes_on}: the last check put it under your name. Run\n"
            "your own cell again, then this one."
        )
    elif verdict.kind == NOT_YET:
        print(f"{NOT_YET}. The notebook goes on with the package's own {goes_on}.")
    else:
        print(_wrapped(verdict.text))
        print(f"Until then the notebook goes on with the package's own {goes_on}.")


# --- comparing ----------------------------------------------------------------------


def same(value: Any, target: Any, tolerance: float = 1e-5) -> bool:
    """Equal: tensors by shape and values, numbers by value, the rest by ==. Never raises."""
    try:
        if isinstance(value, str | bytes) and not isinstance(target, str | bytes):
            return False  # "0.25" is no number
        if isinstance(target, torch.Tensor):
            if not isinstance(value, torch.Tensor) or value.shape != target.shape:
                return False
            if not target.is_floating_point():
                return not value.is_floating_point() and torch.equal(
                    value.cpu().long(), target.cpu().long()
                )
            return torch.allclose(
                value.detach().double(), target.double(), rtol=tolerance, atol=tolerance
            )
        if isinstance(target, (tuple, list)):
            return (
                isinstance(value, (tuple, list))
                and len(value) == len(target)
                and all(same(v, t, tolerance) for v, t in zip(value, target, strict=True))
            )
        if isinstance(target, float):
            return math.isclose(float(value), target, rel_tol=tolerance, abs_tol=tolerance)
        if isinstance(target, int) and not isinstance(target, bool):
            return float(value) == target
        return bool(value == target)
    except Exception:
        return False


def shape(value: Any) -> tuple[int, ...] | None:
    """A tensor's shape as a tuple; None for anything else."""
    return tuple(value.shape) if isinstance(value, torch.Tensor) else None


def as_tuple(value: Any) -> Any:
    """An array or tensor of one dimension as a tuple of numbers; anything else as it is."""
    if getattr(value, "ndim", None) == 1 and hasattr(value, "tolist"):
        return tuple(value.tolist())
    return value


def number(value: Any) -> float | None:
    """A prediction as a number: ints, floats, tensors of one element; "8,000" and "8_000" too.
    None if it is none."""
    try:
        if isinstance(value, str):
            value = value.replace(",", "").replace("_", "").replace(" ", "")
        return None if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        return None


# --- showing ----------------------------------------------------------------------


def brief(value: Any, digits: int = 3) -> str:
    """A value in short, aligned text; tensors row by row, at most four rows of ten entries."""
    if isinstance(value, (_Nothing, Failure)):
        return repr(value)
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu()
        if value.ndim == 0:
            return brief(value.item(), digits)
        if value.ndim > 2:
            return f"shape {tuple(value.shape)}"
        rows = value[None] if value.ndim == 1 else value
        text = [_row(row, digits) for row in rows[:4]] + (["…"] if len(rows) > 4 else [])
        return "\n".join(text) or f"shape {tuple(value.shape)}"
    if isinstance(value, bool):
        return str(value)
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.{digits}f}" if abs(value) < 1e5 else f"{value:,.0f}"
    if isinstance(value, (list, tuple, set, frozenset)):
        items = sorted(value, key=str) if isinstance(value, (set, frozenset)) else value
        text = ", ".join(brief(v, digits) if isinstance(v, (int, float)) else str(v) for v in items)
        if isinstance(value, tuple):
            return f"({text})"
        return text if text else "(empty)"
    return str(value)


def _row(row: torch.Tensor, digits: int) -> str:
    values = row.tolist()
    show = values if len(values) <= 14 else values[:12]
    if row.is_floating_point():
        cells = [f" {v:{digits + 3}.{digits}f}" for v in show]
    else:
        cells = [f"{v:>5}" if not isinstance(v, bool) else f"{v!s:>6}" for v in show]
    return "[" + "".join(cells).rstrip() + (" …" if len(values) > len(show) else "") + " ]"


def _stacked(label: str, value: Any) -> list[str]:
    first, *more = brief(value).split("\n")
    return [f"    {label:<7} {_cut(first)}"] + [f"            {_cut(line)}" for line in more]


def _cut(line: str, width: int = 88) -> str:
    return line if len(line) <= width else line[: width - 1] + "…"


def _wrapped(text: str, width: int = 88) -> str:
    return "\n".join(textwrap.wrap(text, width))


def _article(value: Any) -> str:
    kind = type(value).__name__
    return f"an {kind}" if kind[0] in "aeiou" else f"a {kind}"


PLAIN = {
    "NameError": "Python does not know that name: a slip of the keys, or a cell that was not run.",
    "AttributeError": "Something has no such attribute: print type(...) of it one line earlier.",
    "TypeError": "Something has another type than that line needs: print type(...) of its parts.",
    "IndexError": "An index runs past the end: print the shape or the length one line earlier.",
    "KeyError": "A dictionary has no such key: print its keys one line earlier.",
    "ZeroDivisionError": "Something is divided by zero: was anything counted at all?",
    "RecursionError": "The function calls itself without end.",
    "UnboundLocalError": "A variable is read before it gets a value.",
}


def _plain(failure: Failure) -> str:
    said = str(failure.error)
    text = f"Your code stopped with {repr(failure).rstrip('.')}."
    if failure.line:
        text += f" The line was: `{failure.line}`."
    if isinstance(failure.error, RuntimeError) and (
        "size" in said or "shape" in said or "dimension" in said
    ):
        return text + " Two shapes do not fit: print both one line earlier."
    hint = PLAIN.get(type(failure.error).__name__, "")
    return f"{text} {hint}".rstrip()


def _copied(values: Any) -> Any:
    """Copies of tensors inside tuples and dicts; everything else is handed on as it is."""
    if isinstance(values, torch.Tensor):
        return values.detach().clone().requires_grad_(values.requires_grad)
    if isinstance(values, (tuple, list)):
        return type(values)(_copied(v) for v in values)
    if isinstance(values, dict):
        return {k: _copied(v) for k, v in values.items()}
    return values


def _values(value: Any) -> Any:
    """What a function may not change of its input: a model's values, copied; the rest as it is."""
    if isinstance(value, torch.nn.Module):
        return {n: t.detach().clone() for n, t in value.state_dict().items()}
    return value


def _unchanged(before: Any, after: Any) -> bool:
    """Bit for bit, dtype and shape too, inside tuples, lists and dicts; what holds no tensors is
    not looked at."""
    if isinstance(before, torch.Tensor):
        return (
            isinstance(after, torch.Tensor)
            and before.dtype == after.dtype
            and before.shape == after.shape
            and torch.equal(before.detach().nan_to_num(), after.detach().nan_to_num())
        )
    if isinstance(before, (tuple, list)):
        return len(before) == len(after) and all(map(_unchanged, before, after))
    if isinstance(before, dict):
        return before.keys() == after.keys() and all(
            _unchanged(before[k], after[k]) for k in before
        )
    return True


def _argument(fn: Callable, place: int) -> str:
    """The name that the learner gave to an argument."""
    try:
        return list(inspect.signature(fn).parameters)[place]
    except (TypeError, ValueError, IndexError):
        return "x"


def _changed_text(value: Any, name: str) -> str:
    if isinstance(value, torch.nn.Module):
        return (
            f"Your function changed its input: the numbers in {name}'s weights are others "
            "afterwards. Whoever called it goes on with that model."
        )
    if not isinstance(value, torch.Tensor):
        return (
            f"Your function changed its input: something in {name} was overwritten, added or "
            "removed. Whoever called it goes on with that. Change a copy."
        )
    new = "labels" if name == "input_ids" else "new"
    return (
        f"Your function changed its input: {new} = {name} makes no copy. Use .clone(). "
        f"+=, *=, {name}[…] = … and methods whose names end in _ write into the tensor itself."
    )


def copied(model: Any) -> Any:
    """A deep copy: for models that the learner's code may change."""
    return copy.deepcopy(model)
