"""One of many listeners: has text spoken to it without end, plays it, says how far it is, and checks what comes."""

from __future__ import annotations

import asyncio
import time
from array import array
from dataclasses import dataclass, field
from typing import Any

from models.tone import SAMPLE_RATE as TONE_RATE_HZ
from protocol.messages import AudioFormat, Cancel, Close, Codec, Hello, Playhead, Start, Text

from .playout import Playout
from .proof import Proof
from .texts import Texts
from .websocket import Address, WebSocket

AHEAD_CHARS = 240
"""The writer is so far ahead of the segment being spoken: over ten seconds of speech, so that no pause is his."""

ANSWER_TIMEOUT_S = 20.0
MAX_WORDED_FAULTS = 8

UTTERANCE = "bench"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a generator process is to do. Instants are CLOCK_MONOTONIC seconds, the same in all processes."""

    address: Address
    num_listeners: int
    first_number: int  # listeners are numbered over all processes; the number is the seed
    tone: bool  # the voice is the test voice: its samples are known
    language: str
    codec: Codec
    frame_ms: int
    lead_ms: int
    playheads_per_s: float
    check_every: int
    ramp_from: float
    ramp_s: float
    window_from: float
    window_to: float


@dataclass(slots=True)
class Tally:
    """What the listeners of one process found. Frames are counted while the window is open, faults always."""

    first_audio_s: array[float] = field(default_factory=lambda: array("d"))
    lateness_s: array[float] = field(default_factory=lambda: array("d"))
    loop_lag_s: array[float] = field(default_factory=lambda: array("d"))
    num_payload_bytes: int = 0
    num_late: int = 0
    num_late_before: int = 0
    stalled_s: float = 0.0
    num_listeners_stalled: int = 0
    num_listeners_done: int = 0
    num_checked: int = 0
    num_faults: int = 0
    faults: list[str] = field(default_factory=list)

    def fault(self, *sentences: str, num: int = 1) -> None:
        self.num_faults += num
        self.faults += sentences[: MAX_WORDED_FAULTS - len(self.faults)]

    def add(self, other: Tally) -> None:
        """Take in another process' findings."""
        self.first_audio_s += other.first_audio_s
        self.lateness_s += other.lateness_s
        self.loop_lag_s += other.loop_lag_s
        self.num_payload_bytes += other.num_payload_bytes
        self.num_late += other.num_late
        self.num_late_before += other.num_late_before
        self.stalled_s += other.stalled_s
        self.num_listeners_stalled += other.num_listeners_stalled
        self.num_listeners_done += other.num_listeners_done
        self.num_checked += other.num_checked
        self.fault(*other.faults, num=other.num_faults)


class Listener(WebSocket):
    """`meet`, `listen`, `leave`, in this order. `meet` and `leave` raise ConnectionFailed, TimeoutError."""

    def __init__(self, plan: Plan, number: int, buffer: bytearray, tally: Tally) -> None:
        super().__init__(buffer)
        self._plan = plan
        self._number = number
        self._tally = tally
        self._loop = asyncio.get_running_loop()
        self._ready: asyncio.Future[dict[str, Any]] = self._loop.create_future()
        self._over: asyncio.Future[None] = self._loop.create_future()
        self._texts = Texts(plan.language, number)
        self._num_chars = 0
        self._started_at = 0.0
        self._stalled_before_s = 0.0
        self._told: Playhead | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._leaving = False
        self._playout = Playout(TONE_RATE_HZ, plan.lead_ms)
        self._proof = Proof(rate_hz=TONE_RATE_HZ)

    async def meet(self) -> None:
        """Open the connection and the session."""
        plan = self._plan
        async with asyncio.timeout(ANSWER_TIMEOUT_S):
            await self.connect(plan.address)
            self.send(Hello(audio=AudioFormat(codec=plan.codec, frame_ms=plan.frame_ms), lead_ms=plan.lead_ms))
            ready = await self._ready
        rate_hz = ready["model"]["sample_rate"]
        self._playout = Playout(rate_hz, plan.lead_ms)
        self._proof = Proof(
            rate_hz=rate_hz,
            tone_seed=self._number if plan.tone and plan.codec == "pcm_s16le" else None,
            check_every=plan.check_every,
            frame_ms=plan.frame_ms if plan.codec == "opus" else None,
        )

    def listen(self) -> None:
        """Have something spoken, until `leave`."""
        self._started_at = time.monotonic()
        self.send(Start(utterance=UTTERANCE, language=self._plan.language, seed=self._number, text=self._write(0)))

    async def leave(self) -> None:
        """Cancel, wait for the end and say goodbye."""
        self._leaving = True
        if self._timer is not None:
            self._timer.cancel()
        self.send(Cancel(utterance=UTTERANCE, played=self._playout.played(time.monotonic())))
        async with asyncio.timeout(ANSWER_TIMEOUT_S):
            await self._over
        self._tally.num_listeners_done += 1
        self.send(Close())
        self.close()

    def fail(self, error: Exception) -> None:
        """It came to a bad end."""
        self._tally.fault(f"listener {self._number}: {str(error) or 'no answer in time'}")
        self.close()

    def account(self) -> None:
        """Add what only the end shows to the tally."""
        proof, playout, tally = self._proof, self._playout, self._tally
        tally.num_checked += proof.num_checked
        tally.fault(*(f"listener {self._number}: {fault}" for fault in proof.faults), num=proof.num_faults)
        stalled_s = playout.stalled_s - self._stalled_before_s
        tally.stalled_s += stalled_s
        tally.num_listeners_stalled += stalled_s > 0

    def received(self, message: dict[str, Any], at: float) -> None:
        match message["type"]:
            case "audio":
                self._play(message, at)
            case "ready":
                self._ready.set_result(message)
                return
            case "segment":
                if not self._leaving and (text := self._write(message["text_end"])):
                    self.send(Text(utterance=UTTERANCE, text=text))
            case "done":
                if not self._over.done():
                    self._over.set_result(None)
            case "error" if not self._ready.done():
                self._ready.set_exception(ConnectionError(message["message"]))
                return
        self._proof.take(message)

    def lost(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        error = ConnectionError(self.fault or f"the server closed the connection, code {self.close_code}")
        for waiting in (self._ready, self._over):
            if not waiting.done():
                waiting.set_exception(error)
                waiting.exception()  # nobody may be waiting

    def _play(self, message: dict[str, Any], at: float) -> None:
        plan, playout, tally = self._plan, self._playout, self._tally
        is_first = playout.started_at is None
        num_late = playout.num_late
        lateness_s = playout.arrive(message["pts"], message["samples"], at)
        if plan.window_from <= at < plan.window_to:
            tally.lateness_s.append(lateness_s)
            tally.num_late += playout.num_late - num_late
            data = message.get("data")
            tally.num_payload_bytes += len(data) if data is not None else sum(map(len, message["packets"]))
        elif at < plan.window_from:
            tally.num_late_before += playout.num_late - num_late
            self._stalled_before_s = playout.stalled_s
        if is_first:
            tally.first_audio_s.append(at - self._started_at)
            if plan.playheads_per_s:
                self._tell()

    def _tell(self) -> None:
        """A playhead now and, as long as anything changes, at every interval."""
        playhead = Playhead(
            utterance=UTTERANCE, played=self._playout.played(time.monotonic()), received=self._proof.next_seq
        )
        if playhead != self._told:
            self.send(playhead)
            self._told = playhead
        self._timer = self._loop.call_later(1 / self._plan.playheads_per_s, self._tell)

    def _write(self, spoken_chars: int) -> str:
        """Sentences until the text is far enough ahead again; mostly none."""
        sentences: list[str] = []
        while self._num_chars < spoken_chars + AHEAD_CHARS:
            sentences.append(self._texts.sentence())
            self._num_chars += len(sentences[-1])
        return "".join(sentences)
