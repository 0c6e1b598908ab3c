"""Pages as a visitor sees them: a Chromium without a window, driven by Playwright."""

import importlib.util
import shutil
from urllib.parse import urlsplit

import pytest
from conftest import PROJECT

ARTIFACTS = PROJECT / "results" / "artifacts"  # screenshots, which git ignores and CI keeps
PROGRAMS = ("chromium", "google-chrome", "chromium-browser")
SIZES = {"desk": (1440, 900), "phone": (390, 844)}  # pixels


@pytest.fixture(scope="module")  # while it is open, no other test of the process can run an event loop
def browser(peer, pytestconfig):
    if pytestconfig.getoption("without_browser"):
        pytest.skip("--without-browser: nothing was looked at in Chromium")
    peer("Playwright", importlib.util.find_spec("playwright"))
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    peer("Chromium (Debian's package `chromium`)", program)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        # Root, as in a container, has no sandbox.
        opened = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture
def faults() -> list[str]:
    """What went wrong on `page`; what a test takes out of it does not fail the test."""
    return []


@pytest.fixture
def page(browser, faults):
    """An empty page. Errors in its console, and requests to other machines, fail the test."""
    width, height = SIZES["desk"]
    context = browser.new_context(viewport={"width": width, "height": height})
    opened = context.new_page()
    opened.on("console", lambda said: said.type == "error" and faults.append(said.text))
    opened.on("pageerror", lambda error: faults.append(str(error)))
    opened.on("request", lambda request: _is_outside(request.url) and faults.append(request.url))
    opened.on("websocket", lambda socket: _is_outside(socket.url) and faults.append(socket.url))
    yield opened
    context.close()
    assert not faults


def _is_outside(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme in ("http", "https", "ws", "wss") and parts.hostname != "127.0.0.1"


def keep_screenshot(page, name: str) -> None:
    """Of what is to be seen without scrolling, as results/artifacts/<name>.png."""
    page.screenshot(path=ARTIFACTS / f"{name}.png")
