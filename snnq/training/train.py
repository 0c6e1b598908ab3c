"""A network of one's own, trained on data of one's own."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from torch import nn
from torch.utils.data import Dataset

from snnq.system.interruption import memory_advice
from snnq.training.evaluation import loss_of
from snnq.training.gradients import Loss
from snnq.training.identity import identity_of_network, is_finished
from snnq.training.optimizer import FUSED_ADAM, MakeOptimizer
from snnq.training.parallel import joined
from snnq.training.record import WEIGHTS, load_weights, reach_known_levels, read_history
from snnq.training.samples import Augmentation, refuse_unless_trainable
from snnq.training.session import carry_out, refuse_unless_possible
from snnq.training.settings import Settings
from snnq.training.task import Callback, Task


def train(
    model: nn.Module,
    train: Dataset,
    validation: Dataset | None,
    test: Dataset | None,
    settings: Settings,
    folder: str | Path,
    *,
    loss: Loss | None = None,
    optimizer: MakeOptimizer = FUSED_ADAM,
    augmentation: Augmentation = None,
    callbacks: Sequence[Callback] = (),
    progress: bool = True,
    restart: bool = False,
) -> pd.DataFrame:
    """Train a network in a folder, or go on with it from where it was stopped.

    Checkpoints are saved after each epoch and each minute, so an interrupted training, called
    again, ends as if it had not been interrupted; one that failed before the first of them leaves
    the weights as they were. A finished one returns at once, the trained weights in `model`, and
    nothing is written. Of several processes (torchrun) all start from the first one's weights.

    Parameters
    ----------
    model : nn.Module
        From frames [N_t, N, ...] to outputs [N, classes], or [N_t, N, classes] of which the mean
        over time is taken. Trained in place, on the settings' device, and left in evaluation, at
        rest. Whether it resets its neurons itself or not, each batch starts from rest (see
        `snnq.system.state`). Those of its weights that `snnq.quantize` has quantized are tested with
        hard weights, harden and have their temperature as `settings` say; without quantizers
        it is trained in full precision.
    train, validation, test : Dataset or None
        Indexed by number, with a length; of (frames [N_t, ...] of any type of number, class). The
        last two may be None. What a data set draws at random should come from torch's generator,
        whose state is in the checkpoints, not from NumPy's or Python's.
    settings : Settings
    folder : path
        Gets after each epoch `history.csv` and `histograms.csv` (see `weight_histograms`; epoch 0
        is before training), and at the end `weights.safetensors`, the same network packed
        (`snnq.pack`) in `packed.safetensors`, `predictions.safetensors` ([test samples]: the
        classes that `hard` and `soft` weights predict, and `label`), and `run.json`. Until then it
        holds the last two checkpoints.
    loss : function, optional
        Of outputs [N, classes] and labels [N], a mean over N, `nn.CrossEntropyLoss()` say. The
        mean-squared error between firing rates and the one-hot class where not given.
    optimizer : function
        Called as `optimizer(groups, lr=settings.learning_rate)`, with parameters in groups as
        torch's optimizers take them: a class of `torch.optim`, or one with `functools.partial`. Its
        gradients are clipped to a norm of 5, its learning rate falls to zero along a cosine.
    augmentation : name or function, optional
        A name in `snnq.recordings.augmentation.AUGMENTATIONS`, for frames [N_t, ..., H, W]; or a
        function from a batch of float frames [N_t, N, ...] to another one.
    callbacks : functions
        Each is called after each epoch with its row, a dict, and the folder, before the epoch's
        checkpoint: an interrupted one may be told twice. See `snnq.TensorBoard`.
    progress : bool
        Show a progress bar.
    restart : bool
        Where the folder holds another training, finished or not, train this one in its place, from
        the weights that `model` has: those of a model that was trained are the trained ones. The
        same goes on, or returns, as ever.

    Returns
    -------
    pandas.DataFrame
        A row per epoch: epoch (from 1), temperature, loss and train_accuracy (in training, with
        augmentation and dropout), validation_accuracy and test_accuracy with hard weights,
        test_accuracy_soft (where it was measured, see `Settings.soft_every`), seconds (which are in
        `run.json`, not in `history.csv`). Accuracies are shares of 1, NaN without data.

    Raises
    ------
    ValueError
        A network or a data set that does not fit what is said above, a device that is not there, or
        a folder that holds another training, with what differs: settings, the parameters' names and
        shapes, the layers' classes and plain settings, quantizers and levels, the numbers of
        samples, loss, optimizer, augmentation (their names, settings and code), or the version of
        the training's code. All before training. In its first step, a loss that is not one number.
    BlockingIOError
        Another process works in the folder.
    FloatingPointError
        The loss or a gradient is not finite. The batch, and the network with the weights before
        that step, are kept in `failure.pt`. On a GPU it may be noticed some steps later: the
        weights wait, but batch norm's running statistics have gone on.
    MemoryError
        Says which settings to lower.
    OSError
        A file that could not be written; called again, the training goes on from its checkpoint.
    KeyboardInterrupt
        Ctrl-C or SIGTERM, after saving; a single line in a notebook.
    """
    folder = Path(folder)
    splits = {"train": train, "validation": validation, "test": test}
    there = {name: data for name, data in splits.items() if data is not None or name == "train"}
    with joined() as processes, memory_advice(f"batch_size={settings.batch_size}"):
        refuse_unless_possible(settings, processes)
        refuse_unless_trainable(model, there, augmentation)
        samples = {name: 0 if data is None else len(data) for name, data in splits.items()}
        functions = {"loss": loss or loss_of, "optimizer": optimizer, "augmentation": augmentation}
        identity = identity_of_network(model, settings, samples, **functions)
        if is_finished(identity, folder, restart):
            reach_known_levels(model, folder)
            load_weights(model, folder / WEIGHTS)
            model.eval()
            return read_history(folder)
        task = Task(
            settings=settings,
            splits=splits,
            start=lambda: (model, []),
            identity=identity,
            about={"identity": identity, "recordings": samples},
            title=f"{type(model).__name__} seed {settings.seed}",
            loss=loss,
            optimizer=optimizer,
            augmentation=augmentation,
            callbacks=callbacks,
        )
        return carry_out(task, folder, processes, progress, restart)
