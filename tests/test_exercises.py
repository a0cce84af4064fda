"""Solutions pass, other right ways too, each wrong answer gets its diagnosis, nothing raises."""

import copy
import importlib.util
import itertools
import json
import re
import warnings
from pathlib import Path
from types import FunctionType, SimpleNamespace

import pytest
import torch

from peft_lab import scored_nll
from peft_lab.exercises import CHECKS, NOT_YET, RIGHT, nb00, nb08
from peft_lab.exercises.core import LENT, Sheet, Verdict, same
from peft_lab.paths import data_dir, notebooks_dir


def load(path: Path) -> dict:
    spec = importlib.util.spec_from_file_location(f"solutions_{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return vars(module)


SOLUTIONS = {}
for file in sorted((notebooks_dir() / "solutions").glob("[0-9][0-9]_*.py")):
    SOLUTIONS |= load(file)

MODEL = SOLUTIONS["model"]
NAMES = {number: ("solution",) for number in CHECKS} | {
    "00a": ("snapshot", "weights_changed"),
    "05a": ("new_adapter", "adapter"),
    "05c": ("scaled_output", "scaled_input"),
    "06a": ("lora_start", "lora_output"),
    "06b": ("merge", "unmerge"),
    "06c": ("lora_parameters", "effective_rank"),
    "07b": ("new_gate", "gated"),
}
GIVEN = {"00c": {"model": MODEL}, "01c": {"parameters": SOLUTIONS["parameters"]}}
PREDICTIONS = ("00b", "00c", "01c", "02a", "08c")
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
    assert len(CHECKS) == 36
    for number in CHECKS:
        assert len({kind for kind, _ in wrong(number).values()}) >= 3, number


@pytest.mark.parametrize("number", CHECKS)
def test_solution_is_right_and_returned(number, capsys):
    back = ask(number, solution(number))
    said = capsys.readouterr().out
    assert CHECKS[number].last == RIGHT, said
    assert listed(back) == solution(number)
    assert "right" in said and "package's own" not in said
    assert_no_scolding(said)


def assert_no_scolding(said: str) -> None:
    """What stands behind "right." is no general remark on what is wrong."""
    verdict = said[said.index("\nright.") :].lower()
    for scolding in ("not yet", "not right", "are not", "is not", "compare target", "usual slips"):
        assert scolding not in verdict, verdict


def test_the_general_remark_is_for_what_is_not_right():
    for ok, said in ((True, "Well seen."), (False, "Add up by hand.")):
        with pytest.raises(Verdict) as ended:
            Sheet("00x", "f").finish(ok, "Add up by hand.", right="Well seen.")
        assert ended.value.text == said
    with pytest.raises(Verdict) as ended:
        Sheet("00x", "f").finish(True, "Add up by hand.")
    assert (ended.value.kind, ended.value.text) == (RIGHT, "")


@pytest.mark.parametrize(("number", "name"), VARIANTS)
def test_another_right_way_is_right(number, name, capsys):
    ask(number, listed(SOLUTIONS[f"VARIANTS_{number.upper()}"][name]))
    said = capsys.readouterr().out
    assert CHECKS[number].last == RIGHT, said
    assert_no_scolding(said)


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


def written_again(answer):
    """The same function as an object of its own, as if the learner had typed it."""
    if not isinstance(answer, FunctionType):
        return copy.copy(answer)
    return FunctionType(
        answer.__code__, answer.__globals__, answer.__name__, answer.__defaults__,
        answer.__closure__,
    )  # fmt: skip


@pytest.mark.parametrize("number", CHECKS)
def test_reference_is_right(number):
    ask(number, [written_again(answer) for answer in listed(reference(number))])
    assert CHECKS[number].last == RIGHT


@pytest.mark.parametrize("number", CHECKS)
def test_what_the_package_lent_is_not_praised(number, capsys):
    """Who runs the check twice hands in the package's own version."""
    lent = listed(ask(number, stubs(number)))
    for answers in (lent, [*solution(number)[:-1], lent[-1]]):
        capsys.readouterr()
        assert listed(ask(number, answers)) == answers
        said = capsys.readouterr().out
        assert CHECKS[number].last == LENT and "right" not in said
        assert "the package's own" in said and "Run\nyour own cell again" in said
    ask(number, solution(number))
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


def _clones(args: tuple) -> list:
    return [a.clone() if isinstance(a, torch.Tensor) else copy.deepcopy(a) for a in args]


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
    CHECKS["01c"](4 * 1000, parameters=1000)
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


def _past(model, prompt):
    return model(inputs_embeds=prompt[None], use_cache=True).past_key_values


def _masked(hidden, fill=float("-inf"), power=0.5):
    def share(q, k, k_prefix):
        n, T = k_prefix.shape[1], k.shape[1]
        scores = q @ torch.cat([k_prefix, k], dim=1).mT / q.shape[-1] ** power
        scores[..., n:].masked_fill_(hidden(torch.ones(T, T)).bool(), fill)
        return scores.softmax(-1)[..., :n].sum(-1)

    return share


@pytest.mark.parametrize(
    ("kind", "slip", "text"),
    [
        ("own place", _masked(lambda ones: ones.triu(0)), "A token may look at itself"),
        ("past masked", _masked(lambda ones: ones.tril()), "turn it round"),
        ("past masked", _masked(lambda ones: ones.tril(-1)), "turn it round"),
        ("masked with 0", _masked(lambda ones: ones.triu(1), 0), "exp(0) = 1"),
        ("width, not root", _masked(lambda ones: ones.triu(1), power=1), "square root"),
    ],
)
def test_04c_slips_of_the_mask_and_the_scale(kind, slip, text, capsys):
    assert text in _diagnosed("04c", slip, capsys)
    assert CHECKS["04c"].last == kind


@pytest.mark.parametrize(
    ("kind", "first", "text"),
    [("one off", lambda n: n + 1, "one off"), ("one off", lambda n: n - 1, "one off"),
     ("other", lambda n: n + 7, "not one of the usual slips")],
)  # fmt: skip
def test_04b_what_is_wrong_is_not_called_the_same(kind, first, text, capsys):
    """ "The same logits" was printed under whatever answer was wrong in an unknown way."""

    def moved(model, prompt, input_ids):
        at = first(len(prompt)) + torch.arange(input_ids.shape[1])[None]
        past = _past(model, prompt)
        return model(input_ids=input_ids, past_key_values=past, position_ids=at).logits

    said = _diagnosed("04b", moved, capsys)
    assert CHECKS["04b"].last == kind
    assert text in said and "the same logits" not in said


def test_04b_shapes_of_positions_and_a_whole_output(capsys):
    """They were told to give the prompt a batch, which it had."""

    def no_batch(model, prompt, input_ids):
        at = torch.arange(len(prompt), input_ids.shape[1])[None]
        past = _past(model, prompt)
        return model(input_ids=input_ids, past_key_values=past, position_ids=at).logits

    said = _diagnosed("04b", no_batch, capsys)
    assert CHECKS["04b"].last == "positions' shape" and "prompt[None]" not in said

    def output(model, prompt, input_ids):
        past = model(inputs_embeds=prompt[None], use_cache=True)
        return model(input_ids=input_ids, past_key_values=past).logits

    assert ".past_key_values" in _diagnosed("04b", output, capsys)
    assert CHECKS["04b"].last == "no cache"

    def first_call(model, prompt, input_ids):
        return model(inputs_embeds=prompt[None], use_cache=True).logits

    assert "first call" in _diagnosed("04b", first_call, capsys)
    assert CHECKS["04b"].last == "the prompt's logits"


def test_04a_key_and_value_in_each_head(capsys):
    def by_head(flat, layer, config):
        heads, width = config.num_key_value_heads, config.head_dim
        cut = flat.view(len(flat), config.num_hidden_layers, heads, 2, width)[:, layer]
        return tuple(cut.permute(2, 1, 0, 3))

    assert "head by head" in _diagnosed("04a", by_head, capsys)
    assert CHECKS["04a"].last == "heads before the pair"


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


# Notebooks 00 to 02: what a learner found by running.


def _said(capsys) -> str:
    return " ".join(capsys.readouterr().out.split())


MICRO = json.loads((data_dir() / "models/storyteller-micro/config.json").read_text("utf-8"))


def _model(width: int, layers: int, vocabulary: int) -> SimpleNamespace:
    config = SimpleNamespace(hidden_size=width, num_hidden_layers=layers, vocab_size=vocabulary)
    return SimpleNamespace(config=config)


def test_00c_on_the_real_model(capsys):
    """Four layers, four bytes a number: the count times the layers is the right answer."""
    from peft_lab import load_base

    model, _ = load_base()
    assert (model.config.num_hidden_layers, model.config.hidden_size) == (4, 128)
    assert CHECKS["00c"](5120, model=model) == 5120
    assert CHECKS["00c"].last == RIGHT, _said(capsys)
    kinds = {
        1280: "elements", 40960: "bits", 2560: "float16", 128: "one vector", 512: "one vector",
        20480: "times layers", 10240: "times layers", 524288: "whole vocabulary",
        2097152: "whole vocabulary", 5121: "other",
    }  # fmt: skip
    for answer, kind in kinds.items():
        assert CHECKS["00c"](answer, model=model) == 5120
        assert CHECKS["00c"].last == kind, (answer, _said(capsys))


def test_00c_the_real_model_is_the_stored_one():
    given = _model(MICRO["hidden_size"], MICRO["num_hidden_layers"], MICRO["vocab_size"])
    CHECKS["00c"](5120, model=given)
    assert CHECKS["00c"].last == RIGHT


@pytest.mark.parametrize("layers", [1, 2, 4, 8, 10, 16])
def test_00c_right_is_right_whatever_the_model(layers, capsys):
    choices = itertools.product((4, 32, 128, 512), (10, 64, 4096), (1, 2, 4, 8, 10, 32))
    for width, vocabulary, vectors in choices:
        model, right = _model(width, layers, vocabulary), vectors * width * 4
        CHECKS["00c"](right, model=model, vectors=vectors)
        assert CHECKS["00c"].last == RIGHT, (vectors, _said(capsys))
        CHECKS["00c"](right + 1, model=model, vectors=vectors)
        assert CHECKS["00c"].last != RIGHT


def test_00c_two_slips_of_one_number_are_not_told_apart(capsys):
    """Eight layers of four bytes, or 32 bits: 40,960 may be either."""
    CHECKS["00c"](40960, model=_model(128, 8, 4096))
    assert CHECKS["00c"].last == "other" and "multiplied by" not in _said(capsys)


@pytest.mark.parametrize("parameters", [1, 2, 4, 5, 8, 12, 16, 1000, 1_321_280])
def test_01c_right_is_right_whatever_the_model(parameters, capsys):
    assert CHECKS["01c"](16 * parameters, parameters=parameters) == 16 * parameters
    assert CHECKS["01c"].last == RIGHT, _said(capsys)


def test_01c_one_number_of_two_slips(capsys):
    CHECKS["01c"](16, parameters=4)  # weights only, or one parameter
    assert CHECKS["01c"].last == "other", _said(capsys)


def test_01c_step_counters(capsys):
    """What the notebook measures: 66 tensors have a counter of 4 bytes each."""
    assert CHECKS["01c"](21_140_744, parameters=1_321_280) == 21_140_744
    assert CHECKS["01c"].last == RIGHT
    assert "step counters, 4 bytes a tensor: 66 tensors" in _said(capsys)
    for odd in (16 * 1_321_280 + 2, 17 * 1_321_280):
        CHECKS["01c"](odd, parameters=1_321_280)
        assert CHECKS["01c"].last == "other", odd


@pytest.mark.parametrize("given", [21.14, "21.14", 20.16, 21140.5, 0.0211, 5.3])
def test_01c_another_unit(given, capsys):
    CHECKS["01c"](given, parameters=1_321_280)
    assert CHECKS["01c"].last == "unit", _said(capsys)


@pytest.mark.parametrize("place", [0, 1])
def test_01b_one_batch_only(place, capsys):
    def forgetting(before, after, held_out):
        pairs = [scored_nll(m.eval(), held_out["stories"][place]) for m in (before, after)]
        (was, count), (now, _) = pairs
        return float(now - was) / count

    _diagnosed("01b", forgetting, capsys)
    assert CHECKS["01b"].last == "one batch"


def test_01a_source_scored_even_where_bos_is_not(capsys):
    def mask_labels(input_ids, source_length, pad_id):
        labels = input_ids.clone()
        labels[0] = -100
        labels[input_ids == pad_id] = -100
        return labels

    said = _diagnosed("01a", mask_labels, capsys)
    assert CHECKS["01a"].last == "source scored" and "here 4" in said


def test_floats_do_not_run_together(capsys):
    CHECKS["01a"](lambda ids, *_: torch.where(ids > 3, ids.float(), -100.0))
    assert "-100.000-100" not in capsys.readouterr().out


@pytest.mark.parametrize("vote", ["bottom", "bottom two", "both", "below", "because", "best"])
def test_02a_a_word_is_no_letter(vote, capsys):
    CHECKS["02a"](vote)
    assert CHECKS["02a"].last == "no choice", _said(capsys)


@pytest.mark.parametrize("vote", ["b", "B", " b ", "b.", "b)", "(b)", "b. The top two"])
def test_02a_the_letter_in_any_dress(vote, capsys):
    CHECKS["02a"](vote)
    assert CHECKS["02a"].last == RIGHT, _said(capsys)


def test_02a_no_option_speaks_of_both_passes(capsys):
    CHECKS["02a"](None)
    assert "d. The same: freezing spares the optimiser only." in _said(capsys)


# A function that changes what the caller handed in.


def test_01a_labels_is_no_copy(capsys):
    def mask_labels(input_ids, source_length, pad_id):
        labels = input_ids
        labels[:source_length] = -100
        labels[input_ids == pad_id] = -100
        return labels

    said = _diagnosed("01a", mask_labels, capsys)
    assert CHECKS["01a"].last == "changed input"
    assert (
        "Your function changed its input: labels = input_ids makes no copy. Use .clone()." in said
    )


@pytest.mark.parametrize("number", ["01a", "01b", "03a", "03b", "04a", "04b", "04c"])
def test_a_function_that_ruins_its_input_is_told_so(number, capsys):
    """After the right answer, so nothing else is wrong; and it spoils no later question."""
    (right,) = solution(number)

    def tensors(value):
        if isinstance(value, torch.Tensor):
            yield value
        elif isinstance(value, (dict, list, tuple)):
            for inner in value.values() if isinstance(value, dict) else value:
                yield from tensors(inner)

    def ruins(*args):
        value = right(*_clones(args))
        for tensor in tensors(args):
            tensor.data.zero_()
        return value

    said = _diagnosed(number, ruins, capsys)
    assert CHECKS[number].last == "changed input" and "Your function changed its input" in said
    ask(number, solution(number))
    assert CHECKS[number].last == RIGHT


def test_00a_a_dict_that_loses_an_entry_is_a_changed_input(capsys):
    take, _ = solution("00a")

    def weights_changed(before, after):
        return [n for n in list(before) if not torch.equal(before.pop(n), after[n])]

    CHECKS["00a"](take, weights_changed)
    assert CHECKS["00a"].last == "changed input" and "before" in _said(capsys)


@pytest.mark.parametrize("number", ["01b", "02b", "04b"])
def test_a_function_that_changes_weights_is_told_so(number, capsys):
    (right,) = solution(number)

    def ruins(model, *rest):
        value = right(model, *rest)
        with torch.no_grad():
            next(model.parameters()).add_(1.0)
        return value

    said = _diagnosed(number, ruins, capsys)
    assert CHECKS[number].last == "changed input" and "weights" in said


@pytest.mark.parametrize("slip", ["undivided", "float", "warns"])
def test_01b_prints_no_warning(slip, capsys, recwarn):
    """Two slips at once, the sum not divided and dropout on, showed a long path of PyTorch's."""

    def forgetting(before, after, held_out):
        if slip == "warns":
            warnings.warn("a long path", UserWarning, stacklevel=1)
        sums = [sum(scored_nll(m, b)[0] for b in held_out["stories"]) for m in (before, after)]
        return float(sums[1] - sums[0]) if slip == "float" else sums[1] - sums[0]

    always = torch.is_warn_always_enabled()
    torch.set_warn_always(True)
    warnings.simplefilter("always")
    try:
        _diagnosed("01b", forgetting, capsys)
    finally:
        torch.set_warn_always(always)
    assert CHECKS["01b"].last == "train mode"
    assert [str(w.message) for w in recwarn.list] == []


def _pooled(models, held_out, pool):
    def loss(model):
        model.eval()
        with torch.no_grad():
            groups = [[scored_nll(model, b) for b in batches] for batches in held_out.values()]
        if pool == "one sum":
            groups = [sum(groups, [])]
        if pool == "means":
            each = [float(s) / n for group in groups for s, n in group]
            return sum(each) / len(each)
        losses = [float(sum(s for s, _ in g)) / sum(n for _, n in g) for g in groups]
        return sum(losses) / (1 if pool == "added" else len(losses))

    return loss(models[1]) - loss(models[0])


@pytest.mark.parametrize("pool", ["one sum", "mean of both", "added", "means"])
def test_01b_stories_and_poems(pool, capsys):
    said = _diagnosed("01b", lambda b, a, held_out: _pooled((b, a), held_out, pool), capsys)
    assert CHECKS["01b"].last == "stories and poems" and "held-out stories alone" in said


def test_01b_one_number_has_no_entries(capsys):
    said = _diagnosed("01b", lambda *_: 12.5, capsys)
    assert CHECKS["01b"].last == "other" and "entry" not in said


def _no_freeze(model, k):
    model.requires_grad = False
    for block in model.model.layers[len(model.model.layers) - k :]:
        block.requires_grad_(True)
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def _no_wake(model, k):
    model.requires_grad_(False)
    for block in model.model.layers[len(model.model.layers) - k :]:
        block.requires_grad = True
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


@pytest.mark.parametrize("slip", [_no_freeze, _no_wake])
def test_02b_requires_grad_on_a_module(slip, capsys):
    said = _diagnosed("02b", slip, capsys)
    assert CHECKS["02b"].last == "attribute of a module"
    assert "requires_grad = ... on a module does nothing; use requires_grad_(...)" in said


@pytest.mark.parametrize("refuses", [False, True])
def test_02c_names_of_modules(refuses, capsys):
    def bitfit_names(model):
        modules = model.named_modules()
        names = [n for n, m in modules if getattr(m, "bias", None) is not None]
        if refuses and not names:
            raise ValueError("no biases")
        return names

    said = _diagnosed("02c", bitfit_names, capsys)
    assert CHECKS["02c"].last == "module names"
    assert "names of modules" in said and "empty list" not in said


def test_00b_says_where_the_cell_is(capsys):
    CHECKS["00b"](wrong("00b")["believes the glossary"][1])
    said = _said(capsys)
    assert "the cell below, under Train it" in said


# Notebook 00: what a second learner found by running.


def _every_parameter(change):
    return lambda model: {n: change(p) for n, p in model.named_parameters()}


@pytest.mark.parametrize(
    ("change", "kind", "text"),
    [
        (lambda p: p.detach().numpy().copy(), "no tensors", "of type ndarray"),
        (lambda p: p.tolist(), "no tensors", "of type list"),
        (lambda p: hash(p.detach().numpy().tobytes()), "no tensors", "of type int"),
        (lambda p: p.detach(), "references", "references to the same memory"),
        (lambda p: p.data.bfloat16(), "other values", "other values"),
        (lambda p: p.sum(), "other values", "other values"),
    ],
)
def test_00a_says_what_is_amiss_with_the_values(change, kind, text, capsys):
    CHECKS["00a"](_every_parameter(change), solution("00a")[1])
    assert CHECKS["00a"].last == kind and text in _said(capsys)


@pytest.mark.parametrize(
    "take",
    [
        _every_parameter(torch.clone),
        _every_parameter(copy.deepcopy),
        lambda model: copy.deepcopy(model.state_dict()),
        lambda model: (
            {"a tied name": model.block.bias.clone()}
            | {n: t.clone() for n, t in model.state_dict().items()}
        ),
    ],
)
def test_00a_every_true_copy_is_right(take, capsys):
    CHECKS["00a"](take, solution("00a")[1])
    assert CHECKS["00a"].last == RIGHT, _said(capsys)


def test_00a_two_halves_that_do_not_fit_together(capsys):
    """A copy that still asks for gradients, and a comparison that calls .numpy()."""
    _, changed = SOLUTIONS["VARIANTS_00A"]["hashes of the bytes"]
    CHECKS["00a"](_every_parameter(torch.clone), changed)
    assert CHECKS["00a"].last == "raises" and "numpy()" in _said(capsys)


def test_00b_both_places_in_one_message(capsys):
    CHECKS["00b"]({1: "true", 2: "false", 3: "true", 4: "false", 5: "not by a hash"})
    assert CHECKS["00b"].last == "places by hash" and "Claims 3 and 4" in _said(capsys)


# Notebook 05.


def test_05a_in_place_is_a_changed_input(capsys):
    new, _ = solution("05a")

    def adapter(h, down, up):
        h += up(torch.relu(down(h)))
        return h

    CHECKS["05a"](new, adapter)
    assert CHECKS["05a"].last == "changed input" and "+=" in _said(capsys)


def test_05c_in_place_is_a_changed_input(capsys):
    def scaled_output(W, b, scale):
        W *= scale[:, None]
        return W, b * scale

    CHECKS["05c"](scaled_output, solution("05c")[1])
    assert CHECKS["05c"].last == "changed input" and "*=" in _said(capsys)


def test_05c_square_only(capsys):
    def scaled_output(W, b, scale):
        return (W.T * scale).T.reshape(3, 3), b * scale

    CHECKS["05c"](scaled_output, solution("05c")[1])
    assert CHECKS["05c"].last not in (RIGHT, "checker"), _said(capsys)


def test_05a_relu_before_down(capsys):
    new, _ = solution("05a")
    CHECKS["05a"](new, lambda h, down, up: h + up(down(torch.relu(h))))
    assert CHECKS["05a"].last == "activation's place" and "wrong place" in _said(capsys)


def test_05a_no_bias_in_either_layer(capsys):
    def new_adapter(d, width):
        down, up = (torch.nn.Linear(*of, bias=False) for of in ((d, width), (width, d)))
        torch.nn.init.zeros_(up.weight)
        return down, up

    def adapter(h, down, up):
        return h + up(torch.relu(down(h)))

    CHECKS["05a"](new_adapter, adapter)
    assert CHECKS["05a"].last == "no bias" and "At least one" in _said(capsys)


@pytest.mark.parametrize("lost", [0, 1])
def test_05c_bias_given_back_as_none(lost, capsys):
    functions = solution("05c")
    right = functions[lost]
    functions[lost] = lambda W, b, scale: (right(W, b, scale)[0], None)
    CHECKS["05c"](*functions)
    assert CHECKS["05c"].last == "bias lost" and "this layer has one" in _said(capsys)


def _ia3(k, v, down):
    """Hooks made by three functions of the vectors' dict."""

    def add_ia3(block):
        at, last = block.self_attn, block.mlp.down_proj
        one = {"k": at.k_proj.out_features, "v": at.v_proj.out_features, "ff": last.in_features}
        scale = {n: torch.nn.Parameter(torch.ones(size)) for n, size in one.items()}
        at.k_proj.register_forward_hook(k(scale))
        at.v_proj.register_forward_hook(v(scale))
        last.register_forward_pre_hook(down(scale))
        return scale

    return add_ia3


def _out(name):
    return lambda scale: lambda m, x, y: y * scale[name]


def _in(name):
    return lambda scale: lambda m, x: (x[0] * scale[name],)


@pytest.mark.parametrize(
    ("kind", "parts", "text"),
    [
        ("sizes", (_out("ff"), _out("ff"), _in("ff")), "the last vector"),
        ("tuple", (_out("k"), _out("v"), lambda s: lambda m, x: x * s["ff"]), "inputs[0]"),
        ("late look-up", (_out("k"), _out("k"), _in("ff")), "each learned for itself"),
        ("swapped", (_out("v"), _out("k"), _in("ff")), "k and v are swapped"),
        (
            "one is missing",
            (lambda s: lambda m, x, y: None, _out("v"), _in("ff")),
            "numbers in k c",
        ),
        ("other", (_out("k"), lambda s: lambda m, x, y: y * s["v"] ** 2, _in("ff")), "usual slips"),
    ],
)
def test_05b_slips_of_a_reader(kind, parts, text, capsys):
    said = _diagnosed("05b", _ia3(*parts), capsys)
    assert CHECKS["05b"].last == kind, said
    assert text in said


def test_05b_a_learner_who_overwrites_weights_is_told_so(capsys):
    def add_ia3(block):
        scale = solution("05b")[0](block)
        block.self_attn.k_proj.weight.data.mul_(1.5)
        return scale

    assert "own weights" in _diagnosed("05b", add_ia3, capsys)
    assert CHECKS["05b"].last == "changed input"


def test_08_votes_are_on_the_claims_that_are_judged(capsys):
    book = json.loads((notebooks_dir() / "08_which_one_when.ipynb").read_text(encoding="utf-8"))
    cells = ["".join(cell["source"]) for cell in book["cells"]]
    for heading, sentences in (
        ("### Vote first", [*nb08.GLOSSARY]),
        ("vote `again`", [*nb00.CLAIMS.values()]),
    ):
        (asked,) = (text for text in cells if heading in text)
        assert re.findall(r"^\d\. (.*)$", asked, re.M) == sentences
    (told,) = (re.sub(r'"\s*"', "", text) for text in cells if "plots.verdict_table" in text)
    assert all(f'"{claim.removesuffix(".")}"' in told for claim in nb08.GLOSSARY)
    nb08.judged({2: "on the batch"})
    said = capsys.readouterr().out
    assert said.count("(no vote)") == 4 and "on the batch; depends on: training or use" in said
    assert said.count("depends on") == 5


def test_08_votes_then_and_again_stand_beside_what_was_found(capsys):
    then, again = {1: "true", 2: "true", 3: "true"}, {1: "false", 2: "false", 3: "yes", 4: ""}
    nb08.both_votes(then, again)
    first, second, third, *others = re.split(r"^\d\. ", capsys.readouterr().out, flags=re.M)[1:]
    assert "then: true; again: false; found: true" in first
    assert first.endswith("you changed your mind.\n")
    assert second.endswith("you changed your mind, and are right.\n")
    assert third.endswith('yes: a vote is one of "true", "false", "not by a hash".\n')
    assert all("then: (no vote); again: (no vote)" in other for other in others)
    nb08.both_votes({2: "false"}, {2: "false"})
    assert "mind" not in capsys.readouterr().out


@pytest.mark.parametrize("odd", [None, ..., ["true"], {"1": 3}])
def test_08_votes_that_are_none_are_no_votes(odd, capsys):
    nb08.both_votes(odd, odd)
    nb08.judged(odd)
    assert capsys.readouterr().out.count("(no vote)") == 15


def test_09_reveal_tells_how_far_off_a_guess_is(capsys):
    from peft_lab.exercises.nb09 import QUESTIONS, reveal

    found = dict(zip(QUESTIONS, (286_720, 37_748_736, 151.0, 74.8, 25.9), strict=True))
    guesses = {"prompt": "2,867,200", "lora": "8 MB", "file": 15.1, "memory": -5, "saved": 0}
    reveal(guesses, found)
    _, *lines = capsys.readouterr().out.splitlines()
    ends = [line[56:].split() for line in lines]
    assert ends == [
        ["2,867,200", "286,720", "10.0", "times", "too", "high"],
        ["?", "37,748,736", "no", "number"],
        ["15.1", "151", "10.0", "times", "too", "low"],
        ["-5", "75", "must", "be", "above", "0"],
        ["0", "26", "26", "points", "too", "low"],
    ]
    reveal({"prompt": 10**15, "saved": 25.9}, found)
    said = capsys.readouterr().out.splitlines()
    assert said[1].split()[-7:] == "1.0e+15 286,720 over 100,000 times too high".split()
    assert said[-1].endswith("0 points")
    reveal({}, found)
    assert capsys.readouterr().out.count("(none)") == 5


def test_10b_the_first_entry_that_differs_is_shown(capsys):
    CHECKS["10b"](SOLUTIONS["wrong_10b_later_tokens"])
    assert "row 0, its token 1" in _said(capsys)


def test_an_error_that_ends_with_a_full_stop_gets_no_second(capsys):
    CHECKS["10b"](SOLUTIONS["wrong_10b_columns"])
    said = _said(capsys)
    assert "x @ A.mT @ B.mT" in said and ".." not in said


def test_09a_each_slip_has_numbers_of_its_own():
    """Where two slips give the same numbers, a learner is told of one that he did not make."""
    answers = {"right": SOLUTIONS["solution_09a"]} | {n: fn for n, (_, fn) in wrong("09a").items()}
    numbers = {}
    for name, fn in answers.items():
        given = []
        CHECKS["09a"](lambda *a, fn=fn, given=given: given.append(fn(*a)) or given[-1])
        numbers[name] = tuple(given)
    assert len(set(numbers.values())) == len(answers), numbers


@pytest.mark.parametrize("target", [0.25, 3, (0.25, 3), True])
def test_a_text_is_no_number(target):
    told = str(target) if not isinstance(target, tuple) else tuple(map(str, target))
    assert same(target, target) and not same(told, target)
