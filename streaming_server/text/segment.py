"""A piece of an utterance that is spoken in one go."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Segment:
    """Cleaned text, not yet normalised, and where it comes from.

    Positions are code points of the utterance's original text (all its deltas joined). `origins` has one for each code
    point of `text` and never decreases. `text_start:text_end` is the part of the original that the segment covers,
    markup inside included; segments do not overlap and come in order.
    """

    index: int  # 0, 1, 2 ... within the utterance
    text: str
    origins: tuple[int, ...]
    text_start: int
    text_end: int
    language: str  # "en", "zh", ...: what the client asked for, else the dominant language
