"""How long a text is to be spoken, and what it will sound like, guessed from its letters.

No dictionary: spelling rules give each word a row of sounds of a few broad kinds (vowel, hiss, stop ...), with usual
lengths. That is enough to find the words again in their sound (`models.word_times`).
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

_EAST_ASIAN = "\u2e80"  # scripts from here on have a syllable or more in a character
_HANGUL = ("\uac00", "\ud7af")  # but spaces between words

_WORD = re.compile(r"e[+]*|[ld](?:[ld+]|j(?=[ld])|(?<=d)\.(?=d))*")
"""In the classes of `_character_class`: a Chinese or Japanese character, or a run of other letters and digits."""

# Kinds of sounds: three strengths of vowels; m l r w; s f sh; z v th; p t k; b d g; h; the two halves of a Chinese
# syllable; silence where the text asks for it, and where it does not. `models.sound_score` tells what they sound like.
NUM_KINDS = 13
LONG, SHORT, WEAK, SONORANT, HISS, BUZZ, STOP, SOFT_STOP, BREATH, ONSET, RIME, PAUSE, GAP = range(NUM_KINDS)

USUAL_MS = {
    LONG: 110.0,
    SHORT: 97.0,
    WEAK: 55.0,
    SONORANT: 61.0,
    HISS: 81.0,
    BUZZ: 57.0,
    STOP: 68.0,
    SOFT_STOP: 61.0,
    BREATH: 60.0,
    ONSET: 80.0,
    RIME: 180.0,
}

_STRONG_BREAK = re.compile(r"[.!?;:。！？；：…\n—]")
_BREAK = re.compile(r"[,，、()（）–\"“”«»]|\s[-–]\s")

_RULES: tuple[tuple[str, tuple[int, ...]], ...] = (
    (r"^the$", (BUZZ, WEAK)),
    (r"(?<=^.)e$|(?<=^sh)e$", (LONG,)),  # he, she
    (r"[tsc]ion|[tc]ious", (HISS, WEAK, SONORANT)),
    (r"ture", (HISS, WEAK)),
    (r"ough|augh|eigh|igh", (LONG,)),
    (r"tch|sch|ch|sh|ph", (HISS,)),
    (r"th", (BUZZ,)),
    (r"gh|(?<=m)b$|(?<=[^aeiou]l)e$", ()),
    (r"^kn|^wr|^wh|^gn|ng|mm|nn|ll|rr|[mnlrw]|^y", (SONORANT,)),
    (r"qu", (STOP, SONORANT)),
    (r"(?<=[td])ed$", (WEAK, SOFT_STOP)),
    (r"ed$", (SOFT_STOP,)),
    (r"(?<=[sxzhcg])es$", (WEAK, BUZZ)),
    (r"ck|pp|tt|cc(?![eiy])|kk|[ptkq]|c(?![eiy])", (STOP,)),
    (r"bb|dd|gg|[bdg]", (SOFT_STOP,)),
    (r"j", (SOFT_STOP, BUZZ)),
    (r"x", (STOP, HISS)),
    (r"ss|ff|[sf]|c", (HISS,)),
    (r"zz|[zv]", (BUZZ,)),
    (r"h", (BREATH,)),
    (r"[aeiou]r(?![aeiouyr])", (LONG,)),
    (r"[aeiou][aeiouyw]+|y[aeiou]+|[aeiou](?=[^aeiouywx]es?$)|o$", (LONG,)),
    (r"e(?=s?$)", ()),
    (r"[aeiouy]", (SHORT,)),
    (r"[0-9]", (HISS, LONG, SONORANT)),
    (r"[^\W_]", (SHORT,)),  # of another alphabet
)
"""Spelling of English, which does for what else is written in Latin letters: the first rule that fits is taken."""

_RULE = re.compile("|".join(f"({pattern})" for pattern, _ in _RULES))

_REDUCED = frozenset(
    re.findall(
        r"\w+",
        "a an the of to and or for from at as is in it its that than but was were are be been his her him them our "
        "your you some can could would should had has have do does will shall with not am on by if so me my we he she",
    )
)
_UNSTRESSED = frozenset("的了着么们吗呢吧啊子个得地")
_VOWELS = (LONG, SHORT, WEAK)


@dataclass(frozen=True, slots=True)
class Spelling:
    """A word of the text: its range of code points, its sounds, and the pause that the text asks for after it."""

    text_start: int
    text_end: int
    sounds: tuple[int, ...]
    pause: int  # 0 none, 1 a comma's, 2 a full stop's


def spell(text: str) -> list[Spelling]:
    """The words of a text, in order."""
    ranges = [match.span() for match in _WORD.finditer("".join(map(_character_class, text)))]
    limits = [*(start for start, _ in ranges[1:]), len(text)][: len(ranges)]
    words = []
    for (start, end), limit in zip(ranges, limits, strict=True):
        between = text[end:limit]
        pause = 2 if _STRONG_BREAK.search(between) else 1 if _BREAK.search(between) else 0
        words.append(Spelling(start, end, _sounds(text[start:end]), pause))
    return words


def _character_class(character: str) -> str:
    """For `_WORD`: an ideograph or kana, a letter, a digit, a mark, what joins words or digits, or none of these."""
    category = unicodedata.category(character)
    if category == "Lo" and character >= _EAST_ASIAN and not _HANGUL[0] <= character <= _HANGUL[1]:
        return "e"
    if category[0] == "M" or (category == "Lm" and character >= _EAST_ASIAN):
        return "+"
    if category[0] in "LN":
        return "d" if category == "Nd" else "l"
    return "j" if character in "'’-" else "." if character in ".," else " "


def _sounds(word: str) -> tuple[int, ...]:
    if word >= _EAST_ASIAN:
        syllables = sum(unicodedata.category(character) == "Lo" for character in word)
        if syllables:
            return (ONSET, WEAK) if word in _UNSTRESSED else (ONSET, RIME) * syllables
    letters = "".join(filter(str.isalnum, unicodedata.normalize("NFKD", word.casefold())))
    sounds = [sound for match in _RULE.finditer(letters) for sound in _RULES[(match.lastindex or 1) - 1][1]]
    vowels = [index for index, sound in enumerate(sounds) if sound in _VOWELS]
    if not vowels:  # an initial: m
        return (*sounds, SHORT)
    is_reduced = letters in _REDUCED
    for index in vowels[not is_reduced :]:  # the first one is stressed
        if is_reduced or sounds[index] == SHORT:
            sounds[index] = WEAK
    return tuple(sounds)
