"""An utterance in a slot of the espeak model: its text on the way in, its speech on the way out."""

from __future__ import annotations

import re
import struct
from collections import deque

import numpy as np

from models.base import History, ModelError, Patch, Pcm, SpeechParams, Word
from models.slots import Slot

PATCH_SAMPLES = 7_056  # 160 ms at 44100 Hz

FIRST_UNSPACED = "\u2e80"
"""East Asian scripts, which write no spaces, begin here."""

_UNSPEAKABLE = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u0530\u0557\ud800-\udfff\ue000-\uf8ff\ufdd0-\ufdef\ufffe\uffff]"
)
"""Controls, surrogates and private characters: espeak takes some of them for commands."""


_OWED = struct.Struct("<I?")  # samples of pause, is_paragraph; what is carried follows in UTF-8


class EspeakSlot(Slot):
    """A slot, the segment that is spoken in it, and the speech that is made but not yet taken.

    Speech is a function of the text and of what a segment leaves to the next: that is the `latents` of its last patch.
    """

    __slots__ = (
        "_ready",
        "carried",
        "is_paragraph",
        "new_words",
        "num_ready",
        "offset",
        "pause",
        "reader",
        "shift",
        "spoken",
    )

    def __init__(self, number: int, generation: int, voice: str, params: SpeechParams, history: History | None) -> None:
        """Raises ModelError when what the last segment left is not of this model."""
        super().__init__(number, generation, voice, params, history)
        self.reader = voice  # the voice that reads this segment
        self.spoken = ""  # the segment's text as espeak gets it: what the last one left, then its own
        self.shift = 0  # code points that the last one left
        self.offset = 0  # code points that became speech
        self.carried = ""  # what follows the last clause unspoken, such as a quotation mark: it asks for a pause
        self.pause = 0  # samples of silence that the last clause asks for, owed to the next
        self.is_paragraph = False  # the next clause begins one
        self.new_words: list[Word] = []
        self.num_ready = 0
        self._ready: deque[Pcm] = deque()
        if history is not None and history.before:
            self._take_over(history.before[-1])

    def begin(self, text: str) -> None:
        """Speak this segment next."""
        text = _UNSPEAKABLE.sub(" ", text)
        carried, self.carried = self.carried, ""
        if carried and not carried[-1].isspace() and text[:1] < FIRST_UNSPACED:
            carried += " "  # the caller has stripped it
        self.spoken = carried + text
        self.shift = len(carried)
        self.offset = 0

    @property
    def is_finished(self) -> bool:
        """Whether all of the segment's text became speech."""
        return self.offset >= len(self.spoken)

    @property
    def needs_speech(self) -> bool:
        """Whether the next patch has yet to be made."""
        return self.num_ready < PATCH_SAMPLES

    def add(self, pcm: Pcm) -> None:
        self._ready.append(pcm)
        self.num_ready += len(pcm)

    def take(self) -> Patch:
        """The next patch: 160 ms of what is ready, or all of it."""
        pcm = self._cut()
        words, self.new_words = tuple(self.new_words), []
        last = self.is_finished and not self.num_ready
        return self.patch(pcm, words, last=last, latents=self._left_over() if last else b"")

    def skip(self) -> None:
        """Drop the next patch: it was heard, and its words were told. Of a segment that is shorter, drop all."""
        self.position = self.position + len(self._cut()) if self.num_ready else self.heard
        self.new_words.clear()

    def _left_over(self) -> bytes:
        return _OWED.pack(self.pause, self.is_paragraph) + self.carried.encode()

    def _take_over(self, left_over: bytes) -> None:
        try:
            self.pause, self.is_paragraph = _OWED.unpack_from(left_over)
            self.carried = left_over[_OWED.size :].decode()
        except (struct.error, UnicodeDecodeError):
            raise ModelError(
                "What an espeak segment leaves to the next was expected, but other latents came."
            ) from None

    def _cut(self) -> Pcm:
        parts: list[Pcm] = []
        missing = PATCH_SAMPLES
        while missing and self._ready:
            part = self._ready.popleft()
            if len(part) > missing:
                self._ready.appendleft(part[missing:])
                part = part[:missing]
            parts.append(part)
            missing -= len(part)
        pcm = np.concatenate(parts) if parts else np.zeros(0, np.int16)
        self.num_ready -= len(pcm)
        return pcm
