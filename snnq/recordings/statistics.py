"""What recordings are like: how many events, when, where and of which sign."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from snnq.recordings.recordings import Recordings

TIME_BINS = 60


@dataclass(frozen=True)
class Statistics:
    """Of some recordings of one benchmark.

    Attributes
    ----------
    events : int array [recordings]
    on_share : float array [recordings]
        Share of ON events; NaN without any event.
    duration : float array [recordings]
        Time of the last event in s.
    rate : float array [bins]
        Mean events per recording in each of equally long bins.
    until : float
        Time in s at which the last bin ends.
    pixels : float array [height, width]
        Mean events per recording.
    """

    events: np.ndarray
    on_share: np.ndarray
    duration: np.ndarray
    rate: np.ndarray
    until: float
    pixels: np.ndarray


def examples(recordings: Recordings, count: int) -> list[int]:
    """Indices of the first recordings of some classes, evenly spread over the classes there are."""
    _, first = np.unique(recordings.labels, return_index=True)
    chosen = np.linspace(0, len(first) - 1, min(count, len(first))).astype(int)
    return first[chosen].tolist()


def statistics(recordings: Recordings, most: int, until: float | None = None) -> Statistics:
    """Statistics of at most so many recordings, evenly spread over the split.

    `until` is the time in s at which the bins of the rate end; the last event's where not given.
    """
    chosen = np.unique(np.linspace(0, len(recordings) - 1, min(most, len(recordings))).astype(int))
    sensor = recordings.benchmark.height, recordings.benchmark.width
    return statistics_of([recordings[i] for i in chosen], sensor, until)


def statistics_of(
    found: list[np.ndarray], sensor: tuple[int, int], until: float | None = None
) -> Statistics:
    """Statistics of the events of some recordings, of a sensor (height, width)."""
    ends = np.array([events["t"].max(initial=0) for events in found])
    until = until or (ends.max(initial=0) + 1) / 1e6
    edges = np.linspace(0, until * 1e6, TIME_BINS + 1)
    rate, pixels = np.zeros(TIME_BINS), np.zeros(sensor)
    for events in found:
        rate += np.histogram(events["t"], edges)[0]
        place = np.ravel_multi_index((events["y"], events["x"]), sensor)
        pixels += np.bincount(place, minlength=pixels.size).reshape(sensor)
    return Statistics(
        events=np.array([len(events) for events in found]),
        on_share=np.array([events["p"].mean() if len(events) else np.nan for events in found]),
        duration=ends / 1e6,
        rate=rate / len(found),
        until=until,
        pixels=pixels / len(found),
    )


def distances(one: Statistics, other: Statistics) -> pd.Series:
    """How far the recordings of `one` are from those of `other`.

    `events` and `spread`: the mean's and the standard deviation's difference, relative to
    `other`'s. `time` and `place`: total variation distance, ½ Σ |p − q|, between the distributions
    of events over time and over pixels, from 0 to 1. `sign`: difference of the mean ON shares.
    """
    return pd.Series(
        {
            "events": _relative(one.events.mean(), other.events.mean()),
            "spread": _relative(one.events.std(), other.events.std()),
            "time": _variation(one.rate, other.rate),
            "place": _variation(one.pixels, other.pixels),
            "sign": abs(np.nanmean(one.on_share) - np.nanmean(other.on_share)),
        }
    )


def _relative(one: float, other: float) -> float:
    """Without division by zero where all recordings have as many events."""
    return 0.0 if one == other else abs(one / other - 1) if other else np.inf


def _variation(one: np.ndarray, other: np.ndarray) -> float:
    return np.abs(one / one.sum() - other / other.sum()).sum() / 2
