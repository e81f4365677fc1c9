"""Where the text of an utterance sounds, as far as the server has told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from .messages import Segment, Spoken, Words, WordTiming

MAX_RESTARTS: Final = 5
"""At one word; then it may be the text that brings servers down."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Restart:
    """Where an utterance was begun anew, because the server had forgotten it: the first word that was not heard.

    `estimated`: so was the place of the word; a syllable may be heard twice, or be missing. The sound before `pts` is
    the first server's.
    """

    text_start: int  # code points of the utterance's text
    pts: int  # ticks
    estimated: bool


def is_stuck(restarts: Sequence[Restart]) -> bool:
    """Whether one server after the other was lost at the same word."""
    last = restarts[-MAX_RESTARTS:]
    return len(last) == MAX_RESTARTS and len({restart.text_start for restart in last}) == 1


class Told:
    """Segments and words of one utterance. Code points and ticks."""

    def __init__(self) -> None:
        self.segments: list[Segment] = []
        self._words: dict[int, WordTiming] = {}
        self._estimated: set[int] = set()

    @property
    def words(self) -> list[WordTiming]:
        """In the order of the text; corrections have replaced what they correct."""
        return [self._words[start] for start in sorted(self._words)]

    def add_words(self, message: Words) -> None:
        for word in message.words:
            self._words[word.text_start] = word
            (self._estimated.add if message.estimated else self._estimated.discard)(word.text_start)

    def first_unheard(self, since: int, end: int) -> Restart:
        """The first word at or after `since` that is not whole in what sounds up to `end`.

        Where there are no words, the segment: it may have sounded, but nothing says so.
        """
        segment = self.segments[-1] if self.segments and self.segments[-1].text_start >= since else None
        words = [word for word in self.words if word.text_start >= since]
        for word in words:
            if word.pts_end > end:
                return Restart(text_start=word.text_start, pts=min(word.pts, end), estimated=self._is_guess(word))
        if segment is not None and not any(word.text_start >= segment.text_start for word in words):
            return Restart(text_start=segment.text_start, pts=min(segment.pts, end), estimated=False)
        if words:
            return Restart(text_start=words[-1].text_end, pts=end, estimated=self._is_guess(words[-1]))
        return Restart(text_start=since, pts=end, estimated=False)

    def spoken(self, text: str, played: int) -> Spoken:
        """Where a listener is who has heard so many ticks; a word that has begun counts."""
        begun = [word for word in self.words if word.pts < played]
        last = begun[-1] if begun else None
        text_end = last.text_end if last is not None else 0
        return Spoken(
            text_end=text_end,
            pts=played,
            mid_word=last is not None and last.pts_end > played,
            estimated=True,
            text=text[:text_end],
            remaining=text[text_end:],
        )

    def forget_from(self, text_start: int) -> None:
        """It will be told again."""
        self._words = {start: word for start, word in self._words.items() if start < text_start}
        self._estimated = {start for start in self._estimated if start < text_start}
        self.segments = [
            replace(segment, text_end=min(segment.text_end, text_start))
            for segment in self.segments
            if segment.text_start < text_start
        ]

    def _is_guess(self, word: WordTiming) -> bool:
        return word.text_start in self._estimated
