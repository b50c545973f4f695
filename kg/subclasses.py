"""Which terms are of a class: by rdf:type or what the schema names beside it, and by subclasses."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

import numpy as np
import numpy.typing as npt

from .quads import Quads
from .schema import Schema
from .vocabulary import IntArray

Codes = npt.NDArray[np.integer]
Mask = npt.NDArray[np.bool_]


def with_subclasses(
    below: Codes, above: Codes, classes: Collection[int], apart: Collection[int] = ()
) -> list[int]:
    """Codes of some classes and of all below them, sorted; circles do no harm.

    Args:
        below, above: codes of the ends of the statements that a class is below another, shape (n,).
        apart: classes that are not passed: those of other node types, whose nodes stay theirs.
    """
    found, edge = set(classes), set(classes)
    while edge:
        edge = set(below[np.isin(above, list(edge))].tolist()) - found - set(apart)
        found |= edge
    return sorted(found)


def rows_of_any(quads: Quads, properties: Sequence[str]) -> slice | IntArray:
    """The statements of several properties, as what cuts a column of the quads."""
    found = [quads.rows_of(iri) for iri in properties]
    if len(found) == 1:  # nothing is copied
        return found[0]
    return np.concatenate([np.arange(rows.start, rows.stop) for rows in found])


def terms_of(quads: Quads, schema: Schema, classes: Iterable[str]) -> Mask:
    """Mask of the terms that have one of these classes or one below them, (n_terms,)."""
    types = rows_of_any(quads, schema.type_properties)
    links = rows_of_any(quads, schema.subclass_properties)
    own = {code for iri in classes if (code := quads.find(iri)) >= 0}
    apart = {quads.find(iri) for iri in schema.classes} - own
    codes = with_subclasses(quads.s[links], quads.o[links], own, apart)
    mask = np.zeros(len(quads.terms), bool)
    mask[quads.s[types][np.isin(quads.o[types], codes)]] = True
    return mask
