import subprocess
import sys

from conftest import PROJECT

HELP = """
import pathlib, runpy, sys
for path in sorted(pathlib.Path("bench").glob("*.py")):
    if "__main__" in path.read_text():
        sys.argv = [str(path), "--help"]
        try:
            runpy.run_path(str(path), run_name="__main__")
        except SystemExit as stopped:
            print(path.name, stopped.code, file=sys.stderr)
        else:
            print(path.name, "ran", file=sys.stderr)
"""


def test_every_bench_has_a_help_and_does_nothing_else():
    command = [sys.executable, "-W", "ignore", "-c", HELP]
    environment = {"PYTHONPATH": f"{PROJECT}:{PROJECT / 'bench'}", "PATH": ""}
    done = subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True)
    said = [line for line in done.stderr.splitlines() if line.split(" ")[0].endswith(".py")]
    benches = [path for path in (PROJECT / "bench").glob("*.py") if "__main__" in path.read_text()]
    assert said == [f"{path.name} 0" for path in sorted(benches)], done.stderr
    assert done.stdout.count("usage:") == len(benches)
