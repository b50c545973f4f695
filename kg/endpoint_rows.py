"""Rows of a SPARQL answer as lines of N-Quads, vectorised and checked term by term."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from .errors import DataError
from .schema import RDF, XSD

BLANK = r"^_:[\w.-]+$"
_IRI = r"^[^\x00-\x20<>\"{}|^`\\]+$"
_LANGUAGE = r"^[A-Za-z]{1,8}(-[A-Za-z0-9]{1,8})*$"
_UNTYPED = ("", f"{XSD}string", f"{RDF}langString")


def nquads_lines(table: pa.Table, predicate: str, end: str, *, blank: bool = False) -> pa.Array:
    """Lines without newlines, shape (n,).

    Args:
        table: text columns s, o, iri and literal ("true" where the object is one), type, language.
        predicate: in N-Triples form, the same for all rows.
        end: " <graph>", or "" for the default graph.
        blank: take blank nodes.

    Raises:
        DataError: a blank node that is not taken, or a value that is no term of RDF (so that no
            answer can make up lines of its own).
    """
    column = {name: table[name].combine_chunks() for name in table.column_names}
    yes = pa.array(["true", "1"])
    is_iri, is_literal = pc.is_in(column["iri"], yes), pc.is_in(column["literal"], yes)
    subject, value = column["s"], column["o"]
    subject_is_iri = pc.invert(pc.starts_with(subject, "_:"))
    everywhere = pa.array([True] * len(table), pa.bool_())
    is_blank = pc.invert(pc.or_(is_iri, is_literal))
    if not blank and pc.any(pc.or_(is_blank, pc.invert(subject_is_iri))).as_py():
        raise DataError(
            "blank nodes are not the same from one request to the next",
            where=predicate,
            hint="give them IRIs on the server, or set stable_blank_nodes if it keeps their labels",
        )
    return pc.binary_join_element_wise(
        _resources(subject, subject_is_iri, everywhere),
        predicate,
        pc.if_else(
            is_literal,
            _literals(value, column["type"], column["language"], is_literal),
            _resources(value, is_iri, pc.invert(is_literal)),
        ),
        f"{end} .".strip(),
        " ",
    )


def _resources(values: pa.Array, is_iri: pa.Array, concerned: pa.Array) -> pa.Array:
    _check(values.filter(pc.and_(is_iri, concerned)), _IRI, "IRI")
    _check(values.filter(pc.and_(pc.invert(is_iri), concerned)), BLANK, "blank node")
    return pc.if_else(is_iri, pc.binary_join_element_wise("<", values, ">", ""), values)


def _literals(
    values: pa.Array, datatype: pa.Array, language: pa.Array, concerned: pa.Array
) -> pa.Array:
    typed = pc.invert(pc.is_in(datatype, pa.array(_UNTYPED)))
    tagged = pc.not_equal(language, "")
    _check(datatype.filter(pc.and_(concerned, typed)), _IRI, "datatype")
    _check(language.filter(pc.and_(concerned, tagged)), _LANGUAGE, "language")
    for sign, escape in (("\\", "\\\\"), ('"', '\\"'), ("\n", "\\n"), ("\r", "\\r")):
        values = pc.replace_substring(values, sign, escape)
    suffix = pc.if_else(
        tagged,
        pc.binary_join_element_wise("@", language, ""),
        pc.if_else(typed, pc.binary_join_element_wise("^^<", datatype, ">", ""), ""),
    )
    return pc.binary_join_element_wise('"', values, '"', suffix, "")


def _check(values: pa.Array, form: str, what: str) -> None:
    wrong = values.filter(pc.invert(pc.match_substring_regex(values, form)))
    if len(wrong):
        raise DataError(f"the server gave {wrong[0].as_py()[:80]!r} as {what}")
