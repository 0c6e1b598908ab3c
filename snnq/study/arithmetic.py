"""What 8-bit arithmetic in training costs in accuracy, and saves in memory."""

from typing import Any

import pandas as pd
import torch

from snnq.networks.models import build_model
from snnq.quantization.network import quantize
from snnq.quantization.rules import FULL, read_levels
from snnq.recordings.benchmarks import BENCHMARKS, get_benchmark
from snnq.study.comparisons import Correct
from snnq.study.tables import ablation_table
from snnq.training.step_memory import step_memory

SETTINGS = ["benchmark", "network", "neuron", "size", "steps", "batch_size", "arithmetic"]


def arithmetic_table(rows: pd.DataFrame, correct: Correct | None = None) -> pd.DataFrame:
    """The ablations in which arithmetics are compared, with the memory of a training step.

    Parameters
    ----------
    rows, correct
        See `ablation_table`; the rows also have the settings of the runs, as `ablations.csv` has them.

    Returns
    -------
    pandas.DataFrame
        As of `ablation_table`, with `arithmetic` and `step_bytes`, see `step_memory`; without rows
        where no ablation changes the arithmetic, or on none of `snnq.BENCHMARKS`.
    """
    if "arithmetic" not in rows:  # of before there was a choice
        return pd.DataFrame()
    rows = rows[rows["benchmark"].isin(BENCHMARKS)]
    rows = rows[rows.groupby("ablation")["arithmetic"].transform("nunique") > 1]
    if rows.empty:
        return pd.DataFrame()
    key = ["ablation", "channels", "levels", "change"]
    settings = rows.drop_duplicates(key)[[*key, *SETTINGS, "keep"]]
    settings = settings.assign(step_bytes=[_step_bytes(run) for run in settings.to_dict("records")])
    return ablation_table(rows, correct).merge(settings[[*key, "arithmetic", "step_bytes"]], on=key)


def _step_bytes(run: dict[str, Any]) -> int:
    run = {name: None if value != value else value for name, value in run.items()}  # NaN
    kind = (run[name] for name in ("benchmark", "neuron", "channels", "network"))
    model = build_model(*kind, size=run["size"] and int(run["size"])).train()
    levels = read_levels(run["levels"]) if isinstance(run["levels"], str) else run["levels"]
    if levels != FULL:
        quantize(model, levels, run["keep"])
    steps = int(run["steps"] or get_benchmark(run["benchmark"]).steps)
    frames = torch.zeros(steps, run["batch_size"], *model.input_shape)
    return int(step_memory(model, frames, run["arithmetic"])["bytes"].sum())
