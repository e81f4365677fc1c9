from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.base import Patch, SpeechParams
from models.espeak import SAMPLE_RATE, EspeakModel
from models.espeak_slot import PATCH_SAMPLES
from tests.models.speaking import said, speak


@pytest.mark.parametrize(
    "text",
    ["", " ", "\n\n", "...", "?!", "。」", "—", "\x00", "\x01\x02", "\ud800", "\u200b", "“”", "\ue000", "(" * 5000],
)
def test_text_with_nothing_to_say_is_one_empty_patch(espeak: EspeakModel, text: str) -> None:
    (patch,) = speak(espeak, [text]).patches
    assert (len(patch.pcm), patch.words, patch.last) == (0, (), True)


def test_silent_segments_leave_no_trace_in_the_words(espeak: EspeakModel) -> None:
    texts = ["One.", "...", "“", "Two."]
    assert said(speak(espeak, texts), *texts) == ["One", "Two"]


@pytest.mark.parametrize(
    "text",
    [
        "a\x00b c",
        "\x01150S slow",
        "one \ud83d two",
        "שלום עולם",
        "مرحبا بالعالم",
        "नमस्ते दुनिया",
        "สวัสดีชาวโลก",
        "안녕하세요",
        "a 👩‍👩‍👧‍👦🏳️‍🌈 b",
        "z̷̢̛͎a̸l̵g̶o̸",
        "\u202eright to left\u202c",
        "𝕬𝖇𝖈",
        "x" * 31 + " " + "y" * 200,
    ],
)
@pytest.mark.parametrize("voice", ["en-US-male", "cmn-male"])
def test_odd_text_is_spoken_without_harm(espeak: EspeakModel, voice: str, text: str) -> None:
    spoken = speak(espeak, [text], voice=voice)
    assert spoken.patches[-1].last
    assert len(spoken.pcm) > 0.1 * SAMPLE_RATE


def test_markup_is_text_never_a_command(espeak: EspeakModel) -> None:
    plain = len(speak(espeak, ["Hello world."]).pcm)
    for text in ("<break time='9s'/>Hello world.", "Hello [[h@l'oU]] world.", "&lt; Hello world. &amp;"):
        spoken = speak(espeak, [text])
        assert plain < len(spoken.pcm) < plain + 6 * SAMPLE_RATE
        assert {"Hello", "world"} <= set(said(spoken, text))
    for text in ("\x01450SHello world.", "\x01[0]Hello world."):
        assert len(speak(espeak, [text]).pcm) > plain


@pytest.mark.parametrize(("voice", "text"), [("en-US-male", "a" * 100_000), ("cmn-male", "你" * 100_000)])
def test_endless_word_is_spoken_step_by_step(espeak: EspeakModel, voice: str, text: str) -> None:
    espeak.open(0, 0, voice, SpeechParams())
    espeak.extend(0, text)
    espeak.seal(0)
    for _ in range(50):
        (patch,) = espeak.submit([0]).patches()
        assert isinstance(patch, Patch)
        assert len(patch.pcm) == PATCH_SAMPLES
    espeak.close(0)


TEXT = st.text(st.characters(), max_size=40) | st.text("ab 1.,!?。，你好\n“”()<[&%\x01", max_size=60)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(segments=st.lists(TEXT, min_size=1, max_size=3), voice=st.sampled_from(["en-US-male", "cmn-male"]))
def test_words_of_any_text_are_in_order_and_inside(espeak: EspeakModel, segments: list[str], voice: str) -> None:
    spoken = speak(espeak, segments, voice=voice)
    num_samples = len(spoken.pcm)
    last_start = 0
    for number, text in enumerate(segments):
        last_end = 0
        for word in spoken.segment(number).words:
            assert last_end <= word.text_start < word.text_end <= len(text)
            assert last_start <= word.start < word.end <= num_samples
            assert text[word.text_start : word.text_end].strip() == text[word.text_start : word.text_end]
            last_end, last_start = word.text_end, word.start
