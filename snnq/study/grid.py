"""The runs at every point of a profile's lists, and the ones that they start from."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any, Self

from snnq.quantization.rules import FULL, REST
from snnq.training.record import refuse_start
from snnq.training.run import Run

AXES = {"levels": "levels", "channels": "channels", "seed": "seeds", "order": "orders"}
OF_RUNS = ("settings", "full", "quantized")  # parts of a profile
FROM_FULL = "full"  # as `start`, before there was `pretraining`


@dataclass(frozen=True)
class Grid:
    """Runs by name, and by name those of the pretraining that they start from."""

    runs: dict[str, Run]
    pretraining: dict[str, Run]

    def __or__(self, other: Self) -> Self:
        return Grid(self.runs | other.runs, self.pretraining | other.pretraining)


def runs_of(
    benchmark: str, own: Mapping, profile: Mapping, folder: Path, change: Mapping | None = None
) -> Grid:
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
    change : mapping, optional
        Parts of an ablation's change, which are in `own` too. Their level set, width, seed and order
        come before the lists: or nothing would be changed.

    Raises
    ------
    ValueError
        Settings that `Run` refuses, or with which a run cannot start from the pretraining.
    """
    grid = Grid({}, {})
    for settings in _points(benchmark, own, profile, change or {}):
        run = Run.of(settings)
        if "start" not in settings and ("pretraining" in own or "pretraining" in profile):
            first = _pretrained(run, _settings(own, profile, "pretraining"))
            run = replace(run, start=str(folder / "runs" / first.name))
            refuse_start(run, first)
            grid.pretraining[first.name] = first
        grid.runs[run.name] = run
    return grid


def refuse_both(benchmark: str, own: Mapping, profile: Mapping) -> None:
    """Raise ValueError where a setting of a benchmark's runs is in a list and in a part as well."""
    for place, given in (("", profile), (f"benchmarks: {benchmark}: ", own)):
        for part, (setting, axis) in product(OF_RUNS, AXES.items()):
            values = own.get(axis, profile.get(axis))
            if values and setting in given.get(part, {}):
                raise ValueError(
                    f"{place}{part}: {setting}={given[part][setting]!r}: expected none beside the list"
                    f" {axis}={values!r}"
                )


def refuse_other_widths(place: str, seeds: Any, runs: Iterable[Run]) -> None:
    """Raise ValueError for seeds of a width that none of the runs has."""
    widths = sorted({run.channels for run in runs})
    for width in seeds if isinstance(seeds, Mapping) else ():
        if width not in (*widths, REST):
            raise ValueError(
                f"{place}seeds: {width}: no run has so many channels; expected"
                f" {', '.join(map(str, widths))} or {REST!r}"
            )


def _points(
    benchmark: str, own: Mapping, profile: Mapping, change: Mapping
) -> Iterator[dict[str, Any]]:
    """Settings for each combination of what the lists hold, of seeds those for the width."""
    for point in _choices("levels", own, profile, change.get("settings", {})):
        kind = "full" if point["levels"] == FULL else "quantized"
        changed = change.get("settings", {}) | change.get(kind, {})
        point |= {"levels": changed.get("levels", point["levels"])}
        settings = {"benchmark": benchmark} | _settings(own, profile, kind) | point
        if settings.get("start") == FROM_FULL:
            raise ValueError(
                "start='full': expected a folder or none; the settings of full-precision runs to start"
                " from are a part of their own, as in `pretraining: {epochs: 3}`"
            )
        orders = _choices("order", own, profile, changed)
        for width in _choices("channels", own, profile, changed):
            channels = Run.of(settings | width).channels  # in the end, by whatever says so
            of_width = {"seeds": _of_width(own.get("seeds", profile["seeds"]), channels)}
            for seed, order in product(_choices("seed", of_width, {}, changed), orders):
                yield settings | width | seed | order


def _choices(setting: str, own: Mapping, profile: Mapping, changed: Mapping) -> list[dict[str, Any]]:
    """A change's own value, else each in the list; without one nothing beside the other settings."""
    if setting in changed:
        return [{setting: changed[setting]}]
    values = own.get(AXES[setting], profile.get(AXES[setting]))
    return [{setting: value} for value in values] if values else [{}]


def _of_width(seeds: list | Mapping[int | str, list], channels: int) -> list:
    if not isinstance(seeds, Mapping):
        return seeds
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
