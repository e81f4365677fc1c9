"""A vocabulary for tests of the server: a real one on loopback, and a client that knows msgpack and nothing else."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, Self

import msgpack
import pytest
import uvicorn
import websockets
from websockets.asyncio.client import ClientConnection, connect

from models.base import SpeechModel
from models.registry import load_model
from streaming_server.engine_client import LocalEngine
from streaming_server.serve import listen, serve_web
from streaming_server.settings import Config
from streaming_server.voices.preparation import Preparation

WAIT_S = 30


@dataclass(frozen=True, slots=True)
class Server:
    """Where it listens, and what it runs on."""

    port: int
    engine: LocalEngine

    @property
    def stream_url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/v1/stream"

    @property
    def http_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@asynccontextmanager
async def serving(
    model: str | SpeechModel = "tone", *, preparation: Preparation | None = None, warm: bool = False, **settings: Any
) -> AsyncIterator[Server]:
    """The real application on a free port, with the engine in a thread; `warm`: its speed is known from the start."""
    config = Config(port=0, **settings)
    loaded = await asyncio.to_thread(load_model, model) if isinstance(model, str) else model
    engine = await LocalEngine.warmed_up(loaded) if warm else LocalEngine(loaded)
    started: asyncio.Future[uvicorn.Server] = asyncio.get_running_loop().create_future()
    with listen(config) as listener:
        serving = asyncio.create_task(serve_web(config, engine, listener, started.set_result, preparation))
        try:
            async with asyncio.timeout(WAIT_S):
                server = await started
            yield Server(listener.getsockname()[1], engine)
            server.should_exit = True
            async with asyncio.timeout(WAIT_S):
                await serving
        finally:
            serving.cancel()
            await engine.close()


class Wire:
    """One WebSocket. Messages are plain maps, both ways."""

    def __init__(self, socket: ClientConnection, *, as_json: bool) -> None:
        self.socket = socket
        self._as_json = as_json
        self.received: list[dict[str, Any]] = []

    async def send(self, type: str, **fields: Any) -> None:
        message = {"type": type, **fields}
        await self.socket.send(json.dumps(message) if self._as_json else msgpack.packb(message))

    async def send_raw(self, data: bytes | str) -> None:
        await self.socket.send(data)

    async def receive(self) -> dict[str, Any]:
        async with asyncio.timeout(WAIT_S):
            data = await self.socket.recv()
        message: dict[str, Any] = msgpack.unpackb(data) if isinstance(data, bytes) else json.loads(data)
        self.received.append(message)
        return message

    async def until(self, type: str, utterance: str | None = None) -> dict[str, Any]:
        """The next message of that type; what comes before it stays in `received`."""
        while True:
            message = await self.receive()
            if message["type"] == type and utterance in (None, message.get("utterance")):
                return message

    async def close_code(self) -> int:
        """What the server closes with; messages before it stay in `received`."""
        with pytest.raises(websockets.ConnectionClosed) as closed:
            await self.until("never")
        frame = closed.value.rcvd
        assert frame is not None, "expected a close frame, the socket was lost"
        return frame.code

    async def speak(self, utterance: str, text: str, **fields: Any) -> list[dict[str, Any]]:
        """A one-shot utterance; its messages, the `done` last."""
        begun = len(self.received)
        await self.send("start", utterance=utterance, text=text, end=True, **fields)
        await self.until("done", utterance)
        return [message for message in self.received[begun:] if message.get("utterance") == utterance]

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        closing = asyncio.create_task(self.socket.close())
        with suppress(websockets.ConnectionClosed, websockets.ConcurrencyError):
            while not closing.done():  # what nobody read stands before the server's goodbye
                await self.socket.recv()
        await closing


async def connected(server: Server, *, as_json: bool = False, **options: Any) -> Wire:
    socket = await connect(
        server.stream_url,
        subprotocols=[websockets.Subprotocol("voxwire.v1")],
        compression=None,
        max_size=None,
        **options,
    )
    return Wire(socket, as_json=as_json)


@asynccontextmanager
async def greeted(server: Server, *, as_json: bool = False, **hello: Any) -> AsyncIterator[Wire]:
    """A connection whose `hello` is answered."""
    async with await connected(server, as_json=as_json) as wire:
        await wire.send("hello", version=1, **hello)
        assert (await wire.receive())["type"] == "ready"
        yield wire


def audio_of(messages: list[dict[str, Any]]) -> bytes:
    """PCM of all audio messages, joined."""
    return b"".join(message["data"] for message in messages if message["type"] == "audio")


def assert_complete(messages: list[dict[str, Any]]) -> None:
    """One utterance as PROTOCOL.md promises it: order, seq without gaps, pts the sum of samples, one done."""
    assert [message["type"] for message in messages].count("done") == 1
    assert messages[0]["type"] == "started"
    assert messages[-1]["type"] == "done"
    seq = pts = 0
    for message in messages:
        assert message["seq"] == seq, message
        if message["type"] == "audio":
            assert message["pts"] == pts
            seq += 1
            pts += message["samples"]
        elif message["type"] == "segment":
            assert message["pts"] == pts
    assert messages[-1]["samples"] == pts


async def until(condition: Callable[[], bool]) -> None:
    """Wait for something that only polling can see."""
    async with asyncio.timeout(WAIT_S):
        while not condition():  # noqa: ASYNC110 - the condition belongs to the server under test
            await asyncio.sleep(0.01)
