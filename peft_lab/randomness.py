"""The global random generators: seed them, keep their state, put it back."""

import contextlib
import random
import sys
from collections.abc import Iterator

import torch


def seed_everything(seed: int) -> None:
    """Seed every global generator: torch (all devices), Python's, and NumPy's if it is in use."""
    torch.manual_seed(seed)
    random.seed(seed)
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed(seed % 2**32)


def random_state(device: torch.device) -> tuple[dict[str, torch.Tensor], dict]:
    """The state of every global generator, as tensors and as values that JSON can hold.

    Args:
        device: where it is MPS, its generator is kept beside the CPU's; those of the CUDA
            devices are whenever CUDA is in use.
    """
    tensors = {"torch": torch.get_rng_state()}
    if torch.cuda.is_initialized():
        tensors["cuda"] = torch.stack(torch.cuda.get_rng_state_all())  # (devices, bytes)
    if device.type == "mps":
        tensors["mps"] = torch.mps.get_rng_state()
    values: dict = {"python": random.getstate()}
    if "numpy" in sys.modules:
        found = sys.modules["numpy"].random.get_state(legacy=False)
        inner = {"key": found["state"]["key"].tolist(), "pos": found["state"]["pos"]}
        values["numpy"] = {**found, "state": inner}
    return tensors, values


def set_random_state(tensors: dict[str, torch.Tensor], values: dict, device: torch.device) -> None:
    """Put all generators back to where `random_state` found them."""
    torch.set_rng_state(tensors["torch"])
    if "cuda" in tensors and torch.cuda.is_initialized():
        for index, state in enumerate(tensors["cuda"][: torch.cuda.device_count()]):
            torch.cuda.set_rng_state(state, index)
    if "mps" in tensors and device.type == "mps":
        torch.mps.set_rng_state(tensors["mps"])
    version, numbers, gauss = values["python"]
    random.setstate((version, tuple(numbers), gauss))
    if "numpy" in values:
        import numpy

        inner = values["numpy"]["state"]
        key = numpy.array(inner["key"], dtype=numpy.uint32)
        numpy.random.set_state({**values["numpy"], "state": {**inner, "key": key}})


@contextlib.contextmanager
def random_state_kept(device: torch.device) -> Iterator[None]:
    """Whatever happens inside, the generators are afterwards as they were before."""
    found = random_state(device)
    try:
        yield
    finally:
        set_random_state(*found, device)
