"""Models by their configuration alone: no weights, no download.

`data/model_configs.json` holds the published sizes of well-known models, from 124 million to 176
billion parameters, each with its source. What needs a config (`count`, `memory`, `plan`) takes one
of these names too.
"""

import functools
import json
import os
from pathlib import Path

from .paths import data_dir


@functools.cache
def _records(folder: Path) -> dict[str, dict]:
    path = folder / "model_configs.json"
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing: it comes with the course; get it again.")
    return json.loads(path.read_text(encoding="utf-8"))["models"]


def known_configs() -> list[str]:
    """The names of the models whose sizes are known, e.g. "llama-3-8b"."""
    return list(_records(data_dir()))


def config_record(name: str) -> dict:
    """What is stored of a model.

    Returns:
        {"config": its settings, "published": parameters, a whole number or as it was printed,
        "source": where they were published, "checked": where they were compared}.

    Raises:
        ValueError: no such name.
    """
    records = _records(data_dir())
    if name not in records:
        raise ValueError(f"model: there is no {name!r}; known are {', '.join(records)}.")
    return records[name]


def load_config(name: str | os.PathLike):
    """The `transformers` config of a model, without the model.

    Args:
        name: one of `known_configs()`, a model of the course ("storyteller-micro"), or a folder
            that holds a config.json.

    Raises:
        ValueError: no such model, or a damaged config.json; nothing is ever looked up in a network.
    """
    from transformers import AutoConfig

    name = os.fspath(name)
    records = _records(data_dir())
    if name in records:
        return AutoConfig.for_model(**records[name]["config"])
    for folder in (data_dir() / "models" / name, Path(name).expanduser()):
        if (folder / "config.json").is_file():
            try:
                return AutoConfig.from_pretrained(folder, local_files_only=True)
            except Exception as error:  # of many kinds: whatever a config's class finds wrong
                raise ValueError(
                    f"model: {folder / 'config.json'} is no config of a known model: {error}"
                ) from error
    own = sorted(path.parent.name for path in data_dir().glob("models/*/config.json"))
    # T5 is there for the counts of papers: whoever mistyped a name wants a model to work with
    decoders = [known for known, row in records.items() if row["config"]["model_type"] != "t5"]
    raise ValueError(
        f"model: there is no {name!r}; give a folder with a config.json, a model of the course "
        f"({', '.join(own)}), or one of {', '.join(decoders)}."
    )


def as_config(model):
    """The config of a model, a config itself, or the one that a name stands for.

    Raises:
        ValueError: a name that is not known.
        TypeError: something else.
    """
    if isinstance(model, str | os.PathLike):
        return load_config(model)
    config = getattr(model, "config", model)
    if not hasattr(config, "model_type"):
        raise TypeError(
            f"model must be a model, its config or a name such as 'llama-3-8b', not "
            f"{type(model).__name__}."
        )
    return config
