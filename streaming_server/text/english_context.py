"""What the English rules share: how numbers are written, and what stands around them."""

from __future__ import annotations

import re

from .units_english import SYMBOLS

NUM = r"(?:\d{1,3}(?:,\d{3})+(?!\d)(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+)"
TO = r"\s?[-–—~]\s?"
UNIT = rf"(?P<unit>{'|'.join(re.escape(symbol) for symbol in SYMBOLS)})(?![\w²³]|/[a-z])"
SCALES = {"k": "thousand", "K": "thousand", "m": "million", "M": "million", "B": "billion", "bn": "billion"}


def touches(match: re.Match[str]) -> bool:
    """A letter, a digit or what closes a term stands right before."""
    before = match.string[max(0, match.start() - 1) : match.start()]
    return before.isalnum() or before in (")", "]", "'", "’")


def capital_after(match: re.Match[str]) -> bool:
    after = match.string[match.end() : match.end() + 2].strip()
    return bool(after) and after[0].isupper()


def ends_text(match: re.Match[str]) -> bool:
    """Nothing but closing marks follows: the stop of an abbreviation is also that of its sentence."""
    return not match.string[match.end() :].strip("\"'”’) ")
