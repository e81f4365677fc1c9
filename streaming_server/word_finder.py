"""The words of one utterance, where the model does not tell them: found in its speech as it comes."""

from __future__ import annotations

import numpy as np

from models.base import ModelInfo, Word
from models.words import WordTimes, expected_seconds
from models.words.pace import USUAL_SYLLABLE_S

from .order import Order


def find_words(info: ModelInfo, order: Order) -> WordFinder | None:
    """None where the model tells its words, or nobody needs them: a listener who may cut the speech is told where."""
    is_needed = order.words or order.lead_ms is not None
    return WordFinder(info, order.voice, order.speed) if is_needed and info.words == "estimated" else None


def usual_samples(text: str, rate_hz: int) -> int:
    """How long a voice of the usual pace takes for a text, whatever may be known of this one."""
    return round(rate_hz * expected_seconds(text, USUAL_SYLLABLE_S))


class WordFinder:
    """Expects each segment and hears its patches, in order; in any thread, one call at a time.

    No patch waits to be heard: words are told a patch ahead, and put right when it was heard. It knows nothing of where
    the speech comes from: when the utterance goes on in another engine, it simply hears on.
    """

    def __init__(self, info: ModelInfo, voice: str, speed: float) -> None:
        """`speed`: how many times as fast as usual the voice speaks."""
        self._rate_hz = info.sample_rate
        self._patch_ms = info.patch_ms * max(1.0, 1 / speed)  # the longest, if it is stretched
        paces = {each.name: each.syllable_s for each in info.voices}
        self._syllable_s = paces.get(voice, USUAL_SYLLABLE_S) / speed  # a voice may have been removed
        self._times = WordTimes("", self._rate_hz, start=0)

    def expect(self, text: str, pts: int) -> tuple[Word, ...]:
        """The words that the first patch of a segment will probably speak. It begins at `pts`. Takes some 0.3 ms."""
        self._times = WordTimes(
            text,
            self._rate_hz,
            start=pts,
            expected_seconds=expected_seconds(text, self._syllable_s),
            ahead_ms=self._patch_ms,
        )
        return self._times.expected()

    def hear(self, pcm: bytes, last: bool) -> tuple[Word, ...]:
        """The words that are new or have moved, now that the segment's next patch is heard. Takes some 0.3 ms.

        After the `last` patch all have been told: in order, none overlapping, inside the segment.
        """
        return self._times.push(np.frombuffer(pcm, "<i2"), last)
