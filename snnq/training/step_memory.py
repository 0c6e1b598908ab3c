"""The memory that a training step needs, by counting its numbers."""

import copy
from dataclasses import dataclass, field
from itertools import pairwise

import pandas as pd
from torch import Tensor, nn

from snnq.system.state import reset_state
from snnq.training.arithmetic import COMPONENTS, Arithmetic
from snnq.training.evaluation import rates_of
from snnq.training.rounding import in_arithmetic, weights_of

FLOAT_BYTES = 4
MOMENTS = 2  # Adam's


def step_memory(model: nn.Module, frames: Tensor, arithmetic: str | Arithmetic) -> pd.DataFrame:
    """Bytes that a training step with Adam holds, as a machine of an arithmetic would.

    Counted are the numbers that `in_arithmetic` rounds, in one step of a copy of the network:
    weights (of quantized layers the latent and the effective ones) and their gradients; two
    moments of each weight that is kept; activations and membrane potentials of all time steps, which
    wait for the backward pass, spikes among them with as many bits as other numbers; and of
    the gradients by these the largest pair of neighbours, from one of which the other is computed.
    A number takes a byte, or 4 in float32. The other parameters take 16 bytes, with gradient and
    moments. What is computed within an operation is not counted.

    Parameters
    ----------
    model : nn.Module
        In training, quantized or not.
    frames : Tensor [N_t, N, ...]
        A batch.
    arithmetic : str or Arithmetic
        See `in_arithmetic`.

    Returns
    -------
    pandas.DataFrame
        A row per component of `COMPONENTS`, and "others": numbers, bytes.
    """
    if isinstance(arithmetic, str):
        arithmetic = Arithmetic.of(arithmetic)
    kept, counters = weights_of(model), {name: _Counter() for name in COMPONENTS}
    counted = copy.deepcopy(model)
    with in_arithmetic(counted, Arithmetic(**counters)):
        rates_of(counted, frames).sum().backward()
    reset_state(counted)
    numbers = {name: sum(counter.sizes) for name, counter in counters.items()}
    gradients = counters["activation_gradients"].sizes
    numbers["activation_gradients"] = max(map(sum, pairwise(gradients)))
    numbers["moments"] = MOMENTS * sum(weight.numel() for weight in kept)
    sizes = {name: 1 if getattr(arithmetic, name) else FLOAT_BYTES for name in COMPONENTS}
    known = {id(weight) for weight in kept}
    numbers["others"] = sum(p.numel() for p in model.parameters() if id(p) not in known)
    sizes["others"] = (2 + MOMENTS) * FLOAT_BYTES
    rows = [(name, count, count * sizes[name]) for name, count in numbers.items()]
    return pd.DataFrame(rows, columns=["component", "numbers", "bytes"])


@dataclass(frozen=True)
class _Counter:
    """In place of a rounding: notes how many numbers pass."""

    sizes: list[int] = field(default_factory=list)
    stochastic: bool = False

    def __call__(self, x: Tensor) -> Tensor:
        self.sizes.append(x.numel())
        return x.clone()
