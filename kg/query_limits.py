"""SPARQL under a hard limit: the engine has none of its own, so a query runs in a child process."""

from __future__ import annotations

import json
import math
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pyarrow as pa

from . import query_child
from .errors import ResourceError, UsageError
from .store import csv_table

SECONDS = 60.0
MEMORY = 8 << 30  # bytes of address space
ANSWER = 1 << 30  # bytes of rows as CSV


def select_within(folder: Path, sparql: str, seconds: float = SECONDS) -> pa.Table:
    """Answer of a SELECT query to an Oxigraph folder that nobody has open; text columns.

    Raises:
        ResourceError: no whole answer within so many seconds, or not within the memory; or one longer
            than `ANSWER`.
        UsageError: not a SELECT query.
    """
    task = {"folder": str(folder), "query": sparql, "seconds": math.ceil(seconds) + 1}
    order = json.dumps({**task, "memory": MEMORY, "answer": ANSWER})
    with tempfile.TemporaryFile() as rows:  # a file, as its length can be limited
        try:
            done = subprocess.run(
                [sys.executable, "-P", query_child.__file__, order],
                stdin=subprocess.DEVNULL,
                stdout=rows,
                stderr=subprocess.PIPE,
                timeout=seconds,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise _late(seconds) from None
        _check_end(done, folder, seconds)
        rows.seek(0)
        return csv_table(rows.read(), json.loads(done.stderr)["names"])


def _check_end(done: subprocess.CompletedProcess[bytes], folder: Path, seconds: float) -> None:
    """Raise what the end of the child means, unless it is a whole answer."""
    if done.returncode == -signal.SIGXCPU:
        raise _late(seconds)
    if done.returncode == query_child.REFUSED:
        raise UsageError(json.loads(done.stderr)["refused"])
    if done.returncode == query_child.TOO_LONG:
        raise ResourceError(
            f"the answer has more than {ANSWER:,} bytes", hint="select less, or add a LIMIT"
        )
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace").strip().rpartition("\n")[2]
        if "memory" in said.lower():
            raise ResourceError(
                f"the query needs more than {MEMORY >> 30} GiB", hint="ask for less, or add a LIMIT"
            )
        status = f"{done.returncode}: {said}" if said else str(done.returncode)
        raise ResourceError(f"the query ended with status {status}", where=str(folder))


def _late(seconds: float) -> ResourceError:
    return ResourceError(
        f"the query took longer than {seconds:g} seconds",
        hint="ask for less, join on fewer variables, add a LIMIT, or allow more seconds",
    )
