"""What is inside a packed network's file, whichever network it is of."""

import json
import math
from collections import Counter
from pathlib import Path

import pandas as pd

from snnq.storage.content import Content, naming, read
from snnq.storage.footprint import FLOAT_BYTES, kind_of
from snnq.storage.format import joined, with_norms_apart

ALIGNMENT = 8  # of what follows a safetensors header, whose length is a number of as many bytes


def contents(path: str | Path) -> pd.DataFrame:
    """A row per layer of a packed file.

    Returns
    -------
    pandas.DataFrame
        layer; kind (of layers; empty where the file has no architecture); shape (of its weight);
        levels (how many its weights have; None in full precision); numbers; bytes (in the file,
        without its header); bytes_float32; times (how many times smaller it is).

    Raises
    ------
    ValueError, OSError
        As `snnq.unpack`, but any network's file is read.
    """
    with naming(Path(path)):
        content, network = read(Path(path))
    shapes, modules = _shapes(content), dict(network.named_modules()) if network else {}
    numbers, stored = Counter(), Counter()
    for name, shape in shapes.items():
        numbers[_layer_of(name)] += math.prod(shape)
    for name, tensor in content.tensors.items():
        stored[_layer_of(name)] += tensor.nbytes
    rows = [
        {
            "layer": layer,
            "kind": kind_of(modules[layer]) if layer in modules else "",
            "shape": "×".join(map(str, shapes.get(joined(layer, "weight"), ()))),
            "levels": len(content.quantized[layer][0]) if layer in content.quantized else None,
            "numbers": numbers[layer],
            "bytes": stored[layer],
            "bytes_float32": FLOAT_BYTES * numbers[layer],
            "times": FLOAT_BYTES * numbers[layer] / max(stored[layer], 1),
        }
        for layer in sorted(numbers, key=_in_order)
    ]
    return pd.DataFrame(rows)


def float32_file_bytes(path: str | Path) -> int:
    """Size of the safetensors file of what a packed file holds, all of it in float32, unpacked."""
    with naming(Path(path)):
        content, _ = read(Path(path))
    header, end = {}, 0
    for name, shape in sorted(_shapes(content).items()):
        start, end = end, end + FLOAT_BYTES * math.prod(shape)
        header[name] = {"dtype": "F32", "shape": [*shape], "data_offsets": [start, end]}
    text = len(json.dumps(header, separators=(",", ":")))
    return ALIGNMENT + math.ceil(text / ALIGNMENT) * ALIGNMENT + end


def _shapes(content: Content) -> dict[str, tuple[int, ...]]:
    """Of the network's tensors, by its own names."""
    tensors = with_norms_apart(content.tensors) if content.stacked else content.tensors
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    for layer, (_, shape) in content.quantized.items():
        shapes[joined(layer, "weight")] = shape
        del shapes[joined(layer, "values")]
    return shapes


def _layer_of(name: str) -> str:
    return name.rpartition(".")[0]


def _in_order(layer: str) -> list[str]:
    """So that the tenth layer comes after the ninth."""
    return [part.zfill(9) if part.isdigit() else part for part in layer.split(".")]
