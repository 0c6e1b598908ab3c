"""A trained network as plain C, and recordings as the file that the C program reads.

`net.h` holds the layers with their weights at their real width, `net.c` runs them event by event,
without dependencies: `gcc -std=c99 -O3 net.c -o net`.
"""

import math
import re
import struct
from collections.abc import Iterable, Sequence
from importlib import resources
from itertools import count
from pathlib import Path
from typing import NamedTuple

import numpy as np
from torch import Tensor, nn

from snnq.deployment.integer_network import IntegerNetwork
from snnq.deployment.integer_stage import IntegerStage
from snnq.deployment.stage import Stage
from snnq.deployment.stages import stages_of
from snnq.networks.rounded import membrane_bits_of
from snnq.system.files import write_atomically

MAGIC, VERSION = b"SNNF", 1  # of a file of frames
WORD = 64  # bits
PER_LINE = 8  # numbers in the header
INT8_MAX, INT32_MAX = 2**7 - 1, 2**31 - 1


def export_c(
    model: nn.Module, folder: str | Path, *, input_shape: Sequence[int] | None = None
) -> None:
    """Write `net.h` and `net.c`, which do what a network does in evaluation.

    Parameters
    ----------
    model : nn.Module
        Any network that runs one layer after another, quantized or not; see `stages_of` for the
        layers that C computes. One of `to_integer` is written without any floating-point number.
    folder : path
        Made if it is not there.
    input_shape : sequence of int, optional
        (channels, height, width) of a frame, or (inputs,). Networks of `build_model` know theirs.

    Raises
    ------
    ValueError
        Another network; a layer, or a setting of one, that C does not compute, by its name; no or
        another input shape; or numbers that are not finite.
    OSError
        The files cannot be written.
    """
    if isinstance(model, IntegerNetwork):
        layers, kind = list(map(_of_integers, count(), model.stages)), _weight_kind(model.stages)
    else:
        layers, kind = list(map(_of_floats, count(), stages_of(model, input_shape))), None
        _refuse_rounded(model)
    source = resources.files("snnq.deployment") / "c"
    header = [f"#define INTEGERS {kind}\n"] if kind else []
    header += [(source / "net.h").read_text(), _sizes([layer.stage for layer in layers])]
    header += [array for layer in layers for array in layer.arrays]
    header.append(_table(layers))
    texts = {"net.h": "\n".join(header), "net.c": (source / "net.c").read_text()}
    for name, text in texts.items():
        write_atomically(Path(folder) / name, lambda path: path.write_text(text))


def write_frames(path: str | Path, frames: np.ndarray | Tensor) -> None:
    """Write frames, uint8 [recordings, N_t, C, H, W] or [recordings, N_t, C], as the C program reads
    them.

    "SNNF" and six little-endian 32-bit numbers: version 1, recordings, time steps, channels, H and W
    (1 where there are none). Then the counts, a byte each.

    Raises
    ------
    ValueError
        Another type, another number of axes, or nothing in it.
    """
    frames = np.asarray(frames)
    if frames.dtype != np.uint8 or frames.ndim not in (3, 5) or frames.size == 0:
        raise ValueError(
            f"frames are {frames.dtype} {list(frames.shape)},"
            " expected uint8 [recordings, N_t, C, H, W] or [recordings, N_t, C]"
        )

    def write(partial: Path) -> None:
        with partial.open("wb") as file:
            file.write(struct.pack("<4s6I", MAGIC, VERSION, *(*frames.shape, 1, 1)[:5]))
            for recording in frames:  # of a memory map, one at a time
                file.write(np.ascontiguousarray(recording))

    write_atomically(Path(path), write)


def _sizes(stages: list[Stage]) -> str:
    """The constants that give the C program's buffers their sizes."""
    channels, height, width = stages[0].image
    sizes = {
        "CHANNELS": channels,
        "HEIGHT": height,
        "WIDTH": width,
        "LAYERS": len(stages),
        "SPIKING": int(math.isfinite(stages[-1].threshold)),
        "VOTERS": stages[-1].voters,
        "CLASSES": stages[-1].classes,
        "NEURONS": sum(math.prod(stage.neurons) for stage in stages),
        "ACTIVATIONS": max(math.prod(of) for s in stages for of in (s.image, s.neurons)),
        "PIXELS": max(math.prod(stage.image[1:]) for stage in stages),
        "WORDS": max(_words(stage) for stage in stages),
        "GATHERED": max(
            len(stage.rows) // stage.groups * (stage.most if len(stage.units) else 1)
            for stage in stages
        ),
    }
    lines = ",\n".join(f"    {name} = {size}" for name, size in sizes.items())
    return f"enum {{\n{lines}\n}};\n"


def _words(stage: Stage) -> int:
    return math.ceil(stage.rows.shape[1] / WORD)


def _refuse_rounded(model: nn.Module) -> None:
    bits = membrane_bits_of(model)
    if bits is not None:
        raise ValueError(f"membrane_bits={bits}: C in floating point has none; export to_integer(model)")


class _Layer(NamedTuple):
    """A stage as C has it: arrays, and the entry of the table without what all stages have."""

    stage: Stage
    arrays: list[str]
    fields: dict[str, str | int]


def _of_floats(number: int, stage: Stage) -> _Layer:
    arrays = {"scale": ("float", stage.scale), "shift": ("float", stage.shift)}
    arrays |= _weights_of(stage, "float", "float")
    fields = {
        "base": _float(stage.base),
        "gain": _float(stage.gain),
        "leak": _float(stage.leak),
        "threshold": "INFINITY" if math.isinf(stage.threshold) else _float(stage.threshold),
    }
    return _layer(number, stage, arrays, fields)


def _of_integers(number: int, stage: IntegerStage) -> _Layer:
    neurons = len(stage.shift)
    threshold = np.full(neurons, INT32_MAX) if stage.threshold is None else stage.threshold
    arrays = {
        "shift": ("int8_t", stage.shift),
        "offset": ("int32_t", stage.offset),
        "threshold": ("int32_t", threshold),
        **_weights_of(stage.place, "int32_t", "weight"),
    }
    (leak, leak_bits), base = stage.leak, stage.place.base
    fields = {"base": base, "leak": leak, "leak_bits": leak_bits}
    fields |= {"least": stage.least, "most": stage.most}
    return _layer(number, stage.place, arrays, fields)


def _weight_kind(stages: list[IntegerStage]) -> str:
    """The type of the weights that are not packed."""
    rows = [stage.place.rows for stage in stages if not len(stage.place.units)]
    return "int8_t" if all(np.abs(row).max() <= INT8_MAX for row in rows) else "int16_t"


def _weights_of(stage: Stage, number: str, weight: str) -> dict[str, tuple[str, np.ndarray]]:
    if not len(stage.units):
        return {"weights": (weight, stage.rows)}
    return {"units": (number, stage.units), "packed": ("uint64_t", _packed(stage))}


def _layer(number: int, stage: Stage, arrays: dict, fields: dict) -> _Layer:
    # The number tells layers apart whose names are the same but for what C does not have in names.
    of_layer = re.sub(r"\W", "_", f"layer_{number}_{stage.name}", flags=re.ASCII)
    names = {name: f"{of_layer}_{name}" for name in arrays}
    texts = [
        _array(kind, names[name], _literals(stage, name, kind, values))
        for name, (kind, values) in arrays.items()
    ]
    return _Layer(stage, texts, fields | names)


def _literals(stage: Stage, name: str, kind: str, values: np.ndarray) -> Iterable[str]:
    if not np.isfinite(values).all():
        raise ValueError(f"{stage.name}: its {name} are not all finite")
    write = {"float": _float, "uint64_t": hex}.get(kind, str)
    return map(write, values.ravel().tolist())


def _float(x: float) -> str:
    return f"{x:.8e}f"  # nine digits tell all float32 apart


def _packed(stage: Stage) -> np.ndarray:
    """The rows' bits, and a row of zeros: uint64 [inputs + 1, planes, words]."""
    inputs, neurons = stage.rows.shape
    planes, words = len(stage.units), _words(stage)
    packed = np.zeros((inputs + 1, planes, words), "<u8")
    for plane in range(planes):
        bits = np.zeros((inputs, WORD * words), bool)
        bits[:, :neurons] = stage.bits[:, plane][stage.rows]
        packed[:-1, plane] = np.packbits(bits, axis=1, bitorder="little").view("<u8")
    return packed


def _array(kind: str, name: str, values: Iterable[str]) -> str:
    numbers = list(values)
    lines = (
        ", ".join(numbers[i : i + PER_LINE]) + "," for i in range(0, len(numbers), PER_LINE)
    )
    return f"static const {kind} {name}[] = {{\n" + "\n".join(lines) + "\n};\n"


def _table(layers: list[_Layer]) -> str:
    entries = ",\n".join(map(_entry, layers))
    return f"static const struct layer layers[LAYERS] = {{\n{entries}\n}};\n"


def _entry(layer: _Layer) -> str:
    stage = layer.stage
    pairs = {
        "input": stage.image[1:],
        "output": stage.neurons[1:],
        "kernel": stage.kernel,
        "stride": stage.stride,
        "padding": stage.padding,
        "pool": stage.pool,
    }
    fields = {name: f"{{{y}, {x}}}" for name, (y, x) in pairs.items()}
    fields |= {
        "groups": stage.groups,
        "channels": stage.image[0] // stage.groups,
        "neurons": stage.rows.shape[1],
        "planes": len(stage.units),
        "words": _words(stage),
        "row": len(stage.units) * _words(stage) or stage.rows.shape[1],
        "soft": int(stage.soft),
        "pool_adds": int(stage.pool_adds),
    }
    fields |= layer.fields
    return "    {" + ", ".join(f".{name} = {value}" for name, value in fields.items()) + "}"
