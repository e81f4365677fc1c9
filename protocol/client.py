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
from collections.abc import AsyncIterable, Awaitable, Callable, Collection, Mapping
from contextlib import AsyncExitStack
from dataclasses import replace
from itertools import count
from types import TracebackType
from typing import Final, Literal, Self

from .dial import Dial
from .errors import ConnectionLost
from .line import Line
from .link import Link
from .messages import (
    ABSENT,
    Absent,
    AudioFormat,
    Drain,
    Hello,
    Ping,
    Pong,
    Ready,
    Segmentation,
    ServerMessage,
    Start,
    UtteranceMessage,
)
from .reconnect import Backoff, LinkReport, Patience
from .roster import Roster
from .speech import Speech
from .wire import Encoding

MAX_BUFFERED_BYTES: Final = 64 << 20
"""Of one utterance: more than any format weighs of the 300 s that a server makes ahead (PROTOCOL.md, Pacing)."""


class SpeechClient:
    """A session with one server, as an asynchronous context manager.

    `url`: `ws://` or `wss://`; without a path it gets the server's own. `token`: the server's API key. `audio`: what
    utterances are sent as unless they say otherwise. `lead_ms`: how far the server works ahead of the listener; None
    for background work, such as filling a file. `max_buffered_bytes`: sound of an utterance that is not taken; one
    that gets more fails with `slow_consumer`.

    A connection that is lost, or silent for `silence_s`, is replaced, and the session resumed: nothing is lost or comes
    twice, and its users only wait. It ends with ConnectionLost when no server is found within `give_up_s` after the
    time for which the server keeps a session; at once with `resume` False, or where another try is of no use. A server
    that closes an idle connection is left in peace until there is something to say.
    `on_link` is told of all this; it must return at once, and not raise.

    Entering raises ConnectionLost if there is no such server, SpeechError if it refuses; that is not tried again.
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
        resume: bool = True,
        give_up_s: float = 60.0,
        silence_s: float = 4.5,
        on_link: Callable[[LinkReport], None] | None = None,
        proxy: str | Literal[True] | None = True,
        max_buffered_bytes: int = MAX_BUFFERED_BYTES,
        backoff: Backoff | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self.num_resumes = 0
        """So many connections were lost, and the session resumed on another."""
        self.on_link = on_link
        self._clock = clock
        patience = Patience(resumes=resume, open_timeout_s=open_timeout_s, give_up_s=give_up_s, silence_s=silence_s)
        self._link = Link(
            Dial(url, proxy),
            Hello(client=name, token=token, audio=audio, lead_ms=lead_ms),
            self,
            encoding=encoding,
            patience=patience,
            backoff=backoff,
            clock=clock,
            sleep=sleep,
        )
        self._roster = Roster(self._link, clock=clock, max_buffered_bytes=max_buffered_bytes, over=self._stop_writing)
        self._line = Line(
            post=self._link.post,
            pieces=self._roster.flow.pieces,
            look_again=self._roster.flow.look_again,
            model=lambda: self.ready.model,
            clock=clock,
        )
        self._pumps: dict[str, asyncio.Task[None]] = {}
        self._pings: dict[int, asyncio.Future[None]] = {}
        self._numbers = count(1)

    @property
    def ready(self) -> Ready:
        """What the server said of itself, its model and its limits; the latest."""
        assert self._link.ready is not None, "expected a client that was entered"
        return self._link.ready

    async def __aenter__(self) -> Self:
        await self._link.open()
        async with AsyncExitStack() as stack:
            self._tasks = await stack.enter_async_context(asyncio.TaskGroup())
            self._running = self._tasks.create_task(self._link.run())
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            await self._link.close(self._running)
        finally:
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
        self._link.check()
        one_shot = text if isinstance(text, str) and self._roster.flow.fits_at_once(text) else None
        start = Start(
            utterance=utterance or f"u{next(self._numbers)}",
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
        self._roster.expect_new(start.utterance)
        self._link.post(replace(start, after=self._roster.wire_id(after)))
        speech = Speech(start, self._line)
        self._roster.flow.spend(speech.num_chars)
        self._roster.enter(speech)
        if text is not None and one_shot is None:
            self._pumps[speech.utterance] = self._tasks.create_task(speech.write_all(text))
        return speech

    async def ping(self) -> float:
        """The way to the server and back, in ms. Raises ConnectionLost."""
        self._link.check()
        nonce, start = next(self._numbers), self._clock()
        answer = self._pings[nonce] = asyncio.get_running_loop().create_future()
        try:
            self._link.post(Ping(nonce=nonce))
            await answer
        finally:
            self._pings.pop(nonce, None)
        return 1000 * (self._clock() - start)

    @property
    def is_waiting(self) -> bool:
        """For the link: whether a pong is to come, or somebody's speech."""
        return bool(self._pings) or self._roster.is_speaking

    def hear(self, message: ServerMessage) -> None:
        """From the link."""
        if isinstance(message, Pong) and isinstance(message.nonce, int) and message.nonce in self._pings:
            answer = self._pings.pop(message.nonce)
            if not answer.done():  # who asked may have been cancelled a moment ago
                answer.set_result(None)
        elif isinstance(message, Drain):
            self._roster.is_draining = True
        elif isinstance(message, UtteranceMessage):
            self._roster.hear(message)

    def joined(self, *, resumed: bool, cancelled: Collection[str]) -> None:
        """From the link: what it does not keep is told again."""
        self.num_resumes += resumed
        self._roster.go_on(resumed=resumed, cancelled=cancelled)
        for nonce in self._pings:
            self._link.post(Ping(nonce=nonce))
        self.report(LinkReport(state="resumed" if resumed else "restarted"))

    def lose(self, lost: ConnectionLost) -> None:
        """From the link: it will not come back."""
        self._roster.lose(lost)
        for answer in self._pings.values():
            if not answer.done():
                answer.set_exception(lost)

    def report(self, report: LinkReport) -> None:
        """From the link."""
        if self.on_link is not None:
            self.on_link(report)

    def _stop_writing(self, speech: Speech) -> None:
        pump = self._pumps.pop(speech.utterance, None)
        if pump is not None:
            pump.cancel()
