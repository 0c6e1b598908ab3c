"""Mixed precision: which levels each layer of a network gets."""

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import UninitializedParameter

from snnq.quantization.layers import (
    in_evaluation,
    in_execution,
    kept_layers,
    layers_named,
    layers_of,
)
from snnq.quantization.levels import resolve_levels
from snnq.quantization.rules import FULL, PLACES, REST, LevelSet, in_order, is_mixed, limit_of


def levels_by_layer(
    model: nn.Module,
    levels: str | Iterable[float] | Mapping[str, Any],
    keep: Iterable[str] = ("first",),
    example: Tensor | tuple[Tensor, ...] | None = None,
) -> dict[str, LevelSet]:
    """The levels of every convolution and linear layer, by its name: numbers, or "full".

    Parameters are those of `quantize`. Other modules with weights are there too where they are
    named to stay in full precision.

    Raises
    ------
    ValueError
        Bad levels, a name that is no module's with weights, a named rule for layers that are all
        kept, or no layer left to quantize.
    """
    rules, order = _resolved(levels), in_execution(model, example)
    layers, kept = layers_of(model), kept_layers(model, keep, order)
    found = dict.fromkeys(kept, FULL)
    for key, of_rule in (*rules, (REST, FULL)):
        if key == REST:
            names = list(layers)
        elif limit := limit_of(key):
            names = [name for name, layer in layers.items() if weights_in(layer) < limit]
        else:
            names = _named(model, key, of_rule, order, kept)
        found |= {name: of_rule for name in names if name not in found}
    if all(of_layer == FULL for of_layer in found.values()):
        raise ValueError(
            f"no layer to quantize: of {len(layers)} convolution and linear layers,"
            f" keep={keep} and levels={levels!r} leave none"
        )
    return found


def _resolved(levels: str | Iterable[float] | Mapping[str, Any]) -> list[tuple[str, LevelSet]]:
    if not is_mixed(levels):
        return [(REST, resolve_levels(levels))]
    return [(key, _of_rule(key, of)) for key, of in in_order(levels)]


def _of_rule(key: str, levels: Any) -> LevelSet:
    if isinstance(levels, str) and levels == FULL:
        return FULL
    try:
        return resolve_levels(levels)
    except ValueError as error:
        raise ValueError(f"levels: {key!r}: {error}") from None


def _named(
    model: nn.Module, key: str, levels: LevelSet, order: list[str], kept: set[str]
) -> list[str]:
    """What a rule by name is for. There must be such, and levels for it that have an effect; rules
    by size, and for the rest, may be for none: in a wide network no layer is small."""
    names, layers = layers_named(model, key, order), layers_of(model)
    if levels != FULL:
        names = [name for name in names if name in layers]
    if not names and key not in PLACES:
        raise ValueError(
            f"levels: {key!r}: expected first, last, rest, <N for layers with fewer than N weights,"
            f" or one of {', '.join(layers)}"
        )
    if levels != FULL and names and kept.issuperset(names):
        raise ValueError(
            f"levels: {key!r}: keep leaves {', '.join(names)} in full precision; name it in one of"
            " the two"
        )
    return names


@torch.no_grad()
def weights_in(layer: nn.Module) -> int:
    """How many numbers its weight has; none before it is initialised."""
    with in_evaluation(layer):
        weight = layer.weight
    return 0 if isinstance(weight, UninitializedParameter) else weight.numel()
