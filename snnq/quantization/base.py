"""What the quantizers have in common: levels, and one value for each of them in evaluation."""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from snnq.quantization.levels import distance_to_nearest, resolve_levels
from snnq.quantization.reachable import Reachable


class LevelQuantizer(nn.Module):
    """What every quantizer of a layer's weight has in common; not a quantizer by itself.

    A parametrization: in `.train()` it returns `soft`, in `.eval()` `hard`.

    Parameters
    ----------
    weight : Tensor, any shape
        The weights to start from.
    levels : str or increasing numbers
        See `resolve_levels`.

    Attributes
    ----------
    scales : int
        How many numbers beside its levels the packed layer needs.
    hardened : bool Tensor of the weight's shape, or None
        Weights that training too sees at their levels, from where no gradient comes back to them.
    reachable : Reachable or None
        Which levels each weight can reach, of a memory whose faults are known; for methods that
        `takes_reachable`.
    hardens : two numbers or ()
        Shares of a training between which the weights become `hardened`, where its settings do not
        say; () for never.
    memory : function or None
        What training makes of its weights, as a memory with faults would read them: called with the
        quantizer, its weight, and the weights that training would see without.

    Raises
    ------
    ValueError
        Levels that the method is not made for, or a weight that is empty, not finite or all zero.
    """

    scales = 1
    takes_reachable = False
    hardens: tuple[float, ...] = ()

    def __init__(self, weight: Tensor, levels: str | Iterable[float]):
        super().__init__()
        self.levels = resolve_levels(levels)
        if not (weight.numel() and torch.isfinite(weight).all() and weight.any()):
            raise ValueError(
                f"weight of shape {tuple(weight.shape)}: expected finite values, not all zero"
            )
        values = torch.tensor(self.levels, dtype=torch.float64)
        self.register_buffer("level_values", values.to(weight))
        self.register_buffer("hardened", None, persistent=False)
        self.reachable: Reachable | None = None
        self.memory: Callable[[LevelQuantizer, Tensor, Tensor], Tensor] | None = None

    def advance(self, share: float) -> None:
        """Set what the quantizer itself moves in training, of which a share is behind; here nothing.

        `share` is from 0, at the start, to below 1. The temperature of a run is not among it, see
        `set_temperature`.
        """

    def forward(self, weight: Tensor) -> Tensor:
        if not self.training:
            return self.hard(weight)
        seen = self.soft(weight) if self.hardened is None else self.partly_hard(weight)
        return seen if self.memory is None else self.memory(self, weight, seen)

    def penalty(self, weight: Tensor) -> Tensor | None:
        """What the method adds to the loss for this layer; here nothing."""

    def soft(self, weight: Tensor) -> Tensor:
        """What training sees."""
        raise NotImplementedError

    def hard(self, weight: Tensor) -> Tensor:
        """What evaluation sees: `values` at `level_indices`."""
        return self.values(weight)[self.level_indices(weight)]

    def partly_hard(self, weight: Tensor) -> Tensor:
        """What training sees once some weights are `hardened`."""
        weight = torch.where(self.hardened, weight.detach(), weight)
        return torch.where(self.hardened, self.hard(weight), self.soft(weight))

    def values(self, weight: Tensor) -> Tensor:
        """The value of each level [levels]."""
        raise NotImplementedError

    def level_indices(self, weight: Tensor) -> Tensor:
        """The level of each weight, int64 of the weight's shape: its value is `values` there."""
        raise NotImplementedError

    def thresholds(self, weight: Tensor) -> Tensor | None:
        """Where one level ends and the next begins [levels − 1], in units of the weight.

        Half-way between the levels, as where each weight gets the nearest. None for a method that
        has no such weights in training, or other thresholds in each channel.
        """
        values = self.values(weight)
        return (values[:-1] + values[1:]) / 2

    def distances(self, weight: Tensor) -> Tensor:
        """Of each weight from the nearest threshold at which its level changes."""
        return distance_to_nearest(weight, self.thresholds(weight))

    def _refuse_unless(self, fits: bool, expected: str) -> None:
        if not fits:
            raise ValueError(f"levels={self.levels}: expected {expected} for {type(self).__name__}")

    def _refuse_unless_even(self) -> None:
        gaps = self.level_values.diff()
        even = torch.allclose(gaps, gaps[:1]) and self.levels[0] == -self.levels[-1]
        self._refuse_unless(even, "evenly spaced ones around 0")

    def _load_from_state_dict(self, state_dict, prefix, *args):
        """Refuses another level set: with as many levels it would load, and mean something else."""
        *_, errors = args
        saved = state_dict.get(prefix + "level_values")
        if saved is not None and not _same_levels(saved, self.level_values):
            errors.append(f"{prefix}level_values: {saved.tolist()}, expected {list(self.levels)}")
            return
        super()._load_from_state_dict(state_dict, prefix, *args)

    def extra_repr(self) -> str:
        return f"levels={self.levels}"


def straight_through(passed: Tensor, value: Tensor) -> Tensor:
    """`value`, with the gradient of `passed`."""
    return value + (passed - passed.detach())


def index_of_nearest(x: Tensor, values: Tensor) -> Tensor:
    """Index of the nearest of increasing values; the lower one half-way between two."""
    return torch.bucketize(x.contiguous(), (values[:-1] + values[1:]) / 2)


def _same_levels(saved: Tensor, expected: Tensor) -> bool:
    saved = saved.to(expected)
    return saved.shape == expected.shape and torch.allclose(saved, expected, rtol=1e-3)
