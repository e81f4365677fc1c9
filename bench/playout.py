"""A listener's player as arithmetic: when a frame was due, when it came, how often there was nothing to play."""

from __future__ import annotations


class Playout:
    """Starts with the first audio, holds nothing back, and stands still while it is dry. Times are monotonic seconds.

    Two measures of a frame: *late* is one that arrives when its turn to be heard has passed (an underrun: the listener
    hears a gap); its *lateness* is how far behind the server's own plan it arrives, which is `lead_ms` before its turn,
    or with the first audio where that would be earlier.
    """

    __slots__ = ("_lead_s", "_rate_hz", "num_late", "num_ticks", "stalled_s", "started_at")

    def __init__(self, rate_hz: int, lead_ms: int) -> None:
        self._rate_hz = rate_hz
        self._lead_s = lead_ms / 1000
        self.started_at: float | None = None
        self.num_ticks = 0
        """Received so far."""
        self.num_late = 0
        self.stalled_s = 0.0
        """Silence in all gaps so far."""

    def arrive(self, pts: int, samples: int, at: float) -> float:
        """A frame is there; returns its lateness in seconds (negative: ahead of the plan)."""
        if self.started_at is None:
            self.started_at = at
        turn_at = self.started_at + self.stalled_s + pts / self._rate_hz
        lateness_s = at - max(self.started_at, turn_at - self._lead_s)
        if at > turn_at:
            self.num_late += 1
            self.stalled_s += at - turn_at
        self.num_ticks = pts + samples
        return lateness_s

    def played(self, now: float) -> int:
        """Ticks heard."""
        if self.started_at is None:
            return 0
        return min(self.num_ticks, max(0, int((now - self.started_at - self.stalled_s) * self._rate_hz)))
