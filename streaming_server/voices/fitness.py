"""Whether a model can speak with a voice of one's own."""

from __future__ import annotations

from collections.abc import Collection

from models.own_voice import OwnVoice
from models.voices import speaks

from .refusal import bad_field


def check_fits(voice: OwnVoice, *, languages: Collection[str], adapters: Collection[str]) -> None:
    """`languages` that the model speaks, `adapters` that are loaded. Raises VoiceRefused."""
    if not speaks(languages, voice.language):
        raise bad_field(f"'language' was expected as one of {', '.join(languages)}, but {voice.language!r} came.")
    if voice.adapter and voice.adapter not in adapters:
        loaded = ", ".join(adapters) or "none"
        raise bad_field(f"'adapter' was expected as one that is loaded ({loaded}), but {voice.adapter!r} came.")
