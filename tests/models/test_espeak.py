from __future__ import annotations

import itertools
import os
import signal
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.base import Failure, ModelError, Patch, Pcm, SpeechParams, UnknownVoice, Voice
from models.espeak import SAMPLE_RATE, EspeakModel
from models.espeak_slot import PATCH_SAMPLES
from models.espeak_voices import EspeakVoice
from tests.models.espeak_reference import whole_text
from tests.models.speaking import Spoken, finish, speak

ENGLISH = "Hello there, my friend. How are you today? I am fine; really: quite well! Wait... what? Done."
CHINESE = "你好，世界。今天天气怎么样？我很好！真的；是这样：一、二、三。完。"
AUDIBLE = 60  # of 32768: -55 dB


@pytest.fixture(scope="module")
def loaded() -> Iterator[EspeakModel]:
    model = EspeakModel()
    yield model
    model.shutdown()


@pytest.fixture
def model(loaded: EspeakModel) -> Iterator[EspeakModel]:
    """The same for all tests; a test that fails leaves no slot open for the next."""
    yield loaded
    loaded._slots.clear()


def pauses_ms(pcm: Pcm, rate: int = SAMPLE_RATE, *, least_ms: float = 90) -> list[float]:
    """The silences inside the speech, located by its level."""
    loud = np.flatnonzero(np.abs(pcm.astype(int)) > AUDIBLE)
    gaps_ms = np.diff(loud) * 1000 / rate
    return [float(gap) for gap in gaps_ms[gaps_ms > least_ms]]


def level(pcm: Pcm) -> float:
    return float(np.sqrt((pcm.astype(float) ** 2).mean()))


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


def said(spoken: Spoken, *texts: str) -> list[str]:
    return [texts[patch.segment][word.text_start : word.text_end] for patch in spoken.patches for word in patch.words]


# Speech and its shape


def test_info_lists_the_voices(model: EspeakModel) -> None:
    voices = {voice.name: voice for voice in model.info.voices}
    for language in ("en-US", "en-GB", "cmn", "de", "fr", "es", "ja", "ru", "hi"):
        assert voices[f"{language}-male"].gender == "male"
        assert voices[f"{language}-female"].language == language
    assert model.info.deterministic
    assert (model.info.speed, model.info.volume, model.info.neural) == ("native", "native", False)


def test_patches_are_full_but_the_last_of_a_segment(model: EspeakModel) -> None:
    spoken = speak(model, [ENGLISH, "And more."])
    for number in range(2):
        patches = spoken.segment(number).patches
        assert [patch.last for patch in patches] == [False] * (len(patches) - 1) + [True]
        assert {len(patch.pcm) for patch in patches[:-1]} == {PATCH_SAMPLES}
        assert 0 < len(patches[-1].pcm) <= PATCH_SAMPLES
    assert [patch.index for patch in spoken.patches] == list(range(len(spoken.patches)))


def test_utterance_ends_with_its_last_sound(model: EspeakModel) -> None:
    pcm = speak(model, ["Good morning."]).pcm
    assert np.flatnonzero(pcm)[-1] > len(pcm) - 0.01 * SAMPLE_RATE


@pytest.mark.parametrize("voice", ["en-US", "en-GB", "cmn"])
def test_female_voice_is_higher(model: EspeakModel, voice: str) -> None:
    male, female = (
        speak(model, ["妈妈妈。" if voice == "cmn" else "Ma ma ma."], voice=f"{voice}-{g}") for g in ("male", "female")
    )
    assert pitch_hz(female.pcm) > 1.2 * pitch_hz(male.pcm)


def test_dialects_differ(model: EspeakModel) -> None:
    american, british = (speak(model, ["The car park."], voice=f"en-{c}-male").pcm for c in ("US", "GB"))
    assert len(american) != len(british)


def test_chinese_has_tones(model: EspeakModel) -> None:
    level_tone, falling_tone = (speak(model, [char], voice="cmn-male").pcm for char in ("妈", "骂"))
    ends = [pitch_hz(pcm[len(pcm) // 2 :]) for pcm in (level_tone, falling_tone)]
    assert ends[0] > 1.1 * ends[1]


def test_english_in_chinese_is_spoken_as_english(model: EspeakModel) -> None:
    text = "我用Python和GitHub。"
    spoken = speak(model, [text], voice="cmn-male")
    assert {"Python", "Git", "Hub"} <= set(said(spoken, text))
    word = next(word for word in spoken.words if text[word.text_start : word.text_end] == "Python")
    alone = speak(model, ["Python"], voice="en-US-male")
    assert (word.end - word.start) == pytest.approx(len(alone.pcm), rel=0.4)


def test_chinese_in_an_english_voice_is_spoken_as_chinese(model: EspeakModel) -> None:
    own = speak(model, ["你好，世界。"], voice="cmn-female")
    np.testing.assert_array_equal(speak(model, ["你好，世界。"], voice="en-US-female").pcm, own.pcm)


# Speed, volume


@pytest.mark.parametrize("voice", ["en-US-male", "cmn-female"])
@pytest.mark.parametrize("speed", [0.5, 0.8, 1.25, 2.0])
def test_speed_scales_the_duration(model: EspeakModel, voice: str, speed: float) -> None:
    text = "今天天气很好我们去公园散步" if voice.startswith("cmn") else "The quick brown fox jumps over the lazy dog"
    normal, scaled = (speak(model, [text], voice=voice, params=SpeechParams(speed=each)) for each in (1.0, speed))
    assert len(scaled.pcm) * speed == pytest.approx(len(normal.pcm), rel=0.08)


def test_volume_scales_the_level_and_changes_no_time(model: EspeakModel) -> None:
    normal, half, mute, double = (
        speak(model, [ENGLISH], params=SpeechParams(volume=volume)) for volume in (1.0, 0.5, 0.0, 2.0)
    )
    assert level(half.pcm) == pytest.approx(level(normal.pcm) / 2, rel=0.01)
    assert not mute.pcm.any()
    assert 1.4 * level(normal.pcm) < level(double.pcm) <= 2 * level(normal.pcm)
    assert normal.words == half.words == mute.words == double.words


def test_speed_and_volume_out_of_range_are_refused(model: EspeakModel) -> None:
    for params in (SpeechParams(speed=2.1), SpeechParams(speed=float("nan")), SpeechParams(volume=-0.1)):
        with pytest.raises(ModelError, match=r"from 0\.5 to 2\.0 and a volume from 0 to 2\.0"):
            model.open(0, 0, "en-US-male", params)


def test_unknown_voice_is_refused_and_the_slot_stays_free(model: EspeakModel) -> None:
    with pytest.raises(UnknownVoice, match=r"en-US-male, .* more\), but 'nobody' came"):
        model.open(0, 0, "nobody", SpeechParams())
    assert speak(model, ["Fine."]).words


# Words


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
def test_words_are_ranges_of_the_text(model: EspeakModel, voice: str, text: str, words: list[str]) -> None:
    assert said(speak(model, [text], voice=voice), text) == words


def test_words_of_later_clauses_and_segments_are_exact(model: EspeakModel) -> None:
    texts = ["One two, three. Four", " five, 六七, eight.", "Nine."]
    words = said(speak(model, texts), *texts)
    assert [word for word in words if word.isascii()] == ["One", "two", "three", "Four", "five", "eight", "Nine"]


def test_word_sounds_where_it_says(model: EspeakModel) -> None:
    """Every word is loud within its times; between words of two clauses there is silence."""
    spoken = speak(model, [ENGLISH])
    pcm = spoken.pcm
    for word in spoken.words:
        assert level(pcm[word.start : word.end]) > 500, ENGLISH[word.text_start : word.text_end]
    for word, following in itertools.pairwise(spoken.words):
        assert word.end <= following.start
        between = pcm[word.end + 200 : following.start - 200]
        assert not len(between) or np.abs(between).max() < AUDIBLE
    assert spoken.words[0].start < 0.02 * SAMPLE_RATE
    assert spoken.words[-1].end == pytest.approx(len(pcm), abs=0.01 * SAMPLE_RATE)


def test_word_times_are_found_again_by_their_sound(model: EspeakModel) -> None:
    """A word cut out by its times has the duration that it has alone."""
    spoken = speak(model, ["Banana. Sunday. Helicopter."])
    for word, text in zip(spoken.words, ("Banana.", "Sunday.", "Helicopter."), strict=True):
        assert word.end - word.start == pytest.approx(len(speak(model, [text]).pcm), abs=0.02 * SAMPLE_RATE)


def test_no_word_starts_before_its_patch(model: EspeakModel) -> None:
    start = 0
    for patch in speak(model, [ENGLISH, CHINESE], voice="cmn-male").patches:
        assert all(word.start >= start for word in patch.words)
        assert not patch.estimated
        start += len(patch.pcm)


# Joins

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
    model: EspeakModel, voice: str, espeak_name: str, segments: list[str], space: str, speed: float
) -> None:
    text = space.join(segments)
    own = pauses_ms(whole_text(espeak_name, text, rate=round(175 * speed)), 22_050, least_ms=70)
    ours = pauses_ms(speak(model, segments, voice=voice, params=SpeechParams(speed=speed)).pcm, least_ms=70)
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
def test_text_cut_between_its_clauses_sounds_the_same(model: EspeakModel, text: str, cuts: tuple[int, ...]) -> None:
    segments = [text[start:end] for start, end in itertools.pairwise((0, *cuts, len(text)))]
    np.testing.assert_array_equal(speak(model, segments).pcm, speak(model, [text]).pcm)


def test_blank_line_asks_for_a_longer_pause_wherever_it_is_told(model: EspeakModel) -> None:
    (plain,) = pauses_ms(speak(model, ["One.", "Two."]).pcm)
    (native,) = pauses_ms(whole_text("gmw/en-US", "One.\n\nTwo."), 22_050)
    assert native > plain + 100
    for segments in (["One.\n\nTwo."], ["One.\n\n", "Two."], ["One.", "\n\nTwo."], ["“One.”\n \n", "Two."]):
        (pause,) = pauses_ms(speak(model, segments).pcm)
        assert pause == pytest.approx(native, abs=130 if "“" in segments[0] else 20)


def test_joins_have_no_click(model: EspeakModel) -> None:
    """The pause at a join is digital silence from the end of one sound to the start of the next."""
    spoken = speak(model, EN_CUTS)
    for number in range(1, len(EN_CUTS)):
        join, _ = spoken.range(number)
        assert np.abs(spoken.pcm[join - 64 : join + 1000].astype(int)).max() <= 33  # -60 dB


def test_segment_that_ends_in_a_space_goes_on(model: EspeakModel) -> None:
    segments = ["The quick brown fox jumps over ", "the lazy dog."]
    spoken = speak(model, segments)
    assert pauses_ms(spoken.pcm, least_ms=60) == []
    closed = speak(model, [segments[0].strip(), segments[1]])
    assert len(pauses_ms(closed.pcm)) == 1
    assert said(spoken, *segments) == ["The", "quick", "brown", "fox", "jumps", "over", "the", "lazy", "dog"]
    join, _ = spoken.range(1)
    around = spoken.pcm[join - 400 : join + 400].astype(int)
    step = np.abs(np.diff(spoken.pcm[join - 3 : join + 3].astype(int), 2)).max()
    assert step <= max(33, np.abs(np.diff(around, 2)).max())


def test_speech_does_not_depend_on_when_text_comes(model: EspeakModel) -> None:
    model.open(0, 0, "en-US-male", SpeechParams())
    for text in ("Hello there", "my friend"):
        model.extend(0, text[:3])
        model.extend(0, text[3:])
        model.seal(0)
    together = np.concatenate([patch.pcm for patch in finish(model, 0) + finish(model, 0)])
    model.close(0)
    np.testing.assert_array_equal(together, speak(model, ["Hello there", "my friend"]).pcm)


# Slots


def test_slots_in_one_step_sound_as_alone(model: EspeakModel) -> None:
    plan = [
        ("en-US-male", ENGLISH, SpeechParams()),
        ("cmn-female", CHINESE, SpeechParams(speed=1.3)),
        ("en-US-male", "Short.", SpeechParams(volume=1.7)),
        ("es-male", "El perro corre por la carretera.", SpeechParams()),
    ]
    alone = [speak(model, [text], voice=voice, params=params) for voice, text, params in plan]
    for slot, (voice, text, params) in enumerate(plan):
        model.open(slot, slot, voice, params)
        model.extend(slot, text)
        model.seal(slot)
    heard: dict[int, list[Patch]] = {slot: [] for slot in range(len(plan))}
    live = set(heard)
    while live:
        for patch in model.submit(sorted(live)).patches():
            assert isinstance(patch, Patch)
            heard[patch.slot].append(patch)
            if patch.last:
                live.discard(patch.slot)
    for slot, expected in enumerate(alone):
        together = Spoken(patches=tuple(heard[slot]))
        np.testing.assert_array_equal(together.pcm, expected.pcm)
        assert together.words == expected.words
        model.close(slot)


def test_another_model_says_the_same(model: EspeakModel) -> None:
    other = EspeakModel()
    np.testing.assert_array_equal(speak(other, [ENGLISH]).pcm, speak(model, [ENGLISH]).pcm)
    other.shutdown()


def test_reopened_slot_starts_anew_under_its_generation(model: EspeakModel) -> None:
    model.open(0, 1, "en-US-male", SpeechParams())
    model.extend(0, ENGLISH)
    model.seal(0)
    late = model.submit([0])
    model.close(0)
    model.open(0, 2, "en-US-male", SpeechParams())
    model.extend(0, "New.")
    model.seal(0)
    assert [patch.generation for patch in late.patches()] == [1]
    patches = finish(model, 0)
    model.close(0)
    assert {(patch.generation, patch.segment) for patch in patches} == {(2, 0)}
    np.testing.assert_array_equal(Spoken(patches=tuple(patches)).pcm, speak(model, ["New."]).pcm)


def test_voice_whose_process_was_killed_is_started_again(model: EspeakModel) -> None:
    expected = speak(model, ["Hello again."])
    for process in model._processes.values():
        os.kill(process.pid, signal.SIGKILL)
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    for _ in range(3):
        np.testing.assert_array_equal(speak(model, ["Hello again."]).pcm, expected.pcm)


def test_failing_slot_leaves_its_neighbour_alone(model: EspeakModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(model._voices, "nobody", EspeakVoice(Voice(name="nobody", language="en"), "gmw/nobody"))
    for slot, voice in ((0, "en-US-male"), (1, "nobody")):
        model.open(slot, 7, voice, SpeechParams())
        model.extend(slot, "Hello.")
        model.seal(slot)
    good, bad = model.submit([0, 1]).patches()
    assert isinstance(good, Patch)
    assert len(good.pcm)
    assert isinstance(bad, Failure)
    assert (bad.slot, bad.generation) == (1, 7)
    assert "'gmw/nobody'" in bad.message
    model.close(0)
    model.close(1)


def test_more_voices_than_processes_are_served(model: EspeakModel) -> None:
    for voice in ("de", "fr", "es", "it", "pt", "nl", "pl", "ru", "tr", "en-US"):
        assert speak(model, ["Radio 7."], voice=f"{voice}-male").words
    assert len(model._processes) == 8


# Bad text


@pytest.mark.parametrize(
    "text",
    ["", " ", "\n\n", "...", "?!", "。」", "—", "\x00", "\x01\x02", "\ud800", "\u200b", "“”", "\ue000", "(" * 5000],
)
def test_text_with_nothing_to_say_is_one_empty_patch(model: EspeakModel, text: str) -> None:
    (patch,) = speak(model, [text]).patches
    assert (len(patch.pcm), patch.words, patch.last) == (0, (), True)


def test_silent_segments_leave_no_trace_in_the_words(model: EspeakModel) -> None:
    texts = ["One.", "...", "“", "Two."]
    assert said(speak(model, texts), *texts) == ["One", "Two"]


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
def test_odd_text_is_spoken_without_harm(model: EspeakModel, voice: str, text: str) -> None:
    spoken = speak(model, [text], voice=voice)
    assert spoken.patches[-1].last
    assert len(spoken.pcm) > 0.1 * SAMPLE_RATE


def test_markup_is_text_never_a_command(model: EspeakModel) -> None:
    plain = len(speak(model, ["Hello world."]).pcm)
    for text in ("<break time='9s'/>Hello world.", "Hello [[h@l'oU]] world.", "&lt; Hello world. &amp;"):
        spoken = speak(model, [text])
        assert plain < len(spoken.pcm) < plain + 6 * SAMPLE_RATE
        assert {"Hello", "world"} <= set(said(spoken, text))
    for text in ("\x01450SHello world.", "\x01[0]Hello world."):
        assert len(speak(model, [text]).pcm) > plain


@pytest.mark.parametrize(("voice", "text"), [("en-US-male", "a" * 100_000), ("cmn-male", "你" * 100_000)])
def test_endless_word_is_spoken_step_by_step(model: EspeakModel, voice: str, text: str) -> None:
    model.open(0, 0, voice, SpeechParams())
    model.extend(0, text)
    model.seal(0)
    for _ in range(50):
        (patch,) = model.submit([0]).patches()
        assert isinstance(patch, Patch)
        assert len(patch.pcm) == PATCH_SAMPLES
    model.close(0)


TEXT = st.text(st.characters(), max_size=40) | st.text("ab 1.,!?。，你好\n“”()<[&%\x01", max_size=60)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(segments=st.lists(TEXT, min_size=1, max_size=3), voice=st.sampled_from(["en-US-male", "cmn-male"]))
def test_words_of_any_text_are_in_order_and_inside(model: EspeakModel, segments: list[str], voice: str) -> None:
    spoken = speak(model, segments, voice=voice)
    num_samples = len(spoken.pcm)
    last_start = 0
    for number, text in enumerate(segments):
        last_end = 0
        for word in spoken.segment(number).words:
            assert last_end <= word.text_start < word.text_end <= len(text)
            assert last_start <= word.start < word.end <= num_samples
            assert text[word.text_start : word.text_end].strip() == text[word.text_start : word.text_end]
            last_end, last_start = word.text_end, word.start
