"""The heap of a web process, in C: one for all threads, and as small as may be in silence."""

from __future__ import annotations

import ctypes

M_ARENA_MAX = -8
"""mallopt(3)."""


def share_heap() -> None:
    """Memory that one thread gave back is used by all; to be called before there are any others.

    glibc gives each thread a heap of its own. What was free after the start in that of the thread that loads the rules
    of Chinese, 6 MiB, lay idle for ever, and each thread that encodes kept the most that it had ever needed. Python's
    threads take turns, so they hardly ever wait for one another's heap. Other C libraries have no such heaps.
    """
    set_option = getattr(ctypes.CDLL(None), "mallopt", None)
    if set_option is not None:
        set_option(M_ARENA_MAX, 1)


def give_back() -> None:
    """Free pages go back to the system; glibc by itself returns only those at its heap's end.

    0.1 ms for each MiB that goes, and as much when it is needed again.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
