from __future__ import annotations

import itertools

import numpy as np
import pytest

from models.espeak import SAMPLE_RATE, EspeakModel
from tests.models.speaking import AUDIBLE, level, said, speak

ENGLISH = "Hello there, my friend. How are you today? I am fine; really: quite well! Wait... what? Done."
CHINESE = "你好，世界。今天天气怎么样？我很好！真的；是这样：一、二、三。完。"


@pytest.mark.parametrize(
    ("voice", "text", "words"),
    [
        ("en-US-male", "Hello, “big” world!", ["Hello", "big", "world"]),
        ("en-US-male", "I don't owe 1,234 dollars.", ["I", "don't", "owe", "1,234", "dollars"]),
        ("en-GB-female", "A well-known café, 50 % off.", ["A", "well-known", "café", "50", "%", "off"]),
        ("cmn-male", "你好，世界。How are you？", ["你好", "世", "界", "How", "are", "you"]),
        ("cmn-male", "他有3个苹果。", ["他", "有", "3", "个", "苹果"]),
        ("cmn-male", "版本1.5的银行", ["版", "本", "1.5", "的", "银行"]),
        ("ru-male", "Привет, мир!", ["Привет", "мир"]),
        ("en-US-male", "😀 yes", ["😀", "yes"]),
    ],
)
def test_words_are_ranges_of_the_text(espeak: EspeakModel, voice: str, text: str, words: list[str]) -> None:
    assert said(speak(espeak, [text], voice=voice), text) == words


def test_words_of_later_clauses_and_segments_are_exact(espeak: EspeakModel) -> None:
    texts = ["One two, three. Four", " five, 六七, eight.", "Nine."]
    words = said(speak(espeak, texts), *texts)
    assert [word for word in words if word.isascii()] == ["One", "two", "three", "Four", "five", "eight", "Nine"]


def test_word_sounds_where_it_says(espeak: EspeakModel) -> None:
    """Every word is loud within its times; between words of two clauses there is silence."""
    spoken = speak(espeak, [ENGLISH])
    pcm = spoken.pcm
    for word in spoken.words:
        assert level(pcm[word.start : word.end]) > 500, ENGLISH[word.text_start : word.text_end]
    for word, following in itertools.pairwise(spoken.words):
        assert word.end <= following.start
        between = pcm[word.end + 200 : following.start - 200]
        assert not len(between) or np.abs(between).max() < AUDIBLE
    assert spoken.words[0].start < 0.02 * SAMPLE_RATE
    assert spoken.words[-1].end == pytest.approx(len(pcm), abs=0.01 * SAMPLE_RATE)


def test_word_times_are_found_again_by_their_sound(espeak: EspeakModel) -> None:
    """A word cut out by its times has the duration that it has alone."""
    spoken = speak(espeak, ["Banana. Sunday. Helicopter."])
    for word, text in zip(spoken.words, ("Banana.", "Sunday.", "Helicopter."), strict=True):
        assert word.end - word.start == pytest.approx(len(speak(espeak, [text]).pcm), abs=0.02 * SAMPLE_RATE)


def test_no_word_starts_before_its_patch(espeak: EspeakModel) -> None:
    start = 0
    for patch in speak(espeak, [ENGLISH, CHINESE], voice="cmn-male").patches:
        assert all(word.start >= start for word in patch.words)
        start += len(patch.pcm)
