"""The voices as the server knows them: which one speaks, and how they are listed."""

from __future__ import annotations

from dataclasses import replace

from models.base import ModelInfo, UnknownVoice
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


def describe(info: ModelInfo, default: str) -> dict[str, object]:
    """`GET /v1/voices`."""
    return {
        "default": default or info.default_voice,
        "voices": [
            {
                "name": voice.name,
                "language": voice.language,
                "gender": voice.gender,
                "description": voice.description,
            }
            for voice in info.voices
        ],
    }
