"""Accuracy of a network in a memory with faults, where bits of its weights have flipped.

What flips are the bits of the weights as they are packed (`snnq.storage.bits`), or in full precision
of float32, or whichever type they have, each with the same probability and independently of the
others. What is read back is what a reader without checks would see:

- b bits per weight: the level of the flipped index; an index beyond the last level (sets that do
  not fill their bits) as the last level.
- three levels: the bytes hold five weights each, so one flipped bit may change them all. A byte of
  243 or more stands for no five weights; its remainder by 243 is read, as `unpack_levels` does.
- full precision: the flipped number, however huge; NaN and infinity, which are easily told, as 0.

The index of 2^b levels, half of them below 0, has its sign in the highest bit, and so have numbers
in full precision. With the signs protected these never flip: of binary weights then nothing does.
In the bytes of ternary weights no bit is a sign. Bits that are stuck for good are in `devices`.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import product

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from snnq.quantization.base import LevelQuantizer
from snnq.quantization.evaluated import evaluated_copy
from snnq.quantization.layers import in_evaluation, layers_of
from snnq.quantization.network import quantizers
from snnq.quantization.place import quantizer_input, quantizer_of
from snnq.storage.bits import BYTE, pack_levels, unpack_levels
from snnq.training.evaluation import evaluate


@dataclass
class StoredWeight:
    """The weight of a layer as a memory holds it.

    Attributes
    ----------
    content : uint8 array [bytes]
    sign_every : int, optional
        The last of so many bits is a sign; not given where no bit is.
    read : function
        The weight from the content, faulty or not.
    """

    content: np.ndarray
    sign_every: int | None
    read: Callable[[np.ndarray], Tensor]


@torch.no_grad()
def accuracy_with_faults(
    model: nn.Module,
    data: Dataset,
    rates: Iterable[float],
    draws: int = 3,
    layers: Iterable[str] | None = None,
    protect_signs: bool = False,
    seed: int = 0,
) -> pd.DataFrame:
    """Accuracy on some recordings with weight bits flipped at several rates. Leaves the model be.

    Parameters
    ----------
    rates : numbers from 0 to 1
        The probability that a bit flips.
    draws : int
        How often the bits to flip are drawn, for each rate.
    layers : names, optional
        Of those whose weights have faults. The quantized ones where not given: batch norm, and
        layers in full precision, are taken to lie in a better memory.
    protect_signs : bool
        Bits that are signs do not flip.

    Returns
    -------
    pandas.DataFrame
        A row for each rate and draw: rate, draw, flipped (how many bits, those that fill up the last
        byte of a layer among them), accuracy (a share of 1).

    Raises
    ------
    ValueError
        A rate beyond 0 to 1, no draw, no layers, a layer without weights of its own, or signs to
        protect where no bit is a sign.
    """
    rates = list(rates)
    if not all(0 <= rate <= 1 for rate in rates):
        raise ValueError(f"rates={rates}: expected numbers from 0 to 1")
    if draws < 1:
        raise ValueError(f"draws={draws}: expected at least 1")
    faulty = evaluated_copy(model)
    with in_evaluation(model):
        memory = {name: _stored(model, name) for name in _faulty_layers(model, faulty, layers)}
    if protect_signs:
        _refuse_without_signs(memory)
    rows = []
    for (number, rate), draw in product(enumerate(rates), range(draws)):
        rng, flipped = np.random.default_rng((seed, number, draw)), 0
        for name, stored in memory.items():
            content = flip_bits(stored, rate, rng, protect_signs)
            flipped += int(np.bitwise_count(content ^ stored.content).sum(dtype=int))
            faulty.get_submodule(name).weight.copy_(stored.read(content))
        accuracy, _ = evaluate(faulty, data)
        rows.append({"rate": rate, "draw": draw, "flipped": flipped, "accuracy": accuracy})
    return pd.DataFrame(rows)


def flip_bits(
    stored: StoredWeight, rate: float, rng: np.random.Generator, protect_signs: bool
) -> np.ndarray:
    """The content with every bit flipped with that probability: uint8 [bytes]."""
    bits = BYTE * stored.content.size
    places = rng.choice(bits, rng.binomial(bits, rate), replace=False, shuffle=False)
    if protect_signs:
        places = places[places % stored.sign_every != stored.sign_every - 1]
    content = stored.content.copy()
    np.bitwise_xor.at(content, places // BYTE, (1 << places % BYTE).astype(np.uint8))
    return content


def _faulty_layers(
    model: nn.Module, faulty: nn.Module, layers: Iterable[str] | None
) -> list[str]:
    """Weights that are replaced before each call, as by pruning, would be mended again."""
    found = [name for name, layer in layers_of(faulty).items() if "weight" in layer._parameters]
    chosen = list(quantizers(model) if layers is None else layers)
    if not chosen or not set(chosen) <= set(found):
        raise ValueError(f"layers={chosen}: expected some of {', '.join(found)}")
    return chosen


def _stored(model: nn.Module, name: str) -> StoredWeight:
    layer = model.get_submodule(name)
    quantizer = quantizer_of(layer)
    if quantizer is None:
        return _stored_as_it_is(layer.weight)
    return _stored_levels(quantizer_input(layer), quantizer)


def _stored_levels(original: Tensor, quantizer: LevelQuantizer) -> StoredWeight:
    indices, values = quantizer.level_indices(original), quantizer.values(original)
    levels, shape = quantizer.levels, indices.shape

    def read(content: np.ndarray) -> Tensor:
        found = unpack_levels(torch.from_numpy(content), len(levels), shape.numel()).long()
        return values[found.clamp(max=len(levels) - 1).view(shape).to(values.device)]

    content = pack_levels(indices, len(levels)).cpu().numpy()
    return StoredWeight(content, _sign_bit(levels), read)


def _sign_bit(levels: tuple[float, ...]) -> int | None:
    """Bits of an index whose highest one tells levels below 0 from others; None if it does not."""
    half = 1 << ((len(levels) - 1).bit_length() - 1)
    below = sum(level < 0 for level in levels)
    return half.bit_length() if len(levels) == 2 * half and below == half else None


def _stored_as_it_is(weight: Tensor) -> StoredWeight:
    shape, device, kind = weight.shape, weight.device, weight.dtype

    def read(content: np.ndarray) -> Tensor:
        found = torch.from_numpy(content).view(kind).view(shape).to(device)
        return found.nan_to_num(nan=0, posinf=0, neginf=0)

    content = weight.cpu().contiguous().flatten().view(torch.uint8).numpy()
    return StoredWeight(content, BYTE * weight.itemsize, read)


def _refuse_without_signs(memory: dict[str, StoredWeight]) -> None:
    without = [name for name, stored in memory.items() if stored.sign_every is None]
    if without:
        raise ValueError(f"protect_signs: of the stored weights of {without[0]} no bit is a sign")
