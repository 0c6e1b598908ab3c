import os
import runpy
import sys
import warnings

from conftest import PROJECT, forked

BENCHES = sorted(
    path for path in (PROJECT / "bench").glob("*.py") if "__main__" in path.read_text()
)


def helps():
    os.environ["PATH"] = ""
    warnings.simplefilter("ignore")
    for path in BENCHES:
        sys.argv = [str(path), "--help"]
        try:
            runpy.run_path(str(path), run_name="__main__")
        except SystemExit as stopped:
            print(path.name, stopped.code, file=sys.stderr)
        else:
            print(path.name, "ran", file=sys.stderr)


def test_every_bench_has_a_help_and_does_nothing_else():
    done = forked(PROJECT, helps)
    said = [line for line in done.stderr.splitlines() if line.split(" ")[0].endswith(".py")]
    assert said == [f"{path.name} 0" for path in BENCHES], done.stderr
    assert done.stdout.count("usage:") == len(BENCHES)
