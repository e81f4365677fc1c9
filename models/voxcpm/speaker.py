"""A voice as the model holds it: what its owner said, as text and latents, from which every utterance goes on."""

from __future__ import annotations

from torch import Tensor

from ..base import Voice
from .passage import Passage

PRIMING_PATCHES = 2
"""The codec is primed with so many of the prompt's last patches, as the original decodes them."""

DEFAULT_TOKENS_PER_S = 6.25
_SILENT_S = 0.3


class Speaker:
    """One voice with its prompt. `adapter`: the number of its LoRA, 0 for none.

    `memory` is the codec's after priming (StreamingDecoder.memory); it is made at the voice's first utterance.
    """

    __slots__ = ("_seconds_per_weight", "adapter", "memory", "passage", "voice")

    def __init__(self, voice: Voice, text: str, latents: Tensor, *, patch_s: float, adapter: int = 0) -> None:
        """`latents` float32 [patches, patch, feat] on the model's device; `patch_s`: seconds of one."""
        self.voice = voice
        self.passage = Passage(text, list(latents))
        self.adapter = adapter
        self.memory: Tensor | None = None
        seconds = max(0.0, len(latents) * patch_s - _SILENT_S)
        self._seconds_per_weight = seconds / weight if (weight := _weight(text)) and seconds else 0.16

    @property
    def priming(self) -> list[Tensor]:
        return self.passage.latents[-PRIMING_PATCHES:]

    def expected_seconds(self, text: str) -> float:
        """How long a text takes at the pace of the prompt."""
        return self._seconds_per_weight * _weight(text)


def _weight(text: str) -> float:
    """Speech in a text, in syllables, roughly: a Chinese character is one, an alphabet's letter 0.38."""
    return sum(1.0 if each >= "\u2e80" else 0.38 for each in text if each.isalnum())
