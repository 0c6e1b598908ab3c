"""What quantizers add to the loss; the history's loss has it in it."""

from torch import Tensor, nn

from snnq.quantization.base import LevelQuantizer
from snnq.quantization.network import quantizers
from snnq.quantization.place import quantizer_input
from snnq.training.evaluation import loss_of
from snnq.training.gradients import Loss


def with_penalties(model: nn.Module, loss: Loss | None) -> Loss | None:
    """A loss, `loss_of` where none is given, plus `LevelQuantizer.penalty` of each layer; the loss
    itself where no method has one."""
    own = LevelQuantizer.penalty
    layers = [
        (model.get_submodule(name), quantizer)
        for name, quantizer in quantizers(model).items()
        if type(quantizer).penalty is not own
    ]
    if not layers:
        return loss

    def penalized(rates: Tensor, labels: Tensor) -> Tensor:
        penalties = [quantizer.penalty(quantizer_input(layer)) for layer, quantizer in layers]
        return (loss or loss_of)(rates, labels) + sum(penalties)

    return penalized
