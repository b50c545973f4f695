"""SIGINT and SIGTERM: leave within two seconds, whatever the process is doing."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType

GRACE = 1.5  # seconds for an orderly way out before the process ends at once

# Both ends of the wake-up socket: they close when nobody holds them.
_ends: list[socket.socket] = []


class Interrupted(BaseException):
    """A signal asked the command to stop; not an Exception, so that no library swallows it."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.exit_code = 128 + number


def install(farewell: Callable[[], str]) -> None:
    """Turn both signals into `Interrupted`, and end the process if that takes longer than GRACE.

    Python runs a handler between two bytecodes only, so a long call into C would hold it up; the
    interpreter's wake-up socket tells a second thread at once. Ending there is safe: artefacts are
    written under temporary names and renamed.

    Args:
        farewell: makes the line that tells how to go on, printed when the end is abrupt.
    """
    reader, writer = socket.socketpair()
    writer.setblocking(False)
    _ends.extend((reader, writer))
    signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _raise)
    threading.Thread(target=_watch, args=(reader, farewell), daemon=True).start()
    os.register_at_fork(after_in_child=_forget)


def _raise(number: int, frame: FrameType | None) -> None:
    for other in (signal.SIGINT, signal.SIGTERM):
        signal.signal(other, _ignore)
    if not _importing(frame):
        raise Interrupted(number)


def _importing(frame: FrameType | None) -> bool:
    """Whether a module is being loaded: an exception thrown into an extension's C++ start aborts.

    There is nothing to tidy up yet; the watching thread ends the process.
    """
    while frame is not None:
        if frame.f_code.co_filename == "<frozen importlib._bootstrap>":
            return True
        frame = frame.f_back
    return False


def _ignore(_number: int, _frame: FrameType | None) -> None:
    """A second signal must not cut the way out short; the watching thread sees to the end."""


def _watch(reader: socket.socket, farewell: Callable[[], str]) -> None:
    number = 0
    while number not in (signal.SIGINT, signal.SIGTERM):
        number = reader.recv(1)[0]
    time.sleep(GRACE)
    stop_children()
    sys.stderr.write(farewell() + "\n")
    sys.stderr.flush()
    os._exit(128 + number)


def stop_children() -> None:
    """Kill the worker processes this one has started."""
    import multiprocessing

    for child in multiprocessing.active_children():
        child.kill()


def _forget() -> None:
    """In a forked worker: the parent decides, and the parent's socket is not the worker's."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
