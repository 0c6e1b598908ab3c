"""A network as the stages that plain C runs: sums of weights, a scale and a shift, neurons.

What α, the levels and batch norm do to the input of a neuron,

    x = γ (α Σ_j level_j n_j − mean) / √(var + ε) + β    for spikes n_j of its inputs j,

becomes x = scale · Σ_j level_j n_j + shift, with a scale and a shift for each channel. The sum
needs no multiplication: a weight's level is split into bits, and the set bits are counted.
"""

import math
from dataclasses import dataclass, field

import numpy as np
from spikingjelly.activation_based import layer, neuron
from torch import Tensor, nn

from snnq.networks.models import SpikingNetwork
from snnq.quantization.base import LevelQuantizer
from snnq.quantization.network import quantizers
from snnq.recordings.benchmarks import get_benchmark

POLARITIES, MOST = 2, 255  # channels of a frame, and the greatest count in it


@dataclass
class Stage:
    """A layer with weights and what follows it: `struct layer` in `snnq/c/net.h`.

    Attributes
    ----------
    shape : (int, int, int)
        Channels, height and width of the input.
    kernel : int
        3, or 1 for a linear layer: a convolution over one pixel.
    most : int
        The greatest input: 1 where the layer before spikes.
    rows : array [kernel · kernel · channels, neurons]
        Weights as float, or the places of their levels in `bits`.
    bits : array [levels, planes]
        Without planes the weights are float. Else level = base + Σ units · bits.
    scale, shift : arrays [neurons]
    gain, leak, threshold : float
        Of the neurons: h = v + gain (x − leak v).
    pool : int
        Height and width of what is pooled after it; 1 for nothing.
    pool_adds : bool
        Spikes are added up, the division is left to the next scale; else one is enough.
    """

    name: str
    shape: tuple[int, int, int]
    kernel: int
    most: int
    rows: np.ndarray
    scale: np.ndarray
    shift: np.ndarray
    bits: np.ndarray = field(default_factory=lambda: np.empty((0, 0), bool))
    base: float = 0.0
    units: np.ndarray = field(default_factory=lambda: np.empty(0))
    gain: float = 1.0
    leak: float = 0.0
    threshold: float = math.inf
    pool: int = 1
    pool_adds: bool = False

    @property
    def neurons(self) -> int:
        return self.rows.shape[1]

    @property
    def output(self) -> tuple[int, int, int]:
        """Channels, height and width after pooling."""
        return self.neurons, self.shape[1] // self.pool, self.shape[2] // self.pool

    @property
    def most_spikes(self) -> int:
        """The greatest output after pooling."""
        return self.pool**2 if self.pool_adds else 1


def stages_of(model: SpikingNetwork) -> list[Stage]:
    """The stages of one of `build_model`'s networks, in evaluation.

    Raises
    ------
    ValueError
        Another network, or a layer or a neuron of another kind.
    """
    if not isinstance(model, SpikingNetwork):
        raise ValueError(f"model is a {type(model).__name__}, expected one of build_model's")
    found = quantizers(model)
    stages: list[Stage] = []
    for number, module in model.layers.named_children():
        name = f"layers.{number}"
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            before = stages[-1] if stages else None
            stages.append(_weighted(name, module, found.get(name), before, model))
        elif isinstance(module, nn.BatchNorm2d):
            _fold(module, stages[-1])
        elif isinstance(module, neuron.BaseNode):
            _spike(module, stages[-1])
        elif isinstance(module, (nn.MaxPool2d, nn.AvgPool2d)):
            stages[-1].pool = module.kernel_size
            stages[-1].pool_adds = isinstance(module, nn.AvgPool2d)
        elif not isinstance(module, (nn.Flatten, layer.Dropout, layer.VotingLayer)):
            raise ValueError(f"{name}: cannot be written as C: {module}")
    return stages


def _weighted(
    name: str,
    module: nn.Conv2d | nn.Linear,
    quantizer: LevelQuantizer | None,
    before: Stage | None,
    model: SpikingNetwork,
) -> Stage:
    shape = before.output if before else (POLARITIES, *_frame_size(model))
    most = before.most_spikes if before else MOST
    scale = 1 / before.most_spikes if before else 1.0  # what average pooling left over
    kernel = module.kernel_size[0] if isinstance(module, nn.Conv2d) else 1
    packed = {}
    if quantizer is None:
        weights = module.weight
    else:
        original = module.parametrizations.weight.original
        weights = quantizer.level_indices(original)
        values = _array(quantizer.values(original))
        alpha, packed = bit_planes(np.array(quantizer.levels), values)
        scale *= alpha
    rows = _rows(weights, shape)
    if isinstance(module, nn.Linear):
        shape = (len(rows), 1, 1)
    ones = np.ones(rows.shape[1])
    return Stage(name, shape, kernel, most, rows, scale * ones, 0 * ones, **packed)


def _frame_size(model: SpikingNetwork) -> tuple[int, int]:
    benchmark, size = get_benchmark(model.architecture["benchmark"]), model.architecture["size"]
    return (size, size) if size else (benchmark.height, benchmark.width)


def _rows(weights: Tensor, shape: tuple[int, int, int]) -> np.ndarray:
    """[neurons, channels, y, x], for a linear layer over its flat input, as [y · x · channels,
    neurons]: the order in which C has pixels and channels."""
    if weights.ndim == 2:
        weights = weights.unflatten(1, shape)
    return weights.detach().cpu().permute(2, 3, 1, 0).flatten(0, 2).numpy()


def bit_planes(levels: np.ndarray, values: np.ndarray) -> tuple[float, dict]:
    """α, and the levels as base + Σ units · bits, so that values = α · levels.

    Evenly spaced levels, or any whole multiples of a step away from the first, are binary numbers.
    Others get a bit for each step, which is set from its upper level on: level k = Y_0 + Σ_{i≤k}
    (Y_i − Y_{i−1}), as in the staircase of `quantizer.py`. Where the values are not α · levels
    (trained ternary weights), they take the levels' place, with α = 1.

    Returns
    -------
    float, dict
        α; base, units [planes] and bits [levels, planes].
    """
    alpha = float(values @ levels / (levels @ levels))
    if not np.allclose(values, alpha * levels, rtol=1e-6, atol=0):
        alpha, levels = 1.0, values
    steps = np.diff(levels)
    units, bits = steps, np.tri(len(levels), len(steps), -1, dtype=bool)
    if steps.min() > 0:
        multiples = (levels - levels[0]) / steps.min()
        places = np.arange(int(multiples[-1]).bit_length())
        if np.allclose(multiples, np.rint(multiples), rtol=1e-9) and len(places) < len(levels):
            units = steps.min() * 2.0**places
            bits = (np.rint(multiples).astype(int)[:, None] >> places & 1).astype(bool)
    return alpha, {"base": float(levels[0]), "units": units, "bits": bits}


def _fold(norm: nn.BatchNorm2d, stage: Stage) -> None:
    mean, variance, gamma, beta = (
        _array(x) for x in (norm.running_mean, norm.running_var, norm.weight, norm.bias)
    )
    factor = gamma / np.sqrt(variance + norm.eps)
    stage.scale, stage.shift = stage.scale * factor, beta - mean * factor


def _spike(node: neuron.BaseNode, stage: Stage) -> None:
    """PLIF: k = σ(w); LIF: k = 1/τ; IF: h = v + x."""
    if isinstance(node, neuron.ParametricLIFNode):
        stage.gain, stage.leak = float(node.w.detach().double().sigmoid()), 1.0
    elif isinstance(node, neuron.LIFNode):
        stage.gain, stage.leak = 1 / node.tau, 1.0
    elif not isinstance(node, neuron.IFNode):
        raise ValueError(f"{stage.name}: expected PLIF, LIF or IF neurons after it, not {node}")
    if node.v_reset != 0 or not getattr(node, "decay_input", True):
        raise ValueError(f"{stage.name}: expected neurons that are reset to 0 after it, not {node}")
    stage.threshold = node.v_threshold


def _array(x: Tensor) -> np.ndarray:
    return x.detach().double().cpu().numpy()
