"""A piece of an utterance that is spoken in one go."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from .characters import BREAKS, PARAGRAPH, is_space, is_speakable, is_unspaced
from .glyphs import Glyph


def positions(of: Iterable[int]) -> Sequence[int]:
    """Packed: they are kept for as long as an utterance lives, and a tuple of them takes 40 bytes for each."""
    return array("I", of)


@dataclass(frozen=True, slots=True)
class Segment:
    """Cleaned text, not yet normalised, and where it comes from.

    Positions are code points of the utterance's original text (all its deltas joined). `origins` has one for each code
    point of `text` and never decreases. `text_start:text_end` is the part of the original that the segment covers,
    markup inside included; segments do not overlap and come in order.
    """

    index: int  # 0, 1, 2 ... within the utterance
    text: str
    origins: Sequence[int]
    text_start: int
    text_end: int
    language: str  # "en", "zh", ...: what the client asked for, else the dominant language
    opening: Literal["", "\n\n"] = ""  # two line ends: a paragraph begins, for the voice to pause longer before it
    ending: Literal["", " "] = ""  # a space: the sentence goes on in the next segment, no pause and no falling tone


def tidy(glyphs: Sequence[Glyph]) -> list[Glyph]:
    """Turn line ends into spaces, or into commas where they end a heading or list item; drop idle spaces.

    The first glyph is visible.
    """
    tidied: list[Glyph] = []
    for index, (char, start, end) in enumerate(glyphs):
        last = tidied[-1][0] if tidied else ""
        if char == PARAGRAPH:
            if last == " ":
                tidied.pop()
                last = tidied[-1][0]
            if is_speakable(last):
                tidied.append(("，" if is_unspaced(last) else ",", start, end))
            if not _wants_no_space(last):
                tidied.append((" ", start, end))
        elif is_space(char) or char in BREAKS:
            if last != " " and not (char in BREAKS and _wants_no_space(last)):
                tidied.append((" ", start, end))
        else:
            if last == " " and _closes(char, glyphs[index + 1][0] if index + 1 < len(glyphs) else " "):
                tidied.pop()
            tidied.append((char, start, end))
    while tidied[-1][0] == " ":
        tidied.pop()
    return tidied


def _wants_no_space(char: str) -> bool:
    """Scripts without spaces, and their punctuation."""
    return is_unspaced(char) or "\u3000" <= char <= "\u303f" or "\uff01" <= char <= "\uff65"


def _closes(char: str, following: str) -> bool:
    """Punctuation that wants no space before it; a full stop may also begin a name, as in .NET."""
    return char in ",!?;:" or (char == "." and (is_space(following) or following in BREAKS))
