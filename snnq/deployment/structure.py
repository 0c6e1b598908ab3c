"""The layers of any network as it calls them: shapes, parameters and bits."""

import math

import pandas as pd
import torch
from spikingjelly.activation_based.neuron import BaseNode
from torch import Tensor, nn

from snnq.deployment.observed import dataset_of, warn_of_uncalled, watched
from snnq.quantization.layers import QUANTIZED_LAYERS, is_within
from snnq.storage.footprint import footprint, kind_of
from snnq.study.bits import FULL_BITS
from snnq.training.evaluation import device_of_network, from_rest


def structure(model: nn.Module, example: Tensor) -> pd.DataFrame:
    """Each layer of a network, in the order in which it is first called. A warning names convolutions
    and linear layers that never are.

    Parameters
    ----------
    model : nn.Module
        Any network.
    example : Tensor [N_t, N, ...]
        Inputs, of any values. The first recording's are taken, two and three times: what changes with
        their number is left out of the shapes.

    Returns
    -------
    pandas.DataFrame
        layer (its module's name); kind ("Conv2d", "ParametricLIFNode"); kernel ("3×3", empty where
        it has none); input and output (the shapes of what it gets and gives for one recording in one
        time step, "16×17×17"); has_weights (whether it is a convolution or linear layer); numbers (of all
        kinds that evaluation needs), bits (of a weight; missing where it has none) and bytes, see
        `snnq.footprint`.

    Raises
    ------
    ValueError
        An example that holds no recording, or is none.
    """
    modules, (frames, _) = _layers(model), dataset_of(example)[0]
    two, three = (_shapes(model, modules, torch.stack([frames] * many, 1)) for many in (2, 3))
    warn_of_uncalled(model, two)
    table = pd.DataFrame(
        {
            "layer": pd.Series(list(two), dtype=str),
            "kind": [kind_of(modules[name]) for name in two],
            "kernel": [_kernel(modules[name]) for name in two],
            "input": [_of_one(two[name][0], three[name][0], len(frames)) for name in two],
            "output": [_of_one(two[name][1], three[name][1], len(frames)) for name in two],
            "has_weights": [isinstance(modules[name], QUANTIZED_LAYERS) for name in two],
        }
    )
    stored = footprint(model).set_index("layer")[["numbers", "levels", "bytes"]]
    table = table.join(stored, on="layer").fillna({"numbers": 0, "bytes": 0})
    bits = [math.log2(n) if n == n else FULL_BITS for n in table.pop("levels").astype(float)]
    table["bits"] = pd.Series(bits).where(table["has_weights"])
    return table.astype({"numbers": int, "bytes": int})


def _layers(model: nn.Module) -> dict[str, nn.Module]:
    """Modules without others in them, but for a quantizer or a surrogate gradient."""
    found: dict[str, nn.Module] = {}
    for name, module in model.named_modules():
        whole = isinstance(module, (*QUANTIZED_LAYERS, BaseNode)) or not any(module.children())
        if name and whole and not any(is_within(name, other) for other in found):
            found[name] = module
    return found


@torch.no_grad()
def _shapes(
    model: nn.Module, modules: dict[str, nn.Module], frames: Tensor
) -> dict[str, list[torch.Size]]:
    """Of the input and the output of each module's first call."""
    found: dict[str, list[torch.Size]] = {}
    with watched(modules, lambda name, *ends: found.setdefault(name, [of.shape for of in ends])):
        from_rest(model.eval(), frames.to(device_of_network(model)).float())
    return found


def _of_one(two: torch.Size, three: torch.Size, steps: int) -> str:
    """Of shapes with two and with three recordings what is left without recordings and time steps,
    whether these are two dimensions, one, or steps come one by one."""
    rest = [size for size, other in zip(two, three) if size == other]
    if (two[:2], three[:2]) == ((steps, 2), (steps, 3)):
        rest = rest[1:]
    return "×".join(map(str, rest))


def _kernel(module: nn.Module) -> str:
    size = getattr(module, "kernel_size", None)
    if size is None:
        return ""
    return "×".join(map(str, size if isinstance(size, tuple) else (size, size)))
