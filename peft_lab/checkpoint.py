"""One checkpoint, one file: written aside, renamed, and without pickle.

A safetensors file: the tensors as they are, everything else as JSON in its header. As the name is
given only to a complete file on disk, a run killed at any moment finds the old checkpoint or the
new one, never half of one.
"""

import json
import os
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load as tensors_of_bytes
from safetensors.torch import save as bytes_of_tensors

FORMAT = "peft_lab.checkpoint/1"


def write_checkpoint(path: Path, tensors: dict[str, torch.Tensor], state: dict) -> None:
    """Write tensors and JSON-able state to `path`, whole or not at all."""
    header = {"format": FORMAT, "state": json.dumps(state)}
    content = bytes_of_tensors(
        {k: v.detach().contiguous().cpu() for k, v in tensors.items()}, header
    )
    aside = path.with_name(path.name + ".part")
    with open(aside, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())  # first the content on the disk, then the name
    os.replace(aside, path)
    if os.name == "posix":  # the new name too must survive a power cut
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def read_checkpoint(path: Path) -> tuple[dict[str, torch.Tensor], dict]:
    """What `write_checkpoint` wrote.

    Raises:
        ValueError: the file is truncated, or no checkpoint of `fit`.
    """
    content = path.read_bytes()  # not mapped into memory: Windows cannot replace a mapped file
    try:
        tensors = tensors_of_bytes(content)
        length = int.from_bytes(content[:8], "little")
        header = json.loads(content[8 : 8 + length]).get("__metadata__") or {}
    except SafetensorError as error:
        raise ValueError(
            f"checkpoint {str(path)!r} is truncated or no checkpoint at all ({error}); "
            "delete it to begin anew, or name another file."
        ) from error
    if header.get("format") != FORMAT:
        raise ValueError(
            f"checkpoint {str(path)!r} is a safetensors file, but none that fit wrote; "
            "name another file."
        )
    return tensors, json.loads(header["state"])


def optimizer_state(optimizer: torch.optim.Optimizer) -> tuple[dict[str, torch.Tensor], dict]:
    """An optimiser's state_dict, taken apart into tensors and JSON-able values."""
    state = optimizer.state_dict()
    tensors, values = {}, {}
    for index, entries in state["state"].items():
        for key, value in entries.items():
            (tensors if isinstance(value, torch.Tensor) else values)[f"{index}.{key}"] = value
    return tensors, {"values": values, "groups": state["param_groups"]}


def set_optimizer_state(
    optimizer: torch.optim.Optimizer, tensors: dict[str, torch.Tensor], rest: dict
) -> None:
    """Undo `optimizer_state`."""
    state: dict[int, dict] = {}
    for name, value in {**tensors, **rest["values"]}.items():
        index, key = name.split(".", 1)
        state.setdefault(int(index), {})[key] = value
    groups = [  # JSON knows no tuples: AdamW's betas were one
        {k: tuple(v) if isinstance(v, list) and k != "params" else v for k, v in group.items()}
        for group in rest["groups"]
    ]
    optimizer.load_state_dict({"state": state, "param_groups": groups})
