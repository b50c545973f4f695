"""Published files as they are: found with or without .gz or .zip, bounded, read into text columns."""

from __future__ import annotations

import gzip
import io
import re
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
import pyarrow.csv as pacsv

from ..kg.errors import DataError, ParseError, ResourceError

MAX_BYTES = 8 << 30
_SUFFIXES = ("", ".gz", ".zip")
_reading: ContextVar[list[Path] | None] = ContextVar("reading", default=None)


def find(folder: Path, *names: str) -> Path | None:
    """The first of `names` that the folder holds, plain or with .gz or .zip; None if none."""
    for name in names:
        for suffix in _SUFFIXES:
            if (folder / (name + suffix)).is_file():
                return folder / (name + suffix)
    return None


def locate(folder: Path, *names: str) -> Path:
    """As `find`, but a missing file is a DataError that says what was looked for."""
    path = find(folder, *names)
    if path is None:
        raise DataError(
            f"the folder has no {' or '.join(names)}",
            where=str(folder),
            hint="also looked for with .gz and .zip",
        )
    return path


def matching(folder: Path, pattern: str) -> list[Path]:
    """Files that match a glob, plain or with .gz or .zip, sorted by name."""
    return sorted({path for suffix in _SUFFIXES for path in folder.glob(pattern + suffix)})


def plain_name(path: Path) -> str:
    """The file's name without .gz or .zip."""
    return path.name.removesuffix(".gz").removesuffix(".zip")


@contextmanager
def files_read() -> Iterator[list[Path]]:
    """The files that are read within, each once, in the order of reading."""
    files: list[Path] = []
    token = _reading.set(files)
    try:
        yield files
    finally:
        _reading.reset(token)


def read_bytes(path: Path, limit: int = MAX_BYTES) -> bytes:
    """The file's content, unpacked.

    Raises:
        ParseError: a broken archive, a zip file without exactly one member, or more than `limit`
            bytes once unpacked.
        ResourceError: the file cannot be read.
    """
    noted = _reading.get()
    if noted is not None and path not in noted:
        noted.append(path)
    try:
        with _opened(path) as stream:
            data = stream.read(limit + 1)
    except (
        gzip.BadGzipFile,
        zipfile.BadZipFile,
        EOFError,
        zlib.error,
        NotImplementedError,
    ) as error:
        raise ParseError(f"broken archive: {error}", where=str(path)) from error
    except OSError as error:
        raise ResourceError(f"cannot read: {error.strerror or error}", where=str(path)) from error
    if len(data) > limit:
        raise ParseError(f"more than {limit} bytes unpacked", where=str(path))
    return data


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    if path.suffix == ".gz":
        with gzip.open(path) as packed:
            yield packed  # type: ignore[misc]  # GzipFile reads bytes, but is not typed as BinaryIO
    elif path.suffix == ".zip":
        with zipfile.ZipFile(path) as archive:
            members = [member for member in archive.namelist() if not member.endswith("/")]
            if len(members) != 1:
                raise ParseError(
                    f"expected one file in the archive, got {members}", where=str(path)
                )
            with archive.open(members[0]) as member:
                yield member  # type: ignore[misc]  # IO[bytes]
    else:
        with path.open("rb") as plain:
            yield plain


def read_text(path: Path, encoding: str = "utf-8") -> str:
    """The file's content as text; a byte that is not in `encoding` is a ParseError."""
    try:
        return read_bytes(path).decode(encoding)
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise ParseError(f"not {encoding}: {error.reason}", where=f"{path}:{line}") from error


def read_columns(
    path: Path, names: Sequence[str] | None = None, *, delimiter: str = "\t", least: int = 1
) -> pa.Table:
    """A delimited file without quoting, every column as text.

    Args:
        names: column names of a file without a header line; None = its first line names them.
        least: how many columns there must be.

    Raises:
        ParseError: there are fewer columns, or a row has another number of fields; names file and row.
    """
    data = read_bytes(path)
    if not data.strip():
        if names is None:
            raise ParseError("the file is empty", where=str(path))
        return pa.table({name: pa.array([], pa.string()) for name in names})
    header = list(names) if names is not None else _header(data, delimiter)
    if len(set(header)) < len(header):
        raise ParseError(f"two columns have one name: {header}", where=f"{path}:1")
    if len(header) < least:
        raise ParseError(f"expected at least {least} columns, got {header}", where=f"{path}:1")
    try:
        return pacsv.read_csv(
            io.BytesIO(data),
            read_options=pacsv.ReadOptions(
                use_threads=False,  # threads do not count the rows
                column_names=header,
                skip_rows=0 if names is not None else 1,
            ),
            parse_options=pacsv.ParseOptions(delimiter=delimiter, quote_char=False),
            convert_options=pacsv.ConvertOptions(
                column_types=dict.fromkeys(header, pa.string()), strings_can_be_null=False
            ),
        )
    except pa.ArrowException as error:
        first = str(error).splitlines()[0]
        row = re.search(r"Row #(\d+)", first)
        raise ParseError(first, where=f"{path}:{row[1]}" if row else str(path)) from error


def _header(data: bytes, delimiter: str) -> list[str]:
    first = data.split(b"\n", 1)[0].decode("utf-8-sig", "replace").rstrip("\r")
    return first.split(delimiter)


def read_records(
    path: Path, fields: int, *, separator: str = "::", encoding: str = "utf-8"
) -> list[list[str]]:
    """Rows of a file whose fields are parted by `separator`, which no field holds.

    Raises:
        ParseError: a row has another number of fields; names file and line.
    """
    rows = []
    for number, line in enumerate(read_text(path, encoding).split("\n"), 1):
        if not line.strip():
            continue
        row = line.rstrip("\r").split(separator)
        if len(row) != fields:
            raise ParseError(
                f"expected {fields} fields parted by {separator!r}, got {len(row)}",
                where=f"{path}:{number}",
            )
        rows.append(row)
    return rows
