"""Which voice speaks: the asked one, the language's, or the default."""

from __future__ import annotations

from models.base import ModelInfo, Voice


class UnknownVoiceName(Exception):
    """No such voice; the message says which there are."""


def primary(language: str) -> str:
    """`zh` for `zh-CN`, `cmn` or `yue`: what two tags of one language share."""
    head = language.lower().replace("_", "-").split("-")[0]
    return "zh" if head in ("cmn", "yue", "zho", "chi") else head


def choose_voice(info: ModelInfo, name: str | None, language: str, default: str) -> Voice:
    """Raises UnknownVoiceName."""
    voices = {voice.name: voice for voice in info.voices}
    if name is not None:
        if name not in voices:
            some = ", ".join(list(voices)[:8])
            raise UnknownVoiceName(f"expected one of the {len(voices)} voices that /v1/voices lists ({some}, ...)")
        return voices[name]
    fallback = voices[default if default in voices else info.default_voice]
    if language == "auto" or primary(fallback.language) == primary(language):
        return fallback
    same = [voice for voice in info.voices if primary(voice.language) == primary(language)]
    same.sort(key=lambda voice: (voice.language.lower() != language.lower(), voice.gender != fallback.gender))
    return same[0] if same else fallback


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
