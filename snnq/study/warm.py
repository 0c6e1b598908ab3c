"""Start a module as `python -m` does, in a process that has imported everything already.

    python -m snnq.study.warm papermill notebooks/3_train.ipynb out.ipynb

The fork server of the study that is carried out in this folder forks that process; where there is
none, as on a cluster, it is this one. It gets this one's arguments, environment, files and signals,
and ends when this one does.
"""

import ctypes
import json
import os
import signal
import socket
import sys

PLACE = ".study.socket"  # where the server listens, beside the study's lock
DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG in Linux's prctl.h
FILES = (0, 1, 2)


def main(argv: list[str]) -> int:
    """Returns the module's exit code; 1 where it was lost."""
    request = {"argv": argv, "folder": os.getcwd(), "environment": dict(os.environ)}
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as server:
        try:
            server.connect(PLACE)
            socket.send_fds(server, [json.dumps(request).encode()], FILES)
        except OSError:
            os.execv(sys.executable, [sys.executable, "-m", *argv])
        die_with_parent()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda number, _: server.send(bytes([number])))
        code = server.recv(1)
    return code[0] if code else 1


def die_with_parent() -> None:
    """Have the kernel kill this process when its parent ends."""
    ctypes.CDLL(None).prctl(DIE_WITH_PARENT, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
