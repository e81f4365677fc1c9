from __future__ import annotations

import itertools

import numpy as np
import pytest

from models.base import SpeechParams
from models.espeak import EspeakModel
from tests.models.espeak_reference import whole_text
from tests.models.speaking import finish, pauses_ms, said, speak

ENGLISH = "Hello there, my friend. How are you today? I am fine; really: quite well! Wait... what? Done."

EN_CUTS = [
    "Hello there,",
    "my friend.",
    "How are you today?",
    "I am fine;",
    "really:",
    "quite well!",
    "Wait...",
    "what?",
]
ZH_CUTS = ["你好，", "世界。", "今天天气怎么样？", "我很好！", "真的；", "是这样：", "一、", "二、", "三。", "完。"]


@pytest.mark.parametrize("speed", [0.8, 1.0, 1.5])
@pytest.mark.parametrize(
    ("voice", "espeak_name", "segments", "space"),
    [
        ("en-US-male", "gmw/en-US", [*EN_CUTS, "Done."], " "),
        ("en-GB-female", "gmw/en+f1", [*EN_CUTS, "Done."], " "),
        ("cmn-male", "sit/cmn", ZH_CUTS, ""),
        ("cmn-female", "sit/cmn+f1", ZH_CUTS, ""),
    ],
)
def test_pauses_between_segments_are_espeaks_own(
    espeak: EspeakModel, voice: str, espeak_name: str, segments: list[str], space: str, speed: float
) -> None:
    text = space.join(segments)
    own = pauses_ms(whole_text(espeak_name, text, rate=round(175 * speed)), 22_050, least_ms=70)
    ours = pauses_ms(speak(espeak, segments, voice=voice, params=SpeechParams(speed=speed)).pcm, least_ms=70)
    assert len(own) >= len(segments) // 2
    assert ours == pytest.approx(own, abs=20)


@pytest.mark.parametrize(
    ("text", "cuts"),
    [
        (ENGLISH, (24, 43, 74)),
        ("He said “yes.” Then (as ever) he left.", (15,)),
        ("One.\n\nTwo, three.\n\n  Four.", (6, 20)),
        ("他说：“好的。”然后走了。", (3, 8)),
    ],
)
def test_text_cut_between_its_clauses_sounds_the_same(espeak: EspeakModel, text: str, cuts: tuple[int, ...]) -> None:
    segments = [text[start:end] for start, end in itertools.pairwise((0, *cuts, len(text)))]
    np.testing.assert_array_equal(speak(espeak, segments).pcm, speak(espeak, [text]).pcm)


def test_blank_line_asks_for_a_longer_pause_wherever_it_is_told(espeak: EspeakModel) -> None:
    (plain,) = pauses_ms(speak(espeak, ["One.", "Two."]).pcm)
    (native,) = pauses_ms(whole_text("gmw/en-US", "One.\n\nTwo."), 22_050)
    assert native > plain + 100
    for segments in (["One.\n\nTwo."], ["One.\n\n", "Two."], ["One.", "\n\nTwo."], ["“One.”\n \n", "Two."]):
        (pause,) = pauses_ms(speak(espeak, segments).pcm)
        assert pause == pytest.approx(native, abs=130 if "“" in segments[0] else 20)


def test_joins_have_no_click(espeak: EspeakModel) -> None:
    """The pause at a join is digital silence from the end of one sound to the start of the next."""
    spoken = speak(espeak, EN_CUTS)
    for number in range(1, len(EN_CUTS)):
        join, _ = spoken.range(number)
        assert np.abs(spoken.pcm[join - 64 : join + 1000].astype(int)).max() <= 33  # -60 dB


def test_segment_that_ends_in_a_space_goes_on(espeak: EspeakModel) -> None:
    segments = ["The quick brown fox jumps over ", "the lazy dog."]
    spoken = speak(espeak, segments)
    assert pauses_ms(spoken.pcm, least_ms=60) == []
    closed = speak(espeak, [segments[0].strip(), segments[1]])
    assert len(pauses_ms(closed.pcm)) == 1
    assert said(spoken, *segments) == ["The", "quick", "brown", "fox", "jumps", "over", "the", "lazy", "dog"]
    join, _ = spoken.range(1)
    around = spoken.pcm[join - 400 : join + 400].astype(int)
    step = np.abs(np.diff(spoken.pcm[join - 3 : join + 3].astype(int), 2)).max()
    assert step <= max(33, np.abs(np.diff(around, 2)).max())


def test_speech_does_not_depend_on_when_text_comes(espeak: EspeakModel) -> None:
    espeak.open(0, 0, "en-US-male", SpeechParams())
    for text in ("Hello there", "my friend"):
        espeak.extend(0, text[:3])
        espeak.extend(0, text[3:])
        espeak.seal(0)
    together = np.concatenate([patch.pcm for patch in finish(espeak, 0) + finish(espeak, 0)])
    espeak.close(0)
    np.testing.assert_array_equal(together, speak(espeak, ["Hello there", "my friend"]).pcm)
