"""From a run folder to the facts that its report shows."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..kg.errors import DataError
from .sections import Example, Facts

if TYPE_CHECKING:
    from ..gnn.recommender import Recommender
    from ..gnn.runs import Run
    from ..kg.catalog import Catalog

EXAMPLES = 4  # users shown, half of their items cold where that is possible


def gather(run: Run, loop: Path | None = None) -> Facts:
    """Everything that the run folder, its catalog and its model say.

    Args:
        loop: a loop.json of `coldframe loop`; None = the run's own, if there is one.

    Raises:
        DataError: `loop` is none. ParseError, ResourceError: it cannot be read.
    """
    from ..active.cycle import curve
    from ..gnn.plain import to_plain
    from ..kg.drawing import draw_schema
    from ..kg.files import read_sealed

    graph, model = run.catalog.graph, run.model
    metrics = run.path / "metrics.json"
    measured = read_sealed(metrics) if metrics.exists() else {}
    return Facts(
        title=f"Coldframe: {run.catalog.name}",
        subtitle=f"Run {run.path.resolve().name}, round {run.round}.",
        counts=_counts(run.catalog),
        rows=measured.get("rows", ()),
        differences=measured.get("differences", ()),
        calibration=measured.get("calibration") or {},
        rounds=curve(run),
        loop=_simulated(run, loop),
        coverage=coverage(model),
        schema_svg=draw_schema(graph),
        examples=examples(model),
        card=card(run),
        config=_leaves(to_plain(model.config)),
    )


def _simulated(run: Run, loop: Path | None) -> dict[str, Any]:
    """The result of a simulation in a file, or the run's own; empty where it has none."""
    from ..kg.files import read_json

    path = loop or run.path / "loop" / "loop.json"
    if loop is None and not path.exists():
        return {}
    found = read_json(path)
    try:
        widths = {
            np.shape(values)[1:]
            for strategy in found["strategies"].values()
            for values in strategy["curve"].values()
        }
        if widths == {(len(found["budgets"]),)}:
            return dict(found)
    except (KeyError, TypeError, AttributeError, ValueError):
        pass
    raise DataError(
        "this is no result of a simulation",
        where=str(path),
        hint="give a loop.json that `coldframe loop` wrote, or its folder",
    )


def _counts(catalog: Catalog) -> dict[str, int]:
    graph = catalog.graph
    counts = {f"{name} (nodes)": len(nodes) for name, nodes in graph.nodes.items()}
    for (source, relation, target), edges in graph.edges.items():
        counts[f"{source} - {relation} - {target} (edges)"] = len(edges)
    counts["interactions"] = len(graph.interactions)
    return counts


def coverage(model: Recommender) -> dict[str, float]:
    """Shares of items and of each type of entities that the training interactions inform.

    An item is informed by an interaction of its own, an entity by one of an item that has it.
    """
    graph = model.graph
    if not graph.n_items:
        return {}
    touched = np.zeros(graph.n_items, bool)
    touched[model.data.train.item] = True
    asked = np.zeros(graph.n_items, bool)
    asked[model.data.train.item[model.data.train.round > 0]] = True
    shares = {f"{graph.item_type}: interactions or answers": float(touched.mean())}
    if asked.any():
        shares[f"{graph.item_type}: answers"] = float(asked.mean())
    informed: dict[str, Any] = {}
    near = touched.copy()
    for (source, _, target), edges in graph.edges.items():
        for end, other, row in ((source, target, 0), (target, source, 1)):
            if end != graph.item_type or other == end:
                continue
            reached = informed.setdefault(other, np.zeros(len(graph.nodes[other]), bool))
            reached[edges.index[1 - row][touched[edges.index[row]]]] = True
    for (source, _, target), edges in graph.edges.items():
        for end, other, row in ((source, target, 0), (target, source, 1)):
            if end == graph.item_type and other in informed:
                near[edges.index[row][informed[other][edges.index[1 - row]]]] = True
    shares[f"{graph.item_type}: or through a shared entity"] = float(near.mean())
    for name, reached in informed.items():
        shares[f"{name}: through its {graph.item_type}s"] = float(reached.mean())
    return shares


def examples(model: Recommender) -> list[Example]:
    """The best item and the best cold item of a few users, with the reasons."""
    graph = model.graph
    if model.scorer is None or not model.scorer.parts or not graph.n_users:
        return []
    degree = model.data.user_degree
    usual = np.argsort(np.abs(degree - np.median(degree[degree > 0])), kind="stable")
    users = [graph.users.vocabulary[int(user)] for user in usual[:EXAMPLES]]
    cold = [
        graph.items.vocabulary[int(item)] for item in np.flatnonzero(model.data.item_degree == 0)
    ]
    out = []
    for place, user in enumerate(users):
        among = cold if place % 2 and cold else None
        for row in model.recommend([user], 1, items=among).to_pylist():
            out.append(_example(model, row))
    return out


def _example(model: Recommender, row: dict[str, Any]) -> Example:
    graph = model.graph
    why = model.explain(row["user"], row["item"], 3)
    index = graph.users.vocabulary.find(row["user"])
    liked = model.data.positives[index].indices[:5]
    new = model.data.item_degree[graph.items.vocabulary.find(row["item"])] == 0
    return Example(
        user=graph.users.titles[index],
        likes=tuple(graph.items.titles[int(item)] for item in liked),
        item=why.title + (" (cold: no interactions)" if new else ""),
        score=row["score"],
        deviation=row["std"],
        paths=tuple(path.text for path in why.paths),
        texts=tuple(f"reads like {near.title} ({near.similarity:.2f})" for near in why.texts[:2]),
    )


def card(run: Run) -> dict[str, Any]:
    """The model card: what it is, what it learned from, what it is for and not for."""
    from ..kg.files import read_json

    model, split = run.model, run.split
    parts = list(model.scorer.parts) if model.scorer is not None else []
    train = model.data.train
    run.check_file("env.json")
    versions = read_json(run.path / "env.json")
    return {
        "model": "Coldframe recommender: " + (", ".join(parts) or "content only"),
        "catalog": f"{run.catalog.name}, content {run.about['content'][:16]}",
        "schema": run.about["schema"][:16],
        "split": f"{split.name}, seed {split.seed}",
        "trained on": f"{len(train):,} interactions of {len(np.unique(train.user)):,} users",
        "cold items in the split": f"{len(split.cold_items):,} of {model.graph.n_items:,}",
        "rounds of answers": run.round,
        "seed": model.seed,
        "text model": model.config.text.model,
        "made with": ", ".join(f"{name} {version}" for name, version in versions.items()),
        "meant for": "ranking a catalog's items for its users, and choosing what to ask them",
        "not meant for": "decisions about people; users or items that the catalog does not know",
        "uncertainty": "std is the posterior standard deviation of the logit, not of a rating",
    }


def _leaves(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    out: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, dict):
            out |= _leaves(value, f"{prefix}{key}.")
        else:
            out[prefix + key] = value
    return out
