"""What the networks of a study take to reach their accuracy: operations and energy, by width."""

from pathlib import Path

import pandas as pd
from torch.utils.data import Dataset

from snnq.deployment.operations import operations
from snnq.storage.pack import unpack
from snnq.study.folders import runs_on
from snnq.study.gather import one_of_each
from snnq.study.predictions import read_correct
from snnq.study.tables import NETWORK, results_table

REACHED = {"last_mean": "mean", "last_low": "mean_low", "last_high": "mean_high", "seeds": "seeds"}
COUNTED = ["dense", "synops", "effective", "nanojoules"]


def operations_of_runs(study: str | Path, recordings: str, data: Dataset) -> pd.DataFrame:
    """Synaptic operations and energy of a study's networks of each width, each of its first seed and order.

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
        A row per network: recordings, test_recordings, benchmark, channels, levels (as text), seed; the
        sums over layers of dense, synops, effective and nanojoules, per recording, see
        `operations`; and how many seeds reach which accuracy after the last epoch in percent, mean and
        mean_low to mean_high, its 95 % confidence interval.

    Raises
    ------
    FileNotFoundError
        The study has no `runs.csv`, or a run's packed network is not there.
    """
    runs = runs_on(study, recordings)
    reached = results_table(runs, read_correct(study))[[*NETWORK, *REACHED]].rename(columns=REACHED)
    runs = one_of_each(runs, widest=False)[[*NETWORK, "seed", "packed"]]
    counts = [operations(unpack(path), data)[COUNTED].sum() for path in runs.pop("packed")]
    table = runs.join(pd.DataFrame(counts, runs.index))
    for rows in (table, reached):
        rows["levels"] = rows["levels"].map(str)
    table = reached.merge(table, on=NETWORK)
    table.insert(1, "test_recordings", len(data))
    return table
