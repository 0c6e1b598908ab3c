"""What the choice of epoch, the split and the augmentation are worth."""

import json

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import save_file

import snnq
from snnq.figures.catalogue import draw

KNOWN = {"recordings": "CIFAR10-DVS, real", "benchmark": "cifar10dvs", "simulated": False}
KNOWN |= {"order": 0, "test_recordings": 50, "bytes": 1, "bytes_float32": 2, "on_validation": 0.9}
KNOWN |= {"keep": json.dumps(["first"])}
SEEDS = (0, 1, 2)


def runs_of(levels: str, channels: int, **accuracies) -> pd.DataFrame:
    names = [f"{levels} {channels} {seed}" for seed in SEEDS]
    own = {"levels": levels, "channels": channels, "seed": SEEDS, "name": names}
    return pd.DataFrame(KNOWN | own | accuracies)


@pytest.fixture
def runs():
    """Binary before full precision, wide before narrow: not in the order of tables."""
    return pd.concat(
        [
            runs_of("binary", 8, last=[0.7, 0.72, 0.75], validation=[0.71, 0.72, 0.77], best=0.8),
            runs_of("binary", 4, last=[0.6, 0.62, 0.66], validation=[0.61, 0.6, 0.65], best=0.7),
            runs_of("full", 4, last=[0.7, 0.72, 0.76], validation=[0.7, 0.7, 0.76], best=0.8),
        ]
    )


def of_ablation(name: str, **changes) -> pd.DataFrame:
    rows = [
        runs_of("binary", 4, last=last).assign(ablation=name, change=change)
        for change, last in changes.items()
    ]
    found = pd.concat(rows)
    return found.assign(name=found["name"] + found["change"])


@pytest.fixture
def study(tmp_path, runs):
    runs.to_csv(tmp_path / "runs.csv", index=False)
    ablations = [
        of_ablation("neuron", plif=[0.5, 0.5, 0.5], lif=[0.4, 0.4, 0.5]),
        of_ablation("split", eighty=[0.6, 0.64, 0.62], ninety=[0.62, 0.65, 0.66]),
    ]
    pd.concat(ablations).to_csv(tmp_path / "ablations.csv", index=False)
    return tmp_path


def test_the_choice_of_epoch_is_paired_by_seed(study, runs):
    table = snnq.protocol_table(study)
    epochs = table[table["part"] == "choice of epoch"]
    networks = epochs[["channels", "levels"]].drop_duplicates().to_numpy().tolist()
    assert networks == [[4, "full"], [4, "binary"], [8, "binary"]]
    choices = {"the last": "last", "best on validation": "validation", "best on the test": "best"}
    assert epochs["choice"].tolist() == 3 * list(choices)
    for row in epochs.itertuples():
        own = runs[(runs["levels"] == row.levels) & (runs["channels"] == row.channels)]
        accuracies = own[choices[row.choice]]
        assert row.mean == pytest.approx(100 * accuracies.mean()) and row.seeds == row.runs == 3
        if row.choice == "the last":
            assert np.isnan(row.difference) and row.reading == ""
        else:
            expected = snnq.paired_difference(100 * accuracies, 100 * own["last"])
            assert row.difference == pytest.approx(expected.mean)
            assert (row.low, row.high) == pytest.approx(expected.interval(), nan_ok=True)


def test_ablations_of_the_protocol_and_no_others(study):
    table = snnq.protocol_table(study)
    assert table["part"].unique().tolist() == ["choice of epoch", "split"]
    first, second = table[table["part"] == "split"].itertuples()
    assert (first.choice, second.choice) == ("eighty", "ninety")
    expected = snnq.paired_difference([62, 65, 66], [60, 64, 62])
    assert (second.difference, second.low) == pytest.approx((expected.mean, expected.interval()[0]))


def test_splits_of_other_test_recordings_are_paired_by_seed_alone(study):
    rng = np.random.default_rng(0)
    classes = {}
    for test_set, (change, count) in enumerate({"eighty": 20, "ninety": 10}.items()):
        classes[f"{test_set}/label"] = np.zeros(count, np.uint8)
        for seed in SEEDS:
            classes[f"{test_set}/binary 4 {seed}{change}"] = rng.integers(0, 2, count, np.uint8)
    save_file(classes, study / "predictions_ablations.safetensors")
    last = {change: [] for change in ("eighty", "ninety")}
    for name, predicted in classes.items():
        if not name.endswith("label"):
            last["eighty" if name.startswith("0") else "ninety"].append(
                100 * (predicted == 0).mean()
            )
    shares = {change: np.array(found) / 100 for change, found in last.items()}
    of_ablation("split", **shares).to_csv(study / "ablations.csv", index=False)
    row = snnq.protocol_table(study).iloc[-1]
    expected = snnq.paired_difference(last["ninety"], last["eighty"])
    assert (row["difference"], row["low"]) == pytest.approx((expected.mean, expected.interval()[0]))


def test_without_validation_split_or_ablations(study, runs):
    (study / "ablations.csv").unlink()
    runs.assign(validation=np.nan).to_csv(study / "runs.csv", index=False)
    table = snnq.protocol_table(study)
    assert table["choice"].tolist() == 3 * ["the last", "best on the test"]
    figure = draw("protocol", study)
    assert [axis.get_title() for axis in figure.axes] == ["best on the test"]
    plt.close(figure)


def test_a_study_without_runs_says_which_command_makes_them(tmp_path):
    with pytest.raises(FileNotFoundError, match="runs.csv: these runs have not been made yet"):
        snnq.protocol_table(tmp_path)


def test_each_choice_has_a_panel_with_a_point_of_each_network(study):
    figure = draw("protocol", study)
    panels = [axis for axis in figure.axes if axis.axison]
    assert [axis.get_title() for axis in panels] == [
        "best on validation",
        "best on the test",
        "ninety",
    ]
    labels = ["difference to the last (points)"] * 2 + ["difference to eighty (points)"]
    assert [axis.get_xlabel() for axis in panels] == labels
    assert panels[0].get_ylabel() == "CIFAR10-DVS, real\nchoice of epoch"
    assert panels[0].get_xlim() == panels[1].get_xlim()
    table = snnq.protocol_table(study).dropna(subset="difference")
    first, _, last = ([one.get_text() for one in axis.get_yticklabels()] for axis in panels)
    assert (first, last) == (["binary", "full"], ["binary"])  # from below
    for axis, names in zip(panels, (first, first, last)):
        rows = table[table["choice"] == axis.get_title()]
        drawn, heights = {}, []
        for container in axis.containers:
            for x, y in container.lines[0].get_xydata():
                drawn[int(container.get_label()), names[round(y)]] = x
                heights.append(y)
        assert len(set(heights)) == len(heights)  # widths are beside each other
        expected = rows.set_index(["channels", "levels"])["difference"].to_dict()
        assert drawn == pytest.approx(expected)
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["4", "8"]
    assert "Mean and 95 % confidence interval over 3 seeds;" in figure.get_label()
    plt.close(figure)


def test_the_caption_tells_seeds_and_tests_of_each_recordings(study, runs):
    first = runs[runs["seed"] == runs["seed"].min()].assign(recordings="lab, own", test_recordings=7)
    pd.concat([runs, first]).to_csv(study / "runs.csv", index=False)
    figure = draw("protocol", study)
    seeds, tests = runs["seed"].nunique(), runs["test_recordings"].iloc[0]
    assert f"; CIFAR10-DVS, real: {seeds} seeds, {tests} " in figure.get_label()
    assert figure.get_label().endswith("; lab, own: 1 seed, 7 test samples.")
    plt.close(figure)
