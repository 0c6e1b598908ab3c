"""Low bits and full precision at equal bytes."""

import numpy as np
import pandas as pd
import pytest

import snnq

SEEDS = (0, 1, 2)


def runs_of(networks: dict[tuple, tuple[int, list[float]]], **others) -> pd.DataFrame:
    """By levels and channels: bytes, and an accuracy for each seed."""
    known = {"recordings": "digits, simulated", "benchmark": "nmnist", "simulated": True}
    return pd.DataFrame(
        known
        | {"levels": levels, "channels": channels, "bytes": size, "seed": seed, "last": accuracy}
        | {"test_recordings": 1000, "name": f"{levels} {channels} {seed}"}
        | others
        for (levels, channels), (size, found) in networks.items()
        for seed, accuracy in zip(SEEDS, found)
    )


FULL = {
    ("full", 2): (1000, [0.70, 0.72, 0.71]),
    ("full", 4): (4000, [0.90, 0.91, 0.93]),
    ("full", 8): (16000, [0.95, 0.96, 0.96]),
}


def test_full_precision_lies_on_a_line_in_the_logarithm_of_bytes():
    """For each seed by itself: 2,000 bytes are halfway between 1,000 and 4,000."""
    binary = [0.85, 0.84, 0.87]
    runs = runs_of(FULL | {("binary", 16): (2000, binary)})
    (row,) = snnq.frontier_table(runs).query("levels == 'binary'").itertuples()
    halfway = [(a + b) / 2 for a, b in zip(FULL["full", 2][1], FULL["full", 4][1])]
    expected = snnq.paired_difference(100 * np.array(binary), 100 * np.array(halfway))
    assert row.difference == pytest.approx(expected.mean)
    assert (row.low, row.high) == pytest.approx(expected.interval())
    assert (row.bytes, row.base_bytes, row.reading) == (2000, 2000, "better")
    mean = snnq.paired_difference(100 * np.array(binary), np.zeros(3))
    assert (row.mean, row.mean_low, row.mean_high) == pytest.approx((mean.mean, *mean.interval()))


def test_other_level_sets_beside_binary_at_equal_bytes():
    binary = {("binary", 8): (500, [0.80, 0.82, 0.81]), ("binary", 16): (2000, [0.85, 0.84, 0.87])}
    own = (-1, 0, 3)
    others = {("4bit", 4): (1000, [0.84, 0.86, 0.83]), (own, 4): (500, [0.7, 0.7, 0.72])}
    table = snnq.frontier_table(runs_of(FULL | binary | others), base="binary").set_index("levels")
    halfway = [(a + b) / 2 for a, b in zip(*(found for _, found in binary.values()))]
    for levels, base in (("4bit", halfway), (own, binary["binary", 8][1])):
        accuracies = next(found for key, (_, found) in others.items() if key[0] == levels)
        expected = snnq.paired_difference(100 * np.array(accuracies), 100 * np.array(base))
        assert table["difference"][[of == levels for of in table.index]].item() == pytest.approx(expected.mean)
    assert table.loc["binary", "difference"].isna().all()
    full = table.loc["full"].set_index("channels")["base_bytes"]
    assert full.dropna().to_dict() == {2: 1000} and len(full) == 3  # wider ones take more than any


def test_recordings_are_paired_with_the_interpolated_ones():
    rng = np.random.default_rng(0)
    networks = FULL | {("binary", 16): (2000, [0.8, 0.8, 0.8])}
    right = {key: rng.random((3, 50)) < 0.8 for key in networks}
    runs = runs_of({key: (size, right[key].mean(1)) for key, (size, _) in networks.items()})
    correct = {f"{levels} {channels} {s}": right[levels, channels][s] for levels, channels in right for s in SEEDS}
    (row,) = snnq.frontier_table(runs, correct).query("levels == 'binary'").itertuples()
    halfway = (right["full", 2].astype(float) + right["full", 4]) / 2
    expected = snnq.paired_difference(100 * right["binary", 16], 100 * halfway)
    assert (row.difference, row.low, row.high) == pytest.approx((expected.mean, *expected.interval()))
    of_others = {name: ~found for name, found in correct.items()}  # of runs that were trained again since
    pd.testing.assert_frame_equal(snnq.frontier_table(runs, of_others), snnq.frontier_table(runs))


def test_what_full_precision_has_no_equal_of():
    """Of fewer bytes than any: better than the narrowest, or nothing is shown. Of more: nothing."""
    low_bit = {
        ("binary", 2): (100, [0.60, 0.62, 0.61]),
        ("binary", 4): (200, [0.80, 0.83, 0.82]),
        ("binary", 99): (17000, [0.99, 0.97, 0.98]),
        ("2bit", 4): (4000, [0.901, 0.912, 0.932]),  # as many bytes as one of them
    }
    table = snnq.frontier_table(runs_of(FULL | low_bit)).set_index(["levels", "channels"])
    assert table["base_bytes"].dropna().to_dict() == {
        ("binary", 2): 1000, ("binary", 4): 1000, ("2bit", 4): 4000,
    }  # fmt: skip
    readings = table["reading"]
    assert readings["binary", 2] == "not shown" and readings["binary", 4] == "better"
    assert readings["binary", 99] == readings["full", 2] == ""
    assert table.loc[("2bit", 4), "difference"] == pytest.approx(100 * (0.001 + 0.002 + 0.002) / 3)
    assert list(table.query("levels == 'full'").index.get_level_values(1)) == [2, 4, 8]


def test_one_width_of_full_precision_or_none():
    binary = {("binary", 2): (100, [0.60, 0.62, 0.61])}
    one = snnq.frontier_table(runs_of(binary | {("full", 2): FULL["full", 2]}))
    assert one["base_bytes"].dropna().tolist() == [1000]
    none = snnq.frontier_table(runs_of(binary))
    assert none["base_bytes"].isna().all() and none["reading"].tolist() == [""]


def ahead(*of_widths: list[float], sizes=(1000, 2000, 4000, 8000)) -> list:
    networks = {("binary", 2**i): (size, found) for i, (size, found) in enumerate(zip(sizes, of_widths))}
    return list(snnq.ahead_from(snnq.frontier_table(runs_of(FULL | networks))).itertuples())


def test_binary_is_ahead_from_a_width_on():
    better = ([0.85, 0.86, 0.86], [0.96, 0.97, 0.975], [0.98, 0.99, 0.985])
    unsure, worse = [0.80, 0.99, 0.999], [0.60, 0.61, 0.60]  # unsure, if better on average
    (found,) = ahead(worse, *better)
    assert (found.channels, found.bytes) == (2, 2000) and found.corrected_low > 0
    (found,) = ahead(better[0], worse, *better[1:])
    assert found.channels == 4  # and not from the first on
    (found,) = ahead(worse, worse, unsure, better[2])
    assert found.channels == 8
    assert ahead(*better, worse) == []
    # As the reading says, by Holm's correction, which shows more than the corrected interval.
    (found,) = ahead([0.72, 0.75, 0.75], better[0])
    assert found.channels == 1 and found.reading == "better" and found.corrected_low < 0
    assert snnq.ahead_from(snnq.frontier_table(runs_of(FULL)), "binary").empty
    # A network of more bytes than any in full precision is not asked.
    (found,) = ahead(worse, *better[:2], worse, sizes=(1000, 2000, 4000, 17000))
    assert found.channels == 2


def test_networks_of_other_recordings_do_not_count():
    """Between two that are ahead on one lies one that is behind on another."""
    here = {("binary", 2): (2000, [0.85, 0.86, 0.86]), ("binary", 4): (8000, [0.98, 0.99, 0.985])}
    there = {("binary", 2): (4000, [0.60, 0.61, 0.60])}
    others = {"recordings": "gestures, simulated", "benchmark": "dvsgesture"}
    runs = pd.concat([runs_of(FULL | here), runs_of(FULL | there, **others)])
    (found,) = snnq.ahead_from(snnq.frontier_table(runs)).itertuples()
    assert (found.recordings, found.channels) == (runs["recordings"].iloc[0], 2)


def test_benchmarks_are_not_compared_with_each_other():
    binary = {("binary", 16): (2000, [0.85, 0.84, 0.87])}
    others = {"recordings": "gestures, simulated", "benchmark": "dvsgesture"}
    runs = pd.concat([runs_of(FULL), runs_of(binary, **others)])
    assert snnq.frontier_table(runs)["difference"].isna().all()


def test_levels_of_ones_own_have_a_line():
    own = (-2, 0, 1)
    table = snnq.frontier_table(runs_of(FULL | {(own, 16): (2000, [0.85, 0.84, 0.87])}))
    assert table["levels"].tolist()[-1] == own and table["reading"].tolist()[-1] == "better"
    assert snnq.ahead_from(table, own)["channels"].tolist() == [16]
