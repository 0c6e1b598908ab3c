"""What every neuron of a network in Verilog does in every time step, as its test bench prints it."""

import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from snnq.deployment.export_c import write_frames
from snnq.deployment.fpga_layer import Layer

Integers = NDArray[np.int64]


def trace(
    layers: Sequence[Layer], folder: str | Path, frames: np.ndarray, *options: str
) -> tuple[list[int], list[tuple[Integers, Integers]]]:
    """Run a test bench that was built (`make bench`) on recordings.

    Parameters
    ----------
    layers : sequence of Layer
        See `layers_of`, with the options that the folder was written with.
    folder : path
        Of `export_fpga`; `frames.bin` is written there.
    frames : uint8 array or Tensor [recordings, N_t, C, H, W]
    options : str
        Of the test bench, such as "+gaps=1".

    Returns
    -------
    classes : list of int
    traces : list of (spikes, potentials)
        Of each layer, [recordings, N_t, H, W, channels]; potentials after the step. Neurons outside
        whole windows of a pooling are not there.

    Raises
    ------
    subprocess.CalledProcessError
        The test bench fails.
    """
    write_frames(Path(folder) / "frames.bin", frames)
    command = ["./bench", "+trace", *options, "frames.bin"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    lines = [line.split() for line in done.stdout.splitlines()]
    classes = [int(line[0]) for line in lines if not line[0].startswith("layer")]
    found = [np.array([line[1:] for line in lines if line[0] == of.name]) for of in layers]
    return classes, [_of_layer(of, words, frames.shape[:2]) for of, words in zip(layers, found)]


def _of_layer(of: Layer, words: np.ndarray, shape: tuple[int, int]) -> tuple[Integers, Integers]:
    """From rows of place, potentials and spikes of a word, the last two in hexadecimal."""
    order = words[:, 0].astype(int).reshape(np.prod(shape), -1).argsort(1)[..., None]
    there = np.array([channel is not None for word in of.neurons for channel in word])
    bits = of.stage.membrane_bits

    def lanes(column: int, width: int) -> Integers:
        digits = np.array([_lanes(int(word, 16), of.lanes, width) for word in words[:, column]])
        in_order = np.take_along_axis(digits.reshape(*order.shape[:2], of.lanes), order, 1)
        return in_order.reshape(*shape, *of.sides, -1)[..., there]

    potentials = lanes(1, bits)
    return lanes(2, 1), potentials - (potentials >> (bits - 1) << bits)


def _lanes(word: int, lanes: int, width: int) -> list[int]:
    return [word >> (width * i) & ((1 << width) - 1) for i in range(lanes)]
