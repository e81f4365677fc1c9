"""Peers that do not read: pongs do not pile up, and who takes nothing is cut and freed."""

from __future__ import annotations

import asyncio
import gc
import os
import socket
import struct
import threading
import time
import urllib.request
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress

import msgpack
import psutil
import pytest

from streaming_server.stream_socket import StreamSocket
from tests.streaming_server.serving import greeted, serving, until
from tests.streaming_server.test_drain import session
from tests.streaming_server.test_serve import voxwire_serve

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


def frame(opcode: int, data: bytes) -> bytes:
    """Masked with zeros, as a client may."""
    length = bytes([0x80 | len(data)]) if len(data) < 126 else bytes([0xFE]) + struct.pack("!H", len(data))
    return bytes([0x80 | opcode]) + length + bytes(4) + data


@asynccontextmanager
async def raw_socket(port: int, *, receive_buffer: int | None = None) -> AsyncIterator[socket.socket]:
    """A WebSocket by hand, after its handshake. To be used in a thread."""
    with socket.socket() as peer:
        if receive_buffer is not None:
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        peer.settimeout(30)
        await asyncio.to_thread(shake_hands, peer, port)
        yield peer


def shake_hands(peer: socket.socket, port: int) -> None:
    peer.connect(("127.0.0.1", port))
    peer.sendall(
        b"GET /v1/stream HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    answer = b""
    while b"\r\n\r\n" not in answer:
        answer += peer.recv(1)
    assert answer.startswith(b"HTTP/1.1 101")


def frames_of(peer: socket.socket) -> Iterator[tuple[int, bytes]]:
    """Opcode and payload of each frame, until the connection ends."""
    with peer.makefile("rb") as stream:
        while head := stream.read(2):
            length = head[1] & 0x7F
            if length == 126:
                (length,) = struct.unpack("!H", stream.read(2))
            elif length == 127:
                (length,) = struct.unpack("!Q", stream.read(8))
            yield head[0] & 0x0F, stream.read(length)


async def test_pings_whose_pongs_nobody_reads_take_no_memory() -> None:
    with voxwire_serve("--tcp-user-timeout-ms", "60000", "--write-stall-ms", "60000") as (process, port):
        web = psutil.Process(process.pid)
        async with raw_socket(port) as peer:
            before, pings, num_sent = web.memory_info().rss, 500 * frame(PING, bytes(125)), 0

            def flood() -> None:
                nonlocal num_sent
                peer.settimeout(0.2)
                ends_at = time.monotonic() + 3
                while time.monotonic() < ends_at:
                    with suppress(TimeoutError):
                        num_sent += peer.send(pings)

            await asyncio.to_thread(flood)
            assert num_sent > 300_000, "expected more than what one buffer takes"
            assert web.memory_info().rss - before < 20e6
            async with session(port) as neighbour:  # the server is as well as ever
                assert (await neighbour.speak("u", "Hello there."))[-1]["reason"] == "end"


async def test_reading_goes_on_where_the_pongs_are_taken_at_last() -> None:
    async with (
        serving(tcp_user_timeout_ms=60_000, messages_per_s=100_000) as server,
        raw_socket(server.port, receive_buffer=4096) as peer,
    ):
        await asyncio.to_thread(read_after_a_flood, peer)


def read_after_a_flood(peer: socket.socket) -> None:
    """Messages stand before, among and after more pings than any buffer holds; all are answered, in their order."""
    num_pings = 20_000
    hello = frame(BINARY, msgpack.packb({"type": "hello", "version": 1}))
    questions = [frame(BINARY, msgpack.packb({"type": "ping", "nonce": number})) for number in range(40)]
    parts = [hello, *(question + num_pings // 40 * frame(PING, bytes(125)) for question in questions)]
    writer = threading.Thread(target=peer.sendall, args=(b"".join(parts),))
    writer.start()
    time.sleep(0.5)  # both directions are full now
    nonces: list[int] = []
    num_pongs = 0
    for opcode, payload in frames_of(peer):
        if opcode == PONG:
            num_pongs += 1
        elif opcode == BINARY and (message := msgpack.unpackb(payload))["type"] == "pong":
            nonces.append(message["nonce"])
        if num_pongs == num_pings and len(nonces) == 40:
            break
    writer.join()
    assert nonces == list(range(40))


@pytest.mark.parametrize("resume_ms", [0, 30_000])
async def test_who_takes_nothing_is_cut_and_freed(resume_ms: int) -> None:
    async with serving(
        tcp_user_timeout_ms=60_000, write_stall_ms=500, resume_ms=resume_ms, ping_interval_ms=60_000
    ) as server:
        me = psutil.Process()
        num_before = len(connections(me, server.port))
        async with raw_socket(server.port, receive_buffer=4096) as peer:
            peer.sendall(frame(BINARY, msgpack.packb({"type": "hello", "version": 1, "lead_ms": None})))
            text = "This is what nobody listens to. " * 20
            start = {"type": "start", "utterance": "u", "text": text, "end": True}
            peer.sendall(frame(BINARY, msgpack.packb(start)))
            await until(lambda: server.engine.num_streams == 1)
            begun_at = time.monotonic()
            await until(lambda: len(connections(me, server.port)) == num_before)
            assert 0.5 < time.monotonic() - begun_at < 20
        if not resume_ms:
            await until(lambda: server.engine.num_streams == 0)
        async with greeted(server) as neighbour:
            assert (await neighbour.speak("v", "Hello there."))[-1]["reason"] == "end"


@pytest.mark.full
async def test_who_asks_much_and_reads_nothing_is_freed_as_well() -> None:
    async with serving(tcp_user_timeout_ms=60_000, write_stall_ms=500, resume_ms=0) as server:
        me = psutil.Process()
        async with raw_socket(server.port, receive_buffer=4096) as peer:
            peer.sendall(frame(BINARY, msgpack.packb({"type": "hello", "version": 1})))
            questions = 100 * frame(BINARY, msgpack.packb({"type": "ping", "nonce": 60 * "x"}))
            peer.settimeout(0.5)
            with suppress(TimeoutError, ConnectionError):
                for _ in range(1000):
                    await asyncio.to_thread(peer.sendall, questions)
            await until(lambda: not connections(me, server.port))
        async with asyncio.timeout(30):
            while "voxwire_sessions 0.0" not in await asyncio.to_thread(metrics, server.port):
                pass


def metrics(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=20) as answer:
        return str(answer.read(), "utf-8")


def connections(process: psutil.Process, port: int) -> list[int]:
    """The server's side of those that it has open."""
    return [
        each.fd
        for each in process.net_connections("tcp")
        if each.laddr and each.laddr[1] == port and each.status == psutil.CONN_ESTABLISHED
    ]


async def test_who_reads_at_the_last_moment_is_told_why_it_is_cut() -> None:
    async with (
        serving(tcp_user_timeout_ms=60_000, write_stall_ms=1_000, ping_interval_ms=60_000) as server,
        raw_socket(server.port, receive_buffer=65_536) as peer,
    ):
        told = await asyncio.to_thread(read_too_late, peer, server.port)
    assert told == ["slow_consumer", 4408]


def read_too_late(peer: socket.socket, port: int) -> list[object]:
    """The last that it is told who reads again when it has been given up, but not yet cut."""
    peer.sendall(frame(BINARY, msgpack.packb({"type": "hello", "version": 1, "lead_ms": None})))
    start = {"type": "start", "utterance": "u", "text": "This is what nobody listens to. " * 60, "end": True}
    peer.sendall(frame(BINARY, msgpack.packb(start)))
    while 'voxwire_errors_total{code="slow_consumer"}' not in metrics(port):
        time.sleep(0.05)
    told: list[object] = []
    for opcode, payload in frames_of(peer):
        if opcode == CLOSE:
            told.append(struct.unpack("!H", payload[:2])[0])
            break
        if opcode == BINARY and (message := msgpack.unpackb(payload))["type"] == "error":
            told.append(message["code"])
    return told


async def test_who_reads_slowly_but_reads_is_not_cut() -> None:
    async with (
        serving(write_stall_ms=1_000, ping_interval_ms=100, ping_timeout_ms=200) as server,
        raw_socket(server.port, receive_buffer=16_384) as peer,
    ):
        done = await asyncio.to_thread(read_slowly, peer)
    assert done["reason"] == "end"


def read_slowly(peer: socket.socket) -> dict[str, object]:
    peer.sendall(frame(BINARY, msgpack.packb({"type": "hello", "version": 1, "lead_ms": None})))
    start = {"type": "start", "utterance": "u", "text": "This is listened to, but slowly. ", "end": True}
    peer.sendall(frame(BINARY, msgpack.packb(start)))
    for opcode, payload in frames_of(peer):
        time.sleep(0.05)
        if opcode == PING:
            peer.sendall(frame(PONG, payload))
        if opcode == BINARY and (message := msgpack.unpackb(payload))["type"] == "done":
            return dict(message)
    raise AssertionError("expected done, the connection ended")


async def test_text_that_is_not_utf8_is_1007_without_a_traceback(caplog: pytest.LogCaptureFixture) -> None:
    async with serving() as server, raw_socket(server.port) as peer:
        peer.sendall(frame(TEXT, b'{"type": "hello\xff"}'))
        frames = await asyncio.to_thread(lambda: list(frames_of(peer)))
    assert [(opcode, payload[:2]) for opcode, payload in frames] == [(CLOSE, struct.pack("!H", 1007))]
    assert not [record for record in caplog.records if record.exc_info], os.linesep.join(caplog.messages)


async def test_fragments_that_hold_nothing_are_not_kept() -> None:
    """No limit of size counts them."""
    async with serving(messages_per_s=100_000) as server, raw_socket(server.port) as peer:
        peer.sendall(bytes([TEXT]) + frame(TEXT, b"{")[1:] + 10_000 * (b"\0" + frame(0, b"")[1:]))
        (ours,) = (each for each in gc.get_objects() if issubclass(type(each), StreamSocket))
        await until(lambda: len(ours.frames) > 0)
        peer.sendall(frame(PING, b"x"))
        answer = await asyncio.to_thread(lambda: next(frames_of(peer)))
        assert (answer, len(ours.frames)) == ((PONG, b"x"), 1)


async def test_pings_and_fragments_are_read_no_faster_than_messages_and_not_one_is_lost() -> None:
    async with serving(messages_per_s=500) as server, raw_socket(server.port) as peer:
        begun_at = time.monotonic()
        pongs = await asyncio.to_thread(pongs_of, peer, 1250 * frame(PING, b"") + fragmented(b"never mind", 250))
        assert pongs == 1250
        assert 0.4 < time.monotonic() - begun_at < 20, "expected the rest to come as it may, give or take a slice"
        page = await asyncio.to_thread(metrics, server.port)
    assert 'voxwire_throttled_total{allowance="session"}' in page


async def test_pings_of_one_address_are_read_no_faster_on_two_connections() -> None:
    async with (
        serving(messages_per_s_per_ip=500, limit_loopback=True) as server,
        raw_socket(server.port) as peer,
        raw_socket(server.port) as other,
    ):
        begun_at = time.monotonic()
        pings = 1000 * frame(PING, b"") + fragmented(b"never mind", 0)
        assert await asyncio.gather(*(asyncio.to_thread(pongs_of, each, pings) for each in (peer, other))) == [
            1000,
            1000,
        ]
        assert time.monotonic() - begun_at > 0.7
        page = await asyncio.to_thread(metrics, server.port)
    assert 'voxwire_throttled_total{allowance="shared"}' in page


@pytest.mark.full
async def test_with_the_settings_as_they_come_a_slow_reader_can_be_told_before_the_kernel_cuts_it() -> None:
    async with serving() as server, raw_socket(server.port, receive_buffer=65_536) as peer:
        assert await asyncio.to_thread(read_too_late, peer, server.port) == ["slow_consumer", 4408]


def fragmented(text: bytes, num_empty: int) -> bytes:
    """One message, of which most fragments hold nothing."""
    begin, end = frame(TEXT, text), frame(0, b"")
    return bytes([begin[0] & 0x7F]) + begin[1:] + num_empty * (bytes([0]) + frame(0, b"")[1:]) + end


def pongs_of(peer: socket.socket, data: bytes) -> int:
    """How many come before the server says what it thinks of the message."""
    peer.sendall(data)
    num_pongs = 0
    for opcode, _ in frames_of(peer):
        if opcode != PONG:
            break
        num_pongs += 1
    return num_pongs
