"""The whole way from deltas to segments, and what holds for any text."""

from __future__ import annotations

import time
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from streaming_server.text import MODES, Mode, Segment, TextStream
from streaming_server.text.characters import is_speakable
from streaming_server.text.schedule import MAX_WEIGHT
from tests.streaming_server.text.cases import SEGMENTS

# Pieces rather than characters, so that markup, numbers and abbreviations do occur.
_PIECES = [*"ab hHIw12.,!?;:*_`~-=#+[]()<>&|\\/\n\r\t。，、：“”’你好的カท่าหเк—…😀\u200b\u0301'\"$%é\x00"]
_PIECES += ["http://", "https://", "www.", "](", "```", "\n```\n", "\n\n", "Dr.", "e.g.", "3.14", "<b>", "<!--", "-->"]
_PIECES += [
    "&amp;",
    "\n- ",
    "\n# ",
    "\n| ",
    "| ",
    "hello ",
    "world. ",
    "再见",
    "U.S. ",
    "[x]",
    "[^1]",
    "1. ",
    " \u0915\u094d",
]
TEXTS = st.lists(st.sampled_from(_PIECES), max_size=60).map("".join)
WORDS = st.lists(
    st.sampled_from(["hello", "world,", "you.", "你好", "再见。", "3.14", "Dr.", "yes!\n", "a-b"]), max_size=60
)
PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


def whole(text: str, mode: Mode = "auto") -> list[Segment]:
    stream = TextStream(mode)
    return stream.feed(text) + stream.end()


def in_pieces(text: str, mode: Mode, sizes: list[int]) -> list[Segment]:
    stream = TextStream(mode)
    segments: list[Segment] = []
    start = 0
    for size in [*sizes, len(text)]:
        segments += stream.feed(text[start : start + size])
        start += size
    return segments + stream.end()


@pytest.mark.parametrize(("mode", "text", "expected"), SEGMENTS)
def test_stream_cuts_where_a_reader_would(mode: Mode, text: str, expected: list[str]) -> None:
    assert [segment.text for segment in whole(text, mode)] == expected
    assert [segment.text for segment in in_pieces(text, mode, [1] * len(text))] == expected


@settings(PATIENT, max_examples=400)
@given(text=TEXTS, mode=st.sampled_from(MODES), sizes=st.lists(st.integers(1, 9)))
def test_any_cutting_into_deltas_gives_the_same_segments(text: str, mode: Mode, sizes: list[int]) -> None:
    expected = whole(text, mode)
    assert in_pieces(text, mode, sizes) == expected
    assert in_pieces(text, mode, [1] * len(text)) == expected


@settings(PATIENT, max_examples=400)
@given(text=TEXTS, mode=st.sampled_from(MODES))
def test_positions_point_into_the_original_in_order(text: str, mode: Mode) -> None:
    segments = whole(text, mode)
    assert [segment.index for segment in segments] == list(range(len(segments)))
    for segment in segments:
        assert len(segment.origins) == len(segment.text)
        assert all(a <= b for a, b in pairwise(segment.origins))
        assert segment.origins[0] == segment.text_start
        assert segment.origins[-1] < segment.text_end <= len(text)
        assert any(is_speakable(char) for char in segment.text)
        for char, origin in zip(segment.text, segment.origins, strict=True):
            if is_speakable(char) and "&" not in text:
                assert text[origin] == char
    for before, after in pairwise(segments):
        assert before.text_end <= after.text_start


@settings(PATIENT, max_examples=200)
@given(words=WORDS, mode=st.sampled_from(MODES))
def test_every_letter_is_spoken_once(words: list[str], mode: Mode) -> None:
    text = " ".join(words)
    spoken = [at for segment in whole(text, mode) for at in segment.origins if is_speakable(text[at])]
    assert spoken == [at for at, char in enumerate(text) if is_speakable(char)]


@settings(PATIENT, max_examples=200)
@given(
    text=TEXTS, events=st.lists(st.sampled_from(["pause", "flush", "feed"]), max_size=12), mode=st.sampled_from(MODES)
)
def test_pauses_and_flushes_lose_and_repeat_nothing(text: str, events: list[str], mode: Mode) -> None:
    stream = TextStream(mode)
    segments: list[Segment] = []
    for number, event in enumerate(events):
        segments += stream.feed(text[number * 5 : number * 5 + 5])
        if event == "pause":
            segments += stream.pause()
        elif event == "flush":
            segments += stream.flush()
            assert not stream.pending
    segments += stream.end()
    assert not stream.pending
    origins = [origin for segment in segments for origin in segment.origins]
    assert origins == sorted(origins)
    for before, after in pairwise(segments):
        assert before.text_end <= after.text_start


@pytest.mark.parametrize(
    "unit",
    [
        *(
            "a",
            "的",
            "!",
            "a\u0301",
            "\u0301",
            "(",
            "[",
            "](",
            "`",
            "- ",
            "a.",
            "3,",
            "h",
            "https://a.b/",
            "。",
            "&",
            "\n",
        ),
        *(
            "| a ",
            "hello world. ",
            "1. ",
            '."',
            "<a b='",
            "<b ",
            "*",
            "_a",
            "9",
            "ก",
            "\\",
            "&#1",
            "[^",
            "<!--",
            "😀",
            "I. ",
        ),
    ],
)
def test_time_grows_no_faster_than_the_text(unit: str) -> None:
    def seconds_for(num_chars: int) -> float:
        stream = TextStream()
        text = (unit * num_chars)[:num_chars]
        start = time.process_time()
        for char in text:
            for segment in stream.feed(char):
                assert len(segment.text) <= 700
        stream.end()
        return time.process_time() - start

    short, long = seconds_for(1_500), seconds_for(15_000)
    assert long < 40 * max(short, 0.01)


@pytest.mark.parametrize(
    ("mode", "num_chars"), [("auto", 100_000), ("sentence", 9_000), ("clause", 9_000), ("manual", 9_000)]
)
def test_one_endless_word_is_cut_into_bounded_pieces(mode: Mode, num_chars: int) -> None:
    segments = whole("x" * num_chars, mode)
    assert sum(len(segment.text) for segment in segments) == num_chars
    assert max(len(segment.text) for segment in segments) <= MAX_WEIGHT


def test_forced_cut_leaves_marks_and_vowels_with_their_letter() -> None:
    segments = whole("เก่งมาก" * 200)
    assert len(segments) > 5
    for segment in segments:
        assert segment.text[0] not in "่"
        assert segment.text[-1] not in "เ"


def test_stream_counts_original_characters() -> None:
    stream = TextStream()
    stream.feed("**a** ")
    stream.feed("b")
    assert stream.num_chars == 7


def test_stream_refuses_text_after_the_end() -> None:
    stream = TextStream()
    stream.feed("Done")
    assert [segment.text for segment in stream.end()] == ["Done"]
    assert stream.end() == []
    with pytest.raises(ValueError, match="expected no text after the end"):
        stream.feed("more")


def test_pending_tells_whether_something_is_still_to_be_spoken() -> None:
    stream = TextStream()
    assert not stream.pending
    stream.feed("  **")
    assert not stream.pending
    stream.feed("word")
    assert stream.pending
    stream.flush()
    assert not stream.pending
    stream.feed(" http")  # held by the cleaner: it may become a URL
    assert stream.pending
    assert [segment.text for segment in stream.flush()] == ["http"]
    stream.feed("\n```py")
    assert not stream.pending


def test_code_block_stays_open_over_a_flush() -> None:
    stream = TextStream()
    assert stream.feed("```py") + stream.flush() == []
    assert stream.feed("thon\nsecret = 1\n") + stream.flush() == []
    segments = stream.feed("```\nAfter.") + stream.end()
    assert [segment.text for segment in segments] == ["After."]


@pytest.mark.parametrize(
    ("text", "spoken", "later", "rest"),
    [
        ("Hello wor", ["Hello"], "ld", ["world"]),
        ("It is 3.", ["It is"], "14", ["3.14"]),
        ("I met Dr", ["I met"], ". No", ["Dr. No"]),
        ("I met Dr.", ["I met"], " No", ["Dr. No"]),
        ("I met Dr. ", ["I met"], "No", ["Dr. No"]),
        ("About 1,", ["About"], "000", ["1,000"]),
        ("At 3:", ["At"], "30", ["3:30"]),
        ("See No. ", ["See"], "5", ["No. 5"]),
        ("It is done.", ["It is done."], " Good", ["Good"]),
        ("It is done", ["It is"], "!", ["done!"]),
        ("(It is so)", ["(It is so)"], " x", ["x"]),
        ("I think ", ["I think"], "so", ["so"]),
        ("我觉得", ["我觉得"], "可以", ["可以"]),
        ("大约3", ["大约"], "天", ["3天"]),
        ("我用Pyth", ["我用"], "on写", ["Python写"]),
        ("what?", ["what?"], " yes", ["yes"]),
        ("half", [], "way", ["halfway"]),
        ("", [], "x", ["x"]),
        ("...", [], "x", ["x"]),
        ("see http", ["see"], "s://a.io/b ", ["a.io"]),
    ],
)
def test_pause_speaks_only_what_is_whole(text: str, spoken: list[str], later: str, rest: list[str]) -> None:
    stream = TextStream("manual")
    assert stream.feed(text) == []
    assert [segment.text for segment in stream.pause()] == spoken
    assert stream.feed(later) == []
    assert [segment.text for segment in stream.flush()] == rest


def test_segment_after_a_pause_is_short_again() -> None:
    stream = TextStream()
    stream.feed("This is a first sentence. And there is another one, quite long. And so on it goes for ever. ")
    stream.flush()
    assert [segment.text for segment in stream.feed("Now and then, we go")] == ["Now and then,"]
    stream.pause()
    assert [segment.text for segment in stream.feed(" on again, my friend")] == ["go on again,"]


_MARKED_UP = [
    "hello",
    "world,",
    "you.",
    "你好",
    "再见。",
    "3.14",
    "Dr.",
    "yes!\n",
    "**bold**",
    "`x_y`",
    "[l](http://a.io/b)",
]
_MARKED_UP += [
    "\n\n- item",
    "\n- ",
    "https://a.io/b",
    "e.g.",
    "“so.”",
    "wait…",
    "\n## Head\n",
    "😀",
    "and",
    "| a | b |\n",
    "、",
]


@settings(PATIENT, max_examples=200)
@given(text=st.lists(st.sampled_from(_MARKED_UP), max_size=40).map(" ".join))
def test_manual_with_flushes_at_the_ends_gives_the_same_segments(text: str) -> None:
    expected = whole(text)
    stream = TextStream("manual")
    again: list[Segment] = []
    start = 0
    for segment in expected:
        again += stream.feed(text[start : segment.text_end]) + stream.flush()
        start = segment.text_end
    again += stream.feed(text[start:]) + stream.end()
    assert [segment.text for segment in again] == [segment.text for segment in expected]


@pytest.mark.parametrize(
    ("deltas", "cut"),
    [
        (["Yes", ".", " "], ["Yes."]),
        (["OK", "!", " "], ["OK!"]),
        (["No", ".", " ", "I"], ["No."]),
        (["Well", ",", " "], ["Well,"]),
        (["你好", "，"], ["你好，"]),
        (["嗯", "。"], ["嗯。"]),
        (["Hello there", ",", " "], ["Hello there,"]),
        (["I am here", ".", " "], ["I am here."]),
        (["你好世界", "，"], ["你好世界，"]),
        (["好的", "。"], ["好的。"]),
        (["Title", "\n", "\n"], ["Title"]),
        (["# Title", "\n"], ["Title"]),
        (["**Hello there,", "*", "*", " "], ["Hello there,"]),
    ],
)
def test_clause_is_cut_with_the_very_character_that_decides_it(deltas: list[str], cut: list[str]) -> None:
    stream = TextStream()
    for delta in deltas[:-1]:
        assert stream.feed(delta) == []
    assert [segment.text for segment in stream.feed(deltas[-1])] == cut


def test_range_of_a_segment_covers_the_markup_inside() -> None:
    text = "See **[the docs](https://docs.org/x)** now, please."
    (first, second) = whole(text)
    assert text[first.text_start : first.text_end] == "See **[the docs](https://docs.org/x)** now,"
    assert text[second.text_start : second.text_end] == "please."
    (host,) = whole("Go https://a.io/b?c#d")
    assert host.text_end == len("Go https://a.io/b?c#d")
