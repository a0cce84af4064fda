"""Exercises of notebook 04: one flat tensor as keys and values, a prompt as a prefix, the
prefix's share."""

import functools
from types import SimpleNamespace

import torch
from torch import nn

from .core import Failure, Sheet, copied, exercise, number, same, shape

# --- 04a ----------------------------------------------------------------------


def keys_values(flat: torch.Tensor, layer: int, config) -> tuple[torch.Tensor, torch.Tensor]:
    """Keys and values of a layer, each (H_kv, n, head_dim), from flat (n, L·2·H_kv·head_dim)."""
    pairs = flat.view(-1, config.num_hidden_layers, 2, config.num_key_value_heads, config.head_dim)
    pair = pairs[:, layer].permute(1, 2, 0, 3)  # (2, H_kv, n, head_dim)
    return pair[0], pair[1]


@exercise("04a", "keys_values", keys_values)
def check_04a(sheet: Sheet, answer) -> None:
    """``keys_values(flat (n, L·2·H_kv·head_dim), layer, config) -> k, v``, each (H_kv, n,
    head_dim)."""
    config = SimpleNamespace(
        num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=2, head_dim=2, hidden_size=8
    )
    flat = _numbered(3, config)
    values, targets = {}, {}
    sheet.note("3 vectors, 3 layers, 4 query heads on 2 key-value heads of width 2")
    sheet.note("every number names its place: 7121.0 is vector 7, layer 1, a value (a key has 1),")
    sheet.note("head 1, entry 0; layers and heads count from 0")
    for layer in (1, 0):
        targets[layer] = keys_values(flat, layer, config)
        values[layer] = sheet.attempt(answer, flat, layer, config)
    got, target = values[1], targets[1]
    pair = isinstance(got, (tuple, list)) and len(got) == 2
    for i, name in enumerate(("key", "value")):
        mine = got[i] if pair else got
        sheet.case(f"{name} of layer 1, shape", shape(target[i]), shape(mine) or mine)
        sheet.case("head 0, a line per vector", _head(target[i]), _head(mine))
    if isinstance(got, Failure):
        wide = SimpleNamespace(**vars(config))
        wide.num_key_value_heads = config.num_attention_heads
        retry = sheet.attempt(answer, _numbered(3, wide), 1, wide)
        sheet.wrong(
            "query heads",
            _QUERY_HEADS,
            isinstance(retry, (tuple, list))
            and same(retry, keys_values(_numbered(3, wide), 1, wide)),
        )
    sheet.broken(got)
    sheet.wrong(
        "not a pair",
        "Two tensors come back: return k, v.",
        not pair or not isinstance(got[0], torch.Tensor),
    )
    sheet.wrong(
        "query heads",
        _QUERY_HEADS,
        any(shape(g) is not None and 4 in shape(g)[:1] for g in got)
        and shape(got[0]) != shape(target[0]),
    )
    sheet.wrong(
        "swapped",
        "Keys and values are swapped: in each layer's pair the key comes first.",
        same(got, target[::-1]),
    )
    sheet.wrong(
        "no permute",
        "The shape is right, the numbers stand in wrong places: reshape cuts the row of numbers "
        "anew, it does not turn axes. View with n first, as the numbers lie, then permute.",
        shape(got[0]) == shape(target[0])
        and (same(got[0], flat.reshape(3, 2, 2, 3, 2)[1, 0]) or not _permuted(got[0], target[0])),
    )
    halves = flat.view(3, 2, 3, 2, 2)[:, :, 1].permute(1, 2, 0, 3)
    sheet.wrong(
        "all keys first",
        "You read all layers' keys first, then all values. They lie layer by layer: key and value "
        "of layer 0, then of layer 1.",
        same(list(got), list(halves)),
    )
    by_head = flat.view(3, 3, 2, 2, 2)[:, 1].permute(2, 1, 0, 3)
    sheet.wrong(
        "heads before the pair",
        "You read key and value head by head. In a layer first the whole key lies there, head by "
        "head, then the whole value.",
        same(list(got), list(by_head)),
    )
    sheet.wrong(
        "axes",
        f"The shape should be (H_kv, n, head_dim) = {shape(target[0])}: heads first, as attention "
        "computes head by head.",
        shape(got[0]) != shape(target[0]),
    )
    sheet.wrong(
        "layer",
        "Another layer's numbers. Every layer has two entries, a key and a value.",
        not same(got, target) and float(got[0].flatten()[0]) // 100 % 10 != 1,
    )
    sheet.broken(values[0])
    sheet.finish(all(same(list(values[i]), list(targets[i])) for i in values))


_QUERY_HEADS = (
    "You counted the query heads. Several of them share one key-value head here (grouped-query "
    "attention), and a prefix has keys and values only: config.num_key_value_heads."
)


def _numbered(n: int, config) -> torch.Tensor:
    """Numbers that name their place: vector, layer, 1 key or 2 value, head; decimal: entry."""
    axes = (n, config.num_hidden_layers, 2, config.num_key_value_heads, config.head_dim)
    grid = torch.meshgrid(*(torch.arange(a, dtype=torch.float64) for a in axes), indexing="ij")
    vector, layer, kind, head, entry = grid
    return (1000 * (vector + 7) + 100 * layer + 10 * (kind + 1) + head + 0.1 * entry).reshape(n, -1)


def _permuted(value: torch.Tensor, target: torch.Tensor) -> bool:
    """Is each head's line a vector's? (False: the numbers of one entry come from several
    vectors.)"""
    if shape(value) != shape(target):
        return False
    vector = (value.double() // 1000).long()
    return (
        bool((vector == vector[:1]).all())
        and bool((vector == vector[..., :1]).all())
        and len(vector.unique()) == 3
    )


def _head(value):
    if not isinstance(value, torch.Tensor) or value.ndim != 3:
        return "-" if isinstance(value, torch.Tensor) else value
    return "\n".join("  ".join(f"{v:.1f}" for v in row) for row in value[0][:4].tolist())


# --- 04b ----------------------------------------------------------------------


def prompt_as_prefix(
    model: nn.Module, prompt: torch.Tensor, input_ids: torch.Tensor
) -> torch.Tensor:
    """Logits (1, T, V) of input_ids (1, T) after the keys and values that the prompt (n, d)
    leaves."""
    n, length = prompt.shape[0], input_ids.shape[1]
    cache = model(inputs_embeds=prompt[None], use_cache=True).past_key_values
    positions = torch.arange(n, n + length)[None]  # (1, T)
    return model(input_ids=input_ids, past_key_values=cache, position_ids=positions).logits


@functools.cache
def _made() -> nn.Module:
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=40, hidden_size=16, intermediate_size=24, num_hidden_layers=3,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=32,
        tie_word_embeddings=True, rope_theta=10.0, bos_token_id=1, eos_token_id=2, pad_token_id=0,
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = LlamaForCausalLM(config).double().eval()
        for p in model.parameters():
            p.data += 0.4 * torch.randn_like(p)  # as made, attention hardly matters
    return model.requires_grad_(False)


def _mutants(
    model: nn.Module, prompt: torch.Tensor, input_ids: torch.Tensor
) -> dict[str, list[torch.Tensor]]:
    """What the usual slips give."""
    from transformers.models.llama.modeling_llama import apply_rotary_pos_emb

    n, length = prompt.shape[0], input_ids.shape[1]

    def cache():
        return model(inputs_embeds=prompt[None], use_cache=True).past_key_values

    def run(past, start=n):
        positions = torch.arange(start, start + length)[None]
        return model(input_ids=input_ids, past_key_values=past, position_ids=positions).logits

    twice, twice_zero, first = cache(), cache(), cache()
    for past, start in ((twice, 0), (twice_zero, n)):
        cos, sin = model.model.rotary_emb(prompt, torch.arange(start, start + n)[None])
        for layer in past.layers:
            layer.keys, _ = apply_rotary_pos_emb(layer.keys, layer.keys, cos, sin)
    for layer in first.layers[1:]:
        layer.keys, layer.values = torch.zeros_like(layer.keys), torch.zeros_like(layer.values)
    from ..methods import PrefixTuning, PromptTuning

    masked = PrefixTuning(n, init=PromptTuning(n, init=prompt), layers=[0])
    with masked.attach(model):
        only_first = model(input_ids).logits
    plain = model(input_ids).logits
    return {
        "rotated twice": [run(twice), run(twice_zero)],
        "positions": [run(cache(), 0)],
        "one off": [run(cache(), n + 1), run(cache(), n - 1)],
        "layer 0 only": [run(first), only_first],
        "no prompt": [plain],
        "keys and values swapped": [run(_swapped(cache()))],
    }


def _swapped(past):
    for layer in past.layers:
        layer.keys, layer.values = layer.values, layer.keys
    return past


_SLIPS = {
    "rotated twice": "The keys were rotated twice. What the cache keeps has been rotated to its "
    "positions already: hand it on as it is.",
    "positions": "Your tokens start at position 0, where the prompt already stands. They come "
    "after it: positions n, n+1, …",
    "one off": "Your positions are one off. The prompt stands at 0 to n-1, so the first token "
    "stands at n.",
    "layer 0 only": "Only layer 0 hears the prompt. In each later layer it left keys and values "
    "as well, and they are the point.",
    "no prompt": "These are the logits without any prompt: its keys and values never reached the "
    "model. Are they handed on?",
    "keys and values swapped": "Keys and values are swapped.",
}


_NO_BATCH = (
    "no batch",
    "A prompt is (n, d); the model wants a batch of them, (1, n, d): prompt[None].",
)
_POSITIONS = (
    "positions' shape",
    "Look at the shape of position_ids: (1, T), a position for each of the tokens, n to n+T-1.",
)
_NO_CACHE = (
    "no cache",
    "You hand on the whole output. The keys and values are its field .past_key_values.",
)


@exercise("04b", "prompt_as_prefix", prompt_as_prefix)
def check_04b(sheet: Sheet, answer) -> None:
    """``prompt_as_prefix(model, prompt (n, d), input_ids (1, T)) -> logits (1, T, V)``."""
    model, n, length = _made(), 3, 5
    make = torch.Generator().manual_seed(1)
    prompt = torch.randn(n, 16, generator=make, dtype=torch.float64)
    input_ids = torch.randint(3, 40, (1, length), generator=make)
    with torch.no_grad():
        target = prompt_as_prefix(model, prompt, input_ids)
        lengths: list[int] = []
        flat: list[bool] = []  # a prompt without a batch, for each call

        def spy(_, args, kwargs):
            given = [*args, kwargs.get("input_ids"), kwargs.get("inputs_embeds")]
            given = [g for g in given if isinstance(g, torch.Tensor)]
            lengths.extend(g.shape[1] for g in given if g.ndim > 1)
            flat.extend(g.is_floating_point() and g.ndim == 2 for g in given)

        theirs = copied(model)  # whatever is left hanging on it goes with it
        theirs.model.register_forward_pre_hook(spy, with_kwargs=True)
        value = sheet.attempt(answer, theirs, prompt, input_ids)
        mutants = _mutants(model, prompt, input_ids)
    sheet.note(f"a prompt of {n} vectors, then {length} tokens, on a model of 3 layers")
    whole = not isinstance(value, torch.Tensor) and hasattr(value, "logits")
    shown = type(value).__name__ if whole else value  # printed whole, it fills the screen
    sheet.case("logits, shape", shape(target), shape(value) or shown)
    mine = value[0, :, 0] if isinstance(value, torch.Tensor) and value.ndim == 3 else shown
    sheet.case("first logit of each token", target[0, :, 0], mine)
    shapes = _NO_BATCH if any(flat) else _POSITIONS
    hints = {"not enough values to unpack": shapes, "must match the size": shapes}
    # which of the two is told depends on transformers' version
    sheet.broken(value, {**hints, "OutputWithPast' object has no attribute": _NO_CACHE})
    sheet.wrong(
        "whole output",
        "You return the model's whole output. The logits are its field .logits.",
        whole,
    )
    sheet.wrong(
        "not logits", "The logits were expected, (1, T, V).", not isinstance(value, torch.Tensor)
    )
    sheet.wrong(
        "not trimmed",
        "The logits of the prompt's own places are among them: only those of the tokens are asked "
        "for.",
        shape(value) == (1, n + length, 40),
    )
    sheet.wrong(
        "the prompt's logits",
        "These are the logits of the first call, the prompt's. The second call's are asked for.",
        shape(value) == (1, n, 40),
    )
    sheet.wrong(
        "shape",
        f"The shape should be (1, T, V) = {shape(target)}.",
        shape(value) != shape(target),
    )
    for kind, wrongs in mutants.items():
        sheet.wrong(kind, _SLIPS[kind], any(same(value, w, 1e-6) for w in wrongs))
    sheet.wrong(
        "ran together",
        "The numbers are right, but the prompt and the tokens ran through the model together: "
        "that is prompt tuning. Run the prompt once, alone, and hand on what it leaves: "
        "past_key_values.",
        same(value, target, 1e-6) and n + length in lengths,
    )
    ok = same(value, target, 1e-6)
    sheet.finish(ok, right="A soft prompt is a prefix: the same logits.")


# --- 04c ----------------------------------------------------------------------


def prefix_share(q: torch.Tensor, k: torch.Tensor, k_prefix: torch.Tensor) -> torch.Tensor:
    """lambda (H, T): the share of each query's attention that goes to the prefix."""
    n, length = k_prefix.shape[1], k.shape[1]
    scores = q @ torch.cat([k_prefix, k], 1).mT / q.shape[-1] ** 0.5  # (H, T, n+T)
    future = torch.ones(length, length, dtype=torch.bool).triu(1)  # (T, T)
    scores[:, :, n:] = scores[:, :, n:].masked_fill(future, -torch.inf)
    return scores.softmax(-1)[:, :, :n].sum(-1)  # (H, T)


@exercise("04c", "prefix_share", prefix_share)
def check_04c(sheet: Sheet, answer) -> None:
    """``prefix_share(q (H, T, hd), k (H, T, hd), k_prefix (H, n, hd)) -> lambda (H, T)``."""
    make = torch.Generator().manual_seed(0)
    heads, length, n, width = 2, 4, 3, 8
    q, k = (1.2 * torch.randn(heads, length, width, generator=make) for _ in range(2))
    k_prefix = 1.2 * torch.randn(heads, n, width, generator=make)
    target = prefix_share(q, k, k_prefix)
    value = sheet.attempt(answer, q, k, k_prefix)
    sheet.note(f"{heads} heads, {length} tokens, a prefix of {n}")
    sheet.case("lambda, a line per head", target, value)
    sheet.broken(value)
    number_ = not isinstance(value, torch.Tensor) or value.ndim == 0
    text = torch.full((length, length), -torch.inf).triu(1)
    scores_p, scores_k = q @ k_prefix.mT, q @ k.mT + text  # not scaled
    root = width**0.5
    by_count = torch.stack([n / (n + torch.arange(1.0, length + 1))] * heads)
    fixed = torch.full((heads, length), n / (n + length))
    sheet.wrong(
        "by count",
        "That is n / (n + T), as if all places were heard alike. Attention weighs them: how large "
        "are exp(q·k) for the prefix, and for the text?",
        same(value, by_count, 1e-3)
        or same(value, fixed, 1e-3)
        or (number_ and same(number(value), n / (n + length), 1e-3)),
    )
    sheet.wrong(
        "not a tensor", "A tensor (H, T) was expected: a number for each head and token.", number_
    )
    whole = torch.cat([scores_p, scores_k], -1)
    sheet.wrong(
        "swapped",
        "Those are the shares of the text, 1 - lambda. Which columns of the attention are the "
        "prefix's?",
        same(value, 1 - target, 1e-3),
    )
    half = torch.full_like(target, 0.5)
    two = torch.stack([scores_p.softmax(-1).mean(-1), scores_k.softmax(-1).mean(-1)]).mean(0)
    maxima = scores_p.div(root).softmax(-1).amax(-1)
    sheet.wrong(
        "two softmaxes",
        "You took a softmax of the prefix and another of the text: each sums to 1 by itself, so "
        "their sizes no longer compare. One softmax over both, then add up the prefix's part.",
        same(value, half, 1e-3)
        or same(value, two, 1e-3)
        or same(value, torch.ones_like(target), 1e-3)
        or same(value, maxima, 1e-3),
    )
    sheet.wrong(
        "no scale",
        "The scores were not divided by the square root of the head's width, so the softmax is "
        "too sharp.",
        same(value, whole.softmax(-1)[..., :n].sum(-1), 1e-3),
    )
    unmasked = torch.cat([scores_p, q @ k.mT], -1).div(root).softmax(-1)[..., :n].sum(-1)
    sheet.wrong(
        "no mask",
        "Your queries look at tokens that come later. Mask the future before the softmax; the "
        "last column is right already.",
        same(value, unmasked, 1e-3),
    )
    over_all = torch.full((length, n + length), -torch.inf).triu(1)  # as if the prefix were text
    unscaled = torch.cat([scores_p, q @ k.mT], -1)
    sheet.wrong(
        "prefix masked",
        "Your mask hides part of the prefix. It belongs over the last T columns only: every token "
        "may look at the whole prefix.",
        same(value, (unscaled / root + over_all).softmax(-1)[..., :n].sum(-1), 1e-3),
    )
    for kind, text_, hidden in (
        ("own place", "Your mask hides a token's own place too: the first one is left with the "
         "prefix alone. A token may look at itself; only what comes later is hidden.",
         torch.ones(length, length).triu(0)),
        ("past masked", "Your mask hides the past and shows the future: turn it round.",
         torch.ones(length, length).tril(0)),
        ("past masked", "Your mask hides the past and shows the future: turn it round.",
         torch.ones(length, length).tril(-1)),
    ):  # fmt: skip
        masked = (q @ k.mT).masked_fill(hidden.bool(), -torch.inf)
        scores = torch.cat([scores_p, masked], -1) / root
        sheet.wrong(kind, text_, same(value, scores.softmax(-1)[..., :n].sum(-1), 1e-3))
    sheet.wrong(
        "width, not root",
        "You divided by the head's width. It is its square root that is meant.",
        same(value, (whole / width).softmax(-1)[..., :n].sum(-1), 1e-3),
    )
    zeros = torch.cat([scores_p, (q @ k.mT).tril()], -1) / root
    sheet.wrong(
        "masked with 0",
        "You set the scores of the future to 0, but exp(0) = 1: they are still looked at. "
        "Set them to minus infinity.",
        same(value, zeros.softmax(-1)[..., :n].sum(-1), 1e-3),
    )
    text_first = torch.cat([scores_k, scores_p], -1).div(root).softmax(-1)
    sheet.wrong(
        "text's columns",
        "You put the text first and the prefix after it, and added up the first n columns: those "
        "are the text's. The prefix's columns stand where you put its keys.",
        same(value, text_first[..., :n].sum(-1), 1e-3),
    )
    sheet.wrong(
        "mean",
        "You averaged over the prefix. The share is the sum over its n places.",
        same(value, target / n, 1e-3),
    )
    sheet.wrong(
        "shape", f"The shape should be (H, T) = {shape(target)}.", shape(value) != shape(target)
    )
    sheet.finish(same(value, target, 1e-4))
