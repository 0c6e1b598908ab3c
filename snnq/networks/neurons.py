"""Batch norm, a spiking neuron and pooling as one operation on the CPU, with its gradients.

y = γ (x − μ)/√(σ² + ε) + β,   h_t = v_{t−1} + k (y_t − v_{t−1}),   s_t = [h_t ≥ 1],
v_t = h_t (1 − s_t),   and the maximum or mean of s_t over windows of 2 × 2 pixels

with μ and σ² over time steps, recordings and pixels (Ioffe and Szegedy, ICML 2015; Fang et al.,
ICCV 2021, eq. 4 and 10). As tensor operations these are dozens of passes over memory; here it is
two over the layer's inputs, and six for the gradient. Kept is x alone: the membrane potentials are
computed again.
"""

import math
from typing import NamedTuple, Self

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from snnq.networks import kernels
from snnq.networks.kernels import Layer
from snnq.system.threads import in_blocks

BLOCK = 2**14  # neurons that a thread takes at a time


class Neuron(NamedTuple):
    """A neuron and the pooling behind it: constants of `kernels`, τ of a LIF, α of the ATan
    surrogate."""

    kind: int
    tau: float
    alpha: float
    pool: int


def spikes_of(
    x: Tensor, norm: nn.BatchNorm2d | None, w: Tensor | None, neuron: Neuron
) -> tuple[Tensor, Tensor]:
    """Pooled spikes, and the last membrane potentials, of neurons that start from rest.

    Parameters
    ----------
    x : float32 Tensor [N_t, N, C, H, W]
        Of any shape [N_t, …] without batch norm and pooling.
    norm : BatchNorm2d, optional
        In training its running statistics move.
    w : Tensor, optional
        Of PLIF: k = σ(w).
    neuron : Neuron
    """
    weight, bias = (norm.weight, norm.bias) if norm is not None else (None, None)
    return _Spikes.apply(x, weight, bias, w, norm, neuron)


class _Spikes(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, weight, bias, w, norm, neuron):
        layer = _layer_of(x, norm, neuron)
        x = _arranged(x, layer)
        inputs, line, moments = _planes(x, layer), _same(layer), None
        if norm is not None:
            moments = _Moments.of(inputs, norm, layer)
            line = moments.line(weight, bias)
        k = np.float32(neuron.tau if w is None else w.sigmoid().item())
        out, last = _empty_pooled(x, layer), torch.empty_like(x[0])
        arrays = inputs, *line, k, layer, _planes(out, layer), _planes(last[None], layer)[0]
        _over_tiles(kernels.forward, layer, *arrays)
        ctx.save_for_backward(x, w)
        ctx.constants = layer, moments, line, k, neuron.alpha
        ctx.set_materialize_grads(False)
        return out, last

    @staticmethod
    @once_differentiable
    def backward(ctx, grad, by_last):
        x, w = ctx.saved_tensors
        layer, moments, line, k, alpha = ctx.constants
        grad = _empty_pooled(x, layer).zero_() if grad is None else _arranged(grad, layer)
        by_last = torch.zeros_like(x[:1]) if by_last is None else _arranged(by_last[None], layer)
        by_x = torch.empty_like(x)
        inputs, by_y = _planes(x, layer), _planes(by_x, layer)
        mean = moments.mean.astype(np.float32) if moments else line[1]
        arrays = inputs, _planes(grad, layer), _planes(by_last, layer)[0], *line, mean, k
        sums = _sums_over_tiles(kernels.backward, layer, *arrays, alpha, layer, by_y)
        by_weight = by_bias = by_w = None
        if moments:
            by_weight, by_bias = moments.gradients(sums[:-1], x)
            gains = moments.gains(sums[:-1], line[0])
            _over_tiles(kernels.combine, layer, by_y, inputs, gains, layer)
        if w is not None:
            by_w = w.new_tensor(sums[-1, 0] * (1 - k))  # k' = k (1 − k)
        return by_x, by_weight, by_bias, by_w, None, None


class _Moments(NamedTuple):
    """Of each channel: mean, 1/√(variance + ε), and over how many inputs; 0 for running ones."""

    mean: np.ndarray
    inverse: np.ndarray
    count: int

    @classmethod
    def of(cls, inputs: np.ndarray, norm: nn.BatchNorm2d, layer: Layer) -> Self:
        if not (norm.training or norm.running_mean is None):
            mean, variance = norm.running_mean.double(), norm.running_var.double()
            return cls(mean.numpy(), (variance + norm.eps).rsqrt().numpy(), 0)
        count = inputs.size // norm.num_features
        if count == 1:
            raise ValueError("batch norm in training: expected more than one value per channel")
        pivot = inputs[0, : layer.channel_planes, : layer.step].ravel()
        sums = _sums_over_tiles(kernels.moments, layer, inputs, pivot, layer)[:-1] / count
        mean, variance = pivot + sums[:, 0], sums[:, 1] - sums[:, 0] ** 2
        _move(norm, torch.from_numpy(mean), torch.from_numpy(variance * count / (count - 1)))
        return cls(mean, 1 / np.sqrt(variance + norm.eps), count)

    def line(self, weight: Tensor | None, bias: Tensor | None) -> np.ndarray:
        """y = line[0] x + line[1]."""
        gain = 1 if weight is None else weight.detach().double().numpy()
        offset = 0 if bias is None else bias.detach().double().numpy()
        scale = self.inverse * gain
        return np.stack([scale, offset - self.mean * scale]).astype(np.float32)

    def gradients(self, sums: np.ndarray, like: Tensor) -> tuple[Tensor, Tensor]:
        return like.new_tensor(sums[:, 1] * self.inverse), like.new_tensor(sums[:, 0])

    def gains(self, sums: np.ndarray, scale: np.ndarray) -> np.ndarray:
        """∂loss/∂x = gains[0] ∂loss/∂y + gains[1] x + gains[2]: y's mean and variance move with x."""
        constant = linear = np.zeros_like(self.mean)
        if self.count:
            linear = -scale * self.inverse**2 * sums[:, 1] / self.count
            constant = -scale * sums[:, 0] / self.count - linear * self.mean
        return np.stack([scale, linear, constant]).astype(np.float32)


@torch.no_grad()
def _move(norm: nn.BatchNorm2d, mean: Tensor, variance: Tensor) -> None:
    """Running statistics towards those of a batch, as torch's own batch norm does."""
    if norm.running_mean is None:
        return
    norm.num_batches_tracked += 1
    share = norm.momentum if norm.momentum is not None else 1 / norm.num_batches_tracked.item()
    norm.running_mean.lerp_(mean.to(norm.running_mean), share)
    norm.running_var.lerp_(variance.to(norm.running_var), share)


def _layer_of(x: Tensor, norm: nn.BatchNorm2d | None, neuron: Neuron) -> Layer:
    if norm is None and neuron.pool == kernels.NONE:  # each neuron for itself
        planes, height, width, step, channels = 1, 1, x[0].numel(), 1, 1
    else:
        _, recordings, channels, height, width = x.shape
        planes, step = recordings * channels, 1
        if x.movedim(2, -1).is_contiguous():
            planes, step, width, channels = recordings, channels, width * channels, 1
    tile = kernels.tile_of(height, width, step)
    return Layer(planes, height, width, step, channels, *tile, neuron.kind, neuron.pool)


def _arranged(x: Tensor, layer: Layer) -> Tensor:
    """In the layer's order in memory."""
    if layer.step > 1:
        return x.movedim(2, -1).contiguous().movedim(-1, 2)
    return x.contiguous()


def _empty_pooled(x: Tensor, layer: Layer) -> Tensor:
    if layer.pool == kernels.NONE:
        return torch.empty_like(x)
    shape = *x.shape[:3], x.shape[3] // 2, x.shape[4] // 2
    return _arranged(x.new_empty(shape), layer)


def _planes(x: Tensor, layer: Layer) -> np.ndarray:
    """[N_t, planes, places], in the order that they have in memory."""
    step, plane = x[0].numel(), x[0].numel() // layer.planes
    return x.detach().as_strided((len(x), layer.planes, plane), (step, plane, 1)).numpy()


def _same(layer: Layer) -> np.ndarray:
    """y = x for each channel."""
    return np.repeat(np.float32([[1], [0]]), layer.channel_planes * layer.step, axis=1)


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
