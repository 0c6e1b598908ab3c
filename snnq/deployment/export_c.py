"""A trained network as plain C, and recordings as the file that the C program reads.

`net.h` holds the layers with their weights at their real width, `net.c` runs them event by event,
without dependencies: `gcc -std=c99 -O3 net.c -o net`.
"""

import math
import re
import struct
from collections.abc import Iterable, Sequence
from importlib import resources
from pathlib import Path

import numpy as np
from torch import Tensor, nn

from snnq.deployment.stage import Stage
from snnq.deployment.stages import stages_of
from snnq.system.files import write_atomically

MAGIC, VERSION = b"SNNF", 1  # of a file of frames
WORD = 64  # bits
PER_LINE = 8  # numbers in the header


def export_c(
    model: nn.Module, folder: str | Path, *, input_shape: Sequence[int] | None = None
) -> None:
    """Write `net.h` and `net.c`, which do what a network does in evaluation.

    Parameters
    ----------
    model : nn.Module
        Any network that runs one layer after another, quantized or not; see `stages_of` for the
        layers that C computes.
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
    stages = stages_of(model, input_shape)
    source = resources.files("snnq.deployment") / "c"
    header = [(source / "net.h").read_text(), _sizes(stages)]
    header += [array for stage in stages for array in _arrays(stage)]
    header.append(_table(stages))
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


def _arrays(stage: Stage) -> list[str]:
    arrays = [_floats(stage, "scale", stage.scale), _floats(stage, "shift", stage.shift)]
    if not len(stage.units):
        return [*arrays, _floats(stage, "weights", stage.rows)]
    words = (f"0x{word:x}" for word in _packed(stage).flat)
    arrays.append(_floats(stage, "units", stage.units))
    return [*arrays, _array("uint64_t", _identifier(stage, "packed"), words)]


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


def _floats(stage: Stage, name: str, values: np.ndarray) -> str:
    if not np.isfinite(values).all():
        raise ValueError(f"{stage.name}: its {name} are not all finite")
    # Nine digits tell all float32 apart.
    return _array("float", _identifier(stage, name), (f"{x:.8e}f" for x in values.flat))


def _array(kind: str, name: str, values: Iterable[str]) -> str:
    numbers = list(values)
    lines = (
        ", ".join(numbers[i : i + PER_LINE]) + "," for i in range(0, len(numbers), PER_LINE)
    )
    return f"static const {kind} {name}[] = {{\n" + "\n".join(lines) + "\n};\n"


def _identifier(stage: Stage, name: str) -> str:
    text = re.sub(r"\W", "_", f"{stage.name}_{name}", flags=re.ASCII)
    return text if text.isidentifier() else f"layer_{text}"


def _table(stages: list[Stage]) -> str:
    entries = ",\n".join(map(_entry, stages))
    return f"static const struct layer layers[LAYERS] = {{\n{entries}\n}};\n"


def _entry(stage: Stage) -> str:
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
        "base": f"{stage.base:.8e}f",
        "scale": _identifier(stage, "scale"),
        "shift": _identifier(stage, "shift"),
        "gain": f"{stage.gain:.8e}f",
        "leak": f"{stage.leak:.8e}f",
        "threshold": "INFINITY" if math.isinf(stage.threshold) else f"{stage.threshold:.8e}f",
        "soft": int(stage.soft),
        "pool_adds": int(stage.pool_adds),
    }
    names = ("units", "packed") if len(stage.units) else ("weights",)
    fields |= {name: _identifier(stage, name) for name in names}
    return "    {" + ", ".join(f".{name} = {value}" for name, value in fields.items()) + "}"
