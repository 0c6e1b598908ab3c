"""A network as the stages that plain C runs: sums of weights, a scale and a shift, neurons.

What α, the levels and batch norm do to the input of a neuron,

    x = γ (α Σ_j level_j n_j − mean) / √(var + ε) + β    for spikes n_j of its inputs j,

becomes x = scale · Σ_j level_j n_j + shift, with a scale and a shift for each channel. The sum
needs no multiplication: a weight's level is split into bits, and the set bits are counted.
"""

from collections import Counter
from collections.abc import Sequence

import numpy as np
import torch
from spikingjelly.activation_based import neuron
from torch import Tensor, nn

from snnq.deployment.computed import (
    ROLE,
    Image,
    does_nothing,
    padding_of,
    refuse_unless_computed,
    window_of,
)
from snnq.deployment.sequence import RECORDINGS, STEPS, Call, sequence_of
from snnq.deployment.stage import Stage
from snnq.networks.rounded import RoundedNode
from snnq.quantization.layers import in_evaluation
from snnq.quantization.place import quantizer_input, quantizer_of

MOST = 255  # the greatest count in a frame


def stages_of(model: nn.Module, input_shape: Sequence[int] | None = None) -> list[Stage]:
    """The stages of a network that runs one layer after another, in evaluation.

    However its modules are nested; torch's layers or SpikingJelly's. Convolutions in two dimensions
    with any kernel, stride, groups and zero padding, and linear layers, each with or without bias;
    batch norm; IF, LIF or PLIF neurons, reset to a value or by their threshold; max or average
    pooling without overlap; voting in the end.

    Parameters
    ----------
    model : nn.Module
        From [N_t, N, *input_shape] to [N_t, N, classes], or to the mean of that over time.
    input_shape : sequence of int, optional
        (channels, height, width), or (inputs,) of a network that takes no images: of
        `frames[N_t, N, ...]` it is `frames.shape[2:]`. Networks of `build_model` know their own.

    Raises
    ------
    ValueError
        No input shape, or one that the network cannot take; or a layer or a setting of one that C
        would not compute, or what is computed between them, by its name.
    """
    shape = _input_shape(model, input_shape)
    image, before, stages = (*shape, 1, 1)[:3], None, []
    calls, output = sequence_of(model, shape, ROLE, "C")
    calls = [call for call in calls if not does_nothing(call)]
    _refuse_repeated(calls)
    with in_evaluation(model):
        for call in calls:
            refuse_unless_computed(call, image, before)
            _add(call, image, stages)
            image, before = stages[-1].output, call.kind
    _refuse_unless_classes(output, stages)
    return stages


def _refuse_repeated(calls: list[Call]) -> None:
    """Neurons at two places would share a state; shared weights would be written twice."""
    counts = Counter(call.name for call in calls if ROLE[call.kind] != "pooling")
    for name, count in counts.items():
        if count > 1:
            raise ValueError(f"{name}: cannot be written as C: it is called {count} times")


def _refuse_unless_classes(output: tuple[int, ...], stages: list[Stage]) -> None:
    classes = stages[-1].classes if stages else 0
    if output not in ((STEPS, RECORDINGS, classes), (RECORDINGS, classes)):
        raise ValueError(
            f"model: its output for {STEPS} time steps of {RECORDINGS} recordings is"
            f" {list(output)}, expected [{STEPS}, {RECORDINGS}, {classes}] or their mean over time"
        )


def _input_shape(model: nn.Module, given: Sequence[int] | None) -> tuple[int, ...]:
    given = getattr(model, "input_shape", None) if given is None else given
    shape = tuple(given or ())
    if len(shape) not in (1, 3) or not all(isinstance(n, int) and n > 0 for n in shape):
        raise ValueError(f"input_shape={given}: expected (channels, height, width) or (inputs,)")
    return shape


def _add(call: Call, image: Image, stages: list[Stage]) -> None:
    """A stage, or to the last one what follows its weights."""
    module, role = call.module, ROLE[call.kind]
    last = stages[-1] if stages else None
    if role == "weights":
        stages.append(_weighted(call, image, last))
    elif role == "norm":
        _fold(module, last)
    elif role == "neurons":
        _spike(module, last)
    elif role == "pooling":
        last.pool, last.pool_adds = window_of(call), not isinstance(module, nn.MaxPool2d)
    else:
        last.voters = module.voting_size


def _weighted(call: Call, image: Image, before: Stage | None) -> Stage:
    module, packed = call.module, {}
    scale = 1 / before.most_spikes if before else 1.0  # what average pooling left over
    quantizer = quantizer_of(module)
    if quantizer is None:
        weights = module.weight
    else:
        original = quantizer_input(module)
        weights = quantizer.level_indices(original)
        values = _array(quantizer.values(original))
        alpha, packed = bit_planes(np.array(quantizer.levels), values)
        scale *= alpha
    ones = np.ones(len(weights))
    return Stage(
        call.name,
        image,
        **_place(module, image),
        most=before.most_spikes if before else MOST,
        rows=_rows(weights, image, getattr(module, "groups", 1)),
        scale=scale * ones,
        shift=0 * ones if module.bias is None else _array(module.bias),
        **packed,
    )


def _place(module: nn.Conv2d | nn.Linear, image: Image) -> dict:
    if isinstance(module, nn.Linear):
        return {"kernel": image[1:], "stride": (1, 1), "padding": (0, 0), "groups": 1}
    return {
        "kernel": module.kernel_size,
        "stride": module.stride,
        "padding": padding_of(module),
        "groups": module.groups,
    }


def _rows(weights: Tensor, image: Image, groups: int) -> np.ndarray:
    """[neurons, channels, y, x], for a linear layer over its flat input, as [groups · y · x ·
    channels, neurons]: the order in which C has pixels and channels."""
    if weights.ndim == 2:
        weights = weights.unflatten(1, image)
    grouped = weights.detach().cpu().unflatten(0, (groups, -1))
    return grouped.permute(0, 3, 4, 2, 1).flatten(0, 3).numpy()


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
    decay. IF: h = v + x. With v, and the threshold, above the value of a hard reset: SpikingJelly's
    leak is towards it, and v starts there."""
    if not isinstance(node, neuron.IFNode):
        if isinstance(node, RoundedNode):
            k = float(torch.as_tensor(node.leak).detach())
        elif isinstance(node, neuron.ParametricLIFNode):
            k = float(node.w.detach().double().sigmoid())
        else:
            k = 1 / node.tau
        stage.gain, stage.leak = (k, 1.0) if node.decay_input else (1.0, k)
    stage.soft = node.v_reset is None
    stage.threshold = node.v_threshold - (node.v_reset or 0)


def _array(x: Tensor) -> np.ndarray:
    return x.detach().double().cpu().numpy()
