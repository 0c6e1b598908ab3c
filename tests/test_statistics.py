"""Intervals and paired differences against their textbook formulas."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import t as student

import snnq


@given(st.integers(1, 2000), st.data())
def test_wilson_is_wilsons_formula(recordings, data):
    right = data.draw(st.integers(0, recordings))
    low, high = snnq.wilson(right / recordings, recordings)
    p, z = right / recordings, 1.959963984540054
    middle = p + z**2 / (2 * recordings)
    half = z * math.sqrt(p * (1 - p) / recordings + z**2 / (4 * recordings**2))
    scale = 1 + z**2 / recordings
    assert low == pytest.approx(max(0, (middle - half) / scale), abs=1e-9)
    assert high == pytest.approx(min(1, (middle + half) / scale), abs=1e-9)


def test_an_accuracy_of_no_whole_recordings_is_refused():
    with pytest.raises(ValueError, match="accuracy=0.955: no whole number of 10 recordings"):
        snnq.wilson(0.955, 10)


@given(st.lists(st.tuples(st.integers(0, 360), st.integers(0, 360)), min_size=2, max_size=8))
def test_paired_difference_is_students(pairs):
    values, base = np.array(pairs, dtype=float).T
    found = snnq.paired_difference(values, base)
    differences = values - base
    assert found["difference"] == pytest.approx(differences.mean())
    if np.ptp(differences) == 0:
        assert math.isnan(found["p"])
        return
    error = differences.std(ddof=1) / math.sqrt(len(pairs))
    half = student.ppf(0.975, len(pairs) - 1) * error
    assert found["low"] == pytest.approx(differences.mean() - half)
    assert found["high"] == pytest.approx(differences.mean() + half)
    # The interval leaves out zero where the test says so.
    assert (found["p"] < 0.05) == (found["low"] > 0 or found["high"] < 0)


def test_pairs_must_match():
    with pytest.raises(ValueError, match="3 values, expected 2"):
        snnq.paired_difference([1, 2, 3], [1, 2])


def test_one_seed_has_a_difference_and_no_interval():
    found = snnq.paired_difference([0.9], [0.8])
    assert found["difference"] == pytest.approx(0.1)
    assert math.isnan(found["low"]) and math.isnan(found["p"])


@pytest.mark.parametrize("scale", [1, 100])  # shares, and percent
@pytest.mark.parametrize("gained", [1 / 360, 40 / 360, 0])
def test_seeds_that_all_differ_by_the_same_decide_nothing(scale, gained):
    base = np.array([343, 346, 344]) / 360
    for digits in (6, 15):  # as tables hold them, and with the last bit of float64
        values = scale * np.round(base + gained, digits), scale * np.round(base, digits)
        found = snnq.paired_difference(*values)
        assert found["difference"] == pytest.approx(scale * gained, abs=scale * 1e-5)
        assert math.isnan(found["low"]) and math.isnan(found["high"]) and math.isnan(found["p"])


def test_one_of_ten_thousand_recordings_more_is_a_spread():
    found = snnq.paired_difference([0.9902, 0.9910], [0.9900, 0.9909])
    assert found["low"] < found["difference"] < found["high"]


def rows_of(ablation: str, accuracies: dict[str, list[float]]) -> pd.DataFrame:
    return pd.DataFrame(
        {"recordings": "digits, simulated", "ablation": ablation, "change": change, "levels": "binary", "seed": seed, "last": value}
        for change, values in accuracies.items()
        for seed, value in enumerate(values)
    ).assign(on_validation=0.5)


def test_ablations_are_read_by_their_intervals():
    table = snnq.ablation_table(
        rows_of(
            "neuron",
            {
                "recipe": [0.90, 0.91, 0.92],
                "better": [0.95, 0.96, 0.971],
                "worse": [0.85, 0.86, 0.871],
                "noise": [0.91, 0.90, 0.925],
                "one more each": [0.90 + 1 / 360, 0.91 + 1 / 360, 0.92 + 1 / 360],
            },
        )
    ).set_index("change")
    assert table["reading"].to_dict() == {
        "recipe": "",
        "better": "better",
        "worse": "worse",
        "noise": "not distinguishable",
        "one more each": "undetermined",
    }
    assert table.loc["recipe", "mean"] == pytest.approx(91)
    assert table.loc["recipe", "sd"] == pytest.approx(1)
    assert table.loc["better", "difference"] == pytest.approx(5.0333, abs=1e-3)


def test_seeds_are_paired_by_number_and_not_by_place():
    rows = rows_of("neuron", {"recipe": [0.9, 0.8], "same but one": [0.9, 0.8]})
    rows = rows.drop(index=2).iloc[::-1]  # the second change lacks seed 0
    rows = rows.sort_values("change", kind="stable")
    assert snnq.ablation_table(rows)["difference"].tolist()[1] == pytest.approx(0)
