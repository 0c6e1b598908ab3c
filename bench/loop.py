"""A training epoch of `snnq.fit` against SpikingJelly's own loop, full precision, on the CPU.

    python bench/loop.py [data folder] [--channels 128]

Theirs is the loop of SpikingJelly's tutorials with its defaults: its PLIF network of the same
layers, frames from a `DataLoader`, Adam, mean-squared error, no setting of the allocator. Each
loop runs in processes of its own, which take turns. Claim: at least 1.3 times faster.
"""

import argparse
import statistics
import subprocess
import sys
import time

import pandas as pd
import torch
from compare import report
from spikingjelly.activation_based import functional, layer, neuron, surrogate
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader

import snnq
from snnq.evaluation import batches, loss_of
from snnq.memory import keep_freed_memory

BATCH, STEPS, WARM_UP = 16, 10, 3


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data", nargs="?", default="data/digits")
    parser.add_argument("--channels", type=int, default=128)
    parser.add_argument("--batches", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", help="one loop's seconds per step, in this process")
    arguments = parser.parse_args()
    if arguments.only:
        print(seconds_per_step(LOOPS[arguments.only](arguments), arguments.batches))
        return
    seconds: dict[str, list[float]] = {name: [] for name in LOOPS}
    for turn in range(arguments.rounds):
        for name in list(LOOPS)[:: 1 if turn % 2 == 0 else -1]:
            found = subprocess.check_output([sys.executable, *sys.argv, "--only", name], text=True)
            seconds[name].append(float(found.split()[-1]))
    rows = []
    for name, times in seconds.items():
        ratios = [theirs / one for theirs, one in zip(seconds["SpikingJelly"], times)]
        low, high = min(ratios), max(ratios)
        row = {"loop": name, "channels": arguments.channels, "seconds_per_step": statistics.median(times)}
        rows.append(row | {"faster": statistics.median(ratios), "faster_low": low, "faster_high": high})
    report(f"loop_{arguments.channels}", pd.DataFrame(rows).assign(threads=torch.get_num_threads()))


def spikingjelly(arguments):
    """Its layers and neurons, its loop."""
    def spiking():
        return neuron.ParametricLIFNode(2.0, detach_reset=True, surrogate_function=surrogate.ATan())

    channels = arguments.channels
    hidden = min(2048, 64 * channels)
    blocks = []
    for inputs in (2, channels):
        convolution = layer.Conv2d(inputs, channels, 3, padding=1, bias=False)
        blocks += [convolution, layer.BatchNorm2d(channels), spiking(), layer.MaxPool2d(2, 2)]
    net = nn.Sequential(
        *blocks, layer.Flatten(), layer.Dropout(0.5),
        layer.Linear(channels * 64, hidden, bias=False), spiking(), layer.Dropout(0.5),
        layer.Linear(hidden, 100, bias=False), spiking(), layer.VotingLayer(10),
    )  # fmt: skip
    functional.set_step_mode(net, "m")
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
    train, _ = snnq.load("nmnist", arguments.data, STEPS)
    loader = DataLoader([train[i] for i in range(BATCH * arguments.batches)], BATCH, shuffle=True)
    while True:
        for frames, labels in loader:
            optimizer.zero_grad()
            rates = net(frames.transpose(0, 1).float()).mean(0)
            F.mse_loss(rates, F.one_hot(labels, 10).float()).backward()
            optimizer.step()
            functional.reset_net(net)
            yield


def ours(arguments):
    """What a step of `snnq.fit` does."""
    keep_freed_memory()
    model = snnq.build_model("nmnist", channels=arguments.channels)
    optimizer = torch.optim.Adam(model.parameters(), 1e-3, fused=True)
    train, _ = snnq.load("nmnist", arguments.data, STEPS)
    while True:
        order = torch.randperm(BATCH * arguments.batches).tolist()
        for frames, labels in batches(train, BATCH, torch.device("cpu"), order):
            rates = model(frames)
            loss = loss_of(rates, labels)
            optimizer.zero_grad()
            loss.backward()
            norm = nn.utils.clip_grad_norm_(model.parameters(), 5.0)
            if not torch.isfinite(loss + norm):
                raise FloatingPointError
            optimizer.step()
            yield


LOOPS = {"SpikingJelly": spikingjelly, "snnq": ours}


def seconds_per_step(loop, count: int) -> float:
    for _ in range(WARM_UP):
        next(loop)
    start = time.perf_counter()
    for _ in range(count):
        next(loop)
    return (time.perf_counter() - start) / count


if __name__ == "__main__":
    main()
