"""A way to a server that can be cut."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

CHUNK_BYTES = 16_384


class Relay:
    """`is_shut`: who comes is reset at once. `cut_answer_after`: connections, counted from 0, and how many bytes of the
    server's go through until all is reset."""

    def __init__(self, port: int) -> None:
        self.server_port = port
        self.port = 0
        self.num_connections = 0
        self.is_shut = False
        self.cut_answer_after: dict[int, int] = {}
        self._flows = asyncio.Event()
        self._flows.set()
        self._writers: set[asyncio.StreamWriter] = set()

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Relay]:
        listening = await asyncio.start_server(self._carry, "127.0.0.1", 0)
        self.port = listening.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            listening.close()
            self.thaw()
            self.cut()
            await listening.wait_closed()

    def cut(self) -> None:
        """Reset every connection; what was on the way is lost."""
        for writer in list(self._writers):
            _reset(writer)

    async def be_away(self, seconds: float) -> None:
        """Reset all, and whoever comes before the time is over."""
        self.is_shut = True
        self.cut()
        await asyncio.sleep(seconds)
        self.is_shut = False

    def freeze(self) -> None:
        """From now on nothing passes, on connections to come neither."""
        self._flows.clear()

    def thaw(self) -> None:
        """All goes on that was not given up."""
        self._flows.set()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number = self.num_connections
        self.num_connections += 1
        if self.is_shut:
            _reset(writer)
            return
        self._writers.add(writer)
        try:
            inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", self.server_port)
        except OSError:
            _reset(writer)
            self._writers.discard(writer)
            return
        self._writers.add(inner_writer)
        most = self.cut_answer_after.get(number)
        await asyncio.gather(self._pump(reader, inner_writer, None), self._pump(inner_reader, writer, most))
        for each in (writer, inner_writer):
            self._writers.discard(each)
            _reset(each)

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, most: int | None) -> None:
        num_bytes = 0
        with suppress(OSError):
            while data := await source.read(CHUNK_BYTES):
                await self._flows.wait()
                num_bytes += len(data)
                if most is not None and num_bytes > most:
                    self.cut()
                    return
                sink.write(data)
                await sink.drain()
            sink.close()


def _reset(writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
