"""An event camera in software.

Each pixel signals when its log intensity has moved by a threshold since its last event
(Lichtsteiner et al., IEEE JSSC 2008). Positions, intensities, thresholds and times are integers,
so that a moving picture gives the same events on every machine.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter

from snnq.recordings.formats import EVENTS

SUBPIXEL = 64  # positions per pixel, each way
WHITE = 255 * SUBPIXEL**2  # the grey value of a white pixel between others
LOG_UNIT = 4096  # steps per unit of log intensity


Knot = tuple[int, float, float]  # µs, x, y


def legs(duration: int, *corners: tuple[float, float]) -> tuple[Knot, ...]:
    """A path from corner to corner, each leg in the same time."""
    return tuple((i * duration, *corner) for i, corner in enumerate(corners))


@dataclass(frozen=True)
class Camera:
    """What the simulated sensor does, and how a picture moves before it.

    Lengths in pixels, times in µs, intensities from 0 to 1.
    """

    width: int = 34
    height: int = 34
    path: tuple[Knot, ...] = legs(105_000, (0, 0), (3.5, 5.3), (5.6, 0), (0, 0))
    offset: tuple[float, float] = (-0.4, 1.3)  # of the picture's corner where the path is (0, 0)
    step: int = 2_500  # between two looks at the picture; events in between are interpolated
    negative: bool = False  # the screen shows bright as dark
    blur: float = 0.0  # s.d. of the lens's point spread
    floor: float = 0.4  # added to the intensity before the logarithm
    latency: float = 0.0  # time constant of the pixels' first-order low-pass
    threshold: float = 0.2  # change of log intensity that makes an event
    mismatch: float = 0.15  # s.d. of the threshold between pixels, relative
    drift: float = 0.0  # s.d. of the threshold between recordings, relative
    leak: float = 0.0  # ON events per pixel and second without any change
    brighter: int = 1  # the p of an ON event

    def positions(self) -> np.ndarray:
        """Corner of the picture at each look, in 1/64 pixels: int [looks, 2]."""
        knots = np.array(self.path)
        times = np.arange(0, knots[-1, 0] + 1, self.step)
        leg = np.searchsorted(knots[1:-1, 0], times, side="right")
        start, end = knots[leg], knots[leg + 1]
        share = (times - start[:, 0]) / (end[:, 0] - start[:, 0])
        eased = (share**2 * (3 - 2 * share))[:, None]  # a saccade speeds up and slows down
        corners = start[:, 1:] + self.offset + eased * (end[:, 1:] - start[:, 1:])
        return np.rint(corners * SUBPIXEL).astype(int)

    def thresholds(self, rng: np.random.Generator) -> np.ndarray:
        """One threshold per pixel, in steps of log intensity: int32 [height, width]."""
        relative = 1 + self.mismatch * _normal(rng, (self.height, self.width))
        return np.rint(self.threshold * LOG_UNIT * relative).astype(np.int32)

    def log_table(self) -> np.ndarray:
        """Log intensity of every grey value from 0 to WHITE, in steps: int32."""
        grey = np.arange(WHITE + 1) / WHITE
        if self.negative:
            grey = grey[::-1]
        return np.rint(np.log(grey + self.floor) * LOG_UNIT).astype(np.int32)


def record_pictures(
    pictures: np.ndarray,
    camera: Camera,
    thresholds: np.ndarray,
    rng: np.random.Generator,
    batch: int = 256,
) -> Iterator[np.ndarray]:
    """The events that a camera sees of each picture as it moves along the path.

    Parameters
    ----------
    pictures : uint8 array [N, h, w]
    camera : Camera
    thresholds : array
        Of each pixel, see `Camera.thresholds`: one sensor sees all pictures.
    rng : Generator
        Draws where between two events each pixel starts, and noise.
    batch : int
        Pictures simulated at once.

    Yields
    ------
    structured array with fields x, y, t (µs), p (0 or 1), in time order, for each picture
    """
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
    """The events of `count` scenes at once, from their grey values int [count, height, width], 0
    to WHITE, at each look, `camera.step` µs apart."""
    table = camera.log_table()
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


def _normal(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Close to normal, within ±3: a sum of uniform integers, which unlike normal() uses no logarithm
    and so is the same on every machine."""
    return (rng.integers(0, 1001, (12, *shape)).sum(0) / 1000 - 6).clip(-3, 3)


def _leak(count: int, camera: Camera, duration: int, rng: np.random.Generator) -> tuple:
    """ON events that come without any light (Nozaki and Delbruck, IEEE TED 2017)."""
    number = round(camera.leak * duration * 1e-6 * camera.width * camera.height) * count
    limits = (count, camera.width, camera.height, duration)
    return (*(rng.integers(0, limit, number) for limit in limits), np.full(number, camera.brighter))


def _project(pictures: np.ndarray, corner: np.ndarray, camera: Camera) -> np.ndarray:
    """Pictures [N, h, w] with their corner at (x, y)/64 on the sensor: int [N, height, width].

    Bilinear, in units of 1/64² grey value; black around the picture.
    """
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
