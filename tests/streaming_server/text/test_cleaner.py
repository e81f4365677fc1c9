"""What is taken out of a text, and what is not."""

from __future__ import annotations

import pytest

from streaming_server.text.characters import PARAGRAPH
from streaming_server.text.cleaner import Cleaner
from streaming_server.text.glyphs import Glyph
from tests.streaming_server.text.cases import CLEANED


def cleaned(glyphs: list[Glyph]) -> str:
    return "".join(char for char, _, _ in glyphs).replace(PARAGRAPH, "¶")


@pytest.mark.parametrize(("text", "expected"), CLEANED)
def test_cleaner_keeps_what_is_spoken(text: str, expected: str) -> None:
    cleaner = Cleaner()
    assert cleaned(cleaner.feed(text) + cleaner.flush()) == expected


@pytest.mark.parametrize(("text", "expected"), CLEANED)
def test_cleaner_does_not_mind_where_deltas_are_cut(text: str, expected: str) -> None:
    cleaner = Cleaner()
    glyphs = [glyph for char in text for glyph in cleaner.feed(char)]
    assert cleaned(glyphs + cleaner.flush()) == expected
