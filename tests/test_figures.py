"""The figures of a study, drawn from its tables alone."""

import itertools
import shutil
from argparse import ArgumentParser
from contextlib import chdir

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch
from conftest import small_study

import snnq
from snnq.figures import catalogue, figures_command, quantizer, results
from snnq.figures.ablations import ablation
from snnq.figures.catalogue import CATALOGUE, draw, draw_all
from snnq.figures.style import note
from snnq.quantization.histograms import histogram_columns

pytestmark = pytest.mark.xdist_group("figures")
ABLATION = "ablation_neuron"


@pytest.fixture(scope="module")
def study(tmp_path_factory, recordings):
    """A study's tables, with those that notebook 6 writes, and no runs."""
    folder = tmp_path_factory.mktemp("figures")
    found = small_study(folder, recordings).folder
    _, test = snnq.load("nmnist", recordings, 2, cache=folder / "data/frames")
    costs, faults, layers = [], [], []
    for row in snnq.packed_networks(found).itertuples():
        known = {"recordings": row.recordings, "seed": row.seed, "test_recordings": len(test)}
        network = snnq.unpack(row.path)
        costs.append(snnq.costs(network, test).assign(weights_of=row.levels, **known))
        structure = snnq.structure(network, torch.zeros(2, 1, *network.input_shape))
        layers.append(structure.assign(weights_of=row.levels, **known))
        if row.levels != "full":
            table = snnq.accuracy_with_faults(network, test, [0.1, 0.2], 2)
            faults.append(table.assign(weights_of=row.levels, signs="at risk", **known))
    pd.concat(costs).to_csv(found / "costs.csv", index=False)
    pd.concat(faults).to_csv(found / "faults.csv", index=False)
    pd.concat(layers).to_csv(found / "layers.csv", index=False)
    with chdir(folder):
        snnq.traces_of_study(found).to_csv(found / "traces.csv", index=False)
    snnq.firing_fidelity(found, "nmnist", test).to_csv(found / "fidelity.csv", index=False)
    counted = snnq.operations_of_runs(found, "nmnist", test)
    counted.to_csv(found / "operations.csv", index=False)
    shutil.rmtree(found / "runs")
    return found


def test_every_figure_is_drawn_and_the_same_to_the_byte(study, tmp_path, capsys):
    drawn = [draw_all(study, tmp_path / name) for name in ("one", "two")]
    assert drawn[0] == drawn[1] == [*CATALOGUE, ABLATION]
    assert capsys.readouterr().out == "" and plt.get_fignums() == []
    expected = {f"{name}.{kind}" for name in drawn[0] for kind in ("png", "pdf")}
    files = sorted((tmp_path / "one").iterdir())
    assert {path.name for path in files} == expected
    for path in files:
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes(), path.name


def test_operations_are_the_sums_over_layers_beside_the_accuracy(study):
    reached = snnq.read_gathered(study, "table").set_index("levels")["last_mean"]
    layers = pd.read_csv(study / "costs.csv")  # of the same networks
    counted = pd.read_csv(study / "operations.csv").set_index("levels")
    columns = ["dense", "synops", "effective", "nanojoules"]
    sums = layers.groupby("weights_of")[columns].sum()
    assert counted.index.tolist() == ["full", "2bit"]
    pd.testing.assert_frame_equal(counted[columns].sort_index(), sums, check_names=False)
    assert counted["mean"].to_dict() == pytest.approx(reached.to_dict(), abs=1e-3)
    assert set(counted["seed"]) == {0}


def test_figures_without_a_table_are_named(study, tmp_path, capsys, monkeypatch):
    saved = []
    monkeypatch.setattr(catalogue, "save", lambda figure, *where: saved.append(where))
    for name in ("runs", "histories"):
        shutil.copy(study / f"{name}.csv", tmp_path)
    parser = ArgumentParser()
    figures_command.add_arguments(parser)
    assert vars(parser.parse_args([])) == {"study": "results/reference/quick", "folder": "figures"}
    figures_command.run(parser.parse_args([str(tmp_path), str(tmp_path / "f")]))
    *missing, last = capsys.readouterr().out.splitlines()
    missing_names = [line.split(":")[0] for line in missing]
    assert missing_names == [
        "quantizer_trained_weights",
        "accuracy_against_operations",
        "weights_in_transition",
        "weights_in_training",
        "bytes_by_layer",
        "operations_by_layer",
        "accuracy_against_faults",
        "firing_distance_by_layer",
        "confusions",
        "weights_on_levels",
        "scales_by_epoch",
        "network",
        "spikes_and_membranes",
        "ablation_…",
    ]
    assert f"{tmp_path}/costs.csv" in missing[4] and last == f"10 figures in {tmp_path}/f"
    assert saved == [(str(tmp_path / "f"), name) for name in CATALOGUE if name not in missing_names]


def test_what_cannot_be_drawn_is_refused(study, tmp_path):
    with pytest.raises(ValueError, match="name='hard': expected one of quantizer_staircase"):
        draw("hard", study)
    (tmp_path / "fidelity.csv").write_text("channels,levels\n")
    with pytest.raises(FileNotFoundError, match="fidelity.csv: no rows in it"):
        draw("firing_distance_by_layer", tmp_path)
    with pytest.raises(ValueError, match=f"name='ablation_x': expected one of {ABLATION}"):
        draw("ablation_x", study)
    nowhere = ArgumentParser()
    figures_command.add_arguments(nowhere)
    with pytest.raises(FileNotFoundError, match="study=nowhere: no such folder"):
        figures_command.run(nowhere.parse_args(["nowhere", str(tmp_path)]))


def test_every_figure_of_data_says_what_it_is_of(study):
    for name in [*CATALOGUE, ABLATION]:
        figure = draw(name, study)
        if name not in ("quantizer_staircase", "quantizer_slope", "quantizer_soft_to_hard"):
            assert "N-MNIST, real" in figure.get_supxlabel(), name
        plt.close(figure)


def test_tables_of_before_what_a_figure_needs_was_recorded_are_named(study, tmp_path):
    for name, column in (("transitions", "alpha"), ("staircases", "shares")):
        pd.read_csv(study / f"{name}.csv").drop(columns=column).to_csv(tmp_path / f"{name}.csv", index=False)
        shutil.copy(study / "histograms.csv", tmp_path)
    for name, message in (("scales_by_epoch", "no α and β in it"), ("weights_on_levels", "no shares in it")):
        with pytest.raises(FileNotFoundError, match=message):
            draw(name, tmp_path)


def test_confusions_are_of_the_narrowest_networks_of_the_most_and_the_fewest_levels(study):
    figure = draw("confusions", study)
    assert [axis.get_title() for axis in figure.axes[:3]] == ["full", "2bit", "2bit − full"]
    right = {name: of.mean() for name, of in snnq.read_correct(study).items()}
    for axis, name in zip(figure.axes, sorted(right, key=lambda name: "2bit" in name)):
        # As many of each class.
        assert np.trace(axis.images[0].get_array()) / 1000 == pytest.approx(right[name], abs=1e-6)
    plt.close(figure)


def test_trained_weights_are_those_of_the_tables():
    staircases = pd.DataFrame(
        {"levels": ["ternary"], "layer": ["a"], "temperature": [1e3], "thresholds": [(-0.2, 0.4)]}
    )
    shares = np.zeros(60)
    shares[[10, 30, 50]] = 0.25, 0.5, 0.25
    histograms = pd.DataFrame({"layer": ["a"], **dict(zip(histogram_columns(), shares))})
    figure = quantizer.weights_on_staircase(staircases, histograms)
    steps, bars = figure.axes
    assert [bar.get_height() for bar in bars.patches] == shares.tolist()
    grid, soft = (np.asarray(values) for values in steps.lines[0].get_data())
    hard = np.select([grid > 0.4, grid > -0.2], [1, 0], -1)
    away = np.minimum(abs(grid - 0.4), abs(grid + 0.2)) > 0.01
    np.testing.assert_allclose(soft[away], hard[away], atol=1e-3)
    assert grid[0] < -0.9 < 0.9 < grid[-1]
    plt.close(figure)


def test_firing_distances_are_means_beside_full_precisions_own(tmp_path):
    """One panel per width, on one scale; full precision to itself in grey, of either kind."""
    kinds = [("full", "seed"), ("full", "order"), ("2bit", "levels"), ("binary", "levels")]
    places = itertools.product((4, 8), kinds, "ab", (0, 1))
    columns = ["channels", "kind", "layer", "seed"]
    rows = pd.DataFrame(list(places), columns=columns).assign(recordings="x", test_recordings=9)
    rows[["levels", "differs_in"]] = rows.pop("kind").to_list()
    rows["distance"] = np.random.default_rng(0).uniform(1e-3, 1, len(rows))
    rows.to_csv(tmp_path / "fidelity.csv", index=False)
    figure = draw("firing_distance_by_layer", tmp_path)
    assert figure.get_supxlabel() == "x, 9 test samples, mean and range over 2 seeds"
    (legend,) = figure.legends
    expected = ["full, another seed", "full, another order", "2bit", "binary"]
    assert [text.get_text() for text in legend.get_texts()] == expected
    for axis, (channels, group) in zip(figure.axes, rows.groupby("channels"), strict=True):
        assert axis.get_title() == f"{channels} channels" and axis.get_yscale() == "symlog"
        assert axis.get_ylim() == figure.axes[0].get_ylim()
        points = [line for line in axis.lines if line.get_marker() == "o" and len(line.get_xdata())]
        means = group.groupby(["levels", "differs_in", "layer"], sort=False)["distance"].mean()
        drawn = np.concatenate([line.get_ydata() for line in points])
        np.testing.assert_allclose(drawn, means)
    plt.close(figure)


def test_ablations_figures_are_named_after_them(tmp_path):
    rows = {"recordings": "digits, simulated", "ablation": ["quantizer, binary", "time steps"]}
    pd.DataFrame(rows).to_csv(tmp_path / "ablations.csv", index=False)
    found = catalogue.ablations(tmp_path)
    assert list(found) == ["ablation_quantizer_binary", "ablation_time_steps"]


def lines_of(axis) -> dict[str, list]:
    """The points of each line that is in the legend, by its name."""
    handles, labels = axis.get_legend_handles_labels()
    return {label: handle.lines[0].get_xydata().tolist() for handle, label in zip(handles, labels)}


@pytest.fixture(scope="module")
def widths():
    """A frontier on which binary is ahead from 4 channels on, and what it is drawn from."""
    accuracies = {
        ("full", 2): [0.80, 0.81, 0.82],
        ("full", 4): [0.90, 0.91, 0.90],
        ("binary", 2): [0.60, 0.62, 0.61],
        ("binary", 4): [0.86, 0.87, 0.86],
        ("binary", 8): [0.95, 0.96, 0.95],
    }
    return pd.DataFrame(
        {
            "recordings": "digits, simulated",
            "benchmark": "nmnist",
            "simulated": True,
            "channels": channels,
            "levels": levels,
            "seed": seed,
            "test_recordings": 360,
            **dict.fromkeys(("last", "validation", "best", "last_soft"), accuracy),
            "bytes": channels**2 * (1000 if levels == "full" else 100),
            "bytes_float32": channels**2 * 1000,
        }
        for (levels, channels), found in accuracies.items()
        for seed, accuracy in enumerate(found)
    )


def test_the_frontier_has_a_line_of_each_level_set_and_names_where_binary_is_ahead(widths):
    table = snnq.frontier_table(widths)
    figure = results.frontier(table)
    (axis,) = figure.axes
    lines = lines_of(axis)
    assert list(lines) == ["full", "binary"]
    assert [size for size, _ in lines["binary"]] == pytest.approx([0.4, 1.6, 6.4])
    assert [mean for _, mean in lines["full"]] == pytest.approx([81, 90 + 1 / 3])
    assert axis.get_xscale() == "log" and axis.get_title() == "digits, simulated"
    (named,) = axis.texts
    assert named.get_text() == "binary ahead at equal bytes from 4 channels on (1.6 kB)"
    plt.close(figure)
    figure = results.frontier(table[table["channels"] == 2])  # one width, and nothing ahead
    assert list(figure.axes[0].texts) == []
    assert {name: len(points) for name, points in lines_of(figure.axes[0]).items()} == {
        "full": 1, "binary": 1,
    }  # fmt: skip
    plt.close(figure)


def test_accuracy_against_bits_has_a_line_of_each_width(widths):
    figure = results.accuracy_against_bits(snnq.results_table(widths))
    (axis,) = figure.axes
    lines = lines_of(axis)
    assert list(lines) == ["2", "4", "8"]
    assert lines["8"] == [[0, pytest.approx(95 + 1 / 3)]]
    assert [place for place, _ in lines["2"]] == [0, 1]
    assert [label.get_text() for label in axis.get_xticklabels()] == ["1\nbinary", "32\nfull"]
    (legend,) = figure.legends
    assert legend.get_title().get_text() == "channels"
    plt.close(figure)
    figure = results.accuracy_against_bits(snnq.results_table(widths[widths["channels"] == 2]))
    assert figure.legends == []
    plt.close(figure)


def test_an_ablation_has_a_row_of_each_width_and_a_column_of_each_level_set():
    known = {"seed": 0, "change": ["a", "b"]}
    networks = {(4, "full"): [0.9, 0.8], (4, "binary"): [0.7, 0.6], (8, "binary"): [0.95, 0.9]}
    rows = pd.concat(
        pd.DataFrame(known | {"channels": channels, "levels": levels, "last": last})
        for (channels, levels), last in networks.items()
    )
    figure = ablation(rows)
    panels = [axis for axis in figure.axes if axis.axison]
    names = [(axis.get_ylabel(), axis.get_title()) for axis in panels]
    assert names == [("4 channels", "full"), ("", "binary"), ("8 channels", "")]
    assert panels[2].yaxis.label.get_visible() and panels[2].get_xlabel() == "test accuracy (%)"
    for axis, accuracies in zip(panels, networks.values(), strict=True):
        shown = next(line for line in axis.lines if line.get_marker() == "o")
        assert shown.get_xdata() == pytest.approx([100 * one for one in accuracies])
    for axis in (panels[0], panels[2]):
        assert [label.get_text() for label in axis.get_yticklabels()] == ["a", "b"]
    plt.close(figure)
    one = ablation(rows[rows["channels"] == 4])
    assert [axis.get_ylabel() for axis in one.axes] == ["", ""]
    plt.close(one)


def test_captions_say_how_many_seeds_and_orders():
    runs = pd.DataFrame({"recordings": "x", "seed": [0, 0, 1, 1], "test_recordings": 1000})
    assert catalogue.results_caption(runs) == "mean ± s.d. over 2 seeds; x: 1,000 test samples"
    runs["order"] = [0, 1, 0, 1]
    assert "over 2 seeds with 2 orders of batches each; x" in catalogue.results_caption(runs)


def test_a_long_note_has_as_many_lines_as_it_needs():
    figure = plt.figure(figsize=(3, 1))
    lines = note(figure, "N-MNIST, simulated: 10,000 test samples; " * 3).get_supxlabel().split("\n")
    assert len(lines) == 3 and max(map(len, lines)) <= 60
    plt.close(figure)
