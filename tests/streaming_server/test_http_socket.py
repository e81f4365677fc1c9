"""Peers that open connections and say nothing, little, or too much; and more of them than there are files for."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress

import httpx
import psutil
import pytest

from tests.streaming_server.serving import greeted, serving, until
from tests.streaming_server.test_drain import session
from tests.streaming_server.test_serve import voxwire_serve
from tests.streaming_server.test_stream_socket import connections, metrics


@asynccontextmanager
async def raw(port: int) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def answer_to(port: int, *parts: bytes, pause_s: float = 0.0) -> bytes:
    """All that comes until the connection ends, read while the parts are written."""
    answer = bytearray()
    async with raw(port) as (reader, writer), asyncio.timeout(30), asyncio.TaskGroup() as tasks:
        tasks.create_task(write(writer, parts, pause_s))
        with suppress(ConnectionError):
            while data := await reader.read(65_536):
                answer += data
    return bytes(answer)


async def write(writer: asyncio.StreamWriter, parts: Sequence[bytes], pause_s: float) -> None:
    with suppress(ConnectionError):
        for part in parts:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(pause_s)


async def test_who_says_nothing_or_a_little_at_a_time_is_cut() -> None:
    async with serving(handshake_timeout_ms=400) as server:
        begun_at = time.monotonic()
        head = b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Slow: " + 100 * b"x"
        silent, slow, loris_again = await asyncio.gather(
            answer_to(server.port),
            answer_to(server.port, *(head[at : at + 1] for at in range(len(head))), pause_s=0.02),
            answer_to(server.port, b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", b"GET /hea", pause_s=0.1),
        )
        assert silent == b""
        assert slow.startswith(b"HTTP/1.1 408 ")
        assert loris_again.startswith(b"HTTP/1.1 200 ")
        assert b"HTTP/1.1 408 " in loris_again
        assert 0.4 < time.monotonic() - begun_at < 20
        page = await asyncio.to_thread(metrics, server.port)
    assert 'voxwire_turned_away_total{status="silent"} 1.0' in page
    assert 'voxwire_turned_away_total{status="408"} 2.0' in page


@pytest.mark.parametrize(
    "head",
    [
        b"GET /" + 500_000 * b"x",
        b"GET / HTTP/1.1\r\nX: " + 500_000 * b"x",
        b"GET / HTTP/1.1\r\n" + 50_000 * b"a: b\r\n",
    ],
    ids=["line", "header", "headers"],
)
async def test_a_head_without_end_is_431(head: bytes) -> None:
    async with serving() as server:
        assert (await answer_to(server.port, head)).startswith(b"HTTP/1.1 431 ")


async def test_trailers_are_dropped_and_a_body_that_nobody_wants_ends_somewhere() -> None:
    get = b"GET /healthz HTTP/1.1\r\nHost: x\r\n"
    async with serving(handshake_timeout_ms=500) as server:
        answers = await answer_to(
            server.port,
            get + b"Transfer-Encoding: chunked\r\n\r\n",
            b"0\r\n" + 9_000 * b"a: b\r\n" + b"\r\n",
            get,
            b"\r\n",
        )
        assert answers.count(b"HTTP/1.1 200 ") == 2
        async with raw(server.port) as (_, writer), asyncio.timeout(20):
            writer.write(get + b"Content-Length: 1000000000000\r\n\r\n")
            with pytest.raises(ConnectionError):
                await pour(writer, 200 << 20)


async def pour(writer: asyncio.StreamWriter, num_bytes: int) -> None:
    for _ in range(num_bytes >> 20):
        writer.write(bytes(1 << 20))
        await writer.drain()


async def test_connections_of_one_address_that_are_no_websockets_are_bounded() -> None:
    async with serving(limit_loopback=True, connections_per_ip=3) as server, AsyncExitStack() as stack:
        for _ in range(3):
            await stack.enter_async_context(raw(server.port))
        assert (await answer_to(server.port)).startswith(b"HTTP/1.1 429 ")
        await stack.aclose()
        await until(lambda: not connections(psutil.Process(), server.port))
        async with greeted(server) as wire:
            assert (await wire.speak("u", "Hello."))[-1]["reason"] == "end"


async def test_requests_of_one_address_are_429_when_there_are_too_many() -> None:
    async with serving(limit_loopback=True, requests_per_s=1) as server, httpx.AsyncClient() as http:
        statuses = []
        for _ in range(35):
            answer = await http.get(f"{server.http_url}/healthz")
            statuses.append(answer.status_code)
        assert statuses[:30] == 30 * [200]
        assert statuses[-1] == 429
        assert int(answer.headers["retry-after"]) >= 1
        assert answer.json()["error"]["code"] == "busy"
        await asyncio.sleep(int(answer.headers["retry-after"]) + 1)
        assert (await http.get(f"{server.http_url}/healthz")).status_code == 200


async def test_where_files_run_out_newcomers_hear_503_and_who_is_there_hears_speech() -> None:
    with voxwire_serve(max_files=96) as (process, port):
        web = psutil.Process(process.pid)
        async with session(port) as speaker, AsyncExitStack() as stack:
            peers = [await stack.enter_async_context(raw(port)) for _ in range(120)]
            ends = await ends_of([reader for reader, _ in peers])
            assert ends.count(b"HTTP/1.1 503") > 20
            assert 20 < ends.count(None) < 40, "expected those to stay for whom there is room"
            before = sum(web.cpu_times()[:2])
            begun_at = time.monotonic()
            assert (await speaker.speak("u", "Hello there."))[-1]["reason"] == "end"
            await asyncio.sleep(1)
            share = (sum(web.cpu_times()[:2]) - before) / (time.monotonic() - begun_at)
            assert share < 0.5, "expected the door not to spin"
        await until(lambda: len(connections(web, port)) == 0)
        async with session(port) as late:
            assert (await late.speak("v", "Hello."))[-1]["reason"] == "end"


async def ends_of(readers: Sequence[asyncio.StreamReader]) -> list[bytes | None]:
    """The first of what each peer is told; None where it may stay."""
    ends: list[bytes | None] = [None for _ in readers]

    async def end_of(number: int) -> None:
        ends[number] = b""
        with suppress(ConnectionError):
            ends[number] = await readers[number].read(12)

    async with asyncio.TaskGroup() as tasks:
        reading = [tasks.create_task(end_of(number)) for number in range(len(readers))]
        await until(lambda: sum(task.done() for task in reading) > 2 * len(readers) // 3)
        await asyncio.wait(reading, timeout=0.5)
        for number, task in enumerate(reading):
            if not task.done():
                ends[number] = None
                task.cancel()
    return ends
