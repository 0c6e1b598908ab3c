"""The public names, each with its docstring, by the room of the package that it lives in."""

import ast
import importlib
import inspect

from pages.places import PROJECT, write

ROOM = """\
# snnq.{room}

```{{eval-rst}}
.. automodule:: snnq.{room}
   :no-members:
{entries}
```
"""
INDEX = """\
# The package

```{{include}} ../../README.md
:start-after: "## The package"
:end-before: "MIT licence."
```

The public names, each under `snnq` and imported when it is first used:

{names}

```{{toctree}}
:hidden:
{rooms}
```
"""


def write_api() -> None:
    names = public_names()
    rooms = [path.parent.name for path in sorted((PROJECT / "snnq").glob("*/__init__.py"))]
    for room in rooms:
        entries = "".join(_entry(name) for name in names.get(room, ()))
        write(f"api/{room}.md", ROOM.format(room=room, entries=entries))
    listed = "\n".join(
        f"- [{room}](/api/{room}.md): {', '.join(f'{{py:obj}}`~{name}`' for name in names[room])}"
        for room in rooms
        if room in names
    )
    write("api/index.md", INDEX.format(names=listed, rooms="\n".join(rooms)))


def public_names() -> dict[str, list[str]]:
    """By room those of `snnq/__init__.pyi` and of the figures' own list, in the order in which they
    stand there; no modules."""
    found = {}
    for package in ("snnq", "snnq.figures"):
        path = PROJECT / package.replace(".", "/") / "__init__.pyi"
        for node in ast.parse(path.read_text()).body:
            if node.module is not None:
                room = package.partition(".")[2] or node.module.partition(".")[0]
                names = [f"{package}.{alias.asname}" for alias in node.names]
                found.setdefault(room, []).extend(names)
    return found


def _entry(name: str) -> str:
    package, _, own = name.rpartition(".")
    value = getattr(importlib.import_module(package), own)
    if inspect.isclass(value):
        return f"\n.. autoclass:: {name}\n   :members:\n"
    if callable(value):
        return f"\n.. autofunction:: {name}\n"
    content = ", ".join(f"``{key}`` {_shown(of)}".strip() for key, of in value.items())
    return f"\n.. currentmodule:: {package}\n.. py:data:: {own}\n\n   By name: {content}.\n"


def _shown(value: object) -> str:
    """What stands behind a name, where that is short: levels, or a class."""
    if isinstance(value, tuple):
        return str(value)
    return f"(`~{value.__module__}.{value.__name__}`)" if inspect.isclass(value) else ""
