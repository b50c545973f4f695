"""Steps of training: which users, which of their pairs are targets, which items are hidden.

Everything random comes from one generator per epoch (`gnn.randomness`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from ..kg.ids import places_among
from ..kg.vocabulary import IntArray
from .csc import entries_of
from .data import TrainingData
from .encoder import Encoded, Hidden
from .losses import Batch
from .view import GraphView

_STEPS_WITHOUT_PAIRS = 10  # each looks at all of the graph, however large, and at 1,024 items of it


@dataclass(frozen=True)
class Pairs:
    """The pairs that may be targets, sorted by user then item.

    Attributes:
        start: int64 (n_users + 1,), pairs of user u are start[u] .. start[u + 1] - 1.
        user, item: int64 (n,).
        rating: float32 (n,), NaN = none.
        liked: int64 (n,), position among the liked pairs of the view, -1 = not liked.
        unliked: int64 (n,), the same among the unliked ones.
        liker, knower: int64, the user of every liked, and of every unliked pair of the view.
    """

    start: Tensor
    user: Tensor
    item: Tensor
    rating: Tensor
    liked: Tensor
    unliked: Tensor
    liker: Tensor
    knower: Tensor

    @classmethod
    def build(cls, data: TrainingData, *, rated: bool) -> Pairs:
        """Liked pairs, or, with `rated`, all pairs that have a rating."""
        n_items = data.n_items
        codes = [_codes(matrix) for matrix in (data.positives, data.unliked)]
        if rated:
            rows = data.train.rated
            pairs = data.train.user[rows] * n_items + data.train.item[rows]
            code, inverse, count = np.unique(pairs, return_inverse=True, return_counts=True)
            rating = np.bincount(inverse, data.train.rating[rows], len(code)) / count
        else:
            code, rating = codes[0], np.full(len(codes[0]), np.nan)
        user, item = divmod(code, n_items)
        places = [places_among(known, code) for known in codes]
        owners = [known // n_items for known in codes]
        start = np.searchsorted(user, np.arange(data.n_users + 1))
        columns = (start, user, item, rating.astype(np.float32), *places, *owners)
        return cls(*map(torch.from_numpy, columns))

    def of_users(self, users: Tensor) -> tuple[Tensor, Tensor]:
        """Rows of the users' pairs, and for each the user's position in `users`: int64 (P,) both."""
        return entries_of(self.start[users], self.start[users + 1] - self.start[users])


@dataclass(frozen=True)
class Step:
    """One step: what the encoder must not see, and what the loss asks of it (CPU tensors).

    Attributes:
        hidden: what the encoder must not see.
        users: int64 (B,), the step's users.
        owner, target, rating, weight, candidates, log_q, known: as in `Batch`.
        view: the part of the graph that the encoder reads, by whose numbers users and items go; None =
            all of it.
    """

    hidden: Hidden
    users: Tensor
    owner: Tensor
    target: Tensor
    rating: Tensor
    weight: Tensor
    candidates: Tensor
    log_q: Tensor | None
    known: Tensor
    view: GraphView | None = None

    def batch(self, encoded: Encoded, generator: torch.Generator) -> Batch:
        """The loss's view of the encoder's output, on its device."""
        device = encoded.users.device
        return Batch(
            users=encoded.users[self.users.to(device)],
            items=encoded.items,
            bias=encoded.bias,
            owner=self.owner.to(device),
            target=self.target.to(device),
            weight=self.weight.to(device),
            candidates=self.candidates.to(device),
            log_q=None if self.log_q is None else self.log_q.to(device),
            known=self.known.to(device),
            rating=self.rating.to(device),
            generator=generator,
        )


@dataclass(frozen=True)
class Sampler:
    """Draws the steps of an epoch.

    Attributes:
        pairs: what may be a target.
        degree: float32 (n_items,), liked pairs per item in the catalog. Items that were only asked
            about can be targets, never candidates: against everybody else's silence, a handful of
            answers would bury them, and with them all that resembles them.
        view: the whole graph that the encoder reads.
        users_apart: nothing in it hears a user, so that a step need not encode the users of other steps.
        batch_size: users per step.
        item_dropout: share of items hidden in a step.
        history_dropout: share of a user's pairs that pass no message in a step; these, and pairs with
            hidden items, are the step's targets. A pair is never both, which keeps the encoder from
            learning to repeat its input.
        user_dropout: share of users all of whose pairs are held out so.
        negatives: candidates per step; all trained items where they are no more.
        popularity_power: candidates are drawn in proportion to degree to this power.
    """

    pairs: Pairs
    degree: Tensor
    view: GraphView
    batch_size: int
    item_dropout: float
    history_dropout: float
    user_dropout: float
    negatives: int
    users_apart: bool = False
    popularity_power: float = 0.75

    @classmethod
    def build(
        cls, data: TrainingData, view: GraphView, *, rated: bool, batch_size: int,
        item_dropout: float, history_dropout: float, user_dropout: float, negatives: int,
        users_apart: bool = False,
    ) -> Sampler:  # fmt: skip
        """A sampler of the training pairs of `data`, whose tensors are `view`."""
        return cls(
            Pairs.build(data, rated=rated),
            torch.from_numpy(data.catalog_degree.astype(np.float32)),
            view,
            batch_size,
            item_dropout,
            history_dropout,
            user_dropout,
            negatives,
            users_apart,
        )

    def batches(self, generator: torch.Generator) -> Iterator[Tensor]:
        """Every user with pairs once, in a random order, `batch_size` at a time.

        Without any pairs an epoch is ten steps of no user, in which the auxiliary losses are all there is.
        """
        active = torch.nonzero(self.pairs.start.diff() > 0).squeeze(1)
        order = active[torch.randperm(len(active), generator=generator)]
        if not len(active):
            yield from [active] * _STEPS_WITHOUT_PAIRS
            return
        yield from torch.split(order, self.batch_size)

    def steps(self, generator: torch.Generator) -> Iterator[Step]:
        """A step for each of the `batches`, whose encoder reads the whole graph."""
        for users in self.batches(generator):
            yield self._step(users, generator)

    def _step(self, users: Tensor, generator: torch.Generator) -> Step:
        pairs = self.pairs
        hidden_items = torch.rand(len(self.degree), generator=generator) < self.item_dropout
        held_out = torch.rand(len(pairs.item), generator=generator) < self.history_dropout
        rows, owner = pairs.of_users(users)
        hidden_users = torch.rand(len(pairs.start) - 1, generator=generator) < self.user_dropout
        held_out |= hidden_users[pairs.user]
        liked = self._keep(held_out, pairs.liked, hidden_users[pairs.liker])
        unliked = self._keep(held_out, pairs.unliked, hidden_users[pairs.knower])
        items = pairs.item[rows]
        aim = held_out[rows] | hidden_items[items]
        drawn = (rows, owner, items), aim, self.candidates(generator)
        if not self.users_apart or not len(users):
            return self.step(Hidden(hidden_items, liked, unliked), users, *drawn)
        part, of_liked, of_unliked = self.view.of_users(users)
        hidden = Hidden(hidden_items, liked[of_liked], unliked[of_unliked])
        return self.step(hidden, torch.arange(len(users)), *drawn, part)

    def step(
        self,
        hidden: Hidden,
        users: Tensor,
        pairs: tuple[Tensor, Tensor, Tensor],
        aim: Tensor,
        candidates: tuple[Tensor, Tensor | None],
        view: GraphView | None = None,
    ) -> Step:
        """Puts a step together; users and items are numbered as the encoder's output is.

        Args:
            pairs: the users' rows of `self.pairs`, each one's position in `users`, and its item.
            aim: bool, which of these are targets.
            candidates: as `candidates` draws them.
            view: as in `Step`.
        """
        rows, owner, items = pairs
        targets = owner[aim]
        sizes = torch.bincount(targets, minlength=len(users)).clamp(min=1)
        return Step(
            hidden,
            users,
            targets,
            items[aim],
            self.pairs.rating[rows[aim]],
            # Between a user and a pair as the unit that counts: long histories weigh more, not all.
            sizes[targets].float() ** -0.5,
            *candidates,
            _known(items, owner, len(users), candidates[0]),
            view,
        )

    def _keep(self, held_out: Tensor, position: Tensor, hidden: Tensor) -> Tensor:
        """float32 (nnz,): 0 at the edges of held-out pairs and of hidden users."""
        keep = 1.0 - hidden.float()
        chosen = position[held_out]
        keep[chosen[chosen >= 0]] = 0.0
        return keep

    def candidates(self, generator: torch.Generator) -> tuple[Tensor, Tensor | None]:
        """Items that targets are ranked against, and the logarithm of each one's chance to be drawn."""
        trained = torch.nonzero(self.degree > 0).squeeze(1)
        if len(trained) <= self.negatives:
            return trained, None
        chance = self.degree[trained] ** self.popularity_power
        chance = chance / chance.sum()
        drawn = torch.multinomial(chance, self.negatives, replacement=True, generator=generator)
        chosen = torch.unique(drawn)
        present = -torch.expm1(self.negatives * torch.log1p(-chance[chosen].double()))
        return trained[chosen], present.log().float()


def _known(items: Tensor, owner: Tensor, n_users: int, candidates: Tensor) -> Tensor:
    """bool (n_users, candidates): which of them are the users' own."""
    known = torch.zeros(n_users, len(candidates), dtype=torch.bool)
    if not len(items):
        return known
    place = torch.full((int(torch.cat([items, candidates]).max()) + 1,), -1)
    place[candidates] = torch.arange(len(candidates))
    column = place[items]
    known[owner[column >= 0], column[column >= 0]] = True
    return known


def _codes(matrix: sp.csr_matrix) -> IntArray:
    """user * n_items + item of every entry, in CSR order."""
    users = np.repeat(np.arange(matrix.shape[0], dtype=np.int64), np.diff(matrix.indptr))
    return np.asarray(users * matrix.shape[1] + matrix.indices)
