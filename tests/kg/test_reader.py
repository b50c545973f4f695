"""Every syntax and every wrapping gives the same statements."""

from __future__ import annotations

import bz2
import gzip
import lzma
import zipfile
from pathlib import Path

import pyoxigraph as ox
import pytest
import rdflib
import zstandard

from coldframe.kg.errors import DataError, ParseError, UsageError
from coldframe.kg.guarded import Limits
from coldframe.kg.quads import Quads
from coldframe.kg.reader import read_quads
from coldframe.kg.schema import RDF

TURTLE = """
@prefix a: <http://a.org/> .
a:rose a a:Item ; a:title "Rose \\"Red\\""@en-GB, "Rosé"@fr ; a:price 4.5 ; a:n 7 .
a:tulip a a:Item ; a:note "two\\nlines" ; a:sold true .
"""
PREFIX = "<http://a.org/"


@pytest.fixture
def quads() -> Quads:
    return read_quads(TURTLE.encode(), syntax="turtle")


def in_syntax(name: str) -> bytes:
    store = list(ox.parse(TURTLE.encode(), ox.RdfFormat.TURTLE))
    formats = {
        "nt": ox.RdfFormat.N_TRIPLES,
        "nq": ox.RdfFormat.N_QUADS,
        "ttl": ox.RdfFormat.TURTLE,
        "trig": ox.RdfFormat.TRIG,
        "rdf": ox.RdfFormat.RDF_XML,
        "xml": ox.RdfFormat.RDF_XML,
        "jsonld": ox.RdfFormat.JSON_LD,
    }
    formats |= {"owl": ox.RdfFormat.RDF_XML, "n3": ox.RdfFormat.N_TRIPLES}
    data = ox.serialize(store, format=formats[name])
    assert data is not None
    return data


@pytest.mark.parametrize("suffix", ["nt", "nq", "ttl", "trig", "rdf", "xml", "owl", "jsonld", "n3"])
def test_every_syntax_by_suffix(tmp_path: Path, quads: Quads, suffix: str) -> None:
    path = tmp_path / f"data.{suffix}"
    path.write_bytes(in_syntax(suffix))
    found = read_quads(path)
    assert list(found.lines()) == list(quads.lines())
    assert found.content_hash == quads.content_hash


@pytest.mark.parametrize("suffix", ["n3", "owl"])
def test_suffixes_that_also_hold_turtle(tmp_path: Path, quads: Quads, suffix: str) -> None:
    path = tmp_path / f"data.{suffix}"
    path.write_text(TURTLE)
    assert read_quads(path).content_hash == quads.content_hash


@pytest.mark.parametrize("syntax", ["nt", "ttl", "rdf"])
@pytest.mark.parametrize(
    "wrap", ["gz", "bz2", "xz", "zst", "zip", "gz in zip", "two gz", "two xz", "two zst"]
)
def test_every_compression(tmp_path: Path, quads: Quads, wrap: str, syntax: str) -> None:
    data = in_syntax(syntax)
    pack = {
        "gz": gzip.compress,
        "bz2": bz2.compress,
        "xz": lzma.compress,
        "zst": zstandard.ZstdCompressor().compress,
    }
    path = tmp_path / f"data.{syntax}.{wrap.split()[-1]}"
    if wrap.endswith("zip"):
        inner = gzip.compress(data) if "gz" in wrap else data
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("notes.txt", "not RDF")
            archive.writestr(f"deep/data.{syntax}" + ".gz" * ("gz" in wrap), inner)
    elif wrap.startswith("two"):
        packer = pack[wrap.split()[1]]
        path.write_bytes(packer(data[:50]) + packer(data[50:]))
    else:
        path.write_bytes(pack[wrap](data))
    found = read_quads(path)
    assert found.content_hash == quads.content_hash
    if wrap == "zip":
        assert found.sources[0].path == f"{path}!deep/data.{syntax}"
    assert found.sources[0].sha256 == __import__("hashlib").sha256(data).hexdigest()


def write_parts(folder: Path) -> list[Path]:
    (folder / "sub").mkdir()
    paths = [folder / "b.nt", folder / "a.ttl", folder / "sub" / "c.nq"]
    paths[0].write_text(
        '<http://a.org/x> <http://a.org/p> "b" .\n<http://a.org/x> <http://a.org/p> "all" .\n'
    )
    paths[1].write_text('<http://a.org/x> <http://a.org/p> "a", "all" .')
    paths[2].write_text(
        '<http://a.org/x> <http://a.org/p> "c" .\n<http://a.org/x> <http://a.org/p> "all" .\n'
    )
    (folder / "readme.md").write_text("no RDF")
    (folder / ".hidden.nt").write_text("broken")
    return paths


def test_folders_globs_and_lists_agree_in_any_order(tmp_path: Path) -> None:
    paths = write_parts(tmp_path)
    whole = read_quads(tmp_path)
    assert len(whole) == 4
    assert whole.duplicates == 2
    assert [Path(source.path).name for source in whole.sources] == ["a.ttl", "b.nt", "c.nq"]
    for source in (
        paths,
        paths[::-1],
        [str(path) for path in paths] + [tmp_path],
        f"{tmp_path}/**/*.[nt]*",
    ):
        found = read_quads(source)
        assert found.content_hash == whole.content_hash
        assert found.duplicates == whole.duplicates
        assert found.sources == whole.sources
    origins = {found.row_text(row): Path(found.source_of(row)).name for row in range(4)}
    assert sorted(origins.values()) == ["a.ttl", "a.ttl", "b.nt", "c.nq"]


def test_what_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "x.csv").write_text("a")
    for source in ("none.nt", "empty", "*.nt", "x.csv"):
        with pytest.raises(DataError):
            read_quads(tmp_path / source)
    with pytest.raises(UsageError, match="turtel"):
        read_quads(b"", syntax="turtel")
    with pytest.raises(UsageError):
        read_quads(b"")


def test_syntax_overrules_the_suffix(tmp_path: Path, quads: Quads) -> None:
    path = tmp_path / "data.txt"
    path.write_text(TURTLE)
    assert read_quads(path, syntax="turtle").content_hash == quads.content_hash


def test_blank_nodes_belong_to_the_content_of_their_file(tmp_path: Path) -> None:
    for name, text in (
        ("a.nt", '_:x <http://a.org/p> "1" .\n'),
        ("b.nt", '_:x <http://a.org/p> "2" .\n'),
        ("copy of a.nt", '_:x <http://a.org/p> "1" .\n'),
        ("c.ttl", "@prefix a: <http://a.org/> . [] a:p [ a:p 1 ], (1 2) . _:x a:p _:x ."),
    ):
        (tmp_path / name).write_text(text)
    quads = read_quads(tmp_path)
    subjects = {line.split()[0] for line in quads.lines() if '"1" .' in line or '"2" .' in line}
    assert len(subjects) == 2
    assert quads.duplicates == 1
    assert read_quads(tmp_path).content_hash == quads.content_hash
    assert all(term.count(":") == 4 for term in quads.terms.to_pylist() if term.startswith("urn:"))


def test_annotations_become_reified_statements() -> None:
    text = """@prefix a: <http://a.org/> .
        a:ann a:rated a:rose {| a:rating 5 ; a:time 9 |} .
        a:e <http://www.w3.org/1999/02/22-rdf-syntax-ns#reifies> <<( a:bob a:rated a:tulip )>> ; a:rating 1 .
        a:claim a:about <<( a:s a:p <<( a:x a:y a:z )>> )>> ."""
    for syntax in ("turtle", "ntriples"):
        data = text.encode()
        if syntax == "ntriples":
            data = (
                ox.serialize(ox.parse(data, ox.RdfFormat.TURTLE), format=ox.RdfFormat.N_TRIPLES)
                or b""
            )
        quads = read_quads(data, syntax=syntax)
        lines = list(quads.lines())
        statements = {line.split()[0] for line in lines if line.endswith(f"<{RDF}Statement> .")}
        assert len(statements) == 4
        assert f"{PREFIX}ann> {PREFIX}rated> {PREFIX}rose> ." in lines
        assert f"{PREFIX}bob> {PREFIX}rated> {PREFIX}tulip> ." not in lines
        e = {line for line in lines if line.startswith(f"{PREFIX}e>")}
        assert f"{PREFIX}e> <{RDF}subject> {PREFIX}bob> ." in e
        assert f"{PREFIX}e> <{RDF}predicate> {PREFIX}rated> ." in e
        assert f"{PREFIX}e> <{RDF}object> {PREFIX}tulip> ." in e
        assert len(e) == 5
        annotated = next(line for line in lines if f"<{RDF}object> {PREFIX}rose>" in line).split()[
            0
        ]
        assert sum(line.startswith(f"{annotated} ") for line in lines) == 6
        outer = next(line for line in lines if line.startswith(f"{PREFIX}claim>")).split()[2]
        inner = next(line for line in lines if line.startswith(f"{outer} <{RDF}object>")).split()[2]
        assert f"{inner} <{RDF}object> {PREFIX}z> ." in lines


def test_rdflib_graphs_and_datasets(quads: Quads) -> None:
    graph = rdflib.Graph()
    graph.parse(data=TURTLE, format="turtle")
    assert read_quads(graph).content_hash == quads.content_hash
    dataset = rdflib.Dataset()
    dataset.parse(data=TURTLE, format="turtle")
    assert read_quads(dataset).content_hash == quads.content_hash
    named = dataset.graph(rdflib.URIRef("http://a.org/g"))
    named.add((rdflib.URIRef("http://a.org/x"), rdflib.RDF.type, rdflib.BNode("b")))
    lines = set(read_quads(dataset).lines()) - set(quads.lines())
    assert lines == {f"{PREFIX}x> <{RDF}type> <urn:coldframe:bnode:rdflib:b> {PREFIX}g> ."}


def test_rdflib_terms_that_no_file_can_hold() -> None:
    graph = rdflib.Graph()
    graph.add((rdflib.URIRef("no iri"), rdflib.RDF.type, rdflib.Literal("x")))
    with pytest.raises(DataError, match="not valid RDF"):
        read_quads(graph)


def test_relative_iris_need_a_base() -> None:
    with pytest.raises(ParseError, match="base_iri"):
        read_quads(b"<x> <y> <z> .", syntax="turtle")
    found = read_quads(b"<x> <y> <z> .", syntax="turtle", base_iri="http://a.org/")
    assert list(found.lines()) == [f"{PREFIX}x> {PREFIX}y> {PREFIX}z> ."]


@pytest.mark.parametrize(
    ("name", "text", "place"),
    [
        ("a.nt", '<a:a> <a:b> "ok" .\n# c\n<a:a> <a:b> "no .\n', "3:"),
        ("a.nt", '<a:a> <a:b> "ok" .\n<a:a> <b> "ok" .\n', "2:7"),
        ("a.nq", '<a:a> <a:b> "ok" .\n\n<a:a> <a:b> "ok" "g" .\n', "3:"),
        ("a.ttl", "@prefix a: <http://a.org/> .\na:x a:y a:z ;;\n  b:c 1 .\n", "3:"),
        ("a.trig", "<a:g> {\n <a:a> <a:b> }\n", "2:"),
        ("a.rdf", "<?xml version='1.0'?>\n<a>\n <b></a>\n", "3:"),
        ("a.jsonld", '{\n "@id": "http://a.org/x",\n "http://a.org/p": [1,]\n}', "3:"),
    ],
)
def test_errors_name_file_line_and_column(tmp_path: Path, name: str, text: str, place: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(ParseError) as caught:
        read_quads(tmp_path / name)
    assert caught.value.where.startswith(f"{tmp_path / name}:{place}")
    assert caught.value.where.count(":") == 2
    assert "Parser error at" not in caught.value.message


def test_progress_and_limits_on_statements(tmp_path: Path) -> None:
    path = tmp_path / "a.nt"
    path.write_text("".join(f"<a:a> <a:b> <a:n{i}> .\n" for i in range(100)))
    seen: list[tuple[str, int]] = []
    read_quads(path, progress=lambda name, n: seen.append((name, n)))
    assert seen == [(str(path), 100)]
    with pytest.raises(ParseError, match="99 statements"):
        read_quads(path, limits=Limits(statements=99))


def test_windows_line_ends(quads: Quads) -> None:
    data = in_syntax("nt").replace(b"\n", b"\r\n")
    assert read_quads(data, syntax="nt").content_hash == quads.content_hash


@pytest.mark.parametrize("suffix", ["gz", "bz2", "xz", "zst"])
@pytest.mark.parametrize("harm", ["cut", "second stream damaged"])
def test_what_is_packed_must_be_whole(tmp_path: Path, suffix: str, harm: str) -> None:
    """Also where the part that can be unpacked ends with a line."""
    pack = {
        "gz": gzip.compress,
        "bz2": bz2.compress,
        "xz": lzma.compress,
        "zst": zstandard.ZstdCompressor().compress,
    }[suffix]
    text = b"".join(b"<http://a/%d> <http://a/p> <http://a/o> .\n" % k for k in range(30_000))
    if harm == "cut":
        packed = pack(text)[:-9]
    else:
        packed = pack(text) + b"!" * 12 + pack(text)
    path = tmp_path / f"data.nt.{suffix}"
    path.write_bytes(packed)
    with pytest.raises(ParseError):
        read_quads(path)


RELATIVE = b"""{"@context": {"p": "http://a.org/p", "q": {"@id": "http://a.org/q", "@type": "@id"}},
"@graph": [{"@id": "x", "p": 1, "q": "y"}, {"@id": "http://a.org/z", "p": 2, "q": "y"}]}"""


def test_relative_iris_of_json_ld_are_an_error_that_counts_them() -> None:
    with pytest.raises(ParseError, match="3 statements have relative IRIs") as caught:
        read_quads(RELATIVE, syntax="jsonld")
    assert "--base-iri" in caught.value.hint
    assert len(read_quads(RELATIVE, syntax="jsonld", base_iri="http://b.org/")) == 4
    own_base = RELATIVE.replace(b'{"p":', b'{"@base": "http://b.org/", "p":', 1)
    assert len(read_quads(own_base, syntax="jsonld")) == 4


def test_an_empty_xml_lang_is_named() -> None:
    text = b"""<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns:e="http://e.org/">
    <rdf:Description rdf:about="http://e.org/a"><e:t xml:lang="">hi</e:t></rdf:Description></rdf:RDF>"""
    with pytest.raises(ParseError) as caught:
        read_quads(text, syntax="rdfxml")
    assert 'xml:lang=""' in caught.value.hint


def test_an_archive_of_many_members_is_opened_a_few_times(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with zipfile.ZipFile(tmp_path / "many.zip", "w") as archive:
        for k in range(50):
            archive.writestr(f"{k}.nt", f"<http://a.org/{k}> <http://a.org/p> <http://a.org/o> .\n")
    opened, real = [], zipfile.ZipFile
    monkeypatch.setattr(zipfile, "ZipFile", lambda path: opened.append(path) or real(path))
    assert len(read_quads(tmp_path)) == 50
    assert len(opened) <= 2
    with real(tmp_path / "many.zip", "w") as archive:
        archive.writestr("other.nt", "<http://a.org/x> <http://a.org/p> <http://a.org/o> .\n")
    assert len(read_quads(tmp_path)) == 1, "another archive of the same name"


@pytest.mark.parametrize("syntax", ["ntriples", "turtle"])
def test_a_term_beyond_the_parser_is_a_parse_error_whatever_the_limit(syntax: str) -> None:
    text = b'<urn:a:b> <urn:a:c> "1" .\n<urn:a:b> <urn:a:c> "%s" .\n' % (rb"\n" * (9 << 20))
    limits = Limits(statement_bytes=1 << 30, child_memory=1 << 30)
    with pytest.raises(ParseError, match="more than 16 MiB"):
        read_quads(text, syntax=syntax, limits=limits)
