"""What VoxCPM needs of a new voice before it finds it in the folder, made outside of the engine. Needs no torch."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from .default_voices import DEFAULTS, LANGUAGES


@dataclass(frozen=True, slots=True, kw_only=True)
class VoicePreparation:
    """For the voices of one folder; what is made of them lies in another. `adapters`: names that a voice may name."""

    checkpoint: Path
    voices: Path
    cache: Path
    adapters: tuple[str, ...] = ()

    @property
    def languages(self) -> tuple[str, ...]:
        """What a voice may speak."""
        return LANGUAGES

    @property
    def own_names(self) -> tuple[str, ...]:
        """The model's own voices: no other may be called so."""
        return tuple(default.name for default in DEFAULTS)

    def command(self, prompt: Path) -> tuple[str, ...]:
        """Encodes a recording, where that has not been done.

        It prints one JSON line: `{"key": ..., "num_patches": ...}`, or `{"error": sentence}` with exit code 2.
        """
        return (sys.executable, "-P", "-m", "models.voxcpm.encode", *map(str, (self.checkpoint, prompt, self.cache)))

    def forget(self, prompt: Path) -> None:
        """Delete what any checkpoint made of a recording that is to go, unless another voice has the same one.

        The file is still to be there. Raises OSError. Blocks.
        """
        from .recording import forget_recording  # and with it the libraries that read sound

        forget_recording(prompt, voices=self.voices, cache=self.cache)
