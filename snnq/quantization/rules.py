"""Levels as they are written: a name, numbers, or rules that give some layers levels of their own.

Without torch, for which the help of a command would have to wait.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

FULL = "full"  # in place of a level set: no quantizer
REST = "rest"  # in a rule: all layers that no other rule is for
PLACES = ("first", "last")

LevelSet = str | tuple[float, ...]
Rules = tuple[tuple[str, LevelSet], ...]  # what for, its levels; the first that fits a layer holds
Levels = LevelSet | Rules


def is_mixed(levels: Any) -> bool:
    """Whether levels are rules: a mapping from what to levels, or pairs of them."""
    if isinstance(levels, Mapping):
        return True
    return isinstance(levels, list | tuple) and len(levels) > 0 and all(map(_is_pair, levels))


def _is_pair(one: Any) -> bool:
    return isinstance(one, list | tuple) and len(one) == 2 and isinstance(one[0], str)


def in_order(rules: Mapping[str, Any] | Iterable[tuple[str, Any]]) -> tuple[tuple[str, Any], ...]:
    """Rules with the most specific first: names, those of inner modules before those around them;
    "first" and "last"; "<N" by N; "rest". Raises ValueError for one that is there twice."""
    given = rules.items() if isinstance(rules, Mapping) else rules
    pairs = [(str(key), of) for key, of in given]
    keys = [key for key, _ in pairs]
    if twice := [key for number, key in enumerate(keys) if key in keys[:number]]:
        raise ValueError(f"levels: {twice[0]!r} is there twice, expected once")
    return tuple(sorted(pairs, key=lambda rule: _place(rule[0])))


def _place(key: str) -> tuple:
    if key == REST:
        return (3,)
    if limit := limit_of(key):
        return 2, limit
    if key in PLACES:
        return 1, PLACES.index(key)
    return 0, -key.count("."), len(key), key


def limit_of(key: str) -> int | None:
    """N, where a rule is for layers with fewer than N weights."""
    found = re.fullmatch(r"<([1-9]\d*)", key)
    return int(found[1]) if found else None


def simplest(rules: Rules) -> Levels:
    """One way to write the same levels: a rest in full precision goes without saying, and a rest
    alone is its levels."""
    others = tuple(rule for rule in rules if rule != (REST, FULL))
    if rules and not others:
        return FULL
    return others[0][1] if len(others) == 1 and others[0][0] == REST else others


def read_levels(text: str) -> Levels:
    """What is written out in a text; any other text, a name, as it is.

    Numbers, such as "-2, -1, 0, 1.5", "[-2, -1]" or "(-2, -1)", whole ones where they are written
    as such; rules, such as "<1000=4bit,rest=binary", or as `label_of` writes them.
    """
    rules = [re.split("[=:]", one, maxsplit=1) for one in re.split(r",(?=[^,]*[=:])", text)]
    if len(rules[-1]) == 1:
        return _numbers(text)
    pairs = [rule if len(rule) == 2 else (REST, *rule) for rule in rules]
    return simplest(in_order((key.strip(), _numbers(of.strip())) for key, of in pairs))


def _numbers(text: str) -> LevelSet:
    try:
        parts = [part.strip() for part in text.strip().strip("([])").rstrip(", ").split(",")]
        return tuple(int(part) if part.lstrip("+-").isdecimal() else float(part) for part in parts)
    except ValueError:
        return text


def label_of(levels: Levels) -> str:
    """For people and tables: "ternary", "(-1, 0, 3)", or of rules "binary, <1000: 4bit", with the
    levels of the rest in front."""
    if not is_mixed(levels):
        return str(levels)
    rules = dict(levels)
    rest = rules.pop(REST, FULL)
    return ", ".join([str(rest), *(f"{key}: {of}" for key, of in rules.items())])
