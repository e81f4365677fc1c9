"""How well the words of a voice that tells no times are found: `python -m bench.words`.

espeak speaks texts that nothing was fitted to, and knows exactly when its words sound; a web process' `WordFinder` gets
the text and the audio, patch by patch, and what is known of a voice: the usual pace, and the speed that was asked for.

`live` is what was told last before the segment's end was known, `late` the words that had begun before the patch that
told them first. `pace known`: the voice's own, as it is measured in its recording. In `room` the silences between words
are taken out, and reverberation and noise are added.
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from bench.report import RESULTS, table, write
from bench.word_texts import HELD_OUT, TUNED, Reading
from models.base import ModelError, ModelInfo, Patch, Pcm, SpeechParams, Word
from models.espeak import EspeakModel
from models.words import measured_pace
from streaming_server.word_finder import WordFinder

SAMPLE_RATE = 44_100
PATCH_SAMPLES = 7_056

_LONGEST_GAP_S = 0.12  # what is shorter is espeak's way to set words apart, what is longer a pause
_ECHO_S, _DECAY_S, _DIRECT = 0.25, 0.06, 12.0
_NOISE = 0.03  # of the speech's level: 30 dB below


@dataclass(slots=True)
class Errors:
    """Estimated minus true, in milliseconds; CPU time in milliseconds."""

    starts: list[float] = field(default_factory=list)
    ends: list[float] = field(default_factory=list)
    live: list[float] = field(default_factory=list)  # starts, while the speech was still being made
    late: list[float] = field(default_factory=list)  # how long a word had been sounding before the patch that told it
    patch_cpu: list[float] = field(default_factory=list)
    last_patch_cpu: list[float] = field(default_factory=list)

    def add(self, told: Sequence[Sequence[Word]], true: Sequence[Word]) -> None:
        """`told` before each patch and after the last; `true` words, of which espeak takes some together (of the)."""
        final = {word.text_start: word for word in itertools.chain(*told)}
        ends = {word.text_end: word for word in final.values()}
        live = {word.text_start: word for word in itertools.chain(*told[:-1])}
        patches = {word.text_start: number for number, words in reversed([*enumerate(told)]) for word in words}
        for word in true:
            if word.text_start in final:  # not a symbol that espeak names
                self.starts.append(_ms(final[word.text_start].start - word.start))
                self.late.append(_ms(max(0, patches[word.text_start] * PATCH_SAMPLES - word.start)))
            if word.text_start in live:
                self.live.append(_ms(live[word.text_start].start - word.start))
            if word.text_end in ends:
                self.ends.append(_ms(ends[word.text_end].end - word.end))

    def row(self) -> dict[str, object]:
        """Medians and 95th percentiles."""
        found: dict[str, object] = {"words": len(self.starts)}
        for name, values in (("start", self.starts), ("end", self.ends), ("live", self.live)):
            median, high = np.percentile(np.abs(values), (50, 95))
            found |= {f"{name} p50 ms": round(float(median), 1), f"{name} p95 ms": round(float(high), 1)}
        found["late %"] = round(100 * float(np.mean(np.array(self.late) > 0)), 1)
        found["cpu ms"] = round(float(np.median(self.patch_cpu)), 2)
        found["last cpu ms"] = round(float(np.median(self.last_patch_cpu)), 2)
        return found


def spoken(model: EspeakModel, reading: Reading) -> tuple[Pcm, list[Word]]:
    """What espeak says for it, and when. Raises ModelError."""
    voice, speed, text = reading
    model.open(0, 0, voice, SpeechParams(speed=speed))
    try:
        model.extend(0, text)
        model.seal(0)
        patches: list[Patch] = []
        while not patches or not patches[-1].last:
            (patch,) = model.submit([0]).patches()
            if not isinstance(patch, Patch):
                raise ModelError(patch.message)
            patches.append(patch)
    finally:
        model.close(0)
    return np.concatenate([patch.pcm for patch in patches]), [word for patch in patches for word in patch.words]


def in_a_room(pcm: Pcm, words: Sequence[Word]) -> tuple[Pcm, list[Word]]:
    """The same speech as other voices are: without silences between its words, reverberant, and with some noise."""
    kept = np.ones(len(pcm), bool)
    for word, following in itertools.pairwise(words):
        if following.start - word.end < _LONGEST_GAP_S * SAMPLE_RATE:
            kept[word.end : following.start] = False
    moved = np.concatenate(([0], np.cumsum(kept))).tolist()
    rng = np.random.default_rng(0)
    num_echo = int(_ECHO_S * SAMPLE_RATE)
    echo = rng.normal(0, 1, num_echo) * np.exp(-np.arange(num_echo) / (_DECAY_S * SAMPLE_RATE))
    echo[0] = _DIRECT
    size = 1 << (len(pcm) + num_echo).bit_length()
    sound = np.fft.irfft(np.fft.rfft(pcm[kept], size) * np.fft.rfft(echo, size))[: int(kept.sum())]
    sound *= 0.25 / np.abs(sound).max()
    sound += rng.normal(0, _NOISE * sound.std(), len(sound))
    places = [Word(word.text_start, word.text_end, moved[word.start], moved[word.end]) for word in words]
    return np.rint(32_767 * sound).astype(np.int16), places


def estimate(text: str, pcm: Pcm, errors: Errors, finder: WordFinder) -> Iterator[tuple[Word, ...]]:
    """What is told before each patch, and after the last one."""
    yield finder.expect(text, 0)
    for start in range(0, len(pcm), PATCH_SAMPLES):
        last = start + PATCH_SAMPLES >= len(pcm)
        patch = pcm[start : start + PATCH_SAMPLES].tobytes()
        begun = time.thread_time()
        words = finder.hear(patch, last)
        (errors.last_patch_cpu if last else errors.patch_cpu).append(1000 * (time.thread_time() - begun))
        yield words


def measure(model: EspeakModel, readings: Sequence[Reading], *, room: bool = False, paced: bool = False) -> Errors:
    """`paced`: the voice's own pace is known. Raises ModelError."""
    errors = Errors()
    for reading in readings:
        voice, speed, text = reading
        pcm, words = spoken(model, reading)
        sound, true = in_a_room(pcm, words) if room else (pcm, words)
        info = (
            with_pace(model.info, voice, speed * measured_pace(text, len(sound) / SAMPLE_RATE)) if paced else model.info
        )
        errors.add([*estimate(text, sound, errors, WordFinder(info, voice, speed))], true)
    return errors


def with_pace(info: ModelInfo, name: str, syllable_s: float) -> ModelInfo:
    voices = [replace(voice, syllable_s=syllable_s) if voice.name == name else voice for voice in info.voices]
    return replace(info, voices=tuple(voices))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.words", description=__doc__.partition("\n")[0])
    parser.add_argument("--tuned", action="store_true", help="measure the texts that the constants were fitted on")
    parser.add_argument("--quick", action="store_true", help="write no result")
    options = parser.parse_args()
    readings = TUNED if options.tuned else HELD_OUT
    languages = {
        "all": readings,
        "English": [reading for reading in readings if reading[0].startswith("en")],
        "Chinese": [reading for reading in readings if reading[0].startswith("cmn")],
        "others": [reading for reading in readings if not reading[0].startswith(("en", "cmn"))],
    }
    model = EspeakModel()
    try:
        rows = [{"texts": name, **measure(model, chosen).row()} for name, chosen in languages.items()]
        rows.append({"texts": "all, pace known", **measure(model, readings, paced=True).row()})
        rows.append({"texts": "all, in a room", **measure(model, readings, room=True).row()})
        rows.append({"texts": "the same, known", **measure(model, readings, room=True, paced=True).row()})
    finally:
        model.shutdown()
    print(table(rows))
    if not options.quick:
        print(write("words-tuned" if options.tuned else "words", {"rows": rows}, RESULTS))


def _ms(samples: int) -> float:
    return samples * 1000 / SAMPLE_RATE


if __name__ == "__main__":
    main()
