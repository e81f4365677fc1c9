"""How long a text is to be spoken, and what it will sound like, guessed from its letters.

No dictionary: spelling rules give each word a row of sounds of a few broad kinds (vowel, hiss, stop ...), with usual
lengths. That is enough to find the words again in their sound (`models.word_times`).
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

FIRST_UNSPACED = "\u2e80"

_WORD = re.compile(
    r"[\u2e80-\u2fdf\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff]"
    r"|(?:(?![\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff])[^\W_])"
    r"(?:(?![\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff])(?:[^\W_]|\u0300-\u036f|['’-](?=[^\W_])|[.,](?=\d)(?<=\d.)))*"
)
"""A Han, kana or Hangul character, or a run of other letters and digits: as espeak cuts them."""

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

_VOWELS = "aeiouy"
_ENGLISH = re.compile(
    r"(?P<tion>[tsc]ion|[tc]ious)"
    r"|(?P<cure>ture)"
    r"|(?P<igh>ough|augh|eigh|igh)"
    r"|(?P<hiss>tch|sch|ch|sh|ph)"
    r"|(?P<th>th)"
    r"|(?P<silent>gh|(?<=m)b$|(?<=[^aeiou]l)e$)"
    r"|(?P<sonorant>^kn|^wr|^wh|^gn|ng|mm|nn|ll|rr|[mnlrw]|^y)"
    r"|(?P<qu>qu)"
    r"|(?P<ed>(?<=[td])ed$)"
    r"|(?P<d>ed$)"
    r"|(?P<es>(?<=[sxzhc])es$)"
    r"|(?P<stop>ck|pp|tt|cc(?![eiy])|kk|[ptkq]|c(?![eiy]))"
    r"|(?P<soft>bb|dd|gg|[bdg])"
    r"|(?P<j>j)"
    r"|(?P<x>x)"
    r"|(?P<hissing>ss|ff|[sf]|c)"
    r"|(?P<buzz>zz|[zv])"
    r"|(?P<breath>h)"
    r"|(?P<coloured>[aeiou]r(?![aeiouyr]))"
    r"|(?P<long>[aeiou][aeiouyw]+|y[aeiou]+|[aeiou](?=[^aeiouywx]e$)|[aeiou](?=[^aeiouywx]es$)|o$)"
    r"|(?P<mute>e$|e(?=s$))"
    r"|(?P<short>[aeiouy])"
)
_SOUNDS = {
    "tion": (HISS, WEAK, SONORANT),
    "cure": (HISS, WEAK),
    "igh": (LONG,),
    "hiss": (HISS,),
    "th": (BUZZ,),
    "silent": (),
    "sonorant": (SONORANT,),
    "qu": (STOP, SONORANT),
    "ed": (WEAK, SOFT_STOP),
    "d": (SOFT_STOP,),
    "es": (WEAK, BUZZ),
    "stop": (STOP,),
    "soft": (SOFT_STOP,),
    "j": (SOFT_STOP, BUZZ),
    "x": (STOP, HISS),
    "hissing": (HISS,),
    "buzz": (BUZZ,),
    "breath": (BREATH,),
    "coloured": (LONG,),
    "long": (LONG,),
    "mute": (),
    "short": (SHORT,),
}
_REDUCED = frozenset(
    re.findall(
        r"\w+",
        "a an the of to and or for from at as is in it its that than but was were are be been his her him them our "
        "your you some can could would should had has have do does will shall with not am on by if so me my we he she",
    )
)
_UNSTRESSED = frozenset("的了着么们吗呢吧啊子个得地")
_DIGIT = (HISS, LONG, SONORANT)


@dataclass(frozen=True, slots=True)
class Spelling:
    """A word of the text: its range of code points, its sounds, and the pause that the text asks for after it."""

    text_start: int
    text_end: int
    sounds: tuple[int, ...]
    pause: int  # 0 none, 1 a comma's, 2 a full stop's


def spell(text: str) -> list[Spelling]:
    """The words of a text, in order."""
    matches = list(_WORD.finditer(text))
    words = []
    for index, match in enumerate(matches):
        limit = matches[index + 1].start() if index + 1 < len(matches) else len(text)
        between = text[match.end() : limit]
        pause = 2 if _STRONG_BREAK.search(between) else 1 if _BREAK.search(between) else 0
        words.append(Spelling(match.start(), match.end(), _sounds(match[0]), pause))
    return words


def _sounds(word: str) -> tuple[int, ...]:
    if word[0] >= FIRST_UNSPACED:
        return (ONSET, WEAK) if word in _UNSTRESSED else (ONSET, RIME)
    letters = unicodedata.normalize("NFD", word.lower())
    letters = "".join(each for each in letters if each.isalnum())
    if letters.isdigit():
        return _DIGIT * len(letters)
    sounds: list[int] = []
    position = 0
    while position < len(letters):
        match = _ENGLISH.match(letters, position)
        if match is None:
            sounds += _DIGIT if letters[position].isdigit() else (SHORT,) if ord(letters[position]) > 255 else ()
            position += 1
        else:
            sounds += _SOUNDS[str(match.lastgroup)]
            position = match.end()
    if word.lower() in _REDUCED:
        sounds = [WEAK if each in (LONG, SHORT) else each for each in sounds]
    if not any(each in (LONG, SHORT, WEAK) for each in sounds):  # the, he, m, by
        sounds.append(SHORT if len(letters) > 1 else LONG)
    if word.lower() == "the":
        sounds = [BUZZ, WEAK]
    seen = False
    for index, each in enumerate(sounds):
        if each in (LONG, SHORT):
            if seen and each == SHORT:
                sounds[index] = WEAK
            seen = True
    return tuple(sounds)
