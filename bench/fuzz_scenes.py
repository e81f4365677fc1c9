"""Right messages at the wrong time: what comes of each is in PROTOCOL.md's tables of states."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from protocol.errors import ErrorCode
from protocol.messages import SERVER_TYPES

from .fuzz_mutations import BAD_VALUE, Due

Raw = dict[str, Any]
Step = tuple[Raw, Due]
Scene = Callable[[str, str], list[Step]]
"""Of two new utterance ids: messages and what is due to each."""

FINE: Final = Due(passes=True)
BAD_STATE: Final = Due(codes=frozenset({ErrorCode.BAD_STATE}))
UNKNOWN: Final = Due(codes=frozenset({ErrorCode.UNKNOWN_UTTERANCE}))
DUPLICATE: Final = Due(codes=frozenset({ErrorCode.DUPLICATE_UTTERANCE}))
UNKNOWN_TYPE: Final = Due(codes=frozenset({ErrorCode.UNKNOWN_TYPE}))
WRONG: Final = Due(codes=BAD_VALUE)
PCM: Final = {"codec": "pcm_s16le"}

ABOUT: Final[Mapping[str, Raw]] = {
    "text": {"text": "More. "},
    "flush": {},
    "end": {},
    "cancel": {},
    "playhead": {"played": 0, "received": 0},
    "format": {"audio": PCM},
}
"""What may be said about an utterance."""


def _say(kind: str, utterance: str) -> Raw:
    return {"type": kind, "utterance": utterance, **ABOUT[kind]}


def _start(utterance: str, **fields: Any) -> Raw:
    return {"type": "start", "utterance": utterance, "text": "Hi. ", **fields}


def _never_started(kind: str) -> Scene:
    return lambda a, b: [(_say(kind, a), UNKNOWN)]


def _after_end(kind: str) -> Scene:
    due = BAD_STATE if kind in ("text", "flush", "end") else FINE
    long = 100 * "one more "  # a minute, so that it is not over
    return lambda a, b: [(_start(a, text=long, end=True), FINE), (_say(kind, a), due), (_say("cancel", a), FINE)]


def _after_cancel(kind: str) -> Scene:
    return lambda a, b: [(_start(a), FINE), (_say("cancel", a), FINE), (_say(kind, a), FINE)]


def _after_refusal(kind: str) -> Scene:
    return lambda a, b: [(_start(a, speed=9), WRONG), (_say(kind, a), FINE)]


def _from_the_server(kind: str) -> Scene:
    return lambda a, b: [({"type": kind, "utterance": a, "seq": 0}, UNKNOWN_TYPE)]


SCENES: Final[Mapping[str, Scene]] = {
    **{f"{kind} of an utterance never started": _never_started(kind) for kind in ABOUT},
    **{f"{kind} after end": _after_end(kind) for kind in ABOUT},
    **{f"{kind} after cancel": _after_cancel(kind) for kind in ABOUT},
    **{f"{kind} after a refused start": _after_refusal(kind) for kind in ABOUT},
    **{f"{kind}, a server's message": _from_the_server(kind) for kind in SERVER_TYPES if kind != "format"},
    "a second hello": lambda a, b: [({"type": "hello"}, BAD_STATE)],
    "a start of a live utterance": lambda a, b: [(_start(a), FINE), (_start(a), DUPLICATE), (_say("cancel", a), FINE)],
    "a start of a cancelled one": lambda a, b: [(_start(a), FINE), (_say("cancel", a), FINE), (_start(a), DUPLICATE)],
    "a start of a refused one": lambda a, b: [(_start(a, volume=3), WRONG), (_start(a, end=True), FINE)],
    "a start after nobody": lambda a, b: [(_start(a, after=b), UNKNOWN), (_say("text", a), FINE)],
    "a start that preempts": lambda a, b: [(_start(a), FINE), (_start(b, preempt=True, end=True), FINE)],
    "a cancel of all, with one position": lambda a, b: [({"type": "cancel", "utterance": "*", "played": 1}, WRONG)],
    "a cancel of one, with a map": lambda a, b: [({"type": "cancel", "utterance": a, "played": {a: 1}}, WRONG)],
    "a cancel of all when nobody speaks": lambda a, b: [({"type": "cancel", "utterance": "*"}, FINE)],
}

OPENINGS: Final[Mapping[str, Raw]] = {
    "start before hello": {"type": "start", "utterance": "a"},
    **{f"{kind} before hello": _say(kind, "a") for kind in ABOUT},
    "ping before hello": {"type": "ping"},
    "close before hello": {"type": "close"},
}
"""First messages that are no `hello`: `bad_state`, and the end."""
