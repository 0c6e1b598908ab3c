"""The book, built once, and opened as a visitor opens it."""

import functools
import importlib.util
import re
import subprocess
import sys
import threading
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urljoin, urlsplit

import pandas as pd
import pytest
from browser import SIZES, keep_screenshot
from conftest import PROJECT

import snnq

pytestmark = pytest.mark.xdist_group("book")  # which is built once
REFERENCE = PROJECT / "results" / "reference"
MOST_BYTES = 20_000_000
LOADED = {"img": "src", "script": "src", "link": "href", "source": "src", "iframe": "src"}


class Page(HTMLParser):
    """What a page links to, what it loads, and the places in it."""

    def __init__(self, text: str):
        super().__init__()
        self.text, self.links, self.loaded, self.places = text, [], [], {""}
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self.places.add(found.get("id"))
        if tag == "a" and "href" in found:
            self.links.append(found["href"])
        if found.get(LOADED.get(tag)):
            self.loaded.append(found[LOADED[tag]])


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def book(peer, tmp_path_factory) -> Path:
    """The folder of the built pages; a warning while they are built is an error."""
    peer("What requirements.book.lock lists", importlib.util.find_spec("myst_nb"))
    folder = tmp_path_factory.mktemp("book")
    options = ["--quiet", "-W", "--keep-going", "-d", folder / "doctrees"]
    command = [sys.executable, "-m", "sphinx", *options, PROJECT / "book", folder / "html"]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder / "html"


@pytest.fixture(scope="module")
def pages(book) -> dict[str, Page]:
    return {str(path.relative_to(book)): Page(path.read_text()) for path in book.rglob("*.html")}


@pytest.fixture(scope="module")
def address(book):
    """Where the book is served."""
    serve = functools.partial(Quiet, directory=book)
    with ThreadingHTTPServer(("127.0.0.1", 0), serve) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def section(page: Page, place: str) -> str:
    """A page's text from a place to the next heading of a section."""
    return re.split(r"<section", page.text.split(f'id="{place}"', 1)[1], maxsplit=2)[0]


def test_every_link_leads_somewhere_and_nothing_is_loaded_from_elsewhere(book, pages):
    links = 0
    for name, page in pages.items():
        assert not [link for link in page.loaded if urlsplit(link).netloc], name
        for link in [*page.links, *page.loaded]:
            if urlsplit(link).scheme:
                continue
            target = urlsplit(urljoin(f"/{name}", link))
            path, place = unquote(target.path).removeprefix("/"), unquote(target.fragment)
            assert (book / path).is_file(), (name, link)
            if path in pages:
                assert place in pages[path].places, (name, link)
            links += 1
    assert links > 1000


def test_it_is_small(book):
    assert sum(path.stat().st_size for path in book.rglob("*") if path.is_file()) < MOST_BYTES


def test_each_figure_has_its_cell_its_tables_and_its_runs(pages):
    names = {path.stem for path in (PROJECT / "figures").glob("*.png")}
    notebooks = [path.read_text() for path in (REFERENCE / "quick/notebooks").iterdir()]
    figures = pages["studies/quick/figures.html"]
    assert {f"quick-{name.replace('_', '-')}" for name in names} <= figures.places
    for name in names:
        shown = section(figures, f"quick-{name.replace('_', '-')}")
        assert "tables/quick/runs.html" in shown or "without a table" in shown
        if cell := re.search(r'href="(\w+\.html)#([\w-]+)"', shown):
            after = pages[f"studies/quick/{cell[1]}"].text.split(f'id="{cell[2]}"')[1]
            assert name in after[: after.index("<img")]  # what draws it, then the figure
        else:
            assert "in no chapter" in shown and not any(f'{name}\\"' in text for text in notebooks)


@pytest.mark.parametrize(
    "figure, tables",
    [
        ("quantizer-staircase", []),
        ("bytes-by-layer", ["costs", "runs"]),
        ("hard-and-soft", ["histories", "runs"]),
        ("ablation-neuron", ["ablations"]),
    ],
)
def test_a_figure_names_the_tables_that_it_is_drawn_from(pages, figure, tables):
    shown = section(pages["studies/quick/figures.html"], f"quick-{figure}")
    assert sorted(re.findall(r"(\w+)\.csv", shown)) == tables


def test_every_table_is_there_to_take(book, pages):
    for csv in REFERENCE.rglob("*.csv"):
        name = csv.relative_to(REFERENCE).with_suffix(".html")
        (link,) = (link for link in pages[f"tables/{name}"].links if link.endswith(".csv"))
        taken = book / urljoin(f"tables/{name}", link)
        assert taken.read_bytes() == csv.read_bytes()


def test_every_public_name_and_every_benchmark_has_its_page(pages):
    rooms = [page for name, page in pages.items() if name.startswith("api/")]
    names = {f"snnq.{name}" for name in set(snnq.__all__) - {"figures"}}  # a module
    for name in names | {f"snnq.figures.{name}" for name in snnq.figures.__all__}:
        assert any(name in page.places for page in rooms), name
    for name, benchmark in snnq.BENCHMARKS.items():
        text = pages[f"benchmarks/{name}.html"].text
        for stated in (benchmark.title, "CC BY", f"{benchmark.recordings[1]:,} test"):
            assert stated in text


@pytest.mark.parametrize("size", SIZES)
def test_pages_in_a_browser(page, address, size):
    width, height = SIZES[size]
    page.set_viewport_size({"width": width, "height": height})
    names = ("index", "studies/quick/1_quantizer", "studies/quick/4_results", "studies/quick/figures")
    for name in (*names, "tables/quick/runs", "api/quantization", "benchmarks/ncaltech101", "results"):
        page.goto(f"{address}/{name}.html")
        images = "[...document.images].filter(i => i.loading != 'lazy').map(i => i.naturalWidth)"
        assert all(page.evaluate(images)), name
        assert page.evaluate("document.documentElement.scrollWidth") <= width, name
        keep_screenshot(page, f"book-{name.rpartition('/')[2]}-{size}")


def test_search(page, address):
    page.goto(address)
    page.get_by_placeholder("Search").fill("staircase")
    page.keyboard.press("Enter")
    found = page.locator("#search-results li")
    found.first.wait_for()
    assert any("A staircase that can be differentiated" in text for text in found.all_inner_texts())


def test_light_and_dark(page, address):
    page.goto(f"{address}/studies/quick/1_quantizer.html")
    colour = "getComputedStyle(document.body).backgroundColor"
    seen = set()
    for _ in range(3):  # as the system has it, light, dark
        page.locator(".content-icon-container .theme-toggle").click()
        seen.add(page.evaluate(colour))
    assert len(seen) == 2
    page.evaluate("document.body.dataset.theme = 'dark'")
    keep_screenshot(page, "book-dark")


def test_a_table_is_filtered(page, address):
    runs = pd.read_csv(REFERENCE / "quick/runs.csv")
    page.goto(f"{address}/tables/quick/runs.html")
    rows = page.locator("tbody tr:visible")
    assert rows.count() == len(runs)
    page.get_by_label("show rows with").fill("ternary seed1")
    expected = runs["levels"].eq("ternary") & runs["seed"].eq(1)
    assert rows.count() == expected.sum() > 0
