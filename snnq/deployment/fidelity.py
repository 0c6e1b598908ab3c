"""Whether a low-bit network fires as the full-precision one does, whatever its accuracy.

The earth mover's distance between two layers' firing rates, after E. G. Smith et al., "Quantization of
Spiking Neural Networks Beyond Accuracy" (arXiv 2604.14487): how far rates must move, on average over
neurons, until one layer's distribution is the other's.

A rate is a neuron's own, over all recordings and time steps. Rates of single recordings would be
multiples of 1/N_t, of which most are 0, and their distance would depend on the number of steps.
"""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd
from scipy.stats import wasserstein_distance
from torch import Tensor
from torch.utils.data import Dataset

from snnq.deployment.activity import neuron_rates
from snnq.quantization.rules import FULL
from snnq.storage.pack import unpack
from snnq.study.folders import runs_on
from snnq.study.tables import WIDTH, number_of_levels

REPEATS = ("seed", "order")  # what repeats a run, where the study has it
COLUMNS = (*WIDTH, "levels", "quantizer", *REPEATS, "differs_in")


def firing_distance(rates: Mapping[str, Tensor], reference: Mapping[str, Tensor]) -> pd.Series:
    """The earth mover's distance between two networks' firing rates, layer by layer.

    W₁ = ∫ abs(F(r) − F′(r)) dr, for the distributions F, F′ over a layer's neurons of the rates r

    It is at least the difference of the mean rates. A limit: which neuron has which rate does not
    count, so that it is 0 for the same neurons in another order. Networks from other first weights
    can therefore be compared, but neurons that change roles are not seen.

    Parameters
    ----------
    rates, reference : mappings
        Rates of each layer's neurons, of the same recordings: see `neuron_rates`.

    Returns
    -------
    pandas.Series
        By layer, in spikes per neuron and time step: from 0 to 1.

    Raises
    ------
    ValueError
        Other layers in the reference, or none.
    """
    if not rates or rates.keys() != reference.keys():
        found, expected = (", ".join(of) or "none" for of in (rates, reference))
        raise ValueError(
            f"rates of the layers {found}; expected those of the reference: {expected}"
        )
    distances = {
        layer: wasserstein_distance(of_layer.flatten(), reference[layer].flatten())
        for layer, of_layer in rates.items()
    }
    return pd.Series(distances, name="distance")


def firing_fidelity(study: str | Path, recordings: str, data: Dataset) -> pd.DataFrame:
    """The firing distance of each run of a study to full precision of its width, seed and order.

    And as a yardstick, that between two full-precision runs where nothing differs but the seed, or
    but the order of batches: how far training alone moves the rates.

    Parameters
    ----------
    study : path
        Folder of a study with its finished runs.
    recordings : str
        What its tables call them: "N-MNIST, real" say.
    data : Dataset
        Of these recordings: what the packed networks see.

    Returns
    -------
    pandas.DataFrame
        A row for each pair of runs and spiking layer: recordings, test_recordings, benchmark,
        channels, levels (as text), quantizer, seed, order (where the study has it), differs_in
        ("levels"; "seed" or "order" of a yardstick, each pair once), layer, rate and rate_full
        (the means over neurons) and distance (see `firing_distance`). Full precision first, and
        then the most levels; no rows where there is no pair.

    Raises
    ------
    FileNotFoundError
        The study has no `runs.csv`, or a run's packed network is not there.
    """
    runs = runs_on(study, recordings)
    most_first = {"key": lambda levels: -levels.map(number_of_levels), "kind": "stable"}
    runs = runs.sort_values("levels", **most_first)
    pairs = _pairs(runs.assign(levels=runs["levels"].map(str)))
    compared = runs[runs["name"].isin(pairs[["name", "name_full"]].stack())]
    rates = {run.name: neuron_rates(unpack(run.packed), data) for run in compared.itertuples()}
    known = [column for column in COLUMNS if column in pairs]
    tables = [
        _compared(rates[pair["name"]], rates[pair["name_full"]]).assign(**pair[known])
        for _, pair in pairs.iterrows()
    ]
    measured = ["layer", "rate", "rate_full", "distance"]
    table = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=measured)
    table = table.reindex(columns=[*known, *measured])
    table.insert(1, "test_recordings", len(data))
    return table


def _pairs(runs: pd.DataFrame) -> pd.DataFrame:
    """Each run beside the full-precision runs that it is compared with, the others' columns with
    `_full` behind their names."""
    repeats = [name for name in REPEATS if name in runs]
    full = runs.loc[runs["levels"] == FULL, [*WIDTH, "name", *repeats]]
    pairs = runs.merge(full, on=WIDTH, suffixes=("", "_full"))
    differs = pd.DataFrame({name: pairs[name] != pairs[f"{name}_full"] for name in repeats})
    is_full = pairs["levels"] == FULL
    pairs["differs_in"] = differs.idxmax(axis=1).where(is_full, "levels")
    once = (differs.sum(axis=1) == 1) & (pairs["name"] < pairs["name_full"])
    return pairs[once.where(is_full, ~differs.any(axis=1))]


def _compared(rates: Mapping[str, Tensor], reference: Mapping[str, Tensor]) -> pd.DataFrame:
    table = firing_distance(rates, reference).rename_axis("layer").reset_index()
    for column, network in (("rate", rates), ("rate_full", reference)):
        table[column] = [network[layer].mean().item() for layer in table["layer"]]
    return table
