"""The table and the figure of networks on devices with faults."""

from dataclasses import asdict

import numpy as np
import pandas as pd
import pytest
from conftest import PROJECT
from scipy import stats

from snnq.figures.devices import accuracy_on_devices
from snnq.study.devices import BY_KNOWING, WITHOUT, devices_table, training_of
from snnq.study.forecast import read_profiles
from snnq.study.profile import plan


def rows(levels=("3bit", "binary"), seeds=(0, 1, 2)):
    """Of two trainings, the second on the first two devices alone."""
    rng = np.random.default_rng(0)
    found = []
    for of in levels:
        for seed in seeds:
            intact = 0.95 + 0.01 * rng.random()
            for training, devices, loss in ((WITHOUT, 4, 0.5), ("known faults", 2, 0.1)):
                for device in range(devices):
                    accuracy = intact - loss * (1 + 0.2 * rng.random())
                    own = {"channels": 8, "levels": of, "seed": seed, "training": training}
                    own |= {"stuck_at_0": 0.1, "stuck_at_1": 0.0, "variability": 0.0}
                    found.append(own | {"device": device, "accuracy": accuracy, "intact": intact})
    return pd.DataFrame(found)


def test_losses_are_of_the_same_devices_and_seeds():
    given = rows()
    table = devices_table(given).set_index(["levels", "training"])
    assert table.loc[("3bit", WITHOUT), ["seeds", "devices"]].tolist() == [3, 4]
    known = table.loc[("3bit", "known faults")]
    wide = given[given["levels"] == "3bit"].assign(lost=lambda t: 100 * (t["intact"] - t["accuracy"]))
    wide = wide.pivot_table("lost", ["seed", "device"], "training").dropna()
    assert len(wide) == 6
    assert known["share"] == pytest.approx(wide["known faults"].mean() / wide[WITHOUT].mean())
    by_seed = (wide["known faults"] - wide[WITHOUT] / 2).groupby("seed").mean()
    assert known["beyond_half"] == pytest.approx(by_seed.mean())
    tested = stats.ttest_1samp(by_seed, 0)
    low, high = tested.confidence_interval()
    assert [known["low"], known["high"], known["p"]] == pytest.approx([low, high, tested.pvalue])
    worst = given[(given["levels"] == "3bit") & (given["training"] == "known faults")]["accuracy"]
    assert [known["mean"], known["worst"]] == pytest.approx([100 * worst.mean(), 100 * worst.min()])
    assert table[["share", "beyond_half", "p_holm"]].xs(WITHOUT, level=1).isna().all(axis=None)
    assert known["p_holm"] == pytest.approx(tested.pvalue)  # the only one of its network


def test_trainings_of_a_network_are_corrected_for_together():
    given = rows()
    more = given[given["training"] == "known faults"]
    given = pd.concat([given, more.assign(training="others", accuracy=more["accuracy"] - 0.001)])
    table = devices_table(given).dropna(subset="p")
    for _, group in table.groupby("levels"):
        assert group["p_holm"].min() == pytest.approx(2 * group["p"].min())


def test_one_seed_and_no_base_leave_the_interval_open():
    table = devices_table(rows(seeds=(0,)))
    assert table["low"].isna().all() and table["share"].count() == 2
    alone = rows()
    table = devices_table(alone[alone["training"] != WITHOUT])
    assert table[["share", "beyond_half", "p"]].isna().all(axis=None)


def test_trainings_are_told_apart_in_words():
    told = {
        (None, "sigmoid"): WITHOUT,
        (np.nan, "sigmoid"): WITHOUT,
        ("known, stuck_at_0=0.1", "sigmoid"): "known faults",
        ("known, stuck_at_0=0.1", "qfalt"): "known faults, QFALT",
        ("step, stuck_at_0=0.1", "sigmoid"): "unknown faults, others each step",
    }
    for (faults, quantizer), words in told.items():
        assert training_of(pd.Series({"faults": faults, "quantizer": quantizer})) == words
    assert training_of(pd.Series({"quantizer": "sigmoid"})) == WITHOUT  # of before there were faults


def test_the_figure_has_a_panel_for_each_network_and_both_lines():
    table = devices_table(rows())
    figure = accuracy_on_devices(table)
    panels = {axis.get_title(): axis for axis in figure.axes if axis.axison}
    assert list(panels) == ["3bit", "binary"]
    assert panels["3bit"].get_ylabel() == "8 channels, accuracy (%)"
    own = table[table["levels"] == "binary"].set_index("training")
    lines = panels["binary"].lines[1:]
    drawn = [line.get_ydata()[0] for line in lines]
    expected = [own.loc[training, way] for training in sorted(own.index) for way in ("mean", "worst")]
    assert drawn == pytest.approx(expected) and BY_KNOWING not in own.index


def test_the_profiles_have_five_devices_for_each_seed():
    names = ["faults", "faults_rates"]
    study = plan(read_profiles([PROJECT / f"config/{name}.yaml" for name in names[:1]]))
    runs = pd.DataFrame([asdict(run) for run in study.all_runs.values()])
    runs = runs[runs["levels"] != "full"]
    runs["training"] = [training_of(run) for _, run in runs.iterrows()]
    counts = runs.groupby(["levels", "training"]).size().unstack()
    assert counts[WITHOUT].to_dict() == {"4bit": 3, "3bit": 5, "2bit": 3, "ternary": 3, "binary": 3}
    known = counts.filter(regex="^known faults").loc[["3bit", "4bit"]]
    assert known.shape == (2, 3) and known.eq(5 * counts[WITHOUT].loc[known.index], axis=0).all(axis=None)
    with_rates = plan(read_profiles([PROJECT / f"config/{name}.yaml" for name in names]))
    assert study.all_runs.keys() < with_rates.all_runs.keys()
    assert {run.levels for run in with_rates.all_runs.values()} >= {"binary", "ternary", "2bit"}
