"""A step of `snnq.fit` against SpikingJelly's own loop, full precision, on the CPU.

    python bench/loop.py [data folder] [--channels 128]

Theirs is `spikingjelly_loop.py`, which knows nothing of this project. Each loop runs in processes
of its own, which take turns. Ours is an epoch of `snnq.fit` over its steps: with augmentation,
clipping, the learning rate's schedule and the checkpoints of each minute, of which theirs has none.
Both train on the same recordings, of every class.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from compare import in_turns, report
from spikingjelly_loop import BATCH
from torch import nn
from torch.utils.data import Dataset, Subset

import snnq
from snnq.recordings.frames import Frames
from snnq.system.memory import keep_freed_memory
from snnq.training.checkpoint import Checkpoint
from snnq.training.loop import Training
from snnq.training.parallel import Processes
from snnq.training.precision import products_in
from snnq.training.splits import splits_of
from snnq.training.task import Task

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
        print(seconds_per_step_of_fit(arguments))
        return
    with tempfile.TemporaryDirectory() as folder:
        frames = Path(folder) / "frames.npz"
        train, _ = snnq.load("nmnist", arguments.data, STEPS)
        some = chosen(train, arguments)
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


def chosen(train: Frames, arguments: argparse.Namespace, size: int = BATCH) -> list[int]:
    """Recordings, evenly spaced: those of a class stand together."""
    count = min(size * arguments.batches, len(train) // size * size)
    return np.linspace(0, len(train) - 1, count).astype(int).tolist()


def seconds_per_step_of_fit(arguments: argparse.Namespace) -> float:
    """Of the second epoch; the first is to warm up."""
    keep_freed_memory()
    run = snnq.Run(
        levels="full", data=arguments.data, channels=arguments.channels, steps=STEPS, epochs=2,
        batch_size=BATCH, validation=0.0, device="cpu",
    )  # fmt: skip
    train, *_ = splits_of(run)
    some = Subset(train.dataset, chosen(train.dataset, arguments))
    epoch = epochs(run, some, snnq.initial_network(run))
    next(epoch)
    return next(epoch)


def epochs(run: snnq.Run, train: Dataset, model: nn.Module) -> Iterator[float]:
    """Train a network an epoch at a time: the seconds of its steps, in the mean."""
    task = Task(
        settings=run, splits={"train": train, "validation": None, "test": None}, start=None,
        identity={}, about={}, title="", augmentation=run.augmentation,
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = Checkpoint(Path(folder), task.identity)
        training = Training(task, Path(folder), model, [], checkpoint, Processes(), False)
        for epoch in range(run.epochs):
            training.progress.start_epoch()
            start = time.perf_counter()
            with products_in(run.precision):
                training._pass(epoch)
            yield (time.perf_counter() - start) / training.progress.step


if __name__ == "__main__":
    main()
