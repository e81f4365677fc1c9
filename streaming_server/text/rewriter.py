"""Finds what is written but not said, and says it: rules over a text, with the place of every replacement kept."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from .characters import is_ascii_alnum

Say = Callable[[re.Match[str]], str | None]
Start = Literal["word", "digit", "sign"]


@dataclass(frozen=True, slots=True)
class Rule:
    """Where `pattern` matches, `say` gives the words, or None if it is not meant after all.

    `start`: what the pattern begins with. A pattern may look at what is around it.
    """

    start: Start
    pattern: re.Pattern[str]
    say: Say


def rule(start: Start, pattern: str, say: Say) -> Rule:
    return Rule(start, re.compile(pattern), say)


@dataclass(frozen=True, slots=True)
class Piece:
    """`text` is said for `start:end` of what was written."""

    text: str
    start: int
    end: int


JOINED = "\u2060"
"""At an end of what is said: no space there, even if one was written. Cleaned text never has this character."""

_PLACES = re.compile(
    r"(?P<word>[A-Za-z]+)"
    r"|(?P<digit>[0-9])"
    r"|(?P<sign>[^\w\s,!?;:，。！？；：、]|[_\u00b2\u00b3\u00b9\u00bc-\u00be\u2070-\u2079\u2150-\u215e])"
)


class Rewriter:
    """An ordered list of rules: at each word, digit or sign the first that fits is taken."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        self._rules: dict[str | None, list[Rule]] = {"word": [], "digit": [], "sign": []}
        for rule in rules:
            self._rules[rule.start].append(rule)

    def rewrite(self, text: str) -> list[Piece]:
        """What is said for each part of `text`, in order. Parts that nothing is said for are left out."""
        pieces: list[Piece] = []
        at = 0
        while place := _PLACES.search(text, at):
            for rule in self._rules[place.lastgroup]:
                found = rule.pattern.match(text, place.start())
                said = rule.say(found) if found else None
                if found and said is not None:
                    pieces += _as_written(text, at, place.start())
                    pieces.append(Piece(said, found.start(), found.end()))
                    at = found.end()
                    break
            else:
                pieces += _as_written(text, at, place.end())
                at = place.end()
        return [*pieces, *_as_written(text, at, len(text))]


def _as_written(text: str, start: int, end: int) -> Iterable[Piece]:
    return (Piece(text[at], at, at + 1) for at in range(start, end))


def spaced(pieces: Iterable[Piece]) -> list[Piece]:
    """Part words that a replacement has brought together, and drop the spaces that it has left over."""
    result: list[Piece] = []
    last, joined, replaced = " ", False, False
    for piece in pieces:
        text = piece.text
        if text.startswith(JOINED):
            while result and result[-1].text == " ":
                result.pop()
        said = text.strip(JOINED)
        was_replaced, replaced = replaced, len(text) != piece.end - piece.start or len(text) > 1
        if last == " " or joined:
            said = said.lstrip(" ")
        elif (replaced or was_replaced) and said and is_ascii_alnum(last) and is_ascii_alnum(said[0]):
            said = f" {said}"
        if said:
            result.append(Piece(said, piece.start, piece.end))
            last, joined = said[-1], text.endswith(JOINED)
    while result and not (text := result[-1].text.rstrip(" ")):
        result.pop()
    if result:
        result[-1] = Piece(text, result[-1].start, result[-1].end)
    return result
