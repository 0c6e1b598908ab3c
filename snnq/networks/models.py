"""Spiking networks for each benchmark: the PLIF networks of Fang et al., ICCV 2021, and deeper ones."""

import math
from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from spikingjelly.activation_based import functional, layer, neuron, surrogate
from torch import Tensor, nn

from snnq.networks.fused import fuse
from snnq.networks.zoo import sew_resnet18, spiking_vgg11
from snnq.recordings.benchmarks import get_benchmark

NEURONS = {
    "plif": partial(neuron.ParametricLIFNode, init_tau=2.0),
    "lif": partial(neuron.LIFNode, tau=2.0),
    "if": neuron.IFNode,
}


class SpikingNetwork(nn.Module):
    """Layers in multi-step mode, from frames to firing rates.

    Input [N_t, N, 2, H, W], N_t time steps of event counts; output [N, classes], the firing rate of
    each class's group of output neurons over the N_t steps, between 0 and 1 (of all but the PLIF
    networks the mean of the last layer, which does not spike). Every recording starts
    from rest: the membrane potentials are reset before it, and after it, so that the network can
    be copied.

    Attributes
    ----------
    architecture : dict
        The arguments of `build_model` that make it.
    """

    def __init__(self, *layers: nn.Module, architecture: Mapping[str, Any]):
        super().__init__()
        self.architecture = dict(architecture)
        self.layers = nn.Sequential(*layers)
        functional.set_step_mode(self.layers, "m")

    def forward(self, frames: Tensor) -> Tensor:
        functional.reset_net(self)
        # Faster than channels first, or as fast, from 4 to 128 channels (bench/layout.py).
        images = frames.flatten(0, 1).contiguous(memory_format=torch.channels_last)
        rates = self.layers(images.unflatten(0, frames.shape[:2])).mean(0)
        functional.reset_net(self)
        return rates


NETWORKS = ("plif", "vgg11", "vgg11_gap", "spiking_vgg11", "sew_resnet18")
# Convolution blocks, each halving the frame, and neurons of the hidden linear layer.
PLIF_NETWORKS = {
    "nmnist": (2, 2048),
    "dvsgesture": (5, 512),
    "cifar10dvs": (4, 512),
    "ncaltech101": (5, 512),
}
VGG11 = (0.5, 1, "pool", 2, 2, "pool", 4, 4, "pool", 4, 4)  # of `channels`; pooled once more
HALVED = {"vgg11": 4, "vgg11_gap": 3, "spiking_vgg11": 5, "sew_resnet18": 0}  # at least so often
VOTERS = 10  # output neurons that vote for each class


def build_model(
    benchmark: str,
    neuron: str = "plif",
    channels: int = 128,
    network: str = "plif",
    size: int | None = None,
    fused: bool = True,
) -> SpikingNetwork:
    """The network of a benchmark, with τ from 2, ATan surrogate, hard and detached reset, no bias.

    Parameters
    ----------
    benchmark : str
        A name in `snnq.BENCHMARKS`.
    neuron : str
        "plif" (learned time constant), "lif" or "if".
    channels : int
        Channels of each convolution: 128 in the paper. With fewer than 32 the hidden linear layer
        narrows too, to at most 64 per channel, for a quick network.
    network : str
        "plif": {conv 3×3, batch norm, neuron, max-pool} ×2 on N-MNIST, ×4 on CIFAR10-DVS, ×5 on
        the other two, then dropout, linear 512 (N-MNIST 2048), neuron, dropout, linear 10 per
        class, neuron, voting by tens (Fang et al., ICCV 2021; N-Caltech101 in the same style).
        "vgg11": eight convolutions 64-128-256-256-512-512-512-512 (with 128 `channels`), each with
        batch norm and neuron, average-pooled after every second, and one linear layer, whose mean
        over time is the output (Deng et al., ICLR 2022; usually at size 48).
        "vgg11_gap": the same with the mean over all places in place of the last pooling, so that
        the linear layer has one input per channel (Xiao et al., NeurIPS 2022, and Liang et al.,
        ICML 2025).
        "spiking_vgg11": SpikingJelly's VGG-11 with batch norm: eight convolutions
        64-128-256-256-512-512-512-512 with biases, five times max-pooled, and three linear layers
        (4096-4096-classes) with dropout. Without the pooling to 7 × 7 places before these, which
        at 224 pixels changes nothing and below them repeats values.
        "sew_resnet18": SpikingJelly's SEW-ResNet-18 (Fang et al., NeurIPS 2021): a convolution of
        7 × 7 and a max-pooling with stride 2, eight blocks 64-64-128-128-256-256-512-512 whose
        spikes are added to their input, the mean over all places and one linear layer.
        The widths of these two are SpikingJelly's with 128 `channels` as well, and scaled with
        others; the first weights are torch's own, as everywhere here.
    size : int, optional
        Height and width of the frames; the sensor's own where not given.
    fused : bool
        Whether its batch norms, neurons and poolings are computed at once, see `snnq.fuse`.

    Raises
    ------
    ValueError
        Unknown benchmark, neuron or network, fewer than one channel, or frames too small to be
        halved as often.
    """
    found = get_benchmark(benchmark)
    if neuron not in NEURONS:
        raise ValueError(f"neuron={neuron!r}: expected one of {', '.join(NEURONS)}")
    if network not in NETWORKS:
        raise ValueError(f"network={network!r}: expected one of {', '.join(NETWORKS)}")
    if channels < 1:
        raise ValueError(f"channels={channels}: expected at least 1")
    height, width = (size, size) if size else (found.height, found.width)
    blocks = HALVED.get(network, PLIF_NETWORKS[benchmark][0])
    if min(height, width) >> blocks == 0:
        raise ValueError(f"size={size}: expected at least {1 << blocks} for this network")
    places = height >> blocks, width >> blocks
    spiking = partial(
        NEURONS[neuron], surrogate_function=surrogate.ATan(), v_reset=0.0, detach_reset=True
    )
    if network == "plif":
        inner = PLIF_NETWORKS[benchmark]
        layers = _plif(math.prod(places), len(found.classes), spiking, channels, *inner)
    elif network == "vgg11":
        pool = layer.AvgPool2d(2, 2)
        layers = _vgg11(pool, math.prod(places), len(found.classes), spiking, channels)
    elif network == "spiking_vgg11":
        layers = spiking_vgg11(2, math.prod(places), len(found.classes), spiking, channels)
    elif network == "sew_resnet18":
        layers = sew_resnet18(2, len(found.classes), spiking, channels)
    else:
        pool = layer.AvgPool2d(places)
        layers = _vgg11(pool, 1, len(found.classes), spiking, channels)
    architecture = {
        "benchmark": benchmark,
        "neuron": neuron,
        "channels": channels,
        "network": network,
        "size": size,
    }
    model = SpikingNetwork(*layers, architecture=architecture)
    return fuse(model) if fused else model


def _plif(
    places: int, classes: int, spiking: partial, channels: int, blocks: int, hidden: int
) -> list[nn.Module]:
    hidden = min(hidden, 64 * channels)
    convolutions = []
    for block in range(blocks):
        convolutions += _convolution(channels if block else 2, channels, spiking)
        convolutions.append(layer.MaxPool2d(2, 2))
    return [
        *convolutions,
        layer.Flatten(),
        layer.Dropout(0.5),
        layer.Linear(channels * places, hidden, bias=False),
        spiking(),
        layer.Dropout(0.5),
        layer.Linear(hidden, VOTERS * classes, bias=False),
        spiking(),
        layer.VotingLayer(VOTERS),
    ]


def _vgg11(
    pool: nn.Module, places: int, classes: int, spiking: partial, channels: int
) -> list[nn.Module]:
    layers, inputs = [], 2
    for width in VGG11:
        if width == "pool":
            layers.append(layer.AvgPool2d(2, 2))
        else:
            outputs = max(1, int(width * channels))
            layers += _convolution(inputs, outputs, spiking)
            inputs = outputs
    return [*layers, pool, layer.Flatten(), layer.Linear(inputs * places, classes, bias=False)]


def _convolution(inputs: int, outputs: int, spiking: partial) -> list[nn.Module]:
    return [
        layer.Conv2d(inputs, outputs, kernel_size=3, padding=1, bias=False),
        layer.BatchNorm2d(outputs),
        spiking(),
    ]
