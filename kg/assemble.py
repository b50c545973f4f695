"""Blocks of encoded statements -> one canonical `Quads`.

A block holds its own small dictionary of tokens. Tokens are unified, split into terms and literals and
sorted once, at the level of distinct tokens; rows are then packed into 64-bit keys, of which one sort
both orders and deduplicates.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from .quads import CodeArray, Literals, Quads, Source

_QUOTE = 34
_KEY_BITS = 64


@dataclass(frozen=True)
class Block:
    """Statements of one piece of one file.

    Attributes:
        tokens: `<iri>`, or `"value"` followed by nothing, `@language` or `^^<datatype>`; the value is
            unescaped, which stays unambiguous because no suffix holds a quote. large_string; a token
            may stand twice.
        s, p, o: codes into `tokens`, int32, shape (n,).
        g: the same with -1 for the default graph; None if every row is in the default graph.
        source: index of the file.
    """

    tokens: pa.LargeStringArray
    s: CodeArray
    p: CodeArray
    o: CodeArray
    g: CodeArray | None
    source: int


def assemble(blocks: list[Block], sources: Sequence[Source], *, key_bits: int = _KEY_BITS) -> Quads:
    """One canonical `Quads` from `blocks`, which are used up (emptied) on the way to save memory."""
    tokens, codes = _unify([block.tokens for block in blocks])
    terms, literals, rank = _split(tokens)
    del tokens
    ranks = [rank[part] for part in codes]
    del codes
    sizes = (len(terms), len(literals), len(sources))
    (s, p, o, g, origin), repeats = _Rows(blocks, ranks, sizes).sorted_distinct(key_bits)
    kept_origin = origin if len(sources) > 1 else None
    return Quads(terms, s, p, o, g, literals, repeats, tuple(sources), kept_origin)


def _unify(parts: Sequence[pa.LargeStringArray]) -> tuple[pa.LargeStringArray, list[CodeArray]]:
    """Distinct tokens of all parts, and for each part the code of each of its tokens."""
    if not any(len(part) for part in parts):
        return pa.array([], pa.large_string()), [np.empty(0, np.int32) for _ in parts]
    encoded = pa.chunked_array(parts, pa.large_string()).dictionary_encode()
    codes = np.concatenate([np.asarray(chunk.indices) for chunk in encoded.chunks])
    ends = np.cumsum([len(part) for part in parts])[:-1]
    return encoded.chunk(encoded.num_chunks - 1).dictionary, np.split(codes, ends)


def _split(tokens: pa.LargeStringArray) -> tuple[pa.LargeStringArray, Literals, CodeArray]:
    """Sorted terms, sorted literals, and the final code of each token (negative for literals)."""
    is_literal = np.asarray(pc.starts_with(tokens, '"'))
    rank = np.empty(len(tokens), np.int32)
    quoted = tokens.filter(pa.array(is_literal))
    order, position = _sort(quoted)
    rank[is_literal] = -1 - position
    value, suffix = split_literals(quoted.take(order))
    iris = pc.binary_slice(tokens.filter(pa.array(~is_literal)).cast(pa.large_binary()), 1, -1)
    iris = iris.cast(pa.large_string())
    names: list[str] = suffix.dictionary.to_pylist()
    datatypes = pa.array([name[3:-1] for name in names if name[:1] == "^"], pa.large_string())
    unstated = datatypes.filter(pc.invert(pc.is_in(datatypes, value_set=iris)))
    every = pa.concat_arrays([iris, unstated])
    order, position = _sort(every)
    rank[~is_literal] = position[: len(iris)]
    terms = every.take(order)
    return terms, _literals(value, suffix, names, terms), rank


def _sort(texts: pa.LargeStringArray) -> tuple[pa.Array, CodeArray]:
    """The order that sorts `texts` by bytes, and the place of each text in it."""
    order = pc.array_sort_indices(texts)
    position = np.empty(len(texts), np.int32)
    position[np.asarray(order)] = np.arange(len(texts), dtype=np.int32)
    return order, position


def split_literals(tokens: pa.LargeStringArray) -> tuple[pa.LargeStringArray, pa.DictionaryArray]:
    """Values and suffixes of literal tokens: the last quote of a token ends its value."""
    if not len(tokens):
        return tokens, tokens.dictionary_encode()
    raw = tokens.buffers()[2]
    offsets = np.frombuffer(tokens.buffers()[1], np.int64)
    offsets = offsets[tokens.offset : tokens.offset + len(tokens) + 1]
    quotes = np.flatnonzero(np.frombuffer(raw, np.uint8) == _QUOTE)
    last = quotes[np.searchsorted(quotes, offsets[1:]) - 1]
    # Four pieces per token: value, closing quote, suffix, opening quote of the next token.
    cuts = np.stack([offsets[:-1] + 1, last, last + 1, offsets[1:]], axis=1).ravel()
    bounds = np.append(cuts, offsets[-1])
    pieces = pa.LargeStringArray.from_buffers(4 * len(tokens), pa.py_buffer(bounds), raw)
    steps = np.arange(0, 4 * len(tokens), 4)
    return pieces.take(pa.array(steps)), pieces.take(pa.array(steps + 2)).dictionary_encode()


def _literals(
    value: pa.LargeStringArray,
    suffix: pa.DictionaryArray,
    names: Sequence[str],
    terms: pa.LargeStringArray,
) -> Literals:
    """Resolve the few distinct suffixes, then spread them over the literals."""
    languages = tuple(sorted(name[1:] for name in names if name[:1] == "@"))
    language_of = [languages.index(name[1:]) if name[:1] == "@" else -1 for name in names]
    datatypes = pa.array(
        [name[3:-1] if name[:1] == "^" else None for name in names], pa.large_string()
    )
    datatype_of = pc.fill_null(pc.index_in(datatypes, value_set=terms), -1)
    codes = np.asarray(suffix.indices)
    return Literals(
        value,
        np.asarray(datatype_of, np.int32)[codes],
        np.asarray(language_of, np.int32)[codes],
        languages,
    )


class _Rows:
    """Sorts and deduplicates rows through packed keys (p, s, o, g, source).

    Every field takes as many bits as it needs. Where all fit into 64 bits (they do up to tens of
    millions of terms), rows are sorted as plain integers, otherwise field by field.
    """

    def __init__(
        self, blocks: list[Block], ranks: list[CodeArray], sizes: tuple[int, int, int]
    ) -> None:
        self._blocks, self._ranks = blocks, ranks
        n_terms, self._n_literals, n_sources = sizes
        pairs = list(zip(blocks, ranks, strict=True))
        self._predicates = _used((rank[block.p] for block, rank in pairs), n_terms)
        graphs = (rank[block.g[block.g >= 0]] for block, rank in pairs if block.g is not None)
        self._graphs = np.append(np.int32(-1), _used(graphs, n_terms))
        self._place = np.empty(n_terms, np.int32)
        self._place[self._predicates] = np.arange(len(self._predicates))
        self._graph_place = np.zeros(n_terms + 1, np.int32)
        self._graph_place[self._graphs] = np.arange(len(self._graphs))
        ranges = (len(self._predicates), n_terms, n_terms + self._n_literals, len(self._graphs))
        self._bits = [max(0, size - 1).bit_length() for size in (*ranges, n_sources)]
        self._total = sum(len(block.s) for block in blocks)

    def sorted_distinct(self, key_bits: int) -> tuple[list[CodeArray], int]:
        """Columns s, p, o, g, source of the distinct rows in canonical order, and the repeats."""
        packed = sum(self._bits) <= key_bits
        p, s, o, g, source = self._packed() if packed else self._wide()
        default = len(self._graphs) == 1
        columns = [
            s.astype(np.int32),
            self._predicates[p.astype(np.int32)],
            o.astype(np.int32) - np.int32(self._n_literals),
            np.broadcast_to(np.int32(-1), len(s)) if default else self._graphs[g.astype(np.int32)],
            source.astype(np.int32),
        ]
        return columns, self._total - len(s)

    def _fields(self) -> Iterator[list[CodeArray]]:
        """The five fields of each block, in the order of the key; blocks are dropped once read."""
        while self._blocks:
            block, rank = self._blocks.pop(), self._ranks.pop()
            n = len(block.s)
            graphs = np.full(n, -1, np.int32) if block.g is None else block.g
            graphs = np.where(graphs < 0, np.int32(-1), rank[graphs])
            yield [
                self._place[rank[block.p]],
                rank[block.s],
                rank[block.o] + np.int32(self._n_literals),
                self._graph_place[graphs],
                np.full(n, block.source, np.int32),
            ]

    def _packed(self) -> list[npt.NDArray[np.uint64]]:
        keys = np.empty(self._total, np.uint64)
        shifts = [np.uint64(sum(self._bits[i + 1 :])) for i in range(5)]
        at = 0
        for fields in self._fields():
            part = keys[at : at + len(fields[0])]
            part[:] = 0
            for codes, shift in zip(fields, shifts, strict=True):
                part |= codes.astype(np.uint64) << shift
            at += len(part)
        keys.sort()
        statement = keys >> shifts[3]
        keys = keys[_first_of_run(statement)]
        del statement
        masks = [np.uint64((1 << bits) - 1) for bits in self._bits]
        return [(keys >> shift) & mask for shift, mask in zip(shifts, masks, strict=True)]

    def _wide(self) -> list[CodeArray]:
        parts = list(self._fields())
        columns = [np.concatenate(column) for column in zip(*parts, strict=True)]
        order = np.lexsort(columns[::-1])
        columns = [column[order] for column in columns]
        first = np.zeros(len(order), bool)
        for column in columns[:4]:
            first |= _first_of_run(column)
        return [column[first] for column in columns]


def _used(parts: Iterable[CodeArray], n: int) -> CodeArray:
    """The distinct codes of all parts, sorted."""
    seen = np.zeros(n, bool)
    for codes in parts:
        seen[codes] = True
    return np.flatnonzero(seen).astype(np.int32)


def _first_of_run(values: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    first = np.ones(len(values), bool)
    np.not_equal(values[1:], values[:-1], out=first[1:])
    return first
