"""Training that knows its memory's faults, or meets unknown ones; and devices with them."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import ends_as_one_that_was_not_stopped, firing_network, fit, results
from safetensors.torch import load_file

import snnq
from snnq.quantization.pulled import NearestLevelQuantizer, QFALTQuantizer
from snnq.storage.faults import memory_of
from snnq.training.faults import FaultyMemory, reach_levels_of
from snnq.training.penalties import with_penalties
from snnq.training.record import reach_known_levels
from snnq.training.run import Run

KNOWN = "known, stuck_at_0=0.2, stuck_at_1=0.1, device=3"


def layer(levels="3bit", method="sigmoid", seed=0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = torch.nn.Sequential(torch.nn.Linear(30, 20))
    return snnq.quantize(model, levels, (), snnq.QUANTIZERS[method]).train()


def original(model):
    return model[0].parametrizations.weight.original


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("known,stuck_at_0=.10,device=0", "known, stuck_at_0=0.1"),
        (" step , variability=0.3,stuck_at_1=1e-2", "step, stuck_at_1=0.01, variability=0.3"),
        ("known, map=a/b.safetensors", "known, map=a/b.safetensors"),
    ],
)
def test_the_same_faults_are_written_in_one_way(text, plain):
    run = Run(faults=text)
    assert run.faults == plain and run == Run(faults=plain) and run.name != Run().name
    assert Run.of(json.loads(json.dumps({"faults": run.faults}))) == run


@pytest.mark.parametrize(
    ("faults", "message"),
    [
        ("always, stuck_at_0=0.1", "'always': expected one of known, epoch, step first"),
        ("known", "expected stuck_at_0, stuck_at_1 or variability above 0, or a map"),
        ("known, stuck_at_0=2", "stuck_at_0=2.0: expected a number from 0 to 1"),
        ("known, stuck_at_0=0.6, stuck_at_1=0.6", "stuck_at_0=0.6 and stuck_at_1=0.6: expected a sum"),
        ("known, stuck_at_0=x", "stuck_at_0=x: expected a number"),
        ("known, stuck_at_0=0.1, device=-1", "device=-1: expected a whole number"),
        ("known, stuck_at_2=0.1", "'stuck_at_2': expected stuck_at_0, stuck_at_1, variability"),
        ("known, stuck_at_0=0.1, stuck_at_0=0.2", "each once"),
        ("known, variability=nan", "variability=nan: expected a finite number"),
        ("epoch, map=a", "map=a: expected known faults, and neither rates nor a device"),
        (0.1, "faults=0.1: expected a text"),
    ],
)
def test_faults_that_cannot_be_are_refused(faults, message):
    for kind in (snnq.Settings, Run):
        with pytest.raises(ValueError, match=message):
            kind(faults=faults)


def test_methods_that_do_not_take_known_faults_are_refused():
    with pytest.raises(ValueError, match="go with quantizer sigmoid, qfalt, nearest, not with 'lsq'"):
        Run(quantizer="lsq", faults=KNOWN)
    assert Run(quantizer="lsq", faults="step, stuck_at_0=0.1").faults
    model = layer(method="lsq")
    with pytest.raises(ValueError, match="0: LSQQuantizer does not take known faults"):
        reach_levels_of(model, snnq.draw_faults(model, 0.1))


@pytest.mark.parametrize("levels", ["ternary", "3bit"])
def test_a_run_with_known_faults_is_read_on_its_device_as_it_was_trained(levels, tiny, in_tmp):
    settings = tiny | {"levels": levels, "full_epochs": 0, "faults": KNOWN, "learning_rate": 0.01}
    history = fit(settings, in_tmp / "run")
    model = snnq.trained_network(in_tmp / "run")
    faults = snnq.read_faults(in_tmp / "run/faults.safetensors", model)
    drawn = snnq.draw_faults(model, 0.2, 0.1, device=3)
    assert all(torch.equal(faults[name].stuck_at_1, drawn[name].stuck_at_1) for name in drawn)
    moved = 0
    for name, quantizer in snnq.quantizers(model).items():
        weight = model.get_submodule(name).parametrizations.weight.original
        indices = quantizer.level_indices(weight)
        places = torch.arange(len(quantizer.levels)).double()
        assert torch.equal(faults[name].reachable.nearest(places[indices], places), indices)
        quantizer.reachable = None
        moved += (quantizer.level_indices(weight) != indices).sum()
    assert moved > 0
    packed = snnq.unpack(in_tmp / "run/packed.safetensors")
    _, test = snnq.load("nmnist", settings["data"], settings["steps"])
    table = snnq.accuracy_on_devices(packed, test, [faults, drawn], known=True)
    assert table["changed"].tolist() == [0, 0]
    assert table["accuracy"].tolist() == [history["test_accuracy"].iloc[-1]] * 2


@pytest.mark.parametrize("faults", [None, "step, stuck_at_0=0.2"])
def test_nothing_is_left_of_the_training_that_another_replaces(faults, tiny, in_tmp):
    """A map of known faults least of all: the network that follows would be read through it."""
    settings = tiny | {"levels": "2bit", "full_epochs": 0, "epochs": 1}
    fit(settings | {"faults": KNOWN}, in_tmp / "run")
    fit(settings | {"faults": faults}, in_tmp / "run", restart=True)
    fit(settings | {"faults": faults}, in_tmp / "alone")
    left, expected = ({path.name for path in (in_tmp / name).iterdir()} for name in ("run", "alone"))
    assert left == expected and "faults.safetensors" not in left
    fit(settings | {"levels": "full", "full_epochs": None}, in_tmp / "run", restart=True)
    assert not (in_tmp / "run/histograms.csv").exists()


def test_a_network_that_was_trained_with_known_faults_before_is_read_without(tmp_path):
    model = layer("2bit").eval()
    expected = model[0].weight
    (tmp_path / "faulty").mkdir()
    snnq.save_faults(snnq.draw_faults(model, 0.5), tmp_path / "faulty/faults.safetensors")
    reach_known_levels(model, tmp_path / "faulty")
    assert not torch.equal(model[0].weight, expected)
    reach_known_levels(model, tmp_path)  # as for a finished training
    assert torch.equal(model[0].weight, expected)


@pytest.mark.parametrize("faults", [KNOWN, "step, stuck_at_0=0.2, variability=0.1"])
def test_a_run_stopped_with_faults_ends_as_one_that_was_not(faults, tiny, in_tmp, monkeypatch):
    settings = tiny | {"levels": "2bit", "full_epochs": 0, "faults": faults}
    ends_as_one_that_was_not_stopped(settings, in_tmp, monkeypatch, look=2)


def test_another_map_in_the_same_file_is_another_run(tiny, in_tmp):
    settings = tiny | {"levels": "binary", "full_epochs": 0, "epochs": 1}
    fit(settings | {"faults": KNOWN}, in_tmp / "drawn")
    (in_tmp / "map.safetensors").write_bytes((in_tmp / "drawn/faults.safetensors").read_bytes())
    settings["faults"] = f"known, map={in_tmp / 'map.safetensors'}"
    found = fit(settings, in_tmp / "given")
    assert results(in_tmp / "given")[:3] == results(in_tmp / "drawn")[:3]
    assert fit(settings, in_tmp / "given").equals(found)
    another = snnq.draw_faults(snnq.trained_network(in_tmp / "given"), 0.5)
    snnq.save_faults(another, in_tmp / "map.safetensors")
    with pytest.raises(ValueError, match="holds another run .fault_map is "):
        fit(settings, in_tmp / "given")


@pytest.mark.parametrize("method", ["sigmoid", "lsq", "rounding"])
def test_unknown_faults_are_seen_in_training_alone_and_pass_the_gradient(method, tmp_path):
    model = layer("3bit", method)
    quantizer, weight = snnq.quantizers(model)["0"], original(model)
    before = quantizer(weight).detach()
    memory = FaultyMemory(model, "step, stuck_at_0=0.3", tmp_path)
    with memory.in_training():
        memory.draw(0, 0)
        meant = quantizer.level_indices(weight)
        read = memory.maps["0"].misread(meant)
        values = quantizer.values(weight).detach()
        seen = model[0].weight
        assert (read != meant).any()
        torch.testing.assert_close(seen.detach(), before + values[read] - values[meant])
        (by_faulty,) = torch.autograd.grad(seen.sum(), weight)
        assert torch.equal(model.eval()[0].weight, quantizer.hard(weight))
        model.train()
    assert torch.equal(quantizer(weight), before)
    (by_sound,) = torch.autograd.grad(quantizer(weight).sum(), weight)
    torch.testing.assert_close(by_faulty, by_sound)


@pytest.mark.parametrize(("way", "changes"), [("epoch", [0, 0, 1]), ("step", [0, 1, 2])])
def test_unknown_faults_change_when_they_should_and_in_place(way, changes, tmp_path):
    memory = FaultyMemory(layer("2bit"), f"{way}, stuck_at_0=0.3", tmp_path)
    found, places = [], set()
    for epoch, step in ((0, 0), (0, 1), (1, 0)):
        memory.draw(epoch, step)
        mask = memory.maps["0"].stuck_at_0
        places.add(mask.data_ptr())
        found.append(mask.numpy().tobytes())
    assert [list(dict.fromkeys(found)).index(one) for one in found] == changes and len(places) == 1
    assert not (tmp_path / "faults.safetensors").exists()


def test_values_that_are_off_are_multiplied(tmp_path):
    model = layer("2bit")
    sound = model[0].weight.detach()
    memory = FaultyMemory(model, "known, variability=0.3", tmp_path)
    error = load_file(tmp_path / "faults.safetensors")["0.error"]
    with memory.in_training():
        torch.testing.assert_close(model[0].weight.detach(), sound * (1 + error))
    assert torch.equal(model[0].weight.detach(), sound)


@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize("method", ["qfalt", "nearest"])
def test_penalties_are_the_published_sums(method, known):
    model = layer("3bit", method)
    quantizer, weight = snnq.quantizers(model)["0"], original(model).detach().double()
    reached = np.ones((*weight.shape, 8), bool)
    if known:
        faults = snnq.draw_faults(model, 0.3)
        reach_levels_of(model, faults)
        reachable = quantizer.reachable
        reached = reachable.sets[reachable.rows.int()].numpy()
    quantizer.advance(0.5)
    distances = weight.numpy()[..., None] - quantizer.alpha.item() * np.arange(-7, 8, 2)
    first, last = quantizer.strengths
    strength = np.sqrt(first * last)
    if method == "qfalt":
        sigma = 0.75 * 2 * quantizer.alpha.item()
        expected = -strength * (reached * np.exp(-((distances / sigma) ** 2))).sum()
    else:
        nearest = np.where(reached, distances**2, np.inf).min(-1)
        expected = strength * 7 * nearest.mean()
    assert quantizer.penalty(original(model)).item() == pytest.approx(expected, rel=1e-4)
    loss = with_penalties(model, lambda rates, labels: rates.sum())
    assert loss(torch.ones(2, 2), None).item() == pytest.approx(4 + expected, rel=1e-4)
    assert with_penalties(layer(), None) is None


@pytest.mark.parametrize("method", [QFALTQuantizer, NearestLevelQuantizer])
def test_strengths_that_cannot_be_are_refused(method):
    with pytest.raises(ValueError, match="strengths=.*: expected two numbers above 0"):
        method(torch.randn(9), "2bit", (0.0, 1.0))


def test_the_accuracy_on_devices_is_that_of_the_weights_that_are_read(noise):
    model = firing_network()
    snnq.quantize(model, "2bit")
    maps = [snnq.draw_faults(model, *rates) for rates in ((0.0,), (0.04, 0.04), (0.02, 0.0, 0.3))]
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    classes = snnq.predict(model, noise)[0].argmax(1)  # all right where nothing is stuck
    noise = [(noise[place][0], int(classes[place])) for place in range(len(noise))]
    table = snnq.accuracy_on_devices(model, noise, maps)
    assert table["accuracy"][0] == 1 and table["changed"][0] == 0
    assert 0 < table["accuracy"][1] < 1
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    for faults, row in zip(maps, table.itertuples()):
        by_hand, changed = snnq.evaluated_copy(model), 0
        for name, quantizer in snnq.quantizers(model).items():
            layer, faulty = faults[name], by_hand.get_submodule(name)
            weight = model.get_submodule(name).parametrizations.weight.original
            codes = quantizer.level_indices(weight).flatten().to(torch.uint8)
            read = (codes & ~layer.stuck_at_0 | layer.stuck_at_1).view(weight.shape).long()
            error = 0 if layer.error is None else layer.error
            faulty.weight.data.copy_(quantizer.values(weight)[read] * (1 + error))
            changed += (read != quantizer.level_indices(weight)).sum().item()
        assert (row.accuracy, row.changed) == (snnq.evaluate(by_hand, noise)[0], changed)
        read = snnq.on_device(model, faults)
        state = snnq.evaluated_copy(read).state_dict()
        assert all(torch.equal(state[name], tensor) for name, tensor in by_hand.state_dict().items())
        assert len(snnq.quantizers(read)) == (len(faults) if layer.error is None else 0)
    assert isinstance(table, pd.DataFrame) and table["stuck"][1] == sum(m.stuck for m in maps[1].values())


def test_maps_of_other_networks_are_refused(noise):
    model = snnq.quantize(snnq.build_model("nmnist", channels=3, size=8), "2bit")
    other = snnq.quantize(snnq.build_model("nmnist", channels=3, size=8), "3bit")
    with pytest.raises(ValueError, match="the map of device 0 does not fit at layer layers.10: "):
        snnq.accuracy_on_devices(model, noise, [snnq.draw_faults(other, 0.1)])
    with pytest.raises(ValueError, match="faults: the map does not fit at layer layers.10: "):
        snnq.on_device(model, snnq.draw_faults(other, 0.1))
    with pytest.raises(ValueError, match="devices=.*: expected one fault map at least"):
        snnq.accuracy_on_devices(model, noise, [])
    assert list(memory_of(model)) == list(snnq.quantizers(model))


@pytest.mark.parametrize("levels", ["ternary", "3bit"])
def test_reading_with_faults_asks_for_no_number_of_a_device(levels):
    """As on a GPU, which would have to be waited for: on the meta device there is none."""
    model = layer(levels)
    faults = snnq.draw_faults(model, 0.2, variability=0.1)["0"].to(torch.device("meta"))
    indices = model.to("meta") and snnq.quantizers(model)["0"].level_indices(original(model))
    assert faults.misread(indices).shape == faults.error.shape == original(model).shape


def test_a_network_of_ones_own_takes_faults_too(tmp_path):
    settings = snnq.Settings(epochs=1, batch_size=8, faults=KNOWN, device="cpu")
    samples = [(torch.randn(2, 30), number % 20) for number in range(24)]
    folder, networks = tmp_path / "run", [layer("2bit"), layer("2bit", seed=1)]
    for model in networks:  # the second is finished already
        snnq.train(model, samples, None, samples, settings, folder, progress=False)
    trained, again = (model[0].weight for model in networks)
    assert torch.equal(trained, again)
    faults = snnq.read_faults(folder / "faults.safetensors", networks[1])["0"]
    indices = snnq.quantizers(networks[1])["0"].level_indices(original(networks[1]))
    assert torch.equal(faults.misread(indices), indices) and faults.stuck
