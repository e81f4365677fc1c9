"""A server of one page, on the server's side of Connection and the websockets library. What it does is in the voice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from websockets.asyncio.server import ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Response

from protocol.connection import Connection, Side
from protocol.errors import CloseCode, ErrorCode, RemoteProtocolError
from protocol.ledger import Ledger
from protocol.messages import (
    SUBPROTOCOL,
    Audio,
    AudioFormat,
    Cancel,
    Close,
    End,
    Error,
    Format,
    FormatChanged,
    Hello,
    Limits,
    Ping,
    Pong,
    Start,
    Text,
)
from protocol.wire import Encoding, encode
from tests.protocol.pair import MODEL, make_ready, make_started
from tests.protocol.tiny_voice import Job


@dataclass
class TinyServer:
    """`heard`: every client message, in order. `answers`: what the next handshakes and `hello`s get instead of a
    session: an HTTP status, a close code, or an error."""

    limits: Limits = field(default_factory=Limits)
    token: str | None = None
    rtf: float | None = None  # it says of itself that it is slower than real time
    raw_after_hello: bytes | None = None
    heard: list[Any] = field(default_factory=list)
    jobs: dict[str, Job] = field(default_factory=dict)
    num_closed: int = 0
    port: int = 0
    answers: list[int | Response | Error] = field(default_factory=list)
    ledgers: dict[str, Ledger] = field(default_factory=dict)
    sockets: set[ServerConnection] = field(default_factory=set)
    num_sessions: int = 0
    is_shut: bool = False  # to newcomers
    refused_voice: str = ""
    refusal: ErrorCode = ErrorCode.UNKNOWN_VOICE
    reach: Literal["local", "shared"] = "local"
    sample_rate: int = 44100
    is_deaf: bool = False  # to pings

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    def heard_of(self, kind: type) -> list[Any]:
        return [message for message in self.heard if isinstance(message, kind)]

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[TinyServer]:
        async with serve(
            self.converse,
            "127.0.0.1",
            self.port,
            subprotocols=[SUBPROTOCOL],
            compression=None,
            process_request=self.admit,
        ) as server:
            self.port = next(iter(server.sockets)).getsockname()[1]
            yield self

    def admit(self, _: ServerConnection, __: Any) -> Response | None:
        if self.is_shut:
            return Response(500, "No", Headers({"Content-Length": "0"}))
        if self.answers and isinstance(self.answers[0], Response):
            return self.answers.pop(0)  # type: ignore[return-value]
        return None

    def cut(self) -> None:
        """Every connection is lost, and none is taken until `is_shut` is reset; the sessions are kept."""
        self.is_shut = True
        self.drop()

    def drop(self) -> None:
        """Every connection is lost."""
        for socket in self.sockets:
            socket.transport.abort()

    async def say(self, message: Any) -> None:
        """On the newest connection."""
        for socket in self.sockets:
            await socket.send(self.connection.send(message))

    async def break_off(self, name: str, code: ErrorCode | None = ErrorCode.BUSY) -> None:
        if code is not None:
            await self.say(Error(code=code, message="expected to live longer", utterance=name))
        await self.finish(self.jobs[name], self.say, "error")

    def forget(self) -> None:
        """Every session."""
        self.ledgers.clear()
        self.jobs.clear()

    async def greet(self, connection: Connection, hello: Hello, socket: ServerConnection) -> None:
        async def put(message: Any) -> None:
            await socket.send(connection.send(message))

        if self.answers:
            match self.answers.pop(0):
                case Error() as error:
                    await put(error)
                    await socket.close(CloseCode.BUSY)
                case code:
                    await socket.close(code)  # type: ignore[arg-type]
            return
        model = replace(MODEL, sample_rate=self.sample_rate, realtime=self.rtf is None, rtf=self.rtf)
        ledger = self.ledgers.get(hello.resume.session) if hello.resume is not None else None
        if ledger is not None and hello.resume is not None:
            connection.resume(ledger)
            replay = ledger.replay(hello.resume.received)
            taken = ledger.client_messages
            await put(
                make_ready(
                    session=hello.resume.session,
                    limits=self.limits,
                    model=model,
                    resumed=True,
                    client_messages=taken,
                    resume=self.reach,
                )
            )
            for data in connection.resend(replay.messages):
                await socket.send(data)
            return
        if hello.resume is not None:
            await put(Error(code=ErrorCode.RESUME_FAILED, message="expected a session that is known"))
        self.num_sessions += 1
        name = f"session-{self.num_sessions}"
        self.ledgers[name] = connection.ledger
        await put(make_ready(session=name, limits=self.limits, model=model))

    async def converse(self, socket: ServerConnection) -> None:
        self.sockets.add(socket)
        try:
            await self.listen(socket)
        except ConnectionClosed:
            pass
        finally:
            self.sockets.discard(socket)
            self.num_closed += 1

    async def listen(self, socket: ServerConnection) -> None:
        connection = Connection(Side.SERVER, limits=self.limits)
        self.connection = connection

        async def put(message: Any) -> None:
            await socket.send(connection.send(message))

        async for data in socket:
            try:
                received = connection.receive(data)
            except RemoteProtocolError as error:
                await put(Error(code=error.code, message=error.message, utterance=error.utterance, fatal=error.fatal))
                continue
            if received is None:
                continue
            self.heard.append(received.message)
            match received.message:
                case Hello(token=token) if token != self.token:
                    await put(Error(code=ErrorCode.UNAUTHORIZED, message="expected the key, got another", fatal=True))
                    await socket.close(CloseCode.POLICY)
                case Hello():
                    if self.raw_after_hello is not None:
                        await socket.send(self.raw_after_hello)
                    else:
                        await self.greet(connection, received.message, socket)
                case Ping() if self.token == "deaf" or self.is_deaf:
                    pass
                case Ping(nonce=nonce):
                    await put(Pong(nonce=nonce, server_ms=1.0))
                case Close():
                    if self.token == "deaf":
                        await asyncio.sleep(0.3)
                    await socket.close()
                case message:
                    await self.speak(message, put, socket)

    async def speak(self, message: Any, put: Any, socket: ServerConnection) -> None:
        if isinstance(message, Start):
            if message.voice in ("nobody", self.refused_voice):
                sentence = "expected a voice that exists, got nobody"
                await put(Error(code=self.refusal, message=sentence, utterance=message.utterance))
                return
            self.jobs[message.utterance] = Job(message)
            await put(replace(make_started(message.utterance), voice=message.voice or "plain"))
        job = self.jobs.get(message.utterance)
        if job is None:
            return
        await self.obey(job, message, put)
        match job.start.voice:
            case "crash" if job.text:
                socket.transport.abort()
            case "fatal" if job.text:
                await put(Error(code=ErrorCode.BUSY, message="expected patience", fatal=True, retry_after_ms=5))
                await socket.close(CloseCode.BUSY)
            case str(voice) if voice.startswith("close ") and job.text:
                job.start = replace(job.start, voice="plain")
                await socket.close(int(voice.removeprefix("close ")))
            case "garbage" if job.text:
                await socket.send(b"\xc1")
            case "disorder" if job.text:
                out_of_order = Audio(utterance=message.utterance, seq=99, pts=0, samples=0, data=b"")
                await socket.send(encode(out_of_order, Encoding.MSGPACK))
            case _:
                pass

    async def obey(self, job: Job, message: Any, put: Any) -> None:
        name = message.utterance
        match message:
            case Start(text=text, end=end) if text is not None or end:
                await job.add(text or "", put)
                if end:
                    await self.finish(job, put)
            case Text(text=text):
                await job.add(text, put)
            case End() if job.start.voice == "sick":
                sentence = "expected the engine to live"
                await put(Error(code=ErrorCode.ENGINE_FAILED, message=sentence, utterance=name, retry_after_ms=9))
                await self.finish(job, put, "error")
            case End() if job.start.voice == "silent failure":
                await self.finish(job, put, "error")
            case End() if job.start.voice != "endless":
                await self.finish(job, put)
            case Cancel() if name in self.jobs:
                await self.finish(job, put, "cancelled")
            case Format(audio=audio):
                await put(FormatChanged(utterance=name, audio=audio.resolved(44100, pre_skip=312)))

    async def finish(self, job: Job, put: Any, reason: Any = "end") -> None:
        del self.jobs[job.start.utterance]
        await put(job.done(reason))


OPUS = AudioFormat(codec="opus")
