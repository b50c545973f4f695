"""How the cells of a table are written: what counts as missing, decimal signs, forms of dates."""

from __future__ import annotations

from collections import Counter

import pyarrow as pa

from .infer import quoted
from .infer_columns import filled_text
from .schema import TableMap
from .table_inputs import without_missing
from .vocabulary import TEXT
from .written_values import likely_decimal, likely_form, plain_numbers, plain_times

SAMPLE = 20_000  # cells of one column that are looked at
MISSING = ("NULL", "null", "None", "N/A", "n/a", "#N/A", "NaN", "nan", "(null)", "\\N", "-")


def read_as_written(table: pa.Table, section: TableMap) -> tuple[pa.Table, list[str]]:
    """The table with plain numbers and times, and the lines of its section that say how they were.

    Only columns of text are looked at.
    """
    texts = [field.name for field in table.schema if pa.types.is_large_string(field.type)]
    there = {cell for name in texts for cell in table[name].unique().to_pylist() if cell}
    missing = [word for word in MISSING if word in there]
    table = without_missing(table, missing)
    sample = {name: _sample(table[name]) for name in texts}
    signs = {name: sign for name in texts if (sign := likely_decimal(sample[name]))}
    forms = {
        name: form for name in texts if name not in signs and (form := likely_form(sample[name]))
    }
    lines = [f"missing = [{', '.join(map(quoted, missing))}]"] if missing else []
    if signs:
        ((decimal, _),) = Counter(signs.values()).most_common(1)
        lines.append(f"decimal = {quoted(decimal)}")
        for name in [name for name, sign in signs.items() if sign == decimal]:
            table = _replaced(table, name, plain_numbers(_whole(table[name]), decimal))
    if forms:
        dates = tuple(dict.fromkeys(forms.values()))
        lines.append(f"dates = [{', '.join(map(quoted, dates))}]")
        for name in forms:
            table = _replaced(
                table, name, plain_times(_whole(table[name]), dates, section.timezone)
            )
    return table, lines


def _sample(column: pa.ChunkedArray) -> pa.Array:
    return filled_text(column.slice(0, SAMPLE))


def _whole(column: pa.ChunkedArray) -> pa.Array:
    return column.cast(TEXT).combine_chunks()


def _replaced(table: pa.Table, name: str, values: pa.Array) -> pa.Table:
    return table.set_column(table.column_names.index(name), name, values)
