"""What a program looks like that a model wrote: by its form alone. Nothing here runs it.

Whether a program does what it should can only be told by running it, and what a model wrote must
never be run without a time limit and a wall around it. So these measures read; see the datasheet
of `code` for what they say of texts that are no programs.
"""

import ast
import builtins
import re
import warnings

# What ast.parse raises: no Python, a null byte (before 3.12), too deep for it.
_BROKEN = (SyntaxError, ValueError, MemoryError, RecursionError)


def _tree(text: str) -> ast.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of odd escapes, as in "\d"
        return ast.parse(text)


def parses(source: str, body: str) -> bool:
    """Whether `source + "\\n" + body` is Python and the body belongs to it.

    A line of def with a docstring is a whole program by itself, so the def or class of `source`
    must have a statement in the body. Whether it makes sense is not asked: "    pass" parses.

    Args:
        source: a line of def or class and, perhaps, its docstring.
        body: what was written after it, with its indentation.
    """
    try:
        first = _tree(source + "\n" + body).body[0]
    except (*_BROKEN, IndexError):
        return False
    inside = getattr(first, "body", [])
    return bool(inside) and inside[-1].lineno > source.count("\n") + 1


def good_lines(body: str) -> float:
    """The share (0 to 1) of the lines that are Python each for itself, without indentation.

    The graded sister of `parses`. Empty lines do not count; a body without others scores 0. A line
    that opens a block ("for x in y:", "else:") is good. A single word is, too, as it is a name; of
    a bracket over several lines some are not.
    """
    lines = [line.strip() for line in body.split("\n") if line.strip()]
    return sum(map(_stands, lines)) / len(lines) if lines else 0.0


def _stands(line: str) -> bool:
    before, after = "", " pass" if line.endswith(":") else ""
    if re.match(r"(elif|else)\b", line):
        before = "if x:\n pass\n"
    elif re.match(r"(except|finally)\b", line):
        before = "try:\n pass\n"
    elif re.match(r"case .*:$", line):
        before = "match x:\n "
    elif line == "try:":
        after = "\n pass\nfinally:\n pass"
    elif re.match(r"match .*:$", line):
        after = "\n case _:\n  pass"
    try:
        _tree(before + line + after)
    except _BROKEN:
        return False
    return True


def unknown_names(source: str, body: str) -> set[str]:
    """Names that `source + "\\n" + body` reads, but nowhere sets, and that Python lacks.

    Raises:
        SyntaxError: it is not Python; ask `parses` first.
    """
    known, used = set(dir(builtins)), set()
    for node in ast.walk(_tree(source + "\n" + body)):
        if isinstance(node, ast.Name):
            (used if isinstance(node.ctx, ast.Load) else known).add(node.id)
        elif isinstance(node, ast.arg):
            known.add(node.arg)
        elif isinstance(node, ast.alias):
            known.add((node.asname or node.name).split(".")[0])
        else:  # def, class, except ... as, case ... as; case {**rest}
            known |= {getattr(node, "name", None), getattr(node, "rest", None)}
    return used - known
