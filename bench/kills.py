"""A run killed at random moments, over and over, against the same run left alone.

    python bench/kills.py [data folder] [--kills 20]

Claim: after `kill -9` at any moment, the same command goes on, and `history.csv`, the weights and
the accuracies are the same to the bit. Checkpoints come every second here, so that kills meet them
too, within epochs and between them.
"""

import argparse
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd
from compare import report

import snnq

TRAIN = """
import sys, snnq
from snnq.training import loop
loop.CHECKPOINT_SECONDS = 1
run = snnq.Run(levels="binary", data=sys.argv[1], epochs=int(sys.argv[3]), channels=8)
snnq.fit(run, sys.argv[2], progress=False)
"""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data", nargs="?", default="data/digits")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--epochs", type=int, default=24)
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    arguments = parser.parse_args()
    moments = random.Random(arguments.seed)
    with tempfile.TemporaryDirectory() as folder:
        alone, killed = Path(folder, "alone"), Path(folder, "killed")
        start = time.perf_counter()
        _train(arguments, alone).wait()
        seconds = time.perf_counter() - start
        kills = 0
        while not (killed / "run.json").exists():
            process = _train(arguments, killed)
            if kills < arguments.kills:
                try:
                    # Some are killed while they start, most while they train or evaluate.
                    process.wait(moments.uniform(2, 2 + 2 * seconds / arguments.kills))
                except subprocess.TimeoutExpired:
                    process.kill()
                    kills += 1
            if process.wait() > 0:
                sys.exit("a run failed by itself")
        same = {
            name: (alone / name).read_bytes() == (killed / name).read_bytes()
            for name in ("history.csv", "weights.safetensors")
        }
        same["accuracies"] = (
            snnq.read_record(alone)["accuracy"] == snnq.read_record(killed)["accuracy"]
        )
    report("kills", pd.DataFrame([{"kills": kills, "epochs": arguments.epochs, **same}]))
    if kills < arguments.kills or not all(same.values()):
        sys.exit("the results differ, or the run ended too soon")


def _train(arguments: argparse.Namespace, folder: Path) -> subprocess.Popen:
    command = [sys.executable, "-c", TRAIN, arguments.data, str(folder), str(arguments.epochs)]
    return subprocess.Popen(command, stderr=subprocess.DEVNULL)


if __name__ == "__main__":
    main()
