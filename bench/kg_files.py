"""The files that `bench/kg.py` reads: a generated shop as N-Triples, Turtle and Parquet, and its schemas."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

BASE = "https://shop.example.org/"
XSD = "http://www.w3.org/2001/XMLSchema#"
SCHEMA = f"""
users = "user"
items = "item"
[prefixes]
ex = "{BASE}"
[nodes.item]
class = "ex:Item"
iri = "ex:item/{{}}"
text.title = "ex:title"
number.price = "ex:price"
category.colour = "ex:colour"
[nodes.brand]
iri = "ex:brand/{{}}"
[nodes.user]
iri = "ex:user/{{}}"
[relations.brand]
property = "ex:brand"
from = "item"
to = "brand"
[events.view]
property = "ex:viewed"
[events.rating]
class = "ex:Rating"
user = "ex:by"
item = "ex:of"
rating = "ex:stars"
time = "ex:at"
positive = 4
"""
TABLES = """
[tables.items]
nodes = "item"
id = "item"
columns = { title = "title", price = "price", colour = "colour", brand = "brand" }
[tables.ratings]
events = "rating"
columns = { user = "user", item = "item", rating = "stars", time = "at" }
"""
RDFLIB_STATEMENTS = 100_000  # rdflib needs a minute for more


def generate(folder: Path, statements: int) -> None:
    """A catalog of about `statements` lines, 15 % of them repeats, and the same ratings as Parquet."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq
    import pyoxigraph as ox

    random = np.random.default_rng(0)
    items, users, ratings = statements // 25, statements // 30, statements // 26
    words = np.array([f"word{i}" for i in range(3000)])
    table = {
        "item": np.arange(items),
        "title": [" ".join(row) for row in words[random.integers(0, 3000, (items, 6))]],
        "price": random.integers(1, 10_000, items) / 100,
        "colour": random.choice(["red", "green", "blue", "white"], items),
        "brand": random.integers(0, items // 50 + 1, items),
    }
    events = {
        "user": random.zipf(1.3, ratings) % users,
        "item": random.zipf(1.2, ratings) % items,
        "stars": random.integers(1, 6, ratings),
        "at": random.integers(1_500_000_000, 1_700_000_000, ratings),
    }
    views = np.stack([random.zipf(1.3, statements) % users, random.zipf(1.2, statements) % items])
    made = 0
    with (folder / "catalog.nt").open("w") as out:
        for lines in (_item_lines(table), _rating_lines(events), _view_lines(views)):
            for line in lines:
                if made >= statements:
                    break
                out.write(line)
                made += line.count("\n")
    pq.write_table(pa.table(table), folder / "items.parquet")
    pq.write_table(
        pa.table({k: np.tile(v, 20) for k, v in events.items()}), folder / "ratings.parquet"
    )
    for name, limit in (("catalog", None), ("small", RDFLIB_STATEMENTS)):
        with (
            (folder / "catalog.nt").open("rb") as source,
            (folder / f"{name}.ttl").open("wb") as out,
        ):
            rows = (row for number, row in enumerate(source) if limit is None or number < limit)
            quads = ox.parse(b"".join(rows), ox.RdfFormat.N_TRIPLES)
            prefixes = {"ex": BASE, "xsd": XSD}
            ox.serialize(quads, out, ox.RdfFormat.TURTLE, prefixes=prefixes)
    (folder / "schema.toml").write_text(SCHEMA)
    (folder / "tables.toml").write_text(SCHEMA + TABLES)


def _item_lines(table: dict[str, Any]) -> Iterator[str]:
    kind = "<http://www.w3.org/1999/02/22-rdf-syntax-ns#type>"
    for i, title, price, colour, brand in zip(*table.values(), strict=True):
        s = f"<{BASE}item/{i}>"
        yield (
            f"{s} {kind} <{BASE}Item> .\n"
            f'{s} <{BASE}title> "{title}"@en .\n'
            f'{s} <{BASE}price> "{price}"^^<{XSD}decimal> .\n'
            f'{s} <{BASE}colour> "{colour}" .\n'
            f"{s} <{BASE}brand> <{BASE}brand/{brand}> .\n"
        )


def _rating_lines(events: dict[str, Any]) -> Iterator[str]:
    kind = "<http://www.w3.org/1999/02/22-rdf-syntax-ns#type>"
    for n, (user, item, stars, at) in enumerate(zip(*events.values(), strict=True)):
        s = f"<{BASE}rating/{n}>"
        yield (
            f"{s} {kind} <{BASE}Rating> .\n"
            f"{s} <{BASE}by> <{BASE}user/{user}> .\n"
            f"{s} <{BASE}of> <{BASE}item/{item}> .\n"
            f'{s} <{BASE}stars> "{stars}"^^<{XSD}integer> .\n'
            f'{s} <{BASE}at> "{at}"^^<{XSD}integer> .\n'
        )


def _view_lines(views: Any) -> Iterator[str]:
    for user, item in views.T.tolist():
        yield f"<{BASE}user/{user}> <{BASE}viewed> <{BASE}item/{item}> .\n"
