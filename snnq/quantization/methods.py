"""The quantizers that the sigmoids are compared with, as parametrizations of the same interface.

Each takes `(weight, levels)`, has `levels`, and returns in `.eval()` exactly the values of its
levels. In `.train()` most return the same values, with a gradient of their
own in place of the staircase's, which is zero almost everywhere: "straight through". Two train in full
precision, as rounding does, with a loss that pulls weights to levels (`pulled.py`).
"""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from snnq.quantization.base import LevelQuantizer, index_of_nearest, straight_through
from snnq.quantization.levels import fitted_scale
from snnq.quantization.pulled import NearestLevelQuantizer, QFALTQuantizer
from snnq.quantization.sigmoid import SigmoidQuantizer
from snnq.quantization.spiking_methods import (
    FlipQuantizer,
    NormalizedFlipQuantizer,
    QSNNQuantizer,
    RescalingQuantizer,
)

TERNARY_SHARE = 0.7  # of the mean |w|: the threshold that TWN's eq. 6 approximates
TRAINED_TERNARY_SHARE = 0.05  # of the greatest |w|: TTQ's threshold, sec. 3.2


class SignQuantizer(LevelQuantizer):
    """y = α sign(w), α = mean |w|, straight through where |w| ≤ 1.

    XNOR-Net's binary weights with one scale for the layer (Rastegari et al., ECCV 2016, eq. 6);
    the gradient of the sign is that of the hard tanh (Courbariaux et al. 2016, eq. 4, as in
    BinaryConnect, which clips the weights there instead). α is a function of the weights, so they
    get its gradient too. Binary only.
    """

    def __init__(self, weight: Tensor, levels: str | Iterable[float] = "binary"):
        super().__init__(weight, levels)
        self._refuse_unless(self.levels == (-1, 1), "(-1, 1)")

    def soft(self, weight: Tensor) -> Tensor:
        return weight.abs().mean() * straight_through(
            weight.clamp(-1, 1), self.level_values[self.level_indices(weight)]
        )

    def values(self, weight: Tensor) -> Tensor:
        return weight.abs().mean() * self.level_values

    def level_indices(self, weight: Tensor) -> Tensor:
        return (weight > 0).long()


class LSQQuantizer(LevelQuantizer):
    """y = α · the level nearest to w/α, with a learned step size α.

    Learned step size quantization (Esser et al., ICLR 2020, eq. 1 to 3): straight through where
    w/α lies between the outer levels, ∂y/∂α = level − w/α there and the outer level beyond, its
    gradient scaled by 1/√(N Q) for N weights and Q steps above zero; α starts at 2 mean |w| / √Q
    per step. With levels (−1, 1) it is the sign, as in the binary extension for spiking networks.

    Attributes
    ----------
    alpha : Parameter, scalar
    """

    def __init__(self, weight: Tensor, levels: str | Iterable[float]):
        super().__init__(weight, levels)
        self._refuse_unless(self.levels[-1] > 0, "a level above 0")
        step = (self.levels[-1] - self.levels[0]) / (len(self.levels) - 1)
        steps_above = self.levels[-1] / step
        start = 2 * weight.detach().abs().mean() / (step * steps_above**0.5)
        self.alpha = nn.Parameter(start.clone())
        self.scale = (weight.numel() * steps_above) ** -0.5

    def soft(self, weight: Tensor) -> Tensor:
        alpha = self.alpha * self.scale + (self.alpha * (1 - self.scale)).detach()
        scaled = (weight / alpha).clamp(self.levels[0], self.levels[-1])
        nearest = self.level_values[index_of_nearest(scaled.detach(), self.level_values)]
        return alpha * straight_through(scaled, nearest)

    def values(self, weight: Tensor) -> Tensor:
        return self.alpha * self.level_values

    def level_indices(self, weight: Tensor) -> Tensor:
        return index_of_nearest(weight / self.alpha, self.level_values)


class DoReFaQuantizer(LevelQuantizer):
    """y = the nearest of evenly spaced values from −1 to 1 to tanh(w) / max |tanh w|.

    DoReFa-Net (Zhou et al. 2016, eq. 9 and 10): straight through the rounding, not through the
    tanh. Binary is mean |w| sign(w), straight through (eq. 8). Evenly spaced levels, as many below
    zero as above.
    """

    def __init__(self, weight: Tensor, levels: str | Iterable[float]):
        super().__init__(weight, levels)
        self._refuse_unless_even()

    def soft(self, weight: Tensor) -> Tensor:
        hard = self.hard(weight).detach()
        return straight_through(weight if self._is_binary else _squashed(weight), hard)

    def values(self, weight: Tensor) -> Tensor:
        unit = self.level_values / self.levels[-1]
        return weight.abs().mean() * unit if self._is_binary else unit

    def level_indices(self, weight: Tensor) -> Tensor:
        return index_of_nearest(weight if self._is_binary else _squashed(weight), self.values(weight))

    def thresholds(self, weight: Tensor) -> Tensor:
        between = super().thresholds(weight)
        return between if self._is_binary else (between * weight.tanh().abs().max()).atanh()

    @property
    def _is_binary(self) -> bool:
        return len(self.levels) == 2


class TernaryQuantizer(LevelQuantizer):
    """y = α (−1, 0 or 1), 0 where |w| ≤ Δ = 0.7 mean |w|; α = mean |w| over the others.

    Ternary weight networks (Li et al. 2016, eq. 3, 5 and 6), straight through. Ternary only.
    """

    def __init__(self, weight: Tensor, levels: str | Iterable[float] = "ternary"):
        super().__init__(weight, levels)
        self._refuse_unless(self.levels == (-1, 0, 1), "(-1, 0, 1)")

    def soft(self, weight: Tensor) -> Tensor:
        return straight_through(weight, self.hard(weight).detach())

    def values(self, weight: Tensor) -> Tensor:
        size = weight.abs()
        large = size > TERNARY_SHARE * size.mean()
        # Not size[large], for whose length a GPU would have to be asked.
        return (size * large).mean() / large.to(size).mean() * self.level_values

    def level_indices(self, weight: Tensor) -> Tensor:
        return _ternary(weight, TERNARY_SHARE * weight.abs().mean())

    def thresholds(self, weight: Tensor) -> Tensor:
        return TERNARY_SHARE * weight.abs().mean() * self.level_values[[0, 2]]


class TrainedTernaryQuantizer(LevelQuantizer):
    """y = −α_n, 0 or α_p, with both values learned; 0 where |w| ≤ Δ = 0.05 max |w|.

    Trained ternary quantization (Zhu et al., ICLR 2017, eq. 6 to 9): ∂/∂w = G times α_p, 1 or α_n
    according to the level, and ∂/∂α_p = Σ G over the weights above Δ (∂/∂α_n = −Σ G below −Δ).
    Ternary only.

    Attributes
    ----------
    alphas : Parameter [2]
        α_n and α_p.
    """

    scales = 2

    def __init__(self, weight: Tensor, levels: str | Iterable[float] = "ternary"):
        super().__init__(weight, levels)
        self._refuse_unless(self.levels == (-1, 0, 1), "(-1, 0, 1)")
        size = weight.detach().abs()
        start = size[size > TRAINED_TERNARY_SHARE * size.max()].mean()
        self.alphas = nn.Parameter(start.repeat(2))

    def soft(self, weight: Tensor) -> Tensor:
        indices = self.level_indices(weight)
        negative, positive = self.alphas
        slopes = torch.stack([negative, torch.ones_like(positive), positive]).detach()
        passed = weight * slopes[indices]
        return self.values(weight)[indices] + (passed - passed.detach())

    def values(self, weight: Tensor) -> Tensor:
        negative, positive = self.alphas
        return torch.stack([-negative, torch.zeros_like(positive), positive])

    def level_indices(self, weight: Tensor) -> Tensor:
        return _ternary(weight, TRAINED_TERNARY_SHARE * weight.abs().max())

    def thresholds(self, weight: Tensor) -> Tensor:
        return TRAINED_TERNARY_SHARE * weight.abs().max() * self.level_values[[0, 2]]


class RoundingQuantizer(LevelQuantizer):
    """Post-training rounding: trained in full precision, evaluated at the nearest levels.

    y = α · the level nearest to w/α, with the α that brings a sample of the weights nearest to
    themselves, in the least-squares sense.
    """

    def soft(self, weight: Tensor) -> Tensor:
        return weight

    def values(self, weight: Tensor) -> Tensor:
        return self._alpha(weight) * self.level_values

    def level_indices(self, weight: Tensor) -> Tensor:
        return index_of_nearest(weight, self.values(weight))

    def thresholds(self, weight: Tensor) -> None:
        return None

    def _alpha(self, weight: Tensor) -> float:
        return fitted_scale(weight, self.level_values)


def _ternary(weight: Tensor, threshold: Tensor) -> Tensor:
    return (weight > threshold).long() - (weight < -threshold).long() + 1


def _squashed(weight: Tensor) -> Tensor:
    tanh = weight.tanh()
    return tanh / tanh.abs().max()


QUANTIZERS = {
    "sigmoid": SigmoidQuantizer,
    "sign": SignQuantizer,
    "lsq": LSQQuantizer,
    "dorefa": DoReFaQuantizer,
    "twn": TernaryQuantizer,
    "ttq": TrainedTernaryQuantizer,
    "rounding": RoundingQuantizer,
    "qsnn": QSNNQuantizer,
    "rescaw": RescalingQuantizer,
    "bso": FlipQuantizer,
    "tbso": NormalizedFlipQuantizer,
    "qfalt": QFALTQuantizer,
    "nearest": NearestLevelQuantizer,
}
