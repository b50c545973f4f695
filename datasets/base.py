"""What a named data set is: a loader from a folder of published files to tables and their schema."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from urllib.parse import quote

import pyarrow as pa

from ..kg.schema import Schema

FREEBASE = "http://rdf.freebase.com/ns/"
Tables = Mapping[str, pa.Table]
Loaded = tuple[dict[str, pa.Table], Schema]


@dataclass(frozen=True)
class DatasetSpec:
    """A data set, or a general format, that `load_dataset` knows.

    Attributes:
        name: what a user types.
        about: one line.
        load: `load(folder, **options)` -> (tables, schema); raises DataError where the folder
            lacks a file, ParseError where a file does not follow its format.
        files: what the folder holds, for help and errors.
        source: where the files come from, and under which terms.
    """

    name: str
    about: str
    load: Callable[..., Loaded]
    files: tuple[str, ...]
    source: str


def bundled_schema(name: str) -> Schema:
    """The schema file `schemas/<name>.toml` of this package."""
    text = resources.files(__package__).joinpath("schemas", f"{name}.toml").read_text("utf-8")
    return Schema.loads(text, source=f"{name}.toml")


def string_table(**columns: list[str] | list[str | None]) -> pa.Table:
    """A table of text columns; None = missing."""
    return pa.table({name: pa.array(values, pa.string()) for name, values in columns.items()})


def rows_table(names: Sequence[str], rows: Sequence[Sequence[str | None]]) -> pa.Table:
    """A table of text columns from rows; None = missing. Rows may be longer than there are names."""
    return string_table(**{name: [row[k] for row in rows] for k, name in enumerate(names)})


def freebase_iri(entity: str) -> str:
    """The IRI of a Freebase id such as `m.0k2kfpc`; "" of what is none."""
    return FREEBASE + entity if re.fullmatch(r"[mg]\.\w+", entity) else ""


def encoded(text: str) -> str:
    """An id as it stands in an IRI: trimmed and percent-encoded, as the schema's templates do."""
    return quote(text.strip(), safe="")
