"""The schema file: the documented example, strict keys, and one clear error for each mistake."""

from __future__ import annotations

import pickle
import textwrap

import pytest

import coldframe.kg.schema as schema_module
from coldframe.kg.errors import SchemaError
from coldframe.kg.schema import RDF_TYPE, Hop, Schema

SMALL = """
items = "item"
[prefixes]
ex = "https://example.org/"
[nodes.item]
class = "ex:Item"
iri = "ex:item/{}"
number.price = "ex:price"
[nodes.user]
iri = "ex:user/{}"
[relations.like]
property = "ex:like"
from = "item"
to = "item"
[events.rating]
class = "ex:Rating"
user = "ex:by"
item = "ex:of"
rating = "ex:stars"
[tables.items]
nodes = "item"
id = "id"
columns.price = "price"
"""


def documented_example() -> str:
    """The example in the module's docstring."""
    doc = schema_module.__doc__ or ""
    return textwrap.dedent(doc.split("comments included:\n")[1].split("Ids from tables")[0])


def test_the_documented_example_is_a_schema() -> None:
    schema = Schema.loads(documented_example())
    assert schema.user_type == "user"
    assert schema.item_type == "movie"
    assert [hop.inverse for hop in schema.relations["maker"].path.hops] == [False, True, False]
    assert schema.nodes["genre"].features[0].name == "label"
    assert schema.events["rating"].positive == 4.0
    assert schema.tables["facts"].delimiter == "\t"
    assert RDF_TYPE in schema.spoken_of


def test_prefixes_paths_and_full_iris_mean_the_same() -> None:
    text = SMALL.replace('property = "ex:like"', 'path = "ex:a/^<https://example.org/b>"')
    hops = Schema.loads(text).relations["like"].path.hops
    assert hops == (Hop("https://example.org/a"), Hop("https://example.org/b", True))
    full = SMALL.replace('"ex:like"', '"https://example.org/like"')
    assert Schema.loads(full).relations == Schema.loads(SMALL).relations


def test_a_schema_survives_pickling_and_names_its_text() -> None:
    schema = Schema.loads(SMALL)
    assert pickle.loads(pickle.dumps(schema)) == schema  # noqa: S301  # our own bytes
    assert schema.content_hash != Schema.loads(SMALL + "\n").content_hash


@pytest.mark.parametrize(
    ("old", "new", "where", "hint"),
    [
        ("number.price", "numbr.price", "nodes.item.numbr", "number"),
        ('items = "item"', 'itms = "item"', "itms", "items"),
        ('items = "item"', 'items = "itm"', "items", "item"),
        ('to = "item"', 'to = "itme"', "relations.like.to", "item"),
        ('"ex:like"', '"exx:like"', "relations.like.property", "ex"),
        ('"ex:like"', '"ex:li ke"', "relations.like.property", ""),
        ('"ex:like"', "3", "relations.like.property", ""),
        ('from = "item"\n', "", "relations.like.from", ""),
        ('property = "ex:like"', 'property = "ex:a"\npath = "ex:b"', "relations.like", ""),
        ('to = "item"', 'to = "user"\nclosure = true', "relations.like.closure", ""),
        ('user = "ex:by"\n', "", "events.rating.user", ""),
        (
            'rating = "ex:stars"',
            'rating = "ex:stars"\npositive = "4"',
            "events.rating.positive",
            "",
        ),
        ('rating = "ex:stars"', "positive = 4", "events.rating.positive", ""),
        (
            'rating = "ex:stars"',
            'rating = "ex:stars"\npositive = 4\nnegative = true',
            "events.rating.negative",
            "",
        ),
        (
            'rating = "ex:stars"',
            'rating = "ex:stars"\nnegative = true\nauxiliary = true',
            "events.rating.auxiliary",
            "",
        ),
        ('user = "ex:by"', 'user = "ex:by"\ninverse = "ex:x"', "events.rating.inverse", "^"),
        (
            'rating = "ex:stars"',
            f'rating = "ex:stars"\npositive = 1{"0" * 400}',
            "events.rating.positive",
            "",
        ),
        ('"ex:item/{}"', '"ex:item/"', "nodes.item.iri", ""),
        ('id = "id"\n', "", "tables.items.id", ""),
        ('columns.price = "price"', 'columns.prise = "price"', "tables.items.columns", "price"),
        ('nodes = "item"', 'nodes = "itm"', "tables.items.nodes", "item"),
        ('nodes = "item"', 'nodes = "item"\ndelimiter = "::"', "tables.items.delimiter", ""),
        ("[nodes.item]", "[nodes.item", "", "TOML"),
        ('"ex:Rating"', '["ex:Rating", "ex:Item"]', "events.rating.class", "no node"),
        (
            'to = "item"',
            'to = "item"\n[relations.liked]\nproperty = "ex:liked"\ninverse = "ex:like"\n'
            'from = "item"\nto = ["user", "item"]',
            "relations.liked.inverse",
            "[relations.like]",
        ),
    ],
)
def test_every_mistake_is_one_error_with_its_place(
    old: str, new: str, where: str, hint: str
) -> None:
    assert old in SMALL
    with pytest.raises(SchemaError) as caught:
        Schema.loads(SMALL.replace(old, new, 1), source="s.toml")
    assert caught.value.where.startswith("s.toml")
    assert caught.value.where.removeprefix("s.toml").removeprefix(":") == where
    assert hint in caught.value.hint
    assert "\n" not in str(caught.value).split("TOML")[0]


def test_the_inverse_of_one_relation_may_be_a_property_between_other_types() -> None:
    def relations(*others: str) -> str:
        brand = 'property = "ex:brand"\ninverse = "ex:has"\nfrom = "item"\nto = "brand"'
        listed = [f"[relations.r{k}]\n{other}\n" for k, other in enumerate((brand, *others))]
        return SMALL + "[nodes.brand]\n[nodes.shop]\n" + "".join(listed)

    Schema.loads(relations('property = "ex:has"\nfrom = "shop"\nto = "item"'))
    Schema.loads(relations('path = "^ex:has"\nfrom = "item"\nto = "shop"'))
    for copy in (
        'property = "ex:has"\nfrom = ["shop", "brand"]\nto = "item"',
        'path = "^ex:has"\nfrom = "item"\nto = "brand"',
    ):
        with pytest.raises(SchemaError, match="its edges would stand twice"):
            Schema.loads(relations(copy))


def test_a_relation_may_be_its_own_inverse() -> None:
    near = 'property = "ex:like"\ninverse = "ex:like"'
    assert Schema.loads(SMALL.replace('property = "ex:like"', near)).relations["like"].inverse


def test_no_nodes_no_items_and_no_file(tmp_path) -> None:  # type: ignore[no-untyped-def]
    for text, where in [("", "nodes"), ("[nodes.a]\n[nodes.b]\n", "items")]:
        with pytest.raises(SchemaError) as caught:
            Schema.loads(text, source="s.toml")
        assert caught.value.where == f"s.toml:{where}"
    with pytest.raises(SchemaError, match="no such schema"):
        Schema.load(tmp_path / "none.toml")
    (tmp_path / "latin.toml").write_bytes(b'name = "caf\xe9"')
    with pytest.raises(SchemaError, match="UTF-8"):
        Schema.load(tmp_path / "latin.toml")


@pytest.mark.parametrize(
    "path",
    [
        "ex:near*",
        "ex:near+",
        "ex:a|ex:b",
        "(ex:a/ex:b)",
        "ex:a?",
        "http://e.org/a+",
        "http://e.org/a|http://e.org/b",
    ],
)
def test_signs_of_other_paths_are_refused(path: str) -> None:
    head = 'items = "item"\n[prefixes]\nex = "https://example.org/"\n[nodes.item]\n'
    with pytest.raises(SchemaError, match="paths know / and"):
        Schema.loads(head + f'text.title = "{path}"\n')


def test_an_iri_in_brackets_may_hold_them() -> None:
    for path in ("<http://e.org/a+>", "<http://e.org/a(b)>", "http://e.org/a?b=c"):
        schema = Schema.loads(f'items = "item"\n[nodes.item]\ntext.title = "{path}"\n')
        assert schema.nodes["item"].features[0].path.single == path.strip("<>")
