import json
import math
import shutil
from contextlib import chdir
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import TINY, at_call, fit, results, write_recordings
from safetensors.torch import load_file, save_file
from spikingjelly.activation_based import functional

import snnq
from snnq.quantization.rules import FULL
from snnq.recordings.splits import last_of_each_class
from snnq.study.tables import number_of_levels
from snnq.training import fit as whole
from snnq.training import gradients as training_gradients
from snnq.training import identity, outcome
from snnq.training import loop as training
from snnq.training.optimizer import parameter_groups
from snnq.training.random_state import mixed_seed
from snnq.training.record import accuracies


@pytest.fixture
def finished(tiny, in_tmp):
    """A finished binary run: (settings, folder, history)."""
    shutil.copytree(tiny["data"], in_tmp / "data")
    settings = tiny | {"levels": "binary", "data": "data"}
    return settings, in_tmp / "run", fit(settings, in_tmp / "run")


def test_history_has_a_row_per_epoch(finished):
    settings, folder, history = finished
    assert list(history.columns) == [
        "epoch",
        "temperature",
        "loss",
        "train_accuracy",
        "validation_accuracy",
        "test_accuracy",
        "test_accuracy_soft",
        "seconds",
    ]
    assert history["epoch"].tolist() == [1, 2]
    assert history["temperature"].tolist() == pytest.approx([math.nan, 4], nan_ok=True)
    pd.testing.assert_frame_equal(snnq.read_history(folder), history)


def test_record_states_settings_data_and_accuracies(finished):
    settings, folder, history = finished
    record = snnq.read_record(folder)
    assert snnq.Run.of(record["run"]) == snnq.Run(**settings)
    assert record["recordings"] == {"train": 30, "validation": 10, "test": 40}
    assert record["data"] == {"simulated": False}
    assert record["accuracy"]["last"] == history["test_accuracy"].iloc[-1]
    assert record["accuracy"]["best"] == history["test_accuracy"].max()
    assert record["versions"]["torch"].startswith("2.13")


@pytest.mark.parametrize(
    ("quantizer", "levels"),
    [("sign", "binary"), ("lsq", "2bit"), ("ttq", "ternary")]
    + [("qsnn", "binary"), ("rescaw", "ternary"), ("bso", "binary"), ("tbso", "binary")],
)
def test_baselines_train_and_come_back_as_they_were(tiny, in_tmp, quantizer, levels):
    settings = tiny | {"levels": levels, "quantizer": quantizer, "soft_every": 1}
    history = fit(settings, in_tmp)
    # Training sees what evaluation sees.
    assert history["test_accuracy"].tolist() == history["test_accuracy_soft"].tolist()
    _, test = snnq.load("nmnist", settings["data"], settings["steps"])
    model = snnq.trained_network(in_tmp)
    assert snnq.evaluate(model, test)[0] == history["test_accuracy"].iloc[-1]
    for name in snnq.quantizers(model):
        weight = model.get_submodule(name).weight
        assert len(weight.unique()) <= len(snnq.LEVELS[levels])


def test_what_a_quantizer_moves_itself_moves_with_the_epochs(tiny, in_tmp):
    fit(tiny | {"quantizer": "qsnn", "epochs": 4, "full_epochs": 0}, in_tmp)
    found = snnq.quantizers(snnq.trained_network(in_tmp)).values()
    last = pytest.approx(0.1 * 100 ** (3 / 4))  # with three of four epochs behind
    assert all(quantizer.temperature.item() == last for quantizer in found)


def test_rounding_trains_in_full_precision(tiny, in_tmp):
    tiny |= {"channels": 8, "learning_rate": 2e-2, "batch_size": 8, "soft_every": 1}
    fit(tiny | {"levels": "binary", "quantizer": "rounding", "full_epochs": 0}, in_tmp / "rounding")
    fit(tiny | {"levels": FULL}, in_tmp / "full")
    rounded, full = (snnq.read_history(in_tmp / name) for name in ("rounding", "full"))
    assert rounded["loss"].tolist() == full["loss"].tolist() and full["loss"].nunique() == 2
    assert rounded["test_accuracy_soft"].tolist() == full["test_accuracy"].tolist()


@pytest.mark.parametrize(
    ("every", "epochs", "measured"), [(2, 5, [2, 4, 5]), (None, 3, [3]), (1, 2, [1, 2]), (9, 2, [2])]
)
def test_soft_weights_are_tested_every_so_many_epochs_and_at_the_end(
    tiny, in_tmp, every, epochs, measured
):
    settings = {"levels": "binary", "full_epochs": 0, "soft_every": every, "epochs": epochs}
    fit(tiny | settings, in_tmp)
    history = snnq.read_history(in_tmp)
    there = history["test_accuracy_soft"].notna()
    assert history["epoch"][there].tolist() == measured
    assert history["test_accuracy"].notna().all()
    assert snnq.read_record(in_tmp)["accuracy"]["last_soft"] == history["test_accuracy_soft"].iloc[-1]


def test_hard_weights_are_computed_once_for_both_splits(tiny, in_tmp, monkeypatch):
    seen = []

    def looking(function):
        def looked_at(model, *arguments, **options):
            model.eval()
            seen.append([model.get_submodule(name).weight for name in snnq.quantizers(model)])
            return function(model, *arguments, **options)

        return looked_at

    for name in ("evaluate", "predict"):
        monkeypatch.setattr(outcome, name, looking(getattr(outcome, name)))
    fit(tiny | {"levels": "binary", "epochs": 2, "soft_every": 2}, in_tmp)
    validation, test, later, _, _ = seen
    assert all(first is second for first, second in zip(validation, test))
    assert not any(first is second for first, second in zip(test, later))


@pytest.mark.parametrize("levels", [FULL, "2bit"])
def test_predictions_of_the_last_epoch_are_kept(tiny, in_tmp, levels):
    history = fit(tiny | {"levels": levels}, in_tmp)
    kept = load_file(in_tmp / "predictions.safetensors")
    _, test = snnq.load("nmnist", tiny["data"], tiny["steps"])
    assert set(kept) == {"hard", "soft", "label"}
    assert all(classes.dtype == torch.uint8 for classes in kept.values())
    assert kept["label"].tolist() == test.labels.tolist()
    model = snnq.trained_network(in_tmp)
    for name, soft, column in (("hard", False, ""), ("soft", True, "_soft")):
        rates, label = snnq.predict(model, test, soft)
        assert torch.equal(kept[name], rates.argmax(1).byte())
        right = (kept[name] == kept["label"]).float().mean()
        assert history[f"test_accuracy{column}"].iloc[-1] == pytest.approx(right.item())


def test_a_run_stopped_after_its_last_epoch_has_its_predictions(tiny, in_tmp, monkeypatch):
    expected = fit(tiny, in_tmp / "whole")
    with monkeypatch.context() as patch:
        patch.setattr(training.Training, "finish", at_call(1, stop, None))
        with pytest.raises(KeyboardInterrupt):
            fit(tiny, in_tmp / "stopped")
    assert not (in_tmp / "stopped/predictions.safetensors").exists()
    assert fit(tiny, in_tmp / "stopped")["test_accuracy"].tolist() == expected["test_accuracy"].tolist()
    files = [in_tmp / name / "predictions.safetensors" for name in ("whole", "stopped")]
    assert files[0].read_bytes() == files[1].read_bytes()


@pytest.mark.parametrize(("share", "count"), [(0.0, 0), (0.01, 1), (0.25, 5), (0.5, 10)])
def test_validation_is_the_last_of_each_class(share, count):
    labels = np.tile(np.arange(3), 20)  # 20 of each class, taking turns
    chosen = last_of_each_class(labels, share)
    for label in range(3):
        assert np.flatnonzero(chosen[labels == label]).tolist() == list(range(20 - count, 20))


def test_accuracy_is_reported_in_three_ways():
    history = pd.DataFrame(
        {
            "test_accuracy": [0.2, 0.9, 0.6, 0.7],
            "validation_accuracy": [0.1, 0.4, 0.8, 0.8],
            "test_accuracy_soft": [0.3, 0.9, 0.6, 0.75],
        }
    )
    expected = {"last": 0.7, "validation": 0.7, "best": 0.9, "last_soft": 0.75, "on_validation": 0.8}
    assert accuracies(history) == expected
    history["validation_accuracy"] = math.nan
    assert accuracies(history)["validation"] is None


def test_trained_network_is_the_one_that_was_tested(finished):
    settings, folder, history = finished
    model = snnq.trained_network(folder)
    _, test = snnq.load("nmnist", settings["data"], settings["steps"])
    assert snnq.evaluate(model, test)[0] == pytest.approx(history["test_accuracy"].iloc[-1])
    soft = snnq.evaluate(model, test, soft=True)[0]
    assert soft == pytest.approx(history["test_accuracy_soft"].iloc[-1])
    for name in snnq.quantizers(model):
        assert len(model.get_submodule(name).weight.unique()) == 2


def test_a_network_learns(tiny, in_tmp):
    settings = tiny | {"levels": FULL, "epochs": 12, "channels": 8, "batch_size": 4}
    history = fit(settings | {"learning_rate": 5e-3, "augmentation": "none"}, in_tmp / "run")
    assert history["loss"].iloc[-1] < 0.7 * history["loss"].iloc[0]
    assert history["test_accuracy"].iloc[-1] >= 0.5  # chance is 0.1
    assert history["test_accuracy"].equals(history["test_accuracy_soft"])


def test_the_same_run_twice_is_the_same_to_the_bit(finished, in_tmp):
    settings, folder, _ = finished
    fit(settings, in_tmp / "again")
    assert results(in_tmp / "again") == results(folder)


def test_another_order_trains_the_same_first_weights_otherwise(tiny, in_tmp):
    """And order 0 is the one of before there were any."""
    first, second = (snnq.Run(**tiny, levels=FULL, order=order) for order in (0, 1))
    weights = [snnq.initial_network(run).state_dict() for run in (first, second)]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    for number, run in enumerate((first, second)):
        snnq.fit(run, in_tmp / str(number), progress=False)
    assert results(in_tmp / "0") != results(in_tmp / "1")
    for seed in (0, 3, 2**32, 2**64 - 1):
        assert mixed_seed(seed, 7, 0) == mixed_seed(seed, 7) != mixed_seed(seed, 7, 1)


def interrupt():
    raise KeyboardInterrupt


@pytest.mark.parametrize("levels", [FULL, "ternary"])
def test_an_interrupted_run_ends_as_if_it_had_not_been(tiny, in_tmp, monkeypatch, levels):
    settings = tiny | {"levels": levels, "epochs": 3}
    fit(settings, in_tmp / "undisturbed")
    interrupted = at_call(2, interrupt, outcome.evaluate)  # within the second epoch
    monkeypatch.setattr(outcome, "evaluate", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fit(settings, in_tmp / "run")
    assert not (in_tmp / "run" / "run.json").exists()
    torch.manual_seed(123)  # whatever state the new process has
    fit(settings, in_tmp / "run")
    assert results(in_tmp / "run") == results(in_tmp / "undisturbed")


def test_training_leaves_the_random_state_alone(finished, in_tmp):
    settings, _, _ = finished
    before = torch.get_rng_state()
    fit(settings, in_tmp / "again")
    assert torch.equal(torch.get_rng_state(), before)


def files_of(folder):
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*")}


def test_a_finished_run_returns_at_once(finished, in_tmp, monkeypatch):
    settings, folder, history = finished
    before = files_of(in_tmp)
    monkeypatch.setattr(whole, "splits_of", None)  # no frames are loaded
    monkeypatch.setattr(whole, "initial_network", None)
    pd.testing.assert_frame_equal(fit(settings, folder), history)
    assert files_of(in_tmp) == before
    assert not list(folder.glob("checkpoint*"))


def test_a_finished_run_does_not_need_its_recordings(finished):
    settings, folder, history = finished
    moved = Path(settings["data"]).rename("moved")
    pd.testing.assert_frame_equal(fit(settings, folder), history)
    # In another place the same recordings are the same.
    pd.testing.assert_frame_equal(fit(settings | {"data": str(moved)}, folder), history)


def test_a_record_of_the_version_before_identities_is_still_finished(finished, monkeypatch):
    settings, folder, history = finished
    monkeypatch.setattr(identity, "TRAINING_VERSION", 1)
    record = snnq.read_record(folder)
    for name in ("training_version", "frames", "start_weights"):
        del record[name]
    del record["run"]["precision"]  # as before there was such a setting
    (folder / "run.json").write_text(json.dumps(record))
    pd.testing.assert_frame_equal(fit(settings, folder), history)


@pytest.fixture(scope="module")
def one_finished_one_stopped(tmp_path_factory, recordings):
    """A folder with recordings, a run in full precision, and two that start from it: (folder, settings)."""
    folder = tmp_path_factory.mktemp("runs")
    shutil.copytree(recordings, folder / "data")
    settings = TINY | {"data": "data", "levels": "binary", "start": "full"}
    with chdir(folder), pytest.MonkeyPatch.context() as stopped:
        fit(settings | {"levels": FULL, "start": None}, Path("full"))
        fit(settings, Path("finished"))
        stopped.setattr(outcome, "evaluate", at_call(2, stop, outcome.evaluate))
        with pytest.raises(KeyboardInterrupt):
            fit(settings, Path("stopped"))
    return folder, settings


@pytest.mark.parametrize("way", ["finished", "stopped"])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("settings", "epochs is 2 there and 3 here"),
        ("recordings", "frames is .* there and .* here"),
        ("start", "start_weights is '.*' there and '.*' here"),
        ("version", "training_version is .* there and 0 here"),
    ],
)
def test_another_run_is_refused_unless_told_to_restart(
    one_finished_one_stopped, in_tmp, monkeypatch, change, message, way
):
    there, settings = one_finished_one_stopped
    for name, to in {"data": "data", "full": "full", way: "run"}.items():
        shutil.copytree(there / name, in_tmp / to)
    before = files_of(in_tmp / "run")
    if change == "settings":
        settings |= {"epochs": 3}
    elif change == "recordings":
        next((in_tmp / "data/NMNIST/Train").rglob("*.bin")).unlink()
    elif change == "start":
        fit(settings | {"levels": FULL, "start": None, "seed": 1}, in_tmp / "full", restart=True)
    else:
        monkeypatch.setattr(identity, "TRAINING_VERSION", 0)
    with pytest.raises(ValueError, match=message):
        fit(settings, in_tmp / "run")
    after = files_of(in_tmp / "run")
    assert {path: after[path] for path in before if path.name[0] != "."} == {
        path: time for path, time in before.items() if path.name[0] != "."
    }
    fit(settings, in_tmp / "run", restart=True)
    fit(settings, in_tmp / "alone")
    assert results(in_tmp / "run") == results(in_tmp / "alone")


def stop():
    raise KeyboardInterrupt


def test_a_quantized_run_starts_from_the_full_precision_weights(tiny, in_tmp):
    fit(tiny | {"levels": FULL}, in_tmp / "full")
    run = snnq.Run(**tiny, levels="binary", start=str(in_tmp / "full"))
    model = snnq.initial_network(run)
    full = load_file(in_tmp / "full/weights.safetensors")
    weight = model.get_submodule("layers.4").parametrizations.weight.original
    assert torch.equal(weight, full["layers.4.weight"])
    snnq.fit(run, in_tmp / "run", progress=False)
    assert snnq.read_record(in_tmp / "run")["run"]["start"] == str(in_tmp / "full")


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"start": "nowhere"}, FileNotFoundError, "nowhere/run.json"),
        ({"start": "full", "channels": 3}, ValueError, "its channels is 2, expected 3"),
        ({"start": "full", "neuron": "if"}, ValueError, "its neuron is 'plif', expected 'if'"),
        ({"data": "nowhere"}, FileNotFoundError, "nowhere/NMNIST"),
        ({"keep": ["layer 5"]}, ValueError, "keep='layer 5'"),
    ],
)
def test_a_run_that_cannot_start(tiny, in_tmp, changes, error, message):
    fit(tiny | {"levels": FULL, "epochs": 1}, in_tmp / "full")
    with pytest.raises(error, match=message):
        fit(tiny | {"levels": "binary"} | changes, in_tmp / "run")
    assert not (in_tmp / "run").exists()


def test_a_start_of_quantized_weights_is_refused(finished, in_tmp):
    settings, folder, _ = finished
    with pytest.raises(ValueError, match="its levels is 'binary', expected 'full'"):
        fit(settings | {"levels": "ternary", "start": str(folder)}, in_tmp / "other")


def test_a_start_that_was_trained_on_recordings_of_the_test_is_refused(in_tmp):
    full = snnq.Run(benchmark="cifar10dvs", levels=FULL, split="80/20", network="vgg11", size=48)
    Path("full").mkdir()
    Path("full/run.json").write_text(json.dumps({"run": asdict(full)}))
    with pytest.raises(ValueError, match="its split is '80/20', expected '90/10'"):
        snnq.initial_network(replace(full, levels="binary", split="90/10", start="full"))


@pytest.mark.parametrize(
    ("there", "here", "refused"),
    [
        ({"validation": 0.0}, {"validation": 0.2}, True),
        ({"validation": 0.1}, {"validation": 0.2}, True),
        ({"validation": 0.1, "data": "digits/NMNIST"}, {"validation": 0.2}, True),
        ({"validation": 0.2}, {"validation": 0.2}, False),
        ({"validation": 0.2}, {"validation": 0.0}, False),
        ({"validation": 0.0, "data": "simulated"}, {"validation": 0.2}, False),
    ],
)
def test_a_start_that_was_trained_on_recordings_of_the_validation_is_refused(
    in_tmp, there, here, refused
):
    run = snnq.Run(levels=FULL, data=str(in_tmp / "digits"))
    Path("full").mkdir()
    Path("full/run.json").write_text(json.dumps({"run": asdict(replace(run, **there))}))
    message = f"its validation is {there['validation']}, expected 0.2 at least"
    message = message if refused else "No such file .*full/weights"  # which would be read next
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        snnq.initial_network(replace(run, levels="binary", start="full", **here))


def test_a_loss_that_is_not_finite_stops_the_run(tiny, in_tmp, monkeypatch):
    monkeypatch.setattr(training_gradients, "loss_of", lambda rates, *_: rates.sum() * math.nan)
    with pytest.raises(FloatingPointError, match=r"epoch 1, step 1: loss=nan, .*layers.0.weight"):
        fit(tiny | {"full_epochs": 0}, in_tmp / "run")
    kept = torch.load(in_tmp / "run" / "failure.pt", weights_only=True)
    assert kept["frames"].shape[2:] == (2, 34, 34) and "layers.0.weight" in kept["model"]


def test_evaluate_agrees_with_a_loop_over_single_recordings(tiny, in_tmp):
    torch.manual_seed(0)
    model = snnq.build_model("nmnist", channels=4)
    for parameter in model.parameters():
        parameter.data.add_(0.02 if parameter.ndim == 2 else 0)
    _, test = snnq.load("nmnist", tiny["data"], 4)
    accuracy, loss = snnq.evaluate(model, test)
    correct, errors = 0, []
    for frames, label in test:
        functional.reset_net(model)
        with torch.no_grad():
            rates = model(frames[:, None].float())[0].numpy()
        correct += rates.argmax() == label
        errors.append(((rates - np.eye(10)[label]) ** 2).mean())
    assert accuracy == pytest.approx(correct / 40)
    assert loss == pytest.approx(np.mean(errors))


def test_record_of_a_folder_without_one(tmp_path):
    with pytest.raises(FileNotFoundError, match="no run was finished in this folder"):
        snnq.read_record(tmp_path)


def test_record_is_plain_json(finished):
    def refuse(constant):
        raise AssertionError(f"{constant} is no JSON, though Python reads it")

    _, folder, _ = finished
    record = json.loads((folder / "run.json").read_text(), parse_constant=refuse)
    assert record == snnq.read_record(folder)


@pytest.mark.parametrize(("quantizer", "levels"), [("sigmoid", "2bit"), ("ttq", "ternary")])
def test_scales_move_by_a_share_of_themselves(quantizer, levels):
    """Adam's first step has the size of the learning rate, whatever the gradient."""
    model = snnq.quantize(
        snnq.build_model("nmnist", channels=2), levels, quantizer=snnq.QUANTIZERS[quantizer]
    )
    optimizer = torch.optim.Adam(parameter_groups(model, 0.01), 0.01)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    held = sum(len(group["params"]) for group in optimizer.param_groups)
    assert held == len(before)
    torch.manual_seed(0)
    frames, labels = 3 * torch.rand(2, 4, 2, 34, 34), torch.arange(4)
    training_gradients.gradients(model.train(), frames, labels, list(model.parameters()))
    optimizer.step()
    scales = {f"{layer}.parametrizations.weight.0" for layer in snnq.quantizers(model)}
    moved = 0
    for name, parameter in model.named_parameters():
        if parameter.grad is None or not parameter.grad.abs().max() > 1e-4:
            continue
        step = (parameter.detach() - before[name]).abs().max().item()
        size = before[name].abs().mean().item() if name.rpartition(".")[0] in scales else 1
        assert step == pytest.approx(0.01 * size, rel=0.01)
        moved += size != 1
    assert moved


def test_a_full_precision_run_may_start_from_another_on_other_recordings(tiny, in_tmp):
    fit(tiny | {"levels": "full"}, in_tmp / "first")
    go_on = tiny | {"levels": "full", "start": str(in_tmp / "first"), "seed": 3}
    first, second = (
        snnq.initial_network(snnq.Run(**settings)).state_dict()
        for settings in (go_on, tiny | {"levels": "full", "seed": 3})
    )
    trained = load_file(in_tmp / "first" / "weights.safetensors")
    assert all(torch.equal(first[name], trained[name]) for name in trained)
    assert not all(torch.equal(second[name], trained[name]) for name in trained)


def test_tables_are_there_while_a_run_goes_on(tiny, in_tmp, monkeypatch):
    original = outcome.Outcome.accuracies
    monkeypatch.setattr(outcome.Outcome, "accuracies", at_call(2, lambda: 1 / 0, original))
    with pytest.raises(ZeroDivisionError):
        fit(tiny | {"full_epochs": 0}, in_tmp / "run")
    assert pd.read_csv(in_tmp / "run/history.csv")["epoch"].tolist() == [1]
    histograms = pd.read_csv(in_tmp / "run/histograms.csv")
    assert histograms["epoch"].tolist() == [0, 0, 0, 1, 1, 1]
    assert not (in_tmp / "run/run.json").exists()


def test_a_run_leaves_its_network_packed(tiny, in_tmp):
    fit(tiny, in_tmp / "run")
    path = in_tmp / "run/packed.safetensors"
    packed, trained = snnq.unpack(path), snnq.trained_network(in_tmp / "run")
    frames = snnq.load("nmnist", tiny["data"], 2)[1].frames
    frames = torch.from_numpy(frames.copy()).transpose(0, 1).float()
    with torch.no_grad():
        assert torch.equal(packed(frames), trained(frames))
    assert packed.source == snnq.read_record(in_tmp / "run")["run"]


def test_settings_of_natural_types_train_to_the_end(tiny, in_tmp):
    """Its last step, the packed file, was where they were refused."""
    natural = {"data": Path(tiny["data"]), "levels": np.arange(-2, 3), "epochs": np.int64(1)}
    fit(tiny | natural, in_tmp / "run")
    run = snnq.read_record(in_tmp / "run")["run"]
    assert run["levels"] == [-2, -1, 0, 1, 2] and run["data"] == tiny["data"]
    assert snnq.unpack(in_tmp / "run/packed.safetensors").source == run
    assert number_of_levels(str(snnq.Run.of(run).levels)) == 5  # as a table has them


def test_as_many_levels_as_a_byte_has_train_to_the_end(tiny, in_tmp):
    fit(tiny | {"levels": range(-128, 128), "epochs": 1}, in_tmp / "run")
    quantizer = next(iter(snnq.quantizers(snnq.unpack(in_tmp / "run/packed.safetensors")).values()))
    assert quantizer.levels == tuple(range(-128, 128))


def test_a_share_that_leaves_nothing_to_train_on_is_refused(in_tmp):
    write_recordings(in_tmp / "data", per_class=1)
    with pytest.raises(ValueError, match="validation=0.1: holds out all of the 10 training record"):
        fit({"data": "data", "channels": 2, "epochs": 1}, in_tmp / "run")
    assert not (in_tmp / "run").exists()


@pytest.mark.parametrize("content", [b"", b"no weights", None])
def test_weights_that_cannot_be_read_are_named(tiny, in_tmp, content):
    fit(tiny | {"levels": FULL, "epochs": 1}, in_tmp / "full")
    path = in_tmp / "full/weights.safetensors"
    if content is None:  # of another network
        save_file({"weight": torch.zeros(3)}, path)
    else:
        path.write_bytes(content)
    message = "full/weights.safetensors: not the weights of this run"
    with pytest.raises(ValueError, match=message):
        fit(tiny | {"levels": "binary", "start": "full"}, in_tmp / "run")
    with pytest.raises(ValueError, match=message):
        snnq.trained_network(in_tmp / "full")
    assert not (in_tmp / "run").exists()
