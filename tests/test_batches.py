from contextlib import contextmanager

import numpy as np
import pytest
import torch
from conftest import fit, results
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import ConcatDataset, DataLoader, Subset, TensorDataset

from snnq.recordings.augmentation import AUGMENTATIONS, changed
from snnq.recordings.frames import Frames
from snnq.recordings.resident import SHARE, ResidentFrames, fitting, resident
from snnq.training import batches as module
from snnq.training.batches import batches

RECORDINGS, STEPS, HEIGHT, WIDTH, BATCH = 50, 3, 8, 10, 7
CPU, META = torch.device("cpu"), torch.device("meta")


@pytest.fixture(params=[1, 3], ids=["a batch at once", "three batches at once"])
def frames(request, monkeypatch):
    monkeypatch.setattr(module, "BLOCK", request.param * BATCH * STEPS * 2 * HEIGHT * WIDTH)
    rng = np.random.default_rng(0)
    numbers = rng.integers(0, 256, (RECORDINGS, STEPS, 2, HEIGHT, WIDTH), dtype=np.uint8)
    return Frames("test", numbers, rng.integers(0, 10, RECORDINGS))


def subset_of_one(data):
    return Subset(Subset(data, range(RECORDINGS - 1, 4, -1)), np.arange(40).tolist())


KINDS = {
    "frames": lambda frames: frames,
    "subset": lambda frames: Subset(frames, [3, 1, 4, 1, 5, 9, 2, 6, 5]),
    "subset of a subset": subset_of_one,
    "resident": lambda frames: ResidentFrames(frames, CPU),
    "subset of resident": lambda frames: subset_of_one(ResidentFrames(frames, CPU)),
    "concatenated": lambda frames: ConcatDataset([frames, ResidentFrames(frames, CPU)]),
    "tensors": lambda frames: TensorDataset(
        torch.from_numpy(frames.frames), torch.from_numpy(frames.labels)
    ),
    "list": list,
}


def all_equal(found, expected):
    found, expected = list(found), list(expected)
    return len(found) == len(expected) and all(
        torch.equal(one, other) and one.dtype == other.dtype
        for pair in zip(found, expected)
        for one, other in zip(*pair)
    )


@pytest.mark.parametrize("ordered", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_they_are_those_of_a_plain_loader(frames, kind, ordered):
    data = KINDS[kind](frames)
    torch.manual_seed(0)
    order = torch.randperm(len(data)).tolist() if ordered else None
    expected = [
        (frames.transpose(0, 1).float(), labels)
        for frames, labels in DataLoader(data, BATCH, sampler=order)
    ]
    state = torch.get_rng_state()
    found = list(batches(data, BATCH, CPU, order))
    assert all_equal(found, expected)
    assert all(frames.is_contiguous() for frames, _ in found)
    assert torch.equal(torch.get_rng_state(), state)
    if ordered:
        assert all_equal(batches(data, BATCH, CPU, torch.tensor(order)), expected)


def test_no_recordings_are_no_batches(frames):
    for data in (Subset(frames, []), Subset(ResidentFrames(frames, CPU), []), []):
        assert not list(batches(data, BATCH, CPU))


@pytest.mark.parametrize("kind", KINDS)
def test_a_recording_changes_the_same_way_in_any_batch(frames, kind):
    """So that a run goes on in the middle of an epoch as if it had not been stopped."""
    data = KINDS[kind](frames)
    torch.manual_seed(0)
    order, changes = torch.randperm(len(data)), AUGMENTATIONS["affine"](len(data))
    whole = list(batches(data, BATCH, CPU, order, changes))
    assert all_equal(batches(data, BATCH, CPU, order[2 * BATCH :], changes), whole[2:])
    one_by_one = [changed(data[i][0][None], changes[i][None])[0] for i in order]
    assert torch.equal(torch.cat([f for f, _ in whole], 1), torch.stack(one_by_one, 1).float())
    ((as_they_are, _),) = batches(data, len(data), CPU, None, changes)
    assert torch.equal(as_they_are[:, order], torch.stack(one_by_one, 1).float())


def test_what_is_resident_is_prepared_there_and_nobody_waits_for_it(frames):
    """A "meta" tensor has no numbers that the CPU could ask for."""
    data = subset_of_one(ResidentFrames(frames, META))
    changes = AUGMENTATIONS["flip_nda"](len(data))
    found = list(batches(data, BATCH, META, torch.randperm(len(data)), changes))
    assert [len(labels) for _, labels in found] == 5 * [BATCH] + [5]
    assert all(tensor.device == META for pair in found for tensor in pair)
    assert found[0][0].shape == (STEPS, BATCH, 2, HEIGHT, WIDTH)


@given(
    st.lists(st.integers(0, 100), max_size=6),
    st.integers(0, 500),
)
def test_arrays_fit_together(sizes, free):
    fits = fitting(sizes, free)
    taken = [size for size, fits_too in zip(sizes, fits) if fits_too]
    assert sum(taken) <= SHARE * free and 0 not in taken
    for i, size in enumerate(sizes):
        before = sum(size for size, fits_too in zip(sizes[:i], fits) if fits_too)
        assert fits[i] == (0 < size <= SHARE * free - before)


def test_splits_that_fit_are_resident_and_share_their_frames(frames):
    other = Frames("other", frames.frames[:9], frames.labels[:9])
    splits = [Subset(frames, range(30)), Subset(frames, range(30, 50)), other, list(frames)]
    size = frames.frames.nbytes
    assert resident(splits, CPU) == splits
    assert resident(splits, CPU, int(size / SHARE) - 1)[:2] == splits[:2]
    train, validation, test, listed = resident(splits, CPU, int(size / SHARE))
    assert type(train.dataset) is ResidentFrames and train.dataset is validation.dataset
    assert train.dataset.name == "test" and test is other and listed is splits[3]
    assert type(resident(splits, CPU, 10 * size)[2]) is ResidentFrames
    for found, split in ((train, splits[0]), (validation, splits[1])):
        assert all_equal(batches(found, BATCH, CPU), batches(split, BATCH, CPU))


def test_frames_are_read_in_parts(frames, monkeypatch):
    monkeypatch.setattr("snnq.recordings.resident.CHUNK", 3 * frames.frames[0].nbytes + 1)
    there = ResidentFrames(frames, CPU)
    assert np.array_equal(there.frames, frames.frames)
    assert np.array_equal(there.labels, frames.labels)
    assert torch.equal(there[3][0], frames[3][0]) and there[3][1] == frames[3][1]


class Backend:
    """Two streams of a device, which write down what is asked of them."""

    def __init__(self, monkeypatch):
        self.asked, self.current = [], "main"
        monkeypatch.setattr(torch, "get_device_module", lambda _: self)
        monkeypatch.setattr(torch.Tensor, "pin_memory", lambda tensor: tensor)
        copy = torch.Tensor.copy_

        def copied(target, source, non_blocking):
            self.asked.append(f"{self.current} copies" if non_blocking else "the CPU waits")
            return copy(target, source)

        monkeypatch.setattr(torch.Tensor, "copy_", copied)

    def Stream(self, _):
        return Named("side", self)

    def current_stream(self, _):
        return Named(self.current, self)

    @contextmanager
    def stream(self, chosen):
        self.current = chosen.name
        yield
        self.current = "main"


class Named:
    def __init__(self, name, backend):
        self.name, self.backend = name, backend

    def wait_stream(self, other):
        self.backend.asked.append(f"{self.name} waits for {other.name}")


def test_the_next_batch_is_copied_while_the_present_one_is_used(frames, monkeypatch):
    expected = list(batches(frames, 20, CPU))
    backend = Backend(monkeypatch)
    read = (frames.rows(torch.arange(i, min(i + 20, 50))) for i in (0, 20, 40))
    found = []
    for numbers, labels in module._ahead(read, CPU):
        backend.asked.append("used")
        found.append((numbers.transpose(0, 1).float(), labels))
    start = ["main waits for side", "side waits for main", "side copies", "side copies"]
    assert backend.asked == [
        *start,
        *start,  # of the second batch, before the first one's use
        "used",
        *start,
        "used",
        "main waits for side",
        "used",
        "main waits for side",
    ]
    assert all_equal(found, expected)


def test_a_batch_that_nobody_takes_is_copied_to_its_end(frames, monkeypatch):
    backend = Backend(monkeypatch)
    ahead = module._ahead((frames.rows(torch.arange(20)) for _ in range(3)), CPU)
    next(ahead)
    assert backend.asked[-1] == "side copies"
    ahead.close()
    assert backend.asked[-1] == "main waits for side"


def test_a_run_ends_the_same_with_resident_frames(tiny, in_tmp, monkeypatch):
    tiny |= {"full_epochs": 0}
    fit(tiny, in_tmp / "mapped")
    made = []

    class Counted(ResidentFrames):
        def __init__(self, *arguments):
            super().__init__(*arguments)
            made.append(self.name)

    monkeypatch.setattr("snnq.recordings.resident.free_memory", lambda _: 2**30)
    monkeypatch.setattr("snnq.recordings.resident.ResidentFrames", Counted)
    monkeypatch.setattr(module, "ResidentFrames", Counted)
    fit(tiny, in_tmp / "resident")
    assert len(made) == 2  # both splits, of which one is trained on and chosen from
    assert results(in_tmp / "resident") == results(in_tmp / "mapped")
