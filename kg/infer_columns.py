"""What a column of a table is, by its name and its values: an id, an end of events, a link, a leak."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from .infer import looks_like_users, plain_name
from .literals import likely_unit, parse_moments, parse_numbers
from .vocabulary import TEXT

KEYS = ("id", "iri", "uri", "key", "uuid", "guid", "identifier")
CODES = (
    "sku", "asin", "isbn", "isbn13", "isbn10", "gtin", "ean", "upc", "code", "handle", "slug",
    "number", "nr", "no",
)  # fmt: skip
ITEMS = (
    "item", "product", "article", "sku", "asin", "isbn", "movie", "film", "book", "song",
    "track", "artist", "album", "game", "show", "video", "podcast", "recipe", "course",
    "business", "news",
)  # fmt: skip
EVENTS = (
    "rating", "review", "order", "event", "interaction", "purchase", "transaction",
    "click", "view", "play", "listen", "action", "log", "history", "feedback", "behavior",
    "behaviour", "session", "visit", "sale", "basket", "cart", "like", "bookmark", "loan",
    "checkout", "watch",
)  # fmt: skip
LINKS = (
    "brand", "category", "categories", "genre", "author", "artist", "maker",
    "manufacturer", "publisher", "director", "tag", "topic", "style", "vendor",
    "supplier", "series", "collection", "department", "actor", "writer", "composer",
    "subject", "subcategory", "keyword",
)  # fmt: skip
PROSE = ("description", "title", "name", "about", "summary", "text", "abstract", "plot", "body")
ROLES = {
    "rating": (
        "rating", "stars", "score", "overall", "grade", "weight", "count", "plays", "playcount",
        "quantity", "qty",
    ),
    "time": ("timestamp", "time", "datetime", "date", "when", "at", "created", "ts", "unixtime"),
    "split": ("split", "part", "fold"),
}  # fmt: skip
_TOLD = ("rating", "ratings", "stars", "reviews", "popularity", "sales", "sold", "rank", "votes")
_FILES = ("url", "image", "img", "link", "photo", "thumbnail", "picture", "href")
_CODED = {"isbn": "book", "isbn10": "book", "isbn13": "book"} | dict.fromkeys(
    ("sku", "asin", "gtin", "ean", "upc"), "product"
)
_COUNTS = {"count", "plays", "playcount", "quantity", "qty", "weight"}
_ENDINGS = ("_id", "_iri", "_uri", "_key", "_uuid", "_code", "id")
SEPARATORS = ("|", ";", ", ", ",")
MOST = 0.95


def words(column: str) -> list[str]:
    """The words of a column's name, in lower case."""
    return plain_name(column).split("_")


def owner_name(column: str) -> str:
    """What an id column speaks of: "user" for user_id and userid, "product" for sku; "" for a bare id."""
    plain = plain_name(column)
    if plain in _CODED:
        return _CODED[plain]
    for ending in _ENDINGS:
        head = plain.removesuffix(ending)
        if head != plain and (ending != "id" or _is_thing(head)):
            return head.strip("_")
    return "" if plain in KEYS else plain


def _is_thing(word: str) -> bool:
    return word in ITEMS or looks_like_users(word)


def is_key(column: str) -> bool:
    """Whether a column's name says that it holds ids."""
    last = words(column)[-1]
    if last == "code":
        return _is_thing(owner_name(column))
    return last in KEYS or (last.endswith("id") and _is_thing(last[:-2]))


def id_column(table: pa.Table, name: str, least: float = 1.0) -> str:
    """The column that names each row of a table: all there, all different; "" if none.

    A bare id comes first, then the id of what the table is called, other ids, and codes such as sku.

    Args:
        least: share of the rows that must have an id of their own.
    """
    ranked = []
    for position, column in enumerate(table.column_names):
        plain, last = plain_name(column), words(column)[-1]
        if plain in KEYS or owner_name(column) == singular(name):
            rank = 0
        elif is_key(column):
            rank = 1
        elif last in CODES:
            rank = 2 + CODES.index(last)
        else:
            continue
        ranked.append((rank, position, column))
    return next((str(c) for _, _, c in sorted(ranked) if _names_rows(table[c], least)), "")


def _names_rows(column: pa.ChunkedArray, least: float) -> bool:
    if is_list(column) or (column.null_count and least == 1) or not len(column):
        return False
    return bool(pc.count_distinct(column, mode="only_valid").as_py() >= least * len(column))


def ends(table: pa.Table, known: Iterable[str]) -> tuple[str, ...]:
    """The columns of an event's user and item; () if the table does not look like events.

    Args:
        known: names of node types and of the id columns of their tables, as `plain_name` has them.
    """
    names = set(known)
    found = [c for c in table.column_names if is_key(c)]
    found += [
        c
        for c in table.column_names
        if c not in found
        and not is_list(table[c])
        and (plain_name(c) in names or plain_name(c) in ITEMS or _is_user(c))
    ]
    users = [c for c in found if looks_like_users(c)]
    items = [c for c in found if c not in users]
    items.sort(key=lambda c: not ({plain_name(c), owner_name(c)} & {*names, *ITEMS}))
    return (users[0], items[0]) if users and items else ()


def _is_user(column: str) -> bool:
    return len(words(column)) == 1 and looks_like_users(column)


def speaks_of_events(name: str) -> bool:
    """Whether a table's or an id's name is one of events."""
    return any(singular(word) in EVENTS for word in words(name))


def role_column(table: pa.Table, role: str, taken: Iterable[str]) -> str:
    """The column of an event's rating, time or split, whose values must be such; "" if none."""
    used = set(taken)
    ranked = [
        (ROLES[role].index(next(w for w in ROLES[role] if w in words(c))), k, c)
        for k, c in enumerate(table.column_names)
        if c not in used and set(words(c)) & set(ROLES[role]) and not is_list(table[c])
    ]
    check: Callable[[pa.Array], npt.NDArray[np.float64]] | None
    check = {"rating": parse_numbers, "time": _moments}.get(role)
    for _, _, column in sorted(ranked):
        values = filled_text(table[column])
        if check is None or (len(values) and float(np.isnan(check(values)).mean()) <= 1 - MOST):
            return str(column)
    return ""


def _moments(values: pa.Array) -> npt.NDArray[np.float64]:
    return parse_moments(values, likely_unit(values) or "s")


def counts(column: str) -> bool:
    """Whether a rating is a count, which has no threshold of liking."""
    return bool(set(words(column)) & _COUNTS)


def is_link(column: str, values: pa.Array) -> bool:
    """Whether values that repeat are things of their own, such as brands, rather than a feature."""
    if not {singular(word) for word in words(column)[-1:]} & set(LINKS):
        return False
    short = (pc.mean(pc.utf8_length(values)).as_py() or 99) < 60
    return bool(short and pc.count_distinct(values).as_py() < 0.9 * len(values))


def is_label_of_rows(column: str, values: pa.Array) -> bool:
    """Whether the values only name the row or a file of it: codes, and addresses."""
    if set(words(column)) & set(_FILES):
        return True
    if (pc.mean(pc.starts_with(values, "http").cast(pa.float64())).as_py() or 0) > MOST:
        return True
    coded = words(column)[-1] in (*CODES, *KEYS)
    return bool(coded and pc.count_distinct(values).as_py() > MOST * len(values))


def tells_answers(column: str) -> bool:
    """Whether a column of an item's table sums up what users did with it."""
    return bool(set(words(column)) & set(_TOLD))


def separator(column: str, text: pa.ChunkedArray) -> str:
    """The sign that parts a column's cells into values that repeat; "" if none does."""
    values = filled_text(text)
    if set(words(column)) & set(PROSE):
        return ""
    for sign in SEPARATORS:
        parts = pc.list_flatten(pc.split_pattern(values, sign))
        short = (pc.mean(pc.utf8_length(parts)).as_py() or 99) < 25
        if len(parts) > 1.3 * max(1, len(values)) and short and _repeats(parts):
            return sign
    return ""


def _repeats(parts: pa.Array) -> bool:
    distinct = pc.count_distinct(pc.utf8_trim_whitespace(parts)).as_py()
    return bool(distinct < 0.6 * len(parts))


def filled_text(column: pa.ChunkedArray) -> pa.Array:
    """The values that are neither missing nor empty, as trimmed text."""
    text = pc.utf8_trim_whitespace(pc.cast(column, TEXT).combine_chunks().drop_null())
    return text.filter(pc.not_equal(text, ""))


def is_list(column: pa.ChunkedArray) -> bool:
    """Whether a cell holds several values."""
    return bool(pa.types.is_list(column.type) or pa.types.is_large_list(column.type))


def singular(name: str) -> str:
    """A name in the singular, as far as a letter or two can make it so."""
    plain = plain_name(name)
    if plain.endswith("ies") and plain not in ("movies", "series", "species", "cookies"):
        return plain[:-3] + "y"
    one = plain.endswith("s") and not plain.endswith("ss") and plain not in ("series", "species")
    return plain[:-1] if one else plain
