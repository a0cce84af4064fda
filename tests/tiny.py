"""Tiny random models of each architecture, and what tests say about them over and over."""

import copy
import functools

import torch
from transformers import (
    AutoModelForCausalLM,
    BloomConfig,
    GPT2Config,
    GPTNeoXConfig,
    LlamaConfig,
    MistralConfig,
    OPTConfig,
    Qwen2Config,
    Qwen3Config,
    SmolLM3Config,
)

ARCHITECTURES = ["gpt2", "llama", "opt", "neox"]
V, D, L, HEADS, CONTEXT = 97, 32, 3, 4, 64
_ENDS = {"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 2}
_SIZES = {
    "vocab_size": V, "hidden_size": D, "num_hidden_layers": L, "num_attention_heads": HEADS,
    "max_position_embeddings": CONTEXT,
}  # fmt: skip
_LLAMA = {**_SIZES, "intermediate_size": 48, "num_key_value_heads": 2, "tie_word_embeddings": True}


def config(name: str, **changes):
    """The config of a tiny model; `changes` overrule."""
    make = {
        "gpt2": lambda c: GPT2Config(**{**_SIZES, **_ENDS, **c}),
        "llama": lambda c: LlamaConfig(
            **{**_LLAMA, "attention_bias": True, "mlp_bias": True, **_ENDS, **c}),
        "opt": lambda c: OPTConfig(
            **{**_SIZES, "ffn_dim": 64, "word_embed_proj_dim": D, "dropout": 0.1, **_ENDS, **c}),
        "neox": lambda c: GPTNeoXConfig(**{**_SIZES, "intermediate_size": 64, **_ENDS, **c}),
        "bloom": lambda c: BloomConfig(
            vocab_size=V, hidden_size=D, n_layer=L, n_head=HEADS, **_ENDS, **c),
        "mistral": lambda c: MistralConfig(**{**_LLAMA, **_ENDS, **c}),
        "qwen2": lambda c: Qwen2Config(**{**_LLAMA, **_ENDS, **c}),
        "smollm3": lambda c: SmolLM3Config(**{**_LLAMA, **_ENDS, **c}),
        "qwen3": lambda c: Qwen3Config(**{**_LLAMA, **_ENDS, "head_dim": 8, **c}),
    }  # fmt: skip
    return make[name](changes)


@functools.cache
def _made(name: str, dtype: torch.dtype, seed: int, scale: float, changes: tuple):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = AutoModelForCausalLM.from_config(config(name, **dict(changes)))
        for parameter in model.parameters():  # biases are made as 0, behind which much can hide
            parameter.data += scale * torch.randn(parameter.shape)
    return model.to(dtype).eval()


def tiny(
    name: str,
    dtype: torch.dtype = torch.float64,
    seed: int = 0,
    scale: float = 0.3,
    **changes,
) -> torch.nn.Module:
    """A random model in eval mode: width 32, 3 layers, 4 heads (Llama: 2 for keys), 97 tokens."""
    return copy.deepcopy(_made(name, dtype, seed, scale, tuple(sorted(changes.items()))))


def tokens(rows: int = 2, length: int = 7, seed: int = 0) -> torch.Tensor:
    """Random token ids (rows, length), none of them bos, eos or pad."""
    return torch.randint(3, V, (rows, length), generator=torch.Generator().manual_seed(seed))


def nll(model: torch.nn.Module, ids: torch.Tensor, **kwargs) -> torch.Tensor:
    """Mean over the T-1 targets, in float64 (the loss of transformers casts to float32)."""
    logits = model(ids, **kwargs).logits[:, -ids.shape[1] :].double()  # (B, T, V)
    return torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten())


def fill(module: torch.nn.Module, seed: int = 1, scale: float = 0.3) -> None:
    """Random non-zero numbers in all parameters, so that nothing hides behind a zero."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(scale * torch.randn(parameter.shape, generator=generator))


class Letters:
    """A tokenizer of one token a letter, for tests of what methods do with text."""

    def __call__(self, text: str, add_special_tokens: bool = True) -> dict[str, list[int]]:
        ids = [3 + ord(letter) % (V - 3) for letter in text]
        return {"input_ids": [0, *ids, 1] if add_special_tokens else ids}
