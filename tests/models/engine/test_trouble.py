"""A model that misbehaves: who is told, and that the others hear nothing of it."""

from __future__ import annotations

import pytest

from models.engine import Closed
from models.engine.steps import MAX_FAILED_STEPS
from models.engine.streams import FAILED

from .stage import Stage


def test_failure_of_one_slot_leaves_its_neighbours() -> None:
    stage = Stage()
    for key, text in ((1, "abc"), (2, "a?c"), (3, "abc")):
        stage.open(key, text)
    stage.run()
    assert stage.messages(2) == ["This cannot be said."]
    assert stage.num_patches(2) == 1
    assert stage.ends[1] == [Closed(1)]
    assert stage.ends[3] == [Closed(3)]


def test_step_that_raises_fails_only_its_streams(caplog: pytest.LogCaptureFixture) -> None:
    stage = Stage(max_batch=2)
    for key, text in ((1, "a!"), (2, "abc"), (3, "abcd"), (4, "abcd")):
        stage.open(key, text)
    stage.run()
    failed = [key for key in (1, 2, 3, 4) if stage.messages(key) == [FAILED]]
    assert 1 in failed
    assert len(failed) <= 2
    assert all(stage.ends[key] == [Closed(key)] for key in {1, 2, 3, 4} - set(failed))
    assert stage.engine.num_errors == 1
    assert "the step crashed" in caplog.text
    stage.open(5, "abc")
    stage.run()
    assert stage.ends[5] == [Closed(5)]
    assert not stage.engine.is_broken


def test_slot_without_a_result_fails_instead_of_waiting_for_ever() -> None:
    stage = Stage()
    stage.open(1, "a0c")
    stage.open(2, "abc")
    stage.run()
    assert stage.messages(1) == [FAILED]
    assert stage.ends[2] == [Closed(2)]
    assert stage.engine.num_errors == 1


@pytest.mark.parametrize("voice", ["actor", "crash"])
def test_command_that_raises_fails_its_stream_and_the_engine_goes_on(voice: str) -> None:
    stage = Stage()
    stage.open(2, "abc")
    stage.open(1, "a%b", voice=voice)
    stage.run()
    assert stage.messages(1) == [FAILED]
    assert stage.ends[2] == [Closed(2)]
    assert stage.engine.num_errors >= 1


def test_voice_that_crashes_uses_up_no_slots() -> None:
    stage = Stage(max_slots=1)
    for key in range(3):
        stage.open(key, voice="crash")
    stage.run()
    stage.open(9, "a")
    stage.run()
    assert stage.ends[9] == [Closed(9)]


def test_slot_that_does_not_close_is_not_used_again() -> None:
    stage = Stage(max_slots=2)
    stage.open(1, "^")
    stage.run()
    assert stage.ends[1] == [Closed(1)]
    assert stage.engine.num_errors == 1
    for key in (2, 3):
        stage.open(key, "a")
    stage.run()
    assert stage.ends[2] == [Closed(2)]
    assert stage.reasons(3) == ["all 2 slots of the voice engine are in use"]


def test_stream_opened_twice_fails_and_leaks_nothing() -> None:
    stage = Stage(max_slots=1)
    stage.open(1, "abc")
    stage.open(1, "abc")
    stage.run()
    assert stage.messages(1) == [FAILED]
    stage.open(2, "a")
    stage.run()
    assert stage.ends[2] == [Closed(2)]


def test_engine_is_broken_when_every_step_fails() -> None:
    stage = Stage()
    for key in range(MAX_FAILED_STEPS):
        assert not stage.engine.is_broken
        stage.open(key, "!")
        stage.run()
        assert stage.messages(key) == [FAILED]
    assert stage.engine.is_broken


def test_good_step_between_failed_ones_keeps_the_engine() -> None:
    stage = Stage()
    for key in range(0, 4 * MAX_FAILED_STEPS, 2):
        stage.open(key, "!")
        stage.run()
        stage.open(key + 1, "a")
        stage.run()
    assert not stage.engine.is_broken
