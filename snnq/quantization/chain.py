"""∂loss/∂w, ∂loss/∂α and ∂loss/∂β of y = α f(βw), by the chain rule, from G = ∂loss/∂y.

    ∂/∂w = G αβ f'(βw),   ∂/∂α = Σ G y/α,   ∂/∂β = Σ G α f'(βw) w

Where `hardened`, f' is 0.
"""

import numpy as np
import torch
from torch import Tensor

from snnq.quantization import loops
from snnq.quantization.hardened import stop
from snnq.quantization.loops import ONE_ROW, Sigmoids, flat
from snnq.quantization.table import Table

Gradients = tuple[Tensor, Tensor, Tensor]


def by_slope(
    slope: Tensor,
    weight: Tensor,
    output: Tensor,
    grad: Tensor,
    alpha: Tensor,
    beta: Tensor,
    hardened: Tensor | None,
) -> Gradients:
    """From f'(βw), which is overwritten."""
    slope.mul_(grad).mul_(alpha)
    if hardened is not None:
        slope.masked_fill_(hardened, 0)
    return slope * beta, (grad * output).sum() / alpha, (slope * weight).sum()


def by_curve(
    curve: Table | Sigmoids,
    weight: Tensor,
    output: Tensor,
    grad: Tensor,
    alpha: Tensor,
    beta: Tensor,
    hardened: Tensor | None,
    rows: np.ndarray = ONE_ROW,
) -> Gradients:
    """From f', as `loops` take it, in one pass over contiguous weights."""
    by_weight = torch.empty_like(weight)
    arrays = map(flat, (weight, output, grad.contiguous(), by_weight))
    by_output, by_scaled = loops.gradients(*arrays, (alpha * beta).item(), beta.item(), curve, rows)
    if hardened is not None:
        by_scaled -= stop(*map(flat, (weight, hardened, by_weight)))
    return by_weight, alpha.new_tensor(by_output) / alpha, beta.new_tensor(by_scaled) / beta
