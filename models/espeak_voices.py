"""espeak's voices by our names: `en-US-male`, `cmn-female`, and so on for each of its languages."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Literal, NamedTuple

from models.base import Voice
from models.espeak_library import Language

_VARIANTS: dict[Literal["male", "female"], str] = {"male": "", "female": "+f1"}
"""espeak's variants for a gender. Those with an echo are none: its tail would be cut at the end of an utterance."""

_OMITTED = {"gmq/fo", "trk/kaa", "art/xex"}  # their dictionaries are not delivered

_FIRST = ("en-US", "en-GB", "cmn")
_TAGS = {"en": "en-GB"}
"""Language tags where espeak's file is named otherwise; all others are named by theirs."""


_HAN = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")
_READS_HAN = {"cmn", "yue", "hak", "ja"}
_KANA = re.compile(r"[\u3040-\u30ff]")


class EspeakVoice(NamedTuple):
    """A voice, and what espeak calls it."""

    voice: Voice
    espeak_name: str


def name_voices(languages: Iterable[Language]) -> dict[str, EspeakVoice]:
    """Two voices for each language by name; the best served languages first, the others by name."""
    tags = {language: _tag(language) for language in languages if language.file not in _OMITTED}
    ranked = sorted(tags, key=lambda language: (_rank(tags[language]), language.name))
    voices = {}
    for language in ranked:
        for gender, variant in _VARIANTS.items():
            name = f"{tags[language]}-{gender}"
            voice = Voice(name=name, language=tags[language], gender=gender, description=language.name.strip())
            voices[name] = EspeakVoice(voice, language.file + variant)
    return voices


def reader(voice: Voice, text: str) -> str:
    """The name of the voice that reads the text: `voice`, or one of its gender that knows the script.

    The others would say "Chinese letter" for each character. A segment is read by one voice; those of Mandarin and
    Japanese switch to English by themselves.
    """
    if _KANA.search(text) and voice.language != "ja":
        return f"ja-{voice.gender}"
    if _HAN.search(text) and voice.language not in _READS_HAN:
        return f"cmn-{voice.gender}"
    return voice.name


def _tag(language: Language) -> str:
    stem = language.file.rpartition("/")[2]
    return _TAGS.get(stem, stem)


def _rank(tag: str) -> int:
    return _FIRST.index(tag) if tag in _FIRST else len(_FIRST)
