from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.base import Pcm, SpeechParams, Word
from models.espeak import EspeakModel
from models.word_times import WordTimes
from tests.models.speaking import speak
from tests.models.word_texts import HELD_OUT

SAMPLE_RATE = 44_100
PATCH = 7_056
START = 12_345  # the segment is not the utterance's first


def told(text: str, pcm: Pcm, *, rate: int = SAMPLE_RATE, patch: int = PATCH) -> list[tuple[Word, ...]]:
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


@dataclass(frozen=True, slots=True)
class Errors:
    """Milliseconds, one for each of espeak's own words."""

    starts: list[float]
    ends: list[float]
    live: list[float]
    """Of the starts as they stood before the segment's end was known."""
    lateness: list[float]
    """How long before the patch that told it a word began."""


@pytest.fixture(scope="module")
def errors(loaded_espeak: EspeakModel) -> Errors:
    found = Errors([], [], [], [])
    for voice, speed, text in HELD_OUT:
        spoken = speak(loaded_espeak, [text], voice=voice, params=SpeechParams(speed=speed))
        patches = told(text, spoken.pcm)
        final = {word.text_start: word for word in last_told(patches)}
        ends = {word.text_end: word for word in final.values()}
        live = {word.text_start: word for word in itertools.chain(*patches[:-1])}
        told_in = {word.text_start: number for number, words in reversed([*enumerate(patches)]) for word in words}
        for word in spoken.words:
            start = START + word.start
            found.starts.append((final[word.text_start].start - start) * 1000 / SAMPLE_RATE)
            found.lateness.append(max(0, START + told_in[word.text_start] * PATCH - start) * 1000 / SAMPLE_RATE)
            if word.text_start in live:
                found.live.append((live[word.text_start].start - start) * 1000 / SAMPLE_RATE)
            if word.text_end in ends:  # espeak takes some words together: of the
                found.ends.append((ends[word.text_end].end - START - word.end) * 1000 / SAMPLE_RATE)
    return found


def test_words_are_found_where_espeak_says_them(errors: Errors) -> None:
    """On texts that nothing was fitted to. The bound of the project is 60 and 200 ms; this is well inside."""
    assert len(errors.starts) > 450
    assert np.median(np.abs(errors.starts)) <= 20
    assert np.percentile(np.abs(errors.starts), 95) <= 100


def test_ends_are_found_too(errors: Errors) -> None:
    assert np.median(np.abs(errors.ends)) <= 20
    assert np.percentile(np.abs(errors.ends), 95) <= 120


@settings(max_examples=40, deadline=None)
@given(
    text=st.text(alphabet="aeiou bcdfst,.!你好世é1-'", max_size=60),
    seconds=st.floats(0, 3),
    kind=st.sampled_from(["noise", "silence", "tone", "bursts"]),
    rate=st.sampled_from([8_000, 16_000, 44_100]),
    patch=st.integers(1, 20_000),
)
def test_words_are_orderly_whatever_is_heard(text: str, seconds: float, kind: str, rate: int, patch: int) -> None:
    num_samples = int(seconds * rate)
    rng = np.random.default_rng(len(text))
    sound = {
        "noise": rng.normal(0, 3_000, num_samples),
        "silence": np.zeros(num_samples),
        "tone": 8_000 * np.sin(np.arange(num_samples) * 0.1),
        "bursts": rng.normal(0, 3_000, num_samples) * (np.arange(num_samples) // 2_000 % 2),
    }[kind]
    patches = told(text, sound.astype(np.int16), rate=rate, patch=max(patch, num_samples // 50))
    assert_orderly(last_told(patches), text, num_samples)
