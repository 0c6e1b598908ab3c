"""What the neurons of networks do while they see one recording: spikes and membrane potentials."""

from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from spikingjelly.activation_based.neuron import BaseNode
from torch import Tensor, nn

from snnq.deployment.observed import observe
from snnq.recordings.frames import load
from snnq.storage.pack import unpack
from snnq.study.folders import missing_recordings, packed_networks

NEURONS = 24  # of a layer that are recorded


def traces(models: Mapping[str, nn.Module], frames: Tensor, most: int = NEURONS) -> pd.DataFrame:
    """Spikes and membrane potentials of some neurons of each layer, over the time steps of a recording.

    The same neurons of all networks: of those that fire in one of them (of all, where none does), at
    most so many, evenly spaced.

    Parameters
    ----------
    models : mapping of str to nn.Module
        By their names, networks of the same layers, with SpikingJelly's neurons in multi-step mode.
    frames : Tensor [N_t, ...]
        Of one recording.
    most : int
        Neurons of a layer.

    Returns
    -------
    pandas.DataFrame
        A row per network (weights_of), layer, neuron (its place among the layer's) and time step,
        from 1: spike (0 or 1), charged (the membrane potential when the input has come and before a
        spike resets it) and potential (after that); and threshold; rate, the spikes per neuron and
        time step of the whole layer; neurons, how many it has.

    Raises
    ------
    ValueError
        No such neurons in a network, or other layers in one than in another.
    """
    found = {name: _layers(model, frames) for name, model in models.items()}
    first, *others = found.values()
    if not first or any(layers.keys() != first.keys() for layers in others):
        listed = "; ".join(f"{name}: {', '.join(layers) or 'none'}" for name, layers in found.items())
        raise ValueError(f"models: layers of SpikingJelly's neurons, expected the same in all ({listed})")
    tables = []
    for layer in first:
        fired = sum(of[layer]["spike"].sum(0) for of in found.values())
        some = fired if fired.any() else torch.ones_like(fired)
        chosen = _spaced(some.nonzero().flatten().numpy(), most)
        tables += [_rows(of[layer], chosen).assign(weights_of=name, layer=layer) for name, of in found.items()]
    rows = pd.concat(tables, ignore_index=True)
    return rows[["weights_of", "layer", *rows.columns.drop(["weights_of", "layer"])]]


def traces_of_study(study: str | Path) -> pd.DataFrame:
    """`traces` of a study's packed networks of the most and the fewest levels, on the first test
    recording of the benchmark with the most time steps, among those whose recordings are there.

    Returns
    -------
    pandas.DataFrame
        With recordings, test_recordings (1), seed and label (the recording's class) in front.

    Raises
    ------
    FileNotFoundError
        No packed networks of two level sets, or no recordings of theirs; says which command makes
        them.
    """
    found, missing = [], f"{study}: no packed networks of two level sets"
    for benchmark, rows in packed_networks(study).groupby("benchmark", sort=False):
        models = {str(row.levels): unpack(row.path) for row in rows.iloc[[0, -1]].itertuples()}
        run = next(iter(models.values())).source
        if len(models) == 2:
            absent = missing_recordings(study, benchmark, run["data"])
            missing = absent or missing
            if not absent:
                names = ("benchmark", "data", "steps", "cut", "size")
                _, test = load(*(run[name] for name in names), split=run.get("split"))
                known = {"recordings": rows["recordings"].iloc[0], "test_recordings": 1}
                found.append((test, models, known | {"seed": run["seed"]}))
    if not found:
        raise FileNotFoundError(missing)
    test, models, known = max(found, key=lambda one: one[0].frames.shape[1])
    frames, label = test[0]
    rows = traces(models, frames)
    known["label"] = label
    return pd.concat([pd.DataFrame(known, index=rows.index), rows], axis=1)


def _layers(model: nn.Module, frames: Tensor) -> dict[str, dict[str, Tensor]]:
    """Of each layer of neurons the values [N_t, neurons], and its threshold."""
    nodes = {name: m for name, m in model.named_modules() if isinstance(m, BaseNode)}
    inputs = {}
    observe(model, frames[:, None].float(), nodes, lambda name, x, _: inputs.setdefault(name, x))
    return {name: _stepped(nodes[name], x.flatten(1)) for name, x in inputs.items()}


@torch.no_grad()
def _stepped(node: BaseNode, inputs: Tensor) -> dict[str, Tensor]:
    """A neuron's time steps one by one, and beside each that of one that does not spike, for what
    comes before the reset."""
    node = deepcopy(node)
    node.step_mode = "s"
    node.reset()
    found = {"spike": [], "charged": [], "potential": []}
    for x in inputs:
        silent = deepcopy(node)
        silent.surrogate_function = _Never()  # not by its threshold: rounded membranes depend on that
        silent(x)
        found["charged"].append(silent.v.clone())
        found["spike"].append(node(x))
        found["potential"].append(node.v.clone())
    values = {name: torch.stack(steps) for name, steps in found.items()}
    return values | {"threshold": torch.tensor(node.v_threshold, dtype=torch.float64)}


class _Never(nn.Module):
    """In the place of a surrogate function: no spikes."""

    spiking = False  # or neurons may leave it out in evaluation

    def forward(self, x: Tensor) -> Tensor:
        return torch.zeros_like(x)


def _spaced(places: np.ndarray, most: int) -> np.ndarray:
    few = np.linspace(0, len(places) - 1, min(most, len(places)))
    return places[few.astype(int)]


def _rows(layer: dict[str, Tensor], chosen: np.ndarray) -> pd.DataFrame:
    steps, neurons = layer["spike"].shape
    columns = {name: layer[name][:, chosen].flatten() for name in ("spike", "charged", "potential")}
    return pd.DataFrame(
        {
            "neuron": np.tile(chosen, steps),
            "step": np.repeat(np.arange(1, steps + 1), len(chosen)),
            **{name: values.numpy() for name, values in columns.items()},
            "threshold": layer["threshold"].item(),
            "rate": layer["spike"].mean().item(),
            "neurons": neurons,
        }
    ).astype({"spike": int})
