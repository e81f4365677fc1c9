from __future__ import annotations

import numpy as np
import pytest

from models.base import Word
from models.espeak_library import WordEvent
from models.espeak_words import is_speakable, place_words

LOUD = np.ones(1000, np.int16)


def ranges(text: str, *events: tuple[int, int], start: int = 0) -> list[str]:
    """The words' texts; the events come 100 samples apart."""
    told = [WordEvent(begin, length, 100 * order) for order, (begin, length) in enumerate(events)]
    return [text[word.text_start : word.text_end] for word in place_words(text, start, len(text), told, LOUD)]


def test_word_reaches_from_event_to_event_without_punctuation() -> None:
    assert ranges("“Hello”, (my) world!", (1, 5), (10, 2), (14, 5)) == ["Hello", "my", "world"]
    assert ranges("don't well-known 3.14", (0, 5), (6, 10), (17, 4)) == ["don't", "well-known", "3.14"]


def test_phrase_of_one_event_is_one_word() -> None:
    assert ranges("state of the art", (0, 5), (6, 2), (13, 3)) == ["state", "of the", "art"]
    assert ranges("你好世界", (0, 1), (2, 1), (3, 1)) == ["你好", "世", "界"]


def test_events_inside_a_word_belong_to_it() -> None:
    assert ranges("123 dogs", (0, 3), (1, 3), (1, 3), (4, 4)) == ["123", "dogs"]


def test_number_behind_a_chinese_character_is_a_word_of_its_own() -> None:
    assert ranges("他有3.5个", (0, 1), (1, 2), (1, 2), (3, 2), (5, 1)) == ["他", "有", "3.5", "个"]
    assert ranges("第25个", (0, 3), (0, 3), (1, 2), (3, 1)) == ["第", "25", "个"]


def test_word_longer_than_an_event_can_tell_is_whole() -> None:
    assert ranges("a" * 50 + " b", (0, 31), (51, 1)) == ["a" * 50, "b"]


def test_spoken_symbols_are_words_and_silent_ones_are_not() -> None:
    assert ranges("50 % 😀.", (0, 2), (3, 1), (5, 1)) == ["50", "%", "😀"]
    assert ranges("a , b", (0, 1), (1, 1), (4, 1)) == ["a", "b"]


def test_event_positions_count_from_the_clause() -> None:
    assert ranges("One. Two three.", (0, 3), (4, 5), start=5) == ["Two", "three"]
    assert ranges("One. Two.", (0, 3), (44, 5), start=5) == ["Two"]
    assert ranges("none") == []


def test_word_sounds_from_its_first_loud_sample_to_its_last() -> None:
    pcm = np.array([0, 0, 5, 5, 0, 0, 0, 7, 7, 7, 0, 0], np.int16)
    events = [WordEvent(0, 1, 0), WordEvent(2, 1, 5), WordEvent(4, 1, 11)]
    assert place_words("a b c", 0, 5, events, pcm) == [Word(0, 1, 2, 4), Word(2, 3, 7, 10)]


@pytest.mark.parametrize("text", ["a", "é", "你", "7", "%", "&", "€", "😀", "...x", "٣"])
def test_text_with_a_name_is_speakable(text: str) -> None:
    assert is_speakable(text)


@pytest.mark.parametrize("text", ["", " \n", "...", "?!", "。」", "“”", "—", "\x00\x1b", "\u200b"])
def test_punctuation_alone_is_not_speakable(text: str) -> None:
    assert not is_speakable(text)
