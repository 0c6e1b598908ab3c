"""The slider of notebook 1, without a browser; with one see test_lab.py."""

import numpy as np
import pytest
from scipy.special import expit

import snnq
from snnq.figures import StaircaseSlider


@pytest.mark.parametrize("levels", ["binary", "4bit"])
def test_the_curve_is_of_the_level_set_at_the_temperature(levels):
    slider = StaircaseSlider(snnq.LEVELS)
    slider.levels.value, slider.temperature.value = levels, 10**1.2
    quantizer, values = slider.quantizer, np.array(snnq.LEVELS[levels])
    alpha, beta, weights = quantizer.alpha.item(), quantizer.beta.item(), np.linspace(-1, 1, 1201)
    steps = 10**1.2 * (beta * weights - quantizer.biases.numpy()[:, None])
    expected = alpha * (values[0] + np.diff(values) @ expit(steps))
    assert np.allclose(slider.soft.get_ydata(), expected, atol=1e-3)


def test_each_change_is_another_picture():
    slider = StaircaseSlider(snnq.LEVELS)
    pictures = [bytes(slider.picture.value)]
    for name, value in (("temperature", 100.0), ("levels", "ternary"), ("temperature", 3.0)):
        getattr(slider, name).value = value
        pictures.append(bytes(slider.picture.value))
    assert len(set(pictures)) == 4 and all(p.startswith(b"\x89PNG") for p in pictures)
