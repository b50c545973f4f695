"""One allocator for NumPy and Arrow while tables become a graph, told to keep what it will need again."""

from __future__ import annotations

import contextlib
import ctypes
from collections.abc import Callable, Iterator

import pyarrow as pa

# Of glibc's malloc.h: free memory at the heap's end above the one goes back to the kernel, and blocks
# above the other are mapped and unmapped one by one. Afterwards both are what malloc comes to by itself.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_KEPT, _KEPT_AFTERWARDS = 1 << 30, 64 << 20
_IN_HEAP, _IN_HEAP_AFTERWARDS = 1 << 30, 32 << 20


@contextlib.contextmanager
def system_memory() -> Iterator[None]:
    """Let Arrow allocate by the system's allocator, as NumPy does, and restore its own in the end.

    With two allocators each keeps what it has freed from the other: tables become a graph in twice the
    CPU time, most of it the kernel's for memory touched first, and a third more memory (bench/kg.py).
    That the one gives nothing back to the kernel meanwhile saves another third of the time.
    """
    before, tune = pa.default_memory_pool(), _mallopt()
    pa.set_memory_pool(pa.system_memory_pool())
    tune(_M_MMAP_THRESHOLD, _IN_HEAP)
    tune(_M_TRIM_THRESHOLD, _KEPT)
    try:
        yield
    finally:
        pa.set_memory_pool(before)
        tune(_M_MMAP_THRESHOLD, _IN_HEAP_AFTERWARDS)
        tune(_M_TRIM_THRESHOLD, _KEPT_AFTERWARDS)


def _mallopt() -> Callable[[int, int], int]:
    """glibc's mallopt; where the C library has none, a function that does nothing."""
    try:
        return ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return lambda _what, _value: 0
