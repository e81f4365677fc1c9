"""Peers that do not read, do not speak, say too much, or mean harm: told, cut and forgotten; others hear on."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any

import msgpack
import pytest
import websockets
from websockets.asyncio.client import connect

from bench.fault_proxy import FaultProxy
from protocol.messages import Cancel, Close, Error, Start, Text
from tests.streaming_server.listener import Listener
from tests.streaming_server.raw_websocket import (
    BINARY,
    CONT,
    PING,
    REQUEST,
    TEXT,
    RawWebSocket,
    frame,
    long_length,
    raw_peer,
)
from tests.streaming_server.serving import Wire, connected
from tests.streaming_server.test_bad_input import REFUSED, UNDECODABLE

from .aftermath import Witness
from .victim import KEY, Victim, Way, victim

SPEECH = "Hello there. And a second one."


@asynccontextmanager
async def neighbour(server: Victim) -> AsyncIterator[None]:
    """Somebody else, who is spoken to meanwhile and hears all of it."""
    listener = await Listener(server, token=KEY, lead_ms=1500).open()
    await listener.say(Start(utterance="n", seed=0xBEEF, text=SPEECH, end=True))
    yield
    await listener.hear_out("n")
    assert listener.done["n"].reason == "end"
    await listener.say(Close())
    assert await listener.close_code() == 1000


@asynccontextmanager
async def greeted(server: Victim | Way, **hello: Any) -> AsyncIterator[Wire]:
    async with await connected(server) as wire:
        await wire.send("hello", token=KEY, **hello)
        await wire.until("ready")
        yield wire


def hello_frame(**fields: Any) -> bytes:
    return frame(BINARY, msgpack.packb({"type": "hello", "token": KEY, **fields}))


def errors(code: str) -> str:
    return f'voxwire_errors_total{{code="{code}"}}'


def throttled(allowance: str) -> str:
    return f'voxwire_throttled_total{{allowance="{allowance}"}}'


def turned_away(status: int) -> str:
    return f'voxwire_turned_away_total{{status="{status}"}}'


async def test_a_client_that_reads_nothing_any_more(hasty: Witness) -> None:
    """It is cut as a slow consumer with little queued for it; when it reads again it comes back, and misses nothing."""
    async with (
        hasty.aftermath(errors("slow_consumer"), "voxwire_sessions_resumed_total"),
        neighbour(hasty.server),
        FaultProxy("127.0.0.1", hasty.server.port) as proxy,
    ):
        listener = await Listener(Way(proxy.port), token=KEY, lead_ms=None).open()
        await listener.say(Start(utterance="u", seed=3, text=SPEECH * 4, end=True))
        await listener.hear_some("u")
        proxy.hold()
        slow = (await hasty.server.figures()).get(errors("slow_consumer"), 0)
        held_at = time.monotonic()
        while (await hasty.server.figures()).get(errors("slow_consumer"), 0) == slow:
            assert time.monotonic() < held_at + 30, "expected it to be cut"
            await asyncio.sleep(0.02)
        proxy.reset_all()
        proxy.release()
        await listener.open()
        assert listener.ready.resumed
        await listener.hear_out("u")
        assert listener.done["u"].samples == listener.num_heard["u"]
        await listener.say(Close())
        assert await listener.close_code() == 1000


async def test_a_peer_that_sends_pings_and_reads_no_pong(hasty: Witness) -> None:
    """The server reads it slowly, keeps few pongs for it, and cuts it."""
    pings = 100 * frame(PING, bytes(125))
    async with hasty.aftermath(errors("slow_consumer"), 'voxwire_sockets_lost_total{cause="slow"}'):
        with socket.socket() as peer:
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            peer.connect(("127.0.0.1", hasty.server.port))
            reader, writer = await asyncio.open_connection(sock=peer, limit=1024)
            writer.write(REQUEST)
            await reader.readuntil(b"\r\n\r\n")
            writer.write(hello_frame())
            with pytest.raises(ConnectionError):
                async with asyncio.timeout(30):
                    await flood(writer, pings)
            writer.transport.abort()


async def flood(writer: asyncio.StreamWriter, data: bytes) -> None:
    while True:
        writer.write(data)
        await writer.drain()


async def test_a_client_that_sends_three_thousand_texts_at_once(hasty: Witness) -> None:
    """It is read as fast as its limits say; all of it counts, and its neighbour does not notice."""
    async with hasty.aftermath(throttled("session")), neighbour(hasty.server):
        listener = await Listener(hasty.server, token=KEY).open()
        await listener.say(Start(utterance="u", seed=4, text="So it begins. "))
        began_at = time.monotonic()
        for _ in range(3_000):
            await listener.say(Text(utterance="u", text="a "))
        await listener.say(Cancel(utterance="u"))
        await listener.hear_out("u")
        assert time.monotonic() - began_at > 0.8, "expected it to be read at 1000 messages a second"
        assert listener.done["u"].text_chars == len("So it begins. ") + 6_000
        await listener.say(Close())
        assert await listener.close_code() == 1000


async def test_a_client_whose_text_is_more_than_the_server_keeps(hasty: Witness) -> None:
    """It is told when to try again, and is spoken to."""
    async with hasty.aftermath(errors("text_limit")):
        listener = await Listener(hasty.server, token=KEY, lead_ms=None).open()
        await listener.say(Start(utterance="u", seed=5))
        await listener.say(Text(utterance="u", text=20_001 * "a"))
        await listener.hear(lambda: isinstance(listener.messages[-1], Error))
        error = listener.messages[-1]
        assert isinstance(error, Error)
        assert (error.code, error.fatal) == ("text_limit", False)
        assert error.retry_after_ms
        await listener.say(Start(utterance="v", seed=6, text=SPEECH, end=True))
        await listener.hear_out("v")
        await listener.say(Close())
        assert await listener.close_code() == 1000


async def test_a_client_that_says_all_that_may_not_be_said(hasty: Witness) -> None:
    """Each message is one error with its code; the session lives, until too many could not be read at all."""
    async with (
        hasty.aftermath(errors("bad_message"), errors("bad_value")),
        neighbour(hasty.server),
        greeted(hasty.server) as wire,
    ):
        for code, message in REFUSED.values():
            await wire.send_raw(msgpack.packb(message))
            assert (await wire.until("error"))["code"] == code
        for data in UNDECODABLE.values():
            await wire.send_raw(data)
            assert not (await wire.until("error"))["fatal"]
        assert (await wire.speak("after", "Hello."))[-1]["reason"] == "end"
        for _ in range(17):
            await wire.send_raw(b"\xc1")
        assert await wire.close_code() == 1008


@pytest.mark.parametrize(
    ("parts", "close_code"),
    [
        ([frame(BINARY, length=long_length(1 << 40))], 1009),
        ([frame(BINARY, bytes(70_000))], 1009),
        ([frame(TEXT, b"", fin=False), *(40 * [frame(CONT, bytes(2_000), fin=False)])], 1009),
        ([frame(BINARY, b"\xff" * 1_000, rsv=4)], 1002),
        ([frame(BINARY, b"\x80", mask=None)], 1002),
        ([frame(TEXT, b'{"type": "hello\xff"}')], 1007),
    ],
    ids=["a claim of a TiB", "a large one", "pieces without end", "a deflate bomb", "no mask", "no UTF-8"],
)
async def test_a_frame_that_may_not_be(hasty: Witness, parts: list[bytes], close_code: int) -> None:
    """The server says which rule was broken, allocates nothing, and hangs up."""
    async with (
        hasty.aftermath(f'voxwire_frames_refused_total{{code="{close_code}"}}'),
        neighbour(hasty.server),
        raw_peer(hasty.server.port, REQUEST) as peer,
    ):
        assert await peer.status() == 101
        for part in parts:
            await peer.write(part)
        assert f"close {close_code}" in await peer.heard(last=f"close {close_code}")


async def test_a_connection_that_never_says_hello(hasty: Witness) -> None:
    """It is told bad_state and closed with 4400."""
    async with hasty.aftermath(errors("bad_state")), await connected(hasty.server) as wire:
        assert await wire.close_code() == 4400


@pytest.mark.full
async def test_a_peer_that_does_not_hang_up(hasty: Witness) -> None:
    """It is told why, and is gone ten seconds later, though it holds on to its end."""
    with socket.socket() as peer:
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        peer.connect(("127.0.0.1", hasty.server.port))
        async with hasty.aftermath(errors("bad_state")):
            peer.sendall(REQUEST)
            await asyncio.sleep(10)


async def test_a_session_in_which_nothing_is_said() -> None:
    """It is told timeout and closed with 4408."""
    with victim("--idle-ms", "1000", "--resume-ms", "300") as server:
        witness = await Witness.of(server, num_listeners=4)
        async with witness.aftermath(errors("timeout")), greeted(server) as wire:
            assert await wire.close_code() == 4408
            assert wire.received[-1]["code"] == "timeout"


async def test_an_utterance_whose_text_never_comes(strict: Witness) -> None:
    """It ends with an error; the session goes on."""
    async with strict.aftermath(errors("timeout")), greeted(strict.server) as wire:
        await wire.send("start", utterance="u")
        assert (await wire.until("error", "u"))["code"] == "timeout"
        assert (await wire.until("done", "u"))["reason"] == "error"
        assert (await wire.speak("v", "Hello."))[-1]["reason"] == "end"
        await wire.send("close")


async def test_connections_that_send_nothing_or_half_a_handshake(hasty: Witness) -> None:
    """They are told 408, or nothing, and cost nothing any more."""
    async with (
        hasty.aftermath(turned_away(408), 'voxwire_turned_away_total{status="silent"}'),
        neighbour(hasty.server),
        AsyncExitStack() as stack,
    ):
        for number in range(60):
            peer = await stack.enter_async_context(raw_peer(hasty.server.port, REQUEST[: number % 3 * 40]))
        assert await peer.status() == 408


async def test_a_head_that_comes_byte_by_byte(hasty: Witness) -> None:
    """All of it has its time, not each byte."""
    async with hasty.aftermath(turned_away(408)), raw_peer(hasty.server.port) as peer:
        dripping = asyncio.ensure_future(drip(peer))
        assert await peer.status() == 408
        assert not dripping.done(), "expected it to be told while bytes still came"
        dripping.cancel()


async def drip(peer: RawWebSocket) -> None:
    for byte in REQUEST:
        await peer.write(bytes([byte]))
        await asyncio.sleep(0.02)


async def test_a_voice_whose_form_never_ends(hasty: Witness) -> None:
    """It is answered, and cut after so many bytes; none of them is kept."""
    head = (
        *("POST /v1/voices HTTP/1.1", "Host: 127.0.0.1", f"Authorization: Bearer {KEY}"),
        *("Content-Type: multipart/form-data; boundary=x", "Transfer-Encoding: chunked", "", ""),
    )
    chunk = b"10000\r\n" + bytes(0x10000) + b"\r\n"
    async with hasty.aftermath("voxwire_http_responses_total"), neighbour(hasty.server):
        reader, writer = await asyncio.open_connection("127.0.0.1", hasty.server.port)
        writer.write("\r\n".join(head).encode())
        assert (await reader.readline()).split()[1] in (b"413", b"501")
        num_chunks = 0
        with suppress(ConnectionError):
            while num_chunks < 2_000:
                writer.write(chunk)
                await writer.drain()
                num_chunks += 1
        assert num_chunks < 2_000
        writer.transport.abort()


async def test_more_connections_than_one_address_may_have(strict: Witness) -> None:
    """The others are turned away with 429 and a time; who is in hears on, and who comes from elsewhere gets in."""
    async with strict.aftermath(turned_away(429)):
        async with neighbour(strict.server), AsyncExitStack() as stack:
            for _ in range(11):
                await stack.enter_async_context(await connected(strict.server))
            for _ in range(5):
                with pytest.raises(websockets.InvalidStatus) as refused:
                    await connected(strict.server)
                assert refused.value.response.status_code == 429
                assert int(refused.value.response.headers["retry-after"]) >= 1
            async with (
                FaultProxy("127.0.0.1", strict.server.port, source="127.0.0.50") as elsewhere,
                greeted(Way(elsewhere.port)) as wire,
            ):
                assert (await wire.speak("u", "Hello."))[-1]["reason"] == "end"
                await wire.send("close")
                await wire.close_code()
        await asyncio.sleep(0.7)  # the handshakes of the look that follows


async def test_a_storm_of_handshakes_from_one_address(strict: Witness) -> None:
    """Beyond the burst each is told 429 at once; when it is over, everybody gets in."""
    async with strict.aftermath(turned_away(429)), neighbour(strict.server):
        outcomes = await asyncio.gather(*(knock(strict.server) for _ in range(80)))
        assert set(outcomes) == {101, 429}
        await asyncio.sleep(1.0)


async def knock(server: Victim) -> int:
    try:
        async with await connected(server) as wire:
            await wire.socket.close(1000)
            return 101
    except websockets.InvalidStatus as refused:
        return refused.response.status_code


async def test_more_sessions_than_the_server_has(strict: Witness) -> None:
    """One too many hears busy, when to try again, and 1013."""
    async with strict.aftermath(errors("busy")), AsyncExitStack() as stack:
        for number in range(16):
            source = f"127.0.0.{60 + number}"
            proxy = await stack.enter_async_context(FaultProxy("127.0.0.1", strict.server.port, source=source))
            wire = await stack.enter_async_context(greeted(Way(proxy.port)))
            stack.push_async_callback(wire.send, "close")
        async with await connected(strict.server) as wire:
            await wire.send("hello", token=KEY)
            assert await wire.close_code() == 1013
            assert wire.received[-1]["retry_after_ms"] > 0


async def test_pages_of_somebody_else(hasty: Witness) -> None:
    """403, before the upgrade."""
    async with hasty.aftermath(turned_away(403)):
        for origin in ("http://evil.example", "null", "http://127.0.0.1.evil.example", "http://127.0.0.1:1"):
            with pytest.raises(websockets.InvalidStatus) as refused:
                await connect(hasty.server.stream_url, origin=websockets.Origin(origin))
            assert refused.value.response.status_code == 403


async def test_a_wrong_key_with_somebodys_session(hasty: Witness) -> None:
    """1008, and the session stays with its owner. Neither key is logged."""
    async with hasty.aftermath(errors("unauthorized")):
        listener = await Listener(hasty.server, token=KEY, lead_ms=1000).open()
        await listener.say(Start(utterance="u", seed=8, text=SPEECH, end=True))
        await listener.hear_some("u")
        listener.cut()
        thief = Listener(hasty.server, token=KEY + "x")
        await thief.greet(listener.pass_)
        assert await thief.close_code() == 1008
        await listener.open()
        assert listener.ready.resumed
        await listener.hear_out("u")
        await listener.say(Close())
        await listener.close_code()


async def test_a_peer_that_writes_into_the_log(hasty: Witness) -> None:
    """What it says stands there on its line, without escapes, and never its token."""
    secret = "tok3n-in-a-query"
    forged = REQUEST.replace(b"GET /v1/stream", f"GET /v1/stream?token={secret}".encode()).replace(
        b"Upgrade: websocket", b"Origin: http://evil.example/\x1b[31m\x0b\xe2\x80\xae FORGED\r\nUpgrade: websocket"
    )
    async with hasty.aftermath(errors("bad_value")):
        async with raw_peer(hasty.server.port, forged) as peer:
            assert await peer.status() in (400, 403)
        async with greeted(hasty.server, client="FORGED " + secret) as wire:
            await wire.send("start", utterance="u", voice="\x1b[31m\r\nFORGED", text=secret)
            await wire.until("error")
            await wire.send("close")
        log = hasty.server.new_log()
    assert secret not in log
    assert not any(line.startswith("FORGED") for line in log.splitlines())
    assert not set(log) & {"\x1b", "\x0b", "\u202e", "\u2028"}


async def test_paths_that_lead_out_of_the_page(hasty: Witness) -> None:
    """There is no such thing."""
    get = ("/../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/..%2f..%2fetc%2fpasswd", "/%00", 3_000 * "/..")
    async with hasty.aftermath('voxwire_http_responses_total{status="404"}'):
        for verb, path in (*(("GET", each) for each in get), ("DELETE", "/v1/voices/..%2f..%2fx")):
            head = f"{verb} {path} HTTP/1.1", "Host: 127.0.0.1", f"Authorization: Bearer {KEY}", "", ""
            async with raw_peer(hasty.server.port, "\r\n".join(head).encode()) as peer:
                assert await peer.status() in (400, 404, 405, 501)
