"""Fitted parts as tensors: what is slow to fit is saved, the rest is fitted again when loaded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import Field, asdict, fields
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from ..kg.cache import part_hashes
from ..kg.catalog import Catalog
from ..kg.errors import IntegrityError, StateError
from ..kg.graph import Graph, Interactions
from .als import ALS
from .checkpoint import Checkpoint
from .data import TrainingData
from .gate import KINDS, Gate
from .kg_kernel import KGKernel
from .kg_prior import KGPrior
from .parts import PARTS, make_part
from .plain import from_plain
from .posterior import Answers, Posterior
from .scorer_base import Scorer
from .trainer import EncoderScorer
from .walk import ItemModel

Tensors = dict[str, Tensor]


def tensors_of(part: Scorer) -> Tensors:
    """The tensors from which `restored` makes the part again; empty where fitting it is quick."""
    if isinstance(part, ItemModel) and part.weights is not None:
        return _matrix_out(part.weights)
    if isinstance(part, ALS):
        return _present(users=part.user_vectors, items=part.item_vectors)
    if isinstance(part, KGKernel):
        return _present(users=part.user_vectors, items=part.item_vectors)
    if isinstance(part, KGPrior):
        beliefs = part.posterior
        out = _present(**{one.name: getattr(beliefs, one.name) for one in _belief_fields()})
        answers = {one.name: getattr(beliefs.answers, one.name) for one in fields(Answers)}
        return out | {f"answers.{key}": value for key, value in _present(**answers).items()}
    return {}


def restored(
    name: str,
    settings: Mapping[str, Any],
    checkpoint: Checkpoint,
    data: TrainingData,
    device: str = "cpu",
) -> Scorer:
    """The part made of its tensors in a recommender's checkpoint, or fitted where there are none.

    Raises:
        IntegrityError: tensors are missing or of a shape that does not fit the data.
    """
    if name == "encoder":
        return EncoderScorer.load(checkpoint.path, data, device=device)
    part, tensors = make_part(name, settings), checkpoint.groups.get(f"part-{name}", {})
    if not tensors:
        return part.fit(data)
    try:
        if isinstance(part, ItemModel):
            return part.restore(_matrix_in(tensors, data.n_items), data)
        arrays = {key: value.numpy() for key, value in tensors.items()}
        if isinstance(part, ALS | KGKernel):
            _check_rows(arrays["items"], data.n_items, name)
            return part.restore(arrays.get("users"), arrays["items"], data)  # type: ignore[arg-type]
        if isinstance(part, KGPrior):
            _check_rows(arrays["mean"], data.n_items, name)
            return part.restore(_beliefs_in(arrays))
    except KeyError as error:
        raise IntegrityError(f"tensor {error} of part {name!r} is missing") from error
    return part.fit(data)


def gate_out(gate: Gate) -> Tensors:
    """The gate's tensors."""
    return _present(weights=gate.weights, bias=gate.bias)


def gate_in(tensors: Tensors, parts: int) -> Gate:
    """The reverse of `gate_out`; IntegrityError unless it is a gate of so many parts."""
    shapes = {name: tuple(value.shape) for name, value in tensors.items()}
    expected = {"weights": (4, len(KINDS), parts), "bias": (2, len(KINDS))}
    if shapes != expected:
        raise IntegrityError(f"the gate's tensors are {shapes}, expected {expected}")
    return Gate(tensors["weights"].numpy(), tensors["bias"].numpy())


def interactions_out(rows: Interactions) -> Tensors:
    """Rows as tensors; a missing rating or time is 0, and `rated` and `timed` say so."""
    rated, timed = ~np.isnan(rows.rating), ~np.isnan(rows.time)
    return _present(
        user=rows.user,
        item=rows.item,
        label=rows.label,
        round=rows.round,
        rating=np.nan_to_num(rows.rating),
        rated=rated,
        time=np.nan_to_num(rows.time),
        timed=timed,
    )


def interactions_in(groups: Mapping[str, Tensors], name: str) -> Interactions:
    """The reverse of `interactions_out`, of a checkpoint's group; split names are not kept."""
    try:
        found = {key: value.numpy() for key, value in groups[name].items()}
        return Interactions.build(
            found["user"],
            found["item"],
            label=found["label"],
            round=found["round"],
            rating=np.where(found["rated"], found["rating"], np.nan),
            time=np.where(found["timed"], found["time"], np.nan),
        )
    except KeyError as error:
        raise IntegrityError(f"the checkpoint lacks {error} of its {name} rows") from error


def settings_out(settings: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Configurations of the parts as plain values."""
    return {name: asdict(config) for name, config in settings.items()}


def settings_in(values: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The reverse of `settings_out`. KeyError, UsageError: of a part or a setting that there is not."""
    kinds = {name: part.config for name, part in PARTS.items() if part.config is not None}
    return {name: from_plain(kinds[name], value, name) for name, value in values.items()}


def catalog_of(source: str | None, path: Path) -> Catalog:
    """The catalog folder that a checkpoint at `path` names; StateError where it was in memory."""
    if source is None:
        raise StateError(
            "it was fitted on a catalog in memory", where=str(path), hint="give load the catalog"
        )
    return Catalog.open(source)


def check_graph(
    graph: Graph, vocabularies: Mapping[str, Sequence[Any]], hashes: Mapping[str, str]
) -> None:
    """Refuse a graph that is not the one of the training: nodes, edges, features, interactions.

    Args:
        vocabularies: (count, content hash) of each node type. hashes: of `part_hashes`.

    Raises:
        IntegrityError: names what differs.
    """
    _check_vocabularies(graph, vocabularies)
    found = part_hashes(graph)
    other = [name for name in {**hashes, **found} if found.get(name) != hashes.get(name)]
    if other:
        more = f", and {len(other) - 3} more" if len(other) > 3 else ""
        raise IntegrityError(
            f"not the graph of the training: other {', '.join(other[:3])}{more}",
            where=f"catalog {graph.name!r}",
            hint="load it on the catalog it was trained on, read through the same schema; or retrain",
        )


def _check_vocabularies(graph: Graph, expected: Mapping[str, Sequence[Any]]) -> None:
    for kind, (n, digest) in expected.items():
        nodes = graph.nodes.get(kind)
        if nodes is None or len(nodes) != n or nodes.vocabulary.content_hash != digest:
            raise IntegrityError(
                "the catalog's identifiers are not those of the training",
                where=f"node type {kind}",
                hint="retrain on the changed catalog",
            )


def _matrix_out(matrix: Any) -> Tensors:
    if sp.issparse(matrix):
        rows = sp.csr_matrix(matrix)
        return {
            "data": torch.from_numpy(rows.data),
            "indices": torch.from_numpy(rows.indices.astype(np.int64)),
            "indptr": torch.from_numpy(rows.indptr.astype(np.int64)),
        }
    return {"dense": torch.from_numpy(np.ascontiguousarray(matrix))}


def _matrix_in(tensors: Tensors, n: int) -> Any:
    if "dense" in tensors:
        return tensors["dense"].numpy()
    try:
        return sp.csr_matrix(
            tuple(tensors[key].numpy() for key in ("data", "indices", "indptr")), (n, n)
        )
    except ValueError as error:
        raise IntegrityError(f"the item-item matrix does not fit {n} items: {error}") from error


def _check_rows(array: Any, n: int, name: str) -> None:
    if len(array) != n:
        raise IntegrityError(f"{name} has {len(array)} rows, expected {n}")


def _beliefs_in(arrays: Mapping[str, Any]) -> Posterior:
    answers = Answers(*(arrays[f"answers.{one.name}"] for one in fields(Answers)))
    beliefs = {one.name: arrays[one.name] for one in _belief_fields() if one.name != "cohort"}
    beliefs |= {name: float(beliefs[name]) for name in ("offset", "scale")}
    return Posterior(**beliefs, cohort=arrays.get("cohort"), answers=answers)


def _belief_fields() -> list[Field[Any]]:
    return [one for one in fields(Posterior) if one.name != "answers"]


def _present(**arrays: Any) -> Tensors:
    return {
        key: torch.from_numpy(np.array(array)) for key, array in arrays.items() if array is not None
    }
