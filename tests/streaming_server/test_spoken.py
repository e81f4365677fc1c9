"""From a tick of the audio to the text that was heard."""

from __future__ import annotations

import pytest

from streaming_server.spoken import HeardText, SpokenText


@pytest.fixture
def two_segments() -> SpokenText:
    """`Hello there. How are you` : segments at 0 and 20000, each word 4000 ticks, 1000 apart."""
    spoken = SpokenText()
    spoken.add_segment(0, 12, 0)
    spoken.add_word(0, 5, 1000, 5000, estimated=False)
    spoken.add_word(6, 11, 6000, 10000, estimated=False)
    spoken.add_segment(13, 24, 20000)
    spoken.add_word(13, 16, 22000, 26000, estimated=False)
    spoken.add_word(17, 20, 27000, 31000, estimated=False)
    return spoken


@pytest.mark.parametrize(
    ("pts", "text_end", "mid_word"),
    [
        (0, 0, False),
        (500, 0, False),
        (1001, 5, True),
        (5000, 5, False),
        (5500, 5, False),
        (8000, 11, True),
        (15000, 11, False),
        (20000, 13, False),
        (21000, 13, False),
        (22500, 16, True),
        (31000, 20, False),
        (39999, 20, False),
        (40000, 24, False),
    ],
)
def test_heard_text_ends_with_the_last_word_begun(
    two_segments: SpokenText, pts: int, text_end: int, mid_word: bool
) -> None:
    assert two_segments.heard(pts, 40000) == HeardText(text_end, mid_word, False)


def test_cutting_parts_the_original_into_heard_and_remaining(two_segments: SpokenText) -> None:
    cut = two_segments.cut("Hello there. How are you", 8000, 40000, estimated=True)
    assert (cut.text, cut.remaining) == ("Hello there", ". How are you")
    assert (cut.text_end, cut.pts, cut.mid_word, cut.estimated) == (11, 8000, True, True)


def test_nothing_is_heard_before_the_first_segment() -> None:
    assert SpokenText().heard(0, 0) == HeardText(0, False, False)


def test_without_words_the_position_is_shared_out_and_marked() -> None:
    spoken = SpokenText()
    spoken.add_segment(10, 30, 0)
    assert spoken.heard(5000, 10000) == HeardText(20, True, True)
    assert spoken.heard(10000, 10000) == HeardText(30, False, False), "the end of a segment is known"


def test_estimated_words_mark_the_position() -> None:
    spoken = SpokenText()
    spoken.add_segment(0, 5, 0)
    spoken.add_word(0, 5, 0, 4000, estimated=True)
    assert spoken.heard(2000, 4000) == HeardText(5, True, True)


def test_the_next_word_end_is_that_of_the_word_under_way_or_of_the_one_to_come(two_segments: SpokenText) -> None:
    assert two_segments.word_end_after(2000) == 5000
    assert two_segments.word_end_after(5500) == 10000
    assert two_segments.word_end_after(99999) == 99999
    assert SpokenText().word_end_after(700) == 700


def test_a_corrected_word_takes_the_place_of_its_estimate() -> None:
    spoken = SpokenText()
    spoken.add_segment(0, 15, 0)
    for start, pts in ((0, 0), (6, 1000), (11, 2000)):
        spoken.add_word(start, start + 4, pts, pts + 800, estimated=True)
    spoken.add_word(6, 10, 1500, 1900, estimated=True)
    assert spoken.heard(1400, 4000) == HeardText(4, False, True)
    assert spoken.heard(2500, 4000) == HeardText(15, True, True)
    assert spoken.word_end_after(1600) == 1900
