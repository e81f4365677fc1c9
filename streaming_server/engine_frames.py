"""One end of the connection between a web process and the engine's: msgpack messages, each behind its length."""

from __future__ import annotations

import asyncio
import logging
import socket
import struct
from typing import Any, cast

import msgpack

log = logging.getLogger(__name__)

MAX_FRAME_BYTES = 64 << 20
"""Far above any step (112 rows of 160 ms are 1.6 MB); a longer frame means that the stream is torn."""

SLOW_BYTES = 16 << 20
"""Unread output above which the other end counts as slow: the audio of 1,200 patches, a fifth of a second of 1000
listeners. Below that, waiting for it costs less than telling a thousand streams to stop and to go on."""

CAUGHT_UP_BYTES = 4 << 20

KERNEL_BUFFER_BYTES = 1 << 20
"""What may lie in the kernel between writer and reader: 74 patches. Linux' own 208 KiB hold 14, and 1000 listeners take
as many every 2 ms: whichever process is scheduled later than that would hold up the other."""

_SO_SNDBUFFORCE = 33  # asm-generic/socket.h: beyond net.core.wmem_max, for who may; the module has no name for it

_LENGTH = struct.Struct("<I")


class FrameLink(asyncio.BufferedProtocol):
    """Subclassed by either end. Received bytes land in the buffer that messages are unpacked from."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray(256 << 10)
        self._filled = 0

    def opened(self) -> None:
        """The connection stands."""

    def received(self, message: Any) -> None:
        """A message; its arrays are tuples. A ValueError cuts the connection."""

    def slowed(self, is_slow: bool) -> None:
        """The other end has fallen behind in reading, or caught up."""

    def lost(self) -> None:
        """The connection is over, whoever ended it."""

    def send(self, value: Any) -> None:
        if self._transport is not None:
            body = cast("bytes", msgpack.packb(value))
            self._transport.write(_LENGTH.pack(len(body)) + body)

    def close(self) -> None:
        """After what is written has left."""
        if self._transport is not None:
            self._transport.close()

    def cut(self) -> None:
        """At once."""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        _widen(transport.get_extra_info("socket"))
        self._transport.set_write_buffer_limits(high=SLOW_BYTES, low=CAUGHT_UP_BYTES)
        self.opened()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self.lost()

    def pause_writing(self) -> None:
        self.slowed(True)

    def resume_writing(self) -> None:
        self.slowed(False)

    def get_buffer(self, sizehint: int) -> memoryview:
        return memoryview(self._buffer)[self._filled :]

    def buffer_updated(self, nbytes: int) -> None:
        self._filled += nbytes
        try:
            self._unpack()
        except ValueError as error:
            log.error("an engine connection is cut: %s", error)
            self._filled = 0
            self.cut()

    def _unpack(self) -> None:
        view = memoryview(self._buffer)
        start, frame_bytes = 0, _LENGTH.size
        while self._filled - start >= _LENGTH.size:
            (num_bytes,) = _LENGTH.unpack_from(view, start)
            if num_bytes > MAX_FRAME_BYTES:
                raise ValueError(f"expected an engine frame of at most {MAX_FRAME_BYTES} bytes, {num_bytes} came")
            frame_bytes = _LENGTH.size + num_bytes
            if self._filled - start < frame_bytes:
                break
            body = view[start + _LENGTH.size : start + frame_bytes]
            start += frame_bytes
            self.received(msgpack.unpackb(body, use_list=False, strict_map_key=False))
        rest = view[start : self._filled]
        if frame_bytes > len(view):
            self._buffer = bytearray(max(frame_bytes, 2 * len(view)))  # a view of the old one is still in use
            self._buffer[: len(rest)] = rest
        elif start:
            view[: len(rest)] = rest
        self._filled = len(rest)


def _widen(connection: socket.socket) -> None:
    try:
        connection.setsockopt(socket.SOL_SOCKET, _SO_SNDBUFFORCE, KERNEL_BUFFER_BYTES)
    except OSError:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, KERNEL_BUFFER_BYTES)
