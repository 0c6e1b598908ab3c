"""A training step: clipping in Adam's kernel, nothing read from the device, precision."""

import math
from collections import Counter
from functools import partial

import pytest
import torch
from conftest import fit, results, write_recordings
from spikingjelly.activation_based import neuron
from torch import nn
from torch.nn import functional as F
from torch.optim import SGD, Adam, RMSprop
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

import snnq
from snnq.networks.fused import Fused
from snnq.quantization import staircase
from snnq.quantization.base import LevelQuantizer
from snnq.quantization.layers import layers_of
from snnq.training import gradients as training_gradients
from snnq.training import graph
from snnq.training import loop as training
from snnq.training.gradients import gradients
from snnq.training.optimizer import FUSED_ADAM, GRADIENT_NORM, Optimizer
from snnq.training.precision import products_in, states_in_float32
from snnq.training.step import NotFinite, Step

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
@pytest.mark.parametrize(
    ("make", "plain"),
    [
        (FUSED_ADAM, Adam),
        (partial(SGD, momentum=0.9, fused=True), partial(SGD, momentum=0.9)),
        (partial(SGD, momentum=0.9), partial(SGD, momentum=0.9)),
        (RMSprop, RMSprop),
    ],
)
def test_clipping_in_a_kernel_or_before_it_is_torchs(make, plain, size):
    """Against torch's own clipping and optimizers, in float64."""
    torch.manual_seed(0)
    model = nn.Linear(30, 20)
    reference = nn.Linear(30, 20).double()
    reference.load_state_dict(model.state_dict())
    ours, theirs = Optimizer(model, 0.01, 8, make), plain(reference.parameters(), lr=0.01)
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
        torch.testing.assert_close(of.double(), to, rtol=1e-5, atol=1e-5)
    assert ours.descent.param_groups[0]["lr"] == pytest.approx(0, abs=1e-9)


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
    monkeypatch.setattr(Fused, "takes", lambda *_: False)
    monkeypatch.setattr(staircase, "_curve_for", lambda *_, **__: None)


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
    _, _, norms = gradients(model, frames, labels, parameters)
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
            hits, loss, _ = gradients(model, frames, labels, step.parameters)
        loss_sum += loss.item() * recordings
        correct += hits.item()
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
def test_a_failure_is_told_with_its_step_whenever_it_is_noticed(
    tiny, in_tmp, monkeypatch, log_steps
):
    settings = tiny | {"batch_size": 6, "augmentation": "none", "full_epochs": 0}
    calls = []

    def loss_of(rates, labels, *_):
        calls.append(labels)
        return loss_as_it_is(rates, labels) * (math.nan if len(calls) == 7 else 1)

    loss_as_it_is = training_gradients.loss_of
    monkeypatch.setattr(training_gradients, "loss_of", loss_of)
    monkeypatch.setitem(training.LOG_STEPS, "cpu", log_steps)
    with pytest.raises(FloatingPointError, match="epoch 2, step 2: loss=nan, .*layers.0.weight"):
        fit(settings, in_tmp / "run")
    kept = torch.load(in_tmp / "run" / "failure.pt", weights_only=True)
    assert torch.equal(kept["labels"], calls[6])
    steps = {int(of["step"]) for of in kept["optimizer"]["state"].values()}
    assert steps == {6}


class Replayed:
    """What SpikingJelly's `StaticCudaGraph` does, without a GPU: after three calls the inputs are
    copied to where the first were, and the outputs are written to where the first were."""

    def __init__(self, function):
        self.function, self.calls, self.sizes = function, 0, []

    def __call__(self, *inputs):
        self.calls += 1
        self.sizes.append(len(inputs[1]))
        outputs = self.function(*inputs)
        if self.calls < 4:
            return outputs
        if self.calls == 4:
            self.inputs, self.outputs = [one.clone() for one in inputs], outputs
        for to, of in zip(self.outputs, outputs):
            to.detach().copy_(of.detach())
        return self.outputs


@pytest.mark.parametrize("log_steps", [1, 20])
def test_a_step_from_a_graph_is_the_same(tiny, in_tmp, monkeypatch, log_steps):
    """36 recordings in batches of 8: the last one has another size."""
    graphs = []

    def made(function):
        graphs.append(Replayed(function))
        return graphs[-1]

    monkeypatch.setattr(graph, "StaticCudaGraph", made)
    monkeypatch.setitem(training.LOG_STEPS, "cpu", log_steps)
    settings = tiny | {"batch_size": 8, "levels": "ternary", "validation": 0.0, "epochs": 3}
    settings["full_epochs"] = 0
    settings["data"] = str(write_recordings(in_tmp / "odd", per_class=3))
    fit(settings, in_tmp / "eager")
    fit(settings | {"cuda_graph": True}, in_tmp / "on the cpu")
    assert not graphs
    monkeypatch.setattr(training, "Step", partial(always_graphed, 8))
    fit(settings, in_tmp / "graphed")
    assert set(graphs[0].sizes) == {8} and len(graphs[0].sizes) == 9
    assert results(in_tmp / "graphed") == results(in_tmp / "eager")
    assert results(in_tmp / "on the cpu")[:3] == results(in_tmp / "eager")[:3]


def always_graphed(size, model, optimizer, precision, *_):
    return Step(model, optimizer, precision, size)


def test_a_network_that_a_graph_cannot_hold_is_refused():
    model = network()
    next(m for m in model.modules() if isinstance(m, neuron.ParametricLIFNode)).store_v_seq = True
    with pytest.raises(ValueError, match="store_v_seq"):
        Step(model, Optimizer(model, 1e-3, 10), graph_of=4)


def test_bfloat16_is_for_layers_and_nothing_else():
    """Weights' gradients point where float32's do; states, batch norm and quantizers see float32 alone."""
    model = network("sigmoid")
    for layer in layers_of(model).values():  # so that every layer spikes
        layer.register_forward_hook(lambda _, __, output: output + 2)
    step = Step(model, Optimizer(model, 1e-3, 10))
    frames, labels = batch(8)
    found, inputs = {}, {}
    for precision in ("float32", "bf16"):
        layers = layers_of(model).values() if precision == "bf16" else []
        if precision == "bf16":
            for name, module in model.named_modules():
                if not list(module.children()) or isinstance(module, LevelQuantizer):
                    module.register_forward_pre_hook(partial(keep_type, inputs, name))
        torch.manual_seed(1)
        with Products() as products, states_in_float32(layers):
            gradients(model, frames, labels, step.parameters, precision)
        found[precision] = {n: p.grad.clone() for n, p in model.named_parameters() if p.requires_grad}
        expected = torch.float32 if precision == "float32" else torch.bfloat16
        assert products.types == {expected}
    assert set(inputs.values()) == {torch.float32} and len(inputs) > 10
    for name, gradient in found["float32"].items():
        assert gradient.any() and found["bf16"][name].dtype == torch.float32
        if gradient.numel() == 1:  # whose sign hangs on a few weights
            continue
        near = F.cosine_similarity(gradient.flatten(), found["bf16"][name].flatten(), dim=0)
        assert near > 0.8, name


def keep_type(inputs, name, _, given):
    inputs[name] = given[0].dtype


class Products(TorchDispatchMode):
    """The types that convolutions and linear layers, and their gradients, are computed in."""

    def __init__(self):
        super().__init__()
        self.types = set()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        name = function.overloadpacket._qualified_op_name
        if name in ("aten::convolution", "aten::convolution_backward", "aten::mm", "aten::addmm"):
            self.types |= {one.dtype for one in args[:2]}
        return function(*args, **(kwargs or {}))


def test_a_run_in_bfloat16_learns_and_its_record_says_so(tiny, in_tmp):
    settings = tiny | {"levels": "full", "epochs": 8, "channels": 8, "batch_size": 4}
    settings |= {"learning_rate": 5e-3, "augmentation": "none", "precision": "bf16"}
    history = fit(settings, in_tmp / "run")
    assert history["loss"].iloc[-1] < 0.8 * history["loss"].iloc[0]
    assert snnq.read_record(in_tmp / "run")["run"]["precision"] == "bf16"


@pytest.mark.parametrize(("precision", "inside"), [("float32", "ieee"), ("tf32", "tf32")])
def test_tf32_is_allowed_or_forbidden_and_then_as_it_was(precision, inside):
    parts = torch.backends.cuda.matmul, torch.backends.cudnn.conv
    before = [part.fp32_precision for part in parts]
    with products_in(precision):
        assert [part.fp32_precision for part in parts] == [inside, inside]
    assert [part.fp32_precision for part in parts] == before
