"""What the networks of a study take to reach their accuracy: operations and energy, by width."""

from pathlib import Path

import pandas as pd
from torch.utils.data import Dataset

from snnq.deployment.operations import operations
from snnq.storage.pack import unpack
from snnq.study.gather import read_correct, read_gathered
from snnq.study.tables import WIDTH, results_table
from snnq.training.record import PACKED

REACHED = {"last_mean": "mean", "last_low": "mean_low", "last_high": "mean_high", "seeds": "seeds"}
COUNTED = ["dense", "synops", "effective", "nanojoules"]


def operations_of_runs(study: str | Path, benchmark: str, data: Dataset) -> pd.DataFrame:
    """Synaptic operations and energy of a study's networks of each width, of its first seed and order.

    Parameters
    ----------
    study : path
        Folder of a study with its finished runs.
    benchmark : str
    data : Dataset
        Of the benchmark: what the packed networks see.

    Returns
    -------
    pandas.DataFrame
        A row per network: recordings, test_recordings, benchmark, channels, levels (as text), seed; the
        sums over layers of dense, synops, effective and nanojoules, per recording, see
        `operations`; and how many seeds reach which accuracy after the last epoch in percent, mean and
        mean_low to mean_high, its 95 % confidence interval.

    Raises
    ------
    FileNotFoundError
        The study has no `runs.csv`, or a run's packed network is not there.
    """
    runs = read_gathered(study, "runs")
    runs = runs[runs["benchmark"] == benchmark]
    kind = [*WIDTH, "levels"]
    reached = results_table(runs, read_correct(study))[[*kind, *REACHED]].rename(columns=REACHED)
    first = (runs["seed"] == runs["seed"].min()) & (runs["order"] == runs["order"].min())
    runs = runs.loc[first, [*kind, "seed", "name"]]
    networks = [unpack(Path(study, "runs", name, PACKED)) for name in runs.pop("name")]
    counts = [operations(network, data)[COUNTED].sum() for network in networks]
    table = runs.join(pd.DataFrame(counts, runs.index))
    for rows in (table, reached):
        rows["levels"] = rows["levels"].map(str)
    table = reached.merge(table, on=kind)
    table.insert(1, "test_recordings", len(data))
    return table
