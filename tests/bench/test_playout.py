"""The player as arithmetic: turns, lateness, gaps."""

from __future__ import annotations

import pytest

from bench.playout import Playout

RATE_HZ = 1000
LEAD_MS = 300


def playing(*arrivals_s: float) -> tuple[Playout, list[float]]:
    """Frames of 100 ticks, a tenth of a second each; returns the lateness of each."""
    playout = Playout(RATE_HZ, LEAD_MS)
    return playout, [playout.arrive(100 * index, 100, at) for index, at in enumerate(arrivals_s)]


def test_frames_sent_ahead_at_once_are_due_with_the_first() -> None:
    playout, lateness = playing(5.0, 5.01, 5.02)
    assert lateness == pytest.approx([0.0, 0.01, 0.02])
    assert playout.num_late == 0


def test_later_frames_are_due_their_lead_before_their_turn() -> None:
    _, lateness = playing(5.0, 5.0, 5.0, 5.0, 5.095, 5.23)
    assert lateness[4:] == pytest.approx([-0.005, 0.03])


def test_a_frame_that_misses_its_turn_is_late_and_moves_all_further_turns() -> None:
    playout, lateness = playing(5.0, 5.15, 5.2)
    assert playout.num_late == 1
    assert playout.stalled_s == pytest.approx(0.05)
    assert lateness == pytest.approx([0.0, 0.15, 0.2])
    assert playout.arrive(300, 100, 5.36) == pytest.approx(0.31)
    assert playout.num_late == 2  # its turn was at 5.35


def test_playing_stands_still_while_there_is_nothing() -> None:
    playout, _ = playing(5.0)
    assert playout.played(4.0) == 0
    assert playout.played(5.0605) == 60
    assert playout.played(5.5) == 100
    playout.arrive(100, 100, 5.5)
    assert playout.played(5.5405) == 140


def test_nothing_is_played_before_the_first_audio() -> None:
    assert Playout(RATE_HZ, LEAD_MS).played(9.0) == 0
