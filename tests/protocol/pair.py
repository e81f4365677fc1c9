"""Two connections joined by a fake wire: what one sends the other receives, at once or when the test says so."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

import pytest

from protocol.connection import Connection, Side
from protocol.errors import ErrorCode, LocalProtocolError, RemoteProtocolError
from protocol.journal import Journal
from protocol.ledger import Ledger
from protocol.messages import (
    Audio,
    AudioFormat,
    Done,
    Hello,
    Limits,
    ModelDescription,
    Ready,
    Resume,
    Segment,
    ServerInfo,
    Spoken,
    Start,
    Started,
)
from protocol.wire import Encoding

PCM = AudioFormat(sample_rate=44100, pre_skip=0)
MODEL = ModelDescription(name="tone", sample_rate=44100, patch_ms=160.0, token_rate=6.25)


def make_ready(**changes: Any) -> Ready:
    values: dict[str, Any] = {
        "session": "session-1",
        "resume_token": "token-1",
        "server": ServerInfo(name="voxwire", version="0"),
        "model": MODEL,
        "audio": PCM,
        "voice": "plain",
    }
    return Ready(**(values | changes))


def make_started(utterance: str = "u") -> Started:
    return Started(utterance=utterance, voice="plain", language="en", seed=1, audio=PCM)


def make_segment(utterance: str = "u", index: int = 0, pts: int = 0) -> Segment:
    return Segment(utterance=utterance, index=index, text_start=0, text_end=2, spoken="hi", pts=pts)


def make_audio(utterance: str = "u", pts: int = 0, samples: int = 4) -> Audio:
    return Audio(utterance=utterance, pts=pts, samples=samples, data=bytes(2 * samples))


def make_done(utterance: str = "u", samples: int = 0, reason: Any = "end", spoken: Spoken | None = None) -> Done:
    return Done(utterance=utterance, reason=reason, samples=samples, text_chars=2, spoken=spoken)


class Pair:
    """A client and a server. Every message goes through both machines."""

    def __init__(
        self,
        *,
        limits: Limits | None = None,
        encoding: Encoding = Encoding.MSGPACK,
        ledger: Ledger | None = None,
        journal: Journal | None = None,
    ) -> None:
        self.client = Connection(Side.CLIENT, ledger=journal, encoding=encoding)
        self.server = Connection(Side.SERVER, limits=limits, ledger=ledger)
        self.uplink: deque[bytes | str] = deque()
        self.downlink: deque[bytes | str] = deque()

    def client_sends(self, message: Any) -> Any:
        """Send and deliver; returns the message as the server sees it, or None if it ignores it."""
        received = self.server.receive(self.client.send(message))
        return received and received.message

    def server_sends(self, message: Any) -> Any:
        received = self.client.receive(self.server.send(message))
        return received and received.message

    def open(self, **ready: Any) -> Pair:
        """Up to `ready`."""
        self.client_sends(Hello())
        self.server_sends(make_ready(limits=self.server.limits, **ready))
        return self

    def start(self, utterance: str = "u", **start: Any) -> Pair:
        """Up to `started`."""
        self.client_sends(Start(utterance=utterance, **start))
        self.server_sends(make_started(utterance))
        return self

    def speak(self, utterance: str = "u", *, patches: int = 3, from_patch: int = 0) -> Pair:
        """Up to the audio of `patches` patches of four samples."""
        if from_patch == 0:
            self.server_sends(make_segment(utterance))
        for index in range(from_patch, from_patch + patches):
            self.server_sends(make_audio(utterance, pts=4 * index))
        return self

    def cut(self) -> Pair:
        """The connection is lost; both sides keep what they know and meet again, up to the server's `ready`."""
        other = Pair(encoding=self.client.encoding, journal=self.client.journal)
        resume = Resume(session="session-1", token="token-1", received=self.client.journal.received)
        other.client_sends(Hello(resume=resume))
        other.server.resume(self.server.ledger)
        return other


def refuses_to_send(send: Callable[[Any], Any], message: Any, code: ErrorCode) -> LocalProtocolError:
    with pytest.raises(LocalProtocolError) as caught:
        send(message)
    assert caught.value.code is code
    return caught.value


def refuses_to_take(send: Callable[[Any], Any], message: Any, code: ErrorCode) -> RemoteProtocolError:
    with pytest.raises(RemoteProtocolError) as caught:
        send(message)
    assert caught.value.code is code
    return caught.value
