"""Cuts cleaned text into segments as it arrives: early where a listener waits, at clause and sentence boundaries.

Each character is looked at once, in order, and a segment is cut as soon as the characters so far decide it. Chinese and
Japanese stops decide by themselves; a comma or full stop of a spaced script needs the space behind it (`3.` may become
`3.14`), an abbreviation the letter after that.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum

from .abbreviations import StopKind, stop_kind
from .characters import (
    BREAKS,
    CLAUSE_STOPS,
    CLOSERS,
    ENUMERATION_COMMA,
    NEWLINE,
    OPENERS,
    PARAGRAPH,
    SENTENCE_STOPS,
    is_mark,
    is_space,
    is_speakable,
    is_unspaced,
    spoken_weight,
)
from .cleaner import Glyph
from .language import language_of
from .schedule import Mode, sizes_for
from .segment import Segment

MAX_GLYPHS = 600
"""No segment has more characters, whatever they weigh."""

_MAX_REPEATS = 3  # of one silent character: "!!!!!!!!"
_SILENT_LEAD = frozenset(".,;:!?…") | CLOSERS - {'"', "'"} | SENTENCE_STOPS | CLAUSE_STOPS | {ENUMERATION_COMMA}


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
        self._reset()

    def _reset(self) -> None:
        self._glyphs: list[Glyph] = []
        self._weights: list[int] = []  # running sum
        self._stop_at = -1  # first character of a stop whose meaning the next character decides
        self._spaced = False  # its space has come: only the next visible character is missing
        self._quoted = False  # a closing quotation mark followed it
        self._breaks: dict[str, int] = {}  # the last place fit for a forced cut, by quality

    @property
    def pending(self) -> bool:
        """True while text that will be spoken waits for its boundary."""
        return bool(self._weights) and self._weights[-1] > 0

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
        if complete and self._weights[complete - 1]:
            self._rank = -1
            self._cut(complete)
        return self._drain()

    def flush(self) -> list[Segment]:
        """Cut here, whatever stands here. The next segment is a first one again."""
        self._cut(len(self._glyphs))
        self._rank = 0
        return self._drain()

    def _drain(self) -> list[Segment]:
        segments, self._segments = self._segments, []
        return segments

    def _push(self, glyph: Glyph) -> None:
        char, _, end = glyph
        if not char:
            self._stretch(end)
            return
        if self._stop_at >= 0:
            self._decide(char)
        if self._is_full() and not is_mark(char):
            self._cut(self._forced_place())
        if not self._glyphs and (char in _SILENT_LEAD or char in BREAKS or is_space(char)):
            return
        if self._repeats(char):
            self._stretch(end)
            return
        self._note_break(char)
        self._glyphs.append(glyph)
        self._weights.append((self._weights[-1] if self._weights else 0) + spoken_weight(char))
        self._open_stop(char)

    def _stretch(self, end: int) -> None:
        """The last character also stands for markup behind it."""
        if self._glyphs:
            char, start, _ = self._glyphs[-1]
            self._glyphs[-1] = (char, start, end)

    def _repeats(self, char: str) -> bool:
        last = self._glyphs[-_MAX_REPEATS:]
        return len(last) == _MAX_REPEATS and not is_speakable(char) and all(glyph[0] == char for glyph in last)

    def _char(self, index: int) -> str:
        return self._glyphs[index][0] if 0 <= index < len(self._glyphs) else ""

    # Boundaries

    def _open_stop(self, char: str) -> None:
        """Act on the character just appended if it ends a clause, or may."""
        here = len(self._glyphs)
        previous = self._char(here - 2)
        if char == PARAGRAPH:
            self._boundary(here - 1, Boundary.PARAGRAPH)
        elif char in SENTENCE_STOPS:
            self._boundary(here, Boundary.SENTENCE)
        elif char in CLAUSE_STOPS and not previous.isdigit():
            self._boundary(here, Boundary.CLAUSE)
        elif char == ENUMERATION_COMMA:
            if self._has_kana():
                self._boundary(here, Boundary.CLAUSE)
            else:
                self._breaks["clause"] = here
        elif is_space(char) and is_unspaced(previous) and previous < "\u2000":  # Thai and its neighbours
            self._boundary(here - 1, Boundary.CLAUSE)
        elif self._stop_at >= 0:
            pass  # "?!" and "...": one stop
        elif char == NEWLINE or char in ".!?…,;:，：—" or (char in "-–" and previous == " "):
            self._stop_at = here - 1
            self._spaced = char == NEWLINE
            self._quoted = False

    def _has_kana(self) -> bool:
        return any("\u3040" <= char <= "\u30ff" for char, _, _ in self._glyphs)

    def _boundary(self, here: int, strength: Boundary) -> bool:
        """A boundary of that strength before glyph `here`: cut, if the segment is long enough for it."""
        if not here:
            return False
        sizes = sizes_for(self._mode, self._rank)
        least = {Boundary.CLAUSE: sizes.clause, Boundary.SENTENCE: sizes.sentence, Boundary.PARAGRAPH: sizes.paragraph}
        if self._weights[here - 1] >= least[strength]:
            self._cut(here)
            return True
        self._breaks["clause"] = here
        return False

    def _decide(self, char: str) -> None:
        """`char` comes behind a stop: is there a boundary?"""
        if self._spaced:
            if not is_space(char):
                self._decide_by_visible(char)
            return
        stop = self._char(self._stop_at)
        if char in CLOSERS and stop not in "-–":
            self._quoted = self._quoted or char in "\"'”’»」』"
        elif char in ".!?…" and stop in ".!?…":
            pass
        elif is_space(char) or char in BREAKS:
            self._decide_by_space(stop)
        else:
            self._decide_by_neighbour(stop, char)

    def _end_stop(self, strength: Boundary | None) -> None:
        self._stop_at, here = -1, self._behind_stop()
        if strength is not None:
            self._boundary(here, strength)

    def _behind_stop(self) -> int:
        """Where the segment would end: behind the stop and what closes with it."""
        here = len(self._glyphs)
        while here and (is_space(self._char(here - 1)) or self._char(here - 1) in BREAKS):
            here -= 1
        return here

    def _decide_by_space(self, stop: str) -> None:
        trailing_dots = self._char(self._stop_at + 1) == "." or stop == "…"
        if stop == "," and self._char(self._stop_at - 1).isdigit():
            self._spaced = True
        elif stop in ",;:，：—-–":
            self._end_stop(Boundary.CLAUSE)
        elif stop == "." and not trailing_dots and (kind := self._stop_kind()) is not StopKind.END:
            if kind is StopKind.NEVER:
                self._end_stop(None)
            else:
                self._spaced = True
        elif self._quoted or trailing_dots:
            # At least a clause; whether it is a sentence the next letter will show.
            if not self._boundary(self._behind_stop(), Boundary.CLAUSE):
                self._spaced = True
        else:
            self._end_stop(Boundary.SENTENCE)

    def _decide_by_neighbour(self, stop: str, char: str) -> None:
        """No space behind the stop: a boundary only beside a script that uses none."""
        previous = self._char(self._stop_at - 1)
        unspaced = is_unspaced(previous) or is_unspaced(char)
        if stop == "." and self._char(self._stop_at + 1) == ".":
            unspaced = unspaced or (previous.isalpha() and char.isalpha())
        elif stop == "." and self._is_list_number():
            unspaced = False
        if stop in "…，：—":
            unspaced = not (previous.isdigit() and char.isdigit())
        if not unspaced:
            self._end_stop(None)
        else:
            self._end_stop(Boundary.SENTENCE if stop in ".!?" else Boundary.CLAUSE)

    def _decide_by_visible(self, char: str) -> None:
        stop = self._char(self._stop_at)
        if char in BREAKS:
            if char == PARAGRAPH:
                self._stop_at = -1
            return
        if stop == NEWLINE:
            if char.islower():
                self._end_stop(None)
            else:
                _, start, end = self._glyphs[self._stop_at]
                self._glyphs[self._stop_at] = (PARAGRAPH, start, end)
                self._end_stop(Boundary.PARAGRAPH)
        elif stop == ",":
            self._end_stop(None if char.isdigit() else Boundary.CLAUSE)
        elif stop == "." and self._stop_kind() is StopKind.UNLESS_NUMBER:
            self._end_stop(None if char.isdigit() else Boundary.SENTENCE)
        else:
            self._end_stop(None if char.islower() or char.isdigit() else Boundary.SENTENCE)

    def _stop_kind(self) -> StopKind:
        if self._is_list_number():
            return StopKind.NEVER
        return stop_kind(self._word_before(self._stop_at))

    def _is_list_number(self) -> bool:
        word = self._word_before(self._stop_at)
        return len(word) <= 3 and word.isdigit() and len(word) == self._stop_at

    def _word_before(self, end: int) -> str:
        start = self._word_start(end)
        return "".join(char for char, _, _ in self._glyphs[start:end]).strip("\"'“”‘’()[]{}«»")

    def _word_start(self, end: int, longest: int = 24) -> int:
        start = end
        while start and end - start < longest:
            char = self._char(start - 1)
            if is_space(char) or char in BREAKS or is_unspaced(char):
                break
            start -= 1
        return start

    # Cuts without a boundary

    def _note_break(self, char: str) -> None:
        """Remember the place before `char` if a segment that grows too long may be cut there."""
        here = len(self._glyphs)
        previous = self._char(here - 1)
        if previous == " ":
            self._breaks["phrase" if not self._char(here - 2).isdigit() else "word"] = here
        elif (is_unspaced(char) or is_unspaced(previous)) and is_speakable(char) and previous not in OPENERS:
            if is_mark(char) or previous in "เแโใไ":
                return
            self._breaks["word"] = here
            if previous in "的了着吗呢吧啊は、をが" or char in "但和与或而因所如并且":
                self._breaks["phrase"] = here

    def _is_full(self) -> bool:
        if not self._glyphs:
            return False
        return self._weights[-1] >= sizes_for(self._mode, self._rank).limit or len(self._glyphs) >= MAX_GLYPHS

    def _forced_place(self) -> int:
        enough = self._weights[-1] * 3 // 10
        for quality in ("clause", "phrase", "word"):
            here = self._breaks.get(quality, 0)
            if here and self._weights[here - 1] >= enough:
                return here
        return len(self._glyphs)

    def _complete_until(self) -> int:
        """How much of the buffer cannot change its meaning with what is written next."""
        here = len(self._glyphs)
        last = self._behind_stop()
        if last and self._char(last - 1) == ".":
            word = self._word_before(last - 1)
            if word.isdigit() or stop_kind(word) in (StopKind.NEVER, StopKind.UNLESS_NUMBER):
                return self._word_start(last)
        if last != here or not here:
            return here
        char = self._char(here - 1)
        if char in ",:" and self._char(here - 2).isdigit():
            return self._word_start(here)
        complete = is_unspaced(char) or char in _SILENT_LEAD or char in CLOSERS
        return here if complete else self._word_start(here, MAX_GLYPHS)

    # Segments

    def _cut(self, here: int) -> None:
        taken, rest = self._glyphs[:here], self._glyphs[here:]
        spoken = self.pending
        self._reset()
        if spoken:
            self._emit(taken)
            self._rank += 1
        else:
            rest = rest or taken[-8:]
        for glyph in rest:
            self._push(glyph)

    def _emit(self, glyphs: list[Glyph]) -> None:
        glyphs = _tidy(glyphs)
        text = "".join(char for char, _, _ in glyphs)
        language = self._language
        if language == "auto":
            language = self._last_language = language_of(text, self._last_language)
        self._segments.append(
            Segment(
                index=self._next_index,
                text=text,
                origins=tuple(start for _, start, _ in glyphs),
                text_start=glyphs[0][1],
                text_end=glyphs[-1][2],
                language=language,
            )
        )
        self._next_index += 1


def _tidy(glyphs: list[Glyph]) -> list[Glyph]:
    """Turn line ends into spaces, or into commas where they end a heading or list item; drop idle spaces."""
    tidy: list[Glyph] = []
    for index, (char, start, end) in enumerate(glyphs):
        last = tidy[-1][0] if tidy else " "
        if char == PARAGRAPH:
            if last == " ":
                tidy.pop()
            last = tidy[-1][0]
            if is_speakable(last):
                char = "，" if is_unspaced(last) else ","
                tidy.append((char, start, end))
            if char != "，":
                tidy.append((" ", start, end))
        elif is_space(char) or char in BREAKS:
            if last != " " and not (char in BREAKS and is_unspaced(last)):
                tidy.append((" ", start, end))
        else:
            closes = char in ",!?;:" or (char == "." and (index + 1 == len(glyphs) or is_space(glyphs[index + 1][0])))
            if closes and last == " " and tidy:
                tidy.pop()
            tidy.append((char, start, end))
    while tidy and tidy[-1][0] == " ":
        tidy.pop()
    return tidy
