"""Solutions of notebook 04.

Also other right ways, and the usual wrong answers, each beside the
diagnosis that its checker gives.
"""

import torch

# ---- 04a: keys_values ------------------------------------------------


def solution_04a(flat, layer, config):
    n, L = flat.shape[0], config.num_hidden_layers
    heads, width = config.num_key_value_heads, config.head_dim
    pairs = flat.view(n, L, 2, heads, width)
    k, v = pairs[:, layer].unbind(1)  # each (n, H_kv, head_dim)
    return k.transpose(0, 1), v.transpose(0, 1)  # (H_kv, n, head_dim)


def variant_04a(flat, layer, config):
    shape = (-1, config.num_hidden_layers * 2)
    shape += (config.num_key_value_heads, config.head_dim)
    stack = flat.reshape(shape).permute(1, 2, 0, 3)
    return stack[2 * layer], stack[2 * layer + 1]


def wrong_04a_swapped(flat, layer, config):
    n, L = flat.shape[0], config.num_hidden_layers
    heads, width = config.num_key_value_heads, config.head_dim
    pairs = flat.view(n, L, 2, heads, width)
    v, k = pairs[:, layer].unbind(1)
    return k.transpose(0, 1), v.transpose(0, 1)


def wrong_04a_no_permute(flat, layer, config):
    n, L = flat.shape[0], config.num_hidden_layers
    heads, width = config.num_key_value_heads, config.head_dim
    stack = flat.reshape(L, 2, heads, n, width)
    return stack[layer, 0], stack[layer, 1]


def wrong_04a_no_permute_2(flat, layer, config):
    n, L = flat.shape[0], config.num_hidden_layers
    heads, width = config.num_key_value_heads, config.head_dim
    k, v = flat.view(n, L, 2, heads, width)[:, layer].unbind(1)
    return k.reshape(heads, n, width), v.reshape(heads, n, width)


def wrong_04a_query_heads(flat, layer, config):
    n, L = flat.shape[0], config.num_hidden_layers
    heads, width = config.num_attention_heads, config.head_dim
    pairs = flat.view(n, L, 2, heads, width)
    k, v = pairs[:, layer].unbind(1)
    return k.transpose(0, 1), v.transpose(0, 1)


def wrong_04a_query_heads_2(flat, layer, config):
    n, L = flat.shape[0], config.num_hidden_layers
    heads = config.num_attention_heads
    pairs = flat.view(n, L, 2, heads, -1)
    k, v = pairs[:, layer].unbind(1)
    return k.transpose(0, 1), v.transpose(0, 1)


def wrong_04a_all_keys_first(flat, layer, config):
    n, L = flat.shape[0], config.num_hidden_layers
    heads, width = config.num_key_value_heads, config.head_dim
    k, v = flat.view(n, 2, L, heads, width)[:, :, layer].unbind(1)
    return k.transpose(0, 1), v.transpose(0, 1)


def wrong_04a_axes(flat, layer, config):
    n, L = flat.shape[0], config.num_hidden_layers
    heads, width = config.num_key_value_heads, config.head_dim
    k, v = flat.view(n, L, 2, heads, width)[:, layer].unbind(1)
    return k, v


VARIANTS_04A = {"permuted whole, split after": variant_04a}
WRONG_04A = {
    "keys and values swapped": ("swapped", wrong_04a_swapped),
    "reshapes in place of turning axes": (
        "no permute",
        wrong_04a_no_permute,
    ),
    "reshapes a layer's numbers": (
        "no permute",
        wrong_04a_no_permute_2,
    ),
    "counts the query heads": ("query heads", wrong_04a_query_heads),
    "width from the query heads": (
        "query heads",
        wrong_04a_query_heads_2,
    ),
    "all layers' keys, then all values": (
        "all keys first",
        wrong_04a_all_keys_first,
    ),
    "vectors before heads": ("axes", wrong_04a_axes),
}

# ---- 04b: prompt_as_prefix -------------------------------------------


def solution_04b(model, prompt, input_ids):
    n, T = prompt.shape[0], input_ids.shape[1]
    spoken = model(inputs_embeds=prompt[None], use_cache=True)
    positions = torch.arange(n, n + T)[None]  # (1, T)
    return model(
        input_ids=input_ids,
        past_key_values=spoken.past_key_values,
        position_ids=positions,
    ).logits  # (1, T, V)


def variant_04b(model, prompt, input_ids):
    from transformers import DynamicCache

    first = DynamicCache()
    soft = prompt.unsqueeze(0)  # (1, n, d)
    model.model(inputs_embeds=soft, past_key_values=first)
    prefix = DynamicCache()
    for i, layer in enumerate(first.layers):
        prefix.update(layer.keys.clone(), layer.values.clone(), i)
    return model(input_ids, past_key_values=prefix).logits


def wrong_04b_rotated_twice(model, prompt, input_ids):
    from transformers.models.llama.modeling_llama import (
        apply_rotary_pos_emb,
    )

    n, T = prompt.shape[0], input_ids.shape[1]
    cache = model(
        inputs_embeds=prompt[None], use_cache=True
    ).past_key_values
    cos, sin = model.model.rotary_emb(prompt, torch.arange(n)[None])
    for layer in cache.layers:
        layer.keys, _ = apply_rotary_pos_emb(
            layer.keys, layer.keys, cos, sin
        )
    return model(
        input_ids=input_ids,
        past_key_values=cache,
        position_ids=torch.arange(n, n + T)[None],
    ).logits


def wrong_04b_positions(model, prompt, input_ids):
    spoken = model(inputs_embeds=prompt[None], use_cache=True)
    return model(
        input_ids=input_ids,
        past_key_values=spoken.past_key_values,
        position_ids=torch.arange(input_ids.shape[1])[None],
    ).logits


def wrong_04b_layer_0_only(model, prompt, input_ids):
    cache = model(
        inputs_embeds=prompt[None], use_cache=True
    ).past_key_values
    for layer in cache.layers[1:]:
        layer.keys = torch.zeros_like(layer.keys)
        layer.values = torch.zeros_like(layer.values)
    return model(input_ids=input_ids, past_key_values=cache).logits


def wrong_04b_layer_0_only_2(model, prompt, input_ids):
    from peft_lab import PrefixTuning, PromptTuning

    n = prompt.shape[0]
    soft = PromptTuning(n, init=prompt)
    with PrefixTuning(n, init=soft, layers=[0]).attach(model):
        return model(input_ids).logits


def wrong_04b_ran_together(model, prompt, input_ids):
    embeds = model.get_input_embeddings()(input_ids)
    both = torch.cat([prompt[None], embeds], dim=1)
    return model(inputs_embeds=both).logits[:, prompt.shape[0] :]


def wrong_04b_not_trimmed(model, prompt, input_ids):
    embeds = model.get_input_embeddings()(input_ids)
    both = torch.cat([prompt[None], embeds], dim=1)
    return model(inputs_embeds=both).logits


def wrong_04b_no_prompt(model, prompt, input_ids):
    model(inputs_embeds=prompt[None], use_cache=True)
    return model(input_ids=input_ids).logits


VARIANTS_04B = {"a cache filled by hand": variant_04b}
WRONG_04B = {
    "rotates the kept keys once more": (
        "rotated twice",
        wrong_04b_rotated_twice,
    ),
    "positions restart at 0": ("positions", wrong_04b_positions),
    "empties the later layers": (
        "layer 0 only",
        wrong_04b_layer_0_only,
    ),
    "hides it from the later layers": (
        "layer 0 only",
        wrong_04b_layer_0_only_2,
    ),
    "prompt tuning over again": (
        "ran together",
        wrong_04b_ran_together,
    ),
    "keeps the prompt's own logits": (
        "not trimmed",
        wrong_04b_not_trimmed,
    ),
    "the cache is not handed on": ("no prompt", wrong_04b_no_prompt),
}

# ---- 04c: prefix_share -----------------------------------------------


def solution_04c(q, k, k_prefix):
    n, T = k_prefix.shape[1], k.shape[1]
    both = torch.cat([k_prefix, k], dim=1)  # (H, n+T, hd)
    scores = q @ both.mT / q.shape[-1] ** 0.5  # (H, T, n+T)
    future = torch.ones(T, T).triu(1).bool()  # (T, T)
    scores[:, :, n:].masked_fill_(future, float("-inf"))
    weights = scores.softmax(-1)  # (H, T, n+T)
    return weights[:, :, :n].sum(-1)  # (H, T)


def variant_04c(q, k, k_prefix):
    root = q.shape[-1] ** 0.5
    to_prefix = (q @ k_prefix.transpose(1, 2) / root).exp().sum(-1)
    to_text = (q @ k.transpose(1, 2) / root).exp().tril().sum(-1)
    return to_prefix / (to_prefix + to_text)


def wrong_04c_by_count(q, k, k_prefix):
    n, T = k_prefix.shape[1], k.shape[1]
    return torch.full(q.shape[:2], n / (n + T))


def wrong_04c_two_softmaxes(q, k, k_prefix):
    root = q.shape[-1] ** 0.5
    a = (q @ k_prefix.mT / root).softmax(-1).sum(-1)
    b = (q @ k.mT / root).softmax(-1).sum(-1)
    return a / (a + b)


def wrong_04c_no_scale(q, k, k_prefix):
    n, T = k_prefix.shape[1], k.shape[1]
    scores = q @ torch.cat([k_prefix, k], dim=1).mT
    future = torch.ones(T, T).triu(1).bool()
    scores[:, :, n:].masked_fill_(future, float("-inf"))
    return scores.softmax(-1)[:, :, :n].sum(-1)


def wrong_04c_swapped(q, k, k_prefix):
    root = q.shape[-1] ** 0.5
    to_prefix = (q @ k_prefix.mT / root).exp().sum(-1)
    to_text = (q @ k.mT / root).exp().tril().sum(-1)
    return to_text / (to_prefix + to_text)


def wrong_04c_no_mask(q, k, k_prefix):
    root = q.shape[-1] ** 0.5
    to_prefix = (q @ k_prefix.mT / root).exp().sum(-1)
    to_text = (q @ k.mT / root).exp().sum(-1)
    return to_prefix / (to_prefix + to_text)


def wrong_04c_mean(q, k, k_prefix):
    root = q.shape[-1] ** 0.5
    to_prefix = (q @ k_prefix.mT / root).exp()
    to_text = (q @ k.mT / root).exp().tril().sum(-1)
    share = to_prefix.sum(-1) / (to_prefix.sum(-1) + to_text)
    return share / k_prefix.shape[1]


VARIANTS_04C = {"with exponentials, as in the formula": variant_04c}
WRONG_04C = {
    "n / (n + T)": ("by count", wrong_04c_by_count),
    "one of each, halved": ("two softmaxes", wrong_04c_two_softmaxes),
    "without the square root": ("no scale", wrong_04c_no_scale),
    "the text's share": ("swapped", wrong_04c_swapped),
    "looks into the future": ("no mask", wrong_04c_no_mask),
    "the mean over the prefix": ("mean", wrong_04c_mean),
}
