"""Batch norm, neurons and pooling on a GPU, without one: under Triton's interpreter, and compiled for
a GPU that is not there."""

import importlib.util
import json
import os
import re
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch
from conftest import PROJECT
from spikingjelly.activation_based import layer
from test_gpu_staircase import WAITING, Operations
from test_neurons import assert_near, block, both, images, node
from torch import nn

import snnq
from snnq.networks import kernels, neurons, tiles

os.environ["TRITON_INTERPRET"] = "1"  # before anything in this process imports Triton

pytestmark = pytest.mark.xdist_group("gpu neurons")


@pytest.fixture(scope="module")
def gpu(peer):
    peer("triton", importlib.util.find_spec("triton"))
    from snnq.networks import gpu

    return gpu


@pytest.fixture
def interpreted(gpu, monkeypatch):
    """Layers take it, though their inputs are on the CPU."""
    monkeypatch.setattr(neurons, "form_for", lambda x: gpu)
    return gpu


@pytest.mark.parametrize(
    ("shape", "memory", "kind", "pool", "norm", "training", "tile"),
    [
        ((2, 1, 5, 5, 4), "channels last", "plif", "max", True, True, 16),
        ((2, 1, 130, 2, 3), "channels last", "lif", "average", True, False, 128),
        ((1, 3, 1, 4, 5), "channels last", "if", "none", True, True, 8),
        ((3, 2, 3, 4, 4), "channels last", "if", "max", False, True, 128),
        ((2, 2, 1, 5, 4), "channels first", "plif", "max", True, True, 128),
        ((2, 2, 1, 3, 6), "channels first", "if", "average", True, True, 4),
        ((1, 3, 2, 2, 2), "channels first", "if", "none", True, False, 128),
        ((4, 2, 3, 5, 5), "channels last", "plif", "none", False, True, 32),
    ],
)
def test_spikes_and_gradients_are_those_of_the_layers_in_float64(
    interpreted, monkeypatch, shape, memory, kind, pool, norm, training, tile
):
    monkeypatch.setattr(interpreted, "TILE", tile)
    found, wanted, scale = both(shape, kind, pool, memory, norm, training, seed=3)
    assert torch.equal(found[0].double(), wanted[0]) and found[0].any()
    assert_near(found, wanted, scale)


def test_potentials_are_those_of_the_loops_to_the_bit(gpu):
    """But for y, which the interpreter rounds twice."""
    x, k = images((5, 2, 3, 6, 7), 0), torch.tensor(0.3)
    line = torch.tensor([[1.0] * 3, [0.0] * 3])
    for kind in (kernels.PLIF, kernels.LIF, kernels.IF):
        neuron = kernels.Neuron(kind, 2.0, 2.0, kernels.MAX)
        found, expected = (form.forward(x, line, k, neuron) for form in (gpu, tiles))
        assert all(map(torch.equal, found, expected))


def test_the_last_potential_alone_has_a_gradient(gpu, monkeypatch):
    results = []
    for form in (tiles, gpu):
        monkeypatch.setattr(neurons, "form_for", lambda x: form)
        model, x = snnq.fuse(block(3)), images((3, 2, 3, 4, 4), 0, "channels last").requires_grad_()
        model(x)
        results.append(torch.autograd.grad(model[1].v.square().sum(), x)[0])
    torch.testing.assert_close(*results, rtol=1e-4, atol=1e-5)


def test_far_from_zero_the_variance_stays_exact(interpreted):
    norm = layer.BatchNorm2d(2, step_mode="m", momentum=1.0)
    x = images((4, 5, 2, 6, 7), 0, "channels last") + 1000
    snnq.fuse(nn.Sequential(norm, node(step_mode="m")))(x)
    expected = x.double().transpose(0, 2).flatten(1).var(1).float()
    torch.testing.assert_close(norm.running_var, expected)


def test_a_step_waits_for_nothing(interpreted):
    model, x = snnq.fuse(block(3)), images((2, 2, 3, 4, 4), 0, "channels last").requires_grad_()
    model[0].momentum = None  # a mean over all steps, whose number is on the device
    with Operations() as done:
        model(x).sum().backward()
    assert done.names and not done.names & WAITING


def test_the_form_for_a_device(gpu, monkeypatch):
    x = torch.empty(2, 3)
    assert neurons.form_for(x) is tiles
    assert neurons.form_for(x.to("meta")) is None
    there = SimpleNamespace(device=torch.device("cuda"), is_cuda=True)
    monkeypatch.setattr(gpu, "takes", lambda x: True)
    assert neurons.form_for(there) is gpu
    monkeypatch.setattr(neurons, "has_triton", lambda: False)
    assert neurons.form_for(there) is None


@pytest.mark.parametrize(
    ("shape", "taken"), [((32, 4), True), ((33, 4), False), ((1, 2**31), False)]
)
def test_long_recordings_and_large_layers_are_not_taken(gpu, shape, taken):
    assert gpu.takes(torch.empty(shape, device="meta")) == taken


COMPILED = """
import json, triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from snnq.networks import gpu, gpu_kernels, kernels
import torch

def assembly(function, absent=()):
    x, neuron = torch.empty(2, 2, 128, 4, 4, device="meta"), kernels.Neuron(PLIF, 2.0, 2.0, MAX)
    x = x.movedim(2, -1).contiguous().movedim(-1, 2)
    constants = gpu._tile(x) | gpu._constants(x, neuron) | {"TILES": 1} | dict.fromkeys(absent)
    constants = {name: one for name, one in constants.items() if name in function.arg_names}
    kinds = {name: "i32" if name in gpu_kernels.SIZES else "*fp32" for name in function.arg_names}
    kinds |= dict.fromkeys(constants, "constexpr")
    if "alpha" in kinds:
        kinds["alpha"] = "fp32"
    source = ASTSource(function, kinds, constants)
    return triton.compile(source, target=GPUTarget("cuda", 90, 32)).asm["ptx"]

PLIF, MAX = kernels.PLIF, kernels.MAX
print(json.dumps([
    assembly(gpu_kernels.moments),
    assembly(gpu_kernels.forward),
    assembly(gpu_kernels.backward, ["by_last", "gains", "by_x"]),
    assembly(gpu_kernels.backward, ["by_last", "sums"]),
]))
"""


def test_a_pass_reads_each_input_once(gpu, tmp_path):
    """In the machine code for a GPU: of T = 2 a thread loads 4 × 2 inputs, 2 gradients of pooled
    spikes, and a few numbers of its channel."""
    environment = os.environ | {"TRITON_INTERPRET": "0", "TRITON_CACHE_DIR": str(tmp_path)}
    command = [sys.executable, "-c", COMPILED]
    done = subprocess.run(command, env=environment, cwd=PROJECT, capture_output=True, check=True)
    loads = 2 + 1, 8 + 3, 8 + 2 + 4, 8 + 2 + 6
    stores = 2, 2 + 4, 3, 8
    for ptx, *expected in zip(json.loads(done.stdout), loads, stores):
        found = [len(re.findall(rf"\b{name}\.global", ptx)) for name in ("ld", "st")]
        assert found == expected and ".local" not in ptx
