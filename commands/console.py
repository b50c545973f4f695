"""What a command writes: one JSON object or tables on standard output, all else on standard error."""

from __future__ import annotations

import json
import logging
import math
import shlex
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from rich.console import Console

Row = Mapping[str, Any]
SHOWN = 12  # rejected rows shown to a person; --json has them all


@dataclass
class Output:
    """Where one command's words go.

    Attributes:
        as_json: one JSON object on standard output in place of tables and sentences.
    """

    as_json: bool = False

    def result(self, data: Mapping[str, Any], show: Callable[[Output], None] | None = None) -> None:
        """The command's outcome: `data` as JSON, or what `show` prints for a person."""
        if self.as_json:
            sys.stdout.write(to_json(data) + "\n")
            sys.stdout.flush()
        elif show is not None:
            show(self)

    def say(self, text: str) -> None:
        """A line for a person on standard output; nothing with --json."""
        if not self.as_json:
            _stdout().print(printable(text), markup=False, highlight=False, soft_wrap=True)

    def table(self, rows: Sequence[Row], columns: Sequence[str] = (), title: str = "") -> None:
        """Rows as an aligned table on standard output; numbers to the right, NaN and None as "-"."""
        from rich.table import Table
        from rich.text import Text

        names = list(columns) or list(dict.fromkeys(key for row in rows for key in row))
        numeric = {
            name
            for name in names
            if all(isinstance(row.get(name), int | float | None) for row in rows)
        }
        head = Text(printable(title)) if title else None
        table = Table(title=head, title_justify="left", box=None, pad_edge=False)
        for name in names:
            side: Literal["right", "left"] = "right" if name in numeric else "left"
            table.add_column(Text(printable(name)), justify=side, overflow="fold")
        for row in rows:
            table.add_row(*(Text(cell(row.get(name))) for name in names))
        console = _stdout()
        if not console.is_terminal:
            # A pipe or a log has no width: keep each row on one line.
            wide = console.options.update(width=100_000)
            console.width = max(console.width, console.measure(table, options=wide).maximum)
        console.print(table)

    def note(self, text: str) -> None:
        """A line on standard error."""
        note(text)

    def progress(self, title: str) -> AbstractContextManager[Bar]:
        """A bar on standard error, seen only when the work takes over two seconds."""
        return progress_bar(title)


class Bar:
    """Called with (done, total) as work proceeds; total = 0 where it is unknown."""

    def __init__(self, title: str, show: Callable[[str, float, float], None]) -> None:
        self.title, self._show = title, show

    def __call__(self, done: float, total: float = 0.0) -> None:
        self._show(self.title, done, total)

    def stage(self, what: str, done: float, total: float = 0.0) -> None:
        """The same with the name of the stage."""
        self._show(what or self.title, done, total)


def show_rejected(out: Output, rejected: Sequence[Row]) -> None:
    """Rows of a table that could not be used, by line and reason: the first ones."""
    for row in rejected[:SHOWN]:
        out.say(f"  line {row['line']}: {row['reason']}")
    if len(rejected) > SHOWN:
        out.say(f"  ... and {len(rejected) - SHOWN:,} more; --json has all")


def command(*words: object) -> str:
    """A command to type, its words quoted where the shell needs it."""
    return shlex.join(["coldframe", *map(str, words)])


def cell(value: Any) -> str:
    """One table cell, on one line: four digits for floats, thousands apart for integers."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.4f}" if abs(value) < 100 else f"{value:,.1f}"
    return printable(" ".join(str(value).splitlines()))


def printable(text: str) -> str:
    """Control characters shown as escapes: data from files must not steer a terminal."""
    return "".join(c if c.isprintable() or c == "\n" else repr(c)[1:-1] for c in text)


def to_json(data: Any) -> str:
    """Strict JSON: NaN and infinities become null, NumPy and path values plain ones."""
    return json.dumps(plain(data), ensure_ascii=False, allow_nan=False)


def plain(value: Any) -> Any:
    """A value of dicts, lists, strings, numbers, booleans and None only."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, str | bool | int) or value is None:
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if hasattr(value, "as_dict"):
        return plain(value.as_dict())
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    if isinstance(value, list | tuple | set | frozenset) or hasattr(value, "__iter__"):
        return [plain(item) for item in value]
    return str(value)


def note(text: str) -> None:
    """A line on standard error."""
    _stderr().print(printable(text), markup=False, highlight=False, soft_wrap=True)


@contextmanager
def progress_bar(title: str, after: float = 2.0) -> Iterator[Bar]:
    """A bar on standard error that appears once the work has taken `after` seconds.

    Where standard error is no terminal, a line every ten seconds takes the bar's place.
    """
    console = _stderr()
    if not console.is_terminal:
        yield Bar(title, _line_every(10.0))
        return
    from rich.progress import Progress, TextColumn, TimeElapsedColumn

    label = TextColumn("{task.description}", markup=False)
    columns = (label, *Progress.get_default_columns()[1:], TimeElapsedColumn())
    bar = Progress(*columns, console=console, transient=True)
    task = bar.add_task(printable(title), total=None)

    def show(what: str, done: float, total: float) -> None:
        bar.update(task, description=printable(what), completed=done, total=total or None)

    # A timer, because work that never reports must show that it is alive too.
    timer = threading.Timer(after, bar.start)
    timer.daemon = True
    timer.start()
    try:
        yield Bar(title, show)
    finally:
        timer.cancel()
        bar.stop()


def _line_every(seconds: float) -> Callable[[str, float, float], None]:
    start = last = time.monotonic()

    def show(what: str, done: float, total: float) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last > seconds:
            last = now
            share = f"{done / total:.0%}" if total else f"{done:,.0f}"
            note(f"{what}: {share} ({now - start:.0f} s)")

    return show


class _Formatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return printable(super().format(record))


def set_up_logging(verbose: bool) -> None:
    """The library's log on standard error: warnings, and with --debug everything."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Formatter("%(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(handlers=[handler], level=logging.WARNING)
    logging.getLogger("coldframe").setLevel(logging.DEBUG if verbose else logging.WARNING)


def _stdout() -> Console:
    from rich.console import Console

    return Console(file=sys.stdout, emoji=False)  # or :book: in an IRI becomes a picture


def _stderr() -> Console:
    from rich.console import Console

    return Console(file=sys.stderr, emoji=False)
