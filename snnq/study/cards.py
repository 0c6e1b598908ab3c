"""The cards of trained networks that are kept: what a stranger needs to know before using one."""

from pathlib import Path
from typing import Any

import pandas as pd

from snnq.quantization.rules import FULL
from snnq.recordings.benchmarks import get_benchmark, recordings_name
from snnq.storage.inspect import float32_file_bytes
from snnq.study.folders import recordings_by
from snnq.study.intervals import wilson
from snnq.training.record import read_record
from snnq.training.run import Run

CARD = """\
# {name}

A spiking network of {channels} channels with {weights} for {recordings}, from this project's
study `{study}`. `{recordings_by}` makes the recordings.

```python
import snnq

network = snnq.unpack("{path}")
_, test = snnq.load({load})
accuracy, loss = snnq.evaluate(network, test)
```

| | |
|---|---|
| accuracy | {accuracy:.2f} % of {test:,} test samples after the last epoch, of this network alone; 95 % Wilson interval {low:.2f} to {high:.2f} |
| recordings | {recordings}{made}; {train:,} to train on, {validation:,} for validation |
| input | frames [{steps} time steps, N, {shape}] |
| output | firing rates [N, {classes} classes] |
| file | {bytes:,} bytes; {float32:,} as float32, {times:.1f} times as many |
| trained | `{run}`, commit `{commit}` |
{start}| licence | MIT, as the project |

What is not said of the training is a default of `snnq.Run`; `network.source` has every setting.
"""
START = "| started from | the weights of `{start}` |\n"
INDEX = """\
# Networks of the study `{study}`

Trained and packed, for `snnq.unpack`: seed {seeds} of each width and level set, each with a card.
Accuracy is that of this one network after the last epoch, with its 95 % Wilson interval; means over
seeds are in [`table.csv`](../table.csv).

{table}
{left_out}"""
LEFT_OUT = """
Not here, since all together would take more than {most} MB: {names}. `{command}` trains them.
"""


def card(study: Path, packed: Any, name: str, path: Path) -> tuple[str, dict[str, Any]]:
    """A network's card, and its row in the index.

    Parameters
    ----------
    study : path
        Its folder.
    packed : row of `packed_networks`
        The network, in its run's folder.
    name, path : str, path
        What it is called, and where its file is to be loaded from.
    """
    record = read_record(Path(packed.path).parent)
    run, counts = Run.of(record["run"]), record["recordings"]
    benchmark = get_benchmark(run.benchmark, run.data)
    right, size = record["accuracy"]["last"], Path(packed.path).stat().st_size
    float32 = float32_file_bytes(packed.path)
    low, high = (100 * end for end in wilson(right, counts["test"]))
    height, width = (run.size, run.size) if run.size else (benchmark.height, benchmark.width)
    facts = {
        "recordings": recordings_name(run.benchmark, record["data"]),
        "channels": run.channels,
        "levels": packed.levels,
        "test": counts["test"],
        "accuracy": 100 * right,
        "low": low,
        "high": high,
        "bytes": size,
        "times": float32 / size,
    }
    made = record["data"].get("images")
    text = CARD.format(
        **(facts | counts),
        name=name,
        path=path,
        study=study.name,
        run=run,
        weights="weights in full precision" if run.levels == FULL else f"{packed.levels} weights",
        float32=float32,
        recordings_by=recordings_by(study, run.data),
        load=_load(run),
        made=f" from {made}" if made else "",
        steps=run.steps or benchmark.steps,
        shape=f"{benchmark.polarities}, {height}, {width}",
        classes=len(benchmark.classes),
        commit=record["commit"],
        start=START.format(start=Run.of(read_record(run.start)["run"])) if run.start else "",
    )
    return text, {"name": name, "seed": run.seed, **facts}


def index(study: Path, rows: pd.DataFrame, left_out: list[str], most: float, command: str) -> str:
    """The page that lists a study's networks, with links to their cards."""
    shown = pd.DataFrame(
        {
            "network": [f"[{name}]({name}.md)" for name in rows["name"]],
            **rows[["recordings", "channels"]],
            "weights": rows["levels"],
            "test samples": rows["test"],
            "accuracy (%)": rows["accuracy"].map("{:.2f}".format),
            "95 % CI": [f"{row.low:.1f} to {row.high:.1f}" for row in rows.itertuples()],
            "bytes": rows["bytes"].map("{:,}".format),
            "times smaller": rows["times"].map("{:.1f}".format),
        }
    )
    return INDEX.format(
        study=study.name,
        seeds=" and ".join(map(str, rows["seed"].unique())),
        table=shown.to_markdown(index=False, disable_numparse=True),
        left_out=LEFT_OUT.format(most=most, names=", ".join(left_out), command=command)
        if left_out
        else "",
    )


def _load(run: Run) -> str:
    """The arguments of `snnq.load` for the recordings of a run, but for its defaults."""
    given = {name: getattr(run, name) for name in ("steps", "cut", "size", "split")}
    defaults = run.defaults | {"steps": None}
    changed = {name: value for name, value in given.items() if value != defaults[name]}
    words = [repr(run.benchmark), repr(run.data), *(f"{n}={v!r}" for n, v in changed.items())]
    return ", ".join(words).replace("'", '"')
