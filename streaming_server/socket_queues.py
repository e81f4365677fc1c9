"""What lies in a connection's queues: ours, and the kernel's, which asks for more only now and then."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import socket
import struct
import termios
from array import array
from dataclasses import dataclass
from typing import Final

_RTT_AT: Final = 68
_NOTSENT_BYTES_AT: Final = 144
_MIN_RTT_AT: Final = 148
_INFO_BYTES: Final = 152
"""Of linux/tcp.h, struct tcp_info, as far as it is read; round trips are microseconds."""


MAX_ROUND_TRIP_S: Final = 5.0
"""A longer way is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """How the kernel finds the way to the peer. Zeros where it does not tell, as before the first round trip."""

    round_trip_s: float = 0.0
    """Lately, with whatever waits on the way; at most `MAX_ROUND_TRIP_S`."""
    least_round_trip_s: float = 0.0
    """Within some minutes (`net.ipv4.tcp_min_rtt_wlen`), which is what the way itself takes."""
    num_unsent: int = 0
    """Bytes that were written and are still here."""


@dataclass(frozen=True, slots=True)
class SocketQueues:
    """Of the connection that a transport has."""

    transport: asyncio.Transport

    def num_untaken(self) -> int:
        """Bytes that were written and that the peer has not acknowledged."""
        return self.transport.get_write_buffer_size() + self._count(termios.TIOCOUTQ)

    def num_unread(self) -> int:
        """Bytes that have come and that nobody has read."""
        return self._count(termios.FIONREAD)

    def way(self) -> Way:
        info, num_ours = b"", self.transport.get_write_buffer_size()
        if hasattr(socket, "TCP_INFO"):
            ours = self.transport.get_extra_info("socket")
            with contextlib.suppress(OSError, ValueError):
                info = ours.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _INFO_BYTES)
        if len(info) < _INFO_BYTES:
            return Way(num_unsent=num_ours)
        (round_trip_us,) = struct.unpack_from("=I", info, _RTT_AT)
        num_notsent, least_us = struct.unpack_from("=II", info, _NOTSENT_BYTES_AT)  # all ones: it is not known
        round_trip_s = min(round_trip_us / 1e6, MAX_ROUND_TRIP_S)
        return Way(
            round_trip_s=round_trip_s,
            least_round_trip_s=min(round_trip_s, least_us / 1e6),
            num_unsent=num_ours + num_notsent,
        )

    def _count(self, queue: int) -> int:
        queued = array("i", [0])
        with contextlib.suppress(OSError, ValueError):  # it may be closed, and have no number any more
            fcntl.ioctl(self.transport.get_extra_info("socket").fileno(), queue, queued)
        return queued[0]
