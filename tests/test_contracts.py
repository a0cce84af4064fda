"""What every method promises, on every architecture."""

import copy
import gc
import json

import pytest
import torch
from tiny import ARCHITECTURES, CONTEXT, D, L, fill, nll, tiny, tokens

from peft_lab.anatomy import Anatomy, count
from peft_lab.methods import (
    IA3,
    Adapted,
    Adapter,
    BitFit,
    Compose,
    Edits,
    EmbeddingTuning,
    FullFineTuning,
    LayerFreezing,
    LoRA,
    MAMAdapter,
    Method,
    PrefixTuning,
    PromptTuning,
    PTuning,
    UniPELT,
)

METHODS = {
    "full": FullFineTuning,
    "freezing": lambda: LayerFreezing.middle(2),
    "bitfit": BitFit,
    "embeddings": EmbeddingTuning,
    "prompt": lambda: PromptTuning(5),
    "prefix": lambda: PrefixTuning(5),
    "prefix_mlp": lambda: PrefixTuning(5, mlp=6),
    "prefix_layers": lambda: PrefixTuning(5, layers=(0, 2), trainable=(2,)),
    "prefix_prompt": lambda: PrefixTuning(5, init=PromptTuning(5)),
    "p_tuning": lambda: PTuning(5, hidden=6),
    "p_tuning_lstm": lambda: PTuning(5, hidden=6, encoder="lstm"),
    "compose": lambda: Compose(
        [PromptTuning(3), PrefixTuning(2, layers=(1,)), LayerFreezing.top(1), PTuning(1, hidden=4)]
    ),
    "houlsby": lambda: Adapter(4, "houlsby", activation="gelu"),
    "pfeiffer": lambda: Adapter(4, layers=(0, 2)),
    "parallel": lambda: Adapter(4, "parallel", scale=4),
    "ia3": IA3,
    "lora": lambda: LoRA(3, alpha=6),
    "lora_all": lambda: LoRA(2, targets="all", layers=(1, 2), rank_stabilised=True),
    "lora_qkv": lambda: LoRA(2, targets=("q", "k", "v", "head")),
    "dora": lambda: LoRA(2, targets=("q", "v", "down"), dora=True),
    "mam": lambda: MAMAdapter(3, 4),
    "unipelt": lambda: UniPELT(3, 2, 4),
    "prompt_and_lora": lambda: Compose([PromptTuning(3), LoRA(2)]),
    "lora_and_top": lambda: Compose([LoRA(2, targets=("q", "up")), LayerFreezing.top(1)]),
    "lora_ia3": lambda: Compose([LoRA(2, targets=("k", "v")), IA3()]),
    "lora_and_embeddings": lambda: Compose([LoRA(2, targets="all"), EmbeddingTuning()]),
}
OWN = (
    "full", "freezing", "bitfit", "embeddings", "lora_and_top", "lora_and_embeddings",
)  # fmt: skip  # train weights of the base's own
VIRTUAL = [
    name
    for name in METHODS
    if name.startswith(("prompt", "prefix", "p_tuning", "compose", "mam", "unipelt"))
]
IDENTITY = [name for name in METHODS if name not in VIRTUAL]
MERGEABLE = [name for name in METHODS if name in OWN or name.startswith(("lora", "dora", "ia3"))]

# P-tuning enters as a prompt does
GENERATE = ("prompt", "prefix", "prefix_layers", "compose", "houlsby", "parallel", "ia3",
            "lora_qkv", "dora", "mam", "unipelt", "prompt_and_lora")  # fmt: skip

every_architecture = pytest.mark.parametrize("architecture", ARCHITECTURES)
every_method = pytest.mark.parametrize("name", METHODS)
every_virtual = pytest.mark.parametrize("name", VIRTUAL)


def fill_virtual(method: Method) -> None:
    """Random numbers, but weights of the model's own stay what they are, near enough."""
    members = method.members if isinstance(method, Compose) else [method]
    for i, member in enumerate(members):
        fill(member, seed=i, scale=0.02 if isinstance(member, FullFineTuning) else 0.3)


def picture(model: torch.nn.Module) -> dict:
    """All that a method could leave behind on a model."""
    return {
        "objects": {n: id(p) for n, p in model.named_parameters(remove_duplicate=False)},
        "values": {n: t.clone() for n, t in model.state_dict().items()},
        "frozen": {n: p.requires_grad for n, p in model.named_parameters()},
        "hooks": sum(len(m._forward_pre_hooks) + len(m._forward_hooks) for m in model.modules()),
        "modules": [n for n, _ in model.named_modules()],
    }


def same(a: dict, b: dict) -> bool:
    values = a["values"].keys() == b["values"].keys() and all(
        torch.equal(t, b["values"][n]) for n, t in a["values"].items()
    )
    return values and all(a[key] == b[key] for key in a if key != "values")


@every_architecture
@every_method
def test_the_base_is_bitwise_untouched_during_and_after(name, architecture):
    model, ids = tiny(architecture), tokens()
    model.get_input_embeddings().weight.requires_grad_(False)  # a mixture must come back as it was
    before, logits = picture(model), model(ids).logits
    originals = dict(model.named_parameters())
    method = METHODS[name]()
    with method.attach(model):
        fill_virtual(method)
        optimizer = torch.optim.AdamW(method.parameters(), lr=0.1)
        nll(model, ids).backward()
        optimizer.step()
        assert not torch.equal(model(ids).logits, logits)
        for key, tensor in originals.items():  # the base's own objects, also while we train
            assert torch.equal(tensor, before["values"][key]) and tensor.grad is None
            assert not tensor.requires_grad
        assert not set(map(id, method.parameters())) & set(map(id, originals.values()))
    assert same(before, picture(model))
    assert torch.equal(model(ids).logits, logits)


@every_architecture
@every_method
def test_at_the_start_the_identity_or_shown_not_to_be(name, architecture):
    model, ids = tiny(architecture), tokens()
    logits = model(ids).logits
    with METHODS[name]().attach(model):
        if name in IDENTITY:
            assert torch.equal(model(ids).logits, logits)
        else:
            assert (model(ids).logits - logits).abs().max() > 1e-2


@every_architecture
@every_method
def test_only_declared_tensors_get_gradients_and_each_does(name, architecture):
    model = tiny(architecture)
    ids = torch.arange(97).view(1, -1)[:, : CONTEXT - 6]
    with METHODS[name]().attach(model) as method:
        fill_virtual(method)
        nll(model, ids).backward()
        declared = {id(p) for p in method.parameters()}
        for p in model.parameters():
            assert p.requires_grad == (id(p) in declared)
            assert p.grad is None or id(p) in declared
        for key, p in method.named_parameters():
            if "k_proj/bias" in key and architecture == "opt":
                assert p.grad.abs().max() < 1e-12, key
            else:
                assert p.grad is not None and p.grad.abs().max() > 1e-6, key
            if "embeddings" in key or "prefix" in key:
                assert (p.grad != 0).all(), key


def test_key_biases_get_no_gradient_without_rotary_positions():
    """They add the same number to all scores of a query, and the softmax ignores it."""
    grads = {}
    for architecture in ARCHITECTURES:
        model = tiny(architecture)
        with BitFit().attach(model):
            fill(BitFit().attach(tiny(architecture)))
            nll(model, tokens(2, 20)).backward()
            linears = Anatomy(model).projections(1)
            if architecture == "gpt2":
                q, k, v = linears["qkv"].bias.grad.split(D)
            elif architecture == "neox":  # (heads, 3, head_dim)
                q, k, v = linears["qkv"].bias.grad.view(-1, 3, 8).unbind(1)
            else:
                q, k, v = (linears[role].bias.grad for role in "qkv")
            grads[architecture] = k.abs().max()
            assert min(q.abs().max(), v.abs().max()) > 1e-4
    assert max(grads["gpt2"], grads["opt"]) < 1e-14
    assert min(grads["llama"], grads["neox"]) > 1e-4


@every_architecture
@every_method
def test_counts_equal_the_closed_form(name, architecture):
    untied = {"tie_word_embeddings": architecture in ("gpt2", "opt")}
    model, method = tiny(architecture, **untied), METHODS[name]()
    expected = method.expected_parameters(model.config)
    with method.attach(model):
        assert method.num_parameters() == expected == count(method) > 0
        assert f"{expected:,} trainable" in repr(method)
        assert f"{expected / count(model):.3%}" in method.trainable_summary()
    optimised = sum(p.numel() for p in method.parameters() if p.requires_grad)
    assert optimised == expected == method.num_parameters()


@every_architecture
@every_virtual
def test_soft_tokens_never_show(name, architecture):
    model, ids = tiny(architecture, attn_implementation="eager"), tokens()
    with METHODS[name]().attach(model) as method:
        out = model(ids, labels=ids, output_hidden_states=True, output_attentions=True)
        assert out.logits.shape == (2, 7, 97)
        assert {h.shape for h in out.hidden_states} == {(2, 7, D)}
        n = method.virtual_length(model)
        assert {a.shape for a in out.attentions} == {(2, 4, 7, n + 7)}
        assert abs(out.loss - nll(model, ids)) < 1e-5  # the same T-1 targets
        assert model(ids, logits_to_keep=1).logits.shape == (2, 1, 97)
        assert model(ids, use_cache=False).past_key_values is None
        assert model(ids, return_dict=False)[0].shape == (2, 7, 97)
        head = model.get_output_embeddings()
        assert torch.equal(head(out.hidden_states[-1]), out.logits)


def padded(rows: list[torch.Tensor], side: str) -> tuple[torch.Tensor, torch.Tensor]:
    T = max(len(row) for row in rows)
    ids, mask = torch.full((len(rows), T), 2), torch.zeros(len(rows), T, dtype=torch.long)
    for i, row in enumerate(rows):
        place = slice(T - len(row), None) if side == "left" else slice(0, len(row))
        ids[i, place], mask[i, place] = row, 1
    return ids, mask


ROWS = [tokens(1, 7, seed=1)[0], tokens(1, 4, seed=2)[0], tokens(1, 1, seed=3)[0]]


@every_architecture
@every_virtual
@pytest.mark.parametrize("side", ["left", "right"])
def test_a_padded_row_equals_the_row_alone(name, architecture, side):
    model = tiny(architecture)
    ids, mask = padded(ROWS, side)
    with METHODS[name]().attach(model) as method, torch.no_grad():
        fill_virtual(method)
        logits = model(ids, attention_mask=mask).logits
        for i, row in enumerate(ROWS):
            alone = model(row[None]).logits[0]
            # rotary angles are float32 inside transformers; the rest is float64
            assert (logits[i][mask[i].bool()] - alone).abs().max() < 1e-10


def naive(model, ids: torch.Tensor, steps: int, pick) -> torch.Tensor:
    """Generation as one would write it down: everything again for each token."""
    for _ in range(steps):
        ids = torch.cat([ids, pick(model(ids, use_cache=False).logits[:, -1])], 1)
    return ids


MODES = {
    "greedy": {"do_sample": False},
    "beams": {"do_sample": False, "num_beams": 3},
    "sampling": {"do_sample": True, "top_k": 0},
}


@every_architecture
@pytest.mark.parametrize("name", GENERATE)
@pytest.mark.parametrize("mode", MODES)
def test_generation_equals_naive_recomputation(name, architecture, mode):
    model = tiny(architecture)
    fixed = {"max_new_tokens": 5, "min_new_tokens": 5, **MODES[mode]}
    steps = fixed["max_new_tokens"]
    ids, mask = padded(ROWS[:2], "left")

    def generate(ids, **options):
        torch.manual_seed(0)
        return model.generate(ids, **fixed, **options)

    def alone(row):
        if mode == "greedy":
            return naive(model, row[None], steps, lambda x: allowed(x).argmax(-1, keepdim=True))
        if mode == "sampling":
            torch.manual_seed(0)
            draw = lambda x: torch.multinomial(allowed(x).softmax(-1), 1)  # noqa: E731
            return naive(model, row[None], steps, draw)
        return generate(row[None], use_cache=False)

    def allowed(scores):  # generate() lets no text end before min_new_tokens
        return scores.index_fill(1, torch.tensor([model.config.eos_token_id]), -torch.inf)

    with METHODS[name]().attach(model) as method, torch.no_grad():
        fill_virtual(method)
        together = generate(ids, attention_mask=mask)
        assert torch.equal(together, generate(ids, attention_mask=mask, use_cache=False))
        first = generate(ROWS[0][None])
        assert torch.equal(first, alone(ROWS[0]))
        if mode != "sampling":  # the random numbers of a batch are not those of its rows
            for i, row in enumerate(ROWS[:2]):
                assert torch.equal(together[i, -steps:], alone(row)[0, -steps:])


@every_architecture
@every_method
def test_saved_and_loaded_it_says_the_same_and_refuses_another_base(name, architecture, tmp_path):
    model, ids = tiny(architecture), tokens()
    with METHODS[name]().attach(model) as method:
        fill_virtual(method)
        logits = model(ids).logits
        method.save(tmp_path)
    again = Method.load(tmp_path)
    assert type(again) is type(method) and again.num_parameters() == method.num_parameters()
    other = tiny(architecture, seed=1)
    before = picture(other)
    with pytest.raises(ValueError, match="fingerprint"):
        again.attach(other)
    assert same(before, picture(other))
    with again.attach(model):
        assert torch.equal(model(ids).logits, logits)
        nll(model, ids).backward()  # what was loaded can be trained on
    again.detach()
    again.save(tmp_path / "again")
    moved = Method.load(tmp_path / "again").attach(other, any_base=True)
    moved.detach()
    moved.save(tmp_path / "moved")
    Method.load(tmp_path / "moved").attach(other).detach()  # its base from now on
    assert sorted(f.name for f in tmp_path.iterdir() if f.is_file()) == [
        "method.json",
        "method.safetensors",
    ]
    assert json.loads((tmp_path / "method.json").read_text())["base"] is not None


@every_architecture
@every_method
def test_a_failed_attach_leaves_nothing_behind(name, architecture, monkeypatch):
    model, method = tiny(architecture), METHODS[name]()
    before = picture(model)
    members = method.members if isinstance(method, Compose) else [method]
    edit = type(members[-1]).edit

    def fails(self, anatomy, edits):
        edit(self, anatomy, edits)
        raise KeyError("on purpose")

    monkeypatch.setattr(type(members[-1]), "edit", fails)
    with pytest.raises(KeyError):
        method.attach(model)
    assert same(before, picture(model)) and not method.attached
    monkeypatch.undo()
    method.attach(model).detach()


@every_method
def test_parameters_are_at_least_float32_and_cast_on_use(name):
    for dtype in (torch.float16, torch.bfloat16, torch.float32, torch.float64):
        model, method = tiny("llama", dtype=dtype), METHODS[name]()
        if dtype == torch.float16 and name in (*OWN, "compose"):  # they would train to NaN
            with pytest.raises(ValueError, match="float16.*load_base.*dtype=torch.float32"):
                method.attach(model)
            continue
        with method.attach(model):
            kinds = {p.dtype for p in method.parameters()}
            if name in OWN[:4]:  # in the place of the base's weights: of their type
                assert kinds == {dtype}
            elif name not in (*OWN, "compose"):
                assert kinds == {torch.promote_types(dtype, torch.float32)}
            assert model(tokens()).logits.dtype == dtype


@every_method
def test_under_autocast(name):
    model = tiny("llama", dtype=torch.float32)
    with METHODS[name]().attach(model), torch.autocast("cpu", torch.bfloat16):
        nll(model, tokens()).backward()


@every_architecture
@every_method
def test_gradient_checkpointing(name, architecture):
    """The same gradients; with a prefix, which lives in the cache, an error that says so."""
    model, ids = tiny(architecture, **no_dropout(architecture)), tokens()
    model.train()
    with METHODS[name]().attach(model) as method:
        grads = []
        for checkpointing in (False, True):
            method.zero_grad()
            if checkpointing:
                model.gradient_checkpointing_enable()
            if checkpointing and ("prefix" in name or name in ("compose", "mam", "unipelt")):
                with pytest.raises(RuntimeError, match="gradient_checkpointing_disable"):
                    nll(model, ids)
                continue
            nll(model, ids).backward()
            grads.append({n: p.grad.clone() for n, p in method.named_parameters()})
        for key in grads[0] if len(grads) == 2 else ():
            assert torch.allclose(grads[0][key], grads[1][key], atol=1e-12), key


def no_dropout(architecture: str) -> dict:
    return {
        "gpt2": {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0},
        "opt": {"dropout": 0.0},
    }.get(architecture, {})


@every_method
def test_dropout_is_that_of_the_model(name):
    """A method has none of its own, and does not change whether the model drops."""
    model, ids = tiny("gpt2"), tokens()
    with METHODS[name]().attach(model) as method:
        method.train()
        assert torch.equal(model(ids).logits, model(ids).logits)
        model.train()
        assert not torch.equal(model(ids).logits, model(ids).logits)


@every_method
def test_method_and_model_are_no_parts_of_each_other(name):
    model = tiny("gpt2")
    with METHODS[name]().attach(model) as method:
        assert model not in set(method.modules()) and method not in set(model.modules())
        both = Adapted(model, method)
        trained = {id(p) for p in both.parameters() if p.requires_grad}
        assert trained == {id(p) for p in method.parameters()}
        assert torch.equal(both(tokens()).logits, model(tokens()).logits)
        assert both.generate(tokens(), max_new_tokens=1).shape == (2, 8)
        with pytest.raises(ValueError, match="another model"):
            Adapted(tiny("gpt2"), method)


@every_method
def test_one_root_method_a_model(name):
    model = tiny("gpt2")
    with METHODS[name]().attach(model) as method:
        with pytest.raises(RuntimeError, match="Compose"):
            PromptTuning(2).attach(model)
        with pytest.raises(RuntimeError, match="attached already"):
            method.attach(model)
        with pytest.raises(RuntimeError, match="Compose"):
            METHODS[name]().attach(model)
    PromptTuning(2).attach(model).detach()


@every_architecture
@every_method
def test_merge_and_unmerge(name, architecture):
    model, ids = tiny(architecture, tie_word_embeddings=False), tokens()
    method, before = METHODS[name](), picture(model)
    with pytest.raises(RuntimeError, match="not attached"):
        method.merge()
    with method.attach(model):
        fill_virtual(method)
        adapted, attached = model(ids).logits, picture(model)
        if name not in MERGEABLE:
            with pytest.raises(RuntimeError, match="cannot be merged"):
                method.merge()
            with pytest.raises(RuntimeError, match="nothing to undo"):
                method.unmerge()
            assert same(attached, picture(model))
            return
        method.merge()
        assert method.merged and (model(ids).logits - adapted).abs().max() < 1e-10
        copied = copy.deepcopy(method)
        with pytest.raises(RuntimeError, match="merged already"):
            method.merge()
        method.unmerge()
        assert same(attached, picture(model)) and torch.equal(model(ids).logits, adapted)
        method.merge()
    assert same(before, picture(model)) and not method.merged  # detaching unmerges
    for again in (method, copied):
        with again.attach(model):
            assert torch.equal(model(ids).logits, adapted)


@every_method
def test_it_leaves_the_global_random_state_alone(name):
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    METHODS[name]().attach(tiny("llama")).detach()
    assert torch.equal(torch.rand(1), expected)


def test_ddp_trains_an_adapted_model(tmp_path):
    """One process, but the real wrapper: it finds the method's parameters and no others."""
    dist = torch.distributed
    dist.init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    try:
        for name in ("full", "prompt", "prefix", "compose", "lora", "ia3", "parallel"):
            model, ids = tiny("llama"), tokens()
            alone = METHODS[name]().attach(model)
            nll(model, ids).backward()
            alone.detach()
            twin = METHODS[name]()
            ddp = torch.nn.parallel.DistributedDataParallel(Adapted(model, twin))
            nll(ddp, ids).backward()
            for a, b in zip(alone.parameters(), twin.parameters(), strict=True):
                assert torch.allclose(a.grad, b.grad, atol=1e-12)
            twin.detach()
    finally:
        dist.destroy_process_group()


def test_a_deep_copy_is_not_needed():
    """Many methods take turns on one model, and each finds it as the last one did."""
    model, ids = tiny("llama"), tokens()
    reference = copy.deepcopy(model)
    for make in METHODS.values():
        with make().attach(model) as method:
            fill_virtual(method)
            model(ids)
        assert torch.equal(model(ids).logits, reference(ids).logits)
    assert L == len(Anatomy(model).blocks)


@every_method
def test_a_copy_of_an_attached_method_is_detached(name):
    model, ids = tiny("llama"), tokens()
    with METHODS[name]().attach(model) as method:
        fill_virtual(method)
        logits = model(ids).logits
        twin = copy.deepcopy(method)
        assert not twin.attached
        twin.detach()
        assert method.attached and torch.equal(model(ids).logits, logits)
    with twin.attach(model):
        assert torch.equal(model(ids).logits, logits)


@every_method
def test_a_copy_of_the_model_carries_no_method(name):
    """Where there are hooks it is refused: the copy's would act with the original's method."""
    model, ids = tiny("llama"), tokens()
    with METHODS[name]().attach(model) as method:
        if name not in OWN[:4]:
            with pytest.raises(RuntimeError, match="detach.*before copying the model"):
                copy.deepcopy(model)
            return
        fill_virtual(method)
        twin = copy.deepcopy(model)
    with PromptTuning(2).attach(twin):
        twin(ids)


@every_method
def test_a_model_keeps_its_method_alive(name):
    model, ids = tiny("llama"), tokens()
    logits = model(ids).logits
    METHODS[name]().attach(model)
    gc.collect()
    with pytest.raises(RuntimeError, match="carries") as caught:
        PromptTuning(2).attach(model)
    assert "_peft_lab_root" not in dict(model.named_modules())
    del caught
    vars(model.get_decoder())["_peft_lab_root"].detach()
    assert torch.equal(model(ids).logits, logits)
    PromptTuning(2).attach(model).detach()


@pytest.mark.parametrize(
    ("make", "changes"),
    [
        (lambda: PromptTuning(3), {"hidden_size": 64}),
        (IA3, {"num_key_value_heads": 4, "intermediate_size": 16}),  # as many, in other places
        (lambda: Compose([LoRA(2), IA3()]), {"num_key_value_heads": 4, "intermediate_size": 16}),
        (lambda: PrefixTuning(3), {"num_hidden_layers": 2}),
        (FullFineTuning, {"num_hidden_layers": 4}),
        (FullFineTuning, {"intermediate_size": 50}),
        (lambda: LayerFreezing.top(1), {"num_hidden_layers": 4}),  # as many, but other names
    ],
)
def test_any_base_must_still_fit(make, changes):
    method, other = make(), tiny("llama", **changes)
    method.attach(tiny("llama")).detach()
    before = picture(other)
    with pytest.raises(ValueError, match="does not fit this model"):
        method.attach(other, any_base=True)
    assert same(before, picture(other))


def test_swap_refuses_another_shape():
    model = tiny("llama")
    edits = Edits(Anatomy(model))
    with pytest.raises(ValueError, match="does not fit this model"):
        edits.swap(model.get_decoder().norm, "weight", torch.nn.Parameter(torch.zeros(3)))


def test_members_of_a_saved_composition_are_whole_themselves(tmp_path):
    model, ids = tiny("llama"), tokens()
    both = Compose([PromptTuning(2), LayerFreezing.top(1)])
    with both.attach(model):
        fill_virtual(both)
    both.save(tmp_path)
    again = Compose.load(tmp_path)
    again.save(tmp_path / "copy")  # not attached yet
    assert [m.num_parameters() for m in again.members] == [m.num_parameters() for m in both.members]
    with both.members[0].attach(model):
        logits = model(ids).logits
    with again.members[0].attach(model):
        assert torch.equal(model(ids).logits, logits)
    with both.attach(model):
        logits = model(ids).logits
    for found in (again, Compose.load(tmp_path / "copy")):
        with found.attach(model):
            assert torch.equal(model(ids).logits, logits)


@every_architecture
@every_method
def test_tuples_instead_of_names(name, architecture):
    model, method, ids = tiny(architecture), METHODS[name](), tokens()
    with method.attach(model):
        fill_virtual(method)
        named = model(ids)
        assert torch.equal(model(ids, return_dict=False)[0], named.logits)


def test_a_class_of_the_same_name_does_not_take_the_place_of_a_known_one(tmp_path):
    with PromptTuning(3).attach(tiny("llama")) as method:
        method.save(tmp_path)
    known = PromptTuning
    mine = {"__module__": "__main__", "from_settings": classmethod(lambda cls, settings: cls())}
    own = type("PromptTuning", (Method,), mine)
    assert type(Method.load(tmp_path)) is type(known.load(tmp_path)) is known
    assert type(own.load(tmp_path)) is own
