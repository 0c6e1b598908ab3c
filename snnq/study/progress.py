"""How far a study is while it runs, in lines that a person can follow."""

import math
import statistics
import time

import pandas as pd
from tqdm import tqdm

from snnq.quantization.rules import FULL, label_of
from snnq.recordings.benchmarks import recordings_name
from snnq.study.forecast import KIND, duration, forecast, kind_of
from snnq.study.profile import Study
from snnq.training.record import read_record
from snnq.training.run import Run

DRAWING_SECONDS = 20  # of tables, notebooks and figures after the last run
STARTING_SECONDS = 3  # of a job before its first epoch and after its last: a process, figures
LINE_SECONDS = 60  # between lines where there is no terminal to draw a bar in


class Progress:
    """One bar for all of a study's runs, in hours of work, and a line for each that is finished.

    The time left is that of the epochs and jobs that are left, divided by how many run side by
    side. An epoch takes what those of finished runs of its kind took; before there are any, what
    is seen of those under way; before that, what was measured.

    Parameters
    ----------
    study : Study
    side_by_side : int
        Runs at a time.
    measured : DataFrame
        See `snnq.study.forecast.measure`.
    """

    def __init__(self, study: Study, side_by_side: int, measured: pd.DataFrame):
        self.study, self.side_by_side, self.measured = study, side_by_side, measured
        self.said = study.finished()
        self.out_of_date = {name for name in study.trained if study.is_finished(name)} - self.said
        self.started = time.monotonic()
        self.seen: dict[str, list[tuple[float, int]]] = {}
        self.line = -math.inf  # when the last was written: the first comes at once
        self.bar = tqdm(
            total=1.0,
            bar_format="{percentage:3.0f}%|{bar}| {desc}",
            mininterval=0,
            disable=None,  # where there is no terminal
        )

    def update(self) -> None:
        """Look at what the runs have written since."""
        for name, run in self.study.trained.items():
            if self.study.is_finished(name):
                if name not in self.said | self.out_of_date:
                    self.said.add(name)
                    tqdm.write(finished_line(self.study, name, run))
            else:
                self.out_of_date.discard(name)
                self._see(name)
        table = forecast(self.study, self._pace())
        done, state = self.summary(table)
        if not self.bar.disable:
            self.bar.n = done
            self.bar.set_description_str(f"{self.study.folder.name}: {state}")
        elif time.monotonic() - self.line > LINE_SECONDS:
            self.line = time.monotonic()
            tqdm.write(f"{self.study.folder.name}: {100 * done:.0f} %, {state}")

    def summary(self, table: pd.DataFrame) -> tuple[float, str]:
        """The share of the work that is done, and how far that is, in words."""
        finished, runs = table["finished"].sum(), table["runs"].sum()
        all_of_it = (table["epochs"] * table["seconds_per_epoch"]).sum() + STARTING_SECONDS * runs
        left = 3600 * table["hours_left"].sum() + STARTING_SECONDS * (runs - finished)
        side_by_side = max(1, min(self.side_by_side, runs - finished))
        passed = duration((time.monotonic() - self.started) / 3600)
        words = f"{finished} of {runs} runs, {passed} passed, "
        if finished == runs:
            words += "now tables, notebooks and figures, "
        seconds = left / side_by_side + DRAWING_SECONDS
        rounded = 1 - (left + DRAWING_SECONDS) / (all_of_it + DRAWING_SECONDS)
        share = max(0.0, rounded)  # which may be a little below: -0 %
        known = table["hours_left"].notna().all()
        until = f"about {duration(seconds / 3600)} left" if known else "time left unknown"
        return share, words + until

    def close(self) -> None:
        self.bar.close()

    def _see(self, name: str) -> None:
        """Remember when a run that is under way was first and last seen to have more epochs."""
        epochs = self.study.epochs_done(name)
        seen = self.seen.setdefault(name, [])
        if epochs and (not seen or epochs > seen[-1][1]):
            seen[1:] = [(time.monotonic(), epochs)]

    def _pace(self) -> pd.DataFrame:
        """Seconds per epoch of each kind of run, as seen of those under way, else as measured."""
        seen: dict[tuple[str, int, str], list[float]] = {}
        for name, times in self.seen.items():
            if len(times) == 2:
                (first, before), (last, after) = times
                kind = kind_of(self.study.trained[name])
                seen.setdefault(kind, []).append((last - first) / (after - before))
        rows = [(*kind, statistics.median(paces)) for kind, paces in seen.items()]
        table = pd.DataFrame(rows, columns=[*KIND, "seconds_per_epoch"])
        table = pd.concat([table, self.measured]) if len(table) else self.measured
        return table.drop_duplicates(KIND)


def finished_line(study: Study, name: str, run: Run) -> str:
    """What a finished run is, and its accuracy."""
    record = read_record(study.run_folder(name))
    seconds = duration(sum(record["seconds"]) / 3600)
    recordings = recordings_name(run.benchmark, record["data"])
    method = "" if run.levels == FULL or run.quantizer == "sigmoid" else f" by {run.quantizer}"
    order = f", order {run.order}" if run.order else ""
    return (
        f"{recordings}: {label_of(run.levels)}{method}, {run.channels} channels, seed {run.seed}{order}:"
        f" {100 * record['accuracy']['last']:.2f} % after {run.epochs} epochs ({seconds})"
    )
