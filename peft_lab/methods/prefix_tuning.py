"""Prefix tuning: n learned keys and values in every layer (Li & Liang 2021)."""

from collections.abc import Iterable

import torch
from torch import nn

from ..anatomy import Anatomy, dimensions
from .base import Edits, Method, at_least_float32, check_count, seeded
from .prompt_tuning import token_ids
from .virtual import spoken


class PrefixTuning(Method):
    """In each layer, attention runs over [P_k; K] and [P_v; V] with learned P (Li & Liang 2021,
    section 4; He et al. 2022, equation 5). Keys are learned as they are after rotation.
    Trained: n x layers x 2 x kv_heads x head_dim numbers.

    Args:
        length: n.
        init: where keys and values start.
            "random": normal, each layer's with the spread that its own have on random tokens;
            "zero": not the identity: attention is scaled by Z / (Z + n), Z its softmax sum;
            "text": those that the base computes for `text` (repeated or cut to length);
            a `PromptTuning` or `PTuning` made on this base: those of its vectors, so that the
            prefix starts by saying exactly what the prompt says;
            or a tensor (n, layers, 2, H_kv, head_dim), index 0 of the 2 being the key.
        layers: which layers have a prefix; None means all. The others do not see it; real tokens
            stand at positions n, n+1, ... for all. () is the base itself, bit by bit.
        trainable: of these layers, those that are trained (None: all). The rest stay at the start.
        mlp: width h of the MLP that makes keys and values from n x d_kv numbers while training
            (section 4.3: P = MLP(P')). None: they are trained directly. See `drop_mlp`.
        text, tokenizer: for init="text".
        seed: for what is random.

    Raises:
        ValueError: length below 1 or not below the context, unknown init, layers that the model
            does not have, trainable ones without a prefix, an MLP with an init other than random.
    """

    INITS = ("random", "zero", "text")

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
        self.length, self.seed = check_count("length", length), seed
        self.layers = None if layers is None else sorted(set(layers))
        self.trainable = None if trainable is None else sorted(set(trainable))
        self.hidden = None if mlp is None else check_count("mlp", mlp)
        self.text, self.tokenizer = text, tokenizer
        self.init = (init,)  # in a tuple: a PromptTuning must not become a part of this module
        if isinstance(init, str) and init not in self.INITS:
            raise ValueError(f"init must be one of {self.INITS}, a PromptTuning or a tensor.")
        if isinstance(init, Method):
            if not hasattr(init, "vectors") or init.length != length or init.attached:
                raise ValueError(
                    f"init must be a detached prompt of length {length}, not {init!r}."
                )
        elif isinstance(init, str) and init == "text" and (not text or tokenizer is None):
            raise ValueError('init="text" needs text=... and tokenizer=...')
        if mlp is not None and (init != "random" or trainable is not None):
            raise ValueError('mlp=... goes with init="random" and without trainable=...')

    @classmethod
    def from_prompt(cls, model: nn.Module, prompt: Method, **options) -> "PrefixTuning":
        """A prefix attached to `model` that says what the learned prompt (detached) says."""
        return cls(prompt.length, init=prompt, **options).attach(model)

    def build(self, anatomy: Anatomy) -> None:
        layers, free = self._places(anatomy.layers)
        self._layers = layers
        self.shape = (self.length, len(layers), 2, anatomy.kv_heads, anatomy.head_dim)
        dtype = at_least_float32(anatomy.embedding.weight).dtype
        if self.hidden is not None:
            d, outputs = anatomy.size.kv_size, self.shape[1] * 2 * anatomy.size.kv_size
            with seeded(self.seed):
                self.embeddings = nn.Parameter(torch.randn(self.length, d))  # (n, d_kv)
                self.mlp = nn.Sequential(
                    nn.Linear(d, self.hidden), nn.Tanh(), nn.Linear(self.hidden, outputs)
                )
            self.to(dtype)
            return
        start = self._start(anatomy, layers).to(dtype)  # (n, layers, 2, H_kv, head_dim)
        free = [layers.index(layer) for layer in free]
        kept = [i for i in range(len(layers)) if i not in free]
        self.prefix = nn.Parameter(start[:, free])  # (n, trained layers, 2, H_kv, head_dim)
        self.register_buffer("fixed", start[:, kept])
        self._order = [(free + kept).index(i) for i in range(len(layers))]

    def _places(self, depth: int) -> tuple[list[int], list[int]]:
        """Layers with a prefix, and those of them that are trained."""
        layers = list(range(depth)) if self.layers is None else self.layers
        free = layers if self.trainable is None else self.trainable
        if not set(layers) <= set(range(depth)):
            raise ValueError(f"layers: {layers}, but the model has layers 0 to {depth - 1}.")
        if not set(free) <= set(layers):
            raise ValueError(f"trainable: {free} are not all among the layers {layers}.")
        return layers, free

    def _start(self, anatomy: Anatomy, layers: list[int]) -> torch.Tensor:
        weight, (init,) = anatomy.embedding.weight.detach(), self.init
        generator = torch.Generator().manual_seed(self.seed)
        if isinstance(init, torch.Tensor):
            if init.shape != self.shape:
                raise ValueError(f"init must be {self.shape}, not {tuple(init.shape)}.")
            return init.detach().to(weight.device)
        if isinstance(init, Method):
            init.check_base(anatomy.model)
            init._prepare(anatomy)
            return spoken(anatomy, init.vectors())[:, layers]
        if init == "zero":
            return weight.new_zeros(self.shape)
        if init == "text":
            return spoken(anatomy, weight[token_ids(self.tokenizer, self.text, self.length)])[
                :, layers
            ]
        ids = torch.randint(len(weight), (self.length,), generator=generator).to(weight.device)
        own = spoken(anatomy, weight[ids])[:, layers]  # (n, layers, 2, H_kv, head_dim)
        spread = own.std(dim=(0, 3, 4), correction=0, keepdim=True)  # (1, layers, 2, 1, 1)
        return torch.randn(self.shape, generator=generator).to(own) * spread

    def stacked(self) -> torch.Tensor:
        """All keys and values, (n, layers, 2, H_kv, head_dim); index 0 of the 2 is the key."""
        if self.hidden is not None:
            return self.mlp(self.embeddings).view(self.shape)
        return torch.cat([self.prefix, self.fixed], 1)[:, self._order]

    def keys_values(self, layer: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Keys and values of a layer of the model, each (H_kv, n, head_dim)."""
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
        self._order = list(range(self.shape[1]))
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
        return {
            "length": self.length,
            "layers": self.layers,
            "mlp": self.hidden,
            "trainable": self.trainable,
        }

    @classmethod
    def from_settings(cls, settings: dict) -> "PrefixTuning":
        return cls(**settings, init="random" if settings["mlp"] else "zero")  # soon overwritten
