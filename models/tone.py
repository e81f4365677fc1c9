"""A test voice whose every sample says who it is.

A sample is a function of (seed, index) alone, so loss, repetition, reordering or a mix-up of utterances shows:

- bits 15..2: a tone of one of 32 pitches (110 to 361 Hz), chosen by the seed, for the ear;
- bit 1: set on the first sample of every block of 64, for synchronisation;
- bit 0: the block's name, most significant bit first: 32 bits of seed, then 32 bits of block number (index // 64).

`tone_samples` is the oracle for any range; `locate_tone` reads seed and index off any 127 samples in a row. Both hold
for what arrives bit-exact (PCM at the native rate, also as floats); a lossy codec leaves only the pitch.

A segment lasts 70 ms for each code point of its text, whatever the code point, and so do its words.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from models.base import History, ModelInfo, Patch, Pcm, SpeechParams, UnknownVoice, Voice, Word
from models.slots import Done, Slot, SlottedModel

SAMPLE_RATE = 44_100  # Hz
PATCH_SAMPLES = 7_056  # 160 ms
CODE_POINT_SAMPLES = 3_087  # 70 ms
LOCATE_SAMPLES = 127  # any so many hold one whole block

_BLOCK_SAMPLES = 64
_NUM_PITCHES = 32
_MAX_SEED = 2**32 - 1

_WORD = re.compile(
    r"[\u2e80-\u2fdf\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]|[^\W\u2e80-\u9fff\uf900-\ufaff]+"
)
"""A Han or kana character, or a run of other letters and digits."""

INFO = ModelInfo(
    name="tone",
    sample_rate=SAMPLE_RATE,
    patch_samples=PATCH_SAMPLES,
    languages=("*",),
    voices=(Voice(name="tone", language="und", description="A test tone; each sample names its utterance and place."),),
    default_voice="tone",
    max_slots=4096,
    max_batch=112,
)


def tone_samples(seed: int, start: int, num_samples: int) -> Pcm:
    """The samples [start, start + num_samples) of the utterance with this seed.

    Raises ValueError for a seed beyond 32 bits or a negative start or number.
    """
    if not 0 <= seed <= _MAX_SEED or start < 0 or num_samples < 0:
        raise ValueError(
            f"A 32-bit seed and a range from 0 on were expected, but ({seed}, {start}, {num_samples}) came."
        )
    first, skipped = divmod(start, _BLOCK_SAMPLES)
    last = -(-(start + num_samples) // _BLOCK_SAMPLES)
    names = np.empty((last - first, 2), dtype=">u4")
    names[:, 0] = seed
    names[:, 1] = np.arange(first, last)
    code = np.unpackbits(names.view(np.uint8), axis=None)
    code[::_BLOCK_SAMPLES] |= 2
    code = code[skipped : skipped + num_samples]
    period = pitch_period(seed)
    phase = start % period
    if num_samples > PATCH_SAMPLES:
        carrier = np.resize(_carrier(period)[phase : phase + period], num_samples)
    else:
        carrier = _carrier(period)[phase : phase + num_samples]
    return np.bitwise_or(carrier, code, dtype=np.int16)


def locate_tone(pcm: Pcm) -> tuple[int, int]:
    """The (seed, index) of the first of at least 127 samples.

    Raises ValueError when they are fewer, or no tone: `tone_samples` then says where they differ.
    """
    marks = np.flatnonzero(pcm[:_BLOCK_SAMPLES] & 2)
    if len(pcm) < LOCATE_SAMPLES or len(marks) != 1:
        raise ValueError(f"At least {LOCATE_SAMPLES} samples of one tone were expected, but {len(pcm)} others came.")
    offset = int(marks[0])
    name = np.packbits((pcm[offset : offset + _BLOCK_SAMPLES] & 1).astype(np.uint8)).view(">u4")
    index = int(name[1]) * _BLOCK_SAMPLES - offset
    if index < 0:
        raise ValueError("A tone from its first sample on was expected, but samples before it came.")
    return int(name[0]), index


def pitch_period(seed: int) -> int:
    """The period of the seed's tone in samples, 122 to 401."""
    mixed = (seed * 0x9E3779B1) & _MAX_SEED  # Knuth's multiplicative hash: neighbouring seeds sound apart
    return 401 - 9 * (mixed >> 27)


@lru_cache(maxsize=_NUM_PITCHES)
def _carrier(period: int) -> Pcm:
    """A patch and one period of the tone, its two lowest bits clear."""
    phase = 2 * np.pi / period * np.arange(PATCH_SAMPLES + period)
    wave = 6_000 * np.sin(phase) + 1_500 * np.sin(2 * phase)
    carrier: Pcm = np.round(wave).astype(np.int16) & np.int16(~3)
    carrier.flags.writeable = False
    return carrier


class _ToneSlot(Slot):
    """A slot, its segment's last sample, and its words until the first patch brings them."""

    __slots__ = ("end", "words")

    def __init__(self, number: int, generation: int, voice: str, params: SpeechParams, history: History | None) -> None:
        super().__init__(number, generation, voice, params, history)
        self.end = 0
        self.words: tuple[Word, ...] = ()

    def begin(self, text: str) -> None:
        start = self.position
        self.end = start + len(text) * CODE_POINT_SAMPLES
        self.words = tuple(
            Word(
                match.start(),
                match.end(),
                start + match.start() * CODE_POINT_SAMPLES,
                start + match.end() * CODE_POINT_SAMPLES,
            )
            for match in _WORD.finditer(text)
        )
        if self.heard > start:
            self.position, self.words = self.heard, ()

    def step(self) -> Patch:
        if (text := self.text()) is not None:
            self.begin(text)
        num_samples = max(0, min(PATCH_SAMPLES, self.end - self.position))
        pcm = tone_samples(self.params.seed, self.position, num_samples)
        words, self.words = self.words, ()
        return self.patch(pcm, words, last=self.position + num_samples >= self.end)


class ToneModel(SlottedModel[_ToneSlot]):
    """The test voice. `SpeechParams.seed` is the utterance's identity; speed, volume and language change nothing."""

    def __init__(self) -> None:
        super().__init__(INFO)

    def open(
        self, slot: int, generation: int, voice: str, params: SpeechParams, history: History | None = None
    ) -> None:
        if voice != INFO.default_voice:
            raise UnknownVoice(f"The only voice of this model is {INFO.default_voice!r}, but {voice!r} was asked for.")
        self._slots.open(_ToneSlot(slot, generation, voice, params, history))

    def submit(self, slots: Sequence[int]) -> Done:
        return Done([slot.step() for slot in self._slots.batch(slots)])
