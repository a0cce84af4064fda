"""Compose: several methods at once, "this and that"."""

from collections.abc import Iterable

from torch import nn

from ..anatomy import Anatomy
from .base import Edits, Method


class Compose(Method):
    """All members act together, on one model, through one pair of hooks.

    Virtual tokens stand in the order of the members, all prefixes before all prompts: attention
    sees [prefixes | prompts | text].

        Compose([PromptTuning(20), LayerFreezing.top(1)]).attach(model)

    Args:
        members: methods, trained or new, none of them attached.

    Raises:
        TypeError: a member is no method.
        ValueError: no members; one given twice; a Compose among them; two members that train the
            same tensor of the base (on attach).
        RuntimeError: a member is attached by itself.
    """

    def __init__(self, members: Iterable[Method]):
        super().__init__()
        members = list(members)
        if not members:
            raise ValueError("members is empty: give at least one method.")
        for member in members:
            if not isinstance(member, Method):
                raise TypeError(f"members must be methods, not {type(member).__name__}.")
            if isinstance(member, Compose):
                raise ValueError(
                    f"members: {type(member).__name__} is a composition itself; give its parts "
                    "instead, *it.members."
                )
        if len({id(member) for member in members}) < len(members):
            raise ValueError("members: one and the same method is given twice; make two of them.")
        self.members = nn.ModuleList(members)

    def _prepare(self, anatomy: Anatomy) -> None:
        for member in self.members:
            member._prepare(anatomy)
        super()._prepare(anatomy)

    def build(self, anatomy: Anatomy) -> None:
        """Nothing beyond the members, which are built already."""

    def edit(self, anatomy: Anatomy, edits: Edits) -> None:
        for member in self.members:
            edits.member = member
            member.edit(anatomy, edits)

    def _merge(self, anatomy: Anatomy, edits: Edits) -> None:
        for member in self.members:
            member._merge(anatomy, edits)
        for member in self.members:  # scaled inputs last: they act on all that was added
            member._merge_inputs(anatomy, edits)

    def num_parameters(self) -> int:
        return sum(member.num_parameters() for member in self.members)

    def expected_parameters(self, config) -> int:
        return sum(member.expected_parameters(config) for member in self.members)

    def settings(self) -> dict:
        told = [{"method": type(m).__name__, "settings": m.settings()} for m in self.members]
        return {"members": told}

    def _record(self) -> dict:
        return {**super()._record(), "members": [member._record() for member in self.members]}

    def _unbuild(self) -> None:
        """Nothing of its own: the members do."""

    def _tensors(self) -> dict:
        return {
            f"members.{i}.{name}": tensor
            for i, member in enumerate(self.members)
            for name, tensor in member._tensors().items()
        }

    def _take(self, record: dict, tensors: dict) -> None:
        """Each member takes what is its own, so that it can be attached alone too."""
        self._base = record["base"]
        for i, (member, told) in enumerate(zip(self.members, record["members"], strict=True)):
            start = f"members.{i}."
            own = {k.removeprefix(start): v for k, v in tensors.items() if k.startswith(start)}
            member._take(told, own)

    @classmethod
    def from_settings(cls, settings: dict) -> "Compose":
        return cls(
            Method._kinds[member["method"]].from_settings(member["settings"])
            for member in settings["members"]
        )

    def __repr__(self) -> str:
        inside = "".join(f"\n  {member!r}" for member in self.members)
        return f"Compose: {self.trainable_summary()}{inside}"
