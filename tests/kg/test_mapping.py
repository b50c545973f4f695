"""RDF to a graph: types, paths, events, merging, closures, literals, and what is reported."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from coldframe.kg.append import append
from coldframe.kg.cache import read_graph, write_graph
from coldframe.kg.errors import DataError
from coldframe.kg.graph import Graph
from coldframe.kg.mapping import graph_from_quads
from coldframe.kg.reader import read_quads
from coldframe.kg.report import LISTED_PER_KIND, Report
from coldframe.kg.schema import Schema

EX = "https://example.org/"
HEAD = f'[prefixes]\nex = "{EX}"\n'
PREFIXES = f"@prefix : <{EX}> . @prefix owl: <http://www.w3.org/2002/07/owl#> .\n"


def build(schema: str, turtle: str) -> tuple[Graph, Report]:
    """The graph of some Turtle."""
    quads = read_quads((PREFIXES + turtle).encode(), syntax="turtle")
    return graph_from_quads(quads, Schema.loads(schema, source="s.toml"))


def names(graph: Graph, node_type: str) -> list[str]:
    """Local names of the nodes of a type."""
    return [iri.removeprefix(EX) for iri in graph.nodes[node_type].vocabulary]


def pairs(graph: Graph, source: str, relation: str, target: str) -> list[tuple[str, str]]:
    """Edges by local names."""
    index = graph.edges[source, relation, target].index
    left, right = names(graph, source), names(graph, target)
    return [(left[s], right[t]) for s, t in index.T]


ITEM = 'items = "item"\n' + HEAD + '[nodes.item]\nclass = "ex:Item"\n'


def test_a_path_of_two_hops_and_one_turned_round() -> None:
    schema = ITEM + (
        '[nodes.maker]\n[relations.maker]\npath = "ex:made/ex:by"\nfrom = "item"\nto = "maker"\n'
        '[relations.shown]\npath = "^ex:shows"\nfrom = "item"\nto = "maker"\n'
    )
    graph, _ = build(
        schema,
        ":a a :Item ; :made [ :by :x , :y ] . :b a :Item ; :made :p . :p :by :x . :q :by :z . :z :shows :b .",
    )
    assert pairs(graph, "item", "maker", "maker") == [("a", "x"), ("a", "y"), ("b", "x")]
    assert pairs(graph, "item", "shown", "maker") == [("b", "z")]
    assert names(graph, "maker") == ["x", "y", "z"]


def test_inverse_pairs_become_one_relation() -> None:
    schema = ITEM + (
        '[nodes.tag]\n[relations.tag]\nproperty = "ex:tag"\nfrom = "item"\nto = "tag"\n'
        'inverse = "ex:tagOf"\n'
    )
    graph, report = build(schema, ":a a :Item ; :tag :t . :t :tagOf :a , :b . :b a :Item .")
    assert pairs(graph, "item", "tag", "tag") == [("a", "t"), ("b", "t")]
    assert list(graph.edges) == [("item", "tag", "tag")]
    assert report.unused == {}


def test_same_things_are_merged_before_they_get_ids() -> None:
    schema = (
        'same_as = ["owl:sameAs"]\n'
        + ITEM
        + (
            'number.size = "ex:size"\n[relations.near]\nproperty = "ex:near"\nfrom = "item"\n'
            'to = "item"\n'
        )
    )
    graph, report = build(
        schema,
        ":m a :Item ; owl:sameAs :a , :k . :z owl:sameAs :m ; :size 3 . :n a :Item ; :near :k ."
        ":p a :Item . :p owl:sameAs :p2 .",
    )
    assert names(graph, "item") == ["m", "n", "p"]
    assert pairs(graph, "item", "near", "item") == [("n", "m")]
    assert graph.nodes["item"].numbers["size"].tolist()[0] == 3
    assert report.same_as == (4, 2)


def test_a_component_beyond_belief_is_left_alone() -> None:
    schema = 'same_as = ["ex:other", "owl:sameAs"]\n' + ITEM
    chain = " ".join(f":i{k} a :Item ; owl:sameAs :i{k + 1} ." for k in range(1001))
    graph, report = build(schema, chain)
    assert graph.n_items == 1001
    assert report.totals == {("same-as-too-large", "http://www.w3.org/2002/07/owl#sameAs"): 1}


def test_a_closure_adds_every_ancestor_and_bears_cycles() -> None:
    schema = ITEM + (
        '[nodes.topic]\n[relations.broader]\nproperty = "ex:broader"\nfrom = "topic"\nto = "topic"\n'
        "closure = true\n"
    )
    graph, _ = build(
        schema, ":i a :Item . :a :broader :b . :b :broader :c . :c :broader :d . :d :broader :c ."
    )
    found = set(pairs(graph, "topic", "broader", "topic"))
    want = {("a", b) for b in "bcd"} | {("b", "c"), ("b", "d"), ("c", "d"), ("d", "c")}
    assert found == want


def test_events_with_their_attributes_and_what_is_left_out() -> None:
    schema = (
        'items = "item"\nsplits = ["train", "test"]\n' + HEAD + '[nodes.item]\nclass = "ex:Item"\n'
        '[nodes.user]\nclass = "ex:User"\n[events.rating]\nclass = "ex:Rating"\nuser = "ex:by"\n'
        'item = "ex:of"\nrating = "ex:stars"\ntime = "ex:at"\nsplit = "ex:part"\npositive = 4\n'
        '[events.viewed]\nproperty = "ex:viewed"\ninverse = "ex:viewedBy"\n'
        '[events.hidden]\nproperty = "ex:hid"\nnegative = true\n'
    )
    graph, report = build(
        schema,
        ":a a :Item . :b a :Item . :u a :User ; :viewed :b , :nothing ; :hid :a . :b :viewedBy :u ."
        ':e1 a :Rating ; :by :u ; :of :a ; :stars 5 ; :at "1970-01-01T00:01:00Z" ; :part "test" .'
        ":e2 a :Rating ; :by :u ; :of :b ; :stars 1.5 ; :part :train ."
        ':e3 a :Rating ; :by :u ; :of :b ; :stars "many" .'
        ":e4 a :Rating ; :of :b ; :stars 1 . :e5 a :Rating ; :by :b ; :of :b ; :stars 2 ."
        ":e6 a :Rating ; :by :u ; :of :a , :b ; :stars 4 ; :part <urn:part:test> .",
    )
    rows = graph.interactions
    got = list(zip(rows.item.tolist(), rows.label.tolist(), rows.split.tolist(), strict=True))
    assert got == [(0, 1, 1), (0, 1, 1), (0, 0, -1), (1, 0, 0), (1, 1, -1)]
    assert rows.split_names == ("train", "test")
    assert np.nanmax(rows.time) == 60
    found = {(p.kind, p.iri.removeprefix(EX)) for p in report.problems}
    assert found == {
        ("bad-rating", "e3"),
        ("no-rating", "e3"),
        ("missing-end", "e4"),
        ("dangling-iri", "e5"),
        ("dangling-iri", "u"),
        ("several-values", "e6"),
    }
    assert report.edges == {"rating": 3, "viewed": 1, "hidden": 1}


def test_annotations_are_events_with_attributes() -> None:
    """RDF 1.2: what is said of a statement comes as roles of an event."""
    schema = ITEM + (
        '[nodes.user]\n[events.rated]\nclass = "rdf:Statement"\nuser = "rdf:subject"\n'
        'item = "rdf:object"\nrating = "ex:stars"\ntime = "ex:at"\npositive = 3\n'
    )
    graph, report = build(
        schema,
        ":a a :Item . :b a :Item . :u :rated :a {| :stars 5 ; :at 9 |} , :b {| :stars 2 |} ."
        " :v :rated :a ~ :again {| :stars 4 |} .",
    )
    rows = graph.interactions
    assert [names(graph, "user")[u] for u in rows.user] == ["u", "u", "v"]
    assert [names(graph, "item")[i] for i in rows.item] == ["a", "b", "a"]
    assert (rows.rating.tolist(), rows.label.tolist()) == ([5, 2, 4], [1, 0, 1])
    assert (rows.time[0], np.isnan(rows.time[1:]).all()) == (9, True)
    assert not report.problems


def test_literals_become_features_and_problems() -> None:
    schema = ITEM + (
        'text.title = "ex:title"\ntext.all = { property = "ex:title", languages = ["de"], join = true }\n'
        'number.size = "ex:size"\ndate.made = "ex:made"\ncategory.kind = "ex:kind"\n'
    )
    graph, report = build(
        schema,
        ':a a :Item ; :title "Rose"@de , "rose"@en-gb , "Roses" , "Alte"@de ; :size "x" , 2 , 3 ;'
        ' :made "2020-02-30" , "1970-01-02" ; :kind :Big , "small" .'
        ':b a :Item ; :title "Nur"@fr ; :size :notliteral ; :kind "small" .',
    )
    item = graph.nodes["item"]
    assert item.texts["title"] == ("rose", "Nur")
    assert item.texts["all"] == ("Alte. Rose", "Nur")
    np.testing.assert_array_equal(item.numbers["size"], np.float32([2, np.nan]))
    assert item.numbers["made"].tolist()[0] == 1
    assert item.categories["kind"].names == ("Big", "small")
    assert item.categories["kind"].codes.tolist() == [0, 1]
    kinds = sorted(report.totals.items())
    assert kinds == [
        (("bad-date", EX + "made"), 1),
        (("bad-number", EX + "size"), 1),
        (("not-a-literal", EX + "size"), 1),
        (("several-values", EX + "kind"), 1),
        (("several-values", EX + "size"), 1),
    ]
    bad = next(p for p in report.problems if p.kind == "bad-number")
    assert (bad.iri, bad.property, bad.message) == (
        EX + "a",
        EX + "size",
        "'x' is not a finite number",
    )


def test_literal_ends_of_relations_become_nodes() -> None:
    schema = ITEM + (
        '[nodes.tag]\niri = "ex:{}"\nlabel = "ex:label"\n[relations.tag]\nproperty = "ex:tag"\n'
        'from = "item"\nto = "tag"\n'
    )
    graph, report = build(
        schema, ':b a :Item ; :tag "dry soil" , :zz , "" . :a a :Item ; :tag "Sun" .'
    )
    assert names(graph, "tag") == ["Sun", "dry%20soil", "zz"]
    assert graph.nodes["tag"].texts["label"] == ("Sun", "dry soil", "")
    assert pairs(graph, "item", "tag", "tag") == [("a", "Sun"), ("b", "dry%20soil"), ("b", "zz")]
    assert [(p.kind, p.iri) for p in report.problems] == [("dangling-iri", EX + "b")]


def test_open_relations_and_ends_of_several_types() -> None:
    schema = 'open_relations = "ex:rel/{}"\n' + ITEM + "[nodes.entity]\n"
    graph, report = build(
        schema,
        f":a a :Item ; <{EX}rel/part%20of> :b , :c ; :other :d . :b a :Item . :c <{EX}rel/near> :a .",
    )
    assert pairs(graph, "item", "part of", "item") == [("a", "b")]
    assert pairs(graph, "item", "part of", "entity") == [("a", "c")]
    assert pairs(graph, "entity", "near", "item") == [("c", "a")]
    assert report.unused == {EX + "other": 1}


def test_dangling_ends_name_the_statement_and_its_file(tmp_path: Path) -> None:
    schema = ITEM + (
        '[nodes.tag]\nclass = "ex:Tag"\n[relations.tag]\nproperty = "ex:tag"\nfrom = "item"\nto = "tag"\n'
    )
    (tmp_path / "one.ttl").write_text(PREFIXES + ":a a :Item ; :tag :t . :t a :Tag .", "utf-8")
    (tmp_path / "two.ttl").write_text(PREFIXES + ":b a :Item ; :tag :gone . :x :tag :t .", "utf-8")
    paths = [tmp_path / "one.ttl", tmp_path / "two.ttl"]
    graph, report = graph_from_quads(read_quads(paths), Schema.loads(schema))
    again, _ = graph_from_quads(read_quads(paths[::-1]), Schema.loads(schema))
    assert pairs(graph, "item", "tag", "tag") == pairs(again, "item", "tag", "tag") == [("a", "t")]
    (problem,) = report.problems
    assert problem.kind == "dangling-iri"
    assert (problem.iri, problem.property) == (EX + "b", EX + "tag")
    assert problem.where.endswith("two.ttl")
    assert "gone" in problem.message


def test_problems_are_listed_up_to_a_limit_and_counted_beyond() -> None:
    schema = ITEM + 'number.size = "ex:size"\n'
    many = LISTED_PER_KIND + 50
    _, report = build(schema, " ".join(f':i{k} a :Item ; :size "no" .' for k in range(many)))
    assert report.totals == {("bad-number", EX + "size"): many}
    assert len(report.problems) == LISTED_PER_KIND + 1
    assert report.problems[-1].message == "and 50 more of this kind"


def test_an_empty_catalog_is_an_error() -> None:
    with pytest.raises(DataError) as caught:
        build(ITEM, ":a a :Thing .")
    assert "empty" in caught.value.message
    assert "classes" in caught.value.hint


def test_a_catalog_without_users_has_none() -> None:
    graph, _ = build(ITEM, ":a a :Item .")
    assert (graph.n_users, graph.n_items, len(graph.interactions)) == (0, 1, 0)


SAME = 'same_as = ["owl:sameAs"]\n' + ITEM
OTHERS = "@prefix foreign: <http://a.example/> .\n"


def test_of_merged_terms_the_one_that_fits_the_template_stands() -> None:
    text = OTHERS + ":m a :Item ; owl:sameAs foreign:m . foreign:m a :Item . :k owl:sameAs :l ."
    graph, _ = build(SAME, text)
    assert list(graph.items.vocabulary) == ["http://a.example/m"]
    graph, report = build(SAME + 'iri = "ex:{}"\n', text)
    assert names(graph, "item") == ["m"]
    assert "same-as-types" not in {kind for kind, _ in report.totals}


def test_a_merged_iri_finds_the_node_that_stands_for_it(tmp_path: Path) -> None:
    text = OTHERS + ":a a :Item . :m a :Item ; owl:sameAs foreign:m . :k owl:sameAs :l ."
    graph, _ = build(SAME + 'iri = "ex:{}"\n', text)
    write_graph(graph, tmp_path / "graph")
    more, _ = build(SAME + 'iri = "ex:{}"\n', OTHERS + ":b a :Item ; owl:sameAs foreign:b .")
    for one in (graph, read_graph(tmp_path / "graph"), append(more, graph), append(graph, more)):
        items = one.items.vocabulary
        place = items.find("http://a.example/m")
        assert items[place] == "https://example.org/m"
        assert items.indices(["https://example.org/m"]).tolist() == [place]
        assert pickle.loads(pickle.dumps(items)).find("http://a.example/m") == place  # noqa: S301
        assert items.extend(["urn:new"]).find("http://a.example/m") == place
        assert items.find("https://example.org/l") == -1  # of no type
        assert "http://a.example/m" not in items
    assert append(more, graph).items.vocabulary.find("http://a.example/b") == 0
    plain, _ = build(ITEM, ":a a :Item . :m a :Item .")
    assert plain.items.vocabulary.content_hash == graph.items.vocabulary.content_hash


def test_a_merge_across_node_types_is_a_finding() -> None:
    schema = SAME + '[nodes.maker]\nclass = "ex:Maker"\n'
    _, report = build(schema, ":a a :Item ; owl:sameAs :b . :b a :Maker . :c a :Item , :Maker .")
    found = [problem for problem in report.problems if problem.kind == "same-as-types"]
    assert [problem.iri for problem in found] == [EX + "a"]
    assert "item, maker" in found[0].message


SUB = "@prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#> .\n"


def test_a_node_of_a_subclass_is_of_the_class() -> None:
    tree = ":Film rdfs:subClassOf :Item . :Short rdfs:subClassOf :Film . :Item rdfs:subClassOf :Short ."
    graph, report = build(ITEM, SUB + tree + " :a a :Film . :b a :Short . :c a :Other .")
    assert names(graph, "item") == ["a", "b"]
    assert not report.unused


def test_other_properties_may_say_what_a_node_is_and_what_is_below_a_class() -> None:
    schema = 'type_properties = "ex:P31"\nsubclass_properties = ["ex:P279"]\n' + ITEM
    tree = ":Film :P279 :Item . :Short :P279 :Film . "
    graph, report = build(
        schema, tree + ":a :P31 :Film . :b :P31 :Short . :c a :Item . :d :P31 :Other ."
    )
    assert names(graph, "item") == ["a", "b", "c"]
    assert not report.unused
    assert not report.problems
    assert Schema.loads(schema).type_properties[1:] == (EX + "P31",)


def test_a_class_without_a_node_of_its_own_is_no_typing_error() -> None:
    graph, report = build(ITEM, SUB + ":Film rdfs:subClassOf :Item . :a a :Film .")
    assert names(graph, "item") == ["a"]
    assert not report.problems


def test_a_subclass_of_another_node_type_stays_there() -> None:
    schema = ITEM + '[nodes.film]\nclass = "ex:Film"\n'
    tree = (
        ":Film rdfs:subClassOf :Item . :Short rdfs:subClassOf :Film . :Book rdfs:subClassOf :Item ."
    )
    graph, report = build(
        schema, SUB + tree + " :a a :Film . :b a :Short . :c a :Book . :d a :Item ."
    )
    assert names(graph, "item") == ["c", "d"]
    assert names(graph, "film") == ["a", "b"]
    assert not report.problems


LISTED = ITEM + (
    '[nodes.tag]\niri = "ex:{}"\n[relations.tag]\nproperty = "ex:tag"\nfrom = "item"\nto = "tag"\n'
)


def test_lists_are_expanded_into_their_members() -> None:
    graph, report = build(LISTED, ':a a :Item ; :tag ( :x "y" :x ) , :z . :b a :Item ; :tag () .')
    assert pairs(graph, "item", "tag", "tag") == [("a", "x"), ("a", "y"), ("a", "z")]
    assert names(graph, "tag") == ["x", "y", "z"]
    assert not report.problems


def test_lists_may_share_an_end_and_one_in_a_circle_is_a_finding() -> None:
    rdf = "@prefix rdf: <http://www.w3.org/1999/02/22-rdf-syntax-ns#> .\n"
    lists = ":l rdf:first :x ; rdf:rest :m . :m rdf:first :y ; rdf:rest rdf:nil . "
    lists += ":o rdf:first :z ; rdf:rest :p . :p rdf:first :q ; rdf:rest :o . "
    text = rdf + lists + ":a a :Item ; :tag :l . :b a :Item ; :tag :m . :c a :Item ; :tag :o ."
    graph, report = build(LISTED, text)
    assert pairs(graph, "item", "tag", "tag") == [("a", "x"), ("a", "y"), ("b", "y")]
    assert [(p.kind, p.iri) for p in report.problems] == [("bad-list", EX + "c")]


def test_literals_in_several_languages_become_nodes_of_the_preferred_one() -> None:
    text = (
        ':a a :Item ; :tag "Rose"@en , "Rosier"@fr , "plain" . :b a :Item ; :tag "Rosier"@fr . '
        ':c a :Item ; :tag "Rozen"@nl , "Rosor"@sv .'
    )
    graph, _ = build(LISTED, text)
    assert pairs(graph, "item", "tag", "tag") == [
        ("a", "Rose"), ("a", "plain"), ("b", "Rosier"), ("c", "Rozen")
    ]  # fmt: skip
    graph, _ = build('languages = ["fr", "sv"]\n' + LISTED, text)
    assert ("a", "Rosier") in pairs(graph, "item", "tag", "tag")
    assert names(graph, "tag") == ["Rosier", "Rosor", "plain"]


def test_booleans_are_one_category_however_they_are_written() -> None:
    prefix = "@prefix xsd: <http://www.w3.org/2001/XMLSchema#> .\n"
    rows = ['"1"^^xsd:boolean', "true", '"0"^^xsd:boolean', "false", '"1"']
    text = " ".join(f":i{k} a :Item ; :new {value} ." for k, value in enumerate(rows))
    graph, _ = build(ITEM + 'category.new = "ex:new"\n', prefix + text)
    new = graph.items.categories["new"]
    assert [new.names[code] for code in new.codes] == ["true", "true", "false", "false", "1"]


def test_digits_that_are_no_booleans_stay_digits() -> None:
    graph, _ = build(
        ITEM + 'category.new = "ex:new"\n', ':a a :Item ; :new "0" . :b a :Item ; :new 1 .'
    )
    assert graph.items.categories["new"].names == ("0", "1")
