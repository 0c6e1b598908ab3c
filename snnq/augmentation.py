"""Augmentation of training batches of frames [N, T, 2, H, W], seeded by torch's own generator."""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

SHIFT = 2  # pixels, at most, each way
TURN = math.radians(10)
STRETCH = 0.1  # relative, of height and width on their own
SHEAR = 0.1


def none(frames: Tensor) -> Tensor:
    return frames


def roll(frames: Tensor) -> Tensor:
    """Each recording shifted by up to 2 whole pixels each way, around the edges."""
    shifts = torch.randint(-SHIFT, SHIFT + 1, (len(frames), 2)).tolist()
    return torch.stack([f.roll(shift, dims=(-2, -1)) for f, shift in zip(frames, shifts)])


def affine(frames: Tensor) -> Tensor:
    """Each recording shifted up to 2 pixels, turned up to 10°, stretched and sheared up to 10 %.

    The same for all its time steps, each pixel with the counts of the nearest one: the kind of
    change that other hands would make. Returns float32.
    """
    count, steps, polarities, height, width = frames.shape
    turn, stretch_x, stretch_y, shear, x, y = (
        limit * (2 * torch.rand(count) - 1)
        for limit in (TURN, STRETCH, STRETCH, SHEAR, 2 * SHIFT / width, 2 * SHIFT / height)
    )
    cos, sin = turn.cos(), turn.sin()
    rows = (
        torch.stack([cos * (1 + stretch_x), shear - sin * (1 + stretch_y), x], dim=1),
        torch.stack([sin * (1 + stretch_x), cos * (1 + stretch_y), y], dim=1),
    )
    images = frames.flatten(1, 2).float()
    grid = F.affine_grid(torch.stack(rows, dim=1), list(images.shape), align_corners=False)
    moved = F.grid_sample(images, grid.to(images.device), mode="nearest", align_corners=False)
    return moved.reshape(frames.shape)


AUGMENTATIONS = {"none": none, "roll": roll, "affine": affine}
