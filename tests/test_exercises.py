"""Solutions pass, other right ways too, each wrong answer gets its diagnosis, nothing raises."""

import importlib.util
from pathlib import Path

import pytest
import torch

from peft_lab.exercises import CHECKS, NOT_YET, RIGHT
from peft_lab.paths import notebooks_dir


def load(path: Path) -> dict:
    spec = importlib.util.spec_from_file_location(f"solutions_{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return vars(module)


SOLUTIONS = {}
for file in sorted((notebooks_dir() / "solutions").glob("0[0-4]_*.py")):
    SOLUTIONS |= load(file)

MODEL = SOLUTIONS["model"]
NAMES = {number: ("solution",) for number in CHECKS} | {"00a": ("snapshot", "weights_changed")}
GIVEN = {"00c": {"model": MODEL}, "01b": {"parameters": SOLUTIONS["parameters"]}}
PREDICTIONS = ("00b", "00c", "01b", "02b")
WRONG = [(n, name) for n in CHECKS for name in SOLUTIONS[f"WRONG_{n.upper()}"]]
VARIANTS = [(n, name) for n in CHECKS for name in SOLUTIONS[f"VARIANTS_{n.upper()}"]]


def solution(number: str) -> list:
    if len(NAMES[number]) > 1:
        return [SOLUTIONS[f"solution_{number}_{name}"] for name in NAMES[number]]
    return [SOLUTIONS[f"solution_{number}"]]


def listed(answer) -> list:
    return list(answer) if isinstance(answer, tuple) else [answer]


def wrong(number: str) -> dict:
    return SOLUTIONS[f"WRONG_{number.upper()}"]


def ask(number: str, given: list):
    return CHECKS[number](*given, **GIVEN.get(number, {}))


def stubs(number: str) -> list:
    def stub(*args, **kwargs): ...

    return [None if number in PREDICTIONS else stub for _ in NAMES[number]]


def test_every_exercise_has_a_solution_and_three_wrong_answers():
    assert len(CHECKS) == 15
    for number in CHECKS:
        assert len({kind for kind, _ in wrong(number).values()}) >= 3, number


@pytest.mark.parametrize("number", CHECKS)
def test_solution_is_right_and_returned(number, capsys):
    back = ask(number, solution(number))
    said = capsys.readouterr().out
    assert CHECKS[number].last == RIGHT, said
    assert listed(back) == solution(number)
    assert "right" in said and "package's own" not in said


@pytest.mark.parametrize(("number", "name"), VARIANTS)
def test_another_right_way_is_right(number, name, capsys):
    ask(number, listed(SOLUTIONS[f"VARIANTS_{number.upper()}"][name]))
    assert CHECKS[number].last == RIGHT, capsys.readouterr().out


@pytest.mark.parametrize(("number", "name"), WRONG)
def test_wrong_answer_gets_its_own_diagnosis(number, name, capsys):
    kind, answer = wrong(number)[name]
    back = ask(number, listed(answer))
    said = capsys.readouterr().out
    assert CHECKS[number].last == kind, said
    assert "package's own" in said
    assert listed(back) == listed(reference(number))  # the notebook goes on with what is right


def reference(number: str):
    given = GIVEN.get(number, {})
    return CHECKS[number].reference(**given) if number in PREDICTIONS else CHECKS[number].reference


@pytest.mark.parametrize("number", CHECKS)
def test_reference_is_right(number):
    ask(number, listed(reference(number)))
    assert CHECKS[number].last == RIGHT


def test_kinds_have_texts_of_their_own(capsys):
    """Different mistakes of one exercise never share a text."""
    for number in CHECKS:
        texts = {}
        for kind, answer in wrong(number).values():
            ask(number, listed(answer))
            said = capsys.readouterr().out.split("\n")
            diagnosis = " ".join(line for line in said if line and line[0] != " ")
            texts.setdefault(kind, diagnosis[-260:])
        assert len(set(texts.values())) == len(texts), number


@pytest.mark.parametrize("number", CHECKS)
def test_unanswered_is_deterministic_and_says_so(number, capsys):
    outs = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        before = torch.get_rng_state()
        ask(number, stubs(number))
        assert torch.equal(
            before, torch.get_rng_state()
        )  # the notebook's random numbers are left alone
        outs.append(capsys.readouterr().out)
        assert CHECKS[number].last == NOT_YET, outs[-1]
    assert outs[0] == outs[1]
    assert NOT_YET in outs[0] and " at 0x" not in outs[0]
    assert max(map(len, outs[0].split("\n"))) <= 100


@pytest.mark.parametrize("number", [n for n in CHECKS if n not in PREDICTIONS])
def test_not_implemented_and_forgotten_return(number):
    def unwritten(*args):
        raise NotImplementedError

    def forgotten(*args):
        _ = len(args)

    ask(number, [unwritten] * len(NAMES[number]))
    assert CHECKS[number].last == NOT_YET
    ask(number, [forgotten] * len(NAMES[number]))
    assert CHECKS[number].last not in (NOT_YET, RIGHT, "checker")


STRANGE = [
    lambda *a: 1 / 0, lambda *a: a[99], lambda *a: nonsense, lambda *a: exit(), lambda: 0,  # noqa: F821
    lambda *a: "text", lambda *a: [], lambda *a: {}, lambda *a: (None, None), lambda *a: True,
    lambda *a: torch.zeros(0), lambda *a: (torch.ones(2),) * 3, lambda *a: torch.full((9, 9), 1e30),
    lambda *a: object(), lambda *a: (_ for _ in ()), lambda *a: float("nan"),
    3, "x", [], object(), float("nan"), {}, {1: "true"}, {"a": None}, torch.ones(3), -1, ...,
]  # fmt: skip


@pytest.mark.parametrize("number", CHECKS)
def test_nothing_raises(number, capsys):
    for strange in STRANGE:
        ask(number, [strange] * len(NAMES[number]))
        said = capsys.readouterr().out
        assert CHECKS[number].last not in (RIGHT, "checker"), (strange, said)


def test_a_checker_that_stumbles_says_so_and_goes_on(capsys):
    """Called with one function where it takes two."""
    back = CHECKS["00a"](solution("00a")[0])
    assert CHECKS["00a"].last == "checker" and back == CHECKS["00a"].reference
    assert "stumbled" in capsys.readouterr().out


def test_an_error_of_the_learner_is_explained(capsys):
    def mask_labels(input_ids, source_length, pad_id):
        labels = input_ids.clone()  # noqa: F841
        return lables  # noqa: F821

    CHECKS["01a"](mask_labels)
    said = " ".join(capsys.readouterr().out.split())
    assert "NameError" in said and "return lables" in said and "slip of the keys" in said


@pytest.mark.parametrize("number", ["01a", "03a", "03b", "04a", "04c"])
def test_inputs_are_copies(number):
    """A function that ruins what it was given, after the right answer, spoils no later question."""
    (right,) = solution(number)

    def ruins(*args):
        value = right(*_clones(args))
        for tensor in args:
            if isinstance(tensor, torch.Tensor):
                tensor.data.zero_()
        return value

    CHECKS[number](ruins)
    assert CHECKS[number].last == RIGHT


def _clones(args: tuple) -> list:
    return [a.clone() if isinstance(a, torch.Tensor) else a for a in args]


def test_what_is_left_on_a_model_spoils_nothing():
    """A learner forgets to detach: the next check begins with a model as it was."""
    from peft_lab.methods import PrefixTuning

    def prompt_as_prefix(model, prompt, input_ids):
        PrefixTuning(prompt.shape[0]).attach(model)
        return model(input_ids).logits

    for _ in range(2):
        CHECKS["04b"](prompt_as_prefix)
        assert CHECKS["04b"].last == "other"
    CHECKS["04b"](*solution("04b"))
    assert CHECKS["04b"].last == RIGHT


def test_the_target_of_a_prediction_stays_hidden(capsys):
    CHECKS["00c"](1, model=MODEL)
    CHECKS["01b"](4 * 1000, parameters=1000)
    said = capsys.readouterr().out.replace(",", "")
    assert "5120" not in said and "16000" not in said


# Notebooks 03 and 04: slips that a reader made.


def _diagnosed(number: str, answer, capsys) -> str:
    back = CHECKS[number](answer)
    said = " ".join(capsys.readouterr().out.split())
    assert back is CHECKS[number].reference, said  # the notebook goes on with what is right
    return said


def test_04b_the_whole_output_is_not_the_logits(capsys):
    """Taken as right, it stopped the next cell, which subtracts logits."""

    def whole(model, prompt, input_ids):
        spoken = model(inputs_embeds=prompt[None], use_cache=True)
        return model(input_ids=input_ids, past_key_values=spoken.past_key_values)

    said = _diagnosed("04b", whole, capsys)
    assert CHECKS["04b"].last == "whole output" and "field .logits" in said
    assert "tensor([" not in said


def test_04b_a_prompt_without_a_batch(capsys):
    def no_batch(model, prompt, input_ids):
        spoken = model(inputs_embeds=prompt, use_cache=True)
        return model(input_ids=input_ids, past_key_values=spoken.past_key_values).logits

    said = _diagnosed("04b", no_batch, capsys)
    assert CHECKS["04b"].last == "no batch" and "prompt[None]" in said


def test_04c_a_mask_over_the_prefix_too(capsys):
    def masked(q, k, k_prefix):
        n, T = k_prefix.shape[1], k.shape[1]
        scores = q @ torch.cat([k_prefix, k], dim=1).mT / q.shape[-1] ** 0.5
        future = torch.ones(T, n + T).triu(1).bool()
        return scores.masked_fill(future, float("-inf")).softmax(-1)[..., :n].sum(-1)

    assert "last T columns only" in _diagnosed("04c", masked, capsys)
    assert CHECKS["04c"].last == "prefix masked"


def test_04c_the_text_first(capsys):
    def text_first(q, k, k_prefix):
        n, T = k_prefix.shape[1], k.shape[1]
        scores = q @ torch.cat([k, k_prefix], dim=1).mT / q.shape[-1] ** 0.5
        scores[..., :T].masked_fill_(torch.ones(T, T).triu(1).bool(), float("-inf"))
        return scores.softmax(-1)[..., :n].sum(-1)

    assert "those are the text's" in _diagnosed("04c", text_first, capsys)
    assert CHECKS["04c"].last == "text's columns"


def _shifted(mask, labels, logits, n):
    mask, labels, _ = SOLUTIONS["solution_03b"](mask, labels, logits, n)
    return mask, labels, logits[:, n - 1 : -1]


def _floats(mask, labels, logits, n):
    mask = torch.cat([torch.ones(mask.shape[0], n), mask], dim=1)
    return mask, *SOLUTIONS["solution_03b"](mask, labels, logits, n)[1:]


def _swapped(mask, labels, logits, n):
    mask, labels, logits = SOLUTIONS["solution_03b"](mask, labels, logits, n)
    return labels, mask, logits


@pytest.mark.parametrize(
    ("kind", "slip", "text"),
    [
        ("shifted", _shifted, "comes later, in the loss"),
        ("float mask", _floats, "mask.new_ones"),
        ("swapped", _swapped, "first the mask, then the labels"),
    ],
)
def test_03b_slips_of_a_reader(kind, slip, text, capsys):
    assert text in _diagnosed("03b", slip, capsys)
    assert CHECKS["03b"].last == kind


def test_03c_says_of_which_table_it_speaks(capsys):
    said = _diagnosed("03c", lambda weight, n, seed: torch.randn(n, weight.shape[1]), capsys)
    assert CHECKS["03c"].last == "normal"
    assert "this small table" in said and "shouts" not in said
