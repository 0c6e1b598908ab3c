"""On a GPU, what is elsewhere proven without one: `make test-gpu`, where there is one."""

import copy
import os
import subprocess
import sys
from functools import partial

import pytest
import torch
from conftest import LEVELS_OF, PROJECT, Killed, at_call, fit, kill, paper_quantizer, results
from spikingjelly.activation_based import functional, layer, neuron, surrogate
from torch import nn
from torch.profiler import ProfilerActivity, profile

import snnq
from snnq.networks import kernels, tiles
from snnq.quantization.layers import layers_of
from snnq.quantization.staircase import staircase
from snnq.recordings import resident
from snnq.recordings.augmentation import AUGMENTATIONS, changed
from snnq.training import loop
from snnq.training.gradients import gradients
from snnq.training.optimizer import Optimizer
from snnq.training.precision import products_in
from snnq.training.step import Step

pytestmark = [
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU"),
    pytest.mark.skipif(
        os.environ.get("TRITON_INTERPRET") == "1",
        reason="Triton interprets its kernels in this process: `make test-gpu`",
    ),
]
LEVEL_SETS = ["binary", "ternary", "2bit", "3bit", "4bit", tuple(range(-255, 256, 2))]


@pytest.fixture
def to_the_bit(monkeypatch):
    """Kernels that add up in the same order every time."""
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)


@pytest.fixture
def settings(tiny) -> dict:
    return tiny | {"device": "cuda", "full_epochs": 0, "epochs": 3, "batch_size": 8}


def network(quantizer: str | None = None, device: str = "cuda") -> torch.nn.Module:
    torch.manual_seed(0)
    model = snnq.build_model("nmnist", channels=4)
    if quantizer:
        levels = LEVELS_OF.get(quantizer, "2bit")
        snnq.quantize(model, levels, quantizer=snnq.QUANTIZERS[quantizer])
        snnq.set_temperature(model, 4.0)
    return model.to(device).train()


def batch(recordings: int = 16, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(seed)
    frames = torch.poisson(torch.full((4, recordings, 2, 34, 34), 0.5))
    return frames.cuda(), torch.randint(10, (recordings,)).cuda()


@pytest.mark.parametrize("hardened", [False, True])
@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("levels", LEVEL_SETS, ids=str)
def test_the_kernels_are_float64s_staircase(levels, transposed, hardened):
    torch.manual_seed(0)
    quantizer = paper_quantizer(torch.randn(301, 17), levels, 4.0, 2.0, biases="uniform")
    weight, grad = torch.randn(2, 301, 17)
    mask = torch.rand(301, 17) < 0.5 if hardened else None
    # A float32 weight within rounding of its threshold may fall on either side of it.
    x = (weight.double() * quantizer.beta.double()).unsqueeze(-1)
    near = ((x - quantizer.biases.double()).abs() < 1e-5).any(-1)
    found, exact = (
        of_staircase(weight, grad, quantizer, mask, transposed, *place)
        for place in ((torch.float32, "cuda"), (torch.float64, "cpu"))
    )
    for one, other in zip(found, exact):
        one, other = one.double().cpu(), other.clone()
        if one.shape == weight.shape and hardened:
            one[near], other[near] = 0, 0
        scale = other.abs().max().item()
        torch.testing.assert_close(one, other, rtol=1e-3, atol=2e-5 * scale)


def of_staircase(weight, grad, quantizer, mask, transposed, dtype, device):
    def there(tensor):
        tensor = tensor.detach().to(device, dtype if tensor.is_floating_point() else None)
        return tensor.T.contiguous().T if transposed and tensor.ndim == 2 else tensor

    weight, alpha, beta = (
        there(one).requires_grad_() for one in (weight, quantizer.alpha, quantizer.beta)
    )
    temperatures = (torch.tensor(one, dtype=dtype, device=device) for one in (4.0, 2.0))
    hardened = None if mask is None else there(mask)
    biases, levels = there(quantizer.biases), tuple(quantizer.levels)
    output = staircase(weight, alpha, beta, biases, *temperatures, levels, hardened)
    output.backward(there(grad))
    return output.detach(), weight.grad, alpha.grad, beta.grad


@pytest.mark.parametrize("quantizer", [None, *snnq.QUANTIZERS])
def test_gradients_point_where_the_cpus_do(quantizer):
    frames, labels = batch()
    found = {}
    for device in ("cuda", "cpu"):
        model = network(quantizer, device)
        for module in model.modules():
            if isinstance(module, layer.Dropout):  # whose draws depend on the device
                module.p = 0.0
        # So that every layer spikes; with 1, DoReFa's thirds add up to the very threshold, and rounding decides.
        for of in layers_of(model).values():
            of.register_forward_hook(lambda _, __, output: output + 0.9)
        taken = [p for p in model.parameters() if p.requires_grad]
        with products_in("float32"):
            _, loss, _ = gradients(model, frames.to(device), labels.to(device), taken)
        found[device] = loss.item(), {n: p.grad.cpu() for n, p in model.named_parameters()}
    assert found["cuda"][0] == pytest.approx(found["cpu"][0], rel=0.05)
    for name, gradient in found["cpu"][1].items():
        if gradient.numel() > 1:
            other = found["cuda"][1][name]
            near = torch.cosine_similarity(gradient.flatten(), other.flatten(), dim=0)
            assert near > 0.95 or not gradient.any(), name


@pytest.mark.filterwarnings("ignore:Synchronization debug mode is a prototype")
@pytest.mark.parametrize("precision", ["float32", "bf16"])
@pytest.mark.parametrize("quantizer", [None, *snnq.QUANTIZERS])
def test_a_step_waits_for_nothing(quantizer, precision):
    model = network(quantizer)
    step = Step(model, Optimizer(model, 1e-3, 100), precision)
    frames, labels = batch()
    for _ in range(2):
        step(frames, labels)
    try:
        torch.cuda.set_sync_debug_mode("error")
        for _ in range(3):
            step(frames, labels)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    step.read()


@pytest.mark.parametrize("quantizer", [None, *snnq.QUANTIZERS])
def test_a_run_from_a_graph_is_the_run(settings, in_tmp, to_the_bit, quantizer):
    """Temperature, masks, flips and what else moves in the epochs moves in the graph too."""
    settings |= {"levels": LEVELS_OF.get(quantizer, "2bit") if quantizer else "full"}
    settings |= {"quantizer": quantizer} if quantizer else {}
    fit(settings, in_tmp / "eager")
    fit(settings | {"cuda_graph": True}, in_tmp / "graphed")
    assert results(in_tmp / "graphed") == results(in_tmp / "eager")


def test_a_run_goes_on_to_the_bit(settings, in_tmp, to_the_bit, monkeypatch):
    settings |= {"levels": "binary", "augmentation": "affine"}
    fit(settings, in_tmp / "whole")
    monkeypatch.setitem(loop.LOG_STEPS, "cuda", 1)
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", 0)
    killed = at_call(8, kill, loop.Training._look)
    with monkeypatch.context() as patched, pytest.raises(Killed):
        patched.setattr(loop.Training, "_look", killed)
        fit(settings, in_tmp / "stopped")
    fit(settings, in_tmp / "stopped")
    assert results(in_tmp / "stopped") == results(in_tmp / "whole")


@pytest.mark.parametrize("augmentation", ["none", "affine"])
def test_frames_in_the_device_or_copied_to_it(
    settings, in_tmp, to_the_bit, monkeypatch, augmentation
):
    settings |= {"levels": "binary", "augmentation": augmentation}
    fit(settings, in_tmp / "resident")
    monkeypatch.setattr(resident, "free_memory", lambda device: 0)
    fit(settings, in_tmp / "copied")
    assert results(in_tmp / "copied") == results(in_tmp / "resident")


@pytest.mark.parametrize("name", sorted(set(AUGMENTATIONS) - {"none"}))
def test_an_augmentation_is_the_same_on_both(name):
    torch.manual_seed(3)
    frames = torch.randint(0, 5, (40, 3, 2, 34, 34), dtype=torch.uint8)
    changes = AUGMENTATIONS[name](40)
    on_gpu = changed(frames.cuda(), changes.cuda()).cpu()
    on_cpu = changed(frames, changes)
    assert (on_gpu != on_cpu).float().mean() < 1e-3  # a place that is rounded the other way


@pytest.mark.parametrize("precision", ["float32", "tf32", "bf16"])
@pytest.mark.parametrize("levels", ["full", "binary"])
def test_a_run_learns_and_is_tested_alike_on_the_cpu(settings, in_tmp, precision, levels):
    settings |= {"levels": levels, "channels": 8, "epochs": 12, "learning_rate": 5e-3}
    settings |= {"augmentation": "none", "precision": precision, "validation": 0.0}
    history = fit(settings, in_tmp / "run")
    assert history["loss"].iloc[-1] < 0.8 * history["loss"].iloc[0]
    record = snnq.read_record(in_tmp / "run")
    assert record["run"]["precision"] == precision
    _, test = snnq.load("nmnist", settings["data"], settings["steps"])
    accuracy, _ = snnq.evaluate(snnq.trained_network(in_tmp / "run").cpu(), test)
    assert abs(accuracy - record["accuracy"]["last"]) <= 0.05


def test_a_process_that_is_forked_trains(settings, in_tmp):
    """A study's jobs are forked from one that has imported all this, and has not touched a GPU."""
    script = (
        "import multiprocessing, sys, snnq.training.fit, snnq.figures.catalogue, snnq\n"
        "def job(): snnq.fit(snnq.Run(**SETTINGS), 'run', progress=False)\n"
        f"SETTINGS = {settings!r}\n"
        "jobs = [multiprocessing.get_context('fork').Process(target=job) for _ in range(2)]\n"
        "jobs[0].start(); jobs[0].join(); sys.exit(jobs[0].exitcode)\n"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(PROJECT), *sys.path])}
    subprocess.run([sys.executable, "-c", script], env=environment, check=True)
    assert snnq.read_record(in_tmp / "run")["device"].startswith("cuda")


@pytest.mark.parametrize("make", [torch.optim.RMSprop, partial(torch.optim.SGD, momentum=0.9)])
def test_other_optimizers_run(make):
    model = network("sigmoid")
    step = Step(model, Optimizer(model, 1e-3, 10, make))
    before = [p.detach().clone() for p in model.parameters()]
    step(*batch())
    step.read()
    assert any(not torch.equal(p, was) for p, was in zip(model.parameters(), before))


@pytest.mark.parametrize("last", [False, True], ids=["channels first", "channels last"])
@pytest.mark.parametrize("pool", [None, layer.MaxPool2d, layer.AvgPool2d])
@pytest.mark.parametrize("node", [neuron.ParametricLIFNode, neuron.LIFNode, neuron.IFNode])
def test_fused_layers_are_spikingjellys(node, pool, last):
    """And those of the CPU: odd sizes, ten time steps; spikes and all gradients."""
    torch.manual_seed(0)
    spiking = node(surrogate_function=surrogate.ATan(), detach_reset=True)
    model = nn.Sequential(layer.BatchNorm2d(6), spiking, *([pool(2, 2)] if pool else []))
    functional.set_step_mode(model, "m")
    x = 2 * torch.randn(10, 5, 6, 9, 7) + 0.3
    x = x.movedim(2, -1).contiguous().movedim(-1, 2) if last else x
    found = []
    for make, device in ((snnq.fuse, "cuda"), (snnq.unfuse, "cuda"), (snnq.fuse, "cpu")):
        one = make(copy.deepcopy(model)).to(device).train()
        given = x.detach().to(device).requires_grad_()
        out = one(given)
        torch.manual_seed(1)
        out.backward(torch.randn(out.shape).to(device))
        values = [out, given.grad, *(p.grad for p in one.parameters()), *one.buffers()]
        found.append([value.detach().double().cpu() for value in values])
    for other in found[1:]:
        for mine, theirs in zip(found[0], other):
            # Rounding flips a spike in thousands, and the sums over all move a little.
            sums = mine.numel() < 100
            away = (mine - theirs).abs() > (1e-2 if sums else 1e-4) * theirs.abs().max().clamp(min=1)
            assert away.double().mean() < (1e-9 if sums else 2e-3)


def test_fused_layers_are_taken_on_a_gpu():
    with profile(activities=[ProfilerActivity.CUDA], acc_events=True) as taken:
        gradients(model := network(), *batch(), list(model.parameters()))
    names = " ".join(event.key for event in taken.key_averages())
    assert "moments" in names and "max_pool" not in names and "batch_norm" not in names


@pytest.mark.parametrize("last", [False, True], ids=["channels first", "channels last"])
@pytest.mark.parametrize("shape", [(10, 8, 128, 34, 34), (10, 8, 100, 17, 17), (3, 5, 4, 33, 9)])
def test_the_fused_kernels_are_the_cpus_to_the_bit(shape, last):
    from snnq.networks import gpu

    torch.manual_seed(0)
    x = torch.randn(shape)
    x = x.movedim(2, -1).contiguous().movedim(-1, 2) if last else x
    line, k = torch.rand(2, shape[2]) + 0.5, torch.tensor(0.4)
    plif = kernels.Neuron(kernels.PLIF, 2.0, 2.0, kernels.MAX)
    on_cpu = tiles.forward(x, line, k, plif)
    there = [one.cuda() for one in (x, line, k)]
    on_gpu = gpu.forward(*there, plif)
    for mine, other in zip(on_gpu, on_cpu):
        assert torch.equal(mine.cpu(), other)
    grad = torch.randn_like(on_gpu[0])
    both = [gpu.backward(there[0], grad, None, *there[1:2], there[1][0], there[2], plif, None) for _ in "12"]
    assert torch.equal(both[0][0], both[1][0])
    assert all(torch.equal(one, other) for one, other in zip(both[0][1], both[1][1]))
