"""Accuracy of a network on devices whose memories have faults of their own."""

from collections.abc import Iterable

import pandas as pd
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from snnq.quantization.evaluated import evaluated_copy
from snnq.quantization.layers import in_evaluation
from snnq.quantization.place import quantizer_input, quantizer_of
from snnq.storage.fault_map import LayerFaults
from snnq.storage.faults import FaultMap, Memory, memory_of
from snnq.training.evaluation import evaluate


@torch.no_grad()
def accuracy_on_devices(
    model: nn.Module, data: Dataset, devices: Iterable[FaultMap], known: bool = False
) -> pd.DataFrame:
    """Accuracy on some recordings of a network in the memories of several devices. Leaves it be.

    The mean over devices and the worst are `table["accuracy"].mean()` and `.min()`.

    Parameters
    ----------
    model : nn.Module
        Quantized; batch norm, and layers in full precision, are taken to lie in a better memory.
    devices : fault maps
        Of `snnq.draw_faults` or `snnq.read_faults`, for this network.
    known : bool
        Whoever writes the weights knows the device's faults: each weight is at the nearest level that it
        reaches there. Of a network that was trained with these known faults each is already.

    Returns
    -------
    pandas.DataFrame
        A row for each device: device (its place among them), stuck (how many bits), changed (how many
        weights are read at another level than the network has), accuracy (a share of 1).

    Raises
    ------
    ValueError
        No device, or a fault map of other layers, levels or shapes than the network's.
    """
    devices = list(devices)
    if not devices:
        raise ValueError("devices=[]: expected one fault map at least")
    memory = memory_of(model)
    for number, faults in enumerate(devices):
        _refuse_another(number, faults, memory)
    faulty, rows = evaluated_copy(model), []
    stored = {name: _stored(model, name) for name in memory}
    for number, faults in enumerate(devices):
        changed = 0
        for name, (indices, values) in stored.items():
            layer = faults[name].to(values.device)
            found = _nearest(layer, indices, values) if known else layer.misread(indices)
            changed += (found != indices).sum().item()
            weight = values[found] if layer.error is None else values[found] * (1 + layer.error)
            faulty.get_submodule(name).weight.copy_(weight)
        stuck = sum(layer.stuck for layer in faults.values())
        accuracy, _ = evaluate(faulty, data)
        rows.append({"device": number, "stuck": stuck, "changed": changed, "accuracy": accuracy})
    return pd.DataFrame(rows)


def _refuse_another(number: int, faults: FaultMap, memory: Memory) -> None:
    found = {name: (layer.levels, layer.shape) for name, layer in faults.items()}
    if found != memory:
        different = {*found.items()} ^ {*memory.items()}
        name = min(name for name, _ in different)
        raise ValueError(
            f"devices: the map of device {number} does not fit at layer {name}: levels and shape"
            f" {found.get(name)}, expected {memory.get(name)}"
        )


def _stored(model: nn.Module, name: str) -> tuple[Tensor, Tensor]:
    """A layer's level indices, and the value of each level."""
    with in_evaluation(model):
        layer = model.get_submodule(name)
        weight, quantizer = quantizer_input(layer), quantizer_of(layer)
        return quantizer.level_indices(weight), quantizer.values(weight)


def _nearest(layer: LayerFaults, indices: Tensor, values: Tensor) -> Tensor:
    """Of each weight the nearest level that it reaches."""
    return layer.reachable.to(values.device).nearest(values[indices], values)
