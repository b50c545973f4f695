"""Triples of a published KG as tables: entity ids become IRIs, inverse relations are merged.

Many published KGs hold a fact twice, as (film, actor, person) and (person, film, film). A split of
the facts then leaks, and every profile counts them twice; so the copy is turned round and dropped.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ..kg.vocabulary import IntArray

_LOG = logging.getLogger(__name__)
_SHARE = 0.8
_FEWEST = 5


@dataclass(frozen=True)
class Facts:
    """A KG in codes.

    Attributes:
        head, relation, tail: int64 (n,), codes into `terms` and `relations`; no repeats.
        terms, relations: their names as published.
    """

    head: IntArray
    relation: IntArray
    tail: IntArray
    terms: tuple[str, ...]
    relations: tuple[str, ...]

    @classmethod
    def from_table(cls, table: pa.Table) -> Facts:
        """From the first three text columns of a table: head, relation, tail."""
        head, relation, tail = (table.column(i).combine_chunks() for i in range(3))
        ends = pa.chunked_array([pc.utf8_trim_whitespace(column) for column in (head, tail)])
        ends = ends.combine_chunks().dictionary_encode()
        named = pc.utf8_trim_whitespace(relation).dictionary_encode()
        codes = np.asarray(ends.indices, np.int64)
        return cls(
            codes[: len(head)],
            np.asarray(named.indices, np.int64),
            codes[len(head) :],
            terms=tuple(ends.dictionary.to_pylist()),
            relations=tuple(named.dictionary.to_pylist()),
        ).distinct()

    @classmethod
    def from_numbers(cls, head: IntArray, relation: IntArray, tail: IntArray) -> Facts:
        """From integer ids, which become the names."""
        terms, ends = np.unique(np.concatenate([head, tail]), return_inverse=True)
        relations, named = np.unique(relation, return_inverse=True)
        ends = ends.reshape(-1)
        return cls(
            ends[: len(head)],
            named.reshape(-1),
            ends[len(head) :],
            terms=tuple(map(str, terms.tolist())),
            relations=tuple(map(str, relations.tolist())),
        ).distinct()

    def __len__(self) -> int:
        return len(self.head)

    def distinct(self) -> Facts:
        """Each fact once, in the order of its first row."""
        n = len(self.terms)
        codes = (self.relation * n + self.head) * n + self.tail
        rows = np.zeros(len(codes), bool)
        rows[np.unique(codes, return_index=True)[1]] = True
        return self if rows.all() else self.select(rows)

    def select(self, rows: npt.NDArray[np.bool_]) -> Facts:
        """The rows of a mask."""
        return Facts(
            self.head[rows], self.relation[rows], self.tail[rows], self.terms, self.relations
        )


def merge_inverses(facts: Facts, items: Mapping[str, str]) -> tuple[Facts, dict[str, str]]:
    """Turn each relation that is another's inverse round, and drop the repeats.

    q is the inverse of r if at least five and four fifths of its facts stand in r the other way
    round. Of the two, the one that starts at items is kept; else the larger, else the first by name.

    Args:
        items: its keys are the terms that are items.

    Returns:
        The facts, and {relation turned round: relation it went into}.
    """
    inverse_of = _inverse_of(facts, items)
    if not inverse_of:
        return facts, {}
    into = np.arange(len(facts.relations))
    for copy, kept in inverse_of.items():
        into[copy] = kept
    turned = into[facts.relation] != facts.relation
    head = np.where(turned, facts.tail, facts.head)
    tail = np.where(turned, facts.head, facts.tail)
    merged = Facts(head, into[facts.relation], tail, facts.terms, facts.relations).distinct()
    names = {facts.relations[copy]: facts.relations[kept] for copy, kept in inverse_of.items()}
    _LOG.info("%d inverse relations merged, %d facts dropped", len(names), len(facts) - len(merged))
    return merged, names


def _inverse_of(facts: Facts, items: Mapping[str, str]) -> dict[int, int]:
    """Relation code -> code of the relation that it is the inverse of and goes into."""
    n, count = len(facts.terms), len(facts.relations)
    size = np.bincount(facts.relation, minlength=count)
    overlap = _reverse_overlap(facts, n)
    is_item = np.fromiter((term in items for term in facts.terms), bool, n)
    from_items = np.bincount(facts.relation, is_item[facts.head], count) / np.maximum(size, 1)
    rank = sorted(range(count), key=lambda r: (-from_items[r], -size[r], facts.relations[r]))
    out: dict[int, int] = {}
    for place, copy in enumerate(rank):
        # None that was turned round itself: its facts go elsewhere, in the other direction.
        hits = [(overlap.get((copy, r), 0), r) for r in rank[:place] if r not in out]
        most, kept = max(hits, default=(0, -1), key=lambda hit: hit[0])
        if most >= max(_FEWEST, _SHARE * size[copy]):
            out[copy] = kept
    return out


def _reverse_overlap(facts: Facts, n: int) -> dict[tuple[int, int], int]:
    """(q, r) -> how many facts of q stand in r the other way round."""
    forward = facts.head * n + facts.tail
    order = np.argsort(forward, kind="stable")
    codes, owner = forward[order], facts.relation[order]
    backward = facts.tail * n + facts.head
    low = np.searchsorted(codes, backward, "left")
    hits = np.searchsorted(codes, backward, "right") - low
    rows = np.repeat(np.arange(len(facts)), hits)
    offset = np.arange(len(rows)) - np.repeat(np.cumsum(hits) - hits, hits)
    copy, kept = facts.relation[rows], owner[low[rows] + offset]
    kinds = copy[copy != kept] * len(facts.relations) + kept[copy != kept]
    found, counts = np.unique(kinds, return_counts=True)
    pairs = (divmod(int(kind), len(facts.relations)) for kind in found)
    return dict(zip(pairs, counts.tolist(), strict=True))


def fact_tables(
    facts: Facts, items: Mapping[str, str], entity_iri: Callable[[str], str]
) -> dict[str, pa.Table]:
    """Tables `facts` (from, relation, to) and `entities` (iri), with IRIs for the ends.

    Args:
        items: term -> IRI of the item that it is; every other term gets `entity_iri(term)`.
    """
    iris = [items.get(term) or entity_iri(term) for term in facts.terms]
    names, relations = pa.array(iris, pa.string()), pa.array(facts.relations, pa.string())
    used = np.unique(np.concatenate([facts.head, facts.tail])) if len(facts) else facts.head
    entities = [iris[code] for code in used if facts.terms[code] not in items]
    return {
        "facts": pa.table(
            {
                "from": names.take(pa.array(facts.head)),
                "relation": relations.take(pa.array(facts.relation)),
                "to": names.take(pa.array(facts.tail)),
            }
        ),
        "entities": pa.table({"iri": pa.array(entities, pa.string())}),
    }
