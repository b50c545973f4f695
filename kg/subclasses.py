"""Which terms are of a class: by rdf:type or what the schema names beside it, and by subclasses."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

import numpy as np
import numpy.typing as npt

from .quads import Quads
from .schema import RDF_TYPE, SUBCLASS, Schema
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


def instances(
    quads: Quads,
    classes: Iterable[str],
    apart: Iterable[str] = (),
    *,
    types: Sequence[str] = (RDF_TYPE,),
    subclasses: Sequence[str] = (SUBCLASS,),
) -> Mask:
    """Mask of the terms that have one of some classes (IRIs) or one below them, (n_terms,).

    Args:
        apart: as `with_subclasses` takes them, but IRIs; those among `classes` are no bar.
        types, subclasses: IRIs of the properties that say so.
    """
    own = {code for iri in classes if (code := quads.find(iri)) >= 0}
    others = {quads.find(iri) for iri in apart} - own
    links, typed = rows_of_any(quads, subclasses), rows_of_any(quads, types)
    codes = with_subclasses(quads.s[links], quads.o[links], own, others)
    mask = np.zeros(len(quads.terms), bool)
    mask[quads.s[typed][np.isin(quads.o[typed], codes)]] = True
    return mask


def terms_of(quads: Quads, schema: Schema, classes: Iterable[str]) -> Mask:
    """`instances` of classes of a schema, by its properties; those of its other classes stay theirs."""
    return instances(
        quads, classes, schema.classes,
        types=schema.type_properties, subclasses=schema.subclass_properties,
    )  # fmt: skip
