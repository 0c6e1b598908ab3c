"""What stops a run half-way: Ctrl-C, a cluster's signal, too little memory."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch

SIGNALS = (signal.SIGINT, signal.SIGTERM)
OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "not enough memory")


class Stopped(KeyboardInterrupt):
    """Stopped as somebody wished, with everything saved; the message says how to go on.

    In a notebook it is this one line, since there is nothing in a traceback to look for.
    """

    def _render_traceback_(self) -> list[str]:  # which IPython asks for
        return [f"Stopped by {self}"]


class Interruption:
    """Whether somebody asked the process to stop: `asked` is the signal's name, or None."""

    def __init__(self):
        self.asked: str | None = None

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Take Ctrl-C and SIGTERM as a wish to stop at the next good moment; a second one stops
        at once. Only a main thread hears of signals; in others nothing changes."""

        def ask(number: int, _) -> None:
            self.asked = signal.Signals(number).name
            restore()

        with handling(ask) as restore:
            yield


@contextmanager
def handling(handler: Callable[[int, Any], None]) -> Iterator[Callable[[], None]]:
    """Have Ctrl-C and SIGTERM call a handler; yields a function that puts the ones before back.

    Also where a shell had the process ignore the first. Only a main thread may set handlers; in
    others nothing changes.
    """
    main = threading.current_thread() is threading.main_thread()
    before = {number: signal.getsignal(number) for number in SIGNALS} if main else {}

    def restore() -> None:
        for number, earlier in before.items():
            signal.signal(number, earlier)

    for number in before:
        signal.signal(number, handler)
    try:
        yield restore
    finally:
        restore()


@contextmanager
def memory_advice(settings: str) -> Iterator[None]:
    """Turn a lack of memory into an error that says which settings to lower.

    Raises
    ------
    MemoryError
        In place of torch's own errors.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        lacking = isinstance(error, (MemoryError, torch.OutOfMemoryError))
        if not lacking and not any(words in str(error).lower() for words in OUT_OF_MEMORY):
            raise
        raise MemoryError(
            f"out of memory with {settings}: lower the first that you can spare"
        ) from error
