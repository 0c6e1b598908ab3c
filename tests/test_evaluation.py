"""Evaluation and measurements of networks that are not the project's own."""

import numpy as np
import pytest
import torch
from spikingjelly.activation_based import functional, layer, neuron
from torch import nn
from torch.utils.data import ConcatDataset, DataLoader, Subset, TensorDataset

import snnq
from snnq.recordings.frames import Frames
from snnq.system.state import reset_state
from snnq.training import evaluation
from snnq.training import gradients as training_gradients

RECORDINGS, STEPS, SIZE = 150, 4, 8
AT_ONCE = 64  # so that there are more than two batches


class OwnNetwork(nn.Module):
    """As SpikingJelly's tutorials have them: the caller resets it."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(
            layer.Flatten(), layer.Linear(2 * SIZE**2, 20), neuron.LIFNode(tau=20.0), layer.Linear(20, 10)
        )
        functional.set_step_mode(self, "m")

    def forward(self, frames):
        return self.layers(frames).mean(0)


class OverTime(nn.Module):
    def forward(self, x):
        return x.mean(0)


class OtherNeuron(nn.Module):
    """An integrator as of another library."""

    v = 0.0

    def rest(self):
        self.v = 0.0

    def forward(self, x):
        self.v = self.v + x
        return self.v


@pytest.fixture
def own():
    torch.manual_seed(0)
    model = OwnNetwork()
    model.layers[1].weight.data.add_(0.1)  # so that neurons fire
    return model.eval()


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    frames = rng.poisson(0.4, (RECORDINGS, STEPS, 2, SIZE, SIZE)).astype(np.uint8)
    return Frames("test", frames, np.arange(RECORDINGS) % 10)


@pytest.fixture(autouse=True)
def small_batches(monkeypatch):
    bytes_of_one = STEPS * 2 * SIZE**2 * 4
    monkeypatch.setattr(evaluation, "EVALUATION_BYTES", AT_ONCE * bytes_of_one + bytes_of_one // 2)


def one_by_one(model, data):
    """Rates of each recording alone, from rest."""
    with torch.no_grad():
        rates = []
        for frames, _ in data:
            functional.reset_net(model)
            rates.append(model(frames[:, None].float()))
        functional.reset_net(model)
    return torch.cat(rates)


def test_each_recording_starts_from_rest(own, data):
    expected = one_by_one(own, data)
    rates, _ = snnq.predict(own, data)
    torch.testing.assert_close(rates, expected)
    assert own.layers[2].v == 0  # and the network is left at rest
    own(torch.ones(STEPS, 64, 2, SIZE, SIZE))  # left over by the user
    torch.testing.assert_close(snnq.predict(own, data)[0], expected)


def test_measurements_start_from_rest(own, data):
    part = Subset(data, range(64, 128))
    own(torch.ones(STEPS, 64, 2, SIZE, SIZE))
    found = snnq.firing_rates(own, part), snnq.operations(own, part)
    spikes = []
    hook = own.layers[2].register_forward_hook(lambda _, __, out: spikes.append(out))
    functional.reset_net(own)
    one_by_one(own, part)
    hook.remove()
    fired = torch.cat(spikes, 1)
    assert 0 < found[0]["layers.2"] == pytest.approx(fired.mean().item())
    synops = found[1].set_index("layer").loc["layers.3", "synops"]
    assert synops == pytest.approx(10 * fired.sum().item() / len(part))
    assert (snnq.speed(own, data) > 0).all() and own.layers[2].v == 0


def test_speed_resets_before_every_batch(own, data):
    states = []
    own.layers[2].register_forward_pre_hook(lambda node, _: states.append(node.v))
    snnq.speed(own, data)
    assert len(states) > 100 and all(isinstance(v, float) for v in states)


@pytest.mark.parametrize("name", ["reset", "reset_mem", "reset_states", "reset_state"])
def test_other_libraries_neurons_are_reset(name):
    """Under the name that their library has for it."""
    model = nn.Sequential(type("Neuron", (OtherNeuron,), {name: OtherNeuron.rest})())
    model(torch.ones(3, 1))
    reset_state(model)
    assert model[0].v == 0


def test_a_layer_that_was_put_in_later_is_reset(own):
    functional.reset_net(own)
    own.layers[2] = neuron.IFNode(step_mode="m")
    own(torch.ones(STEPS, 1, 2, SIZE, SIZE))
    reset_state(own)
    assert own.layers[2].v == 0


def test_a_reset_that_asks_for_something_is_no_reset():
    class Head(nn.Linear):
        def reset(self, classes):
            raise AssertionError

    reset_state(nn.Sequential(Head(2, 2)))


def test_frames_follow_pytorchs_contract(data):
    """One by one, in a loader's batches and within other datasets they are the same recordings."""
    frames, labels = torch.from_numpy(data.frames), torch.from_numpy(data.labels)
    items = data.__getitems__([3, 1])
    assert isinstance(items, list) and len(items) == 2
    assert all(torch.equal(items[i][0], frames[j]) for i, j in enumerate((3, 1)))
    for dataset in (data, Subset(data, range(RECORDINGS)), ConcatDataset([data, data])):
        batch, of_batch = next(iter(DataLoader(dataset, 8)))
        assert torch.equal(batch, frames[:8]) and batch.dtype == torch.uint8
        assert torch.equal(of_batch, labels[:8]) and of_batch.dtype == torch.int64


@pytest.mark.parametrize("kind", ["tensors", "concatenated", "list", "arrays", "subset"])
def test_any_dataset_is_evaluated(own, data, kind):
    frames, labels = torch.from_numpy(data.frames), torch.from_numpy(data.labels)
    dataset = {
        "tensors": TensorDataset(frames.float(), labels),
        "concatenated": ConcatDataset([Subset(data, range(70)), Subset(data, range(70, RECORDINGS))]),
        "list": list(data),
        "arrays": list(zip(data.frames, data.labels)),
        "subset": Subset(data, range(RECORDINGS)),
    }[kind]
    expected, expected_labels = snnq.predict(own, data)
    rates, found_labels = snnq.predict(own, dataset)
    assert torch.equal(rates, expected) and torch.equal(found_labels, expected_labels)
    assert snnq.evaluate(own, dataset) == snnq.evaluate(own, data)
    assert snnq.operations(own, dataset).equals(snnq.operations(own, data))
    assert (snnq.speed(own, dataset) > 0).all()


def test_a_batch_of_frames_is_read_at_once(own, data):
    reads = []

    class Counted(np.ndarray):
        def __getitem__(self, index):
            reads.append(index)
            return super().__getitem__(index)

    counted = Frames("test", data.frames.view(Counted), data.labels)
    snnq.predict(own, Subset(counted, range(RECORDINGS)))
    assert 2 <= len(reads) <= 1 + 3  # one is looked at for its size


def test_a_recording_larger_than_a_batch_may_be_is_a_batch(own, data, monkeypatch):
    expected = one_by_one(own, data)
    sizes = []
    own.register_forward_pre_hook(lambda _, inputs: sizes.append(inputs[0].shape[1]))
    torch.testing.assert_close(snnq.predict(own, data)[0], expected)
    assert sizes == [AT_ONCE, AT_ONCE, RECORDINGS - 2 * AT_ONCE]
    monkeypatch.setattr(evaluation, "EVALUATION_BYTES", 1)
    torch.testing.assert_close(snnq.predict(own, data)[0], expected)
    assert sizes[3:] == [1] * RECORDINGS


def without_biases():
    layers = layer.Linear(2 * SIZE**2, 20, bias=False), neuron.IFNode(), layer.Linear(20, 10, bias=False)
    model = nn.Sequential(layer.Flatten(), *layers)
    functional.set_step_mode(model, "m")
    return model


def test_a_network_without_parameters_is_measured(data, tmp_path):
    model = snnq.quantize(without_biases(), "2bit", keep=())
    expected = snnq.evaluate(model, data)
    snnq.pack(model, tmp_path / "packed.safetensors")
    unpacked = snnq.unpack(tmp_path / "packed.safetensors", into=without_biases())
    assert not list(unpacked.parameters()) and snnq.evaluate(unpacked, data) == expected
    assert (snnq.speed(unpacked, data) > 0).all()
    assert snnq.operations(unpacked, data).equals(snnq.operations(model, data))
    devices = [snnq.draw_faults(unpacked, 0.0)]
    assert snnq.accuracy_on_devices(unpacked, data, devices)["accuracy"].tolist() == [expected[0]]


def test_a_network_without_any_tensors_is_evaluated(data):
    model = nn.Sequential(nn.Flatten(2), OverTime())
    rates, _ = snnq.predict(model, data)
    assert torch.equal(rates, torch.tensor(data.frames).flatten(2).float().mean(1))


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_what_fails_leaves_the_network_hard_and_at_rest(own, data, error):
    snnq.quantize(own, "2bit", keep=())

    def fail(*_):
        raise error

    own.layers[3].register_forward_hook(fail)
    for measured in (lambda: snnq.evaluate(own, data, soft=True), lambda: snnq.speed(own, data)):
        with pytest.raises(error):
            measured()
        assert not any(module.training for module in own.modules()) and own.layers[2].v == 0


def test_no_recordings_are_said(own, data):
    with pytest.raises(ValueError, match="data holds no recording"):
        snnq.evaluate(own, Subset(data, []))


@pytest.mark.parametrize(
    ("label", "message"),
    [
        (torch.tensor([3]), "expected a number of a class for each"),
        (2.0, "expected a number of a class for each"),
        ("car", "expected a number of a class for each"),
        (10, "labels are 10 to 10: expected 0 to 9, of 10 classes"),
        (-1, "labels are -1 to -1: expected 0 to 9"),
    ],
)
def test_labels_that_are_no_classes_are_refused(own, data, label, message):
    with pytest.raises(ValueError, match=message):
        snnq.evaluate(own, [(frames, label) for frames, _ in data])
    assert own.layers[2].v == 0


def test_outputs_over_time_in_another_order_are_refused(own, data):
    own.forward = lambda frames: own.layers(frames).transpose(0, 1)  # [N, N_t, classes]
    with pytest.raises(ValueError, match="the network's output is .4, 10. for 7 recordings"):
        snnq.evaluate(own, Subset(data, range(7)))


def test_an_output_of_nan_is_no_class():
    model = nn.Sequential(nn.Flatten(2), OverTime())
    data = [(torch.eye(4)[[1, 1]], 1), (torch.full((2, 4), torch.nan), 0)]
    assert snnq.evaluate(model, data[:1])[0] == 1
    accuracy, loss = snnq.evaluate(model, data)
    assert accuracy == 0.5 and np.isnan(loss)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_networks_of_other_number_formats_are_evaluated(own, data, dtype):
    expected, _ = snnq.predict(own, data)
    rates, labels = snnq.predict(own.to(dtype), data)
    assert rates.dtype == dtype  # and all but some spikes the same
    tolerance = max(1e-3, 20 * torch.finfo(dtype).eps)
    assert (rates - expected).abs().mean() < tolerance * expected.abs().mean()
    assert (snnq.speed(own, data) > 0).all()


class Stepwise(nn.Module):
    """Loops over time itself, as snnTorch's and norse's tutorials do; counts its quantizers' calls."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(2 * SIZE**2, 20), nn.Linear(20, 10)

    def forward(self, frames):
        v, total = 0, 0
        for step in frames.flatten(2):
            v = 0.5 * v + self.first(step)
            total = total + self.second(torch.sigmoid(4 * (v - 1)))
        return total / len(frames)


def gradients_of(step):
    torch.manual_seed(0)
    model = snnq.quantize(Stepwise(), "2bit", keep=()).train()
    calls = []
    for quantizer in snnq.quantizers(model).values():
        quantizer.register_forward_hook(lambda *_: calls.append(None))
    frames, labels = torch.rand(STEPS, 5, 2, SIZE, SIZE), torch.arange(5)
    step(model, frames, labels)
    return model, {name: p.grad for name, p in model.named_parameters()}, len(calls)


def test_a_training_gradients_quantizes_each_layer_once():
    def in_float64_without_cache(model, frames, labels):
        loss = evaluation.loss_of(model.double()(frames.double()), labels)
        loss.backward()

    def in_a_step(model, frames, labels):
        learned = [value for value in model.parameters() if value.requires_grad]
        training_gradients.gradients(model, frames, labels, learned)

    model, found, calls = gradients_of(in_a_step)
    _, expected, calls_without = gradients_of(in_float64_without_cache)
    assert calls == 2 and calls_without == 2 * STEPS
    for name, gradient in found.items():
        if gradient is None:  # of the input scales, which are not learned
            assert expected[name] is None and name.endswith("beta")
        else:
            torch.testing.assert_close(gradient.double(), expected[name], rtol=1e-3, atol=1e-6)
    before = model.first.weight.detach().clone()  # nothing is kept for the step that follows
    torch.optim.SGD(model.parameters(), 0.1).step()
    assert not torch.equal(model.first.weight, before)
    assert torch.equal(model.first.weight, model.first.parametrizations.weight())


@pytest.mark.parametrize("levels", [None, "ternary"])
def test_operations_of_a_transposed_convolution_are_counted_one_by_one(data, levels):
    torch.manual_seed(0)
    module = layer.ConvTranspose2d(
        2, 6, 3, stride=2, padding=1, output_padding=1, groups=2, dilation=2, step_mode="m"
    )
    model = nn.Sequential(module, layer.Flatten(step_mode="m"), OverTime()).eval()
    if levels:
        snnq.quantize(model, levels, keep=())
    some = Subset(data, range(3))
    row = snnq.operations(model, some).set_index("layer").loc["0"]
    height = width = (SIZE - 1) * 2 - 2 + 2 * 2 + 1 + 1
    found = {"dense": 0, "synops": 0, "effective": 0}
    for frames, _ in some:
        for step, channel, y, x in np.ndindex(frames.shape):
            for out, ky, kx in np.ndindex(3, 3, 3):
                row_, column = 2 * y - 1 + 2 * ky, 2 * x - 1 + 2 * kx
                if 0 <= row_ < height and 0 <= column < width:
                    used = bool(frames[step, channel, y, x])
                    found["dense"] += 1
                    found["synops"] += used
                    found["effective"] += used and bool(module.weight[channel, out, ky, kx] != 0)
    assert {name: 3 * row[name] for name in found} == pytest.approx(found)
    assert (found["effective"] < found["synops"]) == (levels is not None)
