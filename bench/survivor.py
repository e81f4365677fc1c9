"""A listener who outlives his connections: resumes, plays on from what he has, and checks every sample."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, cast

import msgpack

from models.tone import SAMPLE_RATE as TONE_RATE_HZ
from protocol.connection import Connection, Side
from protocol.errors import LocalProtocolError, RemoteProtocolError
from protocol.journal import Journal
from protocol.messages import AudioFormat, ClientMessage, Close, Hello, Playhead, Ready, Resume, Start
from protocol.state import SessionState

from .playout import Playout
from .proof import Proof
from .websocket import Address, ConnectionFailed, WebSocket

WAIT_S = 30.0
"""What has not come by then does not come."""

PLAYHEAD_INTERVAL_S = 0.1


class Hearing:
    """What came of one utterance of the tone voice."""

    def __init__(self, start: Start, audio: AudioFormat, lead_ms: int | None) -> None:
        is_opus = audio.codec == "opus"
        self.proof = Proof(
            rate_hz=TONE_RATE_HZ,
            tone_seed=None if is_opus else start.seed,
            frame_ms=audio.frame_ms if is_opus else None,
        )
        self.playout = Playout(TONE_RATE_HZ, lead_ms or 0)
        self.asked_at = time.monotonic()
        self.news_at = 0.0
        """When the latest audio came."""
        self.reason: str | None = None
        """Of its `done`."""
        self.num_chars = 0
        """Of its text, as its `done` has it."""
        self.error: str | None = None
        """Code of the last error that named it."""
        self.was_refused = False

    @property
    def is_over(self) -> bool:
        return self.reason is not None or self.was_refused

    @property
    def is_whole(self) -> bool:
        """Spoken to its end, every sample of it right and in its place."""
        return self.reason == "end" and not self.proof.num_faults

    def take(self, message: dict[str, Any], at: float) -> None:
        match message["type"]:
            case "audio":
                self.playout.arrive(message["pts"], message["samples"], at)
                self.news_at = at
            case "done":
                self.reason, self.num_chars = message["reason"], message["text_chars"]
            case "error":
                self.error = message["code"]
                if "seq" not in message:
                    self.was_refused = self.proof.next_seq == 0
                    return
        self.proof.take(message)


class Survivor:
    """One session, over one connection at a time. `connect` makes the first and every later one."""

    def __init__(
        self, address: Address, buffer: bytearray, *, lead_ms: int | None = 320, audio: AudioFormat | None = None
    ) -> None:
        self.address = address
        self.hearings: dict[str, Hearing] = {}
        self.ready: Ready | None = None
        """The newest."""
        self.errors: list[dict[str, Any]] = []
        """Those that named no utterance."""
        self.fault: str | None = None
        """Why the last connection is over, if it is."""
        self.close_code: int | None = None
        self._audio = audio or AudioFormat()
        self._lead_ms = lead_ms
        self._hello = Hello(audio=audio, lead_ms=lead_ms)
        self._buffer = buffer
        self._journal = Journal()
        self._connection = Connection(Side.CLIENT, ledger=self._journal)
        self._link: _Link | None = None
        self._changed = asyncio.Event()
        self._told: dict[str, Playhead] = {}

    @property
    def is_connected(self) -> bool:
        return self._link is not None and self._connection.state is SessionState.READY

    async def connect(self, *, receive_buffer_bytes: int | None = None) -> None:
        """A new connection, and all that either side lacks. Raises ConnectionFailed, TimeoutError."""
        link = _Link(self, self._buffer)
        await link.connect(self.address, receive_buffer_bytes=receive_buffer_bytes)
        resume = None
        if self.ready is not None:
            resume = Resume(session=self.ready.session, token=self.ready.resume_token, received=self._journal.received)
        self._link, self._connection = link, Connection(Side.CLIENT, ledger=self._journal)
        link.send_bytes(cast("bytes", self._connection.send(replace(self._hello, resume=resume))))
        await self.until(lambda: self.is_connected)

    async def connected(self) -> None:
        """Wait until somebody has connected it."""
        while not self.is_connected:
            self._changed.clear()
            await self._changed.wait()

    def say(self, message: ClientMessage) -> None:
        """It is taken once, whatever becomes of the connection. Not while that is being opened: LocalProtocolError."""
        if isinstance(message, Start):
            self.hearings[message.utterance] = Hearing(message, message.audio or self._audio, self._lead_ms)
        data = self._connection.send(message)
        if self._link is not None:
            self._link.send_bytes(cast("bytes", data))

    async def hear(self, start: Start) -> Hearing:
        """Ask for it, and wait for its first audio or its refusal. Raises ConnectionFailed, TimeoutError."""
        self.say(start)
        hearing = self.hearings[start.utterance]
        await self.until(lambda: hearing.was_refused or hearing.playout.started_at is not None)
        return hearing

    @contextmanager
    def playing(self) -> Iterator[None]:
        """Meanwhile the server is told how much is heard, as often as that changes."""
        telling = asyncio.create_task(self._keep_telling())
        try:
            yield
        finally:
            telling.cancel()

    async def until(self, condition: Callable[[], bool], *, wait_s: float = WAIT_S) -> None:
        """Raises ConnectionFailed when the connection ends before, TimeoutError."""
        async with asyncio.timeout(wait_s):
            while not condition():
                if self._link is None:
                    raise ConnectionFailed(self.fault or f"the connection is lost, code {self.close_code}")
                self._changed.clear()
                await self._changed.wait()

    def reset(self) -> None:
        """What is under way is lost, in both directions."""
        if self._link is not None:
            self._link.reset()
            self._link = None

    def stop_reading(self) -> None:
        """As a process that hangs: the kernel's buffers fill."""
        assert self._link is not None, "expected a connection"
        self._link.stop_reading()

    def leave(self) -> None:
        """With a goodbye: the server forgets the session."""
        if self.is_connected:
            self.say(Close())
        if self._link is not None:
            self._link.close()
            self._link = None

    def take(self, link: _Link, payload: bytes, at: float) -> None:
        """What came on one of its connections."""
        if link is not self._link:
            return
        try:
            received = self._connection.receive(payload)
        except RemoteProtocolError as error:
            if error.fatal:
                self.fault = f"the server broke the protocol: {error}"
                self.reset()
            self._changed.set()
            return
        if received is not None:
            if isinstance(received.message, Ready):
                self._greeted(link, received.message)
            else:
                self._heed(msgpack.unpackb(payload), at)
        self._changed.set()

    def lose(self, link: _Link) -> None:
        """One of its connections is over."""
        if link is self._link:
            self._link, self.fault, self.close_code = None, link.fault, link.close_code
            self._changed.set()

    def _greeted(self, link: _Link, ready: Ready) -> None:
        self.ready, self._journal = ready, self._connection.journal
        for data in self._connection.resend(self._connection.unsettled):
            link.send_bytes(cast("bytes", data))

    def _heed(self, message: dict[str, Any], at: float) -> None:
        if (name := message.get("utterance")) in self.hearings:
            self.hearings[name].take(message, at)
        elif message["type"] == "error":
            self.errors.append(message)
            if message["code"] == "resume_failed":
                for each in self._journal.live:
                    self.hearings[each].reason, self.hearings[each].error = "error", "resume_failed"

    async def _keep_telling(self) -> None:
        while True:
            for name, hearing in self.hearings.items():
                if self.is_connected and hearing.playout.started_at is not None:
                    self._tell(name, hearing)
            await asyncio.sleep(PLAYHEAD_INTERVAL_S)

    def _tell(self, name: str, hearing: Hearing) -> None:
        playhead = Playhead(
            utterance=name,
            played=hearing.playout.played(time.monotonic()),
            received=hearing.proof.next_seq + (hearing.reason is not None),
        )
        if playhead != self._told.get(name):
            self._told[name] = playhead
            try:
                self.say(playhead)
            except LocalProtocolError:  # it was over long ago
                return


class _Link(WebSocket):
    """One connection of a survivor's."""

    def __init__(self, owner: Survivor, buffer: bytearray) -> None:
        super().__init__(buffer)
        self._owner = owner

    def received_bytes(self, payload: memoryview, at: float) -> None:
        self._owner.take(self, bytes(payload), at)

    def lost(self) -> None:
        self._owner.lose(self)

    def stop_reading(self) -> None:
        if self._transport is not None:
            self._transport.pause_reading()
