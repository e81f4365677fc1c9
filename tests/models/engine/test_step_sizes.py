"""Who is in a step of a model that makes steps of certain sizes."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.engine import PlaybackClock, warm_up
from models.engine.scheduler import PATIENCE_S, Scheduler
from models.engine.sequence import Sequence
from models.engine.step_times import StepTimes

from .late import PATCH, PATCH_S, LateStage

NOW = 100.0
RATE_HZ = 1000
BUCKETS = (1, 2, 4, 8, 16)


class Desk:
    """A scheduler with step times, and streams with so many seconds ahead of their listeners."""

    def __init__(self, *, step_s: dict[int, float] | None = None) -> None:
        self.times = StepTimes(BUCKETS, 16)
        for rows, seconds in (step_s or {1: 0.001, 2: 0.002, 4: 0.003, 8: 0.005, 16: 0.012}).items():
            self.times.took(seconds, rows)
        self.scheduler = Scheduler(self.times)
        self.scheduler.took(0.005)
        self._num_streams = 0

    def add(self, num_streams: int, ahead_s: float, *, lead_s: float | None = 4.0) -> None:
        for _ in range(num_streams):
            key = self._num_streams
            self._num_streams += 1
            clock = PlaybackClock(RATE_HZ)
            lead = None if lead_s is None else int(lead_s * RATE_HZ)
            sequence = Sequence(key, key, key, 1, clock, lead)
            if ahead_s:
                clock.emit(int(ahead_s * RATE_HZ), NOW)
            else:
                sequence.text_at = NOW
            sequence.num_sealed = 1
            self.scheduler.add(sequence)
            self.scheduler.update(sequence, NOW)

    def rows(self, now: float = NOW) -> list[float | None]:
        """How much each has ahead; None: background work."""
        rows = self.scheduler.select(now, 16)
        return [None if row.lead_samples is None else round(row.clock.lead(NOW) / RATE_HZ, 2) for row in rows]


def test_usual_step_is_no_longer_than_a_newcomer_may_wait() -> None:
    desk = Desk()
    desk.add(14, 0.2)
    assert len(desk.rows()) == 8


def test_more_who_are_pressed_make_the_largest_step() -> None:
    desk = Desk()
    desk.add(10, 0.008)
    desk.add(10, 0.2)
    assert desk.rows() == [0.01] * 10 + [0.2] * 6


def test_step_of_newcomers_is_filled_but_not_raised_by_the_comfortable() -> None:
    desk = Desk()
    desk.add(3, 0.0)
    desk.add(12, 2.0)
    assert desk.rows() == [0.0] * 3 + [2.0]
    desk.add(1, 0.0)
    assert desk.rows() == [0.0]


def test_those_with_little_ahead_are_taken_along_with_a_newcomer() -> None:
    desk = Desk()
    desk.add(1, 0.0)
    desk.add(9, 0.25)
    assert desk.rows() == [0.0] + [0.25] * 7


def test_somebody_waits_rather_than_a_half_empty_step_unless_it_is_due() -> None:
    desk = Desk()
    desk.add(5, 0.25)
    assert len(desk.rows()) == 4
    desk = Desk()
    desk.add(5, 0.04)
    assert len(desk.rows()) == 5


def test_comfortable_listeners_wait_for_company_and_make_small_steps() -> None:
    desk = Desk()
    desk.add(12, 2.0)
    assert desk.rows() == []
    assert desk.scheduler.next_wake() == NOW + PATIENCE_S
    assert len(desk.rows(NOW + PATIENCE_S)) == desk.times.small_rows == 2


def test_listener_with_its_lead_ahead_is_not_begun_before_it_has_room() -> None:
    desk = Desk()
    desk.add(1, 4.1)
    assert desk.scheduler.next_wake() == pytest.approx(NOW + 0.1 + PATIENCE_S)
    desk.add(3, 0.0)
    assert desk.rows() == [0.0] * 3


def test_background_fills_what_a_newcomers_step_has_to_spare() -> None:
    desk = Desk()
    desk.add(3, 0.0)
    desk.add(20, 0.0, lead_s=None)
    assert desk.rows() == [0.0] * 3 + [None]


def test_background_fills_up_a_step_that_nobody_waits_for() -> None:
    desk = Desk()
    desk.add(3, 0.25)
    desk.add(20, 0.0, lead_s=None)
    assert desk.rows() == [0.25] * 3 + [None] * 5
    assert desk.rows() == [None] * 8


def test_comfort_grows_while_the_device_would_idle() -> None:
    stage = LateStage(max_slots=4, max_batch=4, buckets=(1, 2, 4), step_s=lambda num_rows: 0.002)
    stage.open(1, "x" * 400, lead=25 * PATCH)
    stage.run(1.0)
    assert stage.num_patches(1) * PATCH_S - 1.0 == pytest.approx(25 * PATCH_S, abs=1.1 * PATCH_S)


@given(seed=st.integers(0, 2**32 - 1), num_background=st.integers(0, 6))
@settings(max_examples=4, deadline=None)
def test_nobody_runs_dry_below_capacity_with_two_steps_under_way(seed: int, num_background: int) -> None:
    """Eight rows take 16 ms: 80 listeners. 60 come and go, alone or in crowds; a newcomer waits for two steps."""
    draw = random.Random(seed)
    stage = LateStage(
        max_slots=100,
        max_batch=16,
        buckets=BUCKETS,
        step_s=lambda num_rows: 0.004 + 0.0015 * next(size for size in BUCKETS if size >= num_rows),
    )
    warm_up(stage.engine)
    assert stage.engine.prospects.capacity > 60
    for key in range(num_background):
        stage.open(1000 + key, "x" * 200, lead=None, session=key % 2)

    def come(key: int) -> None:
        stage.open(key, "x" * draw.randint(1, 50), lead=draw.randint(2, 25) * PATCH, session=100 + key)

    for key, at in stage.hold_open_house(draw, 60, 3.0, come).items():
        assert stage.messages(key) == ["closed"]
        assert stage.underrun_s(key) < 1e-9
        assert stage.heard_at[key][0] - at < 0.25
