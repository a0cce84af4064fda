"""Virtual tokens: the one place where they enter a model and where their traces are removed.

Two hooks on the decoder body, shared by all members of a composition. The one before extends
the input; the one after cuts the output back to the T tokens of the caller, so that logits,
labels and losses need no handling. One pair, not one a method: a prefix fills the cache, and a
prompt with hooks of its own would then believe that it is decoding, and stay away.

Layout of the columns that attention sees, and positions, for n virtual tokens:

    [ prefixes | prompts | padding, if any | tokens ]     positions 0 ... n-1 | n, n+1, ...

Positions are counted from the mask, so padding takes none, and a padded row equals the row
alone. In a layer without prefix the columns are there too (transformers builds one mask for all
layers), but a hook on its attention shuts them: weight exactly 0. Columns that no layer sees,
`layers=()`, do not exist: nothing is inserted and no position is taken. Where rows have different
numbers of virtual tokens (`Switch`), those that a row lacks are padding too.
"""

import inspect
import itertools
import threading

import torch
from torch import nn

from ..anatomy import Anatomy
from ..models import mode

_serial = itertools.count(1)
# From transformers 5.24 on; before; and in the blocks of GPT-NeoX before.
CACHE_NAMES = ("cache", "past_key_values", "layer_past")


def cache_name(names) -> str:
    """What the cache is called among these names of arguments."""
    return next((name for name in CACHE_NAMES if name in names), CACHE_NAMES[0])


class VirtualTokens:
    """The hook pair of one attached method.

    Args:
        anatomy: the model's `Anatomy`.

    Prompts and prefixes are added by `Edits.prepend` and `Edits.prefix`; `install` returns the
    handles of the hooks. Nothing is remembered from one forward pass to the next, and threads may
    run the model side by side.
    """

    foreign = "without this method"  # how a cache that is not ours was made

    def __init__(self, anatomy: Anatomy):
        self.anatomy = anatomy
        self.prompts, self.prefixes = [], []  # functions: rows -> tensors
        self.prompt_length = self.prefix_length = 0
        self.mark = f"virtual tokens {next(_serial)}"  # tells our caches from others
        self._signature = inspect.signature(anatomy.body.forward)
        self._cache = cache_name(self._signature.parameters)
        self._calls: dict[int, tuple[bool, int]] = {}  # thread -> what `_after` is to do

    @property
    def length(self) -> int:
        """n, columns of virtual tokens of both kinds."""
        return self.prefix_length + self.prompt_length

    @property
    def most(self) -> int:
        """Virtual tokens of the row that has most."""
        return self.length

    def valid(self, rows: int) -> torch.Tensor | None:
        """Which of the n columns each row really has, (B, n); None: all. A `Switch` tells."""
        return None

    def __deepcopy__(self, memo):
        raise RuntimeError(
            "the model carries virtual tokens, and those of a copy would be the original's: "
            "detach() before copying the model."
        )

    def install(self):
        body = self.anatomy.body
        return (
            body.register_forward_pre_hook(self._before, with_kwargs=True),
            body.register_forward_hook(self._after),
        )

    def _before(self, body: nn.Module, args: tuple, kwargs: dict) -> tuple[tuple, dict]:
        call = self._named(args, kwargs)
        ids, embeds = call.get("input_ids"), call.get("inputs_embeds")
        tokens = ids if embeds is None else embeds
        rows, T = tokens.shape[:2]
        valid = self.valid(rows)  # (B, n), or None: all
        cache, positions = call.get(self._cache), call.get("position_ids")
        seen = self._check_cache(cache)  # columns in the cache, virtual ones among them
        past = seen - self.length if seen else 0  # real tokens in the cache
        mask = call.get("attention_mask")  # (B, past+T), or None: all are real
        self._check_mask(mask, past, T, positions)
        self._check_room(past + T)

        if positions is None:
            positions = torch.arange(past, past + T, device=tokens.device)[None]  # (1, T)
            if mask is not None:  # padding takes no position
                counted = mask.long().cumsum(1)[:, -T:] - 1  # (B, T)
                # padding on the right needs none of its own: one row of positions serves all
                if ((counted != positions) & mask[:, -T:].bool()).any():
                    positions = counted
        if valid is None:
            positions = positions + self.length  # (B or 1, T)
        else:
            positions = (positions + valid.sum(1, keepdim=True)).clamp_min(0)  # (B, T)
            mask = valid.long().new_ones(rows, past + T) if mask is None else mask
        if mask is not None:
            virtual = mask.new_ones(rows, self.length) if valid is None else valid.to(mask)
            mask = torch.cat([virtual, mask], 1)  # (B, n+past+T)
            self._check_window(mask)
        # generate() adopts any cache that it finds in an output: return none that nobody asked for
        asked = call.get("use_cache")
        asked = getattr(body.config, "use_cache", True) if asked is None else asked
        keep_cache, trim = bool(asked or cache is not None), 0
        if not seen:
            if keep_cache or self.prefixes:
                call[self._cache] = self._begin(cache, rows)
            if self.prompts:
                embeds = self.anatomy.embedding(ids) if embeds is None else embeds  # (B, T, d)
                prompts = [fn(rows).to(embeds) for fn in self.prompts]
                call["input_ids"], call["inputs_embeds"] = None, torch.cat([*prompts, embeds], 1)
                own = torch.arange(self.length, device=positions.device)[None]  # (1, n)
                if valid is not None:
                    own = (valid.cumsum(1) - 1).clamp_min(0)  # (B, n)
                own = own[:, self.prefix_length :].expand(len(positions), -1)
                positions = torch.cat([own, positions], 1)
                trim = self.prompt_length
        self._calls[threading.get_ident()] = keep_cache, trim
        call["attention_mask"] = mask
        call.pop("cache_position", None)  # of early transformers 5: the body counts them itself
        call["return_dict"] = True  # `_after` needs names; the head makes its tuple from them
        if "position_ids" in self._signature.parameters:  # BLOOM counts them itself, from the mask
            call["position_ids"] = positions
        return (), call

    def _after(self, body: nn.Module, args: tuple, output):
        keep_cache, trim = self._calls.pop(threading.get_ident())
        if trim:
            output.last_hidden_state = output.last_hidden_state[:, trim:]  # (B, T, d)
            if output.get("hidden_states") is not None:
                output.hidden_states = tuple(
                    state if state is None else state[:, trim:] for state in output.hidden_states
                )
            if output.get("attentions") is not None:  # rows of the T tokens, over all n+T columns
                output.attentions = tuple(weights[:, :, trim:] for weights in output.attentions)
        if not keep_cache:
            setattr(output, self._cache, None)
        return output

    def _named(self, args: tuple, kwargs: dict) -> dict:
        """All arguments by name: GPT-2 hands over its input_ids by position."""
        call = dict(self._signature.bind_partial(*args, **kwargs).arguments)
        for name, parameter in self._signature.parameters.items():
            if parameter.kind is parameter.VAR_KEYWORD:
                call.update(call.pop(name, {}))
        for name in CACHE_NAMES:  # the old name is still taken where the new one is in force
            if name != self._cache and call.get(name) is not None:
                call[self._cache] = call[name]
            if name != self._cache:
                call.pop(name, None)
        return call

    def _begin(self, cache, rows: int):
        """A cache that begins with the keys and values of all prefixes, in their order."""
        from transformers import DynamicCache

        cache = DynamicCache(config=self.anatomy.body.config) if cache is None else cache
        cache.virtual_tokens = self.mark
        dtype = self.anatomy.embedding.weight.dtype
        for prefix in self.prefixes:
            for block in self.anatomy.blocks:
                if block.training and getattr(block, "gradient_checkpointing", False):
                    raise RuntimeError(
                        "a prefix lives in the cache, which gradient checkpointing throws away: "
                        "call model.gradient_checkpointing_disable(), or use PromptTuning."
                    )
            pairs = prefix(rows)
            blank = torch.zeros_like(next(iter(pairs.values()))[0])  # where it is shut
            for layer in range(self.anatomy.layers):
                device = next(self.anatomy.attention(layer).parameters()).device
                pair = pairs.get(layer, (blank, blank))  # (B, H_kv, n, head_dim) each
                cache.update(*(tensor.to(device, dtype) for tensor in pair), layer)
        return cache

    def _check_cache(self, cache) -> int:
        from transformers import DynamicCache

        if cache is None:
            return 0
        if not isinstance(cache, DynamicCache):
            raise ValueError(
                f"past_key_values is a {type(cache).__name__}, without room for virtual tokens: "
                "use a DynamicCache (generate() makes one unless told a cache_implementation)."
            )
        seen = cache.get_seq_length()
        if seen and getattr(cache, "virtual_tokens", None) != self.mark:
            raise ValueError(
                f"past_key_values holds {seen} tokens seen {self.foreign}, so its "
                f"{self.length} virtual tokens are not among them: begin with an empty cache."
            )
        return seen

    def _check_mask(self, mask, past: int, T: int, positions) -> None:
        if mask is None:
            if past and positions is not None and int(positions[0, 0]) != past:
                self._refuse_cache(past, T, int(positions[0, 0]) + T)
        elif not isinstance(mask, torch.Tensor) or mask.ndim != 2:
            raise ValueError(
                "attention_mask must be of shape (batch, tokens), so that columns for virtual "
                f"tokens can be added; given: {getattr(mask, 'shape', type(mask).__name__)}."
            )
        elif mask.shape[1] != past + T:
            self._refuse_cache(past, T, mask.shape[1])

    def _refuse_cache(self, past: int, T: int, told: int):
        raise ValueError(
            f"past_key_values holds {past} tokens beside {self.length} virtual ones and {T} more "
            f"came, but attention_mask or position_ids speak of {told}. generate() counts virtual "
            "tokens as yours when it is given a used cache: hand it all tokens and no cache."
        )

    def _check_window(self, mask: torch.Tensor) -> None:
        """A sliding window is counted in columns: empty ones between a row's virtual tokens and
        its text would push the former out of it earlier than in the row alone."""
        window = getattr(self.anatomy.body.config, "sliding_window", None)
        if not window or mask.shape[1] <= window:
            return
        before, behind = (side.cumsum(1) > 0 for side in (mask.long(), mask.long().flip(1)))
        if (before & behind.flip(1) & (mask == 0)).any():
            raise ValueError(
                f"attention_mask: {mask.shape[1]} columns are more than the model's sliding window "
                f"of {window}, and in some row empty ones (padding at the left, or virtual tokens "
                "of other rows) stand between its virtual tokens and its text: pad at the right, "
                "or take rows of one length and one kind."
            )

    def _check_room(self, tokens: int) -> None:
        context = self.anatomy.context
        if context is not None and self.most + tokens > context:
            raise ValueError(
                f"{self.most} virtual and {tokens} real tokens make {self.most + tokens}, but "
                f"the model's context is {context}: shorten the input or the method's length."
            )


def shut(columns: slice, layer: int, place=None):
    """A pre-hook for the attention of a layer without this prefix: it must not look there.

    Args:
        columns: of the virtual tokens that the layer must not see.
        layer: its index, to ask the cache how many columns there are.
        place: number of rows B -> (indices of the rows that this concerns, how much further right
            their columns stand); None: all rows, and where `columns` says.
    """

    def hook(attention: nn.Module, args: tuple, kwargs: dict) -> tuple[tuple, dict]:
        x = args[0] if args else kwargs["hidden_states"]  # (B, T, d)
        mask = kwargs.get("attention_mask")
        if mask is not None and mask.ndim != 4:
            raise ValueError(
                "a prefix in some layers only needs attention masks a layer: load the model with "
                "attn_implementation='sdpa' or 'eager'."
            )
        rows, shift = slice(None), 0
        if place is not None:
            rows, shift = place(len(x))
            if not len(rows):
                return args, kwargs
        cache = kwargs[cache_name(kwargs)]
        seen = cache.get_seq_length(layer) + x.shape[1]
        if mask is None:  # everything may be seen: one new token, no padding
            mask = torch.ones(1, 1, x.shape[1], seen, dtype=torch.bool, device=x.device)
        if place is not None:
            mask = mask.expand(len(x), -1, -1, -1)
        mask = mask.clone()  # (B, 1, T, n+T), shared by all layers
        gone = max(0, seen - mask.shape[-1])  # columns that a sliding window has left behind
        start, stop = (max(0, end + shift - gone) for end in (columns.start, columns.stop))
        mask[rows, ..., start:stop] = (
            False if mask.dtype == torch.bool else torch.finfo(mask.dtype).min
        )
        return args, {**kwargs, "attention_mask": mask}

    return hook


def spoken(anatomy: Anatomy, vectors: torch.Tensor) -> torch.Tensor:
    """What a base makes of n input vectors at positions 0 ... n-1: its keys (after rotation) and
    values in every layer, (n, L, 2, H_kv, head_dim). They depend on nothing that comes later."""
    from transformers import DynamicCache

    cache = DynamicCache()
    inputs = vectors.detach().to(anatomy.embedding.weight)[None]  # (1, n, d)
    with mode(False, anatomy.model), torch.no_grad():
        name = cache_name(inspect.signature(anatomy.body.forward).parameters)  # it was renamed
        anatomy.body(inputs_embeds=inputs, use_cache=True, **{name: cache})
    pairs = [torch.stack([layer.keys[0], layer.values[0]]) for layer in cache.layers]
    return torch.stack(pairs).permute(3, 0, 1, 2, 4)  # from (L, 2, H_kv, n, head_dim)
