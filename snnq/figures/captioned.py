"""Figures of a study's folder with their captions: what each reads, and of what it is.

As `catalogue.py` draws them by name; raises FileNotFoundError where there is nothing to draw from.
"""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from snnq.figures import confusions as confusion_figures
from snnq.figures import curves, deployment, latent, published, results, spiking
from snnq.figures import network as network_figures
from snnq.figures.source import results_caption, rows_of, run_caption, seed_caption
from snnq.figures.style import note
from snnq.recordings.benchmarks import BENCHMARKS
from snnq.study.folders import REFERENCE
from snnq.study.gather import widest_networks
from snnq.study.predictions import read_correct, read_predictions
from snnq.study.tables import number_of_levels, results_table

PUBLISHED = REFERENCE / "published.csv"
INTERVALS = "mean and 95 % confidence interval"


def accuracy_by_epoch(study: Path) -> Figure:
    figure = curves.accuracy_by_epoch(rows_of(study, "histories"))
    return note(figure, f"hard weights, {results_caption(rows_of(study, 'runs'))}")


def scales_by_epoch(study: Path) -> Figure:
    """Of the widest networks of the study's first recordings."""
    rows = rows_of(study, "transitions")
    if "alpha" not in rows or rows["alpha"].isna().all():
        path = study / "transitions.csv"
        raise FileNotFoundError(f"{path}: no α and β in it: its runs were trained before these were recorded")
    rows = _widest(rows.dropna(subset="alpha"))
    of = f"{_named(rows)}; mean and range over {rows['seed'].nunique()} seeds"
    return note(curves.scales_by_epoch(rows), of)


def weights_on_levels(study: Path) -> Figure:
    """Of the middle layer of the widest networks."""
    staircases, histograms = (_widest(rows_of(study, name)) for name in ("staircases", "histograms"))
    if "shares" not in staircases:
        raise FileNotFoundError(f"{study / 'staircases.csv'}: no shares in it; `snnq gather` adds them")
    layers = list(dict.fromkeys(staircases["layer"]))
    layer = layers[len(layers) // 2]
    staircases, histograms = (rows[rows["layer"] == layer] for rows in (staircases, histograms))
    runs = rows_of(study, "runs", quantized=True)
    temperature = runs.loc[runs["benchmark"] == staircases["benchmark"].iloc[0], "temperature_initial"]
    figure = latent.weights_on_levels(staircases, histograms, temperature.iloc[0])
    of = f"{run_caption(staircases)}, the weights of {layer}"
    return note(figure, f"{of}; soft at T = {temperature.iloc[0]:g} before, hard after")


def difference_beside_published(study: Path) -> Figure:
    rows = published.differences(_results(study), _published())
    return _beside_published(published.difference_beside_published(rows), study, rows)


def accuracy_beside_published(study: Path) -> Figure:
    rows = published.accuracies(_results(study), _published())
    return _beside_published(published.accuracy_beside_published(rows), study, rows)


def confusions(study: Path) -> Figure:
    """Of full precision and the fewest levels, in the narrowest networks of the study's first
    recordings."""
    runs = rows_of(study, "runs")
    runs = runs[runs["recordings"] == runs["recordings"].iloc[0]]
    runs = runs[runs["channels"] == runs["channels"].min()]
    found = read_predictions(study)
    runs = runs[runs["name"].isin(found)]
    level_sets = sorted(runs["levels"].unique(), key=number_of_levels, reverse=True)
    if len(level_sets) < 2:
        raise FileNotFoundError(f"{study}: no predictions of two level sets")
    few = {levels: runs[[one == levels for one in runs["levels"]]] for levels in level_sets[:: len(level_sets) - 1]}
    predicted = {str(levels): [found[name][0] for name in of["name"]] for levels, of in few.items()}
    label = found[runs["name"].iloc[0]][1]
    of_benchmark = BENCHMARKS.get(runs["benchmark"].iloc[0])
    classes = of_benchmark.classes if of_benchmark else [str(place) for place in range(label.max() + 1)]
    figure = confusion_figures.confusions(label, predicted, classes)
    seeds = f"mean over {runs['seed'].nunique()} seeds"
    return note(figure, f"{_named(runs)}, {len(label):,} test samples, {seeds}")


def network(study: Path) -> Figure:
    """Of the fewest levels."""
    rows = rows_of(study, "layers")
    levels = rows["weights_of"].iloc[-1]
    rows = rows[rows["weights_of"] == levels]
    return note(network_figures.network(rows), f"{rows['recordings'].iloc[0]}, {levels} weights")


def spikes_and_membranes(study: Path) -> Figure:
    rows = rows_of(study, "traces")
    first = rows.iloc[0]
    of = f"{first['recordings']}, seed {first['seed']}, one test sample of class {first['label']}"
    drawn = "some of each layer's neurons that fire in either network; rate: of all, per time step"
    return note(spiking.spikes_and_membranes(rows), f"{of}; {drawn}")


def of_deployment(
    figure: Callable[[pd.DataFrame], Figure], table: str
) -> Callable[[Path], Figure]:
    def drawn(study: Path) -> Figure:
        rows = rows_of(study, table)
        return note(figure(rows), _samples(rows))

    return drawn


def accuracy_against_faults(study: Path) -> Figure:
    faults, costs = rows_of(study, "faults"), rows_of(study, "costs")
    return note(deployment.accuracy_against_faults(faults, costs), _samples(faults))


def accuracy_against_operations(study: Path) -> Figure:
    rows = rows_of(study, "operations")
    accuracy = f"accuracy: {INTERVALS} over {rows['seeds'].max()} seeds"
    counted = f"operations of {seed_caption(rows)} over {rows['test_recordings'].iloc[0]:,} test samples"
    figure = results.accuracy_against_operations(rows)
    return note(figure, f"{rows['recordings'].iloc[0]}; {accuracy}; {counted}")


def firing_distance_by_layer(study: Path) -> Figure:
    rows = rows_of(study, "fidelity")
    samples = f"{rows['test_recordings'].iloc[0]:,} test samples"
    runs = f"mean and range over {rows['seed'].nunique()} seeds"
    figure = deployment.firing_distance_by_layer(rows)
    return note(figure, f"{rows['recordings'].iloc[0]}, {samples}, {runs}")


def _widest(rows: pd.DataFrame) -> pd.DataFrame:
    """Those of the study's first recordings, and of the widest networks."""
    return widest_networks(rows[rows["recordings"] == rows["recordings"].iloc[0]])


def _named(rows: pd.DataFrame) -> str:
    return f"{rows['recordings'].iloc[0]}, {rows['channels'].iloc[0]} channels"


def _samples(rows: pd.DataFrame) -> str:
    return f"{run_caption(rows)}, {rows['test_recordings'].iloc[0]:,} test samples"


def _results(study: Path) -> pd.DataFrame:
    return results_table(rows_of(study, "runs"), read_correct(study))


def _published() -> pd.DataFrame:
    if not PUBLISHED.exists():
        raise FileNotFoundError(f"{PUBLISHED}: not there; it is read from the project's root")
    return pd.read_csv(PUBLISHED)


def _beside_published(figure: Figure, study: Path, rows: pd.DataFrame) -> Figure:
    ours = results_caption(rows_of(study, "runs"), "mean and 95 % CI")
    of = f"this study's widest networks with every level set, {ours}"
    return note(figure, f"{of}; scales differ; {published.remarks(rows)}")
