"""The executed notebooks of a study as chapters, with a way from each figure to what it shows."""

import re
from collections.abc import Iterator

import nbformat
import pandas as pd
from nbformat import NotebookNode
from nbformat.v4 import new_markdown_cell

from pages.figures import Drawn
from pages.places import REFERENCE, to_project, write

DRAWS = re.compile(r'(?:draw|show)\("(\w+)"')  # in a cell: a figure of the catalogue
INDEX = """\
# The {study} study

Six notebooks, as the study left them: what you see was computed by the code above it. The study is
[config/{study}.yaml]({profile}), {runs} training runs on {recordings}. Each is a row of the
[run records](/tables/{study}/runs.md), with its settings, its results and its commit.

```{{toctree}}
{chapters}
figures
networks
```
"""


def write_chapters(study: str, drawn: dict[str, Drawn]) -> dict[str, str]:
    """Write the chapters of a study and their list; returns which chapter has which figure."""
    places = {}
    for path in sorted((REFERENCE / study / "notebooks").glob("*.ipynb")):
        notebook = nbformat.read(path, as_version=4)
        here = {name: path.stem for cell in notebook.cells for name in figures_of(cell) if name in drawn}
        notebook.cells = [part for cell in notebook.cells for part in _linked(cell, study, drawn)]
        write(f"studies/{study}/{path.name}", nbformat.writes(notebook))
        places |= here
    return places


def write_index(study: str) -> None:
    runs = pd.read_csv(REFERENCE / study / "runs.csv")
    notebooks = sorted(path.stem for path in (REFERENCE / study / "notebooks").glob("*.ipynb"))
    text = INDEX.format(
        study=study,
        profile=to_project(f"config/{study}.yaml"),
        runs=len(runs),
        recordings=" and ".join(runs["recordings"].unique()),
        chapters="\n".join(notebooks),
    )
    write(f"studies/{study}/index.md", text)


def figures_of(cell: NotebookNode) -> list[str]:
    """The figures of the catalogue that a cell draws."""
    return DRAWS.findall(cell.source) if cell.cell_type == "code" else []


def _linked(cell: NotebookNode, study: str, drawn: dict[str, Drawn]) -> Iterator[NotebookNode]:
    """A cell; around one that draws a figure, a place to link to and the links from it."""
    found = [name for name in figures_of(cell) if name in drawn]
    for name in found:
        yield _text(f"({study}-{name}-cell)=", name, "place")
    yield cell
    for name in found:
        yield _text(f"{{.links}}\n{drawn[name].links(study)} · [figure](#{study}-{name})", name, "links")


def _text(source: str, name: str, kind: str) -> NotebookNode:
    return new_markdown_cell(source, id=f"{kind}-{name}"[:64])
