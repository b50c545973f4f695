"""Searching folders for the names of a person: what an erasure is proved by."""

from __future__ import annotations

import contextlib
import csv
import json
import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from .errors import IntegrityError
from .files import naming

_BLOCK = 1 << 24
_ARROW = (".arrow", ".parquet")
_WORD = rb"[A-Za-z0-9_~%-]"


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


def scan(folders: Iterable[Path], names: Collection[str]) -> Scan:
    """Search every file below some folders, hidden ones too.

    IRIs are searched anywhere in a file, as they stand, as JSON writes them and percent-encoded, but not
    as the beginning of a longer IRI; in Parquet and Arrow files, whose bytes may be packed, in every
    text cell. Ids, which may be any word, are searched as whole values: cells of tables and strings
    of JSON.

    Raises:
        IntegrityError: a table cannot be read, so that it cannot be searched.
    """
    iris = {name for name in names if ":" in name}
    whole = set(names)
    pattern = _pattern(iris)
    files, size, hits = 0, 0, []
    for path in sorted(path for folder in folders for path in folder.rglob("*") if path.is_file()):
        files, size = files + 1, size + path.stat().st_size
        with naming(path, "read"):
            if _found(path, iris, whole, pattern):
                hits.append(str(path))
    return Scan(files, size, tuple(hits))


def _pattern(iris: Collection[str]) -> re.Pattern[bytes]:
    forms = set()
    for iri in iris:
        forms |= {iri.encode(), json.dumps(iri)[1:-1].encode(), quote(iri, safe="").encode()}
    longest_first = sorted(forms, key=len, reverse=True)
    return re.compile(rb"(?:%s)(?!%s)" % (b"|".join(map(re.escape, longest_first)), _WORD))


def _found(path: Path, iris: set[str], whole: set[str], pattern: re.Pattern[bytes]) -> bool:
    if path.suffix in _ARROW:
        return any(_in_column(column, iris, whole) for column in _columns(path))
    if iris and any(pattern.search(block) for block in _blocks(path, max(map(len, iris)) * 6 + 8)):
        return True
    return any(value in whole for value in _values(path))


def _blocks(path: Path, overlap: int) -> Iterator[bytes]:
    """The file in blocks that overlap, so that a name across a border is in one of them."""
    with path.open("rb") as source:
        block = source.read(_BLOCK)
        while block:
            yield block
            more = source.read(_BLOCK)
            block = block[-overlap:] + more if more else b""


def _columns(path: Path) -> Iterator[pa.ChunkedArray]:
    try:
        if path.suffix == ".parquet":
            table = pq.ParquetFile(path).read()
        else:
            with pa.memory_map(str(path)) as source:
                table = pa.ipc.open_file(source).read_all()
    except (pa.ArrowException, ValueError) as error:
        raise IntegrityError(f"it cannot be searched: {error}", where=str(path)) from None
    for column in table.columns:
        if pa.types.is_dictionary(column.type):
            column = column.cast(column.type.value_type)
        if pa.types.is_nested(column.type):
            column = pa.chunked_array(
                [pa.array([json.dumps(v, default=str) for v in column.to_pylist()])]
            )
        if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
            yield column


def _in_column(column: pa.ChunkedArray, iris: set[str], whole: set[str]) -> bool:
    if pc.any(pc.is_in(column, pa.array(sorted(whole), column.type)), min_count=0).as_py():
        return True
    for iri in iris:
        inside = column.filter(pc.match_substring(column, iri))
        pattern = re.compile(re.escape(iri) + rf"(?!{_WORD.decode()})")
        if any(pattern.search(value) for value in inside.to_pylist()):
            return True
    return False


def _values(path: Path) -> Iterator[str]:
    """Whole text values of a file of a format that has them; what is broken was searched as bytes."""
    try:
        if path.suffix == ".json":
            yield from _strings(json.loads(path.read_bytes()))
        elif path.suffix == ".jsonl":
            for line in path.read_bytes().splitlines():
                with contextlib.suppress(ValueError, RecursionError):
                    yield from _strings(json.loads(line))
        elif path.suffix in (".csv", ".tsv"):
            with path.open(encoding="utf-8", errors="replace", newline="") as text:
                for row in csv.reader(text, delimiter="," if path.suffix == ".csv" else "\t"):
                    yield from row
    except (ValueError, RecursionError, csv.Error):
        return


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield key
            yield from _strings(item)
    elif isinstance(value, list):
        for item in value:
            yield from _strings(item)
