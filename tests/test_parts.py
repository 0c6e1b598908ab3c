"""A quantized run from scratch: full precision first, then quantized from there."""

import math
import os
import shutil
import signal
from pathlib import Path

import pandas as pd
import pytest
import torch
from conftest import Killed, at_call, fit, kill, results

import snnq
from snnq.quantization.rules import FULL
from snnq.training import evaluation, outcome
from snnq.training import fit as whole
from snnq.training import gradients as training_gradients
from snnq.training import loop as training


@pytest.fixture
def settings(tiny):
    """Of a run of two epochs in full precision and three quantized ones, that learns."""
    learns = {"channels": 8, "learning_rate": 2e-2, "batch_size": 8, "soft_every": 1}
    return tiny | learns | {"levels": "ternary", "epochs": 5, "full_epochs": 2}


@pytest.fixture
def one(settings, in_tmp):
    """That run, undisturbed: its folder."""
    fit(settings, in_tmp / "one")
    return in_tmp / "one"


@pytest.mark.parametrize("rate", [None, 4e-2])
def test_it_is_the_run_that_starts_from_a_full_precision_one(settings, in_tmp, rate):
    one = in_tmp / "one"
    fit(settings | {"full_learning_rate": rate}, one)
    first = settings | {"levels": FULL, "epochs": 2, "full_epochs": None}
    last = settings | {"epochs": 3, "full_epochs": None, "start": "first"}
    fit(first | {"learning_rate": rate or settings["learning_rate"]}, in_tmp / "first")
    fit(last, in_tmp / "last")
    assert results(one / "full") == results(in_tmp / "first")
    assert results(one)[1] == results(in_tmp / "last")[1]  # weights, to the bit
    histories = [snnq.read_history(folder) for folder in (one, "first", "last")]
    assert histories[0]["loss"].nunique() == 5  # or nothing was learned
    whole_run, *parts = (history.drop(columns=["epoch", "seconds"]) for history in histories)
    parts[0]["temperature"] = math.nan
    pd.testing.assert_frame_equal(whole_run, pd.concat(parts, ignore_index=True), check_exact=True)
    assert histories[0]["epoch"].tolist() == [1, 2, 3, 4, 5]
    epochs = pd.read_csv(one / "histograms.csv")["epoch"]
    assert sorted(set(epochs)) == [2, 3, 4, 5]
    records = [snnq.read_record(folder) for folder in (one, "last")]
    assert records[0]["accuracy"] == records[1]["accuracy"]
    assert len(records[0]["seconds"]) == 5
    trained = [snnq.trained_network(folder).state_dict() for folder in (one, "last")]
    assert all(torch.equal(trained[0][name], trained[1][name]) for name in trained[1])


def test_its_accuracies_are_those_of_the_quantized_epochs(settings, in_tmp, monkeypatch):
    """The best on the test, above all, is not that of the full-precision network."""

    def predict(model, data, soft=False):
        right = 3 if snnq.quantizers(model) else 9
        return torch.eye(2)[[0] * right + [1] * (10 - right)], torch.zeros(10, dtype=torch.int64)

    monkeypatch.setattr(outcome, "predict", predict)
    monkeypatch.setattr(evaluation, "predict", predict)
    history = fit(settings, in_tmp / "run")
    assert history["test_accuracy"].tolist() == pytest.approx([0.9, 0.9, 0.3, 0.3, 0.3])
    accuracies = snnq.read_record(in_tmp / "run")["accuracy"].values()
    assert list(accuracies) == pytest.approx([0.3] * len(accuracies))


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("loss_of", 6),  # in the second epoch in full precision
        ("write_record", 1),  # at the end of it
        ("initial_network", 2),  # between
        ("loss_of", 14),  # in the second quantized epoch
        ("write_record", 2),
    ],
)
def test_killed_anywhere_it_ends_as_if_it_had_not_been(settings, one, in_tmp, monkeypatch, name, call):
    expected = results(one)
    monkeypatch.setattr(training, "CHECKPOINT_SECONDS", 0)
    places = {"loss_of": training_gradients, "write_record": outcome, "initial_network": whole}
    monkeypatch.setattr(places[name], name, at_call(call, kill, getattr(places[name], name)))
    with pytest.raises(Killed):
        fit(settings, in_tmp / "run")
    torch.manual_seed(123)  # whatever state the new process has
    fit(settings, in_tmp / "run")
    assert results(in_tmp / "run") == expected


@pytest.mark.parametrize(
    ("call", "place"), [(6, "epoch 2 in .*run/full;"), (14, "epoch 4 in .*run;")]
)
def test_a_signal_says_in_which_of_all_epochs_it_is_saved(settings, in_tmp, monkeypatch, call, place):
    ask = at_call(call, lambda: os.kill(os.getpid(), signal.SIGTERM), training_gradients.loss_of)
    monkeypatch.setattr(training_gradients, "loss_of", ask)
    with pytest.raises(KeyboardInterrupt, match=f"SIGTERM: saved after step 2 of {place}"):
        fit(settings, in_tmp / "run")


def test_the_bar_counts_all_epochs(settings, in_tmp, capsys):
    snnq.fit(snnq.Run(**settings), in_tmp / "run")
    bar = [line for line in capsys.readouterr().err.splitlines() if "ternary" in line]
    assert " 8/20 " in bar[0]  # four batches of eight an epoch
    assert " 20/20 " in bar[-1] and "epoch=5" in bar[-1]


def test_finished_it_returns_at_once(settings, one, monkeypatch):
    monkeypatch.setattr(whole, "splits_of", None)
    history = snnq.read_history(one)
    shutil.rmtree(one / "full")
    pd.testing.assert_frame_equal(fit(settings, one), history)


def test_another_run_is_refused_before_anything_is_trained(settings, one, in_tmp, monkeypatch):
    """Also where it is one without such a part, and not finished."""
    other = settings | {"full_epochs": 0}
    with pytest.raises(ValueError, match="one: holds another run .full_epochs is 2 there and 0 here"):
        fit(other, one)
    monkeypatch.setattr(outcome, "write_record", at_call(1, kill, outcome.write_record))
    with pytest.raises(Killed):
        fit(other, in_tmp / "run")
    with pytest.raises(ValueError, match="run: holds another run .full_epochs is 0 there and 2 here"):
        fit(settings, in_tmp / "run")
    assert not (in_tmp / "run/full").exists()
    fit(settings, in_tmp / "run", restart=True)
    assert results(in_tmp / "run") == results(one)


def test_where_it_replaces_another_run_that_ones_record_goes_first(settings, one, monkeypatch):
    """Or a study would take the folder for finished while the full-precision part is trained."""
    seen = []
    looks = at_call(1, lambda: seen.extend(Path(one).iterdir()), training_gradients.loss_of)
    monkeypatch.setattr(training_gradients, "loss_of", looks)
    fit(settings | {"epochs": 3, "full_epochs": 1}, one, restart=True)
    assert seen and not {"run.json", "history.csv"} & {path.name for path in seen}
