"""Coldframe: graph-based recommendation for cold catalogs, with a knowledge-graph backbone.

The chain, in one line: RDF or tables -> catalog -> graph -> scores with uncertainty -> the few edges
worth asking about -> answers -> a better model. Everything here is loaded on first use, so that
`import coldframe` stays cheap.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .active.acquire import acquire as acquire
    from .active.interview import Interview as Interview
    from .gnn.recommender import Recommender as Recommender
    from .kg.catalog import Catalog as Catalog
    from .kg.catalog import read as read
    from .kg.errors import ColdframeError as ColdframeError

__version__ = "0.1.0"

_HOMES = {
    "Catalog": ".kg.catalog",
    "ColdframeError": ".kg.errors",
    "Interview": ".active.interview",
    "Recommender": ".gnn.recommender",
    "acquire": ".active.acquire",
    "read": ".kg.catalog",
}

__all__ = [
    "Catalog",
    "ColdframeError",
    "Interview",
    "Recommender",
    "__version__",
    "acquire",
    "read",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name], __name__), name)
