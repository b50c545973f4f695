"""The named data sets and general formats, and the one way to load them."""

from __future__ import annotations

from pathlib import Path

from ..kg.errors import DataError, UsageError, nearest
from ..kg.files import StrPath
from ..kg.typed_fields import fit_options
from . import atomic_files, kgat_files, lastfm, movielens_1m, movielens_100k, retail
from .base import DatasetSpec, Loaded

_MOVIELENS = "GroupLens: research use, acknowledge, no redistribution, no commercial use"
_HETREC = "HetRec 2011 (GroupLens): non-commercial research use"

DATASETS: dict[str, DatasetSpec] = {
    spec.name: spec
    for spec in (
        DatasetSpec(
            "movielens-100k",
            "100,000 ratings with times, Freebase facts, plots and credits",
            movielens_100k.load,
            ("ml-100k.inter", "ml-100k.item", "ml-100k.user", "ml-100k.link", "ml-100k.kg",
             "items_info.json (optional)"),
            f"RecBole atomic files, ClayRS items_info.json. {_MOVIELENS}",
        ),
        DatasetSpec(
            "movielens-1m",
            "1,000,196 ratings with cold-start columns, plots, credits, DBpedia edges",
            movielens_1m.load,
            ("ratings.csv or ratings.dat", "movies.dat", "users.dat",
             "movies_extrainfos.dat (optional)",
             "dbpedia/mappings.tsv, dbpedia/*.edgelist (optional)"),
            f"MetaHIN, MeLU, entity2rec. {_MOVIELENS}; DBpedia: CC BY-SA 3.0",
        ),
        DatasetSpec(
            "lastfm-lightkg",
            "listening counts in a fixed split with a public leaderboard, small KG",
            lastfm.load_lightkg,
            ("train.inter", "valid.inter", "test.inter", "link", "kg"),
            f"LightKG (KDD 2025). {_HETREC}",
        ),
        DatasetSpec(
            "lastfm-hetrec",
            "listening counts, artist names, small KG",
            lastfm.load_hetrec,
            ("user_artists.dat", "item_index2entity_id.txt", "kg.txt",
             "MappingLastfm2DBpedia-1.2.tsv (optional)"),
            f"KGCN, LODrecsys-datasets. {_HETREC}",
        ),
        DatasetSpec(
            "retail",
            "2,465 products with descriptions, no users: a catalogue that is all cold",
            retail.load,
            ("products.yaml",),
            "AWS retail-demo-store, MIT-0",
        ),
        DatasetSpec(
            "kgat",
            "any folder in the format of KGAT (also KGIN, KGCL, KGRec)",
            kgat_files.load,
            ("train.txt and/or test.txt", "kg_final.txt", "entity_list.txt, item_list.txt, "
             "user_list.txt, relation_list.txt (optional)"),
            "your folder",
        ),
        DatasetSpec(
            "atomic",
            "any folder of RecBole atomic files",
            atomic_files.load,
            ("*.inter, or *.train.inter, *.valid.inter, *.test.inter",
             "*.item, *.user, *.kg, *.link (optional)"),
            "your folder",
        ),
    )
}  # fmt: skip

ALIASES = {
    "retail-catalog": "retail",
    "ml-100k": "movielens-100k",
    "ml-100k-kg": "movielens-100k",
    "ml-1m": "movielens-1m",
    "lastfm-hetrec-kg": "lastfm-hetrec",
    "kgat-last-fm-partial": "kgat",
}
"""Other names, among them those of folders that the data sets are known by -> a key of `DATASETS`."""


def dataset_name(name: str) -> str:
    """The key of `DATASETS` that a name or alias stands for.

    Raises:
        UsageError: it stands for none; names the nearest.
    """
    found = ALIASES.get(name, name)
    if found not in DATASETS:
        raise UsageError(f"unknown data set {name!r}", hint=nearest(name, DATASETS))
    return found


def load_dataset(name: str, folder: StrPath, **options: object) -> Loaded:
    """Tables and schema of a data set's folder, ready for `graph_from_tables` or a catalog.

    Args:
        name: a key of `DATASETS`, or an alias of one.
        folder: its published files, each plain, .gz or .zip.
        options: keyword options of the data set's loader.

    Raises:
        UsageError: unknown name or option, or a value of another type.
        DataError: the folder lacks a file; ParseError: a file does not follow its format.
    """
    name = dataset_name(name)
    spec, path = DATASETS[name], Path(folder)
    if not path.is_dir():
        raise DataError("no such folder", where=str(path), hint=f"it holds {', '.join(spec.files)}")
    return spec.load(path, **fit_options(spec.load, options, f"data set {name!r}"))
