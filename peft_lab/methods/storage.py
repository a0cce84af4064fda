"""The files of a saved method: method.safetensors (its tensors) and method.json (what they are)."""

import hashlib
import json
import os
from pathlib import Path

FORMAT = "peft_lab 1"


def write(folder: str | os.PathLike, record: dict, tensors: dict) -> None:
    """Write method.safetensors and method.json."""
    from safetensors.torch import save

    content = save({name: tensor.cpu().contiguous() for name, tensor in tensors.items()})
    record = {"format": FORMAT, **record, "sha256": hashlib.sha256(content).hexdigest()}
    put(
        folder,
        {"method.safetensors": content, "method.json": json.dumps(record, indent=2).encode()},
    )


def put(folder: str | os.PathLike, files: dict[str, bytes]) -> None:
    """Write files aside, then rename them, so that no half-written file bears the name."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        aside = folder / f"{name}.part"
        aside.write_bytes(data)
        os.replace(aside, folder / name)


def read(folder: str | os.PathLike) -> tuple[dict, dict]:
    """The record and the tensors in `folder`.

    Raises:
        FileNotFoundError: there is no saved method.
        ValueError: the files are damaged, or were written by something else.
    """
    from safetensors.torch import load

    folder = Path(folder)
    described, stored = folder / "method.json", folder / "method.safetensors"
    if not (described.is_file() and stored.is_file()):
        foreign = (folder / "adapter_config.json").exists()
        raise FileNotFoundError(
            f"{folder} holds no method saved by peft_lab (method.json, method.safetensors)"
            + ("; adapter_config.json is a file of Hugging Face peft." if foreign else ".")
        )
    try:
        record = json.loads(described.read_bytes())
    except ValueError as error:
        raise ValueError(f"{described} is damaged, it is no JSON: {error}") from error
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        raise ValueError(f"{described} was not written by this peft_lab (format {FORMAT!r}).")
    lacking = {"method", "settings", "base", "parameters", "sha256"} - set(record)
    if lacking:
        raise ValueError(f"{described} is damaged: it lacks {', '.join(sorted(lacking))}.")
    content = stored.read_bytes()
    if hashlib.sha256(content).hexdigest() != record["sha256"]:
        raise ValueError(f"{stored} is damaged: it is not what was saved. Save the method again.")
    return record, load(content)
