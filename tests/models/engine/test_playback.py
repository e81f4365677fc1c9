from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.engine import PlaybackClock, Reading
from models.engine.playback import NEVER

RATE = 1000


def test_clock_starts_with_the_first_audio() -> None:
    clock = PlaybackClock(RATE)
    assert clock.position(50.0) == 0
    assert not clock.is_held
    clock.emit(400, 100.0)
    assert clock.position(100.25) == 250
    assert clock.lead(100.25) == 150
    assert clock.dry_at() == pytest.approx(100.4)


def test_dry_clock_goes_on_with_the_next_audio() -> None:
    clock = PlaybackClock(RATE)
    clock.emit(400, 100.0)
    assert clock.position(105.0) == 400
    clock.emit(100, 107.0)
    assert clock.position(107.0) == 400
    assert clock.position(107.0625) == 462
    assert clock.dry_at() == pytest.approx(107.1)


def test_held_clock_stands_until_it_is_released() -> None:
    clock = PlaybackClock(RATE)
    clock.emit(1000, 100.0)
    clock.hold(100.25)
    clock.emit(1000, 101.0)
    assert clock.is_held
    assert clock.position(109.0) == 250
    assert clock.dry_at() is None
    clock.release(110.0)
    assert clock.position(110.25) == 500
    clock.release(110.25, position=400)
    assert clock.position(110.5) == 650


@pytest.mark.parametrize(("told", "position"), [(-5, 0), (9000, 1000), (700, 700)])
def test_position_that_is_told_lies_within_what_was_emitted(told: int, position: int) -> None:
    released, following = PlaybackClock(RATE), PlaybackClock(RATE)
    for clock in (released, following):
        clock.emit(1000, 99.0)
    released.release(99.5, position=told)
    following.follow(Reading(told, 99.5))
    assert released.position(99.5) == following.position(99.5) == position


def test_clock_that_is_told_to_start_later_waits() -> None:
    clock = PlaybackClock(RATE, held=True)
    clock.follow(Reading(0, 105.0))
    clock.emit(400, 100.0)
    assert clock.position(104.0) == 0
    assert clock.dry_at() == pytest.approx(105.4)
    assert clock.position(105.125) == 125


def test_room_comes_when_less_than_the_lead_lies_ahead() -> None:
    clock = PlaybackClock(RATE)
    assert clock.room_at(500) == NEVER
    clock.emit(800, 100.0)
    assert clock.room_at(900) == NEVER
    assert clock.room_at(500) == pytest.approx(100.3)
    clock.hold(100.1)
    assert clock.room_at(500) is None
    assert clock.room_at(900) == NEVER


@pytest.mark.parametrize("held", [False, True])
def test_release_before_the_first_audio_is_no_hold(held: bool) -> None:
    """Read as a hold by the other side, it would never be scheduled beyond its lead."""
    here, there = PlaybackClock(RATE, held=held), PlaybackClock(RATE, held=held)
    here.hold(100.0)
    here.release(101.0)
    there.follow(here.read())
    assert not there.is_held
    for clock in (here, there):
        clock.emit(400, 102.0)
    assert here.position(102.125) == there.position(102.125) == 125


def test_clock_that_has_not_started_there_says_nothing_of_one_that_runs_here() -> None:
    there, here = PlaybackClock(RATE), PlaybackClock(RATE)
    here.emit(400, 100.0)
    here.follow(there.read())
    assert here.position(100.125) == 125


ACTIONS = st.one_of(
    st.tuples(st.just("emit"), st.integers(0, 500)),
    st.tuples(st.just("hold"), st.none()),
    st.tuples(st.just("release"), st.none() | st.integers(0, 4000)),
)
HISTORIES = st.lists(st.tuples(st.floats(0, 2), ACTIONS), max_size=30)


def act(clock: PlaybackClock, action: tuple[str, int | None], now: float) -> None:
    match action:
        case ("emit", int(num_samples)):
            clock.emit(num_samples, now)
        case ("hold", _):
            clock.hold(now)
        case ("release", position):
            clock.release(now, position=position)


@given(history=HISTORIES, held=st.booleans(), lead=st.integers(1, 3000))
@settings(max_examples=300, deadline=None)
def test_both_sides_agree(history: list[tuple[float, tuple[str, int | None]]], held: bool, lead: int) -> None:
    """Emissions are seen by both; what only the web process knows is told as a reading, and nothing else is."""
    web, engine = PlaybackClock(RATE, held=held), PlaybackClock(RATE, held=held)
    now = 1000.0
    for pause_s, action in history:
        now += pause_s
        act(web, action, now)
        if action[0] == "emit":
            act(engine, action, now)
        else:
            engine.follow(web.read())
        for later in (now, now + 0.1, now + 5):
            assert web.position(later) == engine.position(later)
        assert web.is_held == engine.is_held
        assert web.dry_at() == engine.dry_at()
        assert web.room_at(lead) == engine.room_at(lead)


@given(history=HISTORIES, held=st.booleans(), lead=st.integers(1, 3000))
@settings(max_examples=300, deadline=None)
def test_what_the_clock_foretells_comes_true(
    history: list[tuple[float, tuple[str, int | None]]], held: bool, lead: int
) -> None:
    clock = PlaybackClock(RATE, held=held)
    now = 1000.0
    for pause_s, action in history:
        now += pause_s
        before = clock.position(now)
        act(clock, action, now)
        assert 0 <= clock.position(now) <= clock.emitted
        is_told = action[0] == "release" and action[1] is not None
        assert is_told or clock.position(now) == before
        dry_at, room_at = clock.dry_at(), clock.room_at(lead)
        if dry_at is not None and clock.emitted:
            assert clock.lead(max(now, dry_at + 0.01)) == 0
        if room_at is None:
            assert clock.lead(now + 100) >= lead
        elif room_at > now:
            assert clock.lead(room_at - 0.01) >= lead > clock.lead(room_at + 0.01)
        else:
            assert clock.lead(now) <= lead
