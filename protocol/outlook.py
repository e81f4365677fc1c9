"""How long an utterance will be, and how fast it is being made, as well as can be known while it is made. Pure.

The text is weighed: a letter counts as one, a Chinese character as three, a digit as four, since it is read as a word.
Seconds for one of these are learnt from the places (`segment`, `words`) at which text is known to sound.

A segment costs its patches and its beginning, when the model reads voice and text anew: as much work as a few patches,
or twenty. The two are learnt apart: how many beginnings are still to come depends on how long the segments are.
"""

from __future__ import annotations

import unicodedata
from array import array
from collections import deque
from math import ceil, inf
from typing import Final

USUAL_S: Final = 1 / 15
"""Seconds that a letter takes, as long as nothing is known; this belief is worth USUAL_LETTERS."""
USUAL_LETTERS: Final = 30
SEEN_LETTERS: Final = 8
"""From so many on they tell how slow a voice is; before, it may have been a pause."""
USUAL_SEGMENT: Final = 60
"""Letters of a segment; the belief is worth one segment."""
TOLD_S: Final = 3.0
"""The rtf that the server tells counts as if it had been seen over so many seconds of speech."""
MAX_PATCHES: Final = 25
"""A wait for longer than so many patches' time is the writer's or the listener's, not the machine's."""


def weigh(text: str) -> int:
    """How many letters take as long to say."""
    return sum(map(_weight, text))


def _weight(char: str) -> int:
    category = unicodedata.category(char)
    if category[0] in "LM" and unicodedata.name(char, "").startswith(("CJK ", "HIRAGANA ", "KATAKANA ", "HANGUL ")):
        return 3
    if category == "Nd":
        return 4
    return 1 if category[0] in "LM" or char.isspace() else 2


class Outlook:
    """One utterance: its text as it is given, its sound as it arrives. Code points, seconds, monotonic seconds."""

    def __init__(self, told_rtf: float) -> None:
        self._told_rtf = told_rtf
        self._letters = array("L", [0])  # before each code point, and after the last; bounded by the server's limits
        self._sayable = 0  # code points up to the last that is surely said,
        self._reached = 0  # and up to where the text is known to sound
        self._known = (0, 0.0)  # letters and seconds up to a place that is known to sound
        self.arrived_s = 0.0
        self.patch_s = 0.0
        self._arrived_at: float | None = None
        self._work_s = 0.0  # seen, less the beginnings of segments
        self._speech_s = 0.0
        self._num_segments = 0
        self._begun_letters = 0  # up to the last segment's end
        self._beginnings_s = 0.0  # of work
        self._last_beginning_s = 0.0
        self._begun_at: float | None = None  # all text was there of the segment whose first sound is to come
        self._written: deque[tuple[int, float]] = deque()  # up to which code point, when; from the last segment on

    @property
    def pace(self) -> float:
        """Seconds of work for a second of speech inside a segment, as told and then as seen."""
        return (TOLD_S * self._told_rtf + self._work_s) / (TOLD_S + self._speech_s)

    @property
    def rtf(self) -> float:
        """Seconds of work for a second of the speech that is still to be made, the beginnings of its segments too."""
        ahead = self._letters[-1] - self._begun_letters
        rest_s = self.length_s - self.arrived_s
        if not self._num_segments or ahead <= 0 or rest_s <= 0:
            return self.pace
        beginnings = ceil(ahead * (self._num_segments + 1) / (self._begun_letters + USUAL_SEGMENT))
        each_s = max(self._last_beginning_s, self._beginnings_s / self._num_segments)
        return self.pace + beginnings * each_s / max(rest_s, ahead * self._letter_s)

    @property
    def length_s(self) -> float:
        """What all the text so far will last."""
        letters, seconds = self._known
        return max(self.arrived_s, seconds + (self._letters[-1] - letters) * self._letter_s)

    @property
    def has_unspoken(self) -> bool:
        """Whether text was given that is not known to sound in what has come."""
        return self._reached < self._sayable or self._known[1] > self.arrived_s + self.patch_s

    def write(self, text: str, now: float) -> None:
        """Text that is to be spoken, too."""
        letters = self._letters[-1]
        for char in text:
            letters += _weight(char)
            self._letters.append(letters)
            if char.isalnum():
                self._sayable = len(self._letters) - 1
        self._written.append((len(self._letters) - 1, now))

    def begin(self, start: int, end: int, seconds: float) -> None:
        """A segment of the text begins with what comes next, and sounds from there."""
        self.reach(start, seconds)
        while len(self._written) > 1 and self._written[0][0] < end:
            self._written.popleft()
        self._begun_at = self._written[0][1] if self._written else None
        self._num_segments += 1
        self._begun_letters = self._letters_at(end)

    def reach(self, position: int, seconds: float) -> None:
        """The text up to this code point sounds up to there."""
        if position >= self._reached and seconds >= self._known[1]:  # else a correction of what is long past
            self._reached = position
            self._known = self._letters_at(position), seconds

    def arrive(self, speech_s: float, now: float) -> None:
        """Sound has come."""
        self.patch_s = max(self.patch_s, speech_s)
        self.arrived_s += speech_s
        since = max(-inf if at is None else at for at in (self._arrived_at, self._begun_at))
        work_s = min(now - since, MAX_PATCHES * self.patch_s * self.pace)
        if self._begun_at is not None:
            self._last_beginning_s = max(0.0, work_s - speech_s * self.pace)
            self._beginnings_s += self._last_beginning_s
        elif self._arrived_at is not None:
            self._work_s += work_s
            self._speech_s += speech_s
        self._arrived_at = now
        self._begun_at = None

    @property
    def _letter_s(self) -> float:
        letters, seconds = self._known
        believed_s = (USUAL_LETTERS * USUAL_S + seconds) / (USUAL_LETTERS + letters)
        if letters < SEEN_LETTERS:
            return believed_s
        return max(believed_s, seconds / letters)  # a slower voice is believed at once: too short a wait is heard

    def _letters_at(self, position: int) -> int:
        return self._letters[min(position, len(self._letters) - 1)]
