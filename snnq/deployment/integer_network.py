"""The network of integers as a module of torch: the reference of the C and of the Verilog."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from snnq.deployment.integer_stage import IntegerStage

EXACT = 2**24  # whole numbers up to which float32 adds without rounding

Seen = Callable[[int, Tensor, Tensor], None]


class IntegerNetwork(nn.Module):
    """Stages of integers, one after another; there is nothing to train in it.

    Input [N_t, N, C, H, W] or [N_t, N, inputs], counts from 0 to 255. Output [N_t, N, classes]:
    the share of each class's voters that spike; what a last layer without neurons has summed up
    stands in the last time step, times N_t, so that the mean over time is the sum: in float64, exact.

    Attributes
    ----------
    stages : list of IntegerStage
    input_shape : tuple of int
        (channels, height, width).
    """

    def __init__(self, stages: Sequence[IntegerStage]):
        super().__init__()
        self.stages = list(stages)
        self.input_shape = self.stages[0].place.image
        for i, stage in enumerate(self.stages):
            setattr(self, f"kernel_{i}", nn.Parameter(_kernel(stage), requires_grad=False))

    @torch.no_grad()
    def forward(self, frames: Tensor, seen: Seen | None = None) -> Tensor:
        """`seen` gets each stage's number, spikes and potentials, int32 [N_t, N, channels, H, W]
        before pooling."""
        spikes = frames.unflatten(2, self.input_shape) if frames.ndim == 3 else frames
        for i, stage in enumerate(self.stages):
            sums = self._sums(i, spikes)
            spikes, potentials = _fire(stage, sums)
            if seen is not None:
                seen(i, spikes, potentials)
            if stage.threshold is not None:
                spikes = _pooled(stage, spikes)
        last = self.stages[-1]
        votes = spikes.float()
        if last.threshold is None:
            votes = torch.zeros_like(potentials, dtype=torch.float64)
            votes[-1] = potentials[-1].double() * len(potentials)
        votes = votes.flatten(2).unflatten(2, (last.place.classes, -1))
        return votes.mean(-1) / last.place.most_spikes

    def _sums(self, i: int, inputs: Tensor) -> Tensor:
        """S, exact: [N_t, N, channels, H, W]."""
        stage, kernel = self.stages[i], getattr(self, f"kernel_{i}")
        flat = inputs.flatten(0, 1).to(kernel.dtype)
        place = stage.place
        if place.kernel == place.image[1:] and place.padding == (0, 0) and place.groups == 1:
            sums = F.linear(flat.flatten(1), kernel.flatten(1))[..., None, None]
        else:
            sums = F.conv2d(flat, kernel, None, place.stride, place.padding, 1, place.groups)
        return sums.to(torch.int32).unflatten(0, inputs.shape[:2])


def _kernel(stage: IntegerStage) -> Tensor:
    """[neurons, channels of a group, height, width], in a type in which its sums are exact."""
    place, (least, most) = stage.place, stage.sums
    exact = torch.float32 if max(-least, most) <= EXACT else torch.float64
    weights = torch.from_numpy(stage.weights).unflatten(0, (place.groups, *place.kernel, -1))
    return weights.permute(0, 4, 3, 1, 2).flatten(0, 1).to(exact).contiguous()


def _fire(stage: IntegerStage, sums: Tensor) -> tuple[Tensor, Tensor]:
    """Spikes and potentials of every step, int32."""
    inputs = _of_sums(stage, sums)
    (m, q), v = stage.leak, torch.zeros_like(sums[0])
    half = (1 << q) >> 1
    spikes, potentials = torch.zeros_like(sums), torch.empty_like(sums)
    threshold = None if stage.threshold is None else _channels(stage.threshold, sums)
    for t, x in enumerate(inputs):
        h = (v - ((m * v + half) >> q) + x).clamp(stage.least, stage.most)
        if threshold is not None:
            spikes[t] = h >= threshold
            after = h - threshold if stage.place.soft else torch.zeros_like(h)
            h = torch.where(h >= threshold, after, h)
        v = potentials[t] = h
    return spikes, potentials


def _of_sums(stage: IntegerStage, sums: Tensor) -> Tensor:
    """X."""
    offset, shift = _channels(stage.offset, sums), _channels(stage.shift, sums)
    up, down = shift.clamp(min=0), (-shift).clamp(min=0)
    return torch.where(shift < 0, (sums + offset) >> down, (sums << up) + offset)


def _channels(values, like: Tensor) -> Tensor:
    return torch.as_tensor(values, dtype=torch.int32, device=like.device)[:, None, None]


def _pooled(stage: IntegerStage, spikes: Tensor) -> Tensor:
    height, width = stage.place.pool
    rows, columns = stage.place.output[1:]
    whole = spikes[..., : rows * height, : columns * width]
    windows = whole.unflatten(-1, (columns, width)).unflatten(-3, (rows, height))
    return windows.sum((-3, -1)) if stage.place.pool_adds else windows.amax((-3, -1))
