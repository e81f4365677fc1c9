"""Which of a model's voices speaks a language."""

from __future__ import annotations

from collections.abc import Iterable

from models.base import ModelInfo, UnknownVoice

_ANY = {"und", "mul"}  # a voice of these speaks whatever its model does (ISO 639-2)
_MACRO = {"zh": "cmn", "no": "nb", "iw": "he", "in": "id"}
"""What a language's common or former tag means (IANA language subtag registry)."""

_CANTONESE = {"zh-hk", "zh-mo", "zh-yue"}


def voice_for(info: ModelInfo, language: str, voice: str | None = None) -> str:
    """The voice that was asked for; without one, the default voice or the first one of its gender for the language.

    `language` is `auto` or a BCP 47 tag. The closest tag wins (RFC 4647, lookup): `en-AU` gives some `en` voice,
    `zh-TW` Mandarin. Raises UnknownVoice, for a name that does not exist and for a language that no voice speaks.
    """
    names = {each.name: each for each in info.voices}
    for named in (voice or info.default_voice, info.default_voice):
        if named not in names:
            raise unknown_voice(info, named)
    if voice:
        return voice
    default = names[info.default_voice]
    if language == "auto" or default.language in _ANY:
        return default.name
    wanted = _canonical(language)
    candidates = sorted(info.voices, key=lambda each: (each.name != default.name, each.gender != default.gender))
    while wanted:
        for each in candidates:
            tag = _canonical(each.language)
            if tag == wanted or tag.startswith(wanted + "-"):
                return each.name
        wanted = wanted.rpartition("-")[0]
    raise UnknownVoice(f"A language of this model was expected, but no voice speaks {language!r}.")


def speaks(languages: Iterable[str], language: str) -> bool:
    """Whether a model of these knows the language, in any of its forms: `zh-TW` where it knows `zh` or `cmn`."""
    known = {_canonical(each).partition("-")[0] for each in languages}
    return "*" in known or _canonical(language).partition("-")[0] in known


def unknown_voice(info: ModelInfo, voice: str) -> UnknownVoice:
    """The error for a voice that does not exist, with those that do, as far as a sentence bears them."""
    names = [each.name for each in info.voices]
    shown = ", ".join(names[:12]) + (f" and {len(names) - 12} more" if len(names) > 12 else "")
    return UnknownVoice(f"A voice of this model was expected ({shown}), but {voice!r} came.")


def _canonical(language: str) -> str:
    tag = language.lower().replace("_", "-")
    if tag in _CANTONESE:
        return "yue"
    primary, hyphen, rest = tag.partition("-")
    return _MACRO.get(primary, primary) + hyphen + rest
