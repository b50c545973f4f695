"""Lists and classes of any shape, circles included, against plain walks over the same statements."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from coldframe.kg.lists import Lists
from coldframe.kg.reader import read_quads
from coldframe.kg.schema import Hop
from coldframe.kg.statements import Statements
from coldframe.kg.subclasses import with_subclasses

RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
EX = "https://example.org/"
NODES = st.integers(0, 6)


@settings(deadline=None)
@given(
    after=st.dictionaries(NODES, st.none() | NODES, max_size=7),
    edges=st.sets(st.tuples(NODES, NODES), min_size=1, max_size=9),
)
def test_members_are_those_that_a_walk_finds(
    after: dict[int, int | None], edges: set[tuple[int, int]]
) -> None:
    lines = [f"<{EX}s{a}> <{EX}p> <{EX}l{b}> ." for a, b in edges]
    for cell, rest in after.items():
        end = f"{RDF}nil" if rest is None else f"{EX}l{rest}"
        lines += [f'<{EX}l{cell}> <{RDF}first> "{cell}" .', f"<{EX}l{cell}> <{RDF}rest> <{end}> ."]
    statements = Statements(read_quads("\n".join([*lines, ""]).encode(), syntax="ntriples"))
    found, circular = Lists(statements).expand(statements.pairs(Hop(f"{EX}p")))
    expected, left = set(), set()
    for start, head in edges:
        members: list[str] = []
        at: int | None = head
        while at in after and len(members) <= len(after):
            members.append(f'"{at}"')
            at = after[at]
        if len(members) > len(after):
            left.add((f"{EX}s{start}", f"{EX}l{head}"))
        else:
            expected |= {(f"{EX}s{start}", end) for end in members or [f"{EX}l{head}"]}

    def named(starts: np.ndarray, ends: np.ndarray) -> set[tuple[str, str]]:
        quads = statements.quads
        return {
            (quads.term(int(a)), quads.term(int(b)) if b >= 0 else quads.literal_text(-int(b) - 1))
            for a, b in zip(starts, ends, strict=True)
        }

    assert named(found.start, found.end) == expected
    assert named(circular.start, circular.end) == left


@settings(deadline=None)
@given(
    edges=st.lists(st.tuples(NODES, NODES), max_size=12),
    classes=st.sets(NODES),
    apart=st.sets(NODES),
)
def test_subclasses_are_those_that_a_walk_finds(
    edges: list[tuple[int, int]], classes: set[int], apart: set[int]
) -> None:
    below, above = np.array(edges, np.int32).reshape(-1, 2).T
    expected, open_ = set(classes), list(classes)
    while open_:
        top = open_.pop()
        more = {a for a, b in edges if b == top} - expected - apart
        expected |= more
        open_ += more
    assert with_subclasses(below, above, classes, apart) == sorted(expected)
