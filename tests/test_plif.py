import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from spikingjelly.activation_based import neuron, surrogate

from snnq.networks.plif import PLIFNode


def pair(w, **options):
    """SpikingJelly's neuron and ours, of the same time constant."""
    settings = {
        "step_mode": "m",
        "surrogate_function": surrogate.ATan(),
        "detach_reset": True,
    } | options
    nodes = [node(v_reset=0.0, **settings) for node in (neuron.ParametricLIFNode, PLIFNode)]
    for node in nodes:
        node.w.data.fill_(w)
    return nodes


@given(
    steps=st.integers(1, 6),
    shape=st.sampled_from([(1,), (3, 5), (2, 3, 34, 34), (40_000,)]),
    w=st.floats(-3, 3),
    seed=st.integers(0, 2**31),
)
def test_spikes_and_gradients_are_spikingjellys(steps, shape, w, seed):
    generator = torch.Generator().manual_seed(seed)
    x = 2 * torch.randn(steps, *shape, generator=generator)
    towards = torch.randn(x.shape, generator=generator)
    results = []
    for node in pair(w):
        inputs = x.clone().requires_grad_()
        spikes = node(inputs)
        results.append(
            (spikes, node.v, *torch.autograd.grad((spikes * towards).sum(), [inputs, node.w]))
        )
    (spikes, v, by_x, by_w), (our_spikes, our_v, our_by_x, our_by_w) = results
    assert torch.equal(spikes, our_spikes) and torch.equal(v, our_v)
    torch.testing.assert_close(our_by_x, by_x, rtol=1e-4, atol=1e-6)
    # A sum of terms of either sign: where they cancel, as exact as a sum that does not is.
    scale = float((by_x.norm() * x.norm()).detach()) / x.numel() ** 0.5
    np.testing.assert_allclose(our_by_w.detach(), by_w.detach(), rtol=1e-4, atol=1e-5 * scale)


@pytest.mark.parametrize(
    "option", [{"detach_reset": False}, {"surrogate_function": surrogate.Sigmoid()}]
)
def test_other_settings_are_spikingjellys_own(option):
    x = torch.randn(4, 50, generator=torch.Generator().manual_seed(0)).requires_grad_()
    theirs, ours = (torch.autograd.grad(node(x).sum(), x)[0] for node in pair(0.0, **option))
    assert torch.equal(theirs, ours)


def test_a_second_pass_goes_on_where_the_first_ended():
    x = torch.randn(4, 50, generator=torch.Generator().manual_seed(0))
    theirs, ours = pair(0.3)
    for part in (x[:2], x[2:]):
        assert torch.equal(theirs(part), ours(part))


def test_double_precision_is_spikingjellys_own():
    x = torch.randn(4, 50, generator=torch.Generator().manual_seed(0)).double()
    theirs, ours = (node.double() for node in pair(0.3))
    assert torch.equal(theirs(x), ours(x))


def test_the_order_of_channels_in_memory_changes_nothing():
    generator = torch.Generator().manual_seed(0)
    x = 2 * torch.randn(4, 3, 5, 6, 7, generator=generator)
    towards = torch.randn(x.shape, generator=generator)
    last = x.movedim(2, -1).contiguous().movedim(-1, 2)
    results = []
    for inputs in (x.clone().requires_grad_(), last.requires_grad_()):
        node = pair(0.3)[1]
        spikes = node(inputs)
        by_x, by_w = torch.autograd.grad((spikes * towards).sum(), [inputs, node.w])
        results.append((spikes, node.v, by_x, by_w))
    for first, second in zip(*results):
        torch.testing.assert_close(first, second)
    assert results[1][0].stride() == last.stride()


@given(seed=st.integers(0, 2**31), w=st.floats(-2, 2), shape=st.sampled_from([(5,), (2, 3, 8, 9)]))
def test_gradients_pass_from_chunk_to_chunk_as_in_spikingjelly(seed, w, shape):
    """The first chunk's potentials reach the second's spikes, and its loss the first's inputs."""
    generator = torch.Generator().manual_seed(seed)
    x = 1.5 * torch.randn(6, *shape, generator=generator) + 0.3
    towards = torch.randn(x.shape, generator=generator)
    results = []
    for node in pair(w):
        inputs = x.clone().requires_grad_()
        node(inputs[:3])
        loss = (node(inputs[3:]) * towards[3:]).sum() + (node.v * towards[0]).sum()
        results.append(torch.autograd.grad(loss, [inputs, node.w]))
    (by_x, by_w), (our_by_x, our_by_w) = results
    assert by_x[:3].abs().sum() > 0
    torch.testing.assert_close(our_by_x, by_x, rtol=1e-4, atol=1e-6)
    # A sum of terms of either sign: where they cancel, as exact as a sum that does not is.
    scale = float((by_x.norm() * x.norm()).detach()) / x.numel() ** 0.5
    np.testing.assert_allclose(our_by_w.detach(), by_w.detach(), rtol=1e-4, atol=1e-5 * scale)


def test_the_last_potential_alone_has_a_gradient():
    x = torch.randn(4, 50, generator=torch.Generator().manual_seed(0))
    results = []
    for node in pair(0.3):
        inputs = x.clone().requires_grad_()
        node(inputs)
        results.append(torch.autograd.grad(node.v.square().sum(), inputs)[0])
    torch.testing.assert_close(*results)


def test_second_derivatives_are_refused():
    """They are not computed, and without a word they would be taken for zero."""
    x = torch.randn(4, 50, generator=torch.Generator().manual_seed(0)).requires_grad_()
    _, ours = pair(0.3)
    (by_x,) = torch.autograd.grad(ours(x).square().sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        by_x.sum().backward()
