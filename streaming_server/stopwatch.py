"""Where the time of an utterance went (PROTOCOL.md, trace)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from protocol.messages import Trace

Mark = Literal["segment_cut", "scheduled", "first_patch", "first_audio_sent", "done"]


class Stopwatch:
    """Runs from the utterance's first text; each mark counts once."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._began_at: float | None = None
        self._marks: dict[Mark, float] = {}
        self.num_patches = 0
        self.engine_s = 0.0

    def begin(self) -> None:
        if self._began_at is None:
            self._began_at = self._clock()

    def mark(self, name: Mark) -> None:
        if name not in self._marks:
            self._marks[name] = self._clock()

    def patch(self, engine_s: float) -> None:
        """One more patch, and what it cost the engine."""
        self.num_patches += 1
        self.engine_s += engine_s

    def trace(self, speech_s: float) -> Trace:
        return Trace(
            segment_cut=self._ms("segment_cut"),
            scheduled=self._ms("scheduled"),
            first_patch=self._ms("first_patch"),
            first_audio_sent=self._ms("first_audio_sent"),
            done=self._ms("done"),
            engine_ms=round(1000 * self.engine_s, 2),
            rtf=round(self.engine_s / speech_s, 5) if speech_s else None,
            patches=self.num_patches,
        )

    def _ms(self, name: Mark) -> float | None:
        at = self._marks.get(name)
        return None if at is None or self._began_at is None else round(1000 * (at - self._began_at), 2)
