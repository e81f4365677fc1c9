"""From a tick of the audio to the text that was heard."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streaming_server.spoken import HeardText, SpokenText


@pytest.fixture
def two_segments() -> SpokenText:
    """`Hello there. How are you` : segments at 0 and 20000, each word 4000 ticks, 1000 apart."""
    spoken = SpokenText()
    spoken.add_segment(0, 12, 0, 20000)
    spoken.add_word(0, 5, 1000, 5000, estimated=False)
    spoken.add_word(6, 11, 6000, 10000, estimated=False)
    spoken.end_segment(20000)
    spoken.add_segment(13, 24, 20000, 20000)
    spoken.add_word(13, 16, 22000, 26000, estimated=False)
    spoken.add_word(17, 20, 27000, 31000, estimated=False)
    spoken.end_segment(40000)
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
    assert two_segments.heard(pts) == HeardText(text_end, mid_word, False)


def test_cutting_parts_the_original_into_heard_and_remaining(two_segments: SpokenText) -> None:
    cut = two_segments.cut("Hello there. How are you", 8000, estimated=True)
    assert (cut.text, cut.remaining) == ("Hello there", ". How are you")
    assert (cut.text_end, cut.pts, cut.mid_word, cut.estimated) == (11, 8000, True, True)


def test_nothing_is_heard_before_the_first_segment() -> None:
    assert SpokenText().heard(0) == HeardText(0, False, False)


def test_without_words_the_position_is_shared_out_and_marked() -> None:
    spoken = SpokenText()
    spoken.add_segment(10, 30, 0, 20000)
    assert spoken.heard(5000) == HeardText(15, True, True), "as long as it will probably last"
    assert spoken.heard(30000) == HeardText(30, True, True)
    spoken.end_segment(10000)
    assert spoken.heard(5000) == HeardText(20, True, True), "as long as it lasted"
    assert spoken.heard(10000) == HeardText(30, False, False), "the end of a segment is known"


def test_a_segment_that_goes_on_is_not_heard_to_its_end_where_its_sound_runs_dry() -> None:
    spoken = SpokenText()
    spoken.add_segment(0, 100, 0, 50000)
    spoken.add_word(0, 5, 0, 6000, estimated=False)
    assert spoken.heard(7056) == HeardText(5, False, False)


@pytest.mark.parametrize(
    ("text", "word_end", "heard"),
    [
        ("cafe\u0301 au lait", 4, "cafe\u0301"),
        ("\U0001f44b\U0001f3fd hello", 1, "\U0001f44b\U0001f3fd"),
        ("a \U0001f468\u200d\U0001f469\u200d\U0001f467 family", 3, "a \U0001f468\u200d\U0001f469\u200d\U0001f467"),
        ("\u4f60\u597d\uff0c\u4e16\u754c", 1, "\u4f60"),
        ("\u0301x", 0, ""),
    ],
)
def test_no_sign_is_cut_in_two(text: str, word_end: int, heard: str) -> None:
    spoken = SpokenText()
    spoken.add_segment(0, len(text), 0, 50000)
    spoken.add_word(0, word_end, 0 if word_end else 200, 6000, estimated=False)
    cut = spoken.cut(text, 100, estimated=False)
    assert (cut.text, cut.text + cut.remaining, cut.text_end) == (heard, text, len(heard))


@given(
    words=st.lists(
        st.tuples(st.integers(1, 9), st.integers(0, 3), st.integers(1, 5000), st.integers(0, 2000)),
        min_size=1,
        max_size=9,
    ),
    text=st.text(max_size=130),
    gone=st.integers(0, 9),
)
def test_what_is_heard_only_grows_and_with_the_rest_is_what_was_given(
    words: list[tuple[int, int, int, int]], text: str, gone: int
) -> None:
    """Words one after the other, with gaps in text and sound; so many of them in a segment that is over."""
    spoken = SpokenText()
    spoken.add_segment(0, sum(word[0] + word[1] for word in words[:gone]), 0, 30000)
    at = pts = 0
    spans = []
    for number, (num_chars, num_between, num_ticks, pause) in enumerate(words):
        if number == gone:
            spoken.end_segment(pts)
            spoken.add_segment(at, sum(word[0] + word[1] for word in words), pts, 30000)
        spoken.add_word(at, at + num_chars, pts, pts + num_ticks, estimated=False)
        spans.append((pts, pts + num_ticks))
        at, pts = at + num_chars + num_between, pts + num_ticks + pause
    before = 0
    for tick in range(0, pts + 2, max(1, pts // 50)):
        cut = spoken.cut(text, tick, estimated=False)
        assert cut.text + cut.remaining == text
        assert cut.text_end >= before
        assert cut.mid_word == any(begins < tick < ends for begins, ends in spans)
        before = cut.text_end


def test_estimated_words_mark_the_position() -> None:
    spoken = SpokenText()
    spoken.add_segment(0, 5, 0, 4000)
    spoken.add_word(0, 5, 0, 4000, estimated=True)
    assert spoken.heard(2000) == HeardText(5, True, True)


def test_the_next_word_end_is_that_of_the_word_under_way_or_of_the_one_to_come(two_segments: SpokenText) -> None:
    assert two_segments.word_end_after(2000) == 5000
    assert two_segments.word_end_after(5500) == 10000
    assert two_segments.word_end_after(99999) == 99999
    assert SpokenText().word_end_after(700) == 700


def test_a_corrected_word_takes_the_place_of_its_estimate() -> None:
    spoken = SpokenText()
    spoken.add_segment(0, 15, 0, 4000)
    for start, pts in ((0, 0), (6, 1000), (11, 2000)):
        spoken.add_word(start, start + 4, pts, pts + 800, estimated=True)
    spoken.add_word(6, 10, 1500, 1900, estimated=True)
    assert spoken.heard(1400) == HeardText(4, False, True)
    assert spoken.heard(2500) == HeardText(15, True, True)
    assert spoken.word_end_after(1600) == 1900
