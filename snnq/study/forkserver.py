"""A process that has imported what a study's jobs need, and forks for each of them.

Kernels, torch and the figures take seconds to import, as long as several epochs of a short run. A
job that is forked has them at once, and is a process of its own all the same: no job sees anything
of another. Nothing is computed here, so that there is no thread that forking would lose.
"""

import gc
import importlib
import json
import multiprocessing
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

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
    "snnq.training.fit",
)
READ_WHEN_IMPORTED = {  # from the environment
    "JPY_PARENT_PID": "1",  # that somebody looks after a kernel
    "MPLBACKEND": "module://matplotlib_inline.backend_inline",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
}
KERNELS = Path("config/jupyter")  # where Jupyter's kernel is one that is forked
LARGEST_REQUEST = 2**18  # bytes
WAITING = 128  # requests, while it imports
FORK = multiprocessing.get_context("fork")


@contextmanager
def forking(log: TextIO) -> Iterator[int]:
    """A fork server in a process of its own.

    Yields the writing end of a pipe: the server stays for as long as a process holds it.
    """
    place = Path(PLACE).resolve()
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
            place.unlink(missing_ok=True)


def with_forked_kernels(environment: Mapping[str, str]) -> dict[str, str]:
    """An environment in which Jupyter's kernels are forked."""
    places = [str(KERNELS.resolve()), *filter(None, [environment.get("JUPYTER_PATH")])]
    return {**environment, "JUPYTER_PATH": os.pathsep.join(places)}


def serve(until: int) -> None:
    """Fork for each request, see `snnq.study.warm`, until nobody holds the other end of a pipe."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        Path(PLACE).unlink(missing_ok=True)  # of a server that was killed
        listener.bind(PLACE)
        listener.listen(WAITING)
        for name in IMPORTED:
            importlib.import_module(name)
        gc.freeze()  # so that collecting garbage leaves alone the memory that jobs share
        while until not in select.select([listener, until], [], [])[0]:
            client, _ = listener.accept()
            with client:
                FORK.Process(target=_supervise, args=(listener, client)).start()


def _supervise(listener: socket.socket, client: socket.socket) -> None:
    """A job of a client: hands on the client's signals and the job's exit code, and ends the job
    where the client has ended."""
    listener.close()
    message, files, *_ = socket.recv_fds(client, LARGEST_REQUEST, len(FILES))
    if not message:  # it could not be sent
        return
    job = FORK.Process(target=_start, args=(files,), kwargs=json.loads(message))
    job.start()
    while job.sentinel not in select.select([client, job.sentinel], [], [])[0]:
        number = client.recv(1)
        os.kill(job.pid, number[0] if number else signal.SIGKILL)
    job.join()
    with suppress(OSError):  # the client is gone
        client.send(bytes([job.exitcode % 256]))


def _start(files: Sequence[int], argv: list[str], folder: str, environment: dict[str, str]) -> None:
    """A module in this process, as `python -m` starts it."""
    die_with_parent()
    for file, number in zip(files, FILES):
        os.dup2(file, number)
        os.close(file)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    if threads := environment.get("OMP_NUM_THREADS"):  # which Snakemake sets
        torch.set_num_threads(int(threads))
    sys.argv[1:] = argv[1:]
    runpy.run_module(argv[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    serve(int(sys.argv[1]))
