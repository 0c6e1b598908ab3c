"""Augmentation of training batches of frames [N, N_t, 2, H, W], seeded by torch's own generator.

Numbers are drawn on the CPU, the same for frames on every device; all else is done where the frames
are. Angles are those of the pixels, whatever the sensor's height and width.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

SHIFT = 2  # pixels, at most, each way
TURN = math.radians(10)
STRETCH = 0.1  # relative, of height and width on their own
SHEAR = 0.1
# Neuromorphic data augmentation (Li et al., ECCV 2022), for sensors of 48 pixels and more.
NDA_SHIFT = 5
NDA_TURN = math.radians(30)
NDA_SHEAR = math.radians(15)
NDA_HOLE = 8  # pixels


def none(frames: Tensor) -> Tensor:
    return frames


def roll(frames: Tensor) -> Tensor:
    """Each recording shifted by up to 2 whole pixels each way, around the edges."""
    shifts = _integers(-SHIFT, SHIFT + 1, (len(frames), 2)).tolist()
    return torch.stack([f.roll(shift, dims=(-2, -1)) for f, shift in zip(frames, shifts)])


def affine(frames: Tensor) -> Tensor:
    """Each recording shifted up to 2 pixels, turned up to 10°, stretched and sheared up to 10 %.

    The same for all its time steps, each pixel with the counts of the nearest one: the kind of
    change that other hands would make. Returns float32.
    """
    count, *_, height, width = frames.shape
    turn, stretch_x, stretch_y, shear, x, y = (
        limit * (2 * _uniform(count) - 1)
        for limit in (TURN, STRETCH, STRETCH, SHEAR, 2 * SHIFT / width, 2 * SHIFT / height)
    )
    cos, sin = turn.cos(), turn.sin()
    rows = (
        torch.stack([cos * (1 + stretch_x), shear - sin * (1 + stretch_y), x], dim=1),
        torch.stack([sin * (1 + stretch_x), cos * (1 + stretch_y), y], dim=1),
    )
    return _warp(frames, torch.stack(rows, dim=1))


def flip(frames: Tensor) -> Tensor:
    """Each recording mirrored left to right with a chance of one half, then shifted as in `roll`."""
    return roll(_mirrored(frames))


def nda(frames: Tensor) -> Tensor:
    """Neuromorphic data augmentation (Li et al., ECCV 2022, sec. 3.2), without its flip.

    One of four changes for each recording, the same for all its time steps: shifted by up to 5
    pixels each way around the edges, turned by up to 30°, sheared by up to 15°, or with a hole
    of up to 8 pixels. Returns float32.
    """
    count, *_, height, width = frames.shape
    choice = _integers(0, 4, (count,))
    turn = NDA_TURN * (2 * _uniform(count) - 1) * (choice == 1)
    shear = (NDA_SHEAR * (2 * _uniform(count) - 1) * (choice == 2)).tan()
    zero = torch.zeros_like(turn)
    cos, sin = turn.cos(), turn.sin()
    rows = torch.stack([cos, shear - sin, zero], dim=1), torch.stack([sin, cos, zero], dim=1)
    moved = _warp(frames, torch.stack(rows, dim=1))
    shifts = _integers(-NDA_SHIFT, NDA_SHIFT + 1, (count, 2)).tolist()
    sides = _integers(1, NDA_HOLE + 1, (count,)).tolist()
    size = torch.tensor([height, width], device="cpu")
    corners = (_uniform(count, 2) * size).int().tolist()
    for i, chosen in enumerate(choice.tolist()):
        if chosen == 0:
            moved[i] = moved[i].roll(shifts[i], dims=(-2, -1))
        elif chosen == 3:
            (y, x), side = corners[i], sides[i]
            moved[i, ..., y : y + side, x : x + side] = 0
    return moved


def flip_nda(frames: Tensor) -> Tensor:
    """`nda` after a flip with a chance of one half: the whole set of its paper."""
    return nda(_mirrored(frames))


def _mirrored(frames: Tensor) -> Tensor:
    chosen = (_uniform(len(frames)) < 0.5).to(frames.device)
    return torch.where(chosen[:, None, None, None, None], frames.flip(-1), frames)


def _warp(frames: Tensor, matrices: Tensor) -> Tensor:
    """Each recording through its own affine map [N, 2, 3], counts from the nearest pixel.

    Of maps of pixels but for their last column, which is in units of half the frame.
    """
    images = frames.flatten(1, 2).float()
    height, width = images.shape[-2:]
    # torch measures x in half widths and y in half heights.
    units = torch.tensor([[1, height / width, 1], [width / height, 1, 1]], device="cpu")
    maps = (matrices * units).to(images.device)
    grid = F.affine_grid(maps, list(images.shape), align_corners=False)
    moved = F.grid_sample(images, grid, mode="nearest", align_corners=False)
    return moved.reshape(frames.shape)


def _uniform(*size: int) -> Tensor:
    return torch.rand(*size, device="cpu")


def _integers(first: int, end: int, size: tuple[int, ...]) -> Tensor:
    return torch.randint(first, end, size, device="cpu")


AUGMENTATIONS = {
    "none": none,
    "roll": roll,
    "affine": affine,
    "flip": flip,
    "nda": nda,
    "flip_nda": flip_nda,
}
MIRRORING = ("flip", "flip_nda")  # only where a mirrored recording keeps its class
