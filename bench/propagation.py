"""Time and memory of one training step: our sparse layer beside PyG's convolutions, as one JSON.

    python bench/propagation.py [--encoders sparse,sage,rgcn] [--repeats 3] [--device cpu]
    python bench/propagation.py --device cuda --repeats 20 \\
        --encoders sparse,sage,sage+compiled,sage+index,rgcn,rgcn+compiled

Every encoder runs in a process of its own, on the same random graph and under the same interface: two
layers over free vectors of all nodes, messages both ways along interactions and attributes, the loss
of a batch of user-item pairs, its gradient, and a step of Adam. Time is the median of the repeats
after three steps of warming up; memory is the peak of the process (of the device, on CUDA). "+compiled"
puts torch.compile around PyG's convolution, "+index" gives it PyG's EdgeIndex, sorted and with its
transpose cached, whose products go through sparse kernels.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from typing import Any

PAIRS = 8192


def main() -> None:
    """Run the encoders named and print one JSON."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--encoders", default="sparse,sage,rgcn")
    for name, value in (("users", 50_000), ("items", 20_000), ("attributes", 50_000)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--interactions", type=int, default=1_000_000)
    parser.add_argument("--triples", type=int, default=500_000)
    parser.add_argument("--dimensions", type=int, default=64)
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure(options.one, options)))
        return
    results = {}
    for name in options.encoders.split(","):
        command = [sys.executable, __file__, *sys.argv[1:], "--one", name]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        lines = done.stdout.strip().splitlines()
        results[name] = (
            json.loads(lines[-1]) if done.returncode == 0 else {"failed": done.stderr[-500:]}
        )
    print(json.dumps(report(options, results), indent=1))


def report(options: argparse.Namespace, results: dict[str, dict[str, object]]) -> dict[str, object]:
    """Settings, results, and how many times slower and larger the others are than ours."""
    ours = results.get("sparse", {})
    compared = {
        name: {key: round(other[key] / ours[key], 2) for key in ("seconds", "megabytes")}  # type: ignore[operator]
        for name, other in results.items()
        if name != "sparse" and "seconds" in other and "seconds" in ours
    }
    settings = {
        key: value for key, value in vars(options).items() if key not in ("one", "encoders")
    }
    return {
        "bench": "propagation",
        "settings": settings,
        "results": results,
        "times_ours": compared,
    }


def measure(name: str, options: argparse.Namespace) -> dict[str, float]:
    """Median seconds per step and peak megabytes of one encoder."""
    import torch
    from torch import nn

    from coldframe.gnn.convolutions import make_layer

    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    name, _, how = name.partition("+")
    view = random_view(options).to(options.device)
    layers: list[Any] = [
        make_layer(name, view, options.dimensions, last=False) for _ in range(options.layers)
    ]
    if how == "compiled":
        for layer in layers:
            layer.convolution = torch.compile(layer.convolution)
    elif how == "index":
        give_edge_index(view)
    tables = nn.ParameterDict(
        {kind: 0.1 * torch.randn(n, options.dimensions) for kind, n in view.counts.items()}
    )
    model = nn.ModuleList([*layers, tables]).to(options.device)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)
    users = torch.randint(options.users, (PAIRS,), device=options.device)
    items = torch.randint(options.items, (2, PAIRS), device=options.device)

    def step() -> None:
        state = dict(tables)
        for layer in layers:
            state = layer(state, view, {})
        leads = state["item"][items[0]] - state["item"][items[1]]
        loss = -nn.functional.logsigmoid((state["user"][users] * leads).sum(1)).mean()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        if options.device.startswith("cuda"):
            torch.cuda.synchronize()

    for _ in range(3):
        step()
    times = []
    for _ in range(options.repeats):
        start = time.perf_counter()
        step()
        times.append(time.perf_counter() - start)
    out = {"seconds": round(statistics.median(times), 4), "fastest": round(min(times), 4)}
    if options.device.startswith("cuda"):
        out["megabytes"] = round(torch.cuda.max_memory_allocated() / 2**20, 1)
        if name == "sparse":
            out |= bandwidth(view, options.dimensions)
    else:
        out["megabytes"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)
    return out


def random_view(options: argparse.Namespace):  # type: ignore[no-untyped-def]
    """Users, items and attributes with random edges, popular nodes more often."""
    import numpy as np
    import scipy.sparse as sp

    from coldframe.gnn.propagation import Propagation
    from coldframe.gnn.view import GraphView, Relation

    rng = np.random.default_rng(0)

    def edges(rows: int, columns: int, n: int) -> Propagation:
        ends = (rng.integers(rows, size=n), (columns * rng.random(n) ** 2).astype(np.int64))
        return Propagation.from_scipy(sp.csr_matrix((np.ones(n), ends), (rows, columns))).averaged()

    liked = edges(options.users, options.items, options.interactions)
    has = edges(options.items, options.attributes, options.triples)
    likes, tags = ("user", "likes", "item"), ("item", "has", "attribute")
    return GraphView(
        "user", "item",
        {"user": options.users, "item": options.items, "attribute": options.attributes},
        {},
        {
            "user": (Relation((*likes, "out"), "item", liked),),
            "item": (
                Relation((*likes, "in"), "user", liked.transposed),
                Relation((*tags, "out"), "attribute", has),
            ),
            "attribute": (Relation((*tags, "in"), "item", has.transposed),),
        },
        liked,
        Propagation.from_scipy(sp.csr_matrix((options.users, options.items))),
    )  # fmt: skip


def give_edge_index(view) -> None:  # type: ignore[no-untyped-def]
    """PyG's own sorted index in place of a plain one, for convolutions that know what to do with it."""
    from torch_geometric import EdgeIndex

    for kind, relations in view.relations.items():
        for one in relations:
            index = EdgeIndex(
                one.edge_index,
                sparse_size=(view.counts[one.source], view.counts[kind]),
                sort_order="col",
            )
            index.fill_cache_()
            one.__dict__["edge_index"] = index  # what the cached property would hold


def bandwidth(view, d: int) -> dict[str, Any]:  # type: ignore[no-untyped-def]
    """GB/s of rows that a product gathers, as a share of what a plain copy moves on the device.

    The graph of the steps fits the cache, so that its share may be above one; the other, of 20 M edges
    between 2 M and 1 M nodes, does not. Beside ours stands cuSPARSE, by torch's own product.
    """
    import torch

    from coldframe.gnn.propagation import Propagation

    big = torch.empty(2**28, device="cuda")
    copy = 2 * big.nbytes / seconds(big.clone) / 1e9
    del big
    shape = (1_000_000, 2_000_000)
    codes = torch.randint(shape[0] * shape[1], (20_000_000,), device="cuda").unique()  # type: ignore[no-untyped-call]
    pointers = torch.zeros(shape[0] + 1, dtype=torch.int32, device="cuda")
    pointers[1:] = (codes // shape[1]).bincount(minlength=shape[0]).cumsum(0)
    columns, values = (codes % shape[1]).int(), torch.rand(len(codes), device="cuda")
    matrix = torch.sparse_csr_tensor(pointers, columns, values, shape)
    large = Propagation(matrix, matrix, codes).to("cuda")  # nothing goes backwards here
    out: dict[str, Any] = {"copy_gb_per_s": round(copy)}
    for name, ours in (("cached", view.liked), ("beyond cache", large)):
        x = torch.randn(ours.shape[1], d, device="cuda")
        gathered = len(ours.order) * (4 * d + 8) + ours.shape[0] * 4 * (d + 1)
        for how, operand in (("ours", ours), ("cuSPARSE", ours.forward)):
            took = seconds(lambda operand=operand, x=x: operand @ x)
            out[f"{name}, {how}"] = round(gathered / took / 1e9 / copy, 3)
    return out


def seconds(work, repeats: int = 20) -> float:  # type: ignore[no-untyped-def]
    """Mean time on the device."""
    import torch

    for _ in range(3):
        work()
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
    start.record()
    for _ in range(repeats):
        work()
    end.record()
    torch.cuda.synchronize()
    return float(start.elapsed_time(end)) / 1000 / repeats


if __name__ == "__main__":
    main()
