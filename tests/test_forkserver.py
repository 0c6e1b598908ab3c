"""Jobs that are forked from a process with all imports are as those that `python -m` starts."""

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import ExitStack, chdir
from pathlib import Path
from textwrap import dedent

import nbformat
import pytest
from conftest import PROJECT

import snnq
from snnq.study.forkserver import forking, with_forked_kernels
from snnq.study.warm import PLACE

pytestmark = pytest.mark.xdist_group("forkserver")  # which share one
SETTINGS = os.environ | {"MARK": "some words", "OMP_NUM_THREADS": "2", "PYTHONPATH": str(PROJECT)}
MODULES = {
    "shows": """
        import os, sys
        there = "torch" in sys.modules
        import torch
        print(sys.argv[1:], os.environ["MARK"], os.getcwd(), __name__, torch.get_num_threads())
        print(there, file=sys.stderr)
        """,
    "waits": """
        import os, pathlib, sys, time
        pathlib.Path("waiting").write_text(str(os.getpid()))
        try:
            time.sleep(60)
        except KeyboardInterrupt:
            print("interrupted")
            sys.exit(7)
        """,
    "fails": "raise ValueError('seven')",
    "changes": "import json; print(getattr(json, 'mark', 'new')); json.mark = 'old'",
    "asked": "import torch; torch.cuda._lazy_init('here'); print(torch.cuda.asked)",
}
# Of the server's process, before all else: has no Triton, as most machines without a GPU, and notes who asks
# torch whether there is one.
SITE = """
    import sys
    sys.modules["triton"] = None
    import torch
    torch.cuda.asked = []
    for name in ("is_available", "device_count", "init", "_lazy_init", "current_device"):
        setattr(torch.cuda, name, lambda who=name: torch.cuda.asked.append(who))
    """


def write_modules(folder: Path) -> Path:
    for name, code in MODULES.items():
        (folder / f"{name}.py").write_text(dedent(code))
    return folder


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder in which a fork server listens, and some modules are."""
    folder, site = write_modules(tmp_path_factory.mktemp("forking")), tmp_path_factory.mktemp("site")
    (site / "sitecustomize.py").write_text(dedent(SITE))
    with (folder / "log").open("w") as log, ExitStack() as stack:
        with chdir(folder), pytest.MonkeyPatch.context() as patched:
            patched.setenv("PYTHONPATH", f"{site}:{PROJECT}")
            stack.enter_context(forking(log))
        wait_for(lambda: (folder / PLACE).exists())
        yield folder
    assert not (folder / PLACE).exists()
    assert (folder / "log").read_text() == ""


def wait_for(condition, seconds=30.0):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)


def start(folder, *argv):
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    command = [sys.executable, "-m", "snnq.study.warm", *argv]
    return subprocess.Popen(command, cwd=folder, env=SETTINGS, text=True, **pipes)


def run(folder, *argv):
    """Exit code, output and errors."""
    process = start(folder, *argv)
    output, errors = process.communicate(timeout=60)
    return process.returncode, output, errors


@pytest.fixture
def waiting(place):
    """A job that waits, and its process: (client, id)."""
    client = start(place, "waits")
    wait_for(lambda: (place / "waiting").exists() and (place / "waiting").read_text())
    yield client, int((place / "waiting").read_text())
    client.communicate()
    (place / "waiting").unlink()


def is_there(process: int) -> bool:
    return Path(f"/proc/{process}").exists()


def test_a_job_is_as_python_would_start_it(place, tmp_path):
    found = run(place, "shows", "a b", "--c")
    assert found == (0, f"['a b', '--c'] some words {place} __main__ 2\n", "True\n")
    alone = run(write_modules(tmp_path), "shows", "a b", "--c")  # where there is no server
    assert alone == (0, f"['a b', '--c'] some words {tmp_path} __main__ 2\n", "False\n")


def test_a_server_that_was_killed_is_none(tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener, chdir(tmp_path):
        listener.bind(PLACE)
    assert run(write_modules(tmp_path), "changes")[:2] == (0, "new\n")


def test_a_job_that_fails_says_why_and_fails_its_client(place):
    code, _, errors = run(place, "fails")
    assert code == 1 and errors.splitlines()[-1] == "ValueError: seven"


def test_no_job_sees_anything_of_another(place):
    assert [run(place, "changes")[:2] for _ in range(2)] == [(0, "new\n")] * 2


def test_a_job_gets_its_clients_signals(waiting):
    client, process = waiting
    client.send_signal(signal.SIGINT)
    output, _ = client.communicate(timeout=60)
    assert (client.returncode, output) == (7, "interrupted\n") and not is_there(process)


def test_a_job_ends_with_its_client(waiting):
    client, process = waiting
    client.kill()
    wait_for(lambda: not is_there(process))


def test_a_killed_job_fails_its_client(waiting):
    client, process = waiting
    os.kill(process, signal.SIGKILL)
    client.communicate(timeout=60)
    assert client.returncode == 256 - signal.SIGKILL


@pytest.fixture
def papermill(place, monkeypatch):
    """A function that executes a notebook in a kernel that is forked, and returns the cells' outputs."""
    with chdir(PROJECT):
        monkeypatch.setitem(SETTINGS, "JUPYTER_PATH", with_forked_kernels({})["JUPYTER_PATH"])

    def executed(notebook, **parameters) -> list[list]:
        given = [word for pair in parameters.items() for word in ("-p", *map(str, pair))]
        words = ["papermill", "--no-progress-bar", str(notebook), "out.ipynb", *given]
        code, _, errors = run(place, *words)
        assert code == 0, errors
        cells = nbformat.read(place / "out.ipynb", 4).cells
        return [cell.outputs for cell in cells if cell.cell_type == "code"]

    return executed


def test_a_notebooks_kernel_is_forked_and_shows_figures(place, papermill):
    cells = [
        "import os, sys\nprint('torch' in sys.modules, 'JPY_PARENT_PID' in os.environ)",
        "import matplotlib.pyplot as plt\nplt.plot([1, 2]);",
    ]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3"}
    nbformat.write(notebook, place / "in.ipynb")
    text, figure = papermill("in.ipynb")
    assert text[0].text == "True True\n"
    assert [list(output.data) for output in figure] == [["image/png", "text/plain"]]


def test_notebook_3_trains_in_a_kernel_and_leaves_a_record(place, papermill, recordings):
    settings = {"levels": "2bit", "epochs": 1, "channels": 2, "steps": 2, "folder": "mine"}
    shown = papermill(PROJECT / "notebooks/3_train.ipynb", data=recordings, **settings)
    record = snnq.read_record(place / "mine")
    assert record["run"]["levels"] == "2bit"
    assert record["run"]["epochs"] == len(snnq.read_history(place / "mine")) == 1
    outputs = [output for cell in shown for output in cell]
    assert sum("image/png" in output.get("data", ()) for output in outputs) == 4
    # No training bar stays: nobody was there to watch it.
    said = [output["text"] for output in outputs if output.get("name") == "stderr"]
    assert said == []
    assert "widget" not in str(outputs) and len(outputs[-1]["data"]["text/plain"].splitlines()) < 15


def test_importing_touches_no_gpu(place):
    """A process that has been at one cannot be forked: its jobs would have none."""
    assert run(place, "asked")[:2] == (0, "['here']\n")


def test_the_server_ends_when_nobody_holds_it(tmp_path):
    until, held = os.pipe()
    code = f"from snnq.study import forkserver as f; f.IMPORTED = (); f.serve({until})"
    server = subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path, pass_fds=[until])
    wait_for((tmp_path / PLACE).exists)
    assert server.poll() is None
    os.close(held)
    assert server.wait(timeout=60) == 0
    os.close(until)
