"""Which layers of a network have a weight to quantize, in which order, and which weights are left."""

import warnings
from collections.abc import Container, Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.parameter import UninitializedParameter

from snnq.quantization.rules import PLACES
from snnq.system.state import reset_state

QUANTIZED_LAYERS = (
    nn.Conv1d,
    nn.Conv2d,
    nn.Conv3d,
    nn.ConvTranspose1d,
    nn.ConvTranspose2d,
    nn.ConvTranspose3d,
    nn.Linear,
)
NORMS = (
    nn.LayerNorm,
    nn.RMSNorm,
)  # whose factors may have the shape of an image, but are no weights


def layers_of(model: nn.Module) -> dict[str, nn.Module]:
    """Every convolution and linear layer, by its name, in the order of definition."""
    return {name: m for name, m in model.named_modules() if isinstance(m, QUANTIZED_LAYERS)}


def kept_layers(model: nn.Module, keep: Iterable[str], order: list[str]) -> set[str]:
    """The names of the layers that `quantize` leaves as they are; see there for `keep`.

    Raises ValueError for a name that is neither a layer's, nor that of a module with layers or
    weights in it.
    """
    kept = set()
    for name in keep:
        found = layers_named(model, name, order)
        if not found and name not in PLACES:
            known = ", ".join(layers_of(model))
            raise ValueError(f"keep={name!r}: expected first, last or one of {known}")
        kept.update(found)
    return kept


def layers_named(model: nn.Module, name: str, order: list[str]) -> list[str]:
    """The layers, and other modules with weights, that are or lie in the module of a name; "first"
    and "last" of an order."""
    places = dict(zip(PLACES, (order[:1], order[-1:])))
    everything = *layers_of(model), *weights_elsewhere(model)
    return places.get(name) or [of for of in everything if is_within(of, name)]


def is_within(name: str, of: str) -> bool:
    """Whether a module's name is that of another, or of a module in it."""
    return name == of or (of != "" and name.startswith(f"{of}."))


def in_execution(model: nn.Module, example: Tensor | tuple[Tensor, ...] | None = None) -> list[str]:
    """The layers in the order in which the network calls them with an example, each where it comes
    first; without one in the order of definition."""
    if example is None:
        return list(layers_of(model))
    order: dict[str, None] = {}
    hooks = [
        layer.register_forward_pre_hook(lambda *_, name=name: order.setdefault(name))
        for name, layer in layers_of(model).items()
    ]
    inputs = example if isinstance(example, tuple) else (example,)
    try:
        reset_state(model)
        with in_evaluation(model), torch.no_grad(), torch.random.fork_rng(_gpus(model)):
            model(*inputs)
    finally:
        reset_state(model)
        for hook in hooks:
            hook.remove()
    if not order:
        raise ValueError("example: no convolution or linear layer was called with it")
    return list(order)


def _gpus(model: nn.Module) -> list[torch.device]:
    """Whose random numbers a forward pass may draw."""
    return list({p.device for p in model.parameters() if p.device.type == "cuda"})


@contextmanager
def in_evaluation(model: nn.Module) -> Iterator[None]:
    """In evaluation for a while; then each module in the mode in which it was."""
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode


def weights_elsewhere(model: nn.Module) -> dict[str, nn.Module]:
    """Modules with weight matrices of their own that are no convolution or linear layer: LSTM, GRU,
    attention, embeddings, other libraries' recurrent cells."""
    found = {}
    for name, module in model.named_modules():
        owner = name.partition("parametrizations")[0].removesuffix(".")
        of = model.get_submodule(owner)
        if isinstance(of, (*QUANTIZED_LAYERS, *NORMS)):
            continue
        if any(_is_matrix(parameter) for parameter in module.parameters(recurse=False)):
            found[owner] = of
    return found


def warn_of_weights_elsewhere(model: nn.Module, kept: Container[str], stacklevel: int) -> None:
    """One warning that names them all, but for those that were to be kept."""
    left = {name: m for name, m in weights_elsewhere(model).items() if name not in kept}
    if left:
        names = ", ".join(f"{name or 'the model'} ({type(m).__name__})" for name, m in left.items())
        warnings.warn(
            f"weights that stay in full precision, since only convolutions and linear layers are"
            f" quantized: {names}; keep={tuple(left)} says that they are to",
            stacklevel=stacklevel + 1,
        )


def _is_matrix(parameter: nn.Parameter) -> bool:
    if isinstance(parameter, UninitializedParameter):
        return True
    return parameter.is_floating_point() and sum(size > 1 for size in parameter.shape) > 1
