"""Quantizers on the layers of a whole network."""

from collections.abc import Iterable

from torch import nn
from torch.nn.utils import parametrize

from snnq.quantization.levels import resolve_levels
from snnq.quantization.sigmoid import SigmoidQuantizer, checked_temperature

QUANTIZED_LAYERS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear)


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

    Notes
    -----
    A layer's weight passes through its quantizer each time that it is asked for: at every time
    step, in a network that loops over them. `snnq.fit`, `evaluate` and `speed` have it pass once;
    a training loop of one's own does with the forward pass, and that alone, in the block

        with torch.nn.utils.parametrize.cached():
            output = model(frames)
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
    """Set T of every quantizer that has one. Raises ValueError unless T is finite and above 0."""
    value = checked_temperature(temperature)
    for quantizer in quantizers(model).values():
        if isinstance(quantizer, SigmoidQuantizer):
            quantizer.temperature.copy_(value)
