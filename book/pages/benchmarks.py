"""A page for each benchmark: what it is, how it is read, what was trained on it, what others published."""

import re

import pandas as pd

from pages.places import PROJECT, REFERENCE, STUDIES, table_page, write
from snnq import BENCHMARKS
from snnq.recordings.benchmark import Benchmark

SOURCE = re.compile(r"\| `(\w+)` \| (`[^|]+`) \| ([^|]+) \|")  # rows of a table in data/README.md
PAGE = """\
# {title}

{source}

| | |
|---|---|
| name in commands | `{name}` |
| files, below a data folder | {files} |
| sensor | {width} × {height} pixels, ON and OFF events |
| classes | {classes} |
| recordings | {train:,} training, {test:,} test |
| split | {split} |
| time steps | {steps}, unless told otherwise |
| read by | {{py:func}}`snnq.load`, through tonic's `{tonic_name}` |

```python
train, test = snnq.load("{name}", "data")  # downloaded where missing
frames, label = train[0]                     # uint8 [{steps} time steps, 2, {height}, {width}]
```

## Trained on here

{trained}

## Published accuracies

Test accuracy in per cent, or its difference to full precision in points, from the
[table of published figures]({published_page}).

{published}
"""


def write_benchmarks() -> None:
    sources = {name: (files, source) for name, files, source in SOURCE.findall(_readme())}
    published = pd.read_csv(REFERENCE / "published.csv", keep_default_na=False, dtype=str)
    for benchmark in BENCHMARKS.values():
        files, source = sources[benchmark.name]
        text = PAGE.format(
            **vars(benchmark) | {"classes": _classes(benchmark)},
            source=f"{source.strip()}.",
            files=files,
            train=benchmark.recordings[0],
            test=benchmark.recordings[1],
            split=_split(benchmark),
            trained=_trained(benchmark.name),
            published_page=table_page(REFERENCE / "published.csv"),
            published=_published(published[published["benchmark"] == benchmark.name]),
        )
        write(f"benchmarks/{benchmark.name}.md", text)


def _readme() -> str:
    return (PROJECT / "data/README.md").read_text()


def _classes(benchmark: Benchmark) -> str:
    names = benchmark.classes
    shown = names if len(names) < 20 else (*names[:10], "…")
    return f"{len(names)}: {', '.join(shown)}"


def _split(benchmark: Benchmark) -> str:
    if benchmark.has_official_split:
        return "official"
    return f"none is official: {benchmark.split} of each class, by a hash of each recording's path"


def _trained(name: str) -> str:
    """The recordings of this benchmark's form that networks of the studies were trained on."""
    lines = []
    for study in STUDIES:
        csv = REFERENCE / study / "runs.csv"
        runs = pd.read_csv(csv)
        for recordings, of in runs[runs["benchmark"] == name].groupby("recordings", sort=False):
            tests = of["test_recordings"].iloc[0]
            lines.append(
                f"- {recordings}: {len(of)} runs of the {study} study, each tested on {tests:,} recordings"
                f" ([runs]({table_page(csv)}))"
            )
    return "\n".join(lines) or "Nothing: no study of this book has used it yet."


def _published(rows: pd.DataFrame) -> str:
    columns = ("method", "levels", "accuracy", "difference", "not_comparable", "source")
    lines = [" | ".join(columns).replace("_", " "), " | ".join("---" for _ in columns)]
    lines += [" | ".join(row) for row in rows[list(columns)].itertuples(index=False)]
    return "\n".join(f"| {line} |" for line in lines)
