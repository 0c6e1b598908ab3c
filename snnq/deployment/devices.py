"""Accuracy of a network on devices whose memories have faults of their own."""

from collections.abc import Iterable

import pandas as pd
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from snnq.quantization.evaluated import evaluated_copy
from snnq.quantization.layers import in_evaluation
from snnq.quantization.network import quantizers
from snnq.quantization.place import quantizer_input
from snnq.storage.bits import pack_levels
from snnq.storage.faults import FaultMap, Memory, memory_of
from snnq.storage.fill import put_packed
from snnq.training.evaluation import evaluate

Stored = dict[str, tuple[Tensor, Tensor]]  # level indices, and the value of each level, by layer


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
        _refuse_another(f"devices: the map of device {number}", faults, memory)
    stored, rows = _stored(model), []
    for number, faults in enumerate(devices):
        read = _read(stored, faults, known)
        changed = sum((read[name] != indices).sum().item() for name, (indices, _) in stored.items())
        stuck = sum(layer.stuck for layer in faults.values())
        accuracy, _ = evaluate(_with_levels(model, faults, read, stored), data)
        rows.append({"device": number, "stuck": stuck, "changed": changed, "accuracy": accuracy})
    return pd.DataFrame(rows)


@torch.no_grad()
def on_device(model: nn.Module, faults: FaultMap, known: bool = False) -> nn.Module:
    """A copy of a network with the weights that are read from a device's memory, in evaluation.

    Any tool takes it: its quantized weights are at the levels that are read, packed as after `unpack`;
    where values are off, with `variability`, they are plain float32.

    Parameters
    ----------
    model : nn.Module
        Quantized, trained or unpacked; it is left as it is.
    faults, known
        As in `accuracy_on_devices`.

    Raises
    ------
    ValueError
        A fault map of other layers, levels or shapes than the network's.
    """
    _refuse_another("faults: the map", faults, memory_of(model))
    stored = _stored(model)
    return _with_levels(model, faults, _read(stored, faults, known), stored)


def _with_levels(
    model: nn.Module, faults: FaultMap, read: dict[str, Tensor], stored: Stored
) -> nn.Module:
    faulty = evaluated_copy(model)
    for name, indices in read.items():
        layer, of, (_, values) = faults[name], faulty.get_submodule(name), stored[name]
        if layer.error is None:
            packed = pack_levels(indices, len(values))
            put_packed(of, packed, values, layer.levels, layer.shape)
        else:
            of.weight.copy_(values[indices] * (1 + layer.error.to(values)))
    return faulty


def _refuse_another(which: str, faults: FaultMap, memory: Memory) -> None:
    found = {name: (layer.levels, layer.shape) for name, layer in faults.items()}
    if found != memory:
        different = {*found.items()} ^ {*memory.items()}
        name = min(name for name, _ in different)
        raise ValueError(
            f"{which} does not fit at layer {name}: levels and shape {found.get(name)}, expected"
            f" {memory.get(name)}"
        )


def _stored(model: nn.Module) -> Stored:
    """Of each quantized layer the level indices, and the value of each level."""
    found = {}
    with in_evaluation(model):
        for name, quantizer in quantizers(model).items():
            weight = quantizer_input(model.get_submodule(name))
            found[name] = quantizer.level_indices(weight), quantizer.values(weight)
    return found


def _read(stored: Stored, faults: FaultMap, known: bool) -> dict[str, Tensor]:
    """The level indices that are read; of whoever knows the faults the nearest that can be."""
    found = {}
    for name, (indices, values) in stored.items():
        layer = faults[name].to(values.device)
        if known:
            found[name] = layer.reachable.to(values.device).nearest(values[indices], values)
        else:
            found[name] = layer.misread(indices)
    return found
