from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.base import ModelError, Patch, Pcm, SpeechParams, UnknownVoice
from models.tone import (
    CODE_POINT_SAMPLES,
    LOCATE_SAMPLES,
    PATCH_SAMPLES,
    ToneModel,
    locate_tone,
    pitch_period,
    tone_samples,
)
from tests.models.speaking import finish, speak

SEEDS = st.integers(0, 2**32 - 1)
STARTS = st.integers(0, 2**36)


@pytest.fixture
def model() -> ToneModel:
    return ToneModel()


@given(seed=SEEDS, start=STARTS, num_samples=st.integers(0, 3 * PATCH_SAMPLES), cut=st.integers(0, 3 * PATCH_SAMPLES))
def test_tone_of_a_range_is_the_tone_of_its_parts(seed: int, start: int, num_samples: int, cut: int) -> None:
    cut = min(cut, num_samples)
    parts = [tone_samples(seed, start, cut), tone_samples(seed, start + cut, num_samples - cut)]
    np.testing.assert_array_equal(np.concatenate(parts), tone_samples(seed, start, num_samples))


@given(seed=SEEDS, start=STARTS, num_samples=st.integers(LOCATE_SAMPLES, 300))
def test_tone_names_its_seed_and_index(seed: int, start: int, num_samples: int) -> None:
    assert locate_tone(tone_samples(seed, start, num_samples)) == (seed, start)


def test_tone_survives_float_samples() -> None:
    floats = tone_samples(9, 70_000, 200).astype(np.float32) / 32_768
    assert locate_tone(np.round(floats * 32_768).astype(np.int16)) == (9, 70_000)


def test_tone_has_the_pitch_of_its_seed() -> None:
    pcm = tone_samples(3, 0, 44_100).astype(float)
    spectrum = np.abs(np.fft.rfft(pcm))
    assert np.argmax(spectrum) == pytest.approx(44_100 / pitch_period(3), abs=1)
    assert len({pitch_period(seed) for seed in range(256)}) == 32
    assert {122, 401} <= {pitch_period(seed) for seed in range(256)}


@pytest.mark.parametrize(("seed", "start", "num_samples"), [(-1, 0, 1), (2**32, 0, 1), (0, -1, 1), (0, 0, -1)])
def test_tone_refuses_a_range_that_is_none(seed: int, start: int, num_samples: int) -> None:
    with pytest.raises(ValueError, match="32-bit seed"):
        tone_samples(seed, start, num_samples)


def test_locate_refuses_what_is_no_tone() -> None:
    with pytest.raises(ValueError, match="At least 127"):
        locate_tone(tone_samples(0, 0, 126))
    with pytest.raises(ValueError, match="At least 127"):
        locate_tone(np.zeros(200, np.int16))
    with pytest.raises(ValueError, match="first sample"):
        locate_tone(np.concatenate([np.zeros(5, np.int16), tone_samples(1, 0, 200)]))


def test_model_speaks_the_oracle_across_segments(model: ToneModel) -> None:
    spoken = speak(model, ["Hello world.", "", "你好,世界"], params=SpeechParams(seed=5))
    assert len(spoken.pcm) == (12 + 5) * CODE_POINT_SAMPLES
    np.testing.assert_array_equal(spoken.pcm, tone_samples(5, 0, len(spoken.pcm)))
    assert [patch.index for patch in spoken.patches] == list(range(len(spoken.patches)))
    assert [len(patch.pcm) for patch in spoken.patches] == [7056] * 5 + [1764, 0] + [7056, 7056, 1323]
    assert [patch.segment for patch in spoken.patches if patch.last] == [0, 1, 2]


def test_all_words_of_a_segment_come_with_its_first_patch(model: ToneModel) -> None:
    spoken = speak(model, ["I'm here, 你好 x2"])
    text = "I'm here, 你好 x2"
    assert [text[word.text_start : word.text_end] for word in spoken.words] == ["I", "m", "here", "你", "好", "x2"]
    assert not any(patch.words for patch in spoken.patches[1:])
    for word in spoken.patches[0].words:
        assert (word.start, word.end) == (word.text_start * CODE_POINT_SAMPLES, word.text_end * CODE_POINT_SAMPLES)


def test_slots_in_one_step_sound_as_alone(model: ToneModel) -> None:
    texts = {1: "short", 2: "a longer text", 4095: "the longest text of all"}
    for slot, text in texts.items():
        model.open(slot, slot, "tone", SpeechParams(seed=slot))
        model.extend(slot, text[:3])
        model.extend(slot, text[3:])
        model.seal(slot)
    heard: dict[int, list[Pcm]] = {slot: [] for slot in texts}
    live = set(texts)
    while live:
        for patch in model.submit(sorted(live)).patches():
            assert isinstance(patch, Patch)
            assert patch.slot == patch.generation
            heard[patch.slot].append(patch.pcm)
            if patch.last:
                live.discard(patch.slot)
    for slot, text in texts.items():
        expected = tone_samples(slot, 0, len(text) * CODE_POINT_SAMPLES)
        np.testing.assert_array_equal(np.concatenate(heard[slot]), expected)


def test_text_may_grow_while_an_earlier_segment_is_spoken(model: ToneModel) -> None:
    model.open(0, 0, "tone", SpeechParams())
    model.extend(0, "first")
    model.seal(0)
    model.submit([0])
    model.extend(0, "sec")
    model.extend(0, "ond")
    model.seal(0)
    finish(model, 0)
    assert sum(len(patch.pcm) for patch in finish(model, 0)) == 6 * CODE_POINT_SAMPLES


def test_reopened_slot_starts_anew_under_its_generation(model: ToneModel) -> None:
    model.open(0, 1, "tone", SpeechParams(seed=1))
    model.extend(0, "old text")
    model.seal(0)
    late = model.submit([0])
    model.close(0)
    model.open(0, 2, "tone", SpeechParams(seed=2))
    model.extend(0, "new")
    model.seal(0)
    assert [patch.generation for patch in late.patches()] == [1]
    patches = finish(model, 0)
    assert {patch.generation for patch in patches} == {2}
    assert patches[0].index == 0
    np.testing.assert_array_equal(patches[0].pcm, tone_samples(2, 0, PATCH_SAMPLES))


def test_model_refuses_what_its_caller_must_not_do(model: ToneModel) -> None:
    with pytest.raises(UnknownVoice, match="'tone', but 'nobody'"):
        model.open(0, 0, "nobody", SpeechParams())
    with pytest.raises(ModelError, match="from 0 to 4095"):
        model.open(4096, 0, "tone", SpeechParams())
    with pytest.raises(ModelError, match="slot 0 is closed"):
        model.close(0)
    model.open(0, 0, "tone", SpeechParams())
    model.open(1, 0, "tone", SpeechParams())
    with pytest.raises(ModelError, match="slot 0 is open"):
        model.open(0, 0, "tone", SpeechParams())
    with pytest.raises(ModelError, match="none waits"):
        model.submit([0])
    with pytest.raises(ModelError, match="one came twice"):
        model.submit([0, 0])
    with pytest.raises(ModelError, match="At most 112"):
        model.submit(range(113))
    model.extend(0, "x")
    model.seal(0)
    with pytest.raises(ModelError, match="in slot 1"):
        model.submit([0, 1])
    assert finish(model, 0)[0].index == 0
    model.shutdown()
