"""SpikingJelly's PLIF neuron with its time steps in one compiled loop on the CPU.

For each time step, with k = σ(w) = 1/τ, threshold 1 and hard, detached reset to 0 (Fang et al.,
ICCV 2021, eq. 4 and 10):

    h_t = v_{t−1} + k (x_t − v_{t−1}),   s_t = [h_t ≥ 1],   v_t = h_t (1 − s_t)

As tensor operations that is a dozen passes over memory per time step, and as many again for the
gradient; here it is one of each.
"""

import math

import numpy as np
import torch
from spikingjelly.activation_based import neuron, surrogate
from torch import Tensor
from torch.autograd.function import once_differentiable

from snnq.system.compiled import compiled
from snnq.system.threads import in_blocks

BLOCK = 2**15  # neurons that a thread takes at a time
CACHED = 2**10  # of them that the kernels take at a time


class PLIFNode(neuron.ParametricLIFNode):
    """A `ParametricLIFNode`, its multi-step pass from rest over float32 on the CPU in one loop.

    Everything else, other settings than the paper's among it, is left to SpikingJelly. Spikes are
    the same to the bit, gradients to float32's accuracy.
    """

    def multi_step_forward(self, x_seq: Tensor) -> Tensor:
        if not self._can_fuse(x_seq):
            return super().multi_step_forward(x_seq)
        spikes, self.v = _PLIF.apply(x_seq, self.w, self.surrogate_function.alpha)
        return spikes

    def _can_fuse(self, x_seq: Tensor) -> bool:
        return (
            x_seq.dtype == self.w.dtype == torch.float32
            and x_seq.device.type == "cpu"
            and isinstance(self.v, float)
            and (self.v, self.v_reset, self.v_threshold) == (0.0, 0.0, 1.0)
            and self.decay_input
            and self.detach_reset
            and not self.store_v_seq
            and type(self.surrogate_function) is surrogate.ATan
        )


class _PLIF(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x_seq, w, surrogate_alpha):
        k = w.sigmoid()
        x = x_seq if _has_channels_last(x_seq) else x_seq.contiguous()
        potentials, spikes, last = torch.empty_like(x), torch.empty_like(x), torch.empty_like(x[0])
        arrays = [_steps(tensor) for tensor in (x, potentials, spikes)]
        scale, (end,) = np.float32(k.item()), _steps(last[None])
        in_blocks(lambda i, j: _forward(*arrays, scale, end, i, j), last.numel(), BLOCK)
        ctx.save_for_backward(potentials, k)
        ctx.surrogate_alpha = surrogate_alpha
        return spikes, last

    @staticmethod
    @once_differentiable
    def backward(ctx, grad, by_last):
        potentials, k = ctx.saved_tensors
        by_input = torch.empty_like(potentials)
        if grad.stride() != potentials.stride():
            grad = torch.empty_like(potentials).copy_(grad)
        if by_last.stride() != potentials[0].stride():
            by_last = torch.empty_like(potentials[0]).copy_(by_last)
        arrays = [_steps(tensor) for tensor in (potentials, grad, by_input)]
        (later,) = _steps(by_last[None])
        sums = np.empty(-(-potentials[0].numel() // BLOCK))

        def block(i: int, j: int) -> None:
            sums[i // BLOCK] = _backward(
                *arrays, later, np.float32(k.item()), ctx.surrogate_alpha, i, j
            )

        in_blocks(block, potentials[0].numel(), BLOCK)
        by_k = float(sums.sum())
        return by_input, k.new_tensor(by_k) * k * (1 - k), None


def _has_channels_last(x_seq: Tensor) -> bool:
    return x_seq.ndim == 5 and x_seq.movedim(2, -1).is_contiguous()


def _steps(tensor: Tensor) -> np.ndarray:
    """[N_t, …] as [N_t, neurons], with the neurons in the order that they have in memory."""
    neurons = tensor[0].numel()
    return tensor.detach().as_strided((len(tensor), neurons), (neurons, 1)).numpy()


@compiled()
def _forward(x, potentials, spikes, k, last, begin, stop):
    one, zero = np.float32(1), np.float32(0)
    for first in range(begin, stop, CACHED):
        end = min(first + CACHED, stop)
        v = last[first:end]
        v[:] = zero
        for t in range(len(x)):
            inputs, h, s = x[t][first:end], potentials[t][first:end], spikes[t][first:end]
            for i in range(v.size):
                h[i] = v[i] + (inputs[i] - v[i]) * k
                s[i] = one if h[i] >= one else zero
                v[i] = zero if h[i] >= one else h[i]


@compiled()
def _backward(potentials, grad, by_input, by_last, k, surrogate_alpha, begin, stop):
    """∂loss/∂x of neurons `begin` to `stop` into `by_input`; returns their part of ∂loss/∂k.

    `by_last` is G_v of the last step: what a later chunk of time steps asks for.

    With the surrogate slope s'(u) = α/2 / (1 + (π/2 αu)²) at u = h_t − 1, and G the gradients:
    G_h,t = G_s,t s'(u) + G_v,t (1 − s_t),  G_x,t = k G_h,t,  G_v,t−1 = (1 − k) G_h,t,
    G_k = Σ G_h,t (x_t − v_t−1).
    """
    half = np.float32(surrogate_alpha / 2)
    width = np.float32(math.pi / 2 * surrogate_alpha)
    one, zero = np.float32(1), np.float32(0)
    carried = np.empty(CACHED, np.float32)  # G_v
    by_k = 0.0
    for first in range(begin, stop, CACHED):
        end = min(first + CACHED, stop)
        later = carried[: end - first]
        later[:] = by_last[first:end]
        for t in range(len(potentials) - 1, -1, -1):
            h, g, out = potentials[t][first:end], grad[t][first:end], by_input[t][first:end]
            for i in range(later.size):
                u = (h[i] - one) * width
                kept = zero if h[i] >= one else later[i]
                later[i] = g[i] * half / (one + u * u) + kept
                out[i] = later[i] * k
            by_k += _change(later, h, potentials[max(t - 1, 0)][first:end], t > 0) / k
            later *= one - k
    return by_k


@compiled(fastmath={"reassoc"})
def _change(grad, potential, before, has_before):
    """Σ G_h,t (h_t − v_t−1), in float64: k times ∂loss/∂k of a time step."""
    total = 0.0
    for i in range(grad.size):
        v = before[i] if has_before and before[i] < np.float32(1) else np.float32(0)
        total += np.float64(grad[i]) * (potential[i] - v)
    return total
