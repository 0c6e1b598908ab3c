"""Links of README.md and data/README.md, which count from the project, as links of the book."""

import re
from pathlib import Path

from sphinx.application import Sphinx

from pages.places import BOOK, PROJECT, REFERENCE, STUDIES, table_page, to_project

LINK = re.compile(r"(?P<image>!?)\[(?P<text>(?:[^\[\]]|\[[^\]]*\])*)\]\((?P<target>[^)\s]+)\)")
SECTION = re.compile(r':start-after: "## (.+)"')
FIRST = f"/studies/{STUDIES[0]}"
# What is no table, and has a page: a pattern of paths, and the page.
PAGES = (
    (r"results/reference/(\w+)/notebooks/(\w+)\.ipynb", r"/studies/\1/\2.ipynb"),
    (r"results/reference/(\w+)/networks(/.*)?", r"/studies/\1/networks.md"),
    (r"results/reference", "/tables/index.md"),
    (r"notebooks/(\w+)\.ipynb", rf"{FIRST}/\1.ipynb"),
    (r"figures/desk/(\w+)\.png", r"#desk-\1"),
    (r"figures/(\w+)\.png", rf"#{STUDIES[0]}-\1"),
    (r"figures/captions\.md", f"{FIRST}/figures.md"),
    (r"snnq/(\w+)", r"/api/\1.md"),
    (r"data/README\.md", "/recordings.md"),
)


def mend(app: Sphinx, path: Path, page: str, content: list[str]) -> None:
    """For Sphinx's event `include-read`: the text of a file that a page includes."""
    if (BOOK / path).suffix == ".md":
        content[0] = LINK.sub(_mended, content[0])


def _mended(link: re.Match) -> str:
    target = link["target"]
    if link["image"]:
        target = to_project(target)
    elif "://" not in target:
        target = address(target)
    text = LINK.sub(_mended, link["text"])  # an image that is a link
    return f"{link['image']}[{text}]({target})"


def address(target: str) -> str:
    """Where the book has what the README's link leads to.

    Raises
    ------
    ValueError
        Nothing is there.
    """
    if target.startswith("#"):
        return f"/{_sections()[target[1:]]}"
    path = PROJECT / target
    if path.suffix == ".csv" and path.is_relative_to(REFERENCE):
        return table_page(path)
    for pattern, page in PAGES:
        if found := re.fullmatch(pattern, target.rstrip("/")):
            return found.expand(page)
    if not path.is_file():
        raise ValueError(f"{target}: a link of a README that leads to no file and no page of the book")
    return to_project(target)


def _sections() -> dict[str, str]:
    """The page that has a section of the README, by the section's name in links."""
    return {
        re.sub(r"[^\w-]", "", title.lower().replace(" ", "-")): page.name
        for page in BOOK.glob("*.md")
        for title in SECTION.findall(page.read_text())
    }
