"""The notebooks in JupyterLab, as `make lab` opens it, in a browser."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time

import nbformat
import pytest
from browser import keep_screenshot
from conftest import PROJECT

pytestmark = pytest.mark.xdist_group("lab")  # which share a server
MOST_MS = 1000  # from the slider's event to the new picture, on a busy machine
IDLE = '.jp-Notebook-ExecutionIndicator[data-status="idle"]'
PICTURE = ".jp-Notebook img.widget-image"
# Milliseconds from the last event of the pointer or the menu to each new picture.
WATCH = """
picture => {
    window.waited = [];
    for (const name of ["pointerdown", "pointermove", "change"])
        document.addEventListener(name, () => { window.since = performance.now(); }, true);
    picture.addEventListener("load", () => requestAnimationFrame(() => {
        window.waited.push(performance.now() - window.since);
    }));
}
"""
TINY = {"epochs": 150, "channels": 2, "steps": 2, "device": "cpu", "folder": "results/runs/mine"}


@pytest.fixture(scope="module")
def root(tmp_path_factory, recordings):
    """A project's folder: notebooks, the third with tiny parameters, and the reference."""
    folder = tmp_path_factory.mktemp("lab")
    (folder / "Snakefile").touch()
    (folder / "README.md").touch()
    (folder / "results").mkdir()
    (folder / "results/reference").symlink_to(PROJECT / "results/reference")
    shutil.copytree(PROJECT / "notebooks", folder / "notebooks")
    path = folder / "notebooks/3_train.ipynb"
    notebook = nbformat.read(path, as_version=4)
    parameters = TINY | {"data": str(recordings)}
    notebook.cells[1].source += "".join(f"\n{n} = {value!r}" for n, value in parameters.items())
    nbformat.write(notebook, path)
    return folder


@pytest.fixture(scope="module")
def lab(root):
    """JupyterLab as `make lab` starts it; its address with the token."""
    given = re.search(r"^lab:.*\n\tjupyter lab (.*)$", (PROJECT / "Makefile").read_text(), re.M)[1]
    own = root / ".jupyter"
    places = {f"JUPYTER_{name}_DIR": str(own / name) for name in ("CONFIG", "DATA", "RUNTIME")}
    places |= {"IPYTHONDIR": str(own), "JUPYTER_CONFIG_PATH": str(PROJECT / "config/jupyter")}
    options = ["--no-browser", "--allow-root", "--ServerApp.port=0", "--IdentityProvider.token=t"]
    command = [sys.executable, "-m", "jupyterlab", *shlex.split(given), *options]
    environment = os.environ | places | {"PYTHONPATH": str(PROJECT)}
    with (root / "lab.log").open("w") as log:
        server = subprocess.Popen(command, cwd=root, env=environment, stdout=log, stderr=log)
    try:
        while not (found := list((own / "RUNTIME").glob("jpserver-*.json"))):
            assert server.poll() is None, (root / "lab.log").read_text()
            time.sleep(0.1)
        time.sleep(0.1)
        yield json.loads(found[0].read_text())["url"].replace("localhost", "127.0.0.1") + "?token=t"
    finally:
        server.terminate()
        server.wait()


def run_all(page) -> None:
    """Until a cell runs: for a moment a notebook shows an idle kernel that it has not yet connected."""
    from playwright.sync_api import TimeoutError

    page.set_default_timeout(180_000)  # a kernel that imports on a busy machine
    page.get_by_text("Python 3 (ipykernel) | Idle").wait_for()
    running = page.locator(".jp-InputPrompt").filter(has_text=re.compile(r"\[[*\d]"))
    for _ in range(6):
        page.get_by_role("navigation", name="main menu").get_by_text("Run", exact=True).click()
        page.get_by_text("Run All Cells", exact=True).click()
        try:
            return running.first.wait_for(state="attached", timeout=10_000)
        except TimeoutError:
            continue
    pytest.fail("no cell has run")


def attached(found):
    """What is waited for, in the middle: a notebook draws no cell that is out of view."""
    found.wait_for(state="attached")
    found.evaluate("element => element.scrollIntoView({block: 'center'})")
    return found


def test_the_slider_of_notebook_1_moves_the_picture(page, lab):
    page.goto(lab)
    run_all(page)
    attached(page.locator(PICTURE))
    page.wait_for_selector(IDLE)
    picture = attached(page.locator(PICTURE))  # again: Run All goes to the last cell
    picture.evaluate(WATCH)
    before = picture.screenshot()
    handle = page.locator(".jp-Notebook .noUi-handle").bounding_box()
    x, y = handle["x"] + handle["width"] / 2, handle["y"] + handle["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    for step in range(1, 11):
        page.mouse.move(x + 6 * step, y)
        page.wait_for_function("number => window.waited.length >= number", arg=step)
    page.mouse.up()
    dragged = picture.screenshot()
    assert dragged != before
    page.locator(".jp-Notebook .widget-dropdown select").select_option("4bit")
    page.wait_for_function("window.waited.length > 10")
    assert picture.screenshot() != dragged
    keep_screenshot(page, "lab_slider")
    waited = page.evaluate("window.waited")
    print(f"ms from an event to the picture: slider {waited[:10]}, menu {waited[10:]}")
    assert max(waited) < MOST_MS


def test_the_stop_button_ends_training_and_run_all_goes_on(page, lab, root):
    folder = root / TINY["folder"]
    page.goto(lab.replace("?", "lab/tree/notebooks/3_train.ipynb?reset&"))
    run_all(page)
    attached(page.locator(".jp-Notebook .widget-html-content", has_text="loss=").first)  # not the frames' bar
    page.get_by_title("Interrupt the kernel").click()
    stopped = attached(page.get_by_text("Stopped by SIGINT: saved after step"))
    keep_screenshot(page, "lab_stopped")
    assert list(folder.rglob("checkpoint.pt")) and not (folder / "run.json").exists()
    run_all(page)
    attached(page.get_by_text("at the epoch chosen on validation"))
    keep_screenshot(page, "lab_record")
    assert (folder / "run.json").exists() and not stopped.count()
