"""A study's tables with its layers named as figures name them."""

from functools import cache

import pandas as pd
import torch

from snnq.networks.models import build_model
from snnq.networks.names import layer_names
from snnq.quantization.levels import resolve_levels
from snnq.recordings.benchmarks import BENCHMARKS


def with_layer_names(rows: pd.DataFrame, runs: pd.DataFrame) -> pd.DataFrame:
    """Rows of a study's table with the names of `layer_names` for its layers, where the study's runs
    are of a benchmark, from which follows the network; others keep their modules' names.

    Parameters
    ----------
    rows : DataFrame
        With recordings and layer.
    runs : DataFrame
        Of the same study, with recordings, benchmark and network.
    """
    names = {
        run.recordings: _names(run.benchmark, run.network)
        for run in runs.drop_duplicates("recordings").itertuples()
        if run.benchmark in BENCHMARKS
    }
    layers = zip(rows["recordings"], rows["layer"])
    return rows.assign(layer=[names.get(of, {}).get(layer, layer) for of, layer in layers])


def own_levels(staircases: pd.DataFrame) -> list[tuple[float, ...]]:
    """Those of each row's layer; tables of before there was mixed precision have the network's."""
    if "layer_levels" in staircases:
        return list(staircases["layer_levels"])
    return [*map(resolve_levels, staircases["levels"])]


@cache
def _names(benchmark: str, network: str) -> dict[str, str]:
    with torch.device("meta"):  # without numbers
        return layer_names(build_model(benchmark, channels=1, network=network))
