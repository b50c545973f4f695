"""MovieLens-100K with Freebase links, credits and plots, from a folder of its published files.

Traps: the KG holds most facts twice, in both directions; `rating` in items_info.json is a public
average of the very labels to be predicted and is never read; item 267 is a placeholder ("unkonwn").
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pyarrow as pa

from ..kg.errors import ParseError
from .base import FREEBASE, Loaded, bundled_schema, rows_table, string_table
from .facts import Facts, fact_tables, merge_inverses
from .raw_files import find, locate, read_columns, read_text
from .titles import decade_of, people

_MOVIE = "https://grouplens.org/datasets/movielens/100k/movie/"
_PLACEHOLDER = "unkonwn"


def load(folder: Path, *, cast: int = 10) -> Loaded:
    """Users, movies with text, credits, Freebase facts and ratings with times.

    Args:
        cast: how many actors of each movie, in order of billing, become nodes.
    """
    info = _info(folder)
    items = read_columns(locate(folder, "ml-100k.item"), least=4)
    links = read_columns(locate(folder, "ml-100k.link"), least=2)
    movie_of = {
        entity: _MOVIE + movie
        for movie, entity in zip(
            links.column(0).to_pylist(), links.column(1).to_pylist(), strict=True
        )
    }
    facts = Facts.from_table(read_columns(locate(folder, "ml-100k.kg"), least=3))
    facts, _ = merge_inverses(facts, movie_of)
    tables = {
        "users": _plain(read_columns(locate(folder, "ml-100k.user"))),
        "movies": _movies(items, info),
        "credits": _credits(info, cast),
        **fact_tables(facts, movie_of, lambda entity: FREEBASE + entity),
        "ratings": _plain(read_columns(locate(folder, "ml-100k.inter"))),
    }
    return tables, bundled_schema("movielens-100k")


def _plain(table: pa.Table) -> pa.Table:
    """Column names without their `:type`."""
    return table.rename_columns([name.split(":")[0] for name in table.column_names])


def _info(folder: Path) -> dict[str, dict[str, Any]]:
    """movielens_id -> its object of items_info.json; empty without that file."""
    path = find(folder, "items_info.json")
    if path is None:
        return {}
    try:
        rows = json.loads(read_text(path))
        return {row["movielens_id"]: row for row in rows}
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise ParseError(
            f"expected a list of objects with movielens_id: {error}", where=str(path)
        ) from error


def _said(info: dict[str, dict[str, Any]], movie: str, name: str) -> str:
    """The text that a movie has under a name; "" if it has none."""
    value = info.get(movie, {}).get(name)
    return value if isinstance(value, str) else ""


def _movies(items: pa.Table, info: dict[str, dict[str, Any]]) -> pa.Table:
    rows = list(zip(*(items.column(i).to_pylist() for i in range(4)), strict=True))
    years = [year if re.fullmatch(r"[12]\d{3}", year) else None for _, _, year, _ in rows]
    return string_table(
        movie=[movie for movie, *_ in rows],
        title=["" if title == _PLACEHOLDER else title for _, title, *_ in rows],
        plot=[_said(info, movie, "plot") for movie, *_ in rows],
        year=years,
        decade=[decade_of(year) for year in years],
        genres=[" ".join(g for g in genres.split() if g != "unknown") for *_, genres in rows],
        imdb_genres=["|".join(people(_said(info, movie, "genres"))) for movie, *_ in rows],
    )


def _credits(info: dict[str, dict[str, Any]], cast: int) -> pa.Table:
    rows = [
        (movie, relation, person)
        for movie in info
        for relation, names, most in (("director", "directors", None), ("actor", "cast", cast))
        for person in people(_said(info, movie, names))[:most]
    ]
    return rows_table(("movie", "relation", "person"), rows)
