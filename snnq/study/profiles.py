"""Profiles on the command line, and the study that they ask for together."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from snnq.study.profile import Study


def add_profiles(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "profiles",
        metavar="PROFILE",
        nargs="+",
        type=Path,
        help="config/*.yaml; a later one's settings come before an earlier one's",
    )


def planned(profiles: Sequence[Path], ablations: bool = False) -> "Study":
    """With `ablations`, their runs are among those of the table.

    Raises OSError, or ValueError with the profiles' names for what they cannot ask for.
    """
    from snnq.study.forecast import read_profiles
    from snnq.study.profile import plan

    profile = read_profiles(profiles)
    try:
        study = plan(profile)
        return study.with_ablations() if ablations else study
    except ValueError as error:
        raise ValueError(f"{' '.join(map(str, profiles))}: {error}") from None
