"""What a packed network's file holds, and whether a file from elsewhere holds it.

It is a safetensors file with, by the names of the network's own state,

    <layer>.weight   uint8 [bytes]     a quantized layer's level indices, packed as in `snnq.storage.bits`
    <layer>.values   [levels]          the value of each of its levels, α·level, in the weight's type
    <layer>.norm     float32 [4, C]    a batch norm's weight, bias, running mean and variance
    all else         any type          as evaluation uses it: weights in full precision, PLIF's w

and, as JSON under the key "snnq" of its metadata: "version"; "architecture", the arguments of
`snnq.build_model`, or null for any other network; "layers", the "levels" and the "shape" of each
quantized layer's weight; and "source", what whoever packed it says about where the network is from,
or null. Without an architecture, "class" says for people which class the network was of, and batch
norms are stored as everything else is.

Every function here raises ValueError where something is not as expected.
"""

import json
import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from snnq.networks.models import SpikingNetwork, build_model
from snnq.quantization.evaluated import evaluated_state
from snnq.quantization.levels import resolve_levels
from snnq.storage.bits import weight_bytes
from snnq.system.files import first_line

FORMAT, VERSION = "snnq", 1
STACKED = "norm"  # of a batch norm, the four of
NORM = ("weight", "bias", "running_mean", "running_var")  # of its state, for evaluation
TYPES = {  # as safetensors calls them
    **{f"F{8 * t.itemsize}": t for t in (torch.float64, torch.float32, torch.float16)},
    **{f"I{8 * t.itemsize}": t for t in (torch.int64, torch.int32, torch.int16, torch.int8)},
    **{f"U{8 * t.itemsize}": t for t in (torch.uint64, torch.uint32, torch.uint16, torch.uint8)},
    **{"BF16": torch.bfloat16, "BOOL": torch.bool, "C64": torch.complex64},
    **{"F8_E4M3": torch.float8_e4m3fn, "F8_E5M2": torch.float8_e5m2},
}
NAMES = {kind: name for name, kind in TYPES.items()}
QUANTIZED_TYPES = ("F64", "F32", "F16", "BF16")

Kind = tuple[str, list[int]]  # of a tensor: its type, as safetensors calls it, and its shape
Levels = tuple[float, ...]
Shape = tuple[int, ...]


def as_metadata(
    architecture: dict | None, layers: dict, source: Any, model: type
) -> dict[str, str]:
    """Under a single key, since safetensors writes several in any order."""
    description = {"version": VERSION, "architecture": architecture}
    if architecture is None:
        description["class"] = f"{model.__module__}.{model.__qualname__}"
    description |= {"layers": layers, "source": source}
    try:
        return {FORMAT: json.dumps(description, separators=(",", ":"))}
    except TypeError as error:
        raise ValueError(f"source={source!r}: expected what JSON can hold ({error})") from None


def from_metadata(metadata: dict[str, str] | None) -> dict[str, Any]:
    """What `as_metadata` wrote: its "architecture" is a dict or None, its "layers" are a dict."""
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
    for name, kinds in (("architecture", (dict, type(None))), ("layers", dict)):
        if not isinstance(found.get(name, ""), kinds):
            raise ValueError(f"{name}={found.get(name)!r}: expected a JSON object")
    return found


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


def joined(layer: str, name: str) -> str:
    """The name of a layer's tensor, of the whole network's where that is the layer."""
    return f"{layer}.{name}" if layer else name


def with_norms_stacked(state: Mapping[str, Any], stacked: Callable[[list], Any]) -> dict[str, Any]:
    """One tensor for each batch norm, since a tensor's entry in the header takes 80 bytes."""
    state = dict(state)
    for layer in {name.rpartition(".")[0] for name in state}:
        names = [joined(layer, part) for part in NORM]
        if state.keys() >= set(names):
            state[joined(layer, STACKED)] = stacked([state.pop(name) for name in names])
    return state


def with_norms_apart(stored: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A network's state from what `with_norms_stacked` made of it."""
    state = {}
    for name, tensor in stored.items():
        layer, _, last = name.rpartition(".")
        if last == STACKED:
            state |= {joined(layer, part): row.clone() for part, row in zip(NORM, tensor)}
        else:
            state[name] = tensor
    return state


def levels_of(layers: dict) -> dict[str, tuple[Levels, Shape]]:
    """The levels of each quantized layer, and the shape of its weight, from the file's "layers"."""
    found = {}
    for name, layer in layers.items():
        if not isinstance(layer, dict) or layer.keys() != {"levels", "shape"}:
            raise ValueError(f"{name}: {layer!r}, expected its levels and its shape")
        levels, shape = layer["levels"], layer["shape"]
        if not isinstance(shape, list) or not all(type(n) is int and 0 < n < 2**31 for n in shape):
            raise ValueError(f"{name}: shape {shape!r}, expected a list of whole numbers")
        if not isinstance(levels, list) or not all(type(level) is float for level in levels):
            raise ValueError(f"{name}: levels={levels!r}, expected a list of floats")
        found[name] = resolve_levels(levels), tuple(shape)
    return found


def packed_kinds(layer: str, levels: Levels, shape: Shape, kind: str) -> dict[str, Kind]:
    """What a file holds of a quantized layer, whose weight is of such a type."""
    weights = weight_bytes(math.prod(shape), len(levels))
    return {
        joined(layer, "weight"): ("U8", [weights]),
        joined(layer, "values"): (kind, [len(levels)]),
    }


def expected_kinds(
    model: nn.Module, quantized: dict[str, tuple[Levels, Shape]], stacked: bool
) -> dict[str, Kind]:
    """What a file holds of a network with such quantized layers, whether its own are or not."""
    kinds = {name: _kind_of(name, tensor) for name, tensor in evaluated_state(model).items()}
    expected = dict(kinds)
    for layer, (levels, shape) in quantized.items():
        kind, there = kinds.get(joined(layer, "weight"), (None, None))
        if kind not in QUANTIZED_TYPES:
            known = [name.removesuffix(".weight") for name in kinds if name.endswith(".weight")]
            raise ValueError(f"layer {layer!r}: expected one of {', '.join(known)}")
        if list(shape) != there:
            raise ValueError(f"{layer}: shape {list(shape)}, expected {there}")
        expected |= packed_kinds(layer, levels, shape, kind)
    if stacked:
        expected = with_norms_stacked(expected, lambda rows: (rows[0][0], [len(rows), *rows[0][1]]))
    return expected


def _kind_of(name: str, tensor: Tensor) -> Kind:
    if tensor.dtype not in NAMES or tensor.layout is not torch.strided:
        raise ValueError(f"{name}: {tensor.dtype}, {tensor.layout}: expected one of {[*TYPES]}")
    return NAMES[tensor.dtype], list(tensor.shape)


def refuse_unless_equal(found: dict[str, Kind], expected: dict[str, Kind]) -> None:
    """Names the first tensor that is missing, that has no place, or that has another form."""
    for name in sorted(found.keys() | expected.keys()):
        if found.get(name) != expected.get(name):
            here, there = (
                f"{kinds[name][0]} {kinds[name][1]}" if name in kinds else "no such tensor"
                for kinds in (found, expected)
            )
            raise ValueError(f"{name!r}: {here}, expected {there}")
