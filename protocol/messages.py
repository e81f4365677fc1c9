"""Every message of version 1, and which side says it.

The annotations are the schema: `schema` reads ranges, lengths and choices from them, so that a message taken from the
wire is a valid one. Building a message by hand checks nothing; the other side will.

A field with a default may be absent on the wire, and null is the same as absence. A field that holds None is left out.
Both save `Hello.lead_ms`, where null means background work and absence (`ABSENT`) the server's default.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from .client_messages import (
    Cancel,
    ClientInfo,
    Close,
    End,
    Flush,
    Format,
    Hello,
    Ping,
    Playhead,
    Resume,
    Start,
    Text,
)
from .fields import (
    ABSENT,
    MAX_TICKS,
    OPUS_FRAMES_MS,
    OPUS_RATE,
    PCM_RATES,
    SUBPROTOCOL,
    VERSION,
    Absent,
    AudioFormat,
    Codec,
    Control,
    Segmentation,
)
from .server_messages import (
    Audio,
    Controls,
    Done,
    Drain,
    Error,
    FormatChanged,
    Limits,
    ModelDescription,
    ParamRange,
    Pong,
    Ready,
    Segment,
    ServerInfo,
    Spoken,
    Started,
    Trace,
    Words,
    WordTiming,
)

__all__ = [
    "ABSENT",
    "CLIENT_TYPES",
    "MAX_TICKS",
    "OPUS_FRAMES_MS",
    "OPUS_RATE",
    "PCM_RATES",
    "SERVER_TYPES",
    "SUBPROTOCOL",
    "TYPE_NAMES",
    "VERSION",
    "AboutUtterance",
    "Absent",
    "Audio",
    "AudioFormat",
    "Cancel",
    "ClientInfo",
    "ClientMessage",
    "Close",
    "Codec",
    "Control",
    "Controls",
    "Counted",
    "Done",
    "Drain",
    "End",
    "Error",
    "Flush",
    "Format",
    "FormatChanged",
    "Hello",
    "Limits",
    "ModelDescription",
    "ParamRange",
    "Ping",
    "Playhead",
    "Pong",
    "Ready",
    "Resume",
    "Segment",
    "Segmentation",
    "ServerInfo",
    "ServerMessage",
    "Spoken",
    "Start",
    "Started",
    "Text",
    "Trace",
    "UtteranceMessage",
    "WordTiming",
    "Words",
]

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
