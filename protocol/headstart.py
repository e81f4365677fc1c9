"""When playing may start where speech is made more slowly than it is heard (PROTOCOL.md, Pacing). Pure.

Made at `rtf` seconds a second, what is missing of a rest of L seconds takes rtf x (L - buffered), and must not take
longer than that rest sounds: so buffered >= L x (1 - 1 / rtf), and a patch more, since it comes whole. L is a guess
from the text, hence a margin.
"""

from __future__ import annotations

import unicodedata
from collections import deque
from typing import Final

MARGIN: Final = 1.1
USUAL_S: Final = 1 / 15
"""Seconds that a letter takes, as long as nothing is known; this belief is worth USUAL_LETTERS."""
USUAL_LETTERS: Final = 30
TOLD_S: Final = 3.0
"""The rtf that the server tells counts as if it had been seen over so many seconds of speech."""
MAX_PATCHES: Final = 10
"""A wait for longer than so many patches' time is the writer's, not the machine's."""
STALL_S: Final = 3.0
STALL_PATCHES: Final = 8
"""After so long, and so many patches' time, without sound the writer pauses: waiting on is of no use."""


def weigh(text: str) -> int:
    """How many letters take as long to say: a Chinese character counts as three, a digit, read as a word, as four."""
    return sum(map(_weight, text))


def _weight(char: str) -> int:
    category = unicodedata.category(char)
    if category[0] in "LM" and unicodedata.name(char, "").startswith(("CJK ", "HIRAGANA ", "KATAKANA ", "HANGUL ")):
        return 3
    if category == "Nd":
        return 4
    return 1 if category[0] in "LM" or char.isspace() else 2


class HeadStart:
    """One utterance: its text as it is given, its sound as it arrives and is taken, and whether to hold it back.

    Ticks and monotonic seconds. `rtf` None: faster than real time, nothing is ever held.
    """

    def __init__(self, rtf: float | None, sample_rate: int) -> None:
        self._told_rtf = rtf
        self._sample_rate = sample_rate
        self._text: deque[str] = deque()  # given, and not known to have sounded; bounded by the server's limits
        self._num_letters = 0  # of it
        self._known = (0, 0, 0.0)  # code points, letters, seconds: where text is known to have sounded
        self._arrived_s = 0.0
        self._taken_s = 0.0
        self._work_s = 0.0  # seen
        self._speech_s = 0.0
        self._arrived_at: float | None = None
        self._patch_s = 0.0
        self._plays = False

    @property
    def rtf(self) -> float:
        """Seconds of work for a second of speech, as told and then as seen; 0 where it does not matter."""
        if self._told_rtf is None:
            return 0.0
        return (TOLD_S * self._told_rtf + self._work_s) / (TOLD_S + self._speech_s)

    @property
    def length_s(self) -> float:
        """What all the text so far will last."""
        _, letters, seconds = self._known
        each_s = (USUAL_LETTERS * USUAL_S + seconds) / (USUAL_LETTERS + letters)
        return max(self._arrived_s, seconds + self._num_letters * each_s)

    @property
    def wait_s(self) -> float:
        """How long it will take until playing may start, or go on; 0 now."""
        rtf = self.rtf
        if self._plays or rtf <= 1:
            return 0.0
        rest_s = self.length_s - self._taken_s
        wanted_s = min(rest_s, MARGIN * rest_s * (1 - 1 / rtf) + self._patch_s)
        return max(0.0, rtf * (wanted_s - (self._arrived_s - self._taken_s)))

    def write(self, text: str) -> None:
        """Text that is to be spoken, too."""
        if self._told_rtf is not None:
            self._text.append(text)
            self._num_letters += weigh(text)

    def reach(self, position: int, ticks: int) -> None:
        """The text up to this code point sounds up to there."""
        reached, letters, seconds = self._known
        if position < reached or ticks < seconds * self._sample_rate:
            return  # a correction of what is long past
        while self._text and reached < position:
            text = self._text.popleft()
            passed = text[: position - reached]
            if len(passed) < len(text):
                self._text.appendleft(text[len(passed) :])
            reached += len(passed)
            letters += weigh(passed)
            self._num_letters -= weigh(passed)
        self._known = reached, letters, ticks / self._sample_rate

    def arrive(self, ticks: int, now: float) -> None:
        """Sound has come."""
        speech_s = ticks / self._sample_rate
        self._patch_s = max(self._patch_s, speech_s)
        self._arrived_s += speech_s
        if self._arrived_at is not None:
            self._work_s += min(now - self._arrived_at, MAX_PATCHES * self._patch_s * self.rtf)
            self._speech_s += speech_s
        self._arrived_at = now

    def take(self, ticks: int) -> None:
        """Sound goes to the listener."""
        self._taken_s += ticks / self._sample_rate

    def run_dry(self) -> None:
        """The listener has asked for sound, and there is none: to go on as it comes would stutter."""
        self._plays = False

    def holds(self, now: float) -> bool:
        """Whether what has come is to wait."""
        self._plays = self._plays or self.wait_s <= 0 or self.patience_s(now) <= 0
        return not self._plays

    def patience_s(self, now: float) -> float:
        """How long to wait for more sound before what there is is played anyway."""
        since = now if self._arrived_at is None else self._arrived_at
        return since + max(STALL_S, STALL_PATCHES * self.rtf * self._patch_s) - now
