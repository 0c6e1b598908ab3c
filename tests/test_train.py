"""`snnq.train`: a network of one's own on data of one's own, to the bit, or refused by name."""

import json
import math
import re
import subprocess
import sys
from contextlib import nullcontext
from dataclasses import asdict, fields, replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import Killed, at_call, kill, results
from safetensors.torch import load_file
from spikingjelly.activation_based import surrogate
from spikingjelly.activation_based.neuron import LIFNode
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import nn
from torch.nn import functional as F
from torch.optim import SGD, RMSprop
from torch.utils.data import IterableDataset, TensorDataset

import snnq
from snnq.training import gradients as training_gradients
from snnq.training import loop, outcome
from snnq.training.identity import differences, identity_of_network
from snnq.training.optimizer import GRADIENT_NORM
from snnq.training.random_state import mixed_seed
from snnq.training.splits import splits_of

# Whether a network of one's own can be packed is another matter.
pytestmark = pytest.mark.filterwarnings("ignore:not packed")
CLASSES, STEPS, SHAPE = 3, 4, (1, 3, 4)
SETTINGS = snnq.Settings(epochs=2, batch_size=8, learning_rate=2e-2, device="cpu", soft_every=1)
MOMENTUM = partial(SGD, momentum=0.9)


class Leaky(nn.Module):
    """A neuron that keeps its membrane potential until somebody resets it."""

    def __init__(self):
        super().__init__()
        self.spike, self.mem = surrogate.ATan(), None

    def reset_mem(self):
        self.mem = None

    def forward(self, current):
        self.mem = current if self.mem is None else 0.5 * self.mem + current
        spikes = self.spike(self.mem - 1)
        self.mem = self.mem - spikes.detach()
        return spikes


class Own(nn.Module):
    """It loops over time steps, returns the outputs of each, and resets nothing."""

    def __init__(self, hidden=16, classes=CLASSES, seed=0, dropout=0.2):
        super().__init__()
        torch.manual_seed(seed)
        self.first, self.second = nn.Linear(math.prod(SHAPE), hidden), nn.Linear(hidden, hidden)
        self.last, self.unused = nn.Linear(hidden, classes), nn.Linear(2, 2)
        self.dropout, self.neurons = nn.Dropout(dropout), nn.ModuleList([Leaky(), Leaky()])
        self.first.bias.requires_grad_(False)

    def forward(self, frames):
        first, second = self.neurons
        outputs = []
        for frame in frames:
            spikes = self.dropout(first(self.first(frame.flatten(1))))
            outputs.append(self.last(second(self.second(spikes))))
        return torch.stack(outputs)


def samples(count, seed=0, dtype=torch.int16):
    """Counts, more of them in the row of the class."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(CLASSES, (count,), generator=generator)
    frames = torch.randint(0, 3, (count, STEPS, *SHAPE), generator=generator)
    frames[torch.arange(count), :, :, labels] += 2
    return TensorDataset(frames.to(dtype), labels)


SPLITS = samples(44), samples(12, 1), samples(20, 2)


def quantized(**options):
    return snnq.quantize(Own(**options), "2bit", keep=("first", "unused"))


def train(model, folder, *splits, settings=SETTINGS, **options):
    return snnq.train(model, *(splits or SPLITS), settings, folder, progress=False, **options)


def test_it_is_a_plain_loop_of_torch(tmp_path):
    """Written out: SGD on clipped gradients and the cross-entropy, along a cosine."""
    model, reference = Own(dropout=0.0), Own(dropout=0.0)
    settings = replace(SETTINGS, epochs=3, learning_rate=0.1)
    history = train(model, tmp_path, settings=settings, loss=F.cross_entropy, optimizer=MOMENTUM)
    optimizer = SGD(reference.parameters(), lr=0.1, momentum=0.9)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 3 * 6)
    losses, (frames, labels) = [], SPLITS[0].tensors
    for epoch in range(3):
        torch.manual_seed(mixed_seed(0, epoch + 1, 0))
        total = 0.0
        for some in torch.randperm(len(labels)).split(8):
            for neuron in reference.neurons:
                neuron.reset_mem()
            outputs = reference(frames[some].transpose(0, 1).float()).mean(0)
            loss = F.cross_entropy(outputs, labels[some])
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(reference.parameters(), GRADIENT_NORM)
            optimizer.step()
            schedule.step()
            total += loss.item() * len(some)
        losses.append(total / len(labels))
    assert losses[-1] < 0.9 * losses[0]  # or nothing was learned
    assert history["loss"].tolist() == pytest.approx(losses, rel=1e-5)
    for name, parameter in reference.named_parameters():
        torch.testing.assert_close(model.get_parameter(name), parameter, rtol=1e-4, atol=1e-6)


def test_what_it_leaves(tmp_path):
    model, (_, validation, test) = quantized(), SPLITS
    history = train(model, tmp_path)
    pd.testing.assert_frame_equal(snnq.read_history(tmp_path), history)
    assert history["epoch"].tolist() == [1, 2] and history["temperature"].tolist() == [4, 4]
    weights = load_file(tmp_path / "weights.safetensors")
    assert all(torch.equal(value, weights[name]) for name, value in model.state_dict().items())
    assert not model.training and all(neuron.mem is None for neuron in model.neurons)
    kept = load_file(tmp_path / "predictions.safetensors")
    with torch.no_grad():
        found = model(test.tensors[0].transpose(0, 1).float()).mean(0).argmax(1)
    assert torch.equal(kept["hard"].long(), found)
    assert torch.equal(kept["label"].long(), test.tensors[1])
    accuracy = (found == test.tensors[1]).float().mean().item()
    assert history["test_accuracy"].iloc[-1] == pytest.approx(accuracy)
    assert history["validation_accuracy"].iloc[-1] == pytest.approx(
        snnq.evaluate(model, validation)[0]
    )
    record = json.loads((tmp_path / "run.json").read_text())
    assert record["recordings"] == {"train": 44, "validation": 12, "test": 20}
    assert record["accuracy"]["last"] == history["test_accuracy"].iloc[-1]
    assert record["identity"]["second.quantizer"] == "SigmoidQuantizer()"
    assert set(pd.read_csv(tmp_path / "histograms.csv")["layer"]) == {"second", "last"}
    assert snnq.quantizers(model)["second"].hardened.all()  # the sigmoids harden by default
    assert not list(tmp_path.glob("checkpoint*"))
    with pytest.raises(ValueError, match="a network of one's own: load its weights.safetensors"):
        snnq.trained_network(tmp_path)
    with pytest.raises(FileNotFoundError, match="no finished run here"):  # none that is a `Run`
        snnq.read_runs(tmp_path.parent)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """What two trainings leave, by their options' names."""
    left = {}
    for name, options in OPTIONS.items():
        folder = tmp_path_factory.mktemp(name)
        train(quantized(), folder, **options)
        left[name] = results(folder)
    return left


def noise(frames):
    return frames + torch.rand_like(frames)


OPTIONS = {
    "default": {},
    "other": {"loss": nn.CrossEntropyLoss(), "optimizer": MOMENTUM, "augmentation": noise},
}


@pytest.mark.parametrize(
    ("name", "place", "function", "call"),
    [
        ("default", training_gradients, "rates_of", 9),
        ("other", training_gradients, "rates_of", 3),
        ("other", outcome, "predict", 3),
        ("default", outcome, "write_record", 1),
    ],
)
def test_killed_anywhere_it_ends_as_if_it_had_not_been(
    undisturbed, tmp_path, monkeypatch, name, place, function, call
):
    with monkeypatch.context() as patch:
        patch.setattr(loop, "CHECKPOINT_SECONDS", 0)
        patch.setattr(place, function, at_call(call, kill, getattr(place, function)))
        with pytest.raises(Killed):
            train(quantized(), tmp_path, **OPTIONS[name])
    torch.manual_seed(123)  # whatever state the new process has
    train(quantized(seed=5), tmp_path, **OPTIONS[name])  # its weights are those of the checkpoint
    assert results(tmp_path) == undisturbed[name]


def test_a_finished_one_returns_at_once_with_its_weights(tmp_path):
    first, again = quantized(), quantized(seed=5)
    history = train(first, tmp_path)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    pd.testing.assert_frame_equal(train(again, tmp_path), history)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == before
    assert all(torch.equal(v, first.state_dict()[n]) for n, v in again.state_dict().items())
    assert not again.training


@pytest.mark.parametrize("done", [True, False])
def test_another_one_is_refused_with_what_differs(tmp_path, monkeypatch, done):
    if done:
        train(quantized(), tmp_path)
    else:
        with monkeypatch.context() as patch, pytest.raises(Killed):
            patch.setattr(outcome, "write_record", at_call(1, kill, outcome.write_record))
            train(quantized(), tmp_path)
    binary = snnq.quantize(Own(), "binary", keep=("first", "unused"))
    other_epochs = replace(SETTINGS, epochs=4)
    other_momentum = partial(SGD, momentum=0.5)
    for model, splits, options, message in (
        (quantized(), SPLITS, {"settings": other_epochs}, "epochs is 2 there and 4 here"),
        (quantized(hidden=17), SPLITS, {}, r"first.weight.shape is \[16, 12\] there and \[17, 12\]"),
        (Own(), SPLITS, {}, r"second.levels is \[-3.0, .* there and None here"),
        (binary, SPLITS, {}, r"last.levels is .* there and \[-1.0, 1.0\] here"),
        (quantized(), [samples(45), *SPLITS[1:]], {}, "train samples is 44 there and 45 here"),
        (quantized(), [*SPLITS[:2], None], {}, "test samples is 20 there and 0 here"),
        (quantized(), SPLITS, {"loss": nn.CrossEntropyLoss()}, "loss is 'loss_of' .* 'CrossEntropyL"),
        (quantized(), SPLITS, {"optimizer": other_momentum}, r"'Adam\(.*and 'SGD\(momentum=0.5\)'"),
        (quantized(), SPLITS, {"augmentation": "roll"}, "augmentation is None there and 'roll' here"),
    ):
        with pytest.raises(ValueError, match=f"holds another .*{message}"):
            train(model, tmp_path, *splits, **options)
    settings = replace(SETTINGS, epochs=1)
    assert len(train(quantized(), tmp_path, settings=settings, restart=True)) == 1


@pytest.mark.parametrize("validation", [0.0, 0.2])
def test_fit_is_train_on_what_a_run_names(tiny, in_tmp, validation):
    """To the bit."""
    run = snnq.Run(**tiny, full_epochs=0, batch_size=8, validation=validation)
    snnq.fit(run, "fit", progress=False)
    settings = snnq.Settings(**{f.name: getattr(run, f.name) for f in fields(snnq.Settings)})
    train, held_out, test, _ = splits_of(run)
    snnq.train(
        snnq.initial_network(run), train, held_out if validation else None, test, settings, "train",
        augmentation=run.augmentation, progress=False,
    )  # fmt: skip
    assert results(in_tmp / "train") == results(in_tmp / "fit")
    histograms = [in_tmp / name / "histograms.csv" for name in ("train", "fit")]
    assert histograms[0].read_bytes() == histograms[1].read_bytes()
    with pytest.raises(ValueError, match="fit: holds another .*benchmark is 'nmnist' there and None"):
        snnq.train(snnq.initial_network(run), train, None, test, settings, "fit", progress=False)


def test_without_validation_and_test_there_are_no_accuracies_of_them(tmp_path):
    model = quantized()
    history = train(model, tmp_path, SPLITS[0], None, None)
    assert not model.training and all(neuron.mem is None for neuron in model.neurons)
    names = ["validation_accuracy", "test_accuracy", "test_accuracy_soft"]
    assert history[names].isna().all(axis=None) and history["train_accuracy"].notna().all()
    assert set(snnq.read_record(tmp_path)["accuracy"].values()) == {None}
    assert not (tmp_path / "predictions.safetensors").exists()


@pytest.mark.parametrize("kind", [torch.uint8, torch.float64, np.uint16, bool])
def test_frames_of_any_type_of_number(tmp_path, kind):
    """As what they are in float32."""
    frames, labels = (tensor.numpy() for tensor in SPLITS[0].tensors)
    frames = (frames > 1) if kind is bool else frames
    of = partial(np.asarray, dtype=kind) if kind in (np.uint16, bool) else partial(torch.tensor, dtype=kind)
    data = {"given": of(frames), "float32": torch.tensor(frames, dtype=torch.float32)}
    settings = replace(SETTINGS, epochs=1)
    for name, found in data.items():
        pairs = list(zip(found, labels.tolist()))
        train(Own(), tmp_path / name, pairs, None, pairs[:9], settings=settings)
    assert results(tmp_path / "given")[:3] == results(tmp_path / "float32")[:3]


def test_an_augmentation_of_ones_own_changes_batches(tmp_path):
    frames, labels = SPLITS[0].tensors
    double = TensorDataset(2 * frames, labels)
    model, expected = Own(), Own()
    train(model, tmp_path / "a", SPLITS[0], None, None, augmentation=lambda frames: 2 * frames)
    train(expected, tmp_path / "b", double, None, None)
    for name, value in expected.state_dict().items():
        assert torch.equal(model.state_dict()[name], value)


class Endless(IterableDataset):
    def __iter__(self):
        yield from SPLITS[0]


class Drawn(list):
    """Samples that are drawn when they are asked for."""

    def __getitem__(self, _):
        return torch.rand(FRAMES.shape), 3


class Elsewhere(Own):
    def forward(self, frames):
        return super().forward(frames), None


EVENTS = np.zeros(9, [("t", int), ("x", int), ("y", int), ("p", bool)])
FRAMES = torch.zeros(STEPS, *SHAPE)


@pytest.mark.parametrize(
    ("model", "data", "options", "message"),
    [
        (Own, [(EVENTS, 0)], {}, "train.0.: events, an array of t, x, y, p: expected frames,.*ToFrame"),
        (Own, Endless(), {}, "train is a Endless: expected a data set with a length"),
        (Own, [], {}, "train: holds no sample"),
        (Own, None, {}, "train is a NoneType: expected a data set"),
        (Own, [(FRAMES, "car")], {}, "train.0.: the label is 'car': expected the number of a class"),
        (Own, [(FRAMES, torch.tensor([1]))], {}, "the label is tensor.*: expected the number of a class"),
        (Own, [(FRAMES, 3)], {}, "output is .1, 3. and the label 3: expected .* below the number"),
        (Own, Drawn([0]), {}, "output is .1, 3. and the label 3"),
        (Own, [(FRAMES, 0, 1)], {}, r"train.0. is a tuple: expected .frames \[N_t, ...\], class"),
        (Own, [("text", 0)], {}, "train.0.: frames are a str"),
        (Elsewhere, SPLITS[0], {}, "the network's output is a tuple: expected a tensor .N, classes"),
        (nn.Flatten, SPLITS[0], {}, "model: Flatten has no parameter that requires a gradient"),
        (dict, SPLITS[0], {}, "model is a dict: expected a torch.nn.Module"),
        (Own, SPLITS[0], {"augmentation": "mixup"}, "augmentation='mixup': expected one of none, roll"),
        (partial(nn.Linear, 5, 3), [(torch.zeros(STEPS, 5), 0)], {"augmentation": "roll"},
         r"augmentation='roll': expected frames \[N_t, ..., H, W\], train.0. has the shape \[4, 5\]"),
    ],
)  # fmt: skip
def test_what_cannot_be_trained_is_refused_before_anything_is_written(
    tmp_path, model, data, options, message
):
    model = model()
    before = torch.get_rng_state()
    with pytest.raises(ValueError, match=message):
        train(model, tmp_path / "run", data, None, None, **options)
    assert not (tmp_path / "run").exists() and torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("optimizer", [MOMENTUM, RMSprop])
def test_the_weights_wait_where_a_loss_is_not_finite(tmp_path, monkeypatch, optimizer):
    model, calls, before = quantized(), [], []

    def loss(outputs, labels):
        calls.append(labels)
        before.append({name: p.detach().clone() for name, p in model.named_parameters()})
        return F.cross_entropy(outputs, labels) * (math.nan if len(calls) == 7 else 1)

    with pytest.raises(FloatingPointError, match="epoch 2, step 1: loss=nan, .*last.bias"):
        train(model, tmp_path, loss=loss, optimizer=optimizer)
    assert all(torch.equal(p, before[-1][name]) for name, p in model.named_parameters())
    kept = torch.load(tmp_path / "failure.pt", weights_only=True)
    assert torch.equal(kept["labels"], calls[-1])


def test_what_cannot_be_packed_is_trained_all_the_same(tmp_path, monkeypatch):
    def refuse(*_):
        raise ValueError("net.safetensors: too wide")

    monkeypatch.setattr(outcome, "pack", refuse)
    with pytest.warns(UserWarning, match="not packed: net.safetensors: too wide"):
        train(quantized(), tmp_path)
    assert snnq.read_record(tmp_path)["accuracy"]["last"] is not None


def test_weights_that_are_shared_are_kept(tmp_path):
    def tied():
        model = Own()
        model.unused.weight = model.second.weight
        return model

    first, again = tied(), tied()
    train(first, tmp_path)
    train(again, tmp_path)
    assert torch.equal(first.unused.weight, again.second.weight)


def events_in(folder):
    """By name, the (step, value) pairs that TensorBoard reads."""
    found = EventAccumulator(str(folder)).Reload()
    names = found.Tags()["scalars"]
    return {name: [(event.step, event.value) for event in found.Scalars(name)] for name in names}


def test_callbacks_get_each_row_and_tensorboard_shows_them(tmp_path, monkeypatch):
    """Also of a training that was killed after its second row was written."""
    rows = []
    callbacks = [lambda row, folder: rows.append((row, folder))]
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(loop.Training, "save", at_call(2, kill, loop.Training.save))
        train(quantized(), tmp_path, callbacks=[*callbacks, snnq.TensorBoard()])
    history = train(quantized(), tmp_path, callbacks=[*callbacks, snnq.TensorBoard()])
    assert {folder for _, folder in rows} == {tmp_path}
    assert [row["epoch"] for row, _ in rows] == [1, 2, 2]
    expected = history.to_dict("records")
    for row, _ in rows:
        same = expected[row["epoch"] - 1]
        assert {n: v for n, v in row.items() if n != "seconds"} == pytest.approx(
            {n: v for n, v in same.items() if n != "seconds"}
        )
    shown = events_in(tmp_path)
    assert set(shown) == set(history.columns) - {"epoch"}
    for name in ("loss", "test_accuracy", "temperature"):
        assert [step for step, _ in shown[name]] == [1, 2]
        assert [value for _, value in shown[name]] == pytest.approx(history[name].tolist())


def test_a_run_that_is_logged_is_the_same_run(tiny, in_tmp, monkeypatch):
    plain, logged = snnq.Run(**tiny), snnq.Run(**tiny, log="tensorboard")
    assert (logged, logged.name, asdict(logged)) == (plain, plain.name, asdict(plain))
    snnq.fit(logged, "run", progress=False)
    assert [step for step, _ in events_in("run")["loss"]] == [2]
    assert [step for step, _ in events_in("run/full")["loss"]] == [1]
    assert len(snnq.fit(plain, "run", progress=False)) == 2  # finished
    assert snnq.Run.of(vars(logged)).log == "tensorboard"
    with pytest.raises(ValueError, match="log='wandb': expected tensorboard, or none"):
        snnq.Run(log="wandb")
    monkeypatch.setitem(__import__("sys").modules, "torch.utils.tensorboard", None)
    with pytest.raises(ValueError, match="tensorboard is not installed, .*snnq.log."):
        snnq.fit(logged, "other", progress=False)
    assert not (in_tmp / "other").exists()


def test_a_network_that_is_trained_again_hardens_anew(tmp_path):
    model = quantized()
    train(model, tmp_path / "first")
    hard = [quantizer.hardened for quantizer in snnq.quantizers(model).values()]
    assert all(mask.all() for mask in hard)
    train(model, tmp_path / "soft", settings=replace(SETTINGS, harden=()))
    assert all(quantizer.hardened is None for quantizer in snnq.quantizers(model).values())


def scaled(outputs, labels, base, scale=1.0):
    return scale * base(outputs, labels)


def closing_over(value):
    return lambda outputs, labels: value * F.cross_entropy(outputs, labels)


class Scaled:
    def __init__(self, scale):
        self.scale = scale

    def __call__(self, outputs, labels):
        return self.scale * F.cross_entropy(outputs, labels)


SCALE = 3.0


def one_way(outputs, labels, depth):
    return other_way(outputs, labels, depth - 1) if depth else outputs.sum()


def other_way(outputs, labels, depth):
    return one_way(outputs, labels, depth - 1) if depth else outputs.mean()


LOSSES = [
    lambda outputs, labels: F.cross_entropy(outputs, labels),
    lambda outputs, labels: F.multi_margin_loss(outputs, labels),
    lambda outputs, labels: 2 * F.cross_entropy(outputs, labels),
    closing_over(1.0),
    closing_over(torch.tensor(1.5)),
    nn.CrossEntropyLoss(),
    nn.CrossEntropyLoss(label_smoothing=0.5),
    nn.CrossEntropyLoss(weight=torch.tensor([1.0, 2, 3])),
    nn.CrossEntropyLoss(weight=torch.tensor([1.0, 2, 4])),
    Scaled(1.0),
    Scaled(2.0),
    partial(scaled, base=F.cross_entropy),
    partial(scaled, base=F.multi_margin_loss),
    partial(scaled, base=nn.CrossEntropyLoss(label_smoothing=0.5)),
    partial(scaled, base=F.cross_entropy, scale=2.0),
    torch.no_grad()(closing_over(1.0)),  # a function of torch around one that is not
    torch.no_grad()(closing_over(2.0)),
    lambda outputs, labels: SCALE * F.cross_entropy(outputs, labels),
    lambda outputs, labels: one_way(outputs, labels, 1),
]


def identities():
    """Of trainings that differ in their loss alone."""
    return [identity_of_network(Own(), SETTINGS, {}, loss=loss) for loss in LOSSES]


def test_losses_that_differ_are_told_apart_in_every_process(monkeypatch):
    found = identities()
    for number, there in enumerate(found):
        for other, here in enumerate(found):
            assert bool(differences(there, here)) == (number != other), (there, here)
    program = "import json, test_train; print(json.dumps(test_train.identities()))"
    monkeypatch.setenv("PYTHONHASHSEED", "5")
    run = [sys.executable, "-c", program]
    said = subprocess.run(run, cwd=Path(__file__).parent, capture_output=True, check=True).stdout
    assert json.loads(said) == found


@pytest.mark.parametrize("losses", [LOSSES[:2], LOSSES[5:7]])
def test_a_finished_one_with_another_loss_is_refused(tmp_path, losses):
    train(Own(), tmp_path, loss=losses[0])
    with pytest.raises(ValueError, match="holds another run .loss settings is "):
        train(Own(), tmp_path, loss=losses[1])


def test_a_function_counts_with_what_it_uses(monkeypatch):
    """Numbers and functions of its module; of a list that it writes into the class alone."""
    before = identities()
    changes = {"SCALE": 4.0, "other_way": lambda outputs, labels, depth: 2 * outputs.mean()}
    for number, (name, value) in enumerate(changes.items(), len(LOSSES) - 2):
        with monkeypatch.context() as patch:
            patch.setattr(sys.modules[__name__], name, value)
            changed = [i for i, found in enumerate(identities()) if found != before[i]]
        assert changed == [number]
    assert identities() == before


def test_networks_of_other_settings_are_told_apart():
    def net(tau=2.0, alpha=2.0, dropout=0.5):
        spike = surrogate.ATan(alpha=alpha)
        neuron = LIFNode(tau, surrogate_function=spike)
        return nn.Sequential(nn.Linear(2, 2), neuron, nn.Dropout(dropout))

    def identity(model):
        return identity_of_network(model, SETTINGS, {})

    (different,) = differences(identity(net()), identity(net(tau=50.0)))
    assert re.match("1.settings is .LIFNode.*tau=2.0.* there and .*tau=50.0.* here", different)
    assert differences(identity(net()), identity(net(alpha=3.0)))
    assert differences(identity(net()), identity(net(dropout=0.1)))
    assert not differences(identity(net()), identity(snnq.fuse(net())))


def test_a_training_leaves_its_identity_as_it_was(tmp_path):
    """So that it can be called again with the same objects, the loss one that keeps a list."""
    model, seen = quantized(), []

    def loss(outputs, labels):
        seen.append(len(labels))
        return F.cross_entropy(outputs, labels)

    history = train(model, tmp_path, loss=loss)
    pd.testing.assert_frame_equal(train(model, tmp_path, loss=loss), history)


def test_a_training_of_before_settings_were_compared_is_the_same(tmp_path):
    options = OPTIONS["other"]
    history = train(quantized(), tmp_path, **options)
    path = tmp_path / "run.json"
    record = json.loads(path.read_text())
    new = {n for n in record["identity"] if n.endswith("settings")}
    assert len(new) > 9 and record["identity"]["loss"] == "CrossEntropyLoss"
    record["identity"] = {n: v for n, v in record["identity"].items() if n not in new}
    path.write_text(json.dumps(record))
    pd.testing.assert_frame_equal(train(quantized(), tmp_path, **options), history)


@pytest.mark.parametrize("restart", [False, True])
def test_one_that_failed_in_its_first_epoch_begins_anew(tmp_path, restart):
    """With the weights that the model had, where there is no checkpoint yet."""

    def fail(_row, _folder):
        raise OSError("no space left")

    model = quantized()
    if restart:  # in the place of another one, which has a checkpoint
        with pytest.raises(OSError, match="no space"):
            train(quantized(), tmp_path, settings=replace(SETTINGS, epochs=3),
                  callbacks=[lambda row, folder: row["epoch"] == 2 and fail(row, folder)])  # fmt: skip
    with pytest.raises(OSError, match="no space"):
        train(model, tmp_path, restart=restart, callbacks=[fail])
    train(model, tmp_path, restart=restart)
    train(quantized(), tmp_path / "undisturbed")
    assert results(tmp_path)[:3] == results(tmp_path / "undisturbed")[:3]


@pytest.mark.parametrize("failing", [False, True])
def test_bfloat16_leaves_no_hooks(tmp_path, failing):
    def loss(outputs, labels):
        return F.cross_entropy(outputs, labels) * (math.nan if failing else 1)

    model = quantized()
    raises = pytest.raises(FloatingPointError) if failing else nullcontext()
    with raises:
        train(model, tmp_path, settings=replace(SETTINGS, precision="bf16"), loss=loss)
    assert not any(module._forward_hooks for module in model.modules())


@pytest.mark.parametrize(
    ("loss", "found"),
    [
        (nn.CrossEntropyLoss(reduction="none"), r"of shape \[8\]"),
        (lambda outputs, labels: 0.5, "a float"),
    ],
)
def test_a_loss_is_one_number(tmp_path, loss, found):
    with pytest.raises(ValueError, match=f"the loss is {found}: expected one number"):
        train(quantized(), tmp_path, loss=loss)


@pytest.mark.parametrize("kind", [torch.int32, torch.uint8])
def test_labels_of_any_whole_numbers(tmp_path, kind):
    frames, labels = SPLITS[0].tensors
    for name, some in {"given": labels.to(kind), "int64": labels}.items():
        data = TensorDataset(frames, some)
        train(Own(), tmp_path / name, data, None, data, loss=nn.CrossEntropyLoss())
    assert results(tmp_path / "given")[:3] == results(tmp_path / "int64")[:3]
