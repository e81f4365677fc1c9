"""A voice as the model holds it: what its owner said, as text and latents, from which every utterance goes on."""

from __future__ import annotations

from torch import Tensor

from ..base import Voice
from .passage import Passage

PRIMING_PATCHES = 2
"""The codec is primed with so many of the prompt's last patches, as the original decodes them."""


class Speaker:
    """One voice with its prompt, all of it on the host. `adapter`: the number of its LoRA, 0 for none.

    `tokens` [patches, hidden] are the prompt's patches as the language models read them, and `memory` is the codec's
    after priming (StreamingDecoder.memory); both are made at the voice's first utterance.
    """

    __slots__ = ("adapter", "latents", "memory", "passage", "tokens", "voice")

    def __init__(self, voice: Voice, text: str, latents: Tensor, *, adapter: int = 0) -> None:
        """`latents` float32 [patches, patch, feat]."""
        self.voice = voice
        self.passage = Passage(text, len(latents))
        self.latents = latents
        self.adapter = adapter
        self.tokens: Tensor | None = None
        self.memory: Tensor | None = None

    @property
    def priming(self) -> list[Tensor]:
        return list(self.latents[-PRIMING_PATCHES:])
