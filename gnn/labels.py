"""Answers by id as rows of interactions that a scorer learns from."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ..kg.errors import DataError
from ..kg.graph import Graph, Interactions
from ..kg.in_memory import as_table
from ..kg.split import pair_codes


def labelled_rows(answers: Any, graph: Graph, split_names: tuple[str, ...] = ()) -> Interactions:
    """Columns user, item (ids), label (1, 0, or null = cannot tell: left out), rating, round.

    The last two may be missing, as a whole or in a row: no rating, and round 1.

    Args:
        answers: an Arrow table, a data frame, or what else `in_memory.as_table` takes.

    Raises:
        UsageError: it is no table. UnknownIdError: an id that the catalog does not have.
        DataError: a column is missing, a label is none of 1, 0 and null, a rating no number, or a round
            none from 1 on; round 0 are the catalog's own interactions.
    """
    table = as_table(answers, "answers")
    for name in ("user", "item", "label"):
        if name not in table.column_names:
            raise DataError(
                f"column {name!r} is missing, got {', '.join(table.column_names)}", where="answers"
            )
    rows = table.filter(pc.is_valid(table["label"]))
    label = rows["label"].to_pylist()
    wrong = [one for one in label if isinstance(one, str) or one not in (0, 1)]
    if wrong:
        raise DataError(
            f"got {wrong[0]!r}, expected the number 1 (like) or 0 (dislike), or null",
            where="answers: label",
        )
    return Interactions.build(
        graph.users.vocabulary.indices(rows["user"].to_pylist(), kind="user"),
        graph.items.vocabulary.indices(rows["item"].to_pylist(), kind="item"),
        label=label,
        rating=_numbers(rows, "rating") if "rating" in rows.column_names else None,
        round=_rounds(rows) if "round" in rows.column_names else 1,
        split_names=split_names,
    )


def _numbers(rows: pa.Table, name: str) -> npt.NDArray[np.float64]:
    """A column of numbers, NaN where it is null, (n,)."""
    try:
        return np.asarray(rows[name].cast(pa.float64()).to_numpy())
    except pa.ArrowException:
        raise DataError("expected numbers", where=f"answers: {name}") from None


def _rounds(rows: pa.Table) -> npt.NDArray[np.int32]:
    """Numbers of rounds, from 1 on: 0 is the catalog itself. 1 where it is null."""
    numbers = np.nan_to_num(_numbers(rows, "round"), nan=1.0)
    wrong = numbers[~((numbers >= 1) & (numbers == np.floor(numbers)))]
    if len(wrong):
        raise DataError(f"got {wrong[0]:g}, expected whole numbers from 1", where="answers: round")
    return numbers.astype(np.int32)


def corrections(
    train: Interactions, rows: Interactions, n_items: int
) -> tuple[Interactions, npt.NDArray[np.bool_]]:
    """Which answers count: the last about each pair of `rows`, and what was told before of the others.

    Returns:
        the rows that count, and a mask of the rows of `train` that they take the place of. Of the
        catalog's own interactions (round 0) none is.
    """
    codes = pair_codes(rows, n_items)
    _, last = np.unique(codes[::-1], return_index=True)
    rows = rows.select(np.sort(len(rows) - 1 - last))
    return rows, np.isin(pair_codes(train, n_items), codes) & (train.round > 0)
