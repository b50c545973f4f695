"""Gold questions: pairs whose answer is known, asked among the others to see who answers with care."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ..kg.errors import UsageError
from ..kg.graph import AUXILIARY
from ..kg.split import pair_codes
from ..kg.vocabulary import IntArray

if TYPE_CHECKING:
    from ..gnn.recommender import Recommender


@dataclass(frozen=True)
class GoldPair:
    """A question with its answer: IRIs, and 1 = like, 0 = dislike."""

    user: str
    item: str
    label: int


def draw_gold(
    model: Recommender,
    n: int,
    rng: np.random.Generator,
    *,
    users: Iterable[str] | None = None,
    exclude: Collection[tuple[str, str]] = (),
) -> list[GoldPair]:
    """`n` pairs of the training data, half of them dislikes if there are so many.

    Answers told in rounds are no gold, nor are pairs with interactions of both kinds.

    Args:
        users: who may be asked; None = all. exclude: pairs asked before.

    Raises:
        UsageError: there are not so many. UnknownIdError: an unknown user.
    """
    graph, train = model.graph, model.data.train
    own = train.select((train.round == 0) & (train.label != AUXILIARY))
    # A split may hold a dislike back from training, but never tests by it.
    events = own.concat(graph.interactions.select(graph.interactions.label == 0))
    liked = pair_codes(graph.interactions.select(graph.interactions.label == 1), graph.n_items)
    codes, inverse = np.unique(pair_codes(events, graph.n_items), return_inverse=True)
    likes = np.bincount(inverse, weights=events.label, minlength=len(codes))
    total = np.bincount(inverse, minlength=len(codes))
    keep = np.where(likes == 0, ~np.isin(codes, liked), likes == total)
    if users is not None:
        keep &= np.isin(codes // graph.n_items, graph.users.vocabulary.indices(users, kind="user"))
    names = graph.users.vocabulary, graph.items.vocabulary

    def pairs(chosen: IntArray, label: int) -> list[GoldPair]:
        listed = (divmod(int(code), graph.n_items) for code in rng.permutation(chosen))
        named = ((names[0][user], names[1][item]) for user, item in listed)
        fresh = (one for one in named if one not in exclude)
        return [GoldPair(*one, label) for one in islice(fresh, n)]

    yes, no = pairs(codes[keep & (likes > 0)], 1), pairs(codes[keep & (likes == 0)], 0)
    dislikes = min(len(no), max(n // 2, n - len(yes)))
    found = no[:dislikes] + yes[: n - dislikes]
    if len(found) < n:
        raise UsageError(
            f"{n} gold questions are wanted, and {len(found)} pairs of those who may be asked are "
            "known and were not asked yet",
            where="--gold",
        )
    return [found[int(place)] for place in rng.permutation(n)]


def mixed(
    table: pa.Table, gold: list[GoldPair], costs: list[float], rng: np.random.Generator
) -> pa.Table:
    """A batch with gold questions, of these costs, at random places.

    Their other figures lie between those of the questions before and after, so that they neither stand
    out nor break an order.
    """
    if not gold or not len(table):
        return table
    place = rng.integers(1, max(len(table), 2), size=len(gold))
    share = rng.random(len(gold))
    order = np.lexsort((share, place))  # of several between the same two
    place, share = place[order], share[order]
    names = {
        "user": pa.array([pair.user for pair in gold], pa.string()),
        "item": pa.array([pair.item for pair in gold], pa.string()),
        "cost": pa.array(costs, pa.float64()),
    }
    columns = [
        names.get(field.name, _between(table[field.name], place, share)) for field in table.schema
    ]
    added = pa.table(columns, schema=table.schema)
    order = np.argsort(np.concatenate([np.arange(len(table)) + 0.5, place]), kind="stable")
    return pa.concat_tables([table, added]).take(pa.array(order))


def _between(
    column: pa.ChunkedArray, place: IntArray, share: npt.NDArray[np.float64]
) -> pa.ChunkedArray:
    """Values from that before each place (share 0) to that at it (share 1); the former if no floats."""
    before = column.take(pa.array(place - 1))
    if not pa.types.is_floating(column.type):
        return before
    values = column.to_numpy()
    one, two = before.to_numpy(), values[np.minimum(place, len(values) - 1)]
    drawn = one + (two - one) * share
    if np.array_equal(values, values.astype(np.float32)):
        drawn = drawn.astype(np.float32)  # longer digits than the others' would mark them
    return pa.chunked_array([pa.array(drawn, column.type)])
