"""An utterance that is opened again goes on as if nothing had happened."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.base import MAX_EARLIER, History, SpeechModel, SpeechParams
from models.engine import Cancel, Continuity, Engine, Extend, Failed, Finish, Open, Seal, Spoke
from models.espeak import EspeakModel
from models.tone import ToneModel

from .scripted import PATCH
from .stage import Stage

PARAMS = SpeechParams(seed=9, speed=1.3)
TEXTS = st.lists(st.text("ab ,.你", max_size=12), min_size=1, max_size=4)
HARD = ["He said “yes.”", "”", "\n\n", "Then (as ever) he left; 你好，世界。 Slowly.", "And went ", "on: well, on."]


def opened(engine: Engine, key: int, texts: Sequence[str], history: History | None = None) -> None:
    engine.apply(Open(key, key, engine.info.default_voice, PARAMS, None, history=history))
    for text in texts:
        engine.apply(Extend(key, text))
        engine.apply(Seal(key))
    engine.apply(Finish(key))


def spoken(engine: Engine, key: int, num_patches: int | None = None) -> list[Spoke]:
    """So many patches of a stream, or all."""
    patches: list[Spoke] = []
    while len(patches) != num_patches and (step := engine.step()) is not None:
        patches += [event for event in step.events if isinstance(event, Spoke) and event.stream == key]
    return patches


def goes_on_after(model: SpeechModel, texts: Sequence[str], cut: int, whole: list[Spoke]) -> None:
    """A stream that is lost after `cut` patches, and the one that takes its place, say what one alone says."""
    continuity = Continuity()
    for text in texts:
        continuity.say(text)
    engine = Engine(model)
    opened(engine, 1, texts)
    for patch in spoken(engine, 1, cut):
        continuity.take(patch)
    engine.apply(Cancel(1))
    again = Engine(model)
    opened(again, 1, continuity.texts, continuity.history)
    rest = spoken(again, 1)
    told = [(patch.segment, patch.index, patch.pcm, patch.words, patch.latents, patch.last) for patch in rest]
    assert told == [(p.segment, p.index, p.pcm, p.words, p.latents, p.last) for p in whole[cut:]]
    for patch in rest:
        continuity.take(patch)
    assert continuity.texts == ()
    assert continuity.history.position == sum(len(patch.pcm) // 2 for patch in whole)


def alone(model: SpeechModel, texts: Sequence[str]) -> list[Spoke]:
    engine = Engine(model)
    opened(engine, 1, texts)
    return spoken(engine, 1)


@given(texts=TEXTS, data=st.data())
@settings(max_examples=60, deadline=None)
def test_the_tone_goes_on_from_any_patch_to_the_sample(texts: list[str], data: st.DataObject) -> None:
    model = ToneModel()
    whole = alone(model, texts)
    goes_on_after(model, texts, data.draw(st.integers(0, len(whole))), whole)


def test_espeak_goes_on_from_any_patch_to_the_sample(espeak: EspeakModel) -> None:
    whole = alone(espeak, HARD)
    assert len(whole) > 20
    for cut in range(len(whole) + 1):
        goes_on_after(espeak, HARD, cut, whole)


@given(cuts=st.lists(st.integers(1, 3), max_size=4))
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_stream_that_is_lost_again_and_again_is_heard_once(espeak: EspeakModel, cuts: list[int]) -> None:
    texts = ["One, two.", "”", "Three!"]
    continuity = Continuity()
    for text in texts:
        continuity.say(text)
    heard: list[Spoke] = []
    for number, cut in enumerate([*cuts, None]):
        engine = Engine(espeak)
        opened(engine, number, continuity.texts, continuity.history)
        for patch in spoken(engine, number, cut):
            continuity.take(patch)
            heard.append(patch)
        engine.apply(Cancel(number))
    whole = alone(espeak, texts)
    assert b"".join(patch.pcm for patch in heard) == b"".join(patch.pcm for patch in whole)
    assert [word for patch in heard for word in patch.words] == [word for patch in whole for word in patch.words]


def test_two_segments_are_kept_and_a_few_patches_before_them() -> None:
    continuity = Continuity()
    for segment in range(50):
        continuity.say(f"text {segment}")
        for place in range(3):
            latents = bytes([segment, place])
            continuity.take(Spoke(1, segment, 3 * segment + place, bytes(8), (), latents, place == 2))
    continuity.say("text 50")
    continuity.take(Spoke(1, 50, 150, bytes(6), (), b"now", False))
    assert continuity.history == History(
        segment=50,
        index=151,
        segment_start=600,
        position=603,
        text="text 49",
        earlier=tuple(bytes([patch // 3, patch % 3]) for patch in range(147 - MAX_EARLIER, 147)),
        before=(b"\x31\x00", b"\x31\x01", b"\x31\x02"),
        latents=(b"now",),
    )
    assert continuity.texts == ("text 50",)


def test_a_stream_that_is_opened_again_counts_its_lead_from_where_it_was() -> None:
    stage = Stage()
    stage.open(1, "x" * 30, lead=4 * PATCH, held=True, history=History(index=10, position=10 * PATCH))
    stage.run()
    assert [patch.index for patch in stage.heard[1]] == [10, 11, 12, 13]
    stage.pace(1, 12 * PATCH, None)
    stage.run()
    assert [patch.index for patch in stage.heard[1]] == [10, 11, 12, 13, 14, 15]


def test_a_text_shorter_than_what_was_heard_of_it_ends_at_once(espeak: EspeakModel) -> None:
    past = History(index=90, position=5_000_000)
    for model in (ToneModel(), espeak):
        engine = Engine(model)
        opened(engine, 1, ["Hi.", "Hi."], past)
        first, *rest = spoken(engine, 1)
        assert (first.segment, first.index, first.pcm, first.words, first.last) == (0, 90, b"", (), True)
        assert rest[-1].segment == 1
        assert sum(len(patch.pcm) for patch in rest)


def test_another_models_history_is_refused_in_a_sentence(espeak: EspeakModel) -> None:
    engine = Engine(espeak)
    for left_over in (b"", b"\x00\x00\x00\x00\x00\xff"):
        engine.apply(Open(1, 1, "en-US-male", PARAMS, None, history=History(before=(left_over,))))
        step = engine.step()
        assert step is not None
        (event,) = step.events
        assert event == Failed(1, "What an espeak segment leaves to the next was expected, but other latents came.")
    assert engine.num_streams == 0
