"""The voices as the server knows them: which one speaks, and how they are listed."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from models.base import ModelInfo, UnknownVoice, Voice
from models.voices import voice_for


class NoSuchVoice(Exception):
    """No voice of that name, or none for that language; one sentence."""


def choose_voice(info: ModelInfo, name: str | None, language: str, default: str) -> str:
    """The asked voice, or the best one for the language; `default` in the place of the model's own where it is set.

    Raises NoSuchVoice.
    """
    try:
        return voice_for(replace(info, default_voice=default) if default else info, language, name)
    except UnknownVoice as error:
        raise NoSuchVoice(str(error)) from None


def describe(info: ModelInfo, default: str, *, removable: Collection[str] = ()) -> dict[str, object]:
    """`GET /v1/voices`, as far as it is about those that there are."""
    voices = [describe_voice(voice, removable=voice.name in removable) for voice in info.voices]
    return {"default": default or info.default_voice, "voices": voices}


def describe_voice(voice: Voice, *, removable: bool) -> dict[str, object]:
    """One of `GET /v1/voices`, and the answer to a voice that is added."""
    return {
        "name": voice.name,
        "language": voice.language,
        "gender": voice.gender,
        "description": voice.description,
        "removable": removable,
    }
