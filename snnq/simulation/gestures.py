"""Eleven gestures of a drawn person, for the simulated camera: only time tells some of them apart.

In the order of DVS128 Gesture's labels: clap, wave right, wave left, right arm clockwise and
counter-clockwise, left arm clockwise and counter-clockwise, roll the forearms, drum, play the
guitar, and something else.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from snnq.simulation.camera import Camera
from snnq.simulation.pixels import WHITE
from snnq.system.compiled import compiled

GESTURES = 11
SIZE = 128
SHOULDERS = np.array([[46.0, 58.0], [82.0, 58.0]])  # of the right and the left arm, (x, y)
RESTING = np.array([[40.0, 104.0], [88.0, 104.0]])  # hands
HEAD, HEAD_RADIUS = np.array([64.0, 34.0]), 13.0
UPPER_ARM, FOREARM = 26.0, 26.0  # lengths
ARM_RADIUS, HAND_RADIUS = 4.5, 6.5
DURATION = 1_500_000  # µs


@dataclass(frozen=True)
class Person:
    """How somebody makes a gesture: in cycles per second, pixels and parts of a cycle."""

    rate: float
    reach: float
    phase: float
    shift: tuple[float, float]
    scale: float
    brightness: float
    wander: tuple[float, float, float, float]

    @classmethod
    def drawn(cls, rng: np.random.Generator) -> "Person":
        return cls(
            rate=rng.uniform(1.2, 2.6),
            reach=rng.uniform(0.75, 1.25),
            phase=rng.uniform(0, 1),
            shift=tuple(rng.uniform(-6, 6, 2)),
            scale=rng.uniform(0.85, 1.1),
            brightness=rng.uniform(0.5, 0.9),
            wander=tuple(rng.uniform(0.6, 1.9, 4)),
        )


def hands(gesture: int, cycle: float, person: Person) -> np.ndarray:
    """Where the right and the left hand are after some cycles: (x, y) of each, [2, 2]."""
    turn = 2 * np.pi * (cycle + person.phase)
    swing, other = person.reach * np.cos(turn), person.reach * np.sin(turn)
    right, left = RESTING.copy()
    if gesture == 0:  # clap
        right, left = (64 - 16 - 13 * swing, 84), (64 + 16 + 13 * swing, 84)
    elif gesture == 1:
        right = (30 + 14 * swing, 30 + 3 * other**2)
    elif gesture == 2:
        left = (98 + 14 * swing, 30 + 3 * other**2)
    elif gesture in (3, 4):  # as the camera sees it, y pointing down
        right = (28 + 17 * swing, 62 + 17 * other * (1 if gesture == 3 else -1))
    elif gesture in (5, 6):
        left = (100 + 17 * swing, 62 + 17 * other * (1 if gesture == 5 else -1))
    elif gesture == 7:  # forearms around each other
        right, left = (60 + 11 * swing, 82 + 11 * other), (68 - 11 * swing, 82 - 11 * other)
    elif gesture == 8:
        right, left = (48, 86 + 13 * swing), (80, 86 - 13 * swing)
    elif gesture == 9:
        right, left = (56 + 3 * swing, 92 + 13 * other), (104 + 3 * np.cos(turn / 3), 66)
    else:
        a, b, c, d = person.wander
        right = (40 + 16 * np.sin(a * turn), 66 + 20 * np.cos(b * turn))
        left = (88 + 16 * np.cos(c * turn), 66 + 20 * np.sin(d * turn))
    return np.array([right, left], dtype=float)


def looks(gesture: int, person: Person, camera: Camera) -> Iterator[np.ndarray]:
    """Grey values int32 [128, 128], 0 to WHITE, every `camera.step` µs."""
    x, y = ((np.arange(SIZE) - 64.0 - shift) / person.scale + 64 for shift in person.shift)
    body = np.full((SIZE, SIZE), -np.inf)
    _cover(body, x, y, *HEAD, *HEAD, HEAD_RADIUS)
    _cover(body, x, y, *SHOULDERS[0], *SHOULDERS[1], 5.0)
    _cover(body, x, y, 64.0, 70.0, 64.0, 128.0, 17.0)
    for time in range(0, DURATION + 1, camera.step):
        depth = body.copy()
        for shoulder, hand, side in zip(
            SHOULDERS, hands(gesture, person.rate * time * 1e-6, person), (-1, 1)
        ):
            elbow, hand = _arm(shoulder, hand, side)
            _cover(depth, x, y, *shoulder, *elbow, ARM_RADIUS)
            _cover(depth, x, y, *elbow, *hand, ARM_RADIUS)
            _cover(depth, x, y, *hand, *hand, HAND_RADIUS)
        inside = np.clip(depth + 0.5, 0, 1)  # edges one pixel wide
        yield np.rint((0.15 + (person.brightness - 0.15) * inside) * WHITE).astype(np.int32)


def _arm(shoulder: np.ndarray, hand: np.ndarray, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Elbow and hand of an arm that reaches for a place, as far as it can; the elbow outside."""
    towards = hand - shoulder
    distance = np.linalg.norm(towards)
    within = min(distance, UPPER_ARM + FOREARM - 1e-6)
    hand = shoulder + towards * (within / max(distance, 1e-6))
    along = (UPPER_ARM**2 - FOREARM**2 + within**2) / (2 * max(within, 1e-6))
    across = np.sqrt(max(UPPER_ARM**2 - along**2, 0))
    direction = towards / max(distance, 1e-6)
    normal = np.array([-direction[1], direction[0]])
    normal = normal * side if normal[0] >= 0 else -normal * side
    return shoulder + along * direction + across * normal, hand


@compiled()
def _cover(depth, x, y, start_x, start_y, end_x, end_y, radius):
    """Into how deep each pixel lies inside the body, a line of some thickness; negative outside.

    Only in the window of the columns and rows that are within a pixel of it: what is further out
    is not seen.
    """
    line_x, line_y = end_x - start_x, end_y - start_y
    length = max(line_x * line_x + line_y * line_y, 1e-9)
    first = np.searchsorted(x, min(start_x, end_x) - radius - 1)
    last = np.searchsorted(x, max(start_x, end_x) + radius + 1)
    upper = np.searchsorted(y, min(start_y, end_y) - radius - 1)
    lower = np.searchsorted(y, max(start_y, end_y) + radius + 1)
    for i in range(upper, lower):
        for j in range(first, last):
            near_x, near_y = x[j] - start_x, y[i] - start_y
            along = min(max((near_x * line_x + near_y * line_y) / length, 0.0), 1.0)
            off_x, off_y = near_x - along * line_x, near_y - along * line_y
            depth[i, j] = max(depth[i, j], radius - np.sqrt(off_x * off_x + off_y * off_y))
