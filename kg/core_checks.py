"""SHACL Core on columnar quads, vectorised; see `core_shapes` for what is known."""

from __future__ import annotations

import re
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyoxigraph as ox

from .core_shapes import Constraint, CoreShape, Term
from .ids import sorted_distinct
from .literals import parse_numbers
from .problems import Problem
from .quads import BLANK_NODE_PREFIX, XSD_STRING, Quads
from .report import Findings
from .schema import RDF
from .shape_values import SH, pattern
from .subclasses import instances

LANG_STRING = RDF + "langString"

Codes = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

_BOUNDS = {
    "minInclusive": np.greater_equal,
    "maxInclusive": np.less_equal,
    "minExclusive": np.greater,
    "maxExclusive": np.less,
}


def check_core(quads: Quads, shapes: Iterable[CoreShape], found: Findings) -> None:
    """Findings of kind "shape". O(statements of the property) per constraint."""
    for shape in shapes:
        focus, literals = _focus(quads, shape.targets), _literal_focus(quads, shape.targets)
        if shape.property:
            rows = quads.rows_of(shape.property)
            owner, value = quads.s[rows].astype(np.int64), quads.o[rows].astype(np.int64)
            if shape.inverse:
                keep = value >= 0
                owner, value = value[keep], owner[keep]
            chosen = focus[np.maximum(owner, 0)]
            owner, value = owner[chosen], value[chosen]
        else:
            owner = value = np.concatenate([np.flatnonzero(focus), literals])
        for each in shape.constraints:
            if each.name in ("minCount", "maxCount"):
                _count(quads, shape, each, focus, owner, value, found)
                if each.name == "minCount" and int(each.value) > 0:
                    _report(quads, shape, literals, "a literal has no properties", found)
            elif each.name == "hasValue":
                fits = _one_of(quads, value, each.terms)
                lacking = owner[~fits]
                if shape.property:  # a literal has no properties
                    has = np.zeros(len(focus), bool)
                    has[owner[fits]] = True
                    lacking = np.concatenate([np.flatnonzero(focus & ~has), literals])
                _report(quads, shape, lacking, f"{each} is missing", found)
            else:
                wrong = ~_holds(quads, value, each)
                message = f"{each} does not hold"
                _report(quads, shape, owner[wrong], message, found, value[wrong])


def _focus(quads: Quads, targets: Iterable[tuple[str, str]]) -> Mask:
    """Terms that are focus nodes, shape (n_terms,)."""
    mask = np.zeros(len(quads.terms), bool)
    for kind, iri in targets:
        code = quads.find(iri)
        if kind == "targetClass":
            mask |= instances(quads, [iri])
        elif code >= 0 and kind == "targetNode":
            mask[code] = True
        elif code >= 0:
            rows = quads.rows_of(code)
            ends = quads.s[rows] if kind == "targetSubjectsOf" else quads.o[rows]
            mask[ends[ends >= 0]] = True
    return mask


def _literal_focus(quads: Quads, targets: Iterable[tuple[str, str]]) -> Codes:
    """Literals that `sh:targetObjectsOf` makes focus nodes, as negative codes."""
    ends = [quads.o[quads.rows_of(iri)] for kind, iri in targets if kind == "targetObjectsOf"]
    codes = np.unique(np.concatenate([np.zeros(0, np.int32), *ends]))
    return codes[codes < 0].astype(np.int64)


def _count(
    quads: Quads,
    shape: CoreShape,
    constraint: Constraint,
    focus: Mask,
    owner: Codes,
    value: Codes,
    found: Findings,
) -> None:
    name, limit = constraint.name, int(constraint.value)
    low = value.min(initial=0)
    width = value.max(initial=0) - low + 1
    pairs = sorted_distinct(owner * width + (value - low))
    count = np.bincount(pairs // width, minlength=len(focus))
    wrong = focus & (count < limit if name == "minCount" else count > limit)
    nodes = np.flatnonzero(wrong)
    word = "at least" if name == "minCount" else "at most"
    messages = [f"has {count[node]} values, expected {word} {limit}" for node in nodes[:100]]
    _report(quads, shape, nodes, messages, found)


def _holds(quads: Quads, value: Codes, constraint: Constraint) -> Mask:
    """For each value (term or literal code), whether the constraint holds."""
    name, wanted = constraint.name, constraint.value
    literal = value < 0
    if name == "class":
        good = np.zeros(len(value), bool)
        good[~literal] = instances(quads, [wanted])[value[~literal]]
        return good
    if name == "nodeKind":
        return _of_kind(quads, value, wanted.removeprefix(SH))
    if name == "in":
        return _one_of(quads, value, constraint.terms)
    if name == "datatype":
        good = np.zeros(len(value), bool)
        good[literal] = _has_datatype(quads, -value[literal] - 1, wanted)
        return good
    text = _lexical(quads, value)
    if name in _BOUNDS:
        number = np.where(literal, parse_numbers(text), np.nan)
        with np.errstate(invalid="ignore"):
            return np.asarray(_BOUNDS[name](number, float(wanted)))
    if name == "pattern":
        return np.asarray(
            pc.match_substring_regex(text, pattern(wanted, constraint.flags, "")), bool
        )
    length = np.asarray(pc.utf8_length(text), np.int64)
    bound = int(wanted)
    return length >= bound if name == "minLength" else length <= bound


def _lexical(quads: Quads, value: Codes) -> pa.Array:
    """Lexical form of literals, IRIs of terms."""
    literal = value < 0
    out = np.empty(len(value), object)
    out[literal] = quads.literals.value.take(pa.array(-value[literal] - 1)).to_numpy(False)
    out[~literal] = quads.terms.take(pa.array(value[~literal])).to_numpy(False)
    return pa.array(out, pa.large_string())


def _has_datatype(quads: Quads, index: Codes, iri: str) -> Mask:
    language = quads.literals.language[index] >= 0
    if iri == LANG_STRING:
        return np.asarray(language)
    datatype = quads.literals.datatype[index]
    if iri == XSD_STRING:
        return np.asarray((datatype < 0) & ~language)
    code = quads.find(iri)
    good = (datatype == code) & (code >= 0)
    short = iri.rpartition("#")[2]
    if short in ("integer", "decimal", "double", "float", "int", "long"):
        text = quads.literals.value.take(pa.array(index))
        good &= np.isfinite(parse_numbers(text))
        if short in ("integer", "int", "long"):
            good &= np.asarray(pc.match_substring_regex(text, r"^\s*[+-]?[0-9]+\s*$"), bool)
    return np.asarray(good)


def _of_kind(quads: Quads, value: Codes, kind: str) -> Mask:
    text = _lexical(quads, value)
    literal = value < 0
    blank = ~literal & np.asarray(pc.starts_with(text, BLANK_NODE_PREFIX), bool)
    good = np.zeros(len(value), bool)
    for word, mask in (("Literal", literal), ("BlankNode", blank), ("IRI", ~literal & ~blank)):
        if word in re.findall("IRI|BlankNode|Literal", kind):
            good |= mask
    return good


def _one_of(quads: Quads, value: Codes, wanted: tuple[Term, ...]) -> Mask:
    codes = [quads.find(term.value) for term in wanted if isinstance(term, ox.NamedNode)]
    good = np.isin(value, [code for code in codes if code >= 0])
    literals = {str(term) for term in wanted if isinstance(term, ox.Literal)}
    if literals:
        for index in np.unique(value[value < 0]):
            if quads.literal_text(-int(index) - 1) in literals:
                good |= value == index
    return np.asarray(good)


def _report(
    quads: Quads,
    shape: CoreShape,
    nodes: Codes,
    message: str | list[str],
    found: Findings,
    values: Codes | None = None,
) -> None:
    listed = []
    for k, node in enumerate(nodes[: found.room("shape", shape.property)]):
        text = message if isinstance(message, str) else message[k]
        if values is not None and shape.property:
            code = int(values[k])
            given = quads.term(code) if code >= 0 else quads.literal_text(-code - 1)
            text = f"{given[:80]}: {text}"
        iri = quads.term(int(node)) if node >= 0 else quads.literals.value[-int(node) - 1].as_py()
        listed.append(Problem("shape", iri, shape.property, source_of_node(quads, iri), text))
    found.add("shape", shape.property, len(nodes), listed)


def source_of_node(quads: Quads, iri: str) -> str:
    """The file of a node's first statement as subject; "" if it has none."""
    rows = np.flatnonzero(quads.s == quads.find(iri))
    return quads.source_of(int(rows[0])) if len(rows) else ""
