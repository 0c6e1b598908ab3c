"""What networks take on FPGAs, beside what others published."""

import pandas as pd
import pytest
from conftest import PROJECT

from snnq.deployment.fpga_published import COLUMNS, fpga_beside_published


def test_every_design_is_there_once_and_says_what_cannot_be_compared(tmp_path):
    folder = PROJECT / "results/reference/bench"
    table = fpga_beside_published(folder)
    assert list(table.columns) == COLUMNS
    ours = pd.concat([pd.read_csv(path) for path in sorted(folder.glob("fpga_[!p]*.csv"))])
    mine = table[table["source"] == "bench/fpga.py"]
    assert mine["logic"].tolist() == ours["luts"].tolist() and mine["ms"].tolist() == ours["ms"].tolist()
    assert mine["recordings"].str.contains("simulated").all() and mine["milliwatts"].isna().all()
    others = table[table["source"] != "bench/fpga.py"].set_index("design")
    assert others["logic"].to_dict() == {"Spiker+": 7612, "Flexi-NeurA": 1623, "snn-fpga": 6358}
    assert table["not_comparable"].notna().all()
    with pytest.raises(FileNotFoundError, match="fpga_published.csv"):
        fpga_beside_published(tmp_path)
