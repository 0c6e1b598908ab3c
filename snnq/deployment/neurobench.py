"""What NeuroBench's own harness says of a network, beside `snnq.cost_summary`.

An optional extra: `pip install neurobench==2.3.0`.
"""

from typing import Any

from spikingjelly.activation_based import neuron
from torch import nn
from torch.utils.data import DataLoader, Dataset

from snnq.deployment.speed import BATCH
from snnq.quantization.evaluated import evaluated_copy


def neurobench_results(model: nn.Module, data: Dataset) -> dict[str, Any]:
    """NeuroBench's Footprint, ConnectionSparsity, ActivationSparsity and SynapticOperations.

    Of the network with its evaluated weights in float32: NeuroBench sees neither that they are
    packed nor, behind a parametrization, which of them are zero. It decides batch by batch between
    accumulates and multiply-accumulates.

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

    network = TorchModel(copy)
    network.add_activation_module(neuron.BaseNode)
    loader = DataLoader(data, BATCH)
    metrics = (
        [static.Footprint, static.ConnectionSparsity],
        [workload.ActivationSparsity, workload.SynapticOperations],
    )
    benchmark = Benchmark(network, loader, [_with_time_first], [], metrics)
    return benchmark.run(quiet=True)


def _with_time_first(batch: tuple) -> tuple:
    frames, labels = batch
    return frames.transpose(0, 1).float(), labels
