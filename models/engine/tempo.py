"""How fast the model speaks to one listener, as its steps show."""

from __future__ import annotations

MEMORY_S = 10.0
"""Of speech: what was measured so long ago counts for a third."""

JUDGED_S = 0.4
"""Of speech: before there is so much the model is taken for fast enough."""

SLOW_ABOVE, FAST_BELOW = 1.0, 0.9
"""Between them a model stays what it was: one that is about as fast as it is heard does not change every second."""

HEALTHY_STEPS = 50
"""A healthy step may take as long as so many usual ones: reading in a long segment and its voice costs about twenty."""


class Tempo:
    """Seconds of work for a second of speech (`rtf`), and whether that is slower than real time (`is_slow`).

    Meant is the work for one listener alone, since that is what a listener waits for. Steps of one row show it. A step
    of several bounds it from both sides: alone, a row costs no more than the whole step and no less than its share.
    """

    __slots__ = ("_speech_s", "_work_s", "is_slow")

    def __init__(self) -> None:
        self._work_s = 0.0
        self._speech_s = 0.0
        self.is_slow = False

    @property
    def rtf(self) -> float | None:
        """None before the first speech."""
        return self._work_s / self._speech_s if self._speech_s else None

    def healthy_step_s(self, patch_s: float) -> float:
        """How long a step of `patch_s` of speech may take before something must be wrong with it."""
        return HEALTHY_STEPS * (self.rtf or 0.0) * patch_s

    def took(self, seconds: float, speech_s: float, num_rows: int) -> None:
        """A step of so many rows has made so much speech in all."""
        each_s = speech_s / num_rows
        rtf = self.rtf
        expected = seconds if rtf is None else rtf * each_s
        kept = max(0.0, 1 - each_s / MEMORY_S)
        self._work_s = kept * self._work_s + min(max(expected, seconds / num_rows), seconds)
        self._speech_s = kept * self._speech_s + each_s
        if self._speech_s >= JUDGED_S:
            self.is_slow = self._work_s > (FAST_BELOW if self.is_slow else SLOW_ABOVE) * self._speech_s
