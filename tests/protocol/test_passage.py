"""The numbers of one session, in those of the whole utterance."""

from __future__ import annotations

from protocol.errors import ErrorCode
from protocol.messages import Error, FormatChanged, Spoken, Words, WordTiming
from protocol.passage import Passage
from tests.protocol.pair import PCM, make_audio, make_done, make_segment, make_started

PASSAGE = Passage(utterance="u~1", text="Hello ", pts=40, seq=3, num_segments=2)


def test_the_first_passage_has_the_utterances_own_numbers() -> None:
    assert Passage(utterance="u").is_first
    assert not PASSAGE.is_first


def test_what_is_told_keeps_its_place_in_the_whole() -> None:
    segment = PASSAGE.in_whole(make_segment("u~1", pts=8), "u")
    assert (segment.utterance, segment.seq) == ("u", 3)
    assert segment == type(segment)(utterance="u", seq=3, index=2, text_start=6, text_end=8, spoken="hi", pts=48)  # type: ignore[call-arg]
    words = Words(utterance="u~1", seq=1, words=(WordTiming(0, 2, 8, 12),), estimated=True)
    assert PASSAGE.in_whole(words, "u") == Words(
        utterance="u", seq=4, words=(WordTiming(6, 8, 48, 52),), estimated=True
    )
    audio = PASSAGE.in_whole(make_audio("u~1", pts=8), "u")
    assert (audio.seq, audio.pts) == (3, 48)  # type: ignore[union-attr]


def test_the_end_counts_all() -> None:
    spoken = Spoken(text_end=2, pts=12, mid_word=False, estimated=False, text="hi", remaining=" you")
    done = PASSAGE.in_whole(make_done("u~1", samples=12, reason="cancelled", spoken=spoken), "u")
    assert (done.samples, done.text_chars) == (52, 8)  # type: ignore[union-attr]
    assert done.spoken == Spoken(  # type: ignore[union-attr]
        text_end=8, pts=52, mid_word=False, estimated=False, text="Hello hi", remaining=" you"
    )
    assert PASSAGE.in_whole(make_done("u~1"), "u").spoken is None  # type: ignore[union-attr]


def test_what_has_no_numbers_gets_none() -> None:
    assert PASSAGE.in_whole(make_started("u~1"), "u").seq == 3
    refused = Error(code=ErrorCode.BUSY, message="no", utterance="u~1")
    assert PASSAGE.in_whole(refused, "u") == Error(code=ErrorCode.BUSY, message="no", utterance="u")
    changed = PASSAGE.in_whole(FormatChanged(utterance="u~1", audio=PCM), "u")
    assert changed == FormatChanged(utterance="u", seq=3, audio=PCM)
