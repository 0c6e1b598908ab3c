"""A trained network with integers alone: weights, sums, membranes, thresholds and leaks.

A neuron of `snnq/deployment/stages.py` computes, for spikes n_j of its inputs j,

    h = v + g (a Σ_j w_j n_j + c − λ v),   s = [h ≥ ϑ]

with a and c of its channel, which hold α, the step between levels and batch norm. Measured in units
u = g |a| 2^−f of its own channel, everything but the leak is a whole number, or rounded to one:

    v = u V,   Σ_j w_j n_j = sign(a) S / 1,   X = 2^f S + b,   b = ⌊g c / u⌉,   θ = ⌊ϑ / u⌉

The sign of a goes into the weights. f is the greatest whole number with θ ≤ 2^(B−2−r) for membranes of
B bits and a range of r (`range_bits`: 0 for 6 bits, 3 for 12): potentials from −2^(r+1) to 2^(r+1)
thresholds at least, in steps of a 2^(B−2−r)th to a 2^(B−3−r)th of one.
Where f < 0 the sum is finer than the membrane, and X is rounded. A channel whose inputs never come to
half a unit has its bias alone. The classes of a last layer without neurons, whose sums are compared,
share one f ≥ 0, the greatest with which 1,024 time steps fit into 31 bits: little is lost of their biases.
The leak gλ is taken as m / 2^q, with m a sum or difference of at most two powers of two, or any whole
number.

Sources: integer thresholds from batch norm, Umuroglu et al., FINN, FPGA 2017, sec. 4.2.2; one scale
for weights and membranes, Yin et al., MINT, ASP-DAC 2024, eq. 6. What is different here: a unit for
each channel, a power of two of its sum, so that no scale is left to multiply by.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

import numpy as np
from torch import nn

from snnq.deployment.integer_network import IntegerNetwork
from snnq.deployment.integer_stage import Integers, IntegerStage, sums_of
from snnq.deployment.stage import Stage
from snnq.deployment.stages import stages_of
from snnq.networks.rounded import MEMBRANE_BITS, membrane_bits_of, nearest_leak, range_bits

WEIGHT_BITS = range(2, 17)
LEAK_BITS = range(1, 9)
DEFAULT_BITS = 12  # of membranes
PACKED_BITS = 4  # of weights that are stored as bits of a word, not as numbers
SUMMED_BITS = 31  # of what a last layer without neurons sums up
SUMMED_STEPS = 2**10  # that fit into these bits; fewer where f = 0 leaves no room for as many
LARGEST = 2**30  # X, so that a membrane is added to it in 32 bits
WHOLE = 1_000  # the greatest whole number that levels are written with


def to_integer(
    model: nn.Module,
    membrane_bits: int | None = None,
    *,
    weight_bits: int = 8,
    leak_bits: int | None = None,
    input_shape: Sequence[int] | None = None,
) -> IntegerNetwork:
    """A network whose layers, in evaluation, add whole numbers only.

    Parameters
    ----------
    model : nn.Module
        Any network that `export_c` takes and whose last layer spikes, or has one scale for all
        classes.
    membrane_bits : int, optional
        B, 2 to 20; those that the network was trained with, else 12: potentials from −2^(B−1) to 2^(B−1) − 1.
    weight_bits : int
        Of the weights that no quantizer has put on levels, 2 to 16, with a scale for each channel (of a
        last layer without neurons one for all);
        and of levels that are no multiples of one number.
    leak_bits : int, optional
        q, 1 to 8, of the leak m / 2^q with any whole number m; without, m / 2^q is the nearest sum
        or difference of at most two powers of two, and q at most 8.
    input_shape : sequence of int, optional
        (channels, height, width) of a frame, or (inputs,). Networks of `build_model` know theirs.

    Returns
    -------
    IntegerNetwork
        From frames of counts [N_t, N, …] to [N_t, N, classes], as any network of here.

    Raises
    ------
    ValueError
        A layer that C does not compute, by its name; numbers of bits out of range; sums that 32 bits
        do not hold, or numbers that are not finite; a threshold that is not above the reset; a last
        layer without neurons and with scales of its own for the classes.
    """
    if membrane_bits is None:
        membrane_bits = membrane_bits_of(model) or DEFAULT_BITS
    _refuse_bits("membrane_bits", membrane_bits, MEMBRANE_BITS)
    _refuse_bits("weight_bits", weight_bits, WEIGHT_BITS)
    if leak_bits is not None:
        _refuse_bits("leak_bits", leak_bits, LEAK_BITS)
    stages = stages_of(model, input_shape)
    return IntegerNetwork(
        [_to_integer(stage, membrane_bits, weight_bits, leak_bits) for stage in stages]
    )


def _refuse_bits(name: str, bits: int, expected: range) -> None:
    if not isinstance(bits, int) or bits not in expected:
        raise ValueError(f"{name}={bits}: expected {expected[0]} to {expected[-1]}")


def _to_integer(
    stage: Stage, membrane_bits: int, weight_bits: int, leak_bits: int | None
) -> IntegerStage:
    if stage.threshold <= 0:
        raise ValueError(
            f"{stage.name}: v_threshold of its neurons is {stage.threshold:g} above their reset,"
            " expected more than 0"
        )
    weights, unit = _whole_weights(stage, weight_bits)
    scale, added = stage.gain * stage.scale * unit, stage.gain * stage.shift
    if not np.isfinite([scale, added]).all():
        raise ValueError(f"{stage.name}: its scales and shifts are not all finite")
    sign, scale = np.sign(scale), np.abs(scale)
    greatest = np.maximum(*map(np.abs, sums_of(stage, weights)))
    if math.isinf(stage.threshold):
        scale = np.where(scale == 0, 1.0, scale)
        shift, threshold = _shared_shift(stage, scale, greatest + np.abs(added / scale)), None
    else:
        most = 2 ** (membrane_bits - 2 - range_bits(membrane_bits))
        finest = stage.threshold / most  # unit of a membrane
        # Inputs that never come to half of it round to nothing: any unit will do for the bias alone.
        unseen = scale * greatest < finest / 2
        sign, scale = np.where(unseen, 0, sign), np.where(unseen, finest, scale)
        wanted = stage.threshold / scale
        shift = np.floor(np.log2(most / wanted))
        threshold = np.maximum(np.rint(wanted * 2.0**shift), 1)
    offset = _offset(added / scale, shift)
    # Before the cast, which makes any integer of what does not fit.
    _refuse_large(stage.name, greatest * np.abs(sign), shift, offset)
    return IntegerStage(
        _with_weights(stage, weights * _of_channels(sign.astype(np.int64), stage)),
        shift.astype(np.int64),
        offset.astype(np.int64),
        None if threshold is None else threshold.astype(np.int64),
        _leak(stage.gain * stage.leak, leak_bits),
        membrane_bits if threshold is not None else SUMMED_BITS,
    )


def _whole_weights(stage: Stage, bits: int) -> tuple[Integers, np.ndarray]:
    """w and the unit of each neuron, so that the stage's weights are unit · w."""
    if len(stage.units):
        levels = stage.base + stage.bits @ stage.units
        whole, unit = _whole_levels(levels)
        if whole is not None:
            return whole[stage.rows], np.full(len(stage.scale), unit)
        stage_weights = levels[stage.rows]
    else:
        stage_weights = stage.rows.astype(float)
    most = 2 ** (bits - 1) - 1
    of_group = stage_weights.reshape(stage.groups, -1, stage_weights.shape[1])
    greatest = np.abs(of_group).max(axis=1, initial=0).ravel()
    if math.isinf(stage.threshold):  # its outputs are compared with each other
        greatest = np.full_like(greatest, greatest.max())
    if not np.isfinite(greatest).all():
        raise ValueError(f"{stage.name}: its weights are not all finite")
    unit = np.where(greatest == 0, 1.0, greatest) / most
    return np.rint(stage_weights / _of_channels(unit, stage)).astype(np.int64), unit


def _whole_levels(levels: np.ndarray) -> tuple[Integers | None, float]:
    """Levels as small whole multiples of one unit, or None."""
    ratios = [Fraction(x).limit_denominator(WHOLE) for x in levels / np.abs(levels).max()]
    unit = Fraction(1, math.lcm(*(ratio.denominator for ratio in ratios)))
    whole = np.array([int(ratio / unit) for ratio in ratios])
    whole //= np.gcd.reduce(whole)
    greatest = np.abs(whole).max()
    step = float(np.abs(levels).max() / greatest)
    fits = greatest <= WHOLE and np.allclose(whole * step, levels, rtol=1e-6, atol=0)
    return (whole, step) if fits else (None, 1.0)


def _with_weights(stage: Stage, weights: Integers) -> Stage:
    """Few values, base + step · code, are packed as the bits of their codes."""
    values = np.unique(weights)
    step = int(np.gcd.reduce(values - values[0])) or 1
    codes = (weights - values[0]) // step
    planes = max(1, int(codes.max()).bit_length())
    if planes > PACKED_BITS:
        return replace(stage, rows=weights, bits=np.empty((0, 0), bool), base=0, units=np.empty(0))
    places = np.arange(planes)
    bits = (np.arange(2**planes)[:, None] >> places & 1).astype(bool)
    return replace(stage, rows=codes, bits=bits, base=int(values[0]), units=step << places)


def _of_channels(values: np.ndarray, stage: Stage) -> np.ndarray:
    """A value of each neuron, for the weights [rows, neurons of a group]."""
    of_group = len(stage.rows) // stage.groups
    return np.repeat(values.reshape(stage.groups, -1), of_group, axis=0)


def _shared_shift(stage: Stage, scale: np.ndarray, reached: np.ndarray) -> np.ndarray:
    """What a layer without neurons sums up is compared between classes. `reached` in a time step, in
    units of the sums."""
    if not np.allclose(scale, scale[0], rtol=1e-6, atol=0):
        raise ValueError(
            f"{stage.name}: it has no neurons, and its outputs have scales of their own"
            f" ({scale.min():.3g} to {scale.max():.3g}): expected neurons, or one scale for all"
        )
    shift = np.floor(np.log2(LARGEST / SUMMED_STEPS / max(reached.max(), 1)))
    return np.full(len(scale), max(shift, 0))


def _offset(added: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """b in units of the membrane for f ≥ 0, else of the sum, with half a unit of the membrane."""
    half = np.where(shift < 0, 2.0 ** (-shift - 1.0), 0)
    return np.rint(added * 2.0 ** np.maximum(shift, 0) + half)


def _leak(k: float, bits: int | None) -> tuple[int, int]:
    """m and q: the nearest m / 2^q."""
    if bits is not None:
        whole = Fraction(round(k * 2**bits), 2**bits)
    else:
        whole = nearest_leak(k)
    return whole.numerator, whole.denominator.bit_length() - 1


def _refuse_large(name: str, sums: np.ndarray, shift: np.ndarray, offset: np.ndarray) -> None:
    most = sums.max() * 2.0 ** max(shift.max(), 0) + np.abs(offset).max()
    if most > LARGEST:
        raise ValueError(
            f"{name}: its sums reach {most:.3g}, expected at most {LARGEST:.3g} (31 bits):"
            " fewer bits for weights or membranes make them smaller"
        )
