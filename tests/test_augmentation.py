import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from snnq.recordings import augmentation
from snnq.recordings.augmentation import AUGMENTATIONS, SHIFT, changed

CHANGES = [name for name in AUGMENTATIONS if name != "none"]


def augmented(name, frames):
    return changed(frames, AUGMENTATIONS[name](len(frames)))


def one_pixel(count=200):
    frames = torch.zeros(count, 3, 2, 34, 34, dtype=torch.uint8)
    frames[:, :, 1, 17, 17] = torch.tensor([4, 5, 6], dtype=torch.uint8)
    return frames


def test_without_augmentation_nothing_is_drawn():
    before = torch.get_rng_state()
    assert AUGMENTATIONS["none"](20) is None
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("name", CHANGES)
def test_time_steps_and_polarities_move_together(name):
    torch.manual_seed(0)
    moved = augmented(name, one_pixel())
    assert moved.shape == (200, 3, 2, 34, 34) and moved.dtype == torch.uint8
    assert moved[:, :, 0].sum() == 0
    base = moved[:, 0, 1] // 4
    for step, count in ((0, 4), (1, 5), (2, 6)):
        assert torch.equal(moved[:, step, 1], base * count)


def test_roll_keeps_every_event_and_reaches_every_shift():
    torch.manual_seed(0)
    moved = augmented("roll", one_pixel())
    assert (moved.sum(dim=(1, 2, 3, 4)) == 15).all()
    offsets = moved[:, 0, 1].nonzero()[:, 1:] - 17
    assert offsets.unique().tolist() == list(range(-SHIFT, SHIFT + 1))


def test_a_crop_reaches_every_shift_and_loses_what_leaves_the_frame():
    torch.manual_seed(0)
    moved = augmented("crop", one_pixel())
    offsets = moved[:, 0, 1].nonzero()[:, 1:] - 17
    assert all(column.unique().tolist() == list(range(-4, 5)) for column in offsets.T)
    corner = torch.zeros(200, 1, 2, 34, 34)
    corner[..., 0, 0] = 1
    kept = augmented("crop", corner).sum(dim=(1, 2, 3, 4))
    assert 0 < (kept == 2).sum() < 100 and set(kept.tolist()) == {0, 2}


def test_affine_stays_near_and_is_seeded():
    torch.manual_seed(0)
    moved = augmented("affine", one_pixel())
    offsets = moved[:, 0, 1].nonzero()[:, 1:] - 17
    assert offsets.abs().max() == SHIFT
    torch.manual_seed(0)
    assert torch.equal(augmented("affine", one_pixel()), moved)


def rolled(frames, limit):
    """One recording after the other, around the edges."""
    shifts = torch.randint(-limit, limit + 1, (len(frames), 2)).tolist()
    return torch.stack([f.roll(shift, dims=(-2, -1)) for f, shift in zip(frames, shifts)])


def mirrored(frames):
    chosen = torch.rand(len(frames)) < 0.5
    return torch.stack([f.flip(-1) if flip else f for f, flip in zip(frames, chosen)])


def warped(frames, turn, stretch_x, stretch_y, shear, x, y):
    """Through torch's own sampling; it measures x in half widths and y in half heights."""
    height, width = frames.shape[-2:]
    cos, sin = turn.cos(), turn.sin()
    rows = (
        torch.stack([cos * (1 + stretch_x), shear - sin * (1 + stretch_y), x], dim=1),
        torch.stack([sin * (1 + stretch_x), cos * (1 + stretch_y), y], dim=1),
    )
    units = torch.tensor(
        [[1, height / width, 2 / width], [width / height, 1, 2 / height]], dtype=torch.float64
    )
    images = frames.flatten(1, 2).double()
    maps = torch.stack(rows, dim=1) * units
    grid = F.affine_grid(maps, list(images.shape), align_corners=False)
    moved = F.grid_sample(images, grid, mode="nearest", align_corners=False)
    return moved.reshape(frames.shape).to(frames.dtype)


def between(limit, count):
    return limit * (2 * torch.rand(count) - 1)


def affine_by_torch(frames):
    limits = [getattr(augmentation, name) for name in ("TURN", "STRETCH", "STRETCH", "SHEAR")]
    return warped(frames, *(between(limit, len(frames)) for limit in (*limits, SHIFT, SHIFT)))


def nda_one_by_one(frames):
    """Each recording's one change, of four."""
    count, *_, height, width = frames.shape
    choice, nothing = torch.randint(0, 4, (count,)), torch.zeros(count)
    turn = between(augmentation.NDA_TURN, count) * (choice == 1)
    shear = (between(augmentation.NDA_SHEAR, count) * (choice == 2)).tan()
    moved = warped(frames, turn, nothing, nothing, shear, nothing, nothing)
    limit = augmentation.NDA_SHIFT
    shifts = torch.randint(-limit, limit + 1, (count, 2)).tolist()
    sides = torch.randint(1, augmentation.NDA_HOLE + 1, (count,)).tolist()
    corners = (torch.rand(count, 2) * torch.tensor([height, width])).int().tolist()
    for i, chosen in enumerate(choice.tolist()):
        if chosen == 0:
            moved[i] = moved[i].roll(shifts[i], dims=(-2, -1))
        elif chosen == 3:
            (y, x), side = corners[i], sides[i]
            moved[i, ..., y : y + side, x : x + side] = 0
    return moved


def cropped(frames):
    """Out of the frame with a margin without counts."""
    padding, (height, width) = augmentation.PADDING, frames.shape[-2:]
    padded = F.pad(frames, [padding] * 4)
    corners = padding + torch.randint(-padding, padding + 1, (len(frames), 2))
    crops = zip(padded, corners.tolist())
    return torch.stack([f[..., y : y + height, x : x + width] for f, (y, x) in crops])


ONE_BY_ONE = {
    "roll": lambda frames: rolled(frames, SHIFT),
    "affine": affine_by_torch,
    "flip": lambda frames: rolled(mirrored(frames), SHIFT),
    "nda": nda_one_by_one,
    "flip_nda": lambda frames: nda_one_by_one(mirrored(frames)),
    "crop": cropped,
    "flip_crop": lambda frames: cropped(mirrored(frames)),
}


@pytest.mark.parametrize("sensor", [(34, 34), (60, 90), (128, 128)], ids=str)
@pytest.mark.parametrize("name", CHANGES)
def test_all_recordings_at_once_are_as_one_by_one(name, sensor):
    """With the same draws, but for pixels that two others are equally near to in float32."""
    torch.manual_seed(0)
    frames = torch.randint(0, 256, (40, 1, 2, *sensor), dtype=torch.uint8)
    state = torch.get_rng_state()
    expected = ONE_BY_ONE[name](frames)
    torch.set_rng_state(state)
    changes = AUGMENTATIONS[name](len(frames))
    recordings, *_, rows, columns = (changed(frames, changes) != expected).nonzero().T
    assert len(recordings) < 1e-4 * frames.numel()
    middle = (torch.tensor(sensor[::-1], dtype=torch.float64) - 1) / 2
    pixels = torch.stack([columns, rows], dim=1).double() - middle
    maps = changes.double()[recordings, :6].reshape(-1, 2, 3)
    sources = (maps[..., :2] @ pixels[..., None])[..., 0] + maps[..., 2] + middle
    assert ((sources % 1 - 0.5).abs().amin(1) < 1e-4).all()


def test_halves_are_rounded_as_torch_does():
    """To the even pixel; on these sizes torch's coordinates of a quarter of a pixel are exact."""
    torch.manual_seed(0)
    height, width = 32, 64
    frames = torch.randint(0, 256, (50, 1, 2, height, width), dtype=torch.uint8)
    changes = torch.zeros(50, 7)
    changes[:, :6] = torch.randint(-8, 9, (50, 6)) / 4
    across = torch.arange(width) - (width - 1) / 2
    down = torch.arange(height)[:, None] - (height - 1) / 2
    xx, xy, x, yx, yy, y = changes[:, :6].T[..., None, None]
    grid = torch.stack(
        [(xx * across + xy * down + x) / (width / 2), (yx * across + yy * down + y) / (height / 2)],
        dim=-1,
    )
    images = frames.flatten(1, 2).float()
    expected = F.grid_sample(images, grid, mode="nearest", align_corners=False)
    assert torch.equal(changed(frames, changes).flatten(1, 2).float(), expected)


def test_frames_of_any_type_keep_it():
    torch.manual_seed(0)
    frames = torch.randint(0, 256, (20, 3, 2, 34, 34), dtype=torch.uint8)
    changes = AUGMENTATIONS["nda"](20)
    expected = changed(frames, changes)
    for dtype in (torch.float32, torch.float64, torch.int64):
        moved = changed(frames.to(dtype), changes)
        assert moved.dtype == dtype and torch.equal(moved, expected.to(dtype))


def moved_by_hand(frames, matrix, shift=(0, 0)):
    """Each pixel, in pixels from the centre, from the nearest one to where the matrix sends it."""
    height, width = frames.shape[-2:]
    y, x = np.mgrid[:height, :width]
    from_centre = np.stack([x - (width - 1) / 2, y - (height - 1) / 2]).reshape(2, -1)
    source = np.array(matrix) @ from_centre + np.array(shift)[:, None]
    columns = np.rint(source[0] + (width - 1) / 2).astype(int)
    rows = np.rint(source[1] + (height - 1) / 2).astype(int)
    inside = (columns >= 0) & (columns < width) & (rows >= 0) & (rows < height)
    moved = np.where(inside, frames[..., rows.clip(0, height - 1), columns.clip(0, width - 1)], 0)
    return moved.reshape(frames.shape)


TURN, SHEAR, LITTLE = math.radians(30), math.tan(math.radians(15)), math.radians(10)


@pytest.mark.parametrize("sensor", [(180, 240), (90, 30), (48, 48)], ids=str)
@pytest.mark.parametrize(
    ("name", "choice", "matrix", "shift"),
    [
        (
            "nda",
            1,
            [[math.cos(TURN), -math.sin(TURN)], [math.sin(TURN), math.cos(TURN)]],
            (0, 0),
        ),
        ("nda", 2, [[1, SHEAR], [0, 1]], (0, 0)),
        (
            "affine",
            None,
            [
                [1.1 * math.cos(LITTLE), 0.1 - 1.1 * math.sin(LITTLE)],
                [1.1 * math.sin(LITTLE), 1.1 * math.cos(LITTLE)],
            ],
            (2, 2),
        ),
    ],
)
def test_angles_are_those_of_the_pixels_on_any_sensor(
    monkeypatch, sensor, name, choice, matrix, shift
):
    """The greatest turn and shear of each, on frames that need not be square."""
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 200, (2, 1, 2, *sensor), dtype=np.uint8)
    monkeypatch.setattr(torch, "rand", lambda *size, **_: torch.ones(size))
    monkeypatch.setattr(torch, "randint", lambda *limits, **_: torch.full(limits[-1], choice or 0))
    moved = augmented(name, torch.from_numpy(frames)).numpy()
    assert (moved != moved_by_hand(frames, matrix, shift)).mean() < 2e-3  # half-way between pixels


@pytest.mark.parametrize("name", CHANGES)
def test_draws_are_the_same_whatever_torchs_default_device(name):
    torch.manual_seed(0)
    expected = augmented(name, one_pixel())
    torch.manual_seed(0)
    frames = one_pixel()
    with torch.device("meta"):
        assert torch.equal(augmented(name, frames), expected)


def test_frames_are_changed_on_their_device_and_nobody_waits_for_it():
    """A "meta" tensor has no numbers that the CPU could ask for."""

    class OnTheCPU(TorchDispatchMode):
        seen = 0

        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            output = function(*args, **(kwargs or {}))
            self.seen += isinstance(output, torch.Tensor) and output.device.type == "cpu"
            return output

    frames = torch.zeros(20, 3, 2, 34, 48, dtype=torch.uint8, device="meta")
    changes = AUGMENTATIONS["flip_nda"](20).to("meta")
    with OnTheCPU() as mode:
        moved = changed(frames, changes)
    assert moved.device.type == "meta" and moved.shape == frames.shape
    assert mode.seen == 0
