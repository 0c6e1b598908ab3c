"""Intervals and paired differences against their textbook formulas."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit
from scipy.stats import norm, ttest_1samp, ttest_rel
from scipy.stats import t as student

import snnq
from snnq.study.intervals import LEAST_P, estimate, holm


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
def test_a_paired_difference_of_accuracies_is_students(pairs):
    values, base = np.array(pairs, dtype=float).T
    found = snnq.paired_difference(values, base)
    differences = values - base
    assert found.mean == pytest.approx(differences.mean())
    if np.ptp(differences) == 0:
        assert np.isnan([found.p, *found.interval(), found.p_within(1)]).all()
        return
    test = ttest_rel(values, base)
    interval = test.confidence_interval(0.95)
    assert found.interval() == pytest.approx((interval.low, interval.high))
    assert found.p == pytest.approx(max(test.pvalue, LEAST_P), rel=1e-6)
    margin = 20.0
    one_sided = [
        ttest_1samp(differences, end, alternative=side).pvalue
        for end, side in ((-margin, "greater"), (margin, "less"))
    ]
    assert found.p_within(margin) == pytest.approx(max(*one_sided, LEAST_P / 2), rel=1e-6)


@given(st.integers(2, 5), st.integers(2, 30), st.integers(0, 2**31))
def test_standard_errors_are_those_of_an_analysis_of_variance(seeds, recordings, number):
    """Against sums of squares written out."""
    values = np.random.default_rng(number).normal(size=(seeds, recordings))
    mean = sum(values[s, r] for s in range(seeds) for r in range(recordings)) / values.size
    of_seed = [sum(row) / recordings for row in values]
    of_recording = [sum(column) / seeds for column in values.T]
    between_seeds = recordings * sum((one - mean) ** 2 for one in of_seed) / (seeds - 1)
    between = seeds * sum((one - mean) ** 2 for one in of_recording) / (recordings - 1)
    rest = sum(
        (values[s, r] - of_seed[s] - of_recording[r] + mean) ** 2
        for s in range(seeds)
        for r in range(recordings)
    ) / ((seeds - 1) * (recordings - 1))
    found = estimate(values)
    assert found.mean == pytest.approx(mean)
    assert found.over_seeds**2 == pytest.approx(between_seeds / values.size)
    assert found.over_recordings**2 == pytest.approx(max(0, between - rest) / values.size)
    half = math.hypot(
        student.ppf(0.975, seeds - 1) * found.over_seeds, norm.ppf(0.975) * found.over_recordings
    )
    assert found.interval() == pytest.approx((mean - half, mean + half))
    low, high = found.interval(1 - found.p)  # ends at zero
    assert min(abs(low), abs(high)) == pytest.approx(0, abs=1e-9)
    # Within a margin at 5 % is the 90 % interval inside it.
    for margin in (0.05, 0.5, 5.0):
        low, high = found.interval(0.9)
        assert (found.p_within(margin) < 0.05) == (-margin < low and high < margin)


SPREAD = 0.6, 2.0, 0.5  # s.d. of seeds, of recordings, and of both together, in logits


def right_answers(rng, seeds: int, difficulty: np.ndarray, level: float) -> np.ndarray:
    """Of networks of some skill on recordings of some difficulty."""
    of_seed, _, rest = SPREAD
    skill = rng.normal(level, of_seed, (seeds, 1))
    logits = skill + difficulty + rng.normal(0, rest, (seeds, len(difficulty)))
    return (rng.random(logits.shape) < expit(logits)).astype(float)


def true_accuracy(level: float) -> float:
    """Over all seeds and recordings: the mean of the sigmoid over a normal distribution."""
    deviation = math.hypot(*SPREAD)
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    return float(weights @ expit(level + deviation * nodes) / weights.sum())


def covered(seeds: int, recordings: int, interval_of, studies: int, gain: float | None = None):
    """How often an interval holds the truth: of an accuracy, or of the gain of a second method."""
    rng = np.random.default_rng(seeds)
    truth = true_accuracy(2) if gain is None else true_accuracy(2 + gain) - true_accuracy(2)
    hits = 0
    for _ in range(studies):
        difficulty = rng.normal(0, SPREAD[1], recordings)
        values = right_answers(rng, seeds, difficulty, 2)
        if gain is not None:
            values = right_answers(rng, seeds, difficulty, 2 + gain) - values
        low, high = interval_of(values)
        hits += low <= truth <= high
    return hits / studies


@pytest.mark.parametrize("seeds", [3, 5])
@pytest.mark.parametrize("recordings", [100, 1000])  # which matter as much as seeds do, or less
@pytest.mark.parametrize("gain", [None, 0.3])
def test_intervals_hold_the_truth_in_95_of_100_studies(seeds, recordings, gain):
    share = covered(seeds, recordings, lambda values: estimate(values).interval(), 2000, gain)
    assert 0.94 <= share <= 0.97  # of 2,000 studies the share's s.d. is 0.005


@pytest.mark.parametrize(("seeds", "at_most"), [(3, 0.86), (5, 0.925)])
def test_a_bootstrap_over_few_seeds_is_too_narrow(seeds, at_most):
    """Which is why intervals are made otherwise."""
    rng = np.random.default_rng(0)

    def bootstrap(values):
        redrawn = [rng.integers(0, of, (100, of)) for of in values.shape]
        means = [values[np.ix_(*chosen)].mean() for chosen in zip(*redrawn)]
        return np.percentile(means, [2.5, 97.5])

    assert covered(seeds, 1000, bootstrap, 150) < at_most


def test_accuracies_alone_are_too_sure_of_few_recordings():
    share = covered(5, 100, lambda values: estimate(values.mean(axis=1)).interval(), 400)
    assert share < 0.92


def test_runs_that_do_not_match_are_refused():
    with pytest.raises(ValueError, match=r"values of shape \(3,\), expected \(2,\)"):
        snnq.paired_difference([1, 2, 3], [1, 2])
    for values in ([], 3.0, np.zeros((2, 2, 2))):
        with pytest.raises(ValueError, match=r"values of shape .*: expected \[S\] or \[S, n\]"):
            estimate(values)


def test_one_seed_has_a_difference_and_no_interval():
    found = snnq.paired_difference([0.9], [0.8])
    assert found.mean == pytest.approx(0.1)
    assert np.isnan([*found.interval(), found.p, found.p_within(0.5)]).all()


@pytest.mark.parametrize("scale", [1, 100])  # shares, and percent
@pytest.mark.parametrize("gained", [1 / 360, 40 / 360, 0])
def test_seeds_that_all_differ_by_the_same_decide_nothing(scale, gained):
    base = np.array([343, 346, 344]) / 360
    for digits in (6, 15):  # as tables hold them, and with the last bit of float64
        values = scale * np.round(base + gained, digits), scale * np.round(base, digits)
        found = snnq.paired_difference(*values)
        assert found.mean == pytest.approx(scale * gained, abs=scale * 1e-5)
        assert np.isnan([*found.interval(), found.p]).all()


def test_one_of_ten_thousand_recordings_more_is_a_spread():
    low, high = snnq.paired_difference([0.9902, 0.9910], [0.9900, 0.9909]).interval()
    assert low < 0.00015 < high


@given(st.lists(st.integers(0, 99), min_size=1, max_size=8), st.integers(0, 3))
def test_holm_rejects_step_by_step(thousandths, undetermined):
    """Against the procedure in words: from the smallest on, until one is too large."""
    p = [one / 1000 for one in thousandths]
    found = holm([np.nan] * undetermined + p)
    assert np.isnan(found[:undetermined]).all()
    shown = set()
    for step, index in enumerate(np.argsort(p)):
        if p[index] > 0.05 / (len(p) - step):
            break
        shown.add(index)
    close = [abs(one * factor - 0.05) < 1e-12 for one in p for factor in range(1, len(p) + 1)]
    if not any(close):  # equal but for the last bit
        assert set(np.flatnonzero(found[undetermined:] <= 0.05)) == shown
    assert (found[undetermined:] >= p).all() and (found[undetermined:] <= 1).all()


def rows_of(ablation: str, accuracies: dict[str, list[float]], **others) -> pd.DataFrame:
    known = {"recordings": "digits, simulated", "ablation": ablation, "levels": "binary"}
    known |= {"channels": 4, "on_validation": 0.5} | others
    return pd.DataFrame(
        known | {"change": change, "seed": seed, "last": value, "name": f"{change} {seed}"}
        for change, values in accuracies.items()
        for seed, value in enumerate(values)
    )


def test_ablations_are_read_by_corrected_p_values():
    rows = rows_of(
        "neuron",
        {
            "recipe": [0.90, 0.91, 0.92],
            "better": [0.95, 0.96, 0.971],
            "worse": [0.85, 0.86, 0.871],
            "noise": [0.91, 0.90, 0.925],
            "as good": [0.9001, 0.9101, 0.9203],
            "one more each": [0.90 + 1 / 360, 0.91 + 1 / 360, 0.92 + 1 / 360],
            "identical": [0.90, 0.91, 0.92],
        },
    )
    table = snnq.ablation_table(rows).set_index("change")
    assert table["reading"].to_dict() == {
        "recipe": "",
        "better": "better",
        "worse": "worse",
        "noise": "not shown",
        "as good": "equal within 0.5 points",
        "one more each": "undetermined",
        "identical": "the same in each seed",
    }
    assert table.loc["recipe", "mean"] == pytest.approx(91)
    assert table.loc["recipe", "sd"] == pytest.approx(1)
    assert table.loc["better", "difference"] == pytest.approx(5.0333, abs=1e-3)
    pairs = rows[rows["change"].isin(["recipe", "better"])].pivot(
        index="seed", columns="change", values="last"
    )
    alone = ttest_rel(pairs["better"], pairs["recipe"])
    for ends, confidence in ((["low", "high"], 0.95), (["corrected_low", "corrected_high"], 0.9875)):
        interval = alone.confidence_interval(confidence)
        expected = [100 * interval.low, 100 * interval.high]
        assert table.loc["better", ends].tolist() == pytest.approx(expected)
    # Of the four p-values it is the smallest but one.
    assert table.loc["better", "p"] == pytest.approx(3 * alone.pvalue, rel=0.5)


def test_comparisons_are_corrected_within_an_ablation():
    values = {"recipe": [0.90, 0.91, 0.92], "b": [0.93, 0.925, 0.944]}
    alone = snnq.ablation_table(rows_of("x", values))
    both = snnq.ablation_table(pd.concat([rows_of("x", values), rows_of("y", values)]))
    assert both["p"].dropna().tolist() == 2 * alone["p"].dropna().tolist()
    wider = rows_of("x", values, channels=8)
    together = snnq.ablation_table(pd.concat([rows_of("x", values), wider]))
    assert together["channels"].tolist() == [4, 4, 8, 8]
    p = alone["p"].dropna().tolist()
    assert together["p"].dropna().tolist() == pytest.approx([2 * p[0], 2 * p[0]])


def test_a_width_that_is_the_change_is_compared_with_the_first():
    rows = pd.concat(
        [rows_of("width", {"4": [0.90, 0.91]}), rows_of("width", {"8": [0.94, 0.96]}, channels=8)]
    )
    table = snnq.ablation_table(rows)
    assert table["change"].tolist() == ["4", "8"]
    assert table["difference"].tolist()[1] == pytest.approx(4.5)


def test_seeds_are_paired_by_number_and_not_by_place():
    rows = rows_of("neuron", {"recipe": [0.9, 0.8], "same but one": [0.9, 0.8]})
    rows = rows.drop(index=2).iloc[::-1]  # the second change lacks seed 0
    rows = rows.sort_values("change", kind="stable")
    assert snnq.ablation_table(rows)["difference"].tolist()[1] == pytest.approx(0)


def test_orders_are_paired_and_nested_in_seeds():
    rows = rows_of("x", {"recipe": [0.90, 0.92, 0.91], "other": [0.91, 0.94, 0.925]})
    one = snnq.ablation_table(rows)
    again = rows.assign(order=1, last=rows["last"] - 0.1)
    both = pd.concat([rows.assign(order=0), again]).sample(frac=1, random_state=0)
    both = both.sort_values("change", ascending=False, kind="stable")  # the recipe first
    two = snnq.ablation_table(both)
    # Orders that shift both alike leave the differences of the seeds as they were.
    columns = ["difference", "low", "high", "p", "seeds"]
    pd.testing.assert_frame_equal(one[columns], two[columns])
    assert two["runs"].tolist() == [6, 6]


def test_recordings_are_paired_where_predictions_are_known():
    rng = np.random.default_rng(0)
    difficulty = rng.normal(0, 2, 200)
    right = {"recipe": right_answers(rng, 4, difficulty, 2), "other": right_answers(rng, 4, difficulty, 3)}
    rows = rows_of("x", {change: found.mean(axis=1) for change, found in right.items()})
    correct = {
        f"{change} {seed}": found[seed] > 0 for change, found in right.items() for seed in range(4)
    }
    row = snnq.ablation_table(rows, correct).iloc[1]
    expected = snnq.paired_difference(100 * right["other"], 100 * right["recipe"])
    assert (row["low"], row["high"]) == pytest.approx(expected.interval())
    assert row["p"] == pytest.approx(expected.p)
    of_seeds = snnq.ablation_table(rows).iloc[1]
    assert of_seeds["difference"] == pytest.approx(row["difference"])
    for lacking in ({**correct, "other 3": correct["other 3"][:-1]}, dict(list(correct.items())[1:])):
        row = snnq.ablation_table(rows, lacking).iloc[1]
        assert (row["low"], row["high"]) == pytest.approx((of_seeds["low"], of_seeds["high"]))
