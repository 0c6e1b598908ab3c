"""Layers of SpikingJelly that stand one after another, as one operation where that is faster."""

from collections.abc import Sequence
from typing import NamedTuple, Self

import torch
from spikingjelly.activation_based import layer, neuron, surrogate
from torch import Tensor, nn
from torch.nn.modules.module import _has_any_global_hook

from snnq.networks import kernels
from snnq.networks.kernels import Neuron
from snnq.networks.neurons import form_for, spikes_of

NEURONS = {
    neuron.ParametricLIFNode: kernels.PLIF,
    neuron.LIFNode: kernels.LIF,
    neuron.IFNode: kernels.IF,
}
POOLS = {layer.MaxPool2d: kernels.MAX, layer.AvgPool2d: kernels.AVERAGE}
HALF = (torch.bfloat16, torch.float16)
HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")


def fuse(model: nn.Module) -> nn.Module:
    """Have every `nn.Sequential` of a network compute its neurons fused, in place.

    In one operation are then: a batch norm, if one stands before; an IF, LIF or parametric LIF
    neuron; and a max or average pooling of 2 × 2 pixels, if one stands behind. On the CPU this
    takes a third to a sixth of the time (bench/fused.py), and less memory; on a GPU it needs Triton,
    and takes recordings of up to 32 time steps. Spikes are those of the layers one by one but for the
    rounding of the batch norm; the layers stay the same objects, with the same `state_dict`, and are
    called one by one where they have hooks, where a state is carried on, on other devices, and with
    settings for which the operation is not made (see `Fused.of`).
    """
    for module in model.modules():
        if type(module) is nn.Sequential:
            module.__class__ = FusedSequential
    return model


def unfuse(model: nn.Module) -> nn.Module:
    """What `fuse` did, undone in place."""
    for module in model.modules():
        if type(module) is FusedSequential:
            module.__class__ = nn.Sequential
    return model


class FusedSequential(nn.Sequential):
    """An `nn.Sequential` that computes batch norm, neurons and pooling in one operation."""

    def forward(self, input: Tensor) -> Tensor:
        layers, x = list(self), input
        while layers:
            if (fused := Fused.of(layers)) and fused.takes(x):
                x, layers = fused(x), layers[len(fused.layers) :]
            else:
                x, *layers = layers[0](x), *layers[1:]
        return x


class Fused(NamedTuple):
    """Layers that are computed at once: a neuron, and perhaps batch norm before and pooling behind."""

    norm: nn.BatchNorm2d | None
    node: neuron.BaseNode
    pool: nn.Module | None

    @classmethod
    def of(cls, layers: Sequence[nn.Module]) -> Self | None:
        """The first of some layers that can be computed at once, if they can.

        The neuron has threshold 1, a hard, detached reset to 0, input that decays, and the ATan
        surrogate; all are in multi-step mode and have no hooks.
        """
        norm = layers[0] if type(layers[0]) is layer.BatchNorm2d else None
        node, *behind = layers[norm is not None :] or [None]
        if not _is_plain_neuron(node):
            return None
        pool = behind[0] if behind and _halves(behind[0]) else None
        found = cls(norm, node, pool)
        return found if all(map(_is_plain, found.layers)) else None

    @property
    def layers(self) -> list[nn.Module]:
        return [one for one in self if one is not None]

    def takes(self, x: Tensor) -> bool:
        """Whether an input is one that the operation is made for."""
        images = x.ndim == 5 or not (self.norm or self.pool)
        values = [x, *self.node.parameters(), *(self.norm.parameters() if self.norm else ())]
        return (
            images
            and x.numel() > 0
            and all(value.device == x.device for value in values)
            and form_for(x) is not None
            and all(value.dtype == torch.float32 for value in values[1:])
            and x.dtype in (torch.float32, *HALF)
            and isinstance(self.node.v, float)
            and self.node.v == 0
        )

    def __call__(self, x: Tensor) -> Tensor:
        kind, pool = NEURONS[type(self.node)], POOLS.get(type(self.pool), kernels.NONE)
        tau, alpha = getattr(self.node, "tau", 1.0), self.node.surrogate_function.alpha
        w = self.node.w if kind == kernels.PLIF else None
        found = spikes_of(x.float(), self.norm, w, Neuron(kind, tau, alpha, pool))
        spikes, self.node.v = found
        return spikes


def _is_plain(module: nn.Module) -> bool:
    hooked = _has_any_global_hook() or any(getattr(module, name) for name in HOOKS)
    return module.step_mode == "m" and not hooked


def _is_plain_neuron(node: nn.Module | None) -> bool:
    return (
        type(node) in NEURONS
        and (node.v_threshold, node.v_reset) == (1.0, 0.0)
        and node.detach_reset
        and not node.store_v_seq
        and getattr(node, "decay_input", True)
        and type(node.surrogate_function) is surrogate.ATan
        and node.surrogate_function.spiking
    )


def _halves(pool: nn.Module) -> bool:
    """Whether it pools windows of 2 × 2 pixels, and no others."""
    if type(pool) not in POOLS:
        return False
    others = {"padding": 0, "dilation": 1, "return_indices": False, "divisor_override": None}
    plain = all(
        getattr(pool, name, value) in (value, (value,) * 2) for name, value in others.items()
    )
    return plain and not pool.ceil_mode and {pool.kernel_size, pool.stride} <= {2, (2, 2)}
