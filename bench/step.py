"""A quantized training step against the full-precision one, in time and in memory.

    python bench/step.py [--channels 128]

On the N-MNIST network at batch 16, T = 10, at every bit width; each step is measured in turns with
the full-precision one, and its memory in processes of its own. Full precision layer by layer, without
`snnq.fuse`, is what fusing batch norm, neurons and pooling saves.
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

import snnq
from snnq.quantization.layers import layers_of
from snnq.system.memory import keep_freed_memory
from snnq.training.optimizer import Optimizer
from snnq.training.step import Step

FULL, LAYERS = "full precision", "full precision, layer by layer"
PROCESSES = 5  # whose peak memory is looked at


def main(channels: int) -> None:
    ours = [f"snnq, {bits} bit" for bits in LEVELS]
    names = [LAYERS, *ours, *(f"{peer}, {bits} bit" for peer in peers() for bits in PEER_BITS)]
    # First, since a process starts with the peak of the one that it comes from.
    peaks = {name: peak(name, channels) for name in (FULL, LAYERS, *ours)}
    keep_freed_memory()
    others = {name: partial(step, name, channels) for name in names}
    table = compare_each(FULL, step(FULL, channels), others)
    table["peak_mb"] = table["candidate"].map(peaks)
    table["memory_ratio"] = table["peak_mb"] / peaks[FULL]
    table = table.assign(channels=channels, threads=torch.get_num_threads())
    report("step" if channels == 128 else f"step_{channels}", table)


def step(name: str, channels: int):
    """One training step of a network of that kind, on random frames."""
    torch.manual_seed(0)
    model = snnq.build_model("nmnist", channels=channels, fused=name != LAYERS).train()
    if name not in (FULL, LAYERS):
        kind, bits = name.removesuffix(" bit").split(", ")
        levels = LEVELS[int(bits)]
        if kind == "snnq":
            snnq.quantize(model, levels, temperature=10.0, backward_temperature=2.0)
        else:
            _, *layers = layers_of(model).values()
            for layer in layers:
                peer = peers()[kind](layer.weight, levels)
                parametrize.register_parametrization(layer, "weight", peer)
    taken = Step(model, Optimizer(model, 1e-3, 10**6))
    frames = torch.poisson(torch.full((10, 16, 2, 34, 34), 0.2))
    labels = torch.randint(10, (16,))

    def one() -> None:
        taken(frames, labels)
        taken.read()

    return one


def peak(name: str, channels: int) -> float:
    """Megabytes that a process takes for three such steps; the median, since the heap's gaps vary."""
    command = [sys.executable, __file__, "--peak", name, "--channels", str(channels)]
    found = [int(subprocess.check_output(command)) for _ in range(PROCESSES)]
    return statistics.median(found) / 1024


def print_peak(name: str, channels: int) -> None:
    keep_freed_memory()
    one = step(name, channels)
    for _ in range(3):
        one()
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--peak", metavar="CANDIDATE", help="of one, in this process")
    parser.add_argument("--channels", type=int, default=128)
    chosen = parser.parse_args()
    print_peak(chosen.peak, chosen.channels) if chosen.peak else main(chosen.channels)
