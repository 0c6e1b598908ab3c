"""Bits per weight; where levels are mixed they depend on how many weights each layer has."""

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from snnq.quantization.layers import in_execution, kept_layers
from snnq.quantization.levels import resolve_levels
from snnq.quantization.mixed import levels_by_layer, weights_in
from snnq.quantization.rules import FULL, REST, LevelSet, Rules
from snnq.recordings.benchmarks import BENCHMARKS
from snnq.storage.format import network_without_numbers

FULL_BITS = 32
SMALL = 0.01  # the share of weights in layers with rules of their own, where the network is unknown


def bits_of(levels: LevelSet) -> float:
    """log₂ of the number of levels; 32 in full precision."""
    return FULL_BITS if levels == FULL else math.log2(len(resolve_levels(levels)))


def mean_bits(rules: Rules, run: Mapping[str, Any] | None = None) -> float:
    """Mean bits of the weights that are not kept, where levels are mixed.

    Those of the network that a run's settings say; where that is not known, as if a hundredth of the
    weights had other levels than the rest: near enough to sort level sets by.
    """
    if not is_known(run):
        others = [bits_of(levels) for key, levels in rules if key != REST]
        rest = bits_of(dict(rules).get(REST, FULL))
        return (1 - SMALL) * rest + SMALL * sum(others) / len(others)
    model, keep = network_without_numbers(_architecture(run)), tuple(run["keep"])
    kept = kept_layers(model, keep, in_execution(model))
    bits = weights = 0
    for name, levels in levels_by_layer(model, rules, keep).items():
        if name not in kept:
            count = weights_in(model.get_submodule(name))
            bits, weights = bits + count * bits_of(levels), weights + count
    return bits / weights


def is_known(run: Mapping[str, Any] | None) -> bool:
    """Whether a run says of which network it is: of a benchmark, or of recordings with `classes` and
    `sensor`, which tables of before there were these columns have not."""
    return run is not None and (
        run["benchmark"] in BENCHMARKS or isinstance(run.get("sensor"), tuple)
    )


def _architecture(run: Mapping[str, Any]) -> dict[str, Any]:
    """Whole numbers as such, which a table with empty cells has as others."""
    given = {name: run[name] for name in ("benchmark", "neuron", "network")}
    numbers = {name: run[name] for name in ("channels", "size")}
    if run["benchmark"] not in BENCHMARKS:
        given["sensor"], numbers["classes"] = run["sensor"], run["classes"]
    return given | {of: None if pd.isna(n) else int(n) for of, n in numbers.items()}
