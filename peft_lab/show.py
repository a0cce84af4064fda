"""Show the package's own source in a notebook, so that the text and the code cannot drift apart."""

import ast
import inspect
import textwrap
from pathlib import Path
from typing import Any


def show_source(*objects: Any, docstrings: str = "first") -> None:
    """Display the source of classes, functions, methods or modules as a block of Python.

    Args:
        objects: what to show; several are shown one under the other.
        docstrings: ``"first"`` keeps the first paragraph of each docstring (the rest is a
            ``help()`` away), ``"all"`` keeps them whole, ``"none"`` drops them.

    Outside a notebook the text is printed. Raises TypeError where an object has no Python source.
    """
    for thing in objects:
        text = source(thing, docstrings=docstrings)
        origin = _origin(thing)
        if not _in_notebook():
            print(f"# {origin}\n{text}")
            continue
        from IPython.display import Markdown, display

        display(Markdown(f"`{origin}`\n\n```python\n{text}\n```"))


def source(thing: Any, *, docstrings: str = "first") -> str:
    """The source text of ``thing``, dedented, docstrings shortened as :func:`show_source` says."""
    if docstrings not in ("first", "all", "none"):
        raise ValueError(f'docstrings={docstrings!r}: "first", "all" or "none" would do.')
    thing = inspect.unwrap(thing) if callable(thing) else thing
    try:
        text = textwrap.dedent(inspect.getsource(thing)).rstrip()
    except (OSError, TypeError) as error:
        kind = type(thing).__name__
        raise TypeError(
            f"show_source: {kind} {thing!r:.60} has no Python source to show; give a class, a "
            "function, "
            "a method or a module of the package."
        ) from error
    return text if docstrings == "all" else _shorten(text, keep_first=docstrings == "first")


def _shorten(text: str, *, keep_first: bool) -> str:
    """Cut every docstring to its first paragraph, or away."""
    lines = text.split("\n")
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    nodes = [n for n in ast.walk(ast.parse(text)) if isinstance(n, kinds) and n.body]
    for node in sorted(nodes, key=lambda n: n.body[0].lineno, reverse=True):
        said = ast.get_docstring(node)
        if not said:
            continue
        first = node.body[0]
        indent = " " * first.col_offset
        stop = first.end_lineno
        while stop < len(lines) and not lines[stop].strip():
            stop += 1  # the blank lines after a docstring belong to it
        keep = keep_first or len(node.body) == 1  # a body may not become empty
        text = said.split("\n\n")[0].split("\n")
        short = [f'{indent}"""{text[0]}', *(f"{indent}{line}" for line in text[1:])]
        short[-1] += '"""'
        short = short if keep else []
        if keep and isinstance(node, (ast.Module, ast.ClassDef)):
            short.append("")
        lines[first.lineno - 1 : stop] = short
    return "\n".join(lines).strip("\n")


def _origin(thing: Any) -> str:
    """Where the source lies, as a path from the package's folder: ``peft_lab/methods/lora.py``."""
    try:
        path = Path(inspect.getsourcefile(inspect.unwrap(thing) if callable(thing) else thing))
    except TypeError:
        return "here"
    parts = path.parts
    if "peft_lab" in parts:
        start = len(parts) - 1 - parts[::-1].index("peft_lab")
        return "/".join(parts[start:])
    return "this notebook" if "ipykernel" in str(path) else path.name


def _in_notebook() -> bool:
    """True inside a Jupyter kernel (or any IPython shell that displays rich output)."""
    import sys

    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return shell is not None and hasattr(shell, "kernel")
