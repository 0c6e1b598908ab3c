"""What networks of integers lose: against differences that are known beforehand."""

import matplotlib.pyplot as plt
import pandas as pd
import pytest
from scipy.stats import ttest_rel

from snnq.figures.membranes import accuracy_against_membrane_bits, lost_by_membrane_bits


@pytest.fixture
def rows() -> pd.DataFrame:
    """Two seeds of binary networks of 8 channels, which lose; one of them was trained with 4 bits too."""
    floating, few = (0.96, 0.97), {4: (0.90, 0.95), 12: (0.961, 0.968)}
    of_each = [
        (seed, None, bits, accuracy, floating[seed])
        for bits, found in few.items()
        for seed, accuracy in enumerate(found)
    ]
    table = pd.DataFrame(
        [*of_each, (1, 4, 4, 0.955, 0.5)],
        columns=["seed", "trained_bits", "membrane_bits", "accuracy", "floating_point"],
    )
    named = {"recordings": "N-MNIST, simulated", "levels": "binary", "channels": 8, "test_recordings": 1000}
    return table.assign(**named)


def test_each_is_compared_with_its_seed_in_floating_point(rows):
    lost = lost_by_membrane_bits(rows).set_index(["trained", "membrane_bits"])
    assert lost["difference"].to_dict() == pytest.approx({(False, 4): -4, (False, 12): -0.05, (True, 4): -1.5})
    assert lost["seeds"].tolist() == [2, 2, 1] and lost.loc[(True, 4), ["low", "high"]].isna().all()
    expected = ttest_rel([90, 95], [96, 97]).confidence_interval()
    assert tuple(lost.loc[(False, 4), ["low", "high"]]) == pytest.approx((expected.low, expected.high))


def test_what_is_drawn_is_that(rows):
    figure = accuracy_against_membrane_bits(rows)
    lines = {bar.get_label(): bar.lines[0] for bar in figure.axes[0].containers}
    assert lines["binary"].get_ydata().tolist() == pytest.approx([-4, -0.05])
    assert lines["binary, trained so"].get_ydata().tolist() == pytest.approx([-1.5])
    assert lines["binary, trained so"].get_markerfacecolor() == "white"
    for said in ("N-MNIST, simulated", "2 seeds", "1,000 test samples", "96.50 % (8 channels, binary)"):
        assert said in figure.get_label()
    plt.close(figure)
