"""How long a listener waits for speech that is made more slowly than it is heard."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from protocol.headstart import MARGIN, MAX_HELD_S, HeadStart

RATE_HZ = 1000
PATCH = 160  # ticks
LETTER = 67  # ticks: what is believed


def play(
    text: str,
    rtf: float,
    *,
    told: float | None = None,
    letter: int = LETTER,
    beginning_s: float = 0.0,
    segment: int = 10_000,
) -> tuple[float, float]:
    """Make a text's sound at `rtf`, a patch at a time and each segment after its beginning, to one who plays it when it
    may: the wait for the first sound after the first has come, and the longest gap in it, in seconds."""
    start = HeadStart(told or rtf, RATE_HZ)
    start.write(text, 0.0)
    now, made, starts_at, gap_s, first_at = 0.0, 0, None, 0.0, 0.0
    for begin in range(0, len(text), segment):
        end = min(len(text), begin + segment)
        start.begin(begin, end, made)
        now += beginning_s
        while made < end * letter:
            ticks = min(PATCH, end * letter - made)
            if starts_at is None and start.patience_s(now) <= rtf * ticks / RATE_HZ + (made == begin) * beginning_s:
                starts_at = now  # given up
            now += rtf * ticks / RATE_HZ
            if starts_at is not None:
                gap_s = max(gap_s, now - (starts_at + made / RATE_HZ))
            start.arrive(ticks, now)
            first_at = first_at or now
            made += ticks
            start.reach(made // letter, made)
            if starts_at is None and (made == len(text) * letter or not start.holds(now)):
                starts_at = now
    assert starts_at is not None
    return starts_at - first_at, gap_s


@given(rtf=st.floats(1.02, 8.0), num_letters=st.integers(10, 2000), letter=st.integers(40, 110))
@example(rtf=1.25, num_letters=108, letter=110)
@example(rtf=1.25, num_letters=89, letter=110)
@example(rtf=1.09, num_letters=130, letter=106)
def test_the_rest_plays_without_a_gap(rtf: float, num_letters: int, letter: int) -> None:
    """None above a hundredth of the speech, or above a patch: a voice may be far slower than is believed."""
    wait_s, gap_s = play("x" * num_letters, rtf, letter=letter)
    total_s = num_letters * letter / RATE_HZ
    assert gap_s <= max(0.01 * total_s, PATCH / RATE_HZ)
    assert wait_s <= 1.1 * rtf * MARGIN * total_s * (1 - 1 / rtf) + 3 * rtf * PATCH / RATE_HZ


@pytest.mark.parametrize("rtf", [1.5, 3.0])
@pytest.mark.parametrize("beginning_s", [1.0, 2.0, 4.0])
@pytest.mark.parametrize("num_letters", [120, 300, 900])
def test_reading_in_a_segment_is_no_reason_to_give_up(rtf: float, beginning_s: float, num_letters: int) -> None:
    """A model reads its voice and each segment before it speaks: the waits for that are waited for, and learnt."""
    wait_s, gap_s = play("x" * num_letters, rtf, beginning_s=beginning_s, segment=60)
    assert gap_s <= 0.05
    total_s = num_letters * LETTER / RATE_HZ
    work_s = rtf * total_s + beginning_s * (num_letters // 60 - 1)
    assert wait_s <= 1.35 * (work_s - total_s) + 3 * rtf * PATCH / RATE_HZ


def test_a_wrong_guess_of_the_speed_is_corrected_by_what_is_seen() -> None:
    wait_s, gap_s = play("x" * 600, 3.0, told=1.5)
    assert gap_s == 0
    assert wait_s == pytest.approx(3.0 * MARGIN * 40.2 * (1 - 1 / 3), rel=0.15)


def test_who_is_faster_than_real_time_never_waits() -> None:
    for rtf in (None, 0.9):
        start = HeadStart(rtf, RATE_HZ)
        start.write("x" * 1000, 0.0)
        start.begin(0, 1000, 0)
        start.arrive(PATCH, 1.0)
        start.reach(2, PATCH)
        assert not start.holds(1.0)
        assert start.wait_s == 0.0
    assert (HeadStart(None, RATE_HZ).rtf, HeadStart(None, RATE_HZ).length_s) == (0.0, 0.0)


def test_the_wait_counts_down() -> None:
    start = HeadStart(2.0, RATE_HZ)
    start.write("x" * 300, 0.0)
    waits = []
    for number in range(40):
        start.arrive(PATCH, 0.32 * number)
        waits.append(start.wait_s)
    assert waits[0] == pytest.approx(2.0 * MARGIN * 10.0, rel=0.05)
    assert all(later < earlier for earlier, later in itertools.pairwise(waits))


def test_nobody_waits_for_more_than_a_server_makes_ahead() -> None:
    start = HeadStart(5.0, RATE_HZ)
    start.write("x" * 100_000, 0.0)
    start.arrive(PATCH, 1.0)
    assert start.wait_s == pytest.approx(5 * MAX_HELD_S, rel=0.01)
    for second in range(round(MAX_HELD_S)):
        assert start.holds(1.0 + 5 * second)
        start.arrive(RATE_HZ, 6.0 + 5 * second)
    assert not start.holds(5.0 * MAX_HELD_S)


def test_a_writer_who_pauses_is_not_waited_for() -> None:
    """All that was given has sounded but its full stop; a machine so slow would have said more by now."""
    start = HeadStart(2.0, RATE_HZ)
    start.write("xx. ", 0.0)
    start.begin(0, 3, 0)
    start.arrive(PATCH, 10.0)
    start.write("x" * 300, 10.0)
    assert start.holds(10.0)
    assert start.patience_s(10.0) == 60 * 2.0 * PATCH / RATE_HZ
    start = HeadStart(2.0, RATE_HZ)
    start.write("x" * 300 + ".\n", 0.0)
    start.arrive(PATCH, 10.0)
    start.reach(300, PATCH)
    start.write("** " * 60, 10.0)
    assert start.holds(10.0)
    patience_s = start.patience_s(10.0)
    assert patience_s == 25 * 2.0 * PATCH / RATE_HZ
    assert start.holds(10.0 + patience_s - 0.1)
    assert not start.holds(10.0 + patience_s)


def test_text_that_is_never_said_is_not_waited_for_for_ever() -> None:
    start = HeadStart(1.5, RATE_HZ)
    start.write("x" * 300, 0.0)
    start.arrive(PATCH, 10.0)
    assert start.holds(10.0 + 14.3)
    assert not start.holds(10.0 + 14.5)


def test_who_ran_dry_waits_again_for_what_is_left() -> None:
    start = HeadStart(2.0, RATE_HZ)
    start.write("x" * 30, 0.0)
    for number in range(12):
        start.arrive(PATCH, 0.32 * number)
    assert not start.holds(4.0)
    for _ in range(12):
        start.take(PATCH)
    start.write("x" * 300, 4.0)
    start.run_dry()
    start.arrive(PATCH, 5.0)
    assert start.holds(5.0)
