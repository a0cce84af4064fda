"""Exercises of notebook 05: an adapter, IA3 by hooks, and its scales put into the weights."""

import functools
import itertools

import torch
import torch.nn.functional as F
from torch import nn

from .core import NOTHING, Failure, Sheet, exercise, is_stub, same, shape

# --- 05a ----------------------------------------------------------------------


def new_adapter(d: int, width: int) -> tuple[nn.Linear, nn.Linear]:
    """down (d -> width), random, and up (width -> d), all zero."""
    down, up = nn.Linear(d, width), nn.Linear(width, d)
    nn.init.zeros_(up.weight)
    nn.init.zeros_(up.bias)
    return down, up


def adapter(h: torch.Tensor, down: nn.Linear, up: nn.Linear) -> torch.Tensor:
    """h + up(relu(down(h))), (B, T, d)."""
    return h + up(F.relu(down(h)))


@exercise("05a", "new_adapter and adapter", (new_adapter, adapter))
def check_05a(sheet: Sheet, new, run) -> None:
    """``new_adapter(d, width) -> down, up`` and ``adapter(h (B, T, d), down, up) -> (B, T, d)``,
    both the learner's."""
    d, width = 6, 2
    made = sheet.attempt(new, d, width)
    make = torch.Generator().manual_seed(1)
    h = torch.randn(2, 3, d, generator=make)  # (B, T, d)
    down, up = _random(d, width, make), _random(width, d, make)
    with torch.no_grad():
        target = adapter(h, down, up)
        value = sheet.attempt(run, h, down, up)
        sheet.note(f"the forward pass: h of shape (2, 3, {d}), width {width}, random down and up")
        sheet.case("the first token's numbers after it", target[0, 0], _first(value))
        pair = isinstance(made, (tuple, list)) and len(made) == 2
        linears = pair and all(isinstance(m, nn.Linear) for m in made)
        sheet.note("the start: what new_adapter made, in the right forward pass")
        shapes = ((width, d), (d, width))
        mine = tuple(shape(m.weight) for m in made) if linears else made
        sheet.case("shapes of the weights of down and up", shapes, mine)
        fits = linears and mine == shapes
        change = float((adapter(h, *made) - h).abs().max()) if fits else 0.0
        nothing = NOTHING if made is NOTHING else "-"
        shown = f"{change:.3f}" if change >= 0.001 else f"{change:.1e}" if change else "0"
        sheet.case("largest change of h", "0", shown if fits else nothing)
    sheet.broken(value)
    sheet.broken(made)
    _wrong_forward(sheet, value, target, h, down, up)
    sheet.wrong(
        "not two layers",
        "new_adapter gives back two layers, return down, up, each an nn.Linear.",
        not linears,
    )
    sheet.wrong(
        "no bottleneck",
        f"The shapes are not those of a bottleneck: down leads from d = {d} numbers to {width}, "
        f"up from {width} back to {d}.",
        not fits,
    )
    sheet.wrong(
        "no bias",
        "At least one of your layers has no bias. Houlsby's adapter has both; nn.Linear makes one "
        "unless told otherwise.",
        made[0].bias is None or made[1].bias is None,
    )
    sheet.wrong(
        "frozen",
        "Some of your tensors have requires_grad = False, so they would not learn.",
        not all(p.requires_grad for m in made for p in m.parameters()),
    )
    _wrong_start(sheet, *made, change)
    _wrong_learning(sheet, new)
    if not sheet.changed and same(value, target):
        _cut_off(sheet, run, h, down, up)
    sheet.finish(same(value, target))


def _wrong_start(sheet: Sheet, down: nn.Linear, up: nn.Linear, change: float) -> None:
    """What a start does to h that should do nothing."""
    sheet.wrong(
        "up's bias",
        "up's weight is zero, but its bias is not, so h still changes at the start. nn.Linear "
        "fills the bias with random numbers too.",
        change > 0 and not bool(up.weight.any()),
    )
    sheet.wrong(
        "down zero",
        "down's weight is zero, and yet h changes: what the biases make goes into every token, "
        "up(relu(down's bias)). nn.Linear fills them with random numbers too. Begin with the layer "
        "that comes last: what must up be, so that nothing is added?",
        change > 0 and not bool(down.weight.any()),
    )
    sheet.wrong(
        "nearly",
        f"Your start changes h a little, by {change:.1e} at most. Houlsby et al. began like that, "
        "with small random numbers, and it learns. Here the condition is stricter: h stays as it "
        "is, to the last bit. Let up be zero, weight and bias.",
        0 < change < 0.01,
    )
    sheet.wrong(
        "up random",
        f"With your start, h changes before anything is learned, by up to {change:.3f}: up is not "
        "zero, so the model would begin as another one than it was. Let up be zero, weight and "
        "bias.",
        change > 0,
    )


def _wrong_learning(sheet: Sheet, new) -> None:
    """Which numbers get a gradient in three steps? Asked of a wider adapter, where luck evens
    out."""
    d, width = 32, 16
    made = sheet.attempt(new, d, width)
    sheet.broken(made)
    sizes = [shape(m.weight) for m in made]
    sheet.wrong(
        "fixed size",
        f"With d = {d} and width {width} your weights have the shapes {sizes[0]} and {sizes[1]}. "
        "Use the arguments d and width, no numbers of your own.",
        sizes != [(width, d), (d, width)],
    )
    down, up = made
    learned = [down.weight, down.bias, up.weight, up.bias]
    start = [p.detach().clone() for p in learned]
    make = torch.Generator().manual_seed(2)
    h, pull = torch.randn(2, 64, d, generator=make)  # (T, d) each
    moved, rows = False, torch.zeros(width, dtype=torch.bool)
    for _ in range(3):
        with torch.enable_grad():
            grads = torch.autograd.grad((adapter(h, down, up) * pull).mean(), learned)
        moved |= bool(grads[0].any()) or bool(grads[2].any())
        rows |= grads[0].any(1)  # (width,)
        with torch.no_grad():
            for p, grad in zip(learned, grads, strict=True):
                p -= grad
    sheet.wrong(
        "dead",
        "At the start nothing changes, as it should be. But we took three steps of training, and "
        "neither weight got a gradient that is not zero: it cannot learn. What down gives is never "
        "above zero here, so ReLU gives zeros only; why that stops both weights is the question "
        "of the next section. Another start keeps the condition, and learns.",
        not moved,
    )
    weight, bias = start[:2]  # (width, d), (width,)
    dead = int((~rows & ~weight.any(1)).sum())
    sheet.wrong(
        "half dead",
        "At the start nothing changes, as it should be, and a part of it learns. But in three "
        f"steps of training, at width {width}, {dead} rows of down's weight got no gradient: they "
        "are zero, and so is ReLU of their bias, which is not above zero (nn.Linear's is random). "
        "ReLU is flat there. Let down's weight be random.",
        dead > 0,
    )
    alike = bool((weight == weight[:1]).all())
    sheet.wrong(
        "all alike",
        "All rows of down are the same, weight and bias. They get the same gradients and stay the "
        "same: a bottleneck of one number, however wide. Let them be random.",
        alike and bool((bias == bias[0]).all()),
    )
    sheet.wrong(
        "all alike",
        "All rows of down's weight are the same. At the start its numbers tell the same of a "
        "token, and only the bias sets them apart. It can learn, but each number should look at "
        "something of its own: let down's weight be random.",
        alike,
    )


def _parameters(layers) -> list[torch.Tensor]:
    return [p for layer in layers for p in layer.parameters()]


def _cut_off(sheet: Sheet, run, h, down, up) -> None:
    """The numbers are right: do the gradients get through, too?"""
    names = ("h", "down.weight", "down.bias", "up.weight", "up.bias")
    given = h.clone().requires_grad_()  # (B, T, d)
    with torch.enable_grad():
        value = sheet.attempt(lambda: run(given * 1, down, up))
        sheet.broken(value)
        lost = list(names)
        if value.requires_grad:
            found = torch.autograd.grad(
                value.square().sum(), [given, *_parameters((down, up))], allow_unused=True
            )
            right = torch.autograd.grad(
                adapter(given, down, up).square().sum(), [given, *_parameters((down, up))]
            )
            lost = [n for n, a, b in zip(names, found, right, strict=True)
                    if a is None or not same(a, b, 1e-4)]  # fmt: skip
    sheet.wrong(
        "cut off",
        "The numbers are right, but the gradients are not: those of "
        f"{', '.join(lost)}. Something in your function cuts the way back: .detach(), .data, "
        ".item() or torch.no_grad().",
        bool(lost),
    )


def _random(inputs: int, outputs: int, make: torch.Generator) -> nn.Linear:
    linear = nn.Linear(inputs, outputs)
    for p in linear.parameters():
        p.data = torch.randn(p.shape, generator=make)
    return linear


def _first(value):
    return value[0, 0] if isinstance(value, torch.Tensor) and value.ndim == 3 else value


def _wrong_forward(sheet: Sheet, value, target, h, down, up) -> None:
    sheet.wrong(
        "not a tensor",
        "adapter gives back one tensor, as large as h: (B, T, d).",
        not isinstance(value, torch.Tensor),
    )
    with torch.no_grad():
        delta = up(F.relu(down(h)))
        others = [h + up(f(down(h))) for f in (F.gelu, F.silu, torch.tanh, torch.sigmoid)]
        linear = h + up(down(h))
        after = [h + F.relu(up(down(h))), F.relu(h + up(down(h)))]
        before = h + up(down(F.relu(h)))
        twice = [2 * h + delta, h + F.relu(up(F.relu(down(h)))), F.relu(h + delta)]
    sheet.wrong(
        "no residual",
        "Only the change comes out: h itself is lost. An adapter adds to what it reads, "
        "h + up(f(down(h))). With up at zero, yours would put out zeros.",
        same(value, delta),
    )
    sheet.wrong(
        "no activation",
        "There is no ReLU between down and up. Two linear layers in a row are one linear layer.",
        same(value, linear),
    )
    sheet.wrong(
        "activation's place",
        "The ReLU stands in the wrong place, or there is one too many: it belongs between down "
        "and up, nowhere else.",
        any(same(value, wrong) for wrong in (before, *after, *twice[1:])),
    )
    sheet.wrong(
        "another activation",
        "That is another activation than ReLU. It would do as well; here the target is made with "
        "ReLU.",
        any(same(value, wrong) for wrong in others),
    )
    sheet.wrong("h twice", "h is added twice.", same(value, twice[0]))
    sheet.wrong(
        "shape",
        f"The shape should be that of h, {shape(h)}.",
        shape(value) != shape(target),
    )


# --- 05b ----------------------------------------------------------------------


def add_ia3(block: nn.Module) -> dict[str, nn.Parameter]:
    """Hooks IA3 into a Llama block: {"k": (kv,), "v": (kv,), "ff": (f,)}, all 1 at the start."""
    attention, mlp = block.self_attn, block.mlp
    sizes = {
        "k": attention.k_proj.out_features,
        "v": attention.v_proj.out_features,
        "ff": mlp.down_proj.in_features,
    }
    scale = {name: nn.Parameter(torch.ones(size)) for name, size in sizes.items()}
    attention.k_proj.register_forward_hook(lambda m, x, y: y * scale["k"])
    attention.v_proj.register_forward_hook(lambda m, x, y: y * scale["v"])
    mlp.down_proj.register_forward_pre_hook(lambda m, x: (x[0] * scale["ff"],))
    return scale


def _block() -> nn.Module:
    """A model of one Llama block, grouped-query attention, biases everywhere."""
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=20, hidden_size=8, intermediate_size=12, num_hidden_layers=1,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=16,
        attention_bias=True, mlp_bias=True, rope_theta=10.0,
        bos_token_id=1, eos_token_id=2, pad_token_id=0,
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = LlamaForCausalLM(config).eval()
        for p in model.parameters():
            p.data += 0.5 * torch.randn_like(p)  # as made, attention hardly matters
    return model.requires_grad_(False)


def _logits(scales: dict, *, where: dict | None = None) -> torch.Tensor:
    """What the block's model gives with the vectors multiplied in at `where`: name -> (module's
    name, "output" or "input")."""
    places = {
        "k": ("self_attn.k_proj", "output"), "v": ("self_attn.v_proj", "output"),
        "ff": ("mlp.down_proj", "input"), **(where or {}),
    }  # fmt: skip
    model = _block()
    for name, scale in scales.items():
        if places.get(name) is None:
            continue
        path, side = places[name]
        module = model.model.layers[0].get_submodule(path)
        if side == "output":
            module.register_forward_hook(lambda m, x, y, s=scale: y * s)
        else:
            module.register_forward_pre_hook(lambda m, x, s=scale: (x[0] * s,))
    with torch.no_grad():
        return model(_IDS).logits


_IDS = torch.tensor([[1, 5, 9, 3, 7]])


@exercise("05b", "add_ia3", add_ia3)
def check_05b(sheet: Sheet, answer) -> None:
    """``add_ia3(block) -> {"k": l_k, "v": l_v, "ff": l_ff}``; it hooks itself into the block."""
    sizes = {"k": 4, "v": 4, "ff": 12}
    model = _block()
    block = model.model.layers[0]
    weights = {n: p.detach().clone() for n, p in model.named_parameters()}
    if not callable(answer) or is_stub(answer):
        found = sheet.attempt(answer, block)
    else:  # a parameter registered on the block is no changed input
        found = sheet.attempt(functools.partial(answer, block))
    named = isinstance(found, dict) and set(found) == set(sizes)
    tensors = named and all(isinstance(v, torch.Tensor) for v in found.values())
    base = _logits({})
    make = torch.Generator().manual_seed(3)
    scales = {n: 1 + 0.7 * torch.randn(size, generator=make) for n, size in sizes.items()}
    target = _logits(scales)
    mine = {n: shape(v) for n, v in found.items()} if tensors else found
    start = trained = mine if isinstance(mine, Failure) or mine is NOTHING else "-"
    sheet.note("a block with d = 8, two heads for keys and values (4 numbers), f = 12 inside")
    sheet.case("shapes of the vectors", {"k": (4,), "v": (4,), "ff": (12,)}, mine)
    right_sizes = tensors and all(shape(found[n]) == (sizes[n],) for n in sizes)
    with torch.no_grad():
        if right_sizes:
            start = sheet.attempt(lambda: model(_IDS).logits)
            given = {n: v.detach().clone() for n, v in found.items()}
            for name, vector in found.items():
                vector.data.copy_(scales[name])
            trained = sheet.attempt(lambda: model(_IDS).logits)
    sheet.case("some logits at the start", base[0, -1, :5], _few(start))
    sheet.case("the same with other numbers in the vectors", target[0, -1, :5], _few(trained))
    sheet.broken(found, {"must match": _SIZE_HINT, "size of tensor": _SIZE_HINT})
    sheet.wrong(
        "no dict",
        'A dict comes back, {"k": …, "v": …, "ff": …}: the three vectors that will be trained.',
        not tensors,
    )
    sheet.wrong(
        "sizes",
        "A vector has the wrong size. k and v have as many numbers as k_proj and v_proj put out "
        "(.out_features), fewer than d here; ff as many as down_proj takes in (.in_features).",
        not right_sizes,
    )
    _wrong_hook(sheet, start)
    tuples = dict.fromkeys(("tuple", "only integer tensors", "only one element"), _TUPLE_HINT)
    sheet.broken(start, {"must match": _SIZE_HINT, "size of tensor": _SIZE_HINT, **tuples})
    sheet.broken(trained)
    zeros = all(not bool(v.any()) for v in given.values())
    sheet.wrong(
        "init 0",
        "The vectors start at 0, so keys, values and what goes into the last layer are wiped out "
        "before anything is learned. What number changes nothing when one multiplies by it?",
        zeros and not same(start, base, 1e-4),
    )
    sheet.wrong(
        "another factor",
        "At the start all is well, but with other numbers in the vectors yours does something "
        "else. Here the vector itself is the factor: output * k, not output * (1 + k) and not "
        "output + k. So which start changes nothing?",
        zeros and same(start, base, 1e-4) and not same(trained, start, 1e-6),
    )
    after = model.model.layers[0]
    changed = any(
        n in dict(after.named_parameters())
        and not torch.equal(dict(after.named_parameters())[n], p)
        for n, p in ((name.removeprefix("model.layers.0."), p) for name, p in weights.items())
    )
    sheet.wrong(
        "changed input",
        "Your function changed its input: the block's own weights are others now. IA3 leaves them "
        "alone; a hook scales what flows.",
        changed,
    )
    sheet.wrong(
        "not connected",
        "Other numbers in your vectors change nothing: the hooks do not use the vectors that you "
        "give back, or no hook returns a value. A hook that returns nothing changes nothing.",
        same(trained, start, 1e-6) and not same(trained, target),
    )
    shared = found["k"].data_ptr() == found["v"].data_ptr()
    for kind, text, wrong in _slips_05b(scales, shared):
        sheet.wrong(kind, text, same(trained, wrong, 1e-4) and not same(trained, target, 1e-4))
    sheet.wrong(
        "not times",
        "Your vectors are all 1, and the logits at the start are not those of the block. So a hook "
        "does something else than multiply by its vector. Adds it, maybe, as an adapter would?",
        all(bool((v == 1).all()) for v in given.values()) and not same(start, base, 1e-4),
    )
    sheet.wrong(
        "start",
        "At the start the logits are not those of the block: the vectors should all be 1.",
        not same(start, base, 1e-4),
    )
    sheet.wrong(
        "no parameter",
        "The vectors need requires_grad = True, or they learn nothing: nn.Parameter(torch.ones"
        "(size)).",
        not all(v.requires_grad for v in found.values()),
    )
    if same(trained, target, 1e-4):
        with torch.enable_grad():
            logits = sheet.attempt(lambda: model(_IDS).logits)  # (1, T, V)
            sheet.broken(logits)
            got = [None] * len(found)
            if logits.requires_grad:
                got = torch.autograd.grad(
                    logits.square().sum(), list(found.values()), allow_unused=True
                )
        lost = [n for n, g in zip(found, got, strict=True) if g is None or not bool(g.any())]
        sheet.wrong(
            "cut off",
            f"The numbers are right, but no gradient reaches {', '.join(lost)}. Something in a "
            "hook cuts the way back: .detach(), .data or torch.no_grad().",
            bool(lost),
        )
    sheet.finish(same(trained, target, 1e-4))


_SIZE_HINT = (
    "sizes",
    "A vector is as long as what it scales: k_proj.out_features, v_proj.out_features, "
    "down_proj.in_features. Or did you make the hooks in a loop? A lambda looks its variables up "
    "when it runs, after the loop: all hooks then use the last vector.",
)
_KINDS = (
    "A hook gets what PyTorch hands it. After the module (register_forward_hook) these are three "
    "things, (module, inputs, output). Before it (register_forward_pre_hook) there is no output "
    "yet: two things, (module, inputs)."
)
_D_AND_F = ("(8) must match the size of tensor b (12)", "(12) must match the size of tensor b (8)")
_TUPLE_HINT = (
    "tuple",
    "A pre-hook gets its inputs as a tuple: the tensor is inputs[0].",
)


def _wrong_hook(sheet: Sheet, start) -> None:
    """A hook of the wrong kind stops the model before, or instead of, its own first line."""
    if not isinstance(start, Failure):
        return
    said = str(start.error)
    sheet.wrong(
        "hook's arguments",
        f"{_KINDS} One of your functions takes another number of arguments: {said}.",
        isinstance(start.error, TypeError)
        and not start.line
        and "positional argument" in said
        and "forward()" not in said,  # a layer of the learner's own
    )
    line = f", at `{start.line}`" if start.line else ""
    sheet.wrong(
        "before or after",
        f"A vector of f = 12 numbers meets d = 8 numbers{line}. The f numbers are those that go "
        "*into* down_proj; what it puts out are d again. So the third vector needs a hook that is "
        "called before: down_proj.register_forward_pre_hook, and it scales inputs[0].",
        any(sizes in said for sizes in _D_AND_F),
    )


def _few(value):
    return value[0, -1, :5] if isinstance(value, torch.Tensor) and value.ndim == 3 else value


_PLACES = {
    "k": "on what k_proj puts out", "v": "on what v_proj puts out",
    "ff": "on what goes into down_proj",
}  # fmt: skip


def _slips_05b(scales: dict, shared: bool) -> list[tuple[str, str, torch.Tensor]]:
    """(kind, text, the logits that this slip gives)."""
    wide = torch.cat([scales["k"]] * 2)  # for the queries, twice as wide
    by_head = scales["k"].view(2, 1, 2).expand(2, 2, 2).reshape(-1)
    queries = "Keys and values and queries are scaled. IA3 leaves the queries alone."
    after = (
        "The third vector scales what down_proj puts out. It belongs on what goes *in*: the f "
        "numbers inside the feed-forward part, a pre-hook on down_proj."
    )
    slips = []
    for kind in (wide, by_head, scales["ff"][:8]):
        where = {"q": ("self_attn.q_proj", "output")}
        slips.append(("scales q", queries, _logits({**scales, "q": kind}, where=where)))
    swapped = {**scales, "k": scales["v"], "v": scales["k"]}
    slips.append(("swapped", "k and v are swapped.", _logits(swapped)))
    one = "k and v share one vector. They are scaled by two, each learned for itself."
    for used, idle in ("vk", "kv"):
        late = (
            f"What k_proj and what v_proj put out are both scaled by {used}'s vector; {idle}'s is "
            "not used. Each needs its own, each learned for itself. Were the hooks made in a loop? "
            "A lambda looks its variables up when it runs, after the loop, and finds the last "
            "ones. As a default it keeps its own: lambda module, inputs, output, s=vector: "
            "output * s."
        )
        wrong = _logits({**scales, idle: scales[used]})
        slips.append(("one vector", one, wrong) if shared else ("late look-up", late, wrong))
    on_up = {"ff": ("mlp.gate_proj", "output")}
    slips.append(
        (
            "before the activation",
            "You scale what gate_proj puts out, before SiLU bends it. IA3 scales after the "
            "activation, right before down_proj.",
            _logits(scales, where=on_up),
        )
    )
    down = {"ff": ("mlp.down_proj", "output")}
    eight = {**scales, "ff": scales["ff"][:8]}
    slips.append(("after down_proj", after, _logits(eight, where=down)))
    for idle in (*_PLACES, *itertools.combinations(_PLACES, 2)):
        names = (idle,) if isinstance(idle, str) else idle
        whose, is_it = ("Its hook belongs", "is it") if len(names) == 1 else (
            "Their hooks belong", "are they")  # fmt: skip
        text = (
            f"Other numbers in {' and '.join(names)} change nothing. {whose} "
            f"{' and '.join(_PLACES[n] for n in names)}: {is_it} there, and is the product "
            "returned? A hook that returns nothing changes nothing."
        )
        left = {n: s for n, s in scales.items() if n not in names}
        slips.append(("one is missing", text, _logits(left)))
    return slips


# --- 05c ----------------------------------------------------------------------


def scaled_output(weight, bias, scale):
    """Weight (out, in) and bias (out,) or None of a layer that puts out scale * (W x + b)."""
    return weight * scale[:, None], None if bias is None else bias * scale


def scaled_input(weight, bias, scale):
    """Weight (out, in) and bias of a layer that puts out W (scale * x) + b."""
    return weight * scale, bias


@exercise("05c", "scaled_output and scaled_input", (scaled_output, scaled_input))
def check_05c(sheet: Sheet, output, input_) -> None:
    """``scaled_output(W (out, in), b, scale (out,))`` and ``scaled_input(W, b, scale (in,))``, each
    -> (W, b) of a new layer; both the learner's."""
    weight = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0], [7.0, 8.0, 9.0]])
    bias, scale = torch.tensor([1.0, 2.0, 3.0]), torch.tensor([1.0, 10.0, -1.0])
    wide, short = torch.arange(8.0).view(2, 4) + 1, torch.tensor([5.0, 7.0])
    cases = {"out": (weight, bias, scale), "in": (weight, bias, scale)}
    tall = {"out": (wide, short, torch.tensor([2.0, 3.0])),
            "in": (wide, short, torch.tensor([2.0, 3.0, 5.0, 7.0]))}  # fmt: skip
    asked = {"out": (output, scaled_output), "in": (input_, scaled_input)}
    said = {"out": "scaled_output, scale * (W x + b)", "in": "scaled_input, W (scale * x) + b"}
    got = {}
    sheet.note("W = [1 2 3 / 4 5 6 / 7 8 9], b = [1 2 3], scale = [1 10 -1]")
    for side, (mine, ours) in asked.items():
        target = ours(*cases[side])
        got[side] = sheet.attempt(mine, *cases[side])
        pair = isinstance(got[side], (tuple, list)) and len(got[side]) == 2
        for i, part in enumerate(("W", "b")):
            value = got[side][i] if pair else got[side]
            sheet.case(f"{said[side]}: new {part}", target[i], value)
    truth = {
        "Boolean value of Tensor": (
            "truth of a tensor",
            "`if b` asks whether a whole tensor is true, and PyTorch does not say. Ask whether "
            "there is one: `b is None`.",
        )
    }
    for value in got.values():
        sheet.broken(value, truth)
    sheet.wrong(
        "not a pair",
        "Each function gives back two things: the new weight and the new bias.",
        not all(isinstance(v, (tuple, list)) and len(v) == 2 for v in got.values()),
    )
    sheet.ruined()
    (out_w, out_b), (in_w, in_b) = got["out"], got["in"]
    for side, pair in got.items():
        sheet.wrong(
            "bias lost",
            f"{said[side].split(',')[0]}: you gave back None as bias, but this layer has one.",
            pair[1] is None,
        )
        for part, value, old in zip("Wb", pair, (weight, bias), strict=True):
            sheet.wrong(
                "shape",
                f"{said[side].split(',')[0]}: the new {part} should be a tensor of the old shape, "
                f"{shape(old)}. Nothing is added up here (`@` would), and nothing widened: each "
                "number is multiplied, or stays.",
                shape(value) != shape(old),
            )
    rows, columns = weight * scale[:, None], weight * scale
    square = torch.diag(scale)
    for value in (out_w, in_w):
        sheet.wrong(
            "diagonal alone",
            "You give back the diagonal matrix of the scales, without W.",
            same(value, square),
        )
    sheet.wrong(
        "all swapped",
        "The two are swapped. A row of W makes one output, a column belongs to one input.",
        same(out_w, columns) and same(in_w, rows),
    )
    sheet.wrong(
        "columns for rows",
        "scaled_output: you scaled the columns. A row of W makes one number of the output; W * "
        "scale runs along the columns, so it must stand upright: scale[:, None].",
        same(out_w, columns),
    )
    sheet.wrong(
        "rows for columns",
        "scaled_input: you scaled the rows. Each column of W meets one number of the input, and "
        "that number is what is scaled.",
        same(in_w, rows),
    )
    sheet.wrong(
        "bias forgotten",
        "scaled_output: the bias is as it was. But the whole output is scaled, scale * (W x + b), "
        "and b is a part of it.",
        same(out_b, bias),
    )
    sheet.wrong(
        "bias scaled",
        "scaled_input: you scaled the bias. It is added after W, where scale has done its work: it "
        "stays as it is.",
        same(in_b, bias * scale),
    )
    sheet.wrong(
        "divided",
        "You divided by scale. The new layer has to do what it did: multiply.",
        same(out_w, weight / scale[:, None]) or same(in_w, weight / scale),
    )
    right = all(same(list(got[s]), list(asked[s][1](*cases[s]))) for s in asked)
    for side, (mine, ours) in asked.items() if right else ():
        value = sheet.attempt(mine, *tall[side])
        target = ours(*tall[side])
        sheet.case(f"{said[side]}, W of 2 rows and 4 columns: new W", target[0],
                   value[0] if isinstance(value, (tuple, list)) and value else value)  # fmt: skip
        sheet.broken(value)
        sheet.wrong(
            "square only",
            "It works where W is square, and not with 2 rows and 4 columns.",
            not (isinstance(value, (tuple, list)) and same(list(value), list(target))),
        )
        none = sheet.attempt(mine, tall[side][0], None, tall[side][2])
        if isinstance(none, Failure):
            sheet.wrong(
                "no bias at all",
                f"{said[side].split(',')[0]}: a layer without a bias has b = None, and yours "
                "stops there. Then None comes back as the new bias.",
            )
        sheet.broken(none)
        sheet.wrong(
            "no bias at all",
            "A layer without a bias has b = None; None should come back as the new bias.",
            not (isinstance(none, (tuple, list)) and len(none) == 2 and none[1] is None),
        )
        right = right and same(none[0], target[0])
    sheet.finish(right)
