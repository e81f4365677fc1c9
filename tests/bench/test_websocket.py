"""The bench's own WebSocket client, against a server of the websockets package."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgpack
import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.typing import Subprotocol

from bench.websocket import BUFFER_BYTES, Address, ConnectionFailed, WebSocket
from protocol.messages import Ping, Text

WAIT_S = 30


class Ear(WebSocket):
    """Keeps what it hears."""

    def __init__(self) -> None:
        super().__init__(bytearray(BUFFER_BYTES))
        self.heard: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.is_lost = asyncio.Event()

    def received(self, message: dict[str, Any], at: float) -> None:
        self.heard.put_nowait(message)

    def lost(self) -> None:
        self.is_lost.set()


@asynccontextmanager
async def connected(handler: Callable[[ServerConnection], Awaitable[None]], **options: Any) -> AsyncIterator[Ear]:
    ear = Ear()
    protocols = [Subprotocol("voxwire.v1")]
    async with serve(handler, "127.0.0.1", 0, subprotocols=protocols, compression=None, **options) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        async with asyncio.timeout(WAIT_S):
            await ear.connect(Address("127.0.0.1", port))
            yield ear
        ear.close()


async def test_messages_go_both_ways() -> None:
    async def echo(socket: ServerConnection) -> None:
        async for data in socket:
            await socket.send(data)

    async with connected(echo) as ear:
        for text in ("short", "long " * 5000):
            ear.send(Text(utterance="u", text=text))
            assert await ear.heard.get() == {"type": "text", "utterance": "u", "text": text}


async def test_messages_that_come_in_pieces_and_together_are_taken_apart() -> None:
    sizes = [0, 1, 120, 126, 14_112, 65_536, 700_000, 3]

    async def send(socket: ServerConnection) -> None:
        for size in sizes:
            await socket.send(msgpack.packb({"data": bytes(size)}))
        await socket.wait_closed()

    async with connected(send) as ear:
        assert [len((await ear.heard.get())["data"]) for _ in sizes] == sizes


async def test_pings_are_answered() -> None:
    async def ping(socket: ServerConnection) -> None:
        await (await socket.ping(b"are you there"))
        await socket.send(msgpack.packb({"type": "answered"}))
        await socket.wait_closed()

    async with connected(ping) as ear:
        assert await ear.heard.get() == {"type": "answered"}


async def test_the_servers_goodbye_is_kept() -> None:
    async def leave(socket: ServerConnection) -> None:
        await socket.close(4408, "slow")

    async with connected(leave) as ear:
        await ear.is_lost.wait()
        assert ear.close_code == 4408
        ear.send(Ping())  # nobody is there: nothing happens


async def test_what_no_server_of_ours_sends_cuts_the_connection() -> None:
    async def fragment(socket: ServerConnection) -> None:
        await socket.send([b"in ", b"pieces"])
        await socket.wait_closed()

    async with connected(fragment) as ear:
        await ear.is_lost.wait()
        assert ear.fault == "expected unfragmented frames, got the first byte 0x2"


async def test_a_refusal_is_told() -> None:
    async def never(socket: ServerConnection) -> None:
        raise AssertionError("expected no connection")

    with pytest.raises(ConnectionFailed, match=r"expected an upgrade to WebSocket, got HTTP/1\.1 403 Forbidden"):
        async with connected(never, process_request=lambda socket, _: socket.respond(403, "no")):
            pass


async def test_no_server_is_told() -> None:
    with pytest.raises(ConnectionFailed, match="expected a server on port 1"):
        await Ear().connect(Address("127.0.0.1", 1))


@pytest.mark.parametrize("url", ["wss://example.org", "127.0.0.1:6006", "http://"])
def test_other_urls_are_refused(url: str) -> None:
    with pytest.raises(ValueError, match="expected a url such as"):
        Address.of(url)


def test_a_url_names_host_and_port() -> None:
    assert Address.of("http://127.0.0.1:6006/") == Address("127.0.0.1", 6006)
