"""A study's records gathered into tables, and how far the study is."""

import json
import shutil
import statistics
from contextlib import chdir
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import TINY
from safetensors.numpy import load_file, save_file

import snnq
from snnq.study import forecast as forecasting
from snnq.study.gather import TABLES, gather, gather_ablations, one_of_each, read_gathered
from snnq.study.predictions import read_predictions, write_predictions
from snnq.study.profile import plan


def planned(recordings: Path):
    """Full precision, binary and a list of levels, with an ablation."""
    settings = {name: value for name, value in TINY.items() if name != "epochs"}
    return plan(
        {
            "study": "test",
            "benchmarks": {"nmnist": {}},
            "levels": ["full", "binary", [-2, 0, 1]],
            "seeds": [0],
            "settings": settings | {"data": str(recordings)},
            "full": {"epochs": 1},
            "quantized": {"epochs": 4},
            "pretraining": {"epochs": 2},
            "ablations": {
                "neuron": {
                    "levels": ["full", "binary"],
                    "changes": {"PLIF": {}, "IF": {"settings": {"neuron": "if"}}},
                }
            },
        }
    )


@pytest.fixture
def study(recordings, in_tmp):
    """Nothing is trained yet."""
    return planned(recordings)


def train(study, runs):
    for name, run in runs.items():
        snnq.fit(run, study.folder / "runs" / name, progress=False)


@pytest.fixture(scope="module")
def trained(tmp_path_factory, recordings):
    """The folder that the study's runs were trained in."""
    folder = tmp_path_factory.mktemp("trained")
    with chdir(folder):
        study = planned(recordings)
        train(study, study.all_runs)
    return folder


@pytest.fixture
def gathered(study, trained, in_tmp):
    shutil.copytree(trained, in_tmp, dirs_exist_ok=True)
    gather(study)
    gather_ablations(study)
    return study


def test_tables_say_what_the_records_say(gathered):
    runs = read_gathered(gathered.folder, "runs").set_index("name")
    assert set(runs.index) == set(gathered.runs)
    for name, run in gathered.runs.items():
        record = snnq.read_record(gathered.folder / "runs" / name)
        row = runs.loc[name]
        assert row["levels"] == run.levels and row["keep"] == run.keep
        assert row["learned"] == run.learned
        for way, accuracy in record["accuracy"].items():
            assert row[way] == pytest.approx(accuracy, rel=1e-5)
        assert (row["commit"], row["bytes"]) == (record["commit"], record["bytes"])
    histories = read_gathered(gathered.folder, "histories")
    assert len(histories) == 1 + 4 + 4
    chosen = histories[histories["levels"] == (-2, 0, 1)]
    (name,) = [name for name, run in gathered.runs.items() if run.levels == (-2, 0, 1)]
    expected = snnq.read_history(gathered.folder / "runs" / name).drop(columns="seconds")
    found = chosen[expected.columns].reset_index(drop=True)
    pd.testing.assert_frame_equal(found, expected, rtol=1e-5, check_dtype=False)
    histograms = read_gathered(gathered.folder, "histograms")
    assert set(histograms["epoch"]) == {0, 1, 2, 4}
    assert set(histograms["levels"]) == {"binary", (-2, 0, 1)}
    transitions = read_gathered(gathered.folder, "transitions")
    assert len(transitions) == 2 * 5 * 3  # runs, epochs with the one before training, and layers
    assert set(transitions["quantizer"]) == {"sigmoid"}
    for name, run in gathered.runs.items():
        if run.levels != "full":
            kept = pd.read_csv(gathered.run_folder(name) / "histograms.csv")
            of_run = transitions[[levels == run.levels for levels in transitions["levels"]]]
            columns = ["epoch", "layer", "in_transition", "alpha", "beta"]
            assert kept[columns].notna().all(axis=None)
            found = of_run[columns].reset_index(drop=True)
            pd.testing.assert_frame_equal(found, kept[columns], rtol=1e-5)
    table = read_gathered(gathered.folder, "table").fillna({"reading": ""})
    correct = snnq.read_correct(gathered.folder)
    expected = snnq.results_table(snnq.read_runs(gathered.folder / "runs", gathered.runs), correct)
    pd.testing.assert_frame_equal(table, expected, atol=1e-4, check_dtype=False)
    assert list(table.columns[:2]) == ["recordings", "benchmark"]
    for name in TABLES:
        rows = read_gathered(gathered.folder, name)
        assert rows.columns[0] == "recordings" and set(rows["recordings"]) == {"N-MNIST, real"}


def test_what_each_run_classified_correctly_is_kept(gathered):
    correct = snnq.read_correct(gathered.folder)
    assert set(correct) == {*gathered.runs, *gathered.ablation_runs}
    for name, right in correct.items():
        folder = gathered.folder / "runs" / name
        classes = load_file(folder / "predictions.safetensors")
        assert right.tolist() == (classes["hard"] == classes["label"]).tolist()
        assert right.mean() == pytest.approx(snnq.read_record(folder)["accuracy"]["last"])
    kept = load_file(gathered.folder / "predictions.safetensors")
    assert set(kept) == {"0/label"} | {f"0/{name}" for name in gathered.runs}
    assert {classes.dtype for classes in kept.values()} == {np.dtype("uint8")}


def test_of_a_run_that_was_trained_again_the_newer_predictions_count(gathered):
    """The study was run without its ablations, whose files are of the training before."""
    name = next(iter(gathered.runs))
    newer, label = read_predictions(gathered.folder)[name]
    older = {name: (255 - newer, label)}
    write_predictions(gathered.folder / "predictions_ablations.safetensors", older)
    table = (gathered.folder / "table.csv").read_text()
    gather(gathered)
    assert (gathered.folder / "table.csv").read_text() == table
    assert snnq.read_correct(gathered.folder)[name].tolist() == (newer == label).tolist()


def test_runs_without_predictions_and_other_test_sets(gathered):
    first, second, third = gathered.runs
    (gathered.run_folder(first) / "predictions.safetensors").unlink()  # as before they were kept
    other = {"label": np.arange(5, dtype=np.uint8), "hard": np.array([0, 1, 2, 0, 0], np.uint8)}
    save_file(other, gathered.run_folder(third) / "predictions.safetensors")
    (gathered.folder / "predictions_ablations.safetensors").unlink()
    gather(gathered)
    correct = snnq.read_correct(gathered.folder)
    assert {name: len(right) for name, right in correct.items()} == {second: 40, third: 5}
    assert correct[third].tolist() == [True, True, True, False, False]
    runs = {name: gathered.runs[name] for name in [first]}
    gather(replace(gathered, runs=runs))
    assert snnq.read_correct(gathered.folder) == {}
    (gathered.folder / "predictions.safetensors").write_bytes(b"x" * 100)
    with pytest.raises(ValueError, match="test/predictions.safetensors: no predictions"):
        snnq.read_correct(gathered.folder)


def test_staircases_are_those_of_the_trained_networks(gathered):
    rows = read_gathered(gathered.folder, "staircases")
    assert set(rows["levels"]) == {"binary", (-2, 0, 1)}
    for name, run in gathered.runs.items():
        if run.levels != "full":
            model = snnq.trained_network(gathered.folder / "runs" / name)
            of_run = rows[rows["levels"] == run.levels].set_index("layer")
            assert list(of_run.index) == list(snnq.quantizers(model))
            for layer, quantizer in snnq.quantizers(model).items():
                assert of_run.loc[layer, "temperature"] == quantizer.temperature
                thresholds = quantizer.biases.tolist()
                assert of_run.loc[layer, "thresholds"] == pytest.approx(thresholds, rel=1e-5)
                weights = model.get_submodule(layer).weight.detach() / quantizer.alpha.detach()
                at_level = [(weights - level).abs() < 1e-3 for level in quantizer.levels]
                shares = [at.float().mean().item() for at in at_level]
                assert of_run.loc[layer, "shares"] == pytest.approx(shares, rel=1e-5)
                assert sum(shares) == pytest.approx(1) and max(shares) < 1


def test_runs_of_before_scales_were_recorded_are_gathered(gathered):
    (name,) = [name for name, run in gathered.runs.items() if run.levels == "binary"]
    path = gathered.run_folder(name) / "histograms.csv"
    pd.read_csv(path).drop(columns=["alpha", "beta"]).to_csv(path, index=False)
    gather(gathered)
    rows = read_gathered(gathered.folder, "transitions")
    of_binary = rows["levels"] == "binary"
    assert rows["alpha"].isna().equals(of_binary) and rows["in_transition"].notna().all()


def test_weights_in_transition_are_those_of_every_run_and_histograms_of_one_seed(gathered):
    (name,) = [name for name, run in gathered.runs.items() if run.levels == "binary"]
    another = gathered.run_folder("another")
    shutil.copytree(gathered.run_folder(name), another)
    record = snnq.read_record(another)
    record["run"]["seed"] = 1
    (another / "run.json").write_text(json.dumps(record))
    runs = {name: gathered.runs[name], "another": replace(gathered.runs[name], seed=1)}
    gather(replace(gathered, runs=runs))
    transitions, histograms, staircases = (
        read_gathered(gathered.folder, table)
        for table in ("transitions", "histograms", "staircases")
    )
    assert transitions["seed"].value_counts().to_dict() == {0: 15, 1: 15}
    assert set(histograms["seed"]) == set(staircases["seed"]) == {0}
    assert "in_transition" not in histograms


def test_without_quantized_runs_tables_are_empty(study):
    runs = {name: run for name, run in study.runs.items() if run.levels == "full"}
    train(study, study.pretraining | runs)
    gather(replace(study, runs=runs))
    for name in ("transitions", "histograms", "staircases"):
        assert read_gathered(study.folder, name).empty


@pytest.mark.parametrize(
    ("benchmark", "made", "name"),
    [
        ("nmnist", {"simulated": False}, "N-MNIST, real"),
        ("nmnist", {"simulated": True, "images": "mnist.npz"}, "N-MNIST, simulated"),
        ("cifar10dvs", {"simulated": True}, "CIFAR10-DVS, simulated"),
        ("dvsgesture", {"simulated": False}, "DVS128 Gesture, real"),
        (
            "nmnist",
            {"simulated": True, "images": "handwritten digits of scikit-learn (load_digits)"},
            "digits, simulated",
        ),
        (
            "dvsgesture",
            {"simulated": True, "images": "drawn gestures (snnq.simulation.gestures)"},
            "gestures, simulated",
        ),
    ],
)
def test_recordings_are_called_after_what_they_are(benchmark, made, name):
    assert snnq.recordings_name(benchmark, made) == name


def test_ablations_share_the_runs_of_the_table(gathered):
    rows = read_gathered(gathered.folder, "ablations")
    assert rows[["ablation", "change", "levels", "neuron"]].to_numpy().tolist() == [
        ["neuron", "PLIF", "full", "plif"],
        ["neuron", "PLIF", "binary", "plif"],
        ["neuron", "IF", "full", "if"],
        ["neuron", "IF", "binary", "if"],
    ]
    assert set(rows["name"][:2]) < set(gathered.runs)
    assert set(rows["name"][2:]) == set(gathered.ablation_runs)


def test_networks_that_are_drawn_are_of_one_seed_order_and_width(study):
    points = list(product(("lab, own", "field, own"), (2, 8, 4), (1, 0), (0, 1)))
    runs = pd.DataFrame(points, columns=["recordings", "channels", "seed", "order"]).assign(levels="binary")
    own = ["recordings", "channels", "seed", "order"]
    assert one_of_each(runs)[own].to_numpy().tolist() == [["lab, own", 8, 0, 0], ["field, own", 8, 0, 0]]
    of_all = one_of_each(runs, widest=False)
    assert of_all["channels"].tolist() == [2, 8, 4] * 2 and not of_all[["seed", "order"]].any(axis=None)
    # In the field the widest have fewer level sets than others.
    ternary = runs[(runs["recordings"] == "lab, own") | (runs["channels"] < 8)].assign(levels="ternary")
    drawn = one_of_each(pd.concat([runs, ternary]))
    assert sorted(drawn[["recordings", "channels", "levels"]].itertuples(index=False)) == [
        ("field, own", 4, "binary"), ("field, own", 4, "ternary"),
        ("lab, own", 8, "binary"), ("lab, own", 8, "ternary"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("study", "table", "command"),
    [
        ("quick", "runs", "make study"),
        ("paper", "runs", "make paper"),
        ("quick", "ablations", "make ablations"),
        ("paper", "ablations", "snnq study config/paper.yaml --ablations"),
        ("mine", "costs", "snnq study config/mine.yaml"),
    ],
)
def test_a_study_that_was_not_run_says_which_command_runs_it(in_tmp, study, table, command):
    with pytest.raises(FileNotFoundError, match=f"results/{study}/{table}.csv: .*`{command}`"):
        read_gathered(f"results/{study}", table)


def test_forecast_counts_epochs_and_takes_finished_runs_times(study):
    nothing = forecasting.forecast(study)
    assert nothing["levels"].tolist() == ["full", "binary", "(-2, 0, 1)"]
    assert nothing["epochs"].tolist() == [2 + 1, 4, 4] and nothing["done"].sum() == 0
    assert nothing["hours_left"].isna().all()
    assert "0 of 4 runs finished, 0 of 11 epochs; time left unknown" in forecasting.summary(nothing)
    train(study, {name: run for name, run in study.trained.items() if run.levels == "full"})
    (name,) = [name for name, run in study.runs.items() if run.levels == "binary"]
    half = study.folder / "runs" / name
    half.mkdir()
    half.joinpath("history.csv").write_text("epoch\n1\n2\n")
    measured = pd.DataFrame(
        {
            "benchmark": "nmnist",
            "channels": 2,
            "levels": ["full", "binary"],
            "seconds_per_epoch": [1e9, 1800.0],
        }
    )
    table = forecasting.forecast(study, measured).set_index("levels")
    records = [json.loads(path.read_text()) for path in (study.folder / "runs").glob("*/run.json")]
    means = [statistics.mean(record["seconds"]) for record in records]
    assert table.loc["full", "seconds_per_epoch"] == pytest.approx(statistics.median(means))
    assert table["done"].tolist() == [3, 2, 0]
    assert table["hours_left"].tolist()[:2] == [0, 1]  # two epochs of half an hour


def test_measured_steps_make_an_epoch(study, monkeypatch):
    monkeypatch.setattr(
        forecasting, "_timed", lambda run, device, batch, training: batch * (2 if training else 1)
    )
    seconds = forecasting.measure(study).set_index("levels")["seconds_per_epoch"]
    # 40 training recordings, 4 of them for validation; of the tests of 40, one in four is soft too.
    assert seconds["full"] == 36 * 2 + 4 + 40
    assert seconds["binary"] == 36 * 2 + 4 + 40 + 40 / 4


def test_a_width_is_a_network_of_its_own_and_full_precision_comes_before_a_run_from_scratch(
    tiny, in_tmp, monkeypatch
):
    def timed(run, device, batch, training):
        seconds = run.channels * (1 if run.levels == "full" else 10)
        return batch * seconds if training else 0

    monkeypatch.setattr(forecasting, "_timed", timed)
    kept = {name: tiny[name] for name in ("data", "steps", "device")}
    lists = {"levels": ["full", "binary"], "channels": [2, 4], "seeds": [0, 1], "orders": [0, 1, 2]}
    profile = {"study": "test", "benchmarks": {"nmnist": {}}, **lists}
    profile |= {"settings": kept | {"epochs": 4}, "pretraining": {"epochs": 2}}
    started, scratch = (
        plan(profile | changes) for changes in ({}, {"pretraining": None, "quantized": {"full_epochs": 1}})
    )
    for study, full_epochs, binary in (
        (started, 2 * (2 + 3 * 4), 10),
        (scratch, 2 * 3 * 4, (1 + 3 * 10) / 4),  # of the four epochs one is in full precision
    ):
        table = forecasting.forecast(study, forecasting.measure(study))
        assert table[["channels", "levels"]].apply(tuple, axis=1).tolist() == [
            (2, "full"), (4, "full"), (2, "binary"), (4, "binary"),
        ]  # fmt: skip
        assert table["epochs"].tolist() == [full_epochs, full_epochs, 24, 24]
        expected = [36 * seconds for seconds in (2, 4, 2 * binary, 4 * binary)]
        assert table["seconds_per_epoch"].tolist() == pytest.approx(expected)


def test_epochs_in_full_precision_count_as_done(study):
    runs = {name: replace(run, start=None) for name, run in study.runs.items()}
    (name,) = [name for name, run in runs.items() if run.levels == "binary"]
    scratch = replace(study, runs=runs, pretraining={})
    folder = study.run_folder(name)
    for place, epochs, done in (("full", 1, 1), ("full", 2, 2), (".", 3, 3)):
        (folder / place).mkdir(parents=True, exist_ok=True)
        (folder / place / "history.csv").write_text("epoch\n" + "1\n" * epochs)
        assert scratch.epochs_done(name) == done


def test_what_does_not_fit_into_memory_is_named_and_the_others_are_measured(study, monkeypatch):
    def timed(run, device, batch, training):
        if run.levels != "full":
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")
        return batch

    monkeypatch.setattr(forecasting, "_timed", timed)
    message = "nmnist, binary: out of memory with batch_size=16, channels=2: lower the first"
    with pytest.warns(UserWarning, match=message):
        measured = forecasting.measure(study)
    seconds = measured.set_index("levels")["seconds_per_epoch"]
    assert seconds["full"] > 0 and seconds.drop("full").isna().all()
    assert len(forecasting.forecast(study, measured)) == len(seconds)


def test_profiles_are_merged(tmp_path):
    first, second = tmp_path / "a.yaml", tmp_path / "b.yaml"
    first.write_text("job: {gpu: 1}\nbenchmarks: {nmnist: {settings: {data: x, steps: 2}}}")
    second.write_text("benchmarks: {nmnist: {settings: {data: y}}}")
    assert forecasting.read_profiles([first, second]) == {
        "job": {"gpu": 1},
        "benchmarks": {"nmnist": {"settings": {"data": "y", "steps": 2}}}
    }


def test_packed_networks_are_those_of_the_first_seed_and_the_widest(in_tmp):
    rows = [
        {"levels": levels, "channels": channels, "seed": seed, "name": f"{levels}{channels}-{seed}"}
        for levels in ("binary", "full")
        for channels in (16, 4)
        for seed in (1, 0)
    ]
    for row in rows:
        path = in_tmp / "runs" / row["name"] / "packed.safetensors"
        path.parent.mkdir(parents=True)
        path.touch()
    known = {"recordings": "digits, simulated", "benchmark": "nmnist"}
    pd.DataFrame(rows).assign(**known).to_csv(in_tmp / "runs.csv", index=False)
    found = snnq.packed_networks(in_tmp)["path"].tolist()
    names = [Path(path).parent.name for path in found]
    assert names == ["full16-0", "binary16-0"]
