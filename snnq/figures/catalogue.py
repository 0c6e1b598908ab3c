"""Every figure that is drawn from a study's tables, by name.

    snnq figures results/quick figures        # all of them
    draw("hard_and_soft", "results/quick")    # in a notebook

No figure here needs training, networks or recordings, and each is the same to the byte whenever it
is drawn from the same tables on the same machine.
"""

from collections.abc import Callable, Iterable
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from snnq.figures import deployment, epochs, quantizer, results
from snnq.figures.ablations import ablation
from snnq.figures.protocol import protocol
from snnq.figures.style import note, save, set_style
from snnq.quantization.rules import FULL
from snnq.study.comparisons import orders
from snnq.study.frontier import frontier_table
from snnq.study.gather import read_correct, read_gathered
from snnq.study.protocol import protocol_table
from snnq.study.tables import results_table

LEVEL_SETS = ("binary", "ternary", "2bit", "4bit")
BACKWARD_TEMPERATURE = 2.0  # the recipe's, see `config/quick.yaml`
ABLATION = "ablation_"


def draw(name: str, study: str | Path) -> Figure:
    """A figure of a study, with what it shows written below.

    Parameters
    ----------
    name : str
        One in `names(study)`.
    study : path
        Folder with the tables that `snnq.study.gather` and notebook 6 write.

    Raises
    ------
    ValueError
        No such figure, or no such ablation in the study.
    FileNotFoundError
        Its table is not there, or has no rows for it; says which command makes it.
    """
    set_style()
    if name.startswith(ABLATION):
        found = ablations(study)
        if name not in found:
            raise ValueError(f"name={name!r}: expected one of {', '.join(found)}")
        return _ablation(found[name])
    if name not in CATALOGUE:
        raise ValueError(f"name={name!r}: expected one of {', '.join(CATALOGUE)}, or {ABLATION}…")
    return CATALOGUE[name](Path(study))


def draw_all(study: str | Path, folder: str | Path) -> list[str]:
    """Save every figure whose table is there as PNG and PDF; returns their names.

    Those that cannot be drawn are named, in a line each.
    """
    drawn = []
    for name in names(study):
        try:
            figure = draw(name, study)
        except FileNotFoundError as error:
            print(f"{name}: not drawn; {error}")
            continue
        save(figure, folder, name)
        plt.close(figure)
        drawn.append(name)
    return drawn


def ablations(study: str | Path) -> dict[str, pd.DataFrame]:
    """The rows of each ablation of a study, by the name of its figure.

    Raises
    ------
    FileNotFoundError
        The study has no `ablations.csv`.
    """
    rows = read_gathered(study, "ablations")
    return {
        ABLATION + str(name).replace(",", "").replace(" ", "_"): group
        for name, group in rows.groupby("ablation", sort=False)
    }


def names(study: str | Path) -> Iterable[str]:
    yield from CATALOGUE
    try:
        yield from ablations(study)
    except FileNotFoundError as error:
        print(f"{ABLATION}…: not drawn; {error}")


def _rows(study: Path, table: str, quantized: bool = False) -> pd.DataFrame:
    """A table that has rows, those of full precision left out where they are not asked for."""
    rows = read_gathered(study, table)
    if quantized:
        rows = rows[rows["levels"] != FULL]
    if rows.empty:
        kind = "quantized runs" if quantized else "rows"
        raise FileNotFoundError(f"{study / table}.csv: no {kind} in it")
    return rows


def _of_results(
    figure: Callable[[pd.DataFrame], Figure], table: Callable[..., pd.DataFrame]
) -> Callable[[Path], Figure]:
    def drawn(study: Path) -> Figure:
        runs = _rows(study, "runs")
        found = table(runs, read_correct(study))
        return note(figure(found), results_caption(runs, "mean and 95 % CI"))

    return drawn


def results_caption(runs: pd.DataFrame, shown: str = "mean ± s.d.") -> str:
    """What is shown, and how many seeds and test samples are behind it."""
    tests = runs.groupby("recordings", sort=False)["test_recordings"].first()
    samples = (f"{recordings}: {count:,} test samples" for recordings, count in tests.items())
    counts = f"{runs['seed'].nunique()} seeds"
    if (in_each := orders(runs).nunique()) > 1:
        counts += f" with {in_each} orders of batches each"
    return "; ".join([f"{shown} over {counts}", *samples])


def _hard_and_soft(study: Path) -> Figure:
    histories = _rows(study, "histories", quantized=True)
    return note(epochs.hard_and_soft(histories), results_caption(_rows(study, "runs")))


def _weights_in_training(study: Path) -> Figure:
    histograms = _first(_rows(study, "histograms"))
    layers = histograms["layer"].unique()
    layer = layers[len(layers) // 2]
    figure = epochs.weights_in_training(histograms[histograms["layer"] == layer])
    return note(figure, f"{_run(histograms)}, the weights of {layer}")


def _weights_in_transition(study: Path) -> Figure:
    rows, runs = _rows(study, "transitions"), _rows(study, "runs")
    of_first = rows["recordings"].iloc[0]
    rows, runs = (table[table["recordings"] == of_first] for table in (rows, runs))
    widths = rows["channels"].unique()
    shown = "mean and range"
    if len(widths) > 2:
        shown = f"the narrowest and the widest of {len(widths)} widths, {shown}"
    rows = rows[rows["channels"].isin([widths.min(), widths.max()])]
    return note(epochs.weights_in_transition(rows), results_caption(runs, shown))


def _protocol(study: Path) -> Figure:
    figure = protocol(protocol_table(study))
    return note(figure, results_caption(_rows(study, "runs"), "mean and 95 % CI"))


def _trained_weights(study: Path) -> Figure:
    staircases, histograms = (_first(_rows(study, t)) for t in ("staircases", "histograms"))
    level_sets = staircases["levels"].unique()
    levels = "2bit" if "2bit" in level_sets else level_sets[0]
    staircases, histograms = (t[t["levels"] == levels] for t in (staircases, histograms))
    last = histograms[histograms["epoch"] == histograms["epoch"].max()]
    figure = quantizer.weights_on_staircase(staircases, last)
    return note(figure, f"{_run(staircases)}, {levels}")


def _first(rows: pd.DataFrame) -> pd.DataFrame:
    """Those of the study's first recordings, and of the narrowest networks."""
    rows = rows[rows["recordings"] == rows["recordings"].iloc[0]]
    return rows[rows["channels"] == rows["channels"].min()] if "channels" in rows else rows


def _run(rows: pd.DataFrame) -> str:
    width = f", {rows['channels'].iloc[0]} channels" if "channels" in rows else ""
    return f"{rows['recordings'].iloc[0]}{width}, seed {rows['seed'].iloc[0]}"


def _of_deployment(
    figure: Callable[[pd.DataFrame], Figure], table: str
) -> Callable[[Path], Figure]:
    def drawn(study: Path) -> Figure:
        rows = _rows(study, table)
        samples = f"{rows['test_recordings'].iloc[0]:,} test samples"
        return note(figure(rows), f"{_run(rows)}, {samples}")

    return drawn


def _against_operations(study: Path) -> Figure:
    rows = _rows(study, "operations")
    accuracy = f"accuracy: mean and 95 % CI over {rows['seeds'].max()} seeds"
    counted = f"operations of seed {rows['seed'].iloc[0]} over {rows['test_recordings'].iloc[0]:,} test samples"
    figure = results.accuracy_against_operations(rows)
    return note(figure, f"{rows['recordings'].iloc[0]}; {accuracy}; {counted}")


def _firing_distance(study: Path) -> Figure:
    rows = _rows(study, "fidelity")
    samples = f"{rows['test_recordings'].iloc[0]:,} test samples"
    runs = f"mean and range over {rows['seed'].nunique()} seeds"
    figure = deployment.firing_distance_by_layer(rows)
    return note(figure, f"{rows['recordings'].iloc[0]}, {samples}, {runs}")


def _ablation(rows: pd.DataFrame) -> Figure:
    seeds = f"{rows['seed'].nunique()} seeds"
    samples = f"{rows['test_recordings'].iloc[0]:,} test samples"
    return note(ablation(rows), f"{rows['recordings'].iloc[0]}, {samples}, {seeds}")


# What each needs is in the tables of `snnq.study.gather`; the first three need none.
CATALOGUE: dict[str, Callable[[Path], Figure]] = {
    "quantizer_staircase": lambda _: quantizer.staircases(LEVEL_SETS),
    "quantizer_slope": lambda _: quantizer.slopes(LEVEL_SETS, BACKWARD_TEMPERATURE),
    "quantizer_soft_to_hard": lambda _: quantizer.soft_to_hard(LEVEL_SETS),
    "quantizer_trained_weights": _trained_weights,
    "frontier": _of_results(results.frontier, frontier_table),
    "accuracy_against_bits": _of_results(results.accuracy_against_bits, results_table),
    "accuracy_against_operations": _against_operations,
    "hard_and_soft": _hard_and_soft,
    "weights_in_transition": _weights_in_transition,
    "weights_in_training": _weights_in_training,
    "protocol": _protocol,
    "bytes_by_layer": _of_deployment(deployment.bytes_by_layer, "costs"),
    "operations_by_layer": _of_deployment(deployment.operations_by_layer, "costs"),
    "accuracy_against_faults": _of_deployment(deployment.accuracy_against_faults, "faults"),
    "firing_distance_by_layer": _firing_distance,
}
