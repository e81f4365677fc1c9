"""Every message of version 1, as a frozen value (PROTOCOL.md, "Client to server" and "Server to client").

The annotations are the schema: `schema` reads ranges, lengths and choices from them, so that a message taken from the
wire is a valid one. Building a message by hand checks nothing; the other side will.

A field with a default may be absent on the wire, and null is the same as absence. A field that holds None is left out.
Both save `Hello.lead_ms`, where null means background work and absence (`ABSENT`) the server's default.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Annotated, Final, Literal, NamedTuple

from .errors import ErrorCode
from .schema import OneLine, OneOf, Range, WellFormed

VERSION: Final = 1
SUBPROTOCOL: Final = "voxwire.v1"
MAX_TICKS: Final = 2**53 - 1
"""The largest integer that every client's numbers hold exactly."""


class Absent(Enum):
    """The type of `ABSENT`: the key is not there, which is not the same as null."""

    ABSENT = "absent"


ABSENT: Final = Absent.ABSENT

Fault = tuple[ErrorCode, str]
"""A code and one sentence."""

UtteranceId = Annotated[str, OneLine(1, 64, reserved="*")]
CancelTarget = Annotated[str, OneLine(1, 64)]
Name = Annotated[str, OneLine(1, 64)]
Label = Annotated[str, OneLine(0, 256)]
Secret = Annotated[str, OneLine(1, 4096)]
Prose = Annotated[str, WellFormed()]
Ticks = Annotated[int, Range(0, MAX_TICKS)]
Count = Annotated[int, Range(0, MAX_TICKS)]
Milliseconds = Annotated[float, Range(0, 1e15)]
Number = Annotated[float, Range(-1e300, 1e300)]
Nonce = Annotated[str, OneLine(0, 64)] | Annotated[int, Range(-MAX_TICKS, MAX_TICKS)] | Number

Codec = Literal["pcm_s16le", "pcm_f32le", "opus"]
Segmentation = Literal["auto", "sentence", "clause", "manual"]
Control = Literal["native", "stretch", "none"]

PCM_RATES: Final = (8000, 16000, 22050, 24000, 44100, 48000)
OPUS_RATE: Final = 48000
OPUS_FRAMES_MS: Final = (10, 20, 40)


@dataclass(frozen=True, slots=True, kw_only=True)
class AudioFormat:
    """How audio is carried. Mono. A given one replaces the whole earlier one."""

    codec: Annotated[Codec, OneOf(("pcm_s16le", "pcm_f32le", "opus"), ErrorCode.UNSUPPORTED_FORMAT)] = "pcm_s16le"
    sample_rate: Annotated[int, OneOf(PCM_RATES, ErrorCode.UNSUPPORTED_FORMAT)] | None = None  # Hz; None: the model's
    bitrate: Annotated[int, Range(6000, 128000, ErrorCode.UNSUPPORTED_FORMAT)] = 32000  # bit/s, Opus only
    frame_ms: Annotated[int, OneOf(OPUS_FRAMES_MS, ErrorCode.UNSUPPORTED_FORMAT)] = 20  # Opus only
    pre_skip: Count | None = None  # samples at the codec's rate to drop at a run's start; the server's to say

    def fault(self) -> Fault | None:
        """What no single field shows."""
        if self.codec == "opus" and self.sample_rate not in (None, OPUS_RATE):
            return ErrorCode.UNSUPPORTED_FORMAT, f"expected sample_rate 48000 with codec opus, got {self.sample_rate}"
        return None

    def resolved(self, model_sample_rate: int, *, pre_skip: int = 0) -> AudioFormat:
        """The same with every value given, as `ready`, `started` and the server's `format` say it."""
        rate = OPUS_RATE if self.codec == "opus" else self.sample_rate or model_sample_rate
        return AudioFormat(
            codec=self.codec, sample_rate=rate, bitrate=self.bitrate, frame_ms=self.frame_ms, pre_skip=pre_skip
        )


# Client to server.


@dataclass(frozen=True, slots=True, kw_only=True)
class Resume:
    """`hello.resume`: which session, and for each utterance whose `done` is lacking, the next seq wanted."""

    session: Name
    token: Secret
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
    token: Secret | None = None
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


# Server to client.


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
    resume_token: Secret
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


ClientMessage = Hello | Start | Text | Flush | End | Cancel | Playhead | Format | Ping | Close
ServerMessage = Ready | Started | Segment | Words | Audio | FormatChanged | Done | Error | Drain | Pong

AboutUtterance = Text | Flush | End | Cancel | Playhead | Format
"""What a client says about one utterance after its start; `cancel` may mean all."""

UtteranceMessage = Started | Segment | Words | Audio | FormatChanged | Done | Error
"""What a server says about one utterance; an `error` may name none."""

Counted = Start | Text | Flush | End | Cancel | Format
"""The client messages that `ready.client_messages` counts."""

CLIENT_TYPES: Final[Mapping[str, type[ClientMessage]]] = {
    "hello": Hello,
    "start": Start,
    "text": Text,
    "flush": Flush,
    "end": End,
    "cancel": Cancel,
    "playhead": Playhead,
    "format": Format,
    "ping": Ping,
    "close": Close,
}
SERVER_TYPES: Final[Mapping[str, type[ServerMessage]]] = {
    "ready": Ready,
    "started": Started,
    "segment": Segment,
    "words": Words,
    "audio": Audio,
    "format": FormatChanged,
    "done": Done,
    "error": Error,
    "drain": Drain,
    "pong": Pong,
}
TYPE_NAMES: Final[Mapping[type, str]] = {t: name for types in (CLIENT_TYPES, SERVER_TYPES) for name, t in types.items()}
