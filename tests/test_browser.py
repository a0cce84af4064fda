"""A notebook as a learner meets it: a real JupyterLab, a real browser, a slider that is moved.

PEFT_LAB_BROWSER_NOTEBOOK=03 (or a file) drives another notebook, PEFT_LAB_SCREENSHOT=file.png keeps
a picture.
"""

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tools import refresh

ROOT = Path(__file__).resolve().parent.parent
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
BROWSER = next(filter(None, map(shutil.which, BROWSERS)), None)
NUMBER = os.environ.get("PEFT_LAB_BROWSER_NOTEBOOK", "02")  # it has a slider with a plot
NOTEBOOKS = (
    [Path(NUMBER)]
    if Path(NUMBER).is_file()
    else sorted((ROOT / "notebooks").glob(f"{NUMBER}_*.ipynb"))
)
# Nothing but the page: a browser without these asks its maker's servers at every start.
FLAGS = [
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
SETTINGS = {
    # The question about news would lie over the page.
    "@jupyterlab/apputils-extension/notification": {
        "fetchNews": "false",
        "checkForUpdates": False,
        "doNotDisturbMode": True,
    },
    # All cells are there, not only those in sight.
    "@jupyterlab/notebook-extension/tracker": {"windowingMode": "none"},
}
# JupyterLab marks errors and warnings alike; only an error has a traceback.
STDERR = '[data-mime-type="application/vnd.jupyter.stderr"]'
TRACEBACK = "Traceback (most recent call last)"

pytestmark = pytest.mark.browser


class Lab:
    """A JupyterLab of its own on a free port, with its token, its own settings and one notebook."""

    def __init__(self, folder: Path, notebook: Path):
        book = refresh.read(notebook)
        self.code_cells = 0
        for cell in book.cells:
            if cell.cell_type == "code":  # or old prompts would look like a finished run
                cell.outputs, cell.execution_count = [], None
                self.code_cells += 1
        (folder / "work").mkdir()
        (folder / "work" / notebook.name).write_text(refresh.to_text(book), encoding="utf-8")
        for name, values in SETTINGS.items():
            path = folder / "settings" / f"{name}.jupyterlab-settings"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(values))
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port = probe.getsockname()[1]
        self.token, self.name = secrets.token_hex(16), notebook.name
        environ = dict(
            os.environ,
            JUPYTER_TOKEN=self.token,
            JUPYTER_CONFIG_DIR=str(folder / "config"),
            JUPYTER_DATA_DIR=str(folder / "data"),
            JUPYTER_RUNTIME_DIR=str(folder / "runtime"),
            JUPYTERLAB_SETTINGS_DIR=str(folder / "settings"),
            JUPYTERLAB_WORKSPACES_DIR=str(folder / "workspaces"),
        )
        root = ["--allow-root"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
        self.log = open(folder / "lab.log", "w+")
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-m", "jupyterlab", "--no-browser", *root),
                *("--ServerApp.ip=127.0.0.1", f"--ServerApp.port={self.port}"),
                *("--ServerApp.port_retries=0", f"--ServerApp.root_dir={folder / 'work'}"),
            ],
            env=environ,
            stdout=self.log,
            stderr=subprocess.STDOUT,
        )

    def address(self, path: str, token: bool = True) -> str:
        key = f"?token={self.token}" if token else ""
        return f"http://127.0.0.1:{self.port}/{path}{key}"

    def ask(self, path: str):
        with urllib.request.urlopen(self.address(path), timeout=10) as reply:
            return json.load(reply)

    def wait_until_up(self, seconds: float = 90):
        end = time.monotonic() + seconds
        while time.monotonic() < end and self.process.poll() is None:
            try:
                return self.ask("api/status")
            except OSError:
                time.sleep(0.3)
        self.log.seek(0)
        raise AssertionError(f"JupyterLab did not start:\n{self.log.read()[-3000:]}")

    def wait_for_kernel(self, seconds: float = 90):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if any(s["kernel"]["execution_state"] == "idle" for s in self.ask("api/sessions")):
                return
            time.sleep(0.3)
        raise AssertionError("the kernel did not start")

    def close(self):
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
        self.log.close()


@pytest.fixture
def lab(tmp_path):
    if BROWSER is None:
        pytest.skip("no browser here: install chromium (the tests find it on the PATH)")
    if not NOTEBOOKS:
        pytest.skip(f"no notebook begins with {NUMBER}")
    lab = Lab(tmp_path, NOTEBOOKS[0])
    try:
        lab.wait_until_up()
        yield lab
    finally:
        lab.close()


@pytest.fixture
def page(lab):
    from playwright.sync_api import sync_playwright

    flags = [*FLAGS, "--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else FLAGS
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER, args=flags)
        # High, so that little has to be scrolled.
        page = browser.new_page(viewport={"width": 1300, "height": 1600})
        page.set_default_timeout(60_000)
        yield page
        if picture := os.environ.get("PEFT_LAB_SCREENSHOT"):
            page.screenshot(path=picture)
        browser.close()


def budget() -> float:
    return refresh.read(NOTEBOOKS[0]).metadata.get("peft_lab", {}).get("seconds", 60)


def test_run_all_then_move_a_slider(lab, page):
    with pytest.raises(urllib.error.HTTPError) as refused:  # the token is on
        urllib.request.urlopen(lab.address("api/contents", token=False), timeout=10)
    assert refused.value.code == 403

    page.goto(lab.address(f"lab/tree/{lab.name}"))
    # A choice of kernel may be asked for: take the offered one.
    page.add_locator_handler(
        page.locator(".jp-Dialog"), lambda: page.locator(".jp-Dialog .jp-mod-accept").click()
    )
    page.locator(".jp-Notebook").first.wait_for()
    lab.wait_for_kernel()
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
    # An error ends Run All: do not wait for the cells after it.
    page.wait_for_function(
        """([stderr, traceback, wanted]) =>
            [...document.querySelectorAll(stderr)].some(e => e.textContent.includes(traceback)) ||
            [...document.querySelectorAll('.jp-CodeCell .jp-InputPrompt')]
            .filter(prompt => /[0-9]/.test(prompt.textContent)).length >= wanted""",
        arg=[STDERR, TRACEBACK, lab.code_cells],
        timeout=1000 * (60 + 3 * budget()),
    )
    errors = page.locator(STDERR, has_text=TRACEBACK)
    assert errors.count() == 0, errors.first.inner_text()

    sliders = page.locator(".jp-CodeCell", has=page.locator(".widget-slider")).filter(
        has=page.locator("img")
    )
    assert sliders.count(), "no cell with a slider and a plot"
    cell = sliders.first
    cell.scroll_into_view_if_needed()
    plot = cell.locator("img").last
    readout = cell.locator(".widget-readout").first
    before, value = plot.get_attribute("src"), readout.inner_text()
    handle = cell.locator(".widget-slider .noUi-handle").first
    for key in ("PageUp", "PageDown"):  # one of them moves it, wherever it stands
        handle.focus()
        page.keyboard.press(key)
        page.wait_for_timeout(300)
        if readout.inner_text() != value:
            break
    assert readout.inner_text() != value, "the slider did not move"
    end = time.monotonic() + 30
    while plot.get_attribute("src") == before:
        assert time.monotonic() < end, "the slider moved, the plot did not change"
        page.wait_for_timeout(200)
    assert errors.count() == 0
