"""What a named data set is: a loader from a folder of published files to tables and their schema."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import resources
from urllib.parse import quote

import pyarrow as pa

from ..kg.schema import Schema

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


def encoded(text: str) -> str:
    """An id as it stands in an IRI: trimmed and percent-encoded, as the schema's templates do."""
    return quote(text.strip(), safe="")
