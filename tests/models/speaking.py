"""Speak texts through a model the way the engine does, and collect what comes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from models.base import Patch, Pcm, SpeechModel, SpeechParams, Word


@dataclass(frozen=True, slots=True, kw_only=True)
class Spoken:
    """What a slot said: its patches, and the same as one piece of speech."""

    patches: tuple[Patch, ...]

    @property
    def pcm(self) -> Pcm:
        return np.concatenate([patch.pcm for patch in self.patches])

    @property
    def words(self) -> list[Word]:
        return [word for patch in self.patches for word in patch.words]

    def segment(self, number: int) -> Spoken:
        return Spoken(patches=tuple(patch for patch in self.patches if patch.segment == number))

    def range(self, number: int) -> tuple[int, int]:
        """Where a segment sounds, in samples."""
        start = sum(len(patch.pcm) for patch in self.patches if patch.segment < number)
        return start, start + len(self.segment(number).pcm)


def finish(model: SpeechModel, slot: int) -> list[Patch]:
    """Step one slot to the end of its segment."""
    patches: list[Patch] = []
    while not patches or not patches[-1].last:
        (patch,) = model.submit([slot]).patches()
        assert isinstance(patch, Patch), patch
        patches.append(patch)
    return patches


def speak(
    model: SpeechModel,
    segments: Sequence[str],
    *,
    voice: str | None = None,
    params: SpeechParams | None = None,
    slot: int = 0,
) -> Spoken:
    """Each text as a segment of one utterance, one after the other, in a slot of its own."""
    model.open(slot, 0, voice or model.info.default_voice, params or SpeechParams())
    try:
        patches: list[Patch] = []
        for text in segments:
            model.extend(slot, text)
            model.seal(slot)
            patches += finish(model, slot)
        return Spoken(patches=tuple(patches))
    finally:
        model.close(slot)


AUDIBLE = 60  # of 32768: -55 dB


def pauses_ms(pcm: Pcm, rate: int = 44_100, *, least_ms: float = 90) -> list[float]:
    """The silences inside the speech, located by its level."""
    loud = np.flatnonzero(np.abs(pcm.astype(int)) > AUDIBLE)
    gaps_ms = np.diff(loud) * 1000 / rate
    return [float(gap) for gap in gaps_ms[gaps_ms > least_ms]]


def level(pcm: Pcm) -> float:
    return float(np.sqrt((pcm.astype(float) ** 2).mean()))


def said(spoken: Spoken, *texts: str) -> list[str]:
    return [texts[patch.segment][word.text_start : word.text_end] for patch in spoken.patches for word in patch.words]
