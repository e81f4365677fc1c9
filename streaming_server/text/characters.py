"""What a single character is to a voice: silent or spoken, spaced or unspaced script, how long it takes to say."""

from __future__ import annotations

import unicodedata

PARAGRAPH = "\u2029"
"""In cleaned text: a break that is certain, such as a blank line or the next list item."""
NEWLINE = "\n"
"""In cleaned text: the end of a line, which may be no more than the margin of a wrapped paragraph."""
BREAKS = frozenset((NEWLINE, PARAGRAPH))

SENTENCE_STOPS = frozenset("。！？｡।॥؟۔။។៕።།։\u203c\u2047\u2048\u2049")
"""Stops that end a sentence wherever they stand: no look-ahead is needed. The full stop, `!` and `?` are not here."""
CLAUSE_STOPS = frozenset("，；：､،؛၊፣፤፥—\uff64")
"""Commas and their kin that end a clause wherever they stand."""
ENUMERATION_COMMA = "、"
"""A list comma in Chinese, the plain comma in Japanese."""
CLOSERS = frozenset("\"'”’»›)]}）］｝」』】〉》〕〗〙〞")
"""What may stand between a stop and the end of its sentence."""
OPENERS = frozenset("“‘«‹([{（［｛「『【〈《〔〖〘〝¿¡")

_SPACES = frozenset(
    " \t\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000"
)
LINE_ENDS = frozenset("\n\r\v\f\x85\u2028\u2029")

# Emoji, rulers, shapes and dingbats are drawn, not said. Arrows (U+2190..U+21FF) are kept.
_PICTURES = (
    (0x2300, 0x23FF),  # technical
    (0x2400, 0x245F),  # control pictures, optical recognition
    (0x2500, 0x27BF),  # box drawing, blocks, shapes, symbols, dingbats
    (0x2800, 0x28FF),  # braille, used as spinners
    (0x2B00, 0x2BFF),  # more arrows and stars
    (0xE000, 0xF8FF),  # private use
    (0xFE00, 0xFE0F),  # variation selectors
    (0xFFF0, 0x1000F),  # specials, among them the replacement character
    (0x1F000, 0x1FAFF),  # emoji, flags, cards, tiles
    (0xE0000, 0x10FFFF),  # tags, supplementary variation selectors, private use
)
_JOINERS = "\u200c\u200d"
_UNSPACED = (
    (0x0E00, 0x0EFF),  # Thai, Lao
    (0x1000, 0x109F),  # Myanmar
    (0x1780, 0x17FF),  # Khmer
    (0x3005, 0x3007),  # ideographic repetition, zero
    (0x3040, 0x30FF),  # kana
    (0x3100, 0x312F),  # bopomofo
    (0x31F0, 0x31FF),  # small kana
    (0x3400, 0x4DBF),  # Han
    (0x4E00, 0x9FFF),
    (0xF900, 0xFAFF),
    (0xFF66, 0xFF9F),  # half-width kana
    (0x20000, 0x323AF),
)


def is_space(char: str) -> bool:
    return char in _SPACES


def is_ascii_alnum(char: str) -> bool:
    return char.isascii() and char.isalnum()


def is_han(char: str) -> bool:
    return "\u4e00" <= char <= "\u9fff" or "\u3400" <= char <= "\u4dbf" or "\U00020000" <= char <= "\U000323af"


def is_unspaced(char: str) -> bool:
    """True for scripts that do not put spaces between words: Han, kana, Thai, Lao, Khmer, Myanmar."""
    if char < "\u0e00":
        return False
    code = ord(char)
    return any(low <= code <= high for low, high in _UNSPACED)


def is_mark(char: str) -> bool:
    """True for what attaches to the letter before it: combining marks, joiners, the long-vowel sign."""
    return char >= "\u0300" and (unicodedata.category(char)[0] == "M" or char in _JOINERS or char in "ーｰ々ゝヽ")


def is_speakable(char: str) -> bool:
    """True for letters and digits of any script: without one of them a text has nothing to say."""
    return char.isalnum()


def is_picture(char: str) -> bool:
    """True for emoji, box drawing and their modifiers: dropped, but they part the words beside them."""
    if char < "\u20d0":
        return False
    code = ord(char)
    return code == 0x20E3 or any(low <= code <= high for low, high in _PICTURES)


def is_invisible(char: str, previous: str) -> bool:
    """True for controls, zero-width and bidirectional characters, surrogates and the unassigned.

    The joiners stay after a letter of the scripts that spell with them (Arabic to Sinhala).
    """
    if char < "\x7f":
        return char < " "
    if char < "\xae":
        return char < "\xa0" or char == "\xad"
    if char in _JOINERS:
        return not "\u0600" <= previous <= "\u0dff"
    return unicodedata.category(char) in ("Cc", "Cf", "Cs", "Cn", "Co")


def spoken_weight(char: str) -> int:
    """How long the character takes to say, in letters of English (about 65 ms each)."""
    if char.isascii():
        return 3 if char.isdigit() else 1 if char.isalpha() else 0
    if not char.isalnum():
        return 0
    if is_han(char) or "\uac00" <= char <= "\ud7a3":
        return 3
    return 2 if "\u3040" <= char <= "\u30ff" else 1
