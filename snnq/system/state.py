"""What neurons keep from one call to the next, whichever library they are from."""

import inspect
from functools import lru_cache

from torch import nn

# Of SpikingJelly's neurons; of snnTorch's; of sinabs' and others.
RESETS = ("reset", "reset_mem", "reset_states", "reset_state")


def reset_state(model: nn.Module) -> None:
    """Bring every module that keeps a state back to rest, as before its first recording.

    Called is the first of `RESETS` that a module has and that needs no argument. SpikingJelly's
    `reset_net` does the same for its own, but keeps a list of a network's modules, in which a
    layer that was put in later is missing.
    """
    for module in model.modules():
        name = _reset_of(type(module))
        if name is not None:
            getattr(module, name)()


def keeps_state(module: nn.Module) -> bool:
    """Whether it is one of those that `reset_state` brings back to rest."""
    return _reset_of(type(module)) is not None


@lru_cache(maxsize=1024)
def _reset_of(kind: type) -> str | None:
    return next((name for name in RESETS if _needs_nothing(getattr(kind, name, None))), None)


def _needs_nothing(method) -> bool:
    if not callable(method):
        return False
    _self, *parameters = inspect.signature(method).parameters.values()
    free = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return all(p.default is not p.empty or p.kind in free for p in parameters)
