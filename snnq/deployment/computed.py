"""Which layers, and which settings of them, `snnq/deployment/c/net.c` computes.

A layer that is not among them, or that comes at another place than the C program has it at, is
refused by its name: each stage there is weights, then batch norm, neurons and pooling, each once at
most, and the last stage alone may do without neurons.
"""

import math

from spikingjelly.activation_based import layer, neuron
from torch import nn
from torch.nn.utils.parametrize import type_before_parametrizations

from snnq.quantization.checks import refuse_unless_on_levels

WEIGHTED = (nn.Conv2d, nn.Linear)
POOLING = (nn.MaxPool2d, nn.AvgPool2d)
# Exact classes: a subclass may compute something else.
CONVOLUTIONS = (layer.Conv2d,)
LINEAR = (nn.Linear, layer.Linear)
NORMS = (layer.BatchNorm2d,)
POOLS = (layer.MaxPool2d, layer.AvgPool2d)
NEURONS = (neuron.IFNode, neuron.LIFNode, neuron.ParametricLIFNode)
FLAT = (layer.Flatten,)
DROPOUT = (nn.Dropout, layer.Dropout)  # nothing, in evaluation
VOTING = (layer.VotingLayer,)
COMPUTED = (*CONVOLUTIONS, *LINEAR, *NORMS, *POOLS, *NEURONS, *FLAT, *DROPOUT, *VOTING)
MOST_POOLED = 255  # spikes that are added up in a byte


class Written:
    """The layers so far: those of the last stage, and all."""

    def __init__(self):
        self.stage: list[type] = []
        self.all: list[type] = []

    def add(self, kind: type) -> None:
        if kind not in DROPOUT:
            self.stage = [kind] if issubclass(kind, WEIGHTED) else [*self.stage, kind]
            self.all.append(kind)

    def has(self, kinds: tuple[type, ...]) -> bool:
        """Whether one of these is in the last stage."""
        return any(kind in kinds for kind in self.stage)


def refuse_unless_computed(name: str, module: nn.Module, before: Written) -> None:
    """Raises ValueError, with the name, unless C computes the layer as it is, at its place."""
    kind = type_before_parametrizations(module)
    if kind not in COMPUTED:
        raise ValueError(f"{name}: cannot be written as C: {module}")
    expected = {**_place(kind, before), **_settings(kind, module)}
    for what, (found, fits) in expected.items():
        if not fits:
            raise ValueError(f"{name}: cannot be written as C: {what}={found} of {kind.__name__}")
    if kind in (*CONVOLUTIONS, *LINEAR):
        refuse_unless_on_levels(name, module)


def _place(kind: type, before: Written) -> dict:
    """What has to be so where a layer stands."""
    flat, after = FLAT[0] in before.all, before.all[-1].__name__ if before.all else "nothing"
    started, spiking = before.has((*CONVOLUTIONS, *LINEAR)), before.has(NEURONS)
    open_ = started and not (spiking or before.has(FLAT))  # up to the neurons, once each
    fits = {
        CONVOLUTIONS: not flat and (spiking or not started),
        LINEAR: flat and (spiking or not started),
        NORMS: open_ and not before.has(NORMS),
        NEURONS: open_,
        POOLS: spiking and not (flat or before.has(POOLS)),
        FLAT: not flat and (spiking or not started),
        VOTING: flat and spiking,
    }
    place = next((fit for kinds, fit in fits.items() if kind in kinds), True)
    return {"place after": (after, place and VOTING[0] not in before.all)}


def _settings(kind: type, module: nn.Module) -> dict:
    """Each setting that matters, and whether it is one that C computes."""
    settings = {}
    if hasattr(module, "step_mode"):
        settings["step_mode"] = module.step_mode, module.step_mode == "m"
    if kind in CONVOLUTIONS:
        settings |= _of_convolution(module)
    elif kind in NORMS:
        settings["track_running_stats"] = (
            module.track_running_stats,
            module.running_mean is not None,
        )
    elif kind in POOLS:
        settings |= _of_pooling(module)
    elif kind in NEURONS:
        settings["v_reset"] = module.v_reset, module.v_reset == 0
        settings["v_threshold"] = module.v_threshold, math.isfinite(module.v_threshold)
    elif kind in FLAT:
        ends = module.start_dim, module.end_dim
        settings["start_dim, end_dim"] = ends, ends == (1, -1)
    return settings


def _of_convolution(module: nn.Conv2d) -> dict:
    side = module.kernel_size[0]
    same = module.padding == "same" or pair(module.padding) == (side // 2, side // 2)
    return {
        "kernel_size": (module.kernel_size, module.kernel_size == (side, side) and side % 2),
        "stride": (module.stride, module.stride == (1, 1)),
        "padding": (module.padding, same),
        "padding_mode": (module.padding_mode, module.padding_mode == "zeros" or side == 1),
        "dilation": (module.dilation, module.dilation == (1, 1) or side == 1),
        "groups": (module.groups, module.groups == 1),
    }


def _of_pooling(module: nn.MaxPool2d | nn.AvgPool2d) -> dict:
    side, _ = size = pair(module.kernel_size)
    added = side**2 if isinstance(module, nn.AvgPool2d) else 1
    divisor = getattr(module, "divisor_override", None)
    return {
        "kernel_size": (module.kernel_size, size == (side, side) and added <= MOST_POOLED),
        "stride": (module.stride, pair(module.stride) == size),
        "padding": (module.padding, pair(module.padding) == (0, 0)),
        "dilation": (getattr(module, "dilation", 1), pair(getattr(module, "dilation", 1)) == (1, 1)),
        "ceil_mode": (module.ceil_mode, not module.ceil_mode),
        "divisor_override": (divisor, divisor is None),
        "return_indices": (True, not getattr(module, "return_indices", False)),
    }


def pair(size: int | tuple[int, int]) -> tuple[int, int]:
    """A setting for height and width, as torch takes one number for both."""
    return (size, size) if isinstance(size, int) else tuple(size)
