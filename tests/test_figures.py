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
from conftest import paper_quantizer, small_study
from matplotlib.text import Text
from torch import nn

import snnq
from snnq.figures import catalogue, figures_command, quantizer, results
from snnq.figures.ablations import ablation
from snnq.figures.catalogue import CATALOGUE, caption, draw, draw_all
from snnq.figures.colors import LEVEL_SETS, looks
from snnq.figures.layers import with_layer_names
from snnq.figures.style import SMALLEST, WIDE, WIDTH, save
from snnq.figures.training import weight_histograms
from snnq.networks.names import layer_names
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
            intact, _ = snnq.evaluate(network, test)
            table = snnq.accuracy_with_faults(network, test, [0.1, 0.2], 2).assign(intact=intact)
            faults.append(table.assign(weights_of=row.levels, signs="at risk", **known))
    pd.concat(costs).to_csv(found / "costs.csv", index=False)
    pd.concat(faults).to_csv(found / "faults.csv", index=False)
    pd.concat(layers).to_csv(found / "layers.csv", index=False)
    with chdir(folder):
        snnq.traces_of_study(found).to_csv(found / "traces.csv", index=False)
    snnq.firing_fidelity(found, row.recordings, test).to_csv(found / "fidelity.csv", index=False)
    counted = snnq.operations_of_runs(found, row.recordings, test)
    counted.to_csv(found / "operations.csv", index=False)
    shutil.rmtree(found / "runs")
    return found


def unreadable(figure) -> list[str]:
    """What is too small, outside the figure, or printed over each other."""
    figure.draw_without_rendering()
    found = []
    hidden = set(itertools.chain(*map(_beyond, figure.axes)))
    texts = [
        text
        for text in figure.findobj(Text)
        if text.get_text() and text.get_visible() and text not in hidden
    ]
    boxes = {text: text.get_window_extent().padded(-1) for text in texts}
    for text, box in boxes.items():
        (x0, y0), (x1, y1) = box.min, box.max
        inside = min(x0, y0) >= -2 and x1 <= figure.bbox.x1 + 1 and y1 <= figure.bbox.y1 + 1
        if text.get_fontsize() < SMALLEST or not inside:
            found.append(text.get_text())
    for (one, box), (other, near) in itertools.combinations(boxes.items(), 2):
        if box.overlaps(near):
            found.append(f"{one.get_text()} over {other.get_text()}")
    return found


def _beyond(axes) -> list[Text]:
    """Labels of ticks beyond the ends of an axis, and all of axes that are off."""
    if not axes.axison:
        return axes.findobj(Text)
    return [
        tick.label1
        for axis in (axes.xaxis, axes.yaxis)
        for tick in axis.get_major_ticks() + axis.get_minor_ticks()
        if not min(axis.get_view_interval()) <= tick.get_loc() <= max(axis.get_view_interval())
    ]


def test_every_figure_is_drawn_can_be_read_and_says_what_it_is_of(study, tmp_path, capsys, monkeypatch):
    def look_and_save(figure, folder, name):
        save(figure, folder, name)
        assert figure.get_figwidth() in (WIDTH, WIDE), name
        assert unreadable(figure) == [], name
        of_data = name not in ("quantizer_staircase", "quantizer_slope", "quantizer_soft_to_hard")
        assert ("N-MNIST, real" in figure.get_label()) == of_data, name

    plt.close("all")  # what other tests of the process have left
    monkeypatch.setattr(catalogue, "save", look_and_save)
    drawn = draw_all(study, tmp_path)
    assert drawn == [*CATALOGUE, ABLATION]
    assert capsys.readouterr().out == "" and plt.get_fignums() == []
    expected = {f"{name}.{kind}" for name in drawn for kind in ("png", "pdf")} | {"captions.md"}
    assert {path.name for path in tmp_path.iterdir()} == expected
    for path in tmp_path.glob("*.pdf"):
        content = path.read_bytes()  # with TrueType fonts, which can be edited
        assert b"/FontFile2" in content and b"/Type3" not in content, path.name
    captions = (tmp_path / "captions.md").read_text()
    for name in ("frontier", ABLATION):
        assert f"({name}.png)\n\n{caption(name, study)}\n" in captions
    assert plt.get_fignums() == []
    for name in ("quantizer_slope", "frontier", ABLATION):  # the same to the byte
        save(draw(name, study), tmp_path / "again", name)
    for path in (tmp_path / "again").iterdir():
        assert path.read_bytes() == (tmp_path / path.name).read_bytes(), path.name
    plt.close("all")


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


def test_chosen_figures_alone_are_drawn(study, tmp_path):
    chosen = ["quantizer_slope", ABLATION]
    assert draw_all(study, tmp_path, chosen) == chosen
    assert {path.stem for path in tmp_path.iterdir()} == {*chosen, "captions"}
    before = (tmp_path / "captions.md").read_text()
    draw_all(study, tmp_path, ["frontier"])  # the captions of the others stay
    assert (tmp_path / "captions.md").read_text().startswith(f"{before}\n![frontier](frontier.png)\n\n")
    draw_all(study, tmp_path, chosen)
    assert (tmp_path / "captions.md").read_text().count("![") == 3


@pytest.mark.parametrize("wrong", ["ablation_of_none", "of_none"])
def test_a_figure_that_there_is_not_is_refused_before_any_is_drawn(study, tmp_path, wrong):
    with pytest.raises(ValueError, match=f"name='{wrong}': expected one of"):
        draw_all(study, tmp_path / "new", ["quantizer_slope", wrong])
    assert not (tmp_path / "new").exists()


def test_an_ablations_caption_tells_every_size_of_its_tests(study, tmp_path):
    shutil.copytree(study, tmp_path, dirs_exist_ok=True)
    rows = pd.read_csv(tmp_path / "ablations.csv")
    rows.loc[0, "test_recordings"] = 1234
    rows.to_csv(tmp_path / "ablations.csv", index=False)
    others = rows["test_recordings"].iloc[1]
    assert f", {others} or 1,234 test samples, " in caption(ABLATION, tmp_path)


def test_figures_without_a_table_are_named(study, tmp_path, capsys, monkeypatch):
    saved = []
    monkeypatch.setattr(catalogue, "save", lambda figure, *where: saved.append(where))
    for name in ("runs", "histories"):
        shutil.copy(study / f"{name}.csv", tmp_path)
    parser = ArgumentParser()
    figures_command.add_arguments(parser)
    default = {"study": "results/reference/quick", "folder": "figures", "names": []}
    assert vars(parser.parse_args([])) == default
    figures_command.run(parser.parse_args([str(tmp_path), str(tmp_path / "f")]))
    *missing, last = capsys.readouterr().out.splitlines()
    missing_names = [line.split(":")[0] for line in missing]
    assert missing_names == [
        "ablation_…",
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
    ]
    assert f"{tmp_path}/costs.csv" in missing[5] and last == f"10 figures in {tmp_path}/f"
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
    assert [bar.get_height() for bar in bars.patches] == (100 * shares).tolist()
    (grid, drawn), (_, soft) = (np.asarray(line.get_data()) for line in steps.lines)
    hard = np.select([grid > 0.4, grid > -0.2], [1, 0], -1)
    np.testing.assert_array_equal(drawn, hard)
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
    assert figure.get_label().endswith(" X, 9 test samples, mean and range over 2 seeds.")
    (legend,) = figure.legends
    expected = ["full, another seed", "full, another order", "2bit", "binary"]
    assert [text.get_text() for text in legend.get_texts()] == expected
    for axis, (channels, group) in zip(figure.axes, rows.groupby("channels"), strict=True):
        assert axis.get_title() == f"{channels} channels" and axis.get_xscale() == "log"
        assert axis.get_xlim() == figure.axes[0].get_xlim()
        assert [label.get_text() for label in axis.get_yticklabels()] in ([], ["a", "b"])
        means = group.groupby(["levels", "differs_in", "layer"], sort=False)["distance"].mean()
        points = np.concatenate([bars.lines[0].get_xydata() for bars in axis.containers])
        np.testing.assert_allclose(points[:, 0], means)
        assert points[:, 1].round().tolist() == 4 * [0, 1]
    plt.close(figure)


def test_ablations_figures_are_named_after_them(tmp_path):
    """One that compares nothing has none."""
    of = ["quantizer, binary", "quantizer, binary", "time steps", "time steps", "alone"]
    rows = {"recordings": "digits, simulated", "ablation": of, "change": list("abaca")}
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
    (ring,) = rings(axis)
    assert ring.get_xydata().tolist() == [pytest.approx([1.6, 86 + 1 / 3])]
    plt.close(figure)
    figure = results.frontier(table[table["channels"] == 2])  # one width, and nothing ahead
    assert rings(figure.axes[0]) == []
    assert {name: len(points) for name, points in lines_of(figure.axes[0]).items()} == {
        "full": 1, "binary": 1,
    }  # fmt: skip
    plt.close(figure)


def test_accuracy_against_bits_has_a_line_of_each_width(widths):
    figure = results.accuracy_against_bits(snnq.results_table(widths))
    (axis,) = figure.axes
    lines = lines_of(axis)
    assert list(lines) == ["2", "4", "8"]
    assert [accuracy for accuracy, _ in lines["8"]] == pytest.approx([95 + 1 / 3])
    assert sorted(round(place) for _, place in lines["2"]) == [0, 1]
    drawn = [line for line in axis.lines if line.get_linestyle() not in ("None", "none")]
    assert drawn == []  # nothing joins level sets
    assert [label.get_text() for label in axis.get_yticklabels()] == ["binary, 1", "full, 32"]
    (legend,) = figure.legends
    assert legend.get_title().get_text() == "channels"
    plt.close(figure)


def rings(axis) -> list:
    return [line for line in axis.lines if line.get_markerfacecolor() == "none"]


def test_an_ablation_has_a_row_of_each_width_and_a_column_of_each_level_set():
    known = {"recordings": "x", "ablation": "c", "on_validation": 0.5, "name": ["na", "nb"]}
    known |= {"seed": 0, "change": ["a", "b"]}
    networks = {(4, "full"): [0.9, 0.8], (4, "binary"): [0.7, 0.6], (8, "binary"): [0.95, 0.9]}
    rows = pd.concat(
        pd.DataFrame(known | {"channels": channels, "levels": levels, "last": last})
        for (channels, levels), last in networks.items()
    )
    figure = ablation(rows)
    panels = [axis for axis in figure.axes if axis.axison]
    names = [(axis.get_ylabel(), axis.get_title()) for axis in panels]
    assert names == [("4 channels", "full"), ("", "binary"), ("8 channels", "")]
    assert panels[2].yaxis.label.get_visible() and figure.get_supxlabel() == "accuracy difference (points)"
    for axis, (recipe, changed) in zip(panels, networks.values(), strict=True):
        shown = next(line for line in axis.lines if line.get_marker() == "o")
        assert shown.get_xydata().tolist() == [pytest.approx([100 * (changed - recipe), 1])]
        assert [text.get_text() for text in axis.texts] == [f"{100 * recipe:.1f} %"]
    for axis in (panels[0], panels[2]):
        assert [label.get_text() for label in axis.get_yticklabels()] == ["a", "b"]
    plt.close(figure)
    one = ablation(rows[rows["channels"] == 4])
    assert [axis.get_ylabel() for axis in one.axes] == ["", ""]
    plt.close(one)


def test_what_lies_far_off_is_pointed_to_and_leaves_the_others_apart():
    changes = {"recipe": [90, 91, 92], "near": [89, 90.5, 91], "same": [90.2, 90.8, 92], "far": [30, 75, 50]}
    changes |= {"wide": [84, 91, 98], "lower": [89.5, 90.6, 91.5], "higher": [90.4, 91.8, 92.6]}
    rows = pd.DataFrame(
        {"change": change, "seed": seed, "last": last / 100}
        for change, of in changes.items()
        for seed, last in enumerate(of)
    )
    known = {"recordings": "x", "ablation": "c", "on_validation": 0.5, "channels": 4, "levels": "binary"}
    figure = ablation(rows.assign(name=rows.index.map(str), **known))
    (axis,) = (axis for axis in figure.axes if axis.axison)
    assert [text.get_text() for text in axis.texts] == ["−39.3", "91.0 %"]
    (arrow,) = (line for line in axis.lines if line.get_marker() == "<")
    assert arrow.get_ydata()[0] == 3
    (wide,) = snnq.ablation_table(rows.assign(name="", **known)).query("change == 'wide'").itertuples()
    assert wide.low < -10 < axis.get_xlim()[0] and axis.get_xlim()[1] < 10 < wide.high  # its mean is in sight
    plt.close(figure)
    figure = ablation(rows[rows["change"] != "far"].assign(name="", **known))
    assert not [line for axis in figure.axes for line in axis.lines if line.get_marker() == "<"]
    plt.close(figure)


def test_captions_say_how_many_seeds_and_orders():
    runs = pd.DataFrame({"recordings": "x", "seed": [0, 0, 1, 1], "test_recordings": 1000})
    assert catalogue.results_caption(runs) == "mean ± s.d. over 2 seeds; x: 1,000 test samples"
    runs["order"] = [0, 1, 0, 1]
    assert "over 2 seeds with 2 orders of batches each; x" in catalogue.results_caption(runs)


def test_differences_to_the_recipe_are_paired_and_have_the_tables_intervals():
    rows = pd.DataFrame(itertools.product(["a", "b", "c"], range(4)), columns=["change", "seed"])
    rows["last"] = 0.5 + np.random.default_rng(0).uniform(0, 0.1, len(rows))
    rows = rows.assign(recordings="x", ablation="y", channels=4, levels="binary", on_validation=0.5)
    rows["name"] = rows["change"] + rows["seed"].map(str)
    figure = ablation(rows)
    (axis,) = figure.axes
    by_change = 100 * rows.pivot(index="seed", columns="change", values="last")
    (bars,) = axis.containers
    _, _, (lines,) = bars
    for place, change in ((1, "b"), (2, "c")):
        expected = snnq.paired_difference(by_change[change], by_change["a"])
        assert bars.lines[0].get_xydata()[place - 1] == pytest.approx([expected.mean, place])
        drawn = lines.get_segments()[place - 1][:, 0]
        assert drawn == pytest.approx(expected.interval())
    plt.close(figure)


def test_accuracy_is_lost_by_faults_of_a_weight(study):
    """Counted from the packed bits: two of each weight but those of the first layer."""
    faults = pd.read_csv(study / "faults.csv")
    costs = pd.read_csv(study / "costs.csv")
    figure = draw("accuracy_against_faults", study)
    at_risk, protected = figure.axes
    line = lines_of(at_risk)["2bit"]
    quantized = costs[(costs["weights_of"] == "2bit") & (costs["levels"] == 4)]
    for (per_weight, lost), (rate, draws) in zip(line, faults.groupby("rate"), strict=True):
        assert per_weight == pytest.approx(draws["flipped"].mean() / quantized["numbers"].sum())
        assert per_weight == pytest.approx(2 * rate, rel=0.1)
        assert lost == pytest.approx(100 * (draws["intact"] - draws["accuracy"]).mean())
    assert lines_of(protected) == {}
    (band,) = at_risk.patches
    low, high = snnq.wilson(faults["intact"].iloc[0], 40)
    assert band.get_height() == pytest.approx(100 * (high - low))
    plt.close(figure)


def test_the_dashed_slope_is_that_of_the_studys_recipe(study, tmp_path):
    runs = pd.read_csv(study / "runs.csv")
    for backward, names in ((3.5, ["T' = 3.5, at any T"]), (None, [])):
        runs.assign(backward_temperature=backward).to_csv(tmp_path / "runs.csv", index=False)
        figure = draw("quantizer_slope", tmp_path)
        axis = figure.axes[1]
        assert axis.get_title() == "ternary" and axis.get_yscale() == "log"
        dashed = [line for line in axis.lines if line.get_linestyle() == "--"]
        assert [line.get_label() for line in dashed] == names
        (true,) = (line for line in axis.lines if line.get_label() == "T = 40")
        for line, slope_at in ((true, None), *((line, backward) for line in dashed)):
            weights = torch.linspace(-1, 1, len(line.get_xdata()), requires_grad=True)
            made = paper_quantizer(weights.detach(), "ternary", snnq.Run().temperature_initial, slope_at)
            made.temperature.fill_(40)
            made(weights).sum().backward()
            np.testing.assert_allclose(line.get_ydata(), weights.grad, rtol=1e-3, atol=1e-6)
        plt.close(figure)


def test_a_level_set_looks_the_same_wherever_it_is_drawn():
    known = looks(LEVEL_SETS)
    assert list(known) == ["full", "4bit", "3bit", "pm4", "pm2", "2bit", "ternary", "binary"]
    assert looks(["binary", "full"]) == {name: known[name] for name in ("full", "binary")}
    own = looks([(-1, 0, 3), "binary", "binary, <1000: 4bit"])
    for part in ("color", "marker"):
        assert len({str(look[part]) for look in known.values()}) == len(known)
    colors = {str(look["color"]) for look in [*known.values(), *own.values()]}
    assert len(colors) == len(known) + 2 and own["binary"] == known["binary"]


def test_layers_are_named_by_kind_and_place_or_as_their_owner_did(study):
    of_study = with_layer_names(pd.read_csv(study / "costs.csv"), pd.read_csv(study / "runs.csv"))
    expected = ["Conv 1", "BN 1", "PLIF 1", "Conv 2", "BN 2", "PLIF 2", "FC 1", "PLIF 3", "FC 2", "PLIF 4"]
    assert of_study["layer"].unique().tolist() == expected
    own = nn.Sequential(nn.Conv1d(2, 3, 1), nn.ReLU(), nn.Sequential(nn.Linear(3, 2)))
    snnq.quantize(own, "binary")
    assert layer_names(own) == {"0": "Conv 1", "2.0": "FC 1"}
    own.add_module("readout", nn.Linear(2, 2))
    assert layer_names(own) == {name: name for name in ("0", "2.0", "readout")}
    rows = pd.DataFrame({"recordings": "mine", "layer": ["layers.0"]})
    runs = pd.DataFrame({"recordings": ["mine"], "benchmark": "folder", "network": "plif"})
    assert with_layer_names(rows, runs)["layer"].tolist() == ["layers.0"]


def test_weights_before_and_after_are_shares_of_each_level():
    torch.manual_seed(0)
    before, after = (nn.Sequential(nn.Linear(5, 7), nn.Linear(7, 9)) for _ in range(2))
    for model in (before, after):
        snnq.quantize(model, "ternary")
    figure = weight_histograms(before, after)
    first, second = figure.axes
    assert [axis.get_title() for axis in figure.axes] == ["FC 1", "FC 2"]
    values = after[1].eval().weight.detach()
    shares = [100 * (values.sign() == level).float().mean() for level in (-1, 0, 1)]
    _, drawn = ([bar.get_height() for bar in bars] for bars in second.containers)
    assert drawn == pytest.approx([float(share) for share in shares])
    assert second.get_ylim() == (0, 100)
    assert [label.get_text() for label in second.get_xticklabels()] == ["−1", "0", "1"]
    for outline in first.patches:  # in full precision
        assert outline.get_data().values.sum() == pytest.approx(100)
    plt.close(figure)
