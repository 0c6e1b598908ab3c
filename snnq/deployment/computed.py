"""Which layers, and which settings of them, `snnq/deployment/c/net.c` computes.

A layer that is not among them, or that comes at another place than the C program has it at, is
refused by its name: each stage there is weights, then batch norm, neurons and pooling, each once at
most, and the last stage alone may do without neurons.
"""

import math

from spikingjelly.activation_based import layer, neuron
from torch import nn

from snnq.deployment.sequence import RECORDINGS, STEPS, Call
from snnq.networks.rounded import RoundedIFNode, RoundedLIFNode, RoundedPLIFNode
from snnq.quantization.checks import refuse_unless_on_levels


def _plain_and_spiking(*names: str) -> tuple[type, ...]:
    """torch's layers, and SpikingJelly's of the same names."""
    return tuple(getattr(library, name) for library in (nn, layer) for name in names)


# Exact classes: a subclass may compute something else.
ROLES = {
    "weights": _plain_and_spiking("Conv2d", "Linear"),
    "norm": _plain_and_spiking("BatchNorm1d", "BatchNorm2d"),
    "neurons": (
        *(neuron.IFNode, neuron.LIFNode, neuron.ParametricLIFNode),
        *(RoundedIFNode, RoundedLIFNode, RoundedPLIFNode),
    ),
    "pooling": _plain_and_spiking("MaxPool2d", "AvgPool2d", "AdaptiveAvgPool2d"),
    "voting": (layer.VotingLayer,),
    # in evaluation, on numbers in the order in which they are
    "nothing": (nn.Identity, *_plain_and_spiking("Flatten", "Dropout", "Dropout2d")),
}
ROLE = {kind: role for role, kinds in ROLES.items() for kind in kinds}
AFTER = {
    "weights": (None, "neurons", "pooling"),
    "norm": ("weights",),
    "neurons": ("weights", "norm"),
    "pooling": ("neurons",),
    "voting": ("weights", "norm", "neurons", "pooling"),
}
MOST_POOLED = 255  # spikes that are added up in a byte

Image = tuple[int, int, int]  # channels, height and width


def refuse_unless_computed(call: Call, image: Image, before: type | None) -> None:
    """Raises ValueError, with the name, unless C computes the layer as it is, at its place.

    Parameters
    ----------
    call : Call
    image : (int, int, int)
        What the stages so far give.
    before : class, optional
        Of the layer before.
    """
    role, place = ROLE[call.kind], before.__name__ if before else "nothing"
    expected = {
        "place after": (place, ROLE.get(before) in AFTER[role]),
        **_settings(call, role),
        "input": (list(call.input), _takes(call, role, image)),
    }
    for what, (found, fits) in expected.items():
        if not fits:
            kind = call.kind.__name__
            raise ValueError(f"{call.name}: cannot be written as C: {what}={found} of {kind}")
    if role == "weights":
        refuse_unless_on_levels(call.name, call.module)


def _takes(call: Call, role: str, image: Image) -> bool:
    """Whether a layer gets the image, or where it is the same all numbers in a row, as it is."""
    flat = (math.prod(image),)
    if isinstance(call.module, nn.Linear):
        return call.input in _batches(flat)
    several_steps = getattr(call.module, "step_mode", "s") == "m"
    inputs = _batches(image)[several_steps], _batches(flat)[several_steps]
    is_flat = role == "neurons" or image[1:] == (1, 1)
    return call.input == inputs[0] or (is_flat and call.input == inputs[1])


def _batches(shape: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """All recordings' steps in one axis, or in two."""
    return (STEPS * RECORDINGS, *shape), (STEPS, RECORDINGS, *shape)


def _settings(call: Call, role: str) -> dict:
    """Each setting that matters, and whether it is one that C computes."""
    module = call.module
    if role == "weights" and not isinstance(module, nn.Linear):
        return _of_convolution(module)
    if role == "norm":
        tracked = module.track_running_stats, module.running_mean is not None
        return {"track_running_stats": tracked}
    if role == "pooling":
        return _of_pooling(call)
    if role == "neurons":
        reset = 0 if module.v_reset is None else module.v_reset
        return {
            "step_mode": (module.step_mode, module.step_mode == "m"),
            "v_reset": (module.v_reset, math.isfinite(reset)),
            "v_threshold": (module.v_threshold, math.isfinite(module.v_threshold)),
        }
    return {}


def _of_convolution(module: nn.Conv2d) -> dict:
    even = any(side % 2 == 0 for side in module.kernel_size)
    is_padded = padding_of(module) != (0, 0)
    return {
        "padding": (module.padding, module.padding != "same" or not even),
        "padding_mode": (module.padding_mode, module.padding_mode == "zeros" or not is_padded),
        "dilation": (module.dilation, module.dilation == (1, 1) or module.kernel_size == (1, 1)),
    }


def _of_pooling(call: Call) -> dict:
    module, sides = call.module, window_of(call)
    if isinstance(module, nn.AdaptiveAvgPool2d):
        whole = all(before % after == 0 for before, after in zip(call.input[-2:], call.output[-2:]))
        fits = whole and math.prod(sides) <= MOST_POOLED
        return {"output_size": (module.output_size, fits)}
    added = math.prod(sides) if isinstance(module, nn.AvgPool2d) else 1
    dilation, divisor = getattr(module, "dilation", 1), getattr(module, "divisor_override", None)
    return {
        "kernel_size": (module.kernel_size, added <= MOST_POOLED),
        "stride": (module.stride, pair(module.stride) == sides),
        "padding": (module.padding, pair(module.padding) == (0, 0)),
        "dilation": (dilation, pair(dilation) == (1, 1)),
        "ceil_mode": (module.ceil_mode, not module.ceil_mode),
        "divisor_override": (divisor, divisor is None),
    }


def does_nothing(call: Call) -> bool:
    """In evaluation; so does adaptive pooling of what has its size already."""
    is_adaptive = isinstance(call.module, nn.AdaptiveAvgPool2d)
    return ROLE[call.kind] == "nothing" or (is_adaptive and call.input == call.output)


def window_of(call: Call) -> tuple[int, int]:
    """Height and width of what is pooled into one."""
    if isinstance(call.module, nn.AdaptiveAvgPool2d):
        (height, width), (rows, columns) = call.input[-2:], call.output[-2:]
        return height // rows, width // columns
    return pair(call.module.kernel_size)


def padding_of(module: nn.Conv2d) -> tuple[int, int]:
    """Rows and columns of zeros at each side."""
    if module.padding == "same":
        height, width = module.kernel_size
        return height // 2, width // 2
    return (0, 0) if module.padding == "valid" else module.padding


def pair(size: int | tuple[int, int]) -> tuple[int, int]:
    """A setting for height and width, as torch takes one number for both."""
    return (size, size) if isinstance(size, int) else tuple(size)
