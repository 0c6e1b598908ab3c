"""The layers of any network as it calls them: shapes, parameters and bits."""

import math

import pandas as pd
import torch
from spikingjelly.activation_based.neuron import BaseNode
from torch import Tensor, nn

from snnq.deployment.observed import observe
from snnq.quantization.layers import QUANTIZED_LAYERS, is_within
from snnq.storage.footprint import footprint, kind_of
from snnq.study.bits import FULL_BITS


def structure(model: nn.Module, example: Tensor) -> pd.DataFrame:
    """Each layer of a network, in the order in which it is first called.

    Parameters
    ----------
    model : nn.Module
        Any network.
    example : Tensor [N_t, N, ...]
        Inputs, of any values.

    Returns
    -------
    pandas.DataFrame
        layer (its module's name); kind ("Conv2d", "ParametricLIFNode"); kernel ("3×3", empty where
        it has none); input and output (the shapes of what it gets and gives for one recording in one
        time step, "16×17×17"); has_weights (whether it is a convolution or linear layer); numbers (of all
        kinds that evaluation needs), bits (of a weight; missing where it has none) and bytes, see
        `snnq.footprint`.
    """
    modules = _layers(model)
    shapes: dict[str, tuple[torch.Size, torch.Size]] = {}
    observe(
        model, example, modules, lambda name, *ends: shapes.setdefault(name, [of.shape for of in ends])
    )
    inputs, outputs = zip(*shapes.values())
    kinds = [isinstance(modules[name], QUANTIZED_LAYERS) for name in shapes]
    table = pd.DataFrame(
        {
            "layer": list(shapes),
            "kind": [kind_of(modules[name]) for name in shapes],
            "kernel": [_kernel(modules[name]) for name in shapes],
            "input": [_of_one(shape, example.shape[:2]) for shape in inputs],
            "output": [_of_one(shape, example.shape[:2]) for shape in outputs],
            "has_weights": kinds,
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


def _of_one(shape: tuple[int, ...], many: tuple[int, int]) -> str:
    """Without time steps and recordings, whether they are two dimensions, one, or steps come one by
    one."""
    steps, recordings = many
    rest = shape[2:] if tuple(shape[:2]) == (steps, recordings) else shape[1:]
    return "×".join(map(str, rest))


def _kernel(module: nn.Module) -> str:
    size = getattr(module, "kernel_size", None)
    if size is None:
        return ""
    return "×".join(map(str, size if isinstance(size, tuple) else (size, size)))
