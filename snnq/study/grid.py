"""The runs at every point of a profile's lists, and the ones that they start from."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import chain, product
from pathlib import Path
from typing import Any, Self

from snnq.quantization.rules import FULL, REST
from snnq.training.record import refuse_start
from snnq.training.run import Run

AXES = {"levels": "levels", "channels": "channels", "seed": "seeds", "order": "orders"}
FROM_FULL = "full"  # as `start`, before there was `pretraining`


@dataclass(frozen=True)
class Grid:
    """Runs by name, and by name those of the pretraining that they start from."""

    runs: dict[str, Run]
    pretraining: dict[str, Run]

    def __or__(self, other: Self) -> Self:
        return Grid(self.runs | other.runs, self.pretraining | other.pretraining)


def runs_of(benchmark: str, own: Mapping, profile: Mapping, folder: Path) -> Grid:
    """A benchmark's runs, one for each combination of what the lists of a profile hold.

    Parameters
    ----------
    benchmark : str
        Unless the settings have one.
    own : mapping
        Lists and parts of the benchmark, which come before the profile's.
    profile : mapping
        See `snnq.study.sections.checked`.
    folder : Path
        The study's.

    Raises
    ------
    ValueError
        Settings that `Run` refuses, or with which a run cannot start from the pretraining.
    """
    grid = Grid({}, {})
    for point in _points(own, profile):
        settings = _settings(own, profile, "full" if point["levels"] == FULL else "quantized")
        settings = {"benchmark": benchmark} | settings | point
        if settings.get("start") == FROM_FULL:
            raise ValueError(
                "start='full': expected a folder or none; the settings of full-precision runs to start"
                " from are a part of their own, as in `pretraining: {epochs: 3}`"
            )
        run = Run.of(settings)
        if "start" not in settings and ("pretraining" in own or "pretraining" in profile):
            first = _pretrained(run, _settings(own, profile, "pretraining"))
            run = replace(run, start=str(folder / "runs" / first.name))
            refuse_start(run, first)
            grid.pretraining[first.name] = first
        grid.runs[run.name] = run
    return grid


def _points(own: Mapping, profile: Mapping) -> Iterator[dict[str, Any]]:
    """Settings for each combination of what the lists hold, of seeds those for the width."""
    lists = {setting: own.get(axis, profile.get(axis)) for setting, axis in AXES.items()}
    lists = {setting: values for setting, values in lists.items() if values}
    seeds = lists["seed"] if isinstance(lists["seed"], Mapping) else {REST: lists["seed"]}
    lists["seed"] = list(dict.fromkeys(chain.from_iterable(seeds.values())))
    for values in product(*lists.values()):
        point = dict(zip(lists, values))
        if point["seed"] in _of_width(seeds, point.get("channels")):
            yield point


def _of_width(seeds: Mapping[int | str, list], channels: int | None) -> list:
    if channels not in seeds and REST not in seeds:
        raise ValueError(
            f"seeds={dict(seeds)!r}: expected some for channels={channels}, or under {REST!r}"
        )
    return seeds.get(channels, seeds.get(REST, []))


def _settings(own: Mapping, profile: Mapping, kind: str) -> dict[str, Any]:
    """Those of a kind of runs: the benchmark's own come before the profile's."""
    settings: dict[str, Any] = {}
    for given in (profile, own):
        settings |= given.get("settings", {}) | given.get(kind, {})
    return settings


def _pretrained(run: Run, settings: dict[str, Any]) -> Run:
    """The full-precision run of a run's benchmark, width and seed; its order is the first."""
    shared = {name: getattr(run, name) for name in ("benchmark", "channels", "seed")}
    return Run.of(settings | shared | {"levels": FULL, "order": 0})
