"""VGG-11 and SEW-ResNet-18 of SpikingJelly's zoo, of any width.

They are its layers and blocks in a row, without the modules around them, whose widths are fixed.
"""

import importlib
import sys
from functools import partial
from types import ModuleType

import torch
from spikingjelly.activation_based import layer
from torch import nn

ORIGINAL = 128  # channels at which the networks are as wide as SpikingJelly's
DOWNLOADS = "torchvision.models.utils"


def zoo(name: str) -> ModuleType:
    """A file of SpikingJelly's zoo, "sew_resnet" say.

    Some ask torchvision for a function of `torch.hub`, and torchvision cannot be imported beside a
    build of torch that it is not made for, such as the one for CPUs alone.
    """
    sys.modules[DOWNLOADS] = torch.hub
    try:
        return importlib.import_module(f"spikingjelly.activation_based.model.{name}")
    finally:
        del sys.modules[DOWNLOADS]


def spiking_vgg11(
    polarities: int, places: int, classes: int, spiking: partial, channels: int
) -> list[nn.Module]:
    """`spiking_vgg11_bn`; `places` are what five poolings leave of a frame."""
    vgg = zoo("spiking_vgg")
    widths = [of if of == "M" else _scaled(of, channels) for of in vgg.cfgs["A"]]
    features = vgg.SpikingVGG.make_layers(widths, batch_norm=True, neuron=spiking)
    features[0] = layer.Conv2d(polarities, widths[0], kernel_size=3, padding=1)
    hidden = _scaled(4096, channels)
    return [
        *features,
        layer.Flatten(),
        layer.Linear(widths[-2] * places, hidden),
        spiking(),
        layer.Dropout(),
        layer.Linear(hidden, hidden),
        spiking(),
        layer.Dropout(),
        layer.Linear(hidden, classes),
    ]


def sew_resnet18(polarities: int, classes: int, spiking: partial, channels: int) -> list[nn.Module]:
    """`sew_resnet18` with `cnf="ADD"`: what a block computes is added to its input."""
    width = _scaled(64, channels)
    layers = [
        layer.Conv2d(polarities, width, kernel_size=7, stride=2, padding=3, bias=False),
        layer.BatchNorm2d(width),
        spiking(),
        layer.MaxPool2d(kernel_size=3, stride=2, padding=1),
    ]
    for stage in range(4):
        outputs = width << stage
        inputs = max(width, outputs // 2)
        layers += [_block(inputs, outputs, spiking), _block(outputs, outputs, spiking)]
    return [*layers, layer.AdaptiveAvgPool2d(1), layer.Flatten(), layer.Linear(outputs, classes)]


def _block(inputs: int, outputs: int, spiking: partial) -> nn.Module:
    """Two convolutions, of which the first halves the frame where it widens the network."""
    sew, stride, shortcut = zoo("sew_resnet"), 1, None
    if outputs != inputs:
        stride = 2
        shortcut = nn.Sequential(
            sew.conv1x1(inputs, outputs, stride),
            layer.BatchNorm2d(outputs),
        )
    return sew.BasicBlock(inputs, outputs, stride, shortcut, cnf="ADD", spiking_neuron=spiking)


def _scaled(width: int, channels: int) -> int:
    return max(1, width * channels // ORIGINAL)
