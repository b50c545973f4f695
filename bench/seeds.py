"""Seeds as the benchmarks' command lines write them."""

from __future__ import annotations


def seeds_of(text: str) -> list[int]:
    """[0, 1, 2, 7] of "0-2,7"."""
    seeds: list[int] = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        seeds += range(int(first), int(last or first) + 1)
    return seeds
