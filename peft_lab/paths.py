"""Where the course keeps its models, tasks, results and notebooks."""

import os
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent


def _beside_or_inside(name: str) -> Path:
    """In a checkout the folder lies beside the package, in an installed wheel inside it."""
    checkout = PACKAGE.parent
    if (checkout / "pyproject.toml").is_file() and (checkout / name).is_dir():
        return checkout / name
    return PACKAGE / name


def data_dir() -> Path:
    """The folder with `models/`, `tasks/` and `results/`.

    The environment variable PEFT_LAB_DATA names another one.

    Raises:
        FileNotFoundError: PEFT_LAB_DATA is set, but is no folder.
    """
    override = os.environ.get("PEFT_LAB_DATA")
    if not override:
        return _beside_or_inside("data")
    folder = Path(override).expanduser()
    if not folder.is_dir():
        raise FileNotFoundError(
            f"PEFT_LAB_DATA is {override!r}, which is no folder; set it to a folder that holds "
            "models/ and tasks/, or unset it to use the course's own."
        )
    return folder


def notebooks_dir() -> Path:
    """The folder with the course's notebooks, as they were committed."""
    return _beside_or_inside("notebooks")
