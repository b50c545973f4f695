"""rdfs:subClassOf: a node of a subclass is of the class too."""

from __future__ import annotations

from collections.abc import Collection, Iterable

import numpy as np
import numpy.typing as npt

from .quads import Quads
from .schema import RDF_TYPE

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


def instances(
    quads: Quads, classes: Iterable[str], apart: Iterable[str] = ()
) -> npt.NDArray[np.bool_]:
    """Mask of the terms that have one of some classes (IRIs) or one below them, (n_terms,).

    Args:
        apart: as `with_subclasses` takes them, but IRIs; those among `classes` are no bar.
    """
    named = {code for iri in classes if (code := quads.find(iri)) >= 0}
    others = {quads.find(iri) for iri in apart} - named
    rows, types = quads.rows_of(SUBCLASS), quads.rows_of(RDF_TYPE)
    codes = with_subclasses(quads.s[rows], quads.o[rows], named, others)
    mask = np.zeros(len(quads.terms), bool)
    mask[quads.s[types][np.isin(quads.o[types], codes)]] = True
    return mask
