"""The tables: which message may come when. All that changes state is in this file, and it does not know our side.

A session is opened by a `hello` and made by a `ready`:

    OPENING --hello--> GREETED --ready--> READY --close, fatal error--> CLOSED
       `--hello.resume--> RESUMING --ready--> READY
                              `--resume_failed--> GREETED

An utterance has two halves that move independently, because they are in different hands and messages cross on the wire:

    input (the client's):   NONE --start--> OPEN --end--> ENDED;  any --cancel--> CANCELLED
    output (the server's):  REQUESTED --started--> STARTED --segment--> SPEAKING;  both --done--> DONE
                                `--error--> REFUSED

A missing key is the protocol error. What is not beautiful: the text of a cancelled utterance has keys although it does
nothing. Its writer may be slower than its canceller, and whether the `done` has crossed must make no difference.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, auto
from typing import Final

from .errors import ErrorCode, ProtocolError
from .messages import (
    TYPE_NAMES,
    Audio,
    Cancel,
    ClientMessage,
    Close,
    Done,
    Drain,
    End,
    Error,
    Flush,
    Format,
    FormatChanged,
    Hello,
    Ping,
    Playhead,
    Pong,
    Ready,
    Resume,
    Segment,
    ServerMessage,
    Start,
    Started,
    Text,
    Words,
)


class State(Enum):
    """Something that the tables are asked for: with every message, and Enum's own hash is a call in Python."""

    __hash__ = object.__hash__


class SessionState(State):
    """How far the two sides have got with each other."""

    OPENING = auto()
    GREETED = auto()
    RESUMING = auto()
    READY = auto()
    CLOSED = auto()


class InputState(State):
    """What the client has said about an utterance."""

    NONE = auto()
    OPEN = auto()
    ENDED = auto()
    CANCELLED = auto()


class OutputState(State):
    """What the server has said about it."""

    REQUESTED = auto()
    STARTED = auto()
    SPEAKING = auto()
    DONE = auto()
    REFUSED = auto()


class Special(Enum):
    """Messages that move the state otherwise than their type alone would."""

    HELLO_RESUME = "hello with resume"
    ONE_SHOT = "start with end"
    FATAL_ERROR = "fatal error"
    RESUME_FAILED = "error resume_failed"


Event = type[ClientMessage] | type[ServerMessage] | Special

SESSION: Final[Mapping[SessionState, Mapping[Event, SessionState]]] = {
    SessionState.OPENING: {
        Hello: SessionState.GREETED,
        Special.HELLO_RESUME: SessionState.RESUMING,
        Special.FATAL_ERROR: SessionState.CLOSED,
    },
    SessionState.GREETED: {
        Start: SessionState.GREETED,
        Special.ONE_SHOT: SessionState.GREETED,
        Text: SessionState.GREETED,
        Flush: SessionState.GREETED,
        End: SessionState.GREETED,
        Cancel: SessionState.GREETED,
        Playhead: SessionState.GREETED,
        Format: SessionState.GREETED,
        Ping: SessionState.GREETED,
        Close: SessionState.CLOSED,
        Ready: SessionState.READY,
        Special.FATAL_ERROR: SessionState.CLOSED,
    },
    SessionState.RESUMING: {
        Close: SessionState.CLOSED,
        Ready: SessionState.READY,
        Special.RESUME_FAILED: SessionState.GREETED,
        Special.FATAL_ERROR: SessionState.CLOSED,
    },
    SessionState.READY: {
        Start: SessionState.READY,
        Special.ONE_SHOT: SessionState.READY,
        Text: SessionState.READY,
        Flush: SessionState.READY,
        End: SessionState.READY,
        Cancel: SessionState.READY,
        Playhead: SessionState.READY,
        Format: SessionState.READY,
        Ping: SessionState.READY,
        Close: SessionState.CLOSED,
        Started: SessionState.READY,
        Segment: SessionState.READY,
        Words: SessionState.READY,
        Audio: SessionState.READY,
        FormatChanged: SessionState.READY,
        Done: SessionState.READY,
        Error: SessionState.READY,
        Drain: SessionState.READY,
        Pong: SessionState.READY,
        Special.FATAL_ERROR: SessionState.CLOSED,
    },
    SessionState.CLOSED: {},
}

INPUT: Final[Mapping[InputState, Mapping[Event, InputState]]] = {
    InputState.NONE: {Start: InputState.OPEN, Special.ONE_SHOT: InputState.ENDED},
    InputState.OPEN: {
        Text: InputState.OPEN,
        Flush: InputState.OPEN,
        Format: InputState.OPEN,
        Playhead: InputState.OPEN,
        End: InputState.ENDED,
        Cancel: InputState.CANCELLED,
    },
    InputState.ENDED: {
        Format: InputState.ENDED,
        Playhead: InputState.ENDED,
        Cancel: InputState.CANCELLED,
    },
    InputState.CANCELLED: {
        Text: InputState.CANCELLED,
        Flush: InputState.CANCELLED,
        Format: InputState.CANCELLED,
        End: InputState.CANCELLED,
        Playhead: InputState.CANCELLED,
        Cancel: InputState.CANCELLED,
    },
}

WITHOUT_EFFECT: Final[frozenset[Event]] = frozenset({Text, Flush, Format, End})
"""What a cancelled utterance still takes and ignores."""

OUTPUT: Final[Mapping[OutputState, Mapping[Event, OutputState]]] = {
    OutputState.REQUESTED: {Started: OutputState.STARTED, Error: OutputState.REFUSED},
    OutputState.STARTED: {
        Segment: OutputState.SPEAKING,
        FormatChanged: OutputState.STARTED,
        Error: OutputState.STARTED,
        Done: OutputState.DONE,
    },
    OutputState.SPEAKING: {
        Segment: OutputState.SPEAKING,
        Words: OutputState.SPEAKING,
        Audio: OutputState.SPEAKING,
        FormatChanged: OutputState.SPEAKING,
        Error: OutputState.SPEAKING,
        Done: OutputState.DONE,
    },
    OutputState.DONE: {},
    OutputState.REFUSED: {},
}


def event_of(message: ClientMessage | ServerMessage) -> Event:
    """The row of the tables a message stands in."""
    match message:
        case Hello(resume=Resume()):
            return Special.HELLO_RESUME
        case Start(end=True):
            return Special.ONE_SHOT
        case Error(fatal=True):
            return Special.FATAL_ERROR
        case Error(code=ErrorCode.RESUME_FAILED):
            return Special.RESUME_FAILED
        case _:
            return type(message)


class Session:
    """One connection's way through `SESSION`."""

    __slots__ = ("state",)

    def __init__(self) -> None:
        self.state = SessionState.OPENING

    def advance(self, message: ClientMessage | ServerMessage, blame: type[ProtocolError]) -> None:
        """Follow the table. Raises `blame` (`bad_state`), and then nothing has changed."""
        event = event_of(message)
        row = SESSION[self.state]
        if event not in row:
            raise blame(ErrorCode.BAD_STATE, _sentence(f"a session that is {self.state.name.lower()}", row, event))
        self.state = row[event]


class UtteranceState:
    """Both halves of one utterance, from its `start` on. Raises `blame` (`bad_state`); then nothing has changed."""

    __slots__ = ("input", "output")

    def __init__(self, start: Start) -> None:
        self.input = INPUT[InputState.NONE][event_of(start)]
        self.output = OutputState.REQUESTED

    def client_says(self, message: ClientMessage, blame: type[ProtocolError], utterance: str) -> bool:
        """Follow `INPUT`. Returns whether the message has an effect."""
        event, row = event_of(message), INPUT[self.input]
        if event not in row:
            sentence = _sentence(f"an utterance whose text is {self.input.name.lower()}", row, event)
            raise blame(ErrorCode.BAD_STATE, sentence, utterance=utterance)
        effective = self.input is not InputState.CANCELLED or event not in WITHOUT_EFFECT
        self.input = row[event]
        return effective

    def server_says(self, message: ServerMessage, blame: type[ProtocolError], utterance: str) -> None:
        """Follow `OUTPUT`."""
        event, row = type(message), OUTPUT[self.output]
        if event not in row:
            sentence = _sentence(f"an utterance that is {self.output.name.lower()}", row, event)
            raise blame(ErrorCode.BAD_STATE, sentence, utterance=utterance)
        self.output = row[event]

    def cancel(self) -> None:
        """What `cancel` `*` and another's `preempt` do to it."""
        self.input = InputState.CANCELLED

    def finish(self) -> None:
        """The utterance is over, also where no `done` passed: a resume did not ask for it, or could not replay it."""
        self.output = OutputState.DONE


def _sentence(where: str, row: Mapping[Event, object], event: Event) -> str:
    expected = ", ".join(_name(known) for known in row) or "nothing"
    return f"expected {expected} for {where}, got {_name(event)}"


def _name(event: Event) -> str:
    return event.value if isinstance(event, Special) else TYPE_NAMES[event]
