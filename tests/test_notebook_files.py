"""What a committed notebook is: executed, in its normal form, small, readable; a learner's edition.

nbval compares nothing in a cell without stored outputs, so a stripped notebook would pass with any
number in it. This file is what fails then.
"""

import ast
import re
from pathlib import Path
from statistics import median

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from tools import refresh

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
EXPECTED = (
    "00_start_here",
    "01_full_fine_tuning",
    "02_freezing_layers",
    "03_soft_prompts",
    "04_prefix_tuning",
    "05_adapters_and_ia3",
    "06_lora",
    "07_hybrids",
    "08_which_one_when",
    "09_scale",
    "10_serving",
    "11_instruction_tuning",
)
# In every notebook, in this order and in these words, whatever stands between them.
HEADINGS = ("your turn", "what it costs", "three questions", "sources")

COLUMNS = 72
MEDIAN_LINES, MAX_LINES = 7, 40
IGNORED_SHARE = 0.35
MAX_BYTES = 400_000
CEILING_SECONDS = 90
FIRST_FIVE_SECONDS, ALL_SECONDS = 240, 540  # on two cores
ABSOLUTE = re.compile(r"(?<![\w.:/])(/(?:home|root|Users|tmp|work|mnt|opt|var)/|[A-Z]:\\\\?\w)")


def code_cells(book) -> list:
    return [cell for cell in book.cells if cell.cell_type == "code"]


def lines(cell) -> list[str]:
    return [line for line in cell.source.splitlines() if line.strip()]


def is_ignored(cell) -> bool:
    return refresh.IGNORE in cell.metadata.get("tags", [])


def texts(cell) -> str:
    """All text that a cell's outputs hold."""
    parts = []
    for output in cell.outputs:
        parts.append(output.get("text", ""))
        parts += [v for k, v in output.get("data", {}).items() if k.startswith("text/")]
    return "\n".join(parts)


def is_stub(node: ast.stmt) -> bool:
    """`def f(...): "doc" ...` or `name = ...`: something that is still to be written."""
    if isinstance(node, ast.Assign):
        values = node.value.values if isinstance(node.value, ast.Dict) else [node.value]
        values = values[0].elts if values and isinstance(values[0], ast.List) else values
        return all(isinstance(v, ast.Constant) and v.value in (..., None) for v in values)
    body = [n for n in node.body if not (isinstance(n, ast.Expr) and _is_text(n.value))]
    return all(
        isinstance(n, ast.Pass | ast.Raise)
        or (isinstance(n, ast.Expr) and isinstance(n.value, ast.Constant))
        or (isinstance(node, ast.ClassDef) and isinstance(n, ast.FunctionDef) and is_stub(n))
        for n in body
    )


def _is_text(value: ast.expr) -> bool:
    return isinstance(value, ast.Constant) and isinstance(value.value, str)


# Each rule yields what is wrong. They are functions, so that each can be seen to fail, below.


def rule_executed(book):
    for number, cell in enumerate(code_cells(book), start=1):
        if cell.execution_count != number:
            yield f"code cell {number} has execution_count {cell.execution_count}"


def rule_no_errors_and_no_stderr(book):
    for number, cell in enumerate(code_cells(book), start=1):
        for output in cell.outputs:
            if output.output_type == "error" or output.get("name") == "stderr":
                yield f"code cell {number} holds {output.get('name', 'an error')}"


def rule_no_widget_state(book):
    if "widgets" in book.metadata:
        yield "metadata.widgets"
    for number, cell in enumerate(code_cells(book), start=1):
        if any(refresh.VIEW in output.get("data", {}) for output in cell.outputs):
            yield f"code cell {number} holds a widget, which is blank without a kernel"


def rule_kernel(book):
    if book.metadata.get("kernelspec", {}).get("name") != "python3":
        yield "the kernel is not called python3"


def rule_normal_form(book):
    if refresh.to_text(book) != refresh.to_text(refresh.normalise(_copy(book))):
        yield "not in the normal form: python tools/refresh.py --tidy"


def rule_columns(book):
    for number, cell in enumerate(code_cells(book), start=1):
        for line in cell.source.splitlines():
            if len(line) > COLUMNS:
                yield f"code cell {number}, {len(line)} columns: {line}"


def rule_cell_length(book):
    sizes = [len(lines(cell)) for cell in code_cells(book)]
    if sizes and median(sizes) > MEDIAN_LINES:
        yield f"the median cell has {median(sizes)} lines, {MEDIAN_LINES} are the limit"
    for number, size in enumerate(sizes, start=1):
        if size > MAX_LINES:
            yield f"code cell {number} has {size} lines, {MAX_LINES} are the limit"


def rule_few_cells_are_ignored(book):
    cells = code_cells(book)
    ignored = sum(map(is_ignored, cells))
    if cells and ignored / len(cells) > IGNORED_SHARE:
        yield f"{ignored} of {len(cells)} cells are not compared"


def rule_ignored_cells_hold_live_output_only(book):
    """What is defined or claimed must stand in a cell whose output is compared."""
    for number, cell in enumerate(code_cells(book), start=1):
        if not is_ignored(cell):
            continue
        plain = re.sub(r"^\s*[%!].*$", "", cell.source, flags=re.M)
        for node in ast.walk(ast.parse(plain)):
            name = getattr(getattr(node, "func", None), "id", "")
            if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Assert):
                yield f"code cell {number} is not compared, but defines or asserts"
            elif name.startswith("check_"):
                yield f"code cell {number} is not compared, but calls {name}"


def rule_budget(book):
    budget = book.metadata.get("peft_lab", {})
    for key in ("minutes", "seconds", "memory_mb"):
        if not isinstance(budget.get(key), int | float) or budget[key] <= 0:
            yield f"metadata.peft_lab lacks {key}"
    if budget.get("seconds", 0) > CEILING_SECONDS:
        yield f"a budget of {budget['seconds']} s; {CEILING_SECONDS} is the ceiling"


def rule_headings(book):
    first = book.cells[0]
    if first.cell_type != "markdown" or not first.source.startswith("# "):
        yield "the first cell is no title"
    found = []
    for cell in book.cells:
        if cell.cell_type == "markdown":
            found += re.findall(r"^#{2,3} +(.*)$", cell.source, re.M)
    at = -1
    for wanted in HEADINGS:
        places = [i for i, heading in enumerate(found) if wanted in heading.lower()]
        if not places:
            yield f"no heading says {wanted!r}"
        elif places[-1] <= at:
            yield f"the heading {wanted!r} comes too early"
        else:
            at = places[-1]


def rule_folded_answers(book):
    text = "\n".join(cell.source for cell in book.cells if cell.cell_type == "markdown")
    if text.count("<details>") < 3 or text.count("<details>") != text.count("</details>"):
        yield "fewer than three questions with folded answers, or one is not closed"


def rule_figures_are_explained(book):
    """A sentence under the figure is the only thing that reaches everyone: alt text does not."""
    for at, cell in enumerate(book.cells):
        if cell.cell_type != "code":
            continue
        if any("image/png" in output.get("data", {}) for output in cell.outputs):
            below = book.cells[at + 1] if at + 1 < len(book.cells) else None
            under = below.source if below is not None and below.cell_type == "markdown" else ""
            if "What to see" not in texts(cell) + under:
                yield f"no 'What to see' under the figure of: {lines(cell)[0]}"


def rule_no_absolute_paths(book):
    for cell in book.cells:
        text = cell.source + (texts(cell) if cell.cell_type == "code" else "")
        for found in ABSOLUTE.finditer(text):
            yield f"an absolute path: …{text[max(0, found.start() - 20) : found.end() + 20]}…"


def rule_no_long_fractions(book):
    """Their last digits are the processor's: strict nbval would refuse another one's."""
    for cell in book.cells:
        if cell.cell_type == "code" and "nbval-ignore-output" not in cell.metadata.get("tags", []):
            for found in re.findall(r"\d\.\d{9,}", texts(cell)):
                yield f"{found} in the output of: {cell.source[-40:]}"


def rule_exercises_are_unanswered(book):
    for cell in book.cells:
        if "exercise" not in cell.metadata.get("tags", []):
            continue
        exercise = refresh.exercise_of(cell)
        if exercise is None:
            yield f"an exercise without metadata.peft_lab.exercise: {cell.source[:40]}"
            continue
        named = refresh._named(ast.parse(cell.source))
        if not any(is_stub(node) for node in named.values()):
            yield f"exercise {exercise} is answered already"


RULES = [rule for name, rule in sorted(globals().items()) if name.startswith("rule_")]


def _copy(book):
    return nbformat.reads(nbformat.writes(book), as_version=4)


# ---- the course's notebooks --------------------------------------------------------------------


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__.removeprefix("rule_"))
def test_notebook(path, rule):
    assert list(rule(refresh.read(path))) == []


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_is_small(path):
    assert path.stat().st_size < MAX_BYTES


def test_all_are_there_and_in_time():
    names = {path.stem for path in NOTEBOOKS}
    assert set(EXPECTED) <= names
    budgets = [refresh.read(FOLDER / f"{n}.ipynb").metadata.peft_lab.seconds for n in EXPECTED]
    assert sum(budgets[:5]) <= FIRST_FIVE_SECONDS and sum(budgets) <= ALL_SECONDS


# ---- each rule fails where it should -----------------------------------------------------------


def good() -> nbformat.NotebookNode:
    """A small notebook that keeps every rule."""
    stub = new_code_cell("def f(x):\n    ...")
    stub.metadata = nbformat.from_dict({"tags": ["exercise"], "peft_lab": {"exercise": "01a"}})
    plot = new_code_cell("draw()")
    plot.outputs = [
        new_output("display_data", {"image/png": "AAAA"}),
        new_output("stream", text="What to see: a line.\n"),
    ]
    live = new_code_cell("print(generate())")
    live.metadata = nbformat.from_dict({"tags": [refresh.IGNORE]})
    cells = [
        new_markdown_cell("# 01 A title\n\n30 minutes, 45 seconds"),
        new_markdown_cell("## Your turn"),
        stub,
        new_markdown_cell("## What it costs"),
        plot,
        new_code_cell("a = 1"),
        live,
        new_markdown_cell("## Three questions\n" + "<details>x</details>\n" * 3),
        new_markdown_cell("## Sources"),
    ]
    budget = {"peft_lab": {"minutes": 30, "seconds": 45, "memory_mb": 900}}
    return refresh.normalise(new_notebook(cells=cells, metadata=budget))


STUB, PLOT, PLAIN, LIVE = 2, 4, 5, 6


def _stripped(book):
    book.cells[PLOT].execution_count = None


def _error(book):
    book.cells[PLOT].outputs = [new_output("error", ename="E", evalue="e", traceback=[])]


def _warning(book):
    book.cells[PLOT].outputs = [new_output("stream", name="stderr", text="3 it/s")]


def _widget(book):
    view = {refresh.VIEW: {"model_id": "1"}}
    book.cells[PLOT].outputs = [new_output("display_data", view)]


def _state(book):
    book.metadata["widgets"] = {}


def _kernel(book):
    book.metadata.kernelspec["name"] = "my-env"


def _ids(book):
    book.cells[0].id = "random"


def _wide(book):
    book.cells[PLAIN].source = "a = 1  #" + 65 * "x"


def _long(book):
    book.cells[PLAIN].source = "a = 1\n" * 41


def _all_long(book):
    for cell in code_cells(book):
        cell.source = "a = 1\n" * 8


def _all_ignored(book):
    for cell in code_cells(book):
        cell.metadata["tags"] = [refresh.IGNORE]


def _claim_ignored(book):
    book.cells[LIVE].source = 'check_close("loss", loss, 3.6)'


def _definition_ignored(book):
    book.cells[LIVE].source = "def f():\n    return 1"


def _no_budget(book):
    del book.metadata["peft_lab"]["memory_mb"]


def _slow(book):
    book.metadata["peft_lab"]["seconds"] = 91


def _no_title(book):
    book.cells[0].source = "Hello"


def _no_sources(book):
    book.cells[-1].source = "## The end"


def _order(book):
    book.cells[1].source, book.cells[-1].source = book.cells[-1].source, book.cells[1].source


def _unfolded(book):
    book.cells[-2].source = "## Three questions\n<details>x</details>"


def _unexplained(book):
    book.cells[PLOT].outputs.pop()


def _path(book):
    book.cells[PLAIN].source = 'load("/home/me/model")'


def _windows_path(book):
    book.cells[PLAIN].source = r'load("C:\Users\me")'


def _path_in_output(book):
    book.cells[PLOT].outputs[1].text = "saved in /tmp/x. What to see: a line.\n"


def _all_digits(book):
    book.cells[PLOT].outputs[1].text = "0.8236757153645158. What to see: a line.\n"


def _answered(book):
    book.cells[STUB].source = "def f(x):\n    return x + 1"


def _unnamed_exercise(book):
    del book.cells[STUB].metadata["peft_lab"]


BROKEN = {
    _stripped: rule_executed,
    _error: rule_no_errors_and_no_stderr,
    _warning: rule_no_errors_and_no_stderr,
    _widget: rule_no_widget_state,
    _state: rule_no_widget_state,
    _kernel: rule_kernel,
    _ids: rule_normal_form,
    _wide: rule_columns,
    _long: rule_cell_length,
    _all_long: rule_cell_length,
    _all_ignored: rule_few_cells_are_ignored,
    _claim_ignored: rule_ignored_cells_hold_live_output_only,
    _definition_ignored: rule_ignored_cells_hold_live_output_only,
    _no_budget: rule_budget,
    _slow: rule_budget,
    _no_title: rule_headings,
    _no_sources: rule_headings,
    _order: rule_headings,
    _unfolded: rule_folded_answers,
    _unexplained: rule_figures_are_explained,
    _path: rule_no_absolute_paths,
    _windows_path: rule_no_absolute_paths,
    _all_digits: rule_no_long_fractions,
    _path_in_output: rule_no_absolute_paths,
    _answered: rule_exercises_are_unanswered,
    _unnamed_exercise: rule_exercises_are_unanswered,
}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_a_good_notebook_keeps_the_rule(rule):
    assert list(rule(good())) == []
    assert rule in BROKEN.values()


@pytest.mark.parametrize("breakage", BROKEN, ids=lambda breakage: breakage.__name__)
def test_the_rule_sees(breakage):
    book = good()
    breakage(book)
    assert list(BROKEN[breakage](book))


def test_web_addresses_and_fractions_are_no_paths():
    for text in ("https://example.org/home/x", "a/tmp/b", "C: 3", "1/2"):
        book = good()
        book.cells[0].source = f"# {text}"
        assert list(rule_no_absolute_paths(book)) == []
