"""Adapters, IA3, LoRA and hybrids: by hand, by their papers' counts, and where `peft` differs."""

import contextlib
import copy
import functools
import gc
import pickle
import weakref
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
import torch.nn.functional as F
from tiny import ARCHITECTURES, D, L, config, fill, nll, tiny, tokens
from toy import toy_task
from transformers import GPT2Config, LlamaConfig

from peft_lab.anatomy import Anatomy, find_linears, matrix
from peft_lab.methods import (
    IA3,
    Adapter,
    Compose,
    FullFineTuning,
    LayerFreezing,
    LoRA,
    MAMAdapter,
    PrefixTuning,
    PromptTuning,
    PTuning,
    Switch,
    UniPELT,
)
from peft_lab.training import fit

every_architecture = pytest.mark.parametrize("architecture", ARCHITECTURES)
CLOSE = 1e-10


# Adapters: `peft` has none, so the forward pass is written by hand, from the model's own parts.


def by_hand(model, ids, after_attention, after_feed_forward, beside):
    """Logits of an untouched model with a(layer, h) after a part and b(layer, x) beside it."""
    T, positions = ids.shape[1], torch.arange(ids.shape[1])[None]
    mask = torch.full((1, 1, T, T), torch.finfo(torch.float64).min, dtype=torch.float64).triu(1)
    kind, body = model.config.model_type, model.get_decoder()
    x = model.get_input_embeddings()(ids)  # (B, T, d)
    told = {"attention_mask": mask}
    if kind == "gpt2":
        x = x + body.wpe.weight[:T]
    elif kind == "opt":
        x = x + body.embed_positions.weight[2 : 2 + T]
    else:
        told["position_embeddings"] = body.rotary_emb(x, positions)
    for i, block in enumerate(Anatomy(model).blocks):

        def feed_forward(h, i=i, block=block):
            if kind == "opt":
                y = block.fc2(F.relu(block.fc1(h)))
            else:
                y = block.mlp(h)
            return after_feed_forward(i, y) + beside(i, h)

        def attention(module, h, i=i, told=told):
            return after_attention(i, module(h, **told)[0])

        if kind == "gpt2":
            x = x + attention(block.attn, block.ln_1(x))
            x = x + feed_forward(block.ln_2(x))
        elif kind == "llama":
            x = x + attention(block.self_attn, block.input_layernorm(x))
            x = x + feed_forward(block.post_attention_layernorm(x))
        elif kind == "opt":
            x = x + attention(block.self_attn, block.self_attn_layer_norm(x))
            x = x + feed_forward(block.final_layer_norm(x))
        else:  # GPT-NeoX: both parts read the same x
            after = attention(block.attention, block.input_layernorm(x))
            x = x + after + feed_forward(block.post_attention_layernorm(x))
    norm = {"gpt2": "ln_f", "llama": "norm"}.get(kind, "final_layer_norm")
    return model.get_output_embeddings()(getattr(body, norm)(x))


@every_architecture
def test_the_forward_pass_by_hand_is_that_of_the_model(architecture):
    model, ids = tiny(architecture), tokens()
    logits = by_hand(model, ids, lambda i, h: h, lambda i, h: h, lambda i, x: 0)
    assert (logits - model(ids).logits).abs().max() < CLOSE


@every_architecture
@pytest.mark.parametrize("kind", ["houlsby", "pfeiffer", "parallel"])
@pytest.mark.parametrize("activation", ["relu", "gelu"])
def test_adapters_are_those_written_by_hand(architecture, kind, activation):
    model, ids = tiny(architecture), tokens()
    method = Adapter(4, kind, scale=2.5, activation=activation)
    with method.attach(model):
        fill(method)
        logits = model(ids).logits
        nll(model, ids).backward()
    f = {"relu": F.relu, "gelu": F.gelu}[activation]
    twin = {n: p.detach().clone().requires_grad_() for n, p in method.named_parameters()}

    def change(part):
        def delta(i, x):
            down, up = (f"{way}.{i}/{part}." for way in ("down", "up"))
            z = f(x @ twin[down + "weight"].T + twin[down + "bias"])
            return 2.5 * (z @ twin[up + "weight"].T + twin[up + "bias"])

        return delta

    same, none = (lambda i, h: h), (lambda i, x: 0)
    attention, feed_forward = change("attention"), change("feed_forward")
    parts = {
        "houlsby": (
            lambda i, h: h + attention(i, h), lambda i, h: h + feed_forward(i, h), none),
        "pfeiffer": (same, lambda i, h: h + feed_forward(i, h), none),
        "parallel": (same, same, feed_forward),
    }  # fmt: skip
    expected = by_hand(model, ids, *parts[kind])
    assert (logits - expected).abs().max() < CLOSE
    F.cross_entropy(expected[:, :-1].flatten(0, 1), ids[:, 1:].flatten()).backward()
    for name, parameter in method.named_parameters():
        assert (parameter.grad - twin[name].grad).abs().max() < CLOSE, name


# LoRA


def effective(linear) -> torch.Tensor:
    """The matrix (out, in) that a layer, hooks included, multiplies by."""
    with torch.no_grad():
        inputs = matrix(linear).shape[1]
        eye = torch.eye(inputs, dtype=torch.float64)[None]  # as a batch of one text
        return (linear(eye) - linear(0 * eye))[0].T


@every_architecture
def test_a_lora_changes_each_matrix_by_its_rank_and_no_other(architecture):
    model = tiny(architecture)
    anatomy = Anatomy(model)
    method = LoRA(3, alpha=6, targets=("q", "v"))
    with method.attach(model):
        fill(method)
        for role in ("q", "k", "v"):
            linear, outputs = anatomy.linear(1, role)
            change = effective(linear) - matrix(linear)
            change = change if outputs is None else change[outputs]
            if role == "k":
                assert change.abs().max() < CLOSE
            else:
                assert torch.linalg.matrix_rank(change, atol=1e-8) == 3
                assert (change - method.change(1, role)).abs().max() < CLOSE


def test_alpha_over_the_rank_and_over_its_root():
    ids, logits = tokens(), []
    for options in ({"alpha": 8}, {"alpha": 4, "rank_stabilised": True}, {"alpha": 16}):
        model = tiny("llama")
        with LoRA(4, **options).attach(model) as method:
            fill(method)
            logits.append(model(ids).logits)
    assert LoRA(4).scaling == 1 and LoRA(4, alpha=8).scaling == 2
    assert LoRA(16, alpha=8, rank_stabilised=True).scaling == 2
    assert torch.equal(logits[0], logits[1])  # 8 / 4 and 4 / sqrt(4)
    assert not torch.equal(logits[0], logits[2])


def test_one_pair_each_on_a_fused_layer_has_the_count_of_the_shared_one_and_another_rank():
    """GPT-2: separate pairs for q and v cost 4 d r a layer, as the shared one for q, k and v."""
    separate, shared = (LoRA(2, targets=t) for t in (("q", "v"), "qkv"))
    size = config("gpt2")
    assert separate.expected_parameters(size) == shared.expected_parameters(size) == L * 4 * D * 2
    ranks = []
    for method in (separate, shared):
        model = tiny("gpt2")
        linear = Anatomy(model).linear(0, "qkv")[0]
        with method.attach(model):
            fill(method)
            change = effective(linear) - matrix(linear)
            ranks.append(int(torch.linalg.matrix_rank(change, atol=1e-8)))
    assert ranks == [4, 2]


def test_dropout_falls_on_the_way_to_A_while_the_model_trains():
    model, ids = tiny("llama"), tokens()
    with LoRA(2, dropout=0.5).attach(model) as method:
        fill(method)
        still = model(ids).logits
        assert torch.equal(model(ids).logits, still)
        method.eval()  # the method's own mode decides nothing
        model.train()
        torch.manual_seed(0)
        first = model(ids).logits
        assert not torch.equal(first, model(ids).logits)
        torch.manual_seed(0)
        assert torch.equal(first, model(ids).logits)


def test_the_seed_decides_A_and_no_two_are_alike():
    made = []
    for seed in (0, 0, 1):
        method = LoRA(2, seed=seed)
        method.attach(tiny("llama")).detach()
        made.append([A.detach() for A in method.A.values()])
        assert max(A.abs().max() for A in made[-1]) <= 1 / D**0.5
        assert len({A.flatten()[0].item() for A in made[-1]}) == len(made[-1])
    assert torch.equal(made[0][1], made[1][1])
    assert not torch.equal(made[0][1], made[2][0])  # nor one site's of the next seed


@every_architecture
def test_a_merged_lora_is_the_plain_model(architecture):
    """No hook is at work: the weights alone give the logits, and a merged file needs no method."""
    model, ids = tiny(architecture), tokens()
    for method in (LoRA(2, targets="all", dora=True), Compose([IA3(), LoRA(2)])):
        with method.attach(model):
            fill(method, scale=0.1)
            logits = model(ids).logits
            method.merge()
            plain = tiny(architecture)
            plain.load_state_dict(model.state_dict())
            assert (plain(ids).logits - logits).abs().max() < CLOSE


PAIRS = {
    "lora": lambda: LoRA(2, targets=("k", "v", "down")),
    "ia3": IA3,
    "dora": lambda: LoRA(2, targets=("q", "down"), layers=(0,), dora=True),
    "full": FullFineTuning,
}


@every_architecture
@pytest.mark.parametrize("first", PAIRS)
@pytest.mark.parametrize("second", ["lora", "ia3", "dora"])
def test_merged_together_is_attached_together_in_any_order(first, second, architecture):
    model, ids = tiny(architecture), tokens()
    both = Compose([PAIRS[first](), PAIRS[second]()])
    if "dora" in (first, second) and {first, second} != {"dora", "full"}:
        shared = {first, second} != {"dora", "ia3"} or architecture in ("gpt2", "neox")
        if shared:  # a layer, q and k of a fused one included
            with pytest.raises(ValueError, match="members: .* DoRA scales"):
                both.attach(model)
            return
    logits = model(ids).logits
    with both.attach(model):
        fill(both, scale=0.05)
        adapted = model(ids).logits
        both.merge()
        assert (model(ids).logits - adapted).abs().max() < CLOSE
        both.unmerge()
        assert torch.equal(model(ids).logits, adapted)
    assert torch.equal(model(ids).logits, logits)


def test_dora_bears_a_row_of_zeros():
    model, ids = tiny("llama"), tokens()
    with torch.no_grad():
        Anatomy(model).linear(0, "q")[0].weight[3] = 0
    logits = model(ids).logits
    with LoRA(2, dora=True).attach(model) as method:
        assert torch.equal(model(ids).logits, logits)
        nll(model, ids).backward()
        assert all(p.grad.isfinite().all() for p in method.parameters())


def test_merging_is_not_rounded_by_autocast():
    merged = []
    for autocast in (False, True):
        model = tiny("llama", dtype=torch.float32)
        with LoRA(2).attach(model) as method, torch.autocast("cpu", torch.bfloat16, autocast):
            fill(method)
            method.merge()
            assert "merged into" in repr(method)
            merged.append(matrix(Anatomy(model).linear(0, "q")[0]).clone())
    assert torch.equal(*merged)


def test_a_scale_is_not_rounded_before_it_is_used():
    model, ids = tiny("llama", dtype=torch.bfloat16), tokens()
    logits = model(ids).logits
    with IA3().attach(model) as method:
        with torch.no_grad():
            for scale in method.parameters():
                scale.fill_(1.003)  # 1 in bfloat16
        assert not torch.equal(model(ids).logits, logits)


def test_a_model_with_hooks_is_not_pickled():
    model = tiny("llama")
    with LoRA(2).attach(model), pytest.raises(RuntimeError, match="detach.*pickling"):
        pickle.dumps(model)


def test_no_method_is_in_two_places_at_once():
    one, two, shared = tiny("llama"), tiny("llama"), LoRA(2)
    first, second = Compose([shared]), Compose([shared, IA3()])
    with first.attach(one):
        for other in (second, shared):
            with pytest.raises(RuntimeError, match="LoRA is attached already, as a member"):
                other.attach(two)
        copy.deepcopy(first).attach(two).detach()
    with second.attach(two), pytest.raises(RuntimeError, match="attached already"):
        first.attach(one)
    shared.attach(two).detach()


def test_a_parallel_adapter_serves_two_threads():
    model, ids = tiny("llama"), [tokens(2, 7, seed=s) for s in range(2)]
    with Adapter(4, "parallel").attach(model) as method, torch.no_grad():
        fill(method)
        alone = [model(i).logits for i in ids]
        with ThreadPoolExecutor(2) as pool:
            found = list(pool.map(lambda k: model(ids[k % 2]).logits, range(80)))
    assert all(torch.equal(logits, alone[k % 2]) for k, logits in enumerate(found))


def test_merged_it_trains_nothing_until_unmerged():
    model, ids = tiny("llama"), tokens()
    with LoRA(2).attach(model) as method:
        method.merge()
        assert not model(ids).logits.requires_grad
        method.unmerge()
        nll(model, ids).backward()


@pytest.mark.parametrize("other", [FullFineTuning, lambda: LayerFreezing.top(2)])
def test_lora_and_prompts_act_on_weights_that_are_trained_too(other):
    model, ids = tiny("llama"), tokens()
    for small in (LoRA(2, targets="all"), PromptTuning(3)):
        both = Compose([small, other()])
        with both.attach(model):
            fill(both, scale=0.05)
            before = model(ids).logits
            optimizer = torch.optim.SGD(both.parameters(), lr=0.1)
            nll(model, ids).backward()
            assert all(p.grad is not None for p in both.parameters())
            optimizer.step()
            assert nll(model, ids) < F.cross_entropy(
                before[:, :-1].flatten(0, 1), ids[:, 1:].flatten()
            )


def test_targets_go_by_role_by_the_end_of_a_name_and_by_the_whole_name():
    llama, gpt2 = config("llama"), config("gpt2")
    assert find_linears(llama, "q_proj", [1]) == find_linears(llama, ["q"], [1]) == [(1, "q")]
    assert find_linears(llama, "model.layers.2.self_attn.q_proj") == [(2, "q")]
    assert find_linears(gpt2, "c_proj", [0]) == [(0, "o"), (0, "down")]
    assert find_linears(gpt2, ("v", "q", "lm_head"), [0]) == [(0, "q"), (0, "v"), (None, "head")]
    assert find_linears(llama, ("v", "v_proj"), [0]) == [(0, "v")]
    assert len(find_linears(llama, "all")) == 7 * L
    with pytest.raises(ValueError, match="'proj'.*down"):
        find_linears(llama, "proj")


def test_lora_plus_gives_B_its_own_rate():
    model = tiny("llama", dtype=torch.float32)
    moved = {}
    for factors in (None, {"B": 16}):
        with LoRA(2).attach(model) as method:
            start = copy.deepcopy(method.state_dict())
            options = {"steps": 1, "learning_rate": 1e-3, "warmup": 0, "rate_factors": factors}
            fit(model, toy_task(), method, **options)
            fit(model, toy_task(), method, **options)  # A moves as soon as B is not 0
            after = method.state_dict()
            moved[bool(factors)] = {
                part: max(
                    (after[k] - start[k]).abs().max().item() for k in start if k.startswith(part)
                )
                for part in "AB"
            }
    assert moved[True]["B"] / moved[False]["B"] == pytest.approx(16, rel=0.1)
    assert moved[True]["A"] == pytest.approx(moved[False]["A"], rel=0.1)


# IA3


@pytest.mark.parametrize("architecture", ["gpt2", "neox"])
def test_on_a_fused_layer_ours_leaves_the_queries_alone_and_peft_does_not(architecture):
    """Liu et al. scale keys, values and feed-forward. `peft` scales what one module gives: 7 d a
    layer of GPT-2 instead of 6 d. With its scales of the queries at 1 both are one."""
    peft = pytest.importorskip("peft")
    model, ids = tiny(architecture), tokens()
    anatomy = Anatomy(model)
    paths = anatomy.family.linears
    settings = peft.IA3Config(
        target_modules=[paths["qkv"], paths["down"]], feedforward_modules=[paths["down"]]
    )
    theirs = peft.get_peft_model(tiny(architecture), settings).double().eval()
    method = IA3()
    with method.attach(model):
        fill(method)
        extra = sum(p.numel() for p in theirs.parameters() if p.requires_grad)
        assert extra - method.num_parameters() == L * D
        queries = []
        with torch.no_grad():
            names = {id(module): name for name, module in model.named_modules()}
            for layer in range(L):
                fused = theirs.base_model.model.get_submodule(
                    names[id(anatomy.linear(layer, "k")[0])]
                ).ia3_l["default"]
                for role, scales in (("k", method.keys), ("v", method.values)):
                    fused[anatomy.linear(layer, role)[1], 0] = scales[str(layer)]
                queries.append((fused, anatomy.linear(layer, "q")[1]))
                theirs.base_model.model.get_submodule(
                    names[id(anatomy.linear(layer, "down")[0])]
                ).ia3_l["default"].copy_(method.inner[str(layer)][None])
        assert (theirs(ids).logits - model(ids).logits).abs().max() < CLOSE
        with torch.no_grad():
            for fused, outputs in queries:
                fused[outputs] = 1.5
        assert (theirs(ids).logits - model(ids).logits).abs().max() > 1e-3


# Counts that the papers print (their sources: the classes' docstrings).

GPT3 = GPT2Config(n_embd=12288, n_layer=96, n_head=96, n_positions=2048)
LLAMA3_8B = LlamaConfig(
    hidden_size=4096, num_hidden_layers=32, num_attention_heads=32, num_key_value_heads=8,
    intermediate_size=14336, vocab_size=128256,
)  # fmt: skip
BERT_BASE = GPT2Config(n_embd=768, n_layer=12, n_head=12)  # the widths that count here
BART_LARGE = GPT2Config(n_embd=1024, n_layer=12, n_head=16)


@pytest.mark.parametrize(
    ("method", "size", "expected"),
    [
        (LoRA(1), GPT3, 4_718_592),  # Hu et al., table 4: 4.7 M
        (LoRA(8), GPT3, 37_748_736),  # 37.7 M
        (LoRA(4, targets=("q", "k", "v", "o")), GPT3, 37_748_736),
        (LoRA(8), BERT_BASE, 294_912),  # table 2, RoBERTa-base: 0.3 M
        (Adapter(1, "houlsby"), GPT3, 7_078_080),  # table 4: 7.1 M
        (Adapter(64, "houlsby"), GPT3, 304_361_472),  # 304.4 M
        (Adapter(64, "houlsby"), GPT2Config(), 2_379_264),
        (IA3(), GPT2Config(), 55_296),  # 6 d L
        (IA3(), LLAMA3_8B, 524_288),
        (LoRA(8), LLAMA3_8B, 3_407_872),
        (LoRA(16, targets="all"), LLAMA3_8B, 41_943_040),
    ],
    ids=lambda value: type(value).__name__,
)
def test_counts_of_the_papers(method, size, expected):
    assert method.expected_parameters(size) == expected


def test_the_count_of_mam():
    """He et al., appendix B, gives the sizes and prints 6.7 % for them. BART-large has a prefix in
    3 attentions a layer (encoder, decoder, cross) and 2 feed-forward parts; they count no biases.
    """
    a_prefix = 12 * 2 * 30 * 1024  # layers, keys and values, length, d
    an_adapter = 12 * (1024 * 512 + 512 * 1024)  # layers, down and up
    assert f"{(3 * a_prefix + 2 * an_adapter) / 406_290_432:.1%}" == "6.7%"
    prefix, adapter = (member.expected_parameters(BART_LARGE) for member in MAMAdapter().members)
    assert prefix == a_prefix
    assert adapter == an_adapter + 12 * (512 + 1024)  # our biases


def test_the_counts_of_unipelt():
    """Mao et al., table 4 and section 4.4, on BERT-base: prefix 184 K (0.17 %), LoRA 295 K
    (0.27 %), adapter 895 K (0.81 %), UniPELT of the three 1.4 M (1.26 %).

    Section 3: a gate for each of the three in each layer, d weights and a bias. What the shares are
    of is not said; of base and method together, all four come out as printed, and without the
    gates, or with one more (q and v apart), the last does not.
    """
    prefix = 12 * 2 * 10 * 768  # layers, keys and values, length, d
    lora = 12 * 2 * (768 * 8 + 8 * 768)  # layers, q and v, A and B
    adapter = 12 * (768 * 48 + 48 + 48 * 768 + 768)  # layers, down and up with their biases
    gate = 12 * (768 + 1)  # one a layer
    theirs = prefix + lora + adapter + 3 * gate

    def share(count):
        return f"{count / (109_482_240 + count):.2%}"

    assert [f"{count / 1e3:.0f} K" for count in (prefix, lora, adapter)] == [
        "184 K", "295 K", "895 K"]  # fmt: skip
    assert [*map(share, (prefix, lora, adapter))] == ["0.17%", "0.27%", "0.81%"]
    assert (f"{theirs / 1e6:.1f} M", share(theirs)) == ("1.4 M", "1.26%")
    assert "1.26%" not in (share(theirs - 3 * gate), share(theirs + gate))

    ours = [member.expected_parameters(BERT_BASE) for member in UniPELT().members]
    assert ours == [prefix + 12, lora + gate, adapter + gate]  # our prefix gate: a number a layer
    assert UniPELT().expected_parameters(BERT_BASE) == sum(ours) == theirs - 12 * 768


# Hybrids


@every_architecture
def test_unipelt_gates_are_read_and_look_at_no_later_token(architecture):
    model, ids = tiny(architecture), tokens()
    with UniPELT(3, 2, 4).attach(model) as method:
        with pytest.raises(RuntimeError, match="run the model once"):
            method.gates()
        fill(method)
        logits = model(ids).logits
        gates = method.gates()
        assert gates["prefix"].shape == (L,)
        assert gates["lora"].shape == gates["adapter"].shape == (L, 2, 7)
        assert all(0 < g.min() and g.max() < 1 and g.std() > 0 for g in gates.values())
        other = ids.clone()
        other[:, 5:] = 3
        assert (model(other).logits - logits)[:, :5].abs().max() < 1e-12
        assert (method.gates()["adapter"] - gates["adapter"])[:, :, :5].abs().max() < 1e-12
        with torch.no_grad():
            method.members[0].gate.fill_(-40.0)  # shut: no keys and no values
            pair = method.members[0].keys_values(0)
        assert max(t.abs().max() for t in pair) < 1e-12


def test_hybrids_are_their_parts():
    ids, logits = tokens(), []
    for make in (
        lambda: MAMAdapter(3, 4),
        lambda: Compose([MAMAdapter(3, 4).members[0], Adapter(4, "parallel", scale=4)]),
    ):
        model, method = tiny("llama"), make()
        with method.attach(model):
            fill(method)
            logits.append(model(ids).logits)
    assert torch.equal(*logits)


@pytest.mark.parametrize("switched", [False, True])
def test_a_parallel_adapter_keeps_nothing_after_an_error(switched):
    """It kept the block's input, and the graph below it, until the next forward pass."""
    model = tiny("llama")
    method = Adapter(4, "parallel")
    whole = Switch({"one": method}) if switched else method
    kept = []

    def look(module, args):
        kept.append(weakref.ref(args[0]))

    def fail(module, args, y):
        raise MemoryError

    with whole.attach(model):
        block = model.model.layers[1].mlp
        handles = [
            block.register_forward_pre_hook(look),
            block.act_fn.register_forward_hook(fail),
        ]
        for _ in range(2):
            with contextlib.suppress(MemoryError), contextlib.ExitStack() as stack:
                if switched:
                    stack.enter_context(whole.rows(["one"]))
                model(tokens(2, 5))
        gc.collect()
        assert len(kept) == 2 and [ref() for ref in kept] == [None, None]
        for handle in handles:
            handle.remove()
    assert not model.model._forward_hooks and not model.model._forward_hooks_always_called


@every_architecture
@pytest.mark.parametrize("first", [True, False])
def test_dora_beside_weights_that_were_trained_already_starts_as_these(first, architecture):
    """Its lengths are those of the weights in force, whichever member stands first."""
    model, ids = tiny(architecture), tokens()
    trained = LayerFreezing.top(1).attach(model)
    fill(trained)
    logits = model(ids).logits
    trained.detach()
    members = [trained, LoRA(2, targets="all", dora=True)]
    with Compose(members if first else members[::-1]).attach(model):
        assert (model(ids).logits - logits).abs().max() < CLOSE
    assert not torch.equal(model(ids).logits, logits)


def test_targets_of_a_model_without_a_head():
    body = tiny("gpt2").transformer
    with pytest.raises(ValueError, match="targets: GPT2Model has no head"):
        LoRA(2, targets="head").attach(body)


@pytest.mark.parametrize(
    "make",
    [LoRA, Adapter, PromptTuning, PrefixTuning, MAMAdapter, functools.partial(PTuning, hidden=4)],
)
@pytest.mark.parametrize("seed", ["a", 1.5, None, True])
def test_a_seed_is_a_whole_number(make, seed):
    with pytest.raises(ValueError, match=f"seed must be a whole number, not {seed!r}"):
        make(2, seed=seed)
