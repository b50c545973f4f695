"""A catalog as one RDF file, rounds included."""

from __future__ import annotations

import gzip
import re
import tempfile
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import BinaryIO, cast

import pyoxigraph as ox

from .catalog import Catalog
from .catalog_store import ROUNDS
from .errors import UsageError
from .files import StrPath, atomic_write, naming
from .store import FORMATS

_WITH_GRAPHS = (ox.RdfFormat.N_QUADS, ox.RdfFormat.TRIG)
_PREFIX = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")  # those that Turtle takes without a second look


def write_rdf(catalog: Catalog, path: StrPath) -> int:
    """Write a catalog's statements, those of tables by the schema, atomically; returns how many.

    Args:
        path: its suffix says in which format, and whether it is packed (`.gz`). N-Quads and TriG hold the
            rounds as well, each in its named graph; N-Triples and Turtle, which know no graphs, do not.

    Raises:
        UsageError: an unknown suffix.
        IntegrityError: the catalog's files are damaged. LockedError: its store is in use.
    """
    kind = _format(Path(path))
    rounds = [*_rounds(catalog)] if kind in _WITH_GRAPHS else []
    written = [len(rounds)]

    def write(out: BinaryIO) -> None:
        if kind == ox.RdfFormat.N_QUADS:
            written.append(catalog.write_nquads(out))
            ox.serialize(rounds, out, format=kind)
        else:
            written.append(_convert(catalog, rounds, out, kind))

    def packed(out: BinaryIO) -> None:
        with gzip.GzipFile(filename="", mode="wb", fileobj=out, mtime=0) as inner:
            write(cast("BinaryIO", inner))

    atomic_write(path, packed if Path(path).suffix.lower() == ".gz" else write)
    return sum(written)


def _format(path: Path) -> ox.RdfFormat:
    plain = path.with_suffix("") if path.suffix.lower() == ".gz" else path
    found = FORMATS.get(plain.suffix.lower())
    if found is None:
        raise UsageError(
            f"no RDF is written to {plain.suffix or 'files without a suffix'!r}",
            where=str(path),
            hint=f"use one of {', '.join(FORMATS)}, with .gz behind it to pack the file",
        )
    return found


def _rounds(catalog: Catalog) -> Iterator[ox.Quad]:
    """The statements of all rounds, round by round."""
    if catalog.path is None:
        return
    with catalog.store(facts=False) as store:
        for graph in store.graphs():
            if graph.startswith(ROUNDS):
                yield from store.quads(graph)


def _convert(catalog: Catalog, rounds: list[ox.Quad], out: BinaryIO, kind: ox.RdfFormat) -> int:
    """By way of a file without a name, which nothing leaves behind."""
    with naming(tempfile.gettempdir(), "write"), tempfile.TemporaryFile() as plain:
        count = catalog.write_nquads(cast("BinaryIO", plain))
        plain.seek(0)
        # Lenient: it is our own text, and rare IRIs that we take are no strict ones.
        quads = chain(ox.parse(plain, ox.RdfFormat.N_QUADS, lenient=True), rounds)
        known = {p: iri for p, iri in catalog.schema.prefixes.items() if _PREFIX.fullmatch(p)}
        prefixes = known if kind in (ox.RdfFormat.TURTLE, ox.RdfFormat.TRIG) else None
        statements = quads if kind in _WITH_GRAPHS else (quad.triple for quad in quads)
        ox.serialize(statements, out, format=kind, prefixes=prefixes)
    return count
