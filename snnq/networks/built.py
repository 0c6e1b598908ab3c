"""Whether a model is one of `build_model`'s, for what rebuilds a network from its architecture."""

from typing import Any

import torch
from torch import nn
from torch.nn.utils.parametrize import type_before_parametrizations

from snnq.networks.models import SpikingNetwork, build_model
from snnq.quantization.evaluated import evaluated_state

# Settings that evaluation ignores: of batch norm, dropout, neurons and their surrogate functions.
FOR_TRAINING = ("training", "momentum", "p", "detach_reset", "alpha")


def refuse_unless_built(model: Any) -> None:
    """Raises ValueError, with what it is, unless a model is a network of `build_model`."""
    if not _is_built(model):
        raise ValueError(
            f"model is a {type(model).__name__}, expected a network of snnq.build_model"
        )


def architecture_of(model: nn.Module) -> dict[str, Any] | None:
    """The arguments of `build_model` that make a network of the same layers, settings and types.

    Its numbers may be any. None for any other network, and for one of `build_model` of which a
    layer was exchanged, or a setting changed: it would not come back from its architecture.
    """
    if not _is_built(model):
        return None
    with torch.device("meta"):  # without numbers
        built = build_model(**model.architecture)
    return model.architecture if _described(model) == _described(built) else None


def _is_built(model: Any) -> bool:
    return isinstance(model, SpikingNetwork) and type(model).forward is SpikingNetwork.forward


def _described(model: SpikingNetwork) -> tuple[dict, dict]:
    layers = {
        name: _settings(module)
        for name, module in model.layers.named_modules()
        if "parametrizations" not in name and not isinstance(module, nn.Sequential)
    }
    tensors = {name: (t.dtype, t.shape) for name, t in evaluated_state(model).items()}
    return layers, tensors


def _settings(module: nn.Module) -> dict[str, Any]:
    """Of a layer: its class, and what it was made with."""
    plain = (bool, int, float, str, tuple, type(None))
    return {
        "class": type_before_parametrizations(module),
        "step_mode": getattr(module, "step_mode", None),
        **{
            name: value
            for name, value in vars(module).items()
            if isinstance(value, plain) and name[0] != "_" and name not in FOR_TRAINING
        },
    }
