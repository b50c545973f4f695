"""SHACL: the columns find what pyshacl finds, and shapes cannot run code."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from coldframe.kg.errors import ParseError, SchemaError
from coldframe.kg.quads import Quads
from coldframe.kg.reader import read_quads
from coldframe.kg.shapes import check_shapes

PREFIXES = """@prefix ex: <https://example.org/> . @prefix sh: <http://www.w3.org/ns/shacl#> .
@prefix xsd: <http://www.w3.org/2001/XMLSchema#> .
@prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#> .
"""
SHAPES = (
    PREFIXES
    + """
ex:ItemShape a sh:NodeShape ; sh:targetClass ex:Item ;
    sh:property [ sh:path ex:title ; sh:minCount 1 ; sh:maxCount 1 ; sh:minLength 2 ; sh:maxLength 9 ;
                  sh:pattern "^[A-Z]" ; sh:nodeKind sh:Literal ] ;
    sh:property [ sh:path ex:price ; sh:datatype xsd:decimal ; sh:minInclusive 0 ; sh:maxExclusive 9 ] ;
    sh:property [ sh:path ex:maker ; sh:class ex:Maker ; sh:nodeKind sh:IRI ] ;
    sh:property [ sh:path ex:board ; sh:in ( "U" "PG" ex:none ) ] ;
    sh:property [ sh:path [ sh:inversePath ex:has ] ; sh:maxCount 1 ] ;
    sh:property [ sh:path ex:flag ; sh:hasValue true ] .
ex:Subjects sh:targetSubjectsOf ex:has ; sh:nodeKind sh:IRI ;
    sh:property [ sh:path ex:name ; sh:minCount 1 ] .
ex:Objects sh:targetObjectsOf ex:maker ; sh:class ex:Maker .
ex:One sh:targetNode ex:i1 ; sh:property [ sh:path ex:extra ; sh:maxCount 0 ] .
"""
)


def quads(tmp_path: Path, text: str) -> Quads:
    path = tmp_path / "data.ttl"
    path.write_text(PREFIXES + text)
    return read_quads(path)


def shapes(tmp_path: Path, text: str = SHAPES) -> Path:
    path = tmp_path / "shapes.ttl"
    path.write_text(text)
    return path


def random_data(seed: int) -> str:
    rng = np.random.default_rng(seed)
    lines = ["ex:Film rdfs:subClassOf ex:Item . ex:m0 a ex:Maker . ex:m1 a ex:Other ."]
    titles = ['"Good"', '"x"', '"lower"', '"Far too long"', '"Two"', "ex:iri", '"Ü"@de']
    prices = ["1.5", "-1.0", "9.0", "8.99", '"x"', "3", '"abc"^^xsd:decimal', "0.0"]
    for k in range(8):
        item = f"ex:i{k}"
        lines.append(f"{item} a {rng.choice(['ex:Item', 'ex:Film', 'ex:Other'])} .")
        for property, values, most in (
            ("title", titles, 2),
            ("price", prices, 2),
            ("maker", ["ex:m0", "ex:m1", '"m"', "ex:gone"], 2),
            ("board", ['"U"', '"PG"', '"X"', "ex:none", '"U"@en'], 2),
            ("flag", ["true", "false", '"true"'], 2),
            ("extra", ["1"], 1),
        ):
            for value in rng.choice(values, rng.integers(0, most + 1)):
                lines.append(f"{item} ex:{property} {value} .")
        for owner in rng.choice(["ex:o1", "ex:o2", "ex:o3"], rng.integers(0, 3)):
            lines.append(f"{owner} ex:has {item} .")
    lines.append('ex:o1 ex:name "n" .')
    return "\n".join(lines)


@pytest.mark.parametrize("seed", range(12))
def test_both_engines_find_the_same(tmp_path: Path, seed: int) -> None:
    pytest.importorskip("pyshacl")
    data, path = quads(tmp_path, random_data(seed)), shapes(tmp_path)
    found = {
        engine: sorted(
            (each.iri, each.property) for each in check_shapes(data, path, engine=engine)
        )
        for engine in ("pyshacl", "core")
    }
    assert len(found["core"]) > 5
    # pyshacl writes an inverse path as a blank node; the property itself is more use.
    known = {
        (iri, property) for iri, property in found["pyshacl"] if "://" in property or not property
    }
    inverse = "https://example.org/has"
    assert {pair for pair in found["core"] if pair[1] != inverse} == known
    turned = {iri for iri, property in found["pyshacl"] if property and "://" not in property}
    assert {iri for iri, property in found["core"] if property == inverse} == turned


def test_a_finding_names_node_property_value_and_file(tmp_path: Path) -> None:
    data = quads(tmp_path, 'ex:i1 a ex:Item ; ex:title "x" ; ex:flag true .')
    (found,) = [
        each
        for each in check_shapes(data, shapes(tmp_path), engine="core")
        if "minLength" in each.message
    ]
    assert found.iri == "https://example.org/i1"
    assert found.property == "https://example.org/title"
    assert found.where == str(tmp_path / "data.ttl")
    assert '"x"' in found.message


def test_clean_data_passes(tmp_path: Path) -> None:
    pytest.importorskip("pyshacl")
    data = quads(
        tmp_path,
        'ex:i1 a ex:Item ; ex:title "Good" ; ex:price 1.5 ; ex:maker ex:m ; ex:flag true . '
        "ex:m a ex:Maker .",
    )
    for engine in ("pyshacl", "core", "auto"):
        assert check_shapes(data, shapes(tmp_path), engine=engine) == []


@pytest.mark.parametrize(
    "text",
    [
        'ex:S a sh:NodeShape ; sh:targetClass ex:Item ; sh:sparql [ sh:select "SELECT $this {}" ] .',
        "<http://x> <http://www.w3.org/2002/07/owl#imports> <http://127.0.0.1:9/shapes> .",
        'ex:S sh:target [ a sh:SPARQLTarget ; sh:select "SELECT ?this {}" ] .',
        "ex:S sh:rule [] .",
        "ex:S sh:js [] .",
    ],
)
@pytest.mark.parametrize("engine", ["core", "auto"])
def test_shapes_that_run_or_fetch_are_refused(tmp_path: Path, text: str, engine: str) -> None:
    data = quads(tmp_path, "ex:i1 a ex:Item .")
    with pytest.raises(SchemaError, match="refused"):
        check_shapes(data, shapes(tmp_path, PREFIXES + text), engine=engine)


def test_unknown_constraints_are_never_passed_over(tmp_path: Path) -> None:
    data = quads(tmp_path, "ex:i1 a ex:Item .")
    for text in (
        "sh:closed true",
        "sh:or ( [] )",
        "sh:property [ sh:path ( ex:a ex:b ) ; sh:minCount 1 ]",
    ):
        path = shapes(
            tmp_path, PREFIXES + f"ex:S a sh:NodeShape ; sh:targetClass ex:Item ; {text} ."
        )
        with pytest.raises(SchemaError):
            check_shapes(data, path, engine="core")
    with pytest.raises(SchemaError, match="no shape"):
        check_shapes(data, shapes(tmp_path, PREFIXES), engine="core")


def test_a_shapes_file_that_is_no_turtle(tmp_path: Path) -> None:
    with pytest.raises(ParseError, match=r"shapes\.ttl:1"):
        check_shapes(quads(tmp_path, "ex:i1 a ex:Item ."), shapes(tmp_path, "not turtle"))


def test_a_number_bomb_is_not_evaluated(tmp_path: Path) -> None:
    pytest.importorskip("pyshacl")
    data = quads(
        tmp_path, 'ex:i1 a ex:Item ; ex:price "1e300000000"^^xsd:decimal ; ex:title "Good" .'
    )
    found = check_shapes(data, shapes(tmp_path), engine="pyshacl")
    assert any(each.property.endswith("price") for each in found)


@pytest.mark.R(9)
def test_shapes_that_would_crash_a_parser_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "deep.ttl"
    path.write_text("<<( <a:s> <a:p> " * 100_000)
    with pytest.raises(ParseError):
        check_shapes(quads(tmp_path, ""), path)


@pytest.mark.parametrize("engine", ["pyshacl", "core"])
def test_flags_and_what_is_switched_off(tmp_path: Path, engine: str) -> None:
    data = quads(tmp_path, 'ex:a a ex:T ; ex:p "abc" . ex:b a ex:T ; ex:p "xyz" .')
    shapes = tmp_path / "shapes.ttl"
    pattern = 'sh:property [ sh:path ex:p ; sh:pattern "^A" ; sh:flags "i" ]'
    off = "sh:property [ sh:path ex:q ; sh:minCount 1 ; sh:deactivated true ]"
    shapes.write_text(f"{PREFIXES} ex:S sh:targetClass ex:T ; {pattern} ; {off} .")
    assert [found.iri for found in check_shapes(data, shapes, engine=engine)] == [
        "https://example.org/b"
    ]
    shapes.write_text(f"{PREFIXES} ex:S sh:targetClass ex:T ; sh:deactivated true ; {pattern} .")
    assert not check_shapes(data, shapes, engine=engine)


@pytest.mark.parametrize("engine", ["core", "pyshacl"])
def test_a_value_that_nodes_themselves_must_be(tmp_path: Path, engine: str) -> None:
    text = 'ex:Titles sh:targetObjectsOf ex:title ; sh:hasValue "x\\t\\u0001" .'
    data = quads(
        tmp_path, 'ex:a ex:title "x\\t\\u0001" . ex:b ex:title "z" . ex:c ex:title ex:zz .'
    )
    found = check_shapes(data, shapes(tmp_path, PREFIXES + text), engine=engine)
    assert [problem.iri for problem in found] == ["https://example.org/zz", "z"]


def test_shapes_within_property_shapes_are_never_passed_over(tmp_path: Path) -> None:
    inner = "sh:property [ sh:path ex:p ; sh:property [ sh:path ex:q ; sh:minCount 1 ] ]"
    shapes = tmp_path / "shapes.ttl"
    shapes.write_text(f"{PREFIXES} ex:S sh:targetClass ex:T ; {inner} .")
    with pytest.raises(SchemaError, match="within a property shape"):
        check_shapes(quads(tmp_path, "ex:a a ex:T ."), shapes, engine="core")


WRONG = [
    ('sh:path ex:title ; sh:pattern "["', "pattern"),
    ('sh:path ex:title ; sh:minCount "x"', "minCount"),
    ("sh:path ex:title ; sh:maxCount 1.5", "maxCount"),
    ('sh:path ex:title ; sh:minLength "long"', "minLength"),
    ("sh:path ex:title ; sh:nodeKind ex:Odd", "nodeKind"),
    ("sh:path ex:title ; sh:in 3", "sh:in"),
    ("sh:minCount 1", "sh:path"),
    ('sh:path "title" ; sh:minCount 1', "sh:path"),
    ('sh:path ex:title ; sh:datatype "x"', "datatype"),
    ('sh:path ex:title ; sh:minInclusive "x"', "minInclusive"),
    ('sh:path ex:title ; sh:pattern "a" ; sh:flags "q"', "flags"),
]


def with_constraint(tmp_path: Path, constraint: str) -> tuple[Quads, Path]:
    text = (
        f"{PREFIXES} ex:S a sh:NodeShape ; sh:targetClass ex:Item ; sh:property [ {constraint} ] ."
    )
    return quads(tmp_path, 'ex:a a ex:Item ; ex:title "t" .'), shapes(tmp_path, text)


@pytest.mark.parametrize(("constraint", "message"), WRONG)
def test_wrong_values_are_one_clear_error(tmp_path: Path, constraint: str, message: str) -> None:
    data, path = with_constraint(tmp_path, constraint)
    with pytest.raises(SchemaError, match=message) as caught:
        check_shapes(data, path, engine="core")
    assert str(caught.value.where).startswith(str(path))
    assert caught.value.hint


@pytest.mark.parametrize("constraint", [WRONG[k][0] for k in (0, 1, 2, 3, 6, 7)])
def test_errors_of_pyshacl_are_one_clear_error(tmp_path: Path, constraint: str) -> None:
    pytest.importorskip("pyshacl")
    data, path = with_constraint(tmp_path, constraint)
    with pytest.raises(SchemaError, match="cannot be used") as caught:
        check_shapes(data, path, engine="pyshacl")
    assert str(caught.value.where) == str(path)
    assert caught.value.hint


def test_a_list_that_never_ends_is_refused(tmp_path: Path) -> None:
    text = f"""{PREFIXES} @prefix rdf: <http://www.w3.org/1999/02/22-rdf-syntax-ns#> .
    ex:S sh:targetClass ex:Item ; sh:property [ sh:path ex:title ; sh:in _:l ] .
    _:l rdf:first "a" ; rdf:rest _:l ."""
    with pytest.raises(SchemaError, match="not a list that ends") as caught:
        check_shapes(quads(tmp_path, "ex:a a ex:Item ."), shapes(tmp_path, text), engine="core")
    assert "example.org/S" in str(caught.value.where)


@pytest.mark.parametrize("engine", ["pyshacl", "core"])
def test_blank_nodes_are_blank_for_every_engine(tmp_path: Path, engine: str) -> None:
    text = "ex:T a sh:NodeShape ; sh:targetClass ex:T ; sh:property [ sh:path ex:p ; sh:nodeKind sh:IRI ] ."
    data = quads(tmp_path, "ex:a a ex:T ; ex:p [ ex:q 1 ] . ex:b a ex:T ; ex:p ex:c .")
    found = check_shapes(data, shapes(tmp_path, PREFIXES + text), engine=engine)
    assert [each.iri for each in found] == ["https://example.org/a"]
