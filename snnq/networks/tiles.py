"""Batch norm, a spiking neuron and pooling on a CPU: the loops of `kernels` over tiles of neurons."""

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from snnq.networks import kernels
from snnq.networks.kernels import Layer, Neuron
from snnq.networks.memory import Sums, channels_last, empty_pooled
from snnq.system.threads import in_blocks

BLOCK = 2**14  # neurons that a thread takes at a time


def moments(x: Tensor) -> Tensor:
    """[2, C] float64: Σ (x − pivot) and Σ (x − pivot)² of each channel; the pivot is its first input."""
    layer = _layer_of(x)
    arrays = _planes(x, layer), x[0, 0, :, 0, 0].numpy()
    return torch.from_numpy(_sums_over_tiles(kernels.moments, layer, *arrays, layer)[:-1].T)


def forward(x: Tensor, line: Tensor, k: Tensor, neuron: Neuron) -> tuple[Tensor, Tensor]:
    """Pooled spikes and last potentials of neurons with inputs y = line[0] x + line[1] of each
    channel; k = σ(w) of a PLIF, τ of a LIF."""
    layer, out, last = _layer_of(x, neuron), empty_pooled(x, neuron), torch.empty_like(x[0])
    arrays = _planes(x, layer), *line.numpy(), np.float32(k.item()), layer
    outputs = _planes(out, layer), _planes(last[None], layer)[0]
    _over_tiles(kernels.forward, layer, *arrays, *outputs)
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
    """∂loss/∂x, of `grad` = ∂loss/∂(pooled spikes) and `by_last` = ∂loss/∂(last potentials), and
    the sums that other gradients come from.

    With `gains`, which come from the sums, ∂loss/∂x = gains[0] ∂loss/∂y + gains[1] x + gains[2].
    """
    layer, by_x = _layer_of(x, neuron), torch.empty_like(x)
    by_last = torch.zeros_like(x[0]) if by_last is None else by_last
    inputs, by_y = _planes(x, layer), _planes(by_x, layer)
    arrays = inputs, _planes(grad, layer), _planes(by_last[None], layer)[0], *line.numpy()
    constants = mean.numpy(), np.float32(k.item()), neuron.alpha, layer
    found = _sums_over_tiles(kernels.backward, layer, *arrays, *constants, by_y)
    by_channel, by_k = torch.from_numpy(found[:-1].T), torch.tensor(found[-1, 0])
    sums = Sums(*by_channel, by_k)
    if gains is not None:
        combined = gains(sums, line[0]).numpy()
        _over_tiles(kernels.combine, layer, by_y, inputs, combined, layer)
    return by_x, sums


def _layer_of(x: Tensor, neuron: Neuron | None = None) -> Layer:
    _, recordings, channels, height, width = x.shape
    planes, step = recordings * channels, 1
    if channels_last(x):
        planes, step, width, channels = recordings, channels, width * channels, 1
    tile = kernels.tile_of(height, width, step)
    kind, pool = (neuron.kind, neuron.pool) if neuron else (kernels.IF, kernels.NONE)
    return Layer(planes, height, width, step, channels, *tile, kind, pool)


def _planes(x: Tensor, layer: Layer) -> np.ndarray:
    """[N_t, planes, places], in the order that they have in memory."""
    step, plane = x[0].numel(), x[0].numel() // layer.planes
    return x.detach().as_strided((len(x), layer.planes, plane), (step, plane, 1)).numpy()


def _tiles_at_once(layer: Layer) -> int:
    return max(1, BLOCK // (layer.rows * layer.columns))


def _over_tiles(kernel, layer: Layer, *arguments) -> None:
    block = _tiles_at_once(layer)
    in_blocks(lambda first, stop: kernel(*arguments, first, stop), layer.tiles, block)


def _sums_over_tiles(kernel, layer: Layer, *arguments) -> np.ndarray:
    """[C + 1, 2]. Added up block by block, whatever the number of threads."""
    block = _tiles_at_once(layer)
    channels = layer.channel_planes * layer.step
    sums = np.zeros((math.ceil(layer.tiles / block), channels + 1, 2))

    def part(first: int, stop: int) -> None:
        kernel(*arguments, sums[first // block], first, stop)

    in_blocks(part, layer.tiles, block)
    return sums.sum(0)
