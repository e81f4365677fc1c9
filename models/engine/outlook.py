"""What a newcomer may expect: when it would be heard, and when a listener leaves."""

from __future__ import annotations

from math import exp
from typing import NamedTuple

from .step_times import StepTimes

MEMORY_S = 30.0
"""What was seen so long ago counts for a third."""

USUAL_S = 8.0
"""How long a listener is taken to stay before any has left."""


class Prospects(NamedTuple):
    """What an engine tells of itself: enough to say whether it has room, and when."""

    rtf: float | None  # seconds of work for a second of speech to one listener; None before the first
    is_slow: bool  # slower than real time
    capacity: float  # listeners
    first_audio_s: float  # from a newcomer's text to its first patch; 0 before anything is known
    alone_s: float  # the same when nobody else is there
    vacancy_s: float  # until one of the listeners is expected to be over


class Turnover:
    """How long listeners stay: the time that they were there, and how many of them it was over for."""

    __slots__ = ("_at", "_num_listeners", "_over", "_present_s")

    def __init__(self) -> None:
        self._at = 0.0
        self._num_listeners = 0
        self._over = 0.0
        self._present_s = 0.0

    def changed(self, num_listeners: int, now: float) -> None:
        """There are so many from now on."""
        if self._num_listeners:
            kept = exp((self._at - now) / MEMORY_S)
            self._over *= kept
            self._present_s = kept * self._present_s + (1 - kept) * MEMORY_S * self._num_listeners
        self._over += max(0, self._num_listeners - num_listeners)
        self._num_listeners = num_listeners
        self._at = now

    def vacancy_s(self, now: float) -> float:
        """Until the next is expected to be over, of those who are there (or of one)."""
        num_listeners = max(1, self._num_listeners)
        present_s = self._present_s + self._num_listeners * max(0.0, now - self._at)
        return (present_s + USUAL_S) / (self._over + 1) / num_listeners


def first_audio_s(times: StepTimes, num_ahead: int, num_rows: int) -> float:
    """From text to the first patch behind so many who start, in steps of at most `num_rows`."""
    num_rows = min(times.usual_rows, max(1, num_rows))
    return (num_ahead / num_rows + 1) * times.of(num_rows) + (num_ahead + 1) * times.begin_s
