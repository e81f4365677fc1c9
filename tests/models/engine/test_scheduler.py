"""Who is spoken when, seen through the engine: 160 ms patches at 1000 Hz, one for each character."""

from __future__ import annotations

import time

import pytest

from models.engine.scheduler import COALESCE_S, Scheduler
from models.engine.sequence import STARTUP_TARGET_S
from models.engine.step_times import StepTimes

from .scripted import PATCH
from .stage import Stage
from .test_agenda import make_sequence

LONG = "x" * 1000
SHORT = 10  # samples: a lead that much under whole patches is reached before it is coalesced


def test_who_runs_dry_first_is_spoken_first() -> None:
    stage = Stage(max_batch=1)
    for key in (1, 2, 3):
        stage.open(key, LONG)
        stage.rows()
        stage.now += 0.02
    assert [stage.rows() for _ in range(6)] == [[1], [2], [3], [1], [2], [3]]


def test_nearly_dry_goes_before_a_newcomer_and_the_comfortable_after() -> None:
    stage = Stage(max_batch=1)
    stage.open(1, LONG)
    stage.rows()
    stage.open(2, LONG)
    stage.rows()
    stage.rows()
    stage.now += 0.160 - STARTUP_TARGET_S + 0.01
    stage.open(3, LONG)
    leads = {key: len(stage.heard[key]) * 0.16 for key in (1, 2)}
    assert sorted(leads.values()) == [0.16, 0.32]
    nearly_dry = min(leads, key=lambda key: leads[key])
    assert [stage.rows() for _ in range(2)] == [[nearly_dry], [3]]


def test_step_takes_the_most_urgent_up_to_the_batch() -> None:
    stage = Stage(max_slots=12, max_batch=5)
    for key in range(12):
        stage.open(key, "a")
    assert [len(stage.rows()) for _ in range(4)] == [5, 5, 2, 0]


def test_nobody_is_begun_with_its_lead_ahead() -> None:
    lead = 4 * PATCH
    stage = Stage()
    stage.open(1, LONG, lead=lead)
    stage.run(10.0)
    dry_at = stage.heard_at[1][0] + len(stage.heard_at[1]) * 0.16
    assert lead / 1000 <= dry_at - stage.now <= lead / 1000 + 0.16 + COALESCE_S
    for number, at in enumerate(stage.heard_at[1]):
        ahead_s = number * 0.16 - (at - stage.heard_at[1][0])
        assert ahead_s <= lead / 1000 + COALESCE_S


def test_streams_that_become_eligible_together_are_spoken_together() -> None:
    stage = Stage(max_slots=100, max_batch=100)
    for key in range(100):
        stage.open(key, LONG, lead=2 * PATCH)
        stage.step()
        stage.now += 0.0016
    stage.run(2.0)
    num_steps, num_rows = len(stage.model.steps), sum(map(len, stage.model.steps))
    stage.run(2.0)
    assert (sum(map(len, stage.model.steps)) - num_rows) / (len(stage.model.steps) - num_steps) >= 2.0


def test_engine_sleeps_exactly_until_somebody_has_room() -> None:
    stage = Stage()
    stage.open(1, LONG, lead=3 * PATCH)
    stage.run(0.0)
    assert stage.engine.next_wake() == pytest.approx(stage.heard_at[1][0] + 0.16)
    stage.now += 0.15
    assert stage.rows() == []
    stage.now += 0.01
    assert stage.rows() == [1]


def test_held_clock_is_spoken_up_to_its_lead_and_no_further() -> None:
    stage = Stage()
    stage.open(1, LONG, lead=5 * PATCH, held=True)
    stage.run(60.0)
    assert stage.num_patches(1) == 5
    assert stage.engine.next_wake() is None


def test_paused_listener_holds_the_stream_and_a_playhead_lets_it_go_on() -> None:
    stage = Stage()
    stage.open(1, LONG, lead=5 * PATCH)
    stage.run(1.0)
    stage.pace(1, 400, None)
    before = stage.num_patches(1)
    stage.run(60.0)
    assert stage.num_patches(1) == before
    stage.pace(1, 400, stage.now)
    stage.run(1.6)
    assert stage.num_patches(1) == pytest.approx((400 + 1600 + 5 * PATCH) / PATCH, abs=1)


def test_stream_that_plays_after_another_is_due_when_that_has_ended() -> None:
    stage = Stage(max_batch=1)
    stage.open(1, LONG, held=True)
    stage.pace(1, 0, stage.now + 5.0)
    stage.open(2, LONG, lead=2 * PATCH - SHORT)
    assert [stage.rows() for _ in range(3)] == [[2], [2], [1]]
    stage.run(3.0)
    assert stage.num_patches(1) == 10
    stage.run(3.0)
    assert stage.num_patches(1) == pytest.approx(10 + 1 / 0.16, abs=1)


def test_held_streams_wait_for_those_who_listen_and_go_before_background() -> None:
    stage = Stage(max_batch=1)
    stage.open(1, LONG, lead=None)
    stage.open(2, LONG, held=True, lead=PATCH - SHORT)
    stage.open(3, LONG, lead=PATCH - SHORT)
    assert [stage.rows() for _ in range(3)] == [[3], [2], [1]]


def test_suspended_stream_is_not_spoken_until_it_is_resumed() -> None:
    for lead in (10 * PATCH, None):
        stage = Stage()
        stage.open(1, "x" * 50, lead=lead)
        stage.step()
        stage.suspend(1)
        stage.run(5.0)
        assert stage.num_patches(1) == 1
        assert stage.engine.next_wake() is None
        stage.suspend(1, False)
        stage.run()
        assert stage.num_patches(1) == 50
        assert stage.messages(1) == ["closed"]


def test_background_only_fills_the_rows_that_are_left() -> None:
    stage = Stage(max_slots=20, max_batch=4)
    for key in range(10, 20):
        stage.open(key, LONG, lead=None)
    for key in range(3):
        stage.open(key, LONG, lead=2 * PATCH - SHORT)
    for _ in range(50):
        rows = stage.rows()
        live = [key for key in rows if key < 10]
        assert rows[: len(live)] == live
        assert len(rows) == 4
    assert stage.engine.next_wake() == float("-inf")
    for key in range(3):
        assert stage.num_patches(key) == 2


def test_background_is_shared_by_session_then_by_stream() -> None:
    stage = Stage(max_slots=20, max_batch=1)
    for key in range(10):
        stage.open(key, LONG, lead=None, session=1)
    for _ in range(100):
        stage.step()
    stage.open(10, LONG, lead=None, session=2)
    stage.open(11, LONG, lead=None, session=2)
    for _ in range(100):
        stage.step()
    assert stage.num_patches(10) == stage.num_patches(11) == 25
    assert {stage.num_patches(key) for key in range(10)} == {15}


def test_crowd_of_one_session_takes_no_audio_from_the_others() -> None:
    """Four rows take 40 ms: 16 streams can be served. One session asks for 40, four others for one each."""
    stage = Stage(max_slots=44, max_batch=4, step_s=lambda num_rows: 0.04)
    for key in range(40):
        stage.open(key, LONG, session=0, lead=4 * PATCH)
    for key in range(40, 44):
        stage.open(key, LONG, session=key, lead=4 * PATCH)
    stage.run(20.0)
    for key in range(40, 44):
        assert stage.underrun_s(key) < 1e-9
    crowd = [stage.num_patches(key) for key in range(40)]
    assert max(crowd) - min(crowd) <= 1
    assert sum(crowd) >= 0.6 * 20.0 / 0.04 * 4


def test_overload_is_shared_by_utterance_within_a_session() -> None:
    stage = Stage(max_slots=40, max_batch=4, step_s=lambda num_rows: 0.04)
    for key in range(40):
        stage.open(key, LONG, session=0)
    stage.run(20.0)
    shares = [stage.num_patches(key) for key in range(40)]
    assert max(shares) - min(shares) <= 1


@pytest.mark.parametrize("texts", [["a", "b"], ["ab"]])
def test_late_stream_stays_urgent_whatever_its_text_does(texts: list[str]) -> None:
    """Neither the next segment's beginning nor more text makes a newcomer of it."""
    stage = Stage(max_batch=1)
    stage.open(1)
    for text in texts:
        stage.say(1, text)
    stage.rows()
    stage.now += 1.0  # dry for 840 ms
    stage.say(1, "more")
    stage.open(2, LONG)
    stage.now += STARTUP_TARGET_S
    assert [stage.rows(), stage.rows()] == [[1], [2]]


@pytest.mark.parametrize("num_sessions", [4000, 250, 1])
def test_cost_of_a_row_does_not_grow_with_the_crowd(num_sessions: int) -> None:
    """In overload, when everybody is ready: measured 2 us a row; far more means that a crowd is walked through."""
    scheduler = Scheduler(StepTimes((), 112))
    sequences = [make_sequence(key, key % num_sessions) for key in range(4000)]
    now = 1000.0
    for sequence in sequences:
        sequence.num_sealed = 1
        sequence.text_at = now
        scheduler.add(sequence)
        scheduler.update(sequence, now)
    started_s = time.process_time()
    for _ in range(200):
        rows = scheduler.select(now, 112)
        assert len(rows) == 112
        now += 0.02
        for row in rows:
            row.clock.emit(PATCH, now)
            scheduler.update(row, now)
    assert (time.process_time() - started_s) / (200 * 112) < 50e-6
