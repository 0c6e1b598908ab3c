"""A benchmark's folder of simulated recordings: whole or not there, by one process at a time."""

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from filelock import AcquireReturnProxy, FileLock, Timeout

from snnq.recordings.benchmark import Benchmark
from snnq.recordings.benchmarks import SOURCE_FILE
from snnq.system.files import files_below


class Folder:
    """Where a benchmark's recordings lie under a data folder, and what is to lie there.

    Parameters
    ----------
    benchmark : Benchmark
    root : path
        The data folder.
    made : dict
        How the recordings are made, for `SOURCE.json`; "recordings" is how many there are.

    Raises
    ------
    FileExistsError
        It holds recordings that were not simulated; nothing is touched.
    """

    def __init__(self, benchmark: Benchmark, root: str | Path, made: dict):
        self.final, self.suffixes = benchmark.folder(root), benchmark.suffixes
        self.place = self.final.resolve()  # a link stays one
        self.made = json.loads(json.dumps(made))  # as the file gives it back
        self._refuse_real()

    def filled(self, fill: Callable[[Path], None]) -> Path:
        """The folder, as it is where it holds just these recordings; else with what `fill` writes to
        a temporary one, which takes its name once it is complete.

        A process that comes meanwhile says so, waits, and looks again.
        """
        if not self._is_made():
            with self._locked():
                self._refuse_real()
                if not self._is_made():
                    self._fill(fill)
        return self.final

    def _refuse_real(self) -> None:
        names = {path.name for path in self.final.glob("*")}
        if names and SOURCE_FILE not in names:
            raise FileExistsError(
                f"{self.final}: has no {SOURCE_FILE}, so it may be real; not replaced"
            )

    def _is_made(self) -> bool:
        source = self.final / SOURCE_FILE
        if not source.exists() or json.loads(source.read_text()) != self.made:
            return False
        return len(files_below(self.final, self.suffixes)) == self.made["recordings"]

    def _locked(self) -> AcquireReturnProxy:
        """Held until its `with` ends. Beside the folder, which is replaced."""
        self.place.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self._beside("lock"))
        try:
            return lock.acquire(timeout=0)
        except Timeout:
            waiting = "waiting for another process, which simulates recordings there"
            print(f"{self.final}: {waiting}", file=sys.stderr, flush=True)
            return lock.acquire()

    def _fill(self, fill: Callable[[Path], None]) -> None:
        partial, old = self._beside("partial"), self._beside("old")
        for left in (partial, old):  # by a process that was killed
            shutil.rmtree(left, ignore_errors=True)
        partial.mkdir()
        try:
            fill(partial)
            (partial / SOURCE_FILE).write_text(json.dumps(self.made, indent=2) + "\n")
            if self.place.exists():
                self.place.rename(old)  # at once: what is half removed would look real to others
            partial.rename(self.place)
        finally:
            for left in (partial, old):
                shutil.rmtree(left, ignore_errors=True)

    def _beside(self, what: str) -> Path:
        return self.place.with_name(f".{self.place.name}.{what}")
