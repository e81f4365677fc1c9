"""The language of a piece of text, told by its script."""

from __future__ import annotations

from collections import Counter

from .characters import is_han

# Words that make a sentence with Han characters Chinese even if most of it is Latin names.
_CHINESE_PARTICLES = frozenset("的了是在不很吗呢吧和就都也这那把被")
_SCRIPTS = (
    ("\u0370", "\u03ff", "el"),
    ("\u0400", "\u052f", "ru"),
    ("\u0530", "\u058f", "hy"),
    ("\u0590", "\u05ff", "he"),
    ("\u0600", "\u06ff", "ar"),
    ("\u0750", "\u077f", "ar"),
    ("\u0900", "\u097f", "hi"),
    ("\u0980", "\u09ff", "bn"),
    ("\u0a00", "\u0a7f", "pa"),
    ("\u0a80", "\u0aff", "gu"),
    ("\u0b80", "\u0bff", "ta"),
    ("\u0c00", "\u0c7f", "te"),
    ("\u0c80", "\u0cff", "kn"),
    ("\u0d00", "\u0d7f", "ml"),
    ("\u0d80", "\u0dff", "si"),
    ("\u0e00", "\u0e7f", "th"),
    ("\u0e80", "\u0eff", "lo"),
    ("\u1000", "\u109f", "my"),
    ("\u10a0", "\u10ff", "ka"),
    ("\u1200", "\u139f", "am"),
    ("\u1780", "\u17ff", "km"),
    ("\u1f00", "\u1fff", "el"),
    ("\u3040", "\u30ff", "ja"),
    ("\u3100", "\u312f", "zh"),
    ("\uac00", "\ud7a3", "ko"),
)
_TELLTALES = {"ru": ("іїєґІЇЄҐ", "uk"), "ar": ("پچژگ", "fa")}


def language_of(text: str, previous: str = "") -> str:
    """ISO 639-1 code of the dominant language; Latin script counts as English.

    `previous` is the language of the text before: a text without letters goes on in it, and Han characters without
    kana stay Japanese after Japanese.
    """
    counts: Counter[str] = Counter()
    particles = vietnamese = 0
    in_word = False
    for char in text:
        latin = char.isalpha() and (char <= "\u024f" or "\u1e00" <= char <= "\u1eff")
        if latin:
            counts["en"] += not in_word
            vietnamese += char in "ơưđƠƯĐ" or "\u1ea0" <= char <= "\u1ef9"
        elif is_han(char):
            counts["zh"] += 1
            particles += char in _CHINESE_PARTICLES
        elif char > "\u036f" and char.isalpha():
            counts[_by_script(char)] += 1
        in_word = latin or (in_word and char in "'’-")
    if not counts:
        return previous or "en"
    if counts["ja"] or (previous == "ja" and not particles):
        counts["ja"] += counts.pop("zh", 0)
    elif 3 * vietnamese > counts["en"]:
        counts["vi"] = counts.pop("en")
    # Han, kana and Hangul are counted by the character, Latin by the word, which favours the former as it should.
    counts["zh"] += 2 * particles if "zh" in counts else 0
    language = max(counts, key=lambda name: (counts[name], name != "en"))
    letters, other = _TELLTALES.get(language, ("", ""))
    return other if any(char in letters for char in text) else language


def _by_script(char: str) -> str:
    return next((language for low, high, language in _SCRIPTS if low <= char <= high), "en")
