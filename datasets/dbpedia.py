"""Labels of DBpedia resources, out of their IRIs."""

from __future__ import annotations

from urllib.parse import unquote

import pyarrow as pa

from .base import string_table

_CATEGORY = "Category:"


def label_of(resource: str) -> str:
    """A readable label; "" for an IRI that is not DBpedia's.

    >>> label_of("http://dbpedia.org/resource/Category:Films_set_in_Rome")
    'Films set in Rome'
    """
    _, found, local = resource.partition("dbpedia.org/resource/")
    return unquote(local).removeprefix(_CATEGORY).replace("_", " ").strip() if found else ""


def resource_tables(facts: pa.Table, subject: str) -> dict[str, pa.Table]:
    """Tables `resources` and `subjects` (iri, label) of the column `to` of facts.

    Subjects are what the relation named `subject` leads to; all others are resources.
    """
    pairs = list(zip(facts["to"].to_pylist(), facts["relation"].to_pylist(), strict=True))
    ends = {
        "resources": dict.fromkeys(iri for iri, relation in pairs if relation != subject),
        "subjects": dict.fromkeys(iri for iri, relation in pairs if relation == subject),
    }
    return {
        name: string_table(iri=list(iris), label=[label_of(iri) for iri in iris])
        for name, iris in ends.items()
    }
