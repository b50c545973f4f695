"""The graph in columns: typed nodes with features and text, typed edges, and interactions.

It is what every front end (RDF, tables, cache) produces and what everything later reads. Pure NumPy:
torch enters in `hetero.to_hetero` only.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import scipy.sparse as sp

from .errors import DataError
from .vocabulary import TEXT, IntArray, Vocabulary

FloatArray = npt.NDArray[np.float32]
EdgeType = tuple[str, str, str]


@dataclass(frozen=True)
class Category:
    """A categorical feature: `codes` shape (n,), int32, -1 = missing; `names[code]` is its value."""

    codes: npt.NDArray[np.int32]
    names: tuple[str, ...]


class Texts(Mapping[str, tuple[str, ...]]):
    """Text columns of a node type, kept as Arrow arrays; tuples of strings are made on first use."""

    def __init__(self, columns: Mapping[str, pa.Array]) -> None:
        self.columns = dict(columns)
        self._tuples: dict[str, tuple[str, ...]] = {}

    def __getitem__(self, name: str) -> tuple[str, ...]:
        if name not in self._tuples:
            self._tuples[name] = tuple(self.columns[name].to_pylist())
        return self._tuples[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.columns)

    def __len__(self) -> int:
        return len(self.columns)


@dataclass(frozen=True)
class NodeSet:
    """All nodes of one type.

    Attributes:
        vocabulary: IRIs; position = node index.
        numbers: feature -> float32 (n,), NaN = missing (dates are days since 1970-01-01).
        categories: feature -> Category.
        texts: feature -> tuple of n strings, "" = missing, in the schema's order (front ends give
            a `Texts`, which makes the tuples when they are asked for).
        texts_are_input: whether a model may read them; otherwise they only name the nodes.
    """

    vocabulary: Vocabulary
    numbers: Mapping[str, FloatArray] = field(default_factory=dict)
    categories: Mapping[str, Category] = field(default_factory=dict)
    texts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    texts_are_input: bool = True

    def __len__(self) -> int:
        return len(self.vocabulary)

    def text_array(self, name: str) -> pa.Array:
        """A text as an Arrow array (n,), without making a tuple of it."""
        found = self.texts
        return found.columns[name] if isinstance(found, Texts) else pa.array(found[name], TEXT)

    @cached_property
    def titles(self) -> tuple[str, ...]:
        """A short readable name per node: its first text, or else the local part of its IRI."""
        from .vocabulary import local_name

        first = next(iter(self.texts.values()), ("",) * len(self))
        return tuple(
            text.strip() or local_name(iri)
            for text, iri in zip(first, self.vocabulary, strict=True)
        )

    @cached_property
    def documents(self) -> tuple[str, ...]:
        """All texts of a node in the schema's order, joined by ". "; "" where no model is to read any."""
        columns = list(self.texts.values()) if self.texts_are_input else []
        if not columns:
            return ("",) * len(self)
        return tuple(
            ". ".join(part.strip() for part in parts if part.strip())
            for parts in zip(*columns, strict=True)
        )


@dataclass(frozen=True)
class EdgeSet:
    """All edges of one (source, relation, target) type.

    Attributes:
        index: int64, shape (2, n): source and target node indices, sorted, without repeats.
    """

    index: IntArray

    def __len__(self) -> int:
        return int(self.index.shape[1])


AUXILIARY = -1
"""Label of an event that tells of interest, and is not what is to be recommended."""


@dataclass(frozen=True)
class Interactions:
    """User-item events in columns, one row per event, all of shape (n,).

    Attributes:
        user, item: int64 node indices.
        label: int8, 1 = positive, 0 = negative (rated below the schema's threshold, or disliked),
            `AUXILIARY` = interest in something that was not taken up, such as a view.
        rating: float32, NaN = none given (implicit feedback; play counts also stand here).
        time: float64 seconds since 1970-01-01, NaN = unknown.
        round: int32, 0 = from the catalog, k = answered in round k.
        split: int8 code into `split_names`, -1 = the catalog names no split for this row.
        iri: text (large_string) with the IRI of the RDF node that each row was, null where it was
            none or one that an export minted; None = no row has any.
        event: int16 code into `event_names` of the schema's event that each row is, -1 = unknown;
            None = all are unknown, or the schema has one event only.
    """

    user: IntArray
    item: IntArray
    label: npt.NDArray[np.int8]
    rating: FloatArray
    time: npt.NDArray[np.float64]
    round: npt.NDArray[np.int32]
    split: npt.NDArray[np.int8]
    split_names: tuple[str, ...] = ()
    iri: pa.Array | None = None
    event: npt.NDArray[np.int16] | None = None
    event_names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        lengths = {name: len(getattr(self, name)) for name in COLUMNS}
        for name in ("iri", "event"):
            if getattr(self, name) is not None:
                lengths[name] = len(getattr(self, name))
        if len(set(lengths.values())) > 1:
            raise DataError(f"columns of interactions differ in length: {lengths}")

    @classmethod
    def build(
        cls,
        user: npt.ArrayLike,
        item: npt.ArrayLike,
        *,
        label: npt.ArrayLike | None = None,
        rating: npt.ArrayLike | None = None,
        time: npt.ArrayLike | None = None,
        round: npt.ArrayLike | int = 0,
        split: npt.ArrayLike | None = None,
        split_names: tuple[str, ...] = (),
        iri: pa.Array | None = None,
        event: npt.NDArray[np.int16] | None = None,
        event_names: tuple[str, ...] = (),
    ) -> Interactions:
        """Fill what is not given: label 1, rating and time NaN, round 0, split -1.

        Raises:
            DataError: users or items are no indices, or the columns differ in length.
        """
        users, items = _indices(user, "user"), _indices(item, "item")
        n = len(users)
        return cls(
            user=users,
            item=items,
            label=np.ones(n, np.int8) if label is None else np.asarray(label, np.int8),
            rating=np.full(n, np.nan, np.float32)
            if rating is None
            else np.asarray(rating, np.float32),
            time=np.full(n, np.nan) if time is None else np.asarray(time, np.float64),
            round=np.full(n, round, np.int32)
            if np.isscalar(round)
            else np.asarray(round, np.int32),
            split=np.full(n, -1, np.int8) if split is None else np.asarray(split, np.int8),
            split_names=split_names,
            iri=iri,
            event=event,
            event_names=event_names,
        )

    @classmethod
    def empty(cls) -> Interactions:
        """No rows."""
        return cls.build([], [])

    def __len__(self) -> int:
        return len(self.user)

    def __repr__(self) -> str:
        return (
            f"Interactions({len(self):,} rows, {int((self.label == 1).sum()):,} of them positive)"
        )

    def select(self, rows: npt.NDArray[np.bool_] | IntArray) -> Interactions:
        """The rows of a boolean mask or of row numbers, in that order."""
        iri = self.iri
        if iri is not None:
            mask = np.asarray(rows)
            iri = iri.filter(pa.array(mask)) if mask.dtype == bool else iri.take(pa.array(mask))
        columns = {name: getattr(self, name)[rows] for name in COLUMNS}
        event = None if self.event is None else self.event[rows]
        return replace(self, **columns, iri=iri, event=event)

    def concat(self, other: Interactions) -> Interactions:
        """These rows, then the other's; both must name the same splits, or one none."""
        if other.split_names and self.split_names and other.split_names != self.split_names:
            raise DataError(f"splits differ: {self.split_names} and {other.split_names}")
        joined = {
            name: np.concatenate([getattr(self, name), getattr(other, name)]) for name in COLUMNS
        }
        iri = None
        if self.iri is not None or other.iri is not None:
            iri = pa.concat_arrays([self._iris(), other._iris()])
        names = tuple(dict.fromkeys([*self.event_names, *other.event_names]))
        event = None
        if self.event is not None or other.event is not None:
            event = np.concatenate([self._events(names), other._events(names)])
        return replace(
            self,
            **joined,
            split_names=self.split_names or other.split_names,
            iri=iri,
            event=event,
            event_names=names,
        )

    def _iris(self) -> pa.Array:
        return pa.nulls(len(self), TEXT) if self.iri is None else self.iri

    def _events(self, names: tuple[str, ...]) -> npt.NDArray[np.int16]:
        """Codes into other names, which hold all of these."""
        if self.event is None:
            return np.full(len(self), -1, np.int16)
        codes = np.array([*(names.index(name) for name in self.event_names), -1], np.int16)
        return np.asarray(codes[self.event])

    @property
    def rated(self) -> npt.NDArray[np.bool_]:
        """Mask of the rows with a rating of what is to be recommended; auxiliary ones say nothing of it."""
        return np.asarray(np.isfinite(self.rating) & (self.label != AUXILIARY))

    def in_split(self, *names: str) -> npt.NDArray[np.bool_]:
        """Mask of the rows whose named split is one of `names`."""
        codes = [code for code, name in enumerate(self.split_names) if name in names]
        return np.isin(self.split, codes)

    def matrix(self, n_users: int, n_items: int, *, label: int = 1) -> sp.csr_matrix:
        """Binary CSR of shape (n_users, n_items), float32, sorted, of the pairs with this label."""
        rows = self.label == label
        values = np.ones(int(rows.sum()), np.float32)
        out = sp.csr_matrix((values, (self.user[rows], self.item[rows])), (n_users, n_items))
        out.sum_duplicates()
        out.data[:] = 1.0
        return out


def _indices(values: npt.ArrayLike, kind: str) -> IntArray:
    given = np.asarray(values)
    if given.ndim != 1 or (given.size and not np.issubdtype(given.dtype, np.integer)):
        raise DataError(
            f"{kind}s are {given.dtype} of shape {given.shape}, expected indices (n,)",
            where="interactions",
            hint=f"graph.{kind}s.vocabulary.indices(ids) gives them",
        )
    return given.astype(np.int64, copy=False)


# Of `Interactions`, those that every row has.
COLUMNS = ("user", "item", "label", "rating", "time", "round", "split")


@dataclass(frozen=True)
class Graph:
    """A catalog's graph.

    Attributes:
        nodes: node type -> NodeSet, in the schema's order.
        edges: (source type, relation, target type) -> EdgeSet. No interactions, no inverses.
        interactions: user-item events; never among `edges`.
        user_type, item_type: which node types are users and items.
        name: the catalog's name.
    """

    nodes: Mapping[str, NodeSet]
    edges: Mapping[EdgeType, EdgeSet]
    interactions: Interactions
    user_type: str = "user"
    item_type: str = "item"
    name: str = "catalog"

    def __repr__(self) -> str:
        nodes = ", ".join(f"{name}: {len(one):,}" for name, one in self.nodes.items())
        edges = sum(len(one) for one in self.edges.values())
        return f"Graph({self.name!r}, {{{nodes}}}, {edges:,} edges, {len(self.interactions):,} interactions)"

    @property
    def users(self) -> NodeSet:
        return self.nodes[self.user_type]

    @property
    def items(self) -> NodeSet:
        return self.nodes[self.item_type]

    @property
    def n_users(self) -> int:
        return len(self.users)

    @property
    def n_items(self) -> int:
        return len(self.items)

    def interaction_table(self, rows: Interactions | None = None) -> pa.Table:
        """Interactions by id: user and item (IRIs), label, rating, time, round, split; null = none.

        Args:
            rows: which; None = the graph's own. Those of a split's parts, for another library, say.
        """
        rows = self.interactions if rows is None else rows
        names = pa.array(rows.split_names, pa.string())
        return pa.table(
            {
                "user": self.users.vocabulary.array.take(pa.array(rows.user)),
                "item": self.items.vocabulary.array.take(pa.array(rows.item)),
                "label": rows.label,
                "rating": pa.array(rows.rating, mask=np.isnan(rows.rating)),
                "time": pa.array(rows.time, mask=np.isnan(rows.time)),
                "round": rows.round,
                "split": names.take(pa.array(rows.split, mask=rows.split < 0)),
            }
        )

    def with_interactions(self, interactions: Interactions) -> Graph:
        """The same nodes and edges with other interactions."""
        return replace(self, interactions=interactions)
