"""Where attention goes when a model carries virtual tokens."""

from collections.abc import Mapping

import torch
from torch import nn

from .models import mode


def prefix_attention_share(
    model: nn.Module,
    method,
    batch: Mapping[str, torch.Tensor],
    *,
    per_token: bool = False,
) -> torch.Tensor:
    """Which share of its attention each head gives to the virtual tokens: lambda.

    Attention with a prefix is a gated sum (He et al. 2022, equations 7 to 9):

        attention(q, [P_k; K], [P_v; V])
            = (1 - lambda) attention(q, K, V) + lambda attention(q, P_k, P_v)

    with lambda = sum exp(q P_k') / (sum exp(q P_k') + sum exp(q K')). Layers without a prefix
    have lambda = 0. Tokens of a `PromptTuning` count as virtual tokens too.

    Args:
        method: attached to `model`, with virtual tokens.
        batch: input_ids and, where there is padding, attention_mask, each (B, T).
        per_token: do not average over the tokens.

    Returns:
        (L, H), the mean over all real tokens; with `per_token` (L, B, H, T), float32.

    Raises:
        ValueError: the method is not attached to this model, or adds no virtual tokens.
    """
    n = method.virtual_length(model)
    if n == 0:
        raise ValueError(f"method: {type(method).__name__} adds no virtual tokens to attend to.")
    ids = batch["input_ids"]  # (B, T)
    mask = batch.get("attention_mask")
    before = model.config._attn_implementation
    try:
        model.set_attn_implementation("eager")  # the one that tells its weights
        with mode(False, model), torch.no_grad():
            out = model(ids, attention_mask=mask, output_attentions=True, use_cache=False)
    finally:
        model.set_attn_implementation(before)
    share = torch.stack([weights[..., :n].sum(-1) for weights in out.attentions])  # (L, B, H, T)
    share = share.float()
    if per_token:
        return share
    real = torch.ones_like(ids) if mask is None else mask  # (B, T)
    real = real.to(share)[None, :, None]  # (1, B, 1, T)
    return (share * real).sum((1, 3)) / real.sum()  # (L, H)
