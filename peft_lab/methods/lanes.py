"""What tells the rows of a `Switch` apart: the choice in force, and the verbs of its members."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from torch import nn

from ..anatomy import Anatomy
from .edits import Edits
from .virtual import VirtualTokens

# The choices in force, innermost last. A context variable, as threads and asynchronous tasks that
# share a model must not choose for each other.
_chosen: ContextVar[tuple["Choice", ...]] = ContextVar("rows of a Switch", default=())


@contextmanager
def choose(names: tuple[str, ...], lanes: dict[str, "Lane"]) -> Iterator[None]:
    """Put a choice in force."""
    token = _chosen.set((*_chosen.get(), Choice(names, lanes)))
    try:
        yield
    finally:
        _chosen.reset(token)


def chosen(lanes: dict[str, "Lane"]) -> "Choice":
    """The choice in force for a Switch, which is known by its lanes.

    Raises:
        RuntimeError: none is, in this thread.
    """
    for choice in reversed(_chosen.get()):
        if choice.lanes is lanes:
            return choice
    raise RuntimeError(
        "the model carries a Switch, and no rows are chosen in this thread: write `with "
        f"switch.rows([...]):` around the call, with one of {listed(lanes)} for each row (and "
        "around backward(), where gradient checkpointing computes anew)."
    )


def in_force(model: nn.Module) -> tuple[str, ...]:
    """The names in force for a Switch that `model` carries, one a row; () where there are none."""
    carried = {*model.modules()}
    for choice in reversed(_chosen.get()):
        if choice.anatomy.model in carried:
            return choice.names
    return ()


def mixed(model: nn.Module) -> tuple[str, ...]:
    """The names in force, if they are not all one; else ()."""
    names = in_force(model)
    return names if len({*names}) > 1 else ()


def listed(names: Iterable[str]) -> str:
    return ", ".join(repr(name) for name in names)


class Lane(Edits):
    """The verbs of `Edits` for one member: what it changes, it changes in its own rows alone."""

    def __init__(self, anatomy: Anatomy, name: str, lanes: dict):
        super().__init__(anatomy)
        self.name, self._lanes = name, lanes
        self._virtual = VirtualTokens(anatomy)  # never installed: `Choice` puts them together

    def place(self, rows: int) -> tuple[torch.Tensor, int]:
        """Of a call's rows, those of this member; how far to the right its prefix stands."""
        choice = chosen(self._lanes)
        return choice.own(self.name, rows), choice.prefix_length - self.virtual.prefix_length

    def swap(self, module: nn.Module, name: str, parameter: nn.Parameter) -> None:
        raise ValueError(
            f"members: {self.name!r} ({type(self.member).__name__}) trains weights of the model's "
            "own, and those are the same for all rows: attach it alone, or take LoRA instead."
        )

    def input(self, module: nn.Module, fn) -> None:
        super().input(module, lambda x: self._change(fn, x))

    def output(self, module: nn.Module, fn, alone: bool = False) -> None:
        head = module is self.anatomy.model.get_output_embeddings()
        super().output(module, lambda x, y: self._change(fn, x, y, head=head), alone)

    def _change(self, fn, *tensors: torch.Tensor, head: bool = False) -> torch.Tensor:
        """The last of the tensors, its own rows replaced by fn(own rows of each)."""
        choice, whole = chosen(self._lanes), tensors[-1]
        index, count = choice.index[self.name], len(choice.names)
        if len(index) == count:
            return fn(*tensors)
        if not len(index):
            return whole
        if head and whole.ndim == 2:  # (scored, V)
            raise ValueError(
                f"logits_to_keep: a mask leaves no rows, and {self.name!r} changes the head in its "
                "own rows alone; give a number or indices, or leave the head out of its targets."
            )
        # k rows in the place of each name; OPT's feed-forward part makes one row, (B T, d), of all
        split = [x.unflatten(0, (count, -1)) for x in tensors]  # (names, k, T, d) or (names, kT, d)

        def flat(*own):
            return fn(*(x.flatten(0, -3) for x in own)).reshape(own[-1].shape)

        return in_rows(index, flat, *split).reshape(whole.shape)


def in_rows(index: torch.Tensor, fn, *tensors: torch.Tensor) -> torch.Tensor:
    """The last of the tensors, its rows `index` replaced by fn(these rows of each)."""
    own = [x.index_select(0, index.to(x.device)) for x in tensors]  # pick
    changed, whole = fn(*own), tensors[-1]  # change
    return whole.index_copy(0, index.to(whole.device), changed)  # put back


class Choice(VirtualTokens):
    """Which member each row uses, and the virtual tokens of such a batch: as wide as the widest
    row needs, what the others have standing at the right.

    Args:
        names: one a row.
        lanes: name -> `Lane`.
    """

    foreign = "without this method, or with other rows chosen"

    def __init__(self, names: tuple[str, ...], lanes: dict[str, Lane]):
        anatomy = next(iter(lanes.values())).anatomy
        super().__init__(anatomy)
        self.names, self.lanes = names, lanes
        device = anatomy.embedding.weight.device
        places = {name: [i for i, other in enumerate(names) if other == name] for name in lanes}
        self.index = {  # which of the names are a member's
            name: torch.tensor(own, dtype=torch.long, device=device) for name, own in places.items()
        }
        tokens = [lanes[name].virtual for name in names]
        self.prefix_length = max(one.prefix_length for one in tokens)
        self.prompt_length = max(one.prompt_length for one in tokens)
        self.prefixes = [self._prefix] if self.prefix_length else []
        self.prompts = [self._prompt] if self.prompt_length else []
        self._most = max(one.length for one in tokens)
        self.mark = (next(iter(lanes.values())).virtual.mark, names)  # its caches serve no other
        held = [
            _right(one.prefix_length, self.prefix_length)
            + _right(one.prompt_length, self.prompt_length)
            for one in tokens
        ]
        self._valid = None  # (names, n); None: no row lacks any
        if not all(map(all, held)):
            self._valid = torch.tensor(held, device=device)

    @property
    def most(self) -> int:
        return self._most

    def valid(self, rows: int) -> torch.Tensor | None:
        """Which virtual tokens each row has, (B, n); None: all.

        Raises:
            ValueError: the rows cannot be shared out evenly among the names.
        """
        count = len(self.names)
        if rows % count:
            raise ValueError(
                f"names: {count} were chosen by switch.rows, but the call has {rows} rows; choose "
                f"one for each row (a call with {count}, {2 * count}, ... rows would do)."
            )
        return None if self._valid is None else self._valid.repeat_interleave(rows // count, 0)

    def own(self, name: str, rows: int) -> torch.Tensor:
        """Which of a call's rows use a member, (own rows,): k beside each other for each name."""
        index, k = self.index[name], rows // len(self.names)
        return (k * index[:, None] + torch.arange(k, device=index.device)).flatten()

    def _prompt(self, rows: int) -> torch.Tensor:
        n, weight = self.prompt_length, self.anatomy.embedding.weight
        whole = weight.new_zeros(rows, n, weight.shape[1])  # (B, n, d)
        for name in dict.fromkeys(self.names):
            own, tokens = self.own(name, rows), self.lanes[name].virtual
            start = n - tokens.prompt_length
            for fn in tokens.prompts:
                block = fn(len(own))  # (own rows, length, d)
                whole[own, start : start + block.shape[1]] = block.to(whole)
                start += block.shape[1]
        return whole

    def _prefix(self, rows: int) -> dict[int, tuple[torch.Tensor, torch.Tensor]]:
        n, size, weight = self.prefix_length, self.anatomy.size, self.anatomy.embedding.weight
        shape = (rows, size.kv_heads, n, size.head_dim)
        whole = {i: (weight.new_zeros(shape), weight.new_zeros(shape)) for i in range(size.layers)}
        for name in dict.fromkeys(self.names):
            own, tokens = self.own(name, rows), self.lanes[name].virtual
            start = n - tokens.prefix_length
            for fn in tokens.prefixes:
                for layer, pair in fn(len(own)).items():
                    stop = start + pair[0].shape[2]
                    for there, block in zip(whole[layer], pair, strict=True):
                        there[own, :, start:stop] = block.to(there)  # (own rows, H_kv, length, ...)
                start = stop
        return whole


def _right(held: int, room: int) -> list[bool]:
    """`held` virtual tokens at the right of `room` columns, as generate() pads texts."""
    return [False] * (room - held) + [True] * held


class Entrance(VirtualTokens):
    """The hook pair on the model: each call goes by the choice in force."""

    def __init__(self, anatomy: Anatomy, lanes: dict[str, Lane]):
        super().__init__(anatomy)
        self._lanes = lanes

    def _before(self, *call):
        return chosen(self._lanes)._before(*call)

    def _after(self, *call):
        return chosen(self._lanes)._after(*call)
