"""Dropout and ensembles as ways to doubt a score: nothing left out is no doubt, and the same twice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from coldframe.gnn.recommender import Recommender
from coldframe.gnn.uncertainty import DropoutConfig, ensemble, mc_dropout
from coldframe.kg.catalog import Catalog
from coldframe.kg.errors import StateError, UsageError
from coldframe.kg.split import Split

USERS, ITEMS = np.repeat(np.arange(10), 16), np.tile(np.arange(0, 160, 10), 10)


@pytest.fixture(scope="module")
def ensembled(
    planted_catalog: Catalog, planted_split: Split, planted_model: Recommender
) -> Recommender:
    """The encoder and two further ones; no other part but the posterior."""
    config = planted_model.config
    hybrid = replace(config.hybrid, parts=("popularity", "kg-prior", "encoder"), ensemble=2)
    return Recommender(replace(config, hybrid=hybrid), device="cpu").fit(
        planted_catalog, planted_split
    )


def pairs_of(model: Recommender) -> list[tuple[str, str]]:
    users, items = model.graph.users.vocabulary, model.graph.items.vocabulary
    return [(users[int(u)], items[int(i)]) for u, i in zip(USERS, ITEMS, strict=True)]


def test_nothing_dropped_is_no_doubt(planted_model: Recommender) -> None:
    encoder, data = planted_model.scorer.parts["encoder"], planted_model.data
    none = mc_dropout(encoder, data, USERS, ITEMS, DropoutConfig(passes=3, rate=0.0), seed=0)
    assert (none == 0).all()
    little, much = (
        mc_dropout(encoder, data, USERS, ITEMS, DropoutConfig(passes=6, rate=rate), seed=0)
        for rate in (0.02, 0.4)
    )
    assert (little > 0).all()
    assert np.median(much) > 2 * np.median(little)


def test_dropout_is_seeded_and_leaves_the_encoder_as_it_is(planted_model: Recommender) -> None:
    encoder, data = planted_model.scorer.parts["encoder"], planted_model.data
    before = encoder.score(np.arange(5))
    config = DropoutConfig(passes=4, rate=0.2)
    one, two, other = (
        mc_dropout(encoder, data, USERS, ITEMS, config, seed=seed) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(one, two)
    assert (one != other).mean() > 0.9
    np.testing.assert_array_equal(encoder.score(np.arange(5)), before)


def test_each_method_by_name(ensembled: Recommender) -> None:
    pairs = pairs_of(ensembled)
    found = {
        name: ensembled.uncertainty(pairs, name) for name in ("laplace", "mc-dropout", "ensemble")
    }
    for values in found.values():
        assert values.shape == (160,)
        assert values.dtype == np.float32
        assert (values > 0).all()
    np.testing.assert_array_equal(found["laplace"], ensembled.uncertainty(pairs))
    assert not np.allclose(found["mc-dropout"], found["ensemble"])


def test_recommendations_tell_the_uncertainty_that_was_asked_for(ensembled: Recommender) -> None:
    user = ensembled.graph.users.vocabulary[3]
    shown = {
        name: ensembled.recommend([user], 5, uncertainty=name)
        for name in ("laplace", "mc-dropout", "ensemble")
    }
    for name, table in shown.items():
        pairs = [(user, item) for item in table["item"].to_pylist()]
        np.testing.assert_allclose(table["std"], ensembled.uncertainty(pairs, name), rtol=1e-5)
        assert table["item"] == shown["laplace"]["item"]


def test_an_ensemble_is_of_encoders_from_other_starts(ensembled: Recommender) -> None:
    scorer = ensembled.scorer
    encoder = scorer.parts["encoder"]
    assert len({one.seed for one in (encoder, *scorer.members)}) == 3
    assert (ensemble([encoder, encoder], USERS, ITEMS) == 0).all()
    scores = np.stack([one.score(np.arange(10)) for one in (encoder, *scorer.members)])
    centred = scores - scores.mean(2, keepdims=True)
    expected = centred.std(0, ddof=1)[USERS, ITEMS]
    got = ensembled.uncertainty(pairs_of(ensembled), "ensemble")
    np.testing.assert_allclose(got, expected, rtol=1e-3, atol=1e-5)


def test_members_are_saved_with_the_model(
    ensembled: Recommender, planted_catalog: Catalog, tmp_path: Path
) -> None:
    ensembled.save(tmp_path, 3)
    again = Recommender.load(tmp_path, planted_catalog, device="cpu")
    for method in ("ensemble", "mc-dropout"):
        np.testing.assert_array_equal(
            again.uncertainty(pairs_of(again), method),
            ensembled.uncertainty(pairs_of(ensembled), method),
        )


def test_what_was_not_trained_is_named(
    planted_model: Recommender, loaded: Callable[[], Recommender]
) -> None:
    pairs = pairs_of(planted_model)[:1]
    with pytest.raises(UsageError, match="unknown method 'laplas'") as caught:
        planted_model.uncertainty(pairs, "laplas")
    assert "laplace" in str(caught.value.hint)
    with pytest.raises(StateError, match="no ensemble") as missing:
        planted_model.uncertainty(pairs, "ensemble")
    assert "hybrid.ensemble" in str(missing.value.hint)
    without = loaded()
    del without.scorer.parts["encoder"], without.scorer.parts["kg-prior"]
    for method in ("mc-dropout", "ensemble", "laplace"):
        with pytest.raises(StateError, match="switched off"):
            without.uncertainty(pairs, method)
    for wrong in ({"passes": 1}, {"rate": 1.0}):
        with pytest.raises(UsageError, match="must be"):
            DropoutConfig(**wrong)
