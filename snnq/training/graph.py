"""The gradients of a full batch as one CUDA graph, for networks whose operations are short.

A GPU is then given hundreds of operations at once instead of one after the other by Python. A run is
the same to the bit (tests/test_cuda.py): what changes from step to step, temperatures, masks, flips,
lies in tensors of the device.
"""

from collections.abc import Callable

from spikingjelly.activation_based._cuda_graph import StaticCudaGraph, validate_cuda_graph_model
from torch import Tensor, nn

Gradients = Callable[[Tensor, Tensor], tuple[Tensor, Tensor, Tensor]]


class GraphedGradients:
    """A function like `gradients`, replayed for batches of one size and called for any other.

    The first full batches warm up; then one is captured, with the memory that its operations
    use. An epoch's last, smaller batch is not padded or dropped but computed as ever.

    Parameters
    ----------
    gradients : function
        (frames, labels) → hits, loss, norms, with the gradients in the parameters' `.grad`.
    model : nn.Module
    parameters : list of nn.Parameter
        Which gradients it computes.
    batch_size : int
        Recordings in a full batch.

    Raises
    ------
    ValueError
        A neuron that keeps all its membrane potentials (`store_v_seq`).
    """

    def __init__(
        self,
        gradients: Gradients,
        model: nn.Module,
        parameters: list[nn.Parameter],
        batch_size: int,
    ):
        validate_cuda_graph_model(model)
        self.gradients, self.parameters, self.batch_size = gradients, parameters, batch_size
        self.graph = StaticCudaGraph(self._all_of_a_step)

    def __call__(self, frames: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        if len(labels) != self.batch_size:
            return self.gradients(frames, labels)
        hits, loss, norms, *found = self.graph(frames, labels)
        for parameter, gradient in zip(self.parameters, found):
            parameter.grad = gradient
        # The next replay writes where these are, and they are kept until they are read.
        return hits, loss.clone(), norms.clone()

    def _all_of_a_step(self, frames: Tensor, labels: Tensor) -> tuple[Tensor, ...]:
        found = self.gradients(frames, labels)
        return *found, *(parameter.grad for parameter in self.parameters)
