"""Compose: several methods at once, "this and that"."""

from collections.abc import Iterable

from torch import nn

from ..anatomy import Anatomy
from .base import Edits, Method
from .full import FullFineTuning


class Members(Method):
    """A method made of others: what "and" (`Compose`) and "or" (`Switch`) share."""

    members: nn.ModuleList | nn.ModuleDict

    def _parts(self) -> list[tuple[str, Method]]:
        """The members and their names, which for a list are their numbers."""
        return list(self.members.named_children())

    def _prepare(self, anatomy: Anatomy) -> None:
        for _, member in self._parts():
            member._prepare(anatomy)
        super()._prepare(anatomy)

    def build(self, anatomy: Anatomy) -> None:
        """Nothing beyond the members, which are built already."""

    def num_parameters(self) -> int:
        return sum(member.num_parameters() for _, member in self._parts())

    def expected_parameters(self, config) -> int:
        return sum(member.expected_parameters(config) for _, member in self._parts())

    def _unbuild(self) -> None:
        """Nothing of its own: the members do."""

    def _tensors(self) -> dict:
        return {
            f"members.{name}.{key}": tensor
            for name, member in self._parts()
            for key, tensor in member._tensors().items()
        }

    def _take(self, record: dict, tensors: dict) -> None:
        """Each member takes what is its own, so that it can be attached alone too."""
        self._base, told = record["base"], record["members"]
        told = told if isinstance(told, dict) else {str(i): one for i, one in enumerate(told)}
        if told.keys() != dict(self._parts()).keys():
            raise ValueError("its members are not those that its settings tell")
        for name, member in self._parts():
            start = f"members.{name}."
            own = {k.removeprefix(start): v for k, v in tensors.items() if k.startswith(start)}
            member._take(told[name], own)


def check_members(members: list) -> None:
    """Raise a TypeError or ValueError if these cannot be members together."""
    for member in members:
        if not isinstance(member, Method):
            raise TypeError(f"members must be methods, not {type(member).__name__}.")
    if len({id(member) for member in members}) < len(members):
        raise ValueError("members: one and the same method is given twice; make two of them.")


def described(method: Method) -> dict:
    """What it takes to make another like it."""
    return {"method": type(method).__name__, "settings": method.settings()}


def made(told: dict) -> Method:
    """An empty method of the shape that `described` told."""
    return Method._kinds[told["method"]].from_settings(told["settings"])


class Compose(Members):
    """All members act together, on one model, through one pair of hooks.

    Virtual tokens stand in the order of the members, all prefixes before all prompts: attention
    sees [prefixes | prompts | text].

        Compose([PromptTuning(20), LayerFreezing.top(1)]).attach(model)

    Args:
        members: methods, trained or new, none of them attached.

    Raises:
        TypeError: a member is no method.
        ValueError: no members; one given twice; a Compose or Switch among them; two members that
            train the same tensor of the base (on attach).
        RuntimeError: a member is attached by itself.
    """

    def __init__(self, members: Iterable[Method]):
        super().__init__()
        members = list(members)
        if not members:
            raise ValueError("members is empty: give at least one method.")
        check_members(members)
        for member in members:
            if isinstance(member, Compose):
                raise ValueError(
                    f"members: {type(member).__name__} is a composition itself; give its parts "
                    "instead, *it.members."
                )
            if isinstance(member, Members):
                raise ValueError(
                    f"members: a {type(member).__name__} stands for rows that use this or that; "
                    "compose within it instead, Switch({name: Compose([...])})."
                )
        self.members = nn.ModuleList(members)

    def _prepare(self, anatomy: Anatomy) -> None:
        """The others are built on the weights that a member brings with it: DoRA takes its lengths
        from them, and a prefix from text its keys and values."""
        with Edits(anatomy) as edits:
            for member in self.members:
                if isinstance(member, FullFineTuning):
                    member._prepare(anatomy)
                    edits.member = member
                    member.edit(anatomy, edits)
            super()._prepare(anatomy)

    def edit(self, anatomy: Anatomy, edits: Edits) -> None:
        for member in self.members:
            edits.member = member
            member.edit(anatomy, edits)

    def _merge(self, anatomy: Anatomy, edits: Edits) -> None:
        for member in self.members:
            member._merge(anatomy, edits)
        for member in self.members:  # scaled inputs last: they act on all that was added
            member._merge_inputs(anatomy, edits)

    def settings(self) -> dict:
        return {"members": [described(member) for member in self.members]}

    def _record(self) -> dict:
        return {**super()._record(), "members": [member._record() for member in self.members]}

    @classmethod
    def from_settings(cls, settings: dict) -> "Compose":
        return cls(made(told) for told in settings["members"])

    def __repr__(self) -> str:
        inside = "".join(f"\n  {member!r}" for member in self.members)
        return f"Compose: {self.trainable_summary()}{inside}"
