"""Tables written as records: JSON lines, and YAML lists of mappings."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from .delimited import Remark, Remarks
from .errors import ParseError, ResourceError
from .fields import dotted_names, field_of, has_field
from .vocabulary import TEXT

SUFFIXES = (".jsonl", ".ndjson", ".yaml", ".yml")
MAX_BYTES = 1 << 30

Record = Mapping[str, Any]


def read_record_table(
    path: Path,
    suffix: str,
    wanted: Iterable[str] | None,
    remarks: Remarks | None = None,
) -> pa.Table:
    """Fields as columns of text, or of lists of text where a record has a list.

    A dotted name is a field within a record, or within each record of a list.

    Args:
        suffix: one of `SUFFIXES`; a suffix of compression may follow it in the file's name.
        wanted: the fields to read, where they are there; None = all, with dotted names for those within
            records, but no lists of records.
        remarks: takes the lines that are no JSON object (`bad-row`); None = they are errors.

    Raises:
        ParseError: not of the format, a record that is no mapping, or a wanted value that is one.
        ResourceError: more than a gigabyte.
    """
    with pa.input_stream(str(path), compression="detect") as source:
        data = source.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise ResourceError(
            f"more than {MAX_BYTES:,} bytes of records", where=str(path), hint="use Parquet or CSV"
        )
    records: list[tuple[str, Record]] = []
    if data.strip():
        lines = suffix in (".jsonl", ".ndjson")
        records = list(json_records(data, path, remarks) if lines else yaml_records(data, path))
    if not records:
        raise ParseError("the table is empty", where=str(path), hint="it holds no record")
    if wanted is None:
        names = dict.fromkeys(name for _, record in records for name in dotted_names(record))
        kept = [name for name in names if not _is_nested(records, name)]
    else:
        kept = [name for name in wanted if any(has_field(record, name) for _, record in records)]
    return pa.table({name: _column(records, name) for name in kept})


def json_records(
    data: bytes, path: Path, remarks: Remarks | None = None
) -> Iterator[tuple[str, Record]]:
    """One JSON object per line, with its place; empty lines are skipped."""
    lines = enumerate(data.removeprefix(b"\xef\xbb\xbf").split(b"\n"), 1)
    filled = ((number, line) for number, line in lines if line.strip())
    for row, (number, line) in enumerate(filled):
        place = f"{path}:{number}"
        try:
            yield place, _json_object(line, place)
        except ParseError as error:
            if remarks is None:
                raise
            remarks.append(Remark("bad-row", place, f"{error.message}: left out", row))


def _json_object(line: bytes, place: str) -> Record:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ParseError(f"not JSON: {error}", where=place) from None
    return _mapping(record, place)


def yaml_records(data: bytes, path: Path) -> Iterator[tuple[str, Record]]:
    """The mappings of a YAML list, with their places."""
    import yaml

    # Both load plain data only; the C one is ten times faster where PyYAML was built with it.
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)(data)
    try:
        records = loader.get_single_data()
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        place = f"{path}:{mark.line + 1}" if mark else str(path)
        raise ParseError(f"not YAML: {str(error).splitlines()[0]}", where=place) from error
    finally:
        loader.dispose()
    if not isinstance(records, list):
        kind = type(records).__name__
        raise ParseError(f"expected a list of records, got {kind}", where=str(path))
    for number, record in enumerate(records, 1):
        place = f"{path}: record {number}"
        yield place, {str(name): value for name, value in _mapping(record, place).items()}


def cell(value: object, where: str) -> str | None:
    """A scalar as text with single spaces, true and false as in JSON; None = missing.

    Raises:
        ParseError: it is a list or a mapping.
    """
    if value is None:
        return None
    if isinstance(value, list | dict):
        raise ParseError(f"expected text or a number, got {type(value).__name__}", where=where)
    if isinstance(value, bool):
        return "true" if value else "false"
    return " ".join(str(value).split())


def _mapping(record: object, place: str) -> Record:
    if not isinstance(record, dict):
        raise ParseError(f"expected a record, got {type(record).__name__}", where=place)
    return record


def _is_nested(records: list[tuple[str, Record]], name: str) -> bool:
    for _, record in records:
        value = field_of(record, name)
        parts = value if isinstance(value, list) else [value]
        if any(isinstance(part, list | dict) for part in parts):
            return True
    return False


def _column(records: list[tuple[str, Record]], name: str) -> pa.Array:
    values = [(place, field_of(record, name)) for place, record in records]
    several = any(isinstance(value, list) for _, value in values)
    out: list[str | list[str | None] | None] = []
    for place, value in values:
        where = f"{place}: {name}"
        if not several or value is None:
            out.append(cell(value, where))
        else:
            parts = value if isinstance(value, list) else [value]
            out.append([cell(part, where) for part in parts])
    return pa.array(out, pa.list_(TEXT) if several else TEXT)
