"""The two small Last.FM sets of HetRec 2011: LightKG's fixed split, and the raw listening counts."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from ..kg.errors import UsageError
from .base import Loaded, bundled_schema, string_table
from .dbpedia import label_of
from .facts import Facts, fact_tables, merge_inverses
from .raw_files import find, locate, read_columns, read_records

_BASE = "https://grouplens.org/datasets/hetrec-2011/lastfm/"
_ARTIST, _ENTITY = _BASE + "artist/", _BASE + "entity/"
_NAMES = "MappingLastfm2DBpedia-1.2.tsv"


def load_lightkg(folder: Path, *, names: str = "") -> Loaded:
    """The fixed train / valid / test rows, link and KG.

    Args:
        names: folder that holds HetRec's artist names, which this set leaves out; "" = no names.
            Published figures use none.
    """
    parts = []
    for split in ("train", "valid", "test"):
        rows = _plays(locate(folder, f"{split}.inter"))
        parts.append(rows.append_column("split", pa.array([split] * len(rows), pa.string())))
    links = read_columns(locate(folder, "link"), least=2)
    artists = dict(zip(links.column(1).to_pylist(), links.column(0).to_pylist(), strict=True))
    facts = Facts.from_table(read_columns(locate(folder, "kg"), least=3))
    known = _names(locate(Path(names), _NAMES)) if names else {}
    plays = pa.concat_tables(parts)
    everyone = list(dict.fromkeys([*artists.values(), *plays["artist"].to_pylist()]))
    return _tables(plays, everyone, known, artists, facts), bundled_schema("lastfm-lightkg")


def load_hetrec(folder: Path, *, artists: str = "linked") -> Loaded:
    """Listening counts, artist names and KG.

    Args:
        artists: "linked" keeps the artists that have a KG entity, as published results do; "all"
            keeps the others too.
    """
    if artists not in ("linked", "all"):
        raise UsageError(f"artists is {artists!r}", hint="valid: linked, all")
    plays = _plays(locate(folder, "user_artists.dat"))
    links = read_records(locate(folder, "item_index2entity_id.txt"), 2, separator="\t")
    linked = {entity: artist for artist, entity in links}
    facts = Facts.from_table(read_columns(locate(folder, "kg.txt"), ("head", "relation", "tail")))
    path = find(folder, _NAMES)
    known = _names(path) if path else {}
    everyone = list(linked.values())
    if artists == "linked":
        keep = set(everyone)
        plays = plays.filter(pa.array([artist in keep for artist in plays["artist"].to_pylist()]))
    else:
        everyone = list(dict.fromkeys([*everyone, *plays["artist"].to_pylist()]))
    return _tables(plays, everyone, known, linked, facts), bundled_schema("lastfm-hetrec")


def _plays(path: Path) -> pa.Table:
    """The columns user, artist and plays, whatever their names."""
    columns = ["user", "artist", "plays"]
    return read_columns(path, least=3).select([0, 1, 2]).rename_columns(columns)


def _names(path: Path) -> dict[str, str]:
    """Artist id -> name, or else the label of its DBpedia resource."""
    rows = read_records(path, 3, separator="\t")
    return {artist: name.strip() or label_of(resource) for artist, name, resource in rows}


def _tables(
    plays: pa.Table,
    artists: list[str],
    names: dict[str, str],
    artist_of: dict[str, str],
    facts: Facts,
) -> dict[str, pa.Table]:
    items = {entity: _ARTIST + artist for entity, artist in artist_of.items()}
    facts, _ = merge_inverses(facts, items)
    return {
        "artists": string_table(artist=artists, name=[names.get(artist, "") for artist in artists]),
        **fact_tables(facts, items, lambda entity: _ENTITY + entity),
        "plays": plays,
    }
