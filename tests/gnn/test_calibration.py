"""Chances from scores: right on data not seen, never falling with the score, and saved with the model."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy.special import expit, logit

from coldframe.gnn.calibration import (
    Calibration,
    CalibrationConfig,
    Curve,
    HeldOut,
    assess,
    kind_of_pairs,
)
from coldframe.gnn.gate import KINDS
from coldframe.gnn.metrics import reliability
from coldframe.gnn.recommender import Recommender
from coldframe.kg.errors import IntegrityError, UsageError
from coldframe.kg.graph import Graph, Interactions, NodeSet
from coldframe.kg.split import Split
from coldframe.kg.vocabulary import Vocabulary


def planted(n: int, seed: int, *, shift: tuple[float, ...] = (0.0, 1.0, -1.0, 2.0)) -> HeldOut:
    """Chances of every size; the score is three times too sure, and shifted kind by kind."""
    rng = np.random.default_rng(seed)
    chance = rng.beta(0.4, 3.0, n).clip(1e-4, 1 - 1e-4)
    kind = rng.integers(0, 4, n).astype(np.int8)
    score = 3.0 * logit(chance) + np.asarray(shift)[kind]
    return HeldOut(score, kind, rng.random(n) < chance, np.ones(n), np.zeros(n, bool))


def error(pairs: HeldOut, chance: np.ndarray) -> float:
    return reliability(pairs.label, chance, weight=pairs.weight).ece


@pytest.mark.parametrize("isotonic_from", [1, 10**9])
def test_a_wrong_score_is_put_right_on_pairs_not_seen(isotonic_from: int) -> None:
    config = CalibrationConfig(isotonic_from=isotonic_from)
    calibration = Calibration.fit(planted(20_000, seed=0), config)
    assert calibration is not None
    fresh = planted(20_000, seed=1)
    after = error(fresh, calibration.probability(fresh.score, fresh.kind))
    assert after < 0.02 < 0.06 < error(fresh, expit(fresh.score))
    for kind in np.unique(fresh.kind):
        own = fresh.only(fresh.kind == kind)
        assert error(own, calibration.probability(own.score, own.kind)) < 0.03


@pytest.mark.parametrize("isotonic", [False, True])
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_chances_never_fall_as_the_score_grows(isotonic: bool, sign: float) -> None:
    pairs = planted(2000, seed=2)
    turned = HeldOut(sign * pairs.score, pairs.kind, pairs.label, pairs.weight, pairs.leading)
    chance = Curve.fit(turned, isotonic=isotonic)(np.linspace(-60, 60, 500))
    assert (np.diff(chance) >= 0).all()
    assert (chance >= 0).all()
    assert (chance <= 1).all()
    if sign > 0:
        assert chance[-1] > chance[0] + 0.5
    else:  # a score that misleads is left alone: the rate is all that is known
        np.testing.assert_allclose(chance, pairs.label.mean(), atol=0.03)


def test_kinds_with_few_positives_share_the_curve_of_their_kin() -> None:
    pairs = planted(8000, seed=3)
    few = pairs.only((pairs.kind != 1) | (np.cumsum((pairs.kind == 1) & pairs.label) <= 3))
    calibration = Calibration.fit(few, CalibrationConfig(isotonic_from=10**9))
    cold, rare, common, new = calibration.curves
    kin = Curve.fit(few.only(np.isin(few.kind, (1, 2))), isotonic=False)
    assert (rare.slope, rare.intercept) == (kin.slope, kin.intercept)
    assert common.slope != rare.slope
    assert cold.intercept > new.intercept  # each of these has its own


def test_nothing_is_learned_without_a_positive_or_without_another_pair() -> None:
    pairs = planted(500, seed=4)
    assert Calibration.fit(pairs.only(~pairs.label)) is None
    assert Calibration.fit(pairs.only(pairs.label)) is None


def test_weights_undo_the_drawing() -> None:
    rng = np.random.default_rng(5)
    scores = rng.normal(size=(200, 400)).astype(np.float32)
    scores[:, :7] = np.nan
    truth = rng.random(scores.shape) < 0.03 * expit(scores)
    closed = rng.random(scores.shape) < 0.05
    kinds = kind_of_pairs(np.repeat([0, 2, 9], [100, 100, 200]), np.arange(200)[:, None] % 10)
    config = CalibrationConfig(top=20, others=30)
    pairs = HeldOut.draw(scores, kinds, truth, closed, config, rng)
    open_ = ~closed & ~np.isnan(scores)
    assert len(pairs) < 0.2 * open_.sum()
    assert pairs.label.sum() == (truth & open_).sum()
    assert pairs.leading.sum() == 200 * 10
    assert pairs.weight.sum() == pytest.approx(open_.sum(), rel=0.03)
    for kind in range(len(KINDS)):
        mask = pairs.kind == kind
        assert pairs.weight[mask].sum() == pytest.approx((open_ & (kinds == kind)).sum(), rel=0.08)
    mean = np.average(pairs.score, weights=pairs.weight)
    assert mean == pytest.approx(scores[open_].mean(), abs=0.02)


def test_kinds_of_pairs() -> None:
    kinds = kind_of_pairs(np.array([0, 1, 4, 5]), np.array([[3], [0]]))
    assert [[KINDS[k] for k in row] for row in kinds] == [
        ["cold", "rare", "rare", "common"],
        ["new-user"] * 4,
    ]


def test_chances_of_the_model_are_right_on_the_test_part(
    planted_model: Recommender, planted_split: Split
) -> None:
    scorer = planted_model.scorer
    found = assess(scorer.score, scorer.calibration, planted_model.data, planted_split)
    assert found["ece"] < 0.035  # by the seed of so small a model it is .011 to .030
    assert found["top"]["ece"] < 0.1
    assert found["top"]["rate"] > 2 * found["rate"]
    assert found["brier"] < found["rate"] * (1 - found["rate"]) * 1.2  # by the seed 1.00 to 1.13
    assert len(found["bins"]) == 10
    pairs = sum(one["pairs"] for one in found["bins"])
    assert pairs == pytest.approx(found["pairs"], abs=10)
    line = (Curve(1.0, 0.0, np.zeros(0), np.zeros(0)),) * len(KINDS)
    raw = assess(scorer.score, Calibration(line), planted_model.data, planted_split)
    assert raw["ece"] > 5 * found["ece"]
    again = assess(scorer.score, scorer.calibration, planted_model.data, planted_split)
    assert again == found


def test_a_loaded_model_gives_the_same_chances(
    loaded: Callable[[], Recommender], planted_model: Recommender
) -> None:
    graph = planted_model.graph
    pairs = [(u, i) for u in list(graph.users.vocabulary)[:5] for i in graph.items.vocabulary]
    chance = planted_model.probability(pairs)
    np.testing.assert_array_equal(loaded().probability(pairs), chance)
    assert chance.dtype == np.float32
    known = ~np.isnan(planted_model.scores(pairs))
    assert ((chance[known] > 0) & (chance[known] < 1)).all()
    assert np.isnan(chance[~known]).all()
    order = np.argsort(planted_model.scores(pairs)[:160])
    cold = planted_model.data.item_degree[order] == 0
    assert (np.diff(chance[:160][order][cold]) >= 0).all()


def test_without_interactions_to_hold_out_there_are_no_chances(quick_config, tmp_path) -> None:
    nodes = {name: NodeSet(Vocabulary([f"{name}0", f"{name}1"])) for name in ("user", "item")}
    graph = Graph(nodes, {}, Interactions.build([0, 1], [0, 0]))
    model = Recommender(quick_config, device="cpu").fit(graph)
    for one in (model, Recommender.load(model.save(tmp_path), graph, device="cpu")):
        assert np.isnan(one.probability([("user0", "item1"), ("user1", "item1")])).all()


def test_damaged_tensors_and_wrong_settings_are_refused() -> None:
    curved = CalibrationConfig(isotonic_from=1)
    tensors = Calibration.fit(planted(4000, seed=6), curved).tensors()
    assert set(Calibration.restore(tensors).tensors()) == set(tensors)
    with pytest.raises(IntegrityError, match="missing"):
        Calibration.restore({key: value for key, value in tensors.items() if key != "rare.y"})
    with pytest.raises(IntegrityError, match="cold"):
        Calibration.restore({**tensors, "cold.x": tensors["cold.x"][:-1]})
    with pytest.raises(UsageError, match="at least 1"):
        CalibrationConfig(others=0)
