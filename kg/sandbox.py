"""Parsing in a child process, for syntaxes whose parser hostile input can crash or blow up.

The child has limits on memory, CPU and wall time, can write no file, and sends N-Quads text back. If it
dies, the parent raises one error and goes on.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import IO

from . import guarded
from .guarded import Limits, RefusedError, Stream

_CHUNK = 1 << 16
_PIECE = 4 << 20
_TICK = 0.1


def nquads(
    stream: Stream, syntax: str, limits: Limits, base_iri: str | None = None
) -> Iterator[bytes]:
    """As `guarded.nquads`, in a child process; pieces are not cut at line ends.

    Raises:
        RefusedError: the text breaks its syntax or a limit, or the parser died of it.
    """
    child = _Child(stream, guarded.order(syntax, limits, base_iri), limits)
    try:
        while piece := child.read(_PIECE):
            yield piece
        child.judge()
    finally:
        child.close()


class _Child:
    """The process, with one thread that feeds it and one that watches the clock."""

    def __init__(self, stream: Stream, order: str, limits: Limits) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-P", guarded.__file__, order],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self._limits = limits
        self._fed = 0
        self._late = False
        self._closed = threading.Event()
        self._failure: BaseException | None = None
        self._feeder = threading.Thread(target=self._feed, args=(stream,), daemon=True)
        self._clock = threading.Thread(target=self._watch, daemon=True)
        self._feeder.start()
        self._clock.start()

    def _pipe(self, name: str) -> IO[bytes]:
        pipe: IO[bytes] = getattr(self._process, name)
        return pipe

    def read(self, size: int) -> bytes:
        """The next N-Quads text, b"" when the child has closed its output."""
        return self._pipe("stdout").read(size)

    def _feed(self, stream: Stream) -> None:
        stdin = self._pipe("stdin")
        try:
            while chunk := stream.read(_CHUNK):
                stdin.write(chunk)
                self._fed += len(chunk)
        except BrokenPipeError:
            pass  # the child has ended; its own report says why
        except BaseException as error:
            # The source itself is at fault (a damaged archive, a limit): the reader gets that error.
            self._failure = error
            self._process.kill()
        with suppress(OSError):
            stdin.close()

    def _watch(self) -> None:
        start = time.monotonic()
        while not self._closed.wait(_TICK):
            if time.monotonic() - start > self._limits.seconds_for(self._fed):
                self._late = True
                self._process.kill()
                return

    def judge(self) -> None:
        """Raise what went wrong, if anything did. Called when the output has ended."""
        report = self._pipe("stderr").read()
        status = self._process.wait()
        self._feeder.join()
        if self._failure is not None:
            raise self._failure
        if self._late or status == -signal.SIGXCPU:
            raise RefusedError(
                f"parsing took longer than {self._limits.seconds_for(self._fed):.0f} seconds",
                hint="convert the file to N-Triples, or raise the limit child_seconds",
            )
        if status == guarded.REFUSED:
            raise RefusedError(**json.loads(report))
        if status != 0:
            raise self._death(status, report)

    def _death(self, status: int, report: bytes) -> RefusedError:
        if b"memory" in report.lower():
            return RefusedError(
                f"parsing needs more than {self._limits.child_memory / 2**20:.0f} MiB",
                hint="convert the file to N-Triples, or raise the limit child_memory",
            )
        name = signal.Signals(-status).name if status < 0 else f"exit status {status}"
        return RefusedError(
            f"the parser died of this input ({name})",
            hint="the file is damaged or hostile; convert it to N-Triples with another tool",
        )

    def close(self) -> None:
        """End the process and both threads, whatever state they are in."""
        self._closed.set()
        self._process.kill()
        self._process.wait()
        self._feeder.join()
        self._clock.join()
        for name in ("stdout", "stderr"):
            self._pipe(name).close()
