"""A step of `snnq.fit`'s loop against SpikingJelly's own, full precision, on the CPU.

    python bench/loop.py [data folder] [--channels 128]

Theirs is `spikingjelly_loop.py`, which knows nothing of this project. Each loop runs in processes
of its own, which take turns. Claim: at least 1.3 times faster.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from compare import report
from spikingjelly_loop import BATCH, seconds_per_step

import snnq
from snnq.evaluation import batches
from snnq.memory import keep_freed_memory
from snnq.training import gradients

STEPS = 10
THEIRS = Path(__file__).parent / "spikingjelly_loop.py"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data", nargs="?", default="data/digits")
    parser.add_argument("--channels", type=int, default=128)
    parser.add_argument("--batches", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--only", action="store_true", help="our seconds per step, in this process")
    arguments = parser.parse_args()
    if arguments.only:
        print(seconds_per_step(ours(arguments), arguments.batches))
        return
    with tempfile.TemporaryDirectory() as folder:
        frames = Path(folder) / "frames.npz"
        train, _ = snnq.load("nmnist", arguments.data, STEPS)
        some = slice(BATCH * arguments.batches)
        np.savez(frames, frames=train.frames[some], labels=train.labels[some])
        commands = {
            "SpikingJelly": [THEIRS, frames, str(arguments.channels)],
            "snnq": [*sys.argv, "--only"],
        }
        seconds: dict[str, list[float]] = {name: [] for name in commands}
        for turn in range(arguments.rounds):
            for name in list(commands)[:: 1 if turn % 2 == 0 else -1]:
                found = subprocess.check_output([sys.executable, *commands[name]], text=True)
                seconds[name].append(float(found.split()[-1]))
    rows = []
    for name, times in seconds.items():
        ratios = [theirs / one for theirs, one in zip(seconds["SpikingJelly"], times)]
        low, high = min(ratios), max(ratios)
        row = {
            "loop": name,
            "channels": arguments.channels,
            "seconds_per_step": statistics.median(times),
        }
        rows.append(
            row | {"faster": statistics.median(ratios), "faster_low": low, "faster_high": high}
        )
    report(f"loop_{arguments.channels}", pd.DataFrame(rows).assign(threads=torch.get_num_threads()))


def ours(arguments: argparse.Namespace):
    """What a step of `snnq.fit` does."""
    keep_freed_memory()
    model = snnq.build_model("nmnist", channels=arguments.channels).train()
    optimizer = torch.optim.Adam(model.parameters(), 1e-3, fused=True)
    train, _ = snnq.load("nmnist", arguments.data, STEPS)
    while True:
        order = torch.randperm(BATCH * arguments.batches).tolist()
        for frames, labels in batches(train, BATCH, torch.device("cpu"), order):
            _, loss, norm = gradients(model, frames, labels)
            if not torch.isfinite(loss + norm):
                raise FloatingPointError
            optimizer.step()
            yield


if __name__ == "__main__":
    main()
