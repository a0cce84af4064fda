"""Switch: each row of a batch equals the row alone, with its own member attached."""

import copy
import threading

import pytest
import torch
from test_contracts import naive, padded, picture, same
from tiny import ARCHITECTURES, CONTEXT, D, L, fill, nll, tiny, tokens

from peft_lab.attention import prefix_attention_share
from peft_lab.methods import (
    IA3,
    Adapter,
    BitFit,
    Compose,
    EmbeddingTuning,
    FullFineTuning,
    LayerFreezing,
    LoRA,
    MAMAdapter,
    Method,
    PrefixTuning,
    PromptTuning,
    PTuning,
    Switch,
    UniPELT,
)

MEMBERS = {
    "prompt": lambda: PromptTuning(5),
    "short": lambda: PromptTuning(2),
    "p_tuning": lambda: PTuning(3, hidden=4),
    "prefix": lambda: PrefixTuning(4),
    "some_layers": lambda: PrefixTuning(3, layers=(1,)),
    "other_layers": lambda: PrefixTuning(2, layers=(0, 2)),
    "no_layers": lambda: PrefixTuning(2, layers=()),
    "lora": lambda: LoRA(3, targets=("q", "v", "down", "head")),
    "dora": lambda: LoRA(2, targets=("q", "v", "down"), dora=True),
    "ia3": IA3,
    "houlsby": lambda: Adapter(4, "houlsby"),
    "parallel": lambda: Adapter(4, "parallel"),
    "mam": lambda: MAMAdapter(3, 4),
    "unipelt": lambda: UniPELT(2, 2, 4),
    "all_in_one": lambda: Compose(
        [PromptTuning(1), PrefixTuning(6, layers=(0, 2)), LoRA(2), PrefixTuning(1)]
    ),
    "plain": lambda: None,
}
FEW = ("prompt", "some_layers", "plain", "lora", "short", "ia3", "all_in_one", "parallel")
LENGTHS = (7, 4, 1, 6, 5, 3, 7, 2, 4, 6, 5, 3, 4, 7, 2, 5)
TEXTS = [tokens(1, length, seed=i)[0] for i, length in enumerate(LENGTHS)]

every_architecture = pytest.mark.parametrize("architecture", ARCHITECTURES)


def ready(model, names=tuple(MEMBERS)) -> dict[str, Method | None]:
    """Members with random numbers, none of them attached."""
    members = {name: MEMBERS[name]() for name in names}
    for i, member in enumerate(members.values()):
        if member is not None:
            with member.attach(model):
                fill(member, seed=i)
    return members


def alone(model, member: Method | None, fn):
    """fn() with this member attached, or nothing."""
    if member is None:
        return fn()
    with member.attach(model):
        return fn()


# The same as alone


@every_architecture
@pytest.mark.parametrize("side", ["left", "right"])
def test_each_row_equals_the_row_alone(architecture, side):
    model = tiny(architecture)
    members, names = ready(model), [*MEMBERS]
    ids, mask = padded(TEXTS, side)
    with torch.no_grad():
        with Switch(members).attach(model) as switch, switch.rows(names):
            logits = model(ids, attention_mask=mask).logits
        for i, name in enumerate(names):
            own = alone(model, members[name], lambda i=i: model(TEXTS[i][None]).logits[0])
            assert (logits[i][mask[i].bool()] - own).abs().max() < 1e-10, name


@every_architecture
def test_the_loss_is_over_the_same_targets(architecture):
    model = tiny(architecture)
    members, ids = ready(model, FEW), tokens(len(FEW), 6)
    with torch.no_grad():
        with Switch(members).attach(model) as switch, switch.rows(FEW):
            loss, told = nll(model, ids), model(ids, labels=ids).loss
        rows = [ids[i : i + 1] for i in range(len(FEW))]
        own = [
            alone(model, members[name], lambda row=row: nll(model, row))
            for name, row in zip(FEW, rows, strict=True)
        ]
    assert abs(loss - torch.stack(own).mean()) < 1e-10
    assert abs(told - loss) < 1e-5  # transformers casts to float32


@every_architecture
def test_soft_tokens_never_show_and_are_seen_by_their_own_rows(architecture):
    model = tiny(architecture, dtype=torch.float32, attn_implementation="eager")
    members, ids, names = ready(model, FEW), tokens(len(FEW), 6), [*reversed(FEW)]
    with Switch(members).attach(model) as switch, switch.rows(names), torch.no_grad():
        out = model(ids, output_hidden_states=True, output_attentions=True)
        n = switch.virtual_length(model)
        share = prefix_attention_share(model, switch, {"input_ids": ids}, per_token=True)
    assert out.logits.shape == (len(names), 6, 97)
    assert {h.shape for h in out.hidden_states} == {(len(names), 6, D)}
    assert n == 12 and {a.shape for a in out.attentions} == {(len(names), 4, 6, n + 6)}
    seen = share.sum((2, 3)).bool()  # (L, B)
    assert {name: seen[:, i].tolist() for i, name in enumerate(names)} == {
        **dict.fromkeys(("plain", "lora", "ia3", "parallel"), [False] * L),
        **dict.fromkeys(("prompt", "short", "all_in_one"), [True] * L),
        "some_layers": [False, True, False],
    }


MODES = {
    "greedy": {"do_sample": False},
    "beams": {"do_sample": False, "num_beams": 3, "num_return_sequences": 2},
}


@every_architecture
@pytest.mark.parametrize("mode", MODES)
def test_generation_equals_each_row_alone(architecture, mode):
    model = tiny(architecture)
    members, names = ready(model, FEW), [*FEW, "short"]
    texts = TEXTS[: len(names)]
    ids, mask = padded(texts, "left")
    told = {"max_new_tokens": 5, "min_new_tokens": 5, **MODES[mode]}
    k = told.get("num_return_sequences", 1)
    with Switch(members).attach(model) as switch, switch.rows(names):
        together = model.generate(ids, attention_mask=mask, **told)
        again = model.generate(ids, attention_mask=mask, use_cache=False, **told)
    assert torch.equal(together, again)
    for i, name in enumerate(names):
        own = alone(model, members[name], lambda i=i: model.generate(texts[i][None], **told))
        assert torch.equal(together[i * k : (i + 1) * k, -5:], own[:, -5:]), name


@every_architecture
def test_sampling_with_and_without_cache_and_as_alone(architecture):
    model = tiny(architecture)
    members, ids = ready(model, FEW), tokens(len(FEW), 4)
    told = {"max_new_tokens": 4, "do_sample": True, "num_return_sequences": 2}

    def sampled(**more):
        torch.manual_seed(0)
        return model.generate(ids, **told, **more)

    with Switch(members).attach(model) as switch:
        with switch.rows(FEW):
            assert torch.equal(sampled(), sampled(use_cache=False))
        with switch.rows(["all_in_one"]):
            together = sampled()
    assert torch.equal(together, alone(model, members["all_in_one"], sampled))


def test_generation_equals_naive_recomputation():
    model = tiny("llama")
    members, ids = ready(model, FEW), tokens(len(FEW), 4)
    with Switch(members).attach(model) as switch, switch.rows(FEW), torch.no_grad():
        text = model.generate(ids, max_new_tokens=4, do_sample=False, eos_token_id=None)
        assert torch.equal(text, naive(model, ids, 4, lambda x: x.argmax(-1, keepdim=True)))


@every_architecture
def test_decoding_by_hand_in_pieces(architecture):
    model = tiny(architecture)
    members, ids = ready(model, FEW), tokens(len(FEW), 8)
    with Switch(members).attach(model) as switch, torch.no_grad():
        with switch.rows(FEW):
            whole = model(ids).logits
            out = model(ids[:, :4], use_cache=True)
        pieces = [out.logits]
        for piece in (ids[:, 4:7], ids[:, 7:]):
            with switch.rows(FEW):  # chosen anew: the cache is that of the same rows
                out = model(piece, past_key_values=out.past_key_values)
            pieces.append(out.logits)
        assert (torch.cat(pieces, 1) - whole).abs().max() < 1e-10
        with switch.rows([*reversed(FEW)]), pytest.raises(ValueError, match="other rows chosen"):
            model(ids[:, :1], past_key_values=out.past_key_values)


def test_bloom_too():
    """Alibi instead of positions, in float32: with padding it gives NaN in float64."""
    model = tiny("bloom", dtype=torch.float32)
    names = [name for name in FEW if name != "all_in_one"]
    members, texts = ready(model, names), TEXTS[:7]
    ids, mask = padded(texts, "left")
    told = {"max_new_tokens": 4, "do_sample": False}
    with torch.no_grad():
        with Switch(members).attach(model) as switch, switch.rows(names):
            logits = model(ids, attention_mask=mask).logits
            text = model.generate(ids, attention_mask=mask, **told)
            uncached = model.generate(ids, attention_mask=mask, use_cache=False, **told)
            assert torch.equal(text, uncached)
        for i, name in enumerate(names):
            own = alone(model, members[name], lambda i=i: model(texts[i][None]).logits[0])
            assert (logits[i][mask[i].bool()] - own).abs().max() < 1e-3, name


@pytest.mark.parametrize(
    ("kind", "dtype", "close"), [("sdpa", torch.float64, 1e-10), ("eager", torch.float32, 1e-3)]
)
def test_a_sliding_window_sees_as_far_as_alone(kind, dtype, close):
    """It counts columns: those that a row lacks stand at the left, out of the way."""
    model = tiny("mistral", dtype=dtype, sliding_window=5, attn_implementation=kind)
    names = ["prompt", "short", "plain", "lora"]
    members, ids = ready(model, names), tokens(4, 8)
    told = {"max_new_tokens": 6, "min_new_tokens": 6, "do_sample": False}
    with torch.no_grad():
        with Switch(members).attach(model) as switch, switch.rows(names):
            logits, text = model(ids).logits, model.generate(ids, **told)
        for i, name in enumerate(names):
            one = ids[i : i + 1]
            own = alone(model, members[name], lambda one=one: model(one).logits[0])
            assert (logits[i] - own).abs().max() < close, name
            own = alone(model, members[name], lambda one=one: model.generate(one, **told))
            assert torch.equal(text[i : i + 1], own), name


def test_rows_that_see_nothing_stay_numbers_in_float32():
    for kind in ("sdpa", "eager"):
        model = tiny("llama", dtype=torch.float32, attn_implementation=kind)
        with Switch({"a": PromptTuning(3), "plain": None}).attach(model) as switch:
            with switch.rows(["plain", "a"]):
                logits = model(tokens(2, 4)).logits
        assert logits.isfinite().all()
        assert (logits[:1] - model(tokens(2, 4)[:1]).logits).abs().max() < 1e-4


# Only its own rows


class Spy(Method):
    """It notes what it is given, and adds `value` to what the feed-forward parts give."""

    def __init__(self, value: float = 0.0):
        super().__init__()
        self.value, self.seen = value, []

    def build(self, anatomy):
        self.weight = torch.nn.Parameter(anatomy.embedding.weight.new_full((1,), self.value))

    def edit(self, anatomy, edits):
        def change(x, y):
            self.seen.append((tuple(x.shape), tuple(y.shape)))
            return y + self.weight

        for layer in range(anatomy.layers):
            edits.around(*anatomy.feed_forward(layer), change)

    def expected_parameters(self, config):
        return 1

    def settings(self):
        return {"value": self.value}


@every_architecture
def test_a_member_computes_its_own_rows_only(architecture):
    model, ids = tiny(architecture), tokens(8, 5)
    members = {"a": Spy(1.0), "b": Spy(2.0), "c": Spy(3.0)}
    with Switch(members).attach(model) as switch, torch.no_grad():
        with switch.rows(["b", "a", "b", "b"]):  # two rows each
            model(ids)
    rows = {name: {x[:-1] for x, _ in spy.seen} for name, spy in members.items()}
    split = {"opt": {"a": {(1, 10)}, "b": {(3, 10)}}}  # its feed-forward part makes one row of all
    assert rows == {**split.get(architecture, {"a": {(2, 5)}, "b": {(6, 5)}}), "c": set()}


def test_gates_tell_of_their_own_rows():
    model, ids = tiny("opt"), tokens(3, 5)
    members = {"a": UniPELT(2, 2, 4), "plain": None}
    with Switch(members).attach(model) as switch, switch.rows(["a", "plain", "a"]):
        model(ids)
        assert members["a"].gates()["adapter"].shape == (L, 2, 5)


@every_architecture
def test_gradients_reach_the_chosen_members_only_and_are_those_of_alone(architecture):
    model, names = tiny(architecture), ("prompt", "some_layers", "lora", "plain", "parallel")
    members, ids = ready(model, [*FEW, "p_tuning"]), tokens(len(names), 6)
    before = picture(model)
    close = 1e-6 if architecture == "llama" else 1e-10  # its norms go through float32
    with Switch(members).attach(model) as switch, switch.rows(names):
        nll(model, ids).backward()
    together = {}
    for name, member in members.items():
        for key, p in () if member is None else member.named_parameters():
            assert (p.grad is not None) == (name in names), (name, key)
            together[name, key], p.grad = p.grad, None
    for i, name in enumerate(names):
        if members[name] is None:
            continue
        alone(model, members[name], lambda i=i: nll(model, ids[i : i + 1]).backward())
        for key, p in members[name].named_parameters():
            assert (together[name, key] - p.grad / len(names)).abs().max() < close, (name, key)
    assert same(before, picture(model))


def test_rows_without_a_prefix_train_with_gradient_checkpointing_beside_one_in_some_layers():
    model, ids = tiny("llama"), tokens(1, 6)
    model.train()
    with Switch({"lora": LoRA(2), "prefix": PrefixTuning(2, layers=(1,))}).attach(model) as switch:
        grads = []
        for _ in range(2):
            switch.zero_grad()
            with switch.rows(["lora"]):
                nll(model, ids).backward()
            grads.append([p.grad.clone() for p in switch.members["lora"].parameters()])
            model.gradient_checkpointing_enable()
        assert all(torch.allclose(a, b, atol=1e-12) for a, b in zip(*grads, strict=True))


def test_rows_of_two_kinds_need_room_in_a_sliding_window():
    model, ids = tiny("mistral", sliding_window=12), tokens(2, 7)
    with Switch({"pre": PrefixTuning(5), "pro": PromptTuning(4)}).attach(model) as switch:
        with switch.rows(["pre", "pro"]), pytest.raises(ValueError, match="16 columns .* of 12"):
            model(ids)
        with switch.rows(["pre", "pre"]):
            model(ids)


def test_training_moves_the_chosen_member_and_gradient_checkpointing_agrees():
    model, ids = tiny("llama"), tokens(2, 6)
    members = ready(model, ("lora", "ia3", "prompt"))
    model.train()
    grads = []
    with Switch(members).attach(model) as switch:
        start = {name: t.clone() for name, t in switch.state_dict().items()}
        optimizer = torch.optim.AdamW(switch.parameters(), lr=0.1)
        for checkpointing in (False, True):
            optimizer.zero_grad()
            if checkpointing:
                model.gradient_checkpointing_enable()
            with switch.rows(["lora", "ia3"]):
                nll(model, ids).backward()
            grads.append([p.grad for p in switch.parameters() if p.grad is not None])
        assert all(torch.allclose(a, b, atol=1e-12) for a, b in zip(*grads, strict=True))
        with switch.rows(["lora", "ia3"]):
            loss = nll(model, ids)
        with pytest.raises(RuntimeError, match="around backward"):
            loss.backward()
        optimizer.step()
    moved = {n.split(".")[1] for n, t in switch.state_dict().items() if not t.equal(start[n])}
    assert moved == {"lora", "ia3"}


@every_architecture
def test_the_base_is_as_it_was(architecture):
    model, ids = tiny(architecture), tokens(2, 5)
    before, logits = picture(model), model(ids).logits
    with Switch({name: make() for name, make in MEMBERS.items()}).attach(model) as switch:
        with switch.rows(["plain", "plain"]):
            assert (model(ids).logits - logits).abs().max() < 1e-12
        with switch.rows(["prompt", "lora"]):
            model(ids)
        with pytest.raises(RuntimeError, match="Switch cannot be merged.*one member alone"):
            switch.merge()
    assert same(before, picture(model)) and torch.equal(model(ids).logits, logits)


# Which choice is in force


def test_the_inner_choice_holds_and_then_the_outer_again():
    model, ids = tiny("gpt2"), tokens(2, 5)
    members = ready(model, ("prompt", "lora", "plain"))
    with Switch(members).attach(model) as switch:
        with switch.rows(["prompt", "lora"]) as told:
            outer = model(ids).logits
            assert told is switch
            with switch.rows(["lora", "prompt"]):
                inner = model(ids.flip(0)).logits
            with pytest.raises(KeyError), switch.rows(["plain"]):
                raise KeyError
            assert torch.equal(model(ids).logits, outer)
        assert (inner.flip(0) - outer).abs().max() < 1e-10
        with pytest.raises(RuntimeError, match="no rows are chosen"):
            model(ids)


def test_two_models_at_once():
    a, b, ids = tiny("gpt2"), tiny("llama"), tokens(2, 5)
    one, two = Switch(ready(a, ("prompt", "lora"))), Switch(ready(b, ("prefix", "ia3")))
    with one.attach(a), two.attach(b):
        with one.rows(["lora", "prompt"]), two.rows(["ia3", "prefix"]):
            both = a(ids).logits, b(ids).logits
        with one.rows(["lora", "prompt"]):
            assert torch.equal(a(ids).logits, both[0])
            with pytest.raises(RuntimeError, match="one of 'prefix', 'ia3'"):
                b(ids)


def test_threads_choose_for_themselves():
    """Each waits for the others in the middle of its pass, so that they mix if they can."""
    model, ids = tiny("llama"), tokens(2, 5)
    members, meet, found = ready(model, ("prompt", "lora", "short")), threading.Barrier(3), {}

    def run(name):
        with torch.no_grad(), switch.rows([name, "lora"]):
            found[name] = model(ids).logits

    def pause(*_):
        meet.wait(120)

    def in_threads(target, names):
        threads = [threading.Thread(target=target, args=(name,)) for name in names]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    with Switch(members).attach(model) as switch:
        for name in members:
            run(name)
        expected = dict(found)
        found.clear()
        handle = model.model.layers[1].register_forward_pre_hook(pause)
        in_threads(run, members)
        handle.remove()
        assert all(torch.equal(found[name], expected[name]) for name in members)

        def without(name):
            try:
                model(ids)
            except RuntimeError as error:
                found[name] = str(error)

        with switch.rows(["prompt", "lora"]):
            in_threads(without, ["outside"])
        assert "no rows are chosen in this thread" in found["outside"]


# Files, counts, words


@every_architecture
def test_saved_and_loaded_it_says_the_same(architecture, tmp_path):
    model, ids, other = tiny(architecture), tokens(len(FEW), 5), tiny(architecture, seed=1)
    switch = Switch(ready(model, FEW))
    expected = switch.expected_parameters(model.config)
    with switch.attach(model), switch.rows(FEW):
        logits = model(ids).logits
        assert switch.num_parameters() == expected == sum(p.numel() for p in switch.parameters())
        switch.save(tmp_path)
        assert f"Switch: {expected:,} trainable" in repr(switch)
        assert "\n  'prompt': PromptTuning(" in repr(switch) and "'plain': None" in repr(switch)
        twin = copy.deepcopy(switch)
    for again in (Method.load(tmp_path), twin):
        assert type(again) is Switch and [*again.members] == [*FEW]
        assert again.num_parameters() == expected
        with again.attach(model), again.rows(FEW):
            assert torch.equal(model(ids).logits, logits)
    again = Switch.load(tmp_path)
    with pytest.raises(ValueError, match="fingerprint"):
        again.attach(other)
    again.save(tmp_path / "unattached")
    with Switch.load(tmp_path / "unattached").members["lora"].attach(model) as lora:
        alone = model(ids).logits  # a member is whole itself
    with switch.members["lora"].attach(model):
        assert torch.equal(model(ids).logits, alone) and lora is not switch.members["lora"]
    moved = Switch.load(tmp_path).attach(other, any_base=True)
    moved.detach()
    moved.save(tmp_path / "moved")
    Switch.load(tmp_path / "moved").attach(other).detach()


# What is refused


@pytest.mark.parametrize(
    "own",
    [
        FullFineTuning,
        lambda: LayerFreezing.top(1),
        BitFit,
        EmbeddingTuning,
        lambda: Compose([LoRA(2), BitFit()]),
    ],
)
def test_members_that_train_the_weights_of_the_base(own):
    model = tiny("llama")
    before = picture(model)
    with pytest.raises(ValueError, match=r"members: 'mine' \(.* same for all rows.*alone.*LoRA"):
        Switch({"a": PromptTuning(2), "mine": own()}).attach(model)
    assert same(before, picture(model))


def test_switches_that_make_no_sense():
    prompt = PromptTuning(3)
    for members, error, match in (
        ({}, ValueError, "empty"),
        ([prompt], TypeError, "dict, name -> method"),
        ({"a": prompt, "b": prompt}, ValueError, "given twice"),
        ({"a": torch.nn.Linear(2, 2)}, TypeError, "Linear"),
        ({1: prompt}, TypeError, "name must be a text, not 1"),
        ({"a.b": prompt}, ValueError, "members: 'a.b' cannot be a name"),
        ({"": prompt}, ValueError, "members: '' cannot be a name"),
        ({"keys": None}, ValueError, "members: 'keys' cannot be a name"),
        ({"a": Switch({"b": prompt})}, ValueError, "'a' is a Switch; give its members"),
    ):
        with pytest.raises(error, match=match):
            Switch(members)
    with pytest.raises(ValueError, match="compose within it"):
        Compose([Switch({"a": prompt}), LoRA(2)])


def test_choices_that_cannot_be_right():
    model, ids = tiny("llama"), tokens(3, 5)
    switch = Switch({"poems": PromptTuning(2), "code": LoRA(2), "plain": None})
    with pytest.raises(RuntimeError, match="not attached: attach"), switch.rows(["poems"]):
        pass
    with switch.attach(model):
        with pytest.raises(RuntimeError, match="no rows are chosen.*'poems', 'code', 'plain'"):
            model(ids)
        with pytest.raises(ValueError, match="'verse' is no member; there are 'poems', 'code'"):
            switch.rows(["poems", "verse"]).__enter__()
        with pytest.raises(ValueError, match="empty.*there are 'poems'"):
            switch.rows([]).__enter__()
        with pytest.raises(TypeError, match=r"not a text: \['poems'\]"):
            switch.rows("poems").__enter__()
        with switch.rows(["poems", "code"]):
            with pytest.raises(ValueError, match="names: 2 were chosen.*has 3 rows"):
                model(ids)
            with pytest.raises(ValueError, match="names: 2 were chosen.*has 1 rows"):
                model.generate(ids[:1], max_new_tokens=1)
        with switch.rows(["poems"]):
            model(ids)  # all rows alike
        with pytest.raises(RuntimeError, match="Switch already.*detach"):
            PromptTuning(2).attach(model)
        with pytest.raises(RuntimeError, match="detach.*before copying the model"):
            copy.deepcopy(model)


def test_a_changed_head_needs_rows():
    """A mask of scored positions mixes all rows; a number of them does not."""
    model, ids = tiny("llama"), tokens(2, 5)
    members = {"head": LoRA(2, targets="head"), "code": LoRA(2)}
    keep = torch.ones(2, 5, dtype=torch.bool)
    with Switch(members).attach(model) as switch:
        with switch.rows(["head", "code"]):
            assert model(ids, logits_to_keep=1).logits.shape == (2, 1, 97)
            with pytest.raises(ValueError, match="logits_to_keep.*'head' changes the head"):
                model(ids, logits_to_keep=keep)
        with switch.rows(["code", "code"]):
            assert model(ids, logits_to_keep=keep).logits.shape[-1] == 97


def test_the_context_holds_what_a_row_has_not_what_all_have():
    model = tiny("gpt2")
    half = CONTEXT // 2
    members = {"a": PromptTuning(half), "b": PrefixTuning(half)}
    with Switch(members).attach(model) as switch, switch.rows(["a", "b"]), torch.no_grad():
        assert switch.virtual_length(model) == CONTEXT
        assert model(tokens(2, half)).logits.shape[1] == half
        with pytest.raises(ValueError, match=f"{half} virtual and {half + 1} real"):
            model(tokens(2, half + 1))
    with pytest.raises(ValueError, match="context"):
        Switch({"a": PromptTuning(CONTEXT)}).attach(model)


def test_a_cache_of_another_kind_is_refused():
    model, ids = tiny("llama"), tokens(2, 5)
    plain = model(ids, use_cache=True).past_key_values
    with Switch({"a": LoRA(2), "plain": None}).attach(model) as switch:
        with switch.rows(["a", "plain"]):
            with pytest.raises(ValueError, match="without this method"):
                model(ids[:, :1], past_key_values=plain)
            mine = model(ids, use_cache=True).past_key_values
    with Switch({"a": LoRA(2), "plain": None}).attach(model) as switch:
        with switch.rows(["a", "plain"]), pytest.raises(ValueError, match="without this method"):
            model(ids[:, :1], past_key_values=mine)


def test_rows_of_several_members_are_not_scored_or_trained_in_another_order():
    from toy import toy_examples, toy_model, toy_tokenizer

    from peft_lab import evaluate, fit
    from peft_lab.evaluation import classify
    from peft_lab.rows import Row

    model, tokenizer = toy_model(), toy_tokenizer()
    examples = toy_examples(4)
    pad = tokenizer.pad_token_id
    switch = Switch({"a": PromptTuning(2), "b": PromptTuning(3), "plain": None}).attach(model)
    rows = [Row("once", "fox", 0), Row("once upon a time", "fox", 1)]
    with switch.rows(["a", "b"]):
        with pytest.raises(ValueError, match=r"examples: .*\['a', 'b'\].*switch.rows\(\['a'\]\)"):
            evaluate(model, examples, pad_id=pad)
        with pytest.raises(ValueError, match="examples: .*an order of their own"):
            classify(model, tokenizer, rows, ["fox", "moon"])
        with pytest.raises(ValueError, match="module: rows of several members.*shuffles"):
            fit(model, examples, switch, steps=1, progress=False)
        other = toy_model(seed=1)  # it does not carry the switch
        evaluate(other, examples, pad_id=pad)
        with switch.rows(["a"]):
            evaluate(model, examples, pad_id=pad)
            fit(model, examples, switch, steps=1, progress=False, live_curve=False)
    with switch.rows(["b", "b"]):  # all rows alike, in whatever order
        evaluate(model, examples, pad_id=pad)
    switch.detach()
    assert not switch.mixed
