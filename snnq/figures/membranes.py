"""What networks of integers lose by the bits of their membranes, in the style of `snnq.figures.style`."""

from collections.abc import Iterator

import pandas as pd
from matplotlib.figure import Figure

from snnq.figures.colors import looks
from snnq.figures.style import beside, note, panels, shared_legend
from snnq.study.intervals import paired_difference

SHIFT, PANEL = 0.4, 3.4  # of a bit, between lines; inches
TICKS = (-20, -10, -5, -2, -1, -0.5, 0, 0.5, 1)  # to whose ends bars are drawn
SHOWS = (
    "Test accuracy of networks of integers, against that of the same networks in floating point, by the"
    " bits of their membrane potentials. Bars that go beyond the axis are cut."
)
TRAINED = " Hollow: trained with so few bits, from the same start."


def lost_by_membrane_bits(rows: pd.DataFrame) -> pd.DataFrame:
    """Points of accuracy between networks of integers and the same in floating point.

    Those that were trained with so few bits are compared with what the same seed reaches that was
    trained, and evaluated, in floating point.

    Parameters
    ----------
    rows : DataFrame
        What bench/membranes.py writes: channels, levels, seed, trained_bits (none where membranes were
        trained in floating point), membrane_bits, accuracy and floating_point, shares of 1.

    Returns
    -------
    pandas.DataFrame
        A row for each of channels, levels, trained (with few bits or not) and membrane_bits: seeds,
        difference, and low and high of its 95 % confidence interval over seeds, of these recordings
        (Student's of the paired differences; NaN of a single seed).
    """
    of = ["channels", "levels"]
    plain = rows[rows["trained_bits"].isna()].drop_duplicates([*of, "seed"])
    base = plain.set_index([*of, "seed"])["floating_point"].rename("base")
    rows = rows.assign(trained=rows["trained_bits"].notna()).join(base, [*of, "seed"], how="inner")
    found = []
    for key, group in rows.groupby([*of, "trained", "membrane_bits"]):
        difference = paired_difference(100 * group["accuracy"], 100 * group["base"])
        low, high = difference.interval()
        found.append((*key, difference.seeds, difference.mean, low, high))
    names = [*of, "trained", "membrane_bits", "seeds", "difference", "low", "high"]
    return pd.DataFrame(found, columns=names)


def accuracy_against_membrane_bits(rows: pd.DataFrame) -> Figure:
    """What `lost_by_membrane_bits` finds in the rows of bench/membranes.py, a panel for each width:
    filled without further training, hollow and dashed where membranes had so few bits in training."""
    groups = list(lost_by_membrane_bits(rows).groupby("channels"))
    figure, axes = panels(len(groups), "difference (points)", "bits of a membrane potential", PANEL)
    for axis, (channels, lost) in zip(axes, groups):
        axis.axhline(0, color="0.6", lw=0.8, label="floating point")
        for shift, (own, look) in zip(SHIFT * beside(len(groups) + 2), _lines(lost)):
            ends = [own["difference"] - own["low"], own["high"] - own["difference"]]
            axis.errorbar(own["membrane_bits"] + shift, own["difference"], ends, ms=4, capsize=2, **look)
        axis.set_title(f"{channels} channels")
        axis.set_xticks(sorted(rows["membrane_bits"].unique()))
        axis.sharey(axes[0])
        axis.set_yscale("symlog", linthresh=1)  # tenths count, and ten points are there too
        axis.set_yticks(TICKS, [f"{tick:g}".replace("-", "−") for tick in TICKS], minor=False)
        axis.set_yticks([], minor=True)
        axis.set_ylim(TICKS[0], TICKS[-1])
    shared_legend(figure, axes)
    trained = TRAINED if rows["trained_bits"].notna().any() else ""
    return note(figure, f"{SHOWS}{trained} {_of(rows)}")


def _lines(lost: pd.DataFrame) -> Iterator[tuple[pd.DataFrame, dict]]:
    for name, look in looks(lost["levels"]).items():
        for trained, own in lost[lost["levels"].map(str) == name].groupby("trained"):
            yield own, look | {"mfc": "white", "ls": "--", "label": f"{name}, trained so"} if trained else look


def _of(rows: pd.DataFrame) -> str:
    first = rows.iloc[0]
    plain = rows[rows["trained_bits"].isna()].drop_duplicates(["channels", "levels", "seed"])
    means = 100 * plain.groupby(["channels", "levels"])["floating_point"].mean()
    reached = (f"{mean:.2f} % ({channels} channels, {levels})" for (channels, levels), mean in means.items())
    seeds = plain.groupby(["channels", "levels"]).size()
    counts = f"{seeds.min()} to {seeds.max()}" if seeds.min() < seeds.max() else seeds.max()
    return (
        f"{first['recordings']}; mean and 95 % confidence interval over {counts} seeds on the same"
        f" {first['test_recordings']:,} test samples; in floating point {', '.join(reached)}."
    )
