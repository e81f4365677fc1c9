"""espeak's voices by our names: `en-US-male`, `cmn-female`, and so on for each of its languages."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, NamedTuple

from models.base import Voice
from models.espeak_library import Language

_VARIANTS: dict[Literal["male", "female"], str] = {"male": "", "female": "+f1"}
"""espeak's variants for a gender. Those with an echo are none: its tail would be cut at the end of an utterance."""

_FIRST = ("en-US", "en-GB", "cmn")
_TAGS = {"en": "en-GB"}
"""Language tags where espeak's file is named otherwise; all others are named by theirs."""


class EspeakVoice(NamedTuple):
    """A voice, and what espeak calls it."""

    voice: Voice
    espeak_name: str


def name_voices(languages: Iterable[Language]) -> dict[str, EspeakVoice]:
    """Two voices for each language by name; the best served languages first, the others by name."""
    tags = {language: _tag(language) for language in languages}
    ranked = sorted(tags, key=lambda language: (_rank(tags[language]), language.name))
    voices = {}
    for language in ranked:
        for gender, variant in _VARIANTS.items():
            name = f"{tags[language]}-{gender}"
            voice = Voice(name=name, language=tags[language], gender=gender, description=language.name.strip())
            voices[name] = EspeakVoice(voice, language.file + variant)
    return voices


def _tag(language: Language) -> str:
    stem = language.file.rpartition("/")[2]
    return _TAGS.get(stem, stem)


def _rank(tag: str) -> int:
    return _FIRST.index(tag) if tag in _FIRST else len(_FIRST)
