"""Training steps on a GPU: `snnq.fit` in its precisions and from a CUDA graph, against SpikingJelly's
own loop with its best kernels, and quantized against full precision.

    python bench/gpu.py [data folder] [--channels 128]

Both train the N-MNIST network at T = 10 on the same recordings, batches of 64, an epoch at a time, in
turns; SpikingJelly's loader has them in memory. Ours does clipping, augmentation and the schedule
besides. A second table says which of the GPU's kernels take the time.
"""

import argparse
import re
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import pandas as pd
import torch
from compare import in_turns, report
from loop import STEPS, chosen, epochs
from spikingjelly_loop import network, steps
from torch.profiler import ProfilerActivity, profile
from torch.utils.data import DataLoader, Subset, TensorDataset

import snnq
from snnq.training.splits import splits_of

BATCH = 64
THEIRS = "SpikingJelly"
FULL = "snnq"
CHANGES = {
    FULL: {},
    "snnq, graph": {"cuda_graph": True},
    "snnq, tf32": {"precision": "tf32"},
    "snnq, tf32, graph": {"precision": "tf32", "cuda_graph": True},
    "snnq, bf16": {"precision": "bf16"},
    "snnq, bf16, graph": {"precision": "bf16", "cuda_graph": True},
    "snnq, tf32, graph, layer by layer": {"precision": "tf32", "cuda_graph": True},
    "snnq, 1 bit": {"levels": "binary"},
    "snnq, 4 bit": {"levels": "4bit"},
    "snnq, tf32, graph, 1 bit": {"precision": "tf32", "cuda_graph": True, "levels": "binary"},
    "snnq, tf32, graph, 4 bit": {"precision": "tf32", "cuda_graph": True, "levels": "4bit"},
    "snnq, tf32, graph, 1 bit, hardening": {
        "precision": "tf32", "cuda_graph": True, "levels": "binary", "harden": None,
    },
}
PROFILED = THEIRS, FULL, "snnq, tf32, graph", "snnq, tf32, graph, 4 bit"
LARGEST_KERNELS = 12


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data", nargs="?", default="data/digits")
    parser.add_argument("--channels", type=int, default=128)
    parser.add_argument("--batches", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    run_of_all = snnq.Run(
        levels="full", data=arguments.data, channels=arguments.channels, steps=STEPS, epochs=64,
        batch_size=BATCH, validation=0.0, full_epochs=0, device="cuda", harden=(),
    )  # fmt: skip
    train, *_ = splits_of(run_of_all)
    some = torch.tensor(chosen(train.dataset, arguments, BATCH))
    ours = Subset(train.dataset, some.tolist())
    clocks = {THEIRS: their_epoch(arguments.channels, *train.dataset.rows(some))}
    for name, change in CHANGES.items():
        model = snnq.initial_network(run := replace(run_of_all, **change))
        if "layer by layer" in name:
            snnq.unfuse(model)
        clocks[name] = partial(next, epochs(run, ours, model))
    peaks = {name: peak(clock) for name, clock in clocks.items()}
    for _ in range(2):  # a graph is captured in the fourth step, kernels are chosen in the first
        for clock in clocks.values():
            clock()
    seconds = in_turns(clocks, arguments.rounds)
    rows = []
    for name, times in seconds.items():
        row = {"loop": name, "milliseconds_per_step": 1000 * statistics.median(times)}
        for label, of in (("than_spikingjelly", THEIRS), ("than_full_precision", base(name))):
            ratios = [one / other for one, other in zip(seconds[of], times)]
            row |= {f"faster_{label}": statistics.median(ratios)}
            row |= {f"faster_{label}_low": min(ratios), f"faster_{label}_high": max(ratios)}
        rows.append(row | {"peak_mb": peaks[name]})
    here = {"channels": arguments.channels, "gpu": torch.cuda.get_device_name()}
    here |= {"torch": torch.__version__}
    report(f"gpu_{arguments.channels}", pd.DataFrame(rows).assign(**here))
    shares = pd.concat([kernels(clocks[name]).assign(loop=name) for name in PROFILED])
    report(f"gpu_kernels_{arguments.channels}", shares.assign(**here))


def base(name: str) -> str:
    """What a quantized step is to be compared with."""
    return re.sub(", (1|4) bit.*", "", name)


def their_epoch(channels: int, frames: torch.Tensor, labels: torch.Tensor) -> Callable[[], float]:
    loader = DataLoader(TensorDataset(frames, labels), BATCH, shuffle=True)
    loop = steps(loader, network(channels), "cuda")

    def epoch() -> float:
        start = time.perf_counter()
        for _ in range(len(loader)):
            next(loop)
        torch.cuda.synchronize()
        return (time.perf_counter() - start) / len(loader)

    return epoch


def peak(epoch: Callable[[], float]) -> float:
    """Megabytes that an epoch, the first, adds to the GPU's memory at most."""
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    epoch()
    return (torch.cuda.max_memory_allocated() - before) / 2**20


def kernels(epoch: Callable[[], float]) -> pd.DataFrame:
    """Share of an epoch's time on the GPU, of the kernels that take most of it."""
    with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA], acc_events=True) as found:
        epoch()
    spent = pd.Series(
        {
            event.key[:80]: event.self_device_time_total
            for event in found.key_averages()
            if event.device_type == torch.autograd.DeviceType.CUDA and "#" not in event.key
        }
    )
    shares = (spent / spent.sum()).nlargest(LARGEST_KERNELS)
    return shares.rename_axis("kernel").reset_index(name="share")


if __name__ == "__main__":
    main()
