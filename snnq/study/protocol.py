"""What the protocol is worth: how many points the choice of epoch, the split and the augmentation
bring, with the same network and the same weights.

Published accuracies differ in all three; where these bring more than a method does, the
accuracies of two papers cannot be compared.
"""

from pathlib import Path

import pandas as pd

from snnq.study.gather import read_gathered
from snnq.study.predictions import read_correct
from snnq.study.tables import ablation_table, networks

EPOCH = "choice of epoch"
CHOICES = {"last": "the last", "validation": "best on validation", "best": "best on the test"}
ABLATIONS = ("split", "augmentation")


def protocol_table(study: str | Path) -> pd.DataFrame:
    """A row per part of the protocol, network and choice, against the first choice.

    The epoch whose accuracy is reported is chosen in the ways of
    `snnq.training.record.accuracies`, on the same runs; their intervals are of the seeds alone,
    since test predictions are kept of the last epoch. The split and the augmentation are those of
    the study's ablations of these names, where it has them, after the last epoch.

    Parameters
    ----------
    study : path
        Folder with the tables that `snnq.study.gather` writes.

    Returns
    -------
    pandas.DataFrame
        recordings; part ("choice of epoch", "split", "augmentation"), channels, levels, choice,
        seeds, runs; in percent mean and sd over runs; and the columns of `with_comparisons`, for
        the difference to the part's first choice, paired by seed and order, where a part's belong
        together. A choice that no run has, as that on validation without such a split, has no row.

    Raises
    ------
    FileNotFoundError
        The study has no `runs.csv`; says which command makes it.
    """
    epochs = ablation_table(_by_choice(read_gathered(study, "runs")))
    ablations = ablations_of_protocol(study)
    others = [] if ablations.empty else [ablation_table(ablations, read_correct(study))]
    table = pd.concat([epochs, *others], ignore_index=True).drop(columns="validation_mean")
    return table.rename(columns={"ablation": "part", "change": "choice"})


def _by_choice(runs: pd.DataFrame) -> pd.DataFrame:
    """The choice of epoch as if it were an ablation: the runs once for each."""
    runs = pd.concat([group for _, group in networks(runs)])  # in the order of tables
    chosen = [runs.assign(change=name, last=runs[way]) for way, name in CHOICES.items()]
    return pd.concat(chosen).assign(ablation=EPOCH).dropna(subset="last")


def ablations_of_protocol(study: str | Path) -> pd.DataFrame:
    """The rows of a study's ablations that are of the protocol; none where it has none."""
    try:
        rows = read_gathered(study, "ablations")
    except FileNotFoundError:
        return pd.DataFrame()
    return rows[rows["ablation"].isin(ABLATIONS)]
