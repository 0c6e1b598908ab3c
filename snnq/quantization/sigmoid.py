"""Weights through a sum of sigmoids that sharpens into a staircase.

Training sees the soft staircase, evaluation the hard one that it converges to:

    soft  y = α ( Y_0 + Σ_{i=1..n} (Y_i − Y_{i−1}) σ(T (βw − b_i)) )
    hard  y = α Y_k,  k = #{i : βw > b_i}

for levels Y_0 < … < Y_n, thresholds ("biases") b_1 < … < b_n, temperature T, and one learned
scale α and input scale β per layer (Yang et al., "Quantization Networks", CVPR 2019;
Shymyrbay et al., arXiv 2305.19295).
"""

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from snnq.quantization.base import LevelQuantizer
from snnq.quantization.levels import initial_biases
from snnq.quantization.masked import Curves, masked_staircase
from snnq.quantization.recipe import BACKWARD_TEMPERATURE, LEARNED, TEMPERATURE, recipe_for
from snnq.quantization.staircase import staircase

SCALES = ("alpha", "beta")


class SigmoidQuantizer(LevelQuantizer):
    """The differentiable quantizer, a parametrization of one layer's weight.

    In `.train()` it returns the soft staircase, in `.eval()` the hard one, whose values are
    exactly α·level (Yang et al. 2019, eq. 4–6; see the module's own page for the formulas).
    Half-precision weights are quantized in float32 and returned in half precision.

    Parameters
    ----------
    weight : Tensor, any shape
        The weights to start from. They set β = (5/4) max|Y| / max|w|, the biases
        (`initial_biases`), and α, which brings the soft output nearest to them in the
        least-squares sense: α = Σ wf / Σ f² with f = y/α. (Yang et al. start from α = 1/β, which
        with k-means thresholds makes the small weights of wide sets several times larger.)
    levels : str or increasing numbers
        A name in `LEVELS`, or the levels Y_0 < … < Y_n themselves.
    temperature : float
        T > 0, sharpness of the staircase, and what α is fitted at: that of the first epoch. A
        schedule moves it through `set_temperature`; α stays as it is.
    backward_temperature : float, optional
        T' > 0 that the slope is taken at in the backward pass. The true slope (None: T' = T)
        vanishes almost everywhere as T grows; one at a low T' goes on to move the weights.
    biases : str or None
        How the thresholds are set, see `initial_biases`: "kmeans" or "uniform"; None: by how many
        levels there are.
    learned : names
        Which of "alpha" and "beta" training moves; the others keep their first values.

    Attributes
    ----------
    alpha, beta : Parameter, scalar
        Output and input scale. β enters by its absolute value: learned in large steps it may cross
        zero, where the staircase would turn over, and the network forget all that it has learned.
    biases : Tensor [n]
        Thresholds in units of βw, fixed.

    Raises
    ------
    ValueError
        Bad levels, temperatures or biases, a name in `learned` that is none of its scales, or a
        weight that is empty, not finite, or zero throughout.
    """

    takes_reachable = True

    def __init__(
        self,
        weight: Tensor,
        levels: str | Iterable[float],
        temperature: float = TEMPERATURE,
        backward_temperature: float | None = BACKWARD_TEMPERATURE,
        biases: str | None = None,
        learned: Iterable[str] = LEARNED,
    ):
        super().__init__(weight, levels)
        check_learned(learned)
        weight = weight.detach()
        beta = 1.25 * max(map(abs, self.levels)) / weight.double().abs().max()
        self.alpha = nn.Parameter(torch.ones_like(beta).to(weight), "alpha" in learned)
        self.beta = nn.Parameter(beta.to(weight), "beta" in learned)
        thresholds = initial_biases(weight * beta, self.levels, biases)
        self.register_buffer("biases", thresholds.to(weight))
        self.register_buffer("temperature", checked_temperature(temperature).to(weight))
        self.backward_temperature = backward_temperature
        if backward_temperature is not None:
            checked_temperature(backward_temperature)
        with torch.no_grad():
            output = self.soft(weight).double()
            fitted = (weight.double() * output).sum() / output.square().sum()
            # Levels of one sign cannot follow weights of both.
            self.alpha.copy_(fitted if fitted > 0 else 1 / beta)

    @property
    def hardens(self) -> tuple[float, ...]:
        return recipe_for(self.levels).harden

    def soft(self, weight: Tensor) -> Tensor:
        """α (Y_0 + Σ s_i σ(T(βw − b_i))), differentiable in w, α and β."""
        return self._through_staircase(weight, None)

    def partly_hard(self, weight: Tensor) -> Tensor:
        return self._through_staircase(weight, self.hardened)

    def _through_staircase(self, weight: Tensor, hardened: Tensor | None) -> Tensor:
        weight_, alpha, beta, biases, temperature = self._in_full_precision(weight)
        backward = temperature
        if self.backward_temperature is not None:
            backward = torch.full_like(temperature, self.backward_temperature)
        if self.reachable is None:
            curve = alpha, beta, biases, temperature, backward, self.levels
            return staircase(weight_, *curve, hardened).to(weight.dtype)
        values = self.level_values.to(weight_)
        curves = Curves(self.reachable, biases, temperature, backward, values)
        return masked_staircase(weight_, alpha, beta, curves, hardened).to(weight.dtype)

    def values(self, weight: Tensor) -> Tensor:
        return self.alpha * self.level_values

    def level_indices(self, weight: Tensor) -> Tensor:
        weight, _, beta, biases, _ = self._in_full_precision(weight)
        if self.reachable is not None:
            return self.reachable.level_indices(weight * beta, biases)
        return torch.bucketize((weight * beta).contiguous(), biases)

    def thresholds(self, weight: Tensor) -> Tensor:
        return (self.biases / self.beta.abs()).to(weight.dtype)

    def distances(self, weight: Tensor) -> Tensor:
        if self.reachable is None:
            return super().distances(weight)
        beta = self.beta.abs()
        return self.reachable.distances(weight * beta, self.biases) / beta

    def _in_full_precision(self, weight: Tensor) -> tuple[Tensor, ...]:
        dtype = torch.promote_types(weight.dtype, torch.float32)
        values = (weight, self.alpha, self.beta.abs(), self.biases, self.temperature)
        return tuple(value.to(dtype) for value in values)

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, temperature={self.temperature.item():g}"


def check_learned(learned: Iterable[str]) -> None:
    """Raises ValueError unless every name is that of a scale."""
    if isinstance(learned, str) or not set(learned) <= set(SCALES):
        raise ValueError(f"learned={learned!r}: expected a list of some of {', '.join(SCALES)}")


def checked_temperature(value: float) -> Tensor:
    if not (math.isfinite(value) and value > 0):
        raise ValueError(f"temperature={value}: expected a finite number above 0")
    return torch.tensor(value, dtype=torch.float64)
