"""The machinery under the notebooks: offline runs, the normal form, putting in solutions."""

import base64
import os
import re
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import nbformat
import pytest
from nbclient.exceptions import CellExecutionError
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from tools import refresh

ROOT = Path(__file__).resolve().parent.parent


def notebook(*sources: str, **budget) -> nbformat.NotebookNode:
    cells = [new_markdown_cell("# A title"), *map(new_code_cell, sources)]
    return new_notebook(cells=cells, metadata={"peft_lab": {"seconds": 20, **budget}})


# ---- running -----------------------------------------------------------------------------------


@pytest.mark.parametrize("address", ["192.0.2.1", "2001:db8::1", "example.org"])
def test_a_cell_that_reaches_outside_fails(address):
    book = notebook(f"import socket\nsocket.create_connection(({address!r}, 80), timeout=2)")
    with pytest.raises(
        CellExecutionError, match="the network is closed while the course is tested"
    ):
        refresh.execute(book)


def test_this_process_is_closed_too():
    import socket

    with pytest.raises(PermissionError, match="closed"):
        socket.create_connection(("192.0.2.1", 80), timeout=2)
    with pytest.raises(PermissionError, match="closed"):
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("192.0.2.1", 53))


def test_loopback_stays_open_and_strictness_reaches_the_kernel():
    book = notebook(
        "import os, socket\n"
        "server = socket.create_server(('127.0.0.1', 0))\n"
        "socket.create_connection(server.getsockname()).close()\n"
        "names = 'PEFT_LAB_STRICT', 'HF_HUB_OFFLINE'\n"
        "print([os.environ[n] for n in names])"
    )
    run = refresh.execute(book)
    assert book.cells[1].outputs[0].text == "['1', '1']\n"
    assert 30 < run.memory_mb < 1000 and 0 < run.seconds < 60


WIDGETS = """
import sys, warnings
import ipywidgets as w
from IPython.display import Image, display
from tqdm.auto import tqdm
warnings.warn("speed 3.14 it/s")
print("first")
for _ in tqdm(range(3)):
    pass
slider, out = w.IntSlider(max=9), w.Output()
with out:
    print("what the slider shows")
    display(Image(data=PNG, format="png"))
print("second")
display(w.VBox([slider, out]))
"""


def png(software: bool) -> bytes:
    def chunk(kind, data):
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    text = chunk(b"tEXt", b"Software\0matplotlib 9.9") if software else b""
    rows = chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0))
    rows += text + chunk(b"IDAT", zlib.compress(b"\0\xff")) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + rows


def test_normal_form_of_a_real_run():
    """Bars, warnings and widgets go, a widget's figure stays; two runs give the same bytes."""
    books = []
    for _ in range(2):
        book = notebook(f"PNG = {png(True)!r}" + WIDGETS, "1 + 1")
        refresh.execute(book)
        books.append(refresh.to_text(refresh.normalise(book)))
    assert books[0] == books[1]
    cell = nbformat.reads(books[0], as_version=4).cells[1]
    kinds = [o.get("text") or sorted(o.data) for o in cell.outputs]
    assert kinds[0] == "first\nsecond\nwhat the slider shows\n"
    assert "image/png" in kinds[1] and len(kinds) == 2
    assert base64.b64decode(cell.outputs[1].data["image/png"]) == png(False)
    assert "widget-" not in books[0] and "it/s" not in str(cell.outputs)


def test_normalise_is_idempotent_and_orders_counts():
    book = notebook("print(1)  ", "2", "2")
    for cell, count in zip(book.cells[1:], (7, None, 3), strict=True):
        cell.execution_count = count
        cell.metadata = nbformat.from_dict({"execution": {"iopub": "now"}, "tags": ["exercise"]})
    book.cells[2].outputs = [new_output("execute_result", {"text/plain": "2"}, execution_count=9)]
    book.metadata["kernelspec"] = {"name": "my-env", "display_name": "My own"}
    once = refresh.to_text(refresh.normalise(book))
    assert refresh.to_text(refresh.normalise(nbformat.reads(once, as_version=4))) == once
    again = nbformat.reads(once, as_version=4)
    assert [c.execution_count for c in again.cells[1:]] == [1, 2, 3]
    assert again.cells[2].outputs[0].execution_count == 2
    assert again.metadata.kernelspec.name == "python3"
    assert len({c.id for c in again.cells}) == 4
    assert "my-env" not in once and "iopub" not in once


def test_ids_survive_a_new_cell():
    before = refresh.normalise(notebook("a = 1", "b = 2"))
    after = refresh.normalise(notebook("new = 0", "a = 1", "b = 2"))
    assert [c.id for c in before.cells[1:]] == [c.id for c in after.cells[2:]]


# ---- --check -----------------------------------------------------------------------------------


def ran(text: str, tags=()) -> nbformat.NotebookNode:
    book = notebook("f()")
    book.cells[1].metadata["tags"] = list(tags)
    book.cells[1].outputs = [new_output("stream", text=text)]
    return book


def test_differences_sees_text_kinds_and_nothing_else():
    assert refresh.differences(ran("loss 3.64\n"), ran("loss 3.64\n")) == []
    assert any("3.65" in line for line in refresh.differences(ran("3.64\n"), ran("3.65\n")))
    assert refresh.differences(ran("<A at 0x7f00aa11bb22>"), ran("<A at 0x7f00cc33dd44>")) == []
    live = ["nbval-ignore-output"]
    assert refresh.differences(ran("a poem", live), ran("another", live)) == []
    plot = ran("x")
    plot.cells[1].outputs = [new_output("display_data", {"image/png": "AA=="})]
    other = ran("x")
    other.cells[1].outputs = [new_output("display_data", {"image/png": "BB=="})]
    assert refresh.differences(plot, other) == []
    assert refresh.differences(plot, ran("x"))


def test_check_fails_on_a_wrong_stored_number_and_writes_nothing(tmp_path, capsys):
    path = tmp_path / "x.ipynb"
    path.write_text(refresh.to_text(notebook("print(6 * 7)")), encoding="utf-8")
    assert refresh.main([str(path)]) == 0
    good = path.read_text(encoding="utf-8")
    assert refresh.main(["--check", str(path)]) == 0
    path.write_text(good.replace('"42\\n"', '"43\\n"'), encoding="utf-8")
    bad = path.read_bytes()
    assert refresh.main(["--check", str(path)]) == 1
    assert "-43" in capsys.readouterr().out and path.read_bytes() == bad


# ---- solutions ---------------------------------------------------------------------------------

STUB = '''# yours
def count(x):
    """How many."""
    ...

votes = ...  # of five
print(count(3))'''
SOLUTIONS = '''"""Solutions."""
import math

model = None  # stands for the notebook's


def solution_01a_count(x):
    return 0 if x == 0 else 1 + solution_01a_count(x - 1)


solution_01a_votes = {"one": 1,
                      "two": 2}


def solution_01b(x):
    return math.pi * x
'''


def test_put_in_solution():
    done = refresh.put_in_solution(STUB, SOLUTIONS, "01a")
    assert done.startswith("import math\n# yours\ndef count(x):\n    return")
    assert done.endswith("\nprint(count(3))")
    assert not re.search(r"\.\.\.|solution|model", done)
    space = {}
    exec(done, space)
    assert space["count"](4) == 4 and space["votes"] == {"one": 1, "two": 2}

    exec(refresh.put_in_solution("a = 1\ndef area(r):\n    ...", SOLUTIONS, "01b"), space)
    assert space["a"] == 1 and 3.1 < space["area"](1) < 3.2
    with pytest.raises(KeyError, match="solution_09z"):
        refresh.put_in_solution("x = ...", SOLUTIONS, "09z")


def test_solved_replaces_exercise_cells_only():
    book = notebook("def count(x):\n    ...", "def count(x):\n    ...")
    book.cells[1].metadata = nbformat.from_dict(
        {"tags": ["exercise"], "peft_lab": {"exercise": "01a"}}
    )
    done = refresh.solved(book, SOLUTIONS)
    assert "count(x - 1)" in done.cells[1].source and done.cells[2].source == book.cells[2].source
    assert "..." in book.cells[1].source  # the original stays
    with pytest.raises(KeyError, match="01a"):
        refresh.solved(book, "")


# ---- nbval with the course's conftest ----------------------------------------------------------


def stored(text: str, source: str, **budget) -> str:
    book = notebook(source, **budget)
    book.cells[1].outputs = [new_output("stream", text=text)]
    return refresh.to_text(refresh.normalise(book))


def test_nbval_enforces_numbers_network_memory_and_time(tmp_path):
    """Four notebooks of which each must fail for one reason, and one that must pass."""
    cells = {
        "good": stored("42\n", "import sys\nprint(42)\nprint('3 it/s', file=sys.stderr)"),
        "wrong": stored("43\n", "print(42)"),
        "outside": stored("", "import socket\nsocket.create_connection(('192.0.2.1', 80), 2)"),
        "memory": stored("9\n", "x = bytearray(300_000_000)\nprint(9)", memory_mb=250),
        "slow": stored("9\n", "import time\ntime.sleep(60)\nprint(9)", seconds=1),
    }
    for name, text in cells.items():
        (tmp_path / f"{name}.ipynb").write_text(text, encoding="utf-8")
    # `-p conftest`: these notebooks lie outside the repository, where its conftest does not reach.
    command = [sys.executable, "-m", "pytest", "-c", "pyproject.toml", "-p", "conftest"]
    environ = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST")}
    done = subprocess.run(
        [*command, f"--rootdir={tmp_path}", "-q", "-p", "no:cacheprovider", str(tmp_path)],
        cwd=ROOT,
        env=environ,
        capture_output=True,
        text=True,
        timeout=240,
    )
    out = done.stdout
    assert "4 failed, 1 passed" in out, out + done.stderr
    failed = {line.split("::")[0].split(" ")[1] for line in out.splitlines() if "FAILED" in line}
    assert {Path(name).stem for name in failed} == {"wrong", "outside", "memory", "slow"}
    assert "the network is closed" in out
    assert "its budget (memory_mb) is 250 MB" in out
    assert "Timeout of 3 seconds" in out or "Timeout of 2" in out
    assert "good.ipynb" in out.split("seconds, peak memory")[1]
