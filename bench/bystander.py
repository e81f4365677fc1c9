"""A listener who has one text spoken after the other, keeps every sample, and knows when he heard nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from models.base import Pcm
from protocol.messages import Close, Hello, Start

from .playout import Playout
from .waiting_socket import WaitingSocket
from .websocket import Address

WAIT_S = 120.0
"""What has not come by then does not come."""


@dataclass(slots=True, kw_only=True)
class Heard:
    """What came of one utterance."""

    playout: Playout
    data: list[bytes] = field(default_factory=list)
    arrivals: list[float] = field(default_factory=list)
    """Of each audio message, monotonic seconds."""
    longest_silence_s: float = 0.0
    """For which his loudspeaker had nothing to play, in one piece."""
    wrong: str | None = None
    """What did not follow as it has to; or the error with which it ended."""
    is_over: bool = False

    @property
    def pcm(self) -> Pcm:
        return np.frombuffer(b"".join(self.data), "<i2")

    def pause_s(self, since: float) -> float:
        """The longest wait for an audio message that ended after that instant."""
        waits = [
            later - before for before, later in zip(self.arrivals, self.arrivals[1:], strict=False) if later > since
        ]
        return max(waits, default=0.0)

    def first_after(self, instant: float) -> int | None:
        """The first audio message that came after that."""
        return next((place for place, at in enumerate(self.arrivals) if at > instant), None)

    def take(self, message: dict[str, Any], at: float) -> None:
        match message["type"]:
            case "audio":
                if message["pts"] != self.playout.num_ticks:
                    self.wrong = self.wrong or f"audio from {message['pts']} on instead of {self.playout.num_ticks}"
                silent_s = self.playout.stalled_s
                self.playout.arrive(message["pts"], message["samples"], at)
                self.longest_silence_s = max(self.longest_silence_s, self.playout.stalled_s - silent_s)
                self.data.append(message["data"])
                self.arrivals.append(at)
            case "error":
                self.wrong = f"{message['code']}: {message['message']}"
                self.is_over = not self.arrivals  # it was refused, and nothing follows
            case "done":
                self.is_over = True
                if message["reason"] != "end":
                    self.wrong = self.wrong or f"done because of {message['reason']}"


class Bystander(WaitingSocket):
    """`meet` first. Raises ConnectionFailed, TimeoutError."""

    def __init__(self, buffer: bytearray, *, lead_ms: int) -> None:
        super().__init__(buffer)
        self._lead_ms = lead_ms
        self._rate_hz: int | None = None
        self._num_started = 0
        self.heard = Heard(playout=Playout(1, lead_ms))
        """The latest."""

    async def meet(self, address: Address) -> None:
        await self.connect(address)
        self.send(Hello(lead_ms=self._lead_ms))
        await self.until(lambda: self._rate_hz is not None, silence_s=WAIT_S)

    def listen(self, text: str, *, seed: int, params: Mapping[str, float] | None = None) -> None:
        """`until_begun` and `until_over` say how far that is."""
        assert self._rate_hz is not None, "expected to have met"
        self._num_started += 1
        self.heard = Heard(playout=Playout(self._rate_hz, self._lead_ms))
        utterance = f"u{self._num_started}"
        self.send(Start(utterance=utterance, seed=seed, params=params or {}, text=text, language="en", end=True))

    async def until_begun(self) -> None:
        await self.until(lambda: bool(self.heard.arrivals) or self.heard.is_over, silence_s=WAIT_S)

    async def until_over(self) -> None:
        await self.until(lambda: self.heard.is_over, silence_s=WAIT_S)

    def goodbye(self) -> None:
        self.send(Close())
        self.close()

    def received(self, message: dict[str, Any], at: float) -> None:
        if message["type"] == "ready":
            self._rate_hz = message["model"]["sample_rate"]
        elif message.get("utterance") == f"u{self._num_started}":
            self.heard.take(message, at)
        self.tell()
