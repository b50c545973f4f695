"""The gate: its formula, what it learns from planted lessons, and how it ranks kinds together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import logsumexp

from coldframe.gnn.gate import RARE, Gate, GateConfig, kind_of, scaled
from coldframe.gnn.gate_learning import _fit, _Task, learn_gate
from coldframe.gnn.lesson import Block, Lesson, Shortlist
from coldframe.gnn.scorer_base import standardise
from coldframe.kg.errors import UsageError

N_USERS, N_ITEMS = 240, 70
COLD, RARES, COMMON = np.arange(20), np.arange(20, 35), np.arange(35, N_ITEMS)


@dataclass(frozen=True)
class Planted:
    """Scores of three parts, and the truth."""

    z: np.ndarray
    truth: np.ndarray
    known: np.ndarray
    item_degree: np.ndarray
    user_degree: np.ndarray

    def block(self, users: slice = slice(None)) -> Block:
        return Block(
            self.z[:, users], self.truth[users], self.known[users], self.user_degree[users]
        )

    def lesson(
        self, *blocks: Block, answering: int | None = None, thinned: Sequence[int] = ()
    ) -> Lesson:
        wanted = self.truth.any(axis=0)
        made_rare = np.isin(np.arange(N_ITEMS), thinned)
        return Lesson.build(
            blocks or [self.block()], self.item_degree, wanted, answering, thinned=made_rare
        )


def planted(seed: int = 0, signal: float = 2.5) -> Planted:
    """Part 0 knows common items, part 1 cold and rare ones, part 2 nothing; each fifth user is new.

    New users are known to part 2 alone.
    """
    rng = np.random.default_rng(seed)
    truth = rng.random((N_USERS, N_ITEMS)) < 0.08
    known = ~truth & (rng.random(truth.shape) < 0.1)
    known[:, COLD] = False
    item_degree = np.zeros(N_ITEMS, np.int64)
    item_degree[RARES] = rng.integers(1, RARE, len(RARES))
    item_degree[COMMON] = rng.integers(RARE, 60, len(COMMON))
    user_degree = rng.integers(3, 40, N_USERS)
    user_degree[::5] = 0
    new = user_degree == 0
    z = rng.normal(size=(3, N_USERS, N_ITEMS))
    z[0][:, COMMON] += signal * truth[:, COMMON]
    z[0][:, COLD] = np.nan
    z[1][:, :35] += signal * truth[:, :35]
    z[:2, new] = rng.normal(size=(2, new.sum(), N_ITEMS))
    z[2][new] += signal * truth[new]
    return Planted(
        np.stack([*map(standardise, z.astype(np.float32))]), truth, known, item_degree, user_degree
    )


def ndcg(scores: np.ndarray, truth: np.ndarray, known: np.ndarray, items: np.ndarray) -> float:
    """Mean NDCG@10 of the wanted pairs on `items`, ranked among all items; sorted in full."""
    values = []
    for row, wanted, closed in zip(scores, truth, known, strict=True):
        goal = np.zeros(len(wanted), bool)
        goal[items] = wanted[items]
        if not goal.any():
            continue
        row = np.where(closed | np.isnan(row), -np.inf, row)
        hit = goal[np.argsort(-row, kind="stable")[:10]]
        ideal = np.sort(goal)[::-1][:10]
        discount = 1 / np.log2(np.arange(2, 12))
        values.append((hit * discount).sum() / (ideal * discount).sum())
    return float(np.mean(values))


def combined(gate: Gate, lesson: Planted, users: np.ndarray) -> np.ndarray:
    return gate.combine(list(lesson.z[:, users]), lesson.item_degree, lesson.user_degree[users])


def old_users(lesson: Planted) -> np.ndarray:
    return np.flatnonzero(lesson.user_degree > 0)


def random_gate(seed: int = 5, parts: int = 3) -> Gate:
    rng = np.random.default_rng(seed)
    weights = rng.normal(size=(4, 4, parts)).astype(np.float32)
    bias = np.array([[0.5, -0.25, 0.125, 2.0], [0.75, -0.5, 0.25, 8.0]], np.float32)
    return Gate(weights, bias)


def raw_scores(seed: int = 6) -> tuple[list[np.ndarray], np.ndarray, np.ndarray]:
    """Three parts for 5 users and 8 items, with holes; degrees of all kinds; user 3 is new."""
    rng = np.random.default_rng(seed)
    scores = [rng.normal(size=(5, 8)).astype(np.float32) * scale for scale in (1.0, 30.0, 0.01)]
    scores[0][:, :2] = np.nan
    scores[1][3] = np.nan
    for part in scores:
        part[1, 6] = np.nan
    return scores, np.array([0, 0, 1, 4, 5, 19, 80, 7]), np.array([3, 50, 9, 0, 1])


def test_combine_equals_the_formula() -> None:
    gate = random_gate()
    scores, item_degree, user_degree = raw_scores()
    got = gate.combine(scores, item_degree, user_degree)
    for u in range(5):
        for i in range(8):
            if all(np.isnan(part[u, i]) for part in scores):
                assert np.isnan(got[u, i])
                continue
            kind = 3 if user_degree[u] == 0 else int(item_degree[i] > 0) + int(item_degree[i] >= 5)
            d_item = np.log1p(item_degree[i]) / np.log(20) - 1
            d_user = np.log1p(user_degree[u]) / np.log(20) - 1
            # How much a user did says nothing of new users, who did nothing.
            expected = float(
                gate.bias[0, kind] + (0.0 if kind == 3 else gate.bias[1, kind] * d_user)
            )
            for p, part in enumerate(scores):
                row = part[u][~np.isnan(part[u])].astype(float)
                if np.isnan(part[u, i]):
                    continue
                z = (float(part[u, i]) - row.mean()) / row.std()
                w, v, q, r = gate.weights[:, kind, p]
                expected += z * (w + v * d_item + (0.0 if kind == 3 else q * d_user))
                expected += r * np.sign(z) * np.log1p(abs(z))
            assert got[u, i] == pytest.approx(expected, abs=2e-5), (u, i)


def test_only_what_no_part_knows_is_nan() -> None:
    scores, item_degree, user_degree = raw_scores()
    got = random_gate().combine(scores, item_degree, user_degree)
    expected = np.zeros((5, 8), bool)
    expected[1, 6] = True
    np.testing.assert_array_equal(np.isnan(got), expected)


def test_shares_and_offset_add_up_and_the_callers_scores_are_untouched() -> None:
    gate = random_gate()
    scores, item_degree, user_degree = raw_scores()
    before = [part.copy() for part in scores]
    total = sum(gate.shares(scores, item_degree, user_degree))
    got = gate.combine(scores, item_degree, user_degree)
    for u, i in [(0, 0), (0, 2), (2, 7), (3, 5), (4, 1)]:
        offset = gate.offsets(item_degree, user_degree)[u, i]
        assert got[u, i] == pytest.approx(total[u, i] + offset, abs=1e-5)
    for part, old in zip(scores, before, strict=True):
        np.testing.assert_array_equal(part, old)


def test_kinds_and_degrees() -> None:
    np.testing.assert_array_equal(kind_of(np.array([0, 1, 4, 5, 900])), [0, 1, 1, 2, 2])
    np.testing.assert_allclose(scaled(np.array([0, 19, 399])), [-1.0, 0.0, 1.0], atol=1e-6)


def test_finds_the_better_part_of_each_kind() -> None:
    lesson = planted()
    weights = learn_gate(lesson.lesson(), GateConfig()).weights[0]
    assert weights[2].argmax() == 0
    assert weights[0].argmax() == 1
    assert weights[1].argmax() == 1
    assert weights[3].argmax() == 2
    # Part 0 is silent on cold items, so its weight there does not matter.
    for kind, best, others in ((0, 1, [2]), (1, 1, [0, 2]), (2, 0, [1, 2]), (3, 2, [0, 1])):
        assert weights[kind][best] > 3 * np.abs(weights[kind][others]).max(), kind


def test_what_it_learned_holds_on_users_it_never_saw() -> None:
    gate = learn_gate(planted().lesson(), GateConfig(cold_cost=10))
    other = planted(seed=9)
    users = old_users(other)
    truth, known = other.truth[users], other.known[users]
    equal = Gate(np.full((4, 4, 3), [[[1 / 3]], [[0]], [[0]], [[0]]], np.float32), gate.bias)
    learned = ndcg(combined(gate, other, users), truth, known, np.arange(N_ITEMS))
    plain = ndcg(combined(equal, other, users), truth, known, np.arange(N_ITEMS))
    best = max(ndcg(part[users], truth, known, np.arange(N_ITEMS)) for part in other.z)
    assert learned > plain + 0.05
    assert learned > best + 0.05


def test_penalty_pulls_to_equal_weights() -> None:
    lesson = planted()
    weights = learn_gate(lesson.lesson(), replace(GateConfig(), penalty=1e9)).weights
    # How the kinds stand against each other is not penalised: cold weights have a scale of their own.
    assert weights[0, 0, 0] == 0.0  # silent on cold items
    np.testing.assert_allclose(weights[0, 0, 1], weights[0, 0, 2], rtol=1e-3)
    np.testing.assert_allclose(weights[0, 1:4], 1 / 3, atol=1e-3)
    np.testing.assert_allclose(weights[1:], 0.0, atol=1e-3)
    loose = learn_gate(lesson.lesson(), replace(GateConfig(), penalty=1.0)).weights
    tight = learn_gate(lesson.lesson(), replace(GateConfig(), penalty=300.0)).weights
    assert np.abs(tight[0, 1:4] - 1 / 3).sum() < np.abs(loose[0, 1:4] - 1 / 3).sum()


@pytest.mark.parametrize("penalty", [0.05, 1e-6])
def test_cold_items_weights_are_the_likeliest_under_the_penalty(penalty: float) -> None:
    """Cold items all have one degree: what the degree would explain is no part of the optimum."""
    rng = np.random.default_rng(0)
    n_users, n_items = 150, 25
    z = rng.normal(size=(3, n_users, n_items)).astype(np.float32)
    utility = 0.8 * z[0] - 0.4 * z[2] + rng.gumbel(size=(n_users, n_items))
    truth = utility == utility.max(axis=1, keepdims=True)
    known, degree = np.zeros_like(truth), np.zeros(n_items, np.int64)
    block = Block(z, truth, known, np.full(n_users, 9))
    lesson = Lesson.build([block], degree, truth.any(axis=0), None)
    task = _Task.build(lesson.hidden, degree, user_degrees=False)
    assert task.truth.sum() == n_users
    found = _fit(task, penalty)
    assert not found[1:3].any()
    both = np.concatenate([task.z, np.sign(task.z) * np.log1p(np.abs(task.z))])
    equal = np.repeat([1 / 3, 0.0], 3)

    def loss(w: np.ndarray) -> float:
        utilities = np.where(task.masked, -np.inf, np.einsum("p,pbi->bi", w, both))
        shares = utilities - logsumexp(utilities, axis=1, keepdims=True)
        return float(-shares[task.truth].mean() + penalty * np.square(w - equal).sum())

    best = minimize(loss, equal, method="BFGS")
    assert loss(found[[0, 3]].ravel()) == pytest.approx(best.fun, abs=1e-5)
    np.testing.assert_allclose(found[[0, 3]].ravel(), best.x, atol=2e-2 if penalty < 0.01 else 5e-3)


def test_new_users_get_what_is_popular_until_more_is_known() -> None:
    lesson = planted()
    few = replace(lesson.lesson(), popular=1)
    few = replace(few, new=few.new.rows(np.arange(10)))
    np.testing.assert_array_equal(learn_gate(few, GateConfig()).weights[0, 3], [0.0, 1.0, 0.0])
    many = replace(lesson.lesson(), popular=1)
    assert learn_gate(many, GateConfig()).weights[0, 3].argmax() == 2  # what does find it


def test_too_little_to_learn_from_leaves_equal_weights() -> None:
    lesson = planted()
    gate = learn_gate(lesson.lesson(lesson.block(slice(10))), GateConfig())
    assert gate.weights[0, 0, 0] == 0.0  # silent on cold items
    np.testing.assert_allclose(gate.weights[0, 0, 1:], 1 / 3)
    np.testing.assert_allclose(gate.weights[0, 1:4], 1 / 3)
    np.testing.assert_array_equal(gate.weights[:, 4], gate.weights[:, 0])  # told ones as cold ones
    np.testing.assert_array_equal(gate.weights[1:], 0.0)


def test_a_told_item_stands_where_a_common_one_of_the_same_posterior_does() -> None:
    """Of cold items that part 0 finds as it finds common ones: those told of are found, others kept down."""
    lesson = planted()
    lesson.z[0][:, COLD] = lesson.z[0][:, COMMON[:20]]
    lesson.truth[:, COLD] = lesson.truth[:, COMMON[:20]]
    gate = learn_gate(lesson.lesson(answering=0), GateConfig(cold_cost=0.0))
    assert gate.weights[0, 4, 0] > 0.3
    users = old_users(lesson)
    told = np.zeros(N_ITEMS, bool)
    told[COLD[:10]] = True
    known = lesson.item_degree, lesson.user_degree[users], told
    scores = gate.combine(list(lesson.z[:, users]), *known)
    seen = lesson.truth[users], lesson.known[users]
    twins, left = COMMON[:10], COLD[10:]
    assert ndcg(scores, *seen, COLD[:10]) > 0.6 * ndcg(scores, *seen, twins)
    assert ndcg(scores, *seen, COLD[:10]) > 1.5 * ndcg(scores, *seen, left)
    share = sum(gate.shares(list(lesson.z[:, users]), *known)) + gate.offsets(*known)
    np.testing.assert_allclose(share[:, ~told], scores[:, ~told], atol=1e-5)
    as_cold = gate.combine(list(lesson.z[:, users]), *known[:2])
    best = np.maximum(share, as_cold)[:, told]
    np.testing.assert_allclose(scores[:, told], best, atol=1e-5)


def test_known_pairs_do_not_compete() -> None:
    """A part that puts known pairs first is as good as one that does not."""
    lesson = planted()
    loud = lesson.z.copy()
    loud[0][lesson.known] += 50.0
    gate = learn_gate(lesson.lesson(), GateConfig())
    same = learn_gate(replace(lesson, z=loud).lesson(), GateConfig())
    np.testing.assert_allclose(same.weights, gate.weights, atol=1e-3)


def test_the_same_lesson_gives_the_same_gate() -> None:
    first, second = (learn_gate(planted().lesson(), GateConfig()) for _ in range(2))
    np.testing.assert_array_equal(first.weights, second.weights)
    np.testing.assert_array_equal(first.bias, second.bias)


@pytest.mark.parametrize("cost", [0.0, 0.1, 0.5, 2.0])
@pytest.mark.parametrize("plenty", [True, False])
def test_cold_items_cost_trained_ones_no_more_than_allowed(
    cost: float, plenty: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Common ones alone, where there are too few rare ones to say how these stand."""
    monkeypatch.setattr("coldframe.gnn.gate_learning._PLENTY", 20 if plenty else 10_000)
    lesson = planted(signal=1.5)
    gate = learn_gate(lesson.lesson(), replace(GateConfig(), cold_cost=cost))
    users = old_users(lesson)
    truth, known = lesson.truth[users], lesson.known[users]
    kept = np.concatenate([RARES, COMMON]) if plenty else COMMON
    scores = combined(gate, lesson, users)
    alone = scores.copy()
    alone[:, np.setdiff1d(np.arange(N_ITEMS), kept)] = np.nan
    sought = truth[:, RARES].sum() / truth[:, COMMON].sum() * len(COMMON)
    rares = min(len(RARES), sought) if plenty else len(RARES)
    share = 1 - cost * (len(COLD) + rares) / N_ITEMS
    assert ndcg(scores, truth, known, kept) >= share * ndcg(alone, truth, known, kept) - 1e-6


def test_rare_items_are_not_buried_for_the_sake_of_common_ones(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("coldframe.gnn.gate_learning._PLENTY", 20)
    lesson = planted(signal=1.5)
    users, hot = old_users(lesson), np.concatenate([RARES, COMMON])
    truth, known = lesson.truth[users], lesson.known[users]
    scores = combined(learn_gate(lesson.lesson(), GateConfig(cold_cost=0.0)), lesson, users)
    buried = scores.copy()
    buried[:, RARES] -= 20.0
    assert ndcg(scores, truth, known, hot) > 1.2 * ndcg(buried, truth, known, hot)


@pytest.mark.parametrize("plenty", [True, False])
def test_thinned_items_stand_in_for_rare_ones_where_these_are_few(
    plenty: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Part 1 finds the rare items, part 2 the thinned ones."""
    monkeypatch.setattr("coldframe.gnn.gate_learning._PLENTY", 20 if plenty else 10_000)
    lesson, thinned = planted(), RARES[::2]
    lesson.z[1][:, thinned], lesson.z[2][:, thinned] = (
        lesson.z[2][:, thinned], lesson.z[1][:, thinned].copy()
    )  # fmt: skip
    _, first, second = learn_gate(lesson.lesson(thinned=thinned), GateConfig()).weights[0, 1]
    assert (first > 3 * abs(second)) == plenty


def test_what_is_found_of_thinned_items_does_not_pay_for_common_ones() -> None:
    """All that was taken from them is to be found, of the others a tenth."""
    lesson = planted(signal=1.5)
    users = old_users(lesson)
    truth, known = lesson.truth[users], lesson.known[users]
    gate = learn_gate(lesson.lesson(thinned=RARES), GateConfig(cold_cost=0.0))
    scores = combined(gate, lesson, users)
    alone = scores.copy()
    alone[:, np.concatenate([COLD, RARES])] = np.nan
    assert ndcg(scores, truth, known, COMMON) >= ndcg(alone, truth, known, COMMON) - 1e-6


def test_a_higher_cost_lifts_cold_items_further() -> None:
    lesson = planted(signal=1.5)
    users = old_users(lesson)
    values = {}
    for cost in (10.0, 0.0):
        gate = learn_gate(lesson.lesson(), replace(GateConfig(), cold_cost=cost))
        scores = combined(gate, lesson, users)
        values[cost] = [
            ndcg(scores, lesson.truth[users], lesson.known[users], items)
            for items in (COLD, np.arange(N_ITEMS))
        ]
    assert values[10][0] >= values[0][0]
    assert values[10][1] >= values[0][1]
    assert values[10][0] > 0.1


def test_a_kind_the_lesson_lacks_is_not_buried() -> None:
    lesson = planted()
    degree = np.where(kind_of(lesson.item_degree) == 1, RARE + 1, lesson.item_degree)
    gate = learn_gate(replace(lesson, item_degree=degree).lesson(), GateConfig())
    assert gate.bias[0, 1] == 0.0
    assert gate.bias[0, 0] > -20.0


def test_shortlists_hold_each_parts_top_and_count_what_is_missing() -> None:
    lesson = planted()
    closed = lesson.known & ~lesson.truth
    found = Shortlist.of(lesson.block(), COMMON, depth=3)
    for user, listed in enumerate(found.item):
        chosen = listed[listed >= 0]
        expected: set[int] = set()
        for part in lesson.z:
            row = np.where(closed[user], -np.inf, part[user])[COMMON]
            expected |= {int(i) for i in COMMON[np.argsort(-row)[:3]]}
        assert set(chosen.tolist()) == expected
        count = len(chosen)
        np.testing.assert_array_equal(found.truth[user, :count], lesson.truth[user, chosen])
        np.testing.assert_array_equal(found.z[:, user, :count], lesson.z[:, user, chosen])
        assert not found.truth[user, count:].any()
        assert found.wanted[user] == lesson.truth[user, COMMON].sum()


def test_how_the_users_are_cut_into_blocks_does_not_matter() -> None:
    lesson = planted()
    cut = [lesson.block(slice(start, start + 50)) for start in range(0, N_USERS, 50)]
    whole, pieces = (learn_gate(lesson.lesson(*blocks), GateConfig()) for blocks in ([], cut))
    np.testing.assert_allclose(pieces.weights, whole.weights, atol=1e-3)
    np.testing.assert_allclose(pieces.bias, whole.bias, atol=1e-3)


def test_standardised_parts_do_not_care_about_scale() -> None:
    gate = random_gate()
    scores, item_degree, user_degree = raw_scores()
    other = [part * 7.0 - 3.0 for part in scores]
    np.testing.assert_allclose(
        gate.combine(scores, item_degree, user_degree),
        gate.combine(other, item_degree, user_degree),
        atol=1e-3,
    )
    assert np.nanmax(np.abs(standardise(scores[1]).mean(1)[[0, 2, 4]])) < 1e-6


@pytest.mark.parametrize(
    "wrong",
    [
        {"cold_cost": -0.1},
        {"cold_cost": np.inf},
        {"penalty": np.nan},
        {"penalty": -5.0},
        {"max_users": 0},
        {"hidden_share": 0.6},
        {"thinned_share": -0.1},
        {"hidden_users": 1},
    ],
)
def test_wrong_settings_are_named(wrong: dict[str, float]) -> None:
    with pytest.raises(UsageError, match=next(iter(wrong))):
        GateConfig(**wrong)
