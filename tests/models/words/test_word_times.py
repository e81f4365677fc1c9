from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from bench.word_texts import HELD_OUT
from bench.words import Errors, measure
from models.base import Pcm, SpeechParams, Word
from models.espeak import EspeakModel
from models.words.word_times import WordTimes
from tests.models.speaking import speak

SAMPLE_RATE = 44_100
PATCH = 7_056
START = 12_345  # the segment is not the utterance's first


def told(
    text: str, pcm: Pcm | NDArray[np.float32], *, rate: int = SAMPLE_RATE, patch: int = PATCH
) -> list[tuple[Word, ...]]:
    """What is told with each patch."""
    times = WordTimes(text, rate, start=START)
    cuts = range(0, max(len(pcm), 1), patch)
    return [times.push(pcm[cut : cut + patch], cut + patch >= len(pcm)) for cut in cuts]


def last_told(patches: Sequence[tuple[Word, ...]]) -> list[Word]:
    """The words as a client keeps them: the last for a text_start wins."""
    kept = {word.text_start: word for word in itertools.chain(*patches)}
    return [kept[text_start] for text_start in sorted(kept)]


def assert_orderly(words: Sequence[Word], text: str, num_samples: int) -> None:
    for word in words:
        assert 0 <= word.text_start < word.text_end <= len(text)
        assert START <= word.start < word.end <= START + num_samples
    for word, following in itertools.pairwise(words):
        assert word.text_end <= following.text_start
        assert word.end <= following.start


@pytest.fixture(scope="module")
def errors(loaded_espeak: EspeakModel) -> Errors:
    return measure(loaded_espeak, HELD_OUT)


def test_words_are_found_where_espeak_says_them(errors: Errors) -> None:
    """On texts that nothing was fitted to. The project asks for 60 and 200 ms; this is well inside."""
    assert len(errors.starts) > 450
    assert np.median(np.abs(errors.starts)) <= 15
    assert np.percentile(np.abs(errors.starts), 95) <= 100
    assert np.median(np.abs(errors.ends)) <= 15
    assert np.percentile(np.abs(errors.ends), 95) <= 110


def test_words_are_known_while_they_are_spoken(errors: Errors) -> None:
    """Though nobody says how fast the voice speaks, and these speak at five speeds."""
    assert np.median(np.abs(errors.live)) <= 20
    assert np.percentile(np.abs(errors.live), 90) <= 120
    assert np.mean(np.array(errors.late) > 0) <= 0.1


def test_words_are_found_in_a_reverberant_room_without_pauses_between_them(loaded_espeak: EspeakModel) -> None:
    """espeak sets its words apart, and is silent between them; other voices do not, and are not."""
    errors = measure(loaded_espeak, HELD_OUT[::3], room=True)
    assert len(errors.starts) > 150
    assert np.median(np.abs(errors.starts)) <= 60
    assert np.percentile(np.abs(errors.starts), 95) <= 200


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Hello, “big” world!", ["Hello", "big", "world"]),
        ("I don't owe 1,234.5 dollars.", ["I", "don't", "owe", "1,234.5", "dollars"]),
        ("A well-known café -- no, 'two'.", ["A", "well-known", "café", "no", "two"]),
        ("你好，世界。How are you？", ["你", "好", "世", "界", "How", "are", "you"]),
        ("他有3个苹果。", ["他", "有", "3", "个", "苹", "果"]),
        ("コーヒー 안녕하세요 Привет नमस्ते", ["コー", "ヒー", "안녕하세요", "Привет", "नमस्ते"]),
        ("... ，！ 😀", []),
        ("", []),
    ],
)
def test_words_are_ranges_of_the_text(text: str, words: list[str]) -> None:
    """As espeak cuts them, but for the phrases of its dictionary."""
    heard = last_told(told(text, np.zeros(PATCH * 20, np.int16)))
    assert [text[word.text_start : word.text_end] for word in heard] == words


def test_word_is_told_again_only_where_it_has_moved(loaded_espeak: EspeakModel) -> None:
    text = "The morning train arrives at nine, so we should leave before eight."
    patches = told(text, speak(loaded_espeak, [text]).pcm)
    assert len([word for words in patches for word in words]) < 5 * len(text.split())
    kept: dict[int, Word] = {}
    for words in patches:
        for word in words:
            assert kept.get(word.text_start) != word
            kept[word.text_start] = word


def test_long_speech_is_taken_at_once_too(loaded_espeak: EspeakModel) -> None:
    """As when an utterance is opened again: what was heard comes as one patch, and all of its words are told."""
    text = (
        "Every student receives a book, a pencil, and a sheet of paper, and when the bell rings they may all go home."
    )
    spoken = speak(loaded_espeak, [text])
    assert len(spoken.pcm) > 5 * SAMPLE_RATE
    times = WordTimes(text, SAMPLE_RATE, start=START)
    words = {word.text_start: word for word in times.push(spoken.pcm, False)}
    found = [words[word.text_start].start - START - word.start for word in spoken.words]
    assert np.median(np.abs(found)) < 0.03 * SAMPLE_RATE
    assert not times.push(np.zeros(0, np.int16), False)


def test_pcm_is_taken_as_integers_or_floats(loaded_espeak: EspeakModel) -> None:
    text = "Either way is fine."
    pcm = speak(loaded_espeak, [text]).pcm
    assert told(text, pcm) == told(text, (pcm / 32_768).astype(np.float32))


@pytest.mark.parametrize("rate", [8_000, 16_000, 48_000])
def test_words_are_found_at_any_rate(loaded_espeak: EspeakModel, rate: int) -> None:
    text = "The morning train arrives at nine, so we should leave before eight."
    spoken = speak(loaded_espeak, [text])
    places = np.arange(0, len(spoken.pcm) * rate // SAMPLE_RATE) * (SAMPLE_RATE / rate)
    pcm = np.interp(places, np.arange(len(spoken.pcm)), spoken.pcm).astype(np.int16)
    found = last_told(told(text, pcm, rate=rate, patch=rate * 4 // 25))
    pairs = zip(found, spoken.words, strict=True)
    wrong_s = [abs((word.start - START) / rate - true.start / SAMPLE_RATE) for word, true in pairs]
    assert np.median(wrong_s) < 0.03
    assert max(wrong_s) < 0.2


def test_known_length_makes_the_first_guesses_better(loaded_espeak: EspeakModel) -> None:
    text = "Slowly, word by word, he told them everything that he had seen."
    spoken = speak(loaded_espeak, [text], params=SpeechParams(speed=0.5))
    worst = []
    for seconds in (None, len(spoken.pcm) / SAMPLE_RATE):
        times = WordTimes(text, SAMPLE_RATE, start=0, expected_seconds=seconds)
        guessed = {
            word.text_start: word.start
            for cut in range(0, len(spoken.pcm) - PATCH, PATCH)
            for word in times.push(spoken.pcm[cut : cut + PATCH], False)
        }
        worst.append(max(abs(guessed[word.text_start] - word.start) for word in spoken.words))
    assert worst[1] <= min(worst[0], 0.2 * SAMPLE_RATE)


def test_speech_that_stops_early_still_has_its_words(loaded_espeak: EspeakModel) -> None:
    """Those that were said keep their places; what the speech did not come to is at its end."""
    text = "One two three four five six seven eight nine ten eleven twelve."
    spoken = speak(loaded_espeak, [text])
    cut = spoken.words[3].end
    found = last_told(told(text, spoken.pcm[:cut]))
    assert_orderly(found, text, cut)
    assert found[1].start - START == pytest.approx(spoken.words[1].start, abs=0.25 * SAMPLE_RATE)
    assert found[-1].end == START + cut


def test_half_an_hour_of_speech_is_not_kept() -> None:
    """Nor does it slow down: the first words keep their places, whatever comes after a minute."""
    times = WordTimes("Just a few words.", 8_000, start=START)
    noise = np.random.default_rng(0).normal(0, 2_000, 8_000 * 30).astype(np.int16)
    for _ in range(60):
        times.push(noise, False)
    assert num_bytes(times) < 10_000_000
    assert_orderly(last_told([times.push(noise, True)]), "Just a few words.", 61 * len(noise))


def num_bytes(times: WordTimes) -> int:
    """Of the arrays and bytes that it holds."""
    seen: set[int] = set()
    stack: list[object] = [times]
    total = 0
    while stack:
        each = stack.pop()
        if id(each) in seen:
            continue
        seen.add(id(each))
        if isinstance(each, np.ndarray):
            total += each.nbytes
        elif isinstance(each, bytes):
            total += len(each)
        elif isinstance(each, list | tuple):
            stack += each
        elif isinstance(each, dict):
            stack += each.values()
        elif hasattr(each, "__dict__"):
            stack += vars(each).values()
    return total


SOUNDS = ("noise", "silence", "tone", "bursts", "not a number")


@settings(max_examples=40, deadline=None)
@given(
    text=st.text(alphabet="aeiou bcdfst,.!你好世é1-'", max_size=60),
    seconds=st.floats(0, 3),
    kind=st.sampled_from(SOUNDS),
    rate=st.sampled_from([8_000, 16_000, 44_100]),
    patch=st.integers(1, 20_000),
    expected=st.none() | st.floats(0, 1e6),
)
def test_words_are_orderly_whatever_is_heard(
    text: str, seconds: float, kind: str, rate: int, patch: int, expected: float | None
) -> None:
    """At the end inside the speech; and in order, without overlaps, at every moment."""
    num_samples = int(seconds * rate)
    places = np.arange(num_samples)
    noise = np.random.default_rng(len(text)).normal(0, 0.1, num_samples)
    sound = {
        "noise": noise,
        "silence": np.zeros(num_samples),
        "tone": 0.3 * np.sin(places * 0.1),
        "bursts": noise * (places // 2_000 % 2),
        "not a number": np.where(places % 1_000 == 7, np.nan, noise),
    }[kind].astype(np.float32)
    times = WordTimes(text, rate, start=START, expected_seconds=expected)
    patch = max(patch, num_samples // 50)
    heard: list[tuple[Word, ...]] = []
    for cut in range(0, max(num_samples, 1), patch):
        heard.append(times.push(sound[cut : cut + patch], cut + patch >= num_samples))
        words = last_told(heard)
        assert_orderly(words, text, 1 << 60)
    assert_orderly(words, text, num_samples)
    if num_samples > len(text):
        assert len(words) == len(last_told(told(text, np.zeros(rate, np.int16), rate=rate)))
