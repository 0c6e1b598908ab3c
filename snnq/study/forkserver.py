"""A process that has imported what a study's jobs need, and forks for each of them.

Kernels, torch and the figures take seconds to import, as long as several epochs of a short run. A
job that is forked has them at once, and is a process of its own all the same: no job sees anything
of another. Nothing is computed here, so that there is no thread that forking would lose.
"""

import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TextIO

import torch

from snnq.study.warm import FILES, PLACE, die_with_parent

IMPORTED = (
    "ipykernel.kernelapp",
    "ipywidgets",
    "jinja2",  # for pandas' styles
    "papermill.cli",
    "torch._dynamo",  # which the first optimizer imports
    "snnq.deployment.speed",
    "snnq.figures.catalogue",
    "snnq.study.report",
    "snnq.training.loop",
)
KERNELS = Path("config/jupyter")  # where Jupyter's kernel is one that is forked
READ_WHEN_IMPORTED = {
    "JPY_PARENT_PID": "1",  # that somebody looks after a kernel
    "MPLBACKEND": "module://matplotlib_inline.backend_inline",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
}
LARGEST_REQUEST = 2**18  # bytes
WAITING = 128  # requests, while it imports


@contextmanager
def forking(log: TextIO) -> Iterator[int]:
    """A fork server in a process of its own.

    Yields the writing end of a pipe: the server stays for as long as a process holds it.
    """
    until, held = os.pipe()
    with subprocess.Popen(
        [sys.executable, "-m", "snnq.study.forkserver", str(until)],
        stdout=log,
        stderr=log,
        start_new_session=True,
        pass_fds=[until],
        env=os.environ | READ_WHEN_IMPORTED,
    ) as server:
        os.close(until)
        try:
            yield held
        finally:
            os.close(held)
            server.terminate()
    Path(PLACE).unlink(missing_ok=True)


def with_forked_kernels(environment: Mapping[str, str]) -> dict[str, str]:
    """An environment in which Jupyter's kernels are forked."""
    places = [str(KERNELS.resolve()), *filter(None, [environment.get("JUPYTER_PATH")])]
    return {**environment, "JUPYTER_PATH": os.pathsep.join(places)}


def serve(until: int) -> dict[str, Any] | None:
    """Fork for each request, see `snnq.study.warm`.

    Parameters
    ----------
    until : int
        The reading end of a pipe: the server ends when nobody holds the other end any more.

    Returns
    -------
    dict or None
        In a process that was forked, what was asked of it; None in the server, at its end.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        Path(PLACE).unlink(missing_ok=True)  # of a server that was killed
        listener.bind(PLACE)
        listener.listen(WAITING)
        for name in IMPORTED:
            importlib.import_module(name)
        gc.freeze()  # so that collecting garbage leaves alone the memory that jobs share
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those that are forked
        while until not in select.select([listener, until], [], [])[0]:
            client, _ = listener.accept()
            with client:
                if os.fork() == 0:
                    listener.close()
                    return _supervised(client)
    return None


def _supervised(client: socket.socket) -> dict[str, Any]:
    """The request, in a job's process; that which it is forked from stands between it and the client.

    It hands on the client's signals, and the job's exit code, and ends the job with the client.
    """
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    message, files, *_ = socket.recv_fds(client, LARGEST_REQUEST, len(FILES))
    if not message:  # it could not be sent
        os._exit(0)
    job = os.fork()
    if job == 0:
        die_with_parent()
        for file, number in zip(files, FILES):
            os.dup2(file, number)
            os.close(file)
        return json.loads(message)
    ended = os.pidfd_open(job)
    while ended not in select.select([client, ended], [], [])[0]:
        number = client.recv(1)
        os.kill(job, number[0] if number else signal.SIGKILL)
    code = os.waitstatus_to_exitcode(os.waitpid(job, 0)[1])
    with suppress(OSError):  # the client is gone
        client.send(bytes([code % 256]))
    os._exit(0)


def start(argv: list[str], folder: str, environment: dict[str, str]) -> None:
    """A module in this process, as `python -m` starts it."""
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    if threads := environment.get("OMP_NUM_THREADS"):  # which Snakemake sets
        torch.set_num_threads(int(threads))
    sys.argv[1:] = argv[1:]
    runpy.run_module(argv[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    request = serve(int(sys.argv[1]))
    if request:
        start(**request)
