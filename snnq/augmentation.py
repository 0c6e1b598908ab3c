"""Augmentation of training batches of frames, seeded by torch's own generator."""

import torch
from torch import Tensor

ROLL = 2  # pixels, at most, each way


def roll(frames: Tensor) -> Tensor:
    """Each recording shifted by up to 2 pixels each way, around the edges: [N, T, 2, H, W]."""
    shifts = torch.randint(-ROLL, ROLL + 1, (len(frames), 2)).tolist()
    return torch.stack([f.roll(shift, dims=(-2, -1)) for f, shift in zip(frames, shifts)])


def none(frames: Tensor) -> Tensor:
    return frames


AUGMENTATIONS = {"none": none, "roll": roll}
