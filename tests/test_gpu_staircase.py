"""The staircase's forms for a GPU, without one: under Triton's interpreter, compiled for GPUs that are
not there, and, for what `torch.compile` makes of it, on the CPU."""

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from functools import cache, partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from conftest import LEVELS_OF, PROJECT, paper_quantizer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.special import expit
from torch.utils._python_dispatch import TorchDispatchMode

import snnq
from snnq.quantization import inductor, staircase
from snnq.quantization.levels import LEVELS
from snnq.quantization.methods import QUANTIZERS

os.environ["TRITON_INTERPRET"] = "1"  # before anything in this process imports Triton

pytestmark = [
    pytest.mark.xdist_group("gpu staircase"),  # which share what torch.compile makes
    pytest.mark.filterwarnings(  # torch's of its own, when the compiler is imported
        "ignore:.torch.jit.script_method. is deprecated:DeprecationWarning"
    ),
    pytest.mark.filterwarnings(  # of NumPy in the interpreter: the odds of far weights are infinite
        "ignore:overflow encountered:RuntimeWarning"
    ),
]

EIGHT_BITS = tuple(range(-255, 256, 2))
level_sets = st.lists(
    st.integers(-40, 40).map(lambda i: i / 4), min_size=2, max_size=9, unique=True
).map(lambda levels: tuple(sorted(levels)))
temperatures = st.floats(0.1, 2000)
seeds = st.integers(0, 2**31)


@pytest.fixture(scope="module")
def kernel(peer):
    peer("triton", importlib.util.find_spec("triton"))
    from snnq.quantization import gpu

    return gpu


@pytest.fixture(scope="module")
def compiled(peer, pytestconfig):
    """`inductor` without the last step, code for the CPU, which takes 15 seconds; with `--peers
    required` all of it."""
    backend = "aot_eager"
    if pytestconfig.getoption("peers") == "required":
        peer("g++", shutil.which("g++"))
        backend = "inductor"
    with pytest.MonkeyPatch.context() as patch:
        compile_ = partial(torch.compile, dynamic=True, backend=backend)
        patch.setattr(inductor, "_compiled", cache(compile_))
        yield inductor


@pytest.fixture(params=["kernel", "compiled"])
def form(request, monkeypatch):
    """Every quantizer of the test takes it, though its weights are on the CPU."""
    module = request.getfixturevalue(request.param)
    monkeypatch.setattr(staircase, "_one_pass_form", lambda weight: module)


@pytest.fixture
def interpreted(kernel, monkeypatch):
    monkeypatch.setattr(staircase, "_one_pass_form", lambda weight: kernel)


def random(seed, *shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def results(quantizer, weight, grad):
    """Output and gradients of w, α and β."""
    weight = weight.detach().requires_grad_()
    output = quantizer(weight)
    scales = [quantizer.alpha, quantizer.beta]
    return output.detach(), *torch.autograd.grad(output, [weight, *scales], grad)


def formulas(quantizer, weight, grad):
    """In float64, for each weight: y, ∂loss/∂w, and what it adds to ∂loss/∂α and ∂loss/∂β; and how
    large these get [4, ...]."""
    alpha, beta, b, T = (
        getattr(quantizer, name).detach().double().numpy()
        for name in ("alpha", "beta", "biases", "temperature")
    )
    levels, slope_at = np.array(quantizer.levels, float), quantizer.backward_temperature or T
    x, steps = beta * weight[..., None] - b, np.diff(levels)
    f = levels[0] + (steps * expit(np.clip(T * x, -10, 10))).sum(-1)
    g = expit(slope_at * x)
    slope = (steps * g * (1 - g) * (np.abs(slope_at * x) < 10)).sum(-1)
    chain = np.stack([np.ones_like(f), grad * beta * slope_at, grad, grad * slope_at * weight])
    chain *= np.reshape([alpha, alpha, 1, alpha], (4,) + (1,) * f.ndim)
    most, steepest = np.abs(levels).max(), steps.sum() / 4
    sizes = np.abs(chain) * np.reshape([most, steepest] * 2, (4,) + (1,) * f.ndim)
    return chain * np.stack([f, slope, f, slope]), sizes


def assert_within_float32(quantizer, weight, grad):
    """What rounding a weight may change, up to two units of its last place, and 2e-6."""
    w, G = weight.double().numpy(), grad.double().numpy()
    expected, sizes = formulas(quantizer, w, G)
    nearby = [formulas(quantizer, w * (1 + shift), G)[0] for shift in (-(2.0**-22), 2.0**-22)]
    allowed = np.abs(np.stack(nearby) - expected).max(0) + 2e-6 * sizes
    for i, found in enumerate(results(quantizer, weight, grad)):
        by_hand, error = (parts[i] if i < 2 else parts[i].sum() for parts in (expected, allowed))
        assert found.dtype == torch.float32 and found.shape == by_hand.shape
        assert (np.abs(found.double().numpy() - by_hand) <= error).all()


@pytest.mark.parametrize("temperature", [1.0, 50.0, 2000.0])
@pytest.mark.parametrize("levels", LEVELS)
def test_every_level_set_is_that_of_float64(form, levels, temperature):
    weight, grad = random(0, 40, 30), random(1, 40, 30)
    assert_within_float32(paper_quantizer(weight, levels, temperature, 4.0), weight, grad)
    assert_within_float32(paper_quantizer(weight, levels, temperature), weight, grad)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(level_sets, temperatures, temperatures, seeds)
def test_any_levels_and_temperatures(form, levels, temperature, backward, seed):
    weight, grad = random(seed, 61), random(seed + 1, 61)
    assert_within_float32(
        paper_quantizer(weight, levels, temperature, backward), weight, grad
    )


def test_more_thresholds_than_are_unrolled(form):
    weight, grad = random(0, 50), random(1, 50)
    assert_within_float32(paper_quantizer(weight, EIGHT_BITS, 20.0, 4.0), weight, grad)


LAYOUTS = {
    "transposed": lambda seed: random(seed, 9, 7).T,
    "every other": lambda seed: random(seed, 50)[::2],
    "channels last": lambda seed: random(seed, 4, 3, 2, 2).to(memory_format=torch.channels_last),
    "one": lambda seed: random(seed, 1),
    "a block": lambda seed: random(seed, 2048),
    "a block and one": lambda seed: random(seed, 2049),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_any_layout(form, layout):
    weight, grad = LAYOUTS[layout](0), LAYOUTS[layout](1)
    quantizer = paper_quantizer(weight, "2bit", 5.0)
    assert_within_float32(quantizer, weight, grad)
    assert_within_float32(quantizer, weight, grad.contiguous())
    assert_within_float32(quantizer, weight, torch.ones(()).expand(weight.shape))


def test_an_empty_weight(form):
    quantizer = paper_quantizer(random(0, 5), "2bit")
    output, *gradients = results(quantizer, torch.empty(3, 0), torch.empty(3, 0))
    assert output.shape == gradients[0].shape == (3, 0)
    assert gradients[1:] == [0, 0]


def test_what_is_no_number_stays_none(form):
    quantizer = paper_quantizer(random(0, 5), "binary")
    output, by_weight, *_ = results(quantizer, torch.tensor([1.0, torch.nan]), torch.ones(2))
    assert output.isnan().tolist() == by_weight.isnan().tolist() == [False, True]


def test_half_precision_is_computed_in_float32(form):
    weight = random(0, 50).bfloat16()
    quantizer = paper_quantizer(weight, "4bit", 50.0)
    single = paper_quantizer(weight.float(), "4bit", 50.0)
    single.load_state_dict(quantizer.state_dict())
    assert torch.equal(quantizer(weight), single(weight.float()).bfloat16())


def test_second_derivatives_are_refused(form):
    weight = random(0, 50).requires_grad_()
    loss = paper_quantizer(weight, "2bit")(weight).square().sum()
    (gradient,) = torch.autograd.grad(loss, weight, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.sum().backward()


def test_weight_and_output_are_kept_for_the_backward_pass(form):
    weight, sizes = random(0, 1000).requires_grad_(), []
    quantizer = paper_quantizer(weight, "4bit")
    with torch.autograd.graph.saved_tensors_hooks(
        lambda tensor: sizes.append(tensor.nbytes) or tensor, lambda tensor: tensor
    ):
        quantizer(weight)
    assert sum(size for size in sizes if size >= weight.nbytes) == 2 * weight.nbytes


def test_more_weights_than_32_bits_count(interpreted, kernel, monkeypatch):
    """The last program's, of a weight that takes up memory only where it is touched."""
    from triton.runtime.interpreter import InterpreterBuilder

    quantizer = paper_quantizer(random(0, 5), "2bit")
    weight = torch.empty(2**31 + 5)
    weight[-10:] = random(0, 10)
    expected = quantizer(weight[-5:]).detach()
    program = kernel._programs(weight) - 1
    monkeypatch.setattr(kernel, "_programs", lambda weight: 1)
    original = InterpreterBuilder.create_get_program_id

    def last(builder, axis):
        found = original(builder, axis)
        found.data += program
        return found

    monkeypatch.setattr(InterpreterBuilder, "create_get_program_id", last)
    monkeypatch.setattr(torch, "empty_like", lambda weight: weight)
    assert torch.equal(quantizer(weight)[-5:].detach(), expected)


COMPILED = """
import json, sys, triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from snnq.quantization import gpu

def assembly(function, thresholds, capability):
    constants = gpu._constants(range(thresholds)) | {"hardened": None}
    kinds = {name: "constexpr" if name in constants else "*fp32" for name in function.arg_names}
    kinds["numel"] = "i32"
    aligned = {(i,): [["tt.divisibility", 16]] for i, kind in enumerate(kinds.values())
               if kind != "constexpr"}
    source = ASTSource(function, kinds, constants, aligned)
    return triton.compile(source, target=GPUTarget("cuda", capability, 32)).asm["ptx"]

print(json.dumps({
    f"{thresholds} {capability}": [assembly(gpu._value, thresholds, capability),
                                   assembly(gpu._gradients, thresholds, capability)]
    for thresholds, capability in ((1, 90), (15, 90), (255, 80))
}))
"""


def test_a_step_moves_six_times_the_weights_bytes(kernel, tmp_path):
    """In the machine code for two GPUs: what all threads of a program load and store as vectors."""
    environment = os.environ | {"TRITON_INTERPRET": "0", "TRITON_CACHE_DIR": str(tmp_path)}
    command = [sys.executable, "-c", COMPILED]
    done = subprocess.run(command, env=environment, cwd=PROJECT, capture_output=True, check=True)
    weights = 4 * kernel.BLOCK
    for passes in json.loads(done.stdout).values():
        for ptx, loaded, stored in zip(passes, (1, 3), (1, 1)):
            for instruction, times in (("ld", loaded), ("st", stored)):
                vectors = len(re.findall(rf"\b{instruction}\.global\.v4\.b32", ptx))
                assert vectors * 16 * 128 == times * weights
                # Nor do the rest belong to each weight: scales, thresholds, the two sums.
                others = re.findall(rf"\b{instruction}\.global(?!\.v4)\S*", ptx)
                assert len(others) < kernel.MOST_UNROLLED * 6


# What makes the host wait for a number, or for the length of a result, of the device.
WAITING = {"_local_scalar_dense", "nonzero", "masked_select", "equal", "is_nonzero", "unique"}


class Operations(TorchDispatchMode):
    """Collects the names of operations."""

    def __init__(self):
        super().__init__()
        self.names: set[str] = set()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.names.add(function.__name__.split(".")[0])
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize("levels", ["binary", (-2, 0, 1)])
def test_hardened_weights_are_as_in_the_loops(form, monkeypatch, levels):
    weight, grad = random(0, 5, 40), random(1, 5, 40)
    quantizer = paper_quantizer(weight, levels, 4.0, 2.0, biases="uniform").train()
    quantizer.hardened = random(2, 5, 40) > 0
    found = results(quantizer, weight, grad)
    monkeypatch.setattr(staircase, "_one_pass_form", lambda weight: None)
    for one, other in zip(found, results(quantizer, weight, grad)):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4 * other.abs().max().item())
    assert torch.equal(found[0][quantizer.hardened], quantizer.hard(weight)[quantizer.hardened])
    assert not found[1][quantizer.hardened].any()


@pytest.mark.parametrize("backward_temperature", [None, 4.0])
def test_a_step_waits_for_nothing(form, backward_temperature):
    weight, grad = random(0, 50), random(1, 50)
    quantizer = paper_quantizer(weight, "4bit", 50.0, backward_temperature)
    with Operations() as done:
        results(quantizer, weight, grad)
    assert done.names and not done.names & WAITING


@pytest.mark.parametrize("name", QUANTIZERS)
def test_no_method_asks_for_a_number_in_training(name):
    """Whoever asks on the meta device, which has none, fails."""
    for levels in {LEVELS_OF.get(name, "2bit"), LEVELS_OF.get(name, "binary")}:
        quantizer = QUANTIZERS[name](random(0, 8, 2, 3, 3), levels).to("meta")
        weight = torch.empty(8, 2, 3, 3, device="meta", requires_grad=True)
        quantizer(weight).sum().backward()
        assert weight.grad.shape == weight.shape


def test_the_temperature_is_set_where_it_lies():
    model = snnq.quantize(torch.nn.Sequential(torch.nn.Linear(2, 2)), "binary", keep=())
    with Operations() as done:
        snnq.set_temperature(model, 7.0)
    assert "fill_" in done.names and "copy_" not in done.names  # from the host to the device
    assert [q.temperature for q in snnq.quantizers(model).values()] == [7]


@pytest.mark.parametrize(
    ("device", "dtype", "triton", "chosen"),
    [
        ("cuda", torch.float32, True, "gpu"),
        ("cuda", torch.float32, False, None),
        ("cuda", torch.float64, True, None),
        ("mps", torch.float32, False, "inductor"),
        ("cpu", torch.float32, True, None),
    ],
)
def test_the_form_for_a_device(kernel, monkeypatch, device, dtype, triton, chosen):
    monkeypatch.setattr(staircase, "has_triton", lambda: triton)
    places = {f"is_{name}": name == device for name in ("cuda", "mps", "xpu")}
    found = staircase._one_pass_form(SimpleNamespace(dtype=dtype, **places))
    assert getattr(found, "__name__", None) == (chosen and f"snnq.quantization.{chosen}")
