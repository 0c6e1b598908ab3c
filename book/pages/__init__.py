"""The pages that are written from what they show, each time that the book is built.

They lie in `studies`, `tables`, `benchmarks` and `api`, which git ignores.
"""

from sphinx.application import Sphinx

from pages import links
from pages.api import write_api
from pages.benchmarks import write_benchmarks
from pages.chapters import write_chapters, write_index
from pages.figures import draw, write_figures
from pages.networks import write_networks
from pages.places import STUDIES
from pages.tables import write_tables


def write_pages(_: Sphinx) -> None:
    for study in STUDIES:
        drawn = draw(study)
        write_figures(study, drawn, write_chapters(study, drawn))
        write_index(study)
        write_networks(study)
    write_tables()
    write_benchmarks()
    write_api()


def setup(app: Sphinx) -> dict:
    app.connect("builder-inited", write_pages)
    app.connect("include-read", links.mend)
    return {"parallel_read_safe": True}
