"""A network that computes, and is trained, in an arithmetic; see `snnq.training.arithmetic`."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import cache

import torch
from spikingjelly.activation_based.base import MemoryModule
from spikingjelly.activation_based.neuron import BaseNode, SimpleBaseNode
from torch import Tensor, nn

from snnq.networks.fused import unfuse
from snnq.quantization.layers import layers_of
from snnq.quantization.network import quantizers
from snnq.quantization.number_formats import Rounding
from snnq.quantization.place import quantizer_of
from snnq.system.state import keeps_state
from snnq.training.arithmetic import Arithmetic

NORMS = nn.modules.batchnorm._BatchNorm, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm


class _Rounded(torch.autograd.Function):
    """x rounded in one way, and its gradient, which is that of what was rounded, in another."""

    @staticmethod
    def forward(ctx, x: Tensor, there: Rounding | None, back: Rounding | None) -> Tensor:
        ctx.back = back
        return there(x) if there else x.view_as(x)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None, None]:
        return (ctx.back(gradient) if ctx.back else gradient), None, None


class _Scaled(torch.autograd.Function):
    """x, and its gradient times a scale: as if the loss were."""

    @staticmethod
    def forward(ctx, x: Tensor, scale: float) -> Tensor:
        ctx.scale = scale
        return x.view_as(x)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None]:
        return gradient * ctx.scale, None


def rounded(x: Tensor, there: Rounding | None, back: Rounding | None) -> Tensor:
    """To the nearest where no gradient is asked for, as in evaluation: the same each time."""
    return _Rounded.apply(x, there if torch.is_grad_enabled() else nearest(there), back)


def nearest(rounding: Rounding | None) -> Rounding | None:
    return rounding and replace(rounding, stochastic=False)


class _RoundedMembrane:
    """A neuron whose membrane potential is rounded at the end of each time step.

    All time steps at once, as neurons compute where they can, they would not be.
    """

    def single_step_functional_forward(self, inputs, states, **options):
        spikes, states = super().single_step_functional_forward(inputs, states, **options)
        return spikes, tuple(rounded(state, *self.rounding) for state in states)

    multi_step_functional_forward = MemoryModule.multi_step_functional_forward


@cache
def _with_rounded_membrane(kind: type[BaseNode]) -> type[BaseNode]:
    return type(kind.__name__, (_RoundedMembrane, kind), {})


@contextmanager
def in_arithmetic(model: nn.Module, arithmetic: str | Arithmetic) -> Iterator[None]:
    """Within, a network computes forward and backward in an arithmetic, layer by layer.

    So a network is evaluated as its training did: what `trained_network` returns, and what is packed,
    has weights of the arithmetic, and computes in float32 anywhere else. A loss depends on parameters
    through the network's output and the quantizers' `penalty`, which have its scale, and in no other way.

    Parameters
    ----------
    model : nn.Module
        On its device. Its weights are rounded, to the nearest, and stay so; `round_after_steps` keeps
        them so in training.
    arithmetic : str or Arithmetic
        "posit8" say, or one for each component, see `Settings`.

    Raises
    ------
    ValueError
        An arithmetic that means nothing, or neurons that are not SpikingJelly's, whose membrane
        potentials nothing here rounds.
    """
    if isinstance(arithmetic, str):
        arithmetic = Arithmetic.of(arithmetic)
    if arithmetic.is_float32:
        yield
        return
    refuse_unless_rounded(model)
    _round(weights_of(model), nearest(arithmetic.weights))
    with ExitStack() as undone:
        for module in model.modules():
            undone.callback(setattr, module, "__class__", type(module))
        unfuse(model)
        for hook in _hooks(model, arithmetic):
            undone.callback(hook.remove)
        for node in (module for module in model.modules() if isinstance(module, BaseNode)):
            node.__class__ = _with_rounded_membrane(type(node))
            node.rounding = arithmetic.activations, arithmetic.activation_gradients
            undone.callback(delattr, node, "rounding")
        for quantizer in quantizers(model).values():
            quantizer.penalty = _scaled(quantizer.penalty, arithmetic.loss_scale)
            undone.callback(delattr, quantizer, "penalty")
        yield


def refuse_unless_rounded(model: nn.Module) -> None:
    for name, module in model.named_modules():
        others = not isinstance(module, MemoryModule) or isinstance(module, SimpleBaseNode)
        if keeps_state(module) and others:
            kind = type(module).__name__
            raise ValueError(f"{name} is a {kind}: expected SpikingJelly's neurons with `arithmetic`")


def weights_of(model: nn.Module) -> list[nn.Parameter]:
    """Those of convolutions and linear layers, and their biases, as they are kept."""
    found = {}
    for layer in layers_of(model).values():
        quantizer = quantizer_of(layer)
        scales = {id(scale) for scale in quantizer.parameters()} if quantizer else ()
        found |= {id(weight): weight for weight in layer.parameters() if id(weight) not in scales}
    return list(found.values())


@torch.no_grad()
def _round(weights: Iterable[Tensor], rounding: Rounding | None) -> None:
    for weight in weights if rounding else ():
        weight.copy_(rounding(weight))


def round_after_steps(
    model: nn.Module, optimizers: Iterable[torch.optim.Optimizer], arithmetic: Arithmetic
) -> None:
    """Have optimizers round what they keep, weights and moments, at the end of each of their steps."""
    weights = weights_of(model)

    @torch.no_grad()
    def hook(optimizer: torch.optim.Optimizer, *_) -> None:
        _round(weights, arithmetic.weights)
        for weight in weights if arithmetic.moments else ():
            for name, moment in optimizer.state.get(weight, {}).items():
                if getattr(moment, "shape", None) == weight.shape:
                    moment.copy_(_rounded_moment(moment, "sq" in name, arithmetic))

    for optimizer in optimizers if not arithmetic.is_float32 else ():
        optimizer.register_step_post_hook(hook)


def _rounded_moment(moment: Tensor, is_square: bool, arithmetic: Arithmetic) -> Tensor:
    """In units of the gradients as they were rounded, with the loss's scale."""
    rounding, scale = arithmetic.moments, arithmetic.loss_scale
    if not is_square:
        return rounding(moment * scale) / scale
    root = moment.sqrt() * scale
    kept = torch.where(root > 0, rounding(root).maximum(rounding.least(root)), 0.0)
    return (kept / scale).square()


def _hooks(model: nn.Module, arithmetic: Arithmetic) -> Iterator:
    there, back = arithmetic.activations, arithmetic.activation_gradients
    layers = {*layers_of(model).values()}
    for module in model.modules():
        if module in layers:
            yield module.register_forward_pre_hook(lambda _, x: (rounded(x[0], there, back), *x[1:]))
        if module in layers or isinstance(module, NORMS):
            yield module.register_forward_hook(lambda *io: rounded(io[-1], there, back))
    scale = arithmetic.loss_scale
    yield model.register_forward_hook(lambda *io: _Scaled.apply(io[-1], scale))
    for quantizer in quantizers(model).values():
        yield quantizer.register_forward_hook(_soft_weights(arithmetic))
    own = {id(weight) for weight in weights_of(model)}
    for parameter in model.parameters():
        if parameter.requires_grad:
            rounding = arithmetic.weight_gradients if id(parameter) in own else None
            yield parameter.register_post_accumulate_grad_hook(_gradient(rounding, scale))


def _scaled(penalty: Callable[[Tensor], Tensor | None], scale: float):
    """A penalty with the scale that the rest of the loss has from the network's output."""

    def scaled(weight: Tensor) -> Tensor | None:
        found = penalty(weight)
        return None if found is None else _Scaled.apply(found, scale)

    return scaled


def _soft_weights(arithmetic: Arithmetic):
    def hook(quantizer: nn.Module, _, weight: Tensor) -> Tensor:
        there = arithmetic.weights if quantizer.training else None
        return rounded(weight, there, arithmetic.weight_gradients)

    return hook


def _gradient(rounding: Rounding | None, scale: float):
    def hook(parameter: nn.Parameter) -> None:
        found = rounding(parameter.grad) if rounding else parameter.grad
        parameter.grad = found / scale

    return hook
