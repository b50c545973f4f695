"""Searching folders for the names of a person: what an erasure is proved by."""

from __future__ import annotations

import contextlib
import csv
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from .errors import IntegrityError
from .files import naming
from .person import Person

_BLOCK = 1 << 24
_ARROW = (".arrow", ".parquet")
_LONGEST = (1 << 31) - 1  # characters of a cell of CSV


@dataclass(frozen=True)
class Scan:
    """What a search found.

    Attributes:
        files, bytes: searched.
        hits: files in which a name stands.
    """

    files: int
    bytes: int
    hits: tuple[str, ...]


def scan(folders: Iterable[Path], person: Person) -> Scan:
    """Search every file below some folders, hidden ones too.

    IRIs are searched anywhere in a file, as they stand, as JSON writes them and percent-encoded, but not
    as the beginning of a longer IRI; in Parquet and Arrow files, whose bytes may be packed, in every
    text cell, lists, records and dictionaries included. Ids, which may be any word, are searched as whole
    values in user places: columns of tables and keys of JSON that hold users or annotators.

    Raises:
        IntegrityError: a table cannot be read, so that it cannot be searched.
    """
    files, size, hits = 0, 0, []
    for path in sorted(path for folder in folders for path in folder.rglob("*") if path.is_file()):
        files, size = files + 1, size + path.stat().st_size
        with naming(path, "read"):
            if _found(path, person):
                hits.append(str(path))
    return Scan(files, size, tuple(hits))


def _found(path: Path, person: Person) -> bool:
    if path.suffix in _ARROW:
        return any(_in_column(name, column, person) for name, column in _columns(path))
    longest = max((len(form.encode()) for form in person.forms), default=0) + 8
    if person.iris and any(person.pattern.search(block) for block in _blocks(path, longest)):
        return True
    return any(person.is_in(value, place) for place, value in _values(path))


def _blocks(path: Path, overlap: int) -> Iterator[bytes]:
    """The file in blocks that overlap, so that a name across a border is in one of them."""
    with path.open("rb") as source:
        block = source.read(_BLOCK)
        while block:
            yield block
            more = source.read(_BLOCK)
            block = block[-overlap:] + more if more else b""


def _columns(path: Path) -> Iterator[tuple[str, pa.ChunkedArray]]:
    """The columns of an Arrow or Parquet file; of a dictionary, all that it holds, used or not."""
    try:
        if path.suffix == ".parquet":
            table = pq.ParquetFile(path).read()
        else:
            with pa.memory_map(str(path)) as source:
                table = pa.ipc.open_file(source).read_all()
    except (pa.ArrowException, ValueError) as error:
        raise IntegrityError(f"it cannot be searched: {error}", where=str(path)) from None
    for name, column in zip(table.column_names, table.columns, strict=True):
        if pa.types.is_dictionary(column.type):
            held = [chunk.dictionary for chunk in column.chunks]
            column = pa.chunked_array(held, column.type.value_type)
        yield name, column


def _in_column(name: str, column: pa.ChunkedArray, person: Person) -> bool:
    kind = column.type
    if pa.types.is_nested(kind):
        return any(person.is_in(value, name) for value in column.to_pylist())
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
        return False
    ids = pa.array(sorted(person.ids) if name in person.places else [], kind)
    if pc.any(pc.is_in(column, ids), min_count=0).as_py():
        return True
    return any(
        person.mentions(value)
        for form in person.forms
        for value in column.filter(pc.match_substring(column, form)).to_pylist()
    )


def _values(path: Path) -> Iterator[tuple[str, Any]]:
    """Place and value of what a format has of them; JSON that is broken was searched as bytes."""
    try:
        if path.suffix == ".json":
            yield "", json.loads(path.read_bytes())
        elif path.suffix == ".jsonl":
            for line in path.read_bytes().splitlines():
                with contextlib.suppress(ValueError, RecursionError):
                    yield "", json.loads(line)
        elif path.suffix in (".csv", ".tsv"):
            yield from _cells(path)
    except (ValueError, RecursionError):
        return


def _cells(path: Path) -> Iterator[tuple[str, str]]:
    """Column and text of every cell of a CSV or TSV file, however long."""
    usual = csv.field_size_limit(_LONGEST)
    try:
        with path.open(encoding="utf-8-sig", errors="replace", newline="") as text:
            rows = csv.reader(text, delimiter="," if path.suffix == ".csv" else "\t")
            names = next(rows, [])
            for row in rows:
                yield from zip(names, row, strict=False)
    except csv.Error as error:
        raise IntegrityError(f"it cannot be searched: {error}", where=str(path)) from None
    finally:
        csv.field_size_limit(usual)
