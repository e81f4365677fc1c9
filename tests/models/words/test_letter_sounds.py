from __future__ import annotations

import pytest

from models.words.letter_sounds import HISS, LONG, ONSET, RIME, SHORT, SOFT_STOP, SONORANT, STOP, USUAL_MS, WEAK, spell


def sounds(word: str) -> tuple[int, ...]:
    (spelling,) = spell(word)
    return spelling.sounds


def usual_ms(text: str) -> float:
    return sum(USUAL_MS[sound] for word in spell(text) for sound in word.sounds)


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("ship", (HISS, SHORT, STOP)),
        ("knee", (SONORANT, LONG)),
        ("late", (SONORANT, LONG, STOP)),  # its e is silent, and makes the a long
        ("needed", (SONORANT, LONG, SOFT_STOP, WEAK, SOFT_STOP)),
        ("station", (HISS, STOP, SHORT, HISS, WEAK, SONORANT)),
        ("letter", (SONORANT, SHORT, STOP, LONG)),
        ("night", (SONORANT, LONG, STOP)),
        ("好", (ONSET, RIME)),
        ("的", (ONSET, WEAK)),
        ("안녕", (ONSET, RIME, ONSET, RIME)),
    ],
)
def test_word_is_spelled_in_kinds_of_sounds(word: str, expected: tuple[int, ...]) -> None:
    assert sounds(word) == expected


def test_accents_and_capitals_change_no_sound() -> None:
    assert sounds("ÉTÁT") == sounds("etat")


def test_every_word_has_a_sound_that_can_be_held() -> None:
    for word in ("m", "pst", "ж", "ß", "7", "½", "ø", "ㅋㅋ"):
        assert usual_ms(word) >= USUAL_MS[WEAK], word


def test_longer_texts_take_longer() -> None:
    assert usual_ms("a") < usual_ms("of the") < usual_ms("number") < usual_ms("remarkable") < usual_ms("1,234")
    assert usual_ms("你好") == 2 * usual_ms("好")


@pytest.mark.parametrize(
    ("text", "pauses"),
    [
        ("One, two. Three", [1, 2, 0]),
        ("One (two) three!", [1, 1, 2]),
        ("Well-known - or not", [1, 0, 0]),
        ("你好，世界。", [0, 1, 0, 2]),
        ("“Yes”, he said…", [1, 0, 2]),
    ],
)
def test_punctuation_asks_for_pauses(text: str, pauses: list[int]) -> None:
    assert [word.pause for word in spell(text)] == pauses
