"""Batch norm, a spiking neuron and pooling as one operation, with its gradients.

y = γ (x − μ)/√(σ² + ε) + β,   h_t = v_{t−1} + k (y_t − v_{t−1}),   s_t = [h_t ≥ 1],
v_t = h_t (1 − s_t),   and the maximum or mean of s_t over windows of 2 × 2 pixels

with μ and σ² over time steps, recordings and pixels (Ioffe and Szegedy, ICML 2015; Fang et al.,
ICCV 2021, eq. 4 and 10). As tensor operations these are dozens of passes over memory; here it is
two over the layer's inputs, and three to six for the gradient. Kept is x alone: the membrane
potentials are computed again.

What belongs to a channel is computed here, in float64; what belongs to a neuron by the module for
the device, `tiles` on a CPU and `gpu`, which have the same functions.
"""

from types import ModuleType
from typing import NamedTuple, Self

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from snnq.networks import kernels, tiles
from snnq.networks.kernels import Neuron
from snnq.networks.memory import Sums, channels_last, dense, empty_pooled
from snnq.system.triton import has_triton


def form_for(x: Tensor) -> ModuleType | None:
    """The module with `moments`, `forward` and `backward` for such inputs [N_t, …], if there is one."""
    if x.device.type == "cpu":
        return tiles
    if x.is_cuda and has_triton():
        from snnq.networks import gpu

        return gpu if gpu.takes(x) else None
    return None


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
    if norm is not None or neuron.pool != kernels.NONE:
        affine = (norm.weight, norm.bias) if norm is not None else (None, None)
        return _Spikes.apply(dense(x), *affine, w, norm, neuron)
    # Each neuron for itself, in the order that they have in memory.
    moved = x.ndim == 5 and channels_last(x)
    x = x.movedim(2, -1) if moved else x
    alone = x.reshape(len(x), 1, 1, 1, -1)
    spikes, last = _Spikes.apply(alone, None, None, w, norm, neuron)
    spikes, last = spikes.view(x.shape), last.view(x.shape[1:])
    return (spikes.movedim(-1, 2), last.movedim(-1, 1)) if moved else (spikes, last)


class _Spikes(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, weight, bias, w, norm, neuron):
        form, moments = form_for(x), None
        if norm is None:
            line = torch.stack([x.new_ones(x.shape[2]), x.new_zeros(x.shape[2])])
        else:
            moments = _Moments.of(x, norm, form)
            line = moments.line(weight, bias)
        k = x.new_full((), neuron.tau) if w is None else w.sigmoid()
        ctx.save_for_backward(x, w, line, k)
        ctx.constants = form, moments, neuron
        ctx.set_materialize_grads(False)
        return form.forward(x, line, k, neuron)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad, by_last):
        x, w, line, k = ctx.saved_tensors
        form, moments, neuron = ctx.constants
        grad = empty_pooled(x, neuron).zero_() if grad is None else dense(grad, like=x)
        by_last = None if by_last is None else dense(by_last[None], like=x)[0]
        mean, gains = (moments.mean, moments.gains) if moments else (line[1], None)
        by_x, sums = form.backward(x, grad, by_last, line, mean.float(), k, neuron, gains)
        by_weight = by_bias = by_w = None
        if any(ctx.needs_input_grad[1:3]):
            by_weight, by_bias = (sums.by_y_x * moments.inverse).float(), sums.by_y.float()
        if w is not None:
            by_w = (sums.by_k * (1 - k)).to(w)  # k' = k (1 − k)
        return by_x, by_weight, by_bias, by_w, None, None


class _Moments(NamedTuple):
    """Of each channel: mean and 1/√(variance + ε) in float64, the gain of the line; and over how
    many inputs, 0 for running ones."""

    mean: Tensor
    inverse: Tensor
    count: int

    @classmethod
    def of(cls, x: Tensor, norm: nn.BatchNorm2d, form: ModuleType) -> Self:
        if not (norm.training or norm.running_mean is None):
            variance = norm.running_var.double()
            return cls(norm.running_mean.double(), (variance + norm.eps).rsqrt(), 0)
        count = x.numel() // norm.num_features
        if count == 1:
            raise ValueError("batch norm in training: expected more than one value per channel")
        pivot, (first, second) = x[0, 0, :, 0, 0], form.moments(x) / count
        mean, variance = pivot + first, second.addcmul(first, first, value=-1)
        _move(norm, mean, variance * (count / (count - 1)))
        return cls(mean, (variance + norm.eps).rsqrt(), count)

    def line(self, weight: Tensor | None, bias: Tensor | None) -> Tensor:
        """y = line[0] x + line[1]."""
        scale = self.inverse if weight is None else self.inverse * weight
        offset = -self.mean * scale
        return torch.stack([scale, offset if bias is None else offset + bias]).float()

    def gains(self, sums: Sums, scale: Tensor) -> Tensor:
        """∂loss/∂x = gains[0] ∂loss/∂y + gains[1] x + gains[2]: y's mean and variance move with x."""
        share = 1 / self.count if self.count else 0.0
        linear = self.inverse.square() * sums.by_y_x * scale * -share
        constant = sums.by_y * scale * -share - linear * self.mean
        return torch.stack([scale, linear, constant]).float()


@torch.no_grad()
def _move(norm: nn.BatchNorm2d, mean: Tensor, variance: Tensor) -> None:
    """Running statistics towards those of a batch, as torch's own batch norm does."""
    if norm.running_mean is None:
        return
    norm.num_batches_tracked += 1
    share = norm.momentum
    if share is None:
        share = norm.num_batches_tracked.to(mean.dtype).reciprocal().to(norm.running_mean)
    norm.running_mean.lerp_(mean.to(norm.running_mean), share)
    norm.running_var.lerp_(variance.to(norm.running_var), share)

