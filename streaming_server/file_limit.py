"""How many connections the operating system lets a process have."""

from __future__ import annotations

import logging
import resource

log = logging.getLogger(__name__)

RESERVED = 64
"""Files that are not connections: the engines' sockets, what is read and written, and peers that are turned away."""


def room_for_connections(wanted: int) -> int:
    """As many as are `wanted`, or as `ulimit -n` leaves room for, its soft limit raised as far as that helps."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= wanted + RESERVED:
        return wanted
    soft = wanted + RESERVED if hard == resource.RLIM_INFINITY else min(hard, wanted + RESERVED)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft < wanted + RESERVED:
        log.warning("ulimit -n is %d: there is room for %d connections, not %d", soft, max(1, soft - RESERVED), wanted)
    return max(1, min(wanted, soft - RESERVED))
