"""What is kept of a training step that went wrong, to look into."""

import math
from pathlib import Path
from typing import Any, NoReturn

import torch
from torch import nn

from snnq.system.files import save_tensors
from snnq.training.step import Taken


def fail(taken: Taken, model: nn.Module, parts: dict[str, Any], path: Path, place: str) -> NoReturn:
    """Save the batch of a step that was not finite, and the state of each part, at `path`.

    Raises
    ------
    FloatingPointError
        With the step's place, its loss, and which parameters' gradients are not finite.
    """
    names = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
    norms = zip(names, taken.norms.tolist())
    bad = [name for name, norm in norms if not math.isfinite(norm)]
    kept = {"frames": taken.frames, "labels": taken.labels}
    kept |= {name: part.state_dict() for name, part in parts.items()}
    save_tensors(path, lambda partial: torch.save(kept, partial))
    raise FloatingPointError(
        f"{place}: loss={taken.loss.item()}, gradients that are not finite:"
        f" {', '.join(bad) or 'none'}; batch and network are in {path}; try a lower learning_rate"
    )
