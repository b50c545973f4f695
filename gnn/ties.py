"""Order by score with ties broken by a seeded hash of (user, item), never by the item's position.

An item's position can leak (public data sets number items by their first users), so equal scores
are ordered by murmur3's 32-bit finaliser of item XOR a per-user salt. It is a bijection: the hash
that breaks the tie also tells which item it was, and one 64-bit sort ranks a whole row.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..kg.graph import FloatArray
from ..kg.vocabulary import IntArray

U32 = npt.NDArray[np.uint32]
U64 = npt.NDArray[np.uint64]

_FIRST, _SECOND = 0x85EBCA6B, 0xC2B2AE35
_UNDO_FIRST, _UNDO_SECOND = pow(_FIRST, -1, 2**32), pow(_SECOND, -1, 2**32)
UNRANKED = np.uint64(0xFFFFFFFF) << np.uint64(32)


def mix(values: U32) -> U32:
    """murmur3's finaliser: a bijection of 32-bit words, any shape."""
    h = values ^ (values >> np.uint32(16))
    h *= np.uint32(_FIRST)
    h ^= h >> np.uint32(13)
    h *= np.uint32(_SECOND)
    h ^= h >> np.uint32(16)
    return h


def unmix(values: U32) -> U32:
    """The inverse of `mix`."""
    h = values ^ (values >> np.uint32(16))
    h *= np.uint32(_UNDO_SECOND)
    h ^= (h >> np.uint32(13)) ^ (h >> np.uint32(26))
    h *= np.uint32(_UNDO_FIRST)
    h ^= h >> np.uint32(16)
    return h


def salts(users: IntArray, seed: int) -> U32:
    """One 32-bit salt per user, shape (b,)."""
    start = mix(np.array([seed & 0xFFFFFFFF], np.uint32))
    return mix(np.asarray(users, np.uint32) ^ start)


def order_bits(scores: FloatArray) -> U32:
    """32-bit words in the order of the scores, best first; NaN last. Any shape."""
    bits = (np.asarray(scores, np.float32) + np.float32(0.0)).view(np.uint32)
    # Negative floats order backwards as integers already; the others are flipped, below the sign.
    keys = bits >> np.uint32(31)
    keys -= np.uint32(1)
    keys &= np.uint32(0x7FFFFFFF)
    keys ^= bits
    np.putmask(keys, np.isnan(scores), np.uint32(0xFFFFFFFF))
    return keys


def rank_keys(scores: FloatArray, items: IntArray, salt: U32) -> U64:
    """64-bit keys whose ascending order is best first; from UNRANKED on: no score.

    Shapes: scores (b, n), items (n,), salt (b,); returns (b, n).
    """
    keys = order_bits(scores).astype(np.uint64)
    keys <<= np.uint64(32)
    keys |= mix(np.asarray(items, np.uint32)[None, :] ^ salt[:, None])
    return keys


def items_of(keys: U64, salt: U32) -> IntArray:
    """The items behind keys of shape (b, k), -1 where there is no score."""
    low = (keys & np.uint64(0xFFFFFFFF)).astype(np.uint32)
    items = (unmix(low) ^ salt[:, None]).astype(np.int64)
    return np.where(keys >= UNRANKED, -1, items)
