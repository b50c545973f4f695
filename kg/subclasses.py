"""rdfs:subClassOf: a node of a subclass is of the class too."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import numpy.typing as npt

Codes = npt.NDArray[np.integer]

SUBCLASS = "http://www.w3.org/2000/01/rdf-schema#subClassOf"


def with_subclasses(
    below: Codes, above: Codes, classes: Collection[int], apart: Collection[int] = ()
) -> list[int]:
    """Codes of some classes and of all below them, sorted; circles do no harm.

    Args:
        below, above: codes of the ends of the statements of `SUBCLASS`, shape (n,).
        apart: classes that are not passed: those of other node types, whose nodes stay theirs.
    """
    found, edge = set(classes), set(classes)
    while edge:
        edge = set(below[np.isin(above, list(edge))].tolist()) - found - set(apart)
        found |= edge
    return sorted(found)
