"""The staircase of weights that reach different levels, against one written out weight by weight."""

import numpy as np
import pytest
import torch
from conftest import paper_quantizer
from hypothesis import given, settings
from hypothesis import strategies as st

from snnq.quantization.reachable import Reachable

LEVELS = ("binary", "ternary", "2bit", "pm4", "4bit", (-2, 0, 1), (-1.5, 0.25, 3, 4, 9))
seeds = st.integers(0, 2**31)


def quantizer_with_masks(levels, temperature, seed, biases="kmeans", shape=(5, 23), sets=6):
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(shape, generator=generator)
    quantizer = paper_quantizer(weight, levels, temperature, biases=biases).train()
    masks = torch.rand(sets, len(quantizer.levels), generator=generator) < 0.6
    masks[0] = True
    masks[~masks.any(1), -1] = True
    rows = torch.randint(sets, shape, generator=generator)
    quantizer.reachable = Reachable(masks, rows, quantizer.levels)
    return quantizer, weight, masks[rows].numpy()


def by_hand(quantizer, weight, masks, temperature):
    """y/α of each weight in float64, its slope in βw, and its level's place, from the definition."""
    levels = np.array(quantizer.levels)
    biases = quantizer.biases.double().numpy()
    scaled = weight.double().numpy() * quantizer.beta.double().item()
    found = np.zeros((3, *weight.shape))
    for place in np.ndindex(*weight.shape):
        x, reached = scaled[place], np.flatnonzero(masks[place])
        value, slope, index = levels[reached[0]], 0.0, reached[0]
        for lower, upper in zip(reached, reached[1:]):
            steps = np.diff(levels)[lower:upper]
            threshold = (steps * biases[lower:upper]).sum() / steps.sum()
            argument = temperature * (x - threshold)
            g = 1 / (1 + np.exp(-np.clip(argument, -10, 10)))
            value += steps.sum() * g
            slope += steps.sum() * temperature * g * (1 - g) * (abs(argument) < 10)
            index = upper if x > threshold else index
        found[(slice(None), *place)] = value, slope, index
    return found[0], found[1], found[2].astype(int)


@settings(max_examples=60)
@given(st.sampled_from(LEVELS), st.floats(0.5, 300), seeds)
def test_the_staircase_has_the_reached_steps_alone(levels, temperature, seed):
    quantizer, weight, masks = quantizer_with_masks(levels, temperature, seed)
    temperature = quantizer.temperature.item()  # as float32 has it
    value, slope, index = by_hand(quantizer, weight, masks, temperature)
    towards = torch.randn(weight.shape, generator=torch.Generator().manual_seed(seed + 1))
    span = quantizer.levels[-1] - quantizer.levels[0]
    # In float32 βw is rounded, by which it is T times as far from a threshold.
    for dtype, tolerance in ((torch.float64, 1e-9), (torch.float32, 1e-5 + 1e-6 * temperature)):
        quantizer.to(dtype)
        alpha, beta = quantizer.alpha.item(), quantizer.beta.item()
        w = weight.to(dtype, copy=True).requires_grad_()
        y = quantizer(w)
        np.testing.assert_allclose(y.detach().numpy(), alpha * value, atol=tolerance * alpha * span)
        found = torch.autograd.grad((y * towards.to(dtype)).sum(), [w, quantizer.alpha, quantizer.beta])
        g = towards.double().numpy()
        by_weight = g * alpha * beta * slope
        steepest = alpha * beta * temperature * span / 4
        # Where the clamp sets in rounding decides on which side a weight lies: 4.5e-5 of the height.
        error = np.abs(found[0].numpy() - by_weight) / (steepest * np.abs(g))
        assert (error > 10 * tolerance).mean() < 0.02 and error.max() < 1e-3
        scale = np.abs(g).sum()
        assert abs(found[1].item() - (g * value).sum()) < 1e-5 * span * scale
        by_beta = (g * alpha * slope * weight.double().numpy()).sum()
        assert abs(found[2].item() - by_beta) < 1e-3 * steepest / beta * scale
        alone = torch.from_numpy(masks.sum(-1) == 1)
        assert not found[0][alone].any()
        places = torch.from_numpy(index)
        assert torch.equal(quantizer.level_indices(w), places)
        assert torch.equal(quantizer.hard(w), quantizer.values(w)[places])


@given(st.sampled_from(LEVELS), seeds)
def test_with_thresholds_half_way_the_level_is_the_nearest_reached_one(levels, seed):
    quantizer, weight, masks = quantizer_with_masks(levels, 4.0, seed, "uniform")
    scaled = (weight * quantizer.beta).detach().double().numpy()
    distances = np.abs(scaled[..., None] - np.array(quantizer.levels))
    distances[~masks] = np.inf
    ordered = np.sort(distances, -1)
    sure = ordered[..., 1] - ordered[..., 0] > 1e-5
    found = quantizer.level_indices(weight).numpy()
    np.testing.assert_array_equal(found[sure], distances.argmin(-1)[sure])
    own = quantizer.reachable.nearest(weight * quantizer.beta.detach(), quantizer.level_values)
    np.testing.assert_array_equal(own.numpy()[sure], found[sure])


@settings(max_examples=40)
@given(st.sampled_from(LEVELS), st.floats(1, 200), seeds)
def test_hardened_weights_are_at_levels_that_they_reach(levels, temperature, seed):
    quantizer, weight, _ = quantizer_with_masks(levels, temperature, seed)
    hardened = torch.rand(weight.shape, generator=torch.Generator().manual_seed(seed)) < 0.5
    for dtype in (torch.float32, torch.float64):
        quantizer.to(dtype).hardened = None
        w = weight.to(dtype, copy=True).requires_grad_()
        moving = torch.where(hardened, w.detach(), w)
        y = torch.where(hardened, quantizer.hard(moving), quantizer(moving))
        expected = [y, *torch.autograd.grad(y.sum(), [w, quantizer.alpha, quantizer.beta])]
        quantizer.hardened = hardened
        y = quantizer(w)
        found = [y, *torch.autograd.grad(y.sum(), [w, quantizer.alpha, quantizer.beta])]
        assert torch.equal(found[0], expected[0])
        for one, other in zip(found[1:], expected[1:]):
            scale = other.abs().max().item() + weight.norm().item()
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5 * scale)


def test_weights_that_reach_all_levels_are_on_the_same_staircase():
    quantizer, weight, _ = quantizer_with_masks("3bit", 4.0, 0, sets=1)
    there = quantizer(weight), quantizer.hard(weight), quantizer.distances(weight)
    quantizer.reachable = None
    here = quantizer(weight), quantizer.hard(weight), quantizer.distances(weight)
    torch.testing.assert_close(there[0], here[0], rtol=1e-5, atol=1e-6)
    assert torch.equal(there[1], here[1])
    torch.testing.assert_close(there[2], here[2])


def test_many_sets_are_summed_in_their_stead():
    """More than a byte tells apart: not in a table."""
    levels = tuple(range(10))
    quantizer, weight, masks = quantizer_with_masks(levels, 4.0, 1, sets=500, shape=(50, 40))
    assert quantizer.reachable.rows.dtype == torch.int32
    value, _, index = by_hand(quantizer, weight, masks, 4.0)
    found = quantizer(weight).detach() / quantizer.alpha.detach()
    np.testing.assert_allclose(found, value, rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(quantizer.level_indices(weight), index)


def test_a_set_without_levels_is_refused():
    with pytest.raises(ValueError, match="a set of no levels"):
        Reachable(torch.tensor([[True, True], [False, False]]), torch.tensor([0, 1]), (-1, 1))


def test_a_step_asks_for_no_number_of_a_device():
    """Whoever asks on the meta device, which has none, fails."""
    quantizer, weight, _ = quantizer_with_masks("3bit", 4.0, 0)
    quantizer.hardened = weight > 0
    quantizer.to("meta")
    w = torch.empty(weight.shape, device="meta", requires_grad=True)
    quantizer(w).sum().backward()
    assert w.grad.shape == quantizer.alpha.grad.expand(weight.shape).shape
