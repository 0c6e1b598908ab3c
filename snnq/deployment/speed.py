"""How fast PyTorch evaluates a network."""

from time import perf_counter

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize
from torch.utils.data import Dataset, Subset

from snnq.deployment.observed import dataset_of
from snnq.system.state import reset_state
from snnq.training.batches import batches
from snnq.training.evaluation import device_of_network, from_rest, in_format_of

SINGLES = 100  # recordings to measure the latency with
BATCH = 64


def speed(model: nn.Module, data: Dataset | Tensor) -> pd.Series:
    """Latency of single recordings and throughput of batches, on the network's device.

    Of any network that takes inputs [N_t, N, ...]; `data` is of (frames [N_t, ...], class), or such
    inputs. Timed is the network from float frames to its outputs on the CPU; recordings are read
    before, and quantized weights pass through the quantizer before; neurons are brought to rest in
    between. The first batch of each kind is not timed.

    Returns
    -------
    pandas.Series
        latency_ms, the median of up to 100 recordings, and latency_ms_p95, their 95th percentile;
        recordings_per_second, in batches of 64.

    Raises
    ------
    ValueError
        `data` holds no recording, or is a tensor of another shape.
    """
    data = dataset_of(data)
    singles = _seconds(model, Subset(data, range(min(len(data), SINGLES))), 1)
    batched = _seconds(model, data, BATCH)
    median, high = 1000 * np.quantile(singles, (0.5, 0.95))
    return pd.Series(
        {
            "latency_ms": median,
            "latency_ms_p95": high,
            "recordings_per_second": len(data) / sum(batched),
        }
    )


@torch.no_grad()
def _seconds(model: nn.Module, data: Dataset, batch_size: int) -> list[float]:
    """Of each batch in turn."""
    reset_state(model.eval())
    seconds = []
    with parametrize.cached():
        for frames, _ in batches(data, batch_size, device_of_network(model)):
            if not seconds:
                from_rest(model, frames)
            frames = in_format_of(model, frames)
            try:
                start = perf_counter()
                model(frames).cpu()
                seconds.append(perf_counter() - start)
            finally:
                reset_state(model)
    return seconds
