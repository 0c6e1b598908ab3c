import pytest
import torch

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
