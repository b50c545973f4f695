"""Checked values of a TOML tree: keys, strings, IRIs, templates, paths; every error names its key."""

from __future__ import annotations

import math
import re
import zoneinfo
from collections.abc import Iterable, Mapping
from typing import Any

from .errors import SchemaError, nearest
from .schema import WELL_KNOWN_PREFIXES, Bounds, Choice, Hop, PropertyPath

_HOP = re.compile(r"(\^?)(?:<([^<>\s]+)>|([^<>\s/^]+))")
_MORE = re.compile(r"[*+?|()]")  # what SPARQL's paths know and ours do not
_LARGEST = 1e300  # of a number; whole ones in TOML have no bound
_IRI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[^\x00-\x20<>\"{}|\\^`]*")


class Values:
    """Checks values; `source` and the dotted key make the place of every error."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.prefixes: dict[str, str] = dict(WELL_KNOWN_PREFIXES)

    def fail(self, key: str, message: str, hint: str = "") -> SchemaError:
        """The error to raise for a key."""
        return SchemaError(message, where=f"{self.source}:{key}", hint=hint)

    def keys(self, table: Mapping[str, Any], allowed: Iterable[str], key: str) -> None:
        valid = set(allowed)
        for word in table:
            if word not in valid:
                where = f"{key}.{word}" if key else word
                raise self.fail(where, f"unknown key {word!r}", nearest(word, valid))

    def known(self, word: str, valid: Iterable[str], key: str, kind: str) -> None:
        names = list(valid)
        if word not in names:
            raise self.fail(key, f"unknown {kind} {word!r}", nearest(word, names))

    def distinct(self, names: Iterable[str], key: str, kind: str) -> None:
        seen: set[str] = set()
        for name in names:
            if name in seen:
                raise self.fail(key, f"{kind} {name!r} is defined twice")
            seen.add(name)

    def needed(self, table: Mapping[str, Any], word: str, key: str) -> Any:
        if word not in table:
            raise self.fail(f"{key}.{word}", f"{word!r} is missing")
        return table[word]

    def a_table(self, value: Any, key: str) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise self.fail(key, f"expected a table, got {value!r}")
        return value

    def table(self, parent: Mapping[str, Any], word: str, key: str) -> dict[str, Any]:
        return self.a_table(parent.get(word, {}), f"{key}.{word}" if key else word)

    def string(self, value: Any, key: str) -> str:
        if not isinstance(value, str):
            raise self.fail(key, f"expected a string, got {value!r}")
        return value

    def flag(self, table: Mapping[str, Any], word: str, key: str, *, default: bool = False) -> bool:
        value = table.get(word, default)
        if not isinstance(value, bool):
            raise self.fail(f"{key}.{word}", f"expected true or false, got {value!r}")
        return value

    def words(self, table: Mapping[str, Any], word: str, key: str) -> tuple[str, ...]:
        """A string or a list of strings, without repeats."""
        value = table.get(word, [])
        where = f"{key}.{word}" if key else word
        values = [value] if isinstance(value, str) else value
        if not isinstance(values, list):
            raise self.fail(where, f"expected a string or a list of strings, got {value!r}")
        return tuple(dict.fromkeys(self.string(v, where) for v in values))

    def choices(self, table: Mapping[str, Any], word: str, key: str) -> dict[str, Choice]:
        """Columns, each with bounds, or a value or a list of values as the text that cells hold."""
        out: dict[str, Choice] = {}
        for column, value in self.table(table, word, key).items():
            where = f"{key}.{word}.{column}"
            if isinstance(value, dict):
                out[column] = self.bounds(value, column, where)
                continue
            values = value if isinstance(value, list) else [value]
            if not values:
                raise self.fail(where, "expected a value or a list of values, got none")
            out[column] = tuple(dict.fromkeys(self.cell(one, where) for one in values))
        return out

    def bounds(self, table: Mapping[str, Any], column: str, key: str) -> Bounds:
        for word in table:
            if word not in ("min", "max"):
                hint = f'bounds are min and max; a name with a dot is quoted: "{column}.{word}"'
                raise self.fail(f"{key}.{word}", f"unknown key {word!r}", hint)
        if not table:
            raise self.fail(key, "expected min, max or both, got none")
        given = {word: self.number(value, f"{key}.{word}") for word, value in table.items()}
        bounds = Bounds(given.get("min", -math.inf), given.get("max", math.inf))
        if bounds.low > bounds.high:
            raise self.fail(key, f"min = {bounds.low:g} is above max = {bounds.high:g}")
        return bounds

    def number(self, value: Any, key: str) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.fail(key, f"expected a number, got {value!r}")
        if not abs(value) < _LARGEST:
            raise self.fail(key, "expected a number of usual size")
        return float(value)

    def cell(self, value: Any, key: str) -> str:
        """A string, a number or a boolean as a cell holds it."""
        if isinstance(value, bool):
            return str(value).lower()
        if isinstance(value, int | float):
            return str(value) if isinstance(value, int) else f"{value:.15g}"
        return self.string(value, key).strip()

    def header(self, table: Mapping[str, Any], key: str) -> tuple[str, ...]:
        names = self.words(table, "header", key)
        if isinstance(table.get("header"), list):
            self.distinct(table["header"], f"{key}.header", "column")
        return names

    def encoding(self, table: Mapping[str, Any], key: str) -> str:
        name = self.string(table.get("encoding", "utf-8"), f"{key}.encoding")
        try:
            "".encode(name)
        except (LookupError, ValueError):
            hint = "such as utf-8, latin-1, cp1252 or utf-16"
            raise self.fail(f"{key}.encoding", f"no encoding of text: {name!r}", hint) from None
        return name

    def decimal(self, table: Mapping[str, Any], key: str) -> str:
        sign = self.string(table.get("decimal", ""), f"{key}.decimal")
        if sign not in ("", ",", "."):
            raise self.fail(f"{key}.decimal", f'expected "," or ".", got {sign!r}')
        return sign

    def time_forms(self, table: Mapping[str, Any], key: str) -> tuple[str, ...]:
        forms = self.words(table, "dates", key)
        for form in forms:
            if not re.search("%[YysFDcx]", form):
                hint = "%Y year, %m month, %d day, %H hour, %M minute, %S second"
                raise self.fail(f"{key}.dates", f"expected a form with a year, got {form!r}", hint)
        return forms

    def timezone(self, table: Mapping[str, Any], key: str) -> str:
        name = self.string(table.get("timezone", ""), f"{key}.timezone")
        try:
            if name:
                zoneinfo.ZoneInfo(name)
        except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
            near = nearest(name, sorted(zoneinfo.available_timezones()))
            raise self.fail(f"{key}.timezone", f"unknown time zone {name!r}", near) from None
        return name

    def one_byte(self, value: Any, key: str) -> str:
        text = self.string(value, key)
        if len(text.encode()) > 1:
            raise self.fail(key, f"expected one sign of one byte, got {text!r}")
        return text

    def iri(self, value: Any, key: str) -> str:
        """A full IRI from `<iri>`, an IRI with a scheme, or prefix:local."""
        text = self.string(value, key).strip()
        if text.startswith("<") and text.endswith(">"):
            text = text[1:-1]
        else:
            prefix, colon, local = text.partition(":")
            if colon and prefix in self.prefixes and not local.startswith("//"):
                text = self.prefixes[prefix] + local
            elif not (local.startswith("//") or prefix in ("urn", "tag")):
                raise self.fail(
                    key, f"{value!r}: unknown prefix {prefix!r}", nearest(prefix, self.prefixes)
                )
        if not _IRI.fullmatch(text):
            raise self.fail(key, f"{text!r} is not an IRI")
        return text

    def template(self, table: Mapping[str, Any], word: str, key: str) -> str:
        """An IRI with one `{}`; "" where the key is absent."""
        if word not in table:
            return ""
        where = f"{key}.{word}" if key else word
        text = self.string(table[word], where)
        if text.count("{}") != 1:
            raise self.fail(where, f"expected an IRI with one {{}}, got {text!r}")
        if text == "{}":
            return text
        before, after = text.split("{}")
        if ":" not in before:
            raise self.fail(where, f"expected an IRI with one {{}}, got {text!r}")
        return self.iri(before, where) + "{}" + self.iri(f"<urn:{after}>", where)[4:]

    def path(self, value: Any, key: str) -> PropertyPath:
        text = self.string(value, key).strip()
        bare = re.sub(r"<[^<>]*>", "", text)
        # A whole IRI may hold any of these but at its ends, where they are meant as a path's.
        if _MORE.search(bare[:1] + bare[-1:] if "://" in bare else bare) or "|" in bare:
            hint = "paths know / and ^; an IRI with such signs stands in <...>"
            raise self.fail(key, f"not a property or path: {text!r}", hint)
        if "://" in text and "<" not in text:
            return PropertyPath.of(self.iri(text, key))
        hops: list[Hop] = []
        position = 0
        while match := _HOP.match(text, position):
            inverse, full, short = match.groups()
            hops.append(Hop(self.iri(f"<{full}>" if full else short, key), bool(inverse)))
            position = match.end()
            if position == len(text):
                return PropertyPath(tuple(hops))
            if text[position] != "/":
                break
            position += 1
        raise self.fail(key, f"not a property or path: {text!r}", "write prefix:name/^prefix:name")
