from __future__ import annotations

import pytest

from models.base import Voice
from models.words import expected_seconds, measured_pace


def test_text_takes_as_long_as_its_syllables() -> None:
    assert expected_seconds("你好，世界。", 0.2) == pytest.approx(4 * 0.2)
    assert expected_seconds("sixteen letters!", 0.2) == pytest.approx(14 * 0.38 * 0.2)
    assert expected_seconds("... ！", 0.2) == 0


def test_pace_is_that_of_what_was_said() -> None:
    text = "The morning train arrives at nine."
    assert expected_seconds(text, measured_pace(text, 2.5)) == pytest.approx(2.5)
    assert expected_seconds(2 * text, measured_pace(text, 2.5)) == pytest.approx(5.0)


@pytest.mark.parametrize(("text", "seconds"), [("", 1.0), ("...", 1.0), ("Hello.", 0.0), ("Hello.", -0.1)])
def test_pace_of_nothing_is_the_usual_one(text: str, seconds: float) -> None:
    assert measured_pace(text, seconds) == Voice(name="any", language="en").syllable_s
