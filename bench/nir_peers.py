"""A trained binary network in other simulators, by way of NIR: do they spike as it does?

    python bench/nir_peers.py [data folders] [--network a packed one of snnq.pack]

Exports the packed network, reads it back with each library's own importer and shows 100 test
recordings of each folder to all of them. Columns: compared, a neuron at a time step of a recording
each; spikes, how many of these are one; different ones, and recordings with such; other_classes,
recordings that are named otherwise; values, how many different weights a channel of a quantized
layer has at most in that library; simulated recordings or real ones.
"""

import argparse
import tempfile
import warnings
from collections.abc import Callable
from contextlib import redirect_stdout
from importlib.metadata import version
from io import StringIO
from pathlib import Path

import pandas as pd
import torch
from compare import report
from spikingjelly.activation_based import neuron
from torch import Tensor, nn

import snnq
from snnq.deployment.nir_export import DT

NETWORK = "results/reference/quick/networks/nmnist-binary-16channels-seed0.safetensors"
RECORDINGS = 100
Spikes = dict[str, Tensor]  # [N_t, N, …], by the neurons' names


def by_snnq(path: Path) -> nn.Module:
    return snnq.from_nir(path).eval()


def by_spikingjelly(path: Path) -> nn.Module:
    from spikingjelly.activation_based.nir_exchange import import_from_nir

    return import_from_nir(path, dt=DT)


def by_snntorch(path: Path) -> nn.Module:
    import nir
    from snntorch.import_nir import import_from_nir

    with redirect_stdout(StringIO()):  # it prints the arrays of each neuron
        return _with_recordings(import_from_nir(nir.read(path)))


def by_norse(path: Path) -> nn.Module:
    import nir
    import norse.torch

    return _with_recordings(norse.torch.from_nir(nir.read(path), dt=DT))


def _with_recordings(network: nn.Module) -> nn.Module:
    """NIR counts axes without the recordings'; these importers take the numbers as they are."""
    for module in network.modules():
        if isinstance(module, nn.Flatten):
            module.start_dim += 1
    return network


IMPORTERS = {
    "snnq": by_snnq,
    "snntorch": by_snntorch,
    "norse": by_norse,
    "spikingjelly": by_spikingjelly,
}


@torch.no_grad()
def spikes_of(network: nn.Module, names: list[str], run: Callable) -> tuple[Tensor, Spikes]:
    """What `run` of a network gives, and the spikes of its modules of these names."""
    seen: dict[str, list[Tensor]] = {name: [] for name in names}
    hooks = [
        network.get_submodule(name).register_forward_hook(
            lambda _, inputs, out, name=name: seen[name].append(
                out if isinstance(out, Tensor) else out[0]
            )
        )
        for name in names
    ]
    result = run(network)
    for hook in hooks:
        hook.remove()
    return result, {
        name.replace(".", "_"): found[0] if len(found) == 1 else torch.stack(found)
        for name, found in seen.items()
    }


def neurons_of(model: nn.Module) -> list[str]:
    return [name for name, m in model.named_modules() if isinstance(m, neuron.BaseNode)]


def at_once(frames: Tensor) -> Callable[[nn.Module], Tensor]:
    return lambda network: network(frames).mean(0)


def step_by_step(frames: Tensor) -> Callable[[nn.Module], Tensor]:
    """Runs what the importers make; the mean over time steps."""

    def run(network: nn.Module) -> Tensor:
        outputs, state = [], None
        for x in frames:
            output, state = network(x, state)
            outputs.append(output)
        return torch.stack(outputs).mean(0)

    return run


def compared(model: nn.Module, frames: Tensor, path: Path, peer: str) -> dict:
    """The network of a file in a peer, against the one that it was written of."""
    names = neurons_of(model)
    rates, expected = spikes_of(model, names, lambda network: network(frames))
    run = (at_once if peer == "snnq" else step_by_step)(frames)
    network = IMPORTERS[peer](path)
    found_rates, found = spikes_of(network, [name.replace(".", "_") for name in names], run)
    different = {name: found[name] != spikes for name, spikes in expected.items()}
    in_any = torch.stack([d.transpose(0, 1).flatten(1).any(1) for d in different.values()]).any(0)
    weights = [
        network.get_submodule(name.replace(".", "_")).weight for name in snnq.quantizers(model)
    ]
    return {
        "importer": peer,
        "version": version("nir" if peer == "snnq" else peer),
        "recordings": frames.shape[1],
        "compared": sum(d.numel() for d in different.values()),
        "spikes": sum(int(spikes.sum()) for spikes in expected.values()),
        "different": sum(int(d.sum()) for d in different.values()),
        "recordings_different": int(in_any.sum()),
        "other_classes": int((rates.argmax(1) != found_rates.argmax(1)).sum()),
        "largest_rate_difference": (rates - found_rates).abs().max().item(),
        "values": max((len(row.unique()) for w in weights for row in w.flatten(1)), default=0),
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data", nargs="*", default=["data/digits"])
    parser.add_argument("--network", default=NETWORK)
    arguments = parser.parse_args()
    model, rows = snnq.unpack(arguments.network), []
    for folder in arguments.data:
        frames, made = recordings_for(model, folder)
        rows += [row | {"simulated": made["simulated"]} for row in in_all(model, frames)]
    report("nir_peers", pd.DataFrame(rows))


def recordings_for(model: nn.Module, data: str) -> tuple[Tensor, dict]:
    """Frames [N_t, 100, …] of test recordings, and what they are."""
    benchmark = model.architecture["benchmark"]
    _, test = snnq.load(benchmark, data, model.source["steps"], size=model.architecture["size"])
    chosen = range(0, len(test), max(1, len(test) // RECORDINGS))[:RECORDINGS]
    frames = torch.stack([test[number][0] for number in chosen], 1).float()
    return frames, snnq.source(benchmark, data)


def in_all(model: nn.Module, frames: Tensor) -> list[dict]:
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of norse's
        path, rows = Path(folder) / "net.nir", []
        for library in IMPORTERS:
            target = None if library == "snnq" else library
            snnq.export_nir(model, path, tuple(frames.shape[2:]), target)
            rows.append(compared(model, frames, path, library))
    return rows


if __name__ == "__main__":
    main()
