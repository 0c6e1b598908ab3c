"""Weights through a sum of sigmoids that sharpens into a staircase.

Training sees the soft staircase, evaluation the hard one that it converges to:

    soft  y = α ( Y_0 + Σ_{i=1..n} (Y_i − Y_{i−1}) σ(T (βw − b_i)) )
    hard  y = α Y_k,  k = #{i : βw > b_i}

for levels Y_0 < … < Y_n, thresholds ("biases") b_1 < … < b_n, temperature T, and one learned
scale α and input scale β per layer (Yang et al., "Quantization Networks", CVPR 2019;
Shymyrbay et al., arXiv 2305.19295).
"""

import itertools
import math
from collections.abc import Iterable

import numpy as np
import torch
from sklearn.cluster import KMeans
from torch import Tensor, nn
from torch.nn.utils import parametrize

LEVELS: dict[str, tuple[float, ...]] = {
    "binary": (-1, 1),
    "ternary": (-1, 0, 1),
    "2bit": (-3, -1, 1, 3),
    "3bit": tuple(range(-7, 8, 2)),
    "4bit": tuple(range(-15, 16, 2)),
    "pm2": (-2, -1, 0, 1, 2),
    "pm4": (-4, -2, -1, 0, 1, 2, 4),
}

ARGUMENT_LIMIT = 10.0  # σ(±10) is within 5e-5 of the step; beyond it the slope is taken as zero
ZERO_BAND = 0.05  # thresholds on either side of level zero, in units of βw
KMEANS_SAMPLE = 65_536  # weights that k-means looks at: enough for 16 centres, fast for 17 million
TEMPERATURE_CAP = 2000.0  # where T stops growing (Yang et al. 2019, sec. 4.1)
QUANTIZED_LAYERS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear)


def resolve_levels(levels: str | Iterable[float]) -> tuple[float, ...]:
    """Levels from a name in `LEVELS` or from any increasing finite numbers.

    Raises
    ------
    ValueError
        Unknown name, fewer than two levels, not finite, or not strictly increasing.
    """
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


class _Staircase(torch.autograd.Function):
    """y = α (Y_0 + Σ s_i σ(T(βw − b_i))), one sigmoid at a time.

    Keeps w and y for the backward pass, whatever the number of levels, and computes the slope
    S = Σ s_i g_i (1 − g_i) there, at the backward temperature T':

        ∂/∂w = G αβT'S,   ∂/∂α = Σ G y/α,   ∂/∂β = Σ G αT' w S
    """

    @staticmethod
    def forward(ctx, weight, alpha, beta, biases, temperature, backward_temperature, levels):
        scaled = weight * beta
        total = torch.full_like(scaled, levels[0])
        for bias, step in _thresholds(biases, levels):
            total.add_(_sigmoid(scaled, bias, temperature), alpha=step)
        output = total.mul_(alpha)
        ctx.save_for_backward(weight, alpha, beta, biases, backward_temperature, output)
        ctx.levels = levels
        return output

    @staticmethod
    def backward(ctx, grad):
        weight, alpha, beta, biases, temperature, output = ctx.saved_tensors
        scaled = weight * beta
        slope = torch.zeros_like(scaled)
        for bias, step in _thresholds(biases, ctx.levels):
            g = _sigmoid(scaled, bias, temperature)
            inside = (scaled - bias).mul_(temperature).abs_() < ARGUMENT_LIMIT
            slope.addcmul_(g.mul_(1 - g), inside, value=step)
        slope.mul_(grad).mul_(alpha * temperature)  # G αT' S
        return (
            slope * beta,
            (grad * output).sum() / alpha,
            (slope * weight).sum(),
            *(None,) * 4,
        )


def _thresholds(biases: Tensor, levels: tuple[float, ...]):
    """Pairs (b_i, s_i), with s_i = Y_i − Y_{i−1} the height of the step at threshold b_i."""
    return zip(biases, (upper - lower for lower, upper in itertools.pairwise(levels)))


def _sigmoid(scaled: Tensor, bias: Tensor, temperature: Tensor) -> Tensor:
    """σ(T(βw − b)), with its argument clamped."""
    argument = (scaled - bias).mul_(temperature)
    return argument.clamp_(-ARGUMENT_LIMIT, ARGUMENT_LIMIT).sigmoid_()


class SigmoidQuantizer(nn.Module):
    """The differentiable quantizer, a parametrization of one layer's weight.

    In `.train()` it returns the soft staircase, in `.eval()` the hard one, whose values are
    exactly α·level (Yang et al. 2019, eq. 4–6; see the module's own page for the formulas).
    Half-precision weights are quantized in float32 and returned in half precision.

    Parameters
    ----------
    weight : Tensor, any shape
        The weights to start from. They set β = (5/4) max|Y| / max|w|, α = 1/β, and the biases
        (`initial_biases`).
    levels : str or increasing numbers
        A name in `LEVELS`, or the levels Y_0 < … < Y_n themselves.
    temperature : float
        T > 0, sharpness of the staircase. A schedule moves it through `set_temperature`.
    backward_temperature : float, optional
        T' > 0 that the slope is taken at in the backward pass. The true slope (None: T' = T)
        vanishes almost everywhere as T grows; one at a low T' goes on to move the weights.

    Attributes
    ----------
    alpha, beta : Parameter, scalar
        Learned output and input scale.
    biases : Tensor [n]
        Thresholds in units of βw, fixed.

    Raises
    ------
    ValueError
        Bad levels or temperatures, or a weight that is empty, not finite, or zero throughout.
    """

    def __init__(
        self,
        weight: Tensor,
        levels: str | Iterable[float],
        temperature: float = 1.0,
        backward_temperature: float | None = None,
    ):
        super().__init__()
        self.levels = resolve_levels(levels)
        weight = weight.detach()
        largest = weight.double().abs().max() if weight.numel() else torch.tensor(0.0)
        if not (torch.isfinite(largest) and largest > 0):
            raise ValueError(
                f"weight of shape {tuple(weight.shape)}: expected finite values, not all zero"
            )
        beta = 1.25 * max(map(abs, self.levels)) / largest
        self.alpha = nn.Parameter((1 / beta).to(weight))
        self.beta = nn.Parameter(beta.to(weight))
        self.register_buffer("biases", initial_biases(weight * beta, self.levels).to(weight))
        self.register_buffer("level_values", torch.tensor(self.levels, dtype=torch.float64).to(weight))
        self.register_buffer("temperature", _temperature(temperature).to(weight))
        self.backward_temperature = backward_temperature
        if backward_temperature is not None:
            _temperature(backward_temperature)

    def forward(self, weight: Tensor) -> Tensor:
        return self.soft(weight) if self.training else self.hard(weight)

    def soft(self, weight: Tensor) -> Tensor:
        """α (Y_0 + Σ s_i σ(T(βw − b_i))), differentiable in w, α and β."""
        weight_, alpha, beta, biases, temperature = self._in_full_precision(weight)
        backward = temperature
        if self.backward_temperature is not None:
            backward = torch.full_like(temperature, self.backward_temperature)
        return _Staircase.apply(
            weight_, alpha, beta, biases, temperature, backward, self.levels
        ).to(weight.dtype)

    def hard(self, weight: Tensor) -> Tensor:
        """α Y_k with k the number of thresholds that βw strictly exceeds."""
        return self.alpha * self.level_values[self.level_indices(weight)]

    def level_indices(self, weight: Tensor) -> Tensor:
        """k of each weight, int64 of the weight's shape: its value in evaluation is α·levels[k]."""
        weight, _, beta, biases, _ = self._in_full_precision(weight)
        return torch.bucketize(weight * beta, biases)

    def _in_full_precision(self, weight: Tensor) -> tuple[Tensor, ...]:
        dtype = torch.promote_types(weight.dtype, torch.float32)
        values = (weight, self.alpha, self.beta, self.biases, self.temperature)
        return tuple(value.to(dtype) for value in values)

    def _load_from_state_dict(self, state_dict, prefix, *args):
        """Refuses another level set: with as many levels it would load, and mean something else."""
        *_, errors = args
        saved = state_dict.get(prefix + "level_values")
        if saved is not None and not _same_levels(saved, self.level_values):
            errors.append(f"{prefix}level_values: {saved.tolist()}, expected {list(self.levels)}")
            return
        super()._load_from_state_dict(state_dict, prefix, *args)

    def extra_repr(self) -> str:
        return f"levels={self.levels}, temperature={self.temperature.item():g}"


def _same_levels(saved: Tensor, expected: Tensor) -> bool:
    saved = saved.to(expected)
    return saved.shape == expected.shape and torch.allclose(saved, expected, rtol=1e-3)


def _temperature(value: float) -> Tensor:
    if not (math.isfinite(value) and value > 0):
        raise ValueError(f"temperature={value}: expected a finite number above 0")
    return torch.tensor(value, dtype=torch.float64)


def initial_biases(scaled: Tensor, levels: tuple[float, ...]) -> Tensor:
    """Thresholds b_1 <= … <= b_n for weights already multiplied by β.

    ±0.05 on either side of a level zero, 0 between a negative and a positive level; all others
    half-way between neighbouring centres of k-means with n+1 clusters (Yang et al. 2019, sec. 3.3
    and their code). Weights with fewer different values than levels: half-way between the levels.
    """
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
    biases = (centres[:-1] + centres[1:]) / 2
    for i, bias in fixed.items():
        biases[i] = bias
    return biases.sort().values.to(scaled)


def _centres(scaled: Tensor, levels: tuple[float, ...]) -> Tensor:
    """k-means centres in increasing order, one for each level, from a sample of the weights."""
    sample = scaled.flatten()[:: math.ceil(scaled.numel() / KMEANS_SAMPLE)].cpu().double().numpy()
    clusters = len(levels)
    if len(np.unique(sample)) < clusters:
        return torch.tensor(levels)
    quantiles = np.quantile(sample, (np.arange(clusters) + 0.5) / clusters)
    kmeans = KMeans(clusters, init=quantiles[:, None], n_init=1).fit(sample[:, None])
    return torch.from_numpy(kmeans.cluster_centers_[:, 0]).sort().values.float()


def quantize(
    model: nn.Module,
    levels: str | Iterable[float],
    keep: Iterable[str] = ("first",),
    quantizer: type[nn.Module] = SigmoidQuantizer,
    **options,
) -> nn.Module:
    """Put a quantizer on the weight of every convolution and linear layer, in place.

    Parameters
    ----------
    model : nn.Module
        Any network of `torch.nn` layers or subclasses of them, SpikingJelly's among them.
    levels : str or increasing numbers
        See `resolve_levels`.
    keep : names
        Layers that stay in full precision: "first", "last", or module names as in
        `model.named_modules()`.
    quantizer : class
        Called as `quantizer(weight, levels, **options)` for each layer.

    Returns
    -------
    nn.Module
        The same model. Called again with the same arguments, it is left as it is.

    Raises
    ------
    ValueError
        Bad levels, a name in `keep` that is no layer, no layer left to quantize, or a layer that
        already has another level set.
    """
    levels = resolve_levels(levels)
    layers = {name: m for name, m in model.named_modules() if isinstance(m, QUANTIZED_LAYERS)}
    kept = _kept(layers, keep)
    chosen = {name: layer for name, layer in layers.items() if name not in kept}
    if not chosen:
        raise ValueError(
            f"no layer to quantize: of {len(layers)} convolution and linear layers,"
            f" keep={tuple(keep)} leaves none"
        )
    present = quantizers(model)
    for name in chosen.keys() & present.keys():
        if present[name].levels != levels:
            raise ValueError(f"{name} is quantized to {present[name].levels}, not to {levels}")
    for name in chosen.keys() - present.keys():
        layer = chosen[name]
        quantized = quantizer(layer.weight, levels, **options).train(layer.training)
        parametrize.register_parametrization(layer, "weight", quantized)
    return model


def _kept(layers: dict[str, nn.Module], keep: Iterable[str]) -> set[str]:
    if isinstance(keep, str):
        raise ValueError(f"keep={keep!r}: expected a sequence of names, such as ({keep!r},)")
    names = list(layers)
    places = {"first": names[:1], "last": names[-1:]}
    kept = set()
    for name in keep:
        if name not in places and name not in layers:
            raise ValueError(f"keep={name!r}: expected first, last or one of {', '.join(names)}")
        kept.update(places.get(name, [name]))
    return kept


def quantizers(model: nn.Module) -> dict[str, nn.Module]:
    """The quantizer of each quantized layer, by the layer's name in `model.named_modules()`."""
    found = {}
    for name, module in model.named_modules():
        if parametrize.is_parametrized(module, "weight"):
            parametrization = module.parametrizations.weight[0]
            if hasattr(parametrization, "levels"):
                found[name] = parametrization
    return found


def set_temperature(model: nn.Module, temperature: float) -> None:
    """Set T of every quantizer. Raises ValueError unless T is finite and above 0."""
    value = _temperature(temperature)
    for quantizer in quantizers(model).values():
        quantizer.temperature.copy_(value)


def _linear(share: float, initial: float, final: float) -> float:
    return initial + (final - initial) * share


def _cosine(share: float, initial: float, final: float) -> float:
    return _linear((1 - math.cos(math.pi * share)) / 2, initial, final)


def _exponential(share: float, initial: float, final: float) -> float:
    return initial * (final / initial) ** share


def _constant(share: float, initial: float, final: float) -> float:
    return final


TEMPERATURE_SCHEDULES = {
    "linear": _linear,
    "cosine": _cosine,
    "exponential": _exponential,
    "constant": _constant,
}


def temperature_at(
    epoch: int, epochs: int, schedule: str = "linear", initial: float = 1.0, final: float = 40.0
) -> float:
    """T in an epoch, counted from 0: from `initial` in the first to `final` in the last.

    "linear" is the paper's, with a slope of (final − initial)/(epochs − 1) per epoch; "cosine"
    and "exponential" (the same factor each epoch) join the same ends, and "constant" is `final`
    throughout. T never exceeds 2000.
    """
    share = epoch / (epochs - 1) if epochs > 1 else 1.0
    return min(TEMPERATURE_SCHEDULES[schedule](share, initial, final), TEMPERATURE_CAP)
