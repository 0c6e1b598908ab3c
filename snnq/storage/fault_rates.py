"""What the rates of a memory's faults may be. Without torch, for which a command's help would wait."""

import math


def refuse_rates(stuck_at_0: float, stuck_at_1: float, variability: float) -> None:
    """Raise ValueError for the first that is out of range."""
    for name, rate in (("stuck_at_0", stuck_at_0), ("stuck_at_1", stuck_at_1)):
        if not 0 <= rate <= 1:
            raise ValueError(f"{name}={rate}: expected a number from 0 to 1")
    if stuck_at_0 + stuck_at_1 > 1:
        raise ValueError(
            f"stuck_at_0={stuck_at_0} and stuck_at_1={stuck_at_1}: expected a sum of at most 1"
        )
    if not 0 <= variability < math.inf:
        raise ValueError(f"variability={variability}: expected a finite number of at least 0")
