from __future__ import annotations

import numpy as np
import pytest

from models.base import ModelError, Pcm, SpeechParams, UnknownVoice
from models.espeak import SAMPLE_RATE, EspeakModel
from models.espeak_slot import PATCH_SAMPLES
from tests.models.speaking import level, said, speak

ENGLISH = "Hello there, my friend. How are you today? I am fine; really: quite well! Wait... what? Done."


def pitch_hz(pcm: Pcm) -> float:
    """The median over windows of 60 ms of the strongest period between 60 and 350 Hz."""
    size, shortest, longest = 2_646, SAMPLE_RATE // 350, SAMPLE_RATE // 60
    pitches = []
    for start in range(0, len(pcm) - size - longest, size // 2):
        window = pcm[start : start + size].astype(float)
        likeness = [
            float(window @ later / np.linalg.norm(later))
            for lag in range(shortest, longest)
            if (later := pcm[start + lag : start + lag + size].astype(float)).any()
        ]
        if likeness and np.abs(window).max() > 1000:
            pitches.append(SAMPLE_RATE / (shortest + int(np.argmax(likeness))))
    return float(np.median(pitches))


def test_info_lists_the_voices(espeak: EspeakModel) -> None:
    voices = {voice.name: voice for voice in espeak.info.voices}
    for language in ("en-US", "en-GB", "cmn", "de", "fr", "es", "ja", "ru", "hi"):
        assert voices[f"{language}-male"].gender == "male"
        assert voices[f"{language}-female"].language == language
    assert espeak.info.deterministic
    assert (espeak.info.speed, espeak.info.volume, espeak.info.neural) == ("native", "native", False)


def test_patches_are_full_but_the_last_of_a_segment(espeak: EspeakModel) -> None:
    spoken = speak(espeak, [ENGLISH, "And more."])
    for number in range(2):
        patches = spoken.segment(number).patches
        assert [patch.last for patch in patches] == [False] * (len(patches) - 1) + [True]
        assert {len(patch.pcm) for patch in patches[:-1]} == {PATCH_SAMPLES}
        assert 0 < len(patches[-1].pcm) <= PATCH_SAMPLES
    assert [patch.index for patch in spoken.patches] == list(range(len(spoken.patches)))


def test_utterance_ends_with_its_last_sound(espeak: EspeakModel) -> None:
    pcm = speak(espeak, ["Good morning."]).pcm
    assert np.flatnonzero(pcm)[-1] > len(pcm) - 0.01 * SAMPLE_RATE


@pytest.mark.parametrize("voice", ["en-US", "en-GB", "cmn"])
def test_female_voice_is_higher(espeak: EspeakModel, voice: str) -> None:
    male, female = (
        speak(espeak, ["妈妈妈。" if voice == "cmn" else "Ma ma ma."], voice=f"{voice}-{g}") for g in ("male", "female")
    )
    assert pitch_hz(female.pcm) > 1.2 * pitch_hz(male.pcm)


def test_dialects_differ(espeak: EspeakModel) -> None:
    american, british = (speak(espeak, ["The car park."], voice=f"en-{c}-male").pcm for c in ("US", "GB"))
    assert len(american) != len(british)


def test_chinese_has_tones(espeak: EspeakModel) -> None:
    level_tone, falling_tone = (speak(espeak, [char], voice="cmn-male").pcm for char in ("妈", "骂"))
    ends = [pitch_hz(pcm[len(pcm) // 2 :]) for pcm in (level_tone, falling_tone)]
    assert ends[0] > 1.1 * ends[1]


def test_english_in_chinese_is_spoken_as_english(espeak: EspeakModel) -> None:
    text = "我用Python和GitHub。"
    spoken = speak(espeak, [text], voice="cmn-male")
    assert {"Python", "Git", "Hub"} <= set(said(spoken, text))
    word = next(word for word in spoken.words if text[word.text_start : word.text_end] == "Python")
    alone = speak(espeak, ["Python"], voice="en-US-male")
    assert (word.end - word.start) == pytest.approx(len(alone.pcm), rel=0.4)


def test_chinese_in_an_english_voice_is_spoken_as_chinese(espeak: EspeakModel) -> None:
    own = speak(espeak, ["你好，世界。"], voice="cmn-female")
    np.testing.assert_array_equal(speak(espeak, ["你好，世界。"], voice="en-US-female").pcm, own.pcm)


@pytest.mark.parametrize("voice", ["en-US-male", "cmn-female"])
@pytest.mark.parametrize("speed", [0.5, 0.8, 1.25, 2.0])
def test_speed_scales_the_duration(espeak: EspeakModel, voice: str, speed: float) -> None:
    text = "今天天气很好我们去公园散步" if voice.startswith("cmn") else "The quick brown fox jumps over the lazy dog"
    normal, scaled = (speak(espeak, [text], voice=voice, params=SpeechParams(speed=each)) for each in (1.0, speed))
    assert len(scaled.pcm) * speed == pytest.approx(len(normal.pcm), rel=0.08)


def test_volume_scales_the_level_and_changes_no_time(espeak: EspeakModel) -> None:
    normal, half, mute, double = (
        speak(espeak, [ENGLISH], params=SpeechParams(volume=volume)) for volume in (1.0, 0.5, 0.0, 2.0)
    )
    assert level(half.pcm) == pytest.approx(level(normal.pcm) / 2, rel=0.01)
    assert not mute.pcm.any()
    assert 1.4 * level(normal.pcm) < level(double.pcm) <= 2 * level(normal.pcm)
    assert normal.words == half.words == mute.words == double.words


def test_speed_and_volume_out_of_range_are_refused(espeak: EspeakModel) -> None:
    for params in (SpeechParams(speed=2.1), SpeechParams(speed=float("nan")), SpeechParams(volume=-0.1)):
        with pytest.raises(ModelError, match=r"from 0\.5 to 2\.0 and a volume from 0 to 2\.0"):
            espeak.open(0, 0, "en-US-male", params)


def test_unknown_voice_is_refused_and_the_slot_stays_free(espeak: EspeakModel) -> None:
    with pytest.raises(UnknownVoice, match=r"en-US-male, .* more\), but 'nobody' came"):
        espeak.open(0, 0, "nobody", SpeechParams())
    assert speak(espeak, ["Fine."]).words
