"""A network drawn, its spikes and membrane potentials, and what two networks confuse."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import confusion_matrix
from spikingjelly.activation_based import layer, neuron
from torch import nn

import snnq
from snnq.figures import confusions, network, spiking
from snnq.networks.models import ROUNDED
from snnq.training import evaluation


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


class Branched(nn.Module):
    """A network of one's own: two layers side by side, called by time step, the last one first."""

    def __init__(self):
        super().__init__()
        self.second, self.first = nn.Linear(4, 3, bias=False), nn.Conv1d(1, 2, 3, padding=1)

    def forward(self, x):
        return torch.stack([self.second(self.first(one).flatten(1)) for one in x])


def test_structure_is_the_layers_in_the_order_of_their_calls():
    model = snnq.quantize(snnq.build_model("nmnist", channels=2), "binary")
    table = snnq.structure(model, torch.zeros(3, 2, *model.input_shape)).set_index("layer")
    assert list(table.index) == [f"layers.{place}" for place in range(16)]
    first, last = table.loc["layers.0"], table.loc["layers.13"]
    assert (first["kind"], first["kernel"], first["bits"]) == ("Conv2d", "3×3", 32)
    assert (first["input"], first["output"], first["numbers"]) == ("2×34×34", "2×34×34", 2 * 2 * 9)
    assert (last["kind"], last["kernel"], last["bits"]) == ("Linear", "", 1)
    assert last["output"] == "100" and table.loc["layers.15", "output"] == "10"
    assert table["bytes"].sum() == snnq.footprint(model)["bytes"].sum()
    assert table["bits"].notna().equals(table["has_weights"])
    own = snnq.structure(Branched(), torch.zeros(4, 5, 1, 2))
    found = own[["layer", "input", "output"]].to_numpy().tolist()
    assert found == [["first", "1×2", "2×2"], ["second", "4", "3"]]


class Stacked(nn.Module):
    """All recordings' time steps in one axis."""

    def __init__(self, channels):
        super().__init__()
        self.convolution, self.head = nn.Conv2d(channels, 4, 3, padding=1), nn.Linear(4 * 36, 10)

    def step(self, x):
        return self.head(self.convolution(x).flatten(1))

    def forward(self, x):
        return self.step(x.flatten(0, 1)).unflatten(0, x.shape[:2])


class Looping(Stacked):
    """One time step after the other."""

    def forward(self, x):
        return torch.stack([self.step(one) for one in x])


class Tokens(nn.Module):
    """[tokens, recordings, features], as attention has them, and all steps in between."""

    def __init__(self):
        super().__init__()
        self.tokens, self.head = nn.Linear(6, 5), nn.Linear(5, 3)

    def forward(self, x):
        rows = self.tokens(x.flatten(0, 1).transpose(0, 1))  # [L, N_t · N, 6]
        return self.head(rows.mean(0)).unflatten(0, x.shape[:2])


@pytest.mark.parametrize("at_once", [2**24, 4])
@pytest.mark.parametrize("steps", [1, 2, 5])
@pytest.mark.parametrize("recordings", [1, 2, 5])
def test_shapes_are_of_one_recording_whatever_is_equal(monkeypatch, at_once, steps, recordings):
    monkeypatch.setattr(evaluation, "EVALUATION_BYTES", at_once)

    def shapes(model, *shape):
        table = snnq.structure(model, torch.rand(steps, recordings, *shape))
        return table[["input", "output"]].to_numpy().tolist()

    for channels in (1, 2, 5):
        expected = [[f"{channels}×6×6", "4×6×6"], ["144", "10"]]
        for kind in (Stacked, Looping):
            assert shapes(kind(channels), channels, 6, 6) == expected
    joined = nn.Sequential(layer.Linear(6, 2, step_mode="m"), neuron.IFNode(step_mode="m"))
    assert shapes(joined, 6) == [["6", "2"], ["2", "2"]]
    assert shapes(Tokens(), 7, 6) == [["7×6", "7×5"], ["5", "3"]]


def test_a_network_has_a_box_for_each_layer_with_weights():
    model = snnq.quantize(snnq.build_model("nmnist", channels=2), "ternary")
    table = snnq.structure(model, torch.zeros(3, 1, *model.input_shape))
    figure = network.network(table)
    (axis,) = figure.axes
    texts = [text.get_text() for text in axis.texts]
    assert len(axis.patches) >= 4 and texts.count("Conv2d 3×3") == 2 and texts.count("Linear") == 2
    assert "input 2×34×34" in texts and texts.count("2×17×17") == 1 and texts[-1] == "10"
    weights = [text for text in texts if "weights" in text]
    assert weights[0] == "36 weights × 32 bits" and weights[1] == "36 weights × 1.58 bits"
    assert not any("Dropout" in text or "Flatten" in text for text in texts)
    figure.canvas.draw()
    inside = figure.bbox.padded(1)
    for text in axis.texts:
        if text.get_text():
            box = text.get_window_extent()
            assert inside.x0 <= box.x0 and box.x1 <= inside.x1 and inside.y0 <= box.y0


def charged_and_reset(node, inputs: np.ndarray) -> list[np.ndarray]:
    """A neuron's membrane potential step by step in float64: before its spike, after it, spikes."""
    v = np.full(inputs.shape[1], node.v_reset or 0.0)
    found = []
    for x in inputs.astype(np.float64):
        rest = node.v_reset or 0.0
        if isinstance(node, neuron.IFNode):
            h = v + x
        else:
            rate = torch.sigmoid(node.w.double()).item() if hasattr(node, "w") else 1 / node.tau
            h = v + (x - (v - rest)) * rate if node.decay_input else v - (v - rest) * rate + x
        spikes = h >= node.v_threshold
        v = np.where(spikes, h - node.v_threshold if node.v_reset is None else node.v_reset, h)
        found.append((h, v, spikes))
    return [np.stack(of) for of in zip(*found)]


@pytest.mark.parametrize(
    "node",
    [
        neuron.IFNode(v_threshold=0.7),
        neuron.IFNode(v_reset=None),
        neuron.LIFNode(tau=3.0, v_reset=-0.1, decay_input=False),
        neuron.ParametricLIFNode(init_tau=1.7),
    ],
    ids=["IF", "soft reset", "LIF", "PLIF"],
)
def test_traces_are_those_of_a_neuron_in_float64(node):
    node.step_mode = "m"
    inputs = torch.from_numpy(np.random.default_rng(0).normal(0.4, 1, (20, 6)).astype(np.float32))
    model = nn.Sequential(layer.Linear(6, 6, bias=False, step_mode="m"), node)
    model[0].weight.data = torch.eye(6)
    before = node(inputs[:, None]).detach()
    node.reset()
    table = snnq.traces({"full": model}, inputs)
    assert set(table["layer"]) == {"1"} and set(table["threshold"]) == {node.v_threshold}
    found = {name: table.pivot_table(name, "step", "neuron").to_numpy() for name in ("charged", "potential", "spike")}
    charged, potential, spikes = charged_and_reset(node, inputs.numpy())
    fire = sorted(set(table["neuron"]))
    assert fire == spikes.any(0).nonzero()[0].tolist() and len(fire) > 3
    np.testing.assert_array_equal(found["spike"], spikes[:, fire])
    np.testing.assert_array_equal(found["spike"], before[:, 0, fire].numpy())
    np.testing.assert_allclose(found["charged"], charged[:, fire], atol=1e-5)
    np.testing.assert_allclose(found["potential"], potential[:, fire], atol=1e-5)
    assert table["rate"].iloc[0] == pytest.approx(spikes.mean()) and set(table["neurons"]) == {6}
    assert isinstance(node.v, float)  # the network is left at rest


def traced(node, inputs: torch.Tensor) -> pd.DataFrame:
    """A neuron for each column of the inputs."""
    model = nn.Sequential(layer.Linear(inputs.shape[1], inputs.shape[1], bias=False, step_mode="m"), node)
    model[0].weight.data = torch.eye(inputs.shape[1])
    return snnq.traces({"": model}, inputs)


@pytest.mark.parametrize("v_reset", [0.0, None])
@pytest.mark.parametrize("threshold", [1.0, 0.7])
def test_traces_of_rounded_membranes_are_on_their_grid(v_reset, threshold):
    node = ROUNDED["if"](threshold, v_reset, membrane_bits=8, step_mode="m")
    inputs = torch.randn(20, 6, generator=torch.Generator().manual_seed(0)) + 0.4
    table = traced(node, inputs)
    unit = threshold / 2**5
    for number, rows in table.groupby("neuron"):
        before = rows["potential"].shift(fill_value=0.0)
        charged = unit * ((before + inputs[:, number].numpy()) / unit).round().clip(-128, 127)
        np.testing.assert_allclose(rows["charged"], charged, rtol=0, atol=1e-6)
        np.testing.assert_array_equal(rows["spike"], rows["charged"] >= np.float32(threshold))
    assert table["spike"].any()


@pytest.mark.parametrize(
    "node",
    [neuron.ComplementaryLIFNode(), neuron.IzhikevichNode(a=0.5, b=2.0, tau_w=3.0)],
    ids=["without a surrogate in evaluation", "of two states"],
)
def test_traces_of_other_neurons_are_of_their_own_charges(node):
    node.step_mode = "m"
    table = traced(node, torch.full((40, 3), 1.3))
    spikes = table["spike"] == 1
    assert spikes.any() and not spikes.all()
    np.testing.assert_array_equal(spikes, table["charged"] >= 1)
    np.testing.assert_array_equal(table["charged"][~spikes], table["potential"][~spikes])


def test_traces_are_of_the_same_neurons_of_both_networks():
    torch.manual_seed(0)
    models = {name: snnq.build_model("nmnist", channels=2) for name in ("full", "binary")}
    snnq.quantize(models["binary"], "binary")
    frames = torch.randint(0, 9, (4, 2, 34, 34))
    table = snnq.traces(models, frames, most=7)
    chosen = table.groupby(["layer", "weights_of"], sort=False)["neuron"].agg(["nunique", frozenset])
    assert chosen["nunique"].max() == 7
    assert (chosen["frozenset"].groupby(level=0).nunique() == 1).all()
    rates = snnq.firing_rates(models["full"], frames[:, None].float())
    of_full = table[table["weights_of"] == "full"].groupby("layer", sort=False)["rate"].first()
    pd.testing.assert_series_equal(of_full, rates, check_names=False, rtol=1e-5)
    with pytest.raises(ValueError, match="expected the same in all .*b: none"):
        snnq.traces({"a": models["full"], "b": nn.Sequential(nn.Flatten(2), nn.Linear(2312, 9))}, frames)


def test_a_raster_has_a_tick_for_each_spike_and_the_potential_falls_at_it():
    spikes = np.array([[1, 0], [0, 0], [1, 1], [0, 0]])  # [steps, neurons]
    rows = [
        {"weights_of": name, "layer": "a", "neuron": 5 * n, "step": t + 1, "spike": spikes[t, n],
         "charged": 1.0 + t, "potential": 0.5 * t, "threshold": 0.9, "rate": 0.25, "neurons": 1000}
        for name in ("full", "binary") for t in range(4) for n in range(2)
    ]  # fmt: skip
    figure = spiking.spikes_and_membranes(pd.DataFrame(rows))
    left, middle, right = figure.axes
    for axis in (left, middle):
        ticks = [collection.get_positions() for collection in axis.collections]
        assert [list(of) for of in ticks] == [[1, 3], [3]]
    assert "full" in left.get_title() and "2 of 1,000; rate 0.25" in left.get_title()
    line = right.lines[0].get_xydata()
    expected = [[0, 0], [1, 1], [1, 0], [2, 2], [2, 0.5], [3, 3], [3, 1], [4, 4], [4, 1.5]]
    np.testing.assert_allclose(line, expected)
    assert right.lines[-1].get_ydata()[0] == 0.9
    assert len(right.lines) == 3


def test_confusions_are_scikit_learns_of_each_class_and_their_difference():
    rng = np.random.default_rng(0)
    label = rng.integers(0, 3, 200)
    runs = {"full": [label, rng.permutation(label)], "binary": [rng.permutation(label)]}
    figure = confusions.confusions(label, runs, ["a", "b", "c"])
    full, binary, change = (axis.images[0].get_array() for axis in figure.axes[:3])
    counts = [confusion_matrix(label, one) for one in runs["full"]]
    expected = sum(100 * of / of.sum(1, keepdims=True) for of in counts) / 2
    np.testing.assert_allclose(full, expected)
    np.testing.assert_allclose(full.sum(1), 100)
    np.testing.assert_allclose(change, binary - full)
    assert [axis.get_title() for axis in figure.axes[:3]] == ["full", "binary", "binary − full"]
    shown = [text.get_text() for text in figure.axes[0].texts]
    assert shown == [f"{value:.0f}" for value in expected.flat if value >= 0.5]
