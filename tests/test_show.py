"""The package's source as learners see it: dedented, docstrings cut to their first paragraph."""

import ast
import sys
import types

import pytest

from peft_lab import show
from peft_lab.methods import PrefixTuning
from peft_lab.show import show_source, source


class Sample:
    """First line,
    still the first paragraph.

    Args:
        long: much more.
    """

    size = 3

    def method(self):
        """What it does.

        Raises: nothing.
        """
        return self.size  # a comment stays

    def only_said(self):
        """Nothing else in here.

        But this.
        """


def test_first_paragraph_stays():
    text = source(Sample)
    assert text.startswith('class Sample:\n    """First line,\n    still the first paragraph."""\n')
    assert "much more" not in text and "Raises" not in text and "But this" not in text
    assert "return self.size  # a comment stays" in text and "Nothing else in here." in text
    ast.parse(text)


def test_all_or_none():
    assert "much more" in source(Sample, docstrings="all")
    bare = source(Sample, docstrings="none")
    assert "First line" not in bare and "What it does" not in bare
    assert "Nothing else in here." in bare  # else the body would be empty
    ast.parse(bare)
    with pytest.raises(ValueError, match="'some'"):
        source(Sample, docstrings="some")


def test_a_method_is_dedented():
    assert source(Sample.method).startswith("def method(self):\n    ")


def test_real_sources_stay_whole():
    """Every statement of the class is there; a module and a function go as well."""
    for thing in (PrefixTuning, show, show_source):
        whole, short = (ast.parse(source(thing, docstrings=d)) for d in ("all", "none"))
        names = [
            [n.name for n in ast.walk(tree) if isinstance(n, (ast.FunctionDef, ast.ClassDef))]
            for tree in (whole, short)
        ]
        assert names[0] == names[1] and names[0] != []


def test_what_has_no_source():
    with pytest.raises(TypeError, match="no Python source"):
        source(3)


def test_printed_outside_a_notebook(capsys):
    show_source(PrefixTuning.keys_values)
    said = capsys.readouterr().out
    assert said.startswith("# peft_lab/methods/prefix_tuning.py\ndef keys_values(")


def test_markdown_in_a_notebook(monkeypatch):
    shown = []
    ipython = types.ModuleType("IPython")
    ipython.get_ipython = lambda: types.SimpleNamespace(kernel=True)
    display = types.ModuleType("IPython.display")
    display.Markdown, display.display = str, shown.append
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setitem(sys.modules, "IPython.display", display)
    show_source(PrefixTuning.keys_values, Sample.method)
    assert shown[0].startswith("`peft_lab/methods/prefix_tuning.py`\n\n```python\ndef keys_values(")
    assert shown[1].startswith("`test_show.py`") and shown[1].endswith("\n```")
