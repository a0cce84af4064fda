"""Edits: the ways of acting on a model, each made together with its undo."""

import threading
from collections.abc import Callable, Iterable
from contextlib import ExitStack

import torch
from torch import nn

from ..anatomy import Anatomy
from .virtual import VirtualTokens, shut


class Edits(ExitStack):
    """Changes to one model. Each is made together with its undo; closing the stack undoes all."""

    place = None  # where the rows stand that these changes are for (`Switch`); None: all rows

    def __init__(self, anatomy: Anatomy):
        super().__init__()
        self.anatomy = anatomy
        self._virtual: VirtualTokens | None = None
        self._swapped: dict[int, nn.Module | None] = {}  # id of a parameter -> its member
        self.member: nn.Module | None = None  # whose edits are being made; `attach` tells
        self._changed: list[tuple[nn.Module, nn.Module | None, bool]] = []  # module, member, alone

    @property
    def virtual(self) -> VirtualTokens:
        """The one hook pair, installed when the first virtual tokens come."""
        if self._virtual is None:
            self._virtual = VirtualTokens(self.anatomy)
            for handle in self._virtual.install():
                self.callback(handle.remove)
        return self._virtual

    @property
    def virtual_length(self) -> int:
        """n, virtual tokens of all members; 0 without any."""
        return self._virtual.length if self._virtual else 0

    def prepend(self, fn: Callable, length: int) -> None:
        """Put `length` vectors before the embeddings of the tokens.

        Args:
            fn: number of rows B -> embeddings (B, n, d).
            length: n.
        """
        self._check_length(length)
        self.virtual.prompts.append(fn)
        self.virtual.prompt_length += length

    def prefix(self, fn: Callable, length: int, layers: Iterable[int]) -> None:
        """Let layers attend to `length` more keys and values.

        Args:
            fn: number of rows B -> {layer: (k, v)}, each (B, H_kv, n, head_dim), keys as they
                are after rotation.
            length: n.
            layers: those in what `fn` gives. The others do not see these tokens.
        """
        layers = set(layers)
        if not layers:
            return  # tokens that no layer sees do not exist
        self._check_length(length)
        start = self.virtual.prefix_length
        self.virtual.prefixes.append(fn)
        self.virtual.prefix_length += length
        for layer in set(range(self.anatomy.layers)) - layers:
            hook = shut(slice(start, start + length), layer, self.place)
            attention = self.anatomy.attention(layer)
            self.callback(attention.register_forward_pre_hook(hook, with_kwargs=True).remove)

    def swap(self, module: nn.Module, name: str, parameter: nn.Parameter) -> None:
        """Put `parameter` in the place of `module.name`, and wherever else that tensor is used
        (an embedding tied to the head). A change of pointers: the base's tensor stays as it is.

        Raises:
            ValueError: another member has already put a parameter of its own there, or the
                shapes differ.
        """
        old = module._parameters[name]
        if id(old) in self._swapped:
            both = " and ".join(type(m).__name__ for m in (self._swapped[id(old)], self.member))
            raise ValueError(
                f"members: {both} both train {name!r} of the same {type(module).__name__}; each "
                "tensor of the base can be trained by one member only."
            )
        told, given = (f"{tuple(p.shape)} in {p.dtype}" for p in (old, parameter))
        if told != given:
            raise ValueError(
                f"the method does not fit this model: {type(module).__name__}.{name} is {told} "
                f"there and {given} in the method."
            )
        parameter.data = parameter.data.to(old.device)
        self._swapped[id(parameter)] = self.member
        self.replace(module, name, parameter)

    def replace(self, module: nn.Module, name: str, parameter: nn.Parameter) -> None:
        """`swap` without its checks: what `merge` puts there, several members may change."""
        old = module._parameters[name]
        for place in self.anatomy.model.modules():
            for key, found in place._parameters.items():
                if found is old:
                    place._parameters[key] = parameter
                    self.callback(place._parameters.__setitem__, key, old)

    def input(self, module: nn.Module, fn: Callable) -> None:
        """Let `module` work on fn(x) instead of x, its first argument."""
        self.callback(module.register_forward_pre_hook(_Before(fn)).remove)

    def output(self, module: nn.Module, fn: Callable, alone: bool = False) -> None:
        """Let `module` give fn(x, y) where it gave y for x.

        Args:
            alone: y must be the module's own, so no other member of a composition may change it.
        """
        for other, member, was_alone in self._changed:
            if other is module and member is not self.member and (alone or was_alone):
                names = " and ".join(type(m).__name__ for m in (member, self.member))
                raise ValueError(
                    f"members: {names} change the same {type(module).__name__}, and DoRA scales "
                    "all that its layer gives; choose other targets or layers for one of them."
                )
        self._changed.append((module, self.member, alone))
        self.callback(module.register_forward_hook(_After(fn)).remove)

    def around(self, first: nn.Module, last: nn.Module, fn: Callable) -> None:
        """Let everything from `first` to `last` give fn(x, y), where x goes into `first` and y
        comes out of `last`: for a part of a block that no one module stands for."""
        inputs: dict[int, torch.Tensor] = {}  # one a thread: a forward pass runs in one

        def keep(x):
            inputs[threading.get_ident()] = x
            return x

        self.input(first, keep)
        self.output(last, lambda _, y: fn(inputs.pop(threading.get_ident()), y))
        drop = _Last(lambda: inputs.pop(threading.get_ident(), None))  # left there by an error
        self.callback(self.anatomy.body.register_forward_hook(drop, always_call=True).remove)

    def _check_length(self, length: int) -> None:
        context = self.anatomy.context
        if context is not None and self.virtual_length + length >= context:
            raise ValueError(
                f"length, or prefix_length: {self.virtual_length + length} virtual tokens leave no "
                f"room for any token, for the model's context is {context}; take fewer."
            )


class _Hook:
    """A hook that is not copied with the model: the copy's would act with the original's method."""

    def __init__(self, fn: Callable):
        self.fn = fn

    def __reduce_ex__(self, protocol):  # what copy.deepcopy and pickle ask for
        raise RuntimeError(
            "the model carries a method, and the copy would act with the numbers of the original: "
            "detach() before copying the model, or pickling it."
        )


class _Before(_Hook):
    def __call__(self, module: nn.Module, args: tuple) -> tuple:
        return (self.fn(args[0]), *args[1:])


class _Last(_Hook):
    def __call__(self, module: nn.Module, args: tuple, output) -> None:
        self.fn()


class _After(_Hook):
    def __call__(self, module: nn.Module, args: tuple, output: torch.Tensor) -> torch.Tensor:
        return self.fn(args[0], output)
