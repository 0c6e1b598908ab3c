"""The loop of SpikingJelly's tutorials with its defaults: seconds per step.

    python bench/spikingjelly_loop.py frames.npz channels

Its PLIF network of the same layers, frames from a `DataLoader`, Adam, mean-squared error, no
clipping, no setting of the allocator or of threads. On a GPU its neurons are Triton's kernels.
"""

import argparse
import time
from collections.abc import Iterator

import numpy as np
import torch
from spikingjelly.activation_based import functional, layer, neuron, surrogate
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

BATCH, WARM_UP = 16, 3


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("frames", help=".npz with frames uint8 [N, T, 2, H, W] and labels [N]")
    parser.add_argument("channels", type=int)
    arguments = parser.parse_args()
    found = np.load(arguments.frames)
    data = TensorDataset(*(torch.from_numpy(found[name]) for name in ("frames", "labels")))
    loader = DataLoader(data, BATCH, shuffle=True)
    print(seconds_per_step(steps(loader, network(arguments.channels)), len(loader)))


def network(channels: int) -> nn.Module:
    def spiking():
        return neuron.ParametricLIFNode(2.0, detach_reset=True, surrogate_function=surrogate.ATan())

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
    return net


def steps(loader: DataLoader, net: nn.Module, device: str = "cpu") -> Iterator[None]:
    net.to(device)
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
    while True:
        for frames, labels in loader:
            frames, labels = frames.to(device), labels.to(device)
            optimizer.zero_grad()
            rates = net(frames.transpose(0, 1).float()).mean(0)
            F.mse_loss(rates, F.one_hot(labels, 10).float()).backward()
            optimizer.step()
            functional.reset_net(net)
            yield


def seconds_per_step(loop: Iterator[None], count: int) -> float:
    for _ in range(WARM_UP):
        next(loop)
    start = time.perf_counter()
    for _ in range(count):
        next(loop)
    return (time.perf_counter() - start) / count


if __name__ == "__main__":
    main()
