"""One training in its folder, from the lock to the record."""

from contextlib import nullcontext
from pathlib import Path

import pandas as pd

from snnq.system.files import sweep
from snnq.system.lock import only_process_in
from snnq.system.memory import keep_freed_memory
from snnq.training.arithmetic import FLOAT32
from snnq.training.checkpoint import Checkpoint
from snnq.training.device import device_of
from snnq.training.identity import is_finished
from snnq.training.loop import Training
from snnq.training.parallel import Processes
from snnq.training.record import LEFT, read_history
from snnq.training.rounding import in_arithmetic
from snnq.training.settings import Settings
from snnq.training.task import Task


def carry_out(
    task: Task, folder: Path, processes: Processes, progress: bool, restart: bool
) -> pd.DataFrame:
    """Train in a folder, or go on with it from where it was stopped; the history."""
    keep_freed_memory()
    with only_process_in(folder) if processes.main else nullcontext():
        if processes.main:
            if is_finished(task.identity, folder, restart):  # by another process meanwhile
                return read_history(folder)
            sweep(folder)
        with processes.main_first():  # who sets aside what cannot be read
            checkpoint = Checkpoint(folder, task.identity, restart)
        if processes.main and checkpoint.state is None:
            for name in LEFT:  # of another training, which this one replaces
                (folder / name).unlink(missing_ok=True)
        model, behind = task.start()
        model.to(device_of(task.settings))
        processes.share(model)
        arithmetic = in_arithmetic(model, task.settings.arithmetic)
        with checkpoint.or_from_the_start(model), arithmetic:
            training = Training(task, folder, model, behind, checkpoint, processes, progress)
            with training.bar, training.interruption.watched():
                for epoch in training.epochs_left():
                    training.epoch(epoch)
            with processes.main_first():
                return training.finish()


def refuse_unless_possible(settings: Settings, processes: Processes) -> None:
    """Raises ValueError where a setting does not fit the machine or the number of processes."""
    device_of(settings)
    if processes.count > settings.batch_size:
        raise ValueError(
            f"batch_size={settings.batch_size}: expected at least {processes.count}, a recording for"
            " each process"
        )
    for name, alone in (("cuda_graph", False), ("arithmetic", FLOAT32)):
        if processes.count > 1 and (value := getattr(settings, name)) != alone:
            raise ValueError(f"{name}={value}: expected one process, not {processes.count}")
