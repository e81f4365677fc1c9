"""When a newcomer would be heard, and when there is room."""

from __future__ import annotations

import random

import pytest

from models.engine import CROWDED, warm_up
from models.engine.outlook import USUAL_S, Turnover, first_audio_s
from models.engine.step_times import StepTimes

from .stage import Stage


def test_before_any_has_left_listeners_are_taken_to_stay_as_long_as_usual() -> None:
    turnover = Turnover()
    assert turnover.vacancy_s(5.0) == USUAL_S
    turnover.changed(16, 5.0)
    assert turnover.vacancy_s(5.0) == USUAL_S / 16


@pytest.mark.parametrize("mean_s", [0.5, 4.0, 20.0])
def test_vacancies_come_as_often_as_listeners_were_over(mean_s: float) -> None:
    """Forty listeners who stay for exponential times, each followed by another."""
    draw = random.Random(3)
    turnover = Turnover()
    turnover.changed(40, 0.0)
    ends = sorted(draw.expovariate(1 / mean_s) for _ in range(40))
    now = 0.0
    while now < 120.0:
        now = ends.pop(0)
        turnover.changed(39, now)
        turnover.changed(40, now)
        ends = sorted([*ends, now + draw.expovariate(1 / mean_s)])
    assert turnover.vacancy_s(now) == pytest.approx(mean_s / 40, rel=0.35)


def test_listeners_who_do_not_leave_are_believed_to_stay() -> None:
    turnover = Turnover()
    for second in range(20):
        turnover.changed(16 - second % 2, float(second))
    soon_s = turnover.vacancy_s(20.0)
    assert turnover.vacancy_s(80.0) > 3 * soon_s


def test_first_audio_waits_for_those_who_start_before_and_for_reading_in() -> None:
    times = StepTimes((1, 4, 8), 8)
    assert first_audio_s(times, 30, 100) == 0
    for rows, seconds in ((1, 0.002), (4, 0.003), (8, 0.004)):
        times.took(seconds, rows)
    assert first_audio_s(times, 0, 1) == pytest.approx(0.002)
    assert first_audio_s(times, 0, 100) == pytest.approx(0.004)
    assert first_audio_s(times, 80, 100) == pytest.approx(11 * 0.004)
    times.begin_s = 0.001
    assert first_audio_s(times, 80, 100) == pytest.approx(11 * 0.004 + 81 * 0.001)


def test_a_crowd_that_starts_at_once_is_counted_until_each_has_begun() -> None:
    """A step takes 10 ms, and reading in a text 40: 100 listeners could be served, but not begun in a second."""
    seen: set[int] = set()

    def step_s(num_rows: int) -> float:
        rows = set(stage.model.steps[-1])
        num_beginning = len(rows - seen)
        seen.update(rows)
        return 0.01 + 0.04 * num_beginning

    stage = Stage(max_slots=200, max_batch=8, step_s=step_s)
    warm_up(stage.engine)
    for key in range(1000, 1030):
        stage.open(key, "x" * 50, lead=None)
        stage.run()
    alone_s = stage.engine.prospects.first_audio_s
    assert alone_s == pytest.approx(0.05, rel=0.1)
    for key in range(1, 61):
        stage.open(key, "x" * 50)
    stage.step()
    refused = [key for key in range(1, 61) if stage.reasons(key)]
    assert refused == list(range(refused[0], 61))
    assert (refused[0] - 1) * 0.04 == pytest.approx(1.0, abs=0.1)
    assert stage.reasons(60) == [CROWDED]
    stage.run()
    assert all(stage.messages(key) == ["closed"] for key in range(1, refused[0]))
    assert max(stage.heard_at[key][0] for key in range(1, refused[0])) - stage.heard_at[1][0] < 1.1
    assert stage.engine.prospects.first_audio_s == pytest.approx(alone_s, rel=0.1)
