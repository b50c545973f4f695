"""What is asked with: a model's beliefs, or flat ones before the first interaction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import scipy.sparse as sp

from ..gnn.posterior import Posterior
from ..kg.errors import DataError, UsageError
from ..kg.graph import Graph
from .state import AskState

BY_BELIEFS = ("auto", "auto-bandit", "learned")  # strategies that choose by what is believed


class Askable(Protocol):
    """What `acquire` needs of a model; a recommender has it, and so has `View`."""

    @property
    def posterior(self) -> Posterior: ...
    @property
    def graph(self) -> Graph: ...
    @property
    def known(self) -> sp.csr_matrix: ...


@dataclass(frozen=True)
class View:
    """The least that can be asked with: beliefs, graph, and the known pairs (n_users, n_items).

    Attributes:
        flat: the beliefs say the same of every user, see `beliefs_of`.
    """

    posterior: Posterior
    graph: Graph
    known: sp.csr_matrix
    flat: bool = False


def beliefs_of(model: Askable) -> Askable:
    """The model itself, or a flat view of one that has not learned from any interaction.

    Flat: one coefficient per item, N(0, 1), for all users alike; dislikes told already count.

    Raises:
        UsageError: it is nothing that can be asked with. DataError: the catalog has no users.
    """
    if not (hasattr(model, "graph") and hasattr(model, "known")):
        raise UsageError(
            f"got {type(model).__name__}, expected a model with a posterior, a graph and known pairs",
            where="model",
            hint="a fitted Recommender is one",
        )
    if not model.graph.n_users:
        raise DataError(
            "the catalog has no users, so there is nobody to ask",
            where=model.graph.name,
            hint="name a class of users in the schema (users = ...) and ingest a table of them; they "
            "need no interactions",
        )
    if isinstance(model, View):
        return model
    from ..gnn.recommender import Recommender  # loads torch, which a view does without

    if not isinstance(model, Recommender) or model.scorer is None or model.scorer.parts:
        return model
    graph, told = model.graph, model.data.train
    ones = np.ones((graph.n_users, 1)), np.zeros((graph.n_items, 1))
    start = Posterior.from_prior(*ones, np.eye(1))
    return View(start.update(told.user, told.item, told.label), graph, model.known, flat=True)


def played_without_beliefs(name: str, state: AskState) -> str:
    """The strategy that is played with flat beliefs: `coverage` (`random` without attributes) in the
    place of those that choose by what is believed."""
    if name not in BY_BELIEFS and not name.startswith("learned:"):
        return name
    return "random" if state.cover is None else "coverage"
