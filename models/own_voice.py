"""A voice of one's own: what is known of it, and which values are sound. Where it lies is `voice_folder`'s to know."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

from models.base import ModelError, Voice

MAX_CHARS = {
    "name": 64,  # as PROTOCOL.md has it for names
    "language": 35,  # RFC 5646, section 4.4.1
    "transcript": 1_000,  # of 30 s, in any language
    "licence": 200,
    "consent": 500,
    "gender": 7,
    "description": 200,
    "adapter": 64,
}
FIELDS = tuple(MAX_CHARS)
REQUIRED = ("name", "language", "transcript", "licence", "consent")
MAX_NAME_BYTES = 200  # in UTF-8; a file system holds 255 and a temporary name is longer

_GENDERS = ("female", "male", "neutral")
_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{1,8})*")
_RESERVED = re.compile(r"con|prn|aux|nul|(com|lpt)[0-9]|default|auto|none")
"""Devices that Windows finds in every folder, and words that a list of voices would be misread with."""
_REFUSALS = {"no", "false", "off", "0", "none"}


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnVoice:
    """What `voice.toml` says. Made by `own_voice`, which lets only sound values through."""

    name: str
    language: str
    transcript: str  # what the prompt says
    licence: str
    consent: str  # who speaks, and that they agree
    gender: Literal["female", "male", "neutral"] = "neutral"
    description: str = ""
    adapter: str = ""  # the LoRA that it speaks with; empty: none

    @property
    def voice(self) -> Voice:
        return Voice(name=self.name, language=self.language, gender=self.gender, description=self.description, own=True)


def own_voice(values: Mapping[str, Any]) -> OwnVoice:
    """The voice with these values; runs of white space become one blank. Raises ModelError, naming the field."""
    for field in values:
        if field not in FIELDS:
            raise ModelError(f"One of the fields {', '.join(FIELDS)} was expected, but {str(field)[:40]!r} came.")
    lines = {field: _line(field, values[field]) for field in MAX_CHARS if values.get(field) is not None}
    for field in REQUIRED:
        if not lines.get(field):
            raise ModelError(f"'{field}' was expected, but it is {'empty' if field in lines else 'missing'}.")
    check_name(lines["name"])
    if not _LANGUAGE.fullmatch(lines["language"]):
        raise ModelError(f"'language' was expected as a tag such as en or zh-CN, but {lines['language']!r} came.")
    if lines["consent"].lower() in _REFUSALS:
        raise ModelError(f"'consent' was expected to say who agrees to the use of their voice, not {lines['consent']}.")
    if not any(character.isalpha() for character in lines["transcript"]):
        raise ModelError("'transcript' was expected to hold the words that are spoken, but there is none in it.")
    gender = lines.pop("gender", "") or "neutral"
    if gender not in _GENDERS:
        raise ModelError(f"'gender' was expected as one of {', '.join(_GENDERS)}, but {gender!r} came.")
    return OwnVoice(gender=cast("Any", gender), **cast("dict[str, Any]", lines))


def check_name(name: str) -> None:
    """Whether it can be a voice's name, and a folder's on any system. Raises ModelError."""
    kinds = [unicodedata.category(character)[0] for character in name]
    sound = all(kind in "LMN" or character in " -_'" for kind, character in zip(kinds, name, strict=True))
    if not sound or not 1 <= len(name) <= MAX_CHARS["name"] or kinds[0] not in "LN" or name != " ".join(name.split()):
        raise ModelError(
            f"'name' was expected as 1 to {MAX_CHARS['name']} letters, digits, blanks, hyphens, underscores or "
            f"apostrophes that begin with a letter or a digit, but {name[:80]!r} came."
        )
    if len(name.encode()) > MAX_NAME_BYTES:
        raise ModelError(f"'name' was expected with at most {MAX_NAME_BYTES} bytes, but {len(name.encode())} came.")
    if _RESERVED.fullmatch(name_key(name)):
        raise ModelError(f"Another 'name' was expected: {name!r} is reserved.")


def name_key(name: str) -> str:
    """Equal for names that differ in case or in form only: some file systems take them for one."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())


def same_name(name: str, names: Iterable[str]) -> str | None:
    """The one of `names` that cannot stand beside this one."""
    key = name_key(name)
    return next((each for each in names if name_key(each) == key), None)


def _line(field: str, value: object) -> str:
    """One printable line, NFC, of at most so many characters."""
    if not isinstance(value, str):
        raise ModelError(f"'{field}' was expected to be a text, but a {type(value).__name__} came.")
    line = unicodedata.normalize("NFC", value if field == "name" else " ".join(value.split()))
    if len(line) > MAX_CHARS[field]:
        raise ModelError(f"'{field}' was expected with at most {MAX_CHARS[field]} characters, but {len(line)} came.")
    if not line.isprintable() and field != "name":
        raise ModelError(f"'{field}' was expected without control and format characters, but some came.")
    return line
