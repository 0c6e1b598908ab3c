"""Batch norm, a spiking neuron and pooling on a GPU: the operation of `tiles`, by `gpu_kernels`.

Forward: one pass over the inputs for the moments, and one that takes each neuron through all time
steps and writes pooled spikes. Backward: potentials, and the gradients from them, are computed
twice, first for the sums, then for ∂loss/∂x; to write ∂loss/∂y and read it again would take longer.

Nothing waits for the host. Sums are added up program by program and then over the programs, in an
order that is the same every time. Imported where a network on such a device asks for it.
"""

from collections.abc import Callable

import torch
import triton
from torch import Tensor

from snnq.networks import gpu_kernels
from snnq.networks.kernels import Neuron
from snnq.networks.memory import Sums, channels_last, empty_pooled

TILE = 128  # windows times channels: one for each thread of a program
TILES = 4  # of a program that adds up
MOST_STEPS = 32  # whose potentials a thread can keep
MOST_NEURONS = 2**31 - 2**16  # which 32 bits count, and those of a last tile beyond the end
REGISTERS = 128  # of a thread, so that a multiprocessor has 16 warps


def takes(x: Tensor) -> bool:
    """Whether the kernels are made for such inputs; they were never tried on an AMD GPU."""
    small = len(x) <= MOST_STEPS and x[0].numel() <= MOST_NEURONS
    return small and torch.version.hip is None


def moments(x: Tensor) -> Tensor:
    """As `tiles.moments`."""
    grid = _grid(x, 1, 4 * TILES)
    sums = x.new_empty(2, x.shape[2], grid[0])
    with torch.cuda.device_of(x):
        gpu_kernels.moments[grid](x, sums, *_sizes(x), STEPS=len(x), TILES=4 * TILES, **_tile(x))
    return sums.sum(-1, dtype=torch.float64)


def forward(x: Tensor, line: Tensor, k: Tensor, neuron: Neuron) -> tuple[Tensor, Tensor]:
    """As `tiles.forward`."""
    out, last = empty_pooled(x, neuron), torch.empty_like(x[0])
    sizes = *_sizes(x), out[0].numel()
    with torch.cuda.device_of(x):
        gpu_kernels.forward[_grid(x, neuron.window, 1)](
            x, line, k, out, last, *sizes, **_constants(x, neuron), **_tile(x)
        )
    return out, last


def backward(
    x: Tensor,
    grad: Tensor,
    by_last: Tensor | None,
    line: Tensor,
    mean: Tensor,
    k: Tensor,
    neuron: Neuron,
    gains: Callable[[Sums, Tensor], Tensor] | None,
) -> tuple[Tensor, Sums]:
    """As `tiles.backward`."""
    inputs, sizes = (x, grad, by_last, line, mean, k), (*_sizes(x), grad[0].numel())

    def run(gains: Tensor | None, by_x: Tensor | None, sums: Tensor | None, tiles: int) -> None:
        with torch.cuda.device_of(x):
            gpu_kernels.backward[_grid(x, neuron.window, tiles)](
                *inputs, gains, by_x, sums, *sizes, neuron.alpha, TILES=tiles,
                **_constants(x, neuron), **_tile(x), maxnreg=REGISTERS,
            )  # fmt: skip

    by_x = torch.empty_like(x)
    parts = x.new_empty(3, x.shape[2], _grid(x, neuron.window, TILES)[0])
    run(None, by_x if gains is None else None, parts, TILES)
    by_y, by_y_x, by_k = parts.sum(-1, dtype=torch.float64)
    sums = Sums(by_y, by_y_x, by_k.sum())
    if gains is not None:
        run(gains(sums, line[0]), by_x, None, 1)
    return by_x, sums


def _sizes(x: Tensor) -> tuple[int, ...]:
    """N, C, H, W, and the inputs of a time step."""
    return *x.shape[1:], x[0].numel()


def _grid(x: Tensor, window: int, tiles: int) -> tuple[int, int]:
    """Programs, of so many tiles each, over the windows and over the channels."""
    _, recordings, channels, height, width = x.shape
    windows = recordings * triton.cdiv(height, window) * triton.cdiv(width, window)
    tile = _tile(x)
    return triton.cdiv(windows, tile["WINDOWS"] * tiles), triton.cdiv(channels, tile["CHANNELS"])


def _tile(x: Tensor) -> dict[str, int]:
    """How large a tile is: what lies together in memory."""
    last = channels_last(x)
    channels = min(TILE, triton.next_power_of_2(x.shape[2])) if last else 1
    return {"LAST": last, "WINDOWS": TILE // channels, "CHANNELS": channels}


def _constants(x: Tensor, neuron: Neuron) -> dict[str, int]:
    """What a kernel is compiled for. Products are rounded before they are added, as on a CPU, so
    that both directions have the same potentials."""
    constants = {"STEPS": len(x), "KIND": neuron.kind, "POOL": neuron.pool}
    return constants | {"WINDOW": neuron.window, "enable_fp_fusion": False}
