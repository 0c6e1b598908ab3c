"""The form of a profile (`config/*.yaml`): which keys there are, and what they hold."""

import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from snnq.quantization.rules import FULL, REST
from snnq.training.plain import plain_levels
from snnq.training.run import OF_FULL_PART
from snnq.training.settings import refuse_unknown

PARTS = ("settings", "full", "quantized", "pretraining")
LISTS = {
    "levels": "a list of level sets, as in [full, binary, [-1, 0, 3]]",
    "channels": "a list of whole numbers, as in [2, 4, 8]",
    "seeds": "a list of whole numbers, as in [0, 1, 2], or such lists by width and `rest`",
    "orders": "a list of whole numbers, as in [0, 1]",
}
KEYS = ("study", "benchmarks", "levels", "seeds")
OPTIONAL = ("channels", "orders", *PARTS, "ablations", "job")
OWN = ("simulate", *LISTS, *PARTS)  # of one benchmark
OF_EACH_RUN = ("benchmark", "levels", "channels", "seed", "order", *OF_FULL_PART)
ABLATION = ("benchmark", *LISTS, "changes")
JOB = {"gpu": 0, "mem_mb": 1, "runtime": 1, "threads": 1}  # at least, see the Snakefile


def read_profile(path: Path) -> dict[str, Any]:
    """A profile as its file has it. Raises OSError, or ValueError for what is none."""
    try:
        profile = yaml.load(path.read_text(), _Loader)
    except (UnicodeDecodeError, yaml.YAMLError, ValueError) as error:
        raise ValueError(f"{path}: {error}") from None
    if not isinstance(profile, dict):
        raise ValueError(f"{path}: expected keys and values")
    return profile


def checked(profile: Mapping[str, Any]) -> dict[str, Any]:
    """A profile whose sections are all there, an empty one with nothing in it.

    Raises
    ------
    ValueError
        A key that no profile has, a missing one, or one that holds something else than it should.
    """
    found = _section("profile", profile, (*KEYS, *OPTIONAL))
    found = {name: value for name, value in found.items() if name in KEYS or value is not None}
    if missing := [key for key in KEYS if key not in found]:
        raise ValueError(f"missing {', '.join(missing)}")
    if not isinstance(found["study"], str) or not re.fullmatch(r"\w[\w.-]*", found["study"]):
        raise ValueError(
            f"study={found['study']!r}: expected a text of letters, digits, '.', '-' and '_', which"
            " names its folder"
        )
    found |= _parts("", found) | _lists("", found) | {"job": _job(found.get("job"))}
    benchmarks = _section("benchmarks", found["benchmarks"])
    if not benchmarks:
        raise ValueError("benchmarks: expected each with settings of its own, like `nmnist: {}`")
    ablations = _section("ablations", found.get("ablations"))
    return found | {
        "benchmarks": {name: _benchmark(name, own) for name, own in benchmarks.items()},
        "ablations": {name: _ablation(name, one) for name, one in ablations.items()},
    }


def _benchmark(name: str, own: Any) -> dict[str, Any]:
    place = f"benchmarks: {name}: "
    found = _own(place, _section(place[:-2], own, OWN))
    if "simulate" in found:
        try:
            readable = isinstance(found["simulate"], str) and shlex.split(found["simulate"])
        except ValueError:  # an open quotation
            readable = False
        if readable is False:
            raise ValueError(
                f"{place}simulate={found['simulate']!r}: expected arguments of `snnq simulate`, as in"
                f" `--benchmark {name}`"
            )
    return found


def _ablation(name: str, ablation: Any) -> dict[str, Any]:
    place = f"ablations: {name}: "
    found = _own(place, _section(place[:-2], ablation, ABLATION))
    changes = _section(f"{place}changes", found.get("changes"))
    if found.get("changes") is None:
        raise ValueError(f"{place}changes: expected names with what is changed, as in `none: {{}}`")
    parts = {
        change: _own(place, _section(f"{place}changes: {change}", settings, PARTS))
        for change, settings in changes.items()
    }
    for change, given in parts.items():
        for part in ("full", "quantized"):
            levels = given.get(part, {}).get("levels")
            if levels is not None and (levels == FULL) != (part == "full"):
                raise ValueError(
                    f"{place}changes: {change}: {part}: levels={levels!r}: expected levels of that kind;"
                    " others are changed by `settings`"
                )
    return found | {"changes": parts}


def _job(value: Any) -> dict[str, int]:
    if value is not None and not isinstance(value, Mapping):
        raise ValueError(f"job={value!r}: expected names with values, as in `threads: 8`")
    found = dict(value or {})
    refuse_unknown("key of a job", found, tuple(JOB))
    for name, number in found.items():
        if type(number) is not int or number < JOB[name]:
            raise ValueError(f"job: {name}={number!r}: expected a whole number of at least {JOB[name]}")
    return found


def _own(place: str, section: dict[str, Any]) -> dict[str, Any]:
    """What comes before the profile's own; an empty key is none."""
    given = {name: value for name, value in section.items() if value is not None or name == "simulate"}
    return given | _lists(place, given) | _parts(place, given)


def _parts(place: str, section: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    found = {name: _section(place + name, section[name]) for name in PARTS if name in section}
    for name in OF_EACH_RUN:
        if name in found.get("pretraining", {}):
            raise ValueError(
                f"{place}pretraining: {name}: expected none, since there is one such run for each"
                " benchmark, width and seed of the others"
            )
    return found


def _lists(place: str, section: Mapping[str, Any]) -> dict[str, list[Any]]:
    return {name: _list(place + name, section[name]) for name in LISTS if name in section}


def _section(name: str, value: Any, known: tuple[str, ...] | None = None) -> dict[str, Any]:
    value = {} if value is None else value
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        if name == "benchmarks":
            raise ValueError(f"{name}: expected each with settings of its own, like `nmnist: {{}}`")
        raise ValueError(f"{name}={value!r}: expected names with values, as in `epochs: 3`")
    if known:
        refuse_unknown("key", value, known)
    return dict(value)


def _list(name: str, value: Any) -> list[Any] | dict[int | str, list[Any]]:
    if name.endswith("seeds") and isinstance(value, Mapping) and value:
        for width in value:
            if width != REST and type(width) is not int:  # which True is none of
                raise ValueError(
                    f"{name}: {width!r}: expected channels or {REST!r}, as in"
                    " {32: [0, 1], rest: [0, 1, 2]}"
                )
        return {width: _list(f"{name}: {width}: seeds", seeds) for width, seeds in value.items()}
    if not isinstance(value, list | tuple) or not value:
        raise ValueError(f"{name}={value!r}: expected {LISTS[name.split(': ')[-1]]}")
    if name.endswith("levels"):
        return [plain_levels(one) for one in value]
    if any(isinstance(one, list | tuple | Mapping) for one in value):  # what else is no number, `Run` refuses
        raise ValueError(f"{name}={value!r}: expected {LISTS[name.split(': ')[-1]]}")
    return list(value)


class _Loader(yaml.SafeLoader):
    """Refuses a key that is there twice, of which YAML's own loader takes the last."""

    def construct_mapping(self, node, deep=False):
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for number, key in enumerate(keys):
            if key in keys[:number] and key != "<<":
                line = node.value[number][0].start_mark.line + 1
                raise ValueError(f"line {line}: key {key!r} is there twice, expected once")
        return super().construct_mapping(node, deep)
