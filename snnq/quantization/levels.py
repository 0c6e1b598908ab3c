"""Level sets, and the thresholds ("biases") between their levels."""

import itertools
import math
from collections.abc import Iterable

import numpy as np
import torch
from scipy.optimize import minimize_scalar
from sklearn.cluster import KMeans
from torch import Tensor

from snnq.quantization.recipe import recipe_for
from snnq.quantization.rules import read_levels

LEVELS: dict[str, tuple[float, ...]] = {
    "binary": (-1, 1),
    "ternary": (-1, 0, 1),
    "2bit": (-3, -1, 1, 3),
    "3bit": tuple(range(-7, 8, 2)),
    "4bit": tuple(range(-15, 16, 2)),
    "pm2": (-2, -1, 0, 1, 2),
    "pm4": (-4, -2, -1, 0, 1, 2, 4),
}

BIASES = ("kmeans", "uniform")  # ways to set the thresholds
ZERO_BAND = 0.05  # thresholds on either side of level zero, in units of βw
SCALES_TRIED = 64
SAMPLE = 65_536  # weights to look at: enough for 16 centres, fast for 17 million


def resolve_levels(levels: str | Iterable[float]) -> tuple[float, ...]:
    """Levels from a name in `LEVELS` or from any increasing finite numbers, also as `str` writes
    them.

    Raises
    ------
    ValueError
        Unknown name, fewer than two levels, not finite, or not strictly increasing.
    """
    if isinstance(levels, str):
        levels = read_levels(levels)
    if isinstance(levels, str):
        if levels not in LEVELS:
            raise ValueError(
                f"levels={levels!r}: unknown level set, expected one of {', '.join(LEVELS)}"
                " or an increasing sequence of numbers"
            )
        return LEVELS[levels]
    try:
        values = tuple(float(level) for level in levels)
    except (TypeError, ValueError):
        raise ValueError(f"levels={levels!r}: expected a name or a sequence of numbers") from None
    if len(values) < 2:
        raise ValueError(f"levels={values}: expected at least two levels")
    if not all(map(math.isfinite, values)):
        raise ValueError(f"levels={values}: expected finite numbers")
    if any(upper <= lower for lower, upper in zip(values, values[1:])):
        raise ValueError(f"levels={values}: expected strictly increasing numbers")
    return values


def initial_biases(scaled: Tensor, levels: tuple[float, ...], method: str | None = None) -> Tensor:
    """Thresholds b_1 <= … <= b_n for weights already multiplied by β.

    "uniform": half-way between levels, whatever the weights. None: "kmeans" for up to three levels,
    "uniform" for more. "kmeans":
    ±0.05 on either side of a level zero, 0 between a negative and a positive level; all others
    half-way between neighbouring centres of k-means with a cluster for each level (Yang et al.
    2019, sec. 3.3 and their code). Negative levels share the negative weights, positive levels the
    positive ones: with one k-means for all, as there, a centre may end up on the other side of
    zero from its level. Weights with fewer different values than levels: half-way between levels.

    Raises
    ------
    ValueError
        Unknown method.
    """
    method = recipe_for(levels).biases if method is None else method
    if method not in BIASES:
        raise ValueError(f"biases={method!r}: expected one of {', '.join(BIASES)}")
    if method == "uniform":
        return _halfway(torch.tensor(levels, dtype=torch.float64)).to(scaled)
    fixed = {}
    for i, (lower, upper) in enumerate(itertools.pairwise(levels)):
        if lower < 0 < upper:
            fixed[i] = 0.0
        elif upper == 0 and upper != levels[-1]:
            fixed[i] = -ZERO_BAND
        elif lower == 0 and lower != levels[0]:
            fixed[i] = ZERO_BAND
    all_fixed = len(fixed) == len(levels) - 1
    centres = torch.tensor(levels) if all_fixed else _centres(scaled, levels)
    biases = _halfway(centres)
    for i, bias in fixed.items():
        biases[i] = bias
    return biases.sort().values.to(scaled)


def _halfway(values: Tensor) -> Tensor:
    return (values[:-1] + values[1:]) / 2


def sample_of(weight: Tensor) -> Tensor:
    """At most 65,536 of the weights, evenly spaced."""
    return weight.detach().flatten()[:: math.ceil(weight.numel() / SAMPLE)]


def _centres(scaled: Tensor, levels: tuple[float, ...]) -> Tensor:
    """A centre of the weights for each level, in increasing order, from a sample of them."""
    sample = sample_of(scaled).cpu().double().numpy()
    names = np.array(levels, dtype=float)
    if names[0] < 0 < names[-1]:
        sides = [(sample < 0, names < 0), (sample > 0, names > 0)]
    else:
        sides = [(np.isfinite(sample), np.isfinite(names))]
    centres = names.copy()
    for chosen, side in sides:
        values, clusters = sample[chosen], side.sum()
        if len(np.unique(values)) < clusters:
            return torch.tensor(levels)
        quantiles = np.quantile(values, (np.arange(clusters) + 0.5) / clusters)
        kmeans = KMeans(clusters, init=quantiles[:, None], n_init=1).fit(values[:, None])
        centres[side] = np.sort(kmeans.cluster_centers_[:, 0])
    return torch.from_numpy(centres).float()


def fitted_scale(weight: Tensor, levels: Tensor) -> float:
    """α with which α · the level nearest to w/α is nearest to w, in the least-squares sense, for a
    sample of the weights."""
    sample, levels = sample_of(weight).double().cpu(), levels.double().cpu()

    def error(alpha: float) -> float:
        values = alpha * levels
        nearest = torch.bucketize(sample, (values[:-1] + values[1:]) / 2)
        return (values[nearest] - sample).square().sum().item()

    sizes = levels[levels != 0].abs()
    least, most = sample.abs().mean() / sizes.max() / 2, sample.abs().max() / sizes.min()
    # More than three levels have several minima: the search is around the best of many scales.
    grid = np.geomspace(least, most, SCALES_TRIED)
    best = np.clip(np.argmin([error(alpha) for alpha in grid]), 1, SCALES_TRIED - 2)
    bounds, exact = (grid[best - 1], grid[best + 1]), {"xatol": 1e-6 * grid[best]}
    return minimize_scalar(error, bounds=bounds, method="bounded", options=exact).x


def distance_to_nearest(x: Tensor, thresholds: Tensor) -> Tensor:
    """Of each x from the nearest threshold."""
    nearest = (x - thresholds[0]).abs_()
    for threshold in thresholds[1:]:  # faster than finding it, for up to some hundred
        nearest = torch.minimum(nearest, (x - threshold).abs_())
    return nearest
