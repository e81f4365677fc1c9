"""The voices that a checkpoint makes for itself, by name. Needs no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .prompt_cache import PromptCache

LANGUAGES = ("zh", "en")
"""What VoxCPM speaks."""


@dataclass(frozen=True, slots=True)
class DefaultVoice:
    """A voice that a checkpoint makes for itself. What it sounds like is the checkpoint's to say."""

    name: str
    language: str
    seed: int
    sentence: str

    def key(self, cache: PromptCache, merged: str = "") -> str:
        """Its entry in a checkpoint's cache. `merged`: the fingerprint of an adapter in the weights, which is heard."""
        return cache.key_of_words("default", self.sentence, str(self.seed), *filter(None, [merged]))


_ENGLISH = "The morning was quiet, and a light wind came in from the sea."
_CHINESE = "清晨很安静，海上吹来一阵微风，阳光照在窗台上。"
DEFAULTS = (
    DefaultVoice("amber", "en", 1, _ENGLISH),
    DefaultVoice("birch", "en", 2, _ENGLISH),
    DefaultVoice("jade", "zh", 3, _CHINESE),
    DefaultVoice("lotus", "zh", 4, _CHINESE),
)
