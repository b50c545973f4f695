"""The gate: how much each part of the score counts, by what is known of the item and of the user."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..kg.graph import FloatArray
from ..kg.typed_fields import check_fields
from ..kg.vocabulary import IntArray
from .scorer_base import BoolArray, require, standardise

KINDS = ("cold", "rare", "common", "new-user", "told")
RARE = 5  # items with fewer trained interactions than this, and at least one, are rare
_NEW_USER, _TOLD = KINDS.index("new-user"), KINDS.index("told")

Kind = npt.NDArray[np.int8]


@dataclass(frozen=True)
class GateConfig:
    """Settings of the gate and of the rehearsal it learns from.

    Attributes:
        cold_cost: share of the common items' NDCG@10 that may go to items with few interactions or
            none if the whole catalog were such; one with a tenth of them gives up a tenth of it. From
            about 10 on only the NDCG@10 of all items together counts. Where validation pairs hold
            enough items with few interactions, it is the NDCG@10 of these as well, and each costs as
            much as it is sought, against an item with many.
        hidden_share, thinned_share: of the items with at least five interactions, hidden entirely, and
            cut to 1-4, for the rehearsal.
        hidden_users: share of the users hidden for the rehearsal.
        max_users: most users the weights are learned from.
        penalty: on the squared distance of the weights from equal ones, against the mean loss of a
            target pair; the same for all kinds, whose scores would differ in scale without it.
    """

    cold_cost: float = 0.05
    hidden_share: float = 0.1
    thinned_share: float = 0.05
    hidden_users: float = 0.03
    max_users: int = 4000
    penalty: float = 0.05

    def __post_init__(self) -> None:
        check_fields(self)
        for name in ("cold_cost", "penalty"):
            value = getattr(self, name)
            fine = 0 <= value < float("inf")
            require(fine, f"must be a number of at least 0, got {value}", name)
        require(self.max_users >= 1, f"must be at least 1, got {self.max_users}", "max_users")
        for name in ("hidden_share", "thinned_share", "hidden_users"):
            value = getattr(self, name)
            require(0 <= value <= 0.5, f"must be in 0..0.5, got {value}", name)


@dataclass(frozen=True)
class Gate:
    """score(u, i) = sum_p z_p (w_kp + v_kp d_i + q_kp d_u) + r_kp log z_p + b_k + c_k d_u.

    z_p is part p's score standardised over the items it knows for user u (0 where it does not know
    the item), k the kind of the pair (`KINDS`), d the logarithms of the degrees, and log z short for
    `damped`: ten deviations above the mean need not say twice what five do.

    Attributes:
        weights: w, v, q and r, float32 (4, 5, P).
        bias: b and c, float32 (2, 5); c of new users, who all have the same d_u, is not used.
    """

    weights: FloatArray
    bias: FloatArray

    def combine(
        self,
        scores: Sequence[FloatArray],
        item_degree: IntArray,
        user_degree: IntArray,
        told: BoolArray | None = None,
    ) -> FloatArray:
        """Scores (b, n_items) of the parts' scores, each (b, n_items); NaN where no part knows.

        An item known by answers alone stands by its own weights or as the cold item that it was,
        whichever is higher: how far cold items are lifted is a choice, and a like must not undo it.

        Args:
            item_degree: (n_items,) trained interactions; user_degree: (b,).
            told: (n_items,) items that are known by answers alone; None = there are none.
        """
        known = np.zeros(scores[0].shape, bool)
        out = self.offsets(item_degree, user_degree, told)
        answered = np.flatnonzero(np.zeros(len(item_degree), bool) if told is None else told)
        nothing = np.zeros(len(answered), np.int64)
        cold = self.offsets(nothing, user_degree)
        for part, raw in enumerate(scores):
            known |= ~np.isnan(raw)
            z = np.nan_to_num(standardise(raw))
            out += self._share(part, z, item_degree, user_degree, told)
            cold += self._share(part, z[:, answered], nothing, user_degree)
        out[:, answered] = np.maximum(out[:, answered], cold)
        out[~known] = np.nan
        return out

    def offsets(
        self, item_degree: IntArray, user_degree: IntArray, told: BoolArray | None = None
    ) -> FloatArray:
        """b + c d_u of every pair, (b, n_items)."""
        kind, (b, c) = kind_of(item_degree, told), self.bias
        old = b[kind][None, :] + scaled(user_degree)[:, None] * c[kind][None, :]
        return np.asarray(np.where((user_degree == 0)[:, None], b[_NEW_USER], old), np.float32)

    def shares(
        self,
        scores: Sequence[FloatArray],
        item_degree: IntArray,
        user_degree: IntArray,
        told: BoolArray | None = None,
    ) -> Iterator[FloatArray]:
        """What each part adds, (b, n_items), one part in memory at a time; arguments as `combine`.

        Of items known by answers alone by their own weights.
        """
        for part, raw in enumerate(scores):
            z = np.nan_to_num(standardise(raw))
            yield self._share(part, z, item_degree, user_degree, told)

    def _share(
        self,
        part: int,
        z: FloatArray,
        item_degree: IntArray,
        user_degree: IntArray,
        told: BoolArray | None = None,
    ) -> FloatArray:
        """What a part adds by its standardised scores z, both (b, n_items)."""
        kind, d_item = kind_of(item_degree, told), scaled(item_degree)
        w, v, q, r = self.weights[:, :, part]
        factor = (w[kind] + v[kind] * d_item)[None, :]
        factor = factor + scaled(user_degree)[:, None] * q[kind][None, :]
        new = user_degree == 0
        factor[new] = w[_NEW_USER] + v[_NEW_USER] * d_item
        flat = np.where(new[:, None], r[_NEW_USER], r[kind][None, :])
        return np.asarray(z * factor + damped(z) * flat, np.float32)


def kind_of(item_degree: IntArray, told: BoolArray | None = None) -> Kind:
    """Positions in `KINDS`: told, or else cold, rare or common by trained interactions."""
    kind = ((item_degree > 0).astype(np.int8) + (item_degree >= RARE)).astype(np.int8)
    if told is not None:
        kind[told] = _TOLD
    return kind


def damped(z: FloatArray) -> FloatArray:
    """sign(z) log(1 + |z|)."""
    return np.asarray(np.copysign(np.log1p(np.abs(z)), z), np.float32)


def scaled(degree: IntArray) -> FloatArray:
    """Logarithm of a degree, about -1 for none, 0 for 20, and 1 for 400."""
    return np.asarray(np.log1p(degree) / np.log(20.0) - 1.0, np.float32)
