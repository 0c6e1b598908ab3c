"""What a data set must yield, and a network return, for the one to be trained on the other."""

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from snnq.quantization.layers import in_evaluation
from snnq.recordings.augmentation import AUGMENTATIONS
from snnq.training.evaluation import from_rest

Augmentation = str | Callable[[Tensor], Tensor] | None
EXPECTED = "expected (frames [N_t, ...], class)"
PIXELS = 3  # dimensions that frames must at least have for a named augmentation: N_t, H, W


def refuse_unless_trainable(
    model: nn.Module, splits: dict[str, Dataset | None], augmentation: Augmentation
) -> None:
    """Raise ValueError, with what was expected, unless a network can be trained on data sets.

    Of each the first sample is looked at, and given to the network. Random numbers are left as they
    are.

    Parameters
    ----------
    model : nn.Module
    splits : dict
        Data sets by their names, those that there are; "train" must be among them.
    augmentation : name, function or None
    """
    if not isinstance(model, nn.Module):
        raise ValueError(f"model is a {type(model).__name__}: expected a torch.nn.Module")
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise ValueError(f"model: {type(model).__name__} has no parameter that requires a gradient")
    if isinstance(augmentation, str) and augmentation not in AUGMENTATIONS:
        expected = f"one of {', '.join(AUGMENTATIONS)}, or a function of a batch"
        raise ValueError(f"augmentation={augmentation!r}: expected {expected}")
    devices = {p.device for p in model.parameters() if p.device.type == "cuda"}
    with torch.random.fork_rng(devices):
        for name, data in splits.items():
            frames, label = first_sample(name, data)
            _refuse_unless_taken(model, name, frames, label)
            pixels = frames.ndim >= PIXELS or augmentation in (None, "none")
            if name == "train" and isinstance(augmentation, str) and not pixels:
                raise ValueError(
                    f"augmentation={augmentation!r}: expected frames [N_t, ..., H, W], train[0] has"
                    f" the shape {list(frames.shape)}"
                )


def first_sample(name: str, data: Dataset) -> tuple[Tensor, int]:
    """Frames [N_t, ...] and class of a data set's first sample; ValueError where it has none."""
    if not (hasattr(data, "__len__") and hasattr(data, "__getitem__")):
        kind = type(data).__name__
        raise ValueError(
            f"{name} is a {kind}: expected a data set with a length, indexed by number"
        )
    if not len(data):
        raise ValueError(f"{name}: holds no sample")
    sample = data[0]
    if not isinstance(sample, tuple | list) or len(sample) != 2:
        raise ValueError(f"{name}[0] is a {type(sample).__name__}: {EXPECTED}")
    return _frames(name, sample[0]), _label(name, sample[1])


def _frames(name: str, frames: Any) -> Tensor:
    if isinstance(frames, np.ndarray) and frames.dtype.names:
        raise ValueError(
            f"{name}[0]: events, an array of {', '.join(frames.dtype.names)}: expected frames, such as"
            " transform=tonic.transforms.ToFrame(sensor_size, n_time_bins=10) makes of them"
        )
    try:
        frames = torch.as_tensor(frames)
    except (TypeError, ValueError, RuntimeError):
        raise ValueError(f"{name}[0]: frames are a {type(frames).__name__}: {EXPECTED}") from None
    if not frames.numel() or frames.ndim < 1 or frames.is_complex():
        raise ValueError(f"{name}[0]: frames of shape {list(frames.shape)}: {EXPECTED}")
    return frames


def _label(name: str, label: Any) -> int:
    try:
        if np.ndim(label):  # torch would make a number of a single one
            raise TypeError
        return operator.index(label)
    except TypeError:
        raise ValueError(
            f"{name}[0]: the label is {label!r}: expected the number of a class, from 0, such as a"
            " target_transform makes of it"
        ) from None


@torch.no_grad()
def _refuse_unless_taken(model: nn.Module, name: str, frames: Tensor, label: int) -> None:
    """Unless the network takes the frames and has an output for the class."""
    device = next(model.parameters()).device
    with in_evaluation(model):
        rates = from_rest(model, frames[:, None].to(device, torch.float32))
    if len(rates) != 1 or not 0 <= label < rates.shape[1]:
        raise ValueError(
            f"{name}[0]: the network's output is {list(rates.shape)} and the label {label}: expected"
            " [N, classes] of N = 1, and a class below the number of classes"
        )
