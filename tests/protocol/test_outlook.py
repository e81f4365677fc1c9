"""What is known of an utterance's length and speed while it is made."""

from __future__ import annotations

import pytest

from protocol.outlook import MAX_PATCHES, Outlook, weigh

PATCH_S = 0.16


def test_letters_of_all_kinds_are_weighed() -> None:
    assert weigh("one, 2 你好。ひらカ한 é") == 3 + 2 + 1 + 4 + 1 + 6 + 2 + 9 + 3 + 1 + 1


def test_a_late_correction_takes_nothing_back() -> None:
    outlook = Outlook(2.0)
    outlook.write("x" * 100, 0.0)
    outlook.reach(50, 5.0)
    length_s = outlook.length_s
    outlook.reach(40, 4.0)
    outlook.reach(60, 4.0)
    assert outlook.length_s == length_s


def test_the_text_may_be_written_and_reached_in_any_pieces() -> None:
    whole, parts = Outlook(2.0), Outlook(2.0)
    text = "Hello 你好 12, and so on."
    whole.write(text, 0.0)
    for char in text:
        parts.write(char, 0.0)
    whole.reach(9, 0.9)
    for position in (0, 3, 7, 9):
        parts.reach(position, 0.1 * position)
    assert whole.length_s == pytest.approx(parts.length_s)
    whole.reach(500, 5.0)
    assert whole.length_s == pytest.approx(5.0)


def test_beginnings_of_segments_are_learnt_apart_from_their_patches() -> None:
    outlook = Outlook(1.5)
    outlook.write("x" * 180, 0.0)
    outlook.begin(0, 60, 0.0)
    now = 2.0 + 0.24
    outlook.arrive(PATCH_S, now)
    for _ in range(24):
        now += 0.24
        outlook.arrive(PATCH_S, now)
    assert outlook.pace == pytest.approx(1.5)
    rest_s = 120 / 15
    assert outlook.rtf == pytest.approx(1.5 + 2 * 2.0 / rest_s, rel=0.05)
    outlook.begin(60, 180, 4.0)
    assert outlook.rtf == outlook.pace


def test_a_writers_pause_is_no_work() -> None:
    outlook = Outlook(2.0)
    outlook.write("x" * 10, 0.0)
    outlook.begin(0, 10, 0.0)
    outlook.arrive(PATCH_S, 0.32)
    for delta, now in (("x" * 60, 90.0), ("x" * 60, 90.1)):
        outlook.write(delta, now)
    outlook.begin(10, 40, PATCH_S)
    outlook.arrive(PATCH_S, 90.32)
    assert outlook.rtf == outlook.pace == 2.0
    outlook.arrive(PATCH_S, 990.0)
    assert outlook.pace == pytest.approx((3 * 2.0 + MAX_PATCHES * PATCH_S * 2.0) / (3 + PATCH_S))


def test_text_is_unspoken_until_it_is_known_to_sound_in_what_has_come() -> None:
    outlook = Outlook(2.0)
    assert not outlook.has_unspoken
    outlook.write("Hi. **", 0.0)
    assert outlook.has_unspoken
    outlook.begin(0, 3, 0.0)
    outlook.reach(2, 0.5)
    assert outlook.has_unspoken
    for number in range(3):
        outlook.arrive(PATCH_S, 0.32 * number)
    assert not outlook.has_unspoken


def test_what_begins_before_any_text_was_seen_is_taken_as_it_comes() -> None:
    outlook = Outlook(2.0)
    outlook.begin(0, 10, 0.0)
    outlook.arrive(PATCH_S, 1.0)
    outlook.arrive(PATCH_S, 1.32)
    assert outlook.pace == pytest.approx(2.0)
