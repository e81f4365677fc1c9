"""What a server may say, as frozen values (PROTOCOL.md, "Server to client")."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal, NamedTuple

from .constraints import Range
from .errors import ErrorCode
from .fields import (
    VERSION,
    AudioFormat,
    Control,
    Count,
    Fault,
    Label,
    Milliseconds,
    Name,
    Nonce,
    Number,
    Prose,
    Secret,
    Ticks,
    UtteranceId,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerInfo:
    """Who answers."""

    name: Label
    version: Label


@dataclass(frozen=True, slots=True, kw_only=True)
class Controls:
    """Who does what to the voice: the model itself, a stretch behind it, or nobody."""

    speed: Control = "none"
    volume: Control = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class ParamRange:
    """One knob of the model."""

    min: Number
    max: Number
    default: Number


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelDescription:
    """`ready.model`."""

    name: Label
    sample_rate: Annotated[int, Range(1, 768000)]  # Hz; the ticks of all media time
    patch_ms: Milliseconds
    token_rate: Number  # patches a second
    languages: tuple[Label, ...] = ()
    neural: bool = False
    deterministic: bool = True
    realtime: bool = True  # faster than a listener listens
    rtf: Number | None = None  # measured seconds of work for a second of speech; None: not measured yet
    controls: Controls = field(default_factory=Controls)
    params: Mapping[Name, ParamRange] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """`ready.limits`: every bound a client can run into. A session counts by these, and so does its client."""

    message_bytes: Count = 65_536  # one client message on the wire
    utterances: Count = 16  # open at once
    ids: Count = 1024  # finished ids remembered against reuse
    text_chars: Count = 200_000  # code points of one utterance
    pending_chars: Count = 50_000  # code points taken and not yet spoken, all utterances
    chars_per_s: Count = 5000
    messages_per_s: Count = 500
    errors: Count = 16  # undecodable messages forgiven
    lead_ms: Count = 60_000  # the largest `hello.lead_ms`
    replay_bytes: Count = 16 * 2**20  # messages held for a resume
    resume_ms: Count = 30_000  # how long a lost connection's session is kept
    idle_ms: Count = 300_000  # a session without utterances or messages
    utterance_idle_ms: Count = 120_000  # an open utterance without text
    text_timeout_ms: Count = 600  # the writer pauses: what is buffered is spoken
    session_ms: Count = 14_400_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """The session is open. `client_messages`: how many the server had taken (PROTOCOL.md, "Resume")."""

    version: int = VERSION
    session: Name
    resume_token: Secret = field(repr=False)
    resumed: bool = False
    client_messages: Count = 0
    server: ServerInfo
    model: ModelDescription
    audio: AudioFormat
    voice: Name
    limits: Limits = field(default_factory=Limits)
    resume: Literal["local", "shared"] = "local"
    unknown: tuple[Label, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """The start is accepted; these are its resolved values."""

    utterance: UtteranceId
    seq: Count = 0
    voice: Name
    language: Name
    seed: Count
    params: Mapping[Name, Number] = field(default_factory=dict)
    audio: AudioFormat
    unknown: tuple[Label, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """The next stretch of text is spoken from `pts` on. `spoken` is the normalised text."""

    utterance: UtteranceId
    seq: Count = 0
    index: Count
    text_start: Count  # code points of the utterance's original text
    text_end: Count
    spoken: Prose
    pts: Ticks


class WordTiming(NamedTuple):
    """One word: where it stands in the text (code points), where it sounds (ticks)."""

    text_start: int
    text_end: int
    pts: int
    pts_end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """Words of the audio that follows."""

    utterance: UtteranceId
    seq: Count = 0
    words: tuple[WordTiming, ...]
    estimated: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Audio:
    """Sound: `samples` ticks from `pts` on, as PCM in `data` or as raw Opus `packets`; never both, never neither."""

    utterance: UtteranceId
    seq: Count = 0
    pts: Ticks
    samples: Ticks
    data: bytes | None = None
    packets: tuple[bytes, ...] | None = None

    def fault(self) -> Fault | None:
        """What no single field shows."""
        if (self.data is None) == (self.packets is None):
            got = "neither" if self.data is None else "both"
            return ErrorCode.BAD_VALUE, f"expected either data or packets, got {got}"
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class FormatChanged:
    """`format` from the server: a new run starts with the next audio."""

    utterance: UtteranceId
    seq: Count = 0
    audio: AudioFormat


@dataclass(frozen=True, slots=True, kw_only=True)
class Spoken:
    """Where the listener stops, when an utterance ends before its text does."""

    text_end: Count  # code points
    pts: Ticks
    mid_word: bool
    estimated: bool
    text: Prose  # original text that is heard
    remaining: Prose  # and the rest of it


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """Where the time went: ms from the utterance's first text; None where that point was never reached."""

    segment_cut: Number | None = None
    scheduled: Number | None = None
    first_patch: Number | None = None
    first_audio_sent: Number | None = None
    done: Number | None = None
    engine_ms: Number | None = None
    rtf: Number | None = None
    patches: Count = 0
    cached_segments: Count = 0
    resumes: Count = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """The end of an utterance; nothing follows for its id."""

    utterance: UtteranceId
    seq: Count = 0
    reason: Literal["end", "cancelled", "error"]
    samples: Ticks
    text_chars: Count
    spoken: Spoken | None = None
    trace: Trace = field(default_factory=Trace)


@dataclass(frozen=True, slots=True, kw_only=True)
class Error:
    """Something was refused or failed. `seq` is there when it belongs to the stream of a live utterance."""

    code: ErrorCode
    message: Prose
    utterance: UtteranceId | None = None
    seq: Count | None = None
    fatal: bool = False
    retry_after_ms: Count | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Drain:
    """The server is going away: finish, or resume elsewhere."""

    deadline_ms: Count


@dataclass(frozen=True, slots=True, kw_only=True)
class Pong:
    """Answers a ping with its nonce and the server's clock."""

    nonce: Nonce | None = None
    server_ms: Milliseconds
