"""The words of one utterance, where the model does not tell them: found in its speech as it comes."""

from __future__ import annotations

import numpy as np

from models.base import ModelInfo, Word
from models.words import WordTimes, expected_seconds
from models.words.pace import USUAL_SYLLABLE_S


class WordFinder:
    """Hears all patches in order, a segment after the other; in any thread, one call at a time.

    It knows nothing of where the speech comes from: when the utterance goes on in another engine, it simply hears on.
    """

    def __init__(self, info: ModelInfo, voice: str, speed: float) -> None:
        """`speed`: how many times as fast as usual the voice speaks."""
        self._rate_hz = info.sample_rate
        paces = {each.name: each.syllable_s for each in info.voices}
        self._syllable_s = paces.get(voice, USUAL_SYLLABLE_S) / speed  # a voice may have been removed
        self._segment = -1
        self._times = WordTimes("", self._rate_hz, start=0)

    def hear(self, segment: int, text: str, pts: int, pcm: bytes, last: bool) -> tuple[Word, ...]:
        """The words of the segment's spoken `text` that are new, or have moved, with the patch that begins at `pts`.

        As `WordTimes.push`: a word is told with the patch in which it is found to begin, or earlier; all of them are
        told with the `last` patch. Takes some 0.3 ms.
        """
        if segment != self._segment:
            self._segment = segment
            seconds = expected_seconds(text, self._syllable_s)
            self._times = WordTimes(text, self._rate_hz, start=pts, expected_seconds=seconds)
        return self._times.push(np.frombuffer(pcm, "<i2"), last)
