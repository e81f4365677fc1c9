"""The embedded voice: espeak-ng, over a hundred languages, exact words, no weights.

Speech is made clause by clause, as the listener needs it: the first patch waits for the first clause only, however
long the segment. espeak itself decides where a clause ends, so a text sounds the same however it was cut into
segments at clause ends. The pause that a clause asks for is held back until the next one starts: an utterance ends
with its last sound, and no step waits for text to know a pause.

espeak runs in a process for each voice in use (`models.espeak_worker`). There are two lanes of these, so that a step
makes two clauses at once; the model is called by one thread, like all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from models.base import History, ModelError, ModelInfo, SpeechParams
from models.espeak_lane import SAMPLE_RATE, EspeakLane
from models.espeak_process import EspeakFiles, installed_files, list_languages
from models.espeak_slot import PATCH_SAMPLES, EspeakSlot
from models.espeak_voices import EspeakVoice, name_voices
from models.slots import Done, SlottedModel
from models.voices import unknown_voice

_MIN_SPEED, _MAX_SPEED, _MAX_VOLUME = 0.5, 2.0, 2.0
_DEFAULT_VOICE = "en-US-male"
_NUM_LANES = 2


class EspeakModel(SlottedModel[EspeakSlot]):
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
        self._lanes = [EspeakLane(self._files, self._voices) for _ in range(_NUM_LANES)]
        self._second = ThreadPoolExecutor(_NUM_LANES - 1, thread_name_prefix="espeak")
        super().__init__(_info(self._voices))

    def open(
        self, slot: int, generation: int, voice: str, params: SpeechParams, history: History | None = None
    ) -> None:
        if voice not in self._voices:
            raise unknown_voice(self._info, voice)
        if not (_MIN_SPEED <= params.speed <= _MAX_SPEED and 0 <= params.volume <= _MAX_VOLUME):
            raise ModelError(
                f"A speed from {_MIN_SPEED} to {_MAX_SPEED} and a volume from 0 to {_MAX_VOLUME} were expected, "
                f"but {params.speed} and {params.volume} came."
            )
        for lane in self._lanes[: len(self._slots) + 1]:  # who is alone needs one
            lane.prepare(voice)
        self._slots.open(EspeakSlot(slot, generation, voice, params, history))

    def submit(self, slots: Sequence[int]) -> Done:
        rows = self._slots.batch(slots)
        beside = [row for row in rows if row.needs_speech][1::2]
        first, second = self._lanes
        others = [self._second.submit(second.step, row) for row in beside]
        results = [first.step(row) for row in rows if row not in beside]
        return Done([*results, *(other.result() for other in others)])

    def shutdown(self) -> None:
        super().shutdown()
        self._second.shutdown()
        for lane in self._lanes:
            lane.close()


def _info(voices: Mapping[str, EspeakVoice]) -> ModelInfo:
    return ModelInfo(
        name="espeak",
        sample_rate=SAMPLE_RATE,
        patch_samples=PATCH_SAMPLES,
        languages=tuple(dict.fromkeys(each.voice.language for each in voices.values())),
        voices=tuple(each.voice for each in voices.values()),
        default_voice=_DEFAULT_VOICE,
        max_slots=4096,
        max_batch=4,  # a clause takes a few milliseconds, and a step as long as its slots together
        speed="native",
        volume="native",
    )
