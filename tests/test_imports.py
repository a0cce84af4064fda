import subprocess
import sys

import pytest

import peft_lab


def modules_after(statement: str) -> set[str]:
    """The modules that a fresh Python has imported after a statement."""
    code = f"import sys; {statement}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_import_peft_lab_pulls_in_neither_transformers_nor_matplotlib():
    loaded = modules_after("import peft_lab")
    assert "peft_lab" in loaded
    assert not loaded & {"transformers", "matplotlib", "torch", "IPython", "ipywidgets"}


def test_its_modules_wait_with_heavy_imports_too():
    loaded = modules_after(
        "from peft_lab import fit, evaluate, load_base, load_task, memory, PromptTuning"
    )
    assert "peft_lab.training" in loaded
    assert not loaded & {"transformers", "matplotlib", "IPython", "ipywidgets"}


@pytest.mark.parametrize("name", peft_lab.__all__)
def test_every_public_name_is_there_and_documented(name):
    thing = getattr(peft_lab, name)
    assert not callable(thing) or thing.__doc__, f"{name} has no docstring"
    assert name in dir(peft_lab)


def test_every_module_is_an_attribute_without_being_imported():
    code = "import peft_lab; print(*(getattr(peft_lab, n).__name__ for n in peft_lab._MODULES))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) == {f"peft_lab.{name}" for name in peft_lab._MODULES}


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'LoRAA'"):
        peft_lab.LoRAA  # noqa: B018
