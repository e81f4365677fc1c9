"""Words that the model does not tell, found by the web process."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import ParamSpec, TypeVar

import numpy as np
import pytest

from models.base import SpeechModel, SpeechParams, Voice, Word
from models.espeak import EspeakModel
from models.tone import ToneModel
from models.words import WordTimes, expected_seconds
from protocol.messages import Audio, AudioFormat, ServerMessage, Start
from streaming_server.config import Config
from streaming_server.engine_client import LocalEngine
from streaming_server.order import resolve_order
from streaming_server.studio import create_studio
from streaming_server.text.normalizer import Normalizer
from streaming_server.utterance import Utterance
from streaming_server.word_finder import WordFinder
from tests.models.speaking import Spoken, speak
from tests.models.wordless import Wordless
from tests.streaming_server.serving import WAIT_S, assert_complete, audio_of, greeted, serving

RATE = 44_100
TEXT = "The morning train arrives at nine, so we should leave before eight. Nobody else is awake."
TEXTS = ["The morning train arrives at nine,", " so we should leave before eight."]

P = ParamSpec("P")
T = TypeVar("T")


@pytest.fixture(scope="module")
def espeak() -> Iterator[EspeakModel]:
    model = EspeakModel()
    yield model
    model.shutdown()


class Shared(Wordless):
    """Over a model that others go on using."""

    def shutdown(self) -> None:
        pass


def heard(finder: WordFinder, spoken: Spoken, texts: list[str]) -> list[Word]:
    """The words as a client keeps them, when all was heard: the last for a text_start in a segment wins."""
    kept: dict[tuple[int, int], Word] = {}
    for number, text in enumerate(texts):
        told = [*finder.expect(text, spoken.range(number)[0])]
        for patch in spoken.segment(number).patches:
            told += finder.hear(patch.pcm.tobytes(), patch.last)
        kept |= {(number, word.text_start): word for word in told}
    return [kept[key] for key in sorted(kept)]


def test_words_of_every_segment_are_found_where_they_sound(espeak: EspeakModel) -> None:
    spoken = speak(espeak, TEXTS)
    found = heard(WordFinder(espeak.info, espeak.info.default_voice, 1.0), spoken, TEXTS)
    for word, true in zip(found, spoken.words, strict=True):
        assert (word.text_start, word.text_end) == (true.text_start, true.text_end)
        assert word.start == pytest.approx(true.start, abs=0.1 * RATE)


@pytest.mark.parametrize(("name", "speed", "syllable_s"), [("slow", 1.0, 0.3), ("slow", 1.5, 0.2), ("lost", 0.8, 0.2)])
def test_pace_is_the_voices_at_the_speed_that_was_asked_for(
    espeak: EspeakModel, name: str, speed: float, syllable_s: float
) -> None:
    """The usual one for a voice that was removed meanwhile."""
    text = "Slowly, word by word, he told them everything."
    spoken = speak(espeak, [text], params=SpeechParams(speed=0.6))
    info = replace(espeak.info, voices=(Voice(name="slow", language="en", syllable_s=0.3),))
    finder = WordFinder(info, name, speed)
    ahead_ms = 160 / min(1.0, speed)
    seconds = expected_seconds(text, syllable_s)
    times = WordTimes(text, RATE, start=500, expected_seconds=seconds, ahead_ms=ahead_ms)
    assert finder.expect(text, 500) == times.expected() != ()
    for patch in spoken.patches:
        assert finder.hear(patch.pcm.tobytes(), patch.last) == times.push(patch.pcm, patch.last)


@pytest.mark.parametrize("codec", ["pcm_s16le", "opus"])
async def test_words_are_told_before_the_audio_that_speaks_them(espeak: EspeakModel, codec: str) -> None:
    """As well as the project asks for: 60 ms in the median, 200 for 95 of 100."""
    model = Shared(espeak)
    async with serving(model) as server, greeted(server) as wire:
        messages = await wire.speak("u", TEXT, audio={"codec": codec})
    assert_complete(messages)
    assert all(message["estimated"] for message in messages if message["type"] == "words")
    for message, following in itertools.pairwise(messages):
        if message["type"] == "segment":
            assert following["type"] == "words"
    kept: dict[int, list[int]] = {}
    first_told: dict[int, int] = {}
    pts = 0
    for message in messages:
        if message["type"] == "audio":
            pts = message["pts"] + message["samples"]
        elif message["type"] == "words":
            kept |= {word[0]: word for word in message["words"]}
            first_told = {word[0]: pts for word in message["words"]} | first_told
    words = [kept[start] for start in sorted(kept)]
    assert [TEXT[start:end] for start, end, *_ in words] == TEXT.replace(",", "").replace(".", "").split()
    wrong_ms = [abs(word[2] - true.start) * 1000 / RATE for word, true in zip(words, model.withheld, strict=True)]
    assert np.median(wrong_ms) <= 60
    assert np.percentile(wrong_ms, 95) <= 200
    assert sum(first_told[word[0]] > word[2] for word in words) <= 1


async def test_sound_is_the_same_with_and_without_words(espeak: EspeakModel) -> None:
    async with serving(Shared(espeak)) as server, greeted(server) as wire:
        told = await wire.speak("a", TEXT)
        untold = await wire.speak("b", TEXT, words=False)
    assert_complete(untold)
    assert "words" not in {message["type"] for message in untold}
    assert audio_of(told) == audio_of(untold)


@pytest.mark.parametrize("words", [True, False])
async def test_listener_who_cuts_it_is_told_what_was_heard(espeak: EspeakModel, words: bool) -> None:
    """To the word, also who wants no words."""
    model = Shared(espeak)
    async with serving(model) as server, greeted(server) as wire:
        await wire.send("start", utterance="u", text=TEXT, end=True, words=words)
        while (await wire.until("audio"))["pts"] < 1.5 * RATE:
            pass
        played = (model.withheld[2].start + model.withheld[2].end) // 2
        await wire.send("cancel", utterance="u", played=played)
        done = await wire.until("done")
    assert done["spoken"]["text"] == "The morning train"
    assert done["spoken"]["estimated"]
    assert done["spoken"]["mid_word"]


async def test_cancel_at_word_waits_for_the_end_of_a_word_that_was_found(espeak: EspeakModel) -> None:
    model = Shared(espeak)
    async with serving(model) as server, greeted(server) as wire:
        await wire.send("start", utterance="u", text=TEXT, end=True)
        while (await wire.until("audio"))["pts"] < 1.5 * RATE:
            pass
        true = model.withheld[1]
        await wire.send("cancel", utterance="u", at="word", played=(true.start + true.end) // 2)
        done = await wire.until("done")
    assert done["spoken"]["text"] == "The morning"
    assert not done["spoken"]["mid_word"]
    assert done["spoken"]["pts"] == pytest.approx(true.end, abs=0.1 * RATE)


class Counting(ThreadPoolExecutor):
    """Counts what it is given."""

    num_jobs = 0

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        self.num_jobs += 1
        return super().submit(fn, *args, **kwargs)


async def num_jobs(model: SpeechModel, start: Start, lead_ms: int | None) -> int:
    """What the executor is given for plain text to the end of its speech, in native PCM."""
    engine = LocalEngine(model)
    over = asyncio.Event()

    def emit(message: ServerMessage) -> None:
        if isinstance(message, Audio):
            asyncio.get_running_loop().call_soon(utterance.on_audio_sent)

    with Counting(2) as executor:
        studio = replace(create_studio(Config(), engine, Normalizer()), executor=executor)
        order = resolve_order(start, engine=engine, config=Config(), session="s", audio=AudioFormat(), lead_ms=lead_ms)
        utterance = Utterance(order, studio, emit=emit, recall=lambda *_: 0, over=lambda _: over.set())
        utterance.text("Hello there.")
        utterance.end()
        async with asyncio.timeout(WAIT_S):
            await over.wait()
        await engine.close()
    return executor.num_jobs


@pytest.mark.parametrize(
    ("model", "words", "lead_ms", "is_heard"),
    [
        (Wordless, True, 4000, True),
        (Wordless, True, None, True),
        (Wordless, False, 4000, True),
        (Wordless, False, None, False),
        (None, True, 4000, False),
    ],
    ids=["words", "words in the background", "none, but it may be cut", "none in the background", "told by the model"],
)
async def test_only_speech_whose_words_are_needed_leaves_the_loop(
    model: Callable[[SpeechModel], SpeechModel] | None, words: bool, lead_ms: int | None, is_heard: bool
) -> None:
    start = Start(utterance="u", words=words)
    found = await num_jobs(model(ToneModel()) if model else ToneModel(), start, lead_ms)
    num_patches = len(speak(ToneModel(), ["Hello there."]).patches)
    assert found == (1 + num_patches if is_heard else 0), "a guess, and each patch"
