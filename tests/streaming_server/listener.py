"""A client that outlives its connections, and checks every sample that it hears."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Protocol, Self

import numpy as np
import websockets
from websockets.asyncio.client import ClientConnection, connect

from models.tone import tone_samples
from protocol.connection import Connection, Side
from protocol.journal import Journal
from protocol.messages import (
    Audio,
    Cancel,
    ClientMessage,
    Counted,
    Done,
    Hello,
    Ready,
    Resume,
    ServerMessage,
    Start,
    Started,
    UtteranceMessage,
)
from protocol.wire import Encoding
from tests.streaming_server.serving import WAIT_S

FADE_SAMPLES = 441
"""10 ms, with which an utterance ends that is to end at a word."""


class Door(Protocol):
    """A server, or a way to one."""

    @property
    def stream_url(self) -> str: ...


class Listener:
    """One session over one connection at a time: the protocol's own client half, and what came of it."""

    def __init__(self, server: Door, *, encoding: Encoding = Encoding.MSGPACK, **hello: Any) -> None:
        self._server = server
        self._hello = Hello(**hello)
        self.encoding = encoding
        self._journal = Journal()
        self._seeds: dict[str, int] = {}
        self._ends_at_a_word: set[str] = set()
        self.socket: ClientConnection
        self.ready: Ready
        self.said_again: tuple[Counted, ...] = ()
        """On the present connection, after `ready`: what the server had not taken and still means something."""
        self.num_heard: dict[str, int] = {}
        """Samples of each utterance, all of them right."""
        self.done: dict[str, Done] = {}
        self.messages: list[ServerMessage] = []
        """Of the present connection, those that were no news included."""
        self.news: list[ServerMessage] = []

    async def open(self) -> Self:
        """A new connection: what either side lacks comes again."""
        await self.greet()
        await self.hear(lambda: isinstance(self.messages[-1], Ready))
        self.said_again = self._connection.unsettled
        for data in self._connection.resend(self.said_again):
            await self.socket.send(data)
        return self

    async def greet(self, resume: Resume | None = None) -> None:
        """A new connection, up to its `hello`. Without `resume` the session is asked for that there was, if any."""
        self.socket = await connect(
            self._server.stream_url,
            subprotocols=[websockets.Subprotocol("voxwire.v1")],
            compression=None,
            max_size=None,
            max_queue=None,
        )
        self._connection = Connection(Side.CLIENT, ledger=self._journal, encoding=self.encoding)
        self.messages = []
        self._is_cut_off = False
        if resume is None and hasattr(self, "ready"):
            resume = self.pass_
        await self.socket.send(self._connection.send(replace(self._hello, resume=resume)))

    @property
    def pass_(self) -> Resume:
        return Resume(session=self.ready.session, token=self.ready.resume_token, received=self._journal.received)

    async def say(self, message: ClientMessage, *, lost: bool = False) -> None:
        """`lost`: on its way, like all that follows it on this connection; the client takes it for sent."""
        if isinstance(message, Start):
            assert message.seed is not None, "expected a seed to hold the samples to"
            self._seeds[message.utterance] = message.seed
            self.num_heard[message.utterance] = 0
        if isinstance(message, Cancel) and message.at == "word":
            self._ends_at_a_word |= {*self.num_heard} if message.utterance == "*" else {message.utterance}
        data = self._connection.send(message)
        self._is_cut_off |= lost
        if not self._is_cut_off:
            await self.socket.send(data)

    async def hear(self, enough: Callable[[], bool]) -> None:
        """Messages until there is enough. Raises websockets.ConnectionClosed."""
        async with asyncio.timeout(WAIT_S):
            while not (self.messages and enough()):
                received = self._connection.receive(await self.socket.recv())
                if received is None:
                    continue
                self.messages.append(received.message)
                self._note(received.message)

    async def hear_out(self, *utterances: str) -> None:
        await self.hear(lambda: all(name in self.done for name in utterances))

    async def hear_some(self, utterance: str, num_samples: int = 1) -> None:
        """At least so many samples more."""
        wanted = self.num_heard[utterance] + num_samples
        await self.hear(lambda: self.num_heard[utterance] >= wanted)

    def move_to(self, door: Door) -> None:
        """Of the connections from now on."""
        self._server = door

    def cut(self) -> None:
        """Without a goodbye; what was on the way is lost."""
        self.socket.transport.abort()

    async def close_code(self) -> int | None:
        try:
            await self.hear(lambda: False)
        except websockets.ConnectionClosed:
            return self.socket.close_code
        raise AssertionError("expected the connection to end")

    def _note(self, message: ServerMessage) -> None:
        match message:
            case Ready():
                self.ready, self._journal = message, self._connection.journal
            case Started():
                assert message.seed == self._seeds[message.utterance]
            case Audio(utterance=name, data=bytes() as data):
                assert message.pts == self.num_heard[name], "expected no sample lost or repeated"
                heard = np.frombuffer(data, "<i2")
                oracle = tone_samples(self._seeds[name], message.pts, message.samples)
                num_whole = max(0, message.samples - FADE_SAMPLES) if name in self._ends_at_a_word else message.samples
                np.testing.assert_array_equal(heard[:num_whole], oracle[:num_whole])
                assert (np.abs(heard[num_whole:]) <= np.abs(oracle[num_whole:])).all(), "expected a fade"
                self.num_heard[name] += message.samples
            case Done(utterance=name):
                assert name not in self.done, "expected one done"
                self.done[name] = message
            case _:
                pass
        if isinstance(message, UtteranceMessage):
            self.news.append(message)
