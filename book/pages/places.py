"""Where things are, in the project and in the book."""

from pathlib import Path

PROJECT = Path(__file__).parents[2]
BOOK = PROJECT / "book"
REFERENCE = PROJECT / "results" / "reference"


def _studies() -> tuple[str, ...]:
    """Those of the reference whose executed notebooks are there, the quick one first."""
    found = (path.parent.name for path in REFERENCE.glob("*/notebooks"))
    return tuple(sorted(found, key=lambda name: (name != "quick", name)))


STUDIES = _studies()


def write(page: str, text: str) -> None:
    """A page of the book; one that is as it was is left alone, and Sphinx does not read it again."""
    path = BOOK / page
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists() or path.read_text() != text:
        path.write_text(text)


def table_page(csv: Path) -> str:
    """The page of a table of the reference."""
    return f"/tables/{csv.relative_to(REFERENCE).with_suffix('.md')}"


def to_project(path: str | Path) -> str:
    """A file of the project as a link in any page, which Sphinx takes into the book."""
    return f"/../{path}"
