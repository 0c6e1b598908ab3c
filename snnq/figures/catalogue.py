"""Every figure that is drawn from a study's tables, by name.

    snnq figures results/quick figures        # all of them
    show("hard_and_soft", "results/quick")    # in a notebook

No figure here needs training, networks or recordings, and each is the same to the byte whenever it
is drawn from the same tables on the same machine.
"""

import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from snnq.figures import captioned, deployment, epochs, quantizer, results
from snnq.figures.ablations import ablation
from snnq.figures.captioned import INTERVALS
from snnq.figures.captions import ABLATION, whole
from snnq.figures.protocol import protocol
from snnq.figures.source import either, results_caption, rows_of, run_caption
from snnq.figures.style import note, save, set_style
from snnq.study.comparisons import Correct
from snnq.study.frontier import ahead_from, frontier_table
from snnq.study.gather import read_gathered
from snnq.study.predictions import read_correct
from snnq.study.protocol import ablations_of_protocol, protocol_table
from snnq.study.tables import results_table
from snnq.system.files import write_atomically

LEVEL_SETS = ("binary", "ternary", "2bit", "4bit")
CAPTIONS = "captions.md"
SECTION = re.compile(r"!\[(.+)\]\(.+\)\n\n(.+)\n")  # of it: a figure and its caption


def draw(name: str, study: str | Path) -> Figure:
    """A figure of a study, with its caption, see `note`.

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
    figure = _drawn_by(name, study)(Path(study))
    return note(figure, whole(name, figure.get_label()))


def show(name: str, study: str | Path) -> Figure | None:
    """A figure as `draw` draws it, or a line that says which table it lacks."""
    try:
        return draw(name, study)
    except FileNotFoundError as error:
        print(f"{name}: not drawn; {error}")
        return None


def caption(name: str, study: str | Path) -> str:
    """What belongs below a figure: what it shows, of which recordings, over how many seeds and test
    samples. Arguments and errors are those of `draw`."""
    figure = draw(name, study)
    plt.close(figure)
    return figure.get_label()


def draw_all(study: str | Path, folder: str | Path, chosen: Sequence[str] = ()) -> list[str]:
    """Save every figure whose table is there as PNG and PDF, and their captions in `captions.md`;
    returns their names. Or only those that are chosen by name, see `draw`; captions of others stay.

    Those that cannot be drawn are named, in a line each.
    """
    path = Path(folder, CAPTIONS)
    for name in chosen:
        with suppress(FileNotFoundError):  # which a line will tell
            _drawn_by(name, study)
    before = dict(SECTION.findall(path.read_text())) if chosen and path.exists() else {}
    captions = {}
    for name in chosen or names(study):
        figure = show(name, study)
        if figure is None:
            continue
        save(figure, folder, name)
        plt.close(figure)
        captions[name] = figure.get_label()
    texts = before | captions
    sections = (f"![{name}]({name}.png)\n\n{text}\n" for name, text in texts.items())
    write_atomically(path, lambda partial: partial.write_text("\n".join(sections)))
    return list(captions)


def ablations(study: str | Path) -> dict[str, pd.DataFrame]:
    """The rows of each ablation of a study that compares something, by the name of its figure.

    Raises
    ------
    FileNotFoundError
        The study has no `ablations.csv`.
    """
    rows = read_gathered(study, "ablations")
    return {
        ABLATION + str(name).replace(",", "").replace(" ", "_"): group
        for name, group in rows.groupby("ablation", sort=False)
        if group["change"].nunique() > 1
    }


def names(study: str | Path) -> list[str]:
    """Of every figure of a study: those that need no ablations, and one for each of its ablations; says
    where it has none."""
    try:
        return [*CATALOGUE, *ablations(study)]
    except FileNotFoundError as error:
        print(f"{ABLATION}…: not drawn; {error}")
        return [*CATALOGUE]


def _drawn_by(name: str, study: str | Path) -> Callable[[Path], Figure]:
    """What draws a figure; raises as `draw`."""
    if name.startswith(ABLATION):
        found = ablations(study)
        if name not in found:
            raise ValueError(f"name={name!r}: expected one of {', '.join(found)}")
        return lambda study: _ablation(found[name], read_correct(study))
    if name not in CATALOGUE:
        raise ValueError(f"name={name!r}: expected one of {', '.join(CATALOGUE)}, or {ABLATION}…")
    return CATALOGUE[name]


def _frontier(study: Path) -> Figure:
    runs = rows_of(study, "runs")
    table = frontier_table(runs, read_correct(study))
    rings = [
        f"Ring: on {row.recordings}, {row.levels} is ahead at equal bytes, or more, from {row.channels}"
        f" channels on ({row.bytes / 1000:.3g} kB)."
        for row in ahead_from(table).itertuples()
    ]
    return note(results.frontier(table), " ".join([f"{results_caption(runs, INTERVALS)}.", *rings]))


def _accuracy_against_bits(study: Path) -> Figure:
    runs = rows_of(study, "runs")
    figure = results.accuracy_against_bits(results_table(runs, read_correct(study)))
    return note(figure, results_caption(runs, INTERVALS))


def _slopes(study: Path) -> Figure:
    backward = rows_of(study, "runs", quantized=True)["backward_temperature"].iloc[0]
    if pd.isna(backward):
        return quantizer.slopes(LEVEL_SETS, None)
    figure = quantizer.slopes(LEVEL_SETS, backward)
    return note(figure, f"Dashed: the slope in training at any temperature, at T' = {backward:g}")


def _hard_and_soft(study: Path) -> Figure:
    histories = rows_of(study, "histories", quantized=True)
    return note(epochs.hard_and_soft(histories), results_caption(rows_of(study, "runs")))


def _weights_in_training(study: Path) -> Figure:
    histograms, staircases = (_first(rows_of(study, t)) for t in ("histograms", "staircases"))
    return note(epochs.weights_in_training(histograms, staircases), run_caption(histograms))


def _weights_in_transition(study: Path) -> Figure:
    rows, runs = rows_of(study, "transitions"), rows_of(study, "runs")
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
    runs = pd.concat([rows_of(study, "runs"), ablations_of_protocol(study)])
    return note(figure, results_caption(runs, INTERVALS))


def _trained_weights(study: Path) -> Figure:
    staircases, histograms = (_first(rows_of(study, t)) for t in ("staircases", "histograms"))
    level_sets = staircases["levels"].unique()
    levels = "2bit" if "2bit" in level_sets else level_sets[0]
    staircases, histograms = (t[t["levels"] == levels] for t in (staircases, histograms))
    last = histograms[histograms["epoch"] == histograms["epoch"].max()]
    figure = quantizer.weights_on_staircase(staircases, last)
    return note(figure, f"{run_caption(staircases)}, {levels}")


def _first(rows: pd.DataFrame) -> pd.DataFrame:
    """Those of the study's first recordings, and of the narrowest networks."""
    rows = rows[rows["recordings"] == rows["recordings"].iloc[0]]
    return rows[rows["channels"] == rows["channels"].min()] if "channels" in rows else rows


def _ablation(rows: pd.DataFrame, correct: Correct) -> Figure:
    seeds = f"{rows['seed'].nunique()} seeds"
    samples = f"{either(rows['test_recordings'])} test samples"
    figure = ablation(rows, correct)
    return note(figure, f"{rows['ablation'].iloc[0]}: {rows['recordings'].iloc[0]}, {samples}, {seeds}")


# What each needs is in the tables of `snnq.study.gather`; two of the first need none.
CATALOGUE: dict[str, Callable[[Path], Figure]] = {
    "quantizer_staircase": lambda _: quantizer.staircases(LEVEL_SETS),
    "quantizer_slope": _slopes,
    "quantizer_soft_to_hard": lambda _: quantizer.soft_to_hard(LEVEL_SETS),
    "quantizer_trained_weights": _trained_weights,
    "frontier": _frontier,
    "accuracy_against_bits": _accuracy_against_bits,
    "accuracy_against_operations": captioned.accuracy_against_operations,
    "hard_and_soft": _hard_and_soft,
    "weights_in_transition": _weights_in_transition,
    "weights_in_training": _weights_in_training,
    "protocol": _protocol,
    "bytes_by_layer": captioned.of_deployment(deployment.bytes_by_layer, "costs"),
    "operations_by_layer": captioned.of_deployment(deployment.operations_by_layer, "costs"),
    "accuracy_against_faults": captioned.accuracy_against_faults,
    "firing_distance_by_layer": captioned.firing_distance_by_layer,
    "accuracy_by_epoch": captioned.accuracy_by_epoch,
    "difference_beside_published": captioned.difference_beside_published,
    "accuracy_beside_published": captioned.accuracy_beside_published,
    "confusions": captioned.confusions,
    "weights_on_levels": captioned.weights_on_levels,
    "scales_by_epoch": captioned.scales_by_epoch,
    "network": captioned.network,
    "spikes_and_membranes": captioned.spikes_and_membranes,
}
