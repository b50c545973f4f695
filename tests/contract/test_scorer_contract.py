"""What every scorer must do: the abstract class `ScorerContract`, and the linear baselines under it.

A new scorer is covered by subclassing `ScorerContract` and giving `make`.
"""

from __future__ import annotations

import abc
from dataclasses import replace

import numpy as np
import pytest

from coldframe.gnn.als import ALS, ALSConfig
from coldframe.gnn.blend import Blend, BlendConfig
from coldframe.gnn.data import TrainingData
from coldframe.gnn.encoder import EncoderConfig
from coldframe.gnn.hybrid import Hybrid, HybridConfig
from coldframe.gnn.kg_kernel import KGKernel, KGKernelConfig
from coldframe.gnn.knn import KGKNN, ProfileConfig, TextKNN
from coldframe.gnn.popularity import KGPopularity, Popularity, RandomScorer
from coldframe.gnn.scorer_base import Scorer
from coldframe.gnn.training import TrainingConfig
from coldframe.gnn.tune import KINDS
from coldframe.gnn.walk import (
    EASE,
    EASEConfig,
    ItemKNN,
    ItemKNNConfig,
    RatedEASE,
    RatedEASEConfig,
    RP3Beta,
)
from coldframe.kg.errors import StateError, UnknownIdError
from coldframe.kg.graph import EdgeSet, Graph, Interactions, NodeSet
from coldframe.kg.vocabulary import Vocabulary

N_USERS, N_ITEMS = 20, 15
COLD_USERS, COLD_ITEMS = [3, 19], [0, 7, 14]


def planted(seed: int = 0) -> TrainingData:
    """Two tastes; item i has tag i % 2, maker i % 4 and text near its tag; some users and items have no history."""
    rng = np.random.default_rng(seed)
    user, item = np.nonzero(
        (np.arange(N_USERS)[:, None] % 2 == np.arange(N_ITEMS) % 2)
        & (rng.random((N_USERS, N_ITEMS)) < 0.7)
    )
    kept = ~np.isin(user, COLD_USERS) & ~np.isin(item, COLD_ITEMS)
    tags = np.stack([np.arange(N_ITEMS), np.arange(N_ITEMS) % 2])
    makers = np.stack([np.arange(N_ITEMS), np.arange(N_ITEMS) % 4])
    nodes = {
        name: NodeSet(Vocabulary(f"https://example.org/{name}/{i}" for i in range(count)))
        for name, count in (("user", N_USERS), ("item", N_ITEMS), ("tag", 2), ("maker", 4))
    }
    edges = {("item", "tag", "tag"): EdgeSet(tags), ("item", "maker", "maker"): EdgeSet(makers)}
    text = rng.normal(size=(N_ITEMS, 4)) * 0.3
    text[:, 0] += np.where(np.arange(N_ITEMS) % 2, 1.0, -1.0)
    text /= np.linalg.norm(text, axis=1, keepdims=True)
    train = Interactions.build(user[kept], item[kept])
    return TrainingData(Graph(nodes, edges, train), train, {"item": text.astype(np.float32)})


class ScorerContract(abc.ABC):
    """Subclass it, implement `make`, and pytest runs every rule."""

    learns = True

    @abc.abstractmethod
    def make(self) -> Scorer:
        """A fresh, unfitted scorer."""

    @pytest.fixture
    def data(self) -> TrainingData:
        return planted()

    def test_follows_the_protocol(self) -> None:
        scorer = self.make()
        assert isinstance(scorer, Scorer)
        assert scorer.name

    def test_fit_returns_itself(self, data: TrainingData) -> None:
        scorer = self.make()
        assert scorer.fit(data) is scorer

    def test_unfitted_says_so(self) -> None:
        with pytest.raises(StateError, match="not fitted"):
            self.make().score(np.array([0]))

    def test_shape_type_and_finiteness(self, data: TrainingData) -> None:
        scores = self.make().fit(data).score(np.array([5, 1, 5]))
        assert scores.shape == (3, N_ITEMS)
        assert scores.dtype == np.float32
        assert not np.isinf(scores).any()

    def test_unknown_user_is_an_error(self, data: TrainingData) -> None:
        scorer = self.make().fit(data)
        for wrong in (-1, N_USERS):
            with pytest.raises(UnknownIdError, match="outside"):
                scorer.score(np.array([wrong]))

    def test_no_users_is_no_rows(self, data: TrainingData) -> None:
        assert self.make().fit(data).score(np.zeros(0, np.int64)).shape == (0, N_ITEMS)

    def test_deterministic(self, data: TrainingData) -> None:
        users = np.arange(N_USERS)
        first = self.make().fit(data).score(users)
        np.testing.assert_array_equal(first, self.make().fit(planted()).score(users))

    def test_refitting_forgets(self, data: TrainingData) -> None:
        users = np.arange(N_USERS)
        scorer = self.make().fit(planted(seed=9))
        np.testing.assert_array_equal(
            scorer.fit(data).score(users), self.make().fit(data).score(users)
        )

    def test_order_of_users_permutes_rows(self, data: TrainingData) -> None:
        scorer = self.make().fit(data)
        order = np.random.default_rng(1).permutation(N_USERS)
        np.testing.assert_allclose(
            scorer.score(order), scorer.score(np.arange(N_USERS))[order], rtol=1e-5, atol=1e-6
        )

    def test_order_of_training_rows_does_not_matter(self, data: TrainingData) -> None:
        users = np.arange(N_USERS)
        order = np.random.default_rng(2).permutation(len(data.train))
        shuffled = data.with_train(data.train.select(order))
        np.testing.assert_array_equal(
            self.make().fit(data).score(users), self.make().fit(shuffled).score(users)
        )

    def test_returned_scores_are_the_callers_own(self, data: TrainingData) -> None:
        scorer = self.make().fit(data)
        expected = scorer.score(np.arange(3)).copy()
        scorer.score(np.arange(3))[:] = 7.0
        np.testing.assert_array_equal(scorer.score(np.arange(3)), expected)

    def test_warm_pairs_are_always_scored(self, data: TrainingData) -> None:
        scores = self.make().fit(data).score(np.flatnonzero(data.user_degree > 0))
        assert not np.isnan(scores[:, data.item_degree > 0]).any()

    def test_says_honestly_whether_it_serves_cold_items(self, data: TrainingData) -> None:
        scorer = self.make().fit(data)
        cold = scorer.score(np.flatnonzero(data.user_degree > 0))[:, COLD_ITEMS]
        assert np.isnan(cold).all() if not scorer.serves_cold_items else not np.isnan(cold).any()

    def test_says_honestly_whether_it_serves_cold_users(self, data: TrainingData) -> None:
        scorer = self.make().fit(data)
        rows = scorer.score(np.array(COLD_USERS))[:, data.item_degree > 0]
        assert np.isnan(rows).all() if not scorer.serves_cold_users else not np.isnan(rows).any()

    def test_does_not_read_the_interactions_of_the_graph(self, data: TrainingData) -> None:
        other = TrainingData(
            data.graph.with_interactions(Interactions.empty()), data.train, data.text
        )
        users = np.arange(N_USERS)
        np.testing.assert_array_equal(
            self.make().fit(data).score(users), self.make().fit(other).score(users)
        )

    def test_negative_rows_are_not_positive(self, data: TrainingData) -> None:
        """Disliked pairs added to training never make their items count as liked."""
        dislikes = Interactions.build([3, 3], [0, 7], label=[0, 0])
        scorer = self.make().fit(data.with_train(data.train.concat(dislikes)))
        if not scorer.serves_cold_items:
            assert np.isnan(scorer.score(np.array([0]))[0, [0, 7]]).all()
        if not scorer.serves_cold_users:
            assert np.isnan(scorer.score(np.array([3]))).all()

    def test_no_training_rows_is_no_crash(self, data: TrainingData) -> None:
        empty = data.with_train(Interactions.empty())
        assert self.make().fit(empty).score(np.arange(2)).shape == (2, N_ITEMS)

    def test_learns_planted_taste(self, data: TrainingData) -> None:
        """The items of the user's own taste come before the others, for almost every pair."""
        if not self.learns:
            pytest.skip("not personal")
        scorer = self.make().fit(data)
        users = np.flatnonzero(data.user_degree > 0)
        items = np.arange(N_ITEMS) if scorer.serves_cold_items else data.item_degree.nonzero()[0]
        scores = scorer.score(users)[:, items]
        own = users[:, None] % 2 == items % 2
        right = [
            (row[mask][:, None] > row[~mask]).mean() for row, mask in zip(scores, own, strict=True)
        ]
        assert np.mean(right) > 0.95


class TestRandom(ScorerContract):
    learns = False

    def make(self) -> Scorer:
        return RandomScorer()


class TestPopularity(ScorerContract):
    learns = False

    def make(self) -> Scorer:
        return Popularity()


class TestKGPopularity(ScorerContract):
    learns = False

    def make(self) -> Scorer:
        return KGPopularity()


class TestItemKNN(ScorerContract):
    def make(self) -> Scorer:
        return ItemKNN(ItemKNNConfig(k=5, shrink=1.0))


class TestRP3Beta(ScorerContract):
    def make(self) -> Scorer:
        return RP3Beta()


class TestEASE(ScorerContract):
    def make(self) -> Scorer:
        return EASE(EASEConfig(penalty=5.0))


class TestRatedEASE(ScorerContract):
    def make(self) -> Scorer:
        return RatedEASE(RatedEASEConfig(penalty=5.0))


class TestKGKNN(ScorerContract):
    def make(self) -> Scorer:
        return KGKNN()


class TestKGKNNNeighbours(ScorerContract):
    def make(self) -> Scorer:
        return KGKNN(ProfileConfig(k=4, discount=0.5))


class TestTextKNN(ScorerContract):
    def make(self) -> Scorer:
        return TextKNN()


class TestTextKNNNeighbours(ScorerContract):
    def make(self) -> Scorer:
        return TextKNN(ProfileConfig(k=4))


class TestALS(ScorerContract):
    def make(self) -> Scorer:
        return ALS(ALSConfig(factors=4))


class TestKGKernel(ScorerContract):
    def make(self) -> Scorer:
        return KGKernel(ease=EASEConfig(penalty=5.0))


class TestKGKernelOverALS(ScorerContract):
    def make(self) -> Scorer:
        return KGKernel(KGKernelConfig(dense_items=0), als=ALSConfig(factors=4))


class TestHybrid(ScorerContract):
    def make(self) -> Scorer:
        return Hybrid(
            HybridConfig(
                encoder=EncoderConfig(dimensions=8, profile_dimensions=4),
                training=TrainingConfig(epochs=4, batch_size=8),
                tune=False,
            )
        )


class TestHybridOfTunedWalks(ScorerContract):
    def make(self) -> Scorer:
        return Hybrid(HybridConfig(parts=("itemknn", "rp3beta")))


class TestWalkAndProfile(ScorerContract):
    def make(self) -> Scorer:
        return Blend({"rp3beta": RP3Beta(), "kg-knn": KGKNN()})


class TestBlendOfWalks(ScorerContract):
    def make(self) -> Scorer:
        return Blend({"itemknn": ItemKNN(), "rp3beta": RP3Beta()}, BlendConfig((1.0, 0.5)))


@pytest.mark.parametrize("scorer", [KGKNN(), TextKNN()], ids=["kg", "text"])
def test_item_without_content_is_unknown(scorer: Scorer) -> None:
    data = planted()
    edges = {
        kind: EdgeSet(found.index[:, found.index[0] != 4])
        for kind, found in data.graph.edges.items()
    }
    text = data.item_text.copy()
    text[4] = 0.0
    bare = TrainingData(replace(data.graph, edges=edges), data.train, {"item": text})
    scores = scorer.fit(bare).score(np.arange(3))
    assert np.isnan(scores[:, 4]).all()
    assert not np.isnan(np.delete(scores, 4, axis=1)).any()


@pytest.mark.parametrize("make", [KGKNN, TextKNN, lambda: KGKNN(ProfileConfig(k=2))])
def test_a_catalog_without_any_content_is_all_unknown(make) -> None:
    data = planted()
    bare = TrainingData(replace(data.graph, edges={}), data.train)
    assert np.isnan(make().fit(bare).score(np.arange(3))).all()
    assert not np.isnan(KGPopularity().fit(bare).score(np.arange(3))).any()


@pytest.mark.parametrize("kind", [name for name, plan in KINDS.items() if plan.trials])
def test_settings_tried_together_score_as_those_fitted_alone(kind: str) -> None:
    plan, data, everybody = KINDS[kind], planted(), np.arange(N_USERS)
    fitted_by = plan.trials(data)
    fields = plan.grid.items()
    for config in [replace(plan.default, **{name: x}) for name, values in fields for x in values]:
        for k in (config.k, 2):
            one = replace(config, k=k)
            got, expected = fitted_by(one), plan.make(one).fit(data)
            assert got.config == one
            np.testing.assert_array_equal(got.score(everybody), expected.score(everybody))
