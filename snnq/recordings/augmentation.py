"""Augmentation of training frames: each recording's pixels from other places, and some left out.

What happens to a recording is a row of numbers, drawn by torch's own generator on the CPU before
anything is read, `AUGMENTATIONS[name](recordings)`. The frames are changed where they are, by
`changed`: the same on every device, without a loop over recordings, in the type that they have.
Angles are those of the pixels, whatever the sensor's height and width.
"""

import math

import torch
from torch import Tensor

SHIFT = 2  # pixels, at most, each way
PADDING = 4  # pixels without counts on each side, before a crop
TURN = math.radians(10)
STRETCH = 0.1  # relative, of height and width on their own
SHEAR = 0.1
# Neuromorphic data augmentation (Li et al., ECCV 2022), for sensors of 48 pixels and more.
NDA_SHIFT = 5
NDA_TURN = math.radians(30)
NDA_SHEAR = math.radians(15)
NDA_HOLE = 8  # pixels

# The columns of a row of changes. A pixel (x, y), measured from the frame's centre, has the counts
# of the one nearest to (XX·x + XY·y + X, YX·x + YY·y + Y), and none where that is outside; or, of
# maps that only mirror and shift, those around the edges. With a hole there are three more columns:
# a square of SIDE pixels without counts, its corner a share of the frame's height and width.
XX, XY, X, YX, YY, Y, AROUND = range(7)
TOP, LEFT, SIDE = range(7, 10)


def none(recordings: int) -> None:
    """No change."""


def roll(recordings: int) -> Tensor:
    """Each recording shifted by up to 2 whole pixels each way, around the edges."""
    changes = _unchanged(recordings)
    changes[:, [Y, X]] = -_integers(-SHIFT, SHIFT + 1, (recordings, 2)).float()
    changes[:, AROUND] = 1
    return changes


def affine(recordings: int) -> Tensor:
    """Each recording shifted up to 2 pixels, turned up to 10°, stretched and sheared up to 10 %.

    The same for all its time steps, each pixel with the counts of the nearest one: the kind of
    change that other hands would make.
    """
    turn, stretch_x, stretch_y, shear, x, y = (
        limit * (2 * _uniform(recordings) - 1)
        for limit in (TURN, STRETCH, STRETCH, SHEAR, SHIFT, SHIFT)
    )
    cos, sin = turn.cos(), turn.sin()
    changes = _unchanged(recordings)
    changes[:, XX], changes[:, XY] = cos * (1 + stretch_x), shear - sin * (1 + stretch_y)
    changes[:, YX], changes[:, YY] = sin * (1 + stretch_x), cos * (1 + stretch_y)
    changes[:, X], changes[:, Y] = x, y
    return changes


def flip(recordings: int) -> Tensor:
    """Each recording mirrored left to right with a chance of one half, then shifted as in `roll`."""
    mirrored = _mirrored(recordings)
    return _after(mirrored, roll(recordings))


def crop(recordings: int) -> Tensor:
    """Each recording a random crop of itself with 4 pixels of padding, without counts, on each side.

    That is shifted by up to 4 whole pixels each way, what leaves the frame being lost, the same for
    all its time steps: the crop of Liang et al. (ICML 2025) on CIFAR10-DVS.
    """
    changes = _unchanged(recordings)
    changes[:, [Y, X]] = _integers(-PADDING, PADDING + 1, (recordings, 2)).float()
    return changes


def flip_crop(recordings: int) -> Tensor:
    """`crop` after a flip with a chance of one half."""
    mirrored = _mirrored(recordings)
    return _after(mirrored, crop(recordings))


def nda(recordings: int) -> Tensor:
    """Neuromorphic data augmentation (Li et al., ECCV 2022, sec. 3.2), without its flip.

    One of four changes for each recording, the same for all its time steps: shifted by up to 5
    pixels each way around the edges, turned by up to 30°, sheared by up to 15°, or with a hole
    of up to 8 pixels.
    """
    choice = _integers(0, 4, (recordings,))
    turn = NDA_TURN * (2 * _uniform(recordings) - 1) * (choice == 1)
    shear = (NDA_SHEAR * (2 * _uniform(recordings) - 1) * (choice == 2)).tan()
    shifts = _integers(-NDA_SHIFT, NDA_SHIFT + 1, (recordings, 2)) * (choice == 0)[:, None]
    side = _integers(1, NDA_HOLE + 1, (recordings,)) * (choice == 3)
    corners = _uniform(recordings, 2)
    cos, sin = turn.cos(), turn.sin()
    changes = _unchanged(recordings, columns=10)
    changes[:, XX], changes[:, XY] = cos, shear - sin
    changes[:, YX], changes[:, YY] = sin, cos
    changes[:, [Y, X]] = -shifts.float()
    changes[:, AROUND] = (choice == 0).float()
    changes[:, [TOP, LEFT]], changes[:, SIDE] = corners, side.float()
    return changes


def flip_nda(recordings: int) -> Tensor:
    """`nda` after a flip with a chance of one half: the whole set of its paper."""
    mirrored = _mirrored(recordings)
    return _after(mirrored, nda(recordings))


AUGMENTATIONS = {
    "none": none,
    "roll": roll,
    "affine": affine,
    "flip": flip,
    "nda": nda,
    "flip_nda": flip_nda,
    "crop": crop,
    "flip_crop": flip_crop,
}
MIRRORING = ("flip", "flip_nda", "flip_crop")  # only where a mirrored recording keeps its class


def changed(frames: Tensor, changes: Tensor) -> Tensor:
    """Frames [N, N_t, 2, H, W] of any type, each recording with its row of changes [N, 7 or 10]."""
    height, width = frames.shape[-2:]
    places, kept = _sources(changes, height, width)
    pixels = frames.flatten(1, -3).flatten(-2)  # (N, N_t·2, H·W)
    moved = pixels.gather(2, places[:, None].expand(pixels.shape)).mul_(kept[:, None])
    return moved.reshape(frames.shape)


def _sources(changes: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
    """Where each pixel's counts come from, and whether it has any: both [N, H·W].

    One operation after the other, so that each is rounded once on any device: where products and
    sums are fused, another pixel is chosen of two that are about as near.
    """
    xx, xy, x, yx, yy, y, around, *hole = changes.T[..., None, None]
    row = torch.arange(height, device=changes.device)[:, None]
    column = torch.arange(width, device=changes.device)
    across, down = column - (width - 1) / 2, row - (height - 1) / 2
    # What depends on the column or the row alone is small: (N, 1, W) or (N, H, 1).
    along_x = _around(xx * across + (x + (width - 1) / 2), around, width)
    along_y = _around(yy * down + (y + (height - 1) / 2), around, height)
    from_x, from_y = (along_x + xy * down).round_(), (along_y + yx * across).round_()
    if height == 1:  # of such a sensor only what lies along it is changed
        from_y.zero_()
    inside_x, inside_y = from_x.clamp(0, width - 1), from_y.clamp(0, height - 1)
    kept = (inside_x == from_x) & (inside_y == from_y)
    if hole:
        top, left, side = hole
        kept &= ~(_within(row, top * height, side) & _within(column, left * width, side))
    return torch.add(inside_x, inside_y, alpha=width).long().flatten(1), kept.flatten(1)


def _around(places: Tensor, around: Tensor, size: int) -> Tensor:
    return torch.where(around.bool(), places.remainder(size), places)


def _within(places: Tensor, first: Tensor, count: Tensor) -> Tensor:
    first = first.floor()
    return (places >= first) & (places < first + count)


def _unchanged(recordings: int, columns: int = 7) -> Tensor:
    changes = torch.zeros(recordings, columns, device="cpu")
    changes[:, [XX, YY]] = 1
    return changes


def _mirrored(recordings: int) -> Tensor:
    """-1 for those that are to be mirrored, and 1 for the others."""
    return 1 - 2 * (_uniform(recordings) < 0.5).float()


def _after(mirrored: Tensor, changes: Tensor) -> Tensor:
    """Changes of recordings that were mirrored before, where -1."""
    changes[:, [XX, XY, X]] *= mirrored[:, None]
    return changes


def _uniform(*size: int) -> Tensor:
    return torch.rand(*size, device="cpu")


def _integers(first: int, end: int, size: tuple[int, ...]) -> Tensor:
    return torch.randint(first, end, size, device="cpu")
