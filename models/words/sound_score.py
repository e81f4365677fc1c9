"""A text as a row of expected sounds, a frame each 10 ms; and what it costs to hear a frame of speech as one of them.

The costs are of no voice in particular: phonetics in round numbers. A vowel is loud and dark, a hiss is soft and
bright, a stop is mostly silence.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from models.words.letter_sounds import (
    BREATH,
    BUZZ,
    GAP,
    HISS,
    LONG,
    NUM_KINDS,
    ONSET,
    PAUSE,
    RIME,
    SHORT,
    SOFT_STOP,
    SONORANT,
    STOP,
    USUAL_MS,
    WEAK,
    Spelling,
)
from models.words.sound_frames import FRAME_MS, Frames

Costs = NDArray[np.float32]
"""[frames, kinds]: negative log likelihoods, weighted."""

_PAUSE_FRAMES = (0, 6, 10)  # the shortest pause that is expected, by `Spelling.pause`
_LAST_LENGTHENED = 1.15  # a word before a pause is drawn out

_STANDING, _PASSING = 0.9, 0.5
"""What it costs that speech takes a frame more, or a frame less, than the score has. Were both the same, the way would
rather lag behind than catch up, for as long as it does not have to reach the end."""

_WEIGHT = 0.4  # of what is heard against these
_FARTHEST = 8.0  # in squared deviations: beyond, unlike is unlike

_LEAST, _MOST = (-60.0, -40.0, -30.0), (10.0, 25.0, 20.0)  # level below the voice, hiss and brightness, in dB

_HEARD = {  # kind: (level, its deviation), (hiss, ...), (brightness, ...)
    LONG: ((-4, 4), (-25, 8), (-6, 6)),
    SHORT: ((-5, 5), (-25, 8), (-6, 6)),
    WEAK: ((-8, 6), (-25, 8), (-8, 6)),
    SONORANT: ((-9, 6), (-28, 8), (-14, 6)),
    HISS: ((-15, 7), (5, 8), (5, 8)),
    BUZZ: ((-14, 7), (-10, 9), (-8, 8)),
    STOP: ((-25, 12), (-10, 12), (-4, 8)),
    SOFT_STOP: ((-18, 9), (-20, 12), (-12, 8)),
    BREATH: ((-15, 8), (-12, 8), (-2, 8)),
    ONSET: ((-15, 9), (-10, 12), (-6, 8)),
    RIME: ((-5, 5), (-25, 8), (-6, 6)),
    PAUSE: ((-55, 8), (-10, 12), (0, 10)),
    GAP: ((-55, 8), (-10, 12), (0, 10)),
}
_TABLE = np.array([_HEARD[kind] for kind in range(NUM_KINDS)], np.float32)  # [kinds, 3, 2]


def costs(frames: Frames, voice_level: float) -> Costs:
    """What each frame costs as each kind of sound; `voice_level` is that of its loud frames."""
    heard = np.clip(frames - np.array((voice_level, 0, 0), np.float32), _LEAST, _MOST)  # [frames, 3]
    away = ((heard[:, None] - _TABLE[..., 0]) / _TABLE[..., 1]) ** 2 / 2 + np.log(_TABLE[..., 1])  # [frames, kinds, 3]
    cost: Costs = _WEIGHT * np.minimum(away, _FARTHEST).sum(axis=2, dtype=np.float32)
    return cost


class Outline:
    """The sounds of a text and the pauses between its words, in order, at no pace in particular."""

    def __init__(self, words: Sequence[Spelling]) -> None:
        kinds, frames, pauses, numbers = [PAUSE], [0.0], [1], [-1]
        for number, word in enumerate(words):
            is_last = number == len(words) - 1
            drawn_out = _LAST_LENGTHENED if word.pause or is_last else 1
            num_pause = 1 if is_last else _PAUSE_FRAMES[word.pause]
            kinds += [*word.sounds, PAUSE if num_pause else GAP]
            frames += [*(USUAL_MS[sound] * drawn_out / FRAME_MS for sound in word.sounds), 0.0]
            pauses += [*(0 for _ in word.sounds), num_pause or 1]
            numbers += [*(number for _ in word.sounds), -1]
        self.kinds = np.array(kinds)
        self.frames = np.array(frames)  # of each sound at the usual pace; 0 for a pause
        self.pauses = np.array(pauses)  # of each pause; 0 for a sound
        self.words = np.array(numbers)  # the word of each sound; -1 for a pause
        self.num_words = len(words)

    @property
    def usual_frames(self) -> float:
        return float(self.frames.sum() + self.pauses.sum())


class Score:
    """The `kinds` of its frames; the `first` and the `last` frame of each word, of which each has one at least.

    `standing` is the cost of staying in a frame, `passing` that of leaving it out. A pause may last for ever, and
    between any two words there may be one.
    """

    def __init__(self, outline: Outline, pace: float = 1.0) -> None:
        """`pace`: how much longer than usual the sounds last."""
        ends = np.round(np.cumsum(outline.frames * pace)).astype(int)
        lengths = np.diff(ends, prepend=0) + outline.pauses
        sounds = np.flatnonzero(outline.words >= 0)
        firsts = sounds[np.searchsorted(outline.words[sounds], np.arange(outline.num_words))]  # of each word
        in_word = np.bincount(outline.words[sounds], lengths[sounds], minlength=outline.num_words)
        lengths[firsts[in_word == 0]] = 1
        self.kinds = np.repeat(outline.kinds, lengths)
        words = np.repeat(outline.words, lengths)
        numbers = np.arange(outline.num_words)
        spoken = np.flatnonzero(words >= 0)
        self.first = spoken[np.searchsorted(words[spoken], numbers)]
        self.last = spoken[np.searchsorted(words[spoken], numbers, side="right") - 1]
        self.standing = np.where(self.kinds >= PAUSE, 0, _STANDING).astype(np.float32)
        self.passing = np.where(self.kinds == GAP, 0, _PASSING).astype(np.float32)

    def __len__(self) -> int:
        return len(self.kinds)
