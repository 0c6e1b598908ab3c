"""Your own study beside the reference."""

import itertools

import numpy as np
import pandas as pd
import pytest
from scipy.stats import t as student

from snnq.study.reproduction import compared


def runs(
    accuracies: dict[str, list[float]], recordings: str = "digits, simulated", channels: int = 16
) -> pd.DataFrame:
    rows = [
        {
            "recordings": recordings,
            "benchmark": "nmnist",
            "channels": channels,
            "levels": levels,
            "seed": seed,
            "last": one,
        }
        for levels, found in accuracies.items()
        for seed, one in enumerate(found)
    ]
    return pd.DataFrame(rows)


def test_equal_runs_agree():
    same = runs({"binary": [0.9], "full": [0.95]})
    table = compared(same, same)
    assert table["levels"].tolist() == ["full", "binary"]
    assert table["verdict"].tolist() == ["agrees", "agrees"]


def test_the_interval_is_students_with_a_pooled_deviation():
    yours = {"full": [0.96, 0.94, 0.95], "binary": [0.91, 0.93, 0.90]}
    theirs = {"full": [0.97, 0.95, 0.96], "binary": [0.80, 0.82, 0.81]}
    table = compared(runs(yours), runs(theirs)).set_index("levels")
    groups = [np.array(found) * 100 for found in (*yours.values(), *theirs.values())]
    freedom = 12 - 4
    pooled = np.sqrt(sum(((group - group.mean()) ** 2).sum() for group in groups) / freedom)
    half = student.ppf(1 - 0.05 / 2 / 2, freedom) * pooled * np.sqrt(2 / 3)
    for levels, verdict in (("full", "agrees"), ("binary", "differs")):
        row = table.loc[levels]
        difference = 100 * (np.mean(yours[levels]) - np.mean(theirs[levels]))
        assert row["difference"] == pytest.approx(difference)
        assert (row["low"], row["high"]) == pytest.approx((difference - half, difference + half))
        assert row["verdict"] == verdict


@pytest.mark.parametrize(
    ("yours", "theirs"),
    [
        ([0.9], [0.8]),  # one seed
        ([0.9, 0.9], [0.8, 0.8]),  # no spread at all
    ],
)
def test_no_verdict_without_a_spread(yours, theirs):
    (verdict,) = compared(runs({"full": yours}), runs({"full": theirs}))["verdict"]
    assert verdict == "undetermined"


def test_rows_of_one_study_alone_are_left_out():
    yours = pd.concat([runs({"full": [0.9, 0.91]}), runs({"full": [0.5, 0.6]}, "N-MNIST, real")])
    theirs = runs({"full": [0.9, 0.92], "binary": [0.8, 0.9]})
    table = compared(yours, theirs)
    assert table[["recordings", "levels"]].to_numpy().tolist() == [["digits, simulated", "full"]]


def test_studies_of_nothing_in_common():
    assert compared(runs({"full": [0.9]}), runs({"binary": [0.9]})).empty


def test_equal_networks_hardly_ever_differ():
    """Over many studies of one truth, some row of seven differs in about 5 % of them."""
    rng = np.random.default_rng(0)
    levels = ["full", "4bit", "3bit", "2bit", "ternary", "binary", "pm2"]
    differing = 0
    for _ in range(40):
        drawn = [
            runs({name: list(rng.normal(0.95, 0.01, 3)) for name in levels}) for _ in range(2)
        ]
        differing += (compared(*drawn)["verdict"] == "differs").any()
    assert differing <= 6  # of 40; binomial with 5 %: 2, s.d. 1.4


def test_every_verdict_is_one_of_three():
    values = ([0.9, 0.9], [0.8, 0.8], [0.9, 0.8], [0.1, 0.2])
    found = {
        compared(runs({"full": a}), runs({"full": b}))["verdict"].iloc[0]
        for a, b in itertools.product(values, values)
    }
    assert found == {"agrees", "differs", "undetermined"}


def test_widths_are_rows_of_their_own():
    narrow, wide = (runs({"full": [0.9, 0.91]}, channels=channels) for channels in (4, 8))
    theirs = pd.concat([narrow.assign(last=narrow["last"] - 0.5), wide])
    table = compared(pd.concat([wide, narrow]), theirs)
    assert table["channels"].tolist() == [4, 8]
    assert table["verdict"].tolist() == ["differs", "agrees"]


def test_orders_of_batches_are_no_more_seeds():
    yours, theirs = runs({"full": [0.9, 0.92]}), runs({"full": [0.89, 0.93]})
    twice = [pd.concat([found, found.assign(order=1)]) for found in (yours, theirs)]
    pd.testing.assert_frame_equal(compared(*twice), compared(yours, theirs))
