"""Cuts cleaned text into segments as it arrives: early where a listener waits, at clause and sentence boundaries.

Each character is looked at once, in order, and a segment is cut as soon as the characters so far decide it. Chinese and
Japanese stops decide by themselves; a comma or full stop of a spaced script needs the space behind it (`3.` may become
`3.14`), an abbreviation the letter after that.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum
from typing import Literal

from .abbreviations import StopKind, stop_kind
from .buffer import Buffer
from .characters import (
    BREAKS,
    CLAUSE_STOPS,
    CLOSERS,
    ENUMERATION_COMMA,
    NEWLINE,
    PARAGRAPH,
    SENTENCE_STOPS,
    is_mark,
    is_space,
    is_unspaced,
)
from .glyphs import Glyph
from .language import language_of
from .schedule import Mode, sizes_for
from .segment import Segment, positions, tidy

MAX_GLYPHS = 600
"""No segment has more characters, whatever they weigh; combining marks may overrun it a little."""

_MAX_MARKS = 40  # beyond MAX_GLYPHS, on one letter
_NUM_KEPT = 8  # characters of an endless row of silent ones
_SILENT_LEAD = frozenset(".,;:!?…") | CLOSERS - {'"', "'"} | SENTENCE_STOPS | CLAUSE_STOPS | {ENUMERATION_COMMA}
_QUOTES = frozenset("\"'”’»」』")
_CLOSED = frozenset(".,;:!?…") | SENTENCE_STOPS | CLAUSE_STOPS | CLOSERS
"""What a clause can end with."""


class Boundary(IntEnum):
    """Strength: a stronger one is taken for a shorter segment."""

    CLAUSE = 1
    SENTENCE = 2
    PARAGRAPH = 3


class Segmenter:
    """State of one utterance. `mode` and its sizes: see `schedule`. `language`: "auto", or what all segments are."""

    def __init__(self, mode: Mode = "auto", language: str = "auto") -> None:
        self._mode = mode
        self._language = language
        self._last_language = ""
        self._next_index = 0
        self._rank = 0  # of the segment in work, since the last pause
        self._segments: list[Segment] = []
        self._after_paragraph = False
        self._reset()

    def _reset(self) -> None:
        self._buffer = Buffer()
        self._stop_at = -1  # first character of a stop whose meaning the next character decides
        self._spaced = False  # its space has come: only the next visible character is missing
        self._quoted = False  # a closing quotation mark followed it

    @property
    def pending(self) -> bool:
        """True while text that will be spoken waits for its boundary."""
        return self._buffer.weight > 0

    @property
    def draft(self) -> str:
        """The segment in work, as far as it is written."""
        return "".join(char for char, _, _ in self._buffer.glyphs).lstrip()

    def feed(self, glyphs: Iterable[Glyph]) -> list[Segment]:
        """Take cleaned text; return the segments that it completes."""
        for glyph in glyphs:
            self._push(glyph)
        return self._drain()

    def pause(self) -> list[Segment]:
        """The writer has paused: cut behind the last complete word.

        What may go on stays: half a word, `3.`, `Dr.`. Text without spaces is complete at any character.
        """
        complete = self._complete_until()
        if self._buffer.weight_until(complete):
            self._rank = -1
            self._cut(complete, " " if self._buffer.char(complete - 1) not in _CLOSED else "")
        return self._drain()

    def flush(self) -> list[Segment]:
        """Cut here, whatever stands here. The next segment is a first one again."""
        self._cut(len(self._buffer))
        self._reset()
        self._rank = 0
        return self._drain()

    def _drain(self) -> list[Segment]:
        segments, self._segments = self._segments, []
        return segments

    def _push(self, glyph: Glyph) -> None:
        char, _, end = glyph
        if not char:
            self._buffer.stretch(end)
            return
        if self._stop_at >= 0:
            self._decide(char)
        if self._is_full(char):
            self._cut(self._buffer.forced_place(), " ")
        if not self._buffer and (char in _SILENT_LEAD or char in BREAKS or is_space(char)):
            self._after_paragraph = self._after_paragraph or char == PARAGRAPH
            return
        if self._buffer.repeats(char):
            self._buffer.stretch(end)
            return
        self._buffer.append(glyph)
        self._open_stop(char)

    def _is_full(self, char: str) -> bool:
        """No room for `char`. A mark stays with its letter."""
        size = len(self._buffer)
        if is_mark(char):
            return size >= MAX_GLYPHS + _MAX_MARKS
        return size >= MAX_GLYPHS or (size > 0 and self._buffer.weight >= sizes_for(self._mode, self._rank).limit)

    # Boundaries

    def _open_stop(self, char: str) -> None:
        """Act on the character just appended if it ends a clause, or may."""
        here = len(self._buffer)
        previous = self._buffer.char(here - 2)
        if char == PARAGRAPH:
            self._boundary(here - 1, Boundary.PARAGRAPH)
        elif char in SENTENCE_STOPS:
            self._boundary(here, Boundary.SENTENCE)
        elif (char in CLAUSE_STOPS and not previous.isdigit()) or (char == ENUMERATION_COMMA and self._buffer.has_kana):
            self._boundary(here, Boundary.CLAUSE)
        elif char == ENUMERATION_COMMA:
            self._buffer.note_clause(here)
        elif is_space(char) and is_unspaced(previous) and previous < "\u2000":  # Thai and its neighbours
            self._boundary(here - 1, Boundary.CLAUSE)
        elif self._stop_at >= 0:
            pass  # "?!" and "...": one stop
        elif char == NEWLINE or char in ".!?…,;:，：—" or (char in "-–" and previous == " "):
            self._stop_at = here - 1
            self._spaced = char == NEWLINE
            self._quoted = False

    def _boundary(self, here: int, strength: Boundary) -> bool:
        """A boundary of that strength: cut, if the segment is long enough for it."""
        sizes = sizes_for(self._mode, self._rank)
        least = {Boundary.CLAUSE: sizes.clause, Boundary.SENTENCE: sizes.sentence, Boundary.PARAGRAPH: sizes.paragraph}
        if self._buffer.weight_until(here) >= least[strength]:
            self._cut(here)
            return True
        self._buffer.note_clause(here)
        return False

    def _decide(self, char: str) -> None:
        """`char` comes behind a stop: is there a boundary?"""
        stop = self._buffer.char(self._stop_at)
        if self._spaced:
            self._decide_by_visible(stop, char)
        elif char in CLOSERS and stop not in "-–":
            self._quoted = self._quoted or char in _QUOTES
        elif char in ".!?…" and stop in ".!?…":
            pass
        elif is_space(char) or char in BREAKS:
            self._decide_by_space(stop)
        else:
            self._decide_by_neighbour(stop, char)

    def _end_stop(self, strength: Boundary | None) -> None:
        """The stop is understood: a boundary of that strength, or none."""
        self._stop_at = -1
        if strength is not None:
            self._boundary(self._buffer.without_trailing_space(), strength)

    def _decide_by_space(self, stop: str) -> None:
        previous = self._buffer.char(self._stop_at - 1)
        ellipsis = self._buffer.char(self._stop_at + 1) == "." or stop == "…"
        if stop == "," and previous.isdigit():
            self._spaced = True
        elif stop in ",;:，：—-–":
            self._end_stop(Boundary.CLAUSE)
        elif stop == "." and not ellipsis and (kind := self._stop_kind()) is not StopKind.END:
            if kind is StopKind.NEVER:
                self._end_stop(None)
            else:
                self._spaced = True
        elif self._quoted or ellipsis:
            # At least a clause; whether it is a sentence the next letter will show.
            self._spaced = not self._boundary(self._buffer.without_trailing_space(), Boundary.CLAUSE)
        else:
            self._end_stop(Boundary.SENTENCE)

    def _decide_by_neighbour(self, stop: str, char: str) -> None:
        """No space behind the stop: a boundary only beside a script that uses none."""
        previous = self._buffer.char(self._stop_at - 1)
        if stop in "…，：—":
            ends = not (previous.isdigit() and char.isdigit())
        elif stop == "." and self._buffer.char(self._stop_at + 1) == "." and previous.isalpha() and char.isalpha():
            ends = True
        elif stop == "." and self._is_list_number():
            ends = False
        else:
            ends = is_unspaced(previous) or is_unspaced(char)
        strength = Boundary.SENTENCE if stop in ".!?" else Boundary.CLAUSE
        self._end_stop(strength if ends else None)

    def _decide_by_visible(self, stop: str, char: str) -> None:
        if char in BREAKS:
            if char == PARAGRAPH:
                self._stop_at = -1
        elif stop == NEWLINE:
            if not char.islower():
                self._buffer.replace(self._stop_at, PARAGRAPH)
            self._end_stop(None if char.islower() else Boundary.PARAGRAPH)
        elif stop == ",":
            self._end_stop(None if char.isdigit() else Boundary.CLAUSE)
        elif stop == "." and self._stop_kind() is StopKind.UNLESS_NUMBER:
            self._end_stop(None if char.isdigit() else Boundary.SENTENCE)
        else:
            self._end_stop(None if char.islower() or char.isdigit() else Boundary.SENTENCE)

    def _stop_kind(self) -> StopKind:
        return StopKind.NEVER if self._is_list_number() else stop_kind(self._buffer.word_before(self._stop_at))

    def _is_list_number(self) -> bool:
        word = self._buffer.word_before(self._stop_at)
        return len(word) <= 3 and word.isdigit() and len(word) == self._stop_at

    def _complete_until(self) -> int:
        """How much of the buffer cannot change its meaning with what is written next."""
        buffer = self._buffer
        here, last = len(buffer), buffer.without_trailing_space()
        if buffer.char(last - 1) == ".":
            word = buffer.word_before(last - 1)
            if word.isdigit() or stop_kind(word) in (StopKind.NEVER, StopKind.UNLESS_NUMBER):
                return buffer.word_start(last)
        char = buffer.char(here - 1)
        if char in (",", ":") and buffer.char(here - 2).isdigit():
            return buffer.word_start(here)
        complete = last != here or is_unspaced(char) or char in _SILENT_LEAD or char in CLOSERS
        return here if complete else buffer.word_start(here, MAX_GLYPHS)

    # Segments

    def _cut(self, here: int, ending: Literal["", " "] = "") -> None:
        """End the segment in work at `here`; what lies behind begins the next. Silent text is given up."""
        taken, rest = self._buffer.glyphs[:here], self._buffer.glyphs[here:]
        spoken = self._buffer.weight_until(here) > 0
        self._reset()
        if spoken:
            self._emit(tidy(taken), ending)
            self._rank += 1
        else:
            rest = taken[-_NUM_KEPT:] + rest
        for glyph in rest:
            self._push(glyph)

    def _emit(self, glyphs: list[Glyph], ending: Literal["", " "]) -> None:
        text = "".join(char for char, _, _ in glyphs)
        language = self._language
        if language == "auto":
            language = self._last_language = language_of(text, self._last_language)
        self._segments.append(
            Segment(
                index=self._next_index,
                text=text,
                origins=positions([start for _, start, _ in glyphs]),
                text_start=glyphs[0][1],
                text_end=glyphs[-1][2],
                language=language,
                opening="\n\n" if self._after_paragraph and self._next_index else "",
                ending=ending,
            )
        )
        self._next_index += 1
        self._after_paragraph = False
