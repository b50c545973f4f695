"""How a catalog's interactions become train, validation and test. Each split is proved.

Other rows than positive ones (rated below the threshold, or auxiliary) are never tested; `make_split`
puts those into train that would be known where the positives of train are.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..kg.catalog import Catalog, graph_of
from ..kg.coldstart import resolve
from ..kg.errors import DataError, UsageError, nearest
from ..kg.graph import Graph, Interactions
from ..kg.in_memory import whole
from ..kg.split import BoolArray, Split, in_part, part_of_name, rng_for
from ..kg.typed_fields import fit_options
from .given_split import given_split
from .protocols import COLD_COLUMN, PROTOCOLS, named_rows

__all__ = ["PROTOCOLS", "default_protocol", "given_split", "make_split"]


def make_split(
    catalog: Catalog | Graph,
    protocol: str = "default",
    seed: int = 0,
    *,
    negatives: bool = True,
    **options: object,
) -> Split:
    """The catalog's interactions split by a protocol of `PROTOCOLS`, with its leakage proof done.

    A split of your own: `given_split`.

    Args:
        protocol: "default" takes the catalog's own split where it has one, else item-cold.
        negatives: whether train holds pairs rated low, and auxiliary ones, too; published figures are
            mostly without.
        options: keyword options of the protocol's function, such as `test_share=0.1`.

    Raises:
        UsageError: unknown protocol or option, a value of another type, a share out of range, or a seed
            that is no whole number.
        DataError: the catalog lacks what the protocol needs, names a split that is not understood,
            or its own split leaks.
    """
    graph, seed = graph_of(catalog), whole(seed, "seed", 0)
    if protocol == "default":
        protocol = default_protocol(graph)
    if protocol not in PROTOCOLS:
        raise UsageError(
            f"unknown protocol {protocol!r}",
            where="protocol",
            hint=nearest(protocol, ("default", *PROTOCOLS)),
        )
    function = PROTOCOLS[protocol]
    fitted = fit_options(function, options, f"protocol {protocol!r}")
    for name, value in fitted.items():
        if name.endswith("share") and not 0 <= value < 1:
            raise UsageError(f"{name} is {value!r}, expected a share in [0, 1)")
    if not (graph.interactions.label == 1).any():
        raise DataError(
            f"catalog {graph.name!r} has no positive interactions to split",
            hint="a catalog without any can be asked about or searched, not evaluated",
        )
    split = function(graph, seed, **fitted)
    return (_with_negatives(graph, split) if negatives else split).check(graph)


def default_protocol(graph: Graph) -> str:
    """ "fixed" where the catalog names train and test rows, "cold-split-column" where it has those
    columns, and "item-cold" where it names no part, or nothing but train.

    Raises:
        DataError: it names parts, but not train and test, or also others. A random split would
            pass over what the catalog says.
    """
    counts = named_rows(graph.interactions)
    if COLD_COLUMN[0] in counts:
        return "cold-split-column"
    parts = {name: part_of_name(name) for name in counts}
    if set(parts.values()) <= {"train"}:
        return "item-cold"
    if not {"train", "test"} <= set(parts.values()) or "" in parts.values():
        rows = ", ".join(f"{name} ({n:,} rows)" for name, n in counts.items())
        unknown = [name for name, part in parts.items() if not part]
        what = (
            f"{', '.join(map(repr, unknown))} not understood"
            if unknown
            else "train and test needed"
        )
        raise DataError(
            f"catalog {graph.name!r} names splits {rows}: {what}",
            hint="name them train, valid and test; or choose a protocol, such as item-cold, or fixed, "
            "which leaves out what it does not know",
        )
    return "fixed"


def _with_negatives(graph: Graph, split: Split) -> Split:
    """What is not positive added to train, less the share of each item's that is tested of its positives.

    So a cold item has none, and one that was thinned next to none. Where the catalog names rows for
    training, or a moment ends it, of these all.
    """
    events = resolve(graph.interactions, graph.n_items)
    trained = np.bincount(split.train.item, minlength=graph.n_items)
    tested = np.bincount(split.test.item, minlength=graph.n_items)
    own = _trained_rows(split, events)
    if own is not None:
        events, tested = events.select(own), np.zeros_like(tested)
    overall = trained.sum() / max(int((trained + tested).sum()), 1)
    judged = trained + tested > 0
    rate = np.where(judged, trained / np.maximum(trained + tested, 1), overall)
    luck = rng_for(split.seed, "negatives").random(len(events))
    keep = (events.label != 1) & (luck < rate[events.item])
    keep &= ~np.isin(events.user, split.cold_users) & ~np.isin(events.item, split.cold_items)
    return replace(split, train=split.train.concat(events.select(keep)))


def _trained_rows(split: Split, events: Interactions) -> BoolArray | None:
    """Mask of the rows that are for training by name or time; None where chance decides."""
    if split.name == "fixed":
        return in_part(events, "train")
    if split.name == "cold-split-column":
        return events.in_split(COLD_COLUMN[0])
    if split.name == "time":
        return np.asarray(events.time <= split.train.time.max())
    return None
