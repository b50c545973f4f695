"""Coverage: monotone, submodular, and greedy within (1 - 1/e) of the best choice."""

import itertools
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp

from coldframe.active import coverage as coverage_module
from coldframe.active.coverage import (
    COVERS,
    Cover,
    attribute_cover,
    cover_of,
    facility_location,
    pagerank_spread,
)
from coldframe.active.diverse import coverage_only
from coldframe.active.pool import Pool
from coldframe.active.state import AskState
from coldframe.gnn.posterior import Posterior
from coldframe.kg.errors import UsageError

KINDS = ["facility", "attributes", "pagerank"]


def make(kind: str, seed: int, items: int = 8, attributes: int = 10) -> Cover:
    rng = np.random.default_rng(seed)
    incidence = sp.csr_matrix((rng.random((items, attributes)) < 0.3).astype(float))
    if kind == "attributes":
        return attribute_cover(incidence, rng.random(attributes))
    if kind == "pagerank":
        return pagerank_spread(incidence, rng.random(items))
    weighted = incidence.multiply(rng.random((items, attributes))).toarray()
    weighted /= np.maximum(np.linalg.norm(weighted, axis=1, keepdims=True), 1e-9)
    return facility_location(sp.csr_matrix(weighted), rng.random(items))


def asking_state(coverage: str, seed: int, **limits: int) -> AskState:
    """Eight items with random attributes, five users, and beliefs that like some items better."""
    rng = np.random.default_rng(seed)
    x = np.c_[np.ones(5), rng.normal(size=5)].astype(np.float32)
    posterior = Posterior.from_prior(x, rng.normal(size=(8, 2)), np.eye(2))
    profile = (rng.random((8, 6)) < 0.4) * rng.random((8, 6)) + 0.01 * np.eye(8, 6)
    profile /= np.linalg.norm(profile, axis=1, keepdims=True).clip(1e-9)
    pool = Pool.build(sp.csr_matrix((5, 8), dtype=np.float32), **limits)
    return AskState(posterior, pool, np.arange(5), sp.csr_matrix(profile), coverage=coverage)


def asked_items(state: AskState, budget: int) -> list[int]:
    return coverage_only(state, budget, np.random.default_rng(0)).items


@pytest.mark.R(16)
@pytest.mark.parametrize("coverage", COVERS)
def test_the_strategy_is_within_the_guarantee_of_brute_force(coverage):
    for seed in range(70):
        state = asking_state(coverage, seed, item_cap=1)
        counts = np.bincount(asked_items(state, 3), minlength=8)
        assert sorted(counts)[-3:] == [1, 1, 1]
        every = (np.bincount(c, minlength=8) for c in itertools.combinations(range(8), 3))
        best = max(state.cover.value(one) for one in every)
        assert state.cover.value(counts) >= (1 - 1 / np.e) * best - 1e-9


@pytest.mark.R(16)
def test_where_more_questions_add_ever_less_the_guarantee_holds_for_several_about_an_item():
    for seed in range(30):
        state = asking_state("pagerank", seed)
        counts = np.bincount(asked_items(state, 3), minlength=8)
        every = itertools.combinations_with_replacement(range(8), 3)
        best = max(state.cover.value(np.bincount(c, minlength=8)) for c in every)
        assert state.cover.value(counts) >= (1 - 1 / np.e) * best - 1e-9


@pytest.mark.parametrize("coverage", COVERS)
def test_the_strategy_picks_what_plain_greedy_picks(coverage):
    for seed in range(20):
        state = asking_state(coverage, seed, item_cap=1)
        counts = np.zeros(8, np.int64)
        for item in asked_items(state, 5):
            gains = state.cover.marginal(counts)
            assert gains[item] == pytest.approx(gains[counts == 0].max(), abs=1e-9)
            counts[item] += 1


@pytest.mark.parametrize("kind", KINDS)
def test_monotone_and_submodular(kind):
    rng = np.random.default_rng(1)
    for seed in range(30):
        cover = make(kind, seed)
        small = rng.integers(0, 4, 8)
        large = small + rng.integers(0, 4, 8)
        before, after = cover.marginal(small), cover.marginal(large)
        assert (after >= -1e-12).all()
        if cover.form == "saturate":
            assert (after <= before + 1e-9).all()
        inner = np.where(rng.random(8) < 0.5, 50, 0)
        outer = np.where(rng.random(8) < 0.5, 50, inner)
        fresh = outer == 0
        assert (cover.marginal(outer) <= cover.marginal(inner) + 1e-9)[fresh].all()
        for item in range(8):
            more = small.copy()
            more[item] += 1
            assert before[item] == pytest.approx(cover.value(more) - cover.value(small), abs=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_one_step_adds_what_its_marginal_says(kind):
    rng = np.random.default_rng(2)
    for seed in range(20):
        cover = make(kind, seed)
        counts = rng.integers(0, 4, 8)
        covered = cover.covered(counts)
        gains = cover.marginal(counts)
        for item in range(8):
            targets, after = cover.step(covered, item, int(counts[item]))
            added = cover.weights[targets] @ (after - covered[targets])
            assert added == pytest.approx(gains[item], abs=1e-12)


def test_an_attribute_is_worth_what_its_items_are():
    profile = sp.csr_matrix(np.array([[0.3, 0.9], [1.0, 0.0], [0.0, 0.0]]))
    cover = cover_of("attributes", profile, np.array([1.0, 2.0, 4.0]))
    assert cover.weights == pytest.approx(np.array([3.0, 1.0]) / 4)
    assert cover.reach.toarray().tolist() == [[1, 1], [1, 0], [0, 0]]


def test_an_item_without_attributes_covers_itself_only():
    profile = sp.csr_matrix(np.array([[1.0, 0], [1, 0], [0, 0]]))
    cover = facility_location(profile, np.ones(3))
    assert cover.reach.toarray() == pytest.approx(np.array([[1, 1, 0], [1, 1, 0], [0, 0, 1]]))


def test_neighbours_are_kept_to_a_number():
    rng = np.random.default_rng(0)
    profile = rng.random((30, 5))
    profile /= np.linalg.norm(profile, axis=1, keepdims=True)
    cover = facility_location(sp.csr_matrix(profile), np.ones(30), neighbours=4)
    assert np.diff(cover.reach.indptr).max() <= 5
    assert cover.reach.diagonal() == pytest.approx(np.ones(30))


def test_unknown_form_is_refused():
    with pytest.raises(UsageError, match="max"):
        Cover(sp.csr_matrix((2, 2)), np.ones(2), form="maxx")


def test_what_a_question_covers_does_not_hang_on_the_cost_of_the_first_user():
    cost = np.array([50.0, 1.0, 1.0, 1.0, 1.0])
    plain = asking_state("similar", 0)
    dear = replace(plain, pool=replace(plain.pool, user_cost=cost))
    utilities = [
        coverage_only(state, 1, np.random.default_rng(0)).utilities[0] for state in (plain, dear)
    ]
    assert utilities[1] == pytest.approx(utilities[0] * (4 + 1 / 50) / 5)


@pytest.mark.parametrize("coverage", ["similar", "pagerank"])
def test_an_attribute_that_all_items_have_does_not_fill_memory(coverage, monkeypatch):
    items = 1_500
    incidence = np.hstack([np.ones((items, 1)), np.eye(items, 5)])
    monkeypatch.setattr(coverage_module, "_CELLS", 50 * items)
    tracemalloc.start()
    try:
        cover_of(coverage, sp.csr_matrix(incidence), np.ones(items))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < items * items * 8


def test_cutting_the_items_into_blocks_changes_nothing(monkeypatch):
    for kind in ("facility", "pagerank"):
        whole = make(kind, seed=1).reach
        monkeypatch.setattr(coverage_module, "_CELLS", 20)
        assert (make(kind, seed=1).reach != whole).nnz == 0
        monkeypatch.undo()
