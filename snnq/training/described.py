"""Functions, objects and networks in words: the same in another process of the same Python."""

import hashlib
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from dis import get_instructions
from functools import partial
from types import (
    BuiltinFunctionType,
    CodeType,
    FunctionType,
    MethodType,
    ModuleType,
    SimpleNamespace,
)
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import type_before_parametrizations

# Of what they define the name will do: their code changes with their versions.
LIBRARIES = ("snnq", "spikingjelly", "torch")
INSTALLED = tuple(sysconfig.get_path(name) for name in ("purelib", "platlib", "stdlib"))
PLAIN = (bool, int, float, complex, str, bytes, type(None), type(...), torch.dtype, torch.device)
# What a function uses and does not hold itself. Of a list, which it may write into, or a logger
# the class has to do: it would be another thing when the training is called again.
USED = (*PLAIN, tuple, Mapping, FunctionType, partial, type, ModuleType, SimpleNamespace)
USED += (BuiltinFunctionType, MethodType, Tensor, np.ndarray, np.generic, nn.Module)
CONSTANTS = (tuple, frozenset, CodeType)  # which Python may make one of, or several
ADDRESS = " at 0x"  # in a text: another one in each process
LONG = 400  # characters: the rest becomes a digest


def described(value: Any) -> str:
    """A function, class or object with all that is known of what it does.

    Of a Python function its name and a digest of its code, of its defaults, and of what it uses
    from around it; of an object its class and its attributes, tensors by a digest of their numbers.
    """
    text = _of(value, {})
    return text if len(text) <= LONG else f"{text[:LONG]}... {_digest(text)}"


def settings_of(module: nn.Module) -> str:
    """The class of a module and the plain values that it holds, without those of its parts.

    None is left out: a neuron's state may be None at first, and a tensor later.
    """
    plain = {n: v for n, v in _attributes(module).items() if isinstance(v, (*PLAIN, tuple))}
    return _call(type_before_parametrizations(module).__qualname__, plain, {})


def _of(value: Any, seen: dict[int, Any]) -> str:
    if isinstance(value, (*PLAIN, np.generic)):
        return repr(value)
    if not isinstance(value, CONSTANTS):
        if id(value) in seen:  # a function that calls itself, or that several others call
            return "..."
        seen[id(value)] = value
    if isinstance(value, tuple | list):
        return f"({', '.join(_of(item, seen) for item in value)})"
    if isinstance(value, set | frozenset):  # which have another order in another process
        return f"{{{', '.join(sorted(_of(item, seen) for item in value))}}}"
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{_of(k, seen)}: {_of(v, seen)}' for k, v in value.items())}}}"
    if isinstance(value, partial):
        bound = dict(enumerate(value.args)) | value.keywords
        return _call(_of(value.func, seen), bound, seen)
    if isinstance(value, MethodType):
        return f"{_of(value.__self__, seen)}.{_of(value.__func__, seen)}"
    if isinstance(value, FunctionType):
        return _of_function(value, seen)
    if isinstance(value, CodeType):
        return f"{value.co_code.hex()} {value.co_names} {_of(value.co_consts, seen)}"
    if isinstance(value, Tensor | np.ndarray):
        return _of_numbers(value)
    if isinstance(value, nn.Module):
        inside = _attributes(value) | dict(value.named_children())
        if next(value.parameters(), None) is None:  # else they may change as it is trained
            inside |= dict(value.named_buffers(recurse=False))
        return _call(type_before_parametrizations(value).__qualname__, inside, seen)
    if name := getattr(value, "__qualname__", None) or getattr(value, "__name__", None):
        return str(name)  # a class, a module, a function in C
    if not hasattr(value, "__dict__") and ADDRESS not in repr(value):
        return repr(value)  # a path, say
    return _call(type(value).__qualname__, getattr(value, "__dict__", {}), seen)


def _call(name: str, values: Mapping, seen: dict[int, Any]) -> str:
    return f"{name}({', '.join(f'{n}={_of(v, seen)}' for n, v in values.items())})"


def _attributes(module: nn.Module) -> dict[str, Any]:
    """Without torch's own, and without those that say how far it is."""
    step_mode = getattr(module, "step_mode", None)  # of SpikingJelly's, which hide it
    own = ({} if step_mode is None else {"step_mode": step_mode}) | vars(module)
    return {n: v for n, v in own.items() if n[0] != "_" and n != "training" and v is not None}


def _of_function(function: FunctionType, seen: dict[int, Any]) -> str:
    used, held = dict(_closed_over(function)), ()
    if not _of_library(function):
        for name in sorted(_globals_in(function.__code__) & function.__globals__.keys()):
            used[f"global {name}"] = function.__globals__[name]
        held = function.__code__, function.__defaults__, function.__kwdefaults__
    elif not used:
        return function.__qualname__
    values = [
        f"{name}={_of(value, seen) if isinstance(value, USED) else type(value).__qualname__}"
        for name, value in used.items()
    ]
    return f"{function.__qualname__} {_digest(f'{_of(held, seen)} {values}')}"


def _of_library(function: FunctionType) -> bool:
    package = (function.__module__ or "").partition(".")[0]
    file = getattr(sys.modules.get(package), "__file__", None) or ""
    return package in LIBRARIES or file.startswith(INSTALLED)


def _closed_over(function: FunctionType) -> Iterator[tuple[str, Any]]:
    """What it uses of the functions around it."""
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or ()):
        try:
            yield name, cell.cell_contents
        except ValueError:  # it has no value yet
            pass


def _globals_in(code: CodeType) -> set[str]:
    found = {i.argval for i in get_instructions(code) if i.opname in ("LOAD_GLOBAL", "LOAD_NAME")}
    inner = (part for part in code.co_consts if isinstance(part, CodeType))
    return found.union(*map(_globals_in, inner))


def _of_numbers(values: Tensor | np.ndarray) -> str:
    """Of what is trained, or no plain array of numbers, the shape alone."""
    shape = f"{type(values).__qualname__}{list(values.shape)} {values.dtype}"
    if isinstance(values, np.ndarray):
        return shape if values.dtype.hasobject else f"{shape} {_digest(values.tobytes())}"
    if values.requires_grad or values.is_meta or values.layout != torch.strided:
        return shape
    flat = values.detach().cpu().resolve_conj().resolve_neg().contiguous().flatten()
    return f"{shape} {_digest(flat.view(torch.uint8).numpy().tobytes())}"


def _digest(content: str | bytes) -> str:
    content = content.encode() if isinstance(content, str) else content
    return hashlib.sha256(content).hexdigest()[:12]
