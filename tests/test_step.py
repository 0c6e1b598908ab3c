"""A training step: clipping in Adam's kernel, nothing read from the device, precision."""

import math
from collections import Counter

import pytest
import torch
from conftest import fit, results
from torch import nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

import snnq
from snnq.networks.plif import PLIFNode
from snnq.quantization import staircase
from snnq.training import loop as training
from snnq.training import step as training_step
from snnq.training.optimizer import GRADIENT_NORM, Optimizer
from snnq.training.precision import products_in
from snnq.training.step import NotFinite, Step, gradients

QUANTIZED = [None, *snnq.QUANTIZERS]


def network(quantizer: str | None = None, neuron: str = "plif") -> nn.Module:
    torch.manual_seed(0)
    model = snnq.build_model("nmnist", neuron, channels=2).train()
    if quantizer:
        levels = "ternary" if quantizer in ("twn", "ttq") else "binary"
        snnq.quantize(model, levels, quantizer=snnq.QUANTIZERS[quantizer])
    return model


def batch(recordings: int = 4, device: str = "cpu") -> tuple[torch.Tensor, torch.Tensor]:
    frames = torch.rand(2, recordings, 2, 34, 34, device=device)
    return 3 * frames, torch.arange(recordings, device=device)


@pytest.mark.parametrize("size", [0.1, 30.0])
def test_clipping_in_adams_kernel_is_clipping_before_it(size):
    """Against torch's own clipping and Adam, in float64."""
    torch.manual_seed(0)
    model = nn.Linear(30, 20)
    reference = nn.Linear(30, 20).double()
    reference.load_state_dict(model.state_dict())
    ours, theirs = Optimizer(model, 0.01, 8), torch.optim.Adam(reference.parameters(), 0.01)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(theirs, 8)
    for _ in range(8):
        for of, to in zip(model.parameters(), reference.parameters()):
            of.grad = size * torch.randn_like(of)
            to.grad = of.grad.double()
        before = nn.utils.get_total_norm([p.grad for p in model.parameters()])
        assert (before > GRADIENT_NORM) == (size > 1)
        ours.step(torch.tensor(1.0), torch.stack([p.grad.norm() for p in model.parameters()]))
        nn.utils.clip_grad_norm_(reference.parameters(), GRADIENT_NORM)
        theirs.step()
        schedule.step()
    for of, to in zip(model.parameters(), reference.parameters()):
        torch.testing.assert_close(of.double(), to, rtol=1e-5, atol=1e-6)
    assert ours.adam.param_groups[0]["lr"] == pytest.approx(0, abs=1e-9)


READS = ("item", "tolist", "numpy", "cpu", "__bool__", "__int__", "__float__", "__index__")


class Reads(TorchDispatchMode):
    """Counts what has a GPU wait, so that the CPU gets a number or a shape; and, since a CPU's
    `tolist` is no operation, the calls that ask for one in Python."""

    WAITING = ("_local_scalar_dense", "nonzero", "masked_select", "_to_cpu", "equal")

    def __init__(self):
        super().__init__()
        self.found = Counter()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        name = function.overloadpacket._qualified_op_name.removeprefix("aten::")
        self.found[name] += name in self.WAITING
        return function(*args, **(kwargs or {}))


class Calls(TorchFunctionMode):
    def __init__(self):
        super().__init__()
        self.found = Counter()

    def __torch_function__(self, function, types, args=(), kwargs=None):
        self.found[function.__name__] += function.__name__ in READS
        return function(*args, **(kwargs or {}))


@pytest.fixture
def as_on_a_gpu(monkeypatch):
    """The operations that a GPU would do, on the CPU: its own kernels read each layer's scales."""
    monkeypatch.setattr(PLIFNode, "_can_fuse", lambda *_: False)
    monkeypatch.setattr(staircase, "_table_for", lambda *_, **__: None)


@pytest.mark.usefixtures("as_on_a_gpu")
@pytest.mark.parametrize("quantizer", QUANTIZED)
def test_a_step_reads_nothing(quantizer):
    model = network(quantizer)
    step = Step(model, Optimizer(model, 1e-3, 10))
    step(*batch())  # the first makes Adam's state
    with Reads() as reads, Calls() as calls:
        for _ in range(3):
            step(*batch())
        assert reads.found.total() == calls.found.total() == 0
        step.read()
        assert calls.found.total() == 1
        step.sums[0].item()
        assert reads.found["_local_scalar_dense"] == 1


@pytest.mark.parametrize("quantizer", QUANTIZED)
def test_gradients_are_found_on_a_device_that_cannot_be_read(quantizer):
    """A meta tensor has no numbers: whatever needs one on the CPU, or a copy there, raises."""
    model = network(quantizer).to("meta")
    parameters = list(model.parameters())
    frames, labels = batch(device="meta")
    *found, norms = gradients(model, frames, labels, parameters)
    assert norms.shape == (len(parameters),)
    with pytest.raises(RuntimeError, match="cannot be called on meta tensors"):
        norms.max().item()


def test_sums_are_those_of_each_step():
    model = network()
    step = Step(model, Optimizer(model, 1e-3, 10))
    step.start(loss_sum=2.5, correct=7)
    loss_sum, correct = 2.5, 7
    for recordings in (4, 4, 3):
        frames, labels = batch(recordings)
        state = torch.get_rng_state()
        with torch.random.fork_rng(devices=[]):
            rates, loss, _ = gradients(model, frames, labels, step.parameters)
        loss_sum += loss.item() * recordings
        correct += (rates.argmax(1) == labels).sum().item()
        torch.set_rng_state(state)  # for the same dropout
        step(frames, labels)
        if recordings == 4:
            step.read()
    assert step.read() == (loss_sum, correct)


def test_the_weights_wait_from_the_first_step_that_is_not_finite():
    model = network()
    step = Step(model, Optimizer(model, 1e-3, 10))
    batches = [batch() for _ in range(5)]
    batches[2] = (batches[2][0] * math.nan, batches[2][1])
    for number, one in enumerate(batches):
        if number == 2:
            before = {name: p.detach().clone() for name, p in model.named_parameters()}
        step(*one)
    with pytest.raises(NotFinite) as raised:
        step.read()
    assert raised.value.taken.frames is batches[2][0] and raised.value.ago == 2
    assert all(torch.equal(p, before[name]) for name, p in model.named_parameters())


@pytest.mark.parametrize("log_steps", [1, 3, 20])
def test_a_failure_is_told_with_its_step_whenever_it_is_noticed(tiny, in_tmp, monkeypatch, log_steps):
    settings = tiny | {"batch_size": 6, "augmentation": "none"}
    calls = []

    def loss_of(rates, labels):
        calls.append(labels)
        return training_step_loss(rates, labels) * (math.nan if len(calls) == 7 else 1)

    training_step_loss = training_step.loss_of
    monkeypatch.setattr(training_step, "loss_of", loss_of)
    monkeypatch.setitem(training.LOG_STEPS, "cpu", log_steps)
    with pytest.raises(FloatingPointError, match="epoch 2, step 2: loss=nan, .*layers.0.weight"):
        fit(settings, in_tmp / "run")
    kept = torch.load(in_tmp / "run" / "failure.pt", weights_only=True)
    assert torch.equal(kept["labels"], calls[6])
    steps = {int(of["step"]) for of in kept["optimizer"]["state"].values()}
    assert steps == {6}
