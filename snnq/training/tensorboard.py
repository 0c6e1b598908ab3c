"""Each epoch's row for TensorBoard."""

import math
import weakref
from pathlib import Path
from typing import Any


class TensorBoard:
    """A callback of `snnq.train` that writes each epoch's row as scalars for TensorBoard.

    They go into the training's folder: `tensorboard --logdir results/runs` shows all of them. What
    a resumed training repeats takes the place of what was written before.

    Raises
    ------
    ValueError
        TensorBoard is not installed.
    """

    def __init__(self):
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            raise ValueError(
                "tensorboard is not installed, expected for TensorBoard: `pip install tensorboard`,"
                " or the extra snnq[log]"
            ) from None
        self.open, self.writers = SummaryWriter, {}

    def __call__(self, row: dict[str, Any], folder: Path) -> None:
        epoch = row["epoch"]
        if folder not in self.writers:
            self.writers[folder] = writer = self.open(str(folder), purge_step=epoch)
            weakref.finalize(self, writer.close)
        for name, value in row.items():
            if name != "epoch" and not math.isnan(value):
                self.writers[folder].add_scalar(name, value, epoch)
        self.writers[folder].flush()
