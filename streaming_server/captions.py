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

    def __init__(self, utterance: str, script: Script, *, with_words: bool, finder: WordFinder | None = None) -> None:
        """`finder`: for words that the model does not tell."""
        self._utterance = utterance
        self._script = script
        self._with_words = with_words
        self._finder = finder
        self._segment = self._expected = -1
        self._guess: Sequence[SpokenWord] = ()
        self.spoken = SpokenText()
        self.text_end = 0
        """Original text up to the end of the segment that is being spoken."""

    def before(self, segment: int, words: Sequence[SpokenWord], pts: int, *, estimated: bool) -> list[ServerMessage]:
        """The messages that precede a patch at `pts`, but for words that are found."""
        messages: list[ServerMessage] = []
        if segment != self._segment:
            self._segment = segment
            messages.append(self._begin(segment, pts))
        return messages + self._place(segment, words, estimated=estimated)

    def guessed(self, segment: int) -> list[ServerMessage]:
        """The first words of a segment, when they are about to be spoken; nothing later on."""
        guess, self._guess = self._guess, ()
        return self._place(segment, guess, estimated=True)

    def expect(self, segment: int, pts: int) -> list[Hearing]:
        """Work that guesses those words, as soon as the text has come and the segment before is over."""
        finder = self._finder
        if finder is None or segment == self._expected or segment >= len(self._script.segments):
            return []
        self._expected = segment
        text = self._script.spoken(segment)

        def expect() -> Callable[[], Sequence[ServerMessage]]:
            words = finder.expect(text, pts)
            return lambda: self._keep(words)

        return [expect]

    def listen(self, segment: int, pcm: bytes, *, last: bool) -> list[Hearing]:
        """Work that hears a patch: words of the next one are found, and earlier ones put right."""
        finder = self._finder
        if finder is None:
            return []

        def hear() -> Callable[[], Sequence[ServerMessage]]:
            words = finder.hear(pcm, last)
            return lambda: self._place(segment, words, estimated=True)

        return [hear]

    def _keep(self, guess: Sequence[SpokenWord]) -> Sequence[ServerMessage]:
        self._guess = guess
        return ()

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
