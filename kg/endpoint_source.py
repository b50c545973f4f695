"""The whole content of a SPARQL endpoint as `Quads`, counted and compared on the way."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

from .endpoint import EndpointConfig, EndpointStore
from .quads import Quads
from .reader import read_quads
from .reading import Reading


def read_endpoint(
    url: str, config: EndpointConfig | None = None, *, reading: Reading = Reading()
) -> Quads:
    """Fetch every statement of a server's default graph and named graphs, over the network.

    Raises:
        ResourceError: no answer in time, too large, or an HTTP status other than 2xx.
        IntegrityError: the server gave fewer or other rows than it counted.
        DataError: blank nodes, which a server names anew in every answer; see `EndpointConfig`.
        UsageError: not the address of an endpoint.
    """
    with (
        tempfile.TemporaryDirectory() as folder,
        EndpointStore(url, config=config) as store,
    ):
        path = Path(folder) / "endpoint.nq"
        store.dump(path)
        quads = read_quads(path, limits=reading.limits)
    return replace(quads, sources=tuple(replace(one, path=url) for one in quads.sources))
