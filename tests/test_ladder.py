"""The ladder: every method equals the reference, in float64, to 1e-10.

The reference is Hugging Face `peft` where it has the method, and plain PyTorch (`requires_grad` on
a deep copy) where it has not. Both sides start from the same random non-zero numbers and take one
step of a fresh AdamW on the same T-1 targets. Each rung has mutants: with the mistake put in, the
rung must fail.
"""

import copy

import pytest
import torch
from tiny import ARCHITECTURES, HEADS, D, L, config, fill, nll, tiny, tokens

from peft_lab.anatomy import FAMILIES, Anatomy
from peft_lab.methods import (
    IA3,
    BitFit,
    FullFineTuning,
    LayerFreezing,
    LoRA,
    PrefixTuning,
    PromptTuning,
    PTuning,
)
from peft_lab.methods.base import Edits
from peft_lab.methods.virtual import VirtualTokens

peft = pytest.importorskip("peft")
N, HIDDEN, CLOSE = 5, 6, 1e-10
every_architecture = pytest.mark.parametrize("architecture", ARCHITECTURES)
_TASK = {"task_type": "CAUSAL_LM", "num_virtual_tokens": N}


def _encoder(method, theirs):
    """Pairs of parameters, ours and peft's, of a P-tuning encoder."""
    pairs = [(method.embeddings, theirs.embedding.weight)]
    if method.kind == "lstm":
        pairs += [
            (p, getattr(theirs.lstm_head, name)) for name, p in method.lstm.named_parameters()
        ]
    head = theirs.mlp_head
    return pairs + list(zip(method.mlp.parameters(), head.parameters(), strict=True))


def _soft(correspond):
    """Of the soft prompts that a peft model holds."""
    return lambda ours, theirs: correspond(ours, theirs.prompt_encoder["default"])


def _fused(architecture: str) -> tuple[str, ...]:
    return ("qkv",) if FAMILIES[config(architecture).model_type].fused else ()


def _modules(architecture: str, roles) -> list[str]:
    """What peft calls the linear layers of these roles: the ends of their names."""
    paths = FAMILIES[config(architecture).model_type].linears
    fused = _fused(architecture) if set(roles) & set("qkv") else ()
    return [paths[role] for role in (*fused, *roles) if role in paths]


def _places(ours, theirs):
    """Each linear layer that we change: its name and peft's wrapper of it."""
    anatomy = ours._edits.anatomy
    names = {id(module): name for name, module in anatomy.model.named_modules()}
    for layer in range(anatomy.layers):
        for role in [*anatomy.family.linears, *"qkv"]:
            if role in anatomy.family.linears or anatomy.family.fused:
                linear = anatomy.linear(layer, role)[0]
                yield layer, role, theirs.base_model.model.get_submodule(names[id(linear)])


def _linears(ours, theirs):
    pairs = []
    for layer, role, wrapper in _places(ours, theirs):
        name = f"{layer}/{role}"
        if name in ours.A:
            pairs.append((ours.A[name], wrapper.lora_A["default"].weight))
            pairs.append((ours.B[name], wrapper.lora_B["default"].weight))
        if name in ours.lengths:
            pairs.append((ours.lengths[name], wrapper.lora_magnitude_vector["default"].weight))
    return pairs


def _scales(ours, theirs):
    scales = {"k": ours.keys, "v": ours.values, "down": ours.inner}
    return [
        (scales[role][str(layer)], wrapper.ia3_l["default"])
        for layer, role, wrapper in _places(ours, theirs)
        if role in scales
    ]


RUNGS = {
    "prompt": (
        lambda a: PromptTuning(N),
        lambda a: peft.PromptTuningConfig(**_TASK),
        _soft(lambda ours, theirs: [(ours.embeddings, theirs.embedding.weight)]),
    ),
    "prefix": (
        lambda a: PrefixTuning(N),
        lambda a: peft.PrefixTuningConfig(**_TASK),
        _soft(lambda ours, theirs: [(ours.prefix, theirs.embedding.weight)]),
    ),
    "prefix_mlp": (
        lambda a: PrefixTuning(N, mlp=HIDDEN),
        lambda a: peft.PrefixTuningConfig(
            **_TASK, prefix_projection=True, encoder_hidden_size=HIDDEN
        ),
        _soft(
            lambda ours, theirs: [
                (ours.embeddings, theirs.embedding.weight),
                *zip(ours.mlp.parameters(), theirs.transform.parameters(), strict=True),
            ]
        ),
    ),
    "p_tuning_mlp": (
        lambda a: PTuning(N, HIDDEN),
        lambda a: peft.PromptEncoderConfig(
            **_TASK, encoder_reparameterization_type="MLP", encoder_hidden_size=HIDDEN
        ),
        _soft(_encoder),
    ),
    "p_tuning_lstm": (
        lambda a: PTuning(N, HIDDEN, encoder="lstm"),
        lambda a: peft.PromptEncoderConfig(
            **_TASK,
            encoder_reparameterization_type="LSTM",
            encoder_hidden_size=HIDDEN,
            encoder_num_layers=2,
            encoder_dropout=0.0,
        ),
        _soft(_encoder),
    ),
    "lora": (  # queries and values; of a fused layer one pair for all three, as in peft
        lambda a: LoRA(3, alpha=7, targets=_fused(a) or ("q", "v")),
        lambda a: peft.LoraConfig(r=3, lora_alpha=7, target_modules=_modules(a, "qv")),
        _linears,
    ),
    "lora_all": (
        lambda a: LoRA(2, alpha=5, targets="all", layers=(0, 2), rank_stabilised=True),
        lambda a: peft.LoraConfig(
            r=2,
            lora_alpha=5,
            use_rslora=True,
            target_modules=_modules(a, ["q", "k", "v", "o", "gate", "up", "down"]),
            layers_to_transform=[0, 2],
        ),
        _linears,
    ),
    "dora": (
        lambda a: LoRA(2, alpha=6, targets=(*(_fused(a) or ("q", "v")), "down"), dora=True),
        lambda a: peft.LoraConfig(
            r=2, lora_alpha=6, use_dora=True, target_modules=_modules(a, ["q", "v", "down"])
        ),
        _linears,
    ),
    "ia3": (
        lambda a: IA3(),
        lambda a: peft.IA3Config(
            target_modules=_modules(a, ["k", "v", "down"]),
            feedforward_modules=_modules(a, ["down"]),
        ),
        _scales,
    ),
}


def reference(model, method, settings, correspond):
    """A peft model on a copy of the base, with the numbers of our method; pairs of parameters."""
    theirs = peft.get_peft_model(copy.deepcopy(model), settings).double().eval()
    pairs = correspond(method, theirs)
    with torch.no_grad():
        for ours, other in pairs:
            other.copy_(ours.reshape(other.shape))
    return theirs, pairs


def agree(what: str, a: torch.Tensor, b: torch.Tensor) -> None:
    assert a.shape == b.shape, what
    assert (a - b).abs().max() <= CLOSE, f"{what}: {(a - b).abs().max():.1e}"


@torch.no_grad()
def likeliest(theirs, ids: torch.Tensor, mask: torch.Tensor, count: int) -> torch.Tensor:
    """Greedy text (B, T+count) from peft's forward pass alone, all of it computed anew each time.

    Not from peft's `generate`: with virtual tokens, peft 0.21.2 looks for the cache under its name
    of before transformers 5.24, does not find it, and sees its prompt only at the first token.
    """
    done = torch.zeros(len(ids), 1, dtype=torch.bool)
    for _ in range(count):
        new = theirs(ids, attention_mask=mask).logits[:, -1].argmax(-1, keepdim=True)  # (B, 1)
        new = new.where(~done, 2)  # what comes after the end is padding
        done |= new == theirs.config.eos_token_id
        ids, mask = torch.cat([ids, new], 1), torch.cat([mask, torch.ones_like(new)], 1)
    return ids


def climb(rung: str, architecture: str) -> None:
    """One rung: logits, gradients, weights after a step, counts, greedy generation."""
    make, make_config, correspond = RUNGS[rung]
    model, ids = tiny(architecture), tokens(3, 7)
    with make(architecture).attach(model) as method:
        fill(method)
        settings = make_config(architecture)
        theirs, pairs = reference(tiny(architecture), method, settings, correspond)

        mask = torch.ones_like(ids)
        logits = theirs(ids, attention_mask=mask).logits[:, -7:]
        agree("logits", model(ids).logits, logits)
        agree("logits with a mask", model(ids, attention_mask=mask).logits, logits)
        told = {"attention_mask": mask, "do_sample": False, "max_new_tokens": 8, "pad_token_id": 2}
        ours_out = model.generate(ids, **told)
        assert torch.equal(ours_out, likeliest(theirs, ids, mask, 8)), "generation"

        trained = [p for p in theirs.parameters() if p.requires_grad]
        assert method.num_parameters() == sum(p.numel() for p in trained), "count"
        assert {id(p) for p in trained} == {id(p) for _, p in pairs}, "what is trained"
        optimizers = [torch.optim.AdamW(p, lr=1e-3) for p in (method.parameters(), trained)]
        nll(model, ids).backward()
        nll(theirs, ids, attention_mask=mask).backward()
        for ours, other in pairs:
            agree("gradient", ours.grad.reshape(other.shape), other.grad)
        for optimizer in optimizers:
            optimizer.step()
        for ours, other in pairs:
            agree("weights after a step", ours.reshape(other.shape), other)


@pytest.mark.parametrize(
    ("rung", "architecture"),
    [
        (rung, architecture)
        for rung in RUNGS
        for architecture in ARCHITECTURES
        # on a fused layer peft scales the queries too: tests/test_weight_methods.py has both
        if not (rung == "ia3" and _fused(architecture))
    ],
)
def test_equal_to_peft(rung, architecture):
    climb(rung, architecture)


# The mutants: each makes a mistake that has been made.


def positions_from_0(monkeypatch):
    """Real tokens begin at position 0, as if there were no virtual ones."""

    def mistake(call, n):
        call["position_ids"] = call["position_ids"].clone()
        call["position_ids"][:, -7:] -= n

    _edit_call(monkeypatch, mistake)


def mask_not_extended(monkeypatch):
    """Virtual tokens are there, but the mask does not let anyone see them."""

    def mistake(call, n):
        call["attention_mask"] = torch.ones(3, n + 7)
        call["attention_mask"][:, :n] = 0

    _edit_call(monkeypatch, mistake)


def _edit_call(monkeypatch, mistake):
    before = VirtualTokens._before

    def wrong(self, body, args, kwargs):
        args, call = before(self, body, args, kwargs)
        if call["position_ids"].shape[1] >= 7:  # the first pass, not decoding
            mistake(call, self.length)
        return args, call

    monkeypatch.setattr(VirtualTokens, "_before", wrong)


def forgotten_when_decoding(monkeypatch):
    """In each step but the first, positions are counted as if there were no virtual tokens."""
    before = VirtualTokens._before

    def wrong(self, body, args, kwargs):
        args, call = before(self, body, args, kwargs)
        if call["position_ids"].shape[1] < 7:
            call["position_ids"] = call["position_ids"] - self.length
        return args, call

    monkeypatch.setattr(VirtualTokens, "_before", wrong)


def swapped(monkeypatch):
    """Keys for values."""
    right = PrefixTuning.stacked
    monkeypatch.setattr(PrefixTuning, "stacked", lambda self: right(self).flip(2))


def layers_reversed(monkeypatch):
    """The first layer gets what is meant for the last."""
    right = PrefixTuning.stacked
    monkeypatch.setattr(PrefixTuning, "stacked", lambda self: right(self).flip(1))


def order_reversed(monkeypatch):
    for kind in (PromptTuning, PTuning):
        right = kind.vectors
        monkeypatch.setattr(kind, "vectors", lambda self, right=right: right(self).flip(0))


def no_gradient(monkeypatch):
    for kind, name in ((PromptTuning, "vectors"), (PTuning, "vectors"), (PrefixTuning, "stacked")):
        right = getattr(kind, name)
        monkeypatch.setattr(
            kind, name, lambda self, right=right: 2 * right(self).detach() - right(self)
        )


def linear_mlp(monkeypatch):
    """No curve between the layers of the network."""
    monkeypatch.setattr(torch.nn.Tanh, "forward", lambda self, x: x)
    monkeypatch.setattr(torch.nn.ReLU, "forward", lambda self, x: x)


def one_direction(monkeypatch):
    """The LSTM does not read backwards."""
    right = torch.nn.LSTM.forward

    def wrong(self, *args):
        out, state = right(self, *args)
        return torch.cat([out[..., :HIDDEN], 0 * out[..., HIDDEN:]], -1), state

    monkeypatch.setattr(torch.nn.LSTM, "forward", wrong)


def no_alpha_over_rank(monkeypatch):
    """As the LoRA of a well-known book once did."""
    monkeypatch.setattr(LoRA, "scaling", 1.0)


def not_stabilised(monkeypatch):
    monkeypatch.setattr(LoRA, "scaling", property(lambda self: self.alpha / self.rank))


def lengths_forgotten(monkeypatch):
    """DoRA without its lengths."""
    monkeypatch.setattr(LoRA, "_growth", lambda self, anatomy, layer, role: torch.ones(1).double())


def through_the_lengths(monkeypatch):
    """The gradient flows through the lengths of W + s B A."""

    def wrong(self, anatomy, layer, role):
        whole = self._weight(anatomy, layer, role) + self.change(layer, role)
        return self.lengths[f"{layer}/{role}"] / whole.norm(dim=1)

    monkeypatch.setattr(LoRA, "_growth", wrong)


def keys_for_values(monkeypatch):
    """The scales of keys and values change places."""
    right = IA3.edit

    def wrong(self, anatomy, edits):
        self.keys, self.values = self.values, self.keys
        right(self, anatomy, edits)
        self.keys, self.values = self.values, self.keys

    monkeypatch.setattr(IA3, "edit", wrong)


ALL = tuple(rung for rung in RUNGS if "prompt" in rung or "prefix" in rung or "tuning" in rung)
PREFIXES = ("prefix", "prefix_mlp")
MUTANTS = {  # mutant -> the rungs that must fail, and at what
    no_alpha_over_rank: (("lora", "lora_all", "dora"), "logits"),
    not_stabilised: (("lora_all",), "logits"),
    lengths_forgotten: (("dora",), "logits"),
    through_the_lengths: (("dora",), "gradient"),
    keys_for_values: (("ia3",), "logits"),
    positions_from_0: (ALL, "logits"),
    mask_not_extended: (ALL, "logits"),
    forgotten_when_decoding: (ALL, "generation"),
    no_gradient: (ALL, "gradient"),
    order_reversed: (("prompt", "p_tuning_mlp", "p_tuning_lstm"), "logits"),
    swapped: (PREFIXES, "logits"),
    layers_reversed: (PREFIXES, "logits"),
    linear_mlp: (("prefix_mlp", "p_tuning_mlp"), "logits"),
    one_direction: (("p_tuning_lstm",), "logits"),
}


@pytest.mark.parametrize(
    ("mutant", "rung", "architecture"),
    [
        (mutant, rung, architecture)
        for mutant, (rungs, _) in MUTANTS.items()
        for rung in rungs
        for architecture in ("gpt2", "llama")
        if (rung, architecture) != ("ia3", "gpt2")
    ],
)
def test_a_mutant_falls_off(mutant, rung, architecture, monkeypatch):
    """Where the reference shares the mistaken module (Tanh, LSTM), only our call is mistaken."""
    with pytest.raises(AssertionError, match=f"^{MUTANTS[mutant][1]}"):
        if mutant in (linear_mlp, one_direction):
            _climb_with_our_side_mistaken(rung, architecture, mutant, monkeypatch)
        else:
            mutant(monkeypatch)
            climb(rung, architecture)


def _climb_with_our_side_mistaken(rung, architecture, mutant, monkeypatch):
    kind, name = (PTuning, "vectors") if "p_tuning" in rung else (PrefixTuning, "stacked")
    right = getattr(kind, name)

    def wrong(self):
        with monkeypatch.context() as patch:
            mutant(patch)
            return right(self)

    with monkeypatch.context() as patch:
        patch.setattr(kind, name, wrong)
        climb(rung, architecture)


# Methods that train the model's own weights, against plain PyTorch.

NAMES = {  # the parameters that plain PyTorch leaves trainable, by their names
    "full": (FullFineTuning, lambda name: True),
    "top": (lambda: LayerFreezing.top(1), lambda name: _block(name) == 2),
    "middle": (lambda: LayerFreezing.middle(1), lambda name: _block(name) == 1),
    "bottom": (lambda: LayerFreezing.bottom(2), lambda name: _block(name) in (0, 1)),
    "bitfit": (BitFit, lambda name: name.endswith("bias")),
}


def _block(name: str) -> int | None:
    numbers = [int(part) for part in name.split(".") if part.isdigit()]
    return numbers[0] if numbers else None


def climb_own_weights(rung: str, architecture: str) -> None:
    make, chosen = NAMES[rung]
    model, ids = tiny(architecture), tokens(3, 7)
    plain = copy.deepcopy(model)
    for name, parameter in plain.named_parameters():
        parameter.requires_grad_(chosen(name))
    trained = [p for p in plain.parameters() if p.requires_grad]
    with make().attach(model) as method:
        assert method.num_parameters() == sum(p.numel() for p in trained), "count"
        agree("logits", model(ids).logits, plain(ids).logits)
        optimizers = [torch.optim.AdamW(p, lr=1e-3) for p in (method.parameters(), trained)]
        for side in (model, plain):
            nll(side, ids).backward()
        for (name, ours), (_, other) in zip(
            model.named_parameters(), plain.named_parameters(), strict=True
        ):
            assert (ours.grad is None) == (other.grad is None), name
            if ours.grad is not None:
                agree(f"gradient of {name}", ours.grad, other.grad)
        for optimizer in optimizers:
            optimizer.step()
        for (name, ours), (_, other) in zip(
            model.named_parameters(), plain.named_parameters(), strict=True
        ):
            agree(f"{name} after a step", ours, other)
        told = {"attention_mask": torch.ones_like(ids), "do_sample": False, "max_new_tokens": 8}
        assert torch.equal(model.generate(ids, **told), plain.generate(ids, **told)), "generation"


@every_architecture
@pytest.mark.parametrize("rung", NAMES)
def test_equal_to_plain_pytorch(rung, architecture):
    climb_own_weights(rung, architecture)


def head_untied(monkeypatch):
    """The embedding is trained, the head that was tied to it is not."""

    def wrong(self, module, name, parameter):
        old = module._parameters[name]
        module._parameters[name] = parameter
        self.callback(module._parameters.__setitem__, name, old)

    monkeypatch.setattr(Edits, "swap", wrong)


def off_by_one(monkeypatch):
    right = LayerFreezing.blocks
    monkeypatch.setattr(
        LayerFreezing,
        "blocks",
        lambda self, layers: [(i + 1) % layers for i in right(self, layers)],
    )


def without_norms(monkeypatch):
    """The biases of the linear layers only."""
    right = BitFit.chosen
    monkeypatch.setattr(
        BitFit,
        "chosen",
        lambda self, anatomy: [
            n for n in right(self, anatomy) if "norm" not in n and "ln_" not in n
        ],
    )


@pytest.mark.parametrize(
    ("rung", "mutant", "at"),
    [
        ("full", head_untied, "gradient of transformer.wte"),
        ("top", off_by_one, "transformer.h.0"),
        ("middle", off_by_one, "transformer.h.1"),
        ("bottom", off_by_one, "transformer.h.0"),
        ("bitfit", without_norms, "count"),
    ],
)
def test_a_mutant_of_own_weights_falls_off(rung, mutant, at, monkeypatch):
    mutant(monkeypatch)
    with pytest.raises(AssertionError, match=f"^{at}"):
        climb_own_weights(rung, "gpt2")


# Where ours differs on purpose, both behaviours.


def both_sides(rung: str, architecture: str, method):
    _, make_config, correspond = RUNGS[rung]
    return reference(tiny(architecture), method, make_config(architecture), correspond)[0]


@every_architecture
def test_ours_returns_t_logits_and_scores_t_minus_1_targets(architecture):
    """peft returns n+T for a prompt, and scores one target more than it does for a prefix: the
    last virtual token predicts the first real one. The two losses there do not compare."""
    ids = tokens(2, 7)
    for rung in ("prompt", "prefix"):
        model = tiny(architecture)
        with RUNGS[rung][0](architecture).attach(model) as method:
            theirs = both_sides(rung, architecture, method)
            mask = torch.ones_like(ids)
            ours, other = model(ids, labels=ids), theirs(ids, attention_mask=mask, labels=ids)
            assert ours.logits.shape[1] == 7
            assert other.logits.shape[1] == (N + 7 if rung == "prompt" else 7)
            logits = other.logits.double()
            if rung == "prompt":  # positions N-1 ... N+6 predict all 7 tokens
                scored = logits[:, N - 1 : -1].flatten(0, 1), ids.flatten()
                theirs_loss = torch.nn.functional.cross_entropy(*scored)
                assert abs(ours.loss - other.loss) > 1e-3
            else:
                theirs_loss = nll(theirs, ids, attention_mask=mask)
            assert abs(other.loss - theirs_loss) < 1e-5
            assert abs(ours.loss - nll(model, ids)) < 1e-5


@pytest.mark.parametrize("architecture", ["gpt2", "llama"])
def test_left_padding_changes_nothing_with_ours(architecture):
    """peft puts the prompt at positions 0 ... n-1 and counts the padding too."""
    ids = tokens(1, 5)
    left = torch.cat([torch.full((1, 3), 2), ids], 1)
    mask = torch.tensor([[0, 0, 0, 1, 1, 1, 1, 1]])
    told = {"do_sample": False, "max_new_tokens": 6, "pad_token_id": 2}
    model = tiny(architecture)
    with PromptTuning(N).attach(model) as method:
        fill(method)
        theirs = both_sides("prompt", architecture, method)
        ours = [model.generate(ids, attention_mask=mask[:, 3:], **told)[:, 5:],
                model.generate(left, attention_mask=mask, **told)[:, 8:]]  # fmt: skip
        assert torch.equal(*ours)
        logits = model(left, attention_mask=mask).logits[:, 3:]
        assert (logits - model(ids).logits).abs().max() < CLOSE
        others = [theirs(ids, attention_mask=mask[:, 3:]).logits[:, -5:],
                  theirs(left, attention_mask=mask).logits[:, -5:]]  # fmt: skip
        assert (others[0] - model(ids).logits).abs().max() < CLOSE
        assert (others[0] - others[1]).abs().max() > 0.1


def test_a_prefix_generates_without_cache_with_ours():
    """generate(use_cache=False) on Llama: peft's finds a cache in the output and crashes on it, or
    (from transformers 5.24 on) writes something else."""
    ids, model = tokens(1, 5), tiny("llama")
    told = {"do_sample": False, "max_new_tokens": 4, "attention_mask": torch.ones_like(ids)}
    with PrefixTuning(N).attach(model) as method:
        fill(method)
        theirs = both_sides("prefix", "llama", method)
        with_cache = model.generate(ids, **told)
        assert torch.equal(with_cache, model.generate(ids, use_cache=False, **told))
        assert torch.equal(with_cache, likeliest(theirs, ids, told["attention_mask"], 4))
        try:
            others = theirs.generate(input_ids=ids, use_cache=False, **told)
        except (RuntimeError, ValueError, IndexError):
            return
        assert not torch.equal(with_cache, others)


def test_the_layout_is_that_of_peft():
    """Column ((layer 2 + kv) H + head) head_dim + j of its flat matrix: files can go over."""
    with PrefixTuning(N).attach(tiny("gpt2")) as method:
        flat = method.prefix.flatten(1)
        head_dim = D // HEADS
        for layer in range(L):
            keys, values = method.keys_values(layer)
            for head in range(HEADS):
                for kv, tensor in enumerate((keys, values)):
                    first = ((layer * 2 + kv) * HEADS + head) * head_dim
                    assert torch.equal(tensor[head], flat[:, first : first + head_dim])
    assert Anatomy(tiny("gpt2")).head_dim == D // HEADS
