"""One listener whose every reaction is timed: says a clause as a language model writes it, and waits for its voice."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any

from protocol.messages import Cancel, Close, End, Hello, Start, Text

from .texts import deltas
from .waiting_socket import WaitingSocket
from .websocket import Address

WAIT_S = 20.0
"""No answer takes this long; a bench that waits longer has found a fault."""

TOKEN_S = (0.004, 0.016)
"""Between two deltas: a language model that writes a hundred tokens a second."""

STAGES = ("cut", "normalise", "speak", "send", "receive")


@dataclass(slots=True)
class Utterance:
    """What became of one. Instants are monotonic seconds here, except the server's trace: ms from the first text."""

    id: str
    first_text_at: float = 0.0
    clause_at: float = 0.0
    """The clause's last byte was handed to the kernel."""
    audio: list[tuple[int, int, float]] = field(default_factory=list)
    """pts, samples, arrival of each frame."""
    done_at: float | None = None
    trace: Mapping[str, Any] = field(default_factory=dict)

    @property
    def first_audio_s(self) -> float:
        """From the clause's last byte to the first audio."""
        return self.audio[0][2] - self.clause_at

    @property
    def stages_s(self) -> dict[str, float]:
        """Where that time went: `cut` from the last byte to the segment, `normalise` until the engine has it, `speak`
        to the first patch, `send` until the socket has taken it, `receive` until it is here. They add up to the whole.
        """
        trace_s = {name: at / 1000 for name, at in self.trace.items() if isinstance(at, int | float)}
        typing_s = self.clause_at - self.first_text_at
        marks = [typing_s, *(trace_s[n] for n in ("segment_cut", "scheduled", "first_patch", "first_audio_sent"))]
        marks.append(typing_s + self.first_audio_s)
        return {stage: marks[i + 1] - marks[i] for i, stage in enumerate(STAGES)}


class Conversation(WaitingSocket):
    """`meet` first. What waits raises ConnectionFailed, TimeoutError."""

    def __init__(self, language: str, seed: int, buffer: bytearray) -> None:
        super().__init__(buffer)
        self._language = language
        self._random = Random(seed)
        self._utterances: dict[str, Utterance] = {}
        self.ready: Mapping[str, Any] = {}

    async def meet(self, address: Address) -> None:
        await self.connect(address)
        self.send(Hello())
        await self.until(lambda: bool(self.ready), silence_s=WAIT_S)

    def goodbye(self) -> None:
        self.send(Close())
        self.close()

    def start(self) -> Utterance:
        """A new utterance, without text yet."""
        utterance = Utterance(f"u{len(self._utterances)}")
        self._utterances[utterance.id] = utterance
        self.send(Start(utterance=utterance.id, language=self._language, seed=len(self._utterances)))
        return utterance

    async def write(self, utterance: Utterance, text: str, *, at_once: bool = False) -> None:
        """Delta by delta; when this returns, `clause_at` is the instant of its last one."""
        for index, delta in enumerate(deltas(text)):
            if index and not at_once:
                await asyncio.sleep(self._random.uniform(*TOKEN_S))
            utterance.clause_at = time.monotonic()
            utterance.first_text_at = utterance.first_text_at or utterance.clause_at
            self.send(Text(utterance=utterance.id, text=delta))

    def end(self, utterance: Utterance) -> None:
        self.send(End(utterance=utterance.id))

    def cancel(self, utterance: Utterance) -> float:
        """At once; the instant it was said."""
        now = time.monotonic()
        self.send(Cancel(utterance=utterance.id))
        return now

    async def first_audio(self, utterance: Utterance) -> None:
        await self.until(lambda: bool(utterance.audio), silence_s=WAIT_S)

    async def done(self, utterance: Utterance) -> None:
        await self.until(lambda: utterance.done_at is not None, silence_s=WAIT_S)

    def received(self, message: dict[str, Any], at: float) -> None:
        utterance = self._utterances.get(message.get("utterance", ""))
        match message["type"]:
            case "audio" if utterance is not None:
                utterance.audio.append((message["pts"], message["samples"], at))
                if len(utterance.audio) > 1:
                    return
            case "done" if utterance is not None:
                utterance.done_at = at
                utterance.trace = message["trace"]
            case "ready":
                self.ready = message
            case "error":
                self.fault = f"{message['code']}: {message['message']}"
            case _:
                return
        self.tell()


async def meet_all(address: Address, languages: Iterable[str], buffer: bytearray) -> list[Conversation]:
    """One conversation for each language named."""
    conversations = [Conversation(language, seed, buffer) for seed, language in enumerate(languages)]
    for conversation in conversations:
        await conversation.meet(address)
    return conversations
