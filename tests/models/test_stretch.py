from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from models.base import ModelError, Patch, Pcm, SpeechParams
from models.engine import Continuity, Spoke
from models.espeak import EspeakModel
from models.stretch import StretchedModel
from models.tone import ToneModel
from tests.models.speaking import finish, speak

pytest.importorskip("audiotsm")

SPEEDS = (0.5, 0.8, 1.25, 2.0)
TEXTS = ["Hello there.", "", "One more, and more.", "x"]


def stretched_tone() -> StretchedModel:
    return StretchedModel(ToneModel())


def joined(patches: Sequence[Patch | Spoke]) -> Pcm:
    return np.concatenate([np.frombuffer(bytes(patch.pcm), np.int16) for patch in patches])


def test_speed_is_offered_and_one_that_is_in_place_is_left_alone(espeak: EspeakModel) -> None:
    assert (ToneModel().info.speed, stretched_tone().info.speed) == ("none", "stretch")
    with pytest.raises(ValueError, match="'espeak' is in place"):
        StretchedModel(espeak)


def test_speed_one_is_passed_on_untouched() -> None:
    spoken = speak(stretched_tone(), TEXTS, params=SpeechParams(seed=5))
    np.testing.assert_array_equal(spoken.pcm, speak(ToneModel(), TEXTS, params=SpeechParams(seed=5)).pcm)
    assert spoken.words == speak(ToneModel(), TEXTS, params=SpeechParams(seed=5)).words


@pytest.mark.parametrize("speed", [0.49, 2.1, float("nan")])
def test_speed_beyond_its_range_is_refused_and_takes_no_slot(speed: float) -> None:
    model = stretched_tone()
    with pytest.raises(ModelError, match=r"from 0\.5 to 2\.0 was expected"):
        model.open(0, 1, "tone", SpeechParams(speed=speed))
    model.open(0, 2, "tone", SpeechParams())


@pytest.mark.parametrize("speed", SPEEDS)
def test_words_and_segments_keep_their_shares(speed: float) -> None:
    plain = speak(ToneModel(), TEXTS, params=SpeechParams(seed=5))
    spoken = speak(stretched_tone(), TEXTS, params=SpeechParams(seed=5, speed=speed))
    assert len(spoken.patches) == len(plain.patches)
    for number in range(len(TEXTS)):
        start, end = plain.range(number)
        assert list(spoken.range(number)) == pytest.approx([start / speed, end / speed], abs=3)
    for word, was in zip(spoken.words, plain.words, strict=True):
        assert (word.text_start, word.text_end) == (was.text_start, was.text_end)
        assert word.start == pytest.approx(was.start / speed, abs=3)
        assert word.end == pytest.approx(was.end / speed, abs=3)
    position = 0
    for patch in spoken.patches:
        assert all(word.start >= position for word in patch.words)
        position += len(patch.pcm)


def test_same_text_is_the_same_speech_whenever_its_segments_come() -> None:
    """A segment's end does not wait for the next one, sealed or not."""
    model = stretched_tone()
    params = SpeechParams(seed=9, speed=1.3)
    one_by_one = speak(model, ["Hello there.", "Again."], params=params)
    model.open(0, 1, "tone", params)
    for text in ("Hello there.", "Again."):
        model.extend(0, text)
        model.seal(0)
    np.testing.assert_array_equal(joined(finish(model, 0) + finish(model, 0)), one_by_one.pcm)


def test_slots_do_not_hear_each_other() -> None:
    model = stretched_tone()
    params = [SpeechParams(seed=seed, speed=speed) for seed, speed in ((1, 0.7), (2, 1.0), (3, 1.9))]
    patches: list[list[Patch]] = [[], [], []]
    for slot, each in enumerate(params):
        model.open(slot, 0, "tone", each)
        model.extend(slot, "A dozen letters.")
        model.seal(slot)
    left = {0, 1, 2}
    while left:
        for patch in model.submit(sorted(left)).patches():
            assert isinstance(patch, Patch)
            patches[patch.slot].append(patch)
            left -= {patch.slot} if patch.last else set()
    for slot, each in enumerate(params):
        alone = speak(stretched_tone(), ["A dozen letters."], params=each)
        np.testing.assert_array_equal(joined(patches[slot]), alone.pcm)


def test_patch_of_a_former_owner_leaves_the_next_one_alone() -> None:
    model = stretched_tone()
    params = SpeechParams(seed=9, speed=0.6)
    model.open(0, 1, "tone", params)
    model.extend(0, "Never heard to its end.")
    model.seal(0)
    late = model.submit([0])
    model.close(0)
    model.open(0, 2, "tone", params)
    assert [result.generation for result in late.patches()] == [1]
    model.extend(0, "Hello.")
    model.seal(0)
    alone = speak(model, ["Hello."], slot=1, params=params)
    np.testing.assert_array_equal(joined(finish(model, 0)), alone.pcm)


@pytest.mark.parametrize("num_heard", [1, 3, 6, 7, 8, 12])
def test_utterance_goes_on_after_a_restart(num_heard: int) -> None:
    """As it would have gone on: the same words, the same length, the same sound but where the stretchers meet."""
    texts = ["Hello there.", "One more, and more."]
    params = SpeechParams(seed=5, speed=0.8)
    whole = speak(stretched_tone(), texts, params=params)
    continuity = Continuity()
    for text in texts:
        continuity.say(text)
    for patch in whole.patches[:num_heard]:
        pcm, rest = patch.pcm.tobytes(), (patch.words, patch.estimated, patch.latents, patch.last, 0.0)
        continuity.take(Spoke("s", patch.segment, patch.index, pcm, *rest))
    model = stretched_tone()
    model.open(0, 1, "tone", params, continuity.history)
    patches = []
    for text in continuity.texts:
        model.extend(0, text)
        model.seal(0)
        patches += finish(model, 0)
    left = whole.patches[num_heard:]
    assert [(patch.segment, patch.index, patch.last) for patch in patches] == [
        (patch.segment, patch.index, patch.last) for patch in left
    ]
    heard = sum(len(patch.pcm) for patch in whole.patches[:num_heard])
    assert len(joined(patches)) == pytest.approx(len(whole.pcm) - heard, abs=2)
    words = [word for patch in patches for word in patch.words]
    for word, was in zip(words, [word for patch in left for word in patch.words], strict=True):
        assert word.start == pytest.approx(was.start, abs=2)
