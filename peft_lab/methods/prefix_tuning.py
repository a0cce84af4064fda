"""Prefix tuning: n learned keys and values in every layer (Li & Liang 2021)."""

import math
from collections.abc import Iterable

import torch
from torch import nn

from ..anatomy import Anatomy, dimensions
from .arguments import check_count, check_init, check_seed
from .base import Edits, Method, at_least_float32, seeded
from .prompt_tuning import token_ids
from .virtual import spoken


class PrefixTuning(Method):
    """In each layer, attention runs over [P_k; K] and [P_v; V] with learned P, the keys as they are
    after rotation (Li & Liang 2021, section 4). Trained: n x layers x 2 x kv_heads x head_dim.

    Args:
        length: n.
        init: where keys and values start:
            "random": normal, with the spread that each layer's own have on random tokens;
            "zero": not the identity: attention is scaled by Z / (Z + n), Z its softmax sum;
            "text": what the base computes for `text` (repeated or cut to length; `tokenizer`);
            a learned `PromptTuning` or `PTuning` (detached): what the base computes for its
            vectors, so that the prefix starts by saying exactly what the prompt says;
            or a tensor (n, layers, 2, H_kv, head_dim), index 0 of the 2 being the key.
        layers: which have a prefix; None: all. The others do not see it, though real tokens stand
            at positions n, n+1, ... in all. () is the base itself, bit by bit.
        mlp: width h of the MLP that makes keys and values from n x d_kv numbers while training
            (section 4.3: P = MLP(P')), until `drop_mlp`. None: they are trained directly.
        trainable: which of these layers are trained; None: all. The rest stay at their start.
        seed: for what is random.

    Raises:
        ValueError: an impossible length, init or layer; an MLP with another init or trainable=...
    """

    INITS = {"random": (), "zero": (), "text": ("text", "tokenizer")}

    def __init__(
        self,
        length: int,
        init: str | torch.Tensor | Method = "random",
        layers: Iterable[int] | None = None,
        mlp: int | None = None,
        trainable: Iterable[int] | None = None,
        text: str | None = None,
        tokenizer=None,
        seed: int = 0,
    ):
        super().__init__()
        self.length, self.seed = check_count("length", length), check_seed(seed)
        self.layers = None if layers is None else sorted(set(layers))
        self.trainable = None if trainable is None else sorted(set(trainable))
        self.hidden = None if mlp is None else check_count("mlp", mlp)
        self.text, self.tokenizer = text, tokenizer
        self.init = (init,)  # in a tuple: a PromptTuning must not become a part of this module
        check_init(self, init, Method)
        if isinstance(init, Method) and not (hasattr(init, "vectors") and init.length == length):
            raise ValueError(f"init must be a prompt of length {length}, not {init!r}.")
        if mlp is not None and (init != "random" or trainable is not None):
            raise ValueError('mlp=... goes with init="random" and without trainable=...')

    @classmethod
    def from_prompt(cls, model: nn.Module, prompt: Method, **options) -> "PrefixTuning":
        """A prefix attached to `model` that says what the learned (detached) prompt says."""
        return cls(prompt.length, init=prompt, **options).attach(model)

    def build(self, anatomy: Anatomy) -> None:
        self._layers, free = self._places(anatomy.layers)
        self.shape = (self.length, len(self._layers), 2, anatomy.kv_heads, anatomy.head_dim)
        if self.hidden is not None:
            d, h, outputs = anatomy.kv_size, self.hidden, math.prod(self.shape[1:])
            with seeded(self.seed):
                self.embeddings = nn.Parameter(torch.randn(self.length, d))  # (n, d_kv)
                self.mlp = nn.Sequential(nn.Linear(d, h), nn.Tanh(), nn.Linear(h, outputs))
            self.to(at_least_float32(anatomy.embedding.weight).dtype)
            return
        start = at_least_float32(self._start(anatomy))  # (n, layers, 2, H_kv, head_dim)
        free = [self._layers.index(layer) for layer in free]
        kept = [i for i in range(len(self._layers)) if i not in free]
        self._order = [(free + kept).index(i) for i in range(len(self._layers))]
        self.prefix = nn.Parameter(start[:, free])  # (n, trained layers, 2, H_kv, head_dim)
        self.register_buffer("fixed", start[:, kept])

    def _places(self, depth: int) -> tuple[list[int], list[int]]:
        """Layers with a prefix, and those of them that are trained."""
        layers = [*range(depth)] if self.layers is None else self.layers
        free = layers if self.trainable is None else self.trainable
        for name, chosen, there in (("layers", layers, range(depth)), ("trainable", free, layers)):
            if not set(chosen) <= set(there):
                raise ValueError(f"{name}: {chosen} are not all among the layers {[*there]}.")
        return layers, free

    def _start(self, anatomy: Anatomy) -> torch.Tensor:
        weight, (init,) = anatomy.embedding.weight.detach(), self.init
        if isinstance(init, torch.Tensor):
            if init.shape != self.shape:
                raise ValueError(f"init must be {self.shape}, not {tuple(init.shape)}.")
            return init.detach().to(weight.device)
        if init == "zero" or not self._layers:
            return weight.new_zeros(self.shape)
        generator = torch.Generator().manual_seed(self.seed)
        vectors = weight[torch.randint(len(weight), (self.length,), generator=generator)]  # (n, d)
        if init == "text":
            vectors = weight[token_ids(self.tokenizer, self.text, self.length)]
        elif isinstance(init, Method):
            init.check_base(anatomy)
            init._prepare(anatomy)
            vectors = init.vectors()
        own = spoken(anatomy, vectors)[:, self._layers]  # (n, layers, 2, H_kv, head_dim)
        if init == "random":
            spread = own.std((0, 3, 4), correction=0, keepdim=True)  # (1, layers, 2, 1, 1)
            own = torch.randn(self.shape, generator=generator).to(own) * spread
        return own

    def stacked(self) -> torch.Tensor:
        """All keys and values, (n, layers, 2, H_kv, head_dim); index 0 of the 2 is the key."""
        self.check_made()
        if self.hidden is not None:
            return self.mlp(self.embeddings).view(self.shape)
        if not self.fixed.numel():  # all are trained, in their order
            return self.prefix
        return torch.cat([self.prefix, self.fixed], 1)[:, self._order]

    def keys_values(self, layer: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Keys and values of a layer of the model, each (H_kv, n, head_dim)."""
        self.check_made()
        if layer not in self._layers:
            raise ValueError(f"layer: {layer} has no prefix, only {self._layers} have.")
        pair = self.stacked()[:, self._layers.index(layer)]  # (n, 2, H_kv, head_dim)
        return pair[:, 0].transpose(0, 1), pair[:, 1].transpose(0, 1)

    def drop_mlp(self) -> None:
        """Keep the keys and values, let the MLP go: the same outputs bit by bit, fewer numbers."""
        if self.hidden is None:
            raise RuntimeError("there is no MLP to drop: the method was made without mlp=...")
        self.prefix = nn.Parameter(self.stacked().detach().clone())
        self.register_buffer("fixed", self.prefix.detach()[:, :0])
        self._order = list(range(len(self._layers)))
        del self.embeddings, self.mlp
        self.hidden = None

    def edit(self, anatomy: Anatomy, edits: Edits) -> None:
        def pairs(rows: int) -> dict[int, tuple[torch.Tensor, torch.Tensor]]:
            stacked = self.stacked().permute(1, 2, 3, 0, 4)  # (layers, 2, H_kv, n, head_dim)
            stacked = stacked[:, :, None].expand(-1, -1, rows, -1, -1, -1)  # (layers, 2, B, ...)
            return {layer: (kv[0], kv[1]) for layer, kv in zip(self._layers, stacked, strict=True)}

        edits.prefix(pairs, self.length, self._layers)

    def expected_parameters(self, config) -> int:
        size = dimensions(config)
        layers, free = self._places(size.layers)
        if self.hidden is None:
            return self.length * len(free) * 2 * size.kv_size
        outputs = len(layers) * 2 * size.kv_size
        return (self.length + self.hidden) * size.kv_size + self.hidden * (1 + outputs) + outputs

    def settings(self) -> dict:
        start = "random" if self.hidden else "zero"  # the cheapest: it will be overwritten
        told = {"length": self.length, "init": start, "layers": self.layers}
        return {**told, "mlp": self.hidden, "trainable": self.trainable}
