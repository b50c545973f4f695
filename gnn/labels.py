"""Answers by id as rows of interactions that a scorer learns from."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ..kg.errors import DataError
from ..kg.graph import Graph, Interactions
from ..kg.split import pair_codes


def labelled_rows(
    answers: pa.Table, graph: Graph, split_names: tuple[str, ...] = ()
) -> Interactions:
    """Columns user, item (ids), label (1, 0, or null = cannot tell: left out), rating, round.

    The last two may be missing, as a whole or in a row: no rating, and round 1.

    Raises:
        UnknownIdError: an id that the catalog does not have.
        DataError: a column is missing, a label is none of 1, 0 and null, a rating no number, or a round
            none from 1 on; round 0 are the catalog's own interactions.
    """
    for name in ("user", "item", "label"):
        if name not in answers.column_names:
            raise DataError(f"column {name!r} is missing", where="answers")
    rows = answers.filter(pc.is_valid(answers["label"]))
    label = rows["label"].to_numpy()
    wrong = [str(one) for one in label if one not in (0, 1)]
    if wrong:
        raise DataError(f"got {wrong[0]}, expected 1, 0 or null", where="label")
    rounds = pc.fill_null(_numbers(rows, "round", pa.int32()), 1).to_numpy()
    if len(rounds) and rounds.min() < 1:
        raise DataError(f"got {rounds.min()}, expected numbers from 1 on", where="round")
    return Interactions.build(
        graph.users.vocabulary.indices(rows["user"].to_pylist(), kind="user"),
        graph.items.vocabulary.indices(rows["item"].to_pylist(), kind="item"),
        label=label,
        rating=_numbers(rows, "rating", pa.float64()).to_numpy(),
        round=rounds,
        split_names=split_names,
    )


def _numbers(rows: pa.Table, name: str, kind: pa.DataType) -> pa.ChunkedArray:
    """A column as numbers; nulls where it is missing."""
    if name not in rows.column_names:
        return pa.chunked_array([pa.nulls(len(rows), kind)])
    try:
        return rows[name].cast(kind)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise DataError(f"expected {kind} numbers: {error}", where=name) from None


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
