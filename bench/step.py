"""A quantized training step against the full-precision one, in time and in memory.

    python bench/step.py

On the N-MNIST network with 128 channels at batch 16, T = 10, at every bit width; each step is
measured in turns with the full-precision one, and its memory in processes of its own.
"""

import argparse
import resource
import statistics
import subprocess
import sys
from functools import partial

import torch
from compare import compare_each, report
from peers import LEVELS, PEER_BITS, peers
from torch.nn.utils import parametrize
from torch.optim import Adam

import snnq
from snnq.quantization.layers import layers_of
from snnq.system.memory import keep_freed_memory
from snnq.training.step import gradients

FULL = "full precision"
PROCESSES = 5  # whose peak memory is looked at


def main() -> None:
    ours = [f"snnq, {bits} bit" for bits in LEVELS]
    names = [*ours, *(f"{peer}, {bits} bit" for peer in peers() for bits in PEER_BITS)]
    # First, since a process starts with the peak of the one that it comes from.
    peaks = {name: peak(name) for name in (FULL, *ours)}
    keep_freed_memory()
    table = compare_each(FULL, step(FULL), {name: partial(step, name) for name in names})
    table["peak_mb"] = table["candidate"].map(peaks)
    table["memory_ratio"] = table["peak_mb"] / peaks[FULL]
    report("step", table.assign(threads=torch.get_num_threads()))


def step(name: str):
    """One training step of a network of that kind, on random frames."""
    torch.manual_seed(0)
    model = snnq.build_model("nmnist").train()
    if name != FULL:
        kind, bits = name.removesuffix(" bit").split(", ")
        levels = LEVELS[int(bits)]
        if kind == "snnq":
            snnq.quantize(model, levels, temperature=10.0, backward_temperature=2.0)
        else:
            _, *layers = layers_of(model).values()
            for layer in layers:
                peer = peers()[kind](layer.weight, levels)
                parametrize.register_parametrization(layer, "weight", peer)
    optimizer = Adam(model.parameters(), 1e-3, fused=True)
    frames = torch.poisson(torch.full((10, 16, 2, 34, 34), 0.2))
    labels = torch.randint(10, (16,))

    def one() -> None:
        gradients(model, frames, labels)
        optimizer.step()

    return one


def peak(name: str) -> float:
    """Megabytes that a process takes for three such steps; the median, since the heap's gaps vary."""
    command = [sys.executable, __file__, "--peak", name]
    found = [int(subprocess.check_output(command)) for _ in range(PROCESSES)]
    return statistics.median(found) / 1024


def print_peak(name: str) -> None:
    keep_freed_memory()
    one = step(name)
    for _ in range(3):
        one()
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--peak", metavar="CANDIDATE", help="of one, in this process")
    candidate = parser.parse_args().peak
    print_peak(candidate) if candidate else main()
