"""Weights that flip: against the papers' steps in float64, in a network, and as runs."""

import numpy as np
import pytest
import torch
from conftest import at_call, fit, results
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

import snnq
from snnq.training import gradients as training_gradients
from snnq.training import loop as training
from snnq.training.flips import Flips, flipped
from snnq.training.optimizer import GRADIENT_NORM, Optimizer, parameter_groups
from snnq.training.step import Step


def plain_flips(weight, gradients, rate, threshold, normalized):
    """As the papers' loop has it: of every weight in turn, in float64."""
    weight = np.where(weight > 0, 1.0, -1.0)
    average, square = np.zeros_like(weight), 0.0
    for gradient in gradients:
        square = (1 - 1e-5) * square + 1e-5 * np.mean(gradient**2)
        least = rate * threshold * (np.sqrt(square) + 1e-10 if normalized else 1)
        for i, found in np.ndenumerate(gradient):
            average[i] = (1 - rate) * average[i] + rate * found
            if average[i] * weight[i] > least:
                weight[i] = -weight[i]
    return weight, average, square


@given(
    st.booleans(), st.floats(0.01, 1), st.floats(0, 100), st.floats(1, 20), st.integers(0, 2**31)
)
def test_weights_flip_where_the_average_of_their_gradients_says(
    normalized, rate, threshold, scale, seed
):
    generator = torch.Generator().manual_seed(seed)
    weight, *gradients = torch.randn(7, 4, 5, generator=generator, dtype=torch.float64)
    threshold = threshold if normalized else threshold / 100
    group = {"lr": rate, "threshold": threshold, "normalized": normalized}
    parameter = nn.Parameter(weight.clone())
    optimizer = Flips([{"params": [parameter], **group}])
    for gradient in gradients:
        parameter.grad = scale * gradient
        optimizer.step(torch.tensor(scale, dtype=torch.float64), torch.tensor(0.0))
    arrays = [gradient.numpy() for gradient in gradients]
    expected, average, square = plain_flips(weight.numpy(), arrays, rate, threshold, normalized)
    np.testing.assert_array_equal(parameter.detach(), expected)
    np.testing.assert_allclose(optimizer.state[parameter]["average"], average, rtol=1e-9)
    np.testing.assert_allclose(optimizer.state[parameter]["square"], square * normalized)


def network(name="tbso"):
    torch.manual_seed(0)
    model = snnq.build_model("nmnist", channels=8).train()
    return snnq.quantize(model, "binary", quantizer=snnq.QUANTIZERS[name])


def batch():
    """A bar for each class in noise."""
    frames, labels = 3 * torch.rand(2, 8, 2, 34, 34), torch.arange(8)
    for label in labels:
        frames[:, label, :, 3 * label : 3 * label + 4] += 6
    return frames, labels


@pytest.mark.parametrize("name", ["qsnn", "rescaw", "bso", "tbso"])
def test_a_network_learns_and_weights_that_flip_do_nothing_else(name):
    model = network(name)
    signs = [torch.where(weight > 0, 1.0, -1.0) for weight in weights(model)]
    by_adam = {id(p) for group in parameter_groups(model, 1e-2) for p in group["params"]}
    assert bool(weights(model)) == (name in ("bso", "tbso"))
    assert by_adam == {id(p) for p in model.parameters()} - {id(w) for w in weights(model)}
    step = Step(model, Optimizer(model, 1e-2, 40))
    assert all(map(torch.equal, weights(model), signs))
    frames, labels = batch()
    for _ in range(40):
        step(frames, labels)
    losses = [taken.loss.item() for taken in step.unread]
    assert np.mean(losses[-5:]) < 0.7 * np.mean(losses[:5])
    assert all((weight.abs() == 1).all() for weight in weights(model))
    assert all((weight != sign).any() for weight, sign in zip(weights(model), signs))


def weights(model):
    return [weight for group in flipped(model) for weight in group["params"]]


def test_flips_take_clipped_gradients_and_none_that_is_not_finite():
    model = network("bso")
    optimizer = Optimizer(model, 1e-2, 20)
    parameters = list(model.parameters())
    for parameter in parameters:
        parameter.grad = torch.randn_like(parameter)
    norms = torch.stack([p.grad.norm() for p in parameters])
    factor = GRADIENT_NORM / torch.linalg.vector_norm(norms)
    assert factor < 1
    optimizer.step(torch.tensor(1.0), norms)
    states = optimizer.flips.state
    for weight in weights(model):
        rate = optimizer.flips.param_groups[0]["lr"]
        torch.testing.assert_close(states[weight]["average"], rate * factor * weight.grad)
    before = [(w.clone(), *map(torch.clone, states[w].values())) for w in weights(model)]
    for gradient in (torch.nan, 1.0):  # from the first that is not finite on
        for parameter in parameters:
            parameter.grad = torch.full_like(parameter, gradient)
        optimizer.step(torch.tensor(1.0), norms * gradient)
    for weight, was in zip(weights(model), before):
        assert all(map(torch.equal, (weight, *states[weight].values()), was))


def test_adaptivity_falls_by_ten_in_each_eighth_of_the_steps():
    model = network()
    optimizer = Optimizer(model, 1e-2, 32)
    for number in range(32):
        if number == 13:  # as a run that is resumed
            optimizer, before = Optimizer(model, 1e-2, 32), optimizer
            for name, part in optimizer.parts().items():
                part.load_state_dict(before.parts()[name].state_dict())
        rates = [group["lr"] for group in optimizer.flips.param_groups]
        assert rates == pytest.approx([1e-3 * 0.1 ** (number // 4)] * 3)
        for parameter in model.parameters():
            parameter.grad = torch.zeros_like(parameter)
        optimizer.step(torch.tensor(0.0), torch.zeros(1))


def stop():
    raise KeyboardInterrupt


@pytest.mark.parametrize("name", ["bso", "tbso", "qsnn"])
def test_a_stopped_run_goes_on_to_the_same_end(tiny, in_tmp, monkeypatch, name):
    settings = tiny | {"quantizer": name, "batch_size": 6}
    fit(settings, in_tmp / "undisturbed")
    monkeypatch.setattr(training, "CHECKPOINT_SECONDS", 0)
    stopping = at_call(7, stop, training_gradients.loss_of)  # the second epoch's second step
    with monkeypatch.context() as stopped, pytest.raises(KeyboardInterrupt):
        stopped.setattr(training_gradients, "loss_of", stopping)
        fit(settings, in_tmp / "run")
    fit(settings, in_tmp / "run")
    assert results(in_tmp / "run") == results(in_tmp / "undisturbed")
