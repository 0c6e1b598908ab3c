"""Schedules of the temperature T, the sharpness of the staircase, over the epochs of a run."""

import math

TEMPERATURE_CAP = 2000.0  # where T stops growing (Yang et al. 2019, sec. 4.1)


def _linear(share: float, initial: float, final: float) -> float:
    return initial + (final - initial) * share


def _cosine(share: float, initial: float, final: float) -> float:
    return _linear((1 - math.cos(math.pi * share)) / 2, initial, final)


def _exponential(share: float, initial: float, final: float) -> float:
    return initial * (final / initial) ** share


def _constant(share: float, initial: float, final: float) -> float:
    return final


TEMPERATURE_SCHEDULES = {
    "linear": _linear,
    "cosine": _cosine,
    "exponential": _exponential,
    "constant": _constant,
}


def temperature_at(
    epoch: int, epochs: int, schedule: str = "linear", initial: float = 1.0, final: float = 40.0
) -> float:
    """T in an epoch, counted from 0: from `initial` in the first to `final` in the last.

    "linear" is the paper's, with a slope of (final − initial)/(epochs − 1) per epoch; "cosine"
    and "exponential" (the same factor each epoch) join the same ends, and "constant" is `final`
    throughout. T never exceeds 2000.
    """
    share = epoch / (epochs - 1) if epochs > 1 else 1.0
    return min(TEMPERATURE_SCHEDULES[schedule](share, initial, final), TEMPERATURE_CAP)
