"""The listener's clock: how much of what was sent has been heard.

The web process and the engine each keep one for a stream. Both follow the same rule from the same events, so they agree
without a message; only what one side alone knows (a playhead, a pause) is told, as a `Reading`.

Position = min(emitted, last known position + time since). The clock starts with the first audio, stops when all is
played, and goes on with the next audio (PROTOCOL.md, Pacing).
"""

from __future__ import annotations

from dataclasses import dataclass

NEVER = float("-inf")
"""A clock that has not started yet has been dry for ever: the first audio starts it like any other dry one."""


@dataclass(frozen=True, slots=True)
class Reading:
    """A position at an instant. `since` None: the clock stands at `position` until the next reading."""

    position: int  # samples
    since: float | None  # monotonic seconds; may lie ahead: the clock waits for it


class PlaybackClock:
    """Samples and monotonic seconds; never reads a clock itself. Held means that `_since` is None."""

    __slots__ = ("_position", "_since", "emitted", "rate_hz")

    def __init__(self, rate_hz: int, *, held: bool = False, emitted: int = 0) -> None:
        """`emitted`: samples that left before, all heard as far as is known."""
        self.rate_hz = rate_hz
        self.emitted = emitted
        self._position = emitted
        self._since: float | None = None if held else NEVER

    @property
    def is_held(self) -> bool:
        return self._since is None

    def position(self, now: float) -> int:
        """Samples heard."""
        if self._since is None or now <= self._since:
            return self._position
        return int(min(self.emitted, self._position + (now - self._since) * self.rate_hz))

    def lead(self, now: float) -> int:
        """Samples emitted and not yet heard."""
        return self.emitted - self.position(now)

    def emit(self, num_samples: int, now: float) -> bool:
        """Audio leaves for the listener; whether its clock had run dry, or never ran, and goes on from here."""
        since = self._since
        is_dry = since is not None and self._position + max(0.0, now - since) * self.rate_hz >= self.emitted
        if since is not None and is_dry:
            self._position = self.emitted
            self._since = max(now, since)
        self.emitted += num_samples
        return is_dry

    def hold(self, now: float) -> None:
        """Stop: paused, disconnected, or waiting for another utterance to end."""
        self._position = self.position(now)
        self._since = None

    def release(self, now: float, *, position: int | None = None) -> None:
        """Go on, from `position` if it is known. Before the first audio nothing runs, but the clock is held no more."""
        self._position = self.position(now) if position is None else self._heard(position)
        self._since = now

    def read(self) -> Reading:
        return Reading(self._position, self._since)

    def follow(self, reading: Reading) -> None:
        """Take over what the other side knows. Of a clock that has not started there, this side may know more."""
        if reading.since == NEVER and self._since is not None:
            return
        self._position = self._heard(reading.position)
        self._since = reading.since

    def dry_at(self) -> float | None:
        """When the listener runs out of audio; None while the clock is held, -inf before the first audio."""
        if self._since is None:
            return None
        return self._since + (self.emitted - self._position) / self.rate_hz

    def room_at(self, lead: int, under_way: int = 0, now: float = NEVER) -> float | None:
        """From when on less than `lead` samples lie ahead of the listener; None: not before the clock moves.

        `under_way`: further samples that leave about now.
        """
        ahead = self.emitted - self._position
        if ahead + under_way < lead:
            return NEVER
        if self._since is None:
            return None
        dry_at = self._since + ahead / self.rate_hz
        if under_way and dry_at < now:
            dry_at = now
        return dry_at + (under_way - lead) / self.rate_hz

    def _heard(self, position: int) -> int:
        return max(0, min(position, self.emitted))
