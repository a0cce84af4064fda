"""The sites of a model: where its embeddings, blocks, attention and feed-forward layers are.

Two questions are kept apart: what follows from a config alone (`dimensions`, `linear_shapes`,
`block_parameters`, `outer_parameters`: closed forms, no weights needed), and where to find the
modules in a loaded model (`Anatomy`). To teach the package a new family, add one line here.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property, reduce

import torch
from torch import nn

from .models import fingerprint


@dataclass(frozen=True)
class Family:
    """How one family of decoders names its parts. Linear layers go by their role:
    q, k, v (or qkv where they are fused), o, then up, gate (where there is one) and down."""

    blocks: str  # within the decoder body
    attention: str  # within a block
    linears: dict[str, str]  # role -> path within a block
    rotary: bool = False
    learned_positions: int | None = None  # None: none are learned; k: context + k vectors are
    layer_norm: bool = True  # with weight and bias; False: RMSNorm, weight only
    fused: str | None = None  # outputs of qkv: "blocks", q then k then v; or "heads", each q, k, v


_LLAMA = Family(
    blocks="layers",
    attention="self_attn",
    linears={
        **{role: f"self_attn.{role}_proj" for role in "qkvo"},
        **{role: f"mlp.{role}_proj" for role in ("gate", "up", "down")},
    },
    rotary=True,
    layer_norm=False,
)

FAMILIES = {
    "gpt2": Family(
        blocks="h",
        attention="attn",
        linears={
            "qkv": "attn.c_attn",
            "o": "attn.c_proj",
            "up": "mlp.c_fc",
            "down": "mlp.c_proj",
        },
        learned_positions=0,
        fused="blocks",
    ),
    "llama": _LLAMA,
    "mistral": _LLAMA,
    "qwen2": _LLAMA,
    "qwen3": _LLAMA,
    "smollm3": _LLAMA,
    "opt": Family(
        blocks="layers",
        attention="self_attn",
        linears={
            **{role: f"self_attn.{role}_proj" for role in "qkv"},
            **{"o": "self_attn.out_proj", "up": "fc1", "down": "fc2"},
        },
        learned_positions=2,
    ),
    "gpt_neox": Family(
        blocks="layers",
        attention="attention",
        linears={
            "qkv": "attention.query_key_value",
            "o": "attention.dense",
            "up": "mlp.dense_h_to_4h",
            "down": "mlp.dense_4h_to_h",
        },
        rotary=True,
        fused="heads",
    ),
    "bloom": Family(
        blocks="h",
        attention="self_attention",
        linears={
            "qkv": "self_attention.query_key_value",
            "o": "self_attention.dense",
            "up": "mlp.dense_h_to_4h",
            "down": "mlp.dense_4h_to_h",
        },
        fused="heads",
    ),
}
BODIES = ("", ".model", ".transformer", ".gpt_neox", ".model.decoder")  # of whole names
HEADS = ("head", "lm_head", "embed_out")  # names of the layer that gives the logits


@dataclass(frozen=True)
class Dimensions:
    """The sizes that a config states."""

    family: Family
    hidden_size: int  # d
    layers: int  # L
    heads: int  # H
    kv_heads: int  # H_kv, fewer than H with grouped-query attention
    head_dim: int
    inner: int  # width of the feed-forward layer
    vocabulary: int  # V
    embedding_size: int  # d, except in OPT-350m
    context: int | None  # positions; None: no limit is stated
    tied: bool  # the head is the embedding matrix

    @property
    def kv_size(self) -> int:
        """Width of a layer's keys, and of its values: kv_heads x head_dim."""
        return self.kv_heads * self.head_dim


def dimensions(config) -> Dimensions:
    """The sizes stated by a transformers config.

    Raises:
        ValueError: a family of models that is not in `FAMILIES`.
    """
    kind = getattr(config, "model_type", type(config).__name__)
    if kind not in FAMILIES:
        raise ValueError(
            f"config: models of type {kind!r} are not known here; known are {', '.join(FAMILIES)}. "
            "A new family is one entry of peft_lab.anatomy.FAMILIES."
        )
    if getattr(config, "add_cross_attention", False):
        raise ValueError(
            "config: add_cross_attention=True makes a decoder that reads another model's states; "
            "only decoders that stand alone are known here."
        )
    if getattr(config, "slow_but_exact", False) and getattr(config, "pretraining_tp", 1) > 1:
        raise ValueError(
            "config: slow_but_exact=True with pretraining_tp above 1 reads weights past the layers "
            "that hold them, and so past every method; set slow_but_exact=False."
        )
    d, heads = config.hidden_size, config.num_attention_heads
    inner = getattr(config, "n_inner", None) or getattr(config, "ffn_dim", None)
    return Dimensions(
        family=FAMILIES[kind],
        hidden_size=d,
        layers=config.num_hidden_layers,
        heads=heads,
        kv_heads=getattr(config, "num_key_value_heads", None) or heads,
        head_dim=getattr(config, "head_dim", None) or d // heads,
        inner=inner or getattr(config, "intermediate_size", None) or 4 * d,
        vocabulary=config.vocab_size,
        embedding_size=getattr(config, "word_embed_proj_dim", None) or d,
        context=getattr(config, "max_position_embeddings", None),
        tied=config.tie_word_embeddings,
    )


def linear_shapes(config) -> dict[str, tuple[int, int, bool]]:
    """The linear layers of one block: role -> (inputs, outputs, has a bias)."""
    size, kind = dimensions(config), config.model_type
    # What a family's class asks its config for; elsewhere a config may say what it likes. Qwen2 has
    # biases on q, k and v alone.
    attention_bias = kind in ("gpt2", "bloom", "qwen2")
    mlp_bias = size.family.layer_norm
    if kind in ("llama", "qwen3", "smollm3", "gpt_neox"):
        attention_bias = config.attention_bias
    if kind in ("llama", "smollm3"):
        mlp_bias = config.mlp_bias
    if kind == "opt":
        attention_bias = mlp_bias = config.enable_bias
    sizes, shapes = role_sizes(config), {}
    for role in size.family.linears:
        bias = mlp_bias if role in ("gate", "up", "down") else attention_bias
        shapes[role] = (*sizes[role], bool(bias and not (kind == "qwen2" and role == "o")))
    return shapes


def role_sizes(config) -> dict[str, tuple[int, int]]:
    """(inputs, outputs) of each role in `roles`, and of the head."""
    size = dimensions(config)
    d, query = size.hidden_size, size.heads * size.head_dim
    sizes = {
        "q": (d, query),
        "k": (d, size.kv_size),
        "v": (d, size.kv_size),
        "qkv": (d, query + 2 * size.kv_size),
        "o": (query, d),
        "gate": (d, size.inner),
        "up": (d, size.inner),
        "down": (size.inner, d),
    }
    head = {"head": (size.embedding_size, size.vocabulary)}
    return {role: sizes[role] for role in roles(size.family)} | head


def roles(family: Family) -> list[str]:
    """The roles of a block's linear layers: q, k and v also where they are fused."""
    return [*family.linears, *(("q", "k", "v") if family.fused else ())]


def find_linears(
    config, targets: str | Iterable[str], layers: Iterable[int] | None = None
) -> list[tuple[int | None, str]]:
    """The linear layers that `targets` name, as (layer, role); the head's layer is None.

    Args:
        targets: "all" (those of the blocks), or any of: a role (q, k, v, o, gate, up, down, qkv
            where they are fused, head); the end of a module's name, as in `peft` ("q_proj",
            "mlp.down_proj"); a whole name ("model.layers.0.self_attn.q_proj").
        layers: only in these blocks; None: in all.

    Raises:
        ValueError: a target that the model does not have, or a layer.
    """
    size = dimensions(config)
    depth, paths = range(size.layers), size.family.linears
    chosen = [*depth] if layers is None else sorted(set(layers))
    if not set(chosen) <= set(depth):
        raise ValueError(f"layers: {chosen} are not all among the layers {[*depth]}.")
    if targets == "all":
        return [(layer, role) for layer in chosen for role in paths]
    known = roles(size.family)
    places = [(layer, role) for layer in chosen for role in known] + [(None, "head")]
    found = set()
    for target in [targets] if isinstance(targets, str) else targets:
        named = {place for place in places if _names(target, *place, size.family)}
        if not named:
            raise ValueError(
                f"targets: there is no linear layer {target!r} here; there are {', '.join(known)}, "
                f'head, "all", and names of modules such as {paths["down"]!r}.'
            )
        found |= named
    return [place for place in places if place in found]


def _names(target: str, layer: int | None, role: str, family: Family) -> bool:
    """Whether `target` is this place's role, the end of its module's name, or all of it."""
    if role == "head":
        return target in HEADS
    name = f".{family.blocks}.{layer}.{family.linears.get(role, role)}"
    return (
        target == role
        or f".{target}" in (f"{body}{name}" for body in BODIES)
        or (name.endswith(f".{target}"))
    )


def block_parameters(config) -> tuple[int, int]:
    """Parameters of one block as (weights, biases): its linear layers and two norms."""
    size = dimensions(config)
    shapes = linear_shapes(config).values()
    weights = sum(inputs * outputs for inputs, outputs, _ in shapes)
    biases = sum(outputs for _, outputs, bias in shapes if bias)
    norms = 2 if getattr(config, "layer_norm_elementwise_affine", True) else 0  # OPT can do without
    weights += norms * size.hidden_size
    if size.family.layer_norm:
        biases += norms * size.hidden_size
    if config.model_type == "qwen3":
        weights += 2 * size.head_dim  # a norm of the queries and one of the keys
    return weights, biases


def outer_parameters(config) -> tuple[int, int]:
    """Parameters outside the blocks as (weights, biases): embeddings, final norm, untied head."""
    size, kind = dimensions(config), config.model_type
    d, family = size.hidden_size, size.family
    norms = {"bloom": 2}.get(kind, 1)  # BLOOM has one more after the embeddings
    if kind == "opt" and not (
        config.do_layer_norm_before
        and config.layer_norm_elementwise_affine
        and not config._remove_final_layer_norm
    ):
        norms = 0
    matrices = size.vocabulary * size.embedding_size * (1 if size.tied else 2)
    if size.embedding_size != d:
        matrices += 2 * d * size.embedding_size  # OPT-350m projects in and out
    if family.learned_positions is not None:
        matrices += (size.context + family.learned_positions) * d
    return matrices + norms * d, norms * d if family.layer_norm else 0


def _follow(module: nn.Module, path: str) -> nn.Module:
    return reduce(getattr, path.split("."), module)


class Anatomy:
    """Where the parts of a causal language model are, whatever its family calls them.

    Args:
        model: a `transformers` causal language model (GPT-2, Llama and its relatives, OPT,
            GPT-NeoX, BLOOM).

    Attributes:
        model, body: the model, and its decoder without the head (`model.get_decoder()`).
        embedding: the `nn.Embedding` of its tokens, weight (V, d).
        blocks: its transformer blocks, in order.
        size: the `Dimensions`; each of them is an attribute of the anatomy too.

    Raises:
        TypeError: not a `transformers` model.
        ValueError: a family that is not known here.
    """

    def __init__(self, model: nn.Module):
        if not hasattr(model, "get_decoder") or not hasattr(model, "config"):
            raise TypeError(
                f"model must be a transformers causal language model, not {type(model).__name__}."
            )
        self.model = model
        self.body: nn.Module = model.get_decoder()
        self.size = dimensions(model.config)
        self.family = self.size.family
        self.embedding: nn.Embedding = model.get_input_embeddings()
        self.blocks: list[nn.Module] = list(getattr(self.body, self.family.blocks))

    def __getattr__(self, name: str):
        if name == "size":  # not set yet: a failed __init__, a copy in the making
            raise AttributeError(name)
        return getattr(self.size, name)

    def __repr__(self) -> str:
        size = self.size
        return (
            f"Anatomy of {type(self.model).__name__}: {size.layers} blocks of width "
            f"{size.hidden_size}, {size.heads} heads of {size.head_dim} ({size.kv_heads} for keys "
            f"and values), {size.vocabulary:,} tokens, context {size.context}"
        )

    @cached_property
    def fingerprint(self) -> str | None:
        """What tells this base from others; None on the meta device, where there are no numbers."""
        return None if self.embedding.weight.is_meta else fingerprint(self.model)

    @property
    def rotary(self) -> bool:
        """Whether positions enter by rotating queries and keys."""
        return self.family.rotary

    def attention(self, layer: int) -> nn.Module:
        """The attention module of a block."""
        return _follow(self.blocks[layer], self.family.attention)

    def projections(self, layer: int) -> dict[str, nn.Module]:
        """The linear layers of a block by role: q, k, v or qkv, o, up, gate, down."""
        return {
            role: _follow(self.blocks[layer], path) for role, path in self.family.linears.items()
        }

    def linear(self, layer: int | None, role: str) -> tuple[nn.Module, torch.Tensor | None]:
        """The linear layer of a role, and which of its outputs are the role's: None for all, or,
        for q, k, v of a fused one, their indices."""
        if role == "head":
            head = self.model.get_output_embeddings()
            if head is None:
                raise ValueError(f"targets: {type(self.model).__name__} has no head.")
            return head, None
        linears = self.projections(layer)
        if role in linears:
            return linears[role], None
        groups = 1 if self.family.fused == "blocks" else self.heads
        outputs = torch.arange(3 * self.kv_size, device=linears["qkv"].weight.device)
        return linears["qkv"], outputs.view(groups, 3, -1)[:, "qkv".index(role)].flatten()

    def feed_forward(self, layer: int) -> tuple[nn.Module, nn.Module]:
        """The first and the last linear layer of a block's feed-forward part. A pair, because
        OPT has no module around them."""
        linears = self.projections(layer)
        return linears.get("gate", linears["up"]), linears["down"]


def matrix(linear: nn.Module) -> torch.Tensor:
    """The weights of a linear layer as (outputs, inputs); GPT-2's `Conv1D` stores (in, out)."""
    return linear.weight if isinstance(linear, nn.Linear) else linear.weight.T


def count(module: nn.Module) -> int:
    """Numbers in a module's parameters, each tensor once however often it is used."""
    return sum(math.prod(parameter.shape) for parameter in module.parameters())
