"""Whether low-bit networks fire as full precision does, against spikes counted one by one."""

import itertools

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from spikingjelly.activation_based import layer, neuron
from torch import nn

import snnq
from snnq.recordings.frames import Frames
from snnq.training import evaluation

RECORDINGS, STEPS, SIZE = 7, 3, 8
RECORDED = "lab, own"  # what tables call the recordings
RATES = st.lists(st.floats(0, 1), min_size=1, max_size=30)


@pytest.fixture
def data(monkeypatch):
    """In batches of three recordings."""
    monkeypatch.setattr(evaluation, "EVALUATION_BYTES", 3 * STEPS * 2 * SIZE**2 * 4)
    frames = np.random.default_rng(0).poisson(0.4, (RECORDINGS, STEPS, 2, SIZE, SIZE))
    return Frames("test", frames.astype(np.uint8), np.arange(RECORDINGS))


def network(levels="full", seed=0):
    """A small untrained network whose neurons fire in every layer."""
    torch.manual_seed(seed)
    model = snnq.build_model("nmnist", channels=2, size=SIZE)
    for name, parameter in model.named_parameters():
        if parameter.ndim > 1:
            spread = parameter[0].numel() ** -0.5
            parameter.data.normal_(0.5 * spread, 3 * spread)
        elif "bias" in name:
            parameter.data.add_(0.3)
    return (model if levels == "full" else snnq.quantize(model, levels)).eval()


@torch.no_grad()
def counted_by_hand(model, data):
    """Spikes of each neuron per recording and time step: each recording alone, through one layer
    after the other, one spike after the other."""
    counts = {}
    for frames, _ in data:
        x = frames[:, None].float()
        for number, module in enumerate(model.layers):
            x = module(x)
            if isinstance(module, neuron.BaseNode):
                module.reset()
                of_layer = counts.setdefault(f"layers.{number}", np.zeros(x.shape[2:]))
                for _, _, *place in x.nonzero().tolist():
                    of_layer[tuple(place)] += 1
    return {name: of_layer / (STEPS * len(data)) for name, of_layer in counts.items()}


@pytest.mark.parametrize("levels", ["full", "ternary"])
@pytest.mark.parametrize("arranged", [snnq.fuse, snnq.unfuse], ids=["fused", "one by one"])
def test_rates_are_spikes_counted_one_by_one(data, levels, arranged):
    model = arranged(network(levels))
    rates, expected = snnq.neuron_rates(model, data), counted_by_hand(model, data)
    assert list(rates) == list(expected) == list(snnq.firing_rates(model, data).index)
    for name, of_layer in rates.items():
        assert of_layer.shape == expected[name].shape and len(of_layer.unique()) > 2
        np.testing.assert_allclose(of_layer, expected[name], rtol=1e-12)
    assert not any(module._forward_hooks for module in model.modules())


class OverTime(nn.Module):
    """Steps through time itself, with neurons that see one step."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(layer.Flatten(), nn.Linear(2 * SIZE**2, 5), neuron.LIFNode())

    def forward(self, frames):
        return torch.stack([self.layers(step) for step in frames]).mean(0)


def test_rates_of_neurons_that_see_one_step_at_a_time(data):
    torch.manual_seed(0)
    model = OverTime()
    model.layers[1].weight.data.add_(0.05)
    rates, _ = snnq.predict(model, data)
    expected = rates.double().mean(0)
    assert expected.min() > 0
    (found,) = snnq.neuron_rates(model, data).values()
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=0)
    assert snnq.firing_rates(model, data)["layers.2"] == pytest.approx(expected.mean().item())


def distance(one, other):
    layers = ({"a": torch.tensor(of, dtype=torch.float64)} for of in (one, other))
    return snnq.firing_distance(*layers)["a"]


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ([0.0, 0.5], [0.25, 0.25], 0.25),
        ([0.0, 0.0, 0.0, 1.0], [0.0, 0.0, 0.0, 0.0], 0.25),  # a neuron that has died
        ([[0.0, 0.2], [0.4, 0.6]], [[0.1, 0.3], [0.5, 0.7]], 0.1),
        ([0.0, 1.0], [0.0, 0.5, 1.0], 1 / 6),  # F − F′ is 1/6, then −1/6
        ([0.1, 0.3, 0.2], [0.3, 0.2, 0.1], 0.0),  # the same neurons in another order
    ],
)
def test_distance_worked_out_by_hand(one, other, expected):
    assert distance(one, other) == pytest.approx(expected, abs=1e-12)


def test_distance_of_known_distributions():
    """Evenly spread over [0, 1/2] and over [0, 1]: ∫ |2r − r| to 1/2, and ∫ 1 − r from there."""
    even = np.linspace(0, 1, 4001)
    assert distance(even / 2, even) == pytest.approx(1 / 4, abs=1e-3)
    assert distance(even**2, even) == pytest.approx(1 / 6, abs=1e-3)  # ∫ √r − r


@given(RATES, RATES)
def test_distance_is_the_area_between_the_distributions(one, other):
    ends = np.unique([*one, *other])
    shares = [[np.mean(np.array(of) <= end) for end in ends[:-1]] for of in (one, other)]
    area = np.sum(np.abs(np.subtract(*shares)) * np.diff(ends))
    assert distance(one, other) == pytest.approx(area, abs=1e-9)
    assert distance(one, other) == pytest.approx(distance(other, one), abs=1e-12)
    assert distance(one, other) >= abs(np.mean(one) - np.mean(other)) - 1e-9


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=30), st.randoms())
def test_distance_is_that_of_the_closest_pairs_of_neurons(pairs, random):
    one, other = (list(of) for of in zip(*pairs))
    closest = np.mean(np.abs(np.sort(one) - np.sort(other)))
    random.shuffle(other)
    assert distance(one, other) == pytest.approx(closest, abs=1e-12)
    assert distance(other, sorted(other)) == pytest.approx(0, abs=1e-15)


def test_networks_with_other_layers_are_refused():
    rates = {"a": torch.zeros(2), "b": torch.zeros(3)}
    with pytest.raises(ValueError, match="rates of the layers a, b; expected .* reference: a"):
        snnq.firing_distance(rates, {"a": torch.zeros(2)})
    with pytest.raises(ValueError, match="rates of the layers none; expected"):
        snnq.firing_distance({}, {})


def study_of(folder, runs, *columns):
    """Packed networks that differ in all of a run's columns, and the table of them."""
    rows = pd.DataFrame(runs, columns=["levels", "seed", *columns])
    rows["name"] = ["-".join(map(str, run)) for run in runs]
    rows["quantizer"] = "sigmoid"
    for column, default in (("recordings", RECORDED), ("benchmark", "folder"), ("channels", 2)):
        rows[column] = rows.get(column, default)
    rows.to_csv(folder / "runs.csv", index=False)
    for number, row in enumerate(rows.itertuples()):
        place = folder / "runs" / row.name
        place.mkdir(parents=True)
        snnq.pack(network(row.levels, number), place / "packed.safetensors")
    return rows


def test_each_run_is_compared_with_full_precision_of_its_seed_and_order(tmp_path, data):
    runs = list(itertools.product(("full", "binary"), (0, 1), (0, 1)))
    study_of(tmp_path, [*runs, ("binary", 2, 0)], "order")
    table = snnq.firing_fidelity(tmp_path, RECORDED, data)
    assert list(table) == [
        *("recordings", "test_recordings", "benchmark", "channels", "levels", "quantizer"),
        *("seed", "order", "differs_in", "layer", "rate", "rate_full", "distance"),
    ]
    pairs = table.groupby(["levels", "differs_in"])[["seed", "order"]]
    found = {kind: sorted(set(group.itertuples(index=False, name=None))) for kind, group in pairs}
    assert found == {
        ("binary", "levels"): [(0, 0), (0, 1), (1, 0), (1, 1)],  # no full precision of seed 2
        ("full", "order"): [(0, 0), (1, 0)],  # 0-0 and 0-1, 1-0 and 1-1
        ("full", "seed"): [(0, 0), (0, 1)],  # 0-0 and 1-0, 0-1 and 1-1
    }
    layers = 4
    assert len(table) == (4 + 2 + 2) * layers and set(table["test_recordings"]) == {RECORDINGS}
    for levels, differs_in, reference in (
        ("binary", "levels", "full-0-1"),
        ("full", "seed", "full-1-1"),
    ):
        rows = table.query("levels == @levels and differs_in == @differs_in")
        rows = rows.query("seed == 0 and order == 1").set_index("layer")
        one, other = (
            counted_by_hand(snnq.unpack(tmp_path / f"runs/{name}/packed.safetensors"), data)
            for name in (f"{levels}-0-1", reference)
        )
        assert list(rows.index) == list(one)
        for name, row in rows.iterrows():
            closest = np.abs(np.sort(one[name].ravel()) - np.sort(other[name].ravel())).mean()
            means = one[name].mean(), other[name].mean()
            measured = [row[key] for key in ("rate", "rate_full", "distance")]
            assert measured == pytest.approx([*means, closest])
            assert row["distance"] > 0


def test_widths_and_recordings_are_kept_apart(tmp_path, data):
    runs = [
        ("full", 0, 2, RECORDED),
        ("full", 0, 4, RECORDED),
        ("2bit", 0, 2, RECORDED),
        ("2bit", 0, 8, RECORDED),
        ("full", 0, 8, "field, own"),
        ("2bit", 0, 8, "field, own"),
    ]
    study_of(tmp_path, runs, "channels", "recordings")
    table = snnq.firing_fidelity(tmp_path, RECORDED, data)
    assert set(table["channels"]) == {2} and set(table["levels"]) == {"2bit"}
    assert set(table["order"]) == {0} and len(table) == 4


def test_identical_networks_have_no_distance(tmp_path, data):
    study_of(tmp_path, [("full", 0), ("full", 1)])
    packed = [tmp_path / f"runs/full-{seed}/packed.safetensors" for seed in (0, 1)]
    packed[1].write_bytes(packed[0].read_bytes())
    table = snnq.firing_fidelity(tmp_path, RECORDED, data)
    assert table["distance"].tolist() == [0] * 4 and (table["rate"] == table["rate_full"]).all()


def test_without_full_precision_there_is_nothing_to_compare(tmp_path, data):
    study_of(tmp_path, [("binary", 0), ("2bit", 0)])
    table = snnq.firing_fidelity(tmp_path, RECORDED, data)
    assert table.empty and "distance" in table


def test_a_network_that_is_not_there_is_named(tmp_path, data):
    study_of(tmp_path, [("full", 0), ("binary", 0)])
    (tmp_path / "runs/binary-0/packed.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match="runs/binary-0/packed.safetensors: no such file"):
        snnq.firing_fidelity(tmp_path, RECORDED, data)
    with pytest.raises(FileNotFoundError, match="runs.csv"):
        snnq.firing_fidelity(tmp_path / "nowhere", RECORDED, data)
