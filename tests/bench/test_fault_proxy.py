"""The bad link does what it says, and nothing else."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from bench.fault_proxy import Conditions, FaultProxy
from tests.streaming_server.serving import until

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
TEXT = bytes(range(256)) * 40


@dataclass(slots=True)
class Echo:
    """A server that gives everything back, unless it `is_deaf` or has been told only to count."""

    port: int = 0
    is_deaf: bool = False
    num_bytes: int = 0
    sizes: list[int] = field(default_factory=list)
    peers: list[str] = field(default_factory=list)
    endings: list[str] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.peers.append(writer.get_extra_info("peername")[0])
        try:
            while self.is_deaf:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            while data := await reader.read(65_536):
                self.sizes.append(len(data))
                self.num_bytes += len(data)
                writer.write(data)
                await writer.drain()
            self.endings.append("closed")
        except ConnectionResetError:
            self.endings.append("reset")
        finally:
            writer.close()


@asynccontextmanager
async def echoing(
    up: Conditions | None = None, down: Conditions | None = None, *, is_deaf: bool = False, buffer_bytes: int = 65_536
) -> AsyncIterator[tuple[Echo, FaultProxy]]:
    echo = Echo(is_deaf=is_deaf)
    server = await asyncio.start_server(echo.serve, "127.0.0.1")
    echo.port = server.sockets[0].getsockname()[1]
    async with server, FaultProxy("127.0.0.1", echo.port, up=up, down=down, buffer_bytes=buffer_bytes) as proxy:
        yield echo, proxy
    echo.is_deaf = False


@asynccontextmanager
async def dialled(proxy: FaultProxy) -> AsyncIterator[Streams]:
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def asked(streams: Streams, data: bytes = TEXT) -> bytes:
    reader, writer = streams
    writer.write(data)
    async with asyncio.timeout(20):
        return await reader.readexactly(len(data))


async def rest(reader: asyncio.StreamReader) -> bytes:
    async with asyncio.timeout(20):
        return await reader.read()


async def nothing_comes(reader: asyncio.StreamReader) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await reader.read(1)


async def until_counted(proxy: FaultProxy, num_connections: int) -> None:
    await until(lambda: proxy.num_connections == num_connections)


@pytest.mark.parametrize(
    "conditions",
    [
        Conditions(),
        Conditions(delay_ms=5, jitter_ms=20),
        Conditions(slice_bytes=7),
        Conditions(bits_per_s=4e6, slice_bytes=100),
        Conditions(cut_after_bytes=len(TEXT) + 1, cut_after_s=60),
    ],
    ids=["nothing", "jitter", "slices", "rate", "a cut that is never reached"],
)
async def test_bytes_arrive_whole_and_in_order_whatever_delays_them(conditions: Conditions) -> None:
    async with echoing(conditions, conditions) as (_, proxy), dialled(proxy) as streams:
        assert await asked(streams) == TEXT


async def test_a_delay_is_kept_in_each_direction() -> None:
    async with echoing(Conditions(delay_ms=60), Conditions(delay_ms=40)) as (_, proxy), dialled(proxy) as streams:
        begun_at = time.monotonic()
        await asked(streams, b"one")
        assert 0.1 <= time.monotonic() - begun_at < 5


async def test_no_more_bits_a_second_come_through_than_the_rate() -> None:
    async with echoing(down=Conditions(bits_per_s=320_000)) as (_, proxy), dialled(proxy) as streams:
        begun_at = time.monotonic()
        await asked(streams, TEXT[:8_000])
        assert 0.2 <= time.monotonic() - begun_at < 5


async def test_slices_arrive_one_by_one() -> None:
    async with echoing(Conditions(slice_bytes=5)) as (echo, proxy), dialled(proxy) as streams:
        await asked(streams, TEXT[:500])
        assert len(echo.sizes) > 20


@pytest.mark.parametrize("num_bytes", [1, 5_000])
async def test_a_cut_lets_exactly_so_many_bytes_arrive_and_closes_both_ends(num_bytes: int) -> None:
    async with echoing(down=Conditions(cut_after_bytes=num_bytes)) as (echo, proxy), dialled(proxy) as (reader, writer):
        writer.write(TEXT)
        assert await rest(reader) == TEXT[:num_bytes]
        await until_counted(proxy, 0)
        await until(lambda: bool(echo.endings))


async def test_a_cut_in_time_needs_no_bytes() -> None:
    async with echoing(Conditions(cut_after_s=0.1)) as (_, proxy), dialled(proxy) as (reader, _writer):
        begun_at = time.monotonic()
        assert await rest(reader) == b""
        assert 0.1 <= time.monotonic() - begun_at < 10


async def test_a_reset_is_seen_at_both_ends_and_new_connections_work() -> None:
    async with echoing() as (echo, proxy):
        async with dialled(proxy) as streams:
            await asked(streams)
            assert proxy.num_connections == 1
            proxy.reset_all()
            with pytest.raises(ConnectionResetError):
                await rest(streams[0])
        await until_counted(proxy, 0)
        await until(lambda: bool(echo.endings))
        assert echo.endings == ["reset"]
        async with dialled(proxy) as streams:
            assert await asked(streams) == TEXT
        assert proxy.num_accepted == 2


async def test_what_is_held_comes_when_it_is_released_and_ends_are_held_too() -> None:
    async with echoing() as (echo, proxy), dialled(proxy) as (reader, writer):
        await asked((reader, writer))
        proxy.hold()
        writer.write(TEXT)
        writer.write_eof()
        await nothing_comes(reader)
        assert echo.endings == []
        proxy.release()
        assert await rest(reader) == TEXT
        assert echo.endings == ["closed"]


async def test_a_black_hole_swallows_one_direction() -> None:
    async with echoing(down=Conditions(is_black_hole=True)) as (echo, proxy), dialled(proxy) as (reader, writer):
        writer.write(TEXT)
        await until(lambda: echo.num_bytes == len(TEXT))
        await nothing_comes(reader)


async def test_conditions_change_while_a_connection_lives() -> None:
    async with echoing() as (_, proxy), dialled(proxy) as streams:
        await asked(streams)
        proxy.down = Conditions(delay_ms=150)
        begun_at = time.monotonic()
        await asked(streams)
        assert time.monotonic() - begun_at >= 0.15


async def test_new_connections_are_refused_while_old_ones_live_and_admitted_again() -> None:
    async with echoing() as (_, proxy), dialled(proxy) as streams:
        await asked(streams)
        proxy.refuse()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", proxy.port)
        assert await asked(streams) == TEXT
        port = proxy.port
        await proxy.admit()
        assert proxy.port == port
        async with dialled(proxy) as again:
            assert await asked(again) == TEXT


async def test_the_target_sees_the_address_that_is_asked_for() -> None:
    async with echoing() as (echo, proxy):
        for source in ("127.0.0.1", "127.0.0.77"):
            proxy.source = source
            async with dialled(proxy) as streams:
                await asked(streams)
        assert echo.peers == ["127.0.0.1", "127.0.0.77"]


async def test_a_target_that_is_gone_is_a_reset() -> None:
    async with echoing() as (_, proxy):
        proxy.target = ("127.0.0.1", 1)
        async with dialled(proxy) as (reader, _writer):
            with pytest.raises(ConnectionResetError):
                await rest(reader)


async def test_who_sends_more_than_the_target_takes_has_to_wait() -> None:
    async with echoing(is_deaf=True, buffer_bytes=8_192) as (_, proxy), dialled(proxy) as (_reader, writer):
        writer.transport.set_write_buffer_limits(0)
        num_bytes = 0
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.3):
                while num_bytes < 64 << 20:
                    writer.write(bytes(65_536))
                    await writer.drain()
                    num_bytes += 65_536
        assert num_bytes < 16 << 20
