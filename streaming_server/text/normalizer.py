"""Turns what is written into what is said: numbers, dates, money, units."""

from __future__ import annotations

from .segment import Segment
from .spoken import Spoken


class Normalizer:
    """Thread-safe; one serves all utterances."""

    def warm(self) -> None:
        """Load what a first call would have to load (about a second)."""

    def plain(self, segment: Segment) -> Spoken | None:
        """The segment as it is, if nothing in it needs normalising; fast enough for the event loop."""
        return _as_written(segment)

    def normalize(self, segment: Segment) -> Spoken:
        """Never raises; what cannot be normalised is spoken as it is written. May take 10 ms and more."""
        return _as_written(segment)


def _as_written(segment: Segment) -> Spoken:
    return Spoken(segment.text, segment.origins, tuple(origin + 1 for origin in segment.origins))
