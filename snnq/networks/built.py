"""Whether a model is one of `build_model`'s, for what rebuilds a network from its architecture."""

from typing import Any

import torch
from torch import nn
from torch.nn.utils.parametrize import type_before_parametrizations

from snnq.networks.models import SpikingNetwork, build_model

FOR_TRAINING = ("training", "detach_reset", "p", "momentum")  # settings that evaluation ignores


def refuse_unless_built(model: Any) -> None:
    """Raises ValueError, with what it is, unless a model is a network of `build_model`."""
    if not isinstance(model, SpikingNetwork) or type(model).forward is not SpikingNetwork.forward:
        raise ValueError(
            f"model is a {type(model).__name__}, expected a network of snnq.build_model"
        )


def refuse_unless_as_built(model: Any) -> None:
    """Raises ValueError unless a model's layers, too, are what `build_model` makes.

    Its weights may be any. A layer that was exchanged, or of which a setting was changed, is not
    in `architecture`, and would not come back from it; it is named.
    """
    refuse_unless_built(model)
    with torch.device("meta"):  # without numbers
        built = build_model(**model.architecture)
    layers, expected = dict(model.layers.named_children()), dict(built.layers.named_children())
    for name in dict.fromkeys((*layers, *expected)):
        found, wanted = _settings(layers.get(name)), _settings(expected.get(name))
        for what in dict.fromkeys((*found, *wanted)):
            if found.get(what) != wanted.get(what):
                raise ValueError(
                    f"layers.{name}: {what}={found.get(what)}, expected {wanted.get(what)} as"
                    " snnq.build_model makes it"
                )


def _settings(module: nn.Module | None) -> dict[str, Any]:
    """Of a layer: its class, and what it was made with."""
    if module is None:
        return {"class": None}
    plain = (bool, int, float, str, tuple, type(None))
    return {
        "class": type_before_parametrizations(module).__name__,
        "step_mode": getattr(module, "step_mode", None),
        "bias": getattr(module, "bias", None) is not None,
        **{
            name: value
            for name, value in vars(module).items()
            if isinstance(value, plain) and name[0] != "_" and name not in FOR_TRAINING
        },
    }
