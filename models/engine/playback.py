"""The listener's clock: how much of what was sent has been heard.

The web process and the engine each keep one for a stream. Both follow the same rule from the same events, so they agree
without a message; only what one side alone knows (a playhead, a pause) is told, as a `Reading`.

Position = min(emitted, last known position + time since). The clock starts with the first audio, stops when all is
played, and goes on with the next audio (PROTOCOL.md, Pacing).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Reading:
    """A position at an instant. `since` None: the clock stands at `position` until the next reading."""

    position: int  # samples
    since: float | None  # monotonic seconds; may lie ahead: the clock waits for it


class PlaybackClock:
    """Samples and monotonic seconds; never reads a clock itself."""

    __slots__ = ("_held", "_position", "_since", "emitted", "rate_hz")

    def __init__(self, rate_hz: int, *, held: bool = False) -> None:
        self.rate_hz = rate_hz
        self._position = 0.0
        self._since: float | None = None
        self._held = held
        self.emitted = 0

    @property
    def is_held(self) -> bool:
        return self._held

    def position(self, now: float) -> int:
        if self._since is None or now <= self._since:
            return int(self._position)
        return int(min(self.emitted, self._position + (now - self._since) * self.rate_hz))

    def lead(self, now: float) -> int:
        """Samples emitted and not yet heard."""
        return self.emitted - self.position(now)

    def emit(self, num_samples: int, now: float) -> None:
        """Audio leaves for the listener; a clock that had run dry, or never ran, goes on from here."""
        if not self._held and (self._since is None or self.position(now) >= self.emitted):
            self._position = float(self.position(now))
            self._since = max(now, self._since) if self._since is not None else now
        self.emitted += num_samples

    def hold(self, now: float) -> None:
        """Stop: paused, disconnected, or waiting for another utterance to end."""
        self._position = float(self.position(now))
        self._since = None
        self._held = True

    def release(self, now: float, *, position: int | None = None) -> None:
        """Go on, from `position` if it is known. Nothing runs before the first audio."""
        self._position = float(self.position(now) if position is None else max(0, min(position, self.emitted)))
        self._since = now if self.emitted else None
        self._held = False

    def read(self) -> Reading:
        return Reading(int(self._position), self._since if not self._held else None)

    def follow(self, reading: Reading) -> None:
        """Take over what the other side knows."""
        self._held = reading.since is None
        self._position = float(max(0, reading.position))
        self._since = reading.since

    def dry_at(self) -> float | None:
        """When the listener runs out of audio; None while the clock stands."""
        if self._since is None:
            return None
        return self._since + (self.emitted - self._position) / self.rate_hz

    def room_at(self, lead: int) -> float | None:
        """From when on less than `lead` samples lie ahead of the listener; None: not before the clock moves."""
        if self.emitted - self._position < lead:
            return float("-inf")
        if self._since is None:
            return None
        return self._since + (self.emitted - lead - self._position) / self.rate_hz
