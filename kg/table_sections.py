"""What a schema's section reads: the rows and columns that it names, of one table or of several as one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from .delimited import Remarks, left_out
from .row_choice import Unmet, chosen_rows
from .row_places import RowPlaces
from .schema import Schema, TableMap
from .table_inputs import TableFiles, joined, pick, without_missing
from .table_sources import Source, is_text_table, paths_of
from .vectors import plain_cells


@dataclass(frozen=True)
class Section:
    """What a section's source holds: the columns and the rows that the section names.

    Attributes:
        places: where each row stands.
        remarks: what was odd in the files: rows that were left out, cells that hold rows.
        unmet: what of `where` no row has.
        texts: whether it was read from delimited text.
    """

    data: pa.Table
    places: RowPlaces
    remarks: Remarks
    unmet: Unmet
    texts: bool


def read_section(source: Source, table: TableMap, schema: Schema, files: TableFiles) -> Section:
    """The rows and columns that a section names, as an Arrow table.

    Raises:
        SchemaError: a column is missing.
        ParseError: a file does not follow its format, or a table has two columns of one name.
        DataError: a column holds what is neither plain values nor lists of them.
    """
    name = table.file or table.name
    if isinstance(source, pa.Table):
        data = plain_cells(pick(source, table, schema, name), name)
        places, remarks, texts = RowPlaces.of(name, [(name, len(data), ())]), Remarks(), False
    else:
        paths = paths_of(source)
        parts = [files.take(path, table) for path in paths]
        name = str(paths[0]) if len(paths) == 1 else name
        data = joined([part.data for part in parts], name)
        sizes = [
            (str(path), len(part.data), left_out(part.remarks))
            for path, part in zip(paths, parts, strict=True)
        ]
        places = RowPlaces.of(name, sizes)
        remarks, texts = [one for part in parts for one in part.remarks], is_text_table(paths[0])
    data = without_missing(data, table.missing)
    kept, unmet = chosen_rows(data, table)
    if kept is not None:
        data, places = data.filter(pa.array(kept)), places.take(np.flatnonzero(kept))
    return Section(data, places, remarks, unmet, texts)
