"""Training: resumable bit for bit, cold items from content, growth, warm starts, named refusals."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from coldframe.gnn.data import TrainingData
from coldframe.gnn.encoder import EncoderConfig, Hidden
from coldframe.gnn.scorer_base import Scorer
from coldframe.gnn.trainer import EncoderScorer
from coldframe.gnn.training import TrainingConfig
from coldframe.gnn.validation import ndcg_of_valid
from coldframe.kg.errors import DataError, IntegrityError, StateError, UsageError
from coldframe.kg.graph import EdgeSet, Graph, Interactions, NodeSet
from coldframe.kg.vocabulary import Vocabulary

# As many directions of the profile as there are tags: they are equally large, and which of them come first
# would be the luck of the machine's linear algebra.
SHAPE = EncoderConfig(dimensions=16, profile_dimensions=8)
SEEDS = range(4)  # so small a model may start badly; what it learns is judged over a few starts
SHORT = TrainingConfig(epochs=4, batch_size=16, evaluate_every=1)
IN_PARTS = 3  # neighbours that a step reads of a node, where it does not read the whole graph


def catalog(
    seed: int = 0, n_users: int = 60, n_items: int = 40, n_tags: int = 8, cold: int = 8
) -> tuple[TrainingData, Interactions, Interactions]:
    """Users like the items of two tags. Returns data without the last `cold` items, valid, cold test."""
    rng = np.random.default_rng(seed)
    tag = np.arange(n_items) % n_tags
    taste = np.arange(n_users) % n_tags
    chance = np.where((tag == taste[:, None]) | (tag == (taste[:, None] + 1) % n_tags), 0.8, 0.04)
    users, items = np.nonzero(rng.random((n_users, n_items)) < chance)
    rows = Interactions.build(users, items, rating=4.0 + rng.random(len(users)))
    hidden = items >= n_items - cold
    held = ~hidden & (rng.random(len(items)) < 0.15)
    nodes = {
        "user": NodeSet(Vocabulary(f"u{k}" for k in range(n_users))),
        "item": NodeSet(Vocabulary(f"i{k}" for k in range(n_items))),
        "tag": NodeSet(Vocabulary(f"t{k}" for k in range(n_tags))),
    }
    edges = {("item", "has", "tag"): EdgeSet(np.stack([np.arange(n_items), tag]))}
    data = TrainingData(Graph(nodes, edges, Interactions.empty()), rows.select(~hidden & ~held))
    return data, rows.select(held), rows.select(hidden)


def with_item(data: TrainingData, tag: int) -> TrainingData:
    """One more item, of that tag."""
    graph = data.graph
    items = NodeSet(graph.items.vocabulary.extend(["new"]))
    key = ("item", "has", "tag")
    ends = np.concatenate([graph.edges[key].index, [[len(items) - 1], [tag]]], 1)
    grown = replace(graph, nodes={**graph.nodes, "item": items}, edges={key: EdgeSet(ends)})
    return TrainingData(grown, data.train)


def auc(scores: np.ndarray, liked: np.ndarray) -> float:
    return float((scores[liked][:, None] > scores[~liked][None]).mean())


def everybody(data: TrainingData) -> np.ndarray:
    return np.arange(data.n_users)


@pytest.mark.parametrize("neighbours", [0, IN_PARTS])
@pytest.mark.parametrize("loss, least", [("softmax", 0.75), ("bce", 0.8), ("bpr", 0.7)])
def test_ranks_planted_cold_items_by_content_and_warm_ones_too(
    loss: str, least: float, neighbours: int
) -> None:
    data, valid, test = catalog()
    training = TrainingConfig(
        loss=loss, epochs=30, batch_size=16, learning_rate=0.01, neighbours=neighbours
    )
    liked = test.matrix(data.n_users, data.n_items).toarray() > 0
    held = valid.matrix(data.n_users, data.n_items).toarray() > 0
    open_ = (data.positives.toarray() == 0)[:, :32]
    cold, warm = [], []
    for seed in SEEDS:
        scorer = EncoderScorer(SHAPE, training, seed=seed).fit(data, valid)
        assert isinstance(scorer, Scorer)
        got = scorer.score(everybody(data))
        cold.append(auc(got[:, 32:], liked[:, 32:]))
        warm.append(auc(got[:, :32][open_], held[:, :32][open_]))
        assert len(scorer.history) >= 2
        assert {"epoch", "loss", "valid"} <= scorer.history[0].keys()
    assert np.mean(cold) > least
    assert np.mean(warm) > least


@pytest.mark.R(17)
@pytest.mark.parametrize("seed", range(100, 105))
def test_whatever_the_seed_cold_items_are_ranked_far_better_than_by_luck(seed: int) -> None:
    """Popularity knows nothing of cold items: its area is that of luck, 0.5."""
    data, valid, test = catalog(seed)
    training = TrainingConfig(epochs=20, batch_size=16, learning_rate=0.01)
    got = EncoderScorer(SHAPE, training, seed=seed).fit(data, valid).score(everybody(data))
    cold = np.flatnonzero(data.item_degree == 0)
    liked = test.matrix(data.n_users, data.n_items).toarray()[:, cold] > 0
    assert len(cold) == 8
    assert auc(got[:, cold], liked) > 0.7


@pytest.mark.parametrize("neighbours", [0, IN_PARTS])
def test_ratings_are_fitted_on_their_own_scale(neighbours: int) -> None:
    data, _, _ = catalog()
    tag = data.train.item % 8
    rated = replace(data.train, rating=(1.0 + tag / 2).astype(np.float32))
    training = TrainingConfig(
        loss="mse", epochs=60, batch_size=16, learning_rate=0.02, neighbours=neighbours
    )
    scorer = EncoderScorer(SHAPE, training).fit(data.with_train(rated))
    errors = scorer.score(everybody(data))[rated.user, rated.item] - rated.rating
    assert np.sqrt(np.mean(errors**2)) < 0.6 < rated.rating.std()


def test_ratings_are_not_learned_where_there_are_none() -> None:
    data, _, _ = catalog()
    bare = Interactions.build(data.train.user, data.train.item)
    with pytest.raises(DataError, match="no interaction has a rating"):
        EncoderScorer(SHAPE, TrainingConfig(loss="mse")).fit(data.with_train(bare))


@pytest.mark.R(13)
@pytest.mark.parametrize("neighbours", [0, IN_PARTS])
def test_resumed_at_every_epoch_it_ends_in_the_same_bits(tmp_path: Path, neighbours: int) -> None:
    data, valid, _ = catalog()
    config = replace(SHAPE, dropout=0.1)
    training = replace(SHORT, neighbours=neighbours)
    whole = EncoderScorer(config, training, seed=3).fit(data, valid)
    for stop in range(1, SHORT.epochs):
        folder = tmp_path / str(stop)

        def interrupt(*call: object, stop: int = stop) -> None:
            if call[0] == stop + 1:  # before its checkpoint: `stop` is the last one there
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            EncoderScorer(config, training, seed=3, progress=interrupt, checkpoints=folder).fit(
                data, valid
            )
        seen: list[object] = []
        again = EncoderScorer(
            config, training, seed=3, checkpoints=folder, resume=True,
            progress=lambda *call, seen=seen: seen.append(call[0]),
        ).fit(data, valid)  # fmt: skip
        assert seen == list(range(stop + 1, SHORT.epochs + 1))
        np.testing.assert_array_equal(again.score(everybody(data)), whole.score(everybody(data)))
        assert again.history == whole.history


@pytest.mark.parametrize(
    "change", ["config", "training", "seed", "data", "rounds", "edges", "initial"]
)
def test_resuming_something_else_is_refused(tmp_path: Path, change: str) -> None:
    data, valid, _ = catalog()
    start = EncoderScorer(SHAPE, SHORT, seed=7).fit(data, valid).state
    EncoderScorer(SHAPE, SHORT, checkpoints=tmp_path, initial=start).fit(data, valid)
    config = replace(SHAPE, dimensions=4) if change == "config" else SHAPE
    training = replace(SHORT, epochs=9) if change == "training" else SHORT
    rows, graph = data.train, data.graph
    if change == "data":
        rows = rows.select(np.arange(len(rows) - 1))
    elif change == "rounds":
        rows = replace(rows, round=np.ones_like(rows.round))
    elif change == "edges":
        kind, edges = next(iter(graph.edges.items()))
        graph = replace(graph, edges={**graph.edges, kind: EdgeSet(edges.index[:, 1:])})
    elif change == "initial":
        start = EncoderScorer(SHAPE, SHORT, seed=8).fit(data, valid).state
    other = EncoderScorer(
        config, training, seed=int(change == "seed"), checkpoints=tmp_path, resume=True,
        initial=None if change == "config" else start,
    )  # fmt: skip
    with pytest.raises(StateError, match="another"):
        other.fit(TrainingData(graph, rows, data.text), valid)


@pytest.mark.R(18)
@pytest.mark.parametrize("neighbours", [0, IN_PARTS])
def test_an_item_added_later_scores_as_if_it_had_been_there(neighbours: int) -> None:
    data, _, _ = catalog()
    scorer = EncoderScorer(SHAPE, replace(SHORT, neighbours=neighbours)).fit(data)
    before = scorer.score(everybody(data))
    grown = with_item(data, tag=3)
    after = scorer.refresh(grown).score(everybody(grown))
    np.testing.assert_allclose(after[:, :-1], before, atol=1e-5)
    # Item 35 is cold and has the same tag and nothing else: the same vector.
    np.testing.assert_allclose(after[:, -1], after[:, 35], atol=1e-5)


def test_a_saved_scorer_scores_the_same_and_meets_new_nodes(tmp_path: Path) -> None:
    data, valid, _ = catalog()
    scorer = EncoderScorer(SHAPE, SHORT).fit(data, valid)
    scorer.save(tmp_path)
    back = EncoderScorer.load(tmp_path, data)
    np.testing.assert_allclose(
        back.score(everybody(data)), scorer.score(everybody(data)), atol=1e-6
    )
    assert back.history == scorer.history
    assert back.state.config == SHAPE
    grown = EncoderScorer.load(tmp_path, with_item(data, 3))
    assert np.isfinite(grown.score(np.array([0]))).all()


def test_another_graph_is_refused() -> None:
    data, _, _ = catalog()
    scorer = EncoderScorer(SHAPE, SHORT).fit(data)
    items = NodeSet(Vocabulary([*data.graph.items.vocabulary[1:], "x"]))
    other = replace(data.graph, nodes={**data.graph.nodes, "item": items})
    with pytest.raises(IntegrityError, match="identifiers"):
        scorer.refresh(TrainingData(other, data.train))
    fewer = replace(
        data.graph, nodes={k: v for k, v in data.graph.nodes.items() if k != "tag"}, edges={}
    )
    with pytest.raises(IntegrityError, match="tag"):
        scorer.refresh(TrainingData(fewer, data.train))


def test_a_user_history_counts_at_once_without_training() -> None:
    data, _, _ = catalog()
    without = data.with_train(data.train.select(data.train.user >= 8))
    liked = data.positives.toarray()[:8] > 0  # one user of each taste
    gains = []
    for seed in SEEDS:
        scorer = EncoderScorer(SHAPE, replace(SHORT, epochs=20), seed=seed).fit(data)
        blank = scorer.refresh(without).score(np.arange(8))
        informed = scorer.refresh(data).score(np.arange(8))
        gains.append(auc(informed, liked) - auc(blank, liked))
    assert np.mean(gains) > 0.1


def test_warm_start_is_within_its_bound_of_training_anew() -> None:
    """After new answers a quarter of the epochs must reach 90 % of full retraining's AUC."""
    data, valid, test = catalog()
    training = TrainingConfig(epochs=24, warm_epochs=6, batch_size=16)
    told = data.with_train(data.train.concat(test.select(np.arange(0, len(test), 2))))
    asked = test.select(np.arange(1, len(test), 2))
    grown = with_item(told, 3)
    open_ = told.positives.toarray()[:, 32:] == 0
    liked = asked.matrix(data.n_users, 40).toarray()[:, 32:] > 0
    got = []
    for seed in SEEDS:
        first = EncoderScorer(SHAPE, training, seed=seed).fit(data, valid)
        seen: list[object] = []
        warm = EncoderScorer(
            initial=first.state, seed=seed, progress=lambda *call, seen=seen: seen.append(call[0])
        ).fit(grown, valid)
        anew = EncoderScorer(SHAPE, training, seed=seed).fit(grown, valid)
        assert len(seen) <= 6
        got.append(
            [auc(one.score(everybody(data))[:, 32:40][open_], liked[open_]) for one in (warm, anew)]
        )
    warm_auc, full = np.mean(got, axis=0)
    assert warm_auc > 0.9 * full
    assert full > 0.7


def test_an_item_of_which_nothing_is_known_is_nan() -> None:
    data, _, _ = catalog()
    graph = replace(data.graph, edges={("item", "has", "tag"): EdgeSet(np.array([[0], [0]]))})
    scores = EncoderScorer(SHAPE, SHORT).fit(TrainingData(graph, data.train)).score(np.array([0]))
    assert np.isnan(scores[0, 32:]).all()
    assert np.isfinite(scores[0, :32]).all()


@pytest.mark.parametrize("neighbours", [0, IN_PARTS])
def test_what_the_encoder_does_not_read_is_no_knowledge(neighbours: int) -> None:
    """Items with nothing but attributes, or nothing but a text, where these are switched off."""
    data, _, _ = catalog()
    graph, training = data.graph, replace(SHORT, epochs=1, neighbours=neighbours)
    words = TrainingData(
        replace(graph, edges={}), data.train, {"item": np.eye(40, dtype=np.float32)}
    )
    for given, without in ((data, "kg"), (words, "text")):
        assert given.item_degree[-1] == 0
        for used in (True, False):
            scorer = EncoderScorer(replace(SHAPE, **{without: used}), training).fit(given)
            assert np.isfinite(scorer.score([0])[0, -1]) == used


@pytest.mark.parametrize("neighbours", [0, IN_PARTS])
def test_auxiliary_losses_change_and_keep_the_training(neighbours: int) -> None:
    data, valid, test = catalog()
    short = replace(SHORT, epochs=20, neighbours=neighbours)
    data = TrainingData(
        data.graph, data.train, {"item": np.eye(8, dtype=np.float32)[np.arange(40) % 8]}
    )
    liked = test.matrix(data.n_users, data.n_items).toarray()[:, 32:] > 0
    plain = EncoderScorer(SHAPE, short).fit(data, valid)
    for name in ("kg_completion", "view_contrast", "text_contrast"):
        training = replace(short, **{name: 0.1})
        fits = [EncoderScorer(SHAPE, training, seed=seed).fit(data, valid) for seed in SEEDS]
        got = [one.score(everybody(data)) for one in fits]
        assert not np.allclose(got[0], plain.score(everybody(data))), name
        assert np.mean([auc(scores[:, 32:], liked) for scores in got]) > 0.7, name


def test_early_stopping_keeps_the_best_epoch() -> None:
    data, valid, _ = catalog()
    training = TrainingConfig(
        epochs=60, evaluate_every=1, patience=2, learning_rate=0.05, batch_size=16, average=0.0
    )
    scorer = EncoderScorer(SHAPE, training).fit(data, valid)
    values = [row["valid"] for row in scorer.history]
    assert len(values) < 60
    assert int(np.argmax(values)) == len(values) - 1 - 2
    model, view = scorer.model_of(data)
    with torch.no_grad():
        kept = ndcg_of_valid(data, valid)(model.eval()(view, Hidden()))
    assert kept == pytest.approx(max(values))
    assert kept > values[-1]


def test_a_loss_that_explodes_is_a_named_error() -> None:
    data, _, _ = catalog()
    text = {"item": np.full((40, 2), np.inf, np.float32)}
    with pytest.raises(DataError, match="loss is"):
        EncoderScorer(SHAPE, SHORT).fit(TrainingData(data.graph, data.train, text))


@pytest.mark.parametrize("neighbours", [0, IN_PARTS])
def test_no_interactions_at_all_gives_finite_scores(neighbours: int) -> None:
    data, _, _ = catalog()
    training = replace(SHORT, neighbours=neighbours)
    scorer = EncoderScorer(SHAPE, training).fit(data.with_train(Interactions.empty()))
    assert np.isfinite(scorer.score(everybody(data))).all()


def test_wrong_settings_name_the_nearest() -> None:
    with pytest.raises(UsageError, match="softmax"):
        TrainingConfig(loss="softmx")
    with pytest.raises(UsageError, match="sparse"):
        EncoderConfig(convolution="sparce")
    with pytest.raises(UsageError, match="item_dropout"):
        TrainingConfig(item_dropout=1.0)


def test_scoring_before_fitting_says_so() -> None:
    with pytest.raises(StateError, match="not fitted"):
        EncoderScorer().score(np.array([0]))
