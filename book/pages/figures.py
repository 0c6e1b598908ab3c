"""Every figure of the catalogue, drawn from a study's tables, with what it was drawn from."""

from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import matplotlib

matplotlib.use("agg")

import matplotlib.pyplot as plt
import pandas as pd

from pages.places import BOOK, PROJECT, REFERENCE, table_page, write
from snnq.figures import catalogue

SCALE = 130  # pixels of a page for an inch of a figure
DPI = 180
PAGE = """\
# All figures

Each is drawn from the tables named below it, by the function that the notebooks call; the tables are
gathered from the [run records](/tables/{study}/runs.md). `snnq figures` draws them anew, as PNG and PDF.
"""
FIGURE = """
({study}-{name})=
## {title}

```{{figure}} drawn/{name}.png
:alt: {title}
:width: {width}px

{caption}
```

{{.links}}
{cell} · {links}
"""


@dataclass(frozen=True)
class Drawn:
    """A figure that was drawn: the tables that it was drawn from, what it shows, its width in inches."""

    tables: tuple[Path, ...]
    caption: str
    width: float

    def links(self, study: str) -> str:
        tables = [f"[{table.name}]({table_page(table)})" for table in self.tables]
        if not tables:
            return "drawn from the formula, without a table"
        return f"drawn from {', '.join(tables)} · [run records](/tables/{study}/runs.md)"


def draw(study: str) -> dict[str, Drawn]:
    """Save every figure whose tables are there."""
    found = {}
    folder = BOOK / "studies" / study / "drawn"
    folder.mkdir(parents=True, exist_ok=True)
    for name in catalogue.names(REFERENCE / study):
        with patch.object(pd, "read_csv", wraps=pd.read_csv) as read:  # what a figure reads is its tables
            try:
                figure = catalogue.draw(name, REFERENCE / study)
            except FileNotFoundError:
                continue
        figure.savefig(folder / f"{name}.png", dpi=DPI, metadata={"Software": None})
        plt.close(figure)
        tables = dict.fromkeys(PROJECT / call.args[0] for call in read.call_args_list)
        found[name] = Drawn(tuple(tables), figure.get_label(), figure.get_figwidth())
    return found


def write_figures(study: str, drawn: dict[str, Drawn], chapters: dict[str, str]) -> None:
    text = PAGE.format(study=study)
    for name, figure in drawn.items():
        cell = "in no chapter"
        if name in chapters:
            cell = f"[chapter {chapters[name][0]}](#{study}-{name}-cell)"
        text += FIGURE.format(
            study=study,
            name=name,
            title=name.replace("_", " ").capitalize(),
            width=round(SCALE * figure.width),
            caption=figure.caption,
            cell=cell,
            links=figure.links(study),
        )
    write(f"studies/{study}/figures.md", text)
