"""A study's accuracies beside published ones."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from conftest import PROJECT
from scipy.stats import binomtest

from snnq.figures import published
from snnq.recordings.benchmarks import BENCHMARKS


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


@pytest.fixture
def others() -> pd.DataFrame:
    return pd.read_csv(PROJECT / "results/reference/published.csv")


@pytest.fixture
def ours() -> pd.DataFrame:
    """Simulated digits of two widths, and real gestures."""
    rows = [
        ("nmnist", True, 2, "binary", 50.0, -20.0),
        ("nmnist", True, 16, "full", 95.0, 0.0),
        ("nmnist", True, 16, "binary", 94.0, -1.0),
        ("dvsgesture", False, 8, (-2, 0, 1), 90.0, -2.0),
    ]
    names = ["benchmark", "simulated", "channels", "levels", "last_mean", "difference"]
    table = pd.DataFrame(rows, columns=names)
    ends = {"difference_low": -3.0, "difference_high": 1.5, "last_low": 89.0, "last_high": 96.0}
    return table.assign(recordings=table["benchmark"], **ends)


def test_differences_are_what_a_source_states_or_those_of_its_method(ours, others):
    rows = published.differences(ours, others)
    assert list(dict.fromkeys(rows["benchmark"])) == list(BENCHMARKS)
    found = rows.set_index(["benchmark", "name", "levels"])["value"].to_dict()
    paper = {of: found[of, "differentiable quantizer", "binary"] for of in BENCHMARKS}
    stated = {"nmnist": -0.10, "dvsgesture": -1.14, "cifar10dvs": -5.60, "ncaltech101": -2.47}
    assert paper == pytest.approx(stated)  # 99.43 − 99.53, ...
    assert found["cifar10dvs", "T-BSO", "binary"] == 7.1
    assert found["nmnist", "this study, 16 channels", "binary"] == -1
    assert found["dvsgesture", "this study, 8 channels", "(-2, 0, 1)"] == -2
    assert "full" not in set(rows["levels"]) and not rows["name"].str.contains("2 channels").any()
    assert "this study, 16 channels" == rows[rows["benchmark"] == "nmnist"]["name"].iloc[-1]


def test_no_difference_to_the_full_precision_of_another_method(ours, others):
    """PLIF networks' full precision is nobody else's; two of one method are ambiguous."""
    alone = others[others["method"].isin(["PLIF network", "QP-SNN"])]
    low_bit = alone.iloc[[0]].assign(levels="binary", accuracy=90.0)
    rows = published.differences(ours, pd.concat([alone, low_bit]))
    assert (rows["kind"] != published.PUBLISHED).all()


def test_intervals_of_others_are_wilsons_for_their_test_samples(ours, others):
    rows = published.accuracies(ours, others)
    gestures = rows[(rows["benchmark"] == "dvsgesture") & (rows["value"] == 95.45)].iloc[0]
    low, high = binomtest(252, 264).proportion_ci(method="wilson")
    assert (gestures["low"], gestures["high"]) == pytest.approx((100 * low, 100 * high))
    unknown = rows[rows["name"] == "SpikeHQ"]
    assert len(unknown) == 3 and unknown[["low", "high"]].isna().all(axis=None)
    mine = rows[rows["name"] == "this study, 16 channels"]
    assert mine[["value", "low", "high"]].to_numpy().tolist() == [[95, 89, 96], [94, 89, 96]]


def test_what_is_simulated_is_hatched_or_hollow_and_said(ours, others):
    for table, draw in (
        (published.differences, published.difference_beside_published),
        (published.accuracies, published.accuracy_beside_published),
    ):
        rows = table(ours, others)
        figure = draw(rows)
        titles = [axis.get_title() for axis in figure.axes]
        assert titles == [BENCHMARKS[name].title for name in dict.fromkeys(rows["benchmark"])]
        digits, gestures = figure.axes[:2]
        labels = [[text.get_text() for text in axis.get_yticklabels()] for axis in (digits, gestures)]
        text = published.remarks(rows)
        number = labels[0][-1].removeprefix("this study, 16 channels ")
        assert f"{number} {published.NOT_THE_BENCHMARK}" in text
        assert labels[1][-1] == "this study, 8 channels, (-2, 0, 1)"  # which are real
        legend = [text.get_text() for text in figure.legends[0].get_texts()]
        assert "binary" in legend and legend[-1] == "simulated recordings"
        if draw is published.difference_beside_published:
            hatched = [[bool(bar.get_hatch()) for bar in axis.patches] for axis in (digits, gestures)]
            assert [sum(of) for of in hatched] == [1, 0] and hatched[0][-1]
            widths = [bar.get_width() for bar in digits.patches]
            assert widths == pytest.approx(rows.loc[rows["benchmark"] == "nmnist", "value"].tolist())
        else:
            points = [line for line in digits.lines if line.get_marker() != "None"]
            hollow = [line.get_markerfacecolor() == "white" for line in points]
            assert hollow == [False] * 4 + [True] * 2
            assert len(digits.lines) == 2 * len(points)  # each with its interval


def test_every_remark_has_a_number_of_its_own(ours, others):
    rows = published.accuracies(ours, others)
    remarks = list(dict.fromkeys(remark for remark in rows["not_comparable"] if remark))
    text = published.remarks(rows)
    assert all(f"({place}) {remark}" in text for place, remark in enumerate(remarks, start=1))
    figure = published.accuracy_beside_published(rows)
    shown = [label.get_text() for axis in figure.axes for label in axis.get_yticklabels()]
    for name, remark in zip(shown, rows["not_comparable"], strict=True):
        assert name.endswith(f"({remarks.index(remark) + 1})") if remark else "(" not in name or "-2" in name


def test_test_samples_of_others_are_those_that_their_split_has(others):
    known = others.dropna(subset="test_samples")
    for row in known.itertuples():
        of = BENCHMARKS[row.benchmark]
        assert row.test_samples in (of.recordings[1], 288, sum(of.recordings) / 10)
    assert (known["accuracy"].notna()).all() and np.allclose(known["test_samples"] % 1, 0)
