"""Exercises of notebook 02: the bill of same-sized choices, top blocks live, the biases."""

import collections
import functools

import torch
from torch import nn

from .core import NOTHING, Failure, Sheet, brief, copied, exercise, same

# --- 02a ----------------------------------------------------------------------

CHOICES = {
    "a": "The same: the same number of parameters, the same work.",
    "b": "The top two: the backward pass may stop below them.",
    "c": "The bottom two: they are nearer to the input.",
    "d": "The same: freezing spares the optimiser only.",
}


@exercise(
    "02a",
    "two blocks live: the top two, or the bottom two. Which step is cheaper?",
    lambda **_: "b",
    prediction=True,
)
def check_02a(sheet: Sheet, vote) -> None:
    """``vote``: one of "a", "b", "c", "d"."""
    for letter, text in CHOICES.items():
        sheet.note(f"{letter}. {text}")
    empty = vote is None or vote is ...
    word = [] if empty else str(vote).lower().replace("(", " ").split()
    letter = word[0].rstrip(".):") if word else ""  # "bottom" is no "b"
    sheet.note(f"  yours   {'(no vote yet)' if empty else vote}")
    sheet.broken(NOTHING if empty else True)
    sheet.wrong("no choice", 'Say "a", "b", "c" or "d".', letter not in CHOICES)
    sheet.wrong(
        "equal",
        "The count of parameters is the same, the way of the gradient is not. Which blocks must "
        "it pass through to reach the lowest live one? Look at the arrows in the picture below.",
        letter == "a",
    )
    sheet.wrong(
        "bottom",
        "The gradient comes from the loss, at the top. To reach the bottom blocks it must pass "
        "through every block above them, frozen or not.",
        letter == "c",
    )
    sheet.wrong(
        "optimiser only",
        "The optimiser is spared equally in both. But below the lowest live block nothing needs a "
        "gradient, so the backward pass stops there and the activations are not even saved.",
        letter == "d",
    )
    text = "The gradient starts at the loss and goes no deeper than the lowest live block."
    sheet.finish(letter == "b", text, right=text)


# --- 02b ----------------------------------------------------------------------


def top_blocks_live(model: nn.Module, k: int) -> int:
    """Freeze all but the top k blocks of a Llama-like model; returns the number of trainable
    parameters."""
    model.requires_grad_(False)
    blocks = model.model.layers
    for block in blocks[len(blocks) - k :]:
        block.requires_grad_(True)
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


@functools.cache
def _made(layers: int = 4) -> nn.Module:
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=40, hidden_size=8, intermediate_size=12, num_hidden_layers=layers,
        num_attention_heads=2, num_key_value_heads=2, max_position_embeddings=32,
        tie_word_embeddings=True, attention_bias=True, mlp_bias=True,
        bos_token_id=1, eos_token_id=2, pad_token_id=0,
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return LlamaForCausalLM(config).eval()


def _live(model: nn.Module) -> tuple[str, list[str]]:
    """What is trainable, as one line of text and as names."""
    names = [n for n, p in model.named_parameters() if p.requires_grad]
    blocks = []
    for block in model.model.layers:
        flags = {p.requires_grad for p in block.parameters()}
        blocks.append("live" if flags == {True} else "-" if flags == {False} else "half")
    rest = ["embedding"] * any("embed_tokens" in n or "lm_head" in n for n in names)
    rest += ["final norm"] * any(n == "model.norm.weight" for n in names)
    return f"{', '.join(blocks)}; besides: {', '.join(rest) or 'nothing'}", names


def _told(model: nn.Module, value):
    """One line: what is live, and the number that was returned."""
    if value is NOTHING or isinstance(value, Failure):
        return value
    return f"{_live(model)[0]}; returned {brief(value)}"


CASES = {  # k, is everything live before, blocks
    "two": (2, True, 4),
    "one": (1, False, 4),
    "none": (0, True, 4),
    "three blocks": (2, True, 3),
}


@exercise("02b", "top_blocks_live", top_blocks_live)
def check_02b(sheet: Sheet, answer) -> None:
    """``top_blocks_live(model, k) -> number of trainable parameters``, freezing the rest."""
    results, hung_on = {}, False
    for case, (k, start, layers) in CASES.items():
        target_model, model = copied(_made(layers)), copied(_made(layers))
        target_model.requires_grad_(start), model.requires_grad_(start)
        target = top_blocks_live(target_model, k)
        value = sheet.attempt(answer, model, k)
        results[case] = (value, target, _live(model), _live(target_model))
        hung_on |= any("requires_grad" in vars(module) for module in model.modules())
        caption = f"k = {k}, everything {'live' if start else 'frozen'} before"
        caption += f"; blocks 0 to {layers - 1}"
        sheet.case(caption, _told(target_model, target), _told(model, value))
    value, target, (_, names), (_, wanted) = results["two"]
    if isinstance(value, Failure):
        sheet.broken(value)
    sheet.broken(NOTHING if value is NOTHING else True)
    sheet.wrong(
        "attribute of a module",
        "requires_grad = ... on a module does nothing; use requires_grad_(...). Only tensors have "
        "the switch; the method goes through all tensors of the module.",
        hung_on and any(mine != theirs for _, _, mine, theirs in results.values()),
    )
    blocks = {int(n.split(".")[2]) for n in names if n.startswith("model.layers.")}
    sheet.wrong(
        "bottom",
        "You woke the blocks next to the embeddings. Block 0 is the bottom, where the text comes "
        "in; the top is at the end of the list.",
        blocks == {0, 1},
    )
    sheet.wrong(
        "off by one",
        f"k = 2 woke {len(blocks)} blocks. Count the ends of your slice.",
        len(blocks) not in (0, 2, 4),
    )
    sheet.wrong(
        "nothing frozen",
        "Everything was live before, and all blocks still are. Freeze the whole model first, then "
        "wake the top.",
        len(blocks) == 4,
    )
    sheet.wrong(
        "blocks frozen", "No block is live. After freezing, wake the top k again.", len(blocks) == 0
    )
    sheet.wrong(
        "embedding",
        "The embedding is still live. It is tied to the head (one tensor, two places), so it is "
        "no part of the top blocks: freeze it, and with it a large share of the parameters.",
        any("embed_tokens" in n or "lm_head" in n for n in names),
    )
    sheet.wrong(
        "final norm",
        "The final norm is live. It is no part of a block.",
        "model.norm.weight" in names,
    )
    woken = results["one"]
    sheet.broken(woken[0])
    sheet.wrong(
        "never woken",
        "On a frozen model nothing wakes: set requires_grad to True for the top k blocks, do not "
        "count on how the model came.",
        woken[2][1] != woken[3][1],
    )
    zero = results["none"]
    if isinstance(zero[0], Failure):
        sheet.broken(zero[0])
    sheet.wrong(
        "minus zero",
        "k = 0 woke blocks. In Python blocks[-0:] is blocks[0:], which is all of them. Count from "
        "the front: blocks[len(blocks) - k:].",
        any(n.startswith("model.layers.") for n in zero[2][1]),
    )
    short = results["three blocks"]
    if isinstance(short[0], Failure):
        sheet.broken(short[0])
    sheet.wrong(
        "four blocks only",
        "With 4 blocks this is right, with 3 it is not. Ask the model how many it has: "
        "len(model.model.layers).",
        short[2][1] != short[3][1],
    )
    for got, _, _, _ in results.values():
        sheet.broken(got)
    both = sum(
        p.numel() for n, p in _made().named_parameters(remove_duplicate=False) if n in wanted
    )
    sheet.wrong(
        "count",
        "The right parameters are live; the number returned is not theirs. Add up p.numel() over "
        "those that require a gradient.",
        any(not same(g, t) for g, t, _, _ in results.values()) and both > 0,
    )
    sheet.finish(all(m == w for _, _, (_, m), (_, w) in results.values()))


# --- 02c ----------------------------------------------------------------------


def bitfit_names(model: nn.Module) -> list[str]:
    """Names of all biases, norms' included. ValueError if there are none."""
    names = [n for n, _ in model.named_parameters() if n.split(".")[-1] == "bias"]
    if not names:
        raise ValueError("model: it has no biases, so BitFit has nothing to train.")
    return names


class _Block(nn.Module):
    """A block with biases in attention, feed-forward and norm, and one weight whose name only
    sounds like a bias."""

    def __init__(self, bias: bool = True):
        super().__init__()
        self.norm = nn.LayerNorm(4, bias=bias)
        self.attention = nn.ModuleDict(
            {n: nn.Linear(4, 4, bias=bias) for n in ("q", "k", "v", "o")}
        )
        self.attention["position_bias"] = nn.Embedding(3, 4)
        self.feed_forward = nn.ModuleDict(
            {"up": nn.Linear(4, 8, bias=bias), "down": nn.Linear(8, 4, bias=bias)}
        )


@exercise("02c", "bitfit_names", bitfit_names)
def check_02c(sheet: Sheet, answer) -> None:
    """``bitfit_names(model) -> list of names``; ValueError on a model without biases."""
    model, bare = _Block(), _Block(bias=False)
    target = bitfit_names(model)
    value = sheet.attempt(answer, model)
    sizes = {n: p.numel() for n, p in model.named_parameters()}
    sheet.case("a block with biases: tensors by part", _parts(target), _parts(value))
    sheet.case("their parameters", sum(sizes[n] for n in target), _total(value, sizes))
    none = sheet.attempt(answer, bare)
    refused = isinstance(none, Failure) and isinstance(none.error, ValueError)
    returned = _error_name(none)
    shown = f"{returned}, returned" if returned else none
    sheet.case("a block without biases", "ValueError", "ValueError" if refused else shown)
    sheet.broken(value)
    try:
        got = list(value)
    except TypeError:
        got = None
    sheet.wrong(
        "not names",
        "A list of names was expected, as model.named_parameters() gives them.",
        got is None,
    )
    sheet.wrong(
        "not names",
        "A list of names was expected, not of tensors: named_parameters() gives both.",
        any(not isinstance(n, str) for n in got),
    )
    missing, extra = set(target) - set(got), set(got) - set(target)
    sheet.wrong(
        "module names",
        "Those are names of modules, such as attention.q. A parameter's name goes on to the "
        "tensor, attention.q.bias: look at model.named_parameters().",
        bool(extra & {n for n, _ in model.named_modules()}),
    )
    sheet.wrong(
        "weights of norms",
        "The norms' weights are among them. They scale, they do not shift: BitFit trains biases "
        "only.",
        any(n.startswith("norm.weight") for n in extra),
    )
    sheet.wrong(
        "sounds like bias",
        "attention.position_bias.weight has bias in its name and is a table of weights. Ask for "
        "names whose last part is bias.",
        any("position_bias" in n for n in extra),
    )
    sheet.wrong(
        "attention only",
        "Those are the attention's biases. The feed-forward layers and the norms have some too.",
        bool(missing) and not extra and all(n.startswith("attention.") for n in got) and bool(got),
    )
    sheet.wrong(
        "norms left out",
        "The norm has a bias too, and it counts.",
        missing == {"norm.bias"} and not extra,
    )
    sheet.wrong(
        "weights",
        "Weights are among them. BitFit trains biases only.",
        any(n.endswith("weight") for n in extra),
    )
    if isinstance(none, Failure) and not refused:
        sheet.broken(none)
    sheet.wrong(
        "returned",
        f"You returned the {returned}; `raise` it. A returned error stops nobody: the caller "
        "takes it for a list of names.",
        bool(returned),
    )
    sheet.wrong(
        "silent",
        "A model without biases gives an empty list, silently: training would run and change "
        "nothing. Many Llama models have none, so raise ValueError and say why.",
        not refused,
    )
    sheet.finish(sorted(got) == sorted(target))


def _error_name(value) -> str:
    """The name of an error that was handed back as a value, or its class; else nothing."""
    kind = value if isinstance(value, type) else type(value)
    return kind.__name__ if issubclass(kind, BaseException) else ""


def _parts(value):
    """How many of the names lie in which part."""
    if not isinstance(value, (list, tuple, set, dict)):
        return value
    parts = collections.Counter(
        str(n).split(".")[0] if isinstance(n, str) else type(n).__name__ for n in value
    )
    return ", ".join(f"{part} {count}" for part, count in sorted(parts.items())) or "(empty)"


def _total(value, sizes: dict):
    if not isinstance(value, (list, tuple, set, dict)):
        return value
    return sum(sizes.get(n, 0) if isinstance(n, str) else 0 for n in value)
