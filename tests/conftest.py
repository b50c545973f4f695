"""Fixtures that every folder of tests shares."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

from coldframe.kg.graph import Category, EdgeSet, Graph, Interactions, NodeSet
from coldframe.kg.vocabulary import Vocabulary

_ROOT = Path(__file__).resolve().parent.parent
_BASE = "https://example.org/"

# The same examples in every run; HYPOTHESIS_PROFILE=explore looks for new ones.
settings.register_profile("repeatable", derandomize=True)
settings.register_profile("explore")
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The folder of real data sets: $COLDFRAME_DATA, or ../shared/data from the project's root."""
    folder = Path(os.environ.get("COLDFRAME_DATA", _ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"real data sets are not at {folder}; set COLDFRAME_DATA to their folder")
    return folder


@pytest.fixture
def tiny_graph() -> Graph:
    """6 users, 8 items, 3 genres, 4 makers; 24 events, of which 4 are negative.

    Users 0-2 like items of genre 0, users 3-5 those of genre 1; items 6 and 7 have no events.
    """
    users = Vocabulary(f"{_BASE}user/{u}" for u in range(6))
    items = Vocabulary(f"{_BASE}item/{i}" for i in range(8))
    names = ("Red Rose", "Red Tulip", "Red Poppy", "Blue Iris", "Blue Flax", "Blue Borage")
    titles = (*names, "Red Peony", "Blue Aster")
    nodes = {
        "user": NodeSet(
            users,
            categories={"city": Category(np.array([0, 0, 1, 1, -1, 0], np.int32), ("A", "B"))},
        ),
        "item": NodeSet(
            items,
            numbers={"price": np.array([1, 2, np.nan, 4, 5, 6, 7, 8], np.float32)},
            texts={"title": titles, "note": ("a flower", "", *("for dry soil",) * 5, "")},
        ),
        "genre": NodeSet(Vocabulary(f"{_BASE}genre/{g}" for g in range(3))),
        "maker": NodeSet(Vocabulary(f"{_BASE}maker/{m}" for m in range(4))),
    }
    genre_of = np.array([0, 0, 0, 1, 1, 1, 0, 1])
    maker_of = np.array([0, 1, 2, 3, 0, 1, 2, 3])
    edges = {
        ("item", "genre", "genre"): EdgeSet(np.stack([np.arange(8), genre_of])),
        ("item", "maker", "maker"): EdgeSet(np.stack([np.arange(8), maker_of])),
        ("genre", "broader", "genre"): EdgeSet(np.array([[0, 1], [2, 2]])),
    }
    user, item, label = np.array(_tiny_events()).T
    rating = np.where(label == 1, 5.0, 2.0)
    events = Interactions.build(
        user, item, label=label, rating=rating, time=1e9 + np.arange(len(user))
    )
    return Graph(nodes, edges, events, name="tiny")


def _tiny_events() -> list[tuple[int, int, int]]:
    """(user, item, label): every user likes the three items of her genre, and a stranger or two."""
    likes = [(u, i + 3 * (u // 3), 1) for u in range(6) for i in range(3)]
    strangers = [(0, 3, 1), (4, 1, 1)]
    dislikes = [(1, 4, 0), (2, 5, 0), (3, 0, 0), (5, 2, 0)]
    return likes + strangers + dislikes
