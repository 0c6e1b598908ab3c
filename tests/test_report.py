"""What a finished study says."""

import pandas as pd
import pytest

from snnq.study.report import report

ROW = {
    "recordings": "digits, simulated",
    "benchmark": "nmnist",
    "channels": 16,
    "last_mean": 96.018,
    "last_sd": 0.42,
    "bytes": 145852,
    "times_smaller": 31.64,
}


@pytest.fixture
def study(in_tmp):
    def write(**changes):
        full = ROW | {"levels": "full", "difference": 0.0}
        binary = ROW | {"levels": "binary", "difference": 0.56, "difference_low": -1.3}
        rows = [full, binary | {"difference_high": 2.4, "reading": "not shown"} | changes]
        folder = in_tmp / "results/quick"
        (folder / "figures").mkdir(parents=True, exist_ok=True)
        (folder / "figures/a.png").touch()
        pd.DataFrame(rows).to_csv(folder / "table.csv", index=False)
        return folder

    return write


def test_the_table_and_where_figures_are(study):
    text = report(study())
    (line,) = [line for line in text.splitlines() if " binary " in line]
    assert line.split() == (
        "digits, simulated binary 96.02 ± 0.42 +0.56 -1.3 to +2.4 not shown 145.9 31.6".split()
    )
    assert "1 figures are in" in text and "beside the reference" not in text


def test_one_seed_has_no_deviation_and_no_interval(study):
    text = report(
        study(last_sd=None, difference_low=None, difference_high=None, reading="undetermined")
    )
    (line,) = [line for line in text.splitlines() if " binary " in line]
    assert line.split() == "digits, simulated binary 96.02 +0.56 undetermined 145.9 31.6".split()
    assert "nan" not in text.lower()


def test_without_full_precision_there_is_no_difference(study):
    text = report(study(difference=None, difference_low=None, difference_high=None, reading=None))
    (line,) = [line for line in text.splitlines() if " binary " in line]
    assert line.split() == "digits, simulated binary 96.02 ± 0.42 145.9 31.6".split()


def test_the_width_is_said_where_there_are_several(study):
    assert "channels" not in report(study())
    (line,) = [line for line in report(study(channels=4)).splitlines() if " binary " in line]
    assert line.split()[2:4] == ["4", "binary"]
