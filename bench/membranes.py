"""What networks of integers lose by the bits of their membranes.

    python bench/membranes.py data/mnist results/desk/runs/RUN [RUN ...] [--bits 4 5 6 7 8 10 12 16]

Each network is made one of integers with membranes of so many bits, written as C, and run on the whole
test set (the C is the network of integers to the last bit: tests/test_integer.py). Nothing is trained
here: one that was trained with membranes of few bits has those alone.

Columns: the run, its levels, channels and seed; trained_bits, those of its membranes in training (none:
floating point); membrane_bits, those of the integers; accuracy with the 95 % interval of Wilson's, for
the recordings alone; and floating_point, the accuracy that the run itself ended with. Each row goes to
`results/bench/membranes.csv` when it is there, in the place of one of the same run and bits.
"""

import argparse
import subprocess
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
from compare import RESULTS, report

import snnq
from snnq.deployment.export_c import export_c, write_frames
from snnq.study.intervals import wilson

BITS = (4, 5, 6, 7, 8, 10, 12, 16)
NAME = "membranes"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data")
    parser.add_argument("runs", nargs="+", type=Path, help="folders of runs on N-MNIST")
    parser.add_argument("--bits", type=int, nargs="+", default=BITS)
    arguments = parser.parse_args()
    for run in arguments.runs:
        for row in rows_of(run, arguments.data, arguments.bits):
            path, of = RESULTS / f"{NAME}.csv", ["run", "membrane_bits"]
            rows = [pd.read_csv(path)] if path.exists() else []
            table = pd.concat([*rows, pd.DataFrame([row])]).drop_duplicates(of, keep="last")
            report(NAME, table.sort_values(["levels", "channels", "seed", *of]))


def rows_of(folder: Path, data: str, widths: list[int]) -> Iterator[dict]:
    record = snnq.read_record(folder)
    run, trained_bits = record["run"], record["run"].get("membrane_bits")
    _, test = snnq.load("nmnist", data, run["steps"])
    model = snnq.unpack(folder / "packed.safetensors")
    known = {
        "recordings": snnq.recordings_name("nmnist", snnq.source("nmnist", data)),
        "run": folder.name,
        **{name: run[name] for name in ("levels", "channels", "seed")},
        "trained_bits": trained_bits,
        "test_recordings": len(test),
        "floating_point": record["accuracy"]["last"],
    }
    for bits in [trained_bits] if trained_bits else widths:
        accuracy = float((classes(snnq.to_integer(model, bits), test.frames) == test.labels).mean())
        low, high = wilson(accuracy, len(test))
        yield {**known, "membrane_bits": bits, "accuracy": accuracy, "low": low, "high": high}


def classes(network, frames: np.ndarray) -> np.ndarray:
    """Of each recording, as the C program names them."""
    with TemporaryDirectory() as folder:
        export_c(network, folder)
        write_frames(Path(folder, "frames.bin"), frames)
        subprocess.run(["gcc", "-std=c99", "-O3", "net.c", "-o", "net"], cwd=folder, check=True)
        done = subprocess.run(["./net", "frames.bin"], cwd=folder, check=True, capture_output=True, text=True)
    return np.array([int(line.split()[0]) for line in done.stdout.splitlines()])


if __name__ == "__main__":
    main()
