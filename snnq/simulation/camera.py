"""An event camera in software.

Each pixel signals when its log intensity has moved by a threshold since its last event
(Lichtsteiner et al., IEEE JSSC 2008). Positions, intensities, thresholds and times are integers,
so that a moving picture gives the same events on every machine.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from snnq.recordings.formats import EVENTS
from snnq.simulation.pixels import (
    LOG_UNIT,
    ROOM,
    SUBPIXEL,
    WHITE,
    Circuit,
    in_time,
    intensities,
    see,
    wake,
    watch,
)

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
        Pictures whose random numbers are drawn at once.

    Yields
    ------
    structured array with fields x, y, t (µs), p (0 or 1), in time order, for each picture
    """
    shape, circuit, places = (camera.height, camera.width), _circuit(camera), camera.positions()
    for start in range(0, len(pictures), batch):
        some = pictures[start : start + batch]
        sensors = _sensors(len(some), camera, thresholds, rng)
        noise = _leak(len(some), camera, len(places) - 1, rng)
        if camera.blur:
            some = _blurred(some, camera.blur)
        for picture, sensor, leaked in zip(some, sensors, noise):
            canvas, seen_at = _canvas(picture, places, camera)
            yield _in_time(watch(canvas, seen_at, shape, *sensor, circuit), leaked, camera)


def record_scene(
    looks: Iterable[np.ndarray], camera: Camera, thresholds: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """The events of a scene, from its grey values int [height, width], 0 to WHITE, at each look,
    `camera.step` µs apart."""
    circuit = _circuit(camera)
    (sensor,) = _sensors(1, camera, thresholds, rng)
    greys = (_shown(look.astype(np.int32), WHITE, camera) for look in looks)
    pixels = wake(next(greys), *sensor, circuit)
    events, count, look = np.empty(ROOM, np.int64), 0, 0
    for look, grey in enumerate(greys, start=1):
        time = (look - 1) * camera.step
        events, count = see(pixels, grey.ravel(), time, circuit, events, count)
    (leaked,) = _leak(1, camera, look, rng)
    return _in_time(events[:count], leaked, camera)


def _circuit(camera: Camera) -> Circuit:
    tables = intensities(camera.floor)
    return Circuit(camera.step, float(camera.latency), camera.brighter, *tables)


def _sensors(
    count: int, camera: Camera, thresholds: np.ndarray, rng: np.random.Generator
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Thresholds, and how far each pixel's reference is from the log intensity at first, int32
    [pixels], for each of some recordings.

    Raises
    ------
    ValueError
        A pixel without a threshold.
    """
    phase = rng.integers(-500, 501, (count, camera.height, camera.width))
    phase = (thresholds * phase // 1000).astype(np.int32)
    threshold = np.broadcast_to(thresholds, phase.shape)
    if camera.drift:
        relative = 1 + camera.drift * _normal(rng, (count, 1, 1))
        threshold = np.rint(thresholds * relative).astype(np.int32)
    if threshold.min() < 1:
        raise ValueError(
            f"threshold={camera.threshold}, mismatch={camera.mismatch}, drift={camera.drift}:"
            f" expected every pixel's threshold to be at least 1/{LOG_UNIT}"
        )
    return list(zip(threshold.reshape(count, -1), phase.reshape(count, -1)))


def _normal(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Close to normal, within ±3: a sum of uniform integers, which unlike normal() uses no logarithm
    and so is the same on every machine."""
    return (rng.integers(0, 1001, (12, *shape)).sum(0) / 1000 - 6).clip(-3, 3)


def _leak(count: int, camera: Camera, steps: int, rng: np.random.Generator) -> list[np.ndarray]:
    """ON events that come without any light (Nozaki and Delbruck, IEEE TED 2017), as words, in each
    of some recordings."""
    duration = max(steps, 1) * camera.step
    number = round(camera.leak * duration * 1e-6 * camera.width * camera.height) * count
    limits = (count, camera.width, camera.height, duration)
    n, x, y, t = (rng.integers(0, limit, number) for limit in limits)
    words = t << 32 | y << 17 | x << 1 | camera.brighter
    ends = np.cumsum(np.bincount(n, minlength=count))
    return np.split(words[np.argsort(n, kind="stable")], ends[:-1])


def _blurred(pictures: np.ndarray, deviation: float) -> np.ndarray:
    from scipy.ndimage import gaussian_filter  # a fifth of a second, which few cameras need

    spread = (0, deviation, deviation)
    return np.rint(gaussian_filter(pictures.astype(float), spread, mode="constant"))


def _canvas(
    picture: np.ndarray, corners: np.ndarray, camera: Camera
) -> tuple[np.ndarray, np.ndarray]:
    """All that the sensor sees of a picture with its corner at (x, y)/64 and black around it, and
    where: row, column, and 1/64 pixels further down and right, [looks, 4]."""
    places, further = np.divmod(-corners[:, ::-1], SUBPIXEL)
    first = places.min(0)
    rows, columns = places.max(0) - first + (camera.height + 1, camera.width + 1)
    canvas = np.zeros((rows, columns), np.uint8)
    up, left = first.tolist()
    seen = picture[max(up, 0) : max(up + rows, 0), max(left, 0) : max(left + columns, 0)]
    canvas[max(-up, 0) :, max(-left, 0) :][: seen.shape[0], : seen.shape[1]] = seen
    return _shown(canvas, 255, camera), np.hstack([places - first, further])


def _shown(grey: np.ndarray, white: int, camera: Camera) -> np.ndarray:
    return white - grey if camera.negative else grey


def _in_time(events: np.ndarray, leaked: np.ndarray, camera: Camera) -> np.ndarray:
    events = np.concatenate([events, leaked])
    found = np.empty(len(events), EVENTS)
    if len(events):
        in_time(events, found)
    return found
