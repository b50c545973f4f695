"""The SPARQL store of a catalog folder, which costs nothing before it is asked.

store/                 the engine's files (Oxigraph)
store/filled.json      how many of the catalog's own statements were filled in; missing = not yet
store/pending/*.trig   named graphs that were added since the engine was last open, in order

The default graph holds all statements of the catalog, also those of named graphs, which `GRAPH` finds by
name; the rounds stand in their named graphs alone.

Filling takes far longer than all the rest of an ingest, and a round of answers is written in a tenth of
the time that the engine needs to open. So both wait for the first question. Nothing is lost to a kill on
the way: what was taken in twice is there once, as graphs are sets.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, cast

import pyarrow as pa
import pyoxigraph as ox

from .claims import claims
from .errors import IntegrityError
from .files import FolderLock, StrPath, atomic_write, naming, read_json, write_json
from .query_limits import SECONDS, select_within
from .store import (
    OxigraphStore,
    Statements,
    check_query,
    graph_name,
    open_engine,
    parsing,
    placed,
)

Advance = Callable[[float, float], None]
FILLED = "filled.json"
PENDING = "pending"
ROUNDS = "urn:coldframe:run:"  # how the names of the rounds' graphs start


class CatalogStore(OxigraphStore):
    """An `OxigraphStore` that opens its engine at the first question.

    Args:
        folder: the catalog's `store/`.
        write_facts: writes the catalog's own statements as N-Quads to the path it is given; None
            leaves the store unfilled, for who only asks after the rounds.
        progress: called with (done, total) bytes while the store is filled.

    Raises:
        LockedError: as `OxigraphStore`, when it is made.
        IntegrityError: the store is damaged; at the first question.
    """

    def __init__(
        self,
        folder: StrPath,
        write_facts: Callable[[Path], object] | None,
        progress: Advance | None = None,
    ) -> None:
        self._write_facts = write_facts
        self._progress = progress
        super().__init__(folder)

    @property
    def _store(self) -> ox.Store:
        if self._open is None and self._lock.held:
            self._open = self._caught_up()
        return super()._store

    def _start(self) -> None:
        """The engine waits for the first question."""

    def add(self, statements: Statements, graph: str | None = None) -> None:
        """Add in one step: to the engine where it is open, else to the log that it takes in later."""
        if self._open is not None or not self._lock.held:
            super().add(statements, graph)
            return
        waiting = pending(self.folder)
        number = int(waiting[-1].stem) + 1 if waiting else 1
        text = _trig(statements, graph)
        atomic_write(self.folder / PENDING / f"{number:06d}.trig", text)

    def select_within(self, sparql: str, seconds: float = SECONDS) -> pa.Table:
        """`select` under a hard limit of time, in a child process; filling the store does not count.

        Raises:
            ResourceError: no whole answer in time.
        """
        check_query(sparql)
        if self._store is not None:  # filled and caught up
            self.rest()  # our lock holds; the child takes the engine's own
        return select_within(self.folder, sparql, seconds)

    def rest(self) -> None:
        """Close the engine and keep the lock; the next question opens it again."""
        self._open = None

    def _caught_up(self) -> ox.Store:
        engine = open_engine(self.folder)
        if self._write_facts is not None and filled(self.folder) is None:
            self._fill(engine, self._write_facts)
        waiting = pending(self.folder)
        for path in waiting:
            with parsing(path):
                engine.extend(ox.parse(path=str(path), format=ox.RdfFormat.TRIG))
        if waiting:
            self._flush()
            with naming(self.folder, "write"):
                for path in waiting:
                    path.unlink()
        return engine

    def _fill(self, engine: ox.Store, write_facts: Callable[[Path], object]) -> None:
        """Take the catalog's statements in. Killed on the way, the next question starts again."""
        path = self.folder / "facts.nq"
        try:
            write_facts(path)
            with naming(path, "read"), path.open("rb") as source, parsing(path):
                told = source if self._progress is None else _Told(source, path, self._progress)
                reader = cast("IO[bytes]", told)
                # Lenient: it is our own text, and rare IRIs that we take are no strict ones.
                engine.bulk_load(reader, ox.RdfFormat.N_QUADS, lenient=True)
        finally:
            path.unlink(missing_ok=True)
        _join_graphs(engine)
        engine.flush()
        write_json(self.folder / FILLED, {"statements": count_facts(engine)})


class _Told:
    """A file that says how much of it was read."""

    def __init__(self, source: IO[bytes], path: Path, progress: Advance) -> None:
        self._source, self._progress = source, progress
        self._total = path.stat().st_size

    def read(self, size: int = -1) -> bytes:
        self._progress(self._source.tell(), self._total)
        return self._source.read(size)


def _join_graphs(engine: ox.Store) -> None:
    """Every statement of the catalog into the default graph too: queries see all that the graph was
    built from, and each statement once."""
    named = [each for each in engine.named_graphs() if not str(each.value).startswith(ROUNDS)]
    for graph in named:
        statements = engine.quads_for_pattern(None, None, None, graph)
        engine.bulk_extend(ox.Quad(q.subject, q.predicate, q.object) for q in statements)


def filled(folder: Path) -> int | None:
    """How many statements the store of this folder was filled with; None = not yet.

    Raises:
        IntegrityError: the note of it is damaged.
    """
    path = folder / FILLED
    if not path.exists():
        return None
    found: Any = read_json(path)
    if not isinstance(found, dict) or not isinstance(found.get("statements"), int):
        raise IntegrityError("this says not how many statements the store holds", where=str(path))
    return int(found["statements"])


def pending(folder: Path) -> list[Path]:
    """Files of graphs that the engine has not taken in yet, in order."""
    return sorted((folder / PENDING).glob("[0-9]*.trig"))


def check_store(folder: Path) -> None:
    """Read through what a store holds and what waits for it; does not fill it.

    Raises:
        IntegrityError: it is damaged, or has lost statements of the catalog.
        ParseError: a graph that waits is damaged.
        LockedError: it is in use.
    """
    with FolderLock(folder, purpose="verify"):
        claims(folder)
        for path in pending(folder):
            with parsing(path):
                deque(ox.parse(path=str(path), format=ox.RdfFormat.TRIG), maxlen=0)
        wanted = filled(folder)
        if wanted is not None and (held := count_facts(open_engine(folder))) < wanted:
            raise IntegrityError(
                f"the store holds {held} of the {wanted} statements that it was filled with",
                where=str(folder),
            )


def count_facts(engine: ox.Store) -> int:
    """How many statements lie outside the graphs of rounds."""
    rounds = sum(
        1
        for graph in engine.named_graphs()
        if str(graph.value).startswith(ROUNDS)
        for _ in engine.quads_for_pattern(None, None, None, graph)
    )
    return len(engine) - rounds


def _trig(statements: Statements, graph: str | None) -> bytes:
    """Statements as TriG, which takes N-Triples between a graph's braces as they are."""
    name = graph_name(graph)
    if isinstance(statements, bytes):
        with parsing("statements"):  # what is wrong must not wait for the next question
            deque(ox.parse(statements, ox.RdfFormat.N_TRIPLES), maxlen=0)
        return b"%s{\n%s\n}\n" % (b"" if graph is None else str(name).encode(), statements)
    quads = [placed(each, graph, name) for each in statements]
    return ox.serialize(quads, format=ox.RdfFormat.TRIG) or b""
