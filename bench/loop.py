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
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from compare import in_turns, report
from spikingjelly_loop import BATCH, seconds_per_step

import snnq
from snnq.system.memory import keep_freed_memory
from snnq.training.evaluation import batches
from snnq.training.loop import gradients

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
        theirs = partial(_seconds, THEIRS, frames, str(arguments.channels))
        clocks = {"SpikingJelly": theirs, "snnq": partial(_seconds, *sys.argv, "--only")}
        seconds = in_turns(clocks, arguments.rounds)
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


def _seconds(*command) -> float:
    """What a process prints last."""
    return float(subprocess.check_output([sys.executable, *command], text=True).split()[-1])


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
