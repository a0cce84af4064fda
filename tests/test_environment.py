"""The requirements, said three times (pip, conda, course.py), say the same; and they are ranges."""

import importlib.metadata
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

import course
from peft_lab import cli

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
CONDA = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
# Where conda-forge calls a package otherwise.
CONDA_NAMES = {
    "torch": "pytorch-cpu",
    "matplotlib": "matplotlib-base",
    "playwright": "playwright-python",
}
WORKFLOW = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text(encoding="utf-8"))


def split(requirement: str) -> tuple[str, str]:
    """ "torch>=2.6" -> ("torch", "2.6"); anything but one lower bound is refused."""
    match = re.fullmatch(r"([A-Za-z0-9._-]+)>=(\d+(?:\.\d+)*)", requirement)
    assert match, f"{requirement!r} is no plain lower bound"
    return match.group(1), match.group(2)


def wanted() -> dict[str, str]:
    extras = PROJECT["optional-dependencies"]
    return dict(map(split, [*PROJECT["dependencies"], *extras["lab"], *extras["test"]]))


def test_conda_and_pip_ask_for_the_same():
    conda = [line for line in CONDA["dependencies"] if isinstance(line, str)]
    assert conda.pop(1) == "pip"
    ours = {"python": PROJECT["requires-python"].removeprefix(">=")}
    ours |= {CONDA_NAMES.get(name, name): bound for name, bound in wanted().items()}
    assert dict(map(split, conda)) == ours


def test_conda_takes_one_channel_and_the_course_itself():
    assert CONDA["channels"] == ["conda-forge"]
    assert CONDA["dependencies"][-1] == {"pip": ["--editable ."]}


def test_course_and_doctor_know_the_same_bounds():
    oldest = tuple(map(int, PROJECT["requires-python"].removeprefix(">=").split(".")))
    assert course.OLDEST_PYTHON == cli.OLDEST_PYTHON == oldest
    assert split(course.TORCH) == ("torch", wanted()["torch"])
    for extras in course.EXTRAS.values():
        assert set(extras) <= set(PROJECT["optional-dependencies"])


@pytest.mark.parametrize("name", wanted())
def test_what_is_installed_is_within_the_bounds(name):
    assert cli._at_least(importlib.metadata.version(name), wanted()[name])


def test_public_ci_tries_three_systems_and_two_pythons():
    job = WORKFLOW["jobs"]["test"]
    systems = {name.split("-")[0] for name in job["strategy"]["matrix"]["os"]}
    assert systems == {"ubuntu", "windows", "macos"}
    pythons = [tuple(map(int, p.split("."))) for p in job["strategy"]["matrix"]["python"]]
    assert pythons[0] == course.OLDEST_PYTHON and pythons[-1] > pythons[0]
    assert job["steps"][-1]["run"] == "python course.py test"


def test_importing_the_package_is_cheap():
    code = (
        "import sys, peft_lab; print(*(m in sys.modules for m in ('transformers', 'matplotlib')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.split() == ["False", "False"], done.stderr


def test_licences():
    assert (ROOT / "LICENSE").read_text().startswith("MIT License")
    content = (ROOT / "LICENSE-CONTENT").read_text()
    assert "creativecommons.org/licenses/by/4.0/legalcode" in content
    assert PROJECT["license-files"] == ["LICENSE", "LICENSE-CONTENT"]


@pytest.mark.long
def test_an_installed_wheel_brings_its_notebooks(tmp_path):
    """Without a checkout: `peft-lab start` from a wheel. Needs the package index (hatchling)."""
    import os

    environ = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PEFT_LAB_DATA")}
    environ.pop("PEFT_LAB_CLOSE_NETWORK")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q"]
    built = subprocess.run([*pip, "wheel", "--no-deps", "-w", tmp_path, ROOT], env=environ)
    if built.returncode:
        pytest.skip("no build backend to be had")
    (wheel,) = tmp_path.glob("*.whl")
    site = tmp_path / "site"
    install = [*pip, "install", "--no-deps", "--no-index", "--target", site, wheel]
    subprocess.run(install, env=environ, check=True)
    environ["PYTHONPATH"] = str(site)
    mine = tmp_path / "mine"
    done = subprocess.run(
        [sys.executable, "-m", "peft_lab.cli", "start", mine, "--no-lab"],
        cwd=tmp_path,
        env=environ,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    course_own = {path.name for path in (ROOT / "notebooks").glob("*.ipynb")}
    assert {path.name for path in mine.glob("*.ipynb")} == course_own
    where = "import peft_lab, peft_lab.paths as p; print(peft_lab.__file__); print(p.data_dir())"
    done = subprocess.run(
        [sys.executable, "-c", where], cwd=tmp_path, env=environ, capture_output=True, text=True
    )
    assert all(line.startswith(str(site)) for line in done.stdout.split()), done.stdout
