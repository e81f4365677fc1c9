from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from models.base import Failure, History, ModelError, ModelInfo, Patch, Pcm, SpeechParams
from models.engine import Closed, Continuity, Engine, Extend, Finish, Open, Seal, Spoke
from models.espeak import EspeakModel
from models.slots import Done
from models.stretch import StretchedModel
from models.tone import ToneModel
from tests.models.engine.scripted import PATCH
from tests.models.engine.stage import Stage
from tests.models.speaking import finish, speak
from tests.models.wordless import Wordless
from tests.streaming_server.serving import assert_complete, connected, serving

pytest.importorskip("audiotsm")

SPEEDS = (0.5, 0.8, 1.25, 2.0)
UNREAD = "Never read. " * 20
TEXTS = ["Hello there.", "", "One more, and more.", "x"]


def stretched_tone() -> StretchedModel:
    return StretchedModel(Wordless(ToneModel()))


def joined(patches: Sequence[Patch | Spoke]) -> Pcm:
    return np.concatenate([np.frombuffer(bytes(patch.pcm), np.int16) for patch in patches])


def test_speed_is_offered_and_one_that_is_in_place_is_left_alone(espeak: EspeakModel) -> None:
    assert (ToneModel().info.speed, stretched_tone().info.speed) == ("none", "stretch")
    with pytest.raises(ValueError, match="'tone' tells its own"):
        StretchedModel(ToneModel())
    with pytest.raises(ValueError, match="'espeak' is in place"):
        StretchedModel(espeak)


def test_speed_one_is_passed_on_untouched() -> None:
    spoken = speak(stretched_tone(), TEXTS, params=SpeechParams(seed=5))
    np.testing.assert_array_equal(spoken.pcm, speak(ToneModel(), TEXTS, params=SpeechParams(seed=5)).pcm)


@pytest.mark.parametrize("speed", [0.49, 2.1, float("nan")])
def test_speed_beyond_its_range_is_refused_and_takes_no_slot(speed: float) -> None:
    model = stretched_tone()
    with pytest.raises(ModelError, match=r"from 0\.5 to 2\.0 was expected"):
        model.open(0, 1, "tone", SpeechParams(speed=speed))
    model.open(0, 2, "tone", SpeechParams())


@pytest.mark.parametrize("speed", SPEEDS)
def test_segments_keep_their_shares(speed: float) -> None:
    plain = speak(ToneModel(), TEXTS, params=SpeechParams(seed=5))
    spoken = speak(stretched_tone(), TEXTS, params=SpeechParams(seed=5, speed=speed))
    assert len(spoken.patches) == len(plain.patches)
    for number in range(len(TEXTS)):
        start, end = plain.range(number)
        assert list(spoken.range(number)) == pytest.approx([start / speed, end / speed], abs=3)


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
    """As it would have gone on: the same patches, the same length, the same sound but where the stretchers meet."""
    texts = ["Hello there.", "One more, and more."]
    params = SpeechParams(seed=5, speed=0.8)
    whole = speak(stretched_tone(), texts, params=params)
    continuity = Continuity()
    for text in texts:
        continuity.say(text)
    for patch in whole.patches[:num_heard]:
        continuity.take(as_event(patch))
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


class _Reader(ToneModel):
    """Says the same recording in every segment, a patch for each code point of its text, and goes on in the middle."""

    def __init__(self, speech: Pcm, patch: int = 7_056) -> None:
        super().__init__()
        self.speech = speech
        self.patch = patch
        self._starts: dict[int, int] = {}

    @property
    def info(self) -> ModelInfo:
        return replace(super().info, words="estimated")

    def open(
        self, slot: int, generation: int, voice: str, params: SpeechParams, history: History | None = None
    ) -> None:
        super().open(slot, generation, voice, params)
        self._starts[slot] = history.position - history.segment_start if history else 0

    def submit(self, slots: Sequence[int]) -> Done:
        return Done([self._say(patch) for patch in super().submit(slots).patches()])

    def _say(self, patch: Patch | Failure) -> Patch | Failure:
        assert isinstance(patch, Patch)
        start = self._starts[patch.slot]
        self._starts[patch.slot] = end = start + self.patch
        return replace(patch, pcm=self.speech[start:end], words=(), last=end >= len(self.speech))


@pytest.mark.parametrize("speed", [0.6, 1.7])
def test_restart_neither_repeats_nor_leaves_out_a_sound(espeak: EspeakModel, speed: float) -> None:
    """Both openings together are the sentence as it is without the interruption, moved by no more than a period."""
    speech = speak(espeak, ["The morning train arrives at nine, so we should leave."]).pcm
    params = SpeechParams(speed=speed)
    whole = speak(StretchedModel(_Reader(speech)), [UNREAD], params=params).pcm
    continuity = Continuity()
    continuity.say(UNREAD)
    model = StretchedModel(_Reader(speech))
    model.open(0, 1, "tone", params)
    model.extend(0, UNREAD)
    model.seal(0)
    heard: list[Patch] = []
    for _ in range(6):
        (patch,) = model.submit([0]).patches()
        assert isinstance(patch, Patch)
        continuity.take(as_event(patch))
        heard.append(patch)
    again = StretchedModel(_Reader(speech))
    again.open(0, 2, "tone", params, continuity.history)
    again.extend(0, UNREAD)
    again.seal(0)
    both = joined(heard + finish(again, 0))
    assert len(both) == pytest.approx(len(whole), abs=2)
    cut = len(joined(heard))
    window = slice(cut - 4_410, cut + 8_820)
    likeness = np.correlate(both[window].astype(float), whole[window][700:-700].astype(float))
    assert abs(int(np.argmax(likeness)) - 700) < 0.015 * 44_100
    sharpest = np.abs(np.diff(speech.astype(int), 2)).max()
    assert np.abs(np.diff(both[window].astype(int), 2)).max() <= 1.05 * sharpest


def test_history_of_another_kind_is_refused() -> None:
    model = stretched_tone()
    history = History(index=1, position=7_056, latents=(b"four",))
    with pytest.raises(ModelError, match="A history of stretched speech was expected"):
        model.open(0, 1, "tone", SpeechParams(speed=1.5), history)


@pytest.mark.parametrize("speed", [0.5, 1.9])
def test_patches_shorter_than_what_is_held_back_are_spoken_by_the_engine(espeak: EspeakModel, speed: float) -> None:
    """The first ones are empty; the stream goes on, and all of it comes."""
    speech = speak(espeak, ["A few short words."]).pcm
    now = [0.0]
    engine = Engine(StretchedModel(_Reader(speech, patch=882)), clock=lambda: now[0])
    commands = (
        Open("s", "session", "tone", SpeechParams(speed=speed), 44_100),
        Extend("s", UNREAD),
        Seal("s"),
        Finish("s"),
    )
    for command in commands:
        engine.apply(command)
    events: list[object] = []
    while (wake := engine.next_wake()) is not None:
        now[0] = max(now[0], wake)
        step = engine.step()
        events += step.events if step else ()
    spoken = [event for event in events if isinstance(event, Spoke)]
    assert not len(spoken[0].pcm)
    assert len(joined(spoken)) == round(len(speech) / speed)
    assert [event.last for event in spoken].count(True) == 1
    assert events[-1] == Closed("s")
    assert not engine.num_errors


def test_listener_at_double_speed_never_runs_dry() -> None:
    """A patch is half as long to hear: such a stream is due twice as often, and the engine sees to it."""
    stage = Stage(step_s=lambda num_rows: 0.02)
    stage.engine = Engine(StretchedModel(Wordless(stage.model)), clock=lambda: stage.now)
    for key in (1, 2, 3):
        speed = 2.0 if key == 2 else 1.0
        stage.tell(Open(key, key, "actor", SpeechParams(seed=key, speed=speed), 4 * PATCH))
        stage.tell(Extend(key, "a" * 40), Seal(key), Finish(key))
    stage.run()
    assert [stage.messages(key) for key in (1, 2, 3)] == [["closed"]] * 3
    assert len(joined(stage.heard[2])) == 20 * PATCH
    assert max(stage.underrun_s(key) for key in (1, 2, 3)) < 0.02


async def test_client_is_told_of_the_stretch_and_hears_it(espeak: EspeakModel) -> None:
    """Its words are found in what it hears."""
    text = "The morning train arrives at nine, so we should leave before eight."
    spoken = speak(espeak, [text])
    async with serving(StretchedModel(_Reader(spoken.pcm))) as server, await connected(server) as wire:
        await wire.send("hello", version=1)
        ready = await wire.receive()
        assert ready["model"]["controls"]["speed"] == "stretch"
        plain = await wire.speak("v", text, seed=1, segmentation="manual")
        messages = await wire.speak("u", text, speed=1.6, seed=1, segmentation="manual")
    assert_complete(messages)
    assert messages[-1]["samples"] == pytest.approx(plain[-1]["samples"] / 1.6, abs=2)
    kept = {word[0]: word for message in messages if message["type"] == "words" for word in message["words"]}
    for word, true in zip([kept[start] for start in sorted(kept)], spoken.words, strict=True):
        assert word[:2] == [true.text_start, true.text_end]
        assert word[2] == pytest.approx(true.start / 1.6, abs=0.15 * 44_100)


def as_event(patch: Patch) -> Spoke:
    """As the engine tells of it."""
    pcm = patch.pcm.tobytes()
    return Spoke("s", patch.segment, patch.index, pcm, patch.words, patch.latents, patch.last, 0.0)
