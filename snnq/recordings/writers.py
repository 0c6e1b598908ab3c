"""Writing one recording in each benchmark's file format, for the readers in `snnq.recordings.formats`."""

from pathlib import Path

import faery
import numpy as np

from snnq.system.compiled import compiled


def write_bin(events: np.ndarray, path: Path) -> None:
    """Events with x, y < 256 and t < 2²³ µs as N-MNIST's 5 bytes each: x, y, then p and t in 24
    bits."""
    packed = np.empty((len(events), 5), dtype=np.uint8)
    _pack(events, packed)
    path.write_bytes(packed)


@compiled()
def _pack(events, packed):
    for i in range(len(events)):
        event, word = packed[i], events[i].p << 23 | events[i].t
        event[0], event[1] = events[i].x & 255, events[i].y & 255
        event[2], event[3], event[4] = word >> 16 & 255, word >> 8 & 255, word & 255


def write_gesture(events: np.ndarray, path: Path) -> None:
    """Events as tonic's DVS128 Gesture has them: int32 [n, 4], x, y, p, t in ms."""
    columns = (events["x"], events["y"], events["p"], events["t"] // 1000)
    np.save(path, np.stack(columns, axis=1).astype(np.int32), allow_pickle=False)


def write_aedat4(events: np.ndarray, path: Path, sensor: tuple[int, int] = (128, 128)) -> None:
    """Events as AEDAT 4, CIFAR10-DVS's format, of a sensor (width, height)."""
    theirs = np.empty(len(events), dtype=faery.EVENTS_DTYPE)
    for name, field in zip(theirs.dtype.names, ("t", "x", "y", "p")):
        theirs[name] = events[field]
    faery.file_encoder.events_to_file([theirs], path, sensor)
