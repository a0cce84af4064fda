"""Checks of a method's arguments: each names the argument, what was given, and what would do."""

import math
from collections.abc import Iterable

import torch
from torch import nn


def check_init(method: nn.Module, init, *others: type) -> None:
    """A start is a tensor, of one of the `others`, or a name in `method.INITS`, and then what it
    needs must be there."""
    if isinstance(init, (torch.Tensor, *others)):
        return
    if not isinstance(init, str):
        kinds = ", ".join(kind.__name__ for kind in (torch.Tensor, *others))
        raise TypeError(
            f"init must be one of {', '.join(method.INITS)}, or a {kinds}, not {init!r}."
        )
    if init not in method.INITS:
        raise ValueError(f"init must be one of {', '.join(method.INITS)} or a start, not {init!r}.")
    missing = [f"{name}=..." for name in method.INITS[init] if not getattr(method, name)]
    if missing:
        raise ValueError(f'init="{init}" needs {" and ".join(missing)}')


def check_count(name: str, value: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ValueError(f"{name} must be a whole number from 1 on, not {value!r}.")
    return value


def check_seed(seed: int) -> int:
    if not isinstance(seed, int) or isinstance(seed, bool):
        raise ValueError(f"seed must be a whole number, not {seed!r}.")
    return seed


def check_number(name: str, value: float, above: float, below: float = math.inf) -> float:
    """A number above `above` and below `below`, both excluded."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not (number and above < value < below):
        limit = "finite" if below == math.inf else f"below {below:g}"
        raise ValueError(f"{name} must be a number above {above:g} and {limit}, not {value!r}.")
    return float(value)


def check_layers(layers: Iterable[int] | None) -> list[int] | None:
    """Indices of blocks, sorted, each once; None for all."""
    if layers is None:
        return None
    chosen = list(layers) if isinstance(layers, Iterable) and not isinstance(layers, str) else []
    if not chosen or any(not isinstance(i, int) or isinstance(i, bool) for i in chosen):
        raise ValueError(f"layers must be indices of blocks, e.g. (0, 2), or None, not {layers!r}.")
    return sorted(set(chosen))


def check_flags(**flags: bool) -> None:
    for name, value in flags.items():
        if not isinstance(value, bool):
            raise ValueError(f"{name} must be True or False, not {value!r}.")


def check_one_of(name: str, value, known: Iterable[str]) -> None:
    if not isinstance(value, str) or value not in known:
        raise ValueError(f"{name} must be one of {', '.join(known)}, not {value!r}.")


def check_targets(targets: str | Iterable[str]) -> str | list[str]:
    """ "all", or the names of linear layers."""
    if targets == "all":
        return targets
    named = [targets] if isinstance(targets, str) else targets
    named = list(named) if isinstance(named, Iterable) else []
    if not named or "all" in named or any(not isinstance(name, str) for name in named):
        raise ValueError(
            f'targets must be "all" or names of linear layers, e.g. ("q", "v"), not {targets!r}.'
        )
    return named
