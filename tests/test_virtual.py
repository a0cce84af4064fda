"""Soft prompts and prefixes: where they start, what they see, what they refuse."""

import threading

import pytest
import torch
import transformers
from packaging.version import Version
from tiny import ARCHITECTURES, CONTEXT, D, L, Letters, fill, nll, tiny, tokens

from peft_lab.anatomy import Anatomy
from peft_lab.attention import prefix_attention_share
from peft_lab.methods import (
    BitFit,
    Compose,
    FullFineTuning,
    LayerFreezing,
    Method,
    PrefixTuning,
    PromptTuning,
    PTuning,
)
from peft_lab.methods.virtual import shut

every_architecture = pytest.mark.parametrize("architecture", ARCHITECTURES)
N = 5
# "eager" takes its softmax in float32, whose last digits depend on the processor
CLOSE = {"sdpa": 1e-10, "eager": 1e-4}


# Where soft prompts start


def start(init, length=N, architecture="gpt2", **options):
    model = tiny(architecture)
    with PromptTuning(length, init, **options).attach(model) as method:
        return method.vectors().detach(), model.get_input_embeddings().weight.detach()


@every_architecture
def test_random_vectors_have_the_spread_of_the_embeddings(architecture):
    model = tiny(architecture)
    model.get_input_embeddings().weight.data *= 0.05
    with PromptTuning(50).attach(model) as method:
        spread = model.get_input_embeddings().weight.std()
        assert abs(method.vectors().std() / spread - 1) < 0.1
    assert not torch.equal(start("random")[0], start("random", seed=1)[0])
    assert torch.equal(start("random")[0], start("random")[0])


def test_vocabulary_vectors_are_copies_of_different_tokens():
    vectors, weight = start("vocabulary", length=20)
    which = (vectors[:, None] == weight[None]).all(-1)  # (n, V)
    assert which.any(1).all() and len(which.nonzero()[:, 1].unique()) == 20
    model = tiny("gpt2")
    with PromptTuning(N, "vocabulary").attach(model) as method:
        before = model.get_input_embeddings().weight.clone()
        method.embeddings.data.zero_()
        assert torch.equal(model.get_input_embeddings().weight, before)


def test_text_is_repeated_or_cut():
    ids = Letters()("abc", add_special_tokens=False)["input_ids"]
    for length, expected in ((2, ids[:2]), (3, ids), (7, ids + ids + ids[:1])):
        vectors, weight = start("text", length, text="abc", tokenizer=Letters())
        assert torch.equal(vectors, weight[expected])


def test_labels_are_averaged_and_filled_up_from_the_vocabulary():
    """Lester et al. 2021, section 3.2."""
    vectors, weight = start("labels", labels=["a", "sad"], tokenizer=Letters())
    tokenize = Letters()
    a, sad = (tokenize(text, add_special_tokens=False)["input_ids"] for text in ("a", "sad"))
    assert torch.equal(vectors[0], weight[a][0])
    assert torch.allclose(vectors[1], (weight[sad[0]] + weight[sad[1]] + weight[sad[2]]) / 3)
    rest = (vectors[2:, None] == weight[None]).all(-1).any(1)
    assert rest.all()


def test_a_tensor_is_taken_as_it_is_and_copied():
    given = torch.randn(N, D)
    model = tiny("llama", dtype=torch.float32)
    with PromptTuning(N, given).attach(model) as method:
        assert torch.equal(method.vectors(), given)
        method.embeddings.data.zero_()
        assert given.abs().sum() > 0


@pytest.mark.parametrize("encoder", ["mlp", "lstm"])
def test_p_tuning_starts_at_the_scale_of_words_and_drops_its_encoder(encoder, tmp_path):
    model, ids = tiny("llama"), tokens()
    spread = model.get_input_embeddings().weight.std()
    with PTuning(N, 6, encoder).attach(model) as method:
        assert abs(method.vectors().std() / spread - 1) < 1e-6
        fill(method)
        logits, many = model(ids).logits, method.num_parameters()
        method.drop_encoder()
        assert torch.equal(model(ids).logits, logits)
        assert method.num_parameters() == N * D == method.expected_parameters(model.config) < many
        nll(model, ids).backward()
        assert method.embeddings.grad is not None
    with pytest.raises(RuntimeError, match="already"):
        method.drop_encoder()
    method.save(tmp_path)
    with PTuning.load(tmp_path).attach(model):
        assert torch.equal(model(ids).logits, logits)


# Where prefixes start


@every_architecture
def test_a_prefix_made_from_a_prompt_says_the_same(architecture):
    """A soft prompt already speaks at every layer: its keys and values are a prefix."""
    model, ids = tiny(architecture), tokens()
    told = {"attention_mask": torch.ones_like(ids), "do_sample": False, "max_new_tokens": 6}
    for prompt in (PromptTuning(N), PTuning(N, 6, "lstm")):
        with prompt.attach(model):
            fill(prompt)
            logits, text = model(ids).logits, model.generate(ids, **told)
        with PrefixTuning.from_prompt(model, prompt) as prefix:
            assert (model(ids).logits - logits).abs().max() < 1e-10
            assert torch.equal(model.generate(ids, **told), text)
            assert prefix.num_parameters() == prefix.expected_parameters(model.config)
        model.train()  # the keys and values are those without dropout
        with PrefixTuning.from_prompt(model, prompt):
            model.eval()
            assert (model(ids).logits - logits).abs().max() < 1e-10


@every_architecture
def test_a_prefix_from_text_is_the_text_before_the_input(architecture):
    model, ids = tiny(architecture), tokens()
    text = Letters()("hello", add_special_tokens=False)["input_ids"]
    both = torch.cat([torch.tensor([text] * len(ids)), ids], 1)
    expected = model(both).logits[:, len(text) :]
    with PrefixTuning(len(text), "text", text="hello", tokenizer=Letters()).attach(model):
        assert (model(ids).logits - expected).abs().max() < 1e-10


@every_architecture
def test_freeing_layer_by_layer_starts_at_the_loss_of_the_prompt(architecture):
    model, ids = tiny(architecture), tokens(3, 9)
    with PromptTuning(N).attach(model) as prompt:
        fill(prompt)
        expected = nll(model, ids)
    per_layer = None
    for free in ((), (2,), (0, 2), (0, 1, 2)):
        with PrefixTuning.from_prompt(model, prompt, trainable=free) as prefix:
            loss = nll(model, ids)
            assert abs(loss - expected) < 1e-10
            per_layer = per_layer or prefix.shape[0] * 2 * Anatomy(model).kv_size
            assert prefix.num_parameters() == len(free) * per_layer
            assert prefix.expected_parameters(model.config) == len(free) * per_layer
            if not free:
                continue
            kept = [prefix.keys_values(i) for i in range(L)]
            kept = [torch.stack(pair).detach().clone() for pair in kept]
            loss.backward()
            torch.optim.SGD(prefix.parameters(), lr=0.1).step()
            for i in range(L):
                moved = not torch.equal(torch.stack(prefix.keys_values(i)), kept[i])
                assert moved == (i in free)
            assert nll(model, ids) < expected


def test_a_zero_prefix_only_takes_attention_away():
    """Scores of 0 and values of 0: attention times Z / (Z + n), not the identity."""
    model, ids = tiny("gpt2", attn_implementation="eager"), tokens(1, 6)
    plain = model(ids, output_attentions=True).attentions[0]  # (1, H, T, T)
    model.transformer.wpe.weight.data[N:] = model.transformer.wpe.weight.data[:-N].clone()
    attention = Anatomy(model).attention(0)
    seen = {}
    attention.register_forward_pre_hook(
        lambda m, args, kwargs: seen.update(x=args[0]), with_kwargs=True
    )
    with PrefixTuning(N, "zero").attach(model):
        weights = model(ids, output_attentions=True).attentions[0]  # (1, H, T, n+T)
    q, k, _ = attention.c_attn(seen["x"]).split(D, dim=2)
    q, k = (x.view(1, 6, 4, 8).transpose(1, 2) for x in (q, k))
    scores = (q @ k.transpose(2, 3) / 8**0.5).masked_fill(~torch.ones(6, 6).tril().bool(), -1e9)
    Z = scores.exp().sum(-1, keepdim=True)
    assert torch.allclose(weights[..., N:], plain * Z / (Z + N), atol=1e-6)


def test_a_random_prefix_has_the_spread_of_real_keys_and_values():
    model = tiny("llama")
    anatomy = Anatomy(model)
    anatomy.projections(1)["k"].weight.data *= 5
    with PrefixTuning(40).attach(model) as method:
        keys = [method.keys_values(i)[0].std() for i in range(L)]
    assert keys[1] > 3 * max(keys[0], keys[2])


def test_a_prefix_from_a_tensor():
    given = torch.randn(N, 2, 2, 2, 8, dtype=torch.float64)
    with PrefixTuning(N, given, layers=(0, 2)).attach(tiny("llama")) as method:
        keys, values = method.keys_values(2)  # (H_kv, n, head_dim)
        assert torch.equal(keys, given[:, 1, 0].transpose(0, 1))
        assert torch.equal(values, given[:, 1, 1].transpose(0, 1))
        with pytest.raises(ValueError, match="has no prefix"):
            method.keys_values(1)


@every_architecture
def test_the_mlp_can_be_dropped(architecture, tmp_path):
    model, ids = tiny(architecture), tokens()
    for layers in (None, (0, 2)):
        with PrefixTuning(N, mlp=6, layers=layers).attach(model) as method:
            fill(method)
            logits = model(ids).logits
            method.drop_mlp()
            assert torch.equal(model(ids).logits, logits)
            plain = PrefixTuning(N, layers=layers).expected_parameters(model.config)
            assert method.num_parameters() == plain == method.expected_parameters(model.config)
            with pytest.raises(RuntimeError, match="no MLP"):
                method.drop_mlp()
            method.save(tmp_path)
        with PrefixTuning.load(tmp_path).attach(model):
            assert torch.equal(model(ids).logits, logits)


# Layers without a prefix


@every_architecture
def test_no_layers_is_the_base_bit_by_bit(architecture):
    model, ids = tiny(architecture), tokens()
    told = {"attention_mask": torch.ones_like(ids), "do_sample": False, "max_new_tokens": 6}
    logits, text = model(ids).logits, model.generate(ids, **told)
    with PrefixTuning(N, layers=()).attach(model) as method:
        assert torch.equal(model(ids).logits, logits)
        assert torch.equal(model.generate(ids, **told), text)
        assert method.num_parameters() == 0 == method.virtual_length(model)


def by_hand(model, method, ids: torch.Tensor, layers) -> torch.Tensor:
    """Block after block: those with a prefix have n more columns, the others know nothing of it."""
    from transformers import DynamicCache

    n, T = method.length, ids.shape[1]
    anatomy, positions = Anatomy(model), torch.arange(n, n + T)[None]
    x, more = anatomy.embedding(ids), {}
    if anatomy.rotary:
        more = {"position_embeddings": anatomy.body.rotary_emb(x, positions)}
    elif model.config.model_type == "gpt2":
        x = x + anatomy.body.wpe(positions)
    else:
        x = x + anatomy.body.embed_positions(None, position_ids=positions)
    causal = torch.full((T, T), torch.finfo(x.dtype).min, dtype=x.dtype).triu(1)
    for layer, block in enumerate(anatomy.blocks):
        cache, mask = DynamicCache(), causal
        if layer in layers:
            pair = (t[None].expand(len(ids), -1, -1, -1) for t in method.keys_values(layer))
            for before in range(layer + 1):
                cache.update(*(pair if before == layer else (causal[None, None, :0],) * 2), before)
            mask = torch.cat([causal.new_zeros(T, n), causal], 1)  # (T, n+T)
        else:
            cache = None
        name = "layer_past" if model.config.model_type == "gpt_neox" else "past_key_values"
        more[name] = cache
        x = block(x, attention_mask=mask[None, None], **more)
        x = x[0] if isinstance(x, tuple) else x
    norm = [
        m for n, m in anatomy.body.named_children() if n in ("ln_f", "norm", "final_layer_norm")
    ]
    return model.get_output_embeddings()(norm[0](x))


@every_architecture
@pytest.mark.parametrize("kind", ["sdpa", "eager"])
@pytest.mark.parametrize("layers", [(0,), (1,), (0, 2), (0, 1, 2)])
def test_layers_without_a_prefix_see_real_tokens_only(layers, kind, architecture):
    model, ids = tiny(architecture, attn_implementation=kind), tokens()
    with PrefixTuning(N, layers=layers).attach(model) as method:
        fill(method)
        logits = model(ids).logits
        share = prefix_attention_share(model, method, {"input_ids": ids})
        assert [bool((row > 0).all()) for row in share] == [i in layers for i in range(L)]
        assert all((share[i] == 0).all() for i in range(L) if i not in layers)
    assert (logits - by_hand(model, method, ids, layers)).abs().max() < CLOSE[kind]


@every_architecture
def test_padding_and_layers_without_a_prefix_in_float32(architecture):
    """A padded row of attention sees nothing at all there: it must stay a number."""
    for kind in ("sdpa", "eager"):
        model = tiny(architecture, dtype=torch.float32, attn_implementation=kind)
        ids, mask = tokens(1, 6), torch.tensor([[0, 0, 1, 1, 1, 1]])
        with PrefixTuning(N, layers=(1,)).attach(model):
            logits = model(ids, attention_mask=mask).logits
            assert logits.isfinite().all()
            assert (logits[:, 2:] - model(ids[:, 2:]).logits).abs().max() < 1e-4


def test_attention_without_masks_a_layer_is_refused():
    hook = shut(slice(0, 3), layer=0)
    with pytest.raises(ValueError, match="sdpa"):
        hook(None, (torch.zeros(1, 2, 4),), {"attention_mask": torch.ones(1, 5)})


# What attention does with a prefix


@every_architecture
def test_attention_with_a_prefix_is_a_gated_sum(architecture):
    """He et al. 2022, equations 7 to 9, for each head and token of each layer."""
    model, ids = tiny(architecture, dtype=torch.float32, scale=0.1), tokens(2, 6)
    before = model.config._attn_implementation
    with PrefixTuning(N).attach(model) as method:
        fill(method)
        share = prefix_attention_share(model, method, {"input_ids": ids}, per_token=True)
        assert share.shape == (L, 2, 4, 6) and model.config._attn_implementation == before
        assert ((share > 0) & (share < 1)).all()
        heads = prefix_attention_share(model, method, {"input_ids": ids})
        assert torch.allclose(heads, share.mean((1, 3)))

        model.set_attn_implementation("eager")
        out = model(ids, output_attentions=True, use_cache=True)
    for layer in range(L):
        weights = out.attentions[layer]  # (B, H, T, n+T)
        v = out.past_key_values.layers[layer].values  # (B, H_kv, n+T, head_dim)
        v = v.repeat_interleave(4 // v.shape[1], 1)
        prefix, own = weights[..., :N], weights[..., N:]
        gate = share[layer][..., None]
        mixed = (1 - gate) * (own / own.sum(-1, keepdim=True)) @ v[:, :, N:]
        mixed = mixed + gate * (prefix / prefix.sum(-1, keepdim=True)) @ v[:, :, :N]
        assert torch.allclose(weights @ v, mixed, atol=1e-5)


def test_the_share_leaves_padding_out_and_needs_virtual_tokens():
    model, ids = tiny("llama"), tokens(1, 6)
    left = torch.cat([torch.full((1, 3), 2), ids], 1)
    mask = torch.tensor([[0] * 3 + [1] * 6])
    with PrefixTuning(N).attach(model) as method:
        alone = prefix_attention_share(model, method, {"input_ids": ids})
        share = prefix_attention_share(model, method, {"input_ids": left, "attention_mask": mask})
        assert torch.allclose(alone, share, atol=1e-6)
    with pytest.raises(ValueError, match="not attached"):
        prefix_attention_share(model, method, {"input_ids": ids})
    with BitFit().attach(model) as method, pytest.raises(ValueError, match="no virtual tokens"):
        prefix_attention_share(model, method, {"input_ids": ids})


# Several members


@every_architecture
def test_virtual_tokens_stand_in_the_order_of_the_members(architecture):
    model, ids = tiny(architecture), tokens()
    a, b = torch.randn(2, D, dtype=torch.float64), torch.randn(3, D, dtype=torch.float64)

    def logits(method):
        with method.attach(model):
            return model(ids).logits

    both = logits(Compose([PromptTuning(2, a), PromptTuning(3, b)]))
    assert torch.equal(both, logits(PromptTuning(5, torch.cat([a, b]))))
    assert (both - logits(Compose([PromptTuning(3, b), PromptTuning(2, a)]))).abs().max() > 1e-3

    kv = Anatomy(model).kv_heads
    p, q = (torch.randn(n, L, 2, kv, 8, dtype=torch.float64) for n in (2, 3))
    both = logits(Compose([PrefixTuning(2, p), PrefixTuning(3, q)]))
    assert torch.equal(both, logits(PrefixTuning(5, torch.cat([p, q]))))

    # a prefix stands before all prompts, wherever it is in the list, and the prompt sees it
    first = logits(Compose([PrefixTuning(2, p), PromptTuning(3, b)]))
    assert torch.equal(first, logits(Compose([PromptTuning(3, b), PrefixTuning(2, p)])))
    embeds = torch.cat([b.expand(2, -1, -1), model.get_input_embeddings()(ids)], 1)
    with PrefixTuning(2, p).attach(model):
        assert (model(inputs_embeds=embeds).logits[:, 3:] - first).abs().max() < 1e-12


def test_each_layer_sees_the_prefixes_that_are_meant_for_it():
    model = tiny("llama", attn_implementation="eager")
    members = [PrefixTuning(2, layers=(0,)), PrefixTuning(3, layers=(0, 1)), PromptTuning(1)]
    with Compose(members).attach(model):
        attentions = model(tokens(), output_attentions=True).attentions  # (B, H, T, 6+T) each
    seen = [[bool((a[..., i] > 0).all()) for i in range(6)] for a in attentions]
    assert seen == [[True] * 6, [False] * 2 + [True] * 4, [False] * 5 + [True]]


def test_members_keep_what_they_have_learned_and_can_be_trained_together(tmp_path):
    model, ids = tiny("gpt2"), tokens()
    with PromptTuning(3).attach(model) as prompt:
        fill(prompt)
    vectors = prompt.vectors().detach().clone()
    with Compose([prompt, LayerFreezing.top(1)]).attach(model) as both:
        assert torch.equal(prompt.vectors(), vectors)
        nll(model, ids).backward()
        assert all(p.grad is not None for p in both.parameters())
        assert "LayerFreezing" in repr(both) and "PromptTuning" in repr(both)
    with prompt.attach(model):  # and each can go its own way again
        pass


def test_compositions_that_make_no_sense():
    prompt = PromptTuning(3)
    with pytest.raises(ValueError, match="given twice"):
        Compose([prompt, prompt])
    with pytest.raises(ValueError, match="give its parts"):
        Compose([Compose([prompt]), BitFit()])
    with pytest.raises(ValueError, match="empty"):
        Compose([])
    with pytest.raises(TypeError, match="Linear"):
        Compose([torch.nn.Linear(2, 2)])
    for a, b in ((FullFineTuning(), BitFit()), (LayerFreezing.top(2), LayerFreezing.middle(1))):
        model = tiny("gpt2")
        with pytest.raises(ValueError, match="one member only"):
            Compose([a, b]).attach(model)
        Compose([LayerFreezing.top(1), LayerFreezing.bottom(1)]).attach(model).detach()
    model = tiny("gpt2")
    with prompt.attach(model), pytest.raises(RuntimeError, match="detach"):
        Compose([prompt, BitFit()]).attach(tiny("gpt2"))


# What the hooks understand, and what they refuse


@every_architecture
@pytest.mark.parametrize("make", [lambda: PromptTuning(N), lambda: PrefixTuning(N, layers=(1,))])
def test_decoding_by_hand_in_pieces(make, architecture):
    model, ids = tiny(architecture), tokens(2, 9)
    with make().attach(model) as method, torch.no_grad():
        fill(method)
        whole = model(ids).logits
        out = model(ids[:, :4], use_cache=True)
        pieces = [out.logits]
        for piece in (ids[:, 4:7], ids[:, 7:8], ids[:, 8:]):
            out = model(piece, past_key_values=out.past_key_values)
            pieces.append(out.logits)
        assert (torch.cat(pieces, 1) - whole).abs().max() < 1e-10


@every_architecture
def test_positions_and_embeddings_of_the_caller(architecture):
    model, ids = tiny(architecture), tokens()
    embeds = model.get_input_embeddings()(ids)
    told = {"attention_mask": torch.ones_like(ids), "do_sample": False, "max_new_tokens": 4}
    for make in (lambda: PromptTuning(N), lambda: PrefixTuning(N)):
        with make().attach(model) as method, torch.no_grad():
            fill(method)
            logits = model(ids).logits
            assert torch.equal(model(inputs_embeds=embeds).logits, logits)
            text = model.generate(ids, **told)[:, 7:]
            assert torch.equal(model.generate(inputs_embeds=embeds, **told), text)
            assert torch.equal(model(ids, position_ids=torch.arange(7)[None]).logits, logits)
            spread = 2 * torch.arange(7)[None]
            assert (model(ids, position_ids=spread).logits - logits).abs().max() > 1e-3


@pytest.mark.skipif(
    Version(transformers.__version__) < Version("5.20"),
    reason="early transformers 5 cuts the cache to a length that forgets virtual tokens: an error",
)
@every_architecture
@pytest.mark.parametrize("make", [lambda: PromptTuning(N), lambda: PrefixTuning(N, layers=(1,))])
def test_drafted_generation(make, architecture):
    """Prompt lookup drafts several tokens a step and cuts the cache back."""
    model, ids = tiny(architecture), tokens(1, 9).repeat(1, 2)
    told = {"attention_mask": torch.ones_like(ids), "do_sample": False, "max_new_tokens": 12}
    with make().attach(model):
        text = model.generate(ids, **told)
        assert torch.equal(model.generate(ids, prompt_lookup_num_tokens=3, **told), text)


def test_bloom_too():
    """Alibi instead of positions. In float32, as it gives NaN in float64 where there is padding."""
    model, ids = tiny("bloom", dtype=torch.float32), tokens()
    left = torch.cat([torch.full((2, 3), 2), ids], 1)
    mask = torch.cat([torch.zeros(2, 3, dtype=torch.long), torch.ones_like(ids)], 1)
    told = {"do_sample": False, "max_new_tokens": 5}
    for method in (PromptTuning(N), PrefixTuning(N), PrefixTuning(N, layers=(1,)), BitFit()):
        with method.attach(model), torch.no_grad():
            fill(method)
            logits = model(ids).logits
            assert (model(left, attention_mask=mask).logits[:, 3:] - logits).abs().max() < 1e-4
            text = model.generate(ids, attention_mask=mask[:, 3:], **told)
            assert torch.equal(
                text, model.generate(ids, attention_mask=mask[:, 3:], use_cache=False, **told)
            )
            assert method.num_parameters() == method.expected_parameters(model.config)


@pytest.mark.parametrize("make", [lambda: PromptTuning(N), lambda: PrefixTuning(N)])
@pytest.mark.parametrize("architecture", ["gpt2", "llama"])
def test_caches_that_cannot_be_right(make, architecture):
    model, ids = tiny(architecture), tokens()
    plain = model(ids, use_cache=True).past_key_values
    told = {"do_sample": False, "max_new_tokens": 3, "return_dict_in_generate": True}
    with make().attach(model):
        with pytest.raises(ValueError, match="without this method"):
            model(ids, past_key_values=plain)
        with pytest.raises(ValueError, match="StaticCache.*DynamicCache"):
            model.generate(ids, cache_implementation="static", max_new_tokens=3)
        turn = model.generate(ids, **told)
        longer = torch.cat([turn.sequences, tokens(2, 8)], 1)
        with pytest.raises(ValueError, match="hand it all tokens and no cache"):
            model.generate(longer, past_key_values=turn.past_key_values, **told)
        mine = model(ids, use_cache=True).past_key_values
        ones = torch.ones(2, 9, dtype=torch.long)
        with pytest.raises(ValueError, match="hand it all tokens and no cache"):
            model(ids[:, :1], past_key_values=mine, attention_mask=ones)
        with pytest.raises(ValueError, match=r"shape \(batch, tokens\)"):
            model(ids, attention_mask=torch.zeros(2, 1, 7, 7))
    with make().attach(model), pytest.raises(ValueError, match="without this method"):
        model(ids[:, :1], past_key_values=mine)  # another method's virtual tokens


@every_architecture
@pytest.mark.parametrize("make", [PromptTuning, PrefixTuning, lambda n: PTuning(n, 4)])
def test_no_room_in_the_context(make, architecture):
    model = tiny(architecture)
    with make(CONTEXT - 7).attach(model):
        model(tokens(2, 7))
        with pytest.raises(ValueError, match=f"{CONTEXT - 7} virtual and 8 real .*{CONTEXT}"):
            model(tokens(2, 8))
    for method in (make(CONTEXT), Compose([make(CONTEXT // 2), make(CONTEXT // 2)])):
        with pytest.raises(ValueError, match="context"):
            method.attach(model)
    assert not model._forward_hooks and not Anatomy(model).body._forward_pre_hooks


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: PromptTuning(0), "length must be a whole number"),
        (lambda: PromptTuning(2.5), "length must be a whole number"),
        (lambda: PromptTuning(3, "rondom"), "init must be one of"),
        (lambda: PromptTuning(3, "text"), "needs text=.* and tokenizer="),
        (lambda: PromptTuning(3, "text", text="a"), "needs tokenizer="),
        (lambda: PromptTuning(3, "labels", tokenizer=Letters()), "needs labels="),
        (lambda: PromptTuning(1, "labels", labels=["a", "b"], tokenizer=Letters()), "labels: 2"),
        (lambda: PromptTuning(3, torch.zeros(2, D)), r"init must be \(3, 32\), not \(2, 32\)"),
        (lambda: PromptTuning(3, "labels", labels=["a", ""], tokenizer=Letters()), "no tokens"),
        (lambda: PrefixTuning(-1), "length must be a whole number"),
        (lambda: PrefixTuning(3, "one"), "init must be one of"),
        (lambda: PrefixTuning(3, "text"), "needs text="),
        (lambda: PrefixTuning(3, layers=(0, 3)), r"layers: \[0, 3\] .* \[0, 1, 2\]"),
        (lambda: PrefixTuning(3, layers=(-1,)), "layers: "),
        (lambda: PrefixTuning(3, layers=(0, 1), trainable=(2,)), "trainable: "),
        (lambda: PrefixTuning(3, mlp=0), "mlp must be a whole number"),
        (lambda: PrefixTuning(3, "zero", mlp=4), "goes with init"),
        (lambda: PrefixTuning(3, mlp=4, trainable=(1,)), "goes with init"),
        (lambda: PrefixTuning(3, torch.zeros(3, 32)), "init must be"),
        (lambda: PrefixTuning(3, PromptTuning(4)), "prompt of length 3"),
        (lambda: PrefixTuning(3, PrefixTuning(3)), "prompt of length 3"),
        (lambda: PTuning(3, 0), "hidden must be a whole number"),
        (lambda: PTuning(3, 4, "gru"), '"mlp" or "lstm"'),
        (lambda: LayerFreezing(0, 0), "count must be"),
        (lambda: LayerFreezing("top", 1), "first must be"),
        (lambda: LayerFreezing.top(4), "blocks 0 to 2"),
        (lambda: LayerFreezing(2, 2), "blocks 0 to 2"),
        (lambda: LayerFreezing(-1, 2), "blocks 0 to 2"),
    ],
)
def test_arguments_that_cannot_be_right(make, match):
    with pytest.raises(ValueError, match=match):
        make().attach(tiny("gpt2"))


def test_models_that_cannot_be_right():
    bare = tiny("llama", attention_bias=False, mlp_bias=False)
    assert BitFit().expected_parameters(bare.config) == 0
    with pytest.raises(ValueError, match="no biases"):
        BitFit().attach(bare)
    with pytest.raises(TypeError, match="Linear"):
        PromptTuning(3).attach(torch.nn.Linear(2, 2))
    with pytest.raises(RuntimeError, match="before attach"):
        PromptTuning(3).num_parameters()
    with pytest.raises(RuntimeError, match="with method.attach"), PromptTuning(3):
        pass
    prompt = PromptTuning(3)
    prompt.attach(tiny("gpt2")).detach()
    with pytest.raises(ValueError, match="fingerprint"):
        prompt.attach(tiny("gpt2", seed=1))
    with pytest.raises(ValueError, match="fingerprint"):
        PrefixTuning(3, prompt).attach(tiny("gpt2", seed=1))
    too_long = PromptTuning(CONTEXT)
    with pytest.raises(ValueError, match="context"):
        too_long.attach(tiny("gpt2"))
    too_long.attach(
        tiny("gpt2", seed=1, max_position_embeddings=2 * CONTEXT)
    )  # it was bound to nothing


def test_files_that_cannot_be_right(tmp_path):
    with pytest.raises(FileNotFoundError, match="no method saved"):
        Method.load(tmp_path)
    (tmp_path / "adapter_config.json").write_text("{}")
    with pytest.raises(FileNotFoundError, match="Hugging Face peft"):
        Method.load(tmp_path)
    model = tiny("gpt2")
    with PromptTuning(3).attach(model) as method:
        method.save(tmp_path)
    with pytest.raises(TypeError, match="PromptTuning, not PrefixTuning"):
        PrefixTuning.load(tmp_path)
    with pytest.raises(ValueError, match="does not fit this model"):
        Method.load(tmp_path).attach(tiny("gpt2", hidden_size=16), any_base=True)
    content = (tmp_path / "method.safetensors").read_bytes()
    (tmp_path / "method.safetensors").write_bytes(content[:-8])
    with pytest.raises(ValueError, match="damaged"):
        Method.load(tmp_path)
    (tmp_path / "method.safetensors").write_bytes(content)
    assert Method.load(tmp_path).num_parameters() == 3 * D
    for text, match in (
        ("{", "no JSON"),
        ('{"format": "x"}', "was not written"),
        ("[]", "written"),
    ):
        (tmp_path / "method.json").write_text(text)
        with pytest.raises(ValueError, match=match):
            Method.load(tmp_path)


def test_two_models_at_once_and_one_method_after_another():
    a, b, ids = tiny("gpt2"), tiny("llama"), tokens()
    plain = a(ids).logits
    first, second = PromptTuning(3).attach(a), PrefixTuning(4).attach(b)
    told = a(ids).logits, b(ids).logits
    second.detach()
    assert torch.equal(a(ids).logits, told[0])
    first.detach()
    first.detach()  # twice is no harm
    assert torch.equal(a(ids).logits, plain)
    with first.attach(a):
        assert torch.equal(a(ids).logits, told[0])


def test_a_learned_parameter_as_init_is_copied_and_not_trained_along():
    model = tiny("llama")
    first = PromptTuning(3).attach(model)
    first.detach()
    with PromptTuning(3, init=first.vectors()).attach(model) as method:
        assert [name for name, _ in method.named_parameters()] == ["embeddings"]
        assert torch.equal(method.vectors(), first.vectors())
        assert method.vectors() is not first.vectors()


@pytest.mark.parametrize("kind", [PromptTuning, PrefixTuning])
@pytest.mark.parametrize("init", [None, 0.5, [[0.0] * D] * 3, PromptTuning])
def test_an_init_of_another_type_is_refused(kind, init):
    with pytest.raises(TypeError, match="init must be"):
        kind(3, init=init)


def test_a_method_is_no_init_of_a_prompt_and_a_word_no_list_of_labels():
    with pytest.raises(TypeError, match="init must be"):
        PromptTuning(3, init=PromptTuning(3))
    with pytest.raises(TypeError, match="labels must be.*'sad'"):
        PromptTuning(4, init="labels", labels="sad", tokenizer=Letters())


@pytest.mark.parametrize("implementation", ["sdpa", "eager"])
def test_a_sliding_window_is_not_blinded_in_layers_without_prefix(implementation):
    model = tiny("mistral", sliding_window=5, attn_implementation=implementation)
    ids = tokens(2, 12)
    with PrefixTuning(3, layers=[0]).attach(model) as method, torch.no_grad():
        fill(method)
        whole = model(ids, use_cache=False).logits
        first = model(ids[:, :6], use_cache=True)
        logits, cache = [first.logits], first.past_key_values
        for i in range(6, 12):
            mask = torch.ones(2, i + 1, dtype=torch.long)
            out = model(ids[:, i : i + 1], attention_mask=mask, past_key_values=cache)
            logits.append(out.logits)
        assert (torch.cat(logits, 1) - whole).abs().max() < CLOSE[implementation]


@pytest.mark.parametrize(
    "action",
    [
        lambda: PrefixTuning(2, mlp=4).drop_mlp(),
        lambda: PTuning(2, 4).drop_encoder(),
        lambda: PTuning(2, 4).vectors(),
        lambda: PromptTuning(2).vectors(),
        lambda: PrefixTuning(2).keys_values(0),
        lambda: PrefixTuning(2).stacked(),
    ],
)
def test_what_attach_makes_is_not_there_before(action):
    with pytest.raises(RuntimeError, match="attach"):
        action()


def test_threads_run_one_method_side_by_side():
    """One reads its text while the other decodes: each is cut back by what it has put in."""
    model, ids, found = tiny("llama"), tokens(), {}
    calls = {"reads": ids, "decodes": ids[:, :1]}
    meet = threading.Barrier(len(calls))

    def pause(*_):
        meet.wait(120)

    def run(name, **more):
        with torch.no_grad():
            found[name] = model(calls[name], **more).logits

    with PromptTuning(N).attach(model):
        caches = [model(ids, use_cache=True).past_key_values for _ in range(2)]
        run("reads")
        run("decodes", past_key_values=caches[0])
        expected = dict(found)
        found.clear()
        model.model.layers[1].register_forward_pre_hook(pause)
        threads = [
            threading.Thread(target=run, args=("reads",)),
            threading.Thread(target=run, args=("decodes",), kwargs={"past_key_values": caches[1]}),
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert all(torch.equal(found[name], expected[name]) for name in calls)


# A sliding window counts columns


@pytest.mark.parametrize("make", [lambda: PromptTuning(3), lambda: PrefixTuning(3)])
def test_padding_between_virtual_tokens_and_text_needs_room_in_a_sliding_window(make):
    """It would push them out of the window earlier than in the row alone."""
    ids = tokens(1, 7)
    padded = torch.cat([torch.zeros(1, 4, dtype=torch.long), ids], 1)
    mask = torch.tensor([[0] * 4 + [1] * 7])
    for window, fits in ((12, False), (14, True), (None, True)):
        model = tiny("mistral", sliding_window=window)
        with make().attach(model) as method:
            fill(method)
            alone = model(ids).logits
            right = torch.cat([ids, padded[:, :4]], 1), mask.flip(1)
            assert (
                model(right[0], attention_mask=right[1]).logits[:, :7] - alone
            ).abs().max() < 1e-9
            if fits:
                logits = model(padded, attention_mask=mask).logits[:, 4:]
                assert (logits - alone).abs().max() < 1e-9
            else:
                with pytest.raises(ValueError, match="14 columns .* sliding window of 12"):
                    model(padded, attention_mask=mask)
