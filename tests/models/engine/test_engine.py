from __future__ import annotations

import numpy as np
import pytest

from models.base import SpeechParams
from models.engine import Cancel, Closed, Engine, Extend, Finish, Open, Seal, Spoke, warm_up
from models.tone import ToneModel, tone_samples

from .scripted import PATCH
from .stage import Stage


def test_engine_speaks_what_the_model_does() -> None:
    now = [0.0]
    engine = Engine(ToneModel(), clock=lambda: now[0])
    engine.apply(Open("s", "session", "tone", SpeechParams(seed=7), 44_100))
    for command in (Extend("s", "Hel"), Extend("s", "lo."), Seal("s"), Extend("s", "World"), Seal("s"), Finish("s")):
        engine.apply(command)
    spoken: list[Spoke] = []
    while engine.num_streams:
        wake = engine.next_wake()
        assert wake is not None
        now[0] = max(now[0], wake)
        step = engine.step()
        spoken += [event for event in step.events if isinstance(event, Spoke)] if step else []
    pcm = np.frombuffer(b"".join(event.pcm for event in spoken), "<i2")
    np.testing.assert_array_equal(pcm, tone_samples(7, 0, len(pcm)))
    assert len(pcm) == 11 * 3087
    assert [event.index for event in spoken] == list(range(len(spoken)))
    assert [event.segment for event in spoken if event.last] == [0, 1]
    assert [len(event.words) for event in spoken if event.words] == [1, 1]


def test_warming_up_leaves_nothing_behind() -> None:
    engine = Engine(ToneModel())
    warm_up(engine)
    assert engine.num_streams == 0
    assert engine.next_wake() is None
    assert engine.step() is None


def test_stream_closes_after_its_last_patch() -> None:
    stage = Stage()
    stage.open(1, "abc")
    stage.run()
    assert [(event.index, event.last) for event in stage.heard[1]] == [(0, False), (1, False), (2, True)]
    assert stage.ends[1] == [Closed(1)]
    assert stage.engine.num_streams == 0


def test_stream_waits_for_text_until_it_is_finished() -> None:
    stage = Stage()
    stage.open(1, "ab", finish=False)
    stage.run()
    assert stage.num_patches(1) == 2
    assert stage.ends[1] == []
    stage.say(1, "c")
    stage.run()
    assert [event.segment for event in stage.heard[1]] == [0, 0, 1]
    stage.finish(1)
    stage.run()
    assert stage.ends[1] == [Closed(1)]


def test_finish_before_any_text_closes_without_a_patch() -> None:
    stage = Stage()
    stage.open(1)
    stage.finish(1)
    assert stage.engine.next_wake() == float("-inf")
    stage.run()
    assert stage.heard[1] == []
    assert stage.ends[1] == [Closed(1)]


def test_text_that_is_not_sealed_is_not_spoken() -> None:
    stage = Stage()
    stage.open(1, "a", finish=False)
    stage.tell(Extend(1, "never"))
    stage.run()
    stage.finish(1)
    stage.run()
    assert stage.num_patches(1) == 1
    assert stage.ends[1] == [Closed(1)]


@pytest.mark.parametrize("spoken_first", [True, False])
def test_text_after_finish_is_not_taken(spoken_first: bool) -> None:
    stage = Stage()
    stage.open(1, "ab")
    if spoken_first:
        stage.run()
    stage.say(1, "more")
    stage.run()
    assert stage.num_patches(1) == 2
    assert stage.ends[1] == [Closed(1)]


def test_empty_segment_is_one_patch_without_samples() -> None:
    stage = Stage()
    stage.open(1, "")
    stage.run()
    assert [event.pcm for event in stage.heard[1]] == [b""]
    assert stage.ends[1] == [Closed(1)]


def test_cancelled_stream_is_silent_and_its_slot_free() -> None:
    stage = Stage(max_slots=1)
    stage.open(1, "abc")
    stage.step()
    stage.cancel(1)
    assert stage.engine.num_streams == 0
    stage.open(2, "d")
    stage.run()
    assert stage.num_patches(1) == 1
    assert stage.ends[1] == []
    assert stage.ends[2] == [Closed(2)]


def test_cancel_withdraws_what_was_not_yet_told() -> None:
    stage = Stage()
    stage.open(1, voice="nobody")
    stage.open(2)
    stage.finish(2)
    stage.tell(Cancel(1), Cancel(2))
    stage.run()
    assert stage.ends[1] == stage.ends[2] == []


def test_commands_for_a_stream_that_is_over_are_ignored() -> None:
    stage = Stage()
    stage.open(1, "a")
    stage.run()
    stage.say(1, "b")
    stage.finish(1)
    stage.pace(1, 0, None)
    stage.suspend(1)
    stage.cancel(1)
    stage.run()
    assert stage.num_patches(1) == 1
    assert stage.ends[1] == [Closed(1)]


def test_late_patch_of_a_former_owner_reaches_nobody() -> None:
    stage = Stage(max_slots=1)
    stage.open(1, "a")
    stage.run()
    stage.open(2, "b<c")
    stage.run()
    assert [event.index for event in stage.heard[2]] == [0, 1, 2]
    assert stage.num_patches(1) == 1


def test_full_engine_is_busy_until_a_slot_is_free() -> None:
    stage = Stage(max_slots=2)
    for key in (1, 2, 3):
        stage.open(key, "ab")
    stage.step()
    assert stage.reasons(3) == ["all 2 slots of the voice engine are in use"]
    assert stage.num_patches(3) == 0
    stage.run()
    stage.open(4, "ab")
    stage.run()
    assert stage.ends[4] == [Closed(4)]


def test_unknown_voice_fails_its_stream_and_takes_no_slot() -> None:
    stage = Stage(max_slots=1)
    for key in range(5):
        stage.open(key, "a", voice="nobody")
    stage.run()
    assert stage.messages(0) == ["The voice 'actor' was expected, but 'nobody' came."]
    stage.open(9, "a")
    stage.run()
    assert stage.ends[9] == [Closed(9)]
    assert stage.engine.num_errors == 0


def test_refused_text_fails_its_stream_with_the_models_sentence() -> None:
    stage = Stage()
    stage.open(1, "a&b")
    stage.open(2, "ab")
    stage.run()
    assert stage.messages(1) == ["A text without & was expected."]
    assert stage.ends[2] == [Closed(2)]
    assert stage.engine.num_errors == 0


def test_shutdown_drops_the_streams_and_releases_the_model() -> None:
    stage = Stage()
    stage.open(1, "abc")
    stage.step()
    stage.engine.shutdown()
    assert stage.model.is_shut_down
    assert stage.engine.num_streams == 0
    assert stage.step() is None
    assert stage.ends[1] == []


def test_step_tells_its_rows_and_what_each_patch_cost() -> None:
    stage = Stage(step_s=lambda num_rows: 0.01 * num_rows)
    for key in (1, 2, 3):
        stage.open(key, "ab")
    step = stage.step()
    assert step is not None
    assert step.num_rows == 3
    assert step.seconds == pytest.approx(0.03)
    assert [event.seconds for event in step.events if isinstance(event, Spoke)] == pytest.approx([0.01] * 3)
    stage.run()
    stage.open(4, voice="nobody")
    step = stage.step()
    assert step is not None
    assert step.num_rows == 0


def test_lead_of_nothing_is_still_spoken() -> None:
    stage = Stage()
    stage.open(1, "abc", lead=0)
    stage.run()
    assert stage.ends[1] == [Closed(1)]
    assert [round(at - stage.heard_at[1][0], 3) for at in stage.heard_at[1]] == pytest.approx([0, 0.16, 0.32], abs=0.01)
    assert len(stage.heard[1][0].pcm) == 2 * PATCH
