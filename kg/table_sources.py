"""The files that tables are read from: which are tables, and which serve which section of a schema."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path, PurePath
from typing import TypeAlias

import pyarrow as pa

from .errors import DataError
from .record_tables import SUFFIXES as RECORDS
from .schema import Schema, TableMap

SUFFIXES = (".csv", ".tsv", ".parquet", *RECORDS)
_PACKED = (".gz", ".bz2", ".zst")
Source: TypeAlias = pa.Table | Path | str | tuple[Path, ...]  # several files are one table
Sources = Mapping[str, Source]


def is_table(path: Path) -> bool:
    """Whether a file's suffix says that it is a table (all but Parquet may be compressed)."""
    return suffix_of(path) in SUFFIXES


def is_text_table(path: Path) -> bool:
    """Whether it is one of delimited cells, as CSV."""
    return suffix_of(path) in (".csv", ".tsv")


def usual_delimiter(path: Path) -> str:
    """What parts the cells of a CSV or TSV file where its section does not say."""
    return "\t" if suffix_of(path) == ".tsv" else ","


def find_tables(files: Iterable[Path], schema: Schema) -> dict[str, Path | tuple[Path, ...]]:
    """Which file serves which `[tables.*]` section: by `file`, or by the section's name.

    Where `file` has a `*`, all files that fit are one table, in the order of their paths.

    Raises:
        DataError: two files fit one section that names one, or a section has none.
    """
    known = list(files)
    out: dict[str, Path | tuple[Path, ...]] = {}
    for name, table in schema.tables.items():
        fitting = [path for path in known if _fits(path, name, table)]
        if fitting and "*" in table.file:
            out[name] = tuple(sorted(fitting))
            continue
        if len(fitting) != 1:
            got = "no file fits" if not fitting else f"{len(fitting)} files fit"
            raise DataError(
                f"{got} the table {name!r}",
                where=", ".join(map(str, fitting[:3])) or f"{schema.source}:tables.{name}",
                hint=_which_file(name, table, fitting),
            )
        out[name] = fitting[0]
    return out


def _which_file(name: str, table: TableMap, fitting: list[Path]) -> str:
    if not fitting:
        usual = name + ".csv (or .tsv, .parquet, .jsonl, .yaml)"
        return f"give one file named {table.file or usual}"
    last = PurePath(*fitting[0].parts[-2:])
    return (
        f'say which in [tables.{name}], as file = "{last}", or that all of them are one table, as '
        f'file = "*/{fitting[0].name}"'
    )


def files_of(sources: Sources) -> list[Path]:
    """Every file among the sources, each once."""
    files: dict[Path, None] = {}
    for source in sources.values():
        if not isinstance(source, pa.Table):
            files |= dict.fromkeys(paths_of(source))
    return list(files)


def paths_of(source: Path | str | tuple[Path, ...]) -> tuple[Path, ...]:
    """The files of a source that is no table in memory."""
    return source if isinstance(source, tuple) else (Path(source),)


def _fits(path: Path, name: str, table: TableMap) -> bool:
    if not table.file:
        return is_table(path) and path.name.split(".")[0] == name
    form = table.file.replace("[", "[[]")  # of what a path may match, only * is meant
    packed = path.suffix.lower() in _PACKED and path.with_suffix("").match(form)
    return is_table(path) and (path.match(form) or packed)


def suffix_of(path: Path) -> str:
    """The suffix of a file's name, below that of its compression, in lower case."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes and suffixes[-1] in _PACKED:
        suffixes.pop()
    return suffixes[-1] if suffixes else ""
