"""owl:sameAs and the like: terms that mean one thing become one before ids are given."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from scipy.sparse.csgraph import connected_components

from .quads import CodeArray

LARGEST = 1000


@dataclass(frozen=True)
class Merged:
    """A union of terms.

    Attributes:
        canon: term -> the term that stands for it, int32 (n_terms,).
        sizes: sizes of the merged components, largest first.
        refused: one member of each component larger than `LARGEST`, which is left as it was: such
            a chain is nearly always an error, and would make one node of a whole catalog.
    """

    canon: CodeArray
    sizes: tuple[int, ...]
    refused: tuple[int, ...]


def merge(n_terms: int, left: CodeArray, right: CodeArray, rank: npt.NDArray[np.int64]) -> Merged:
    """Connected components of the pairs; each is stood for by its first term of the lowest rank.

    Args:
        left, right: term codes of the pairs, shape (m,).
        rank: of each term, small whole numbers, shape (n_terms,).
    """
    canon = np.arange(n_terms, dtype=np.int32)
    terms, ends = np.unique(np.concatenate([left, right]), return_inverse=True)
    half = len(left)
    links = sp.csr_matrix(
        (np.ones(half, bool), (ends[:half], ends[half:])), (len(terms), len(terms))
    )
    count, component = connected_components(links, directed=False)
    size = np.bincount(component, minlength=count)
    place = rank[terms] * n_terms + terms
    best = np.full(count, np.iinfo(np.int64).max)
    np.minimum.at(best, component, place)
    stands_for = (best % n_terms).astype(np.int32)
    fine = size <= LARGEST
    canon[terms[fine[component]]] = stands_for[component[fine[component]]]
    merged = np.sort(size[fine & (size > 1)])[::-1]
    return Merged(canon, tuple(merged.tolist()), tuple(stands_for[~fine].tolist()))
