"""A colour and a marker for each level set, the same in every figure."""

from collections.abc import Iterable

import seaborn as sns

from snnq.quantization.rules import FULL
from snnq.study.tables import number_of_levels

LEVEL_SETS = {
    FULL: ("0.35", "s"),
    "4bit": ("#d55e00", "P"),
    "3bit": ("#cc78bc", "v"),
    "pm4": ("#ca9161", "X"),
    "pm2": ("#56b4e9", "*"),
    "2bit": ("#029e73", "^"),
    "ternary": ("#de8f05", "o"),
    "binary": ("#0173b2", "D"),
}
OTHERS = sns.color_palette("dark")  # of level sets without a name


def looks(level_sets: Iterable) -> dict[str, dict]:
    """Colour, marker and label of each level set by its name, those of most levels first."""
    names = sorted(dict.fromkeys(map(str, level_sets)), key=number_of_levels, reverse=True)
    others = [name for name in names if name not in LEVEL_SETS]
    own = {name: (OTHERS[i % len(OTHERS)], "h") for i, name in enumerate(others)}
    found = {name: (LEVEL_SETS | own)[name] for name in names}
    return {
        name: {"color": color, "marker": marker, "label": name}
        for name, (color, marker) in found.items()
    }
