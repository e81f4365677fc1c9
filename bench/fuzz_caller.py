"""One who sends what it should not, and holds every answer against what PROTOCOL.md lets be one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from random import Random
from typing import Any

from protocol.errors import CloseCode, ErrorCode
from protocol.messages import Ping

from .fuzz_mutations import Due, Probe, written
from .waiting_socket import WaitingSocket
from .websocket import Address, ConnectionFailed

SILENCE_S = 20.0
"""A server that has not answered after so long is not going to."""
FORGIVEN = 16
"""The server's default `limits.errors`."""
MOST_OPEN = 8
"""Utterances of one caller before all are cancelled: half of what the server grants."""
MAX_WORDED_FAULTS = 12


@dataclass(slots=True)
class Findings:
    """What all callers together have met with."""

    cells: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Messages by field (or state) and what was done to it."""
    outcomes: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Answers by what was done: an error's code, `passed`, or `close CODE`."""
    encodings: Counter[str] = field(default_factory=Counter)
    num_connections: int = 0
    num_faults: int = 0
    faults: list[str] = field(default_factory=list)

    @property
    def num_messages(self) -> int:
        return sum(self.cells.values())

    def fault(self, sentence: str) -> None:
        self.num_faults += 1
        if len(self.faults) < MAX_WORDED_FAULTS:
            self.faults.append(sentence)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of one message."""

    errors: tuple[dict[str, Any], ...]
    close_code: int | None
    is_over: bool
    is_silent: bool = False

    @property
    def told(self) -> str:
        if self.is_silent:
            return "silence"
        if self.errors:
            return " and ".join(str(error["code"]) for error in self.errors)
        return f"close {self.close_code}" if self.is_over else "passed"


class Caller(WaitingSocket):
    """One connection: `open`, then `pose` as often as it `is_usable`. `is_json`: how it says what is right, and so
    how it is answered.
    """

    def __init__(self, address: Address, random: Random, buffer: bytearray, *, is_json: bool) -> None:
        super().__init__(buffer)
        self._address = address
        self._random = random
        self._is_json = is_json
        self._heard: list[dict[str, Any]] = []
        self._open: set[str] = set()
        self._num_names = self._num_nonces = 0
        self._num_undecodable = 0
        self.is_ready = False
        self.live = ""
        """An utterance that takes text."""

    @property
    def is_usable(self) -> bool:
        return self.is_ready and not self.is_lost

    def fresh_name(self) -> str:
        """That no other becomes by a few bits that are flipped."""
        self._num_names += 1
        return f"u{self._num_names}-{self._random.getrandbits(32):08x}"

    async def open(self) -> None:
        """Raises ConnectionFailed."""
        await self.connect(self._address)
        self.say({"type": "hello"})
        if not await self._until(lambda: self.is_ready):
            raise ConnectionFailed("expected ready, got nothing")

    def say(self, message: dict[str, Any]) -> None:
        self.send_bytes(written(message, self._is_json), is_text=self._is_json)

    async def settle(self) -> None:
        """Few utterances are open, and one of them takes text."""
        if len(self._open) >= MOST_OPEN:
            self.say({"type": "cancel", "utterance": "*"})
            await self._until(lambda: not self._open)
            self.live = ""
        if self.live not in self._open:
            self.live = self.fresh_name()
            self.say({"type": "start", "utterance": self.live})
            await self._until(lambda: self.live in self._open)

    async def pose(self, probe: Probe) -> Answer:
        """Send it, and read until it must have been answered."""
        self._heard.clear()
        self.send_bytes(probe.payload, is_text=probe.is_text)
        if not self.is_ready:
            return await self._answer(lambda: self.is_ready)
        self._num_nonces += 1
        nonce = f"n{self._num_nonces}"
        self.send(Ping(nonce=nonce))
        return await self._answer(lambda: self._has_answered(nonce, probe.due))

    def judge(self, due: Due, answer: Answer, *, is_opening: bool, is_goodbye: bool = False) -> str | None:
        """What is wrong with the answer, if anything is."""
        if answer.is_silent:
            return "no answer"
        if answer.is_over and answer.close_code is None:
            return "no close frame"
        if len(answer.errors) > 1:
            return f"{len(answer.errors)} errors: {answer.told}"
        if not answer.errors:
            return self._judge_without_error(due, answer, is_goodbye=is_goodbye)
        (error,) = answer.errors
        code = error["code"]
        if code not in due.codes or not error["message"]:
            return f"error {code}: {error['message']}"
        self._num_undecodable += code == ErrorCode.BAD_MESSAGE
        fatal_with = _fatal_with(code, is_opening=is_opening, num_undecodable=self._num_undecodable)
        if (error["fatal"], answer.close_code) != (fatal_with is not None, fatal_with):
            return f"error {code}, fatal {error['fatal']}, close code {answer.close_code} instead of {fatal_with}"
        return None

    def _judge_without_error(self, due: Due, answer: Answer, *, is_goodbye: bool) -> str | None:
        if answer.is_over:
            expected = due.closes | ({int(CloseCode.NORMAL)} if is_goodbye and due.passes else set())
            return None if answer.close_code in expected else f"close code {answer.close_code}"
        return None if due.passes and not is_goodbye else "no error"

    async def leave(self) -> None:
        """Whatever is open ends with the session."""
        if not self.is_lost:
            self.say({"type": "close"})
            await self._until(lambda: False)
        self.close()

    def received(self, message: dict[str, Any], at: float) -> None:
        match message:
            case {"type": "ready"}:
                self.is_ready = True
            case {"type": "started", "utterance": name}:
                self._open.add(name)
            case {"type": "done", "utterance": name}:
                self._open.discard(name)
            case {"type": "error"} | {"type": "pong"}:
                self._heard.append(message)
            case _:
                return
        self.tell()

    async def _answer(self, is_there: Callable[[], bool]) -> Answer:
        heard = await self._until(is_there)
        errors = tuple(message for message in self._heard if message["type"] == "error")
        return Answer(errors, self.close_code, self.is_lost, is_silent=not heard and not self.is_lost)

    def _has_answered(self, nonce: str, due: Due) -> bool:
        """An error that concerns a live utterance stands in its order, and so may come after what was said later."""
        has_error = any(message["type"] == "error" for message in self._heard)
        return (due.passes or has_error) and any(message.get("nonce") == nonce for message in self._heard)

    async def _until(self, condition: Callable[[], bool]) -> bool:
        """Whether it came to be. Ends with the connection, too: after a fatal error, which the close is to follow."""
        with suppress(ConnectionFailed, TimeoutError):
            await self.until(condition, silence_s=SILENCE_S)
        return condition()


def _fatal_with(code: str, *, is_opening: bool, num_undecodable: int) -> int | None:
    """The close code that must follow an error; None if the session is to live."""
    if code == ErrorCode.TOO_LARGE:
        return CloseCode.TOO_LARGE
    if code == ErrorCode.RESUME_FAILED:
        return None
    if is_opening:
        return CloseCode.BAD_OPENING
    return CloseCode.POLICY if code == ErrorCode.BAD_MESSAGE and num_undecodable > FORGIVEN else None
