"""A network as a file of the Neuromorphic Intermediate Representation, for other simulators.

An optional extra: `pip install nir==1.0.8`.
"""

from pathlib import Path

from torch import nn

from snnq.deployment.sequence import sequence_of
from snnq.quantization.integers import integers
from snnq.quantization.layers import in_evaluation
from snnq.system.files import write_atomically

DT = 1e-4  # seconds of a time step, which snnTorch takes for granted
PADDED = "its padding is ignored"
SEVERAL = "it spikes several times in a step, and keeps what is left over"
# What importers do not read as it is meant, by their names and the nodes', and what becomes of it.
IMPORTERS = {
    "snntorch": {"IF": "it gets a leak, and a reset by subtraction"},
    "norse": {"AvgPool2d": "it is left out"},
    "spikingjelly": {},
    "sinabs": {"AvgPool2d": "it is left out", "IF": SEVERAL, "LIF": SEVERAL},
}


def export_nir(
    model: nn.Module,
    path: str | Path,
    input_shape: tuple[int, ...],
    target: str | None = None,
) -> None:
    """Write what a network does in evaluation at each time step as a NIR graph.

    The mean over time steps, of which our networks make their output, is no part of it. A simulator
    gets the network's spikes with time steps of 0.1 ms. For what each layer becomes see
    `nir_nodes.py` and `nir_neurons.py` beside this module.

    A quantized layer's weights have as many values *in each output channel* as it has levels, since
    batch norm is in them. Its node's metadata say which: levels [levels], codes (of the weight's
    shape: the level of each weight), bits (the width of a code) and scales [channels], so that

        weight[c] = scales[c] · levels[codes[c]].

    Parameters
    ----------
    model : nn.Module
        It takes inputs [N_t, N, ...] and calls layers of torch and SpikingJelly one after
        another: convolutions and linear layers, quantized or not; batch norm right behind them;
        IF, LIF and PLIF neurons that are reset to a potential; max-pooling of spikes, average
        pooling; flattening, voting, dropout.
    path : path
        An HDF5 file, written whole or not at all.
    input_shape : tuple
        Of one time step of one recording, such as (2, 34, 34).
    target : str, optional
        "snntorch", "norse", "spikingjelly" or "sinabs": refuse what the importer of this library
        does not read as it is meant (as seen with snnTorch 1.0.0, norse 1.1.0, SpikingJelly 2.0.0
        and sinabs 3.1.3).

    Raises
    ------
    ValueError
        By its name, a layer or a setting that NIR or the importer does not have, or one that gets
        something else than what the one before it gives; inputs that the network does not take;
        numbers that are not finite; an unknown importer.
    ImportError
        The package nir is not installed.
    OSError
        It could not be written.
    """
    import nir

    from snnq.deployment.nir_nodes import LAYERS, Nodes  # which needs nir, an extra

    if target is not None and target not in IMPORTERS:
        raise ValueError(f"target={target!r}: expected one of {', '.join(IMPORTERS)}")
    if not input_shape or not all(isinstance(size, int) and size > 0 for size in input_shape):
        raise ValueError(f"input_shape={input_shape!r}: expected whole numbers above 0")
    calls, _ = sequence_of(model, tuple(input_shape), LAYERS, "NIR")
    nodes = Nodes(input_shape, integers(model))
    with in_evaluation(model):
        for call in calls:
            nodes.write(call)
    graph = nodes.finished()
    for name, node in graph.nodes.items():
        reason = _why_not(node, target)
        if reason is not None:
            kind = type(node).__name__
            raise ValueError(
                f"{name}: {target} does not read NIR's {kind} as it is meant: {reason}"
            )
    write_atomically(Path(path), lambda partial: nir.write(partial, graph))


def _why_not(node, target: str | None) -> str | None:
    """Why an importer does not read a node as it is meant; None where it does."""
    if target is None:
        return None
    if type(node).__name__ == "SumPool2d" and node.padding.any():
        return PADDED
    return IMPORTERS[target].get(type(node).__name__)
