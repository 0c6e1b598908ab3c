import math

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from snnq.recordings.augmentation import AUGMENTATIONS, SHIFT


def one_pixel(count=200):
    frames = torch.zeros(count, 3, 2, 34, 34, dtype=torch.uint8)
    frames[:, :, 1, 17, 17] = torch.tensor([4, 5, 6], dtype=torch.uint8)
    return frames


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_time_steps_and_polarities_move_together(name):
    torch.manual_seed(0)
    moved = AUGMENTATIONS[name](one_pixel()).float()
    assert moved.shape == (200, 3, 2, 34, 34)
    assert moved[:, :, 0].sum() == 0
    base = moved[:, 0, 1] / 4
    for step, count in ((1, 5), (2, 6)):
        assert torch.equal(moved[:, step, 1], base * count)


def test_roll_keeps_every_event_and_reaches_every_shift():
    torch.manual_seed(0)
    moved = AUGMENTATIONS["roll"](one_pixel())
    assert (moved.sum(dim=(1, 2, 3, 4)) == 15).all()
    offsets = moved[:, 0, 1].nonzero()[:, 1:] - 17
    assert offsets.unique().tolist() == list(range(-SHIFT, SHIFT + 1))


def test_affine_stays_near_and_is_seeded():
    torch.manual_seed(0)
    moved = AUGMENTATIONS["affine"](one_pixel())
    offsets = moved[:, 0, 1].nonzero()[:, 1:] - 17
    assert offsets.abs().max() == SHIFT
    torch.manual_seed(0)
    assert torch.equal(AUGMENTATIONS["affine"](one_pixel()), moved)


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
    monkeypatch.setattr(
        torch, "randint", lambda *limits, **_: torch.full(limits[-1], choice or 0)
    )
    moved = AUGMENTATIONS[name](torch.from_numpy(frames)).numpy()
    assert (moved != moved_by_hand(frames, matrix, shift)).mean() < 2e-3  # half-way between pixels


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_it_is_done_on_the_frames_own_device(name):
    """Whatever torch's default device is: neither mixes another one's tensors in."""
    frames = torch.zeros(20, 3, 2, 34, 48, dtype=torch.uint8, device="meta")
    assert AUGMENTATIONS[name](frames).device.type == "meta"
    torch.manual_seed(0)
    expected = AUGMENTATIONS[name](one_pixel())
    torch.manual_seed(0)
    frames = one_pixel()
    with torch.device("meta"):
        assert torch.equal(AUGMENTATIONS[name](frames), expected)


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_nothing_as_large_as_the_frames_is_made_elsewhere(name):
    """But for the draws, which are the same on every device, all is computed beside the frames."""

    class OnTheCPU(TorchDispatchMode):
        sizes = [0]

        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            output = function(*args, **(kwargs or {}))
            if isinstance(output, torch.Tensor) and output.device.type == "cpu":
                self.sizes.append(output.numel())
            return output

    frames = torch.zeros(20, 3, 2, 34, 34, dtype=torch.uint8, device="meta")
    with OnTheCPU() as seen:
        AUGMENTATIONS[name](frames)
    assert max(seen.sizes) <= 20 * 6
