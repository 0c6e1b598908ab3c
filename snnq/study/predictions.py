"""What runs predicted on their test recordings: kept for a study's figures where the runs' folders are not."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from snnq.system.files import first_line, save_tensors
from snnq.training.record import PREDICTIONS

PREDICTIONS_ABLATIONS = "predictions_ablations.safetensors"
LABEL = "label"  # beside the classes predicted by runs, in a file of predictions
Predictions = Mapping[str, tuple[np.ndarray, np.ndarray]]  # by run, see `read_predictions`


def read_correct(folder: str | Path) -> dict[str, np.ndarray]:
    """By the name of a run, whether each test recording was classified correctly after the last
    epoch, with hard weights: bool [test recordings].

    Of all of a study's runs whose predictions `gather` and `gather_ablations` found. Their files
    hold, uint8, for each test set N from 0 the right classes, `N/label`, and those that each of its
    runs predicted, `N/<run>`.

    Raises
    ------
    ValueError
        A file that cannot be read.
    """
    found = read_predictions(folder)
    return {name: predicted == label for name, (predicted, label) in found.items()}


def read_predictions(folder: str | Path) -> Predictions:
    """By the name of a run, the classes uint8 [test recordings] that it predicted after the last epoch,
    with hard weights, and the right ones; see `read_correct`.

    Raises
    ------
    ValueError
        A file that cannot be read.
    """
    predictions = {}
    # Those of the study itself last, since they are the newer ones of a run that both have: its ablations
    # are asked for less often.
    for path in (Path(folder) / name for name in (PREDICTIONS_ABLATIONS, PREDICTIONS)):
        classes = _classes(path) if path.exists() else {}
        for name, predicted in classes.items():
            test_set, _, run = name.partition("/")
            label = f"{test_set}/{LABEL}"
            if label not in classes:
                raise ValueError(f"{path}: {name!r} without {label!r}; expected a study's predictions")
            if run != LABEL:
                predictions[run] = predicted, classes[label]
    return predictions


def kept_predictions(runs: pd.DataFrame) -> Predictions:
    """Of the runs that have kept theirs, in their folders."""
    paths = {run.name: Path(run.folder) / PREDICTIONS for run in runs.itertuples()}
    found = {name: _classes(path) for name, path in paths.items() if path.exists()}
    return {name: (classes["hard"], classes[LABEL]) for name, classes in found.items()}


def write_predictions(path: Path, predictions: Predictions) -> None:
    """Write a file as `read_correct` describes it; the label of a test set is stored once."""
    classes: dict[str, np.ndarray] = {}
    labels: list[np.ndarray] = []
    for name, (predicted, label) in predictions.items():
        same = [np.array_equal(label, other) for other in labels]
        test_set = same.index(True) if any(same) else len(labels)
        if test_set == len(labels):
            labels.append(label)
            classes[f"{test_set}/{LABEL}"] = label
        classes[f"{test_set}/{name}"] = predicted
    save_tensors(path, lambda partial: save_file(classes, partial))


def _classes(path: Path) -> dict[str, np.ndarray]:
    try:
        return load_file(path)
    except SafetensorError as error:
        raise ValueError(f"{path}: no predictions ({first_line(error)})") from None
