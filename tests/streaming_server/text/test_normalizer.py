"""What is written, and what is said for it."""

from __future__ import annotations

import logging
import time
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from streaming_server.text import Normalizer, Segment, Spoken
from streaming_server.text.stream import TextStream
from streaming_server.text.verbalizer import Verbalizer
from tests.streaming_server.text.cases import SPOKEN_CHINESE, SPOKEN_ENGLISH

NORMALIZER = Normalizer()
PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
PLAIN_WORDS = (
    "I",
    "don't",
    "know.",
    "Hello,",
    "it's",
    "cat's",
    "你好",
    "吗？",
    "—",
    "(so)",
    "“well”",
    "e-mail",
    "café",
    "…",
)


def segment(text: str, language: str, offset: int = 0) -> Segment:
    origins = tuple(range(offset, offset + len(text)))
    return Segment(0, text, origins, offset, offset + len(text), language)


def said(text: str, language: str = "en") -> str:
    return NORMALIZER.normalize(segment(text, language)).text


@pytest.mark.parametrize(("written", "spoken"), SPOKEN_ENGLISH)
def test_english_is_said_as_a_speaker_would(written: str, spoken: str) -> None:
    assert said(written, "en-US") == spoken


@pytest.mark.parametrize(("written", "spoken"), SPOKEN_CHINESE)
def test_chinese_is_said_as_a_speaker_would(written: str, spoken: str) -> None:
    assert said(written, "zh") == spoken


@pytest.mark.parametrize("language", ["ja", "fr", "ar", ""])
def test_other_languages_pass_untouched(language: str) -> None:
    plain = NORMALIZER.plain(segment("3,50 € & 2024", language))
    assert plain is not None
    assert plain.text == "3,50 € & 2024"


@pytest.mark.parametrize("language", ["zh-CN", "cmn", "yue", "ZH"])
def test_all_tags_of_chinese_are_chinese(language: str) -> None:
    assert said("2个", language) == "两个"


def _range_of(spoken: Spoken, words: str) -> tuple[int, int]:
    start = spoken.text.index(words)
    return spoken.span(start, start + len(words))


def test_span_gives_the_written_range_of_spoken_words() -> None:
    text = "It costs $3.50 on Jan. 5, ok"
    spoken = NORMALIZER.normalize(segment(text, "en", offset=100))
    assert spoken.text == "It costs three dollars fifty on January fifth, ok"
    assert _range_of(spoken, "costs") == (103, 108)
    for words in ("three", "dollars", "fifty", "three dollars fifty"):
        assert _range_of(spoken, words) == (109, 114)
    assert _range_of(spoken, "January") == _range_of(spoken, "fifth") == (118, 124)
    assert _range_of(spoken, "on January") == (115, 124)
    assert _range_of(spoken, "ok") == (126, 128)
    assert spoken.span(0, 10_000) == (100, 128)
    assert spoken.span(5, 5) == (105, 105)
    assert spoken.span(-3, 0) == (100, 100)
    assert spoken.span(10_000, 10_001) == (128, 128)
    assert Spoken("", (), ()).span(0, 1) == (0, 0)


@pytest.mark.parametrize(
    "sentence", ["It is a long way to the sea, and nobody walked it yet. ", "这是一句很长的话，没有人走过。"]
)
def test_what_is_kept_of_a_long_text_takes_little_room(sentence: str) -> None:
    text = sentence * 100
    stream = TextStream()
    tracemalloc.start()
    try:
        kept = [(cut, NORMALIZER.normalize(cut)) for cut in stream.feed(text)]
        num_bytes, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(kept) > 20
    assert num_bytes / len(text) < 50


def test_span_reaches_over_markup_inside() -> None:
    cut = Segment(0, "in 2024 go", (0, 1, 2, 5, 6, 9, 10, 13, 14, 15), 0, 16, "en")  # "in **20**24** go"
    spoken = NORMALIZER.normalize(cut)
    assert spoken.text == "in twenty twenty four go"
    assert _range_of(spoken, "twenty twenty four") == (5, 11)


_PIECES = [
    *"abcIVXvx0123456789.,:;-/'\"$€£¥￥%°+=*^<>#@&_~()[]{}|\\½²→ 　％０",
    "Dr.",
    "St.",
    "No. ",
    "am",
    "p.m.",
    "km/h",
    "GB",
]
_PIECES += [
    "Jan",
    "May ",
    "2024",
    "年",
    "月",
    "个",
    "第",
    "比分",
    "你好",
    "，",
    "。",
    "x",
    "e5",
    "www.a.com",
    "$",
    " to ",
    "́",
    "\ud800",
]
TEXTS = st.lists(st.sampled_from(_PIECES), max_size=24).map("".join)


@settings(PATIENT, max_examples=400)
@given(text=st.one_of(TEXTS, st.text(max_size=40)), language=st.sampled_from(["en", "zh"]))
def test_normalizer_never_raises_and_keeps_its_place(text: str, language: str) -> None:
    spoken = NORMALIZER.normalize(segment(text, language))
    assert len(spoken.text) == len(spoken.origins) == len(spoken.ends)
    assert all(a <= b for a, b in pairwise(spoken.origins))
    assert all(a <= b for a, b in pairwise(spoken.ends))
    assert all(0 <= a < b <= len(text) for a, b in zip(spoken.origins, spoken.ends, strict=True))


@settings(PATIENT, max_examples=300)
@given(text=TEXTS, language=st.sampled_from(["en", "zh"]))
def test_no_digit_is_left_for_the_voice(text: str, language: str) -> None:
    assert not any(char in "0123456789" for char in said(text, language))


@settings(PATIENT, max_examples=200)
@given(
    words=st.lists(
        st.sampled_from(
            [
                "I",
                "don't",
                "know.",
                "Hello,",
                "it's",
                "the",
                "cat's",
                "你好",
                "吗？",
                "—",
                "(so)",
                "“well”",
                "e-mail",
                "café",
                "…",
            ]
        )
    )
)
def test_plain_words_are_left_as_they_are(words: list[str]) -> None:
    text = " ".join(words)
    for language in ("en", "zh"):
        plain = NORMALIZER.plain(segment(text, language))
        assert plain is not None
        assert plain.text == text
        assert NORMALIZER.normalize(segment(text, language)) == plain


@pytest.mark.parametrize(
    "text", ["9" * 5000, "1." * 2000, "1-" * 2000, "$" * 3000, "a1" * 2000, "1/" * 2000, "." * 3000]
)
@pytest.mark.parametrize("language", ["en", "zh"])
def test_pathological_tokens_take_no_longer_than_their_length_warrants(text: str, language: str) -> None:
    start = time.process_time()
    said(text, language)
    assert time.process_time() - start < 2


def test_one_normalizer_serves_many_threads() -> None:
    normalizer = Normalizer()
    normalizer.warm()
    texts = [f"距离{number}km" for number in range(100, 140)]
    with ThreadPoolExecutor(8) as pool:
        spoken = list(pool.map(lambda text: normalizer.normalize(segment(text, "zh")).text, texts))
    assert spoken == [said(text, "zh") for text in texts]
    assert spoken[0] == "距离一百公里"


@pytest.mark.parametrize("token", ["#1", "plain", "", "\ud800"])
def test_verbalizer_admits_what_it_cannot_say(token: str) -> None:
    assert Verbalizer().say(token, "en") is None


def test_normalizer_is_silent(caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> None:
    with caplog.at_level(logging.DEBUG):
        said("5km #1 20 Wb", "zh")
        said("5km #1 20 Wb", "en")
    assert caplog.records == []
    assert capfd.readouterr() == ("", "")
