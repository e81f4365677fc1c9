"""A bad link on loopback: a TCP proxy that delays, thins, slices, cuts, resets, holds or swallows."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Self

CHUNK_BYTES = 2048
BUFFER_BYTES = 65_536
"""On the way in one direction of one connection. Whoever sends more has to wait, as on a real link."""

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER for 0 s: what is unsent is dropped, and the peer gets RST


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """Of one direction. The bytes of a connection stay in order, whatever happens to them."""

    delay_ms: float = 0.0
    jitter_ms: float = 0.0
    """Added to the delay, between none and all of it."""
    bits_per_s: float | None = None
    slice_bytes: int | None = None
    """At most so many in a segment."""
    cut_after_bytes: int | None = None
    """So many of a connection arrive, and then both of its ends are closed."""
    cut_after_s: float | None = None
    """Since the connection was made; as it was set then."""
    is_black_hole: bool = False
    """Bytes are taken and never arrive."""

    @property
    def max_chunk_bytes(self) -> int:
        return min(CHUNK_BYTES, self.slice_bytes or CHUNK_BYTES)


class FaultProxy:
    """Listens on a free port of loopback while its block lasts, and carries connections to the target.

    `up` (towards the target), `down` and `source` (the address that the target sees) may be changed at any time; the
    last is that of new connections.
    """

    def __init__(
        self,
        target_host: str,
        target_port: int,
        *,
        up: Conditions | None = None,
        down: Conditions | None = None,
        source: str = "127.0.0.1",
        buffer_bytes: int = BUFFER_BYTES,
        seed: int = 0,
    ) -> None:
        """`seed`: of the jitter."""
        self.target = (target_host, target_port)
        self.up = up or Conditions()
        self.down = down or Conditions()
        self.source = source
        self.port = 0
        self.num_accepted = 0
        self._buffer_bytes = buffer_bytes
        self._random = Random(seed)
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._links: dict[_Link, asyncio.Task[None]] = {}
        self._server: asyncio.Server

    async def __aenter__(self) -> Self:
        await self.admit()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.refuse()
        for task in self._links.values():
            task.cancel()
        await asyncio.gather(*self._links.values(), return_exceptions=True)

    @property
    def num_connections(self) -> int:
        return len(self._links)

    async def admit(self) -> None:
        """New connections, after `refuse` on the same port as before."""
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        _bound_buffers(listener, self._buffer_bytes)
        listener.bind(("127.0.0.1", self.port))
        self.port = listener.getsockname()[1]
        self._server = await asyncio.start_server(self._accept, sock=listener, limit=CHUNK_BYTES)

    def refuse(self) -> None:
        """New connections; those there are go on."""
        self._server.close()

    def hold(self) -> None:
        """Nothing goes through in either direction, no end included, until `release`: half-open for all its peers."""
        self._flowing.clear()

    def release(self) -> None:
        self._flowing.set()

    def reset_all(self) -> None:
        """Both ends of every connection get RST; what is on the way is lost."""
        for link, task in list(self._links.items()):
            link.reset()
            task.cancel()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.num_accepted += 1
        link = _Link(self, _End(reader, writer))
        task = self._links[link] = asyncio.ensure_future(link.run())
        try:
            await asyncio.wait([task])
        finally:
            del self._links[link]

    async def dial(self) -> _End:
        """A connection to the target. Raises OSError."""
        far = socket.socket()
        try:
            far.setblocking(False)
            _bound_buffers(far, self._buffer_bytes)
            far.bind((self.source, 0))
            await asyncio.get_running_loop().sock_connect(far, self.target)
        except BaseException:
            far.close()
            raise
        return _End(*await asyncio.open_connection(sock=far, limit=CHUNK_BYTES))

    async def until_flowing(self) -> None:
        await self._flowing.wait()

    def trip_s(self, conditions: Conditions) -> float:
        """How long the next bytes take."""
        return (conditions.delay_ms + self._random.random() * conditions.jitter_ms) / 1000

    @property
    def max_chunks(self) -> int:
        return max(1, self._buffer_bytes // CHUNK_BYTES)


def _bound_buffers(end: socket.socket, num_bytes: int) -> None:
    end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, num_bytes)
    end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, num_bytes)


@dataclass(frozen=True, slots=True)
class _End:
    """One side of a connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    def reset(self) -> None:
        end: socket.socket | None = self.writer.get_extra_info("socket")
        if end is not None and not self.writer.is_closing():
            with contextlib.suppress(OSError):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self.writer.transport.abort()


class _Cut(Exception):
    """As the conditions want it."""


class _Link:
    """One connection."""

    def __init__(self, proxy: FaultProxy, near: _End) -> None:
        self._proxy = proxy
        self._near = near
        self._far: _End | None = None

    def reset(self) -> None:
        self._near.reset()
        if self._far is not None:
            self._far.reset()

    async def run(self) -> None:
        """Until both directions have ended, or one is broken."""
        try:
            far = self._far = await self._proxy.dial()
            async with asyncio.TaskGroup() as tasks:
                up = tasks.create_task(_Way(self._proxy, "up", self._near, far).run())
                down = tasks.create_task(_Way(self._proxy, "down", far, self._near).run())
                cutting = tasks.create_task(self._cut_in_time())
                await asyncio.wait([up, down])
                cutting.cancel()
        except* _Cut:
            pass
        except* OSError:
            self.reset()
        finally:
            for end in (self._near, self._far):
                if end is not None:
                    end.writer.close()

    async def _cut_in_time(self) -> None:
        limits_s = [each.cut_after_s for each in (self._proxy.up, self._proxy.down) if each.cut_after_s is not None]
        if limits_s:
            await asyncio.sleep(min(limits_s))
            raise _Cut


class _Way:
    """One direction of a connection."""

    def __init__(self, proxy: FaultProxy, name: str, source: _End, sink: _End) -> None:
        self._proxy = proxy
        self._name = name
        self._reader = source.reader
        self._writer = sink.writer
        self._writer.transport.set_write_buffer_limits(0)
        self._under_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(proxy.max_chunks)
        self._num_bytes = 0
        self._loop = asyncio.get_running_loop()
        self._free_at = 0.0

    @property
    def _conditions(self) -> Conditions:
        conditions: Conditions = getattr(self._proxy, self._name)
        return conditions

    async def run(self) -> None:
        """Until the end of the stream has been passed on. Raises OSError, or _Cut within a group."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._take())
            tasks.create_task(self._deliver())

    async def _take(self) -> None:
        due_at, data = 0.0, b"-"
        while data:
            data = await self._reader.read(CHUNK_BYTES)
            due_at = max(due_at, self._loop.time() + self._proxy.trip_s(self._conditions))
            await self._under_way.put((due_at, data))

    async def _deliver(self) -> None:
        while True:
            due_at, data = await self._under_way.get()
            await asyncio.sleep(due_at - self._loop.time())
            await self._proxy.until_flowing()
            if not data:
                break
            for piece in self._pieces(data):
                await self._take_turn(len(piece))
                await self._proxy.until_flowing()
                if not self._conditions.is_black_hole:
                    await self._send(piece)
        if self._writer.can_write_eof() and not self._conditions.is_black_hole:
            self._writer.write_eof()

    def _pieces(self, data: bytes) -> Iterator[bytes]:
        while data:
            size = self._conditions.max_chunk_bytes
            yield data[:size]
            data = data[size:]

    async def _take_turn(self, num_bytes: int) -> None:
        """A bucket of tokens that holds one segment."""
        if (bits_per_s := self._conditions.bits_per_s) is not None:
            self._free_at = max(self._free_at, self._loop.time()) + 8 * num_bytes / bits_per_s
            await asyncio.sleep(self._free_at - self._loop.time())
        elif self._conditions.slice_bytes is not None:
            await asyncio.sleep(0)  # a segment at a time

    async def _send(self, piece: bytes) -> None:
        limit = self._conditions.cut_after_bytes
        if limit is not None:
            piece = piece[: max(0, limit - self._num_bytes)]
        self._num_bytes += len(piece)
        if self._writer.transport.is_closing():
            raise ConnectionResetError  # uvloop takes nothing for one that is closed
        self._writer.write(piece)
        await self._writer.drain()
        if limit is not None and self._num_bytes >= limit:
            raise _Cut
