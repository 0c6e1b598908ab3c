"""One spiking network per benchmark: the PLIF networks of Fang et al., ICCV 2021."""

from functools import partial

from spikingjelly.activation_based import functional, layer, neuron, surrogate
from torch import Tensor, nn

from snnq.benchmarks import Benchmark, get_benchmark

NEURONS = {
    "plif": partial(neuron.ParametricLIFNode, init_tau=2.0),
    "lif": partial(neuron.LIFNode, tau=2.0),
    "if": neuron.IFNode,
}


class SpikingNetwork(nn.Module):
    """Layers in multi-step mode, from frames to firing rates.

    Input [T, N, 2, H, W], T time steps of event counts; output [N, classes], the firing rate of
    each class's group of output neurons over the T steps, between 0 and 1. Every recording starts
    from rest: the membrane potentials are reset before it, and after it, so that the network can
    be copied.
    """

    def __init__(self, *layers: nn.Module):
        super().__init__()
        self.layers = nn.Sequential(*layers)
        functional.set_step_mode(self.layers, "m")

    def forward(self, frames: Tensor) -> Tensor:
        functional.reset_net(self)
        rates = self.layers(frames).mean(0)
        functional.reset_net(self)
        return rates


def build_model(benchmark: str, neuron: str = "plif", channels: int = 128) -> SpikingNetwork:
    """The network of a benchmark, with τ from 2, ATan surrogate, hard and detached reset, no bias.

    Parameters
    ----------
    benchmark : str
        "nmnist": {conv 3×3, batch norm, neuron, max-pool}×2, dropout, linear 2048, neuron,
        dropout, linear 100, neuron, voting by tens.
    neuron : str
        "plif" (learned time constant), "lif" or "if".
    channels : int
        Channels of each convolution: 128 in the paper. With fewer than 32 the hidden linear layer
        narrows too, to 64 per channel, for a quick network.

    Raises
    ------
    ValueError
        Unknown benchmark or neuron, or fewer than one channel.
    """
    if neuron not in NEURONS:
        raise ValueError(f"neuron={neuron!r}: expected one of {', '.join(NEURONS)}")
    if channels < 1:
        raise ValueError(f"channels={channels}: expected at least 1")
    spiking = partial(
        NEURONS[neuron], surrogate_function=surrogate.ATan(), v_reset=0.0, detach_reset=True
    )
    return _nmnist(get_benchmark(benchmark), spiking, channels)


VOTERS = 10  # output neurons that vote for each class


def _nmnist(benchmark: Benchmark, spiking: partial, channels: int) -> SpikingNetwork:
    """Two convolution blocks and two linear layers, for sensors of any size."""
    height, width = benchmark.height // 4, benchmark.width // 4  # after two poolings
    hidden = min(2048, 64 * channels)
    return SpikingNetwork(
        *_conv_block(2, channels, spiking),
        *_conv_block(channels, channels, spiking),
        layer.Flatten(),
        layer.Dropout(0.5),
        layer.Linear(channels * height * width, hidden, bias=False),
        spiking(),
        layer.Dropout(0.5),
        layer.Linear(hidden, VOTERS * benchmark.classes, bias=False),
        spiking(),
        layer.VotingLayer(VOTERS),
    )


def _conv_block(inputs: int, outputs: int, spiking: partial) -> list[nn.Module]:
    return [
        layer.Conv2d(inputs, outputs, kernel_size=3, padding=1, bias=False),
        layer.BatchNorm2d(outputs),
        spiking(),
        layer.MaxPool2d(2, 2),
    ]
