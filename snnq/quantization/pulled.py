"""Weights that stay in full precision in training, and that a term of the loss pulls to their levels.

Both methods here are of the same authors, and are made for memories with known faults: a weight is pulled
to the levels that it reaches alone. Evaluation takes the nearest of those. With α fixed, q_j = αY_j; the
published strengths λ go with other losses and networks, so those here are ours.
"""

from collections.abc import Iterable

import torch
from torch import Tensor

from snnq.quantization.base import LevelQuantizer, index_of_nearest
from snnq.quantization.levels import fitted_scale


class PulledQuantizer(LevelQuantizer):
    """y = w in training, α · the nearest level that w reaches in evaluation; not a method by itself.

    Parameters
    ----------
    weight : Tensor, any shape
        The weights to start from; α brings the nearest levels nearest to them, in the least-squares
        sense, and stays.
    levels : str or increasing numbers
    strengths : pair of floats above 0
        λ at the start of the training, and at its end; it rises by the same factor in each epoch.

    Attributes
    ----------
    alpha, strength : Tensor, scalar
        The scale, and λ now.

    Raises
    ------
    ValueError
        Strengths that are not above 0.
    """

    takes_reachable = True

    def __init__(self, weight: Tensor, levels: str | Iterable[float], strengths: tuple[float, float]):
        super().__init__(weight, levels)
        if not min(strengths) > 0:
            raise ValueError(f"strengths={strengths}: expected two numbers above 0")
        self.strengths = strengths
        self.register_buffer("alpha", weight.new_tensor(fitted_scale(weight, self.level_values)))
        self.register_buffer("strength", weight.new_tensor(strengths[0]))

    def advance(self, share: float) -> None:
        first, last = self.strengths
        self.strength.fill_(first * (last / first) ** share)

    def soft(self, weight: Tensor) -> Tensor:
        return weight

    def values(self, weight: Tensor) -> Tensor:
        return self.alpha * self.level_values

    def level_indices(self, weight: Tensor) -> Tensor:
        if self.reachable is None:
            return index_of_nearest(weight, self.values(weight))
        return self.reachable.nearest(weight, self.values(weight))

    def thresholds(self, weight: Tensor) -> None:
        return None


class QFALTQuantizer(PulledQuantizer):
    """A well at each level: −λ Σ_w Σ_j v_j(w) exp(−(w − q_j)² / σ²) is added to the loss.

    QFALT (Biswas and Ganguly, "QFALT: Quantization and Fault Aware Loss for Training Enables
    Performance Recovery with Unreliable Weights", 2024). v_j(w) is 0 where w does not reach level j,
    else 1. σ falls from Δ, the mean distance of two neighbouring values, to Δ/2 over the epochs.
    """

    def __init__(
        self,
        weight: Tensor,
        levels: str | Iterable[float],
        strengths: tuple[float, float] = (1e-4, 1e-2),
    ):
        super().__init__(weight, levels, strengths)
        self.register_buffer("width", torch.ones_like(self.alpha))  # σ/Δ

    def advance(self, share: float) -> None:
        super().advance(share)
        self.width.fill_(1 - share / 2)

    def penalty(self, weight: Tensor) -> Tensor:
        values = self.values(weight)
        width = self.width * (values[-1] - values[0]) / (len(values) - 1)
        total = 0.0
        for level, value in enumerate(values):
            well = (-((weight - value) / width).square()).exp()
            if self.reachable is not None:
                well = well * self.reachable.sets[:, level][self.reachable.rows.int()]
            total = total + well.sum()
        return -self.strength * total


class NearestLevelQuantizer(PulledQuantizer):
    """Squared distances to the nearest levels: λ Σ_l (q_p / N_l) Σ_w min_j (w − q_j)² is added to the loss.

    Biswas et al., "Regularization-based Framework for Quantization-, Fault- and Variability-Aware
    Training", 2025 (arXiv 2503.01297), with a fixed step size: over the layers l of N_l weights each, the
    minimum over the levels that w reaches; q_p is the greatest level. λ rises geometrically.
    """

    def __init__(
        self,
        weight: Tensor,
        levels: str | Iterable[float],
        strengths: tuple[float, float] = (1.0, 1e3),
    ):
        super().__init__(weight, levels, strengths)

    def penalty(self, weight: Tensor) -> Tensor:
        nearest = self.hard(weight.detach())
        return self.strength * self.levels[-1] * (weight - nearest).square().mean()
