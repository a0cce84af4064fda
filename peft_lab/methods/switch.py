"""Switch: one batch, one method a row, "this or that"."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Self

from torch import nn

from ..anatomy import Anatomy
from .base import Edits, Method
from .compose import Members, check_members, described, made
from .lanes import Entrance, Lane, choose, chosen, in_force, listed, mixed


class Switch(Members):
    """Each row of a batch uses the member that it names, and equals the row alone with that
    member attached.

        switch = Switch({"poems": prefix, "moods": prompt, "code": lora, "plain": None})
        switch.attach(model)
        with switch.rows(["poems", "moods", "moods", "plain"]):
            model.generate(**batch_of_4)

    A member computes its own rows only. A row with fewer virtual tokens than another gets columns
    in their place that are masked out and take no position, as padding does. Training works too:
    gradients reach the members that rows have chosen, as in

        with switch.rows(["poems"]):  # one name: all rows, however many
            fit(model, task, switch)

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
        self._lanes: dict[str, Lane] = {}  # while attached

    def __getstate__(self) -> dict:
        return {**super().__getstate__(), "_lanes": {}}

    def edit(self, anatomy: Anatomy, edits: Edits) -> None:
        lanes: dict[str, Lane] = {}
        for name, member in self.members.items():
            lanes[name] = lane = Lane(anatomy, name, lanes)
            edits.callback(lane.close)
            if member is not None:
                lane.member = member
                member.edit(anatomy, lane)
        for handle in Entrance(anatomy, lanes).install():
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
            raise ValueError(f"names: {told}; there are {listed(self.members)}.")
        if not self._lanes:
            raise RuntimeError("Switch is not attached: attach(model) first, then choose rows.")
        with choose(names, self._lanes):
            yield self

    @property
    def mixed(self) -> bool:
        """Whether rows of several members are chosen, in this thread."""
        return self.attached and len({*mixed(self._edits.anatomy.model)}) > 1

    @property
    def one_row(self) -> str | None:
        """The one member that all rows use, in this thread; None where rows differ or none are
        chosen."""
        names = {*in_force(self._edits.anatomy.model)} if self.attached else ()
        return next(iter(names)) if len(names) == 1 else None

    def virtual_length(self, model: nn.Module) -> int:
        """How many columns of virtual tokens `model` sees by the choice in force."""
        super().virtual_length(model)
        return chosen(self._lanes).length

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
