"""The simulated camera as array operations over whole pictures at each look.

What the compiled one is measured against, and has to be the same as to the byte.
"""

from collections.abc import Iterable, Iterator

import numpy as np
from scipy.ndimage import gaussian_filter

from snnq.recordings.formats import EVENTS
from snnq.simulation import gestures
from snnq.simulation.camera import Camera
from snnq.simulation.pixels import LOG_UNIT, SUBPIXEL, WHITE


def record_pictures(
    pictures: np.ndarray,
    camera: Camera,
    thresholds: np.ndarray,
    rng: np.random.Generator,
    batch: int = 256,
) -> Iterator[np.ndarray]:
    """As `snnq.simulation.camera.record_pictures`."""
    for start in range(0, len(pictures), batch):
        some = pictures[start : start + batch]
        if camera.blur:
            spread = gaussian_filter(
                some.astype(float), (0, camera.blur, camera.blur), mode="constant"
            )
            some = np.rint(spread)
        looks = (_project(some, corner, camera) for corner in camera.positions())
        yield from record_looks(looks, len(some), camera, thresholds, rng)


def record_looks(
    looks: Iterable[np.ndarray],
    count: int,
    camera: Camera,
    thresholds: np.ndarray,
    rng: np.random.Generator,
) -> list[np.ndarray]:
    """The events of `count` scenes at once, from their grey values int [count, height, width]."""
    table = _log_table(camera)
    phase = rng.integers(-500, 501, (count, camera.height, camera.width))
    logarithms = (table[look] for look in looks)
    before = next(logarithms)
    reference = before + (thresholds * phase // 1000).astype(np.int32)
    threshold = np.broadcast_to(thresholds, reference.shape)
    if camera.drift:
        relative = 1 + camera.drift * _normal(rng, (count, 1, 1))
        threshold = np.rint(thresholds * relative).astype(np.int32)
    events, look = [], 0
    for look, target in enumerate(logarithms):
        after = before + ((target - before) * camera.step / (camera.step + camera.latency)).astype(
            np.int32
        )
        change = after - reference
        direction = np.sign(change)
        crossings = np.abs(change) // threshold
        for k in range(1, crossings.max() + 1):
            n, y, x = np.nonzero(crossings >= k)
            level = (reference + k * direction * threshold)[n, y, x]
            start, end = before[n, y, x], after[n, y, x]
            t = look * camera.step + (level - start) * camera.step // (end - start)
            events.append((n, x, y, t, (direction[n, y, x] > 0) == camera.brighter))
        reference += crossings * direction * threshold
        before = after
    events.append(_leak(count, camera, (look + 1) * camera.step, rng))
    return _by_recording(events, count)


def _log_table(camera: Camera) -> np.ndarray:
    grey = np.arange(WHITE + 1) / WHITE
    if camera.negative:
        grey = grey[::-1]
    return np.rint(np.log(grey + camera.floor) * LOG_UNIT).astype(np.int32)


def _normal(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return (rng.integers(0, 1001, (12, *shape)).sum(0) / 1000 - 6).clip(-3, 3)


def _leak(count: int, camera: Camera, duration: int, rng: np.random.Generator) -> tuple:
    number = round(camera.leak * duration * 1e-6 * camera.width * camera.height) * count
    limits = (count, camera.width, camera.height, duration)
    return (*(rng.integers(0, limit, number) for limit in limits), np.full(number, camera.brighter))


def _project(pictures: np.ndarray, corner: np.ndarray, camera: Camera) -> np.ndarray:
    (left, up), (right, down) = -corner // SUBPIXEL, -corner % SUBPIXEL
    width, height = camera.width, camera.height
    padded = np.pad(pictures.astype(np.int32), ((0, 0), (height, height), (width, width)))
    rows = padded[:, height + up :, width + left :][:, : height + 1, : width + 1]
    rows = (SUBPIXEL - down) * rows[:, :-1] + down * rows[:, 1:]
    return (SUBPIXEL - right) * rows[:, :, :-1] + right * rows[:, :, 1:]


def _by_recording(events: list[tuple], recordings: int) -> list[np.ndarray]:
    n, *fields = (np.concatenate(column) for column in zip(*events))
    order = np.lexsort((fields[2], n))
    joined = np.empty(len(n), dtype=EVENTS)
    for name, values in zip(EVENTS.names, fields):
        joined[name] = values[order]
    return np.split(joined, np.cumsum(np.bincount(n, minlength=recordings))[:-1])


def record_scene(
    looks: Iterable[np.ndarray], camera: Camera, thresholds: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """As `snnq.simulation.camera.record_scene`."""
    return record_looks((look[None] for look in looks), 1, camera, thresholds, rng)[0]


def looks(gesture: int, person: gestures.Person, camera: Camera) -> Iterator[np.ndarray]:
    """As `snnq.simulation.gestures.looks`."""
    y, x = np.mgrid[: gestures.SIZE, : gestures.SIZE].astype(float)
    pixels = (np.stack([x, y], axis=-1) - 64 - person.shift) / person.scale + 64
    body = np.full((gestures.SIZE, gestures.SIZE), -np.inf)
    _cover(body, pixels, gestures.HEAD, gestures.HEAD, gestures.HEAD_RADIUS)
    _cover(body, pixels, gestures.SHOULDERS[0], gestures.SHOULDERS[1], 5)
    _cover(body, pixels, np.array([64.0, 70]), np.array([64.0, 128]), 17)
    for time in range(0, gestures.DURATION + 1, camera.step):
        depth = body.copy()
        for shoulder, hand, side in zip(
            gestures.SHOULDERS, gestures.hands(gesture, person.rate * time * 1e-6, person), (-1, 1)
        ):
            elbow, hand = gestures._arm(shoulder, hand, side)
            _cover(depth, pixels, shoulder, elbow, gestures.ARM_RADIUS)
            _cover(depth, pixels, elbow, hand, gestures.ARM_RADIUS)
            _cover(depth, pixels, hand, hand, gestures.HAND_RADIUS)
        inside = np.clip(depth + 0.5, 0, 1)  # edges one pixel wide
        yield np.rint((0.15 + (person.brightness - 0.15) * inside) * WHITE).astype(int)


def _cover(
    depth: np.ndarray, pixels: np.ndarray, start: np.ndarray, end: np.ndarray, radius: float
) -> None:
    """Into how deep each pixel lies inside the body, a line of some thickness; negative outside."""
    window = tuple(  # of rows and columns; what is further out than a pixel is not seen
        slice(*np.searchsorted(axis, (low - radius - 1, high + radius + 1)))
        for axis, low, high in zip(
            (pixels[:, 0, 1], pixels[0, :, 0]),
            np.minimum(start, end)[::-1],
            np.maximum(start, end)[::-1],
        )
    )
    line, near = end - start, pixels[window]
    along = np.clip((near - start) @ line / max(line @ line, 1e-9), 0, 1)
    inside = radius - np.linalg.norm(near - start - along[..., None] * line, axis=-1)
    depth[window] = np.maximum(depth[window], inside)
