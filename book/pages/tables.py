"""Every table of the reference, to look at, to filter and to take."""

from pathlib import Path

import pandas as pd

from pages.places import PROJECT, REFERENCE, table_page, to_project, write

MOST_ROWS = 250  # of a page; the file has them all
PAGE = """\
---
orphan: true
---
# {name}

{rows:,} rows, {columns} columns: {{download}}`{path} <{file}>`{more}

```{{raw}} html
<input class="filter" type="search" placeholder="show rows with …" aria-label="show rows with">
<div class="table">
{table}
</div>
```
"""
INDEX = """\
# Tables

Every number of this book is in one of these tables; a run wrote it there. Those of a study are gathered from
its runs' records, of which [runs](/tables/quick/runs.md) has a row each; those in `bench` are measured by the
scripts of the same names. A run's row names the commit that trained it; all versions are pinned in
[requirements.lock]({lock}).

| table | rows | columns |
|---|---|---|
{rows}
"""


def write_tables() -> None:
    rows = []
    for csv in sorted(REFERENCE.rglob("*.csv"), key=_place):
        table = pd.read_csv(csv)
        _write_table(csv, table)
        link = f"[{csv.relative_to(REFERENCE)}]({table_page(csv)})"
        rows.append(f"| {link} | {len(table):,} | {table.shape[1]} |")
    write("tables/index.md", INDEX.format(rows="\n".join(rows), lock=to_project("requirements.lock")))


def _place(csv: Path) -> tuple:
    """By folder, those of the studies first."""
    folder = csv.parent
    return not (folder / "runs.csv").exists(), str(folder), csv.name


def _write_table(csv: Path, table: pd.DataFrame) -> None:
    shown = table.iloc[:MOST_ROWS]
    more = f", of which the first {MOST_ROWS:,} rows are below" if len(table) > MOST_ROWS else ""
    path = csv.relative_to(PROJECT)
    text = PAGE.format(
        name=csv.relative_to(REFERENCE).with_suffix(""),
        rows=len(table),
        columns=table.shape[1],
        path=path,
        file=to_project(path),
        more=more,
        table=shown.to_html(index=False, border=0, na_rep="", classes="data"),
    )
    write(table_page(csv).removeprefix("/"), text)
