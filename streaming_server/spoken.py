"""Which text has been heard at a moment of the audio: what a chatbot cuts its history to."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from dataclasses import dataclass

from protocol.messages import Spoken


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
        self._segments: list[tuple[int, int]] = []  # text_start, text_end
        self._words: list[tuple[int, int, int, int]] = []  # pts, text_start, text_end, pts_end
        self._estimates: dict[int, tuple[int, int, int, int]] = {}  # of those words, the estimated ones by text_start

    @property
    def _estimated(self) -> bool:
        return bool(self._estimates)

    def add_segment(self, text_start: int, text_end: int, pts: int) -> None:
        self._segment_pts.append(pts)
        self._segments.append((text_start, text_end))

    def add_word(self, text_start: int, text_end: int, pts: int, pts_end: int, *, estimated: bool) -> None:
        """Of a segment that was added. An estimated word takes the place of the one with its `text_start`."""
        word = (pts, text_start, text_end, pts_end)
        if estimated:
            former = self._estimates.get(text_start)
            if former is not None:
                del self._words[bisect_left(self._words, former)]
            self._estimates[text_start] = word
        insort(self._words, word)

    def heard(self, pts: int, num_samples: int) -> HeardText:
        """What was heard when the audio stopped at `pts` of `num_samples` known ones."""
        segment = bisect_right(self._segment_pts, pts) - 1
        if segment < 0 or pts <= 0:
            return HeardText(0, False, False)
        text_start, text_end = self._segments[segment]
        is_last = segment + 1 == len(self._segments)
        segment_end = num_samples if is_last else self._segment_pts[segment + 1]
        if pts >= segment_end:
            return HeardText(text_end, False, self._estimated)
        word = bisect_left(self._words, (pts,)) - 1
        if word >= 0 and self._words[word][0] >= self._segment_pts[segment]:
            _, word_start, word_end, pts_end = self._words[word]
            heard = HeardText(word_end, pts < pts_end, self._estimated)
            return heard if word_start >= text_start else HeardText(text_end, False, self._estimated)
        if word >= 0 or self._words:
            return HeardText(text_start, False, self._estimated)  # the pause before the segment's first word
        share = (pts - self._segment_pts[segment]) / max(1, segment_end - self._segment_pts[segment])
        return HeardText(text_start + round(share * (text_end - text_start)), share < 1, True)

    def cut(self, original: str, pts: int, num_samples: int, *, estimated: bool) -> Spoken:
        """`done.spoken` for audio that stopped at `pts`; `estimated`: so is `pts` itself."""
        heard = self.heard(pts, num_samples)
        return Spoken(
            text_end=heard.text_end,
            pts=pts,
            mid_word=heard.mid_word,
            estimated=estimated or heard.estimated,
            text=original[: heard.text_end],
            remaining=original[heard.text_end :],
        )

    def word_end_after(self, pts: int) -> int:
        """The next tick at which a word ends; `pts` itself where none is known."""
        for *_, pts_end in self._words[max(0, bisect_left(self._words, (pts + 1,)) - 1) :]:
            if pts_end >= pts:
                return pts_end
        return pts
