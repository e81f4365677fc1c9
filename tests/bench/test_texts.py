"""The benches' texts: endless, never the same, and whole at their last delta and not before."""

from __future__ import annotations

from itertools import pairwise

import pytest

from bench.texts import LANGUAGES, Texts, deltas
from streaming_server.text.stream import TextStream


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_clause_becomes_a_segment_at_its_last_delta_and_not_before(language: str) -> None:
    texts = Texts(language, seed=1)
    for _ in range(200):
        *others, last = deltas(texts.clause())
        stream = TextStream("auto", language)
        assert [segment for delta in others for segment in stream.feed(delta)] == []
        assert len(stream.feed(last)) == 1


@pytest.mark.parametrize("language", LANGUAGES)
def test_clauses_differ(language: str) -> None:
    texts = Texts(language, seed=1)
    clauses = [texts.clause() for _ in range(210)]
    assert len(set(clauses)) > 180
    assert all(clause != following for clause, following in pairwise(clauses))


def test_the_same_seed_writes_the_same() -> None:
    assert [Texts("zh", 5).sentence() for _ in range(2)] == [Texts("zh", 5).sentence() for _ in range(2)]


@pytest.mark.parametrize("language", LANGUAGES)
def test_deltas_are_the_whole_text(language: str) -> None:
    sentence = Texts(language, seed=3).sentence()
    parts = list(deltas(sentence))
    assert "".join(parts) == sentence
    assert len(parts) > 8


def test_a_language_without_words_is_refused() -> None:
    with pytest.raises(ValueError, match="expected one of en, zh, got fr"):
        Texts("fr", seed=1)
