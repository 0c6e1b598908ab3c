"""Faults of the memory that the trained weights will lie in, while they are trained.

*Known* faults are those of one device. Each weight has the levels that it reaches there, in training and in
evaluation (see `snnq.quantization.reachable`), so what is packed is read on that device as it was trained.
Where its values are off, training multiplies them by 1 + ε; evaluation does not: it is of the packed network.

*Unknown* faults are those of another device in each epoch, or in each step. Where a weight's level k is
misread as k', training sees y + α (Y_k' − Y_k) in the place of y, and the gradient passes as if it had not
been misread: straight through. Evaluation is without faults; `snnq.accuracy_on_devices` is with them.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from torch import Tensor, nn

from snnq.quantization.base import LevelQuantizer
from snnq.quantization.network import quantizers
from snnq.storage.fault_map import LayerFaults
from snnq.storage.faults import FaultMap, draw_faults, drawn, memory_of, read_faults, save_faults
from snnq.training.faults_setting import Faults, read_faults_setting

FAULTS = "faults.safetensors"  # in the folder of a run with known ones


class FaultyMemory:
    """The faults that a training meets, by its setting; nothing where it has none, or no quantizers.

    Parameters
    ----------
    model : nn.Module
        On its device.
    setting : str or None
        See `Settings.faults`.
    folder : Path or None
        Gets the map of known faults.

    Raises
    ------
    ValueError
        Known faults for a method that does not take them, or a map that does not fit the network.
    OSError
        A map that is not there.
    """

    def __init__(self, model: nn.Module, setting: str | None, folder: Path | None):
        self.quantizers = quantizers(model)
        self.faults = read_faults_setting(setting) if self.quantizers else None
        self.device = next(model.parameters()).device
        self.maps: FaultMap = {}  # of the devices now; their tensors stay, for a CUDA graph
        self.drawn: tuple[int, ...] | None = None  # for which epoch, or step
        for quantizer in self.quantizers.values():
            quantizer.reachable = None  # of a training before this one
        self.known = self.faults is not None and self.faults.way == "known"
        if folder is not None and not self.known:
            (folder / FAULTS).unlink(missing_ok=True)  # likewise
        if self.faults is None:
            return
        if self.known:
            found = _known(model, self.faults)
            reach_levels_of(model, found)
            if folder is not None:
                save_faults(found, folder / FAULTS)
            self.maps = {name: layer.to(self.device) for name, layer in found.items()}
        else:
            self.memory = memory_of(model)

    @contextmanager
    def in_training(self) -> Iterator[None]:
        """Weights are read with faults, once they are drawn, until the block ends."""
        for name, quantizer in self.quantizers.items() if self.faults is not None else ():
            quantizer.memory = partial(_read, self.maps, name, self.known)
        try:
            yield
        finally:
            for quantizer in self.quantizers.values():
                quantizer.memory = None

    def draw(self, epoch: int, step: int) -> None:
        """Before a step: unknown faults, where it is time for others."""
        if self.faults is None or self.known:
            return
        due = (epoch, step) if self.faults.way == "step" else (epoch,)
        if due == self.drawn:
            return
        self.drawn = due
        # Not those of a known device of that number.
        seed = self.faults.device, 1, *due
        new = drawn(self.memory, *self.faults.rates, seed, self.device)
        if not self.maps:
            self.maps.update(new)
            return
        for name, layer in self.maps.items():
            layer.copy_(new[name])


def reach_levels_of(model: nn.Module, faults: FaultMap) -> None:
    """Have each quantized weight take the levels alone that it reaches on a device.

    Raises ValueError for a method that does not take them.
    """
    for name, quantizer in quantizers(model).items():
        if not quantizer.takes_reachable:
            kind = type(quantizer).__name__
            raise ValueError(f"{name}: {kind} does not take known faults; expected the sigmoids, say")
        quantizer.reachable = faults[name].reachable.to(quantizer.level_values.device)


def _known(model: nn.Module, faults: Faults) -> FaultMap:
    if faults.map is not None:
        return read_faults(faults.map, model)
    return draw_faults(model, *faults.rates, faults.device)


def _read(
    maps: FaultMap, name: str, known: bool, quantizer: LevelQuantizer, weight: Tensor, seen: Tensor
) -> Tensor:
    """What a memory makes of the weights that training sees."""
    layer: LayerFaults = maps[name]
    if not known:
        meant = quantizer.level_indices(weight)
        values = quantizer.values(weight).detach().to(seen.dtype)
        seen = seen + (values[layer.misread(meant)] - values[meant])
    return seen if layer.error is None else seen * (1 + layer.error.to(seen.dtype))
