"""When each word of a text sounds, for a voice that does not tell: guessed from the letters and heard in the speech.

The letters give a row of expected sounds (`models.letter_sounds`, `models.sound_score`), the speech a row of frames
(`models.sound_frames`), and the way through both that fits best gives the times (`models.time_warp`). While speech is
being made the way is followed as far as it is known; when it is over, it is looked for once more from end to end.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from models.base import Word
from models.letter_sounds import spell
from models.sound_frames import FRAME_MS, Frames, Samples, SoundFrames
from models.sound_score import Score, costs
from models.time_warp import TimeWarp

_MOVED_MS = 20
"""A word is told again when it has moved by more."""

_AHEAD_MS = 80
"""A word that is about to begin is told with the audio before it: it may have begun already."""

_KEPT_FRAMES = 150  # a word is put right while it is not older
_MAX_FRAMES = 12_000  # two minutes, far more than a segment lasts; later speech is not looked at
_LEAST_LEVEL = -50.0  # dB of full scale: nothing softer is taken for a voice
_SILENT = 35.0  # dB below the voice
_LEAST_PAUSE = 8  # frames: a shorter silence belongs to a stop
_MIN_SCALE, _MAX_SCALE = 0.3, 4.0
_WINDOW_BEFORE = 200  # frames of the score, while the whole speech is looked at

Range = tuple[int, int]
"""Of samples since the segment's first."""


class WordTimes:
    """One segment's words. `start`: samples of the utterance before the segment. All that is kept is bounded."""

    def __init__(self, text: str, sample_rate: int, *, start: int, expected_seconds: float | None = None) -> None:
        """`expected_seconds`: how long this voice will take for it, if that is known; the first guesses are better."""
        self._words = spell(text)
        self._start = start
        self._sound = SoundFrames(sample_rate)
        self._frames: Frames = np.empty((0, 3), np.float32)
        self._num_samples = 0
        self._told: dict[int, Range] = {}  # by the word's number
        score = Score(self._words)
        if expected_seconds is not None:
            score = Score(self._words, _bounded(expected_seconds * 1000 / FRAME_MS / len(score)))
        self._live = TimeWarp(score, num_kept=_KEPT_FRAMES)

    def push(self, pcm: Samples, last: bool) -> tuple[Word, ...]:
        """Hear the next patch: int16, or float32 from -1 to 1. Gives the words that are new or have moved.

        A word is told no later than with the patch in which it is found to begin. After the last patch every word has
        been told: in order, none overlapping, inside the speech that was pushed.
        """
        self._num_samples += len(pcm)
        frames = self._sound.push(pcm, last)[: _MAX_FRAMES - len(self._frames)]
        self._frames = np.concatenate((self._frames, frames))
        if not self._words:
            return ()
        if last:
            return self._tell(self._settle(), 0)
        if not len(frames):
            return ()
        self._live.advance(costs(frames, self._voice_level()))
        return self._tell(self._guess(), self._sound.hop * _MOVED_MS // FRAME_MS)

    def _voice_level(self) -> float:
        """What the louder tenth of the speech exceeds."""
        levels = self._frames[:, 0]
        rank = len(levels) * 9 // 10
        return max(_LEAST_LEVEL, float(np.partition(levels, rank)[rank]))

    def _guess(self) -> dict[int, Range]:
        """The words that began not long ago, and those that begin soon or were told too early."""
        warp, score, hop = self._live, self._live.score, self._sound.hop
        now, place = warp.num_frames, warp.place
        path = warp.path(place)
        oldest = now - len(path)
        firsts, lasts = np.array(score.first), np.array(score.last)
        begin = int(np.searchsorted(firsts, path[0], side="right")) if oldest else 0
        end = max(int(np.searchsorted(firsts, place + _AHEAD_MS // FRAME_MS)), max(self._told, default=-1) + 1)
        starts = oldest + np.searchsorted(path, firsts[begin:end]) + np.maximum(0, firsts[begin:end] - place)
        ends = oldest + np.searchsorted(path, lasts[begin:end], side="right") + np.maximum(0, lasts[begin:end] - place)
        floor = self._told[begin - 1][1] if begin - 1 in self._told else 0
        ranges: dict[int, Range] = {}
        for number, first, stop in zip(range(begin, end), starts.tolist(), ends.tolist(), strict=True):
            word_start = max(floor, first * hop)
            floor = max(word_start + 1, stop * hop)
            ranges[number] = (word_start, floor)
        return ranges

    def _settle(self) -> dict[int, Range]:
        """All words, now that their speech is over."""
        num_words, num_samples, hop = len(self._words), self._num_samples, self._sound.hop
        if num_samples < num_words:
            return {number: (number, number + 1) for number in range(num_samples)}
        frames = self._align() if len(self._frames) >= num_words else None
        if frames is None:
            bounds = np.linspace(0, num_samples, num_words + 1).astype(int).tolist()
            return {number: (bounds[number], bounds[number + 1]) for number in range(num_words)}
        starts, ends = (each.tolist() for each in frames)
        ranges: dict[int, Range] = {}
        limit = num_samples
        for number in range(num_words - 1, -1, -1):  # the last ones must find room
            end = max(number + 1, min(ends[number] * hop, limit))
            limit = max(number, min(starts[number] * hop, end - 1))
            ranges[number] = (limit, end)
        return ranges

    def _align(self) -> tuple[NDArray[np.int64], NDArray[np.int64]] | None:
        """First and end frame of each word; None when the speech is nothing like the text."""
        level = self._voice_level()
        is_speech = _is_speech(self._frames[:, 0] > level - _SILENT)
        num_speech = np.count_nonzero(is_speech)
        if not num_speech:
            return None
        score = Score(self._words, _bounded(num_speech / len(Score(self._words).sounding)))
        reached = np.cumsum(is_speech) * (len(score.sounding) - 1) // num_speech
        warp = TimeWarp(score, num_kept=len(self._frames))
        heard = costs(self._frames, level)
        for first in range(0, len(heard), 50):
            warp.advance(heard[first : first + 50], int(score.sounding[reached[first]]) - _WINDOW_BEFORE)
        place = warp.end()
        if place is None:
            return None
        path = warp.path(place)
        return np.searchsorted(path, score.first), np.searchsorted(path, score.last, side="right")

    def _tell(self, ranges: dict[int, Range], least: int) -> tuple[Word, ...]:
        """Those that are not where they were told to be, by more than `least` samples."""
        words = []
        for number, (start, end) in sorted(ranges.items()):
            told = self._told.get(number)
            if told is None or abs(told[0] - start) > least or abs(told[1] - end) > least:
                self._told[number] = (start, end)
                spelling = self._words[number]
                words.append(Word(spelling.text_start, spelling.text_end, self._start + start, self._start + end))
        return tuple(words)


def _is_speech(is_loud: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """All frames but those in long silences."""
    edges = np.flatnonzero(np.diff(np.concatenate(([True], is_loud, [True]))))
    is_speech = np.ones(len(is_loud), bool)
    for start, end in edges.reshape(-1, 2).tolist():
        is_speech[start:end] = end - start < _LEAST_PAUSE
    return is_speech


def _bounded(scale: float) -> float:
    return min(max(scale, _MIN_SCALE), _MAX_SCALE)
