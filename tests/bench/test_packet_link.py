"""A link whose delay TCP sees."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from bench.packet_link import Direction, PacketLink
from bench.server import BenchFailed
from streaming_server.socket_queues import SocketQueues
from tests.packet_links import packet_link


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(1 << 16):
        writer.write(data)
    writer.close()


@asynccontextmanager
async def echoing(up: Direction, down: Direction) -> AsyncIterator[tuple[PacketLink, socket.socket]]:
    async with await asyncio.start_server(echo, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with packet_link(port, up=up, down=down) as link:
            with socket.socket() as peer:
                peer.setblocking(False)
                await asyncio.get_running_loop().sock_connect(peer, (link.far, port))
                yield link, peer


async def test_a_kernel_sees_how_long_it_is() -> None:
    async with echoing(Direction(delay_ms=20), Direction(delay_ms=30)) as (link, peer):
        reader, writer = await asyncio.open_connection(sock=peer)
        begun_at = time.monotonic()
        writer.write(b"there and back")
        assert await reader.readexactly(14) == b"there and back"
        assert 0.05 <= time.monotonic() - begun_at < 2
        assert 0.05 <= SocketQueues(writer.transport).way().least_round_trip_s < 1
        link.up.direction.delay_ms = 0.0
        begun_at = time.monotonic()
        writer.write(b"again")
        assert await reader.readexactly(5) == b"again"
        assert 0.03 <= time.monotonic() - begun_at < 2
        writer.close()
        await asyncio.sleep(0.2)  # the goodbyes are under way


async def test_it_carries_no_more_than_it_should_and_nothing_comes_in_another_order() -> None:
    down = Direction(delay_ms=1, bits_per_s=2e6, queue_bytes=30_000)
    async with echoing(Direction(delay_ms=1), down) as (link, peer):
        reader, writer = await asyncio.open_connection(sock=peer)
        said = bytes(number % 251 for number in range(150_000))
        begun_at = time.monotonic()
        writer.write(said)
        assert await reader.readexactly(len(said)) == said
        took_s = time.monotonic() - begun_at
        assert took_s > 0.9 * 8 * len(said) / 2e6
        assert link.down.num_bytes > len(said), "headers are carried, too"
        writer.close()
        await asyncio.sleep(0.1)


async def test_what_has_no_room_is_dropped_and_sent_again() -> None:
    down = Direction(delay_ms=1, bits_per_s=5e6, queue_bytes=4_000)
    async with echoing(Direction(delay_ms=1), down) as (link, peer):
        reader, writer = await asyncio.open_connection(sock=peer)
        said = bytes(100_000)
        writer.write(said)
        assert await reader.readexactly(len(said)) == said
        assert link.down.num_dropped > 0
        writer.close()
        await asyncio.sleep(0.1)


async def test_who_may_not_make_one_is_told_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(BenchFailed, match="a TUN device"):
        await PacketLink(1, up=Direction(), down=Direction()).__aenter__()
