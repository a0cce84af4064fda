"""The forward pass of each family of decoders, on a tape."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce

from ..anatomy import Anatomy, Dimensions, dimensions, linear_shapes
from .methods import Changes, changes_of
from .operations import BOOL, FLOAT, INDEX, Tape, Tensor

Trained = Callable[[int | None, str, str], bool]  # block or None, part, "weight" or "bias"

# Parts that are no linear layers, and where they are: in a block, and in the decoder.
_LLAMA = (
    {
        "norm1": "input_layernorm",
        "norm2": "post_attention_layernorm",
        "q_norm": "self_attn.q_norm",
        "k_norm": "self_attn.k_norm",
    },
    {"final_norm": "norm"},
)
PARTS = {
    "gpt2": ({"norm1": "ln_1", "norm2": "ln_2"}, {"positions": "wpe", "final_norm": "ln_f"}),
    "opt": (
        {"norm1": "self_attn_layer_norm", "norm2": "final_layer_norm"},
        {"positions": "embed_positions", "final_norm": "final_layer_norm",
         "project_in": "project_in", "project_out": "project_out"},
    ),
    "gpt_neox": (_LLAMA[0], {"final_norm": "final_layer_norm"}),
    "bloom": (_LLAMA[0], {"embedding_norm": "word_embeddings_layernorm", "final_norm": "ln_f"}),
    **{name: _LLAMA for name in ("llama", "mistral", "qwen2", "qwen3", "smollm3")},
}  # fmt: skip
ACTIVATIONS = {"relu": "relu", "gelu": "gelu", "silu": "silu", "gelu_new": "gelu_new"}


@dataclass(frozen=True)
class Batch:
    """What of a batch matters here."""

    rows: int  # B
    tokens: int  # T, padding included
    scored: int  # tokens with a label, over all rows
    padded: bool = False  # some token is padding
    left: bool = False  # before a token, so that rows differ in their positions


def dropouts(config) -> dict[str, float]:
    """Probabilities of dropout: "embedding", "residual" (after each part), "attention"."""
    kind = config.model_type
    if kind == "gpt2":
        return {"embedding": config.embd_pdrop, "residual": config.resid_pdrop,
                "attention": config.attn_pdrop}  # fmt: skip
    if kind == "opt":
        return {"embedding": 0.0, "residual": config.dropout, "attention": config.attention_dropout}
    hidden = getattr(config, "hidden_dropout", 0.0)
    embedding = hidden if kind == "gpt_neox" else 0.0
    return {"embedding": embedding, "residual": hidden, "attention": config.attention_dropout}


def unknown(config) -> str | None:
    """Why this module cannot say what a model keeps; None if it can."""
    kind = config.model_type
    if kind not in PARTS:
        return f"models of type {kind!r}"
    if activation_name(config) not in ACTIVATIONS:
        return f"the activation function {activation_name(config)!r}"
    if getattr(config, "_attn_implementation", None) not in (None, "sdpa") and kind != "bloom":
        return f"attention of the kind {config._attn_implementation!r}"
    if kind == "gpt2" and (
        config.scale_attn_by_inverse_layer_idx or config.reorder_and_upcast_attn
    ):
        return "GPT-2 with attention of another kind"
    if kind == "bloom" and (
        config.apply_residual_connection_post_layernorm or config.pretraining_tp > 1
    ):
        return "BLOOM with another residual stream"
    return None


def has_final_norm(config) -> bool:
    """Whether a norm comes before the head: not in OPT-350m."""
    return config.model_type != "opt" or (
        config.do_layer_norm_before and not config._remove_final_layer_norm
    )


def trained_in(model) -> Trained:
    """Which tensors of a model require a gradient."""
    anatomy = Anatomy(model)
    inside, outside = PARTS[model.config.model_type]

    def trained(layer: int | None, part: str, kind: str) -> bool:
        if part == "embedding":
            module = anatomy.embedding
        elif part == "head":
            module = model.get_output_embeddings()
        elif layer is None:
            module = getattr(anatomy.body, outside[part], None)
        elif part in inside:
            module = reduce(getattr, inside[part].split("."), anatomy.blocks[layer])
        else:
            module = anatomy.linear(layer, part)[0]
        parameter = getattr(module, kind, None)
        return parameter is not None and parameter.requires_grad

    return trained


def activation_name(config) -> str:
    if config.model_type == "bloom":
        return "gelu"  # its own function, which saves as much
    return getattr(config, "activation_function", None) or config.hidden_act


@dataclass(frozen=True)
class Rehearsal:
    """A training step, not run.

    Attributes:
        kept: bytes kept for the backward pass, by part: "attention" (what goes in and comes out),
            "prefix" (its share of the keys and values), "logits" (head and loss), "embeddings",
            "blocks" (all else).
        operations: of forward and backward pass, a multiplication and an addition counting as two.
        read: bytes of weight matrices that both passes read: below the lowest trained place once.
    """

    kept: dict[str, int]
    operations: int
    read: int


def rehearse(config, method, batch: Batch, trained: Trained, size: int = FLOAT) -> Rehearsal | None:
    """What a training step keeps and computes; None where this is not known.

    Args:
        config: of the model.
        method: attached to it, or to be; None for none.
        trained: which of the model's own tensors are.
        size: bytes of a number of the base model.
    """
    changes = changes_of(method, config) if unknown(config) is None else None
    if changes is None:
        return None
    window = getattr(config, "sliding_window", None)
    if window and batch.tokens + changes.prompt + changes.prefix > window:
        return None
    return _Pass(config, changes, batch, trained, size).run()


class _Pass:
    """One forward pass."""

    def __init__(self, config, changes: Changes, batch: Batch, trained: Trained, size: int):
        self.config, self.kind = config, config.model_type
        self.size: Dimensions = dimensions(config)
        self.changes, self.batch, self.trained = changes, batch, trained
        self.tape, self.drop = Tape(size), dropouts(config)
        self.length = batch.tokens + changes.prompt  # of the sequence that the blocks see
        self.tokens = batch.rows * self.length
        self.shapes = linear_shapes(config)
        self.rotation: list[Tensor] = []
        # virtual tokens count positions from the mask; else all rows share one row of positions
        self.position_rows = batch.rows if batch.left and changes.virtual else 1
        self.prefix_bytes = 0

    def run(self) -> Rehearsal:
        tape, d = self.tape, self.size.hidden_size
        with tape.part("embeddings"):
            x = self._embed()
        if self.size.family.rotary:
            rotary = self.size.head_dim * self._rotary_share()
            angles = int(self.position_rows * self.length * rotary)
            self.rotation = [tape.new(angles, False) for _ in range(2)]  # cosines, sines
        for layer in range(self.size.layers):
            x = self._block(layer, x)
        with tape.part("logits"):
            if has_final_norm(self.config):
                x = self._norm(None, "final_norm", x, d)
            self._head(x)
        told = dict.fromkeys(("embeddings", "blocks", "attention", "prefix", "logits"), 0)
        told |= tape.bytes()
        told["prefix"] = min(self.prefix_bytes, told["attention"])
        told["attention"] -= told["prefix"]
        return Rehearsal(told, tape.operations, tape.read)

    # parts

    def _embed(self) -> Tensor:
        tape, size, batch = self.tape, self.size, self.batch
        d, e = size.hidden_size, size.embedding_size
        own = self.trained(None, "embedding", "weight")
        if own:
            tape.keep(batch.rows * batch.tokens, INDEX)
        live = own or self.changes.prompt > 0
        self.changes.make_virtual(tape)
        x = tape.new(self.tokens * e, live)
        if e != d:
            x = tape.linear(x, e, d, self.trained(None, "project_in", "weight"), False)
        if size.family.learned_positions is not None:
            positions = self.trained(None, "positions", "weight")
            if positions:  # OPT counts them for each row, unless it is told
                own_rows = self.kind == "opt" and not self.changes.virtual
                tape.keep((batch.rows if own_rows else self.position_rows) * self.length, INDEX)
            x = tape.new(self.tokens * d, x.live or positions)
        if self.kind == "bloom":
            x = self._norm(None, "embedding_norm", x, d)
        return tape.dropout(x, self.drop["embedding"])

    def _norm(self, layer: int | None, part: str, x: Tensor, d: int) -> Tensor:
        affine = getattr(self.config, "layer_norm_elementwise_affine", True)  # OPT can do without
        weight = affine and self.trained(layer, part, "weight")
        if self.size.family.layer_norm:
            bias = affine and self.trained(layer, part, "bias")
            return self.tape.layer_norm(x, d, weight or bias)
        return self.tape.rms_norm(x, d, weight)

    def _linear(self, layer: int, role: str, x: Tensor) -> Tensor:
        """A linear layer and what the method does before and after it."""
        inputs, outputs, biased = self.shapes[role]
        for change in self.changes.before(layer, role):
            x = change(self.tape, x)
        weight, bias = (self.trained(layer, role, kind) for kind in ("weight", "bias"))
        y = self.tape.linear(x, inputs, outputs, weight, bias and biased)
        for change in self.changes.after(layer, role):
            y = change(self.tape, x, y)
        return y

    def _block(self, layer: int, x: Tensor) -> Tensor:
        tape, d = self.tape, self.size.hidden_size
        after = self.kind == "opt" and not self.config.do_layer_norm_before
        parallel = self.kind == "gpt_neox" and self.config.use_parallel_residual
        read = x if after else self._norm(layer, "norm1", x, d)
        y = self._linear(layer, "o", self._attention(layer, read))
        y = tape.dropout(y, self.drop["residual"])
        h = x if parallel else tape.add(x, y)
        if after:
            h = self._norm(layer, "norm1", h, d)
        read = h if after else self._norm(layer, "norm2", h, d)
        z = tape.dropout(self._feed_forward(layer, read), self.drop["residual"])
        h = tape.add(tape.add(z, y), h) if parallel else tape.add(h, z)
        return self._norm(layer, "norm2", h, d) if after else h

    def _feed_forward(self, layer: int, x: Tensor) -> Tensor:
        name = activation_name(self.config)
        if "gate" not in self.shapes:
            inner = self.tape.activation(self._linear(layer, "up", x), name)
        else:
            gate = self.tape.activation(self._linear(layer, "gate", x), name)
            inner = self.tape.multiply(gate, self._linear(layer, "up", x))
        return self._linear(layer, "down", inner)

    def _attention(self, layer: int, x: Tensor) -> Tensor:
        tape, size, batch = self.tape, self.size, self.batch
        q, k, v = self._queries_keys_values(layer, x)
        prefix = self.changes.prefix  # columns, in all layers, though not seen in all
        if prefix:  # [prefix; own], a copy
            more = batch.rows * prefix * size.kv_size
            learned = self.changes.seen[layer] > 0
            k, v = (tape.new(more + y.numbers, y.live or learned) for y in (k, v))
        columns = prefix + self.length
        queries = batch.rows * size.heads * self.length
        p = self.drop["attention"]
        masked = batch.padded or prefix > 0
        before = len(tape.saved)
        with tape.part("attention"):
            groups = size.heads // size.kv_heads
            plain = self.kind == "bloom" or p > 0  # with dropout there is no fused kernel
            # with a mask, or without the kernel, each query head has keys and values of its own
            if groups > 1 and (plain or (masked and size.kv_heads > 1)):
                k, v = (tape.new(y.numbers * groups, y.live) for y in (k, v))
            if not plain:
                mask = masked * batch.rows * self.length * columns
                out = tape.fused_attention(q, k, v, queries, mask)
            else:
                if self.kind != "bloom":  # PyTorch computes in float32 what no kernel does
                    q, k, v = (tape.cast(y, FLOAT) for y in (q, k, v))
                # products of many rows need another layout than the layers left
                if batch.rows > 1:
                    q, k, v = (tape.copy(y) for y in (q, k, v))
                elif self.kind != "bloom":  # scaled first
                    q, k = tape.copy(q), tape.copy(k)
                out = tape.plain_attention(q, k, v, queries, columns, p)
                out = tape.cast(out, tape.size)
        tape.operations += self._attend(layer, queries, q, k, v)
        if prefix and len(tape.saved) > before:
            heads = k.numbers // (batch.rows * columns)
            self.prefix_bytes += 2 * batch.rows * prefix * heads * k.size
        # GPT-NeoX lays its heads out anew: what the next layer reads is a copy
        return tape.copy(out) if self.kind == "gpt_neox" else out

    def _attend(self, layer: int, queries: int, q: Tensor, k: Tensor, v: Tensor) -> int:
        """Operations of attention: for each column that a query sees, a product for its weight and
        one for its value; on the way back one for each gradient. What comes later is skipped."""
        seen = 2 * self.changes.seen[layer] + self.length + 1  # twice the columns, in the mean
        weights = q.live or k.live
        products = 2 + weights + q.live + k.live + v.live
        return self.size.head_dim * queries * seen * products

    def _queries_keys_values(self, layer: int, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        tape, size = self.tape, self.size
        widths = (size.heads * size.head_dim, size.kv_size, size.kv_size)
        if size.family.fused:
            fused = self._linear(layer, "qkv", x)
            q, k, v = (fused.view(self.tokens * width) for width in widths)
        else:
            q, k, v = (self._linear(layer, role, x) for role in "qkv")
        if self.kind == "qwen3":
            q = self._norm(layer, "q_norm", q, size.head_dim)
            k = self._norm(layer, "k_norm", k, size.head_dim)
        if self.kind == "opt":
            q = tape.scale(q)
        turned = getattr(self.config, "no_rope_layers", None)  # SmolLM3: 1 where positions enter
        if size.family.rotary and (turned is None or turned[layer]):
            q, k = self._rotate(q), self._rotate(k)
        return q, k, v

    def _rotary_share(self) -> float:
        return (getattr(self.config, "rope_parameters", None) or {}).get("partial_rotary_factor", 1)

    def _rotate(self, x: Tensor) -> Tensor:
        if x.live:
            self.tape.save(*self.rotation)
        return self.tape.new(x.numbers, x.live)

    def _head(self, x: Tensor) -> None:
        """The logits of the scored tokens only, and their loss in float32."""
        tape, size, scored = self.tape, self.size, self.batch.scored
        if size.embedding_size != size.hidden_size:
            trained = self.trained(None, "project_out", "weight")
            x = tape.linear(x, size.hidden_size, size.embedding_size, trained, False)
        if x.live:
            tape.keep(self.batch.rows * self.batch.tokens, BOOL)  # which tokens are scored
        x = tape.new(scored * size.embedding_size, x.live)
        trained = self.trained(None, "head", "weight")
        y = tape.linear(x, size.embedding_size, size.vocabulary, trained, False)
        for change in self.changes.after(None, "head"):
            y = change(tape, x, y)
        if y.live:  # log-probabilities, targets, and one number of the loss
            tape.keep(scored * size.vocabulary + 1, FLOAT)
            tape.keep(scored, INDEX)
