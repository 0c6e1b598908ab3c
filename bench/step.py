"""A quantized training step against the full-precision one, in time and in memory.

    python bench/step.py

On the N-MNIST network with 128 channels at batch 16, T = 10. Claims: at most 1.05 times the time,
and 1.15 times the memory, at every bit width.
"""

import resource
import subprocess
import sys

import torch
from compare import compare, report
from peers import LEVELS, PEER_BITS, peers
from torch.optim import Adam

import snnq
from snnq.memory import keep_freed_memory
from snnq.training import gradients

FULL = "full precision"


def main() -> None:
    keep_freed_memory()
    names = [FULL, *(f"snnq, {bits} bit" for bits in LEVELS)]
    names += [f"{peer}, {bits} bit" for peer in peers() for bits in PEER_BITS]
    table = compare({name: step(name) for name in names}, rounds=11)
    peaks = [int(subprocess.check_output([sys.executable, __file__, name])) for name in names]
    table["peak_mb"] = [peak / 1024 for peak in peaks]
    table["memory_ratio"] = [peak / peaks[0] for peak in peaks]
    report("step", table.assign(threads=torch.get_num_threads()))


def step(name: str):
    """One training step of a network of that kind, on random frames."""
    torch.manual_seed(0)
    model = snnq.build_model("nmnist").train()
    if name != FULL:
        kind, bits = name.removesuffix(" bit").split(", ")
        quantizer, options = (
            snnq.SigmoidQuantizer,
            {"temperature": 10.0, "backward_temperature": 2.0},
        )
        if kind != "snnq":
            quantizer, options = peers()[kind], {}
        snnq.quantize(model, LEVELS[int(bits)], quantizer=quantizer, **options)
    optimizer = Adam(model.parameters(), 1e-3, fused=True)
    frames = torch.poisson(torch.full((10, 16, 2, 34, 34), 0.2))
    labels = torch.randint(10, (16,))

    def one() -> None:
        gradients(model, frames, labels)
        optimizer.step()

    return one


def print_peak(name: str) -> None:
    keep_freed_memory()
    one = step(name)
    for _ in range(3):
        one()
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


if __name__ == "__main__":
    print_peak(sys.argv[1]) if len(sys.argv) > 1 else main()
