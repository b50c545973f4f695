"""Losses against their definitions, written out by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from coldframe.gnn.losses import LOSSES, Batch, completion_loss, contrastive_loss, softmax_loss


def batch(n_items: int = 30, seed: int = 0) -> Batch:
    torch.manual_seed(seed)
    owner = torch.tensor([0, 0, 1, 2])
    target = torch.tensor([3, 4, 5, 3])
    known = torch.zeros(3, n_items, dtype=torch.bool)
    known[owner, target] = True
    return Batch(
        users=torch.randn(3, 4, requires_grad=True),
        items=torch.randn(n_items, 4),
        bias=torch.randn(n_items),
        owner=owner,
        target=target,
        weight=torch.tensor([1.0, 1.0, 2.0, 0.5]),
        candidates=torch.arange(n_items),
        log_q=None,
        known=known,
        rating=torch.tensor([4.0, torch.nan, 2.0, 5.0]),
        generator=torch.Generator().manual_seed(0),
    )


def test_exact_softmax_by_hand() -> None:
    one = batch()
    expected, weights = 0.0, 0.0
    for owner, target, weight in zip(one.owner, one.target, one.weight, strict=True):
        scores = one.items @ one.users[owner] + one.bias
        rivals = scores  # negatives, and the user's own targets: here all that is known
        share = scores[target].exp() / rivals.exp().sum()
        expected, weights = expected - weight * share.log(), weights + weight
    torch.testing.assert_close(softmax_loss(one), expected / weights)


def test_sampled_softmax_with_correction_estimates_the_exact_one() -> None:
    """Popular items are drawn far more often; only the corrected loss does not notice."""
    torch.manual_seed(1)
    one = batch(400)
    chance = torch.softmax(3 * torch.rand(400), 0)
    included = -torch.expm1(150 * torch.log1p(-chance))
    one = replace(one, users=0.3 * one.users.detach())
    exact = float(softmax_loss(one))
    corrected, plain = [], []
    for _ in range(60):
        drawn = torch.multinomial(chance, 150, replacement=True).unique()
        sampled = replace(
            one, candidates=drawn, known=one.known[:, drawn], log_q=included[drawn].log()
        )
        corrected.append(float(softmax_loss(sampled)))
        plain.append(float(softmax_loss(replace(sampled, log_q=torch.zeros(len(drawn))))))
    right, wrong = (abs(sum(values) / 60 - exact) for values in (corrected, plain))
    assert right < 0.1
    assert wrong > 5 * right


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_a_step_against_the_gradient_lowers_the_loss(name: str) -> None:
    one = batch()
    before = LOSSES[name](one)
    (gradient,) = torch.autograd.grad(before, one.users)
    generator = torch.Generator().manual_seed(0)  # the same negatives again
    moved = replace(one, users=one.users - 1e-3 * gradient, generator=generator)
    assert LOSSES[name](moved).item() < before.item()


def test_mse_leaves_out_missing_ratings() -> None:
    one = batch()
    given = torch.tensor([0, 2, 3])
    errors = (one.target_scores() - one.rating)[given].square()  # type: ignore[operator]
    expected = (errors * one.weight[given]).sum() / one.weight[given].sum()
    torch.testing.assert_close(LOSSES["mse"](one), expected)


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_no_targets_is_no_loss_and_no_nan(name: str) -> None:
    one, none = batch(), torch.zeros(0, dtype=torch.int64)
    empty = replace(one, owner=none, target=none, weight=torch.zeros(0), rating=torch.zeros(0))
    loss = LOSSES[name](empty)
    assert torch.isfinite(loss)
    assert torch.isfinite(torch.autograd.grad(loss, one.users)[0]).all()


def test_a_user_who_knows_all_candidates_loses_nothing() -> None:
    lone = torch.tensor([0, 2, 3])  # one target per user
    one = batch()
    one = replace(
        one,
        known=torch.ones(3, 30, dtype=torch.bool),
        owner=one.owner[lone],
        target=one.target[lone],
        weight=one.weight[lone],
    )
    for name in ("softmax", "bpr"):
        loss = LOSSES[name](one)
        assert loss.item() == pytest.approx(0.0, abs=1e-6)
        assert torch.isfinite(torch.autograd.grad(loss, one.users)[0]).all(), name


def test_contrast_is_low_for_equal_views_and_ignores_empty_rows() -> None:
    rows = torch.eye(6)
    same, other = contrastive_loss(rows, rows), contrastive_loss(rows, rows.roll(1, 0))
    assert same < 0.2 < other
    padded = torch.cat([rows, torch.zeros(2, 6)])
    torch.testing.assert_close(contrastive_loss(padded, padded), same)
    assert float(contrastive_loss(torch.zeros(3, 6), rows[:3])) == 0.0


def test_completion_prefers_the_true_attribute() -> None:
    heads, tails = 3 * torch.eye(4), torch.eye(4)
    own = torch.arange(4)
    relation = torch.ones(4)
    assert completion_loss(heads, relation, tails, own) < completion_loss(
        heads, relation, tails, own.roll(1)
    )
