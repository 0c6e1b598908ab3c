import importlib.util
import itertools
import math

import numpy as np
import pandas as pd
import pytest
import torch
from spikingjelly.activation_based import monitor, neuron, op_counter
from torch import nn

import snnq
from snnq.recordings.frames import Frames
from snnq.storage.bits import weight_bytes


@pytest.mark.parametrize(
    ("weights", "levels", "expected"),
    [(8, 2, 1), (9, 2, 2), (5, 3, 1), (6, 3, 2), (100, 3, 20), (3, 4, 1), (3, 8, 2), (3, 16, 2)],
)
def test_weight_bytes(weights, levels, expected):
    assert weight_bytes(weights, levels) == expected


def test_footprint_counts_every_number_once():
    model = snnq.build_model("nmnist", channels=4)
    numbers = sum(
        value.numel() for value in model.state_dict().values() if value.is_floating_point()
    )
    full = snnq.footprint(model)
    assert full["numbers"].sum() == numbers
    assert full["bytes"].sum() == full["bytes_float32"].sum() == 4 * numbers
    binary = snnq.footprint(snnq.quantize(model, "binary")).set_index("layer")
    assert binary["numbers"].sum() == numbers
    assert binary.loc["layers.4", "bytes"] == 4 * 4 * 9 / 8 + 4  # one bit each, and α
    assert binary.loc["layers.0", "bytes"] == binary.loc["layers.0", "bytes_float32"]


def test_footprint_of_the_full_networks_weights():
    """31.9 times on N-MNIST, as the paper's "up to 31" fits with the first layer kept."""
    with torch.device("meta"):
        model = snnq.build_model("nmnist")
    shapes = {name: m.weight.shape for name, m in model.named_modules() if isinstance(m, nn.Linear)}
    assert [tuple(shape) for shape in shapes.values()] == [(2048, 8192), (100, 2048)]
    linear = sum(math.prod(shape) for shape in shapes.values())
    conv = 128 * 128 * 9
    rest = snnq.footprint(model)["numbers"].sum() - linear - conv
    times = (linear + conv + rest) / ((linear + conv) / 32 + rest)
    assert times == pytest.approx(31.8, abs=0.15)


def test_firing_rates_are_spikes_per_neuron_and_step(tiny, in_tmp):
    torch.manual_seed(0)
    model = snnq.build_model("nmnist", channels=2).eval()
    model.layers[0].weight.data.add_(0.2)  # so that neurons fire
    _, test = snnq.load("nmnist", tiny["data"], 3)
    rates = snnq.firing_rates(model, test)
    frames = torch.stack([frames for frames, _ in test]).transpose(0, 1).float()
    with torch.no_grad():
        spikes = model.layers[:3](frames)
    assert list(rates.index) == ["layers.2", "layers.6", "layers.11", "layers.14"]
    assert rates["layers.2"] == pytest.approx(spikes.mean().item(), rel=1e-5)
    assert isinstance(rates, pd.Series) and rates["layers.2"] > 0


def network_with_activity(levels=None, benchmark="nmnist", channels=3, **options):
    """A small untrained network whose neurons fire in every layer."""
    torch.manual_seed(0)
    model = snnq.build_model(benchmark, channels=channels, **options)
    for name, parameter in model.named_parameters():
        if parameter.ndim > 1:
            parameter.data.add_(parameter.abs().mean() / 2).mul_(4)
        elif "bias" in name:
            parameter.data.add_(0.3)
    return (snnq.quantize(model, levels) if levels else model).eval()


def recordings_of(frames):
    """uint8 [N, T, 2, H, W] as a dataset."""
    return Frames("test", frames, np.zeros(len(frames), int))


def connections_by_hand(layer, inputs, weights):
    """Σ over inputs [..., C, H, W] or [..., inputs] that are not zero of their outgoing weights that
    are not zero, one after the other."""
    total = 0
    for place in inputs.nonzero().tolist():
        if isinstance(layer, nn.Linear):
            total += weights[:, place[-1]].count_nonzero().item()
            continue
        *_, channel, y, x = place
        for ky, kx in itertools.product(range(3), repeat=2):
            row, column = y + 1 - ky, x + 1 - kx  # of the output, with a border of 1
            if 0 <= row < inputs.shape[-2] and 0 <= column < inputs.shape[-1]:
                total += weights[:, channel, ky, kx].count_nonzero().item()
    return total


@pytest.mark.parametrize("levels", [None, "ternary"])
def test_operations_are_those_counted_one_by_one(levels):
    model = network_with_activity(levels, "nmnist", channels=2, size=8)
    frames = np.random.default_rng(0).poisson(0.4, (3, 2, 2, 8, 8)).astype(np.uint8)
    assert frames.max() > 1
    table = snnq.operations(model, recordings_of(frames)).set_index("layer")
    with monitor.InputMonitor(model, (nn.Conv2d, nn.Linear)) as seen, torch.no_grad():
        model(torch.from_numpy(frames).transpose(0, 1).float())
    for name, row in table.iterrows():
        layer, (inputs,) = model.get_submodule(name), seen[name]
        ones = torch.ones_like(layer.weight)
        for case, of, weights in [
            ("dense", torch.ones_like(inputs), ones),
            ("synops", inputs, ones),
            ("effective", inputs, layer.weight),
        ]:
            assert row[case] * 3 == pytest.approx(connections_by_hand(layer, of, weights))
        assert row["effective"] > 0
        assert row["zero_weights"] == (layer.weight == 0).sum()
        assert row["operation"] == ("MAC" if name == "layers.0" else "AC")
    assert bool((table["zero_weights"] > 0).any()) == (levels == "ternary")


def test_operations_are_spikingjellys_where_it_counts_them():
    model = network_with_activity("binary")
    frames = np.random.default_rng(0).poisson(0.3, (5, 3, 2, 34, 34)).astype(np.uint8)
    table = snnq.operations(model, recordings_of(frames)).set_index("layer")
    counter = op_counter.SynOpCounter()
    with torch.no_grad(), op_counter.DispatchCounterMode([counter]):
        model(torch.from_numpy(frames).transpose(0, 1).float())
    for name, row in table.iterrows():
        counted = sum(counter.get_counts()[f"SpikingNetwork.{name}"].values())
        # It takes the first layer, whose inputs are counts, for one without spikes.
        assert counted == (0 if name == "layers.0" else round(row["synops"] * 5))


def test_first_layer_accumulates_when_no_pixel_counts_two_events():
    model = network_with_activity()
    frames = np.random.default_rng(0).integers(0, 2, (2, 2, 2, 34, 34), np.uint8)
    assert set(snnq.operations(model, recordings_of(frames))["operation"]) == {"AC"}
    frames[1, 0, 0, 5, 5] = 2
    assert snnq.operations(model, recordings_of(frames))["operation"].tolist()[:2] == ["MAC", "AC"]


def test_costs_and_their_summary():
    model = network_with_activity("ternary", neuron="lif")
    frames = np.random.default_rng(0).poisson(0.3, (2, 3, 2, 34, 34)).astype(np.uint8)
    data = recordings_of(frames)
    table = snnq.costs(model, data)
    assert table["layer"].is_unique and table["bytes"].sum() == snnq.footprint(model)["bytes"].sum()
    summary = snnq.cost_summary(table)
    price = op_counter.SimpleEnergyCostConfig.fp32()
    energy = summary["effective_macs"] * price.e_mac_pj + summary["effective_acs"] * price.e_ac_pj
    assert summary["nanojoules"] == pytest.approx(energy / 1000)
    weights = [m.weight.detach() for m in model.layers if isinstance(m, (nn.Conv2d, nn.Linear))]
    zeros = sum((weight == 0).sum().item() for weight in weights)
    share = zeros / sum(weight.numel() for weight in weights)
    assert summary["connection_sparsity"] == pytest.approx(share) and zeros
    with monitor.OutputMonitor(model, neuron.BaseNode) as seen, torch.no_grad():
        model(torch.from_numpy(frames).transpose(0, 1).float())
    spikes = torch.cat([output.flatten() for output in seen.records])
    assert summary["activation_sparsity"] == pytest.approx(1 - spikes.double().mean().item())


@pytest.mark.parametrize("levels", [None, "ternary"])
def test_neurobench_agrees(peer, levels):
    """Its own harness on the same network and recordings."""
    peer("neurobench", importlib.util.find_spec("neurobench"))
    from snnq.deployment.neurobench import neurobench_results

    model = network_with_activity(levels)
    frames = np.random.default_rng(0).poisson(0.3, (70, 2, 2, 34, 34)).astype(np.uint8)
    found = neurobench_results(model, recordings_of(frames))
    table = snnq.costs(model, recordings_of(frames))
    summary = snnq.cost_summary(table)
    counts_of_batches = sum(8 for m in model.modules() if isinstance(m, nn.BatchNorm2d))
    assert found["Footprint"] == table["bytes_float32"].sum() + counts_of_batches
    assert found["ConnectionSparsity"] == pytest.approx(summary["connection_sparsity"], abs=5e-5)
    assert found["ActivationSparsity"] == pytest.approx(summary["activation_sparsity"])
    operations = found["SynapticOperations"]
    # It adds them up in float32.
    assert operations["Effective_MACs"] == pytest.approx(summary["effective_macs"], rel=1e-6)
    assert operations["Effective_ACs"] == pytest.approx(summary["effective_acs"], rel=1e-6)
    assert operations["Dense"] == pytest.approx(summary["dense"], rel=1e-6)


def test_speed_is_measured():
    frames = np.random.default_rng(0).poisson(0.3, (3, 2, 2, 34, 34)).astype(np.uint8)
    measured = snnq.speed(network_with_activity(), recordings_of(frames))
    assert (measured > 0).all() and measured["latency_ms"] <= measured["latency_ms_p95"]


def test_a_network_without_numbers_costs_nothing():
    model, frames = nn.Sequential(nn.ReLU(), nn.Flatten(2)), torch.rand(2, 3, 4, 5)
    counted = ["layer", "kind", "levels", "numbers", "bytes", "bytes_float32"]
    assert snnq.footprint(model).empty and list(snnq.footprint(model)) == counted
    table = snnq.structure(model, frames)
    assert table["layer"].tolist() == ["0", "1"] and table["output"].tolist() == ["4×5", "20"]
    assert table["numbers"].tolist() == table["bytes"].tolist() == [0, 0] and table["bits"].isna().all()
    assert snnq.structure(Bare(), frames[:, :, 0]).empty
    costs = snnq.costs(model, frames)
    assert costs.empty and set(counted) < set(costs)
    summary = snnq.cost_summary(costs)
    assert summary["bytes"] == summary["dense"] == summary["nanojoules"] == 0


class Bare(nn.Module):
    def forward(self, x):
        return 2 * x


@pytest.mark.parametrize("data", [[], torch.rand(3, 0, 4)])
@pytest.mark.parametrize("measure", [snnq.speed, snnq.operations, snnq.firing_rates])
def test_no_recording_is_refused(data, measure):
    with pytest.raises(ValueError, match="data holds no recording"):
        measure(nn.Linear(4, 3), data)


def test_no_recording_has_no_structure():
    with pytest.raises(ValueError, match="data holds no recording"):
        snnq.structure(nn.Sequential(nn.Linear(4, 3)), torch.rand(3, 0, 4))
