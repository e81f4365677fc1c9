"""The embedded voice: espeak-ng, over a hundred languages, exact words, no weights.

Speech is made clause by clause, as the listener needs it: the first patch waits for the first clause only, however
long the segment. espeak itself decides where a clause ends, so a text sounds the same however it was cut into
segments at clause ends. The pause that a clause asks for is held back until the next one starts: an utterance ends
with its last sound, and no step waits for text to know a pause.

espeak runs in a process for each voice in use (`models.espeak_worker`); the model is called by one thread, like all.
"""

from __future__ import annotations

import re
from collections import OrderedDict, deque
from collections.abc import Mapping, Sequence

import numpy as np
import soxr

from models.base import Failure, ModelError, ModelInfo, Patch, Pcm, SpeechParams, Word
from models.espeak_library import SAMPLE_RATE as ESPEAK_RATE
from models.espeak_library import Clause
from models.espeak_process import EspeakFiles, EspeakProcess, installed_files, list_languages
from models.espeak_voices import EspeakVoice, name_voices
from models.espeak_words import is_speakable, place_words
from models.slots import Done, Slot, SlotTable
from models.voices import unknown_voice

SAMPLE_RATE = 44_100  # Hz
PATCH_SAMPLES = 7_056  # 160 ms
_UPSAMPLING = SAMPLE_RATE // ESPEAK_RATE

_NORMAL_RATE = 175  # words a minute; measured: duration is inverse to it within 4 % from 80 to 400
_NORMAL_VOLUME = 100  # percent
_MIN_SPEED, _MAX_SPEED, _MAX_VOLUME = 0.5, 2.0, 2.0

_WINDOW = 2_000
"""Code points that espeak is shown at a time: it ends a clause after 800 bytes at the latest."""

_NO_END = " " * 760
"""Spaces until espeak's clause buffer is full: it then ends the clause with no pause and an open intonation."""

_TAIL_SAMPLES = 64
"""Silence that stays with a clause, for the resampling filter to ring out in."""

_MAX_PROCESSES = 8
_DEFAULT_VOICE = "en-US-male"

_UNSPEAKABLE = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u0530\u0557\ud800-\udfff\ue000-\uf8ff\ufdd0-\ufdef\ufffe\uffff]"
)
"""Controls, surrogates and private characters: espeak takes some of them for commands."""

_HAN = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")
_READS_HAN = {"cmn", "yue", "hak", "ja"}
_KANA = re.compile(r"[\u3040-\u30ff]")
_PARAGRAPH = re.compile(r"\n[^\S\n]*\n")


class _EspeakSlot(Slot):
    """A slot, the segment that is spoken in it, and the speech that is made but not yet taken."""

    __slots__ = ("_ready", "is_paragraph", "new_words", "num_ready", "offset", "pause", "spoken")

    def __init__(self, number: int, generation: int, voice: str, params: SpeechParams) -> None:
        super().__init__(number, generation, voice, params)
        self.spoken = ""  # the segment's text, as espeak gets it
        self.offset = 0  # code points of it that became speech
        self.pause = 0  # samples of silence that the last clause asks for, owed to the next
        self.is_paragraph = False  # the next clause begins one
        self.new_words: list[Word] = []
        self.num_ready = 0
        self._ready: deque[Pcm] = deque()

    @property
    def is_finished(self) -> bool:
        """Whether all of the segment's text became speech."""
        return self.offset >= len(self.spoken)

    def add(self, pcm: Pcm) -> None:
        self._ready.append(pcm)
        self.num_ready += len(pcm)

    def take(self) -> Patch:
        """The next patch: 160 ms of what is ready, or all of it."""
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
        words, self.new_words = tuple(self.new_words), []
        return self.patch(pcm, words, last=self.is_finished and not self.num_ready)


class EspeakModel:
    """The embedded voice.

    The voice wins its own language: `SpeechParams.language` changes nothing, `models.voices.voice_for` chooses. Two
    exceptions, because the voices would only say "Chinese letter": a segment with Han characters is spoken by the
    Mandarin voice of the same gender, one with kana by the Japanese, unless the voice reads them itself. English in a
    Mandarin text is spoken as English, by espeak's own switch.

    A segment without punctuation at its end closes as a sentence does. One that ends in white space goes on in the
    next: its last clause stays open, and no pause follows. Both are functions of the text, never of when it came.
    """

    def __init__(self, files: EspeakFiles | None = None) -> None:
        """Find the library and list its voices, about 30 ms; by default those of the espeakng-loader wheel.

        Raises ModelError.
        """
        self._files = files or installed_files()
        self._voices = name_voices(list_languages(self._files))
        self._processes: OrderedDict[str, EspeakProcess] = OrderedDict()  # the latest used last
        self._info = _info(self._voices)
        self._slots: SlotTable[_EspeakSlot] = SlotTable(self._info)

    @property
    def info(self) -> ModelInfo:
        return self._info

    def open(self, slot: int, generation: int, voice: str, params: SpeechParams) -> None:
        if voice not in self._voices:
            raise unknown_voice(self._info, voice)
        if not (_MIN_SPEED <= params.speed <= _MAX_SPEED and 0 <= params.volume <= _MAX_VOLUME):
            raise ModelError(
                f"A speed from {_MIN_SPEED} to {_MAX_SPEED} and a volume from 0 to {_MAX_VOLUME} were expected, "
                f"but {params.speed} and {params.volume} came."
            )
        self._slots.open(_EspeakSlot(slot, generation, voice, params))
        self._process(self._voices[voice].espeak_name)  # it loads while the text is being written

    def extend(self, slot: int, text: str) -> None:
        self._slots[slot].extend(text)

    def seal(self, slot: int) -> None:
        self._slots[slot].seal()

    def submit(self, slots: Sequence[int]) -> Done:
        return Done([self._step(slot) for slot in self._slots.batch(slots)])

    def close(self, slot: int) -> None:
        self._slots.close(slot)

    def shutdown(self) -> None:
        self._slots.clear()
        while self._processes:
            self._processes.popitem()[1].close()

    def _step(self, slot: _EspeakSlot) -> Patch | Failure:
        text = slot.text()
        if text is not None:
            slot.spoken = _UNSPEAKABLE.sub(" ", text)
            slot.offset = 0
        try:
            while slot.num_ready < PATCH_SAMPLES and not slot.is_finished:
                self._make_speech(slot)
        except ModelError as error:
            return Failure(slot=slot.number, generation=slot.generation, message=str(error))
        return slot.take()

    def _make_speech(self, slot: _EspeakSlot) -> None:
        """Speak the next clause of the slot's segment, or pass over what cannot be spoken. Raises ModelError."""
        window = slot.spoken[slot.offset : slot.offset + _WINDOW]
        text = window.lstrip()
        silent = window if not is_speakable(window) else window[: len(window) - len(text)]
        slot.is_paragraph |= _PARAGRAPH.search(silent) is not None
        slot.offset += len(silent)
        if silent is window:
            return
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
        num_sounding = min(int(sounding[-1]) + 1 + _TAIL_SAMPLES, len(pcm))
        if slot.position + slot.num_ready:  # an utterance does not begin with a pause
            slot.add(np.zeros(slot.pause, np.int16))
        slot.pause = (len(pcm) - num_sounding) * _UPSAMPLING
        origin = slot.position + slot.num_ready
        for word in place_words(slot.spoken, start, slot.offset, clause.words, pcm):
            times = origin + word.start * _UPSAMPLING, origin + word.end * _UPSAMPLING
            slot.new_words.append(Word(word.text_start, word.text_end, *times))
        slot.add(_upsample(pcm[:num_sounding], min(slot.params.volume, 1.0)))

    def _paragraph_pause(self, slot: _EspeakSlot) -> int:
        """The samples of silence that a blank line asks for at the slot's speed. Raises ModelError."""
        pcm = np.frombuffer(self._speak(slot, "a.\n\n").pcm, np.int16)
        return (len(pcm) - int(np.flatnonzero(pcm)[-1]) - 1) * _UPSAMPLING

    def _speak(self, slot: _EspeakSlot, text: str) -> Clause:
        """The text's first clause, by the slot's parameters. Raises ModelError."""
        espeak_name = self._voices[self._reader(slot)].espeak_name
        rate = round(_NORMAL_RATE * slot.params.speed)
        volume = max(_NORMAL_VOLUME, round(_NORMAL_VOLUME * slot.params.volume))
        process = self._process(espeak_name)
        try:
            return process.speak(text, rate, volume)
        except ModelError:
            if process.ended:  # the next clause starts another
                self._processes.pop(espeak_name).close()
            raise

    def _reader(self, slot: _EspeakSlot) -> str:
        """The voice that reads the slot's segment."""
        own = self._voices[slot.voice].voice
        if _KANA.search(slot.spoken) and own.language != "ja":
            return f"ja-{own.gender}"
        if _HAN.search(slot.spoken) and own.language not in _READS_HAN:
            return f"cmn-{own.gender}"
        return slot.voice

    def _process(self, espeak_name: str) -> EspeakProcess:
        """The voice's process, started if need be; the one that was used least lately makes room."""
        process = self._processes.get(espeak_name)
        if process is None:
            if len(self._processes) == _MAX_PROCESSES:
                self._processes.popitem(last=False)[1].close()
            process = self._processes[espeak_name] = EspeakProcess(self._files, espeak_name)
        self._processes.move_to_end(espeak_name)
        return process


def _upsample(pcm: Pcm, gain: float) -> Pcm:
    """22050 to 44100 Hz, twice the samples exactly."""
    wide = soxr.resample(pcm.astype(np.float32) * np.float32(gain), ESPEAK_RATE, SAMPLE_RATE)
    upsampled: Pcm = np.clip(np.rint(wide), -32_768, 32_767).astype(np.int16)
    return upsampled


def _info(voices: Mapping[str, EspeakVoice]) -> ModelInfo:
    return ModelInfo(
        name="espeak",
        sample_rate=SAMPLE_RATE,
        patch_samples=PATCH_SAMPLES,
        languages=tuple(dict.fromkeys(each.voice.language for each in voices.values())),
        voices=tuple(each.voice for each in voices.values()),
        default_voice=_DEFAULT_VOICE,
        max_slots=4096,
        max_batch=16,  # a clause takes one to a few milliseconds, and a step is as long as its slots together
        speed="native",
        volume="native",
    )
