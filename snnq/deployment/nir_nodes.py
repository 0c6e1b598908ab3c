"""A network's layers as the nodes of the Neuromorphic Intermediate Representation, NIR.

Neurons: see `nir_neurons.py`. Batch norm is in the weights, as a factor and a shift for each output
channel: no importer takes `nir.Scale`, or an R for each channel. Max-pooling of spikes is their sum
over a window, and a neuron that spikes where there is any. Voting is an affine map.
"""

import nir
import numpy as np
from spikingjelly.activation_based import layer
from torch import Tensor, nn

from snnq.deployment.nir_export import DT
from snnq.deployment.nir_neurons import NEURONS, any_spike, neurons
from snnq.deployment.sequence import Call
from snnq.quantization.checks import refuse_unless_on_levels
from snnq.quantization.integers import IntegerWeight

ENDS = ("input", "output")  # nodes of every graph
NUMBERS = ("weight", "bias", "tau", "v_threshold")


class Nodes:
    """The nodes so far, by name, one behind the other; shape of what the last one gives."""

    def __init__(self, input_shape: tuple[int, ...], integers: dict[str, IntegerWeight]):
        self.integers = integers
        self.named = {ENDS[0]: nir.Input(np.array(input_shape))}
        self.shape, self.spikes = tuple(input_shape), False

    @property
    def last(self):
        return [*self.named.values()][-1]

    def add(self, name: str, node, shape: tuple[int, ...], spikes: bool = False) -> None:
        name = f"{name}_" if name in ENDS else name
        if name in self.named:
            raise ValueError(f"{name}: cannot be written as NIR: it is called more than once")
        self.named[name] = node
        self.shape, self.spikes = tuple(shape), spikes

    def write(self, call: Call) -> None:
        """Add what a layer is in NIR. Raises ValueError with its name where it is nothing there,
        or is there already."""
        LAYERS[call.kind](self, call)

    def finished(self):
        """The graph, with weights in float32. Raises ValueError for numbers that are not finite."""
        for name, node in self.named.items():
            for what, numbers in vars(node).items():
                if what in ("weight", "bias"):
                    numbers = numbers.astype(np.float32)
                    setattr(node, what, numbers)
                if what in NUMBERS and not np.isfinite(numbers).all():
                    raise ValueError(f"{name}: its {what} is not all finite")
        self.named[ENDS[1]] = nir.Output(np.array(self.shape))
        names = list(self.named)
        return nir.NIRGraph(self.named, [*zip(names, names[1:])], metadata={"dt": DT})


def _refuse_unless(call: Call, **settings: tuple) -> None:
    """Each setting, and whether it is one that NIR has."""
    for what, (found, fits) in settings.items():
        if not fits:
            of = f"{what}={found} of {call.kind.__name__}"
            raise ValueError(f"{call.name}: cannot be written as NIR: {of}")


def _refuse_unless_image(nodes: Nodes, call: Call) -> None:
    found = tuple(call.input[-3:])
    _refuse_unless(call, inputs=(list(found), len(nodes.shape) == 3 and found == nodes.shape))


def _convolution(nodes: Nodes, call: Call) -> None:
    _refuse_unless_image(nodes, call)
    module = call.module
    _refuse_unless(
        call,
        padding_mode=(module.padding_mode, module.padding_mode == "zeros"),
        # The package nir finds other shapes for these, and does not read them again.
        groups=(module.groups, module.groups == 1),
        kernel_size=(module.kernel_size, module.kernel_size[0] == module.kernel_size[1]),
    )
    nodes.add(
        call.name,
        nir.Conv2d(
            input_shape=nodes.shape[1:],
            stride=module.stride,
            padding=module.padding,
            dilation=module.dilation,
            groups=1,
            **_weighted(nodes, call),
        ),
        call.output[-3:],
    )


def _linear(nodes: Nodes, call: Call) -> None:
    _flatten(nodes, call)
    nodes.add(call.name, nir.Affine(**_weighted(nodes, call)), call.output[-1:])


def _weighted(nodes: Nodes, call: Call) -> dict:
    """Weight, bias, and the metadata of a quantized layer."""
    module, metadata = call.module, {}
    weight = _array(module.weight)
    bias = np.zeros(len(weight)) if module.bias is None else _array(module.bias)
    whole = nodes.integers.get(call.name)
    if whole is not None:
        refuse_unless_on_levels(call.name, module)
        metadata = {
            "levels": np.array(whole.levels),
            "codes": whole.codes.cpu().numpy(),
            "bits": (len(whole.levels) - 1).bit_length(),
            "scales": np.full(len(weight), whole.scale),
        }
    return {"weight": weight, "bias": bias, "metadata": metadata}


def _norm(nodes: Nodes, call: Call) -> None:
    """γ (x − μ)/√(σ² + ε) + β, of what a convolution or linear layer gives."""
    norm, node = call.module, nodes.last
    weighted = isinstance(node, (nir.Conv2d, nir.Affine))
    _refuse_unless(
        call,
        **{"place after": (type(node).__name__, weighted)},
        track_running_stats=(norm.track_running_stats, norm.running_mean is not None),
    )
    factor, shift = 1 / np.sqrt(_array(norm.running_var) + norm.eps), 0.0
    if norm.affine:
        factor, shift = factor * _array(norm.weight), _array(norm.bias)
    node.weight = node.weight * factor.reshape(-1, *[1] * (node.weight.ndim - 1))
    node.bias = (node.bias - _array(norm.running_mean)) * factor + shift
    if "scales" in node.metadata:
        node.metadata["scales"] = node.metadata["scales"] * factor


def _spiking(nodes: Nodes, call: Call) -> None:
    v_reset = call.module.v_reset
    _refuse_unless(call, v_reset=(v_reset, v_reset is not None))
    nodes.add(call.name, neurons(call.module, nodes.shape), nodes.shape, spikes=True)


def _max_pool(nodes: Nodes, call: Call) -> None:
    _refuse_unless_image(nodes, call)
    pool = call.module
    _refuse_unless(
        call,
        **{"input without spikes": (True, nodes.spikes)},
        dilation=(pool.dilation, (_pair(pool.dilation) == 1).all()),
        ceil_mode=(pool.ceil_mode, not pool.ceil_mode),
        return_indices=(pool.return_indices, not pool.return_indices),
    )
    nodes.add(call.name, nir.SumPool2d(**_windows(pool)), call.output[-3:])
    nodes.add(f"{call.name}.threshold", any_spike(nodes.shape), nodes.shape, spikes=True)


def _average_pool(nodes: Nodes, call: Call) -> None:
    _refuse_unless_image(nodes, call)
    pool = call.module
    whole = pool.count_include_pad or not _pair(pool.padding).any()
    _refuse_unless(
        call,
        ceil_mode=(pool.ceil_mode, not pool.ceil_mode),
        divisor_override=(pool.divisor_override, pool.divisor_override in (None, 1)),
        count_include_pad=(pool.count_include_pad, whole),
    )
    kind = nir.SumPool2d if pool.divisor_override else nir.AvgPool2d
    nodes.add(call.name, kind(**_windows(pool)), call.output[-3:])


def _windows(pool: nn.MaxPool2d | nn.AvgPool2d) -> dict:
    sizes = {"kernel_size": pool.kernel_size, "stride": pool.stride, "padding": pool.padding}
    return {what: _pair(size) for what, size in sizes.items()}


def _pair(size: int | tuple[int, int]) -> np.ndarray:
    """For height and width, as torch takes one number for both."""
    return np.array(np.broadcast_to(size, 2))


def _adaptive_pool(nodes: Nodes, call: Call) -> None:
    _refuse_unless_image(nodes, call)
    given, wanted = np.array(nodes.shape[1:]), np.array(call.output[-2:])
    size = call.module.output_size
    _refuse_unless(call, output_size=(size, not (given % wanted).any()))
    side = given // wanted
    pool = nir.AvgPool2d(kernel_size=side, stride=side, padding=np.zeros(2, int))
    nodes.add(call.name, pool, call.output[-3:])


def _flatten(nodes: Nodes, call: Call) -> None:
    """Before a layer that takes vectors, where the network itself flattens; or of a layer."""
    flat = (int(np.prod(nodes.shape)),)
    if isinstance(call.module, nn.Flatten):
        name, found = call.name, tuple(call.output[-1:])
    else:
        name, found = f"{call.name}.flatten", tuple(call.input[-1:])
    _refuse_unless(call, inputs=(list(found), found == flat))
    if nodes.shape != flat:
        node = nir.Flatten(np.array(nodes.shape), start_dim=0, end_dim=-1)
        nodes.add(name, node, flat, nodes.spikes)


def _voting(nodes: Nodes, call: Call) -> None:
    _flatten(nodes, call)
    (classes,), voters = call.output[-1:], call.module.voting_size
    weight = np.kron(np.eye(classes), np.full(voters, 1 / voters))
    metadata = {"voting_size": voters}  # no weights to be quantized
    node = nir.Affine(weight, np.zeros(classes), metadata=metadata)
    nodes.add(call.name, node, (classes,))


def _nothing(nodes: Nodes, call: Call) -> None:
    """In evaluation."""


def _array(x: Tensor) -> np.ndarray:
    return x.detach().double().cpu().numpy()


# By exact classes: a subclass may compute something else.
WRITERS = {
    (nn.Conv2d, layer.Conv2d): _convolution,
    (nn.Linear, layer.Linear): _linear,
    (nn.BatchNorm1d, nn.BatchNorm2d, layer.BatchNorm1d, layer.BatchNorm2d): _norm,
    NEURONS: _spiking,
    (nn.MaxPool2d, layer.MaxPool2d): _max_pool,
    (nn.AvgPool2d, layer.AvgPool2d): _average_pool,
    (nn.AdaptiveAvgPool2d, layer.AdaptiveAvgPool2d): _adaptive_pool,
    (nn.Flatten, layer.Flatten): _flatten,
    (layer.VotingLayer,): _voting,
    (nn.Identity, nn.Dropout, nn.Dropout2d, layer.Dropout, layer.Dropout2d): _nothing,
}
LAYERS = {kind: write for kinds, write in WRITERS.items() for kind in kinds}
