"""Whether a transcript can be what a recording says: is it written as its language is, and is it as long as the sound?

Neither check knows the words. They catch the mix-ups that happen: text of another language, of another recording.
"""

from __future__ import annotations

import re
import unicodedata
from types import MappingProxyType

from .refusal import bad_field

MIN_SYLLABLES_PER_S, MAX_SYLLABLES_PER_S = 0.7, 12.0
"""Of sound, silence not counted. Speech has 3 to 8; the estimate below is off by half at most."""

LETTERS_PER_SYLLABLE = 3.0
"""Of an alphabet: English has 3.2, Spanish 2.3, German 3.3."""

_HAN = ("CJK", "IDEOGRAPHIC")
_KANA = ("HIRAGANA", "KATAKANA")
_SYLLABIC = (*_HAN, *_KANA, "HANGUL")
_CYRILLIC, _ARABIC, _DEVANAGARI = ("CYRILLIC",), ("ARABIC",), ("DEVANAGARI",)

_SCRIPTS = MappingProxyType(
    {
        **dict.fromkeys(("zh", "cmn", "yue", "wuu", "nan", "hak"), _HAN),
        **dict.fromkeys(("ru", "uk", "be", "bg", "mk"), _CYRILLIC),
        **dict.fromkeys(("ar", "fa", "ur"), _ARABIC),
        **dict.fromkeys(("hi", "mr", "ne"), _DEVANAGARI),
        **dict.fromkeys(
            ("en", "de", "fr", "es", "it", "pt", "nl", "sv", "da", "nb", "no", "fi", "pl", "cs", "ro", "hu", "tr"),
            ("LATIN",),
        ),
        **dict.fromkeys(("id", "ms", "vi", "sw", "ca", "et", "lv", "lt", "sk", "sl", "hr", "is", "ga"), ("LATIN",)),
        "ja": (*_HAN, *_KANA),
        "ko": ("HANGUL", *_HAN),
        "el": ("GREEK",),
        "he": ("HEBREW",),
        "th": ("THAI",),
    }
)
"""How names of characters begin in the script of a language (Unicode Character Database). Others are not checked."""

_PIECE = re.compile(r"[^\W\d_]+|\d")


def check_transcript(transcript: str, language: str, sound_s: float) -> None:
    """Raises VoiceRefused."""
    check_script(transcript, language)
    check_length(transcript, sound_s)


def check_script(transcript: str, language: str) -> None:
    """At least half of the words must be written as the language is. Raises VoiceRefused."""
    expected = _SCRIPTS.get(language.lower().partition("-")[0])
    pieces = [script for script, _ in _pieces(transcript) if script != "DIGIT"]
    if expected is None or not pieces:
        return
    if 2 * sum(script in expected for script in pieces) < len(pieces):
        found = max(set(pieces), key=pieces.count)
        raise bad_field(
            f"'transcript' was expected in the language {language}, but most of it is written in {_spoken(found)}."
        )


def check_length(transcript: str, sound_s: float) -> None:
    """Raises VoiceRefused."""
    num_syllables = sum(_syllables(script, piece) for script, piece in _pieces(transcript))
    low, high = MIN_SYLLABLES_PER_S * sound_s, MAX_SYLLABLES_PER_S * sound_s
    if low <= num_syllables <= high:
        return
    more = "less" if num_syllables < low else "more"
    raise bad_field(
        f"'transcript' was expected to be all that is said in {sound_s:.1f} s of sound, word for word, but it is much "
        f"{more} ({len(transcript)} characters)."
    )


def _pieces(text: str) -> list[tuple[str, str]]:
    """Script and text of every word; each character of a script without blanks is one."""
    found: list[tuple[str, str]] = []
    for match in _PIECE.finditer(unicodedata.normalize("NFKC", text)):
        run, script_of_run = "", ""
        for character in match.group():
            script = "DIGIT" if character.isdigit() else unicodedata.name(character, "?").split()[0].split("-")[0]
            if run and (script != script_of_run or script in _SYLLABIC):
                found.append((script_of_run, run))
                run = ""
            run, script_of_run = run + character, script
        found.append((script_of_run, run))
    return found


def _syllables(script: str, piece: str) -> float:
    if script in _SYLLABIC or script == "DIGIT":
        return 1.0
    return max(1.0, len(piece) / LETTERS_PER_SYLLABLE)


def _spoken(script: str) -> str:
    return "Chinese characters" if script in _HAN else f"{script.capitalize()} letters"
