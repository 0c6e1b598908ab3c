"""A NIR graph, from whatever library, as a network of SpikingJelly's layers."""

from pathlib import Path

import numpy as np
import torch
from spikingjelly.activation_based import functional, layer, neuron, surrogate
from torch import nn

from snnq.deployment.nir_export import DT
from snnq.system.files import first_line


def from_nir(path: str | Path, dt: float | None = None) -> nn.Sequential:
    """The network of a NIR file, to be trained on, quantized, packed and measured.

    It takes [N_t, N, ...] and gives what its last node does at each time step. Layers have their
    nodes' names, with "_" for ".". Neurons have ATan surrogate gradients and a detached reset.

    Parameters
    ----------
    path : path
        An HDF5 file with a graph whose nodes stand one behind the other: Conv2d, Affine, Linear, IF
        and LIF with the same parameters for all neurons, SumPool2d, AvgPool2d, Flatten.
    dt : float, optional
        Seconds of a time step, in which the neurons take an Euler step. Where not given, as the
        file's metadata say, or else 1e-4; 1 for time constants that are given in time steps.

    Raises
    ------
    ValueError
        No NIR file, or one with another node, a branch or a loop, by the node's name.
    ImportError
        The package nir is not installed.
    OSError
        The file is not there, or cannot be read.
    """
    import nir

    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    try:
        graph = nir.read(path, type_check=False)
    except Exception as error:  # h5py and nir check in many ways
        raise ValueError(f"{path}: no NIR file ({first_line(error)})") from None
    dt = float(graph.metadata.get("dt", DT)) if dt is None else dt
    if not (np.isfinite(dt) and dt > 0):
        raise ValueError(f"dt={dt}: expected seconds, above 0")
    model = nn.Sequential()
    for name, node in _in_order(graph, path):
        place = name.replace(".", "_")
        try:
            if hasattr(model, place):
                raise ValueError(f"a layer cannot be called {place}, or no second one")
            model.add_module(place, _layer(node, dt))
        except (ValueError, TypeError, RuntimeError) as error:
            kind = type(node).__name__
            raise ValueError(f"{path}: {name}: {kind}: {first_line(error)}") from None
    functional.set_step_mode(model, "m")
    return model


def _in_order(graph, path: Path) -> list:
    """The nodes between input and output, as they stand one behind the other."""
    following: dict[str, str] = {}
    for before, after in graph.edges:
        if before in following or after in following.values():
            raise ValueError(f"{path}: {after}: expected one way into it and one out of {before}")
        following[before] = after
    (name,), order = list(graph.inputs) or [None], []
    while name in following:
        name = following.pop(name)
        order.append((name, graph.nodes[name]))
    if following or not order or order[-1][0] not in graph.outputs:
        left = ", ".join(following) or name
        raise ValueError(f"{path}: {left}: expected one way from an input to an output")
    return order[:-1]


def _layer(node, dt: float) -> nn.Module:
    kind = type(node).__name__
    if kind not in LAYERS:
        raise ValueError(f"expected one of {', '.join(LAYERS)}")
    for what, numbers in vars(node).items():
        if isinstance(numbers, np.ndarray) and not np.isfinite(numbers).all():
            raise ValueError(f"its {what} is not all finite")
    return LAYERS[kind](node, dt)


def _convolution(node, _) -> nn.Module:
    outputs, inputs, *kernel = node.weight.shape
    padding = node.padding if isinstance(node.padding, str) else _pair(node.padding)
    module = layer.Conv2d(
        inputs * int(node.groups),
        outputs,
        tuple(kernel),
        stride=_pair(node.stride),
        padding=padding,
        dilation=_pair(node.dilation),
        groups=int(node.groups),
        bias=bool(node.bias.any()),
    )
    return _filled(module, node.weight, node.bias)


def _linear(node, _) -> nn.Module:
    if node.weight.ndim != 2:
        raise ValueError(f"weight {list(node.weight.shape)}: expected [outputs, inputs]")
    if "voting_size" in node.metadata:
        return layer.VotingLayer(int(node.metadata["voting_size"]))
    bias = getattr(node, "bias", np.zeros(1))
    module = layer.Linear(*node.weight.shape[::-1], bias=bool(bias.any()))
    return _filled(module, node.weight, bias)


@torch.no_grad()
def _filled(module: nn.Module, weight: np.ndarray, bias: np.ndarray) -> nn.Module:
    module.weight.copy_(torch.from_numpy(weight))
    if module.bias is not None:
        module.bias.copy_(torch.from_numpy(bias))
    return module


def _if(node, dt: float) -> nn.Module:
    """h = v + R dt x, from v_reset on."""
    return neuron.IFNode(**_spiking(node, _of_all(node, "r") * dt))


def _lif(node, dt: float) -> nn.Module:
    """h = v + (dt/τ)(v_leak − v + R x), from v_reset on."""
    leak, reset = _of_all(node, "v_leak"), _of_all(node, "v_reset")
    if leak != reset:
        raise ValueError(f"v_leak={leak}: expected v_reset, {reset}")
    tau = _of_all(node, "tau") / dt
    if not tau > 1:
        raise ValueError(f"tau is {tau} time steps: expected more than 1")
    return neuron.LIFNode(tau, **_spiking(node, _of_all(node, "r")))


def _spiking(node, gain: float) -> dict:
    """The settings of a neuron that is reset to 0 and whose inputs are not multiplied by `gain`; it
    spikes from the least float32 above NIR's threshold on."""
    if not gain > 0:
        raise ValueError(f"r={gain}: expected more than 0")
    threshold = np.float32((_of_all(node, "v_threshold") - _of_all(node, "v_reset")) / gain)
    return {
        "v_threshold": float(np.nextafter(threshold, np.float32(np.inf))),
        "v_reset": 0.0,
        "surrogate_function": surrogate.ATan(),
        "detach_reset": True,
    }


def _of_all(node, what: str) -> float:
    values = np.unique(getattr(node, what))
    if len(values) != 1:
        raise ValueError(f"{what}: expected the same for all its neurons")
    return float(values[0])


def _sum_pool(node, _) -> nn.Module:
    return layer.AvgPool2d(
        _pair(node.kernel_size), _pair(node.stride), _pair(node.padding), divisor_override=1
    )


def _average_pool(node, _) -> nn.Module:
    return layer.AvgPool2d(_pair(node.kernel_size), _pair(node.stride), _pair(node.padding))


def _flatten(node, _) -> nn.Module:
    """All of it: some libraries count the recordings' axis in `start_dim`, others do not."""
    if node.start_dim not in (0, 1) or node.end_dim != -1:
        raise ValueError(f"from {node.start_dim} to {node.end_dim}: expected all axes")
    return layer.Flatten()


def _pair(size) -> tuple[int, int]:
    return tuple(map(int, np.broadcast_to(size, 2)))


LAYERS = {
    "Conv2d": _convolution,
    "Affine": _linear,
    "Linear": _linear,
    "IF": _if,
    "LIF": _lif,
    "SumPool2d": _sum_pool,
    "AvgPool2d": _average_pool,
    "Flatten": _flatten,
}
