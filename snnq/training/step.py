"""One training step, of which nothing is read from the device before it is asked for."""

from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from snnq.quantization.layers import layers_of
from snnq.training.gradients import Loss, gradients
from snnq.training.graph import GraphedGradients
from snnq.training.optimizer import Optimizer
from snnq.training.parallel import Processes
from snnq.training.penalties import with_penalties
from snnq.training.precision import states_in_float32
from snnq.training.whole_batch import SharedGradients


@dataclass(frozen=True)
class Taken:
    """A step that was taken: its batch, its loss, and each parameter's gradient's L2 norm."""

    frames: Tensor
    labels: Tensor
    loss: Tensor
    norms: Tensor


class NotFinite(FloatingPointError):
    """A loss or gradient that is not finite: that of the step `taken`, so many steps `ago`."""

    def __init__(self, taken: Taken, ago: int):
        super().__init__("a loss or gradient that is not finite")
        self.taken, self.ago = taken, ago


class Step:
    """Training steps of a network.

    Loss and hits add up on the device until `read`, so that a GPU never waits for the CPU within
    a step. A step that is not finite, and those after it, leave the weights as they were; `read`
    raises it. Until then the batches are kept.

    Parameters
    ----------
    model : nn.Module
        In training mode, on its device.
    optimizer : Optimizer
    precision : str
        One of `PRECISIONS`.
    graph_of : int, optional
        Replay batches of so many recordings from a CUDA graph.
    processes : Processes, optional
        Those that take the steps together.
    loss : function, optional
        Of outputs [N, classes] and labels [N], a mean over N; `loss_of` where not given.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: Optimizer,
        precision: str = "float32",
        graph_of: int | None = None,
        processes: Processes | None = None,
        loss: Loss | None = None,
    ):
        self.optimizer, self.processes = optimizer, processes or Processes()
        # Once: looking for them in the network takes as long as a layer's forward pass.
        self.parameters = [p for p in model.parameters() if p.requires_grad]
        self.layers = list(layers_of(model).values()) if precision == "bf16" else []
        loss = with_penalties(model, loss)
        settings = {"parameters": self.parameters, "precision": precision, "loss": loss}
        if self.processes.count > 1:
            self.gradients = SharedGradients(model, self.processes, **settings)
        elif graph_of is not None:
            eager = partial(gradients, model, **settings)
            self.gradients = GraphedGradients(eager, model, self.parameters, graph_of)
        else:
            self.gradients = partial(gradients, model, **settings)
        self.start(0.0, 0)

    def start(self, loss_sum: float, correct: int) -> None:
        """Begin to add up, from the sums over the steps that an epoch already has."""
        before = [loss_sum, correct, 0.0] if self.processes.main else [0.0, 0.0, 0.0]
        device = self.parameters[0].device
        self.sums = torch.tensor(before, dtype=torch.float64, device=device)
        self.unread: list[Taken] = []

    def __call__(self, frames: Tensor, labels: Tensor) -> None:
        with states_in_float32(self.layers):  # and no longer: the network is somebody else's
            hits, loss, norms = self.gradients(frames, labels)
        self.optimizer.step(loss, norms)
        finite = 1 - self.optimizer.failed
        self.sums += torch.stack([loss.double() * len(labels), hits, finite])
        self.unread.append(Taken(frames, labels, loss, norms))

    def read(self) -> tuple[float, int]:
        """Sum of loss × recordings and hits, over the steps since `start`.

        Raises
        ------
        NotFinite
            A step since the last reading was not.
        """
        loss_sum, correct, finite = self.processes.sum(self.sums).tolist()
        first = int(finite) // self.processes.count
        if first < len(self.unread):
            raise NotFinite(self.unread[first], ago=len(self.unread) - 1 - first)
        self.unread.clear()
        self.sums[2] = 0
        return loss_sum, int(correct)
