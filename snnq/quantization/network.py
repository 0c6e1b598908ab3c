"""Quantizers on the layers of a whole network."""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from snnq.quantization.base import LevelQuantizer
from snnq.quantization.checks import refuse_unless_on_levels, refuse_unless_quantizable
from snnq.quantization.layers import in_evaluation, layers_of, warn_of_weights_elsewhere
from snnq.quantization.mixed import levels_by_layer
from snnq.quantization.place import quantizer_of
from snnq.quantization.rules import FULL, LevelSet
from snnq.quantization.sigmoid import SigmoidQuantizer, checked_temperature


def quantize(
    model: nn.Module,
    levels: str | Iterable[float] | Mapping[str, str | Iterable[float]],
    keep: Iterable[str] = ("first",),
    quantizer: type[nn.Module] = SigmoidQuantizer,
    *,
    example: Tensor | tuple[Tensor, ...] | None = None,
    **options,
) -> nn.Module:
    """Put a quantizer on the weight of every convolution and linear layer, in place.

    All layers that are chosen, or, where something is wrong, none.

    Parameters
    ----------
    model : nn.Module
        Any network of `torch.nn` layers or subclasses of them, SpikingJelly's among them.
        Transposed convolutions are convolutions too. Weights elsewhere (LSTM, GRU, attention,
        embeddings, other libraries' recurrent cells) stay as they are; a warning names them.
    levels : str, increasing numbers, or a mapping
        See `resolve_levels`. Mixed precision is a mapping from what to levels, or to "full" for
        full precision: `{"layers.4": "4bit", "<1000": "2bit", "rest": "binary"}`. What is a name
        as in `keep`, "<N" (layers with fewer than N weights), or "rest" (all others, which without
        it stay in full precision). Of several that fit a layer the most specific holds: its name
        before that of a module around it, then "first" and "last", the smallest N, the rest.
        A size that no layer is below changes nothing.
    keep : names
        What this call leaves as it is: module names as in `model.named_modules()`, of a layer or
        of a module with layers in it; "first" and "last", the first and the last convolution or
        linear layer in the order of definition (that of `named_modules`), which need not be the
        one in which the network calls them. Give names, or an `example`, where it is not. It comes
        before all of a mapping.
    quantizer : class
        Of `LevelQuantizer`; called as `quantizer(weight, levels, **options)` for each layer.
    example : Tensor or tuple, optional
        Inputs of the network, of any batch size. With them "first" and "last" are those that it
        calls first and last; it runs once, in evaluation, and is left at rest.

    Returns
    -------
    nn.Module
        The same model. Called again with the same arguments, it is left as it is; layers that are
        kept may have other levels, from another call.

    Raises
    ------
    ValueError
        Bad levels, a name in `keep` or in the mapping that is no module with weights, levels by
        name for what is kept, no layer left to quantize, a layer that is quantized in another way
        already. By its name, a layer whose weight is empty, not finite, all zero, not initialised,
        on the meta device, not floating-point, shared with another module, or replaced before each
        call (`torch.nn.utils.weight_norm` or pruning), and one that in evaluation would not compute
        with the values of its levels.

    Notes
    -----
    A layer's weight passes through its quantizer each time that it is asked for: at every time
    step, in a network that loops over them. `snnq.fit`, `evaluate` and `speed` have it pass once;
    a training loop of one's own does with the forward pass, and that alone, in the block

        with torch.nn.utils.parametrize.cached():
            output = model(frames)
    """
    if isinstance(keep, str):
        raise ValueError(f"keep={keep!r}: expected a sequence of names, such as ({keep!r},)")
    by_layer = levels_by_layer(model, levels, tuple(keep), example)
    layers = layers_of(model).items()
    chosen = {name: layer for name, layer in layers if by_layer[name] != FULL}
    recipe = quantizer, {name: _comparable(value) for name, value in options.items()}
    with in_evaluation(model), torch.no_grad():
        new = {name: layer for name, layer in chosen.items() if quantizer_of(layer) is None}
        for name in chosen.keys() - new.keys():
            _refuse_unless_same(name, quantizer_of(chosen[name]), by_layer[name], recipe)
        refuse_unless_quantizable(model, new)
        built = {name: _built(name, layer, by_layer[name], recipe) for name, layer in new.items()}
        _register_all(chosen, built)
    for name, of_layer in built.items():
        of_layer.train(new[name].training)
    warn_of_weights_elsewhere(model, by_layer.keys(), stacklevel=2)
    return model


Recipe = tuple[type[nn.Module], dict]  # a quantizer's class and its options


def _comparable(value):
    return tuple(value) if isinstance(value, list) else value


def _refuse_unless_same(name: str, present: nn.Module, levels: LevelSet, recipe: Recipe) -> None:
    if present.levels != levels:
        raise ValueError(f"{name} is quantized to {present.levels}, not to {levels}")
    made_by = getattr(present, "recipe", (type(present), {}))
    if made_by != recipe:
        before, now = (f"{of.__name__} with {options}" for of, options in (made_by, recipe))
        raise ValueError(f"{name} is quantized by {before}, not by {now}")


def _built(name: str, layer: nn.Module, levels: LevelSet, recipe: Recipe) -> nn.Module:
    quantizer, options = recipe
    try:
        built = quantizer(layer.weight.detach(), levels, **options)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
    except Exception as error:
        error.add_note(f"at layer {name}")
        raise
    if not isinstance(built, LevelQuantizer):
        raise ValueError(f"quantizer={quantizer!r}: expected a LevelQuantizer, not {type(built)}")
    for of, tensor in (*built.named_parameters(), *built.named_buffers()):
        if not torch.isfinite(tensor).all():
            raise ValueError(f"{name}: {of}={tensor.tolist()}: not finite in {tensor.dtype}")
    built.recipe = recipe
    return built


def _register_all(chosen: dict[str, nn.Module], built: dict[str, nn.Module]) -> None:
    """Have the layers take their weights from the quantizers; none of them, where one cannot."""
    orders = {name: list(chosen[name]._parameters) for name in built}
    try:
        for name, quantizer in built.items():
            try:
                parametrize.register_parametrization(chosen[name], "weight", quantizer)
            except Exception as error:
                error.add_note(f"at layer {name}")
                raise
        for name, layer in chosen.items():
            refuse_unless_on_levels(name, layer)
    except Exception:
        for name, quantizer in built.items():
            _unregister(chosen[name], quantizer, orders[name])
        raise


def _unregister(layer: nn.Module, quantizer: nn.Module, order: list[str]) -> None:
    if quantizer_of(layer) is not quantizer:
        return
    if len(layer.parametrizations.weight) > 1:
        del layer.parametrizations.weight[-1]
        return
    parametrize.remove_parametrizations(layer, "weight", leave_parametrized=False)
    for name in order:  # an optimizer knows parameters by their order
        layer._parameters[name] = layer._parameters.pop(name)


def quantizers(model: nn.Module) -> dict[str, nn.Module]:
    """The quantizer of each quantized layer, by the layer's name in `model.named_modules()`."""
    found = {name: quantizer_of(module) for name, module in model.named_modules()}
    return {name: quantizer for name, quantizer in found.items() if quantizer is not None}


def set_temperature(model: nn.Module, temperature: float) -> None:
    """Set T of every quantizer that has one. Raises ValueError unless T is finite and above 0."""
    checked_temperature(temperature)
    for quantizer in quantizers(model).values():
        if isinstance(quantizer, SigmoidQuantizer):
            quantizer.temperature.fill_(temperature)


def set_progress(model: nn.Module, share: float) -> None:
    """Tell every quantizer which share of the training is behind, from 0 to below 1.

    Some move settings of their own with it (`LevelQuantizer.advance`).
    """
    for quantizer in quantizers(model).values():
        quantizer.advance(share)
