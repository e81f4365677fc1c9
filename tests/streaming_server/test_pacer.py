"""What the pacer tells the engine, and when it keeps silent."""

from __future__ import annotations

from models.engine import PlaybackClock, Reading
from streaming_server.pacer import MAX_SUCCESSORS, Pacer

RATE_HZ = 44100
PATCH = 7056


class Told:
    """The engine's side: a playback clock that follows what it is told."""

    def __init__(self, *, held: bool = False) -> None:
        self.readings: list[Reading] = []
        self.clock = PlaybackClock(RATE_HZ, held=held)

    def __call__(self, reading: Reading) -> None:
        self.readings.append(reading)
        self.clock.follow(reading)


def attached(told: Told, *, now: float = 0.0, after: Pacer | None = None) -> Pacer:
    pacer = Pacer(RATE_HZ, now, after=after)
    pacer.attach(told, now)
    return pacer


def play(pacer: Pacer, told: Told, num_patches: int, now: float) -> None:
    for _ in range(num_patches):
        told.clock.emit(PATCH, now)
        pacer.on_patch(PATCH, now)
        pacer.on_sent(PATCH, now)


def test_pacer_is_silent_while_audio_flows_and_no_playhead_disagrees() -> None:
    told = Told()
    pacer = attached(told)
    for step in range(50):
        play(pacer, told, 1, 10 + step * 0.16)
    assert told.readings == []
    assert pacer.position(10 + 49 * 0.16) == told.clock.position(10 + 49 * 0.16)


def test_pacer_tells_a_playhead_that_is_behind() -> None:
    told = Told()
    pacer = attached(told)
    play(pacer, told, 10, 1.0)
    pacer.on_playhead(10000, None, 1.5)
    assert told.readings == [Reading(10000, 1.5)]
    assert told.clock.position(2.0) == 10000 + RATE_HZ // 2


def test_pacer_does_not_tell_a_playhead_that_agrees() -> None:
    told = Told()
    pacer = attached(told)
    play(pacer, told, 10, 1.0)
    pacer.on_playhead(RATE_HZ // 2 + 300, None, 1.5)
    assert told.readings == []


def test_pause_stops_both_clocks_and_play_starts_them() -> None:
    told = Told()
    pacer = attached(told)
    play(pacer, told, 10, 1.0)
    pacer.on_playhead(RATE_HZ // 2, True, 1.5)
    assert told.clock.position(9.0) == pacer.position(9.0) == RATE_HZ // 2
    pacer.on_playhead(RATE_HZ // 2, False, 10.0)
    assert told.clock.position(10.5) == pacer.position(10.5) == RATE_HZ


def test_a_socket_that_takes_nothing_stops_the_engines_clock() -> None:
    told = Told()
    pacer = attached(told)
    play(pacer, told, 2, 1.0)
    for step in range(40):
        now = 1.0 + step * 0.16
        told.clock.emit(PATCH, now)
        pacer.on_patch(PATCH, now)
    assert told.clock.position(60.0) == 2 * PATCH, "only what the socket took can be heard"
    pacer.on_sent(PATCH, 60.0)
    assert told.clock.position(60.1) > 2 * PATCH


def test_a_standing_socket_is_told_once() -> None:
    told = Told()
    pacer = attached(told)
    play(pacer, told, 2, 1.0)
    for step in range(20):
        told.clock.emit(PATCH, 2.0 + step)
        pacer.on_patch(PATCH, 2.0 + step)
    assert len(told.readings) == 1


def test_who_comes_after_starts_when_the_former_is_heard_to_its_end() -> None:
    first_told, second_told = Told(), Told(held=True)
    first = attached(first_told)
    second = attached(second_told, after=first)
    assert second.waits
    play(first, first_told, 10, 1.0)
    play(second, second_told, 5, 1.0)
    assert second.position(2.0) == second_told.clock.position(2.0) == 0
    first.on_end(1.0, cancelled=False)
    ends_at = 1.0 + 10 * PATCH / RATE_HZ
    assert second.position(ends_at) == 0
    assert second.position(ends_at + 0.1) == second_told.clock.position(ends_at + 0.1) == RATE_HZ // 10


def test_who_comes_after_a_cancelled_one_starts_at_once() -> None:
    told = Told(held=True)
    first = attached(Told())
    second = attached(told, after=first)
    play(second, told, 5, 1.0)
    first.on_end(1.0, cancelled=True)
    assert second.position(1.1) == told.clock.position(1.1) == RATE_HZ // 10


def test_a_pause_in_the_former_ones_tail_delays_who_comes_after() -> None:
    first_told, told = Told(), Told(held=True)
    first = attached(first_told)
    second = attached(told, after=first)
    play(first, first_told, 10, 1.0)
    play(second, told, 5, 1.0)
    first.on_end(1.0, cancelled=False)
    first.on_playhead(PATCH, True, 1.16)
    assert second.position(50.0) == told.clock.position(50.0) == 0
    first.on_playhead(9 * PATCH, False, 60.0)
    assert second.position(60.16 + 0.1) == told.clock.position(60.16 + 0.1) > 0


def test_who_comes_after_someone_already_over_does_not_wait() -> None:
    first = attached(Told())
    first.on_end(1.0, cancelled=True)
    assert not Pacer(RATE_HZ, 2.0, after=first).waits


def test_who_is_started_after_a_sent_one_waits_for_its_end_only() -> None:
    """No playhead ever comes: the former's end is known from its clock."""
    first_told, told = Told(), Told(held=True)
    first = attached(first_told)
    play(first, first_told, 10, 1.0)
    first.on_end(1.0, cancelled=False)
    ends_at = 1.0 + 10 * PATCH / RATE_HZ
    second = attached(told, now=1.2, after=first)
    play(second, told, 5, 1.2)
    assert second.position(ends_at) == 0
    assert second.position(ends_at + 0.1) == told.clock.position(ends_at + 0.1) == RATE_HZ // 10
    assert not Pacer(RATE_HZ, ends_at + 0.01, after=first).waits


def test_a_chain_goes_on_when_its_middle_was_sent_before_its_turn() -> None:
    tolds = [Told(), Told(held=True), Told(held=True)]
    first = attached(tolds[0])
    second = attached(tolds[1], after=first)
    third = attached(tolds[2], after=second)
    play(first, tolds[0], 10, 1.0)
    play(second, tolds[1], 2, 1.0)
    play(third, tolds[2], 5, 1.0)
    second.on_end(1.0, cancelled=False)
    assert third.position(60.0) == 0
    first.on_end(1.1, cancelled=False)
    begins_at = 1.0 + 12 * PATCH / RATE_HZ
    assert third.position(begins_at) == 0
    assert abs(third.position(begins_at + 0.1) - RATE_HZ // 10) <= 1


def test_a_playhead_of_zero_does_not_start_who_waits() -> None:
    told = Told(held=True)
    first = attached(Told())
    second = attached(told, after=first)
    play(second, told, 3, 1.0)
    second.on_playhead(0, None, 1.5)
    assert second.waits
    assert second.position(9.0) == 0


def test_a_detached_pacer_tells_nobody() -> None:
    told = Told()
    pacer = attached(told)
    play(pacer, told, 10, 1.0)
    pacer.detach()
    pacer.on_playhead(0, True, 1.5)
    assert told.readings == []


def test_those_who_wait_for_one_that_is_never_heard_are_bounded_and_the_living_stay() -> None:
    first = attached(Told())
    first.on_playhead(0, True, 0.0)
    living = attached(Told(), after=first)
    for _ in range(1_000):
        attached(Told(), after=first).on_end(0.0, cancelled=False)
    assert len(first._successors) <= MAX_SUCCESSORS
    first.on_end(0.0, cancelled=True)
    assert not living.waits
