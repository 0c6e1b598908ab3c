"""A training step by the order of channels in memory, fused and layer by layer, by width.

    python bench/layout.py

On the N-MNIST network at batch 16, T = 10. Layer by layer are SpikingJelly's own layers.
"""

import argparse
from functools import partial

import pandas as pd
import torch
from compare import compare, report
from torch.optim import Adam

import snnq
from snnq.system.memory import keep_freed_memory
from snnq.system.state import reset_state
from snnq.training.evaluation import loss_of

CHANNELS = (4, 8, 16, 32, 64, 128)
LAYOUTS = {"channels first": torch.contiguous_format, "channels last": torch.channels_last}
STEPS, BATCH = 10, 16


def main() -> None:
    keep_freed_memory()
    tables = []
    for channels in CHANNELS:
        candidates = {
            f"{'fused' if fused else 'layer by layer'}, {layout}": step(channels, fused, layout)
            for layout in LAYOUTS
            for fused in (False, True)
        }
        tables.append(compare(candidates).assign(channels=channels))
    report("layout", pd.concat(tables).assign(threads=torch.get_num_threads()))


def step(channels: int, fused: bool, layout: str):
    torch.manual_seed(0)
    model = snnq.build_model("nmnist", channels=channels, fused=fused).train()
    optimizer = Adam(model.parameters(), 1e-3, fused=True)
    frames = torch.poisson(torch.full((STEPS * BATCH, 2, 34, 34), 0.2))
    images = frames.contiguous(memory_format=LAYOUTS[layout]).unflatten(0, (STEPS, BATCH))
    labels = torch.randint(10, (BATCH,))
    return partial(one, model, optimizer, images, labels)


def one(model, optimizer, images, labels) -> None:
    reset_state(model)
    loss = loss_of(model.layers(images).mean(0), labels)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


if __name__ == "__main__":
    argparse.ArgumentParser().parse_args()
    main()
