"""How sure an accuracy is, and a difference between two methods."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq
from scipy.special import ndtri, stdtrit
from scipy.stats import binomtest

CONFIDENCE = 0.95
SAME = 1e-5  # relative: tables hold six digits, and one of 10,000 test recordings is ten times that
LEAST_P = 1e-15


def wilson(accuracy: float, recordings: int) -> tuple[float, float]:
    """95 % Wilson score interval of one run's accuracy on so many test recordings, shares of 1.

    For the recordings alone: another seed's network adds its own spread.

    Raises
    ------
    ValueError
        The accuracy is no whole number of recordings.
    """
    right = round(accuracy * recordings)
    if not np.isclose(right, accuracy * recordings, atol=1e-3):
        raise ValueError(f"accuracy={accuracy!r}: no whole number of {recordings} recordings")
    interval = binomtest(right, recordings).proportion_ci(CONFIDENCE, method="wilson")
    return float(interval.low), float(interval.high)


@dataclass(frozen=True)
class Estimate:
    """A mean over seeds and test recordings, and how far off it may be.

    Both are samples: other seeds would give other networks, and other recordings would be easier or
    harder for all of them. The mean's error has two independent parts: that of S seeds, and with it
    what each network gets right by chance, with standard error e_S on S − 1 degrees of freedom;
    and that of the recordings' difficulty, with standard error e_R. Each alone has a well-known
    interval, and their half-widths add up in quadrature (Zou & Donner, Statistics in Medicine 27,
    2008, 1693–1702):

        h = √( (t e_S)² + (z e_R)² ),   t of Student's on S − 1 degrees of freedom, z of the normal

    A bootstrap that redraws seeds and recordings (Owen, "The pigeonhole bootstrap", Annals of
    Applied Statistics 1, 2007, 386–411) knows the same two parts, but takes the spread of a few
    seeds for that of all: where seeds matter most, its 95 % interval holds the truth in 79 % of
    studies with three seeds and in 89 % of those with five. `tests/test_statistics.py` measures
    both.

    Attributes
    ----------
    mean : float
    seeds : int
        S.
    over_seeds, over_recordings : float
        e_S and e_R, in the mean's unit. NaN where they are undetermined.
    """

    mean: float
    seeds: int
    over_seeds: float = np.nan
    over_recordings: float = np.nan

    def interval(self, confidence: float = CONFIDENCE) -> tuple[float, float]:
        """Where the mean over all seeds and recordings lies; NaN where that is undetermined."""
        half = self._half_width(1 - confidence)
        return self.mean - half, self.mean + half

    @property
    def p(self) -> float:
        """Two-sided p-value of a true mean of zero: of the interval that ends there."""
        return self._p(abs(self.mean))

    def p_within(self, margin: float) -> float:
        """The p-value of an equivalence test: small where the true mean is shown to be within
        ±margin. The greater of two one-sided tests' (TOST; Schuirmann, Journal of Pharmacokinetics
        and Biopharmaceutics 15, 1987, 657–680)."""
        room = margin - abs(self.mean)
        one_sided = self._p(abs(room)) / 2
        return one_sided if room > 0 else 1 - one_sided

    def _half_width(self, p: float) -> float:
        of_seeds, of_recordings = stdtrit(self.seeds - 1, p / 2), ndtri(p / 2)
        return float(np.hypot(of_seeds * self.over_seeds, of_recordings * self.over_recordings))

    def _p(self, distance: float) -> float:
        """Such that the interval of confidence 1 − p is so wide to each side."""
        least = self._half_width(LEAST_P)
        if np.isnan(least):
            return np.nan
        if distance >= least:
            return LEAST_P
        excess = lambda log: self._half_width(np.exp(log)) - distance  # noqa: E731
        return float(np.exp(brentq(excess, np.log(LEAST_P), 0)))


def estimate(values: Sequence) -> Estimate:
    """The mean of values by seed, [S], or by seed and test recording, [S, n].

    Of runs that share a seed, as those of several orders of batches, their mean counts: a seed is
    what is drawn at random. Accuracies alone, [S], are of these test recordings and no others: of
    them e_R = 0, and the interval is Student's. Of [S, n], such as what each seed's network gets
    right, both parts are estimated from the mean squares between seeds, between recordings, and of
    the rest (a two-way analysis of variance, both random):

        e_S² = MS_S / (S n),   e_R² = max(0, MS_R − MS_rest) / (S n)

    Undetermined with fewer than two seeds, and where all have the same mean: no spread, so nothing
    to set it beside.

    Raises
    ------
    ValueError
        No values, or of another shape.
    """
    values = np.asarray(values, dtype=float)
    if values.ndim not in (1, 2) or not values.size:
        raise ValueError(f"values of shape {values.shape}: expected [S] or [S, n], not empty")
    return _estimate(values, np.abs(values).max())


def paired_difference(values: Sequence, base: Sequence) -> Estimate:
    """The mean of values − base, [S] or [S, n] as in `estimate`: two methods over the same seeds,
    and the same test recordings, in the same order.

    Raises
    ------
    ValueError
        Not as many values as of the base.
    """
    values, base = np.asarray(values, dtype=float), np.asarray(base, dtype=float)
    if values.shape != base.shape:
        raise ValueError(
            f"values of shape {values.shape}, expected {base.shape}, one for each of the base"
        )
    return _estimate(values - base, np.abs([values, base]).max())


def holm(p: Sequence[float]) -> np.ndarray:
    """p-values corrected for how many they are, so that with one of 0.05 or less there is a chance
    of 5 % at most that any such finding of the table is none.

    The smallest of m is multiplied by m, the next by m − 1, and so on, and none becomes smaller
    than the one before (Holm, Scandinavian Journal of Statistics 6, 1979, 65–70). NaN stays NaN
    and does not count.
    """
    corrected = np.array(p, dtype=float)
    order = np.argsort(corrected)[: np.isfinite(corrected).sum()]  # NaN comes last
    factors = np.arange(len(order), 0, -1)
    corrected[order] = np.minimum(1, np.maximum.accumulate(factors * corrected[order]))
    return corrected


def _estimate(values: np.ndarray, scale: float) -> Estimate:
    by_seed = values if values.ndim == 1 else values.mean(axis=1)
    seeds, mean = len(by_seed), float(by_seed.mean())
    if seeds < 2 or np.ptp(by_seed) <= SAME * scale:
        return Estimate(mean, seeds)
    over_seeds = float(by_seed.std(ddof=1) / np.sqrt(seeds))
    return Estimate(mean, seeds, over_seeds, _over_recordings(values))


def _over_recordings(values: np.ndarray) -> float:
    if values.ndim == 1 or values.shape[1] < 2:
        return 0.0
    seeds, recordings = values.shape
    by_recording = values.mean(axis=0)
    rest = values - values.mean(axis=1, keepdims=True) - by_recording + by_recording.mean()
    between = seeds * by_recording.var(ddof=1)
    of_rest = (rest**2).sum() / ((seeds - 1) * (recordings - 1))
    return float(np.sqrt(max(0, between - of_rest) / values.size))
