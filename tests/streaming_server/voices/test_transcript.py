"""Whether a transcript can be what a recording says."""

from __future__ import annotations

import pytest

from streaming_server.voices.refusal import VoiceRefused
from streaming_server.voices.transcript import check_length, check_script, check_transcript


@pytest.mark.parametrize(
    ("language", "transcript"),
    [
        ("en", "The quick brown fox."),
        ("EN-us", "Say 你好 to the world."),
        ("zh-CN", "我用 GitHub Copilot 写 Python。"),
        ("yue", "今日天氣好好。"),
        ("cmn", "一〇一，人人々"),
        ("ja", "今日はいい天気ですね、コーヒーを飲みましょう。"),
        ("ko", "안녕하세요 여러분"),
        ("ru", "Привет, мир."),
        ("ar", "مرحبا بالعالم"),
        ("hi", "नमस्ते दुनिया"),
        ("en", "ＦＵＬＬ ｗｉｄｔｈ letters"),
        ("tlh", "любой 文字"),
        ("en", "1984"),
    ],
)
def test_a_transcript_in_its_language_is_taken(language: str, transcript: str) -> None:
    check_script(transcript, language)


@pytest.mark.parametrize(
    ("language", "transcript", "found"),
    [
        ("en", "今天天气很好。", "Chinese characters"),
        ("zh", "The quick brown fox.", "Latin letters"),
        ("zh", "こんにちは、ありがとう", "Hiragana letters"),
        ("en", "Привет, мир.", "Cyrillic letters"),
        ("ru", "Hello world", "Latin letters"),
        ("ja", "안녕하세요", "Hangul letters"),
        ("en-GB", "a 今天天气很好", "Chinese characters"),
    ],
)
def test_a_transcript_in_another_script_is_refused(language: str, transcript: str, found: str) -> None:
    with pytest.raises(VoiceRefused, match=f"written in {found}"):
        check_script(transcript, language)


@pytest.mark.parametrize(
    ("transcript", "seconds"),
    [
        ("Yes.", 1.0),
        ("The quick brown fox jumps over the lazy dog.", 2.0),
        ("The quick brown fox jumps over the lazy dog.", 7.0),
        ("今天天气很好，我们一起去公园散步吧。", 3.5),
        ("In 2024 it was 37 degrees.", 3.0),
        ("नमस्ते दुनिया, आप कैसे हैं", 2.0),
        ("Donaudampfschifffahrtsgesellschaftskapitän", 3.0),
    ],
)
def test_a_transcript_as_long_as_the_sound_is_taken(transcript: str, seconds: float) -> None:
    check_length(transcript, seconds)


@pytest.mark.parametrize(
    ("transcript", "seconds", "said"),
    [
        ("Yes.", 10.0, "much less"),
        ("今天。", 20.0, "much less"),
        ("The quick brown fox jumps over the lazy dog. " * 5, 4.0, "much more"),
        ("今天天气很好，我们一起去公园散步吧。" * 3, 3.0, "much more"),
    ],
)
def test_a_transcript_of_another_length_is_refused(transcript: str, seconds: float, said: str) -> None:
    with pytest.raises(VoiceRefused, match=f"in {seconds:.1f} s of sound, word for word, but it is {said}") as refused:
        check_transcript(transcript, "mul", seconds)
    assert (refused.value.status, refused.value.code) == (422, "bad_field")
