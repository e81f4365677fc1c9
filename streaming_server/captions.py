"""What is told before the audio: which text it speaks, and where its words sound."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from protocol.messages import Segment, ServerMessage, Words

from .runs import Hearing
from .script import Script, SpokenWord
from .spoken import SpokenText
from .word_finder import WordFinder, usual_samples


class Captions:
    """One utterance's. `spoken` learns all of it, also the words that the client does not want to be told."""

    def __init__(
        self,
        utterance: str,
        script: Script,
        finder: WordFinder | None,
        *,
        rate_hz: int,
        with_words: bool,
        hear: Callable[[Hearing], None],
    ) -> None:
        """`finder` finds the words that the model does not tell; `hear` takes its work, in the order of the audio."""
        self._utterance = utterance
        self._script = script
        self._rate_hz = rate_hz
        self._with_words = with_words
        self._finder = finder
        self._hear = hear
        self._segment = self._expected = -1
        self._num_over = 0  # segments whose last patch was listened to
        self._pts = 0  # ticks of the patches that were
        self._guess: Sequence[SpokenWord] = ()
        self.spoken = SpokenText()
        self.text_end = 0
        """Original text up to the end of the segment that is being spoken."""

    @property
    def is_between(self) -> bool:
        """No segment is begun and not over."""
        return self._segment < self._num_over

    def before(self, segment: int, words: Sequence[SpokenWord], pts: int) -> Callable[[], Sequence[ServerMessage]]:
        """The messages that precede a patch at `pts`, when it is about to be sent. `words`: exact ones."""
        messages: list[ServerMessage] = []
        if segment != self._segment:
            self._segment = segment
            messages.append(self._begin(segment, pts))
        if words:
            messages += self._place(segment, words, estimated=False)
        return lambda: [*messages, *self._guessed(segment)]

    def listen(self, segment: int, pcm: bytes, *, last: bool) -> None:
        """Hear a patch that is sent: words of the next one are found, and earlier ones put right."""
        self._num_over += last
        self._pts += len(pcm) // 2
        if last:
            self.spoken.end_segment(self._pts)
        finder = self._finder
        if finder is None:
            return

        def listen() -> Callable[[], Sequence[ServerMessage]]:
            words = finder.hear(pcm, last)
            return lambda: self._place(segment, words, estimated=True)

        self._hear(listen)
        self.expect()

    def expect(self) -> None:
        """Guess the next segment's first words, once its text has come and the one before it is over."""
        finder, segment, pts = self._finder, self._num_over, self._pts
        if finder is None or segment == self._expected or segment >= len(self._script.segments):
            return
        self._expected = segment
        text = self._script.spoken(segment)

        def expect() -> Callable[[], Sequence[ServerMessage]]:
            words = finder.expect(text, pts)
            return lambda: self._keep(words)

        self._hear(expect)

    def _guessed(self, segment: int) -> list[ServerMessage]:
        """The segment's first words, before its first patch; nothing later on."""
        if not self._guess:
            return []
        guess, self._guess = self._guess, ()
        return self._place(segment, guess, estimated=True)

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
        expected = usual_samples(spoken.text, self._rate_hz)
        self.spoken.add_segment(segment.text_start, segment.text_end, pts, expected)
        return Segment(
            utterance=self._utterance,
            index=index,
            text_start=segment.text_start,
            text_end=segment.text_end,
            spoken=spoken.text,
            pts=pts,
        )
