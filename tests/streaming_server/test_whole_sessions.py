"""Whole sessions at random over real sockets, with connections lost in every way, held against a model of what is said.

Every sample is checked on its way (`Listener`). Here is the rest: each utterance ends once, with all its text and all
the sound of it; and what the server says it has taken is what it can have taken.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
from dataclasses import dataclass
from random import Random
from typing import Any

import pytest
import websockets
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from models.tone import CODE_POINT_SAMPLES
from protocol.errors import ErrorCode
from protocol.messages import (
    AudioFormat,
    Cancel,
    ClientMessage,
    Close,
    Counted,
    End,
    Error,
    Flush,
    Format,
    Ping,
    Playhead,
    Pong,
    Ready,
    Resume,
    Segment,
    Start,
    Text,
)
from protocol.wire import Encoding
from tests.streaming_server.listener import Listener
from tests.streaming_server.serving import Server, serving, until

NEVER_GOODBYE = 3001
"""A close code that keeps the session, as all but 1000 and 1001 do."""
MOST_LIVE = 12
GENERATE = (Phase.reuse, Phase.generate)
"""What fails is not made smaller: it depends on time, too."""

DELTAS = ["Hello ", "there. ", "It is ", "a long", " way, ", "you see", ". ", "Yes! ", "A tale of old. " * 15]
kinds = st.sampled_from(["start", "start", "text", "text", "text", "flush", "end", "format", "cancel", "refused"])
losses = st.sampled_from(["reset", "end", "close", "none"])
chances = st.integers(0, 2**32 - 1).map(Random)
"""One draw, whatever is chosen with it: what there is to choose from depends on time, and Hypothesis must not."""


@dataclass(slots=True)
class Told:
    """What the client has said of an utterance."""

    text: str
    ended: bool
    refused: bool = False
    cancelled: bool = False


class WholeSessions(RuleBasedStateMachine):
    """One listener. Its loop runs only while it does something: in between it is a client that does not read."""

    def __init__(self, server: Server) -> None:
        super().__init__()
        self.server = server
        self.runner = asyncio.Runner()
        self.told: dict[str, Told] = {}
        self.unsettled: list[Counted] = []
        """Counted messages since the latest `ready` that came."""
        self.num_taken = 0
        """Of those, so many must have arrived."""
        self.num_lost = 0
        """Of those, so many have not."""
        self.tokens: list[str] = []
        self.num_pings = 0

    @initialize(lead_ms=st.sampled_from([None, 60_000]), encoding=st.sampled_from(Encoding))
    def arrive(self, lead_ms: int | None, encoding: Encoding) -> None:
        self.listener = Listener(self.server, lead_ms=lead_ms, encoding=encoding)
        self.runner.run(self.listener.open())
        self.tokens.append(self.listener.ready.resume_token)

    # What the client says.

    def say(self, message: ClientMessage, *, lost: bool = False) -> None:
        self.runner.run(self.listener.say(message, lost=lost))
        if isinstance(message, Counted):
            self.unsettled.append(message)
            self.num_lost += lost

    def is_live(self, name: str) -> bool:
        """To the client, who may not have heard of its end yet."""
        refused = any(isinstance(each, Error) and each.utterance == name for each in self.listener.news)
        return name in self.told and name not in self.listener.done and not refused

    @property
    def live(self) -> list[str]:
        return [name for name in self.told if self.is_live(name)]

    @property
    def writable(self) -> list[str]:
        return [name for name in self.live if not (self.told[name].ended or self.told[name].refused)]

    @rule(kind=kinds, chance=chances)
    def say_something(self, kind: str, chance: Random, lost: bool = False) -> None:
        """Something that may be said just now, if there is any of that kind."""
        match kind:
            case "start" | "refused" if len(self.live) < MOST_LIVE:
                self.start(chance, is_refused=kind == "refused", lost=lost)
            case "text" | "flush" | "end" | "format" if self.writable:
                self.write(kind, chance.choice(self.writable), chance, lost=lost)
            case "cancel" if self.live:
                name = chance.choice([*self.live, "*"])
                self.cancelled(self.live if name == "*" else [name])
                self.say(Cancel(utterance=name, at=chance.choice([None, "word"])), lost=lost)

    def start(self, chance: Random, *, is_refused: bool, lost: bool) -> None:
        number = len(self.told)
        text = "".join(chance.choices(DELTAS, k=chance.randint(0, 3)))
        end, preempt = chance.random() < 0.5, chance.random() < 0.1
        start = Start(
            utterance=f"u{number}",
            seed=number,
            text=text,
            end=end or None,
            voice="nobody" if is_refused else None,
            preempt=preempt or None,
            after=chance.choice([None, *self.told]),
        )
        if preempt and not is_refused:
            self.cancelled(self.live)
        self.told[start.utterance] = Told(text, end, is_refused)
        self.say(start, lost=lost)

    def write(self, kind: str, name: str, chance: Random, *, lost: bool) -> None:
        told = self.told[name]
        match kind:
            case "text":
                delta = chance.choice(DELTAS)
                told.text += "" if told.cancelled else delta
                self.say(Text(utterance=name, text=delta), lost=lost)
            case "flush":
                self.say(Flush(utterance=name), lost=lost)
            case "format":
                self.say(Format(utterance=name, audio=AudioFormat()), lost=lost)
            case _:
                told.ended = True
                self.say(End(utterance=name), lost=lost)

    def cancelled(self, names: list[str]) -> None:
        for name in names:
            self.told[name].cancelled = True

    @precondition(lambda self: self.listener.num_heard)
    @rule(is_about_sound=st.booleans(), chance=chances)
    def tell_what_was_heard(self, is_about_sound: bool, chance: Random) -> None:
        name = chance.choice([*self.listener.num_heard])
        seq = self.listener.pass_.received.get(name)
        if seq is not None:
            played, received = (self.listener.num_heard[name], None) if is_about_sound else (None, seq)
            self.say(Playhead(utterance=name, played=played, received=received))

    # What it hears.

    @rule(wait_ms=st.sampled_from([0, 5, 50]))
    def listen(self, wait_ms: int) -> None:
        """All that came before the answer to a ping: which tells that what was said before it has arrived, too."""
        self.runner.run(asyncio.sleep(wait_ms / 1000))
        self.num_pings += 1
        self.say(Ping(nonce=self.num_pings))
        self.runner.run(self.listener.hear(lambda: self.is_answer(self.listener.messages[-1])))
        self.num_taken = len(self.unsettled)

    def is_answer(self, message: object) -> bool:
        return isinstance(message, Pong) and message.nonce == self.num_pings

    # What becomes of the connection.

    @rule(
        how=losses,
        lost=st.lists(kinds, max_size=2),
        num_readies_lost=st.integers(0, 2),
        again=st.sampled_from(Encoding),
        chance=chances,
    )
    def lose(self, how: str, lost: list[str], num_readies_lost: int, again: Encoding, chance: Random) -> None:
        """`none`: the client comes from elsewhere, while its old connection is still there."""
        for kind in lost:
            self.say_something(kind, chance, lost=True)
        old = self.listener.socket
        self.runner.run(self.hang_up(how))
        self.listener.encoding = again
        for _ in range(num_readies_lost):
            self.runner.run(self.lose_a_ready(chance.choice([0, 0.02])))
        self.runner.run(self.listener.open())
        if how == "none":
            self.runner.run(self.closes_with(old, 4409))
        self.check_ready()

    async def hang_up(self, how: str) -> None:
        match how:
            case "reset":
                self.listener.cut()
            case "end":
                self.listener.socket.transport.close()
            case "close":
                await self.listener.socket.close(NEVER_GOODBYE)
            case _:
                pass
        await asyncio.sleep(0)

    async def lose_a_ready(self, seconds: float) -> None:
        await self.listener.greet()
        await asyncio.sleep(seconds)
        self.listener.cut()

    async def closes_with(self, socket: Any, code: int) -> None:
        with contextlib.suppress(websockets.ConnectionClosed):
            async for _ in socket:
                pass
        assert socket.close_code == code

    def check_ready(self) -> None:
        ready = self.listener.ready
        assert ready.resumed
        assert ready.resume_token not in self.tokens
        self.tokens.append(ready.resume_token)
        num_taken = ready.client_messages
        assert self.num_taken <= num_taken <= len(self.unsettled) - self.num_lost
        not_taken = iter(self.unsettled[num_taken:])
        assert all(message in not_taken for message in self.listener.said_again)  # in order; what still means something
        self.unsettled = list(self.listener.said_again)
        self.num_taken = self.num_lost = 0

    @precondition(lambda self: len(self.tokens) > 1)
    @rule(chance=chances)
    def present_an_old_token(self, chance: Random) -> None:
        """Once the latest `ready` is known to have come, no earlier token opens anything."""
        self.listen(0)
        token = chance.choice(self.tokens[:-1])
        self.runner.run(self.try_to_steal(token))
        self.listen(0)

    async def try_to_steal(self, token: str) -> None:
        thief = Listener(self.server)
        await thief.greet(Resume(session=self.listener.ready.session, token=token))
        await thief.hear(lambda: isinstance(thief.messages[-1], Ready))
        assert [type(message) for message in thief.messages] == [Error, Ready]
        assert not thief.ready.resumed
        await thief.say(Close())
        assert await thief.close_code() == 1000

    # The end.

    def teardown(self) -> None:
        if not self.tokens:
            return
        try:
            for name in self.writable:
                self.say(End(utterance=name))
            self.runner.run(self.listener.hear(lambda: not self.live))
            for name, told in self.told.items():
                self.check(name, told)
            self.say(Close())
            assert self.runner.run(self.listener.close_code()) == 1000
        finally:
            self.runner.run(self.hang_up("reset"))
            self.runner.close()

    def check(self, name: str, told: Told) -> None:
        listener = self.listener
        if told.refused:
            assert name not in listener.done
            codes = {each.code for each in listener.news if isinstance(each, Error) and each.utterance == name}
            assert codes == {ErrorCode.UNKNOWN_VOICE}
            return
        done = listener.done[name]
        assert done.text_chars == len(told.text)
        if not told.cancelled:
            assert done.reason == "end"
        if done.reason == "end":
            segments = [each for each in listener.news if isinstance(each, Segment) and each.utterance == name]
            assert [segment.index for segment in segments] == list(range(len(segments)))
            assert letters("".join(segment.spoken for segment in segments)) == letters(told.text)
            assert done.samples == CODE_POINT_SAMPLES * sum(len(segment.spoken) for segment in segments)
            assert listener.num_heard[name] == done.samples


def letters(text: str) -> str:
    return re.sub("[^A-Za-z]", "", text)


async def play(num_sessions: int, caplog: pytest.LogCaptureFixture) -> None:
    async with serving("tone") as server:
        await asyncio.to_thread(
            run_state_machine_as_test,
            lambda: WholeSessions(server),
            settings=settings(max_examples=num_sessions, stateful_step_count=25, phases=GENERATE),
        )
        await until(lambda: not server.engine.num_streams)
    assert not [record for record in caplog.records if record.exc_info or record.levelno >= logging.ERROR], caplog.text


async def test_whatever_is_said_is_heard_once_however_often_the_connection_is_lost(
    caplog: pytest.LogCaptureFixture,
) -> None:
    await play(20, caplog)


@pytest.mark.full
@pytest.mark.timeout(900)
async def test_four_hundred_sessions_are_heard_once(caplog: pytest.LogCaptureFixture) -> None:
    await play(400, caplog)
