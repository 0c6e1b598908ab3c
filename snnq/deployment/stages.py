"""A network as the stages that plain C runs: sums of weights, a scale and a shift, neurons.

What α, the levels and batch norm do to the input of a neuron,

    x = γ (α Σ_j level_j n_j − mean) / √(var + ε) + β    for spikes n_j of its inputs j,

becomes x = scale · Σ_j level_j n_j + shift, with a scale and a shift for each channel. The sum
needs no multiplication: a weight's level is split into bits, and the set bits are counted.
"""

import math
from dataclasses import dataclass, field

import numpy as np
from spikingjelly.activation_based import neuron
from torch import Tensor, nn
from torch.nn.utils.parametrize import type_before_parametrizations

from snnq.deployment.computed import POOLING, WEIGHTED, Written, pair, refuse_unless_computed
from snnq.networks.built import refuse_unless_built
from snnq.networks.models import SpikingNetwork
from snnq.quantization.base import LevelQuantizer
from snnq.quantization.network import quantizers
from snnq.quantization.place import quantizer_input

MOST = 255  # the greatest count in a frame


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

    Convolutions with an odd square kernel, stride 1 and as much padding, and linear layers, each
    with or without bias; batch norm; IF, LIF or PLIF neurons that are reset to 0; max or average
    pooling without overlap; voting in the end.

    Raises
    ------
    ValueError
        Another network, or a layer or a setting of one that C would not compute, by its name.
    """
    refuse_unless_built(model)
    found, written, stages = quantizers(model), Written(), []
    for number, module in model.layers.named_children():
        name = f"layers.{number}"
        refuse_unless_computed(name, module, written)
        last = stages[-1] if stages else None
        kind = type_before_parametrizations(module)
        if issubclass(kind, WEIGHTED):
            stages.append(_weighted(name, module, found.get(name), last, model))
        elif issubclass(kind, nn.BatchNorm2d):
            _fold(module, last)
        elif issubclass(kind, neuron.BaseNode):
            _spike(module, last)
        elif issubclass(kind, POOLING):
            last.pool, _ = pair(module.kernel_size)
            last.pool_adds = issubclass(kind, nn.AvgPool2d)
        written.add(kind)
    if not stages or stages[-1].output[1:] != (1, 1):
        raise ValueError("model: expected a linear layer as the last one with weights")
    return stages


def _weighted(
    name: str,
    module: nn.Conv2d | nn.Linear,
    quantizer: LevelQuantizer | None,
    before: Stage | None,
    model: SpikingNetwork,
) -> Stage:
    shape = before.output if before else model.input_shape
    most = before.most_spikes if before else MOST
    scale = 1 / before.most_spikes if before else 1.0  # what average pooling left over
    is_linear = isinstance(module, nn.Linear)
    kernel, packed = 1 if is_linear else module.kernel_size[0], {}
    inputs, expected = (
        (module.in_features, math.prod(shape)) if is_linear else (module.in_channels, shape[0])
    )
    if inputs != expected:
        raise ValueError(f"{name}: {inputs} inputs, expected {expected} of {shape}")
    if quantizer is None:
        weights = module.weight
    else:
        original = quantizer_input(module)
        weights = quantizer.level_indices(original)
        values = _array(quantizer.values(original))
        alpha, packed = bit_planes(np.array(quantizer.levels), values)
        scale *= alpha
    rows = _rows(weights, shape)
    if is_linear:
        shape = (len(rows), 1, 1)
    ones = np.ones(rows.shape[1])
    shift = 0 * ones if module.bias is None else _array(module.bias)
    return Stage(name, shape, kernel, most, rows, scale * ones, shift, **packed)


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
    factor = 1 / np.sqrt(_array(norm.running_var) + norm.eps)
    offset = 0.0
    if norm.affine:
        factor, offset = factor * _array(norm.weight), _array(norm.bias)
    stage.scale = stage.scale * factor
    stage.shift = (stage.shift - _array(norm.running_mean)) * factor + offset


def _spike(node: neuron.BaseNode, stage: Stage) -> None:
    """PLIF: k = σ(w); LIF: k = 1/τ; h = v + k (x − v), or v + x − k v where the input does not
    decay. IF: h = v + x."""
    if not isinstance(node, neuron.IFNode):
        of_plif = isinstance(node, neuron.ParametricLIFNode)
        k = float(node.w.detach().double().sigmoid()) if of_plif else 1 / node.tau
        stage.gain, stage.leak = (k, 1.0) if node.decay_input else (1.0, k)
    stage.threshold = node.v_threshold


def _array(x: Tensor) -> np.ndarray:
    return x.detach().double().cpu().numpy()
