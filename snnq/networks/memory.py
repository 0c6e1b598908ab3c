"""In which order the inputs and spikes of a layer lie in memory, and what is added up over them.

Inputs are [N_t, N, C, H, W], and dense: with the channels last in memory, or in the order of their
axes.
"""

from typing import NamedTuple

from torch import Tensor

from snnq.networks.kernels import Neuron


class Sums(NamedTuple):
    """With G the gradients, of each channel Σ G_y and Σ G_y (x − μ), and of all neurons
    Σ G_h,t (h_t − v_{t−1}), which is k ∂loss/∂k; in float64."""

    by_y: Tensor
    by_y_x: Tensor
    by_k: Tensor


def channels_last(x: Tensor) -> bool:
    return x.movedim(2, -1).is_contiguous()


def dense(x: Tensor, like: Tensor | None = None) -> Tensor:
    """x in one of the two orders: its own if it is one, or that of `like`."""
    if channels_last(x if like is None else like):
        return x.movedim(2, -1).contiguous().movedim(-1, 2)
    return x.contiguous()


def empty_pooled(x: Tensor, neuron: Neuron) -> Tensor:
    """For the pooled spikes of inputs x, in their order."""
    window = neuron.window
    return dense(x.new_empty(*x.shape[:3], x.shape[3] // window, x.shape[4] // window), like=x)
