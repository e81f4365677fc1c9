"""What lies in a connection's queues: ours, and the kernel's, which asks for more only now and then."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import termios
from array import array


def num_untaken(transport: asyncio.Transport) -> int:
    """Bytes that were written and that the peer has not acknowledged."""
    return transport.get_write_buffer_size() + _count(transport, termios.TIOCOUTQ)


def num_unread(transport: asyncio.Transport) -> int:
    """Bytes that have come and that nobody has read."""
    return _count(transport, termios.FIONREAD)


def _count(transport: asyncio.Transport, queue: int) -> int:
    queued = array("i", [0])
    with contextlib.suppress(OSError, ValueError):  # it may be closed, and have no number any more
        fcntl.ioctl(transport.get_extra_info("socket").fileno(), queue, queued)
    return queued[0]
