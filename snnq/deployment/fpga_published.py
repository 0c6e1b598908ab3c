"""What networks take on FPGAs, beside what others published."""

from pathlib import Path

import pandas as pd

from snnq.study.folders import REFERENCE

PUBLISHED = "fpga_published.csv"
COLUMNS = [
    *("design", "network", "recordings", "accuracy", "logic", "block_rams", "mhz", "ms"),
    *("milliwatts", "not_comparable", "source"),
]


def fpga_beside_published(folder: str | Path = REFERENCE / "bench") -> pd.DataFrame:
    """The rows of every `fpga_*.csv` that bench/fpga.py wrote, and of `fpga_published.csv`.

    Returns
    -------
    pandas.DataFrame
        design, network, recordings, accuracy (share of 1), logic (lookup tables or logic cells, as each
        source counts them), block_rams, mhz, ms (a recording from its first event to its class; of this
        study in simulation, at the clock that nextpnr reaches), milliwatts (of a board: this study has
        none), not_comparable and source.

    Raises
    ------
    FileNotFoundError
        No published ones there.
    """
    folder = Path(folder)
    paths = [path for path in sorted(folder.glob("fpga_*.csv")) if path.name != PUBLISHED]
    ours = [_named(pd.read_csv(path)) for path in paths]
    return pd.concat([*ours, pd.read_csv(folder / PUBLISHED)]).reindex(columns=COLUMNS).reset_index(drop=True)


def _named(rows: pd.DataFrame) -> pd.DataFrame:
    networks = [
        f"convolutions, {row.levels}, {row.channels} channels, membranes of {row.membrane_bits} bits"
        for row in rows.itertuples()
    ]
    return rows.assign(
        design="this study, " + rows["target"],
        network=networks,
        recordings=rows["data"],
        logic=rows["luts"],
        not_comparable="no board: placed, and clocks counted in simulation",
        source="bench/fpga.py",
    )
