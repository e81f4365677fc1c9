"""Which text has been heard at a moment of the audio: what a chatbot cuts its history to."""

from __future__ import annotations

import unicodedata
from bisect import bisect_left, bisect_right, insort
from dataclasses import dataclass

from protocol.messages import Spoken

ZERO_WIDTH_JOINER = "\u200d"
SKIN_TONES = "\U0001f3fb\U0001f3fc\U0001f3fd\U0001f3fe\U0001f3ff"


@dataclass(frozen=True, slots=True)
class HeardText:
    """`text_end` in code points of the original text; `estimated` when no exact word times back it."""

    text_end: int
    mid_word: bool
    estimated: bool


class SpokenText:
    """Segments and words of one utterance by the tick at which they begin."""

    def __init__(self) -> None:
        self._segment_pts: list[int] = []
        self._segments: list[tuple[int, int, int]] = []  # text_start, text_end, expected ticks
        self._ends: list[int] = []  # of those that are over, in ticks
        self._words: list[tuple[int, int, int, int]] = []  # pts, text_start, text_end, pts_end
        self._estimates: dict[int, tuple[int, int, int, int]] = {}  # of those words, the estimated ones by text_start

    @property
    def _estimated(self) -> bool:
        return bool(self._estimates)

    def add_segment(self, text_start: int, text_end: int, pts: int, expected: int) -> None:
        """`expected`: how many ticks it will probably last."""
        self._segment_pts.append(pts)
        self._segments.append((text_start, text_end, expected))

    def end_segment(self, pts_end: int) -> None:
        """The oldest one that is not over yet, is."""
        self._ends.append(pts_end)

    def add_word(self, text_start: int, text_end: int, pts: int, pts_end: int, *, estimated: bool) -> None:
        """Of a segment that was added. An estimated word takes the place of the one with its `text_start`."""
        word = (pts, text_start, text_end, pts_end)
        if estimated:
            former = self._estimates.get(text_start)
            if former is not None:
                del self._words[bisect_left(self._words, former)]
            self._estimates[text_start] = word
        insort(self._words, word)

    def heard(self, pts: int) -> HeardText:
        """What was heard when the audio stopped at `pts`."""
        segment = bisect_right(self._segment_pts, pts) - 1
        if segment < 0 or pts <= 0:
            return HeardText(0, False, False)
        text_start, text_end, expected = self._segments[segment]
        ends = self._ends[segment] if segment < len(self._ends) else None
        if ends is not None and pts >= ends:
            return HeardText(text_end, False, self._estimated)
        begins = self._segment_pts[segment]
        words = self._words[bisect_left(self._words, (begins,)) : bisect_left(self._words, (pts,))]
        if words:
            heard = max(text_start, *(word_end for _, _, word_end, _ in words))
            return HeardText(heard, pts < max(pts_end for *_, pts_end in words), self._estimated)
        if self._words:
            return HeardText(text_start, False, self._estimated)  # the pause before the segment's first word
        share = min(1.0, (pts - begins) / max(1, ends - begins if ends is not None else expected))
        return HeardText(text_start + round(share * (text_end - text_start)), True, True)

    def cut(self, original: str, pts: int, *, estimated: bool) -> Spoken:
        """`done.spoken` for audio that stopped at `pts`; `estimated`: so is `pts` itself."""
        heard = self.heard(pts)
        text_end = _whole(original, heard.text_end)
        return Spoken(
            text_end=text_end,
            pts=pts,
            mid_word=heard.mid_word,
            estimated=estimated or heard.estimated,
            text=original[:text_end],
            remaining=original[text_end:],
        )

    def word_end_after(self, pts: int) -> int:
        """The next tick at which a word ends; `pts` itself where none is known."""
        for *_, pts_end in self._words[max(0, bisect_left(self._words, (pts + 1,)) - 1) :]:
            if pts_end >= pts:
                return pts_end
        return pts


def _whole(text: str, end: int) -> int:
    """No sign is cut in two: a letter goes with its accents, and an emoji with what varies it or is joined to it."""
    while 0 < end < len(text) and (_extends(text[end]) or text[end - 1] == ZERO_WIDTH_JOINER):
        end += 1
    return end


def _extends(sign: str) -> bool:
    return sign == ZERO_WIDTH_JOINER or sign in SKIN_TONES or unicodedata.category(sign).startswith("M")
