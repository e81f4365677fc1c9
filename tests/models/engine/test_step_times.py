"""What is known of steps by their rows, and what sizes follow from it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.engine.step_times import MAX_STEP_S, StepTimes

BUCKETS = (1, 2, 4, 7, 14, 28, 56, 112)


def measured(seconds: dict[int, float]) -> StepTimes:
    times = StepTimes(BUCKETS, 112)
    for rows, each in seconds.items():
        times.took(each, rows)
    return times


GPU = {1: 0.0015, 4: 0.0015, 7: 0.0016, 14: 0.0022, 28: 0.0035, 56: 0.0062, 112: 0.0114}


def test_nothing_is_known_before_a_step() -> None:
    times = StepTimes(BUCKETS, 112)
    assert (times.of(5), times.usual_rows) == (0.0, 112)
    assert StepTimes((), 8).usual_rows == 8


def test_buckets_beyond_the_batch_are_not_used() -> None:
    assert StepTimes(BUCKETS, 30).buckets == (1, 2, 4, 7, 14, 28)


def test_usual_step_is_the_largest_that_a_newcomer_may_wait_for() -> None:
    times = measured(GPU)
    assert times.usual_rows == 56
    assert times.small_rows == 14
    assert measured({1: 0.0008, 112: MAX_STEP_S}).usual_rows == 112


def test_slow_device_makes_steps_of_more_rows_than_one() -> None:
    assert measured({1: 0.020, 2: 0.022, 4: 0.026, 7: 0.035, 14: 0.070, 28: 0.120}).usual_rows == 14


def test_what_was_not_measured_is_between_what_was() -> None:
    times = measured({1: 0.001, 7: 0.003})
    assert times.of(1) == 0.001
    assert times.of(4) == pytest.approx(0.002)
    assert times.of(5) == 0.003
    assert times.of(14) == pytest.approx(0.006)


def test_mean_follows_the_device_and_forgives_a_hiccup() -> None:
    times = measured({1: 0.001, 56: 0.006})
    times.took(1.0, 56)
    assert times.of(56) < 0.007
    for _ in range(100):
        times.took(0.009, 56)
    assert times.of(56) == pytest.approx(0.009, rel=0.01)
    assert times.usual_rows == 28


def test_reading_in_is_told_apart_from_the_step() -> None:
    times = measured(GPU)
    for _ in range(50):
        times.took(0.0062 + 0.0003 * 10, 56, 10)
        times.took(0.0015 + 0.0003, 1, 1)
    assert times.begin_s == pytest.approx(0.0003, rel=0.01)
    assert times.of(56) == 0.0062
    assert times.usual_rows == 56


def test_crowd_that_begins_at_once_does_not_make_the_machine_look_slow() -> None:
    times = measured(GPU)
    for _ in range(2000):
        times.took(0.0062 + 0.0003, 56, 1)
    assert times.evened(0.0062 + 0.0003 * 56, 56, 56) == pytest.approx(0.0065, rel=0.02)
    assert times.evened(0.0062, 56, 0) == pytest.approx(0.0065, rel=0.02)


@pytest.mark.parametrize(
    ("num_rows", "num_due", "size"),
    [
        (7, 0, 7),
        (20, 14, 14),  # six wait: a step of 28 takes much longer
        (20, 15, 28),
        (27, 0, 28),  # nearly full: more speech a second
        (3, 0, 4),  # a small step takes as long as a smaller one
        (1, 1, 1),
        (112, 112, 112),
    ],
)
def test_step_is_made_smaller_unless_somebody_is_due_or_it_is_worth_it(num_rows: int, num_due: int, size: int) -> None:
    assert measured(GPU).size(num_rows, num_due) == size


def test_one_bucket_takes_any_number_of_rows() -> None:
    times = StepTimes((56,), 112)
    assert [times.size(rows, 0) for rows in (1, 30, 56)] == [56, 56, 56]
    times.took(0.05, 30)
    assert times.usual_rows == 56


@given(
    steps=st.lists(st.tuples(st.floats(1e-5, 10.0), st.integers(1, 112), st.integers(0, 112)), min_size=1, max_size=60)
)
def test_whatever_was_measured_the_sizes_hold_who_is_due(steps: list[tuple[float, int, int]]) -> None:
    times = StepTimes(BUCKETS, 112)
    for seconds, rows, beginning in steps:
        times.took(seconds, rows, min(rows, beginning))
        assert times.begin_s >= 0
        assert times.evened(seconds, rows, 0) >= 0
        assert times.usual_rows in BUCKETS
        assert times.small_rows <= times.usual_rows
    for rows in range(1, 113):
        assert times.of(rows) > 0
        for due in (0, rows // 2, rows):
            assert times.size(rows, due) in BUCKETS
            assert times.size(rows, due) >= due
