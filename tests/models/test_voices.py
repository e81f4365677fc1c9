from __future__ import annotations

import pytest

from models.base import ModelInfo, UnknownVoice, Voice
from models.espeak_library import Language
from models.espeak_voices import name_voices, reader
from models.voices import voice_for


def info(*voices: tuple[str, str, str], default: str) -> ModelInfo:
    listed = tuple(Voice(name=name, language=language, gender=gender) for name, language, gender in voices)  # type: ignore[arg-type]
    return ModelInfo(
        name="m",
        sample_rate=1,
        patch_samples=1,
        languages=(),
        voices=listed,
        default_voice=default,
        max_slots=1,
        max_batch=1,
    )


WORLD = info(
    ("us-m", "en-US", "male"),
    ("us-f", "en-US", "female"),
    ("gb-m", "en-GB", "male"),
    ("gb-f", "en-GB", "female"),
    ("cmn-m", "cmn", "male"),
    ("cmn-f", "cmn", "female"),
    ("yue-f", "yue", "female"),
    ("nb-m", "nb", "male"),
    default="us-f",
)


@pytest.mark.parametrize(
    ("language", "voice"),
    [
        ("auto", "us-f"),
        ("en", "us-f"),
        ("en-GB", "gb-f"),
        ("en_gb", "gb-f"),
        ("en-AU", "us-f"),
        ("zh", "cmn-f"),
        ("zh-CN", "cmn-f"),
        ("zh-Hant-TW", "cmn-f"),
        ("zh-HK", "yue-f"),
        ("no", "nb-m"),
    ],
)
def test_language_finds_its_voice(language: str, voice: str) -> None:
    assert voice_for(WORLD, language) == voice


def test_voice_that_was_asked_for_wins() -> None:
    assert voice_for(WORLD, "zh", "gb-m") == "gb-m"


def test_voice_of_any_language_speaks_all() -> None:
    assert voice_for(info(("tone", "und", "neutral"), default="tone"), "sw") == "tone"


def test_unknown_voice_and_language_are_refused() -> None:
    with pytest.raises(UnknownVoice, match=r"us-m, us-f, .* but 'nobody' came"):
        voice_for(WORLD, "auto", "nobody")
    with pytest.raises(UnknownVoice, match="but 'gone' came"):
        voice_for(info(("tone", "und", "neutral"), default="gone"), "auto")
    with pytest.raises(UnknownVoice, match="'tlh'"):
        voice_for(WORLD, "tlh")


def test_each_language_has_two_voices_and_the_best_come_first() -> None:
    voices = name_voices(
        [
            Language("roa/an", "Aragonese", "an"),
            Language("sit/cmn", "Chinese", "cmn"),
            Language("gmw/en", "English (Great Britain)", "en-gb"),
            Language("gmw/en-US", "English (America)", "en-us"),
            Language("gmq/fo", "Faroese", "fo"),
        ]
    )
    assert list(voices)[::2] == ["en-US-male", "en-GB-male", "cmn-male", "an-male"]
    assert voices["en-GB-female"].espeak_name == "gmw/en+f1"
    assert voices["en-GB-female"].voice.language == "en-GB"


@pytest.mark.parametrize(
    ("language", "text", "name"),
    [
        ("en-US", "Hello", "own"),
        ("en-US", "Привет", "own"),
        ("en-US", "say 你好", "cmn-female"),
        ("en-US", "カナ", "ja-female"),
        ("cmn", "你好", "own"),
        ("yue", "你好", "own"),
        ("cmn", "かな", "ja-female"),
        ("ja", "漢字かな", "own"),
    ],
)
def test_script_that_a_voice_cannot_read_is_read_by_one_that_can(language: str, text: str, name: str) -> None:
    assert reader(Voice(name="own", language=language, gender="female"), text) == name
