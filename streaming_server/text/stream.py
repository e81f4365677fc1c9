"""The text of one utterance, from deltas to segments."""

from __future__ import annotations

from .cleaner import Cleaner
from .schedule import Mode
from .segment import Segment
from .segmenter import Segmenter


class TextStream:
    """Takes an utterance's deltas as they are written and gives back the segments to speak.

    `mode`: "auto" (early first, longer later), "sentence", "clause", "manual" (only where `flush` is called; still no
    segment is longer than `schedule.MAX_WEIGHT`). `language`: a code that all segments get, or "auto".

    The same text gives the same segments, however it is cut into deltas; calls of `pause` and `flush` are part of the
    input. After `end` nothing more is taken.
    """

    def __init__(self, mode: Mode = "auto", language: str = "auto") -> None:
        self._cleaner = Cleaner()
        self._segmenter = Segmenter(mode, language)
        self._ended = False

    @property
    def num_chars(self) -> int:
        """Code points of the original text taken so far."""
        return self._cleaner.num_chars

    @property
    def pending(self) -> bool:
        """True while text that will have to be spoken is buffered."""
        return self._segmenter.pending or self._cleaner.holds_speech

    @property
    def draft(self) -> str:
        """Cleaned text of the segment in work, which may yet be cut before its end."""
        return self._segmenter.draft

    def feed(self, delta: str) -> list[Segment]:
        """Take the next piece of text. Raises ValueError after `end`."""
        if self._ended:
            raise ValueError("expected no text after the end of the utterance, but a delta came")
        return self._segmenter.feed(self._cleaner.feed(delta))

    def pause(self) -> list[Segment]:
        """The writer has paused: give what is complete, and keep what the next delta may go on with.

        Kept are half a word, a number that may grow (`3.`), a title (`Dr.`) and undecided markup. Call it after a
        short silence (some 300 ms); after a longer one, `flush`.
        """
        return self._segmenter.pause()

    def flush(self) -> list[Segment]:
        """Give all that is buffered, as if the text ended here; it may still go on."""
        return self._segmenter.feed(self._cleaner.flush()) + self._segmenter.flush()

    def end(self) -> list[Segment]:
        """Give all that is left. Further calls give nothing."""
        self._ended = True
        return self.flush()
