"""Quantizers from papers on spiking networks, in the interface of those of `methods.py`.

Each has one scale for the layer, since a packed layer has one value for each level. Their papers
have one for each output channel, or none; batch norm, which follows every quantized layer there,
makes no difference between the two. Our linear layers have none behind them.
"""

import math
from collections.abc import Iterable

from torch import Tensor, nn

from snnq.quantization.base import LevelQuantizer, index_of_nearest, straight_through
from snnq.quantization.sigmoid import checked_temperature


class QSNNQuantizer(LevelQuantizer):
    """y = α sign(ŵ) of standardized weights ŵ, with the slope of a tanh that sharpens.

    Q-SNN (Wei et al., ACM MM 2024, arXiv 2406.13672, and its code, github.com/Wenjie-Wei/Q-SNN):
    ŵ = (w − μ)/σ, with mean and standard deviation (that of a sample, n − 1) of each output
    channel, which the gradient passes through. In place of the sign's slope ∂/∂ŵ = k T
    (1 − tanh²(T ŵ)), k = max(1/T, 1), with T from 0.1 to 10 over the epochs, by the same factor in
    each: wide at first, sharp at last. T is this method's own, not the run's temperature.

    α = mean |w − μ| of the layer, with no gradient. Their code has for each channel the power of
    two that is nearest to mean |ŵ|, before batch norm. Binary only. Of the paper's other parts, a
    loss on firing rates and quantized membrane potentials, nothing is here.

    Parameters
    ----------
    weight : Tensor [channels, ...]
        With two weights or more in each channel.
    temperatures : pair of floats
        T at the start of the training, and at its end.

    Attributes
    ----------
    temperature : Tensor, scalar
        T now; `advance` moves it.
    """

    def __init__(
        self,
        weight: Tensor,
        levels: str | Iterable[float] = "binary",
        temperatures: tuple[float, float] = (0.1, 10.0),
    ):
        super().__init__(weight, levels)
        self._refuse_unless(self.levels == (-1, 1), "(-1, 1)")
        if weight.ndim < 2 or weight[0].numel() < 2:
            raise ValueError(
                f"weight of shape {tuple(weight.shape)}: expected two weights or more in each"
                " channel, to standardize them"
            )
        first, _ = map(checked_temperature, temperatures)
        self.temperatures = temperatures
        self.register_buffer("temperature", first.to(weight))

    def advance(self, share: float) -> None:
        first, last = self.temperatures
        self.temperature.fill_(first * (last / first) ** share)

    def soft(self, weight: Tensor) -> Tensor:
        centred = _centred(weight)
        deviation = centred.std(_within_channels(weight), keepdim=True)
        standardized = centred / (deviation + (deviation == 0))  # all alike: centred is 0
        k = (1 / self.temperature).clamp(min=1)
        tanh = k * (self.temperature * standardized).tanh()
        return straight_through(self._alpha(centred) * tanh, self.hard(weight).detach())

    def values(self, weight: Tensor) -> Tensor:
        return self._alpha(_centred(weight)) * self.level_values

    def level_indices(self, weight: Tensor) -> Tensor:
        return (_centred(weight) > 0).long()

    def thresholds(self, weight: Tensor) -> None:
        return None  # each channel has its own, its mean

    def _alpha(self, centred: Tensor) -> Tensor:
        return centred.detach().abs().mean()


class RescalingQuantizer(LevelQuantizer):
    """y = γ · the nearest of evenly spaced values from −1 to 1 to w/γ, γ = mean |w|.

    ReScaW of QP-SNN (Wei et al., ICLR 2025, arXiv 2502.05905, eq. 10): with s = 2^b − 1 steps for b
    bits, y = γ (2/s · round(s/2 (clip(w/γ, −1, 1) + 1)) − 1), γ being the mean |w| that the paper
    finds best. s is one less than the number of levels, so that ternary weights, with which the
    paper does not deal, have two steps. The gradient is that of w/γ, G/γ, past the rounding, the
    clipping, and the factor γ before it, which has none itself: so in code that is around for the
    method (its authors' own was not to be had). Binary, y is that of `DoReFaQuantizer`, whose
    gradient is G: for Adam, nearly the same. Evenly spaced levels, as many below zero as above.
    """

    def __init__(self, weight: Tensor, levels: str | Iterable[float]):
        super().__init__(weight, levels)
        self._refuse_unless_even()

    def soft(self, weight: Tensor) -> Tensor:
        passed = weight / weight.detach().abs().mean()
        return straight_through(passed, self.hard(weight).detach())

    def values(self, weight: Tensor) -> Tensor:
        return weight.abs().mean() * self.level_values / self.levels[-1]

    def level_indices(self, weight: Tensor) -> Tensor:
        return index_of_nearest(weight, self.values(weight))


class FlipQuantizer(LevelQuantizer):
    """y = α w of weights w that are −1 or 1 themselves and flip, with no others behind them.

    BSO (Liang et al., ICML 2025, arXiv 2511.12502): w flips where the average of its gradients has
    its sign and passes a threshold, see `snnq.training.flips.Flips`, which makes the weights −1
    and 1 when training begins. Until then y = α sign(w). Binary only.

    α starts at the mean |w| of the weights that are given, and is learned: the paper has none,
    with batch norm after each binary layer.

    Parameters
    ----------
    adaptivity : float
        γ in (0, 1], the weight of a new gradient in the average: 0.001 as in their code.
    threshold : float
        τ of at least 0, that the average has to pass. In units of the gradient, so it belongs to a
        loss: they have 5e-7 with cross-entropy on CIFAR. The mean-squared error over ten classes
        has gradients of about a tenth, and with 5e-7 a network of 4 channels fell silent.

    Attributes
    ----------
    alpha : Parameter, scalar
    """

    normalized = False  # whether the threshold is in units of the layer's gradients

    def __init__(
        self,
        weight: Tensor,
        levels: str | Iterable[float] = "binary",
        adaptivity: float = 1e-3,
        threshold: float = 5e-8,
    ):
        super().__init__(weight, levels)
        self._refuse_unless(self.levels == (-1, 1), "(-1, 1)")
        if not 0 < adaptivity <= 1:
            raise ValueError(f"adaptivity={adaptivity}: expected a number above 0, 1 at most")
        if not (math.isfinite(threshold) and threshold >= 0):
            raise ValueError(f"threshold={threshold}: expected a finite number of at least 0")
        self.adaptivity, self.threshold = adaptivity, threshold
        self.alpha = nn.Parameter(weight.detach().abs().mean())

    def soft(self, weight: Tensor) -> Tensor:
        return self.alpha * straight_through(weight, self.level_values[self.level_indices(weight)])

    def values(self, weight: Tensor) -> Tensor:
        return self.alpha * self.level_values

    def level_indices(self, weight: Tensor) -> Tensor:
        return (weight > 0).long()

    def thresholds(self, weight: Tensor) -> None:
        return None


class NormalizedFlipQuantizer(FlipQuantizer):
    """As `FlipQuantizer`, the threshold being in units of the layer's root mean square gradient.

    T-BSO of the same paper. There each time step has a mean square of its own, and a step of
    training; we have the gradient of all time steps together, and one mean square for the layer.
    γ = 0.001 and τ = 5e-7 as in their code for CIFAR, which comes near to no threshold at all.
    """

    normalized = True

    def __init__(
        self,
        weight: Tensor,
        levels: str | Iterable[float] = "binary",
        adaptivity: float = 1e-3,
        threshold: float = 5e-7,
    ):
        super().__init__(weight, levels, adaptivity, threshold)


def _within_channels(weight: Tensor) -> tuple[int, ...]:
    return tuple(range(1, weight.ndim))


def _centred(weight: Tensor) -> Tensor:
    """Weights less the mean of their output channel, the first dimension."""
    return weight - weight.mean(_within_channels(weight), keepdim=True)
