"""A segment as it is handed to the voice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Spoken:
    """Normalised text and where it comes from.

    For each code point of `text`, `origins` and `ends` give the range of the original text (code points) that it
    speaks: every letter of "three dollars fifty" stands for the whole of "$3.50". Neither ever decreases.
    """

    text: str
    origins: Sequence[int]
    ends: Sequence[int]

    def span(self, start: int, end: int) -> tuple[int, int]:
        """The range of original code points that `text[start:end]` stands for. Clipped; empty in, empty out."""
        size = len(self.text)
        start, end = max(0, min(start, size)), max(0, min(end, size))
        if not size:
            return 0, 0
        if start >= end:
            here = self.origins[start] if start < size else self.ends[-1]
            return here, here
        return self.origins[start], max(self.ends[end - 1], self.origins[start] + 1)
