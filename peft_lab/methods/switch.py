"""Switch: one batch, one method a row, "this or that"."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Self

import torch
from torch import nn

from ..anatomy import Anatomy
from .base import Edits, Method
from .compose import Members, check_members, described, made
from .virtual import VirtualTokens

# The choices in force, innermost last. A context variable, as threads and asynchronous tasks that
# share a model must not choose for each other.
_chosen: ContextVar[tuple["_Choice", ...]] = ContextVar("rows of a Switch", default=())


class Switch(Members):
    """Each row of a batch uses the member that it names, and equals the row alone with that
    member attached.

        switch = Switch({"poems": prefix, "moods": prompt, "code": lora, "plain": None})
        switch.attach(model)
        with switch.rows(["poems", "moods", "moods", "plain"]):
            model.generate(**batch_of_4)

    A member computes its own rows only. A row with fewer virtual tokens than another gets columns
    in their place that are masked out and take no position, as padding does. Training works too:
    gradients reach the members that rows have chosen.

    Args:
        members: name -> method, trained or new, none of them attached; None for the base itself.

    Raises:
        TypeError: a member is no method; a name is no text.
        ValueError: no members, one given twice, a Switch among them, or a name that cannot be one;
            on attach, a member that trains the base's own weights, which all rows share.
        RuntimeError: the model is called without a choice of rows.
    """

    def __init__(self, members: Mapping[str, Method | None]):
        super().__init__()
        if not isinstance(members, Mapping):
            raise TypeError(f"members must be a dict, name -> method, not {members!r}.")
        if not members:
            raise ValueError("members is empty: give at least one name and its method.")
        check_members([member for member in members.values() if member is not None])
        for name, member in members.items():
            if not isinstance(name, str):
                raise TypeError(f"members: a name must be a text, not {name!r}.")
            if isinstance(member, Switch):
                raise ValueError(f"members: {name!r} is a Switch; give its members instead.")
        self.members = nn.ModuleDict()
        for name, member in members.items():
            try:
                self.members.add_module(name, member)
            except KeyError as error:  # empty, with a dot, or what nn.ModuleDict calls its own
                raise ValueError(f"members: {name!r} cannot be a name, {error.args[0]}") from error
        self._lanes: dict[str, _Lane] = {}  # while attached

    def __getstate__(self) -> dict:
        return {**super().__getstate__(), "_lanes": {}}

    def edit(self, anatomy: Anatomy, edits: Edits) -> None:
        lanes: dict[str, _Lane] = {}
        for name, member in self.members.items():
            lanes[name] = lane = _Lane(anatomy, name, lanes)
            edits.callback(lane.close)
            if member is not None:
                lane.member = member
                member.edit(anatomy, lane)
        for handle in _Entrance(anatomy, lanes).install():
            edits.callback(handle.remove)
        self._lanes = lanes
        edits.callback(setattr, self, "_lanes", {})

    @contextmanager
    def rows(self, names: Iterable[str]) -> Iterator[Self]:
        """Within this, row i of a batch uses the member `names[i]`. With beams or several texts a
        row, generate() makes rows of its own beside each other: they follow. In other threads it
        does not hold; nested, the inner choice does.

        Args:
            names: one a row of the batch, or of a batch that has k rows in the place of each.

        Raises:
            RuntimeError: it is not attached.
            TypeError: one text, not a list of texts.
            ValueError: no names, or one that no member has.
        """
        if isinstance(names, str):
            raise TypeError(f"names must be a list with one name a row, not a text: [{names!r}].")
        names = tuple(names)
        unknown = [name for name in names if name not in self.members]
        if unknown or not names:
            told = f"{unknown[0]!r} is no member" if unknown else "empty, give one for each row"
            raise ValueError(f"names: {told}; there are {_listed(self.members)}.")
        if not self._lanes:
            raise RuntimeError("Switch is not attached: attach(model) first, then choose rows.")
        token = _chosen.set((*_chosen.get(), _Choice(names, self._lanes)))
        try:
            yield self
        finally:
            _chosen.reset(token)

    def virtual_length(self, model: nn.Module) -> int:
        """How many columns of virtual tokens `model` sees by the choice in force."""
        super().virtual_length(model)
        return _choice(self._lanes).length

    def _merge(self, anatomy: Anatomy, edits: Edits) -> None:
        raise RuntimeError(
            "Switch cannot be merged: its rows differ, and the weights are the same for all of "
            "them. Attach one member alone, and merge() that."
        )

    def settings(self) -> dict:
        items = self.members.items()
        return {"members": {name: member and described(member) for name, member in items}}

    def _record(self) -> dict:
        told = {name: member._record() for name, member in self._parts()}
        return {**super()._record(), "members": told}

    @classmethod
    def from_settings(cls, settings: dict) -> "Switch":
        return cls({name: told and made(told) for name, told in settings["members"].items()})

    def __repr__(self) -> str:
        inside = "".join(f"\n  {name!r}: {member!r}" for name, member in self.members.items())
        return f"Switch: {self.trainable_summary()}{inside}"


def _listed(names: Iterable[str]) -> str:
    return ", ".join(repr(name) for name in names)


def _choice(lanes: dict) -> "_Choice":
    """The choice in force for a Switch, which is known by its lanes."""
    for choice in reversed(_chosen.get()):
        if choice.lanes is lanes:
            return choice
    raise RuntimeError(
        "the model carries a Switch, and no rows are chosen in this thread: write `with "
        f"switch.rows([...]):` around the call, with one of {_listed(lanes)} for each row (and "
        "around backward(), where gradient checkpointing computes anew)."
    )


class _Lane(Edits):
    """The verbs of `Edits` for one member: what it changes, it changes in its own rows alone."""

    def __init__(self, anatomy: Anatomy, name: str, lanes: dict):
        super().__init__(anatomy)
        self.name, self._lanes = name, lanes
        self._virtual = VirtualTokens(anatomy)  # never installed: `_Choice` puts them together

    def place(self, rows: int) -> tuple[torch.Tensor, int]:
        """Of a call's rows, those of this member; how far to the right its prefix stands."""
        choice = _choice(self._lanes)
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

        def change(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
            if head and y.ndim == 2:  # (scored, V)
                raise ValueError(
                    f"logits_to_keep: a mask leaves no rows, and {self.name!r} changes the head in "
                    "its own rows alone; give a number or indices, or leave the head out."
                )
            return self._change(fn, x, y)

        super().output(module, change, alone)

    def _change(self, fn, *tensors: torch.Tensor) -> torch.Tensor:
        """The last of the tensors, its own rows replaced by fn(own rows of each)."""
        choice, whole = _choice(self._lanes), tensors[-1]
        index, count = choice.index[self.name], len(choice.names)
        if len(index) == count:
            return fn(*tensors)
        if not len(index):
            return whole
        # k rows in the place of each name; (B T, d) of OPT's feed-forward part is split as well
        split = [x.unflatten(0, (count, -1)) for x in tensors]  # (names, k, T, d) or (names, kT, d)
        parts = [x.index_select(0, index.to(x.device)) for x in split]
        own = [x.flatten(0, -3) for x in parts]  # (own rows, T, d)
        changed = fn(*own)
        if changed is own[-1]:
            return whole
        changed = changed.view_as(parts[-1])
        return split[-1].index_copy(0, index.to(whole.device), changed).view_as(whole)


class _Choice(VirtualTokens):
    """Which member each row uses, and the virtual tokens of such a batch: as wide as the widest
    row needs, what the others have standing at the right.

    Args:
        names: one a row.
        lanes: name -> `_Lane`.
    """

    def __init__(self, names: tuple[str, ...], lanes: dict[str, _Lane]):
        anatomy = next(iter(lanes.values())).anatomy
        super().__init__(anatomy)
        self.names, self.lanes = names, lanes
        device = anatomy.embedding.weight.device
        self.index = {
            name: torch.tensor(
                [i for i, chosen in enumerate(names) if chosen == name],
                dtype=torch.long,
                device=device,
            )
            for name in lanes
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


class _Entrance(VirtualTokens):
    """The hook pair on the model: each call goes by the choice in force."""

    def __init__(self, anatomy: Anatomy, lanes: dict[str, _Lane]):
        super().__init__(anatomy)
        self._lanes = lanes

    def _before(self, *call):
        return _choice(self._lanes)._before(*call)

    def _after(self, *call):
        return _choice(self._lanes)._after(*call)
