"""Coverage: monotone, submodular, and greedy within (1 - 1/e) of the best choice."""

import itertools

import numpy as np
import pytest
import scipy.sparse as sp

from coldframe.active.coverage import (
    Cover,
    attribute_cover,
    cover_of,
    facility_location,
    greedy_cover,
    pagerank_spread,
)
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


def brute_value(cover: Cover, chosen: tuple[int, ...]) -> float:
    reach = cover.reach.toarray()[list(chosen)]
    if not len(chosen):
        return 0.0
    total = reach.max(axis=0) if cover.form == "max" else np.minimum(1, reach.sum(axis=0))
    return float(cover.weights @ total)


@pytest.mark.R(16)
@pytest.mark.parametrize("kind", KINDS)
def test_greedy_is_within_the_guarantee_of_brute_force(kind):
    for seed in range(70):
        cover = make(kind, seed)
        picks = [item for item, _ in greedy_cover(cover, 3)]
        assert len(set(picks)) == len(picks) == 3
        best = max(brute_value(cover, c) for c in itertools.combinations(range(8), 3))
        assert brute_value(cover, tuple(picks)) >= (1 - 1 / np.e) * best - 1e-9


@pytest.mark.parametrize("kind", KINDS)
def test_lazy_greedy_picks_what_plain_greedy_picks(kind):
    for seed in range(20):
        cover = make(kind, seed)
        chosen: tuple[int, ...] = ()
        for item, gain in greedy_cover(cover, 5):
            rest = [i for i in range(8) if i not in chosen]
            gains = [brute_value(cover, (*chosen, i)) - brute_value(cover, chosen) for i in rest]
            assert gain == pytest.approx(max(gains), abs=1e-9)
            chosen = (*chosen, item)


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
