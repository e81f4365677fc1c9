"""From espeak's word events to words: which code points, and when they sound.

espeak's own ranges are no captions: a number gives an event for each group of its digits, a phrase of its dictionary
("of the", 你好) one event for all its words, long words are cut at 31 characters, and markers overlap. So a word
reaches from its event to the next one's, without the punctuation and space at its ends; it sounds from its first
sample that is not silent to its last.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence

import numpy as np

from models.base import Pcm, Word
from models.espeak_library import WordEvent
from models.espeak_slot import FIRST_UNSPACED


def place_words(text: str, start: int, end: int, events: Iterable[WordEvent], pcm: Pcm) -> list[Word]:
    """The words of a clause that is text[start:end] and sounds as `pcm`, with times from the clause's first sample.

    Ranges are in order, none overlaps another, none is empty; so are the times.
    """
    marks = _merge(text, start, end, events)
    if not marks:
        return []
    ends = [mark[0] for mark in marks[1:]] + [end]
    times = [sample for _, _, sample in marks[1:]] + [len(pcm)]
    sounding = np.flatnonzero(pcm)
    words = []
    for (begin, told_end, sample), limit, next_sample in zip(marks, ends, times, strict=True):
        text_start, text_end = _trim(text, begin, limit)
        if text_start == text_end:  # a symbol that is spoken: 😀, %
            text_start, text_end = _trim_space(text, begin, min(told_end, limit))
        first, last = np.searchsorted(sounding, (sample, next_sample))
        if text_start < text_end and first < last:
            words.append(Word(text_start, text_end, int(sounding[first]), int(sounding[last - 1]) + 1))
    return words


def _merge(text: str, start: int, end: int, events: Iterable[WordEvent]) -> list[tuple[int, int, int]]:
    """(begin, end, sample) of the events that begin a word: not those inside the range of the one before."""
    marks: list[tuple[int, int, int]] = []
    for event in events:
        begin = start + event.text_start
        told_end = min(begin + max(event.num_chars, 1), end)
        if begin >= end:
            continue
        if marks:
            former_begin, former_end, former_sample = marks[-1]
            if begin == former_begin and text[begin] >= FIRST_UNSPACED and text[begin + 1 : told_end].isdigit():
                marks[-1] = (begin, begin + 1, former_sample)  # 有3 is told twice, once for each
                begin += 1
            elif begin < former_end or _is_fraction(text, begin):
                marks[-1] = (former_begin, max(former_end, told_end), former_sample)
                continue
        marks.append((begin, told_end, event.start))
    return marks


def _is_fraction(text: str, begin: int) -> bool:
    """Whether the .5 of 1.5 begins here."""
    return text[begin] in ".," and text[begin - 1 : begin].isdigit() and text[begin + 1 : begin + 2].isdigit()


def _trim(text: str, start: int, end: int) -> tuple[int, int]:
    """The range without what is no letter, mark or digit at its ends."""
    inside = [index for index in range(start, end) if unicodedata.category(text[index])[0] in "LMN"]
    return (inside[0], inside[-1] + 1) if inside else (start, start)


def _trim_space(text: str, start: int, end: int) -> tuple[int, int]:
    stripped = text[start:end].strip()
    begin = start + text[start:end].find(stripped)
    return begin, begin + len(stripped)


def is_speakable(text: Sequence[str]) -> bool:
    """Whether espeak says something for it: there is a letter, a digit or a symbol with a name (&, %, $, 😀)."""
    return any(unicodedata.category(char)[0] in "LMNS" or char in "&%@#*/\\" for char in text)
