"""What is left of accuracy on devices with faults, by how the networks were trained."""

import numpy as np
import pandas as pd

from snnq.study.intervals import Estimate, holm, paired_difference
from snnq.training.faults_setting import read_faults_setting

WITHOUT, BY_KNOWING = "without faults", "without faults, written by who knows them"
NETWORK = ["channels", "levels"]
FAULTS = ["stuck_at_0", "stuck_at_1", "variability"]
PULLED = {"qfalt": "QFALT", "nearest": "nearest level"}


def training_of(run: pd.Series) -> str:
    """How a run, a row of `read_runs`, met faults, in words."""
    faults = read_faults_setting(run.get("faults") if pd.notna(run.get("faults")) else None)
    if faults is None:
        return WITHOUT
    way = "known faults" if faults.way == "known" else f"unknown faults, others each {faults.way}"
    return f"{way}, {PULLED[run['quantizer']]}" if run["quantizer"] in PULLED else way


def devices_table(rows: pd.DataFrame) -> pd.DataFrame:
    """A row per network, faults and training: accuracies over devices and seeds, and what was lost.

    Parameters
    ----------
    rows : DataFrame
        A row per network and device: channels, levels, seed, training (see `training_of`), stuck_at_0,
        stuck_at_1, variability, device, accuracy, and `intact`, that of the network of the same width,
        levels and seed that was trained without faults, on a sound device. Accuracies are shares of 1.

    Returns
    -------
    pandas.DataFrame
        Those, with seeds and devices (how many); mean, worst and intact in percent; lost, the mean of
        intact − accuracy in points; and of others, where training without faults was evaluated on the same
        devices, share, lost as a share of what that training lost on them; beyond_half, the mean over
        seeds of lost − ½ of what that training lost, in points, with its 95 % confidence interval over
        seeds from low to high and its p-value (Student's, on the means of each seed), p_holm corrected
        for all of the same network and faults. Below 0, the loss is more than halved.
    """
    rows = rows.assign(lost=100 * (rows["intact"] - rows["accuracy"]))
    found = []
    for key, group in rows.groupby(NETWORK + FAULTS, sort=False):
        base = group[group["training"] == WITHOUT].set_index(["seed", "device"])["lost"]
        for training, own in group.groupby("training", sort=False):
            compared = base.iloc[:0] if training == WITHOUT else base
            found.append(dict(zip(NETWORK + FAULTS, key)) | {"training": training} | _row(own, compared))
    table = pd.DataFrame(found)
    return table.assign(p_holm=table.groupby(NETWORK + FAULTS)["p"].transform(holm))


def _row(own: pd.DataFrame, base: pd.Series) -> dict[str, float]:
    lost = own.set_index(["seed", "device"])["lost"]
    both = lost.index.intersection(base.index)
    halved = _beyond_half(lost[both], base[both])
    low, high = halved.interval()
    return {
        "seeds": own["seed"].nunique(),
        "devices": own["device"].nunique(),
        "mean": 100 * own["accuracy"].mean(),
        "worst": 100 * own["accuracy"].min(),
        "intact": 100 * own["intact"].mean(),
        "lost": lost.mean(),
        "share": lost[both].mean() / base[both].mean() if len(both) and base[both].mean() else np.nan,
        **{"beyond_half": halved.mean, "low": low, "high": high, "p": halved.p},
    }


def _beyond_half(lost: pd.Series, base: pd.Series) -> Estimate:
    """lost − base/2, a mean over devices for each seed."""
    if lost.empty:
        return Estimate(np.nan, 0)
    by_seed = (values.groupby("seed").mean() for values in (lost, base / 2))
    return paired_difference(*by_seed)
