"""Priorities: every kind of rule touches the items it names and no others, and bad rules are named."""

import pytest

from coldframe.active.priorities import item_weights
from coldframe.kg.errors import DataError, ResourceError, UsageError
from coldframe.kg.store import MemoryStore

BASE = "https://example.org/"


def weights(graph, *rules, select=None) -> dict[str, float]:
    found = item_weights(graph, rules, select)
    return {iri.removeprefix(f"{BASE}item/"): value for iri, value in found.items()}


@pytest.mark.parametrize(
    "rule, items, factor",
    [
        ("genre=0:0", "0126", 0.0),
        (f"genre={BASE}genre/1:2.5", "3457", 2.5),
        ("genre=*:3", "01234567", 3.0),
        ("price>=6:2", "567", 2.0),
        ("price<=2:0.5", "01", 0.5),
        ("price=4:0", "3", 0.0),
        ("price >= 1970-01-08 : 4", "67", 4.0),
    ],
)
def test_a_rule_touches_the_items_it_names(tiny_graph, rule, items, factor):
    assert weights(tiny_graph, rule) == dict.fromkeys(items, factor)


def test_rules_multiply(tiny_graph):
    found = weights(tiny_graph, "genre=0:2", "maker=0:3", "price>=7:0")
    assert found == {"0": 6.0, "1": 2.0, "2": 2.0, "4": 3.0, "6": 0.0, "7": 0.0}


def test_a_query_gives_the_items_and_their_weights(tiny_graph, tmp_path):
    store = MemoryStore()
    triples = "".join(f'<{BASE}item/{k}> <{BASE}season> "{k / 2}" .\n' for k in range(3))
    source = tmp_path / "season.nt"
    source.write_text(triples + f'<{BASE}genre/0> <{BASE}season> "9" .\n')
    store.load_file(source)
    query = tmp_path / "season.rq"
    query.write_text(f"SELECT ?item ?weight {{ ?item <{BASE}season> ?weight }}")
    expected = {"0": 0.0, "1": 0.5, "2": 1.0}
    assert weights(tiny_graph, f"@{query}", select=store.select) == expected
    query.write_text(f"SELECT ?item {{ ?item <{BASE}season> ?any }}")
    assert weights(tiny_graph, f"@{query}:0", select=store.select) == dict.fromkeys("012", 0.0)
    for text, says in (
        (f"SELECT ?item {{ ?item <{BASE}season> ?any }}", "weight"),
        (f"SELECT ?thing {{ ?thing <{BASE}season> ?any }}", r"\?item"),
        ("SELECT oops", "SPARQL"),
    ):
        query.write_text(text)
        with pytest.raises(UsageError, match=says):
            weights(tiny_graph, f"@{query}", select=store.select)
    query.write_text(f'SELECT ?item ("-1" AS ?weight) {{ ?item <{BASE}season> ?any }}')
    with pytest.raises(DataError, match="at least 0"):
        weights(tiny_graph, f"@{query}", select=store.select)
    query.write_bytes(b"SELECT \xff")
    with pytest.raises(UsageError, match="byte 7"):
        weights(tiny_graph, f"@{query}", select=store.select)
    with pytest.raises(ResourceError):
        weights(tiny_graph, "@missing.rq", select=store.select)
    with pytest.raises(UsageError, match="memory"):
        weights(tiny_graph, f"@{query}")


@pytest.mark.parametrize(
    "rule, says",
    [
        ("genre=0", "no factor"),
        ("genre=0:-1", "at least 0"),
        ("genre=0:nan", "at least 0"),
        ("genre:2", "no condition"),
        (":2", "selects nothing"),
        ("@:2", "selects nothing"),
        ("gnre=0:2", "did you mean 'genre'"),
        ("genre>=0:2", "no number"),
        ("price>=much:2", "neither a number nor a date"),
    ],
)
def test_a_bad_rule_is_named(tiny_graph, rule, says):
    with pytest.raises(UsageError) as caught:
        weights(tiny_graph, rule)
    assert says in str(caught.value)
    assert rule in str(caught.value)


def test_a_rule_that_no_item_answers_is_an_error(tiny_graph):
    with pytest.raises(DataError, match="no item"):
        weights(tiny_graph, "price>=100:2")
    with pytest.raises(DataError, match="called 'Horror'"):
        weights(tiny_graph, "genre=Horror:0")


def test_dates_and_numbers_are_not_taken_for_each_other(tiny_graph):
    for rule, dates, says in (
        ("price>=1970-01-08:4", (), "price>=2000"),
        ("price>=6:2", ("price",), "price>=2000-12-31"),
    ):
        with pytest.raises(UsageError) as caught:
            item_weights(tiny_graph, [rule], dates=dates)
        assert says in caught.value.hint
    assert item_weights(tiny_graph, ["price>=1970-01-08:4"], dates={"price"})


def test_weights_of_an_item_that_a_query_gives_twice_multiply(tiny_graph, tmp_path):
    query = tmp_path / "twice.rq"
    item = f"<{BASE}item/1>"
    for order in ('("2" "3" "0.5")', '("0.5" "3" "2")'):
        values = " ".join(f"({item} {weight})" for weight in order.strip("()").split())
        query.write_text(f"SELECT ?item ?weight {{ VALUES (?item ?weight) {{ {values} }} }}")
        assert weights(tiny_graph, f"@{query}", select=MemoryStore().select) == {"1": 3.0}
    query.write_text(f"SELECT ?item {{ VALUES ?item {{ {item} {item} }} }}")
    assert weights(tiny_graph, f"@{query}:2", select=MemoryStore().select) == {"1": 2.0}
