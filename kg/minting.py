"""IRIs from ids: templates, trimming and percent-encoding, on whole columns of distinct values."""

from __future__ import annotations

from urllib.parse import quote, unquote

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from .vocabulary import TEXT

_UNSAFE = r"[^A-Za-z0-9._~-]"
_IRI = r"^[A-Za-z][A-Za-z0-9+.-]*:[^\x00-\x20<>\"{}|\\^`]*$"


def mint(values: pa.Array, template: str) -> pa.Array:
    """IRIs of distinct text values, same length; null where a value is null or empty.

    Args:
        values: text; leading and trailing white space is cut.
        template: IRI with one `{}` for the percent-encoded value. "{}" alone takes values that are
            IRIs already; null where one is not.
    """
    text = pc.utf8_trim_whitespace(values.cast(TEXT))
    if template == "{}":
        return pc.if_else(is_iri(text), text, _null())
    text = pc.if_else(pc.equal(text, ""), _null(), text)
    unsafe = pc.fill_null(pc.match_substring_regex(text, _UNSAFE), False)
    if pc.any(unsafe).as_py():
        encoded = [quote(value, safe="") for value in text.filter(unsafe).to_pylist()]
        text = pc.replace_with_mask(text, unsafe, pa.array(encoded, TEXT))
    before, after = template.split("{}")
    return pc.binary_join_element_wise(
        pa.scalar(before, TEXT), text, pa.scalar(after, TEXT), pa.scalar("", TEXT)
    )


def is_iri(text: pa.Array) -> pa.Array:
    """Mask of the values that are absolute IRIs by their characters."""
    return pc.match_substring_regex(text, _IRI)


def fits_template(iris: pa.Array, template: str) -> npt.NDArray[np.bool_]:
    """Mask of the IRIs that the template may have made, shape (n,)."""
    before, after = template.split("{}")
    fits = pc.and_(pc.starts_with(iris, before), pc.ends_with(iris, after))
    return np.asarray(fits, bool)


def unmint(iri: str, template: str) -> str | None:
    """The id from which the template makes this IRI; None where it does not."""
    before, after = template.split("{}")
    if len(iri) < len(before) + len(after) or not (iri.startswith(before) and iri.endswith(after)):
        return None
    return unquote(iri[len(before) : len(iri) - len(after)])


def _null() -> pa.Scalar:
    return pa.scalar(None, TEXT)
