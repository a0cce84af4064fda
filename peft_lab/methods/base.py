"""The Method contract: build, attach, detach, merge, save and load."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Self

import torch
from torch import nn

from ..anatomy import Anatomy, count
from . import storage
from .edits import Edits

_ROOT = "_peft_lab_root"  # where a decoder body keeps the method attached to it, and so alive


class Method(nn.Module):
    """A way of adapting a frozen model. It owns its tensors; it never holds the model as a part.

    A method file says what to train (`build`), where it acts (`edit`), how many numbers that is
    (`expected_parameters`) and what it takes to make another like it (`settings`).

        with PromptTuning(20).attach(model) as method:   # or method.attach(model) ... detach()
            fit(model, task, method)
    """

    _kinds: dict[str, type] = {}

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        known = Method._kinds.setdefault(cls.__name__, cls)
        if known.__module__ == cls.__module__:  # a cell run again; no other class loses its name
            Method._kinds[cls.__name__] = cls

    def __init__(self):
        super().__init__()
        self._edits: Edits | None = None  # holds the model; an ExitStack, so it is no submodule
        self._base: str | None = None  # fingerprint of the base it was built on
        self._built = False
        self._saved: tuple[dict, int] | None = None  # tensors and count of a file, until attached
        self._merged: Edits | None = None  # the undo of `merge`
        self._within: tuple = ()  # the composition that carries it; a tuple, so no submodule

    def __getstate__(self) -> dict:  # a copy is detached: the undo is the original's
        return {**self.__dict__, "_edits": None, "_merged": None, "_within": ()}

    # what a method file says

    def build(self, anatomy: Anatomy) -> None:
        """Create the parameters: at least float32. Called once, with nothing attached."""
        raise NotImplementedError

    def edit(self, anatomy: Anatomy, edits: Edits) -> None:
        """Act on the model, through the verbs of `edits` alone."""
        raise NotImplementedError

    def expected_parameters(self, config) -> int:
        """The number of trained numbers on a model with this config, in closed form."""
        raise NotImplementedError

    def settings(self) -> dict:
        """Arguments (JSON) with which the constructor makes an empty method of the same shape."""
        raise NotImplementedError

    # what all methods do

    @property
    def attached(self) -> bool:
        return self._edits is not None

    def attach(self, model: nn.Module, *, any_base: bool = False) -> Self:
        """Freeze `model` and let it carry this method: model(...), model.generate(...).

        Convert neither its dtype nor its device meanwhile: what the method has swapped out, and
        puts back on `detach`, would stay as it was.

        Args:
            any_base: also on another base than the one that the method was made on. From then on
                it counts as made on this one, and `save` says so.

        Returns:
            The method itself, also a context manager that detaches.

        Raises:
            RuntimeError: this method, or another one on this model, is attached already.
            ValueError: another base, or the method does not fit the model. Nothing is left behind.
        """
        parts = [part for part in self.modules() if isinstance(part, Method)]  # itself, members
        for part in parts:
            if part.attached or part._within:
                where = ", as a member of a composition" if part._within else ""
                raise RuntimeError(
                    f"{type(part).__name__} is attached already{where}: detach() that first."
                )
        anatomy = Anatomy(model)
        root = vars(anatomy.body).get(_ROOT)
        if root is not None and root.attached and root._edits.anatomy.body is anatomy.body:
            raise RuntimeError(
                f"model carries {type(root).__name__} already: detach() that first, or unite both "
                "in Compose([...]) or, one a row, in Switch({...})."
            )
        for part in parts if any_base else ():
            part._unbuild()
        base = anatomy.fingerprint  # before the method's own weights may stand there
        for part in parts if not any_base else ():
            part.check_base(anatomy)
        fresh = [(part, part._base, part._saved) for part in parts if not part._built]
        edits = Edits(anatomy)
        try:
            self._prepare(anatomy)
            for parameter in model.parameters():
                edits.callback(parameter.requires_grad_, parameter.requires_grad)
                parameter.requires_grad_(False)
            self.to(anatomy.embedding.weight.device)
            edits.member = self
            self.edit(anatomy, edits)
        except BaseException:
            edits.close()
            for part, base, saved in fresh:  # as new: it may be attached elsewhere
                part._built, part._base, part._saved = False, base, saved
            raise
        vars(anatomy.body)[_ROOT] = self  # past nn.Module, so that it is no part of the model
        edits.callback(vars(anatomy.body).pop, _ROOT, None)
        self._edits = edits
        for part in parts[1:]:
            part._within = (self,)
            edits.callback(setattr, part, "_within", ())
        for part in parts if any_base else ():
            part._base = base
        return self

    def detach(self) -> None:
        """Leave the model as it was found, bit by bit. The method keeps what it has learned."""
        if self._edits is not None:
            edits, self._edits = self._edits, None
            edits.close()

    def __enter__(self) -> Self:
        if not self.attached:
            raise RuntimeError("nothing is attached: write `with method.attach(model):`.")
        return self

    def __exit__(self, *exception) -> None:
        self.detach()

    def check_base(self, anatomy: Anatomy) -> None:
        """Raise a ValueError if this method was made on another base than this model."""
        base = anatomy.fingerprint
        if None not in (base, self._base) and base != self._base:
            raise ValueError(
                f"model has fingerprint {base}, but this {type(self).__name__} was made on "
                f"{self._base}: load that base, or say attach(model, any_base=True)."
            )

    def _unbuild(self) -> None:
        """As if just loaded: to be built anew, with the same numbers, on another model."""
        if self._built:
            tensors = {name: tensor.clone() for name, tensor in self.state_dict().items()}
            self._saved, self._built = (tensors, self.num_parameters()), False

    def check_made(self) -> None:
        """Raise a RuntimeError if there are no parameters yet."""
        if next(self.parameters(), None) is None:
            raise RuntimeError(
                f"{type(self).__name__} has no numbers yet: attach(model) makes them; attach first."
            )

    def _prepare(self, anatomy: Anatomy) -> None:
        """Build on first use, and take over what was loaded."""
        if self._built:
            return
        self.build(anatomy)
        if self._saved is not None:
            try:
                self.load_state_dict(self._saved[0])
            except RuntimeError as error:
                raise ValueError(f"what was saved does not fit this model: {error}") from error
        self._built, self._saved = True, None
        self._base = self._base or anatomy.fingerprint

    def num_parameters(self) -> int:
        """Numbers that are trained.

        Raises:
            RuntimeError: before the first attach; `expected_parameters(config)` tells beforehand.
        """
        if self._saved is not None:
            return self._saved[1]
        if not self._built:
            raise RuntimeError(
                f"{type(self).__name__} has no parameters before attach(model); "
                "expected_parameters(model.config) tells their number beforehand."
            )
        return count(self)

    def virtual_length(self, model: nn.Module) -> int:
        """How many virtual tokens `model` sees by this method.

        Raises:
            ValueError: the method is not attached to `model`.
        """
        if not self.attached or self._edits.anatomy.model is not model:
            raise ValueError(f"method: {type(self).__name__} is not attached to this model.")
        return self._edits.virtual_length

    @property
    def merged(self) -> bool:
        return self._merged is not None

    def merge(self) -> None:
        """Put the change into the model's own weights, where the mathematics allows it: a swap of
        pointers, as W + change - change is not W bit by bit. While merged, `fit` does not train
        it: gradients do not reach what was put in. Convert neither dtype nor device meanwhile:
        what was swapped out would stay behind.

        Raises:
            RuntimeError: it is not attached, or merged already, or cannot be merged.
            ValueError: it would change a tensor that is used in two places.
        """
        if not self.attached:
            raise RuntimeError(f"{type(self).__name__} is not attached: attach(model) first.")
        if self.merged:
            raise RuntimeError(f"{type(self).__name__} is merged already: unmerge() it first.")
        anatomy = self._edits.anatomy
        merged = Edits(anatomy)
        try:
            self._merge(anatomy, merged)
            self._merge_inputs(anatomy, merged)
        except BaseException:
            merged.close()
            raise
        self._merged = merged
        self._edits.callback(self._unmerge)

    def unmerge(self) -> None:
        """Take the change out of the weights again, bit by bit."""
        if not self.merged:
            raise RuntimeError(f"{type(self).__name__} is not merged, so there is nothing to undo.")
        self._unmerge()

    def _unmerge(self) -> None:
        if self._merged is not None:
            merged, self._merged = self._merged, None
            merged.close()

    def _merge(self, anatomy: Anatomy, edits: Edits) -> None:
        raise RuntimeError(
            f"{type(self).__name__} cannot be merged: virtual tokens are inputs, and no weight of "
            "the model could hold them. Keep it attached, or save() it."
        )

    def _merge_inputs(self, anatomy: Anatomy, edits: Edits) -> None:
        """The part of the change that scales what goes into a layer."""

    def save(self, folder: str | os.PathLike) -> None:
        """Write method.safetensors and method.json into `folder`."""
        storage.write(folder, self._record(), self._tensors())

    def _record(self) -> dict:
        return {
            "method": type(self).__name__,
            "settings": self.settings(),
            "base": self._base,
            "parameters": self.num_parameters(),
        }

    def _tensors(self) -> dict:
        return self._saved[0] if self._saved else self.state_dict()

    @classmethod
    def load(cls, folder: str | os.PathLike) -> Self:
        """The method in `folder`, to be attached to the base it was trained on; it can be trained
        further.

        Raises:
            FileNotFoundError: there is no saved method there.
            ValueError: the files are damaged, or were written by something else.
            TypeError: it is another method than the class it is loaded with.
        """
        record, tensors = storage.read(folder)
        own = cls.__name__ == record["method"]
        kind = cls if own else Method._kinds.get(record["method"])
        if kind is None or not issubclass(kind, cls):
            raise TypeError(f"{folder} holds {record['method']}, not {cls.__name__}.")
        try:
            method = kind.from_settings(record["settings"])
            method._take(record, tensors)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ValueError(
                f"{os.fspath(folder)}: method.json is damaged, or of another version of peft_lab "
                f"({type(error).__name__}: {error})."
            ) from error
        return method

    def _take(self, record: dict, tensors: dict) -> None:
        """Keep what a file holds until the first attach builds the parameters."""
        self._base, self._saved = record["base"], (tensors, record["parameters"])

    @classmethod
    def from_settings(cls, settings: dict) -> Self:
        """An empty method of the shape that `settings()` tells."""
        return cls(**settings)

    def trainable_summary(self) -> str:
        """One line: how many numbers are trained, and which share of the model's that is."""
        try:
            text = f"{self.num_parameters():,} trainable parameters"
        except RuntimeError:
            return "parameters are made by attach(model)"
        if self.attached:
            total = count(self._edits.anatomy.model)
            text += f", {self.num_parameters() / total:.3%} of the model's {total:,}"
        return text

    def __repr__(self) -> str:
        settings = {k: v for k, v in self.settings().items() if v is not None and k != "init"}
        told = ", ".join(f"{name}={value!r}" for name, value in settings.items())
        where = "detached"
        if self.attached:
            into = "merged into" if self.merged else "attached to"
            where = f"{into} {type(self._edits.anatomy.model).__name__}"
        return f"{type(self).__name__}({told}): {self.trainable_summary()}; {where}"


class Adapted(nn.Module):
    """A model and the method attached to it as one module: what DDP or FSDP wrap, since the
    method's parameters are not in the model.

    Args:
        model: the base.
        method: attached to it (if not, it is attached now).
    """

    def __init__(self, model: nn.Module, method: Method):
        super().__init__()
        if not method.attached:
            method.attach(model)
        elif method._edits.anatomy.model is not model:
            raise ValueError("method is attached to another model than the one given.")
        self.model, self.method = model, method

    def forward(self, *args, **kwargs):
        return self.model(*args, **kwargs)

    def generate(self, *args, **kwargs):
        """What the model's own `generate` gives, with the method attached."""
        return self.model.generate(*args, **kwargs)


def at_least_float32(tensor: torch.Tensor) -> torch.Tensor:
    """Half precision is too coarse to train in; the float64 of tests is kept."""
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Random numbers from `seed` (on the CPU, the same everywhere); the global state is kept."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # torch.manual_seed seeds the GPUs too
        yield
