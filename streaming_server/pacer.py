"""How far ahead of the listener one utterance may be, and what the engine must be told of it.

The engine keeps the same playback clock from its own emissions. This side keeps two: `heard`, from what the socket took
and from playheads, and a mirror of the engine's. While both agree, nothing is sent.
"""

from __future__ import annotations

from collections.abc import Callable

from models.engine import PlaybackClock, Reading

TOLERANCE_MS = 10
"""Disagreement below this is not worth a message. A listener may be served late by as much for as long as it listens,
which at 20 was all of the lateness that the slowest hundredth is allowed (p99 <= 20 ms)."""

MAX_SUCCESSORS = 128
"""More than there may be utterances at a time."""

FRESH_S = 2.0
"""A position told longer ago is no more than an estimate: a listener tells one every second while it plays."""


class Pacer:
    """One utterance's listener. Times are monotonic seconds, positions ticks of the model's rate.

    `after`: the clock does not start before that one is heard to its end.
    """

    def __init__(self, rate_hz: int, now: float, *, after: Pacer | None = None) -> None:
        self._after = after if after is not None and not after._is_over(now) else None
        self._waits = self._after is not None
        self._heard = PlaybackClock(rate_hz, held=self._waits)
        self._mirror = PlaybackClock(rate_hz, held=self._waits)
        self._tell: Callable[[Reading], None] = _to_nobody
        self._tolerance = rate_hz * TOLERANCE_MS // 1000
        self._successors: list[Pacer] = []
        self._ended_at: float | None = None  # all was sent, or nothing more will be
        self._was_cut = False
        self.has_playhead = False
        self._told_at = float("-inf")
        self._is_paused = False
        self._rushed = False

    def attach(self, tell: Callable[[Reading], None], now: float) -> None:
        """The engine has opened the stream, held if `waits`."""
        self._tell = tell
        if self._after is not None:
            self._after._add(self)
            self._start_at(self._after._ends_at(), now)

    def detach(self) -> None:
        """The engine has no use for the listener's clock any more."""
        self._tell = _to_nobody

    @property
    def waits(self) -> bool:
        """Another utterance plays first."""
        return self._waits

    @property
    def sent(self) -> int:
        return self._heard.emitted

    def position(self, now: float) -> int:
        """What the listener has heard, as well as can be known."""
        return self._heard.position(now)

    def is_told(self, now: float) -> bool:
        """Whether that is what the listener has said, a moment ago or before it paused."""
        return self._told_at > now - FRESH_S or (self._is_paused and self._told_at > float("-inf"))

    def on_patch(self, num_samples: int, now: float) -> None:
        """The engine has emitted a patch."""
        # Else both have run alike since they agreed, but for what runs dry within the tolerance: `on_sent` tells that.
        is_behind = self._mirror.emitted > self._heard.emitted
        self._mirror.emit(num_samples, now)
        if is_behind or self._rushed:
            self._agree(now)

    def rush(self, now: float) -> None:
        """Have the engine make what is left as fast as it can, as if all were heard at once."""
        self._rushed = True
        self._hurry(now)

    def on_sent(self, num_samples: int, now: float) -> None:
        """The socket has taken audio."""
        self._heard.emit(num_samples, now)
        self._agree(now)

    def on_playhead(self, played: int | None, paused: bool | None, now: float) -> None:
        """The listener says where it is."""
        if played is None and paused is None:
            return
        if self._waits and not played:
            return  # nothing of it can have been heard yet
        self.has_playhead = True
        self._waits = False
        self._is_paused = bool(paused)
        if played is not None:
            self._told_at = now
        if paused:
            if played is not None:
                self._heard.release(now, position=played)
            self._heard.hold(now)
        else:
            self._heard.release(now, position=played)
        self._agree(now)
        self._lead_on(now)

    def on_resume(self, received: int, now: float) -> None:
        """The listener is back, and has got no more than so many samples."""
        if self._heard.position(now) > received and not self._heard.is_held:
            self._heard.release(now, position=received)
            self._agree(now)

    def on_end(self, now: float, *, cancelled: bool) -> None:
        """All of it is sent, or nothing more will be. Who comes after starts when it is heard."""
        self._ended_at = now
        self._was_cut = cancelled
        if cancelled:
            self._heard.hold(now)
        self._lead_on(now)

    def _add(self, successor: Pacer) -> None:
        """Of those that are over before they were heard only so many are told when it is their turn."""
        self._successors.append(successor)
        if len(self._successors) > MAX_SUCCESSORS:
            over = next((each for each in self._successors if each._ended_at is not None), self._successors[0])
            self._successors.remove(over)

    def _ends_at(self) -> float | None:
        """When its listener has heard it to the end; None while that cannot be known."""
        if self._ended_at is None or self._was_cut:
            return self._ended_at
        if self._heard.emitted:
            return self._heard.dry_at()
        return None if self._waits else self._ended_at

    def _is_over(self, now: float) -> bool:
        ends_at = self._ends_at()
        return ends_at is not None and ends_at <= now

    def _lead_on(self, now: float) -> None:
        if self._ended_at is not None:
            for successor in self._successors:
                successor._start_at(self._ends_at(), now)

    def _start_at(self, starts_at: float | None, now: float) -> None:
        if self.has_playhead:
            return
        reading = Reading(0, starts_at)
        self._waits = starts_at is None
        self._heard.follow(reading)
        self._mirror.follow(reading)
        self._tell(reading)
        self._lead_on(now)

    def _hurry(self, now: float) -> None:
        reading = Reading(self._mirror.emitted, now)
        self._mirror.follow(reading)
        self._tell(reading)

    def _agree(self, now: float) -> None:
        if self._rushed:
            self._hurry(now)
            return
        heard, mirror = self._heard, self._mirror
        position = heard.position(now)
        differs = abs(position - mirror.position(now)) > self._tolerance
        is_dry = position >= heard.emitted and (differs or mirror.is_held)
        stands = heard.is_held or is_dry
        if stands == mirror.is_held and not differs:
            return
        reading = Reading(position, None if stands else now)
        mirror.follow(reading)
        self._tell(reading)


def _to_nobody(_: Reading) -> None:
    pass
