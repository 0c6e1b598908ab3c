"""Spiking networks for each benchmark: the PLIF networks of Fang et al., ICCV 2021, and deeper ones."""

import math
from collections.abc import Mapping, Sequence
from functools import partial
from numbers import Integral
from typing import Any

import torch
from spikingjelly.activation_based import functional, layer, neuron, surrogate
from torch import Tensor, nn

from snnq.networks.fused import fuse
from snnq.networks.rounded import RoundedIFNode, RoundedLIFNode, RoundedPLIFNode
from snnq.networks.zoo import sew_resnet18, spiking_vgg11
from snnq.recordings.benchmarks import get_benchmark

NEURONS = {
    "plif": partial(neuron.ParametricLIFNode, init_tau=2.0),
    "lif": partial(neuron.LIFNode, tau=2.0),
    "if": neuron.IFNode,
}
ROUNDED = {
    "plif": partial(RoundedPLIFNode, init_tau=2.0),
    "lif": partial(RoundedLIFNode, tau=2.0),
    "if": RoundedIFNode,
}


class SpikingNetwork(nn.Module):
    """Layers in multi-step mode, from frames to firing rates.

    Input [N_t, N, C, H, W], N_t time steps of event counts; output [N, classes], the firing rate of
    each class's group of output neurons over the N_t steps, between 0 and 1 (of all but the PLIF
    networks the mean of the last layer, which does not spike). Every recording starts
    from rest: the membrane potentials are reset before it, and after it, so that the network can
    be copied.

    Attributes
    ----------
    architecture : dict
        The arguments of `build_model` that make it.
    input_shape : (int, int, int)
        Channels, height and width of a frame.
    """

    input_shape: tuple[int, int, int]

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
MOST_LEFT = 8  # pixels of a frame's shorter side after the blocks, of other recordings
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
    classes: int | None = None,
    sensor: Sequence[int] | None = None,
    membrane_bits: int | None = None,
) -> SpikingNetwork:
    """The network of a benchmark, or of other recordings, with τ from 2, ATan surrogate, hard and detached reset, no bias.

    Parameters
    ----------
    benchmark : str
        A name in `snnq.BENCHMARKS`; or another one with `classes` and `sensor`, which are the
        `dimensions` of `snnq.get_benchmark("folder", "my_recordings")`, say.
    neuron : str
        "plif" (learned time constant), "lif" or "if".
    channels : int
        Channels of each convolution: 128 in the paper. With fewer than 32 the hidden linear layer
        narrows too, to at most 64 per channel, for a quick network.
    network : str
        "plif": {conv 3×3, batch norm, neuron, max-pool} ×2 on N-MNIST, ×4 on CIFAR10-DVS, ×5 on
        the other two, then dropout, linear 512 (N-MNIST 2048), neuron, dropout, linear 10 per
        class, neuron, voting by tens (Fang et al., ICCV 2021; N-Caltech101 in the same style). Of
        other recordings as many blocks as leave at most 8 pixels of the shorter side of a frame, at
        least one, and linear 2048 after two blocks or fewer; of frames with one row none.
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
    classes : int, optional
        The benchmark's own where not given.
    sensor : (int, int, int), optional
        Signs of events (2, or 1), height and width; the benchmark's own where not given.
    membrane_bits : int, optional
        2 to 20: neurons whose membrane potential has so few bits, see `snnq/networks/rounded.py`;
        they are not computed at once with batch norm and pooling.

    Raises
    ------
    ValueError
        Unknown benchmark without classes and sensor, neuron or network, channels, size or classes
        that are no whole number of at least 1, a sensor that is none, or frames too small to be halved as often.
    """
    if neuron not in NEURONS:
        raise ValueError(f"neuron={neuron!r}: expected one of {', '.join(NEURONS)}")
    if network not in NETWORKS:
        raise ValueError(f"network={network!r}: expected one of {', '.join(NETWORKS)}")
    _check_whole("channels", channels)
    if size is not None:
        _check_whole("size", size)
    given = {} if classes is None else {"classes": classes}
    given |= {} if sensor is None else {"sensor": [*sensor]}
    classes, (polarities, height, width) = _recordings(benchmark, classes, sensor)
    height, width = (size, size) if size else (height, width)
    inner = PLIF_NETWORKS.get(benchmark) or _plif_network(min(height, width))
    blocks = HALVED.get(network, inner[0])
    if min(height, width) >> blocks == 0:
        found = f"size={size}" if size else f"frames of {width} × {height}"
        raise ValueError(f"{found}: expected at least {1 << blocks} for this network")
    places = height >> blocks, width >> blocks
    kind = NEURONS[neuron]
    if membrane_bits is not None:
        kind = partial(ROUNDED[neuron], membrane_bits=membrane_bits)
        given |= {"membrane_bits": membrane_bits}
    spiking = partial(kind, surrogate_function=surrogate.ATan(), v_reset=0.0, detach_reset=True)
    if network == "plif":
        layers = _plif(polarities, math.prod(places), classes, spiking, channels, *inner)
    elif network == "vgg11":
        pool = layer.AvgPool2d(2, 2)
        layers = _vgg11(polarities, pool, math.prod(places), classes, spiking, channels)
    elif network == "spiking_vgg11":
        layers = spiking_vgg11(polarities, math.prod(places), classes, spiking, channels)
    elif network == "sew_resnet18":
        layers = sew_resnet18(polarities, classes, spiking, channels)
    else:
        pool = layer.AvgPool2d(places)
        layers = _vgg11(polarities, pool, 1, classes, spiking, channels)
    architecture = {
        "benchmark": benchmark,
        "neuron": neuron,
        "channels": channels,
        "network": network,
        "size": size,
        **given,
    }
    model = SpikingNetwork(*layers, architecture=architecture)
    model.input_shape = polarities, height, width
    return fuse(model) if fused else model


def _check_whole(name: str, value: Any) -> None:
    if not isinstance(value, Integral) or isinstance(value, bool) or value < 1:
        raise ValueError(f"{name}={value!r}: expected a whole number of at least 1")


def _recordings(
    benchmark: str, classes: int | None, sensor: Sequence[int] | None
) -> tuple[int, Sequence[int]]:
    """Classes and sensor, as given or the benchmark's."""
    if classes is None or sensor is None:
        found = get_benchmark(benchmark)
        own = found.polarities, found.height, found.width
        classes = len(found.classes) if classes is None else classes
        sensor = own if sensor is None else sensor
    if type(classes) is not int or classes < 1:
        raise ValueError(f"classes={classes!r}: expected a whole number of at least 1")
    if len(sensor) != 3 or not all(type(size) is int and size > 0 for size in sensor):
        raise ValueError(f"sensor={sensor!r}: expected signs of events, height and width")
    return classes, sensor


def _plif_network(side: int) -> tuple[int, int]:
    """Blocks and hidden neurons for frames of that shorter side, see `build_model`."""
    blocks = next(blocks for blocks in range(side) if side >> blocks <= MOST_LEFT)
    blocks = max(blocks, min(1, side - 1))
    return blocks, 2048 if blocks <= 2 else 512


def _plif(
    inputs: int, places: int, classes: int, spiking: partial, channels: int, blocks: int, hidden: int
) -> list[nn.Module]:
    hidden = min(hidden, 64 * channels)
    convolutions = []
    for _ in range(blocks):
        convolutions += _convolution(inputs, channels, spiking)
        convolutions.append(layer.MaxPool2d(2, 2))
        inputs = channels
    return [
        *convolutions,
        layer.Flatten(),
        layer.Dropout(0.5),
        layer.Linear(inputs * places, hidden, bias=False),
        spiking(),
        layer.Dropout(0.5),
        layer.Linear(hidden, VOTERS * classes, bias=False),
        spiking(),
        layer.VotingLayer(VOTERS),
    ]


def _vgg11(
    inputs: int, pool: nn.Module, places: int, classes: int, spiking: partial, channels: int
) -> list[nn.Module]:
    layers = []
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
