"""How the cells of a table are written: what counts as missing, decimal signs, forms of dates."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from .infer import quoted
from .infer_columns import KEYS, LINKS, filled_text, separator, singular, words
from .literals import parse_numbers
from .schema import TableMap
from .table_inputs import without_missing
from .vocabulary import TEXT
from .written_values import likely_decimal, likely_form, plain_numbers, plain_times

SAMPLE = 20_000  # cells of one column that are looked at
MISSING = ("NULL", "null", "None", "N/A", "n/a", "#N/A", "NaN", "nan", "(null)", "\\N", "-")


def read_as_written(table: pa.Table, section: TableMap) -> tuple[pa.Table, list[str]]:
    """The table with plain numbers and times, and the lines of its section that say how they were.

    Only columns of text are looked at. A section has one decimal sign for all its columns: where it would
    change another column's numbers, it is only remarked on.
    """
    texts = [field.name for field in table.schema if pa.types.is_large_string(field.type)]
    missing = _missing(table, texts)
    table = without_missing(table, missing)
    sample = {name: _sample(table[name]) for name in texts}
    signs = {
        name: sign
        for name in texts
        if not _lists_ids(name, table[name]) and (sign := likely_decimal(sample[name]))
    }
    forms = {
        name: form for name in texts if name not in signs and (form := likely_form(sample[name]))
    }
    lines = [f"missing = [{', '.join(map(quoted, missing))}]"] if missing else []
    if signs:
        ((decimal, _),) = Counter(signs.values()).most_common(1)
        meant = [name for name in texts if signs.get(name) == decimal]
        changed = [name for name in texts if name not in meant and _changes(table[name], decimal)]
        line = f"decimal = {quoted(decimal)}"
        if changed:
            line = f"# {line}   # would change {_named(changed)}, and is meant for {_named(meant)}"
            meant = []
        lines.append(line)
        for name in meant:
            table = _replaced(table, name, plain_numbers(_whole(table[name]), decimal))
    if forms:
        dates = tuple(dict.fromkeys(forms.values()))
        lines.append(f"dates = [{', '.join(map(quoted, dates))}]")
        for name in forms:
            table = _replaced(
                table, name, plain_times(_whole(table[name]), dates, section.timezone)
            )
    return table, lines


def _missing(table: pa.Table, names: list[str]) -> list[str]:
    """Which of `MISSING` are cells of these columns."""
    words = pa.array(MISSING, TEXT)
    there = {
        cell
        for name in names
        for cell in table[name].filter(pc.is_in(table[name], words)).unique().to_pylist()
    }
    return [word for word in MISSING if word in there]


def _lists_ids(name: str, column: pa.ChunkedArray) -> bool:
    """Whether cells such as `1,2` are several ids or links rather than numbers: the name says so."""
    last = singular(words(name)[-1])
    return last in (*KEYS, *LINKS) and bool(separator(name, column))


def _changes(column: pa.ChunkedArray, decimal: str) -> bool:
    """Whether a decimal sign makes other numbers of some that are plain ones already."""
    text = filled_text(column).unique()
    plain, changed = parse_numbers(text), parse_numbers(plain_numbers(text, decimal))
    return bool((np.isfinite(plain) & (plain != changed)).any())


def _named(names: list[str]) -> str:
    return ", ".join(map(quoted, names))


def _sample(column: pa.ChunkedArray) -> pa.Array:
    return filled_text(column.slice(0, SAMPLE))


def _whole(column: pa.ChunkedArray) -> pa.Array:
    return column.cast(TEXT).combine_chunks()


def _replaced(table: pa.Table, name: str, values: pa.Array) -> pa.Table:
    return table.set_column(table.column_names.index(name), name, values)
