"""What is said of a run in a few lines, before training and after it."""

import pytest
import torch
from conftest import fit

import snnq


@pytest.fixture
def run(tiny):
    return snnq.Run(**tiny | {"levels": {"layers.4": "4bit", "rest": "ternary"}})


def test_a_summary_has_each_layer_and_the_recordings(run, in_tmp):
    said = snnq.summary(run)
    assert "N-MNIST, real: 30 training, 10 validation, 40 test samples of frames 2×2×34×34" in said.text
    assert said.text.endswith("Trains on cpu.")
    layers = said.table
    model = snnq.build_model("nmnist", channels=run.channels)
    numbers = sum(t.numel() for name, t in model.state_dict().items() if "batches" not in name)
    assert layers["parameters"].str.replace(",", "").astype(int).sum() == numbers
    assert f"{numbers:,} parameters in" in said.text
    assert layers["bits"].to_dict() | {"layers.4": "4", "layers.10": "1.58"} == layers["bits"].to_dict()
    assert layers.loc[["layers.0", "layers.1"], "bits"].tolist() == ["32", "32"]
    assert layers.loc["layers.0", "shape"] == "2×2×3×3"
    for shown in (str(said), said._repr_html_()):
        assert said.text in shown and all(name in shown for name in layers.index)


def test_a_summary_refuses_what_training_would(tiny, in_tmp):
    with pytest.raises(FileNotFoundError, match="no recordings of nmnist here"):
        snnq.summary(snnq.Run(**tiny | {"data": "nowhere"}))
    with pytest.raises(ValueError, match="device='cuda:99'"):
        snnq.summary(snnq.Run(**tiny | {"device": "cuda:99"}))


def test_a_short_record_is_of_the_record(tiny, in_tmp):
    fit(tiny | {"epochs": 1, "full_epochs": 0}, "run")
    record, said = snnq.read_record("run"), snnq.short_record("run")
    rows = said.table.iloc[:, 0]
    assert rows["after the last epoch"] == f"{record['accuracy']['last']:.2%}"
    assert rows["the same with soft weights"] == f"{record['accuracy']['last_soft']:.2%}"
    smaller = record["bytes_float32"] / record["bytes"]
    assert rows["network"].endswith(f" {smaller:.1f} times smaller than in float32")
    assert rows["training"] == f"{sum(record['seconds']):.0f} s on cpu"
    assert rows["record"] == "run/run.json" and rows["packed network"] == "run/packed.safetensors"
    assert said.text.startswith("N-MNIST, real, binary, seed 0: accuracy on 40 test samples, after 2 batches")


def test_a_short_record_of_a_network_of_ones_own(in_tmp):
    model = torch.nn.Sequential(torch.nn.Flatten(2), torch.nn.Linear(4, 2))
    data = [(torch.ones(3, 2, 2) * label, label) for label in (0, 1)]
    snnq.train(model, data, None, data, snnq.Settings(epochs=1), "run", progress=False)
    said = snnq.short_record("run")
    assert said.text == "accuracy on 2 test samples"
    assert "at the epoch chosen on validation" not in said.table.index


def test_a_folder_without_a_record_is_refused(in_tmp):
    with pytest.raises(FileNotFoundError, match="run.json: not there"):
        snnq.short_record("nowhere")
