"""What NeuroBench's own harness says of a network, beside `snnq.cost_summary`.

An optional extra: `pip install neurobench==2.3.0`.
"""

from typing import Any

from spikingjelly.activation_based import neuron
from torch import nn
from torch.utils.data import DataLoader, Dataset

from snnq.deployment.speed import BATCH
from snnq.quantization.evaluated import evaluated_copy
from snnq.system.state import reset_state


def neurobench_results(model: nn.Module, data: Dataset) -> dict[str, Any]:
    """NeuroBench's Footprint, ConnectionSparsity, ActivationSparsity and SynapticOperations.

    Of any network with SpikingJelly's or snnTorch's neurons, with its evaluated weights in float32:
    NeuroBench sees neither that they are packed nor, behind a parametrization, which of them are
    zero. It decides call by call between accumulates and multiply-accumulates, and does not see
    transposed convolutions.

    Raises
    ------
    ValueError
        No `nn.Module`.
    ImportError
        NeuroBench is not installed.
    """
    copy = evaluated_copy(model)
    from neurobench.benchmarks import Benchmark
    from neurobench.metrics import static, workload
    from neurobench.models import TorchModel
    from snntorch import SpikingNeuron

    network = TorchModel(copy)
    network.add_activation_module(neuron.BaseNode)
    network.add_activation_module(SpikingNeuron)

    def from_rest(batch: tuple) -> tuple:
        reset_state(copy)
        frames, labels = batch
        return frames.transpose(0, 1).float(), labels

    metrics = (
        [static.Footprint, static.ConnectionSparsity],
        [workload.ActivationSparsity, workload.SynapticOperations],
    )
    benchmark = Benchmark(network, DataLoader(data, BATCH), [from_rest], [], metrics)
    return benchmark.run(quiet=True)
