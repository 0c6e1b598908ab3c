"""The settings by which the sigmoids are trained unless others are given, of a study's runs and of
networks of one's own: see results/reference/recipe.csv.

What they need besides depends on how many levels a layer has. Up to three: thresholds by k-means, and
weights that harden early. With more of them weights lie near a threshold wherever they go; thresholds at
equal distances and weights that harden late bring 4 bits 0.84 points on five seeds (config/desk.yaml,
"quantizer, 4 bits"), and binary weights nothing ("hardening, later, ten seeds").
"""

from collections.abc import Sequence
from typing import NamedTuple

TEMPERATURE, BACKWARD_TEMPERATURE = 4.0, 2.0
LEARNED = ("alpha",)
FEW = 3


class Recipe(NamedTuple):
    biases: str  # see `snnq.quantization.levels.initial_biases`
    harden: tuple[float, float]  # shares of a training, see `snnq.training.hardening`


OF_FEW = Recipe("kmeans", (0.1, 0.85))
OF_MANY = Recipe("uniform", (0.5, 0.95))


def recipe_for(levels: Sequence[float]) -> Recipe:
    """Of a layer with these levels."""
    return OF_FEW if len(levels) <= FEW else OF_MANY
