"""Auxiliary events: what people looked at teaches, is not tested, and closes nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from coldframe.active.gold import draw_gold
from coldframe.datasets.splits import make_split
from coldframe.gnn.config import RecommenderConfig
from coldframe.gnn.data import TrainingData
from coldframe.gnn.encoder import EncoderConfig
from coldframe.gnn.evaluate import evaluate
from coldframe.gnn.hybrid import HybridConfig
from coldframe.gnn.recommender import Recommender
from coldframe.gnn.training import TrainingConfig
from coldframe.gnn.walk import EASE, RatedEASE
from coldframe.kg import Schema, read
from coldframe.kg.catalog import Catalog
from coldframe.kg.coldstart import resolve
from coldframe.kg.graph import AUXILIARY

SCHEMA = """
name = "shop"
users = "customer"
items = "product"
[nodes.customer]
iri = "urn:customer:{}"
[nodes.product]
iri = "urn:product:{}"
[nodes.brand]
iri = "urn:brand:{}"
[relations.brand]
property = "urn:brand"
from = "product"
to = "brand"
[events.view]
class = "urn:View"
user = "urn:by"
item = "urn:of"
auxiliary = true
[events.order]
class = "urn:Order"
user = "urn:by"
item = "urn:of"
[tables.products]
nodes = "product"
id = "sku"
columns = { brand = "brand" }
[tables.views]
events = "view"
columns = { user = "who", item = "sku" }
[tables.orders]
events = "order"
columns = { user = "who", item = "sku" }
"""
N_USERS, N_ITEMS, TASTES = 300, 90, 6
SMALL = RecommenderConfig(
    HybridConfig(
        parts=("popularity", "ease", "rated-ease", "kg-prior", "encoder"),
        encoder=EncoderConfig(dimensions=8),
        training=TrainingConfig(epochs=2, batch_size=64),
        tune=False,
    )
)


def shop(*, views: int = 10, orders: int = 3, more: tuple[tuple[int, int], ...] = ()) -> Catalog:
    """Customers with one taste each, who look at much of it and order little."""
    rng = np.random.default_rng(0)
    seen, bought = [], list(more)
    for user in range(N_USERS):
        mine = rng.permutation(np.arange(user % TASTES, N_ITEMS, TASTES))
        seen += [(user, int(item)) for item in mine[:views]]
        bought += [(user, int(item)) for item in mine[:orders]]

    def table(pairs: list[tuple[int, int]]) -> pa.Table:
        return pa.table({"who": [u for u, _ in pairs], "sku": [i for _, i in pairs]})

    products = pa.table({"sku": range(N_ITEMS), "brand": [k % 9 for k in range(N_ITEMS)]})
    tables = {"products": products, "views": table(seen), "orders": table(bought)}
    return read(tables, Schema.loads(SCHEMA))


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return shop()


def test_a_pair_is_auxiliary_where_it_is_nothing_else(catalog: Catalog) -> None:
    events = catalog.graph.interactions
    assert (events.label == AUXILIARY).sum() == N_USERS * 10
    pairs = resolve(events, N_ITEMS)
    assert (pairs.label == 1).sum() == N_USERS * 3
    assert (pairs.label == AUXILIARY).sum() == N_USERS * 7


@pytest.mark.parametrize("protocol", ["warm", "item-cold", "user-cold", "thinned", "all"])
def test_they_are_trained_on_as_the_likes_are_and_never_tested(
    catalog: Catalog, protocol: str
) -> None:
    split = make_split(catalog.graph, protocol, 3)
    assert (split.test.label == 1).all()
    assert (split.valid.label == 1).all()
    mine = split.train.select(split.train.label == AUXILIARY)
    assert len(mine)
    assert not np.isin(mine.item, split.cold_items).any()
    assert not np.isin(mine.user, split.cold_users).any()
    assert (make_split(catalog.graph, protocol, 3, negatives=False).train.label == 1).all()


def test_what_people_look_at_says_what_they_order(catalog: Catalog) -> None:
    split = make_split(catalog.graph, "warm", 0, test_share=0.3)
    data = TrainingData(catalog.graph, split.train)
    models = {"with": RatedEASE().fit(data), "without": EASE().fit(data)}
    found = evaluate(models, data, split)
    assert found.value("with", "all", "ndcg@10") > found.value("without", "all", "ndcg@10") + 0.1


def test_the_encoder_places_who_has_only_looked(catalog: Catalog) -> None:
    """Users without orders, known by what they looked at, are told apart."""
    split = make_split(catalog.graph, "warm", 0)
    gone = (split.train.user < 60) & (split.train.label == 1)
    config = replace(SMALL.hybrid, training=TrainingConfig(epochs=25, batch_size=32))
    train = replace(
        split, train=split.train.select(~gone), valid=split.valid.select(split.valid.user >= 60)
    )
    model = Recommender(replace(SMALL, hybrid=config)).fit(catalog, train)
    scores = model.scorer.parts["encoder"].score(np.arange(60))
    tastes = [
        np.array([int(name.rsplit(":", 1)[1]) % TASTES for name in nodes.vocabulary])
        for nodes in (catalog.graph.users, catalog.graph.items)
    ]
    own = tastes[0][:60, None] == tastes[1][None, :]
    assert scores[own].mean() > scores[~own].mean() + 0.5 * scores.std()


def test_they_stay_open_to_be_recommended_and_asked(catalog: Catalog) -> None:
    model = Recommender(SMALL).fit(catalog, make_split(catalog.graph, "all"))
    known = model.known.toarray() > 0
    assert known.sum() == N_USERS * 3
    listed = model.recommend([catalog.graph.users.vocabulary[0]], k=N_ITEMS)
    assert len(listed) == N_ITEMS - 3
    gold = draw_gold(model, 20, np.random.default_rng(0))
    labels = {(pair.user, pair.item): pair.label for pair in gold}
    assert set(labels.values()) == {1}  # nobody has disliked anything


def test_an_order_after_a_look_counts_when_the_catalog_grows(catalog: Catalog) -> None:
    graph = catalog.graph
    model = Recommender(SMALL).fit(catalog, make_split(graph, "all"))
    looked = resolve(graph.interactions, N_ITEMS)
    looked = looked.select(looked.label == AUXILIARY)
    user, item = int(looked.user[0]), int(looked.item[0])
    names = (graph.users.vocabulary[user], graph.items.vocabulary[item])
    pair = tuple(int(name.rsplit(":", 1)[1]) for name in names)
    assert not model.known[user, item]
    model.extend(shop(more=(pair,)))
    assert model.known[user, item]
    rows = model.data.train
    assert rows.label[(rows.user == user) & (rows.item == item)].tolist() == [1]


def test_they_are_written_as_what_they_were(catalog: Catalog, tmp_path: Path) -> None:
    catalog.write_nquads(tmp_path / "shop.nq")
    again = read(tmp_path / "shop.nq", Schema.loads(SCHEMA)).graph.interactions
    before = catalog.graph.interactions
    for column in ("user", "item", "label"):
        np.testing.assert_array_equal(getattr(again, column), getattr(before, column))
