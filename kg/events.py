"""Events of every kind -> one table of interactions in canonical order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from .errors import DataError
from .graph import AUXILIARY, Interactions
from .ids import positions
from .ordering import in_order
from .quads import CodeArray
from .schema import Event
from .vocabulary import TEXT, IntArray

MAX_SPLITS = 127
_LOOKED_AT = 1_000_000  # ratings, of which a scale is known as well as by all
_SCALE = 4  # different ratings that a scale with one set apart has


@dataclass(frozen=True)
class Events:
    """Interactions of one kind, columns of shape (n,).

    Attributes:
        user, item: int64 node indices.
        label: int8, as in `Interactions`.
        rating, time: float64 with NaN, or None.
        split: Arrow text with nulls, or None.
        node: int32 code of the RDF node that an event was, -1 = none; or None.
    """

    user: IntArray
    item: IntArray
    label: npt.NDArray[np.int8]
    rating: npt.NDArray[np.float64] | None = None
    time: npt.NDArray[np.float64] | None = None
    split: pa.Array | None = None
    node: CodeArray | None = None


def make_events(
    event: Event,
    user: IntArray,
    item: IntArray,
    rating: npt.NDArray[np.float64] | None = None,
    time: npt.NDArray[np.float64] | None = None,
    split: pa.Array | None = None,
    node: CodeArray | None = None,
) -> Events:
    """Label events by the schema: by threshold, or all negative, auxiliary or positive.

    Where the event has a threshold, a row without a rating is one that the schema calls unrated.
    """
    if event.positive is not None and rating is not None:
        label = np.isnan(rating) | (rating.astype(np.float32) >= np.float32(event.positive))
    else:
        label = np.full(len(user), label_of(event))
    if split is not None:
        split = pc.utf8_trim_whitespace(split.cast(TEXT))
        split = pc.if_else(pc.equal(split, ""), pa.scalar(None, TEXT), split)
    return Events(user, item, label.astype(np.int8), rating, time, split, node)


def label_of(event: Event) -> int:
    """The label of every event of a kind that has no threshold."""
    return AUXILIARY if event.auxiliary else 1 - event.negative


def split_unrated(
    event: Event, rating: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """Ratings with NaN where the schema says that a value means none, and the mask of those."""
    if not event.unrated:
        return rating, np.zeros(len(rating), bool)
    none = np.isin(rating, event.unrated)
    return np.where(none, np.nan, rating), none


def heap_of(rating: npt.NDArray[np.float64]) -> tuple[float, int] | None:
    """A value at an end of the scale that seems to mean "not rated", and how often it stands there.

    It lies further from the rest than twice the rest's width; or it is the only one not above zero,
    and ten times as frequent as the next.
    """
    some = rating[:: max(1, len(rating) // _LOOKED_AT)]
    values, counts = np.unique(some[np.isfinite(some)], return_counts=True)
    if len(values) < _SCALE:
        return None
    for end, beside, other in ((0, 1, -1), (-1, -2, 0)):
        apart = abs(values[beside] - values[end]) > 2 * abs(values[beside] - values[other])
        heaped = end == 0 and values[0] <= 0 < values[1] and counts[0] >= 10 * counts[1]
        if (apart or heaped) and counts[end] >= 0.01 * counts.sum():
            return float(values[end]), int((rating == values[end]).sum())
    return None


def interactions(
    named_kinds: Mapping[str, Sequence[Events]],
    splits: Sequence[str],
    terms: pa.Array | None = None,
) -> Interactions:
    """One table of all events, sorted by user, item, time, rating, label, split, node and event.

    Args:
        named_kinds: name of an event of the schema -> its rows.
        splits: wanted order of the split names; names that it lacks follow, sorted.
        terms: IRIs that the codes of nodes stand for.
    """
    kinds = [kind for parts in named_kinds.values() for kind in parts if len(kind.user)]
    if not kinds:
        return Interactions.empty()
    names_of_kinds = tuple(named_kinds) if len(named_kinds) > 1 else ()
    split, names = _split_codes(kinds, splits)
    columns: dict[str, npt.NDArray[Any]] = {
        "user": _together([kind.user for kind in kinds]),
        "item": _together([kind.item for kind in kinds]),
        "time": _floats(kinds, "time"),
        "rating": _floats(kinds, "rating").astype(np.float32),
        "label": _together([kind.label for kind in kinds]),
        "split": split,
    }
    named = terms is not None and any(kind.node is not None for kind in kinds)
    if named:
        columns["node"] = _together(
            [np.full(len(k.user), -1, np.int32) if k.node is None else k.node for k in kinds]
        )
    if names_of_kinds:
        columns["event"] = _together(
            [
                np.full(len(kind.user), code, np.int16)
                for code, parts in enumerate(named_kinds.values())
                for kind in parts
                if len(kind.user)
            ]
        )
    ordered = dict(zip(columns, in_order(list(columns.values())), strict=True))
    del columns
    node = ordered.pop("node", np.zeros(0, np.int32))
    iri = None
    if terms is not None and (node >= 0).any():
        iri = terms.take(pa.array(node, mask=node < 0)).cast(TEXT)
    return Interactions.build(**ordered, split_names=names, iri=iri, event_names=names_of_kinds)


def _floats(kinds: Sequence[Events], name: str) -> npt.NDArray[np.float64]:
    parts = [getattr(kind, name) for kind in kinds]
    return _together(
        [
            np.full(len(kind.user), np.nan) if part is None else part
            for kind, part in zip(kinds, parts, strict=True)
        ]
    )


def _together(parts: Sequence[npt.NDArray[Any]]) -> npt.NDArray[Any]:
    """One array; not copied where there is one part."""
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


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
