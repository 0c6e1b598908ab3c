import importlib.util

import numpy as np
import pytest
import torch
from conftest import LEVELS_OF
from hypothesis import given
from hypothesis import strategies as st

import snnq
from snnq.quantization.levels import LEVELS
from snnq.quantization.methods import (
    QUANTIZERS,
    DoReFaQuantizer,
    LSQQuantizer,
    RoundingQuantizer,
    SignQuantizer,
    TernaryQuantizer,
    TrainedTernaryQuantizer,
)
from snnq.quantization.network import set_progress
from snnq.quantization.spiking_methods import (
    FlipQuantizer,
    NormalizedFlipQuantizer,
    QSNNQuantizer,
    RescalingQuantizer,
)

seeds = st.integers(0, 2**31)
symmetric = st.sampled_from(["binary", "ternary", "2bit", "3bit", "4bit"])


def random_weight(seed: int, scale: float = 0.3) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return scale * torch.randn(8, 3, 3, generator=generator, dtype=torch.float64)


def results(quantizer, weight, seed):
    """Output in training and in evaluation, upstream gradient, and gradients of w and parameters."""
    return results_of(quantizer, weight, random_weight(seed + 1))


def results_of(quantizer, weight, towards):
    weight = weight.clone().requires_grad_()
    soft = quantizer.train()(weight)
    gradients = torch.autograd.grad((soft * towards).sum(), [weight, *quantizer.parameters()])
    hard = quantizer.eval()(weight)
    return [x.detach().numpy() for x in (soft, hard, towards, *gradients)]


@given(seeds)
def test_sign(seed):
    w = random_weight(seed, scale=0.8)
    soft, hard, g, by_w = results(SignQuantizer(w), w, seed)
    w = w.numpy()
    alpha, sign = np.abs(w).mean(), np.where(w > 0, 1, -1)
    np.testing.assert_allclose(soft, alpha * sign)
    np.testing.assert_allclose(hard, alpha * sign)
    expected = alpha * g * (np.abs(w) <= 1) + sign / w.size * (g * sign).sum()
    np.testing.assert_allclose(by_w, expected)


@given(symmetric, st.floats(0.02, 2), seeds)
def test_lsq(levels, alpha, seed):
    w = random_weight(seed)
    quantizer = LSQQuantizer(w, levels)
    quantizer.alpha.data.fill_(alpha)
    soft, hard, g, by_w, by_alpha = results(quantizer, w, seed)
    w, values = w.numpy(), np.array(LEVELS[levels], float)
    nearest = values[np.abs(w[..., None] / alpha - values).argmin(-1)]
    inside = np.abs(w / alpha) < values[-1]
    np.testing.assert_allclose(soft, alpha * nearest, rtol=1e-12)
    np.testing.assert_array_equal(hard, alpha * nearest)
    np.testing.assert_allclose(by_w, g * inside)
    steps_above = values[-1] / (values[1] - values[0])
    expected = (g * np.where(inside, nearest - w / alpha, nearest)).sum()
    np.testing.assert_allclose(by_alpha, expected / np.sqrt(w.size * steps_above), rtol=1e-9)


@given(symmetric, seeds)
def test_dorefa(levels, seed):
    w = random_weight(seed)
    soft, hard, g, by_w = results(DoReFaQuantizer(w, levels), w, seed)
    w, count = w.numpy(), len(LEVELS[levels])
    if levels == "binary":
        expected, slope = np.abs(w).mean() * np.where(w > 0, 1, -1), 1
    else:  # eq. 9 as printed: from 0 to 1 and back
        tanh = np.tanh(w)
        unit = tanh / (2 * np.abs(tanh).max()) + 0.5
        expected = 2 * np.round((count - 1) * unit) / (count - 1) - 1
    np.testing.assert_allclose(soft, expected, atol=1e-12)
    np.testing.assert_allclose(hard, expected, atol=1e-12)
    if levels == "binary":
        np.testing.assert_allclose(by_w, g * slope)
    else:
        most = np.abs(tanh).argmax()
        others = (
            np.arange(w.size) != most
        )  # the greatest has the gradient of all through the maximum
        slope = (1 - tanh**2) / np.abs(tanh).max()
        np.testing.assert_allclose(by_w.ravel()[others], (g * slope).ravel()[others])


@given(seeds)
def test_ternary(seed):
    w = random_weight(seed)
    soft, hard, g, by_w = results(TernaryQuantizer(w), w, seed)
    w = w.numpy()
    large = np.abs(w) > 0.7 * np.abs(w).mean()
    expected = np.abs(w)[large].mean() * np.sign(w) * large
    np.testing.assert_allclose(soft, expected, atol=1e-12)
    np.testing.assert_allclose(hard, expected, atol=1e-12)
    np.testing.assert_array_equal(by_w, g)


@given(st.floats(0.01, 2), st.floats(0.01, 2), seeds)
def test_trained_ternary(negative, positive, seed):
    w = random_weight(seed)
    quantizer = TrainedTernaryQuantizer(w)
    quantizer.alphas.data.copy_(torch.tensor([negative, positive], dtype=w.dtype))
    soft, hard, g, by_w, by_alphas = results(quantizer, w, seed)
    w = w.numpy()
    delta = 0.05 * np.abs(w).max()
    above, below = w > delta, w < -delta
    expected = positive * above - negative * below
    np.testing.assert_allclose(soft, expected, atol=1e-12)
    np.testing.assert_array_equal(hard, expected)
    np.testing.assert_allclose(by_w, g * (positive * above + negative * below + ~(above | below)))
    np.testing.assert_allclose(by_alphas, [-g[below].sum(), g[above].sum()], atol=1e-12)


@given(symmetric, seeds, st.sampled_from([1e-6, 1.0, 1e3]))
def test_rounding_is_near_the_best_scale(levels, seed, size):
    w = size * random_weight(seed)
    soft, hard, g, by_w = results(RoundingQuantizer(w, levels), w, seed)
    w, values = w.numpy(), np.array(LEVELS[levels], float)
    np.testing.assert_array_equal(soft, w)
    np.testing.assert_array_equal(by_w, g)
    alphas = np.linspace(0.01, 1.5, 600) * np.abs(w).max() / values[-1]
    errors = [
        ((alpha * values[np.abs(w[..., None] / alpha - values).argmin(-1)] - w) ** 2).sum()
        for alpha in alphas
    ]
    assert ((hard - w) ** 2).sum() <= 1.02 * min(errors) + 1e-9 * size**2
    assert len(np.unique(hard)) <= len(values)


def test_rounding_finds_the_scale_of_weights_that_lie_on_levels():
    w = 0.1 * torch.tensor([-3.0, -1.0, 1.0, 3.0]).repeat(50)
    assert torch.allclose(RoundingQuantizer(w, "3bit").eval()(w), w, rtol=1e-4)


@given(st.floats(0.1, 10), seeds)
def test_qsnn(temperature, seed):
    w = random_weight(seed) + 0.1
    quantizer = QSNNQuantizer(w)
    quantizer.temperature.fill_(temperature)
    soft, hard, g, by_w = results(quantizer, w, seed)
    w, g, count = w.numpy().reshape(8, -1), g.reshape(8, -1), w[0].numel()
    centred = w - w.mean(1, keepdims=True)
    deviation = np.sqrt((centred**2).sum(1, keepdims=True) / (count - 1))
    standard, alpha = centred / deviation, np.abs(centred).mean()
    expected = alpha * np.where(standard > 0, 1, -1)
    np.testing.assert_allclose(soft.reshape(8, -1), expected, rtol=1e-12)
    np.testing.assert_allclose(hard.reshape(8, -1), expected, rtol=1e-12)
    slope = max(1 / temperature, 1) * temperature * (1 - np.tanh(temperature * standard) ** 2)
    # Through ŵ_i = (w_i − μ)/σ, by its matrix of derivatives.
    passed = alpha * g * slope
    for channel in range(8):
        of = standard[channel]
        by = np.eye(count) - 1 / count - np.outer(of, of) / (count - 1)
        gradient = passed[channel] @ by / deviation[channel]
        np.testing.assert_allclose(by_w[channel].ravel(), gradient, rtol=1e-7, atol=1e-12)


def test_the_tanh_of_qsnn_sharpens_as_in_its_code():
    model = snnq.quantize(
        snnq.build_model("nmnist", channels=2), "binary", quantizer=QSNNQuantizer
    )
    for epoch in range(28):
        set_progress(model, epoch / 28)
        expected = pytest.approx(10 ** (-1 + 2 / 28 * epoch))
        assert all(of.temperature.item() == expected for of in snnq.quantizers(model).values())


def test_qsnn_standardizes_what_has_no_spread():
    w = torch.cat([torch.full((1, 4), 0.25), torch.tensor([[0.1, -0.2, 0.3, 0.0]])])
    _, hard, _, by_w = results_of(QSNNQuantizer(w), w, torch.ones(2, 4))
    assert np.isfinite(by_w).all() and (hard[0] < 0).all()
    with pytest.raises(ValueError, match="two weights or more"):
        QSNNQuantizer(torch.ones(3, 1, 1, 1))
    with pytest.raises(ValueError, match="temperature=0"):
        QSNNQuantizer(w, temperatures=(0.1, 0))


@given(symmetric, seeds)
def test_rescaw(levels, seed):
    w = random_weight(seed)
    soft, hard, g, by_w = results(RescalingQuantizer(w, levels), w, seed)
    w, s = w.numpy(), len(LEVELS[levels]) - 1
    gamma = np.abs(w).mean()
    expected = gamma * (2 / s * np.round(s / 2 * (np.clip(w / gamma, -1, 1) + 1)) - 1)
    np.testing.assert_allclose(soft, expected, atol=1e-12)
    np.testing.assert_allclose(hard, expected, atol=1e-12)
    np.testing.assert_allclose(by_w, g / gamma)


@given(st.sampled_from([FlipQuantizer, NormalizedFlipQuantizer]), st.floats(0.01, 2), seeds)
def test_flipping_weights(kind, alpha, seed):
    w = random_weight(seed)
    quantizer = kind(w)
    assert quantizer.alpha.item() == pytest.approx(w.abs().mean().item())
    quantizer.alpha.data.fill_(alpha)
    sign = torch.where(w > 0, 1.0, -1.0).double()
    for weight in (w, sign):  # before training, and in it
        soft, hard, g, by_w, by_alpha = results(quantizer, weight, seed)
        np.testing.assert_allclose(soft, alpha * sign)
        np.testing.assert_allclose(hard, alpha * sign)
        np.testing.assert_allclose(by_w, alpha * g)
        np.testing.assert_allclose(by_alpha, (g * sign.numpy()).sum())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"adaptivity": 0.0}, "adaptivity=0.0: expected a number above 0, 1 at most"),
        ({"adaptivity": 1.5}, "adaptivity=1.5"),
        ({"threshold": -1e-9}, "threshold=-1e-09: expected a finite number of at least 0"),
        ({"threshold": float("nan")}, "threshold=nan"),
    ],
)
def test_options_out_of_range_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        FlipQuantizer(random_weight(0), **options)


@pytest.mark.parametrize("name", [name for name in QUANTIZERS if name != "sigmoid"])
def test_evaluation_has_the_levels_values_alone(name):
    levels = LEVELS_OF.get(name, "2bit")
    weight = random_weight(3).float()
    quantizer = QUANTIZERS[name](weight, levels).eval()
    assert set(quantizer(weight).unique().tolist()) <= set(quantizer.values(weight).tolist())
    model = snnq.quantize(
        snnq.build_model("nmnist", channels=2), levels, quantizer=QUANTIZERS[name]
    )
    rates = model(torch.ones(2, 3, 2, 34, 34))
    rates.sum().backward()
    assert all(p.grad is not None for p in model.parameters())
    assert len(snnq.quantizers(model)) == 3


@pytest.mark.parametrize(
    ("name", "levels"),
    [("sign", "ternary"), ("twn", "binary"), ("ttq", "2bit"), ("dorefa", "pm4"), ("lsq", (-2, -1))]
    + [("qsnn", "2bit"), ("rescaw", "pm4"), ("bso", "ternary"), ("tbso", (-2, 2))],
)
def test_levels_that_a_method_is_not_made_for_are_refused(name, levels):
    with pytest.raises(ValueError, match="levels="):
        QUANTIZERS[name](random_weight(0), levels)


def test_a_weight_of_zeros_is_refused():
    with pytest.raises(ValueError, match="not all zero"):
        SignQuantizer(torch.zeros(3, 3))


def test_lsq_and_sign_are_brevitas_given_its_scale(peer):
    peer("brevitas", importlib.util.find_spec("brevitas"))
    from brevitas.nn import QuantLinear
    from brevitas.quant import Int8WeightPerTensorFloat, SignedBinaryWeightPerTensorConst

    w = random_weight(5).flatten(1).float()
    layer = QuantLinear(
        w.shape[1],
        w.shape[0],
        bias=False,
        weight_quant=Int8WeightPerTensorFloat,
        weight_bit_width=3,
    )
    theirs = layer.weight_quant(w)
    ours = LSQQuantizer(w, range(-3, 4)).eval()
    ours.alpha.data.fill_(theirs.scale.item())
    torch.testing.assert_close(ours(w), theirs.value)
    layer = QuantLinear(
        w.shape[1], w.shape[0], bias=False, weight_quant=SignedBinaryWeightPerTensorConst
    )
    theirs = layer.weight_quant(w)
    torch.testing.assert_close(
        SignQuantizer(w).eval()(w) / w.abs().mean(), theirs.value / theirs.scale
    )
