"""What is told before the audio: which text it speaks, and where its words sound."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from protocol.messages import Segment, ServerMessage, Words

from .runs import Hearing
from .script import Script, SpokenWord
from .spoken import SpokenText
from .word_finder import WordFinder


class Captions:
    """One utterance's. `spoken` learns all of it, also the words that the client does not want to be told."""

    def __init__(
        self, utterance: str, script: Script, *, with_words: bool, finder: WordFinder | None = None
    ) -> None:
        """`finder`: for words that the model does not tell."""
        self._utterance = utterance
        self._script = script
        self._with_words = with_words
        self._finder = finder
        self._segment = -1
        self.spoken = SpokenText()
        self.text_end = 0
        """Original text up to the end of the segment that is being spoken."""

    def before(self, segment: int, words: Sequence[SpokenWord], pts: int, *, estimated: bool) -> list[ServerMessage]:
        """The messages that precede a patch at `pts`."""
        messages: list[ServerMessage] = []
        if segment != self._segment:
            self._segment = segment
            messages.append(self._begin(segment, pts))
        return messages + self._place(segment, words, estimated=estimated)

    def hearing(self, segment: int, pts: int, pcm: bytes, *, last: bool) -> Hearing | None:
        """Work that finds the words which the patch brings: as it is heard, they precede the patch, too."""
        finder = self._finder
        if finder is None:
            return None
        text = self._script.spoken(segment)

        def hear() -> Callable[[], Sequence[ServerMessage]]:
            words = finder.hear(segment, text, pts, pcm, last)
            return lambda: self._place(segment, words, estimated=True)

        return hear

    def _place(self, segment: int, words: Sequence[SpokenWord], *, estimated: bool) -> list[ServerMessage]:
        placed = self._script.place(segment, words, estimated=estimated)
        for word in placed:
            self.spoken.add_word(*word, estimated=estimated)
        if not placed or not self._with_words:
            return []
        return [Words(utterance=self._utterance, words=placed, estimated=estimated)]

    def _begin(self, index: int, pts: int) -> Segment:
        segment, spoken = self._script.segments[index]
        self.text_end = segment.text_end
        self.spoken.add_segment(segment.text_start, segment.text_end, pts)
        return Segment(
            utterance=self._utterance,
            index=index,
            text_start=segment.text_start,
            text_end=segment.text_end,
            spoken=spoken.text,
            pts=pts,
        )
