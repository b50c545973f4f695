"""Quads are canonical, whatever way the blocks came in."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pyarrow as pa
import pytest

from coldframe.kg.assemble import Block, Rows, assemble
from coldframe.kg.quads import Literals, Quads, Source
from coldframe.kg.reader import read_quads

TEXT = b"""
<http://a.org/s> <http://a.org/p> <http://a.org/o> .
<http://a.org/s> <http://a.org/p> "b"@en <http://a.org/g> .
<http://a.org/s> <http://a.org/p> "b" .
<http://a.org/s> <http://a.org/p> "5"^^<http://a.org/type> .
<http://a.org/t> <http://a.org/a> "say \\"a\\"@x" .
<http://a.org/s> <http://a.org/p> "b" .
"""


def sources(n: int) -> list[Source]:
    return [Source(f"file{i}", f"{i}", 1) for i in range(n)]


def block(rows: list[tuple[str, str, str, str]], source: int = 0) -> Block:
    names = sorted({name for row in rows for name in row if name}, reverse=True)
    codes = [[names.index(name) if name else -1 for name in row] for row in rows]
    s, p, o, g = np.array(codes, np.int32).reshape(-1, 4).T.copy()
    return Block(pa.array(names, pa.large_string()), Rows(s, p, o, g, source))


def random_blocks(seed: int) -> tuple[list[Block], set[str]]:
    random = np.random.default_rng(seed)
    iris = [f"<http://a.org/{n}>" for n in range(9)]
    lasts = [*iris, '"x"', '"x"@en', '"x"^^<http://a.org/only-a-type>', '"x"@de']
    blocks, lines = [], set()
    for source in range(4):
        rows = [
            (
                str(random.choice(iris)),
                str(random.choice(iris[:3])),
                str(random.choice(lasts)),
                str(random.choice(["", iris[0], iris[1]])),
            )
            for _ in range(60)
        ]
        lines |= {" ".join(part for part in (*row, ".") if part) for row in rows}
        blocks.append(block(rows, source))
    return blocks, lines


def same(a: Quads, b: Quads) -> bool:
    columns = all(np.array_equal(getattr(a, name), getattr(b, name)) for name in "spog")
    return columns and a.terms.equals(b.terms) and a.content_hash == b.content_hash


def test_rows_are_sorted_and_distinct() -> None:
    quads = read_quads(TEXT, syntax="nquads")
    assert list(quads.lines()) == [
        '<http://a.org/t> <http://a.org/a> "say \\"a\\"@x" .',
        '<http://a.org/s> <http://a.org/p> "b"@en <http://a.org/g> .',
        '<http://a.org/s> <http://a.org/p> "b" .',
        '<http://a.org/s> <http://a.org/p> "5"^^<http://a.org/type> .',
        "<http://a.org/s> <http://a.org/p> <http://a.org/o> .",
    ]
    assert quads.duplicates == 1
    assert quads.sources[0].triples == 6


def test_terms_are_sorted_and_include_datatypes() -> None:
    quads = read_quads(TEXT, syntax="nquads")
    terms = quads.terms.to_pylist()
    assert terms == sorted(terms)
    assert "http://a.org/type" in terms
    assert quads.find("http://a.org/s") == terms.index("http://a.org/s")
    assert quads.find("http://a.org/none") == -1
    assert quads.literals.languages == ("en",)


def test_rows_of_a_predicate() -> None:
    quads = read_quads(TEXT, syntax="nquads")
    rows = quads.rows_of("http://a.org/p")
    assert (rows.start, rows.stop) == (1, 5)
    assert not len(quads.s[quads.rows_of("http://a.org/s")])
    assert not len(quads.s[quads.rows_of("http://a.org/none")])


@pytest.mark.parametrize("seed", range(5))
def test_all_ways_to_sort_agree(seed: int) -> None:
    packed = assemble(random_blocks(seed)[0], sources(4))
    wide = assemble(random_blocks(seed)[0], sources(4), key_bits=0)
    assert same(packed, wide)
    assert packed.origin is not None
    assert np.array_equal(packed.origin, wide.origin)
    assert set(packed.lines()) == random_blocks(seed)[1]
    assert len(packed) + packed.duplicates == 240


@pytest.mark.parametrize("seed", range(5))
def test_order_of_blocks_changes_nothing(seed: int) -> None:
    forward, backward = random_blocks(seed)[0], random_blocks(seed)[0][::-1]
    assert same(assemble(forward, sources(4)), assemble(backward, sources(4)))


def test_origin_is_the_first_source() -> None:
    row = ("<http://a.org/s>", "<http://a.org/p>", '"x"', "")
    other = ("<http://a.org/s>", "<http://a.org/p>", '"y"', "")
    quads = assemble([block([row, other], 2), block([row], 1)], sources(3))
    named = {quads.row_text(i): quads.source_of(i) for i in range(2)}
    assert list(named.values()) == ["file2", "file1"]  # "y" is only in the third


def test_content_hash_tells_sets_apart() -> None:
    hashes = {
        read_quads(text, syntax="nquads").content_hash
        for text in (
            b"<a:a> <a:b> <a:c> .",
            b"<a:a> <a:b> <a:d> .",
            b'<a:a> <a:b> "c" .',
            b'<a:a> <a:b> "c"@en .',
            b'<a:a> <a:b> "c"@de .',
            b"<a:a> <a:b> <a:c> <a:c> .",
            b"",
        )
    }
    assert len(hashes) == 7


def test_nothing_at_all() -> None:
    quads = read_quads(b"", syntax="ntriples")
    assert len(quads) == len(quads.terms) == len(quads.literals) == 0
    assert list(quads.lines()) == []


def test_rows_of_a_property_are_found_without_a_copy_of_the_column() -> None:
    n = 1 << 20
    one, none = np.zeros(n, np.int32), pa.array([], pa.large_string())
    terms = pa.array(["http://a.org/a", "http://a.org/b"], pa.large_string())
    literals = Literals(none, one[:0], one[:0])
    quads = Quads(terms, one, np.repeat(np.int32([0, 1]), n // 2), one, one - 1, literals)
    tracemalloc.start()
    assert quads.rows_of("http://a.org/b") == slice(n // 2, n)
    assert tracemalloc.get_traced_memory()[1] < n
    tracemalloc.stop()
