import warnings

import pytest

from peft_lab.code_measures import good_lines, parses, unknown_names

DEF = 'def double(x):\n    """Give twice as much."""'
CLASS = 'class Hen:\n    """A hen."""'


@pytest.mark.parametrize(
    ("source", "body", "expected"),
    [
        (DEF, "    return 2 * x", True),
        (DEF, "    pass", True),  # whether it makes sense is not asked
        (DEF, "\n    def inner():\n        return x\n\n    return inner", True),
        (DEF, "    return 2 *", False),
        (DEF, "return 2 * x", False),  # belongs to no def
        (DEF, "  return x", False),
        (DEF, "    return x\n      return x", False),
        (DEF, "    Once there was a hen.", False),
        (DEF, "", False),  # a docstring alone is Python
        (DEF, "\n    # only a remark\n", False),
        (DEF, "\nx = 1", False),
        (DEF, "    return '\0'", False),
        (DEF, "    return " + "(" * 10_000, False),
        ("def double(x):", "    return 2 * x", True),  # no docstring
        ("def double(x):", "", False),
        (CLASS, "\n    def lay(self):\n        return 1", True),
        (CLASS, "    eggs = = 1", False),
        ("", "", False),
        ("x = 1", "y = 2", False),  # nothing that has a body
    ],
)
def test_parses(source, body, expected):
    assert parses(source, body) is expected


def test_nothing_is_run_and_nothing_warned(tmp_path):
    file = tmp_path / "made"
    body = f"    while True:\n        open({str(file)!r}, 'w')\n    '\\d'\n    return 1 is 1"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert parses(DEF, body) and parses(DEF, "    pass\nwhile True:\n    1 / 0")
        assert good_lines(body) == 1 and unknown_names(DEF, body) == set()
    assert not file.exists()


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("    if x:\n        return 1\n    elif y:\n        return 2\n    else:\n        pass", 1),
        ("    try:\n        x()\n    except OSError as e:\n        raise\n    finally:\n pass", 1),
        ("    match x:\n        case [1, *rest]:\n            return rest\n        case _:\n a", 1),
        ("    for a in b:\n\n    with open(a) as c:", 1),  # each for itself
        ("    return (\n        1\n    )", 1 / 3),
        ("    the hen sat\n    x = 1", 1 / 2),
        ("    elsewhere x", 0),
        ("    hen", 1),  # a name
        ("", 0),
        ("\n   \n", 0),
        ("    x = '\0'", 0),
    ],
)
def test_good_lines(body, expected):
    assert good_lines(body) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("    return twice(x) + len(y)", {"twice", "y"}),
        ("    y = x\n    return y", set()),
        ("    import math as m\n    import os.path\n    return m.pi, os, math", {"math"}),
        ("    def inner(a, *b, c=d, **e):\n        return a, b, c, e\n    return inner", {"d"}),
        ("    try:\n        pass\n    except OSError as error:\n        return error", set()),
        ("    match x:\n        case {'a': a, **b}:\n            return a, b", set()),
        ("    match x:\n        case [a, *b] as c:\n            return a, b, c, z", {"z"}),
        ("    return [a for a in x] + [lambda b: b + k]", {"k"}),
        ("    class Inner:\n        pass\n    return Inner, double, x.y", set()),
    ],
)
def test_unknown_names(body, expected):
    assert unknown_names(DEF, body) == expected


def test_names_of_what_is_not_python():
    with pytest.raises(SyntaxError):
        unknown_names(DEF, "    return 2 *")
