"""A reading lane of the espeak model: it speaks for one slot after the other, with espeak processes of its own."""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Mapping

import numpy as np
import soxr

from models.base import Failure, ModelError, Patch, Pcm, Word
from models.espeak_library import SAMPLE_RATE as ESPEAK_RATE
from models.espeak_library import Clause
from models.espeak_process import EspeakEnded, EspeakFiles, EspeakProcess
from models.espeak_slot import PATCH_SAMPLES, EspeakSlot
from models.espeak_voices import EspeakVoice, reader
from models.espeak_words import is_speakable, place_words

SAMPLE_RATE = 44_100  # Hz
_UPSAMPLING = SAMPLE_RATE // ESPEAK_RATE

_NORMAL_RATE = 175  # words a minute; measured: duration is inverse to it within 4 % from 80 to 400
_NORMAL_VOLUME = 100  # percent

_WINDOW = 2_000
"""Code points that espeak is shown at a time: it ends a clause after 800 bytes at the latest."""

_NO_END = " " * 760
"""Spaces until espeak's clause buffer is full: it then ends the clause with no pause and an open intonation."""

_EDGE_SAMPLES = 64
"""Silence that is resampled with a clause, before it and behind it, for the filter to ring in."""

_MAX_CARRIED = 8  # code points
_MAX_PROCESSES = 8

_PARAGRAPH = re.compile(r"\n[^\S\n]*\n")


class EspeakLane:
    """Used by one thread at a time. What it makes depends on the slot alone, never on what it made before."""

    def __init__(self, files: EspeakFiles, voices: Mapping[str, EspeakVoice]) -> None:
        self._files = files
        self._voices = voices
        self.processes: OrderedDict[str, EspeakProcess] = OrderedDict()  # the latest used last

    def close(self) -> None:
        while self.processes:
            self.processes.popitem()[1].close()

    def prepare(self, voice: str) -> None:
        """Let the voice's process load it while the text is being written. Raises ModelError."""
        self.process(self._voices[voice].espeak_name)

    def step(self, slot: EspeakSlot) -> Patch | Failure:
        text = slot.text()
        if text is not None:
            slot.begin(text)
            slot.reader = reader(self._voices[slot.voice].voice, text)
        try:
            self._fill(slot)
            while slot.position < slot.heard:  # opened again: the same patches, for nobody
                slot.skip()
                self._fill(slot)
        except ModelError as error:
            return Failure(slot=slot.number, generation=slot.generation, message=str(error))
        return slot.take()

    def _fill(self, slot: EspeakSlot) -> None:
        """Until the next patch is ready. Raises ModelError."""
        while slot.num_ready < PATCH_SAMPLES and not slot.is_finished:
            self._make_speech(slot)

    def _make_speech(self, slot: EspeakSlot) -> None:
        """Speak the next clause of the slot's segment, or pass over what cannot be spoken. Raises ModelError."""
        window = slot.spoken[slot.offset : slot.offset + _WINDOW]
        if not is_speakable(window):
            slot.offset += len(window)
            slot.carried = window[-_MAX_CARRIED:]
            return
        text = window.lstrip()
        margin = window[: len(window) - len(text)]
        slot.is_paragraph |= _PARAGRAPH.search(margin) is not None
        slot.offset += len(margin)
        is_open = slot.offset + len(text) == len(slot.spoken) and text[-1].isspace()
        clause = self._speak(slot, text + _NO_END if is_open else text)
        start, slot.offset = slot.offset, slot.offset + (min(clause.num_chars, len(text)) or len(text))
        pcm = np.frombuffer(clause.pcm, np.int16)
        sounding = np.flatnonzero(pcm)
        if not len(sounding):
            slot.pause = max(slot.pause, len(pcm) * _UPSAMPLING)
            return
        if slot.is_paragraph:
            slot.pause = max(slot.pause, self._paragraph_pause(slot))
            slot.is_paragraph = False
        num_sounding = min(int(sounding[-1]) + 1 + _EDGE_SAMPLES, len(pcm))
        pause = slot.pause if slot.position + slot.num_ready else 0  # an utterance does not begin with one
        slot.pause = (len(pcm) - num_sounding) * _UPSAMPLING
        origin = slot.position + slot.num_ready + pause
        for word in place_words(slot.spoken, start, slot.offset, clause.words, pcm):
            text_start, text_end = max(0, word.text_start - slot.shift), word.text_end - slot.shift
            if text_end > 0:
                times = origin + word.start * _UPSAMPLING, origin + word.end * _UPSAMPLING
                slot.new_words.append(Word(text_start, text_end, *times))
        num_lead = min(_EDGE_SAMPLES, pause // _UPSAMPLING)
        slot.add(np.zeros(pause - num_lead * _UPSAMPLING, np.int16))
        lead = np.zeros(num_lead, np.int16)
        slot.add(_upsample(np.concatenate((lead, pcm[:num_sounding])), min(slot.params.volume, 1.0)))

    def _paragraph_pause(self, slot: EspeakSlot) -> int:
        """The samples of silence that a blank line asks for at the slot's speed. Raises ModelError."""
        pcm = np.frombuffer(self._speak(slot, "a.\n\n").pcm, np.int16)
        return (len(pcm) - int(np.flatnonzero(pcm)[-1]) - 1) * _UPSAMPLING

    def _speak(self, slot: EspeakSlot, text: str) -> Clause:
        """The text's first clause, by the slot's parameters. Raises ModelError."""
        espeak_name = self._voices[slot.reader].espeak_name
        rate = round(_NORMAL_RATE * slot.params.speed)
        volume = max(_NORMAL_VOLUME, round(_NORMAL_VOLUME * slot.params.volume))
        try:
            return self.process(espeak_name).speak(text, rate, volume)
        except EspeakEnded:  # killed from outside: text that crashes espeak ends a fork, not the process
            self.processes.pop(espeak_name).close()
            return self.process(espeak_name).speak(text, rate, volume)

    def process(self, espeak_name: str) -> EspeakProcess:
        """The voice's process, started if need be; the one that was used least lately makes room."""
        process = self.processes.get(espeak_name)
        if process is None:
            if len(self.processes) == _MAX_PROCESSES:
                self.processes.popitem(last=False)[1].close()
            process = self.processes[espeak_name] = EspeakProcess(self._files, espeak_name)
        self.processes.move_to_end(espeak_name)
        return process


def _upsample(pcm: Pcm, gain: float) -> Pcm:
    """22050 to 44100 Hz, twice the samples exactly."""
    wide = soxr.resample(pcm.astype(np.float32) * np.float32(gain), ESPEAK_RATE, SAMPLE_RATE)
    upsampled: Pcm = np.clip(np.rint(wide), -32_768, 32_767).astype(np.int16)
    return upsampled
