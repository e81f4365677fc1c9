"""What arrives of an utterance, held against what PROTOCOL.md promises: nothing lost, repeated or out of order."""

from __future__ import annotations

from typing import Any

from models.tone import tone_samples
from protocol.messages import OPUS_RATE

MAX_FAULTS = 4
"""So many are worded, the others counted."""


class Proof:
    """Takes the messages of one utterance as raw maps; `faults` are sentences.

    `tone_seed`: the utterance is the test voice's as native PCM, and one frame in `check_every` is compared with the
    samples that it must hold. `frame_ms`: the utterance comes as Opus packets of that length, which must cover exactly
    its ticks. With neither, payloads are only measured.
    """

    def __init__(
        self, *, rate_hz: int, tone_seed: int | None = None, check_every: int = 1, frame_ms: int | None = None
    ) -> None:
        self._rate_hz = rate_hz
        self._tone_seed = tone_seed
        self._check_every = check_every
        self._packet_samples = None if frame_ms is None else OPUS_RATE * frame_ms // 1000
        self._num_packets = 0  # of the present run
        self._run_start = 0  # ticks
        self._pre_skip = 0
        self.next_seq = 0
        self.num_ticks = 0
        self.num_checked = 0
        """Frames whose samples were compared."""
        self.is_done = False
        self.num_faults = 0
        self.faults: list[str] = []

    def take(self, message: dict[str, Any]) -> None:
        kind, seq = message["type"], message.get("seq")
        if self.is_done:
            self._fault(f"expected nothing after done, got {kind}")
            return
        if seq != self.next_seq:
            self._fault(f"expected {kind} with seq {self.next_seq}, got {seq}")
        match kind:
            case "audio":
                self._take_audio(message)
            case "started":
                self._pre_skip = message["audio"]["pre_skip"]
            case "segment" if message["pts"] != self.num_ticks:
                self._fault(f"expected segment with pts {self.num_ticks}, got {message['pts']}")
            case "format":
                self._end_run()
                self._pre_skip = message["audio"]["pre_skip"]
            case "error":
                self._fault(f"error {message['code']}: {message['message']}")
            case "done":
                self._take_done(message)

    def _take_audio(self, message: dict[str, Any]) -> None:
        pts, samples, data = message["pts"], message["samples"], message.get("data")
        if pts != self.num_ticks:
            self._fault(f"expected audio with pts {self.num_ticks}, got {pts}")
        if data is None:
            self._num_packets += len(message["packets"])
        elif len(data) != 2 * samples:
            self._fault(f"expected {2 * samples} bytes of PCM, got {len(data)}")
        elif self._tone_seed is not None and self.next_seq % self._check_every == 0:
            self.num_checked += 1
            if data != tone_samples(self._tone_seed, pts, samples).tobytes():
                self._fault(f"expected the tone's samples from {pts} on, got others")
        self.next_seq = message["seq"] + 1
        self.num_ticks = pts + samples

    def _take_done(self, message: dict[str, Any]) -> None:
        self.is_done = True
        if message["samples"] != self.num_ticks:
            self._fault(f"expected done with {self.num_ticks} samples, got {message['samples']}")
        if message["reason"] == "end":
            self._end_run()

    def _end_run(self) -> None:
        """Its packets cover its ticks, to within what fills the last packet."""
        if self._packet_samples is not None and self._num_packets:
            covered = self._num_packets * self._packet_samples - self._pre_skip
            wanted = (self.num_ticks - self._run_start) * OPUS_RATE / self._rate_hz
            if not -1 <= covered - wanted <= self._packet_samples:
                self._fault(f"expected Opus packets for {wanted:.0f} samples, got {covered}")
        self._num_packets = 0
        self._run_start = self.num_ticks

    def _fault(self, sentence: str) -> None:
        self.num_faults += 1
        if len(self.faults) < MAX_FAULTS:
            self.faults.append(sentence)
