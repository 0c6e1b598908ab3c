"""What a layer has to be for its weight to be quantized, and what it has to compute with then."""

from collections import defaultdict

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.parameter import UninitializedParameter
from torch.nn.utils import parametrize
from torch.overrides import TorchFunctionMode

from snnq.quantization.layers import in_evaluation
from snnq.quantization.place import quantizer_input, quantizer_of


def refuse_unless_quantizable(model: nn.Module, layers: dict[str, nn.Module]) -> None:
    """Raises ValueError, with the layer's name, for a weight that no quantizer can start from."""
    owners = _owners(model)
    for name, layer in layers.items():
        problem = _problem(layer)
        shared = [of for of in owners[id(layer._parameters.get("weight"))] if of != name]
        if problem is None and shared:
            problem = f"shares its weight with {', '.join(shared)}: name them all in keep"
        if problem is not None:
            raise ValueError(f"{name}: {problem}")


def _owners(model: nn.Module) -> dict[int, list[str]]:
    """By the identity of each parameter, the names of the modules that have it."""
    owners = defaultdict(list)
    for name, module in model.named_modules():
        for parameter in module._parameters.values():
            if parameter is not None:
                owners[id(parameter)].append(name)
    return owners


def _problem(layer: nn.Module) -> str | None:
    if parametrize.is_parametrized(layer, "weight"):
        return None
    if "weight" not in layer._parameters and "weight" not in layer._buffers:
        return (
            "its weight is no parameter but replaced before each call; use"
            " torch.nn.utils.parametrizations in place of torch.nn.utils.weight_norm and its kind,"
            " or torch.nn.utils.prune.remove"
        )
    weight = layer.weight
    if isinstance(weight, UninitializedParameter):
        return "its weight is not initialised; run the network once"
    if not isinstance(weight, Tensor) or not weight.is_floating_point():
        return f"its weight is {getattr(weight, 'dtype', weight)}, expected floating-point numbers"
    if weight.is_meta:
        return "its weight is on the meta device, which holds no numbers"
    return None


@torch.no_grad()
def refuse_unless_on_levels(name: str, layer: nn.Module) -> None:
    """Raises ValueError unless a layer, in evaluation, computes with the values of its levels.

    In evaluation its weight has to be those values, whatever else is registered on it. What the
    layer makes of it before it computes, where it does, must have no more values than there are
    levels in any output channel, as where weights are standardised channel by channel. A layer
    without quantizer passes.
    """
    quantizer = quantizer_of(layer)
    if quantizer is None:
        return
    original = quantizer_input(layer)
    values = quantizer.values(original)
    if not torch.isfinite(values).all():
        raise ValueError(f"{name}: the values of its levels are not finite: {values.tolist()}")
    with in_evaluation(layer), parametrize.cached():
        weight = layer.weight
        expected = values[quantizer.level_indices(original)]
        if not torch.equal(weight, expected.to(weight)):
            last = type(layer.parametrizations.weight[-1]).__name__
            raise ValueError(
                f"{name}: its weight in evaluation is not that of its levels, after {last}"
            )
        for used in _weights_used(layer):
            if used is not weight and _most_values(used) > len(values):
                kind = parametrize.type_before_parametrizations(layer).__name__
                raise ValueError(
                    f"{name}: {kind} makes of its weight, which is on its {len(values)} levels,"
                    f" {_most_values(used)} values in a channel; name it in keep"
                )


def _most_values(weight: Tensor) -> int:
    """How many different values there are in an output channel, at most."""
    ordered = weight.flatten(1).sort(1).values
    return 1 + (ordered.diff(dim=1) != 0).sum(1).max().item()


def _weights_used(layer: nn.Module) -> list[Tensor]:
    """As large as the layer's weight, what it computes with; nothing where that cannot be seen."""
    with _Watched() as seen:
        try:
            layer.forward(_input_for(layer))
        except Exception:  # a forward of its own, with other inputs
            return []
    return [used for used in seen.weights if used.numel() == layer.weight.numel()]


class _Watched(TorchFunctionMode):
    """Collects the weights that torch's convolutions and linear maps are called with."""

    functions = (
        F.conv1d,
        F.conv2d,
        F.conv3d,
        F.conv_transpose1d,
        F.conv_transpose2d,
        F.conv_transpose3d,
        F.linear,
    )

    def __init__(self):
        super().__init__()
        self.weights: list[Tensor] = []

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if function in self.functions:
            self.weights.append(args[1] if len(args) > 1 else kwargs["weight"])
        return function(*args, **kwargs)


def _input_for(layer: nn.Module) -> Tensor:
    """One recording of zeros, for one time step in multi-step mode."""
    if isinstance(layer, nn.Linear):
        shape = (layer.in_features,)
    else:
        sizes = [d * k + k for d, k in zip(layer.dilation, layer.kernel_size)]
        shape = (layer.in_channels, *sizes)
    steps = (1,) if getattr(layer, "step_mode", "s") == "m" else ()
    return torch.zeros(*steps, 1, *shape, dtype=layer.weight.dtype, device=layer.weight.device)
