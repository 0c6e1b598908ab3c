"""Studies of which some runs are not there: not finished yet, or not asked for in every width."""

import json
from dataclasses import asdict, replace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.numpy import load_file, save_file

import snnq
from snnq.figures import captioned, catalogue
from snnq.figures.ablations import ablation
from snnq.figures.protocol import protocol
from snnq.study.gather import gather_ablations, one_of_each, read_gathered, write_table
from snnq.study.profile import plan
from snnq.study.tables import ablation_panels

GAINS = {"recipe": 0.0, "plus one": 0.01, "minus two": -0.02}  # of accuracy, in every width
CHANNELS = {4: 0.9, 8: 0.96}  # and the accuracy of the recipe


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def ablated(lacking=lambda row: False, levels=("binary",), seeds=range(3)) -> pd.DataFrame:
    """Rows of an ablation in two widths, in the order of the profile, without some."""
    rows = pd.DataFrame(
        {"change": change, "channels": channels, "levels": of, "seed": seed, "last": reached + gain + spread}
        for change, gain in GAINS.items()
        for of in levels
        for channels, reached in CHANNELS.items()
        for seed in seeds
        for spread in [0.001 * seed + 0.01 * gain * seed**2]
    )
    rows = rows.assign(recordings="x", ablation="a", on_validation=0.5, test_recordings=1000)
    rows["name"] = [f"{row.change}{row.channels}{row.levels}{row.seed}" for row in rows.itertuples()]
    return rows[[not lacking(row) for row in rows.itertuples()]]


KEY = ["channels", "levels", "change"]
COMPARED = ["difference", "low", "high", "reading"]


@pytest.mark.parametrize("change", GAINS)
def test_a_width_that_a_change_lacks_leaves_other_comparisons_as_they_are(change):
    whole = snnq.ablation_table(ablated()).set_index(KEY)
    assert set(whole["reading"]) == {"", "better", "worse"}
    rows = ablated(lambda row: (row.channels, row.change) == (8, change))
    assert set(ablation_panels(rows)) == {(4, "binary"), (8, "binary")}
    found = snnq.ablation_table(rows).set_index(KEY)
    assert set(whole.index) - set(found.index) == {(8, "binary", change)}
    if change == "recipe":  # nothing to compare with in this width
        assert found.loc[8, "difference"].isna().all() and (found.loc[8, "reading"] == "").all()
        found = found.loc[[4]]
    pd.testing.assert_frame_equal(found[COMPARED], whole.loc[found.index, COMPARED])


def test_the_first_change_is_that_of_the_first_row_wherever_its_other_rows_are():
    rows = ablated()
    others_first = pd.concat([rows[:1], rows[:0:-1]])
    found, whole = (snnq.ablation_table(each).set_index(KEY)[COMPARED] for each in (others_first, rows))
    pd.testing.assert_frame_equal(found.loc[whole.index], whole)


def test_a_width_is_what_is_changed_where_each_change_has_one():
    of = dict(zip(GAINS, (4, 8, 4)))
    rows = ablated(lambda row: row.channels != of[row.change], levels=("full", "binary"))
    assert set(ablation_panels(rows)) == {(None, "full"), (None, "binary")}
    found = snnq.ablation_table(rows).set_index(["levels", "change"])["difference"]
    assert found["full"].tolist() == pytest.approx([np.nan, 7, -2], abs=0.05, nan_ok=True)
    assert found["full"].tolist() == pytest.approx(found["binary"].tolist(), nan_ok=True)
    same = ablated(lambda row: row.channels != 4)
    assert set(ablation_panels(same)) == {(4, "binary")}


def test_a_panel_without_the_recipe_is_not_drawn():
    def lacking(row):
        return (row.channels, row.levels, row.change) == (8, "binary", "recipe")

    figure = ablation(ablated(lacking, levels=("full", "binary")))
    panels = {(axis.get_ylabel(), axis.get_title()): axis for axis in figure.axes if axis.axison}
    assert list(panels) == [("4 channels", "full"), ("", "binary"), ("8 channels", "")]
    recipes = [text.get_text() for axis in panels.values() for text in axis.texts]
    assert recipes == ["90.1 %", "90.1 %", "96.1 %"]
    alone = ablation(ablated(lambda row: row.channels == 8 and row.change == "recipe"))
    (axis,) = alone.axes
    assert [line.get_ydata()[0] for line in axis.lines if line.get_marker() == "o"] == [1, 2]


def test_of_the_protocol_too_nothing_is_compared_without_the_first_choice():
    rows = ablated(lambda row: row.channels == 8 and row.change == "recipe", levels=("full", "binary"))
    table = snnq.ablation_table(rows)
    figure = protocol(table.rename(columns={"ablation": "part", "change": "choice"}))
    figure.draw_without_rendering()
    assert [axis.get_title() for axis in figure.axes] == ["plus one", "minus two"]
    for axis in figure.axes:
        places = [x for bars in axis.containers for x in bars.lines[0].get_xdata() if np.isfinite(x)]
        assert axis.get_xlabel() == "difference to recipe (points)" and len(places) == 2


@pytest.fixture
def study(in_tmp):
    """A profile with two ablations, nothing of which is trained."""
    changes = {"sigmoids": {}, "sign": {"quantized": {"quantizer": "sign"}}}
    changes["LSQ"] = {"quantized": {"quantizer": "lsq"}}
    return plan(
        {
            "study": "mine",
            "benchmarks": {"nmnist": {}},
            "levels": ["binary"],
            "channels": [4, 8],
            "seeds": [0, 1],
            "settings": {"data": "nowhere", "epochs": 3},
            "ablations": {"methods": {"changes": changes}, "others": {"changes": dict(list(changes.items())[1:])}},
        }
    )


def finish(study, is_finished) -> None:
    """Records of some of a study's runs, as after training, with predictions."""
    accuracies = dict.fromkeys(("last", "validation", "best", "last_soft", "on_validation"), 0.5)
    facts = {"accuracy": accuracies, "seconds": [1.0], "device": "cpu", "commit": "0", "bytes": 1, "bytes_float32": 9}
    facts |= {"data": {"simulated": False}, "recordings": {"train": 8, "validation": 1, "test": 2}}
    for name, run in study.all_runs.items():
        if is_finished(run):
            study.run_folder(name).mkdir(parents=True)
            (study.run_folder(name) / "run.json").write_text(json.dumps(facts | {"run": asdict(run)}))
            classes = {"label": np.uint8([0, 1]), "hard": np.uint8([0, 0])}
            save_file(classes, study.run_folder(name) / "predictions.safetensors")


def test_an_ablation_is_left_out_until_its_first_change_has_a_run(study, capsys):
    finish(study, lambda run: run.quantizer != "sigmoid")
    gather_ablations(study)
    (line,) = capsys.readouterr().out.splitlines()
    assert "'methods'" in line and "'sigmoids'" in line and "others" not in line
    rows = read_gathered(study.folder, "ablations")
    assert rows["ablation"].unique().tolist() == ["others"]
    assert set(rows["quantizer"]) == {"sign", "lsq"} and len(rows) == 8


def test_what_is_left_out_has_no_predictions_either(study):
    finish(study, lambda run: run.quantizer != "sigmoid")
    methods = [row for row in study.ablations if row.ablation == "methods"]
    others = [row for row in study.ablations if (row.ablation, row.change) == ("others", "LSQ")]
    gather_ablations(replace(study, ablations=methods + others))
    kept = load_file(study.folder / "predictions_ablations.safetensors")
    assert {name.split("/")[1] for name in kept} == {"label", *(row.run for row in others)}


def test_without_a_first_change_of_any_ablation_the_table_stays_as_it_was(study, capsys):
    finish(study, lambda run: run.quantizer == "sign")
    gather_ablations(study)
    before = read_gathered(study.folder, "ablations")
    methods = [row for row in study.ablations if row.ablation == "methods"]
    with pytest.raises(FileNotFoundError, match="results/mine: .* first change"):
        gather_ablations(replace(study, ablations=methods))
    pd.testing.assert_frame_equal(read_gathered(study.folder, "ablations"), before)


def test_an_ablation_with_its_first_change_in_one_width_stays(study, capsys):
    finish(study, lambda run: run.quantizer != "sigmoid" or run.channels == 8)
    gather_ablations(study)
    assert capsys.readouterr().out == ""
    rows = read_gathered(study.folder, "ablations")
    found = snnq.ablation_table(rows[rows["ablation"] == "methods"]).set_index(["channels", "change"])
    assert found["reading"][8, "sign"] == "the same in each seed"
    assert (found.loc[4, "reading"] == "").all() and list(found.loc[4].index) == ["sign", "LSQ"]


def test_each_network_has_the_lowest_seed_that_it_was_trained_with():
    seeds = {(2, "full"): [0, 1], (2, "binary"): [1, 2], (4, "full"): [3, 1], (4, (-2, 0, 1)): [2]}
    runs = pd.DataFrame(
        {"recordings": "x", "channels": channels, "levels": levels, "seed": seed, "order": order}
        for (channels, levels), of in seeds.items()
        for seed in of
        for order in ((1, 2) if seed == 1 else (0, 1))
    )
    found = one_of_each(runs, widest=False)
    kept = {(row.channels, row.levels): (row.seed, row.order) for row in found.itertuples()}
    assert len(found) == 4
    assert kept == {(2, "full"): (0, 0), (2, "binary"): (1, 1), (4, "full"): (1, 1), (4, (-2, 0, 1)): (2, 0)}
    assert one_of_each(runs)["channels"].tolist() == [4, 4]


@pytest.fixture
def by_width(in_tmp):
    """Tables and packed networks of a study with seeds 0 and 1, of which its widest has the other."""
    rows = [
        {"channels": channels, "levels": levels, "seed": seed, "name": f"{levels}{channels}-{seed}"}
        for channels, seeds in {2: (0, 1), 3: (1,)}.items()
        for levels in ("full", "binary")
        for seed in seeds
    ]
    for row in rows:
        model = snnq.build_model("nmnist", channels=row["channels"])
        path = in_tmp / "runs" / row["name"] / "packed.safetensors"
        path.parent.mkdir(parents=True)
        snnq.pack(model if row["levels"] == "full" else snnq.quantize(model, row["levels"]), path)
    known = {"recordings": "x", "benchmark": "nmnist", "order": 0, "simulated": True, "test_recordings": 9}
    known |= {"bytes": 1, "bytes_float32": 9} | dict.fromkeys(("last", "validation", "best", "last_soft"), 0.5)
    write_table(in_tmp, "runs", pd.DataFrame(rows).assign(**known))
    return in_tmp


def test_operations_are_those_of_every_width_and_their_caption_names_each_seed(by_width):
    data = [(torch.ones(2, 2, 34, 34), 0)]
    table = snnq.operations_of_runs(by_width, "x", data)
    found = table.set_index(["channels", "levels"])
    assert found["seed"].to_dict() == {(2, "full"): 0, (2, "binary"): 0, (3, "full"): 1, (3, "binary"): 1}
    for (channels, levels), row in found.iterrows():
        network = snnq.unpack(by_width / "runs" / f"{levels}{channels}-{row['seed']}" / "packed.safetensors")
        assert row["effective"] == pytest.approx(snnq.operations(network, data)["effective"].sum())
    write_table(by_width, "operations", table)
    assert "operations of seed 0 or 1 over 1 test samples" in catalogue.caption(
        "accuracy_against_operations", by_width
    )
    write_table(by_width, "operations", table[table["seed"] == 1])
    assert "operations of seed 1 over" in captioned.accuracy_against_operations(by_width).get_label()
    assert snnq.packed_networks(by_width)[["channels", "seed"]].to_numpy().tolist() == [[3, 1], [3, 1]]
    assert len(snnq.packed_networks(by_width, widest=False)) == 4


def test_captions_of_one_network_of_each_level_set_name_all_their_seeds():
    rows = pd.DataFrame({"recordings": "x", "channels": 8, "seed": [2000, 1, 1]})
    assert captioned.run_caption(rows) == "x, 8 channels, seed 1 or 2000"
    assert captioned.run_caption(rows[1:]) == "x, 8 channels, seed 1"
