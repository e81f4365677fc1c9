"""Where the first word is that was not heard."""

from __future__ import annotations

import pytest

from protocol.messages import Segment, Words, WordTiming
from protocol.told import Restart, Told

TEXT = "One two. Three four."
ONE, TWO, THREE = WordTiming(0, 3, 0, 10), WordTiming(4, 7, 12, 20), WordTiming(9, 14, 30, 40)


def told(*words: WordTiming, segments: tuple[tuple[int, int, int], ...] = (), estimated: bool = False) -> Told:
    it = Told()
    for index, (start, end, pts) in enumerate(segments):
        it.segments.append(Segment(utterance="u", index=index, text_start=start, text_end=end, spoken="", pts=pts))
    it.add_words(Words(utterance="u", words=words, estimated=estimated))
    return it


@pytest.mark.parametrize(
    ("end", "text_start", "pts"),
    [
        pytest.param(0, 0, 0, id="nothing is heard"),
        pytest.param(9, 0, 0, id="a word that is cut is begun anew"),
        pytest.param(10, 4, 10, id="a word that is whole is not"),
        pytest.param(13, 4, 12, id="sound of a word that is not whole is dropped"),
        pytest.param(25, 9, 25, id="what has come of a pause is kept"),
        pytest.param(45, 14, 45, id="what follows the last word that was told"),
    ],
)
def test_the_first_word_that_is_not_whole_is_found(end: int, text_start: int, pts: int) -> None:
    it = told(ONE, TWO, THREE, segments=((0, 9, 0), (9, 20, 30)))
    assert it.first_unheard(0, end) == Restart(text_start=text_start, pts=pts, estimated=False)


def test_an_estimate_is_said_to_be_one_until_it_is_corrected() -> None:
    it = told(ONE, TWO, estimated=True)
    assert it.first_unheard(0, 11).estimated
    assert it.first_unheard(0, 50).estimated
    it.add_words(Words(utterance="u", words=(TWO,), estimated=False))
    assert not it.first_unheard(0, 11).estimated


def test_without_words_the_segment_is_begun_anew() -> None:
    it = told(segments=((0, 9, 0), (9, 20, 30)))
    assert it.first_unheard(0, 35) == Restart(text_start=9, pts=30, estimated=False)
    assert it.first_unheard(0, 30) == Restart(text_start=9, pts=30, estimated=False)
    assert told(ONE, TWO, segments=((0, 9, 0), (9, 20, 30))).first_unheard(0, 35).text_start == 9


def test_what_was_told_before_the_last_joint_does_not_count() -> None:
    it = told(ONE, segments=((0, 4, 0),))
    assert it.first_unheard(4, 12) == Restart(text_start=4, pts=12, estimated=False)
    assert Told().first_unheard(0, 0) == Restart(text_start=0, pts=0, estimated=False)


def test_what_will_be_told_again_is_forgotten() -> None:
    it = told(ONE, TWO, THREE, segments=((0, 9, 0), (9, 20, 30)), estimated=True)
    it.forget_from(4)
    assert it.words == [ONE]
    assert [(segment.text_start, segment.text_end) for segment in it.segments] == [(0, 4)]
    assert it.first_unheard(0, 10).estimated


def test_a_listener_who_stops_is_found_in_the_text() -> None:
    it = told(ONE, TWO, THREE)
    spoken = it.spoken(TEXT, 15)
    assert (spoken.text_end, spoken.pts, spoken.mid_word, spoken.estimated) == (7, 15, True, True)
    assert (spoken.text, spoken.remaining) == ("One two", ". Three four.")
    assert not it.spoken(TEXT, 25).mid_word
    assert it.spoken(TEXT, 0).remaining == TEXT
