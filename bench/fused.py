"""Batch norm, PLIF and max-pooling as one operation, against SpikingJelly's layers one by one.

    python bench/fused.py

Of the first and the second block of the N-MNIST network at batch 16, T = 10, by width: forward,
and forward and backward. The layers one by one have the layout of memory that is best for them.
"""

import argparse
from functools import partial

import pandas as pd
import torch
from compare import compare, report
from spikingjelly.activation_based import layer, neuron, surrogate
from torch import nn

import snnq
from snnq.system.memory import keep_freed_memory
from snnq.system.state import reset_state

CHANNELS, SIZES = (4, 16, 128), (34, 17)
LAYOUTS = {"first": 2, "last": -1}  # place of the channels
STEPS, BATCH = 10, 16


def main() -> None:
    keep_freed_memory()
    tables = []
    for channels in CHANNELS:
        for size in SIZES:
            for name, work in {"forward": forward, "both": both}.items():
                made = {f"layers, channels {of}": case(channels, size, of) for of in LAYOUTS}
                made["fused"] = case(channels, size, "last", fused=True)
                table = compare({name: partial(work, *parts) for name, parts in made.items()})
                tables.append(table.assign(channels=channels, size=size, passes=name))
    report("fused", pd.concat(tables).assign(threads=torch.get_num_threads()))


def case(channels: int, size: int, layout: str, fused: bool = False):
    node = neuron.ParametricLIFNode(
        2.0, v_reset=0.0, detach_reset=True, surrogate_function=surrogate.ATan(), step_mode="m"
    )
    norm = layer.BatchNorm2d(channels, step_mode="m")
    block = nn.Sequential(norm, node, layer.MaxPool2d(2, 2, step_mode="m"))
    x = torch.randn(STEPS, BATCH, channels, size, size) + 0.5
    place = LAYOUTS[layout]
    x = x.movedim(2, place).contiguous().movedim(place, 2).requires_grad_()
    return (snnq.fuse(block) if fused else block), x


def forward(block: nn.Module, x: torch.Tensor) -> torch.Tensor:
    reset_state(block)
    return block(x)


def both(block: nn.Module, x: torch.Tensor) -> None:
    pooled = forward(block, x)
    torch.autograd.grad(pooled, [x, *block.parameters()], torch.ones_like(pooled))


if __name__ == "__main__":
    argparse.ArgumentParser().parse_args()
    main()
