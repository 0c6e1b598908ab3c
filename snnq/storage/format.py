"""What a packed network's file holds, and whether a file from elsewhere holds it.

It is a safetensors file with, by the names of the network's own state,

    <layer>.weight   uint8 [bytes]     a quantized layer's level indices, packed as in `snnq.storage.bits`
    <layer>.values   float32 [levels]  the value of each of its levels, α·level
    <layer>.norm     float32 [4, C]    a batch norm's weight, bias, running mean and variance
    all else         float32           weights in full precision, PLIF's w

and, as JSON under the key "snnq" of its metadata: "version"; "architecture", the arguments of
`snnq.build_model`; "layers", the "levels" and the "shape" of each quantized layer's weight; and
"source", what whoever packed it says about where the network is from, or null.

Every function here raises ValueError where something is not as expected.
"""

import json
import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from snnq.networks.models import SpikingNetwork, build_model
from snnq.quantization.layers import QUANTIZED_LAYERS
from snnq.quantization.levels import resolve_levels
from snnq.quantization.place import quantizer_of
from snnq.storage.bits import weight_bytes
from snnq.system.files import first_line

FORMAT, VERSION = "snnq", 1
BATCHES = "num_batches_tracked"  # of batch norm's state, for training alone
ALIGNMENT = 8  # of what follows a safetensors header, whose length is a number of as many bytes
FLOAT_BYTES = 4
NORM = ("weight", "bias", "running_mean", "running_var")  # of its state, for evaluation

Kind = tuple[str, list[int]]  # of a tensor: its type, as safetensors calls it, and its shape
Levels = tuple[float, ...]


def as_metadata(architecture: dict, layers: dict, source: Any) -> dict[str, str]:
    """Under a single key, since safetensors writes several in any order."""
    description = {
        "version": VERSION,
        "architecture": architecture,
        "layers": layers,
        "source": source,
    }
    try:
        return {FORMAT: json.dumps(description, separators=(",", ":"))}
    except TypeError as error:
        raise ValueError(f"source={source!r}: expected what JSON can hold ({error})") from None


def from_metadata(metadata: dict[str, str] | None) -> tuple[dict, dict, Any]:
    """The architecture, layers and source that `as_metadata` wrote, none of them checked yet."""
    text = (metadata or {}).get(FORMAT)
    if text is None:
        raise ValueError(f"no packed network (its metadata has no {FORMAT!r})")
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"its description is no JSON ({first_line(error)})") from None
    version = found.get("version") if isinstance(found, dict) else None
    if version != VERSION:
        raise ValueError(f"version {version!r} of the format, expected {VERSION}")
    for name in ("architecture", "layers"):
        if not isinstance(found.get(name), dict):
            raise ValueError(f"{name}={found.get(name)!r}: expected a JSON object")
    return found["architecture"], found["layers"], found.get("source")


def network_without_numbers(architecture: dict) -> SpikingNetwork:
    """`build_model` on torch's meta device: its tensors have shapes and take no memory."""
    for name in ("channels", "size"):
        value = architecture.get(name)
        if value is not None and (type(value) is not int or value < 1):
            raise ValueError(f"{name}={value!r}: expected a whole number of at least 1")
    try:
        with torch.device("meta"):
            return build_model(**architecture)
    except (TypeError, RuntimeError, OverflowError) as error:
        raise ValueError(f"architecture={architecture}: {first_line(error)}") from None


def plain_state(model: nn.Module) -> dict[str, Tensor]:
    """The state that evaluation needs; of quantized weights nothing.

    What another parametrization makes of a tensor, weight norm say, takes the tensor's place.
    """
    state = {
        name: tensor
        for name, tensor in model.state_dict().items()
        if ".parametrizations." not in name and not name.endswith(f".{BATCHES}")
    }
    for layer, module in model.named_modules():
        for name in module.parametrizations if parametrize.is_parametrized(module) else ():
            if name != "weight" or quantizer_of(module) is None:
                state[f"{layer}.{name}"] = getattr(module, name).detach()
    return state


def float32_file_bytes(architecture: dict) -> int:
    """Size of the safetensors file of what evaluation needs of a network, all of it in float32.

    Parameters
    ----------
    architecture : dict
        The arguments of `snnq.build_model`. Nothing is allocated.
    """
    header, end = {}, 0
    for name, tensor in sorted(plain_state(network_without_numbers(architecture)).items()):
        start, end = end, end + FLOAT_BYTES * tensor.numel()
        header[name] = {"dtype": "F32", "shape": [*tensor.shape], "data_offsets": [start, end]}
    text = len(json.dumps(header, separators=(",", ":")))
    return ALIGNMENT + math.ceil(text / ALIGNMENT) * ALIGNMENT + end


def stored_state(model: nn.Module) -> dict[str, Tensor]:
    """`plain_state` as the file holds it: one tensor for each batch norm, since a tensor's entry in
    the header takes 80 bytes."""
    state = plain_state(model)
    for layer, _ in model.named_modules():
        names = [f"{layer}.{part}" for part in NORM]
        if state.keys() >= set(names):
            state[f"{layer}.norm"] = torch.stack([state.pop(name) for name in names])
    return state


def restored_state(stored: dict[str, Tensor]) -> dict[str, Tensor]:
    """A network's state from what `stored_state` made of it, training's part of it at its start."""
    state = {}
    for name, tensor in stored.items():
        layer, _, kind = name.rpartition(".")
        if kind == "norm":
            state |= {f"{layer}.{part}": row.clone() for part, row in zip(NORM, tensor)}
            state[f"{layer}.{BATCHES}"] = torch.tensor(0)
        else:
            state[name] = tensor
    return state


def levels_of(layers: dict, model: nn.Module) -> dict[str, Levels]:
    """The levels of each quantized layer, from the file's "layers"."""
    known = {n: m.weight for n, m in model.named_modules() if isinstance(m, QUANTIZED_LAYERS)}
    found = {}
    for name, layer in layers.items():
        if name not in known:
            raise ValueError(f"layer {name!r}: expected one of {', '.join(known)}")
        if not isinstance(layer, dict) or layer.keys() != {"levels", "shape"}:
            raise ValueError(f"{name}: {layer!r}, expected its levels and its shape")
        if layer["shape"] != list(known[name].shape):
            raise ValueError(
                f"{name}: shape {layer['shape']!r}, expected {list(known[name].shape)}"
            )
        levels = layer["levels"]
        if not isinstance(levels, list) or not all(type(level) is float for level in levels):
            raise ValueError(f"{name}: levels={levels!r}, expected a list of floats")
        found[name] = resolve_levels(levels)
    return found


def expected_tensors(model: nn.Module, levels: dict[str, Levels]) -> dict[str, Kind]:
    """What a file of a network without numbers holds, with such levels."""
    expected = {name: ("F32", list(tensor.shape)) for name, tensor in stored_state(model).items()}
    for name, of_layer in levels.items():
        weights = model.get_submodule(name).weight.numel()
        expected[f"{name}.weight"] = ("U8", [weight_bytes(weights, len(of_layer))])
        expected[f"{name}.values"] = ("F32", [len(of_layer)])
    return expected


def refuse_unless_equal(found: dict[str, Kind], expected: dict[str, Kind]) -> None:
    """Names the first tensor that is missing, that has no place, or that has another form."""
    for name in sorted(found.keys() | expected.keys()):
        if found.get(name) != expected.get(name):
            here, there = (
                f"{kinds[name][0]} {kinds[name][1]}" if name in kinds else "no such tensor"
                for kinds in (found, expected)
            )
            raise ValueError(f"{name!r}: {here}, expected {there}")
