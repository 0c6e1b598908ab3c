"""Neurons with membranes of few bits: against their formula, and the network of integers."""

from fractions import Fraction

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from spikingjelly.activation_based import surrogate
from torch._subclasses.fake_tensor import FakeTensorMode

import snnq
from snnq.deployment.export_c import export_c
from snnq.deployment.integer import to_integer
from snnq.networks.models import NEURONS, ROUNDED
from snnq.networks.rounded import RoundedIFNode, nearest_leak


@given(st.floats(0.001, 1))
def test_no_other_leak_is_nearer(k):
    found = nearest_leak(k)
    powers = [Fraction(0), *(Fraction(1, 2**q) for q in range(9))]
    best = min(abs(a + sign * b - Fraction(k)) for a in powers for b in powers for sign in (1, -1))
    assert abs(found - Fraction(k)) == best


@pytest.mark.parametrize("kind", ROUNDED)
@pytest.mark.parametrize("v_reset", [0.0, None])
@pytest.mark.parametrize(("bits", "end"), [(2, 2), (4, 2), (6, 2), (9, 4), (11, 8), (15, 16)])
def test_the_potential_is_on_its_grid_step_by_step(kind, v_reset, bits, end):
    """Which ends at ±`end` thresholds."""
    node = ROUNDED[kind](v_reset=v_reset, membrane_bits=bits, step_mode="m", store_v_seq=True)
    x = torch.randn(20, 50, generator=torch.Generator().manual_seed(1)) * 2 * end
    x = (x * 2**12).round() / 2**12  # so that float32 adds without rounding
    spikes, v = node(x), torch.zeros(50).double()
    unit = end * 2.0 ** (1 - bits)
    for t in range(len(x)):
        h = v + x[t].double() if kind == "if" else v + (x[t].double() - v) / 2
        h = (h / unit).round().clamp(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) * unit
        fires = h >= 1
        v = torch.where(fires, 0.0 if v_reset == 0 else h - 1, h)
        assert torch.equal(spikes[t], fires.float()) and torch.equal(node.v_seq[t].double(), v)
    assert 0 < spikes.mean() < 1


@pytest.mark.parametrize("kind", ROUNDED)
@pytest.mark.parametrize("v_reset", [0.0, None])
def test_with_many_bits_it_is_the_neuron_and_its_gradient(kind, v_reset):
    options = {"v_reset": v_reset, "surrogate_function": surrogate.ATan(), "step_mode": "m"}
    x = torch.randn(6, 40, generator=torch.Generator().manual_seed(1)) * 0.4
    results = []
    for node in (NEURONS[kind](**options), ROUNDED[kind](membrane_bits=20, **options)):
        inputs = x.clone().requires_grad_()
        node(inputs).square().sum().backward()
        results.append([inputs.grad, *(p.grad for p in node.parameters())])
    for expected, found in zip(*results, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_a_network_comes_back_from_its_file_and_becomes_one_of_integers(tmp_path):
    model = snnq.build_model("nmnist", channels=2, membrane_bits=6)
    snnq.quantize(model, "binary")
    snnq.pack(model, tmp_path / "net.safetensors")
    again = snnq.unpack(tmp_path / "net.safetensors")
    frames = torch.poisson(torch.full((3, 4, 2, 34, 34), 0.3))
    with torch.no_grad():
        assert torch.equal(model.eval()(frames), again.eval()(frames))
    stages = to_integer(again).stages
    assert {stage.membrane_bits for stage in stages} == {6}
    assert all(stage.most // 4 < stage.threshold.max() <= stage.most + 1 >> 1 for stage in stages)
    with pytest.raises(ValueError, match="membrane_bits=6: "):
        export_c(model, tmp_path / "out")


@pytest.mark.parametrize(("bits", "end"), [(4, 2), (6, 2), (8, 4), (10, 8), (12, 16), (20, 16)])
def test_membranes_of_integers_end_where_those_in_training_do(bits, end):
    """At so many thresholds, or at twice as many: a unit is a power of two of a sum."""
    for stage in to_integer(snnq.build_model("nmnist", channels=2), bits).stages:
        ends = -stage.least / stage.threshold
        assert (end <= ends).all() and (ends <= 2 * end).all()


@pytest.mark.parametrize("kind", ROUNDED)
def test_nothing_is_read_from_a_gpu_in_a_step(kind):
    """Fake tensors, as those of a CUDA graph, have no values that Python could ask for."""
    with FakeTensorMode(allow_non_fake_inputs=True):
        node = ROUNDED[kind](membrane_bits=6, step_mode="m", surrogate_function=surrogate.ATan())
        x = torch.randn(3, 5, requires_grad=True)
        node(x).sum().backward()
    assert x.grad.shape == (3, 5)


@pytest.mark.parametrize("bits", [1, 21, 2.5, "4"])
def test_other_bits_are_refused(bits):
    with pytest.raises(ValueError, match=f"membrane_bits={bits!r}: expected 2 to 20"):
        snnq.build_model("nmnist", channels=2, membrane_bits=bits)
    with pytest.raises(ValueError, match=f"membrane_bits={bits}: expected 2 to 20"):
        to_integer(snnq.build_model("nmnist", channels=2), bits)


def test_another_reset_is_refused():
    with pytest.raises(ValueError, match="v_reset=0.1: expected 0 or None"):
        RoundedIFNode(v_reset=0.1, membrane_bits=4)
