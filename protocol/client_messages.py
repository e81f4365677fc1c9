"""What a client may say, as frozen values (PROTOCOL.md, "Client to server")."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal

from .constraints import Range
from .errors import ErrorCode
from .fields import (
    ABSENT,
    VERSION,
    Absent,
    AudioFormat,
    CancelTarget,
    Count,
    Fault,
    Label,
    Name,
    Nonce,
    Number,
    Prose,
    Secret,
    Segmentation,
    Ticks,
    UtteranceId,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Resume:
    """`hello.resume`: which session, and for each utterance whose `done` is lacking, the next seq wanted."""

    session: Name
    token: Secret = field(repr=False)
    received: Mapping[UtteranceId, Count] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientInfo:
    """Who calls, for the server's log."""

    name: Label = ""
    version: Label = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hello:
    """Opens or resumes a session."""

    version: int = VERSION
    client: Label | ClientInfo | None = None
    token: Secret | None = field(default=None, repr=False)  # not for logs
    audio: AudioFormat | None = None
    lead_ms: Annotated[int, Range(0, 60000)] | Absent | None = ABSENT  # None: background work
    resume: Resume | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """Opens an utterance; `text` with `end` makes it a one-shot."""

    utterance: UtteranceId
    voice: Name | None = None
    language: Name | None = None
    speed: Annotated[float, Range(0.5, 2.0)] | None = None
    volume: Annotated[float, Range(0.0, 2.0)] | None = None
    seed: Annotated[int, Range(0, 2**32 - 1)] | None = None
    params: Mapping[Name, Number] = field(default_factory=dict)
    audio: AudioFormat | None = None
    segmentation: Segmentation | None = None
    words: bool | None = None
    after: UtteranceId | None = None
    preempt: bool | None = None
    text: Prose | None = None
    end: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """A delta of any length, cut between any two code points."""

    utterance: UtteranceId
    text: Prose


@dataclass(frozen=True, slots=True, kw_only=True)
class Flush:
    """Speak what is buffered now; the utterance stays open."""

    utterance: UtteranceId


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """No more text."""

    utterance: UtteranceId


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancel:
    """Barge-in, on one utterance or on all (`*`)."""

    utterance: CancelTarget
    at: Literal["now", "word"] | None = None
    played: Ticks | Mapping[UtteranceId, Ticks] | None = None  # with `*`: by utterance id

    def fault(self) -> Fault | None:
        """What no single field shows."""
        if isinstance(self.played, int) and self.utterance == "*":
            return ErrorCode.BAD_VALUE, "expected played to be a map by utterance id with *, got an integer"
        if isinstance(self.played, Mapping) and self.utterance != "*":
            return ErrorCode.BAD_VALUE, "expected played to be an integer with one utterance, got a map"
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Playhead:
    """What was heard, what arrived, and whether the listener has paused."""

    utterance: UtteranceId
    played: Ticks | None = None
    received: Count | None = None  # next seq wanted
    paused: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """Another codec or bitrate from the next patch on."""

    utterance: UtteranceId
    audio: AudioFormat


@dataclass(frozen=True, slots=True, kw_only=True)
class Ping:
    """Asks for a `pong` with the same nonce."""

    nonce: Nonce | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Close:
    """Clean goodbye: the session is forgotten."""
