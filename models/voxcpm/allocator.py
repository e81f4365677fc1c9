"""How the C library keeps freed memory, while a checkpoint is loaded and after."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3  # mallopt's M_TRIM_THRESHOLD and M_MMAP_THRESHOLD
LOADING_BYTES = 1 << 20
SPEAKING_BYTES = 32 << 20  # the greatest there is
KEPT_BYTES = 256 << 20  # at the heap's end; the first use of either threshold ends glibc's own adjusting of both


@contextmanager
def returning_memory() -> Iterator[None]:
    """While this lasts, a large piece of memory goes back to the system when it is freed.

    A checkpoint is loaded tensor by tensor, and each is joined, cast and packed on the way. glibc would keep those
    pieces, in holes between the layers that stay. Afterwards it keeps what a step
    frees for the next one, which would otherwise have its pages mapped anew each time. Elsewhere than in glibc this
    changes nothing.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        yield
        return
    mallopt(MMAP_THRESHOLD, LOADING_BYTES)
    try:
        yield
    finally:
        mallopt(MMAP_THRESHOLD, SPEAKING_BYTES)
        mallopt(TRIM_THRESHOLD, KEPT_BYTES)
