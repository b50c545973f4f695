"""Blocks of encoded statements -> one canonical `Quads`.

A block holds its own small dictionary of tokens. Tokens are unified, split into terms and literals and
sorted once, at the level of distinct tokens; rows are then packed into 64-bit keys, of which one sort
both orders and deduplicates.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from .quads import CodeArray, Literals, Quads, Source

_QUOTE = 34
_KEY_BITS = 64
_STEP = 1 << 18  # rows handled at a time where a whole temporary array would cost memory


@dataclass(frozen=True)
class Rows:
    """Statements as codes.

    Attributes:
        s, p, o: codes of tokens, int32, shape (n,).
        g: the same with -1 for the default graph; None if every row is in the default graph.
        source: index of the file.
    """

    s: CodeArray
    p: CodeArray
    o: CodeArray
    g: CodeArray | None
    source: int

    def __len__(self) -> int:
        return len(self.s)


@dataclass(frozen=True)
class Block:
    """The statements of one piece of one file, with a dictionary of their own.

    Attributes:
        tokens: large_string (see the module `tokens`); a token may stand twice.
        rows: codes of `tokens`.
    """

    tokens: pa.LargeStringArray
    rows: Rows


def assemble(blocks: list[Block], sources: Sequence[Source], *, key_bits: int = _KEY_BITS) -> Quads:
    """One canonical `Quads` from `blocks`, which are used up (emptied) on the way to save memory."""
    parts = [block.tokens for block in blocks]
    rows = [block.rows for block in blocks]
    blocks.clear()
    pa.default_memory_pool().release_unused()  # most memory below is NumPy's, none of Arrow's use
    tokens, codes = _unify(parts)
    del parts
    pa.default_memory_pool().release_unused()
    terms, literals, rank = _split(tokens)
    del tokens
    pa.default_memory_pool().release_unused()
    ranks = [rank[part] for part in codes]
    del codes, rank
    table = _Table(rows, ranks, (len(terms), len(literals), len(sources)))
    s, p, o, g, origin = table.sorted_distinct(key_bits)
    kept_origin = origin if len(sources) > 1 else None
    repeats = table.total - len(s)
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
    quoted = quoted.take(order)
    value, suffix = split_literals(quoted)
    del quoted, order, position
    iris = pc.binary_slice(tokens.filter(pa.array(~is_literal)).cast(pa.large_binary()), 1, -1)
    iris = iris.cast(pa.large_string())
    pa.default_memory_pool().release_unused()
    names: list[str] = suffix.dictionary.to_pylist()
    datatypes = pa.array([name[3:-1] for name in names if name[:1] == "^"], pa.large_string())
    unstated = datatypes.filter(pc.invert(pc.is_in(datatypes, value_set=iris)))
    every = pa.concat_arrays([iris, unstated]) if len(unstated) else iris
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


class _Table:
    """Sorts and deduplicates rows through packed keys (p, s, o, g, source).

    Every field takes as many bits as it needs. Where all fit into 64 bits (they do up to tens of
    millions of terms), rows are sorted as plain integers, otherwise field by field.
    """

    def __init__(
        self, rows: list[Rows], ranks: list[CodeArray], sizes: tuple[int, int, int]
    ) -> None:
        self._rows, self._ranks = rows, ranks
        self.total = sum(len(part) for part in rows)
        n_terms, self._n_literals, n_sources = sizes
        pairs = list(zip(rows, ranks, strict=True))
        self._predicates = _used((rank[part.p] for part, rank in pairs), n_terms)
        graphs = (rank[part.g[part.g >= 0]] for part, rank in pairs if part.g is not None)
        self._graphs = np.append(np.int32(-1), _used(graphs, n_terms))
        self._predicate_place = np.zeros(n_terms, np.int32)
        self._predicate_place[self._predicates] = np.arange(len(self._predicates))
        self._graph_place = np.zeros(n_terms + 1, np.int32)  # the last entry is that of code -1
        self._graph_place[self._graphs] = np.arange(len(self._graphs))
        ranges = (len(self._predicates), n_terms, n_terms + self._n_literals, len(self._graphs))
        self._bits = [max(0, size - 1).bit_length() for size in (*ranges, n_sources)]

    def sorted_distinct(self, key_bits: int) -> list[CodeArray]:
        """Columns s, p, o, g, source of the distinct rows in canonical order; uses up the rows."""
        packed = sum(self._bits) <= key_bits
        p, s, o, g, source = self._packed() if packed else self._wide()
        o -= np.int32(self._n_literals)
        graphs = self._graphs[g] if len(self._graphs) > 1 else np.broadcast_to(np.int32(-1), len(s))
        return [s, self._predicates[p], o, graphs, source]

    def _fields(self) -> Iterator[list[CodeArray]]:
        """The five fields of each part, in the order of the key."""
        while self._rows:
            part, rank = self._rows.pop(), self._ranks.pop()
            graph = np.zeros(1, np.int32)
            if part.g is not None:
                graph = self._graph_place[np.where(part.g < 0, np.int32(-1), rank[part.g])]
            yield [
                self._predicate_place[rank[part.p]],
                rank[part.s],
                rank[part.o] + np.int32(self._n_literals),
                np.broadcast_to(graph, len(part)),
                np.broadcast_to(np.int32(part.source), len(part)),
            ]

    def _packed(self) -> list[CodeArray]:
        keys = np.zeros(self.total, np.uint64)
        shifts = [np.uint64(sum(self._bits[i + 1 :])) for i in range(5)]
        at = 0
        for fields in self._fields():
            part = keys[at : at + len(fields[0])]
            for codes, shift, bits in zip(fields, shifts, self._bits, strict=True):
                if bits:
                    part |= codes.astype(np.uint64) << shift
            at += len(part)
        keys.sort()
        keys = _distinct(keys, self._bits[4])
        return [_field(keys, int(at), bits) for at, bits in zip(shifts, self._bits, strict=True)]

    def _wide(self) -> list[CodeArray]:
        parts = list(self._fields())
        columns = (
            [np.concatenate(column) for column in zip(*parts, strict=True)]
            if parts
            else [np.empty(0, np.int32)] * 5
        )
        order = np.lexsort(columns[::-1])
        columns = [column[order] for column in columns]
        first = np.zeros(len(order), bool)
        for column in columns[:4]:
            first |= np.append(True, column[1:] != column[:-1])[: len(order)]
        return [column[first] for column in columns]


def _used(parts: Iterable[CodeArray], n: int) -> CodeArray:
    """The distinct codes of all parts, sorted."""
    seen = np.zeros(n, bool)
    for codes in parts:
        seen[codes] = True
    return np.flatnonzero(seen).astype(np.int32)


def _distinct(keys: npt.NDArray[np.uint64], ignored_bits: int) -> npt.NDArray[np.uint64]:
    """The first of each run of sorted keys that differ in no more than their lowest bits.

    Moves them to the front of `keys`, in steps, so that no second array of its length is needed.
    """
    shift, kept, before = np.uint64(ignored_bits), 0, None
    for start in range(0, len(keys), _STEP):
        part = keys[start : start + _STEP] >> shift
        first = np.empty(len(part), bool)
        first[0] = part[0] != before
        np.not_equal(part[1:], part[:-1], out=first[1:])
        before = part[-1]
        chosen = keys[start : start + _STEP][first]
        keys[kept : kept + len(chosen)] = chosen
        kept += len(chosen)
    return keys[:kept]


def _field(keys: npt.NDArray[np.uint64], shift: int, bits: int) -> CodeArray:
    """One field of every key."""
    values = np.empty(len(keys), np.int32)
    mask = np.uint64((1 << bits) - 1)
    for start in range(0, len(keys), _STEP):
        values[start : start + _STEP] = (keys[start : start + _STEP] >> np.uint64(shift)) & mask
    return values
