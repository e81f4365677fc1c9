"""How long a listener waits for speech that is made more slowly than it is heard."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.headstart import MARGIN, HeadStart, weigh

RATE_HZ = 1000
PATCH = 160  # ticks
LETTER = 67  # ticks: what is believed


def play(text: str, rtf: float, *, told: float | None = None, letter: int = LETTER) -> tuple[float, float]:
    """Make a text's sound at `rtf`, a patch at a time, to one who plays it when it may: the wait for the first sound
    after the first has come, and the longest gap in it, in seconds."""
    start = HeadStart(told or rtf, RATE_HZ)
    start.write(text)
    total = letter * len(text)
    now, made, starts_at, gap_s = 0.0, 0, None, 0.0
    while made < total:
        ticks = min(PATCH, total - made)
        now += rtf * ticks / RATE_HZ
        if starts_at is not None:
            gap_s = max(gap_s, now - (starts_at + made / RATE_HZ))
        start.arrive(ticks, now)
        made += ticks
        start.reach(made // letter, made)
        if starts_at is None and (made == total or not start.holds(now)):
            starts_at = now
    assert starts_at is not None
    return starts_at - rtf * PATCH / RATE_HZ, gap_s


@given(rtf=st.floats(1.02, 8.0), num_letters=st.integers(10, 2000), letter=st.integers(40, 110))
def test_the_rest_plays_without_a_gap(rtf: float, num_letters: int, letter: int) -> None:
    wait_s, gap_s = play("x" * num_letters, rtf, letter=letter)
    total_s = num_letters * letter / RATE_HZ
    assert gap_s <= 0.01 * total_s
    assert wait_s <= rtf * MARGIN * total_s * (1 - 1 / rtf) + 3 * rtf * PATCH / RATE_HZ


def test_a_wrong_guess_of_the_speed_is_corrected_by_what_is_seen() -> None:
    wait_s, gap_s = play("x" * 600, 3.0, told=1.5)
    assert gap_s == 0
    assert wait_s == pytest.approx(3.0 * MARGIN * 40.2 * (1 - 1 / 3), rel=0.15)


def test_who_is_faster_than_real_time_never_waits() -> None:
    for rtf in (None, 0.9):
        start = HeadStart(rtf, RATE_HZ)
        start.write("x" * 1000)
        start.arrive(PATCH, 1.0)
        assert not start.holds(1.0)
        assert start.wait_s == 0.0


def test_the_wait_counts_down() -> None:
    start = HeadStart(2.0, RATE_HZ)
    start.write("x" * 300)
    waits = []
    for number in range(40):
        start.arrive(PATCH, 0.32 * number)
        waits.append(start.wait_s)
    assert waits[0] == pytest.approx(2.0 * MARGIN * 10.0, rel=0.05)
    assert all(later < earlier for earlier, later in itertools.pairwise(waits))


def test_a_writer_who_pauses_is_not_waited_for() -> None:
    start = HeadStart(2.0, RATE_HZ)
    start.write("x" * 300)
    start.arrive(PATCH, 10.0)
    assert start.holds(10.0)
    patience_s = start.patience_s(10.0)
    assert start.holds(10.0 + patience_s - 0.1)
    assert not start.holds(10.0 + patience_s)


def test_who_ran_dry_waits_again_for_what_is_left() -> None:
    start = HeadStart(2.0, RATE_HZ)
    start.write("x" * 30)
    for number in range(12):
        start.arrive(PATCH, 0.32 * number)
    assert not start.holds(4.0)
    for _ in range(12):
        start.take(PATCH)
    start.write("x" * 300)
    start.run_dry()
    start.arrive(PATCH, 5.0)
    assert start.holds(5.0)


def test_letters_of_all_kinds_are_weighed() -> None:
    assert weigh("one, 2 你好。ひらカ한 é") == 3 + 2 + 1 + 4 + 1 + 6 + 2 + 9 + 3 + 1 + 1


def test_a_late_correction_takes_nothing_back() -> None:
    start = HeadStart(2.0, RATE_HZ)
    start.write("x" * 100)
    start.reach(50, 5000)
    length_s = start.length_s
    start.reach(40, 4000)
    start.reach(60, 4000)
    assert start.length_s == length_s


def test_the_text_may_be_reached_in_any_pieces() -> None:
    whole, parts = HeadStart(2.0, RATE_HZ), HeadStart(2.0, RATE_HZ)
    text = "Hello 你好 12, and so on."
    whole.write(text)
    for char in text:
        parts.write(char)
    whole.reach(9, 900)
    for position in (0, 3, 7, 9):
        parts.reach(position, 100 * position)
    assert whole.length_s == parts.length_s
    whole.reach(500, 5000)
    assert whole.length_s == pytest.approx(5.0)
