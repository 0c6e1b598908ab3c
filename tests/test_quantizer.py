import itertools
import timeit

import numpy as np
import pytest
import torch
from conftest import paper_quantizer
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

import snnq
from snnq.quantization.levels import initial_biases, resolve_levels
from snnq.quantization.temperature import TEMPERATURE_SCHEDULES

level_sets = st.lists(
    st.integers(-40, 40).map(lambda i: i / 4), min_size=2, max_size=17, unique=True
).map(lambda levels: tuple(sorted(levels)))
temperatures = st.floats(0.25, 2000)
seeds = st.integers(0, 2**31)


def reference(weight, alpha, beta, biases, levels, temperature):
    """The formula of the paper, in NumPy's float64, one sigmoid after another."""
    total = np.full(weight.shape, float(levels[0]))
    for bias, (lower, upper) in zip(biases, itertools.pairwise(levels)):
        argument = np.clip(temperature * (beta * weight - bias), -10, 10)
        total += (upper - lower) / (1 + np.exp(-argument))
    return alpha * total


def as_numpy(quantizer):
    names = ("alpha", "beta", "biases")
    return [getattr(quantizer, name).detach().double().numpy() for name in names]


def random_weight(seed, *shape, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


@given(level_sets, temperatures, seeds)
def test_soft_output_is_the_papers_formula(levels, temperature, seed):
    weight = random_weight(seed, 6, 5, 3, 3)
    quantizer = paper_quantizer(weight, levels, temperature)
    expected = reference(weight.numpy(), *as_numpy(quantizer), levels, temperature)
    np.testing.assert_allclose(quantizer(weight).detach(), expected, rtol=1e-12, atol=1e-12)
    single = paper_quantizer(weight.float(), levels, temperature)
    expected = reference(weight.float().double().numpy(), *as_numpy(single), levels, temperature)
    span = float(single.alpha.detach().abs()) * (levels[-1] - levels[0])
    error = np.abs(single(weight.float()).detach().double().numpy() - expected).max()
    assert error <= 1e-6 * span


@given(level_sets, st.floats(0.25, 30), seeds)
def test_gradients_are_those_of_finite_differences(levels, temperature, seed):
    weight = random_weight(seed, 40)
    quantizer = paper_quantizer(weight, levels, temperature)
    alpha, beta, biases = as_numpy(quantizer)
    away = np.abs(np.abs(temperature * (beta * weight.numpy()[:, None] - biases)) - 10).min(1)
    weight = weight[torch.from_numpy(away > 1e-3)].requires_grad_()  # the clamp has corners
    upstream = random_weight(seed + 1, len(weight))
    loss = (quantizer(weight) * upstream).sum()
    found = torch.autograd.grad(loss, [weight, quantizer.alpha, quantizer.beta])

    def loss_at(w, a, b):
        return upstream.numpy() * reference(w, a, b, biases, levels, temperature)

    w, h = weight.detach().numpy(), 1e-6
    by_weight = (loss_at(w + h, alpha, beta) - loss_at(w - h, alpha, beta)) / (2 * h)
    by_alpha = (loss_at(w, alpha + h, beta) - loss_at(w, alpha - h, beta)).sum() / (2 * h)
    by_beta = (loss_at(w, alpha, beta + h) - loss_at(w, alpha, beta - h)).sum() / (2 * h)
    for gradient, expected in zip(found, (by_weight, by_alpha, by_beta)):
        np.testing.assert_allclose(gradient, expected, rtol=1e-4, atol=1e-5 * temperature)


@given(level_sets, temperatures, seeds, st.booleans())
def test_float32_gradients_are_those_of_float64(levels, temperature, seed, several_threads):
    weight = random_weight(seed, 150_000 if several_threads else 300, dtype=torch.float32)
    single = paper_quantizer(weight, levels, temperature)
    double = paper_quantizer(weight.double(), levels, temperature)
    for name in ("alpha", "beta", "biases"):
        getattr(double, name).data.copy_(getattr(single, name))
    towards = random_weight(seed + 1, *weight.shape)
    found, expected = (
        torch.autograd.grad(
            (quantizer(w) * towards.to(w)).sum(), [w, quantizer.alpha, quantizer.beta]
        )
        for quantizer, w in (
            (single, weight.clone().requires_grad_()),
            (double, weight.double().requires_grad_()),
        )
    )
    # Where the clamp sets in the slope jumps by 4.5e-5 of its height: on which side of it a weight
    # lies, rounding may decide.
    steepest = single.alpha * single.beta * temperature * max(np.diff(levels)) / 4
    error = (found[0] - expected[0]).abs() / (steepest * towards.abs())
    assert (error > 1e-5).sum() <= 2 and error.max() < 1e-3
    scale = steepest * weight.norm() * towards.norm()
    assert (found[2] - expected[2]).abs() <= 1e-5 * scale / single.beta
    assert (found[1] - expected[1]).abs() <= 1e-5 * (towards.norm() * expected[1].abs() + 1e-3)


@given(level_sets, temperatures, st.floats(0.25, 30), seeds)
def test_backward_temperature_moves_the_slope_alone(levels, temperature, backward, seed):
    weight = random_weight(seed, 50).requires_grad_()
    sharp = paper_quantizer(weight, levels, temperature, backward)
    wide = paper_quantizer(weight, levels, backward)
    wide.alpha.data.copy_(sharp.alpha)
    assert torch.equal(sharp(weight), paper_quantizer(weight, levels, temperature)(weight))
    parameters = lambda quantizer: [weight, quantizer.beta]  # noqa: E731
    found = torch.autograd.grad(sharp(weight).sum(), parameters(sharp))
    expected = torch.autograd.grad(wide(weight).sum(), parameters(wide))
    for gradient, other in zip(found, expected):
        torch.testing.assert_close(gradient, other)


@given(level_sets, seeds)
def test_hard_output_is_exactly_alpha_times_a_level(levels, seed):
    weight = random_weight(seed, 60, dtype=torch.float32)
    quantizer = paper_quantizer(weight, levels).eval()
    alpha, beta, biases = as_numpy(quantizer)
    passed = (quantizer.beta * weight).detach().numpy()[:, None] > biases.astype(np.float32)
    expected = quantizer.alpha.detach() * torch.tensor(levels)[torch.from_numpy(passed.sum(1))]
    assert torch.equal(quantizer(weight), expected)


@given(level_sets, seeds)
def test_biases_increase(levels, seed):
    biases = paper_quantizer(random_weight(seed, 500), levels).biases
    assert len(biases) == len(levels) - 1
    assert (biases.diff() >= 0).all()


def test_a_weight_on_a_threshold_stays_below_it():
    quantizer = paper_quantizer(torch.tensor([-1.0, 0.0, 1.0]), "binary").eval()
    assert quantizer.level_indices(torch.tensor([0.0, 1e-30])).tolist() == [0, 1]


def test_initial_scales_and_biases():
    weight = torch.tensor([-0.5, 0.1, 0.25])
    quantizer = paper_quantizer(weight, "pm2")
    assert quantizer.beta.item() == pytest.approx(1.25 * 2 / 0.5)
    assert paper_quantizer(weight, "binary").biases.tolist() == [0]
    ternary = paper_quantizer(weight, "ternary").biases
    torch.testing.assert_close(ternary, torch.tensor([-0.05, 0.05]))


@given(levels=level_sets, temperature=temperatures, seed=seeds)
def test_alpha_starts_where_the_soft_weights_are_nearest_to_the_weights(levels, temperature, seed):
    weight = random_weight(seed, 200)
    quantizer = paper_quantizer(weight, levels, temperature)
    shape = (quantizer(weight) / quantizer.alpha).detach()
    nearest, *_ = np.linalg.lstsq(shape[:, None].numpy(), weight.numpy())
    if nearest[0] > 0:
        assert quantizer.alpha.item() == pytest.approx(nearest[0], rel=1e-6)
    else:
        assert quantizer.alpha.item() == pytest.approx(1 / quantizer.beta.item())


def test_wider_sets_put_biases_between_the_clusters_of_the_weights():
    centres = torch.tensor([-3.0, -1.1, 1.1, 3.4])
    noise = 0.01 * random_weight(0, 4, 500, dtype=torch.float32)
    scaled, levels = (centres[:, None] + noise).flatten(), resolve_levels("2bit")
    biases = initial_biases(scaled, levels, "kmeans")
    torch.testing.assert_close(biases, torch.tensor([-2.05, 0.0, 2.25]), atol=0.01, rtol=0)


@pytest.mark.parametrize(("levels", "method"), [("ternary", "kmeans"), ("2bit", "uniform")])
def test_the_default_thresholds_are_those_of_as_many_levels(levels, method):
    weight = random_weight(0, 300, dtype=torch.float32)
    default = paper_quantizer(weight, levels)
    others = {of: paper_quantizer(weight, levels, biases=of) for of in ("kmeans", "uniform")}
    same = {of for of, other in others.items() if torch.equal(default.biases, other.biases)}
    assert same == {method}


def test_memory_of_the_backward_pass_does_not_grow_with_the_levels():
    def saved_bytes(levels):
        weight = random_weight(0, 1000, dtype=torch.float32).requires_grad_()
        quantizer, sizes = paper_quantizer(weight, levels), []
        with torch.autograd.graph.saved_tensors_hooks(
            lambda tensor: sizes.append(tensor.nbytes) or tensor, lambda tensor: tensor
        ):
            quantizer(weight)
        return sum(size for size in sizes if size >= weight.nbytes)

    assert saved_bytes("binary") == saved_bytes("4bit") == 2 * 4000


@pytest.mark.parametrize(
    ("levels", "message"),
    [
        ("1bit", "unknown level set"),
        ((1,), "at least two"),
        ((), "at least two"),
        ((1, 0), "strictly increasing"),
        ((0, 0), "strictly increasing"),
        ((0, float("nan")), "finite"),
        ((0, float("inf")), "finite"),
        (3, "sequence of numbers"),
        (("a", "b"), "sequence of numbers"),
    ],
)
def test_bad_levels_are_refused(levels, message):
    with pytest.raises(ValueError, match=message):
        snnq.SigmoidQuantizer(torch.ones(3), levels)


@pytest.mark.parametrize("weight", [[], [0.0, 0.0], [1.0, float("nan")], [1.0, float("inf")]])
def test_weights_without_a_scale_are_refused(weight):
    with pytest.raises(ValueError, match="expected finite values, not all zero"):
        snnq.SigmoidQuantizer(torch.tensor(weight), "binary")


@pytest.mark.parametrize("temperature", [0, -1, float("nan"), float("inf")])
def test_bad_temperatures_are_refused(temperature):
    weight = torch.ones(3)
    model = snnq.quantize(nn.Sequential(nn.Linear(2, 2)), "binary", keep=())
    for attempt in (
        lambda: snnq.SigmoidQuantizer(weight, "binary", temperature),
        lambda: snnq.SigmoidQuantizer(weight, "binary", 1.0, temperature),
        lambda: snnq.set_temperature(model, temperature),
    ):
        with pytest.raises(ValueError, match="temperature="):
            attempt()


@pytest.mark.parametrize("schedule", TEMPERATURE_SCHEDULES)
def test_temperature_schedules(schedule):
    found = [snnq.temperature_at(epoch, 11, schedule, 2.0, 50.0) for epoch in range(11)]
    assert found == sorted(found)
    assert found[-1] == pytest.approx(50)
    middle = {"linear": 26, "cosine": 26, "exponential": 10, "constant": 50}
    assert found[5] == pytest.approx(middle[schedule])
    assert found[0] == pytest.approx(50 if schedule == "constant" else 2)
    assert snnq.temperature_at(9, 10, schedule, 1.0, 5000.0) == 2000
    assert snnq.temperature_at(0, 1, schedule, 1.0, 40.0) == pytest.approx(40)


@pytest.mark.parametrize("levels", ["binary", "4bit", (-2, 0, 1)])
def test_uniform_biases_are_halfway_between_levels(levels):
    weight = torch.randn(500, generator=torch.Generator().manual_seed(0))
    quantizer = paper_quantizer(weight, levels, biases="uniform")
    values = np.array(quantizer.levels)
    np.testing.assert_allclose(quantizer.biases, (values[1:] + values[:-1]) / 2)


@pytest.mark.parametrize("learned", [(), ("alpha",), ("beta",), ("alpha", "beta")])
def test_only_the_learned_scales_have_a_gradient(learned):
    weight = torch.randn(50, generator=torch.Generator().manual_seed(0))
    quantizer = snnq.SigmoidQuantizer(weight, "2bit", learned=learned)
    weight.requires_grad_()
    quantizer(weight).square().sum().backward()
    assert weight.grad.abs().sum() > 0
    found = {name for name, scale in quantizer.named_parameters() if scale.grad is not None}
    assert found == set(learned)


@pytest.mark.parametrize("levels", ["binary", "ternary", "4bit"])
def test_a_beta_below_zero_is_the_one_above(levels):
    """A staircase does not turn over when training takes its β through zero."""
    weight = random_weight(0, 300, dtype=torch.float32)
    found = []
    for sign in (1, -1):
        quantizer = paper_quantizer(weight, levels, 4.0, 2.0)
        quantizer.beta.data *= sign
        moved = weight.clone().requires_grad_()
        quantizer(moved).pow(3).sum().backward()
        gradients = moved.grad, quantizer.alpha.grad, sign * quantizer.beta.grad
        of_weight = quantizer.thresholds(weight), quantizer.distances(weight)
        found.append((quantizer.eval()(weight), *of_weight, *gradients))
    for above, below in zip(*found):
        assert torch.equal(above, below)
    assert all(gradient.any() for gradient in gradients)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"biases": "median"}, "biases='median': expected one of kmeans, uniform"),
        ({"learned": "alpha"}, "learned='alpha': expected a list of some of alpha, beta"),
        ({"learned": ("gamma",)}, "learned=.*'gamma'.*: expected a list of some of alpha, beta"),
    ],
)
def test_bad_biases_and_scales_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        snnq.SigmoidQuantizer(torch.randn(50), "binary", **options)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])  # by table, and summed
def test_second_derivatives_are_refused(dtype):
    """They are not computed, and without a word they would be taken for zero."""
    weight = random_weight(0, 50, dtype=dtype).requires_grad_()
    quantizer = paper_quantizer(weight, "2bit")
    loss = quantizer(weight).square().sum()
    (gradient,) = torch.autograd.grad(loss, weight, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.sum().backward()


EIGHT_BITS = tuple(range(-255, 256, 2))
WIDE_APART = (-1000, -1, 0, 1, 1000)


@pytest.mark.parametrize("temperature", [1.0, 3.0, 50.0, 150.0, 200.0, 700.0, 2000.0])
@pytest.mark.parametrize("levels", [EIGHT_BITS, WIDE_APART, tuple(range(1500))], ids=len)
def test_any_number_of_levels_at_any_temperature(levels, temperature):
    """The table's accuracy, where all of it would be too long as well, thresholds among the weights."""
    weight = random_weight(0, 5_000, dtype=torch.float32)
    single = paper_quantizer(weight, levels, temperature, biases="uniform")
    with torch.no_grad():  # every threshold, and where its clamp sets in, has weights about it
        around = single.biases + torch.linspace(-11.93, 11.93, 12)[:, None] / temperature
        weight = torch.cat([weight, (around / single.beta).flatten()])
    double = paper_quantizer(weight.double(), levels, temperature, biases="uniform")
    for name in ("alpha", "beta", "biases"):
        getattr(double, name).data.copy_(getattr(single, name))
    found, expected = [], []
    for quantizer, results in ((single, found), (double, expected)):
        w = weight.clone().to(quantizer.alpha).detach().requires_grad_()
        output = quantizer(w)
        results += [output, *torch.autograd.grad(output.sum(), [w, quantizer.beta])]
    alpha, beta, biases = as_numpy(single)
    alpha, beta = alpha.item(), beta.item()
    by_hand = reference(weight.double().numpy(), alpha, beta, biases, levels, temperature)
    span = abs(alpha) * (levels[-1] - levels[0])
    assert np.abs(found[0].detach().double().numpy() - by_hand).max() <= 1e-6 * span
    steepest = alpha * beta * temperature * max(np.diff(levels)) / 4
    error = (found[1] - expected[1]).abs() / steepest
    assert (error > 1e-5).sum() <= 1e-3 * len(weight) and error.max() < 1e-3
    scale = expected[1].abs().mul(weight.abs()).sum() / beta
    assert (found[2] - expected[2]).abs() <= 1e-4 * scale


def test_no_temperature_makes_eight_bits_slow():
    """Where the table grew too long the sigmoids were summed, at thirty times the time."""
    weight = random_weight(0, 200_000, dtype=torch.float32)

    def seconds(temperature):
        quantizer = paper_quantizer(weight, EIGHT_BITS, temperature)
        quantizer(weight)
        return min(timeit.repeat(lambda: quantizer(weight), number=1, repeat=7))

    assert max(seconds(200.0), seconds(2000.0)) < 8 * seconds(100.0)
