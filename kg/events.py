"""Events of every kind -> one table of interactions in canonical order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from .errors import DataError
from .graph import Interactions
from .ids import positions
from .schema import Event
from .vocabulary import TEXT, IntArray

MAX_SPLITS = 127


@dataclass(frozen=True)
class Events:
    """Interactions of one kind, columns of shape (n,).

    Attributes:
        user, item: int64 node indices.
        label: int8, 1 = positive.
        rating, time: float64 with NaN, or None.
        split: Arrow text with nulls, or None.
    """

    user: IntArray
    item: IntArray
    label: npt.NDArray[np.int8]
    rating: npt.NDArray[np.float64] | None = None
    time: npt.NDArray[np.float64] | None = None
    split: pa.Array | None = None


def make_events(
    event: Event,
    user: IntArray,
    item: IntArray,
    rating: npt.NDArray[np.float64] | None = None,
    time: npt.NDArray[np.float64] | None = None,
    split: pa.Array | None = None,
) -> Events:
    """Label events by the schema: by threshold, all negative, or all positive.

    Every row must have a rating where the event has a threshold.
    """
    if event.positive is not None and rating is not None:
        label = rating.astype(np.float32) >= np.float32(event.positive)
    else:
        label = np.full(len(user), not event.negative)
    if split is not None:
        split = pc.utf8_trim_whitespace(split.cast(TEXT))
        split = pc.if_else(pc.equal(split, ""), pa.scalar(None, TEXT), split)
    return Events(user, item, label.astype(np.int8), rating, time, split)


def interactions(kinds: Sequence[Events], n_items: int, splits: Sequence[str]) -> Interactions:
    """One table of all events, sorted by user, item, time, rating, label and split.

    Args:
        splits: wanted order of the split names; names that it lacks follow, sorted.
    """
    kinds = [kind for kind in kinds if len(kind.user)]
    if not kinds:
        return Interactions.empty()
    user = np.concatenate([kind.user for kind in kinds])
    item = np.concatenate([kind.item for kind in kinds])
    split, names = _split_codes(kinds, splits)
    columns: dict[str, npt.NDArray[Any]] = {
        "split": split,
        "label": np.concatenate([kind.label for kind in kinds]),
        "rating": _floats(kinds, "rating").astype(np.float32),
        "time": _floats(kinds, "time"),
    }
    order = _order(user * max(n_items, 1) + item, list(columns.values()))
    if order is not None:
        user, item = user[order], item[order]
        columns = {name: column[order] for name, column in columns.items()}
    return Interactions.build(user, item, split_names=names, **columns)


def _order(pair: IntArray, ties: list[npt.NDArray[Any]]) -> IntArray | None:
    """Order by pair, then by `ties` from the last to the first; None where the rows are in order.

    Only rows that are still equal pay for the next key, and constant keys cost nothing.
    """
    step = np.diff(pair)
    if (step > 0).all():
        return None
    order = np.arange(len(pair)) if (step >= 0).all() else np.argsort(pair)
    ordered = pair[order]
    same = ordered[1:] == ordered[:-1]
    for key in reversed(ties):
        if not same.any():
            break
        if (key == key[0]).all() or (key != key).all():
            continue
        places = np.flatnonzero(np.r_[False, same] | np.r_[same, False])
        group = np.cumsum(np.r_[True, ~same])[places]
        rows = order[places]
        order[places] = rows[_within(group, key[rows])]
        value = key[order[places]]
        equal = (value[1:] == value[:-1]) | ((value[1:] != value[1:]) & (value[:-1] != value[:-1]))
        still = np.zeros(len(same), bool)
        still[places[:-1]] = equal & (np.diff(places) == 1)
        same &= still
    return order.astype(np.int64, copy=False)


def _within(group: IntArray, key: npt.NDArray[Any]) -> IntArray:
    """Order by group, then by key; one sort of packed integers where they fit in 63 bits.

    Twice as fast as `lexsort`, which is what is left for the rest.
    """
    if key.dtype == np.float32:
        bits = key.view(np.int32)
        code = (bits ^ ((bits >> 31) & 0x7FFFFFFF)).astype(np.int64)  # the order of the floats
    elif key.dtype == np.float64:
        missing = np.isnan(key)
        last = key[~missing].max() + 1 if not missing.all() else 0.0
        known = np.where(missing, last, key)
        if np.abs(known).max() > 2**53 or (known != np.floor(known)).any():
            return np.lexsort([key, group])
        code = known.astype(np.int64)
    else:
        code = key.astype(np.int64)
    code -= code.min()
    width = int(code.max()) + 1
    if width * (int(group[-1]) + 1) >= 2**63:
        return np.lexsort([key, group])
    return np.argsort(group * width + code)


def _floats(kinds: Sequence[Events], name: str) -> npt.NDArray[np.float64]:
    parts = [getattr(kind, name) for kind in kinds]
    return np.concatenate(
        [
            np.full(len(kind.user), np.nan) if part is None else part + 0.0  # no negative zero
            for kind, part in zip(kinds, parts, strict=True)
        ]
    )


def _split_codes(
    kinds: Sequence[Events], splits: Sequence[str]
) -> tuple[npt.NDArray[np.int8], tuple[str, ...]]:
    columns = [kind.split for kind in kinds]
    found = {
        name
        for column in columns
        if column is not None
        for name in pc.unique(column).to_pylist()
        if name is not None
    }
    names = (*(name for name in splits if name in found), *sorted(found - set(splits)))
    if len(names) > MAX_SPLITS:
        raise DataError(
            f"{len(names)} different names of splits, at most {MAX_SPLITS}",
            hint="is the role `split` mapped to the right column or property?",
        )
    codes = [
        np.full(len(kind.user), -1, np.int8)
        if column is None
        else positions(pa.array(names, TEXT), column).astype(np.int8)
        for kind, column in zip(kinds, columns, strict=True)
    ]
    return np.concatenate(codes), names
