"""MovieLens-1M with plots, credits and DBpedia edges, from a folder of its published files.

Traps: movies.dat is Latin-1 while the plots are UTF-8; two movies share one DBpedia resource; a
movie's resource is not its id. Ratings carry MetaHIN's cold-start columns as split names.
"""

from __future__ import annotations

import re
from pathlib import Path

import pyarrow as pa

from .base import Loaded, bundled_schema, rows_table, string_table
from .dbpedia import resource_tables
from .raw_files import find, locate, matching, plain_name, read_columns, read_records
from .titles import decade_of, people, readable_title, year_of

# From the README of the data set.
_AGES = {
    "1": "under 18", "18": "18-24", "25": "25-34", "35": "35-44", "45": "45-49", "50": "50-55",
    "56": "56+",
}  # fmt: skip
_OCCUPATIONS = (
    "other", "academic/educator", "artist", "clerical/admin", "college/grad student",
    "customer service", "doctor/health care", "executive/managerial", "farmer", "homemaker",
    "K-12 student", "lawyer", "programmer", "retired", "sales/marketing", "scientist",
    "self-employed", "technician/engineer", "tradesman/craftsman", "unemployed", "writer",
)  # fmt: skip
_FREEBASE = "https://grouplens.org/datasets/movielens/1m/freebase/"


def load(folder: Path, *, freebase: bool = False) -> Loaded:
    """Users, movies with text and credits, DBpedia edges, ratings with their split column.

    Args:
        freebase: also the small Freebase graph (language, country and five more relations, without
            names; facts about films that no movie is linked to are left out); off, as it says little
            that the other sources do not.
    """
    movies = read_records(locate(folder, "movies.dat"), 3, encoding="latin-1")
    facts = [_dbpedia_edges(folder / "dbpedia")]
    if freebase:
        facts.append(_freebase_edges(folder))
    tables = {
        "users": _users(folder),
        **_movies(movies, folder),
        "facts": pa.concat_tables(facts),
        **resource_tables(pa.concat_tables(facts), "dct_subject"),
        "ratings": _ratings(folder),
    }
    return tables, bundled_schema("movielens-1m")


def _users(folder: Path) -> pa.Table:
    rows = read_records(locate(folder, "users.dat"), 5)
    return string_table(
        user=[row[0] for row in rows],
        gender=[row[1] for row in rows],
        age=[_AGES.get(row[2], row[2]) for row in rows],
        occupation=[
            _OCCUPATIONS[int(row[3])] if row[3].isdigit() and int(row[3]) < 21 else row[3]
            for row in rows
        ],
    )


def _movies(movies: list[list[str]], folder: Path) -> dict[str, pa.Table]:
    path = find(folder, "movies_extrainfos.dat")
    extra = {row[0]: row for row in read_records(path, 11)} if path else {}
    ids = [row[0] for row in movies]
    info = [[_known(field) for field in extra.get(movie, [""] * 11)] for movie in ids]
    years = [year_of(row[1]) for row in movies]
    table = string_table(
        movie=ids,
        title=[readable_title(row[1]) for row in movies],
        plot=[row[9] for row in info],
        year=years,
        decade=[decade_of(year) for year in years],
        board=[row[3] or None for row in info],
        genres=[row[2] for row in movies],
        imdb_genres=["|".join(people(row[5])) for row in info],
    )
    columns = (("director", 6), ("writer", 7), ("actor", 8))
    credits = [
        (movie, relation, person)
        for movie, row in zip(ids, info, strict=True)
        for relation, column in columns
        for person in people(row[column])
    ]
    return {
        "movies": table,
        "credits": rows_table(("movie", "relation", "person"), credits),
    }


def _known(field: str) -> str:
    return "" if field == "N/A" else field.strip()


def _ratings(folder: Path) -> pa.Table:
    """ratings.csv (cold-start columns, no times), or else GroupLens' ratings.dat (times only)."""
    path = locate(folder, "ratings.csv", "ratings.dat")
    if plain_name(path) == "ratings.csv":
        table = read_columns(path, delimiter=",")
        return table.append_column("time", pa.nulls(len(table), pa.string()))
    rows = read_records(path, 4)
    table = rows_table(("user", "movie", "rating", "time"), rows)
    return table.append_column("cold_split", pa.nulls(len(table), pa.string()))


def _dbpedia_edges(folder: Path) -> pa.Table:
    """movie, relation, resource IRI; the relation is the name of the edge list. Empty without it."""
    movies: dict[str, list[str]] = {}
    path = find(folder, "mappings.tsv")
    for movie, _, resource in read_records(path, 3, separator="\t") if path else ():
        movies.setdefault(resource, []).append(movie)
    rows: list[tuple[str, str, str]] = []
    for path in matching(folder, "*.edgelist"):
        relation = plain_name(path).removesuffix(".edgelist")
        for resource, target in read_records(path, 2, separator=" "):
            rows += [(movie, relation, target) for movie in movies.get(resource, ())]
    return rows_table(("movie", "relation", "to"), rows)


def _freebase_edges(folder: Path) -> pa.Table:
    links = read_records(locate(folder / "freebase", "item_index2entity_id.txt"), 2, separator="\t")
    movie_of = {entity: movie for movie, entity in links}
    rows = [
        (movie_of[head], re.sub(r"^film\.film\.", "freebase_", relation), _FREEBASE + tail)
        for head, relation, tail in read_records(
            locate(folder / "freebase", "kg.txt"), 3, separator="\t"
        )
        if head in movie_of
    ]
    return rows_table(("movie", "relation", "to"), rows)
