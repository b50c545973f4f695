"""The vectorised lane gives exactly what the strict parser gives, for any text."""

from __future__ import annotations

import io

import pyoxigraph as ox
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from coldframe.kg.assemble import Block, assemble
from coldframe.kg.errors import ParseError
from coldframe.kg.guarded import Limits, RefusedError
from coldframe.kg.quads import BLANK_NODE_PREFIX, Quads, Source
from coldframe.kg.reader import name_blank_nodes, read_quads
from coldframe.kg.vectorised import encode, line_blocks

SYNTAXES = {"ntriples": ox.RdfFormat.N_TRIPLES, "nquads": ox.RdfFormat.N_QUADS}

iris = st.sampled_from(
    [
        "<http://a.org/x>",
        "<http://a.org/y#z>",
        "<https://b.org:8080/p?q=%20>",
        "<urn:isbn:123>",
        "<http://a.org/%zz>",
        "<http://a.org/é>",
        "<http://a.org/\\u00e9>",
        "<http://a.org/x y>",
        "<relative>",
        "<http://[bad>",
        "<>",
        "<http://a.org/x",
        "<http://a.org/#a#b>",
        "<mailto:a@b.org>",
        "<http://www.w3.org/1999/02/22-rdf-syntax-ns#langString>",
    ]
)
nodes = st.sampled_from(["_:a", "_:b1", "_:a.b", "_:a.", "_:-x", "_:é", "_:", "_:a#c", "_:a<x>"])
plain = ["", "plain", "two words", "see <http://a.org/x>", "x _:a", "# no comment", "dot .", "é€𝄞"]
escaped = ["\\n", "\\u00e9", "\\uD800", '\\"', "\\\\", "\\x", "tab\there", "a\x7fb", "nul\x00"]
values = st.one_of(
    st.sampled_from([*plain, *escaped]),
    st.text(max_size=8).map(lambda text: text.replace('"', "").replace("\\", "")),
)
languages = ["", "@en", "@EN", "@en-GB", "@de-AT-1996", "@en--ltr", "@x", "@toolongtag", "@"]
datatypes = [
    "^^<http://www.w3.org/2001/XMLSchema#string>",
    "^^<http://www.w3.org/2001/XMLSchema#date>",
    "^^<http://www.w3.org/1999/02/22-rdf-syntax-ns#langString>",
]
suffixes = st.sampled_from([*languages, *datatypes, "^^<no>", "^^", " ^^<a:b>"])
literals = st.builds(lambda value, suffix: f'"{value}"{suffix}', values, suffixes)
triple_terms = st.builds(
    lambda s, p, o: f"<<( {s} {p} {o} )>>", iris | nodes, iris, iris | literals
)
good_iri = st.sampled_from(["<http://a.org/x>", "<http://a.org/y>", "<http://a.org/z/1>"])
common = st.builds(
    lambda s, p, o: f"{s} {p} {o} .",
    good_iri,
    good_iri,
    good_iri | st.just('"v"') | st.just('"w"@en'),
)
blanks = st.sampled_from([" "] * 12 + ["  ", "\t", "", "\x0b", "\xa0"])
endings = st.sampled_from(
    [" ."] * 12 + [".", " . ", "", " . # c", " .#", " . .", " . # <a:b>", " ;"]
)
objects = st.one_of(iris, nodes, literals, triple_terms)
graphs = st.one_of(st.just(""), iris, nodes)


@st.composite
def odd_lines(draw: st.DrawFn) -> str:
    parts = [draw(iris | nodes), draw(blanks), draw(iris), draw(blanks), draw(objects)]
    graph = draw(graphs)
    if graph:
        parts += [draw(blanks), graph]
    return "".join([*parts, draw(endings)])


lines = st.one_of(common, common, odd_lines(), st.sampled_from(["", "# comment", " ", "<a:b>"]))
line_ends = st.sampled_from(["\n"] * 8 + ["\r\n", "\r", "\n\n"])
documents = st.lists(st.tuples(lines, line_ends), max_size=8).map(
    lambda parts: "".join(line + end for line, end in parts)
)


def expected(data: bytes, syntax: str) -> list[ox.Quad] | SyntaxError:
    """What the strict parser alone gives."""
    try:
        return list(ox.parse(data, SYNTAXES[syntax]))
    except SyntaxError as error:
        return error


def row(quad: ox.Quad) -> tuple[str, str, str, str]:
    return str(quad.subject), str(quad.predicate), str(quad.object), graph_text(quad)


def graph_text(quad: ox.Quad) -> str:
    return "" if isinstance(quad.graph_name, ox.DefaultGraph) else str(quad.graph_name)


def statements(quads: Quads) -> set[tuple[str, str, str, str]]:
    """The statements with blank nodes under their labels again."""
    found = set()
    for line in quads.lines():
        for q in ox.parse(line.encode(), ox.RdfFormat.N_QUADS):
            found.add(tuple(unnamed(term) for term in row(q)))
    return found


def unnamed(term: str) -> str:
    if not term.startswith(f"<{BLANK_NODE_PREFIX}"):
        return term
    return "_:" + term.removeprefix(f"<{BLANK_NODE_PREFIX}").split(":", 1)[1][:-1]


def check(data: bytes, syntax: str) -> None:
    truth = expected(data, syntax)
    if isinstance(truth, SyntaxError):
        with pytest.raises(ParseError) as caught:
            read_quads(data, syntax=syntax)
        number = int(caught.value.where.split(":")[1])
        if b"\r" not in data.replace(b"\r\n", b"\n"):  # a lone CR ends a statement but no line
            before, wrong = data.split(b"\n")[: number - 1], data.split(b"\n")[number - 1]
            assert isinstance(expected(b"\n".join(before), syntax), list)
            assert isinstance(expected(wrong, syntax), SyntaxError)
        return
    quads = read_quads(data, syntax=syntax)
    if any(isinstance(quad.object, ox.Triple) for quad in truth):
        return  # unfolding is tested by itself; here, that it is accepted
    assert statements(quads) == {row(quad) for quad in truth}
    assert len(quads) + quads.duplicates == len(truth)


@settings(max_examples=400, deadline=None)
@given(documents, st.sampled_from(sorted(SYNTAXES)))
@example("<http://a.org/x><http://a.org/y> <http://a.org/z> <http://a.org/w> .\n", "nquads")
@example('<http://a.org/x> <http://a.org/y> "a" . # <http://a.org/z> .\n', "nquads")
@example('<http://a.org/x> <http://a.org/y> "a <b"^^<http://a.org/z> .\n', "nquads")
@example('<http://a.org/x> <http://a.org/y> "a _:b"@en .\n', "nquads")
@example("<http://a.org/x> <http://a.org/y>  .\n", "ntriples")
@example(" <http://a.org/y> <http://a.org/z> .\n", "ntriples")
@example("<http://a.org/x> <http://a.org/x> <<( <a:b> <a:b> <a:b> )>> .\n", "nquads")
def test_same_as_the_strict_parser(text: str, syntax: str) -> None:
    check(text.encode("utf-8", "surrogatepass"), syntax)


@settings(max_examples=200, deadline=None)
@given(st.lists(common, min_size=1, max_size=6), st.data(), st.sampled_from(sorted(SYNTAXES)))
def test_same_after_any_damage(good: list[str], data: st.DataObject, syntax: str) -> None:
    raw = bytearray("\n".join(good).encode())
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(raw) - 1))
        raw[at : at + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=2))
    check(bytes(raw), syntax)


@settings(max_examples=120, deadline=None)
@given(st.lists(common | odd_lines(), min_size=1, max_size=12), st.integers(1, 200))
def test_size_of_blocks_changes_nothing(good: list[str], block_bytes: int) -> None:
    data = "\n".join(good).encode("utf-8", "surrogatepass")

    def read(size: int) -> list[str] | str:
        blocks: list[Block] = []
        try:
            line = 1
            for text in line_blocks(io.BytesIO(data), Limits(), size):
                found, lines = encode(text, 0, line, named=True, limits=Limits())
                blocks += found
                line += lines
        except RefusedError as refused:
            return f"{refused.line}:{refused.column}: {refused.message}"
        name_blank_nodes(blocks, f"{BLANK_NODE_PREFIX}x:", renumber=False)
        return list(assemble(blocks, [Source("x", "", 0)]).lines())

    assert read(block_bytes) == read(1 << 20)
