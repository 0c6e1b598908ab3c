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
        names = _names_for(model, key, order)
        if of_rule != FULL:
            names = [name for name in names if name in layers]
            _refuse_if_kept(key, names, kept)
        if not names and not _may_be_empty(key):
            raise ValueError(
                f"levels: {key!r}: expected first, last, rest, <N for layers with fewer than N"
                f" weights, or one of {', '.join(layers)}"
            )
        for name in names:
            found.setdefault(name, of_rule)
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


def _names_for(model: nn.Module, key: str, order: list[str]) -> list[str]:
    layers = layers_of(model)
    if key == REST:
        return list(layers)
    if limit := limit_of(key):
        return [name for name, layer in layers.items() if weights_in(layer) < limit]
    return layers_named(model, key, order)


def _may_be_empty(key: str) -> bool:
    """Which layers are small, or left over, depends on a network's width: in a wide one none may
    be."""
    return key in (REST, *PLACES) or limit_of(key) is not None


def _refuse_if_kept(key: str, names: list[str], kept: set[str]) -> None:
    is_name = key != REST and limit_of(key) is None
    if is_name and names and kept.issuperset(names):
        raise ValueError(
            f"levels: {key!r}: keep leaves {', '.join(names)} in full precision; name it in one of"
            " the two"
        )


@torch.no_grad()
def weights_in(layer: nn.Module) -> int:
    """How many numbers its weight has; none before it is initialised."""
    with in_evaluation(layer):
        weight = layer.weight
    return 0 if isinstance(weight, UninitializedParameter) else weight.numel()
