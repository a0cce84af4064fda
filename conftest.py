"""What holds for every test and notebook: no network, strict checks, budgets of time and memory.

It stands at the root, not in tests/: pytest applies a conftest only below its own folder, and the
notebooks are tests too.
"""

import gc
import importlib.util
import json
import os
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent
OFFLINE = ROOT / "tests" / "offline"

# Before anything imports torch, transformers or matplotlib; kernels inherit the environment.
_spec = importlib.util.spec_from_file_location("peft_lab_offline", OFFLINE / "sitecustomize.py")
offline = importlib.util.module_from_spec(_spec)
sys.modules["peft_lab_offline"] = offline
_spec.loader.exec_module(offline)
offline.prepare(os.environ)
offline.close_network()
if "PYTEST_XDIST_WORKER" in os.environ:
    # Two multi-threaded jobs on two cores spin against each other, many times slower than one
    # thread each.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("MKL_NUM_THREADS", "1")

# Seconds that a scope takes, to start the longest first: with two workers, a long one begun last
# leaves the other idle. Notebooks bring their own number.
LONG_SCOPES = {"tests/test_solutions.py": 400, "tests/test_browser.py": 300}


def pytest_addoption(parser):
    parser.addoption("--long", action="store_true", help="also run the tests that take minutes")


def pytest_collectstart(collector):
    # nbval cannot be told on the command line what not to compare. Warnings and text progress
    # bars go to stderr and hold speeds and process ids; html, svg and javascript hold ids.
    if hasattr(collector, "skip_compare"):
        collector.skip_compare += ("stderr", "text/html", "image/svg+xml", "application/javascript")


def budget_of(path) -> dict:
    """The `peft_lab` metadata of a notebook: minutes (learner), seconds (run), memory_mb (peak)."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))["metadata"].get("peft_lab", {})
    except (OSError, ValueError, KeyError):
        return {}


def _is_cell(item) -> bool:
    return hasattr(item, "cell") and hasattr(item, "cell_num")


def pytest_collection_modifyitems(config, items):
    if not config.getoption("--long"):
        skip = pytest.mark.skip(reason="takes minutes: run with --long")
        for item in items:
            if item.get_closest_marker("long"):
                item.add_marker(skip)

    seconds: dict[str, float] = {}
    for item in items:
        scope = item.nodeid.split("::", 1)[0]
        if scope not in seconds:
            run = float(budget_of(item.path).get("seconds", 60)) if _is_cell(item) else 0.0
            seconds[scope] = run or LONG_SCOPES.get(scope, 0)
        if _is_cell(item):
            item.is_last_cell = False
    cells = {item.path: item for item in items if _is_cell(item)}
    for item in cells.values():  # a dict keeps the last of each notebook
        item.is_last_cell = True
    items.sort(key=lambda item: -seconds[item.nodeid.split("::", 1)[0]])


def pytest_collection_finish(session):
    """The libraries and thousands of tests stay to the end: no collection need look at them."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    """Time is a hang guard only, at three times a notebook's budget; memory is a limit."""
    if not _is_cell(item):
        return (yield)
    notebook, budget = item.parent, budget_of(item.path)
    spent = getattr(notebook, "seconds_spent", 0.0)
    if "seconds" in budget:
        item.config.option.nbval_cell_timeout = max(1.0, 3 * float(budget["seconds"]) - spent)
    start = time.perf_counter()
    try:
        result = yield
    finally:
        notebook.seconds_spent = spent + time.perf_counter() - start
    if item.is_last_cell:
        peak = kernel_peak_memory_mb(notebook.kernel)
        item.user_properties += [("seconds", notebook.seconds_spent), ("memory_mb", peak)]
        limit = budget.get("memory_mb")
        assert limit is None or peak <= limit, (
            f"{item.path.name} held {peak:.0f} MB at its peak; its budget (memory_mb) is {limit} MB"
        )
    return result


def kernel_peak_memory_mb(kernel) -> float:
    """Asks a running nbval kernel for its own peak."""
    question = kernel.kc.execute(
        "",
        store_history=False,
        user_expressions={"peak": "__import__('sitecustomize').peak_memory_mb()"},
    )
    while True:
        reply = kernel.get_message(stream="shell", timeout=30)
        if reply["parent_header"].get("msg_id") == question:
            answer = reply["content"]["user_expressions"]["peak"]
            if answer["status"] != "ok":
                raise RuntimeError(f"the kernel could not tell its memory: {answer}")
            return float(answer["data"]["text/plain"])


def pytest_terminal_summary(terminalreporter):
    """Time and memory are reported for each notebook, also when all is well."""
    rows = []
    for report in terminalreporter.stats.get("passed", []):
        found = dict(report.user_properties)
        if "memory_mb" in found:
            rows.append((report.nodeid.split("::")[0], found["seconds"], found["memory_mb"]))
    if rows:
        terminalreporter.section("notebooks: seconds, peak memory")
        for name, seconds, memory in sorted(rows):
            terminalreporter.write_line(f"{name:44} {seconds:6.1f} s {memory:7.0f} MB")
