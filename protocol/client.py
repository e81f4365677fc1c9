"""The asyncio client: text in, speech out.

    async with SpeechClient("ws://127.0.0.1:6006") as client:
        async for chunk in client.speak(deltas_of_an_llm(), voice="en-us"):
            play(chunk.pcm)

One client carries any number of utterances at once. Each is a Speech, which gives its chunks and takes cancel, more
text, and the listener's position. What the server refuses or fails comes as SpeechError from the iteration.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterable, Callable, Mapping
from contextlib import AsyncExitStack, suppress
from itertools import count
from types import TracebackType
from typing import Final, Literal, Self
from urllib.parse import urlsplit, urlunsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, WebSocketException
from websockets.typing import Subprotocol

from .connection import Connection, Side
from .errors import ConnectionLost, ErrorCode, RemoteProtocolError, SpeechError
from .journal import Journal
from .messages import (
    ABSENT,
    SUBPROTOCOL,
    Absent,
    Audio,
    AudioFormat,
    ClientMessage,
    Close,
    Error,
    Hello,
    Ping,
    Pong,
    Ready,
    Segmentation,
    ServerMessage,
    Start,
    UtteranceMessage,
)
from .speech import Line, Speech
from .text_flow import TextFlow
from .wire import SERVER_MESSAGE_BYTES, Encoding

PATH: Final = "/v1/stream"
CLOSE_TIMEOUT_S: Final = 1.0
"""How long a goodbye may take."""
MAX_BUFFERED_BYTES: Final = 64 << 20
"""Of one utterance: more than any format weighs of the 300 s that a server makes ahead (PROTOCOL.md, Pacing)."""


class SpeechClient:
    """A connection to one server, as an asynchronous context manager.

    `url`: `ws://` or `wss://`; without a path it gets the server's own. `token`: the server's API key. `audio`: what
    utterances are sent as unless they say otherwise. `lead_ms`: how far the server works ahead of the listener; None
    for background work, such as filling a file. `max_buffered_bytes`: sound of an utterance that is not taken; one
    that gets more fails with `slow_consumer`.

    Entering raises ConnectionLost if there is no such server, SpeechError if it refuses.
    """

    def __init__(
        self,
        url: str,
        *,
        token: str | None = None,
        audio: AudioFormat | None = None,
        lead_ms: int | Absent | None = ABSENT,
        name: str = "voxwire-python",
        encoding: Encoding = Encoding.MSGPACK,
        open_timeout_s: float = 10.0,
        proxy: str | Literal[True] | None = True,
        max_buffered_bytes: int = MAX_BUFFERED_BYTES,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._url = _with_path(url)
        self._hello = Hello(client=name, token=token, audio=audio, lead_ms=lead_ms)
        self._encoding = encoding
        self._open_timeout_s = open_timeout_s
        self._proxy = proxy
        self._max_buffered_bytes = max_buffered_bytes
        self._clock = clock
        self._journal = Journal()
        self._connection = Connection(Side.CLIENT, ledger=self._journal, encoding=encoding)
        self._speeches: dict[str, Speech] = {}
        self._flow = TextFlow(self._speeches, self._connection, clock)
        self._line = Line(post=self._post, pieces=self._flow.pieces, model=lambda: self.ready.model, clock=clock)
        self._pumps: dict[str, asyncio.Task[None]] = {}
        self._pings: dict[object, asyncio.Future[None]] = {}
        self._numbers = count(1)
        self._ready: Ready | None = None
        self._lost: SpeechError | None = None
        self._outbox: deque[bytes | str] = deque()  # bounded: text waits for room, playheads have an interval
        self._filled = asyncio.Event()

    @property
    def ready(self) -> Ready:
        """What the server said of itself, its model and its limits."""
        assert self._ready is not None, "expected a client that was entered"
        return self._ready

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            try:
                async with asyncio.timeout(self._open_timeout_s):
                    socket = await stack.enter_async_context(self._connect())
                    self._ready = await self._greet(socket)
            except TimeoutError:
                sentence = f"expected {self._url} to answer within {self._open_timeout_s:g} s, it did not"
                raise ConnectionLost(ErrorCode.TIMEOUT, sentence) from None
            except (OSError, WebSocketException, RemoteProtocolError) as error:
                sentence = f"expected a server at {self._url}, got: {error}"
                raise ConnectionLost(ErrorCode.INTERNAL, sentence) from error
            self._tasks = await stack.enter_async_context(asyncio.TaskGroup())
            self._reader = self._tasks.create_task(self._read(socket))
            self._writer = self._tasks.create_task(self._write(socket))
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._post(Close())
        self._lose(ConnectionLost(ErrorCode.INTERNAL, "expected an open client, got one that was left"))
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_TIMEOUT_S):
                    await asyncio.wait([self._reader])
        finally:
            self._reader.cancel()
            self._writer.cancel()
            await self._stack.aclose()

    def speak(
        self,
        text: str | AsyncIterable[str] | None = None,
        *,
        utterance: str | None = None,
        voice: str | None = None,
        language: str | None = None,
        speed: float | None = None,
        volume: float | None = None,
        seed: int | None = None,
        params: Mapping[str, float] | None = None,
        audio: AudioFormat | None = None,
        segmentation: Segmentation | None = None,
        words: bool | None = None,
        after: str | None = None,
        preempt: bool | None = None,
    ) -> Speech:
        """Start an utterance at once, and speak `text` as it comes; None: it is given with `write` and `end`.

        Raises LocalProtocolError for what the protocol does not allow, ConnectionLost if the server is gone.
        """
        if self._lost is not None:
            raise ConnectionLost(self._lost.code, self._lost.message)
        speech = Speech(utterance or f"u{next(self._numbers)}", self._line)
        one_shot = text if isinstance(text, str) and self._flow.fits_at_once(text) else None
        self._post(
            Start(
                utterance=speech.utterance,
                voice=voice,
                language=language,
                speed=speed,
                volume=volume,
                seed=seed,
                params=params or {},
                audio=audio,
                segmentation=segmentation,
                words=words,
                after=after,
                preempt=preempt,
                text=one_shot,
                end=True if one_shot is not None else None,
            )
        )
        speech.gave(one_shot or "")
        self._flow.spend(speech.num_chars)
        self._speeches[speech.utterance] = speech
        if text is not None and one_shot is None:
            self._pumps[speech.utterance] = self._tasks.create_task(speech.write_all(text))
        return speech

    async def ping(self) -> float:
        """The way to the server and back, in ms. Raises ConnectionLost."""
        if self._lost is not None:
            raise ConnectionLost(self._lost.code, self._lost.message)
        nonce, start = next(self._numbers), self._clock()
        answer = self._pings[nonce] = asyncio.get_running_loop().create_future()
        try:
            self._post(Ping(nonce=nonce))
            await answer
        finally:
            self._pings.pop(nonce, None)
        return 1000 * (self._clock() - start)

    def _connect(self) -> connect:
        return connect(
            self._url,
            subprotocols=[Subprotocol(SUBPROTOCOL)],
            compression=None,
            max_size=SERVER_MESSAGE_BYTES,
            open_timeout=None,
            close_timeout=CLOSE_TIMEOUT_S,
            proxy=self._proxy,
        )

    async def _greet(self, socket: ClientConnection) -> Ready:
        await socket.send(self._connection.send(self._hello))
        received = self._connection.receive(await socket.recv())
        answer = received and received.message
        if isinstance(answer, Error):
            raise SpeechError(answer.code, answer.message, retry_after_ms=answer.retry_after_ms)
        assert isinstance(answer, Ready), "expected the table to let nothing else come after hello"
        return answer

    async def _read(self, socket: ClientConnection) -> None:
        lost = ConnectionLost(ErrorCode.INTERNAL, "expected speech, but the server has closed the connection")
        try:
            async for data in socket:
                try:
                    received = self._connection.receive(data)
                except RemoteProtocolError as error:
                    if error.fatal:
                        await socket.close(error.close_code)
                        lost = ConnectionLost(error.code, error.message)
                    continue  # what is not fatal is what a newer server may say
                if received is not None:
                    self._dispatch(received.message)
                    if isinstance(received.message, Error) and received.message.fatal:
                        lost = ConnectionLost(received.message.code, received.message.message)
        except ConnectionClosed:
            pass  # without a goodbye, or with one that says less than the error before it
        finally:
            self._lose(lost)

    async def _write(self, socket: ClientConnection) -> None:
        try:
            while True:
                while self._outbox:
                    await socket.send(self._outbox.popleft())
                self._filled.clear()
                await self._filled.wait()
        except ConnectionClosed:
            pass  # the reader has seen it, too

    def _post(self, message: ClientMessage) -> None:
        if self._lost is None:
            self._outbox.append(self._connection.send(message))
            self._filled.set()

    def _dispatch(self, message: ServerMessage) -> None:
        if isinstance(message, Pong) and message.nonce in self._pings:
            self._pings.pop(message.nonce).set_result(None)
        if not isinstance(message, UtteranceMessage) or message.utterance not in self._speeches:
            return
        speech = self._speeches[message.utterance]
        speech.take(message)
        if speech.is_over:
            self._forget(speech)
        elif isinstance(message, Audio) and speech.buffered_bytes > self._max_buffered_bytes:
            sentence = "expected the server to wait while its speech is not taken, got more"
            speech.fail(SpeechError(ErrorCode.SLOW_CONSUMER, sentence))
        if not isinstance(message, Audio):
            self._flow.look_again()

    def _forget(self, speech: Speech) -> None:
        del self._speeches[speech.utterance]
        pump = self._pumps.pop(speech.utterance, None)
        if pump is not None:
            pump.cancel()

    def _lose(self, lost: ConnectionLost) -> None:
        self._lost = self._lost or lost
        for speech in list(self._speeches.values()):
            speech.lose(self._lost)
            self._forget(speech)
        for answer in self._pings.values():
            if not answer.done():
                answer.set_exception(self._lost)


def _with_path(url: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(path=PATH)) if parts.path in ("", "/") else url
