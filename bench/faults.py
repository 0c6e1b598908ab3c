"""Networks of a study in the memories of devices whose bits are stuck: accuracies, a table and a figure.

    snnq study config/faults.yaml --ablations
    python bench/faults.py results/faults --rates 0.02 0.05 0.1 0.2

Networks that were trained without faults, or with unknown ones, are tested on devices from 0 on; those
with known faults on their own. The former are tested at the rates that others of their width, levels and seed
were trained with, and at those that are given. Claim: training with known faults at least halves what is
lost. Without a study the figure alone is drawn, from the tables in git. With --part the study is a part of
it, tested on as many recordings, and what the tables in git have of other networks, seeds, devices and
trainings stays in the new ones.
"""

import argparse
import math
from collections.abc import Iterator
from pathlib import Path

import joblib
import pandas as pd
import torch
from compare import RESULTS, report

import snnq
from snnq.figures import accuracy_on_devices
from snnq.figures.style import note, save, set_style
from snnq.study.devices import BY_KNOWING, FAULTS, NETWORK, WITHOUT, devices_table, training_of
from snnq.training.faults_setting import read_faults_setting

REFERENCE = Path(__file__).parent.parent / "results/reference/bench"
SHOWS = (
    "Test accuracy in memories with bits that are stuck: the mean over devices and seeds, and dashed the"
    " worst of them; dotted without faults."
)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("study", type=Path, nargs="?", help="results/<study>, with the runs' folders")
    parser.add_argument("--devices", type=int, default=20, help="with unknown faults (20)")
    parser.add_argument("--recordings", type=int, help="so many of the test recordings, at most (all)")
    parser.add_argument(
        "--rates", type=float, nargs="*", default=(), help="shares of bits stuck at 0 (as trained with)"
    )
    parser.add_argument("--part", action="store_true", help="beside what the tables in git have")
    arguments = parser.parse_args()
    if arguments.study is None:
        tables = (pd.read_csv(REFERENCE / f"{name}.csv") for name in ("faults_devices", "faults"))
        _draw(*tables, REFERENCE)
        return
    runs = snnq.read_runs(arguments.study / "runs")
    runs = runs[runs["levels"] != "full"]
    runs = runs.assign(
        training=[training_of(run) for _, run in runs.iterrows()],
        met=[_rates(run["faults"]) for _, run in runs.iterrows()],
    )
    known = pd.read_csv(REFERENCE / "faults_devices.csv").iloc[: None if arguments.part else 0]
    _refuse_unlike(runs, known, arguments)
    rows = pd.concat(_tested(runs, arguments), ignore_index=True)
    key = [*NETWORK, *FAULTS, "training", "seed", "device"]
    anew = pd.MultiIndex.from_frame(known[key]).isin(pd.MultiIndex.from_frame(rows[key]))
    rows = pd.concat([known[~anew], rows], ignore_index=True)
    report("faults_devices", rows)
    table = devices_table(rows)
    report("faults", table)
    _draw(rows, table, RESULTS)


def _draw(rows: pd.DataFrame, table: pd.DataFrame, folder: Path) -> None:
    set_style()
    seeds, recordings = rows["seed"].nunique(), rows["test_recordings"].iloc[0]
    of = f"{rows['recordings'].iloc[0]}, {recordings:,} test samples, up to {seeds} seeds."
    save(note(accuracy_on_devices(table), f"{SHOWS} {of}"), folder, "accuracy_on_devices")


def _refuse_unlike(runs: pd.DataFrame, known: pd.DataFrame, arguments: argparse.Namespace) -> None:
    """Runs that cannot be compared with each other, or with what is known."""
    networks = runs.groupby([*NETWORK, "seed"])["training"].agg(set)
    lacking = [network for network, trainings in networks.items() if WITHOUT not in trainings]
    if lacking:
        channels, levels, seed = lacking[0]
        network = f"{channels} channels, {levels}, seed {seed}"
        raise ValueError(f"{arguments.study}: {network}: no run without faults to compare others with")
    sizes = {len(_taken(size, arguments)) for size in runs["test_recordings"]}
    for name, found in ("recordings", set(runs["recordings"])), ("test_recordings", sizes):
        if len(found.union(known[name])) > 1:
            names = [", ".join(map(str, sorted(values))) for values in (found, set(known[name]))]
            expected = f"{names[1]}, as in {REFERENCE}" if len(known) else "one"
            raise ValueError(f"{name}: {names[0]}; expected {expected} (see --recordings)")


def _taken(recordings: int, arguments: argparse.Namespace) -> range:
    """Of so many test recordings, which are sorted by class."""
    return range(0, recordings, math.ceil(recordings / (arguments.recordings or recordings)))


def _tested(runs: pd.DataFrame, arguments: argparse.Namespace) -> list[pd.DataFrame]:
    """Of each network in a process of its own, as many as there are cores; on a GPU one by one."""
    groups = runs.groupby([*NETWORK, "seed"], sort=False)
    processes = joblib.Parallel(n_jobs=1 if torch.cuda.is_available() else -1, verbose=10)
    return processes(joblib.delayed(_of_network)(*one, arguments) for one in groups)


def _of_network(key: tuple, runs: pd.DataFrame, arguments: argparse.Namespace) -> pd.DataFrame:
    first = runs.iloc[0]
    settings = snnq.read_record(first["folder"])["run"]
    _, test = snnq.load(*(settings[name] for name in ("benchmark", "data", "steps", "cut")))
    test = torch.utils.data.Subset(test, _taken(len(test), arguments))
    without = runs[runs["training"] == WITHOUT].iloc[0]
    intact, _ = snnq.evaluate(_network(without["folder"]), test)
    known = dict(zip([*NETWORK, "seed"], key)) | {"intact": intact, "test_recordings": len(test)}
    known |= {"recordings": first["recordings"]}
    met = {*runs["met"].dropna(), *((rate, 0.0, 0.0) for rate in arguments.rates)}
    return pd.concat(
        table.assign(**known, **dict(zip(FAULTS, rates)))
        for _, run in runs.iterrows()
        for rates in (sorted(met) if run["training"] == WITHOUT else [run["met"]])
        for table in _on_devices(run, rates, test, arguments.devices)
    )


def _on_devices(run: pd.Series, rates: tuple, test, devices: int) -> Iterator[pd.DataFrame]:
    model, training = _network(run["folder"]), run["training"]
    faults = read_faults_setting(run["faults"] if pd.notna(run["faults"]) else None)
    own = faults is not None and faults.way == "known"
    numbers = [faults.device] if own else range(devices)
    maps = [snnq.draw_faults(model, *rates, number) for number in numbers]
    for known in (True,) if own else (False, True) if training == WITHOUT else (False,):
        table = snnq.accuracy_on_devices(model, test, maps, known)
        name = BY_KNOWING if known and not own else training
        yield table.assign(device=list(numbers), training=name)


def _rates(faults: str | None) -> tuple[float, ...] | None:
    found = read_faults_setting(faults if pd.notna(faults) else None)
    return None if found is None else found.rates


def _network(folder: str) -> torch.nn.Module:
    return snnq.trained_network(folder).to("cuda" if torch.cuda.is_available() else "cpu")


if __name__ == "__main__":
    main()
