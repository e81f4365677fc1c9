"""When each word of a text sounds, for a voice that does not tell: guessed from the letters and heard in the speech.

The letters give a row of expected sounds (`models.letter_sounds`, `models.sound_score`), the speech a row of frames
(`models.sound_frames`), and the way through both that fits best gives the times (`models.time_warp`). How fast the
voice speaks is not known: several paces are followed side by side, and the one that fits best counts.
"""

from __future__ import annotations

import math

import numpy as np

from models.base import Word
from models.words.letter_sounds import spell
from models.words.sound_frames import FRAME_MS, Frames, Samples, SoundFrames
from models.words.sound_score import Outline, Score, costs
from models.words.time_warp import IMPOSSIBLE, TimeWarps

_MOVED_MS = 20
"""A word is told again when it has moved by more."""

_AHEAD_MS = 80
"""A word that is about to begin is told before: it may have begun already."""

_LATEST_FRAMES = 150  # a word is put right while it is not older
_MAX_FRAMES = 6_000  # a minute, far more than a segment lasts; later speech is not looked at
_UNDECIDED_FRAMES = 1_500  # so long all paces are followed

_LEAST_LEVEL = -50.0  # dB of full scale: nothing softer is taken for a voice

_PACES = (0.6, 0.78, 1.0, 1.28, 1.6)  # times as long as expected
_ODD = 0.2  # what each frame costs at a pace that is e times the expected one
_MIN_PACE, _MAX_PACE = 0.3, 4.0

Range = tuple[int, int]
"""Of samples since the segment's first."""


class WordTimes:
    """One segment's words. `start`: samples of the utterance before the segment. All that is kept is bounded."""

    def __init__(
        self,
        text: str,
        sample_rate: int,
        *,
        start: int,
        expected_seconds: float | None = None,
        ahead_ms: float = 0.0,
    ) -> None:
        """`expected_seconds`: how long this voice will take for it, if that is known; the first guesses are better.

        `ahead_ms`: words that begin within so long after what was heard are told, too.
        """
        self._words = spell(text)
        self._ahead = round((ahead_ms + _AHEAD_MS) / FRAME_MS)  # frames
        self._start = start
        self._sound = SoundFrames(sample_rate)
        self._frames: Frames = np.empty((0, 3), np.float32)
        self._num_samples = 0
        self._told: dict[int, Range] = {}  # by the word's number: the first ones, without a gap
        outline = Outline(self._words)
        expected = 1.0
        if expected_seconds is not None:
            expected = expected_seconds * 1000 / FRAME_MS / max(1.0, outline.usual_frames)
            expected = min(max(expected, _MIN_PACE), _MAX_PACE)
        self._warps = TimeWarps(
            [Score(outline, expected * pace) for pace in _PACES], [_ODD * abs(math.log(pace)) for pace in _PACES]
        )

    def expected(self) -> tuple[Word, ...]:
        """The words that will begin first, before anything is heard."""
        return self._tell(self._guess(0))

    def push(self, pcm: Samples, last: bool) -> tuple[Word, ...]:
        """Hear the next patch: int16, or float32 from -1 to 1. Gives the words that are new or have moved.

        A word is told no later than with the patch in which it is found to begin. After the last patch every word has
        been told: in order, none overlapping, inside the speech that was pushed.
        """
        self._num_samples += len(pcm)
        if not self._words:
            return ()
        num_missing = _MAX_FRAMES - len(self._frames)
        frames = self._sound.push(pcm, last)[:num_missing] if num_missing else self._frames[:0]
        if len(frames):
            self._frames = np.concatenate((self._frames, frames))
            self._warps.advance(costs(frames, self._voice_level()))
        if last:
            return self._tell(self._settle())
        if not len(self._frames):
            return ()
        if self._warps.num_frames > _UNDECIDED_FRAMES and self._warps.num_scores > 1:
            self._warps.keep(self._warps.likeliest)
        return self._tell(self._guess(len(frames)))

    def _voice_level(self) -> float:
        """What the louder tenth of the speech exceeds."""
        levels = self._frames[:, 0]
        rank = len(levels) * 9 // 10
        return max(_LEAST_LEVEL, float(np.partition(levels, rank)[rank]))

    def _guess(self, num_new: int) -> dict[int, Range]:
        """The words that began not long ago, and those that begin soon or were told too early.

        `num_new` frames came last. What is given here and what was told before are in order, and do not overlap.
        """
        which = self._warps.likeliest
        place, score = self._warps.place(which), self._warps.score(which)
        path = self._warps.path(which, place, _LATEST_FRAMES + num_new)
        oldest = self._warps.num_frames - len(path)
        begin = int(np.searchsorted(score.first, path[0], side="right")) if oldest else 0
        begin = min(begin, len(self._told))
        end = max(int(np.searchsorted(score.first, place + self._ahead)), len(self._told))
        firsts, lasts = score.first[begin:end], score.last[begin:end]
        starts = oldest + np.searchsorted(path, firsts) + np.maximum(0, firsts - place)
        ends = oldest + np.searchsorted(path, lasts, side="right") + np.maximum(0, lasts - place)
        floor = self._told[begin - 1][1] if begin else 0
        ranges: dict[int, Range] = {}
        hop, least = self._sound.hop, self._sound.hop * _MOVED_MS // FRAME_MS
        for number, first, after in zip(range(begin, end), starts.tolist(), ends.tolist(), strict=True):
            told = self._told.get(number, (-least, -least))
            if told[0] < floor or abs(told[0] - first * hop) > least or abs(told[1] - after * hop) > least:
                told = max(floor, first * hop), max(floor + 1, first * hop + 1, after * hop)
            ranges[number] = told
            floor = told[1]
        return ranges

    def _settle(self) -> dict[int, Range]:
        """All words, now that their speech is over; those that it did not come to are squeezed in at its end."""
        num_words, num_samples = len(self._words), self._num_samples
        if num_samples < num_words:
            return {number: (number, number + 1) for number in range(num_samples)}
        which = self._warps.likeliest_at_end
        cost, place = self._warps.end(which)
        place, score = place if cost < IMPOSSIBLE else self._warps.place(which), self._warps.score(which)
        path = self._warps.path(which, place, self._warps.num_frames)
        num_said = int(np.searchsorted(score.first, place, side="right")) if len(path) else 0
        starts = (np.searchsorted(path, score.first[:num_said]) * self._sound.hop).tolist()
        ends = (np.searchsorted(path, score.last[:num_said], side="right") * self._sound.hop).tolist()
        said_end = min(len(path) * self._sound.hop, num_samples)
        rest = np.linspace(said_end, num_samples, num_words - num_said + 1).astype(int).tolist()
        starts, ends = starts + rest[:-1], ends + rest[1:]
        ranges: dict[int, Range] = {}
        limit = num_samples
        for number in range(num_words - 1, -1, -1):  # the last ones must find room
            after = max(number + 1, min(ends[number], limit))
            limit = max(number, min(starts[number], after - 1))
            ranges[number] = (limit, after)
        return ranges

    def _tell(self, ranges: dict[int, Range]) -> tuple[Word, ...]:
        """Those that were told elsewhere, or not at all."""
        words = []
        for number in sorted(ranges):
            start, end = ranges[number]
            if self._told.get(number) != (start, end):
                self._told[number] = (start, end)
                spelling = self._words[number]
                words.append(Word(spelling.text_start, spelling.text_end, self._start + start, self._start + end))
        return tuple(words)
